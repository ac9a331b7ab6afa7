"""RFC 3339 times: aware in memory, UTC with `Z` on the way out."""

import re
from datetime import UTC, datetime, timedelta

# Section 5.6, without leap seconds, which no datetime holds. ISO 8601 has more forms, of which Python misreads some.
_RFC_3339 = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)

_SECOND = timedelta(seconds=1)


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 time as UTC; of a fraction what is finer than microseconds is cut.

    Raises:
        ValueError: it is no such time.
    """
    form = _RFC_3339.fullmatch(text)
    if form is None:
        raise ValueError("it is no RFC 3339 time")
    microseconds = (form["fraction"] or "")[:6].ljust(6, "0")
    moment = datetime.fromisoformat(f"{form['second']}.{microseconds}{form['offset']}".upper())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is out of range") from None


def format_timestamp(moment: datetime) -> str:
    """For example `2026-03-01T12:00:00.000Z`; finer where the time is, so that what is read back compares equal."""
    timespec = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def latest_instant(text: str) -> datetime:
    """The last microsecond that a time to its own precision can mean: `12:00:00Z` stands for the whole second.

    Raises:
        ValueError: as `parse_timestamp`.
    """
    moment, found = parse_timestamp(text), _RFC_3339.fullmatch(text)
    digits = len(found["fraction"] or "") if found else 0
    return moment + timedelta(microseconds=10 ** max(0, 6 - digits) - 1)


def second_before(moment: datetime) -> datetime:
    """The last whole second that, taken as a whole, is over by then."""
    whole = moment.replace(microsecond=0)
    is_the_first = whole == datetime.min.replace(tzinfo=UTC)
    return whole if whole == moment or is_the_first else whole - _SECOND
