"""Where the evidence is kept: the S3 keys."""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from retirement.canonical import sha256_hex

# An S3 key ends at 1,024 bytes (S3 user guide, "Naming Amazon S3 objects").
_SEGMENT_LIMIT = 600
_SEGMENT_PREFIX = 560

SWEEP_REQUESTS = "sweeps/asked/"


def retirement_key(datamart_name: str, retirement_id: str, file_name: str) -> str:
    """Of `receipt.json`, `intent.json`, `cancelled.json`, a schedule, a failure or a backup."""
    return f"retirements/{_segment(datamart_name)}/{retirement_id}/{file_name}"


def backup_file_name(sha256: str) -> str:
    """An equal backup has an equal name."""
    return f"backup-{sha256[:16]}.json"


def failure_file_name(number: int) -> str:
    """Of a giving-up, from 1."""
    return f"failure-{number}.json"


def cancellation_failure_file_name(number: int) -> str:
    """Of the giving-up of a cancellation, from 1."""
    return f"cancellation-failure-{number}.json"


def schedule_file_name(number: int) -> str:
    """Of a date that was asked for, from 1; the last one stands."""
    return f"schedule-{number}.json"


def arrival_file_name(event_id: str, arrived_at: datetime) -> str:
    """Of an arrival of an event whose own time is not over by then; `arrived_at` in UTC."""
    return f"{_arrival(event_id)}{arrived_at:%Y%m%dT%H%M%S.%f}Z.json"


def arrivals_in(file_names: Iterable[str], event_id: str) -> list[datetime]:
    """The arrivals of this event that these names tell of."""
    before = _arrival(event_id)
    times = (name.removeprefix(before).removesuffix(".json") for name in file_names if name.startswith(before))
    return [datetime.fromisoformat(time) for time in times]


def _arrival(event_id: str) -> str:
    return f"arrival-{sha256_hex(event_id)[:16]}-"


def reminder_file_name(number: int) -> str:
    """Of the reminder of such a date."""
    return f"reminder-{number}.json"


def plan_key(datamart_name: str, plan_id: str) -> str:
    """Of a plan."""
    return f"plans/{_segment(datamart_name)}/{_segment(plan_id)}.json"


def rejected_key(event_id: str) -> str:
    """Of the receipt of a rejected event."""
    return f"rejected/{_segment(event_id)}/receipt.json"


def sweep_request_key(retirement_id: str) -> str:
    """Of what a sweep asked for, as it asked."""
    return f"{SWEEP_REQUESTS}{_segment(retirement_id)}.json"


def sweep_report_key(sweep_id: str) -> str:
    """Of the report of a sweep."""
    return f"sweeps/{_segment(sweep_id)}/report.json"


def _segment(text: str) -> str:
    """Percent-encode one path segment, RFC 3986's unreserved characters alone kept, and keep it short."""
    encoded = "%2E" * len(text) if text in {".", ".."} else quote(text, safe="", errors="replace")
    if len(encoded) <= _SEGMENT_LIMIT:
        return encoded
    # The encoding leaves no `!`: no other text has this segment.
    return f"{encoded[:_SEGMENT_PREFIX]}!{sha256_hex(text)[:32]}"
