"""The result of a request: one JSON document, which is the receipt, the message on the topic and the return value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import Document, truncated
from retirement.outcomes import ConfirmedBy, Outcome, Reason
from retirement.stored_object import BackupReference
from retirement.timestamps import format_timestamp

SCHEMA_VERSION = "1"

# Limits of the lists in a restore's result, so that the message stays under SNS's 256 KiB whatever the API returns.
MAX_SHOWN = 100
MAX_BYTES_OF_EMBEDS = 80 * 1024
MAX_BYTES_OF_TEXTS = 40 * 1024


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a result is based on; a field is None if it was not read or written."""

    plan_id: str | None = None
    dependents: Document | None = None
    backup: BackupReference | None = None
    not_restorable: Sequence[str] | None = None


NOTHING_READ = Grounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one request (`events/schemas/datamart-retirement-result.json`)."""

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
    retire_at: datetime | None = None  # with `scheduled` only
    approvals_missing: int | None = None  # with `awaiting_approval` and `approved` only

    def document(self) -> Document:
        """Return the result as JSON."""
        scheduled = {} if self.retire_at is None else {"retireAt": format_timestamp(self.retire_at)}
        awaiting = {} if self.approvals_missing is None else {"approvalsMissing": self.approvals_missing}
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
            **awaiting,
            "planId": self.grounds.plan_id,
            "backup": None if self.grounds.backup is None else self.grounds.backup.document(),
            "dependents": self.grounds.dependents,
            "notRestorable": self.grounds.not_restorable,
            "confirmedBy": self.confirmed_by,
        }


@dataclass(frozen=True, slots=True)
class Restoration:
    """What the result of a restore has beside the fields of every result.

    `differences` are paths and never values, which may be SQL; `embeds` are objects as the published schema has them.
    """

    restore_id: str | None
    restored_as: str | None = None
    differences: Sequence[str] = ()
    not_restored: Sequence[str] = ()
    embeds: Sequence[Document] = ()

    def document(self) -> Document:
        """The fields as JSON, at most 100 entries in each list."""
        return {
            "restoreId": self.restore_id,
            "restoredAs": self.restored_as,
            "differences": truncated(self.differences[:MAX_SHOWN], MAX_BYTES_OF_TEXTS),
            "notRestored": truncated(self.not_restored[:MAX_SHOWN], MAX_BYTES_OF_TEXTS),
            "restoredEmbeds": truncated(self.embeds[:MAX_SHOWN], MAX_BYTES_OF_EMBEDS),
        }
