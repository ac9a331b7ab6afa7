"""The ports of a retirement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.databrain.ports import Databrain, DatamartListsSource, EmbedMapSource
from retirement.delivery.locking import Lock
from retirement.delivery.ports import AnsweringPorts, Outbox
from retirement.outcomes import Reason
from retirement.requests import Request


class Coordination(Lock, Protocol):
    """The lock on a name, the day's count, and the reason of a retirement's last failure.

    The evidence does not depend on this state: it may be lost. Every method raises `AwsCallFailed`.
    """

    def used_today(self, now: datetime) -> int:
        """Return how many retirements were counted on this UTC day."""

    def is_counted(self, request: Request, now: datetime) -> bool:
        """Return whether this retirement was counted on this UTC day."""

    def reserve(self, request: Request, limit: int, now: datetime) -> bool:
        """Count this retirement once on this UTC day, and return whether it is within the limit."""

    def last_failure(self, request: Request) -> Reason | None:
        """Return the reason of this retirement's last failed attempt, or None if none is recorded."""

    def record_failure(self, request: Request, reason: Reason, now: datetime, *, after_intent: bool = False) -> None:
        """Record why this attempt failed. It does not replace `unconfirmed`, which only `record_no_effect` does.

        If nothing is recorded `after_intent`, the reason becomes `unconfirmed`, because an earlier record may be lost.
        """

    def record_no_effect(self, request: Request, reason: Reason, now: datetime) -> None:
        """Record that no delete of this retirement has taken effect so far, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetirePorts(AnsweringPorts):
    """The ports of one invocation."""

    databrain: Databrain
    embed_map: EmbedMapSource
    datamart_lists: DatamartListsSource
    coordination: Coordination
    scheduling: Outbox
