"""What a restore needs of the world. Nothing of it can delete a datamart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.databrain.creations import Restorer
from retirement.delivery.locking import Lock
from retirement.delivery.ports import AnsweringPorts
from retirement.outcomes import Reason
from retirement.requests import RestoreRequest


class Coordination(Lock, Protocol):
    """What may vanish without harm: the lock on a name, and what is known of the requests that a restore has sent."""

    def last_failure(self, request: RestoreRequest) -> Reason | None:
        """The reason of this restore's last failed attempt, None where none is known."""

    def record_failure(
        self, request: RestoreRequest, reason: Reason, now: datetime, *, after_intent: bool = False
    ) -> None:
        """Remember why this attempt failed; a kept `unconfirmed` stays until `record_no_effect` says what became of it.

        After an intent, where nothing is kept, it becomes `unconfirmed`: what was kept may be lost.
        """

    def record_no_effect(self, request: RestoreRequest, reason: Reason, now: datetime) -> None:
        """It is known what became of all that this restore has sent so far; it failed for this reason, if it did."""

    def record_created(self, request: RestoreRequest, now: datetime) -> None:
        """Remember that Databrain said that it created the datamart."""

    def is_created(self, request: RestoreRequest) -> bool:
        """Whether that is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePorts(AnsweringPorts):
    """Everything that a restore talks to."""

    databrain: Restorer
    coordination: Coordination
