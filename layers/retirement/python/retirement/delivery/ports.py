"""The ports of every function that answers events."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.canonical import Document
from retirement.clock import Clock
from retirement.databrain.ports import Counter
from retirement.outcomes import Reason
from retirement.record.ports import Evidence
from retirement.requests import Command, Delivery, Kind


class Inbox(Protocol):
    """The queue that a function's events come from and go back to."""

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:
        """Have the event delivered again after this time; do nothing if it did not come from a queue.

        Raises:
            AwsCallFailed: it is delivered again after the queue's visibility time-out.
        """


class Outbox(Protocol):
    """A queue of another function that events are forwarded to."""

    def send(self, body: str, seconds: int) -> None:
        """Send a message that is delivered after this delay, at most 900 seconds.

        Raises:
            AwsCallFailed: it is unknown whether the message was sent.
        """


class EventBus(Protocol):
    """The bus that requests arrive on."""

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put an event on the bus and return its ID; `time` is now by default.

        Raises:
            AwsCallFailed: the bus did not accept it, or the answer was lost.
        """


class ResultsTopic(Protocol):
    """The topic on which results and the reports of sweeps are published."""

    def publish(self, result: Document) -> None:
        """Publish a result; each publication of one result has the same bytes.

        Raises:
            AwsCallFailed: the topic did not accept it, or the answer was lost.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt that failed and that another one follows, for a person who looks the request up meanwhile.

    Attributes:
        restore_id: that of a restore, otherwise None.
        receives: how often the queue has delivered the event.
        at: when the attempt failed.
        next_at: when the queue delivers the event again.
    """

    kind: Kind
    datamart_name: str
    retirement_id: str
    restore_id: str | None
    receives: int
    reason: Reason
    at: datetime
    next_at: datetime


class Progress(Protocol):
    """What is known of requests that are being retried. It is a hint: nothing is decided by it."""

    def record(self, failed: FailedAttempt) -> None:
        """Replace what is known of this request.

        Raises:
            AwsCallFailed: it is unknown whether it was replaced.
        """


class Telemetry(Counter, Protocol):
    """Logs and metrics of an attempt."""

    def attempt(self, delivery: Delivery) -> AbstractContextManager[None]:
        """Measure one attempt, and report the error that it ends in, if any."""

    def about(self, command: Command) -> None:
        """Add this request or cancellation to every line from here on."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def ended(self, result: Document, *, again: bool) -> None:
        """Log a published result, and count it unless it was published `again`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringPorts:
    """The ports of one invocation."""

    evidence: Evidence
    inbox: Inbox
    progress: Progress
    results_topic: ResultsTopic
    telemetry: Telemetry
    clock: Clock
