"""How an attempt ends: its result is stored first, and published then."""

from collections.abc import Callable
from itertools import count
from typing import cast

from retirement.canonical import Document, ordered_json, parse_json
from retirement.delivery.attempt import Attempt
from retirement.delivery.ports import AnsweringPorts
from retirement.errors import Abandoned, AttemptInterrupted, InvalidRequest
from retirement.outcomes import ConfirmedBy, Outcome, Reason
from retirement.record.intents import Intent
from retirement.record.keys import failure_file_name
from retirement.record.record import Record
from retirement.record.results import NOTHING_READ, Grounds
from retirement.requests import MAX_RECEIVES, Command, Request
from retirement.stored_object import StoredObject
from retirement.wording import shortened

ANOTHER_ATTEMPT = "Another attempt at this retirement is under way: the next delivery goes on from what it leaves."

# What somebody who reads `failed` has to know and do.
NEXT_STEPS = {
    Reason.DATABRAIN_UNAUTHORIZED: "Databrain refused the service token: put a valid one into the secret, then",
    Reason.DATABRAIN_UNAVAILABLE: "Databrain did not answer, or answered with errors: when it works again,",
    Reason.DATABRAIN_UNEXPECTED: "Databrain's answers are not as documented: check DatabrainBaseUrl and DatabrainApi, "
    "then",
    Reason.BACKUP_FAILED: "No verified backup could be made: mend what the function's log names, then",
    Reason.UNCONFIRMED: "A delete may have been sent, and nothing tells what became of it: look in Databrain; if the "
    "datamart is there and is to go, ask under a new retirementId; if it is gone,",
    Reason.INTERNAL_ERROR: "The attempts failed, crashed or ran out of time: mend what the function's log names, then",
}


def finish(
    attempt: Attempt[Request],
    outcome: Outcome,
    message: str,
    *,
    intent: Intent | None,
    reason: Reason | None = None,
    grounds: Grounds = NOTHING_READ,
    confirmed_by: ConfirmedBy | None = None,
) -> Document:
    """End a retirement: write its receipt, then publish it.

    Raises:
        AttemptInterrupted: this attempt knows of no intent, and one alongside it has written one meanwhile.
    """
    ports = attempt.ports
    if intent is None and attempt.read("intent.json") is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    result = attempt.result(
        outcome, message, ports.clock.now(), reason=reason, grounds=grounds, confirmed_by=confirmed_by
    )
    is_spent = outcome is not Outcome.CANCELLED or intent is not None
    content_hash = attempt.request.content_hash if is_spent else None
    receipt = ports.evidence.create(attempt.key("receipt.json"), ordered_json(result), content_hash)
    return publish_receipt(attempt, receipt)


def publish_receipt(attempt: Attempt[Request], receipt: StoredObject, *, again: bool = False) -> Document:
    """Publish the receipt that is stored, which another attempt may have written first, or who has cancelled.

    What was cancelled before its intent was cancelled for a request of whatever content.
    """
    if receipt.content_hash is not None:
        require_same_request(attempt.request, receipt.content_hash)
    return publish(receipt.body, attempt.ports, again=again)


def end_as_cancelled(attempt: Attempt[Request], cancelled: StoredObject, *, intent: Intent | None) -> Document:
    """End a retirement that a person or a sweep has cancelled before a delete was sent."""
    cancellation = cast("dict[str, str]", parse_json(cancelled.body))
    return finish(
        attempt,
        Outcome.CANCELLED,
        f"Not carried out: {shortened(cancellation['requestedBy'])} cancelled it at {cancellation['requestedAt']} "
        f"({shortened(cancellation['requestReason'])}). If it is to go after all, ask under a new retirementId.",
        intent=intent,
        grounds=NOTHING_READ if intent is None else intent.grounds,
    )


def publish_if_ended(attempt: Attempt[Request], record: Record) -> Document | None:
    """Publish what has ended a retirement before the last receive of its request: its receipt, or a cancellation."""
    if record.receipt is not None:
        return publish_receipt(attempt, record.receipt, again=True)
    if record.cancelled is None or record.intent is not None:
        return None
    return end_as_cancelled(attempt, record.cancelled, intent=None)


def require_same_request(request: Request, content_hash: str | None) -> None:
    """An identity is spent on the request that used it first.

    Raises:
        InvalidRequest: it was another one.
    """
    if content_hash != request.content_hash:
        raise InvalidRequest(
            f"The retirementId {request.retirement_id} was already used for this datamart by a request with other "
            "content: use a new one.",
            Reason.RETIREMENT_ID_REUSED,
        )


def abandon(
    attempt: Attempt[Command],
    intent: Intent | None,
    reason: Reason | None,
    file_name: Callable[[int], str] = failure_file_name,
) -> Abandoned:
    """Keep the failure, publish it, and return what is to be raised.

    Without a reason, every attempt crashed, or nothing has kept why it failed.
    """
    if reason is None:
        reason = Reason.INTERNAL_ERROR if intent is None else Reason.UNCONFIRMED
    result = attempt.result(
        Outcome.FAILED,
        f"Given up after {MAX_RECEIVES} receives. {NEXT_STEPS[reason]} send the request again from the queue "
        "Failures, which keeps it (docs/runbooks/failures.md).",
        attempt.started_at,  # tried again, it is the same failure
        reason=reason,
        grounds=NOTHING_READ if intent is None else intent.grounds,
    )
    failure = attempt.with_event(result)
    numbers = count(1)
    while attempt.ports.evidence.create(attempt.key(file_name(next(numbers))), failure).body != failure:
        pass  # an earlier one
    publish(failure, attempt.ports)
    return Abandoned(
        f"Given up after {MAX_RECEIVES} receives, the last attempt: {reason}. The failure is published.", reason
    )


def publish(stored: str, ports: AnsweringPorts, *, again: bool = False) -> Document:
    """Publish what a receipt, a failure or a schedule says."""
    result = without_event(stored)
    ports.results_topic.publish(result)
    ports.telemetry.ended(result, again=again)
    return result


def without_event(stored: str) -> Document:
    """A kept result as it is published: the event that some are kept with is theirs alone."""
    return {key: value for key, value in cast("Document", parse_json(stored)).items() if key != "event"}
