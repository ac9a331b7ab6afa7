"""Retirements over time, for a chart."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.timeline import MAX_PERIODS, Timeline, timeline
from tests.estates import NOW

ENDS = st.lists(
    st.tuples(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["deleted", "blocked", "failed"])), max_size=40
)


def over(days: int) -> Timeline:
    """Two retirements, so many days apart."""
    return timeline([(NOW, "deleted"), (NOW - timedelta(days=days), "blocked")])


def test_nothing_happened() -> None:
    """Without retirements there are no periods, and no bars."""
    nothing = timeline([])
    assert (nothing.periods, nothing.bars(["deleted"])) == ((), [])


@pytest.mark.parametrize(
    ("days", "step", "periods", "first", "last"),
    [
        (0, "day", 14, "7 Nov 2026", "20 Nov 2026"),
        (30, "day", 31, "21 Oct 2026", "20 Nov 2026"),
        (59, "day", 60, "22 Sep 2026", "20 Nov 2026"),
        (60, "week", 9, "21 Sep 2026", "16 Nov 2026"),
        (420, "month", 15, "Sep 2025", "Nov 2026"),
        (365 * 10, "year", 11, "2016", "2026"),
        (365 * 200, "5 years", 41, "from 1825", "from 2025"),
    ],
)
def test_periods(days: int, step: str, periods: int, first: str, last: str) -> None:
    """A period is a day, or as much more as the time there is needs."""
    found = over(days)
    assert (found.step, len(found.periods)) == (step, periods)
    assert (found.periods[0].label, found.periods[-1].label) == (first, last)


@given(ENDS)
def test_nothing_is_lost(ends: list[tuple[datetime, str]]) -> None:
    """Whatever the times, each retirement is in one period, and there are not too many of those."""
    found = timeline(ends)
    assert sum(period.counts.total() for period in found.periods) == len(ends)
    assert len(found.periods) <= MAX_PERIODS


@given(ENDS)
def test_bars_fit(ends: list[tuple[datetime, str]]) -> None:
    """Bars stay within the chart, and each is as high as what it stands for."""
    found = timeline(ends)
    bars = found.bars(["deleted", "blocked", "failed"])
    assert all(bar.x >= 0 and bar.x + bar.width <= 100 for bar in bars)
    assert all(bar.y >= -1e-9 and bar.y + bar.height <= 100 + 1e-9 for bar in bars)
    assert sum(bar.height for bar in bars) == pytest.approx(100 * len(ends) / found.top)


def test_bars_are_stacked() -> None:
    """The parts of a column stand on each other, in the order that was asked for."""
    found = timeline([(NOW, "blocked"), (NOW, "deleted"), (NOW, "deleted")])
    ground, on_it = found.bars(["deleted", "blocked"])
    assert (ground.state, ground.y, ground.height) == ("deleted", 50, 50)
    assert (on_it.state, on_it.y, on_it.height) == ("blocked", 25, 25)
    assert ground.x == on_it.x


@pytest.mark.parametrize(
    ("most", "top"), [(1, 2), (2, 2), (3, 4), (9, 10), (11, 20), (99, 100), (101, 200), (4321, 6000)]
)
def test_scale(most: int, top: int) -> None:
    """The scale ends at a round even number."""
    assert timeline([(NOW, "deleted")] * most).top == top
