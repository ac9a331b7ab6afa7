"""The time of an invocation."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day, and the time that this invocation has left."""

    def now(self) -> datetime:
        """An aware time, UTC."""

    def remaining(self) -> float:
        """Seconds left in this invocation."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
