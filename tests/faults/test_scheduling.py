"""Dates, moves and cancellations: what holds wherever something strikes, and whoever comes in between.

A play is a list of events in the order in which they are sent. At each call of each delivery something strikes, or all
of another event happens there. Then every event is delivered until it is answered, its time comes, and weeks later
every event comes once more.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from retirement.canonical import ordered_json, parse_json
from retirement.delivery.attempt import Attempt
from retirement.errors import AwsCallFailed, RetirementError
from retirement.record.keys import retirement_key
from retirement.record.record import Record
from retirement.requests import MAX_RECEIVES
from retirement.retiring import workflow
from retirement.scheduling import workflow as scheduling
from retirement.scheduling.ports import Timer
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import (
    SCHEDULE_SETTINGS,
    START,
    Call,
    Crash,
    Interference,
    Parsed,
    World,
    cancelled,
    entry_of,
    requested,
)
from tests.faults.stage import in_process

DAY = timedelta(days=1)
DATE, LATER, END = START + 7 * DAY, START + 14 * DAY, START + 30 * DAY
LOCK_EXPIRY = 61.0
MAX_CALLS = 40


class Step(StrEnum):
    """What happens in a play."""

    ASK = "ask for a date"
    MOVE = "move it to later"
    NOW = "move it to now"
    CANCEL = "cancel"
    DUE = "the date comes"
    HELD = "the date comes, and its message waits"
    RETIRE = "the message that waited"
    PLAIN = "ask without a date"


PLAYS = [
    (Step.ASK, Step.DUE),
    (Step.ASK, Step.MOVE, Step.DUE),
    (Step.MOVE, Step.ASK, Step.DUE),
    (Step.ASK, Step.NOW, Step.DUE),
    (Step.ASK, Step.CANCEL, Step.DUE),
    (Step.ASK, Step.DUE, Step.CANCEL),
    (Step.CANCEL, Step.ASK, Step.DUE),
    (Step.ASK, Step.HELD, Step.CANCEL, Step.RETIRE),
    (Step.ASK, Step.HELD, Step.RETIRE, Step.CANCEL),
    (Step.PLAIN, Step.CANCEL),
    (Step.CANCEL, Step.PLAIN),
    (Step.PLAIN, Step.MOVE, Step.DUE),
]
ASKED_FOR = {Step.ASK: (DATE, START), Step.MOVE: (LATER, START + DAY / 24), Step.NOW: (START, START + DAY / 12)}


class Strike(StrEnum):
    """What strikes a call."""

    NOTHING = "nothing"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    CRASH_FOR_LONG = "crash after, and it comes again weeks later"
    FAIL_BEFORE = "failure before its effect"
    FAIL_AFTER = "failure after its effect"


@dataclass(frozen=True)
class Case:
    """At call `number` (from 1) of the step at index `at`, all of `meanwhile` happens, and then the strike."""

    steps: tuple[Step, ...]
    at: int
    meanwhile: Step | None
    strike: Strike
    number: int

    def __str__(self) -> str:
        return f"{' > '.join(self.steps)} / {self.steps[self.at]} / {self.meanwhile} / {self.strike} / {self.number}"


class Play:
    """One case, played in a world of its own."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.was_struck = False
        self.world = World()
        self.world.databrain.datamarts["sales"] = entry_of()
        self.world.clock.advance(6 * 3_600)  # all of them were sent by now
        if case.meanwhile is not None:  # a reminder looks after the date once more: it has to stand without
            self.world.schedule_settings = replace(SCHEDULE_SETTINGS, reminder_lead_time=None)
        self._calls = 0
        self._waiting: list[str] = []
        self._later: list[Callable[[], None]] = []
        self._is_late = False
        for index, step in enumerate(case.steps):
            self._happen(step, self._interfere if index == case.at else None)
        self._wait(LATER + DAY)
        self._is_late = True
        for deliver in self._later:
            deliver()
            self._forward()
        self._wait(END)
        self.receipt = self.world.evidence.objects.get(retirement_key("sales", "offboard-1", "receipt.json"))
        for step in case.steps:
            self._happen(step)
        self._wait(END + DAY)

    def _happen(self, step: Step, interference: Interference | None = None) -> None:
        match step:
            case Step.DUE:
                self._wait(DATE, interference)
            case Step.HELD:
                self._pass_time(DATE)
                self._waiting += [body for key, body in self._gone_off(DATE) if key is Timer.RETIRE]
            case Step.RETIRE:
                while self._waiting:
                    self._retire(self._waiting.pop(), interference)
            case Step.PLAIN:
                self._deliver(self.world.deliver_alongside, requested(), interference)
            case _:
                self._deliver(self.world.schedule_alongside, event_of(step), interference)
                self._forward(interference)

    def _forward(self, interference: Interference | None = None) -> None:
        while self.world.outbox.sent:
            self._retire(self.world.outbox.sent.pop(0)[0], interference)

    def _wait(self, until: datetime, interference: Interference | None = None) -> None:
        """Let timers go off, in order, until then."""
        for timer, body in self._gone_off(until):
            if timer is Timer.REMIND:
                self._deliver(self.world.schedule_alongside, body, None)
            else:
                self._retire(body, interference)
        self._pass_time(until)

    def _gone_off(self, until: datetime) -> Iterator[tuple[Timer, str]]:
        timers = self.world.timers.standing
        while due := sorted((at, key, body) for key, (at, body) in timers.items() if at <= until):
            at, key, body = due[0]
            self._pass_time(at)
            del timers[key]
            yield key[0], body

    def _retire(self, body: str, interference: Interference | None) -> None:
        self._deliver(self.world.deliver_alongside, body, interference, sent_at=self.world.clock.now())

    def _deliver(
        self, to: Callable[..., Parsed], event: object, interference: Interference | None, **options: object
    ) -> None:
        """Deliver until it is answered: what strikes once passes."""
        for receive_count in range(1, MAX_RECEIVES):
            self.world.clock.begin_invocation()
            try:
                to(event, *filter(None, [interference]), receive_count=receive_count, **options)
            except Crash:
                self.world.clock.advance(LOCK_EXPIRY)
                if self.case.strike is Strike.CRASH_FOR_LONG:
                    self._later.append(partial(self._deliver, to, event, None, **options))
                    return
            except RetirementError:
                self.world.clock.advance(LOCK_EXPIRY)
            else:
                return
        assert not self._is_late, f"not answered: {self.case}"
        self._later.append(partial(self._deliver, to, event, None, **options))  # sent again from Failures

    def _pass_time(self, until: datetime) -> None:
        self.world.clock.advance(max(0.0, (until - self.world.clock.now()).total_seconds()))

    def _interfere(self, call: Call) -> object:
        self._calls += 1
        if self._calls != self.case.number:
            return call.proceed()
        self.was_struck = True
        if self.case.meanwhile is not None:
            with suppress(RetirementError):  # it would come again, and finds what has become of it
                self._happen_alongside(self.case.meanwhile)
        if self.case.strike is Strike.CRASH_BEFORE:
            raise Crash(call.name)
        if self.case.strike is Strike.FAIL_BEFORE:
            raise AwsCallFailed(call.name)
        answer = call.proceed()
        if self.case.strike in {Strike.CRASH_AFTER, Strike.CRASH_FOR_LONG}:
            raise Crash(call.name)
        if self.case.strike is Strike.FAIL_AFTER:
            raise AwsCallFailed(call.name)
        return answer

    def _happen_alongside(self, step: Step) -> None:
        if step is not Step.RETIRE:
            self.world.schedule_alongside(event_of(step))
        elif self._waiting:
            self.world.deliver_alongside(self._waiting.pop(), sent_at=self.world.clock.now())


def event_of(step: Step) -> Parsed:
    """The event that is sent; the same each time."""
    if step is Step.CANCEL:
        return cancelled()
    date, asked_at = ASKED_FOR[step]
    return requested(retireAt=format_timestamp(date)) | {"id": step.name, "time": format_timestamp(asked_at)}


def plays(steps: tuple[Step, ...], at: int, meanwhile: Step | None) -> Iterator[Play]:
    """Each strike at each call of one step."""
    alone = [strike for strike in Strike if strike is not Strike.NOTHING]
    for strike in alone if meanwhile is None else [Strike.NOTHING, Strike.CRASH_FOR_LONG]:
        for number in range(1, MAX_CALLS):
            play = Play(Case(steps, at, meanwhile, strike, number))
            if not play.was_struck:
                break
            yield play


# ---- What holds ----------------------------------------------------------------------------------------------------


def broken(play: Play) -> list[str]:
    """What should hold after any play, and does not."""
    world, happened = play.world, {*play.case.steps, play.case.meanwhile}
    told = [result["outcome"] for result in world.published]
    receipt = play.receipt
    kept = {_message(stored.body) for stored in world.evidence.objects.values()}
    ends = {"deleted", "cancelled"} if Step.CANCEL in happened else {"deleted"}
    # of a date that is asked for in the middle of a request for now, nothing is promised
    may_be_now = Step.NOW in happened or (Step.PLAIN in happened and play.case.meanwhile is not None)
    rules = {
        "it is deleted at most once": len(world.databrain.permits) <= 1,
        "it ends in one receipt": receipt is not None and _parsed(receipt.body)["outcome"] in ends,
        "the receipt is published": receipt is not None and receipt.body in world.results_topic.messages,
        "what is told to be cancelled is not deleted": not ("cancelled" in told and world.databrain.deleted),
        "what is told to be deleted is, and nothing else": ("deleted" in told) == bool(world.databrain.deleted),
        "everything published is stored, to the byte": set(world.results_topic.messages) <= kept,
        "it is not deleted before the date that stands": may_be_now or _in_time(world.published),
        "no timer is left": not world.timers.standing,
    }
    return [rule for rule, holds in rules.items() if not holds]


def _in_time(published: list[Parsed]) -> bool:
    """By what was told until then."""
    dates = []
    for result in published:
        if result["outcome"] == "scheduled":
            dates.append((result["requestedAt"], result["retireAt"]))
        if result["outcome"] == "deleted":
            return not dates or parse_timestamp(result["startedAt"]) >= parse_timestamp(max(dates)[1])
    return True


def _message(body: str) -> str:
    return ordered_json({name: value for name, value in _parsed(body).items() if name != "event"})


def _parsed(body: str) -> Parsed:
    return parse_json(body)


MEANWHILE = [None, Step.ASK, Step.MOVE, Step.NOW, Step.CANCEL, Step.RETIRE]
PLACES = [
    (steps, at, meanwhile)
    for steps in PLAYS
    for at in range(len(steps))
    for meanwhile in MEANWHILE
    if steps[at] is not Step.HELD and (meanwhile is not Step.RETIRE or Step.HELD in steps[:at])
]


@pytest.mark.parametrize(("steps", "at", "meanwhile"), PLACES, ids=str)
def test_whatever_strikes_and_whoever_comes(steps: tuple[Step, ...], at: int, meanwhile: Step | None) -> None:
    """Wherever a call fails or an invocation ends, and whatever happens at that moment, every rule holds."""
    with in_process():
        failed = {str(play.case): found for play in plays(steps, at, meanwhile) if (found := broken(play))}
    assert failed == {}


def _without_later(attempt: Attempt[Any]) -> Record:
    """See nothing that was kept since an invocation began."""
    invocation = attempt.ports.telemetry, attempt.delivery.invocation_id
    if invocation not in _records:
        _records[invocation] = _record_of(attempt)
    return _records[invocation]


_records: dict[tuple[object, str], Record] = {}
_record_of = Attempt.record


# What breaks without the guard, and how to take it away.
GUARDS: dict[str, tuple[str, AbstractContextManager[object]]] = {
    "a retirement looks for a cancellation, and what ended it, after its intent": (
        "what is told to be cancelled is not deleted",
        patch.object(workflow, "_ended_meanwhile", lambda *_: None),
    ),
    "a cancellation looks for an intent": (
        "what is told to be cancelled is not deleted",
        patch.object(Record, "has_intent", new=False),
    ),
    "a date that is due is not moved": (
        "it is not deleted before the date that stands",
        patch.object(scheduling, "FROZEN", timedelta(seconds=-1)),
    ),
    "a retirement looks for the date that stands": (
        "it is not deleted before the date that stands",
        patch.object(workflow, "_is_ahead", lambda *_: False),
    ),
    "who sets a timer looks for a later date": (
        "it ends in one receipt",
        patch.object(Attempt, "record", _without_later),
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_is_load_bearing(guard: str) -> None:
    """Without the guard, the rule that it is there for breaks."""
    rule, removed = GUARDS[guard]
    with in_process(), removed:
        assert any(rule in broken(play) for place in PLACES for play in plays(*place))
