"""RFC 3339 times: aware in memory, UTC with `Z` on the way out."""

import re
from datetime import UTC, datetime, timedelta

_FRACTION = re.compile(r"\.([0-9]{1,6})")


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 time as UTC.

    Raises:
        ValueError: no such time, or no offset.
    """
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            raise ValueError(f"{text!r} has no offset from UTC")
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def format_timestamp(moment: datetime) -> str:
    """For example `2026-03-01T12:00:00.000Z`; finer where the time is, so that what is read back compares equal."""
    timespec = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def latest_meant(text: str) -> datetime:
    """The last microsecond that a time to its own precision can mean: `12:00:00Z` stands for the whole second.

    Raises:
        ValueError: as `parse_timestamp`.
    """
    fraction = _FRACTION.search(text)
    digits = len(fraction[1]) if fraction else 0
    return parse_timestamp(text) + timedelta(microseconds=10 ** (6 - digits) - 1)


def second_before(moment: datetime) -> datetime:
    """The last whole second that, taken as a whole, is over by then."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole - timedelta(seconds=1)
