"""One attempt to carry out one valid event."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from retirement.canonical import Document, ordered_json
from retirement.delivery.ports import AnsweringPorts
from retirement.delivery.settings import AnsweringSettings
from retirement.outcomes import ConfirmedBy, Outcome, Reason
from retirement.record.intents import Intent
from retirement.record.keys import retirement_key
from retirement.record.record import Record
from retirement.record.results import NOTHING_READ, Grounds, Result
from retirement.requests import Command, Delivery
from retirement.stored_object import StoredObject

CommandT_co = TypeVar("CommandT_co", bound=Command, covariant=True)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[CommandT_co]):
    """A valid request, cancellation or approval, its delivery, and what this function answers it with."""

    request: CommandT_co
    delivery: Delivery
    settings: AnsweringSettings
    ports: AnsweringPorts
    started_at: datetime

    def record(self) -> Record:
        """List what is stored of this retirement now."""
        return Record(self.ports.evidence, self.request.datamart_name, self.request.retirement_id)

    def key(self, file_name: str) -> str:
        """Return the key of an object of this retirement."""
        return retirement_key(self.request.datamart_name, self.request.retirement_id, file_name)

    def read(self, file_name: str) -> StoredObject | None:
        """Read an object of this retirement; None if there is none."""
        return self.ports.evidence.read(self.key(file_name))

    def intent(self) -> Intent | None:
        """Read the intent of this retirement; None if there is none."""
        stored = self.read("intent.json")
        return None if stored is None else Intent.of(stored)

    def result(
        self,
        outcome: Outcome,
        message: str,
        finished_at: datetime,
        *,
        reason: Reason | None = None,
        grounds: Grounds = NOTHING_READ,
        confirmed_by: ConfirmedBy | None = None,
        retire_at: datetime | None = None,
        approvals_missing: int | None = None,
    ) -> Document:
        """Return the result of this attempt."""
        return Result(
            retirement_id=self.request.retirement_id,
            datamart_name=self.request.datamart_name,
            requested_by=self.request.requested_by,
            request_reason=self.request.reason,
            outcome=outcome,
            reason=reason,
            message=message,
            environment=self.settings.environment_name,
            requested_at=self.request.requested_at,
            started_at=self.started_at,
            finished_at=finished_at,
            grounds=grounds,
            confirmed_by=confirmed_by,
            retire_at=retire_at,
            approvals_missing=approvals_missing,
        ).document()

    def with_event(self, result: Document) -> str:
        """Return a result as it is stored together with the event that it answers."""
        return ordered_json({**result, "event": self.delivery.body})
