"""The lock on a datamart's name, which keeps two invocations from doing the same work at once."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Protocol

from retirement.clock import Clock
from retirement.delivery.ports import Telemetry
from retirement.errors import AttemptInterrupted, AwsCallFailed
from retirement.requests import Delivery

# Seconds. An attempt waits for the lock as long as it can, because raising uses up one of the queue's receives.
MIN_TIME_TO_WAIT_FOR_LOCK = 5.0
LOCK_POLL = 1.0


class Lock(Protocol):
    """The lock on a datamart's name. It may be lost. Every method raises `AwsCallFailed`."""

    def acquire(self, datamart_name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take the lock until then, and return True, unless another holder has it and it has not expired."""

    def release(self, datamart_name: str, holder: str) -> None:
        """Release the lock if this holder has it."""


@contextmanager
def locked(datamart_name: str, delivery: Delivery, lock: Lock, clock: Clock, telemetry: Telemetry) -> Iterator[None]:
    """Hold the lock. It expires with the invocation, so after a crash others wait no longer than that.

    Raises:
        AttemptInterrupted: another invocation has it, and this one has no time left to wait.
    """
    holder = delivery.invocation_id
    while not lock.acquire(datamart_name, holder, clock.now(), clock.now() + timedelta(seconds=clock.remaining())):
        if clock.remaining() < MIN_TIME_TO_WAIT_FOR_LOCK:
            raise AttemptInterrupted(
                "Another retirement or restore of this datamart is in progress, and this invocation has no time left "
                "to wait for it. The queue delivers the request again."
            )
        telemetry.step("wait for the lock")
        clock.sleep(LOCK_POLL)
    try:
        yield
    finally:
        with suppress(AwsCallFailed):  # the lock expires
            lock.release(datamart_name, holder)
