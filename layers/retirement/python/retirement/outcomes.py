"""The outcomes of a request, and their reasons (docs/reference.md)."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a request; `scheduled` and `failed` are not final."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    ALREADY_ABSENT = "already_absent"
    PLANNED = "planned"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    FAILED = "failed"


class Reason(StrEnum):
    """Why; each reason belongs to one outcome (`events/schemas/datamart-retirement-result.json`)."""

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
    NOT_RESTORABLE = "not_restorable"
    BACKUP_INCOMPLETE = "backup_incomplete"

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
    """How a deletion was confirmed: by Databrain's response, or because the datamart is gone after the intent."""

    RESPONSE = "response"
    ABSENCE = "absence"
