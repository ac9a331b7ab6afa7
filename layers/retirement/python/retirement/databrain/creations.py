"""The port of a restore to Databrain. It has no method that deletes: the token permits it, so the type prevents it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from retirement.canonical import Document, Json
from retirement.databrain.dependents import EmbedListing
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.errors import DatabrainError


class CreateEffect(Enum):
    """What one create request did, as far as its answer shows.

    After `NONE` and `REFUSED` it is certain that nothing was created. Databrain would refuse a `REFUSED` request again.
    """

    DONE = auto()
    NONE = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class CreateAnswer:
    """The effect; the error unless it is `DONE`; and the ID of an embed that was created."""

    effect: CreateEffect
    error: DatabrainError | None = None
    embed_id: str | None = None


class Restorer(Protocol):
    """The API, for one attempt at a restore.

    Each `create_...` sends at most one request. Every other method raises a `DatabrainError` after its own retries.
    """

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and return all of it."""

    def list_datamarts(self) -> Listing:
        """Return the names of all datamarts, as they are now."""

    def list_datasources(self) -> frozenset[str] | None:
        """Return the names of all datasources, or None if an old server has no such list."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """Return the embeds of all data apps, and the errors, each of which leaves a gap in the listing."""

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """Return the names of all data apps with their createdAt, None if it is not a clear time.

        An old server has no such list, and returns nothing.
        """

    def fingerprint(self, identity: str) -> str:
        """Return 16 hex digits that stand for the server, the attempt's token, and the identity.

        Raises:
            RetirementError: there is no token.
        """

    def place_of_secret(self, document: Json) -> str | None:
        """Return the path of the first text in a document that contains a secret of this attempt, or None.

        Keys of data apps are known only after the embeds were listed.
        """

    def create_datamart(self, body: Document) -> CreateAnswer:
        """Create a datamart from the body of Create Datamart.

        Raises:
            RetirementError: there is no token, so it was not sent.
        """

    def create_semantic_layer(self, body: Document) -> CreateAnswer:
        """Create the semantic layer of a datamart that has none, from the body of Create Semantic Layer.

        Raises:
            RetirementError: there is no token, so it was not sent.
        """

    def create_embed(self, data_app_name: str, body: Document) -> CreateAnswer:
        """Create an embed in a data app, from the body of Create Embed in its current form.

        Raises:
            DatabrainError: the keys of the data app could not be read, so it was not sent.
        """

    def show(self, data_app_name: str, embed_id: str) -> None:
        """Check that an embed can be shown, by a guest token for it alone that expires within a minute.

        Raises:
            DatabrainError: it cannot be shown, or the check failed.
        """
