"""Which organisation was looked at: nothing that Databrain documents says whom a token belongs to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import Document, canonical_json
from retirement.databrain.snapshot import Listing
from retirement.timestamps import format_timestamp, parse_timestamp

MAX_WITNESSES = 20

Times = Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True)
class Organisation:
    """What tells an organisation from another one: who asked whom, and what else was listed there.

    `fingerprint` is of base URL and token, for one `identity`; `datamarts` are the oldest others, `data_apps` are all:
    name -> createdAt, None where it is not told.
    """

    identity: str
    fingerprint: str
    datamarts: Times
    data_apps: Times

    @classmethod
    def of(cls, identity: str, fingerprint: str, name: str, listing: Listing, data_apps: Times) -> "Organisation":
        """Put down the witnesses of a look at the datamart of this name."""
        others = ((other, created_at) for other, created_at in listing.created_at.items() if other != name)
        oldest = sorted(others, key=lambda other: (other[1] is None, other[1] and other[1].timestamp(), other[0]))
        return cls(identity, fingerprint, dict(oldest[:MAX_WITNESSES]), data_apps)

    def is_recognised(
        self,
        fingerprint: Callable[[str], str],
        datamarts: Times,
        data_apps: Callable[[], Times],
        *,
        has_same_creation: bool,
    ) -> bool:
        """Whether a later look is at the same organisation: by the same token, or one witness is still there.

        A token that was rotated has another fingerprint. A name without a time is no witness: names repeat from one
        organisation to the next. Where there was nothing else, the datamart itself is the witness, if it was created at
        the same time.
        """
        if fingerprint(self.identity) == self.fingerprint:
            return True
        if not self.datamarts and not self.data_apps:
            return has_same_creation
        return _has_one_of(self.datamarts, datamarts) or _has_one_of(self.data_apps, data_apps())

    def document(self) -> Document:
        """The organisation as plans and intents keep it."""
        return {
            "identity": self.identity,
            "fingerprint": self.fingerprint,
            "datamarts": _written(self.datamarts),
            "dataApps": _written(self.data_apps),
        }

    @classmethod
    def stored_in(cls, document: Mapping[str, Any]) -> "Organisation":
        """Read it back.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is not one of ours.
        """
        stored = document["organisation"]
        return cls(stored["identity"], stored["fingerprint"], _read(stored["datamarts"]), _read(stored["dataApps"]))


def identity_of(datamart_name: str, retirement_id: str) -> str:
    """What a fingerprint is bound to, so that it tells nothing about another retirement's."""
    return canonical_json([datamart_name, retirement_id])


def _has_one_of(witnesses: Times, seen: Times) -> bool:
    return any(created_at is not None and seen.get(name) == created_at for name, created_at in witnesses.items())


def _written(times: Times) -> Document:
    return {name: None if time is None else format_timestamp(time) for name, time in times.items()}


def _read(times: Mapping[str, Any]) -> Times:
    return {name: None if time is None else parse_timestamp(cast("str", time)) for name, time in times.items()}
