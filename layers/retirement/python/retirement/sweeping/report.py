"""The report of a sweep: one JSON document, stored completely in S3, and published with lists that SNS can take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from retirement.canonical import Document, Json, truncated
from retirement.environment import S3Location
from retirement.timestamps import format_timestamp

FORMAT_VERSION = "1"

# Bytes of each list in a message. Together they leave room for the other fields under SNS's 256 KiB.
MATCHED_BYTES = 120 * 1024
CANCELLED_BYTES = 50 * 1024
SKIPPED_BYTES = 60 * 1024
MAX_REFUSAL_LENGTH = 2_000  # characters


class State(StrEnum):
    """What a sweep did about a datamart that matches."""

    ASKED = "asked"
    REPEATED = "repeated"  # the request of an earlier sweep, which has no answer yet
    PENDING = "pending"
    HELD_BACK = "held_back"  # a limit was exceeded
    WOULD_ASK = "would_ask"  # a dry run
    ENDED = "ended"  # its receipt says that it is gone, but Databrain lists it


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A datamart that matches; `retire_at` is the current date, or the one that would be requested."""

    datamart_name: str
    rule: str
    also_matched: Sequence[str]
    why: str
    retirement_id: str
    retire_at: datetime
    state: State

    def document(self) -> Document:
        """Return the entry as the report contains it."""
        return {
            "datamartName": self.datamart_name,
            "rule": self.rule,
            "alsoMatched": list(self.also_matched),
            "why": self.why,
            "retirementId": self.retirement_id,
            "retireAt": format_timestamp(self.retire_at),
            "state": self.state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A retirement that was cancelled, or would be, because its rule no longer matches."""

    datamart_name: str
    rule: str
    why: str
    retirement_id: str
    retire_at: datetime

    def document(self) -> Document:
        """Return the entry as the report contains it."""
        return {
            "datamartName": self.datamart_name,
            "rule": self.rule,
            "why": self.why,
            "retirementId": self.retirement_id,
            "retireAt": format_timestamp(self.retire_at),
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A datamart that a rule names, but whose retirement is not requested."""

    datamart_name: str
    why: str

    def document(self) -> Document:
        """Return the entry as the report contains it."""
        return {"datamartName": self.datamart_name, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep found and did.

    Attributes:
        stored_as: the location of the complete report.
        dry_run: None if the policy could not be read; so is `datamarts`, the number of listed ones.
        refusal: why the sweep requested nothing.
    """

    sweep_id: str
    environment: str
    started_at: datetime
    finished_at: datetime
    policy: S3Location
    policy_version_id: str | None
    stored_as: S3Location
    dry_run: bool | None = None
    datamarts: int | None = None
    refusal: str | None = None
    matched: Sequence[Matched] = ()
    cancelled: Sequence[Cancelled] = ()
    skipped: Sequence[Skipped] = ()

    def document(self) -> Document:
        """Return the complete report."""
        return self._with(
            [entry.document() for entry in self.matched],
            [entry.document() for entry in self.cancelled],
            [entry.document() for entry in self.skipped],
        )

    def message(self) -> Document:
        """Return the report as it is published: counts are complete, lists are cut."""
        return self._with(
            truncated([entry.document() for entry in self.matched], MATCHED_BYTES),
            truncated([entry.document() for entry in self.cancelled], CANCELLED_BYTES),
            truncated([entry.document() for entry in self.skipped], SKIPPED_BYTES),
        )

    def _with(self, matched: Sequence[Json], cancelled: Sequence[Json], skipped: Sequence[Json]) -> Document:
        states = Counter(entry.state for entry in self.matched)
        return {
            "formatVersion": FORMAT_VERSION,
            "sweepId": self.sweep_id,
            "environment": self.environment,
            "startedAt": format_timestamp(self.started_at),
            "finishedAt": format_timestamp(self.finished_at),
            "dryRun": self.dry_run,
            "refusal": None if self.refusal is None else self.refusal[:MAX_REFUSAL_LENGTH],
            "policy": {
                "bucket": self.policy.bucket,
                "key": self.policy.key,
                "versionId": self.policy_version_id,
            },
            "report": {"bucket": self.stored_as.bucket, "key": self.stored_as.key},
            "counts": {
                "datamarts": self.datamarts,
                "matched": len(self.matched),
                "asked": states[State.ASKED],
                "repeated": states[State.REPEATED],
                "pending": states[State.PENDING],
                "heldBack": states[State.HELD_BACK],
                "wouldAsk": states[State.WOULD_ASK],
                "ended": states[State.ENDED],
                "cancelled": len(self.cancelled),
                "skipped": len(self.skipped),
            },
            "matched": matched,
            "cancelled": cancelled,
            "skipped": skipped,
        }
