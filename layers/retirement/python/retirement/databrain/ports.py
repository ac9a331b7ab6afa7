"""What the workflows need of Databrain, and what its client needs of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Protocol

from retirement.canonical import Json
from retirement.databrain.dependents import EmbedListing, EmbedMap
from retirement.databrain.permits import DeletePermit
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.errors import DatabrainError
from retirement.globs import DatamartLists


class DeleteEffect(Enum):
    """What one delete request did, as far as its answer tells."""

    DONE = auto()
    NONE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class DeleteAnswer:
    """The effect, and what went wrong unless it is `DONE`."""

    effect: DeleteEffect
    error: DatabrainError | None = None


class Metric(StrEnum):
    """What is counted in each attempt."""

    DATABRAIN_REQUESTS = "DatabrainRequests"
    DATABRAIN_RETRIES = "DatabrainRetries"
    DATABRAIN_WALKS = "DatabrainWalks"


class Databrain(Protocol):
    """The API, for one attempt. Every method but `delete` raises a `DatabrainError` after its own retries."""

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and read all of it."""

    def list_datamarts(self) -> Listing:
        """List the names, fresh."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """List the embeds of all data apps, and what failed on the way; each failure leaves a gap in the listing."""

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt, None where it is no clear time.

        Nothing where an old server has no such list.
        """

    def fingerprint(self, identity: str) -> str:
        """16 hex digits that stand for the server, the attempt's token, and what it is asked for.

        Raises:
            RetirementError: there is no token.
        """

    def place_of_secret(self, document: Json) -> str | None:
        """The path of the first text in a document that holds a secret which this attempt has read, None without one.

        Such as `datamartTables[0].label`; keys of data apps are known only once the embeds were listed.
        """

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request, never a second one, with the token that all else was read with.

        Raises:
            RetirementError: it could not even be sent, for want of a token.
        """


class DatabrainLists(Protocol):
    """What a sweep reads of the API, and nothing that changes anything there."""

    def list_datamarts_with_updates(self) -> Listing:
        """List the names, fresh, with all times that are told."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """As `Databrain` does."""

    def place_of_secret(self, document: Json) -> str | None:
        """As `Databrain` does."""


class DatamartListsSource(Protocol):
    """The lists of protected and of retirable names that the owner keeps."""

    def read(self) -> DatamartLists:
        """Read the lists as they are now; `NO_LISTS` where the stack has none.

        Raises:
            ConfigurationError: the file is missing, broken or of another shape.
            AwsCallFailed: it could not be read.
        """


class EmbedMapSource(Protocol):
    """The map that the owner keeps."""

    def read(self) -> EmbedMap | None:
        """Read the map; None where the stack has none.

        Raises:
            ConfigurationError: the map is missing, broken or of another shape.
            AwsCallFailed: it could not be read.
        """


class Counter(Protocol):
    """Where an adapter counts what it does."""

    def count(self, metric: Metric) -> None:
        """Count one; safe from any thread."""


class DatabrainApi(StrEnum):
    """Which of Databrain's two route families the server has (docs/databrain-api.md, sections 2 and 3)."""

    CURRENT = "current"
    LEGACY = "legacy"
