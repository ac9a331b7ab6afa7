"""One delivery of an event: it ends in an answer that is kept and published, or goes back to its queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from math import ceil
from typing import Generic, Protocol, TypeVar, cast

from retirement.canonical import Document, Json, ordered_json, parse_json, sha256_hex
from retirement.clock import Clock
from retirement.delivery.intake import carried_by
from retirement.delivery.ports import AnsweringPorts
from retirement.errors import AttemptInterrupted, AwsCallFailed, GivenUp, InvalidRequest, NotYetDue
from retirement.outcomes import ConfirmedBy, Outcome, Reason
from retirement.record.intents import Intent
from retirement.record.keys import failure_file_name, rejected_key, retirement_key
from retirement.record.record import Record
from retirement.record.results import NOTHING_READ, Grounds, Result
from retirement.requests import MOST_RECEIVES, Asked, Delivery, Request
from retirement.stored_object import StoredObject
from retirement.wording import shortened

# Seconds. The last receive tries again while there is time for one more call that is slow, and tried again by the SDK.
TIME_TO_CONCLUDE = 25.0
CONCLUDE_WAIT = 1.0

# Of a rejected event: enough for any request, and nobody can fill the bucket with much more than a request costs.
KEPT_EVENT_BYTES = 64 * 1024

ANOTHER_ATTEMPT = "Another attempt at this retirement is under way: the next delivery goes on from what it leaves."

# What somebody who reads `failed` has to know and do.
GIVEN_UP_FOR = {
    Reason.DATABRAIN_UNAUTHORIZED: "Databrain refused the service token: put a valid one into the secret, then",
    Reason.DATABRAIN_UNAVAILABLE: "Databrain did not answer, or answered with errors: when it works again,",
    Reason.DATABRAIN_UNEXPECTED: "Databrain's answers are not as documented: check DatabrainBaseUrl and DatabrainApi, "
    "then",
    Reason.BACKUP_FAILED: "No verified backup could be made: mend what the function's log names, then",
    Reason.UNCONFIRMED: "A delete may have been sent, and nothing tells what became of it: look in Databrain; if the "
    "datamart is there and is to go, ask under a new retirementId; if it is gone,",
    Reason.INTERNAL_ERROR: "The attempts failed, crashed or ran out of time: mend what the function's log names, then",
}


class AnsweringSettings(Protocol):
    """The settings that every function has that answers events."""

    @property
    def environment_name(self) -> str:
        """Shown in every result."""

    @property
    def retry_delays(self) -> tuple[int, ...]:
        """Seconds before receives 2 to 6."""


PortsT_co = TypeVar("PortsT_co", bound=AnsweringPorts, covariant=True)
SettingsT_co = TypeVar("SettingsT_co", bound=AnsweringSettings, covariant=True)
AskedT_co = TypeVar("AskedT_co", bound=Asked, covariant=True)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[AskedT_co, SettingsT_co, PortsT_co]):
    """One attempt at what one valid event asks for."""

    request: AskedT_co
    delivery: Delivery
    settings: SettingsT_co
    ports: PortsT_co
    started_at: datetime

    def record(self) -> Record:
        """List what is kept of this retirement now."""
        return Record(self.ports.evidence, self.request.datamart_name, self.request.retirement_id)

    def key(self, file_name: str) -> str:
        """Of an object of this retirement in the evidence bucket."""
        return retirement_key(self.request.datamart_name, self.request.retirement_id, file_name)

    def read(self, file_name: str) -> StoredObject | None:
        """Read an object of this retirement."""
        return self.ports.evidence.read(self.key(file_name))

    def intent(self) -> Intent | None:
        """Read the intent of this retirement."""
        kept = self.read("intent.json")
        return None if kept is None else Intent.of(kept)

    def result(
        self,
        outcome: Outcome,
        message: str,
        finished_at: datetime,
        *,
        reason: Reason | None = None,
        grounds: Grounds = NOTHING_READ,
        confirmed_by: ConfirmedBy | None = None,
        retire_at: datetime | None = None,
    ) -> Document:
        """What is said of this request."""
        return Result(
            retirement_id=self.request.retirement_id,
            datamart_name=self.request.datamart_name,
            requested_by=self.request.requested_by,
            request_reason=self.request.reason,
            outcome=outcome,
            reason=reason,
            message=message,
            environment=self.settings.environment_name,
            requested_at=self.request.requested_at,
            started_at=self.started_at,
            finished_at=finished_at,
            grounds=grounds,
            confirmed_by=confirmed_by,
            retire_at=retire_at,
        ).document()

    def with_event(self, result: Document) -> str:
        """A result as it is kept together with the event that it answers."""
        return ordered_json({**result, "event": self.delivery.body})


RequestAttempt = Attempt[Request, AnsweringSettings, AnsweringPorts]


def answered(
    answer: Callable[[datetime], Document],
    delivery: Delivery,
    settings: AnsweringSettings,
    ports: AnsweringPorts,
) -> Document:
    """Answer one delivery of an event; `answer` takes the time at which this attempt began.

    What is no valid request is answered with `rejected`.

    Raises:
        RetirementError: the event goes back to its queue, or after the last receive to `Failures`.
    """
    with ports.telemetry.attempt(delivery), _held_back(delivery, settings, ports):
        started_at = ports.clock.now()
        try:
            return answer(started_at)
        except InvalidRequest as invalid:
            rejection = partial(_reject, invalid, delivery, settings, ports, started_at)
            return insist(rejection, ports.clock) if delivery.is_last else rejection()


def finish(
    attempt: RequestAttempt,
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


def publish_receipt(attempt: RequestAttempt, receipt: StoredObject, *, again: bool = False) -> Document:
    """Publish the receipt that is stored, which another attempt may have written first, or who has cancelled.

    What was cancelled before its intent was cancelled for a request of whatever content.
    """
    if receipt.content_hash is not None:
        require_same_request(attempt.request, receipt.content_hash)
    return publish(receipt.body, attempt.ports, again=again)


def end_as_cancelled(attempt: RequestAttempt, cancelled: StoredObject, *, intent: Intent | None) -> Document:
    """End a retirement that a person or a sweep has cancelled before a delete was sent."""
    told = cast("dict[str, str]", parse_json(cancelled.body))
    return finish(
        attempt,
        Outcome.CANCELLED,
        f"Not carried out: {shortened(told['requestedBy'])} cancelled it at {told['requestedAt']} "
        f"({shortened(told['requestReason'])}). If it is to go after all, ask under a new retirementId.",
        intent=intent,
        grounds=NOTHING_READ if intent is None else intent.grounds,
    )


def ended_by_now(attempt: RequestAttempt, record: Record) -> Document | None:
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


def insist(conclusion: Callable[[], Document], clock: Clock) -> Document:
    """After the last receive nobody tries again: try as long as there is time."""
    while True:
        try:
            return conclusion()
        except AwsCallFailed:
            if clock.remaining() < TIME_TO_CONCLUDE:
                raise
            clock.sleep(CONCLUDE_WAIT)


def given_up(
    attempt: Attempt[Asked, AnsweringSettings, AnsweringPorts],
    intent: Intent | None,
    reason: Reason | None,
    file_name: Callable[[int], str] = failure_file_name,
) -> GivenUp:
    """Keep the failure, publish it, and return what is to be raised.

    Without a reason, every attempt crashed, or nothing has kept why it failed.
    """
    if reason is None:
        reason = Reason.INTERNAL_ERROR if intent is None else Reason.UNCONFIRMED
    result = attempt.result(
        Outcome.FAILED,
        f"Given up after {MOST_RECEIVES} receives. {GIVEN_UP_FOR[reason]} send the request again from the queue "
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
    return GivenUp(
        f"Given up after {MOST_RECEIVES} receives, the last attempt: {reason}. The failure is published.", reason
    )


def publish(kept: str, ports: AnsweringPorts, *, again: bool = False) -> Document:
    """Publish what a receipt, a failure or a schedule says."""
    result = without_event(kept)
    ports.results_topic.publish(result)
    ports.telemetry.ended(result, again=again)
    return result


def without_event(kept: str) -> Document:
    """A kept result as it is published: the event that some are kept with is theirs alone."""
    return {key: value for key, value in cast("Document", parse_json(kept)).items() if key != "event"}


@contextmanager
def _held_back(delivery: Delivery, settings: AnsweringSettings, ports: AnsweringPorts) -> Iterator[None]:
    """Have what failed delivered again after a wait that grows; after the last receive at once, for SQS to move it."""
    try:
        yield
    except Exception as error:
        seconds = 0 if delivery.is_last else settings.retry_delays[delivery.receive_count - 1]
        if isinstance(error, NotYetDue):
            seconds = ceil(error.seconds)
        with suppress(AwsCallFailed):  # the queue's own visibility time-out does it too
            ports.inbox.hold_back(delivery, seconds)
        raise


def _reject(
    invalid: InvalidRequest,
    delivery: Delivery,
    settings: AnsweringSettings,
    ports: AnsweringPorts,
    started_at: datetime,
) -> Document:
    """Answer an event that is no valid request; its receipt is filed under the event's id, its name being no name."""
    carried = carried_by(delivery)
    result = Result(
        retirement_id=carried.retirement_id,
        datamart_name=carried.datamart_name,
        requested_by=carried.requested_by,
        request_reason=carried.reason,
        outcome=Outcome.REJECTED,
        reason=invalid.reason,
        message=f"{invalid.message} (event {carried.event_id or 'without an id'})",
        environment=settings.environment_name,
        requested_at=carried.requested_at,
        started_at=started_at,
        finished_at=ports.clock.now(),
    )
    kept_event: Json = delivery.body.encode(errors="replace")[:KEPT_EVENT_BYTES].decode(errors="ignore")
    receipt = ordered_json({**result.document(), "event": kept_event})
    content_hash = sha256_hex(delivery.body)
    stored = ports.evidence.create(rejected_key(carried.event_id or delivery.id), receipt, content_hash)
    if stored.content_hash != content_hash:  # another event came under the same id
        stored = ports.evidence.create(rejected_key(delivery.id), receipt, content_hash)
    return publish(stored.body, ports, again=stored.body != receipt)
