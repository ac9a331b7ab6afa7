"""The S3 keys of the evidence."""

import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote, unquote

from retirement.canonical import sha256_hex

# Characters. A key has at most 1,024 bytes (S3 user guide, "Naming Amazon S3 objects").
_SEGMENT_LIMIT = 600
_SEGMENT_PREFIX = 560

SWEEP_REQUESTS = "sweeps/asked/"


def retirement_key(datamart_name: str, retirement_id: str, file_name: str) -> str:
    """Return the key of a file of one retirement, such as `receipt.json`; an empty name gives the prefix of all."""
    return f"retirements/{_segment(datamart_name)}/{retirement_id}/{file_name}"


def backup_key(datamart_name: str, retirement_id: str, sha256: str) -> str:
    """Return the key of a backup, which is apart from the record: other roles read it, and it may expire.

    Equal backups have equal keys.
    """
    return f"backups/{_segment(datamart_name)}/{retirement_id}/backup-{sha256[:16]}.json"


def restore_key(datamart_name: str, retirement_id: str, restore_id: str, file_name: str) -> str:
    """Return the key of a file of one restore, such as `receipt.json`; an empty name gives the prefix of all."""
    return f"{restores_prefix(datamart_name, retirement_id)}{restore_id}/{file_name}"


def restores_prefix(datamart_name: str, retirement_id: str) -> str:
    """Return the prefix of all restores of a retirement."""
    return f"restores/{_segment(datamart_name)}/{retirement_id}/"


def embed_file_name(number: int) -> str:
    """Return the name of the n-th request of a restore to create an embed; numbers begin at 1."""
    return f"embed-{number}.json"


def failure_file_name(number: int) -> str:
    """Return the name of the n-th failure, stored when the request is abandoned; numbers begin at 1."""
    return f"failure-{number}.json"


def cancellation_failure_file_name(number: int) -> str:
    """Return the name of the n-th failure of a cancellation; numbers begin at 1."""
    return f"cancellation-failure-{number}.json"


def schedule_file_name(number: int) -> str:
    """Return the name of the n-th requested date; numbers begin at 1, and the highest one is current."""
    return f"schedule-{number}.json"


def arrival_file_name(event_id: str, arrived_at: datetime) -> str:
    """Return the name of an arrival (UTC) of an event whose own time had not passed by then."""
    return f"{_arrival(event_id)}{arrived_at:%Y%m%dT%H%M%S.%f}Z.json"


def arrivals_in(file_names: Iterable[str], event_id: str) -> list[datetime]:
    """Return the arrivals of this event that these names record."""
    before = _arrival(event_id)
    times = (name.removeprefix(before).removesuffix(".json") for name in file_names if name.startswith(before))
    return [datetime.fromisoformat(time) for time in times]


def _arrival(event_id: str) -> str:
    return f"arrival-{sha256_hex(event_id)[:16]}-"


def numbers_in(file_names: Iterable[str], kind: str) -> list[int]:
    """Return the numbers of the files of a kind, such as `schedule`, in ascending order."""
    numbered = re.compile(rf"{kind}-([1-9][0-9]*)\.json")
    return sorted(int(found[1]) for found in map(numbered.fullmatch, file_names) if found)


def reminder_file_name(number: int) -> str:
    """Return the name of the reminder of the n-th date."""
    return f"reminder-{number}.json"


def ask_file_name(number: int) -> str:
    """Return the name of the n-th ask for approval; numbers begin at 1."""
    return f"approval-asked-{number}.json"


def approval_file_name(number: int) -> str:
    """Return the name of the n-th approval; numbers begin at 1."""
    return f"approved-{number}.json"


def ask_reminder_file_name(number: int) -> str:
    """Return the name of the reminder of the n-th ask for approval."""
    return f"approval-reminder-{number}.json"


def approval_failure_file_name(number: int) -> str:
    """Return the name of the n-th failure of an approval; numbers begin at 1."""
    return f"approval-failure-{number}.json"


def plan_key(datamart_name: str, plan_id: str) -> str:
    """Return the key of a plan."""
    return f"plans/{_segment(datamart_name)}/{_segment(plan_id)}.json"


def rejected_key(event_id: str) -> str:
    """Return the key of the receipt of a rejected event."""
    return f"rejected/{_segment(event_id)}/receipt.json"


def sweep_request_key(retirement_id: str) -> str:
    """Return the key of a sweep's request."""
    return f"{SWEEP_REQUESTS}{_segment(retirement_id)}.json"


def sweep_report_key(sweep_id: str) -> str:
    """Return the key of a sweep's report."""
    return f"sweeps/{_segment(sweep_id)}/report.json"


def _segment(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters, and shorten the result."""
    encoded = "%2E" * len(text) if text in {".", ".."} else quote(text, safe="", errors="replace")
    if len(encoded) <= _SEGMENT_LIMIT:
        return encoded
    # An encoded text contains no `!`, so no other text has this segment.
    return f"{encoded[:_SEGMENT_PREFIX]}!{sha256_hex(text)[:32]}"


def name_in(segment: str) -> tuple[str, bool]:
    """Return the datamart's name as far as this part of a key shows it, and whether that is all of it."""
    cut = re.fullmatch("(.*)![0-9a-f]{32}", segment)
    return unquote(segment if cut is None else cut[1]), cut is None
