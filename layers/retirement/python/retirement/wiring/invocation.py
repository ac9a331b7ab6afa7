"""What every function is wired with: the invocation's clock, and how AWS is called."""

import time
from datetime import UTC, datetime
from typing import Protocol

from botocore.config import Config

# Seconds; `total_max_attempts` counts the first one.
AWS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


class LambdaContext(Protocol):
    """What of Lambda's context object is used."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's id."""

    def get_remaining_time_in_millis(self) -> int:
        """The time that this invocation has left."""


class LambdaClock:
    """The clock of one invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def now(self) -> datetime:
        """The time of day, UTC, to the millisecond."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def remaining(self) -> float:
        """Seconds left in this invocation."""
        return self._context.get_remaining_time_in_millis() / 1000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
