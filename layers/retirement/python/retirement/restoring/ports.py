"""The ports of a restore. None of them can delete a datamart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.databrain.creations import Restorer
from retirement.delivery.locking import Lock
from retirement.delivery.ports import AnsweringPorts
from retirement.outcomes import Reason
from retirement.requests import RestoreRequest


class Coordination(Lock, Protocol):
    """The lock on a name, and the known effects of the requests that a restore has sent.

    The evidence does not depend on this state: it may be lost. Every method raises `AwsCallFailed`.
    """

    def last_failure(self, request: RestoreRequest) -> Reason | None:
        """Return the reason of this restore's last failed attempt, or None if none is recorded."""

    def record_failure(
        self, request: RestoreRequest, reason: Reason, now: datetime, *, after_intent: bool = False
    ) -> None:
        """Record why this attempt failed. It does not replace `unconfirmed`, which only `record_no_effect` does.

        If nothing is recorded `after_intent`, the reason becomes `unconfirmed`, because an earlier record may be lost.
        """

    def record_no_effect(self, request: RestoreRequest, reason: Reason, now: datetime) -> None:
        """Record that the effect of every request so far is known; `reason` is why the attempt failed, if it did."""

    def record_created(self, request: RestoreRequest, configuration_hash: str, now: datetime) -> None:
        """Record that Databrain has created the datamart, and as what it listed it then; empty if not yet listed."""

    def created(self, request: RestoreRequest) -> str | None:
        """Return the recorded hash, or None if none is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePorts(AnsweringPorts):
    """The ports of one invocation."""

    databrain: Restorer
    coordination: Coordination
