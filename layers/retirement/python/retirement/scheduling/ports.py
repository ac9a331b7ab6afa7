"""The ports of scheduling."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from retirement.delivery.ports import AnsweringPorts, Outbox
from retirement.requests import Command


class Timer(Enum):
    """The kinds of timers; each sends the event of a date to a queue when it goes off."""

    RETIRE = "retire"
    REMIND = "remind"


class Timers(Protocol):
    """The timers: each retirement has at most one of each kind."""

    def can_send(self, body: str) -> bool:
        """Return whether a body is small enough for a timer."""

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        """Set or move a timer, so that the body is sent at this time, or up to about a minute later.

        Raises:
            AwsCallFailed: it is unknown whether the timer was set.
        """

    def clear(self, timer: Timer, command: Command) -> None:
        """Delete a timer, if it exists.

        Raises:
            AwsCallFailed: it is unknown whether the timer still exists.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePorts(AnsweringPorts):
    """The ports of one invocation."""

    timers: Timers
    outbox: Outbox
    restores: Outbox
