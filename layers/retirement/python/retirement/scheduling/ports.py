"""What scheduling needs of the world."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from retirement.delivery.ports import AnsweringPorts
from retirement.requests import Command


class Outbox(Protocol):
    """The queue that a function hands events on to."""

    def send(self, body: str, seconds: int) -> None:
        """Send a message, to be delivered after this time (at most 900 seconds).

        Raises:
            AwsCallFailed: it may have been sent or not.
        """


class Timer(Enum):
    """What a timer does when it goes off: each sends the event of a schedule to a queue."""

    RETIRE = "retire"
    REMIND = "remind"


class Timers(Protocol):
    """One timer of each kind for a retirement."""

    def can_send(self, body: str) -> bool:
        """Whether a body is small enough for a timer."""

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        """Set or move it: at this time, and hardly later than a minute after it, the body is sent.

        Raises:
            AwsCallFailed: it may have been set or not.
        """

    def clear(self, timer: Timer, command: Command) -> None:
        """Take it away, if it is there.

        Raises:
            AwsCallFailed: it may be there or not.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePorts(AnsweringPorts):
    """Everything that scheduling talks to."""

    timers: Timers
    outbox: Outbox
