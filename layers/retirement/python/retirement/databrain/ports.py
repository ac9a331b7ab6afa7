"""The ports to Databrain that workflows use, and those that its client uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Protocol

from retirement.canonical import Document, Json
from retirement.databrain.copies import CopyPermit, RehearsalPermit
from retirement.databrain.creations import CreateAnswer
from retirement.databrain.dependents import Embed, EmbedListing, EmbedMap
from retirement.databrain.permits import DeletePermit
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.errors import DatabrainError
from retirement.globs import DatamartLists


class DeleteEffect(Enum):
    """What one delete request did, according to its answer."""

    DONE = auto()
    NONE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class DeleteAnswer:
    """The effect of a delete request, and the error unless it is `DONE`."""

    effect: DeleteEffect
    error: DatabrainError | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Why something was not read; `failure` is what went wrong, where another attempt may read it."""

    why: str
    failure: DatabrainError | None = None


class Metric(StrEnum):
    """The metrics that are counted in each attempt."""

    DATABRAIN_REQUESTS = "DatabrainRequests"
    DATABRAIN_RETRIES = "DatabrainRetries"
    DATABRAIN_WALKS = "DatabrainWalks"


class Databrain(Protocol):
    """The API, for one attempt. Every method that reads raises a `DatabrainError` after its own retries."""

    def find(self, name: str) -> Snapshot | Absent:
        """Find the datamart of exactly this name, and read all of it."""

    def list_datamarts(self) -> Listing:
        """List all names, with createdAt; nothing is cached."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """List the embeds of all data apps, and return the failures too; each failure is a gap in the listing."""

    def export_embeds(self, embeds: Sequence[Embed], *, leave: float) -> Sequence[Document | Unread]:
        """Export embeds that were listed in this attempt; what Export Embed returned, or why nothing, in their order.

        Args:
            embeds: any number; only so much is read of all of them as a backup may hold.
            leave: how many seconds of the invocation are for something else.
        """

    def find_workspaces(self, *, leave: float) -> Mapping[str, Sequence[str]] | Unread:
        """List the dashboards of all workspaces: by the dashboard's ID, the names of the workspaces that have it."""

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt, None if that is not a clear time.

        The result is empty if an old server has no such list.
        """

    def fingerprint(self, identity: str) -> str:
        """Return 16 hex digits of a hash of the server's URL, the attempt's token and this identity.

        Raises:
            RetirementError: the token cannot be read.
        """

    def place_of_secret(self, document: Json) -> str | None:
        """Return the path of the first text that contains a secret which this attempt has read, or None.

        A path is such as `datamartTables[0].label`. Keys of data apps are known only after the embeds were listed.
        """

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request, without retries, with the token that the snapshot was read with.

        Raises:
            RetirementError: it was not sent, because the token could not be read.
        """

    def create_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        """Send one request that creates the copy of a rehearsal, without retries.

        Raises:
            RetirementError: it was not sent, because the token could not be read.
        """

    def create_layer_of_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        """Send one request that creates the semantic layer of the copy; otherwise as `create_copy`."""

    def delete_copy(self, permit: CopyPermit) -> DeleteAnswer:
        """Send one request that deletes the copy; otherwise as `delete`."""


class DatabrainLists(Protocol):
    """What a sweep reads of the API; it has no method that changes anything there."""

    def list_datamarts_with_updates(self) -> Listing:
        """List all names, with createdAt and updatedAt; nothing is cached."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """Do as in `Databrain`."""

    def place_of_secret(self, document: Json) -> str | None:
        """Do as in `Databrain`."""


class DatamartListsSource(Protocol):
    """The lists of protected and of retirable names that the owner maintains."""

    def read(self) -> DatamartLists:
        """Read the lists as they are now; `NO_LISTS` if the stack has none.

        Raises:
            ConfigurationError: the file is missing, broken or has another shape.
            AwsCallFailed: the file could not be read.
        """


class EmbedMapSource(Protocol):
    """The map of embeds that the owner maintains."""

    def read(self) -> EmbedMap | None:
        """Read the map as it is now; None if the stack has none.

        Raises:
            ConfigurationError: the map is missing, broken or has another shape.
            AwsCallFailed: the map could not be read.
        """


class Counter(Protocol):
    """Counts what an adapter does."""

    def count(self, metric: Metric) -> None:
        """Add one to a metric; any thread may call this."""


class DatabrainApi(StrEnum):
    """The route family of the server (docs/databrain-api.md, sections 2 and 3)."""

    CURRENT = "current"
    LEGACY = "legacy"
