"""The dates that were asked for a retirement, in the order in which they took effect; the last one stands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import parse_json
from retirement.stored_object import StoredObject
from retirement.timestamps import latest_instant, parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One date, as `schedule-{number}.json` keeps it: the result `scheduled`, and `event`, which asked for it."""

    number: int
    event: str
    event_id: str
    requested_at: datetime
    cutoff: datetime
    scheduled_at: datetime
    retire_at: datetime
    stored: StoredObject

    @classmethod
    def of(cls, number: int, stored: StoredObject) -> "Schedule":
        """Read a kept one.

        Raises:
            AwsCallFailed: what is kept is not one of ours.
        """
        try:
            result = cast("dict[str, Any]", parse_json(stored.body))
            event = cast("dict[str, Any]", parse_json(result["event"]))
            return cls(
                number=number,
                event=result["event"],
                event_id=event["id"],
                requested_at=parse_timestamp(result["requestedAt"]),
                cutoff=latest_instant(event["time"]),
                scheduled_at=parse_timestamp(result["finishedAt"]),
                retire_at=parse_timestamp(result["retireAt"]),
                stored=stored,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise stored.malformed() from None
