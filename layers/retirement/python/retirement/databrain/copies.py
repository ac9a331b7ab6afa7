"""The copy that a rehearsal creates and removes: its name, and the permits for both.

A delete names a datamart and nothing else, so a copy is deleted only if it is certainly the one that was created.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from retirement.canonical import Document, canonical_json, sha256_hex
from retirement.databrain.differences import is_as_sent
from retirement.databrain.snapshot import Snapshot, configuration_hash
from retirement.errors import NotOurCopy
from retirement.globs import folded
from retirement.stored_object import StoredObject
from retirement.timestamps import parse_timestamp

# Databrain's clock, which sets createdAt, may be behind by this much.
MAX_CLOCK_SKEW = timedelta(minutes=5)


def copy_name(datamart_name: str, retirement_id: str) -> str:
    """Return the name of the copy, such as `rehearsal-0123456789ab`."""
    return f"rehearsal-{sha256_hex(canonical_json([datamart_name, retirement_id]))[:12]}"


@dataclass(frozen=True, slots=True)
class RehearsalPermit:
    """Permits the creation of a copy, because the record of it was stored before.

    Attributes:
        record: `rehearsal.json`, as it is stored.
        create_body: the body of Create Datamart.
        create_layer_body: the body of Create Semantic Layer, or None if the datamart has no layer.

    Raises:
        NotOurCopy: at construction, if the record is of another copy, or the name was listed before it.
    """

    record: StoredObject
    create_body: Document
    create_layer_body: Document | None

    def __post_init__(self) -> None:
        recorded = _Recorded.of(self.record)
        is_recorded = (
            self.name == recorded.name
            and bodies_hash(self.create_body, self.create_layer_body) == recorded.create_hash
            and (self.create_layer_body is None or self.create_layer_body["datamartName"] == self.name)
        )
        if not is_recorded or not is_free(self.name, recorded.listed):
            raise NotOurCopy(f"{self.record.key} does not permit the creation of this copy")

    @property
    def name(self) -> str:
        """The name of the copy."""
        return cast("str", self.create_body["name"])


@dataclass(frozen=True, slots=True)
class CopyPermit:
    """Permits the deletion of `copy`, because it is certainly what a rehearsal has created.

    Attributes:
        rehearsal: the permit that it was created with.
        copy: what is listed now.
        confirmed: what was listed right after Databrain had confirmed the creation; None if no confirmation came, or
            an earlier attempt had it. Then the copy has to equal what was sent.

    Raises:
        NotOurCopy: at construction, if it may be another datamart.
    """

    rehearsal: RehearsalPermit
    copy: Snapshot
    confirmed: Snapshot | None

    def __post_init__(self) -> None:
        name, created_at = self.copy.name, self.copy.created_at
        others = [other for other in self.copy.listing.created_at if other != name]
        if name != self.rehearsal.name or not is_free(name, others):
            raise NotOurCopy("another name, or a nearly identical one, is listed")
        recorded_at = _Recorded.of(self.rehearsal.record).recorded_at
        if created_at is None or created_at < recorded_at - MAX_CLOCK_SKEW:
            raise NotOurCopy("it was created before the rehearsal")
        is_confirmed = self.confirmed is not None and _hash_of(self.confirmed) == _hash_of(self.copy)
        if not is_confirmed and not is_as_sent(self.rehearsal.create_body, self.copy.entry):
            raise NotOurCopy("it is not what was requested, and no answer confirms that the rehearsal created it")


def bodies_hash(create_body: Document, create_layer_body: Document | None) -> str:
    """Return the SHA-256 of the bodies that a record permits; they may contain SQL, and the record must not."""
    return sha256_hex(canonical_json((create_body, create_layer_body)))


def is_free(name: str, listed: Iterable[str]) -> bool:
    """Return whether no datamart of this name, or of a nearly identical one, is listed."""
    return folded(name) not in map(folded, listed)


def _hash_of(copy: Snapshot) -> str:
    """Return the hash of the copy, with its createdAt and without its semantic layer."""
    return configuration_hash(copy.entry, None)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The part of `rehearsal.json` that permits."""

    name: str | None
    create_hash: str
    listed: Sequence[str]
    recorded_at: datetime

    @classmethod
    def of(cls, record: StoredObject) -> "_Recorded":
        """Parse it; the name is None if it is not the derived one."""
        with record.parsed() as stored:
            name = copy_name(stored["datamartName"], stored["retirementId"])
            return cls(
                name if stored["copyName"] == name else None,
                stored["createHash"],
                stored["listed"],
                parse_timestamp(stored["recordedAt"]),
            )
