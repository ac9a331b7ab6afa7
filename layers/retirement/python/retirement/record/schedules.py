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
    kept: StoredObject

    @classmethod
    def of(cls, number: int, kept: StoredObject) -> "Schedule":
        """Read a kept one.

        Raises:
            AwsCallFailed: what is kept is not one of ours.
        """
        try:
            told = cast("dict[str, Any]", parse_json(kept.body))
            event = cast("dict[str, Any]", parse_json(told["event"]))
            return cls(
                number=number,
                event=told["event"],
                event_id=event["id"],
                requested_at=parse_timestamp(told["requestedAt"]),
                cutoff=latest_instant(event["time"]),
                scheduled_at=parse_timestamp(told["finishedAt"]),
                retire_at=parse_timestamp(told["retireAt"]),
                kept=kept,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise kept.malformed() from None
