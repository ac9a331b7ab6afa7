"""Dates and durations as a person writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.dates import date_ahead, moment_before
from cli.errors import UsageError
from cli.waiting import duration
from retirement.timestamps import parse_timestamp


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("in 7 days", timedelta(days=7)),
        ("in 1 day", timedelta(days=1)),
        ("in 2 weeks", timedelta(weeks=2)),
        ("in 90 minutes", timedelta(minutes=90)),
        ("in 3 hours", timedelta(hours=3)),
    ],
)
def test_ahead(text: str, ahead: timedelta) -> None:
    """A time ahead is that long from now."""
    assert abs(parse_timestamp(date_ahead(text)) - datetime.now(UTC) - ahead) < timedelta(minutes=1)


def test_a_time() -> None:
    """An RFC 3339 time is sent as it was typed."""
    assert date_ahead("2026-12-24T08:00:00+01:00") == "2026-12-24T08:00:00+01:00"


@pytest.mark.parametrize("text", ["", "7 days", "tomorrow", "in seven days", "in -1 days", "2026-12-24", "in 7 days "])
def test_not_a_date(text: str) -> None:
    """Anything else is a usage error that says what is expected."""
    with pytest.raises(UsageError, match="expected an RFC 3339 time"):
        date_ahead(text)


def test_since() -> None:
    """A time back is that long ago, or an RFC 3339 time."""
    assert abs(moment_before("30 days") - datetime.now(UTC) + timedelta(days=30)) < timedelta(minutes=1)
    assert moment_before("2026-03-01T00:00:00Z") == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(UsageError):
        moment_before("in 3 days")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("0", 0)]
)
def test_duration(text: str, seconds: float) -> None:
    """A duration is a number of seconds, or has a unit."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1.5h", "-1", "1 h", "1w"])
def test_not_a_duration(text: str) -> None:
    """Anything else is a usage error."""
    with pytest.raises(UsageError, match="--timeout is"):
        duration(text)
