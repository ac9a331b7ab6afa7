"""RFC 3339 times: aware in memory, UTC with `Z` on the way out."""

from datetime import UTC, datetime


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
