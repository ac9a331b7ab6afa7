from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retirement.timestamps import format_timestamp, parse_timestamp


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01t12:00:00z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T13:00:00.5+01:00", datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-01T07:00:00-05:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00-00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+23:59", datetime(2026, 2, 28, 12, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00.1Z", datetime(2026, 3, 1, 12, 0, 0, 100_000, tzinfo=UTC)),
        (f"2026-03-01T12:00:00.{'9' * 1_000}Z", datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_parse(text: str, moment: datetime) -> None:
    """An RFC 3339 time is read as UTC, whatever its offset, case or fraction."""
    parsed = parse_timestamp(text)

    assert parsed == moment
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-03-01T12:00:00",
        "2026-03-01",
        "2026-02-30T12:00:00Z",
        "2026-03-01T25:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "\ud800",
        "2026-03-01T12:00:00\ud800",
        "2026-03-01T12:00:00Z" * 1_000,
        "20260301101500Z",
        "20260301T101500Z",
        "2026-03-01T101500Z",
        "20260301T10:15:00Z",
        "2026-W09-7T10:15:00Z",
        "2026W097T101500Z",
        "2026-060T10:15:00Z",
        "2026-03-01 10:15:00Z",
        "2026-03-01x10:15:00Z",
        "2026-03-01T10:15Z",
        "2026-03-01T10Z",
        "2026-03-01T10:15:00,5Z",
        "2026-03-01T10:15:00.Z",
        "2026-03-01T10:15:00+01",
        "2026-03-01T10:15:00+0100",
        "2026-03-01T10:15:00+01:00:30",
        "2026-03-01T10:15:00+24:00",
        "2026-03-01T10:15:00+01:60",
        "2026-03-01T10:15:00 Z",
        "2026-03-01T10:15:00Z\n",
        "2026-03-01T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-03-01T10:15:00UTC",
        "0000-01-01T00:00:00Z",
        "2026-3-1T10:15:00Z",
        "+2026-03-01T10:15:00Z",
        "٢٠٢٦-03-01T10:15:00Z",
        "1772360100",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_no_time(text: str) -> None:
    """Anything else, other forms of ISO 8601 and a time without an offset too, is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011  # its words are of no interest
        parse_timestamp(text)


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=5))), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001  # hypothesis wants it naive
def test_round_trip(moment: datetime) -> None:
    """What is written ends with `Z` and reads back equal: nothing is rounded."""
    text = format_timestamp(moment)

    assert text.endswith("Z")
    assert parse_timestamp(text) == moment
