"""Dates as a person writes them."""

import re
from datetime import UTC, datetime, timedelta

from cli.errors import UsageError
from cli.output import shown
from retirement.timestamps import format_timestamp, parse_timestamp

_AHEAD = re.compile(r"in (\d{1,5}) ?(minute|hour|day|week)s?", re.ASCII)
_AGO = re.compile(r"(\d{1,5}) ?(minute|hour|day|week)s?", re.ASCII)


def date_ahead(text: str) -> str:
    """Return the RFC 3339 time that `in 7 days`, or such a time itself, means.

    Raises:
        UsageError: it is neither.
    """
    found = _AHEAD.fullmatch(text)
    if found:
        return format_timestamp(datetime.now(UTC).replace(microsecond=0) + _span(found))
    try:
        parse_timestamp(text)
    except ValueError:
        raise UsageError(
            f"--at is {shown(text)}: expected an RFC 3339 time with offset, such as 2026-12-24T08:00:00Z, or for "
            'example "in 7 days"'
        ) from None
    return text


def moment_before(text: str) -> datetime:
    """Return the time that `30 days` ago, or an RFC 3339 time itself, means.

    Raises:
        UsageError: it is neither.
    """
    found = _AGO.fullmatch(text)
    if found:
        return datetime.now(UTC) - _span(found)
    try:
        return parse_timestamp(text)
    except ValueError:
        raise UsageError(
            f"--since is {shown(text)}: expected for example 30 days, or an RFC 3339 time with offset"
        ) from None


def _span(found: re.Match[str]) -> timedelta:
    return timedelta(**{f"{found[2]}s": int(found[1])})
