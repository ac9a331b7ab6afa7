"""The outcomes of a request, and their reasons (docs/reference.md)."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a request; `scheduled`, `awaiting_approval`, `approved` and `failed` are not final."""

    SCHEDULED = "scheduled"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    ALREADY_ABSENT = "already_absent"
    PLANNED = "planned"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    FAILED = "failed"

    RESTORED = "restored"
    RESTORE_PLANNED = "restore_planned"
    RESTORE_BLOCKED = "restore_blocked"


class Reason(StrEnum):
    """Why; `events/schemas/datamart-retirement-result.json` says which outcomes have which reasons."""

    DUE_SOON = "due_soon"
    REMINDER = "reminder"

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
    REHEARSAL_FAILED = "rehearsal_failed"
    APPROVAL_EXPIRED = "approval_expired"

    INVALID_REQUEST = "invalid_request"
    RETIREMENT_ID_REUSED = "retirement_id_reused"
    ALREADY_DUE = "already_due"
    ALREADY_ENDED = "already_ended"
    NOT_AWAITING = "not_awaiting"
    ANOTHER_PLAN = "another_plan"
    OWN_REQUEST = "own_request"

    WITH_DIFFERENCES = "with_differences"
    NAME_TAKEN = "name_taken"
    NOT_DELETED = "not_deleted"
    BACKUP_MISSING = "backup_missing"
    BACKUP_DAMAGED = "backup_damaged"
    ANOTHER_ORGANISATION = "another_organisation"
    DATASOURCE_MISSING = "datasource_missing"

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
