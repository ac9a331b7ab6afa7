"""What a restore needs of Databrain: its port has no delete. One token can do everything, so the type is the guard."""

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
    """What one create request did, as far as its answer tells.

    `NONE` and `REFUSED` are certain: nothing was created. `REFUSED` is a no to what was asked for, which would be the
    answer again.
    """

    DONE = auto()
    NONE = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class CreateAnswer:
    """The effect, what went wrong unless it is `DONE`, and of an embed that is `DONE` its ID."""

    effect: CreateEffect
    error: DatabrainError | None = None
    embed_id: str | None = None


class Restorer(Protocol):
    """The API, for one attempt at a restore.

    Each `create_...` sends one request and never a second one. Every other method raises a `DatabrainError` after its
    own retries.
    """

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and read all of it."""

    def list_datamarts(self) -> Listing:
        """List the names, fresh."""

    def list_datasources(self) -> frozenset[str] | None:
        """List the names of the datasources; None where an old server has no such list."""

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

        Keys of data apps are known only once the embeds were listed.
        """

    def create_datamart(self, body: Document) -> CreateAnswer:
        """Create a datamart from the body of Create Datamart.

        Raises:
            RetirementError: it could not even be sent, for want of a token.
        """

    def create_semantic_layer(self, body: Document) -> CreateAnswer:
        """Create the semantic layer of a datamart that has none, from the body of Create Semantic Layer.

        Raises:
            RetirementError: it could not even be sent, for want of a token.
        """

    def create_embed(self, data_app_name: str, body: Document) -> CreateAnswer:
        """Create an embed in a data app, from the body of Create Embed in its current form.

        Raises:
            DatabrainError: it could not even be sent: the keys of the data app could not be read.
        """

    def show(self, data_app_name: str, embed_id: str) -> None:
        """Check that an embed can be shown, by a guest token for it alone that expires within a minute.

        Raises:
            DatabrainError: it cannot be shown, or nothing says so.
        """
