"""What a reader who knows no code is told of outcomes and reasons."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.reporting.estate import NO_RESULT, SCHEDULED, UNREADABLE


@dataclass(frozen=True, slots=True)
class State:
    """Where a retirement stands: a label, and what it means."""

    label: str
    meaning: str


# In the order in which a chart stacks and a table lists them.
STATES: Mapping[str, State] = {
    "deleted": State("Deleted", "The datamart is gone, after this retirement had set out to delete it."),
    "already_absent": State("Already absent", "There was no datamart of this name, and nothing was deleted."),
    "planned": State("Planned", "A dry run: it would be deleted. Nothing was changed."),
    "blocked": State("Blocked", "A rule said no. Nothing was changed."),
    "failed": State(
        "Failed", "Given up. Its request can be in the queue Failures, for 14 days; the bucket does not tell."
    ),
    SCHEDULED: State("Scheduled", "It waits for its time."),
    "cancelled": State("Cancelled", "It was called off before its time. Nothing was changed."),
    "rejected": State("Rejected", "The event was no valid request."),
    NO_RESULT: State("No result yet", "It is under way, or waits for its next attempt."),
    UNREADABLE: State("Unreadable", "What is kept of it cannot be read."),
}

REASONS: Mapping[str, str] = {
    "dry_run": "asked as a dry run",
    "plan_mode": "the stack's Mode is plan",
    "protected": "the stack protects this datamart",
    "not_retirable": "the stack does not let this datamart be retired",
    "daily_limit_reached": "the day's limit was reached",
    "ambiguous_name": "another datamart has nearly the same name",
    "recreated": "it was created after the request, so it is not the one that was meant",
    "changed": "it was changed after a first attempt had decided",
    "plan_drifted": "it was no longer as the plan had shown it",
    "dependents_found": "embeds use it",
    "dependents_undetermined": "nothing told whether embeds use it",
    "invalid_request": "it does not follow the contract",
    "retirement_id_reused": "its retirementId was spent on another request",
    "already_due": "its time had come, so it could not be moved any more",
    "already_ended": "the retirement had ended before it was cancelled",
    "databrain_unauthorized": "Databrain refused the service token",
    "databrain_unavailable": "Databrain did not answer, or answered with errors",
    "databrain_unexpected": "Databrain's answers were not as documented",
    "backup_failed": "no verified backup could be made",
    "unconfirmed": "a delete may have been sent, and nothing told what became of it",
    "internal_error": "a setting was wrong, an AWS service failed, or every attempt crashed",
    "due_soon": "its time is near",
}

CONFIRMATIONS: Mapping[str, str] = {
    "response": "Databrain's answer and a fresh list",
    "absence": "a fresh list; Databrain's answer was lost",
}


def label_of(state: str) -> str:
    """The label of a state; of one that is not known here, its name in words."""
    return STATES[state].label if state in STATES else state.replace("_", " ").capitalize()


def reason_in_words(reason: str) -> str:
    """The reason for a reader; of one that is not known here, its name in words."""
    return REASONS.get(reason, reason.replace("_", " "))


def confirmation_in_words(confirmed_by: str) -> str:
    """How a deletion is known, for a reader."""
    return CONFIRMATIONS.get(confirmed_by, confirmed_by)


def style_of(state: str) -> str:
    """The name of a state's colour: never text from outside."""
    return state.replace("_", "-") if state in STATES else "other"
