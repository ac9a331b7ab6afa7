"""What a retirement needs of the world."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retirement.databrain.ports import Databrain, DatamartListsSource, EmbedMapSource
from retirement.delivery.ports import AnsweringPorts
from retirement.outcomes import Reason
from retirement.requests import Request


class Coordination(Protocol):
    """What may vanish without harm: the lock on a name, and the reason of a retirement's last failure."""

    def acquire(self, datamart_name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take the lock unless somebody else has it and it has not expired."""

    def release(self, datamart_name: str, holder: str) -> None:
        """Give the lock back, if it is still this holder's."""

    def used_today(self, now: datetime) -> int:
        """How many retirements were counted on this UTC day."""

    def is_counted(self, request: Request, now: datetime) -> bool:
        """Whether this retirement was counted on this UTC day."""

    def reserve(self, request: Request, limit: int, now: datetime) -> bool:
        """Count this retirement on this UTC day, unless `limit` are; once a day, however often it is asked for."""

    def last_failure(self, request: Request) -> Reason | None:
        """The reason of this retirement's last failed attempt, None where none is known."""

    def record_failure(self, request: Request, reason: Reason, now: datetime, *, after_intent: bool = False) -> None:
        """Remember why this attempt failed; a kept `unconfirmed` stays until `record_no_effect` says what became of it.

        After an intent, where nothing is kept, it becomes `unconfirmed`: what was kept may be lost.
        """

    def record_no_effect(self, request: Request, reason: Reason, now: datetime) -> None:
        """No delete of this retirement took effect so far, for this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetirePorts(AnsweringPorts):
    """Everything that a retirement talks to."""

    databrain: Databrain
    embed_map: EmbedMapSource
    datamart_lists: DatamartListsSource
    coordination: Coordination
