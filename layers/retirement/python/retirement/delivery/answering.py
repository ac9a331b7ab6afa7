"""The answer to one delivery of an event: a stored and published result, or the event goes back to its queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from math import ceil
from typing import TypeVar

from retirement.canonical import Document, Json, ordered_json, sha256_hex
from retirement.delivery.endings import publish
from retirement.delivery.intake import raw_request
from retirement.delivery.ports import AnsweringPorts
from retirement.delivery.settings import AnsweringSettings
from retirement.errors import AwsCallFailed, InvalidRequest, NotYetDue
from retirement.outcomes import Outcome
from retirement.record.keys import rejected_key
from retirement.record.results import Result
from retirement.requests import Delivery

# Seconds. The last receive tries again while there is time for one more call that is slow, and tried again by the SDK.
TIME_TO_CONCLUDE = 25.0
CONCLUDE_WAIT = 1.0

# Of a rejected event: enough for any request, and nobody can fill the bucket with much more than a request costs.
MAX_EVENT_BYTES = 64 * 1024

SettingsT = TypeVar("SettingsT", bound=AnsweringSettings)
PortsT = TypeVar("PortsT", bound=AnsweringPorts)


def answer(
    delivery: Delivery,
    workflow: Callable[[Delivery, SettingsT, PortsT, datetime], Document],
    settings: SettingsT,
    ports: PortsT,
) -> Document:
    """Answer one delivery by a workflow, which takes the time at which this attempt began.

    An event that is no valid request is answered with `rejected`. Nobody tries again after the last receive, so that
    one goes on while there is time.

    Returns:
        The result as it was published; what the workflow returns where it publishes none.

    Raises:
        RetirementError: the event goes back to its queue, or after the last receive to `Failures`.
    """
    with ports.telemetry.attempt(delivery), _redelivery_delayed(delivery, settings, ports):
        started_at = ports.clock.now()
        while True:
            try:
                return _answer_once(delivery, workflow, settings, ports, started_at)
            except AwsCallFailed:
                if not delivery.is_last or ports.clock.remaining() < TIME_TO_CONCLUDE:
                    raise
                ports.clock.sleep(CONCLUDE_WAIT)


def _answer_once(
    delivery: Delivery,
    workflow: Callable[[Delivery, SettingsT, PortsT, datetime], Document],
    settings: SettingsT,
    ports: PortsT,
    started_at: datetime,
) -> Document:
    try:
        return workflow(delivery, settings, ports, started_at)
    except InvalidRequest as invalid:
        return _reject(invalid, delivery, settings, ports, started_at)


@contextmanager
def _redelivery_delayed(delivery: Delivery, settings: AnsweringSettings, ports: AnsweringPorts) -> Iterator[None]:
    """Have what failed delivered again after a wait that grows; after the last receive at once, for SQS to move it."""
    try:
        yield
    except Exception as error:
        seconds = 0 if delivery.is_last else settings.retry_delays[delivery.receive_count - 1]
        if isinstance(error, NotYetDue):
            seconds = ceil(error.seconds)
        with suppress(AwsCallFailed):  # the queue's own visibility time-out does it too
            ports.inbox.redeliver_after(delivery, seconds)
        raise


def _reject(
    invalid: InvalidRequest,
    delivery: Delivery,
    settings: AnsweringSettings,
    ports: AnsweringPorts,
    started_at: datetime,
) -> Document:
    """Answer an event that is no valid request; its receipt is filed under the event's id, its name being no name."""
    raw = raw_request(delivery)
    result = Result(
        retirement_id=raw.retirement_id,
        datamart_name=raw.datamart_name,
        requested_by=raw.requested_by,
        request_reason=raw.reason,
        outcome=Outcome.REJECTED,
        reason=invalid.reason,
        message=f"{invalid.message} (event {raw.event_id or 'without an id'})",
        environment=settings.environment_name,
        requested_at=raw.requested_at,
        started_at=started_at,
        finished_at=ports.clock.now(),
    )
    stored_event: Json = delivery.body.encode(errors="replace")[:MAX_EVENT_BYTES].decode(errors="ignore")
    receipt = ordered_json({**result.document(), "event": stored_event})
    content_hash = sha256_hex(delivery.body)
    stored = ports.evidence.create(rejected_key(raw.event_id or delivery.id), receipt, content_hash)
    if stored.content_hash != content_hash:  # another event came under the same id
        stored = ports.evidence.create(rejected_key(delivery.id), receipt, content_hash)
    return publish(stored.body, ports, again=stored.body != receipt)
