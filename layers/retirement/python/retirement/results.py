"""The result of a request: one JSON document, the same in the receipt, on the topic and as the return value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from retirement.canonical import Document
from retirement.timestamps import format_timestamp

SCHEMA_VERSION = "1"

# Of texts from outside in a message: how many, and how many characters of each.
MOST_QUOTED = 5
LONGEST_QUOTED = 100


class Outcome(StrEnum):
    """What became of a request; `scheduled` and `failed` are no ends."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    ALREADY_ABSENT = "already_absent"
    PLANNED = "planned"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    FAILED = "failed"


class Reason(StrEnum):
    """Why; each belongs to one outcome (`events/schemas/datamart-retirement-result.json`)."""

    DUE_SOON = "due_soon"

    DRY_RUN = "dry_run"
    PLAN_MODE = "plan_mode"

    PROTECTED = "protected"
    NOT_RETIRABLE = "not_retirable"
    DAILY_LIMIT_REACHED = "daily_limit_reached"
    AMBIGUOUS_NAME = "ambiguous_name"
    RECREATED = "recreated"
    CHANGED = "changed"
    PLAN_DRIFTED = "plan_drifted"
    DEPENDENTS_FOUND = "dependents_found"
    DEPENDENTS_UNDETERMINED = "dependents_undetermined"

    INVALID_REQUEST = "invalid_request"
    RETIREMENT_ID_REUSED = "retirement_id_reused"
    ALREADY_DUE = "already_due"
    ALREADY_ENDED = "already_ended"

    DATABRAIN_UNAUTHORIZED = "databrain_unauthorized"
    DATABRAIN_UNAVAILABLE = "databrain_unavailable"
    DATABRAIN_UNEXPECTED = "databrain_unexpected"
    BACKUP_FAILED = "backup_failed"
    UNCONFIRMED = "unconfirmed"
    INTERNAL_ERROR = "internal_error"


class ConfirmedBy(StrEnum):
    """How a deletion is known: Databrain said so to us, or the datamart is gone after we wrote our intent."""

    RESPONSE = "response"
    ABSENCE = "absence"


@dataclass(frozen=True, slots=True)
class BackupReference:
    """Where a backup is, and what it must be: `sha256` in lower-case hex, `size` in bytes."""

    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size: int

    def document(self) -> Document:
        """The reference as results and intents show it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "sha256": self.sha256,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a result rests on, as far as it was read or written."""

    plan_id: str | None = None
    dependents: Document | None = None
    backup: BackupReference | None = None


NOTHING_READ = Grounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one request; the wording and the types are the published schema's."""

    retirement_id: str | None
    datamart_name: str | None
    requested_by: str | None
    request_reason: str | None
    outcome: Outcome
    reason: Reason | None
    message: str
    environment: str
    requested_at: datetime
    started_at: datetime
    finished_at: datetime
    grounds: Grounds = NOTHING_READ
    confirmed_by: ConfirmedBy | None = None
    retire_at: datetime | None = None  # of `scheduled` alone

    def document(self) -> Document:
        """The result as JSON."""
        scheduled = {} if self.retire_at is None else {"retireAt": format_timestamp(self.retire_at)}
        return {
            "schemaVersion": SCHEMA_VERSION,
            "datamartName": self.datamart_name,
            "retirementId": self.retirement_id,
            "environment": self.environment,
            "outcome": self.outcome,
            "reason": self.reason,
            "message": self.message,
            "requestedBy": self.requested_by,
            "requestReason": self.request_reason,
            "requestedAt": format_timestamp(self.requested_at),
            "startedAt": format_timestamp(self.started_at),
            "finishedAt": format_timestamp(self.finished_at),
            **scheduled,
            "planId": self.grounds.plan_id,
            "backup": None if self.grounds.backup is None else self.grounds.backup.document(),
            "dependents": self.grounds.dependents,
            "confirmedBy": self.confirmed_by,
        }


def in_words(count: int, noun: str) -> str:
    """For example `1 embed`, `2 embeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def quoted(names: Sequence[str]) -> str:
    """A list for a person, cut where it gets long: `"a", "b" and 7 more`."""
    shown = ", ".join(f'"{shortened(name)}"' for name in names[:MOST_QUOTED])
    return shown if len(names) <= MOST_QUOTED else f"{shown} and {len(names) - MOST_QUOTED} more"


def shortened(text: str) -> str:
    """A text from outside, cut for a message."""
    return text if len(text) <= LONGEST_QUOTED else f"{text[: LONGEST_QUOTED - 3]}..."
