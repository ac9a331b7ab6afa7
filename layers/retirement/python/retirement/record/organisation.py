"""The organisation that was looked at. Databrain does not document how to find out which one a token belongs to."""

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
    """What identifies an organisation: the server, the token, and what is listed there.

    Attributes:
        identity: the retirement that the fingerprint is bound to.
        fingerprint: a hash of base URL, token and `identity`.
        datamarts: the witnesses: the oldest other datamarts, name -> createdAt, None if unknown.
        data_apps: all data apps, in the same form.
    """

    identity: str
    fingerprint: str
    datamarts: Times
    data_apps: Times

    @classmethod
    def of(cls, identity: str, fingerprint: str, name: str, listing: Listing, data_apps: Times) -> "Organisation":
        """Choose the witnesses from what was listed with the datamart of this name."""
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
        """Return whether a later look is at the same organisation: the token is the same, or a witness is still there.

        A rotated token has another fingerprint. A name without a time is not a witness, because organisations may use
        the same names. If nothing else was listed, the datamart itself is the witness.

        Args:
            fingerprint: returns the present fingerprint for an identity.
            datamarts: what is listed now.
            data_apps: lists the data apps, if they are needed.
            has_same_creation: whether the datamart itself has the same createdAt as before.
        """
        if fingerprint(self.identity) == self.fingerprint:
            return True
        if not self.datamarts and not self.data_apps:
            return has_same_creation
        return _has_one_of(self.datamarts, datamarts) or _has_one_of(self.data_apps, data_apps())

    def document(self) -> Document:
        """Return the organisation as plans and intents contain it."""
        return {
            "identity": self.identity,
            "fingerprint": self.fingerprint,
            "datamarts": _written(self.datamarts),
            "dataApps": _written(self.data_apps),
        }

    @classmethod
    def stored_in(cls, document: Mapping[str, Any]) -> "Organisation":
        """Parse the organisation of a stored plan or intent.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: the document is not as this project writes it.
        """
        stored = document["organisation"]
        return cls(stored["identity"], stored["fingerprint"], _read(stored["datamarts"]), _read(stored["dataApps"]))


def identity_of(datamart_name: str, retirement_id: str) -> str:
    """Return what a fingerprint is bound to, so that fingerprints of two retirements cannot be compared."""
    return canonical_json([datamart_name, retirement_id])


def _has_one_of(witnesses: Times, seen: Times) -> bool:
    return any(created_at is not None and seen.get(name) == created_at for name, created_at in witnesses.items())


def _written(times: Times) -> Document:
    return {name: None if time is None else format_timestamp(time) for name, time in times.items()}


def _read(times: Mapping[str, Any]) -> Times:
    return {name: None if time is None else parse_timestamp(cast("str", time)) for name, time in times.items()}
