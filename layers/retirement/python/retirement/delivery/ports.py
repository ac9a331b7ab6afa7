"""The ports of every function that answers events."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.canonical import Document
from retirement.clock import Clock
from retirement.databrain.ports import Counter
from retirement.record.ports import Evidence
from retirement.requests import Command, Delivery


class Inbox(Protocol):
    """The queue that a function's events come from and go back to."""

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:
        """Have the event delivered again after this time; do nothing if it did not come from a queue.

        Raises:
            AwsCallFailed: it is delivered again after the queue's visibility time-out.
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
    results_topic: ResultsTopic
    telemetry: Telemetry
    clock: Clock
