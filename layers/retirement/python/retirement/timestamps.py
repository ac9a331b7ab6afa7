"""RFC 3339 times: aware datetimes in memory, written in UTC with `Z`."""

import re
from datetime import UTC, datetime, timedelta

# RFC 3339, section 5.6, without leap seconds, which a datetime cannot represent. `datetime.fromisoformat` alone would
# also take other forms of ISO 8601, and misreads some of them.
_RFC_3339 = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)

_SECOND = timedelta(seconds=1)


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 time as UTC; digits beyond microseconds are cut.

    Raises:
        ValueError: the text is not such a time.
    """
    form = _RFC_3339.fullmatch(text)
    if form is None:
        raise ValueError("it is not an RFC 3339 time")
    microseconds = (form["fraction"] or "")[:6].ljust(6, "0")
    moment = datetime.fromisoformat(f"{form['second']}.{microseconds}{form['offset']}".upper())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is out of range") from None


def format_timestamp(moment: datetime) -> str:
    """Write a time as `2026-03-01T12:00:00.000Z`, with microseconds if it has any, so that no precision is lost."""
    timespec = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def latest_instant(text: str) -> datetime:
    """Return the last microsecond that a time can mean at its own precision: `12:00:00Z` means the whole second.

    Raises:
        ValueError: the text is not an RFC 3339 time.
    """
    moment, found = parse_timestamp(text), _RFC_3339.fullmatch(text)
    digits = len(found["fraction"] or "") if found else 0
    return moment + timedelta(microseconds=10 ** max(0, 6 - digits) - 1)


def second_before(moment: datetime) -> datetime:
    """Return the last whole second that has ended by this time."""
    whole = moment.replace(microsecond=0)
    is_the_first = whole == datetime.min.replace(tzinfo=UTC)
    return whole if whole == moment or is_the_first else whole - _SECOND
