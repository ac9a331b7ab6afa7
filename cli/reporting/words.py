"""Outcomes and reasons in words, for readers who do not know the code."""

from collections.abc import Mapping
from dataclasses import dataclass

from cli.reporting.estate import AWAITING, SCHEDULED
from cli.reporting.papers import NO_RESULT, UNREADABLE


@dataclass(frozen=True, slots=True)
class State:
    """The state of a retirement: a label, and what it means."""

    label: str
    meaning: str


# In the order in which the chart stacks them and the tables list them.
STATES: Mapping[str, State] = {
    "deleted": State("Deleted", "The datamart no longer exists, and this retirement had begun to delete it."),
    "already_absent": State("Already absent", "There was no datamart of this name. Nothing was deleted."),
    "planned": State("Planned", "This was a dry run: the datamart would be deleted. Nothing was changed."),
    "blocked": State("Blocked", "A rule did not allow the deletion. Nothing was changed."),
    "failed": State(
        "Failed",
        "The request was abandoned. It may be in the queue Failures, for up to 14 days; the bucket does not show this.",
    ),
    SCHEDULED: State("Scheduled", "The retirement waits for its date."),
    AWAITING: State("Awaiting approval", "Nothing is deleted until people other than the requester approve the plan."),
    "approved": State("Approved", "A person approved the plan of a retirement that awaited approval."),
    "cancelled": State("Cancelled", "The retirement was cancelled before its date. Nothing was changed."),
    "rejected": State("Rejected", "The event was not a valid request."),
    NO_RESULT: State("No result yet", "The request is in progress, or waits for its next attempt."),
    UNREADABLE: State("Unreadable", "What the bucket stores about it cannot be read."),
}

# What restores have beside `failed` and those without an outcome.
RESTORE_STATES: Mapping[str, State] = {
    "restored": State("Restored", "The datamart was created again from its backup."),
    "restore_planned": State("Restore planned", "This was a dry run. Nothing was changed."),
    "restore_blocked": State("Restore blocked", "A rule did not allow the restore. Nothing was created."),
}

_ALL_STATES = {**STATES, **RESTORE_STATES}

# What became of an embed.
EMBED_STATES: Mapping[str, str] = {
    "kept": "was never removed",
    "created": "created",
    "not_restored": "not restored",
}

REASONS: Mapping[str, str] = {
    "dry_run": "requested as a dry run",
    "plan_mode": "the stack's Mode is plan",
    "protected": "the stack protects this datamart",
    "not_retirable": "the stack does not allow the retirement of this datamart",
    "daily_limit_reached": "the day's limit was reached",
    "ambiguous_name": "another datamart has nearly the same name",
    "recreated": "it was created after the request, so the request means an earlier one",
    "changed": "it was changed after the decision of the first attempt",
    "approval_expired": "too few approvals of its plan counted any more",
    "plan_drifted": "it is no longer as the plan shows it",
    "dependents_found": "embeds use it",
    "dependents_undetermined": "it cannot be determined whether embeds use it",
    "invalid_request": "the request does not follow the contract",
    "retirement_id_reused": "another request has already used its retirementId",
    "already_due": "its date was already due, so it could not be moved",
    "already_ended": "the retirement had already ended",
    "not_awaiting": "the retirement did not await approval",
    "another_plan": "another plan awaited approval",
    "own_request": "its sender had requested or moved the retirement",
    "reminder": "a reminder",
    "databrain_unauthorized": "Databrain refused the service token",
    "databrain_unavailable": "Databrain did not respond, or responded with errors",
    "databrain_unexpected": "Databrain's responses were not as documented",
    "backup_incomplete": "more embeds use it than a backup can hold",
    "not_restorable": "it could not be restored from its backup",
    "rehearsal_failed": "the rehearsal of its restore failed",
    "backup_failed": "no verified backup could be created",
    "unconfirmed": "a delete may have been sent, and its effect is unknown",
    "internal_error": "a setting was wrong, an AWS service failed, or every attempt crashed",
    "due_soon": "its date is near",
    "with_differences": "it differs from what the backup contains",
    "name_taken": "there is a datamart of this or nearly this name",
    "not_deleted": "the retirement did not delete the datamart",
    "backup_missing": "the retirement has no backup, or it no longer exists",
    "backup_damaged": "its backup is not what the retirement stored",
    "another_organisation": "the service token belongs to another organisation",
    "datasource_missing": "its datasource no longer exists",
}

CONFIRMATIONS: Mapping[str, str] = {
    "response": "Databrain's response and a new list",
    "absence": "a new list; Databrain's response was lost",
}


def label_of(state: str) -> str:
    """The label of a state; for an unknown state, its name in words."""
    return _ALL_STATES[state].label if state in _ALL_STATES else state.replace("_", " ").capitalize()


def reason_in_words(reason: str) -> str:
    """The reason in words; for an unknown reason, its name in words."""
    return REASONS.get(reason, reason.replace("_", " "))


def confirmation_in_words(confirmed_by: str) -> str:
    """How a deletion was confirmed, in words."""
    return CONFIRMATIONS.get(confirmed_by, confirmed_by)


def style_of(state: str) -> str:
    """The name of a state's colour, which is never text from outside."""
    return state.replace("_", "-") if state in _ALL_STATES else "other"
