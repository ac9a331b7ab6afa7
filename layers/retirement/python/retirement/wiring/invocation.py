"""What the functions share: the clock of an invocation, and the time-outs and retries of calls to AWS."""

import time
from datetime import UTC, datetime
from typing import Protocol

from botocore.config import Config

# Time-outs in seconds; `total_max_attempts` includes the first attempt.
AWS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


class LambdaContext(Protocol):
    """The parts of Lambda's context object that are used."""

    @property
    def aws_request_id(self) -> str:
        """The ID of the invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that this invocation has left."""


class LambdaClock:
    """The clock of one invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def now(self) -> datetime:
        """Return the time of day in UTC, cut to milliseconds."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def remaining(self) -> float:
        """Return the seconds that Lambda's context says are left."""
        return self._context.get_remaining_time_in_millis() / 1000

    def sleep(self, seconds: float) -> None:
        """Block for this many seconds."""
        time.sleep(seconds)
