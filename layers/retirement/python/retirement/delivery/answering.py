"""Answers one delivery of an event: a result is stored and published, or the event goes back to its queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from math import ceil
from typing import TypeVar

from retirement.canonical import Document, Json, ordered_json, sha256_hex
from retirement.delivery.endings import publish
from retirement.delivery.intake import failed_attempt, raw_request
from retirement.delivery.ports import AnsweringPorts
from retirement.delivery.settings import AnsweringSettings
from retirement.errors import AwsCallFailed, InvalidRequest, NotYetDue, reason_of
from retirement.outcomes import Outcome
from retirement.record.keys import rejected_key
from retirement.record.results import Restoration, Result
from retirement.requests import Delivery, Kind

# Seconds. The last receive retries while there is time for one more call that is slow and that the SDK retries.
TIME_TO_CONCLUDE = 25.0
CONCLUDE_WAIT = 1.0

# Bytes of a rejected event that are stored: enough for any valid request, and too few to fill the bucket cheaply.
MAX_EVENT_BYTES = 64 * 1024

SettingsT = TypeVar("SettingsT", bound=AnsweringSettings)
PortsT = TypeVar("PortsT", bound=AnsweringPorts)


def answer(
    delivery: Delivery,
    workflow: Callable[[Delivery, SettingsT, PortsT, datetime], Document],
    settings: SettingsT,
    ports: PortsT,
) -> Document:
    """Answer one delivery of an event with a workflow.

    An event that is not a valid request is answered with `rejected`. No delivery follows the last receive, so failed
    AWS calls are retried there while there is time.

    Args:
        delivery: the event.
        workflow: takes the time at which this attempt began as its last argument.
        settings: the function's.
        ports: those of this invocation.

    Returns:
        The result as it was published, or what the workflow returns if it publishes none.

    Raises:
        RetirementError: the event goes back to its queue, or moves to `Failures` after the last receive.
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
    """Delay the redelivery of a failed event as `RetryDelays` says; after the last receive, let SQS move it at once."""
    try:
        yield
    except Exception as error:
        failed_at = ports.clock.now()
        seconds = 0 if delivery.is_last else settings.retry_delays[delivery.receive_count - 1]
        if isinstance(error, NotYetDue):
            seconds = ceil(error.seconds)
        with suppress(AwsCallFailed):  # the queue's visibility time-out then decides the delay
            ports.inbox.redeliver_after(delivery, seconds)
        failed = failed_attempt(delivery, reason_of(error), failed_at, failed_at + timedelta(seconds=seconds))
        if failed is not None and not delivery.is_last and not isinstance(error, NotYetDue):
            with suppress(AwsCallFailed):  # a hint
                ports.progress.record(failed)
        raise


def _reject(
    invalid: InvalidRequest,
    delivery: Delivery,
    settings: AnsweringSettings,
    ports: AnsweringPorts,
    started_at: datetime,
) -> Document:
    """Answer an event that is not a valid request, with a receipt under the event's ID: its name may be invalid."""
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
    restoration = Restoration(raw.restore_id).document() if raw.kind is Kind.RESTORE else {}
    receipt = ordered_json({**result.document(), **restoration, "event": stored_event})
    content_hash = sha256_hex(delivery.body)
    stored = ports.evidence.create(rejected_key(raw.event_id or delivery.id), receipt, content_hash)
    if stored.content_hash != content_hash:  # another event has the same ID
        stored = ports.evidence.create(rejected_key(delivery.id), receipt, content_hash)
    return publish(stored.body, ports, again=stored.body != receipt)
