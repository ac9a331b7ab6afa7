"""Retirements over time: periods that fit the time there is, and the bars of a chart of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

MAX_PERIODS = 60
MIN_SPAN = timedelta(days=13)  # what is shown before the last day, at least

_SHARE = 0.8  # of its column that a bar takes


@dataclass(frozen=True, slots=True)
class Period:
    """A day, a week, a month or some years; `counts` by state."""

    label: str
    counts: Counter[str]


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a period's column: all in per cent of the chart, `y` from its top."""

    state: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Periods without a gap between them; `step` is what one of them is, in words."""

    step: str
    periods: tuple[Period, ...]

    @property
    def top(self) -> int:
        """The end of the scale: even, so that its half is whole too."""
        most = max((period.counts.total() for period in self.periods), default=0)
        power = int("1" + "0" * (len(str(most)) - 2))
        return next(step * power for step in (2, 4, 6, 8, 10, 20, 40, 60, 80, 100) if step * power >= most)

    def bars(self, states: Sequence[str]) -> list[Bar]:
        """The columns, each stacked from the ground in the order of the states."""
        column = 100 / max(len(self.periods), 1)
        bars = []
        for number, period in enumerate(self.periods):
            top = 100.0
            for state in states:
                height = 100 * period.counts[state] / self.top
                top -= height
                if height:
                    bars.append(Bar(state, (number + (1 - _SHARE) / 2) * column, top, _SHARE * column, height))
        return bars


@dataclass(frozen=True, slots=True)
class _Step:
    """How days are numbered into periods; `begin` is the first day of a number, `label` a format for it."""

    name: str
    number: Callable[[date], int]
    begin: Callable[[int], date]
    label: str


def timeline(ends: Iterable[tuple[datetime, str]]) -> Timeline:
    """Put the ends of retirements, each with its state, into at most `MAX_PERIODS` periods (UTC)."""
    days = [(at.date(), state) for at, state in ends]
    if not days:
        return Timeline("day", ())
    last = max(day for day, _ in days)
    first = min(*(day for day, _ in days), last - min(MIN_SPAN, last - date.min))
    step = next(step for step in _STEPS if step.number(last) - step.number(first) < MAX_PERIODS)
    counts = {number: Counter[str]() for number in range(step.number(first), step.number(last) + 1)}
    for day, state in days:
        counts[step.number(day)][state] += 1
    return Timeline(
        step.name, tuple(Period(f"{step.begin(number):{step.label}}", count) for number, count in counts.items())
    )


def _years(many: int) -> _Step:
    return _Step(
        "year" if many == 1 else f"{many} years",
        lambda day: day.year // many,
        lambda number: date(max(number * many, date.min.year), 1, 1),
        "%Y" if many == 1 else "from %Y",
    )


_STEPS = (
    _Step("day", date.toordinal, date.fromordinal, "%-d %b %Y"),
    # Day 1 was a Monday.
    _Step("week", lambda day: (day.toordinal() - 1) // 7, lambda number: date.fromordinal(number * 7 + 1), "%-d %b %Y"),
    _Step(
        "month",
        lambda day: day.year * 12 + day.month - 1,
        lambda number: date(number // 12, number % 12 + 1, 1),
        "%b %Y",
    ),
    *(_years(many) for many in (1, 2, 5, 10, 20, 50, 200)),
)
