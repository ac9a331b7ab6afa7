"""Ends an attempt: the result is stored first, and then published."""

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
from retirement.wording import quoted, shortened

ANOTHER_ATTEMPT = (
    "Another attempt at this retirement is in progress. The queue delivers the event again, and that delivery goes on "
    "from there."
)

# What some results are stored with, and not published with.
_STORED_ONLY = frozenset({"event", "ask", "askNumber", "earlierRequesters"})

# The cause and the next step that the result `failed` names; "redrive the queue Failures" follows.
NEXT_STEPS = {
    Reason.DATABRAIN_UNAUTHORIZED: "Databrain refused the service token. Put a valid token into the secret, then",
    Reason.DATABRAIN_UNAVAILABLE: "Databrain did not answer, or answered with errors. When it works again,",
    Reason.DATABRAIN_UNEXPECTED: "Databrain's answers are not as documented. Check DatabrainBaseUrl and DatabrainApi, "
    "then",
    Reason.BACKUP_FAILED: "No verified backup could be made. Fix what the function's log names, then",
    Reason.UNCONFIRMED: "A delete may have been sent, and its effect cannot be determined. Check in Databrain whether "
    "the datamart exists: if it does and has to go, send a request with a new retirementId; if it is gone,",
    Reason.INTERNAL_ERROR: "The attempts failed, crashed or timed out. Fix what the function's log names, then",
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
    """End a retirement: store its receipt, then publish it.

    Args:
        attempt: the attempt that ends it.
        outcome: the outcome of the result.
        message: the message of the result.
        intent: the intent that this attempt read or wrote.
        reason: the reason of the result.
        grounds: what the result is based on.
        confirmed_by: how a deletion was confirmed.

    Raises:
        AttemptInterrupted: `intent` is None, but a concurrent attempt has written one.
        InvalidRequest: a request with other content has ended the retirement meanwhile.
    """
    ports = attempt.ports
    if intent is None:  # with an intent, no copy of a rehearsal is left
        record = attempt.record()
        if record.has_intent:
            raise AttemptInterrupted(ANOTHER_ATTEMPT)
        message += of_left_copy(record)
    result = attempt.result(
        outcome, message, ports.clock.now(), reason=reason, grounds=grounds, confirmed_by=confirmed_by
    )
    is_spent = outcome is not Outcome.CANCELLED or intent is not None
    content_hash = attempt.request.content_hash if is_spent else None
    receipt = ports.evidence.create(attempt.key("receipt.json"), ordered_json(result), content_hash)
    return publish_receipt(attempt, receipt)


def of_left_copy(record: Record) -> str:
    """Return the sentence that names a rehearsal's copy which may be left; empty if there is none."""
    name = record.left_copy
    if name is None:
        return ""
    return (
        f" The rehearsal of this retirement may have left a copy, {quoted([name])}: if Databrain lists it, check it "
        "and delete it there."
    )


def publish_receipt(attempt: Attempt[Request], receipt: StoredObject, *, again: bool = False) -> Document:
    """Publish the stored receipt, which another attempt or a cancellation may have written.

    A receipt that was cancelled before an intent has no content hash: it applies to a request with any content.

    Raises:
        InvalidRequest: the receipt is that of a request with other content.
    """
    if receipt.content_hash is not None:
        require_same_request(attempt.request, receipt.content_hash)
    return publish(receipt.body, attempt.ports, again=again)


def end_as_cancelled(attempt: Attempt[Request], cancelled: StoredObject, *, intent: Intent | None) -> Document:
    """End a retirement that a person or a sweep cancelled before it was carried out."""
    cancellation = cast("dict[str, str]", parse_json(cancelled.body))
    return finish(
        attempt,
        Outcome.CANCELLED,
        f"The retirement was not carried out: {shortened(cancellation['requestedBy'])} cancelled it at "
        f"{cancellation['requestedAt']} ({shortened(cancellation['requestReason'])}). If the datamart has to go after "
        "all, send a request with a new retirementId.",
        intent=intent,
        grounds=NOTHING_READ if intent is None else intent.grounds,
    )


def publish_if_ended(attempt: Attempt[Request], record: Record) -> Document | None:
    """Publish the receipt, or end the retirement if it is cancelled and has no intent; else return None."""
    if record.receipt is not None:
        return publish_receipt(attempt, record.receipt, again=True)
    if record.cancelled is None or record.intent is not None:
        return None
    return end_as_cancelled(attempt, record.cancelled, intent=None)


def require_same_request(request: Request, content_hash: str | None) -> None:
    """Check that the identity belongs to this request, and not to an earlier one with other content.

    Raises:
        InvalidRequest: it belongs to another request.
    """
    if content_hash != request.content_hash:
        raise InvalidRequest(
            f"The retirementId {request.retirement_id} was already used for this datamart by a request with other "
            "content: send this request with a new retirementId.",
            Reason.RETIREMENT_ID_REUSED,
        )


def abandon(
    attempt: Attempt[Command],
    record: Record,
    reason: Reason | None,
    file_name: Callable[[int], str] = failure_file_name,
) -> Abandoned:
    """Store the failure of an event that has no attempt left, publish it, and return the error to raise.

    Args:
        attempt: the last receive.
        record: what is stored of the retirement.
        reason: why the last attempt failed; None if every attempt crashed, or the reason was not recorded.
        file_name: returns the name of the n-th failure.
    """
    intent = record.intent
    if reason is None:
        reason = Reason.INTERNAL_ERROR if intent is None else Reason.UNCONFIRMED
    result = attempt.result(
        Outcome.FAILED,
        f"The event was abandoned after {MAX_RECEIVES} receives. {NEXT_STEPS[reason]} redrive the queue Failures, "
        f"which retains the event (docs/runbooks/failures.md).{of_left_copy(record)}",
        attempt.started_at,  # so that a retry stores the same failure
        reason=reason,
        grounds=NOTHING_READ if intent is None else intent.grounds,
    )
    return store_failure(
        attempt.with_event(result), reason, lambda number: attempt.key(file_name(number)), attempt.ports
    )


def store_failure(failure: str, reason: Reason, key_of: Callable[[int], str], ports: AnsweringPorts) -> Abandoned:
    """Store a failure under the first number that is free, publish it, and return the error to raise."""
    numbers = count(1)
    while ports.evidence.create(key_of(next(numbers)), failure).body != failure:
        pass  # an earlier failure
    publish(failure, ports)
    return Abandoned(
        f"The event was abandoned after {MAX_RECEIVES} receives, with the reason {reason}. The failure is published, "
        "and SQS moves the event to Failures: fix the cause, then redrive it.",
        reason,
    )


def publish(stored: str, ports: AnsweringPorts, *, again: bool = False) -> Document:
    """Publish the result in a receipt, a failure or a schedule."""
    result = without_event(stored)
    ports.results_topic.publish(result)
    ports.telemetry.ended(result, again=again)
    return result


def without_event(stored: str) -> Document:
    """Return a stored result as it is published, without the event and the grounds that some are stored with."""
    return as_published(cast("Document", parse_json(stored)))


def as_published(stored: Document) -> Document:
    """Return a parsed result without what it is only stored with."""
    return {key: value for key, value in stored.items() if key not in _STORED_ONLY}
