"""What answering an event needs of the world."""

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
    """The queue that a function's events come from, and go back to."""

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:
        """Deliver it again after this time, or at once; nothing where it came from no queue.

        Raises:
            AwsCallFailed: it comes again after the queue's visibility time-out.
        """


class EventBus(Protocol):
    """The bus that requests arrive on."""

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put an event on it and return its id; without a time of its own it is of now.

        Raises:
            AwsCallFailed: the bus did not take it, or it is not known.
        """


class ResultsTopic(Protocol):
    """Where results, and the reports of sweeps, are published."""

    def publish(self, result: Document) -> None:
        """Publish; a repeated publication of one result is the same to the byte.

        Raises:
            AwsCallFailed: it was not taken.
        """


class Telemetry(Counter, Protocol):
    """What an operator sees."""

    def attempt(self, delivery: Delivery) -> AbstractContextManager[None]:
        """Measure one attempt, whatever its end, and report the error that it ends in."""

    def about(self, command: Command) -> None:
        """From here on, every line is about this request."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def ended(self, result: Document, *, again: bool) -> None:
        """The request has its result, which is published `again` for a delivery that came again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringPorts:
    """What every function needs that answers events, wired for one invocation."""

    evidence: Evidence
    inbox: Inbox
    results_topic: ResultsTopic
    telemetry: Telemetry
    clock: Clock
