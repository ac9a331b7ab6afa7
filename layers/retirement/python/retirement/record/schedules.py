"""The requested dates of a retirement, in the order in which they took effect. The last one is current."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import parse_json
from retirement.record.approvals import requesters_in
from retirement.stored_object import StoredObject
from retirement.timestamps import latest_instant, parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One date, as stored in `schedule-{number}.json`: the result `scheduled`, with the event that requested it.

    Attributes:
        number: from 1.
        event: the event's text, as it was received.
        requested_at: the earlier of the event's time and its arrival.
        cutoff: the latest time that the event's time can mean.
        scheduled_at: when the date was stored.
        stored: the object.
    """

    number: int
    event: str
    event_id: str
    requested_by: str
    reason: str
    requested_at: datetime
    cutoff: datetime
    scheduled_at: datetime
    retire_at: datetime
    stored: StoredObject

    @classmethod
    def of(cls, number: int, stored: StoredObject) -> "Schedule":
        """Parse a stored date.

        Raises:
            AwsCallFailed: the object is not as this project writes it.
        """
        with stored.parsed() as result:
            event = cast("dict[str, Any]", parse_json(result["event"]))
            return cls(
                number=number,
                event=result["event"],
                event_id=event["id"],
                requested_by=result["requestedBy"],
                reason=result["requestReason"],
                requested_at=parse_timestamp(result["requestedAt"]),
                cutoff=latest_instant(event["time"]),
                scheduled_at=parse_timestamp(result["finishedAt"]),
                retire_at=parse_timestamp(result["retireAt"]),
                stored=stored,
            )

    @property
    def requesters(self) -> tuple[str, ...]:
        """Who has requested this date or an earlier one, as they spelled their names.

        Raises:
            AwsCallFailed: the object is not as this project writes it.
        """
        with self.stored.parsed() as result:
            return (*result.get("earlierRequesters", ()), *requesters_in(parse_json(self.event)))
