"""The time of an invocation."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Shows the time of day and the time that this invocation has left."""

    def now(self) -> datetime:
        """Return the time of day: aware, in UTC."""

    def remaining(self) -> float:
        """Return the seconds that this invocation has left."""

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
