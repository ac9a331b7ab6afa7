"""Approvals: what holds wherever something strikes, and whoever comes in between.

A play is a list of what people do, in order. At each call of one step something strikes, or another step happens there.
Every event is delivered until it is answered; what the functions send to one another and what timers send arrives.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from retirement.canonical import ordered_json, parse_json
from retirement.delivery.endings import as_published
from retirement.errors import AwsCallFailed, RetirementError
from retirement.record import record as records
from retirement.record.keys import plan_key, retirement_key
from retirement.record.record import Record
from retirement.requests import MAX_RECEIVES
from retirement.retiring import approval, workflow
from retirement.scheduling import workflow as scheduling
from retirement.scheduling.ports import Timer
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import (
    SCHEDULE_SETTINGS,
    SETTINGS,
    START,
    Call,
    Crash,
    Interference,
    Parsed,
    World,
    approved,
    cancelled,
    entry_of,
    requested,
)
from tests.faults.stage import in_process

DAY = timedelta(days=1)
DATE, END = START + DAY / 24, START + 40 * DAY
FOLDER = "retirements/sales/offboard-1/"
LOCK_EXPIRY = 61.0
MAX_CALLS = 40
REQUESTER, STARTER = "ops@example.com", "sweeper@example.com"


class Step(StrEnum):
    """What happens in a play."""

    ASK = "request"
    DATED = "request a date"
    APPROVE = "approve what is asked for"
    SECOND = "a second person approves"
    AGAIN = "the same person approves, spelt otherwise"
    OWN = "the requester approves"
    STARTER = "who started the sweep approves"
    EARLY = "approve the plan of a dry run"
    FIRST_PLAN = "approve the first plan"
    FORGED = "approve from a source of requests"
    EDIT = "edit the datamart"
    BACK = "undo the edit"
    CANCEL = "cancel"
    WAIT = "two weeks pass"


# How many approvals are required, and what happens.
PLAYS: list[tuple[int, tuple[Step, ...]]] = [
    (1, (Step.ASK, Step.APPROVE)),
    (1, (Step.ASK, Step.APPROVE, Step.APPROVE, Step.ASK)),
    (1, (Step.DATED, Step.APPROVE)),
    (1, (Step.EARLY, Step.ASK)),
    (1, (Step.ASK, Step.OWN, Step.STARTER, Step.FORGED)),
    (1, (Step.ASK, Step.EDIT, Step.APPROVE)),
    (1, (Step.ASK, Step.EDIT, Step.APPROVE, Step.BACK, Step.FIRST_PLAN, Step.ASK)),
    (1, (Step.ASK, Step.EDIT, Step.ASK, Step.FIRST_PLAN)),
    (1, (Step.ASK, Step.APPROVE, Step.CANCEL)),
    (1, (Step.ASK, Step.CANCEL, Step.APPROVE)),
    (1, (Step.CANCEL, Step.ASK, Step.APPROVE)),
    (2, (Step.ASK, Step.APPROVE, Step.AGAIN)),
    (2, (Step.ASK, Step.APPROVE, Step.SECOND)),
    (2, (Step.ASK, Step.APPROVE, Step.WAIT, Step.SECOND)),
    (2, (Step.ASK, Step.APPROVE, Step.EDIT, Step.ASK, Step.SECOND)),
]


class Strike(StrEnum):
    """What strikes a call."""

    NOTHING = "nothing"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    FAIL_BEFORE = "failure before its effect"
    FAIL_AFTER = "failure after its effect"


@dataclass(frozen=True)
class Case:
    """At call `number` (from 1) of the step at index `at`, all of `meanwhile` happens, and then the strike."""

    required: int
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
        self.world = world = World()
        world.databrain.datamarts["sales"] = entry_of()
        world.settings = replace(SETTINGS, approvals_required=case.required)
        world.schedule_settings = replace(
            SCHEDULE_SETTINGS, approvals_required=case.required, approval_sources=("approvals",)
        )
        self.deleted: list[tuple[datetime, str]] = []  # when, and the plan of what was deleted
        self._sent = 0
        self._calls = 0
        for index, step in enumerate(case.steps):
            self._happen(step, self._interfere if index == case.at else None)
        self._pass_time(END)
        self.receipt = world.evidence.objects.get(f"{FOLDER}receipt.json")

    # ---- What happens ----------------------------------------------------------------------------------------------

    def _happen(self, step: Step, interference: Interference | None = None) -> None:
        match step:
            case Step.WAIT:
                self._pass_time(self.world.clock.now() + 14 * DAY)
            case Step.EDIT | Step.BACK:
                self._edit(step)
            case Step.ASK:
                self._deliver(self.world.deliver_alongside, self._event(step), interference)
            case Step.DATED:
                self._deliver(self.world.schedule_alongside, self._event(step), interference)
                self._pass_time(DATE + DAY / 24, interference)
            case _:
                self._deliver(self.world.schedule_alongside, self._event(step), interference)
        self._forward(interference)

    def _happen_alongside(self, step: Step) -> None:
        if step is Step.EDIT:
            self._edit(step)
        elif step is Step.ASK:
            self.world.deliver_alongside(self._event(step), self._observe, sent_at=self.world.clock.now())
        else:
            self.world.schedule_alongside(self._event(step))

    def _edit(self, step: Step) -> None:
        if "sales" in self.world.databrain.datamarts:
            self.world.databrain.datamarts["sales"] = entry_of(label="Orders" if step is Step.BACK else "edited")

    def _event(self, step: Step) -> Parsed:
        asks = self.asks
        asked_for, first = (asks[-1]["planId"], asks[0]["planId"]) if asks else ("0" * 64,) * 2
        match step:
            case Step.ASK:
                return requested(startedBy=STARTER)
            case Step.DATED:
                return requested(startedBy=STARTER, retireAt=format_timestamp(DATE))
            case Step.CANCEL:
                return cancelled()
            case Step.EARLY:
                dry = requested(dryRun=True, retirementId="dry")
                return self._sent_now(approved(str(self.world.deliver_alongside(dry)["planId"])))
            case Step.FIRST_PLAN:
                return self._sent_now(approved(first, "third@example.com"))
            case Step.FORGED:
                return self._sent_now(approved(asked_for, "mallory") | {"source": "datamart.lifecycle"})
        name = {
            Step.SECOND: "second@example.com",
            Step.AGAIN: " OWNER@example.com",
            Step.OWN: REQUESTER.upper(),
            Step.STARTER: f"{STARTER} ",
        }.get(step, "owner@example.com")
        return self._sent_now(approved(asked_for, name))

    def _sent_now(self, event: Parsed) -> Parsed:
        self._sent += 1
        return event | {"time": format_timestamp(self.world.clock.now()), "id": f"approval {self._sent}"}

    @property
    def asks(self) -> list[Parsed]:
        """All asks, in order."""
        objects = self.world.evidence.objects
        numbers = range(1, len(objects) + 1)
        keys = [f"{FOLDER}approval-asked-{number}.json" for number in numbers]
        return [_parsed(objects[key].body) for key in keys if key in objects]

    def _forward(self, interference: Interference | None = None) -> None:
        world = self.world
        for _ in range(20):
            if not (world.scheduling.sent or world.outbox.sent):
                return
            while world.scheduling.sent:
                self._deliver(world.schedule_alongside, world.scheduling.sent.pop(0)[0], interference)
            while world.outbox.sent:
                body = world.outbox.sent.pop(0)[0]
                self._deliver(world.deliver_alongside, body, interference, sent_at=world.clock.now())
        raise AssertionError(f"the functions play ping-pong: {self.case}")

    def _pass_time(self, until: datetime, interference: Interference | None = None) -> None:
        timers, clock = self.world.timers.standing, self.world.clock
        while due := sorted((at, key, body) for key, (at, body) in timers.items() if at <= until):
            at, key, body = due[0]
            clock.advance(max(0.0, (at - clock.now()).total_seconds()))
            del timers[key]
            if key[0] is Timer.RETIRE:
                self._deliver(self.world.deliver_alongside, body, interference, sent_at=clock.now())
            else:
                self._deliver(self.world.schedule_alongside, body, interference)
            self._forward(interference)
        clock.advance(max(0.0, (until - clock.now()).total_seconds()))

    def _deliver(
        self, to: Callable[..., Parsed], event: object, interference: Interference | None, **options: object
    ) -> None:
        """Deliver until it is answered: what strikes once passes."""
        observed = [self._observe, *([interference] if interference else [])]
        for receive_count in range(1, MAX_RECEIVES):
            self.world.clock.begin_invocation()
            try:
                to(event, *observed, receive_count=receive_count, **options)
            except (Crash, RetirementError):
                self.world.clock.advance(LOCK_EXPIRY)
            else:
                return
        raise AssertionError(f"not answered: {self.case}")

    def _observe(self, call: Call) -> object:
        """Note the plan of what a delete request removes, as a dry run would have made it of that."""
        before = dict(self.world.databrain.datamarts)
        try:
            return call.proceed()
        finally:
            if call.name == "databrain.delete" and before.keys() - self.world.databrain.datamarts.keys():
                intent = _parsed(self.world.evidence.objects[f"{FOLDER}intent.json"].body)
                self.deleted.append((self.world.clock.now(), self._plan_of(before, intent["planId"])))

    def _plan_of(self, datamarts: dict[str, Any], plan_id: str) -> str:
        """The plan of the datamart that was there, made in a world without approvals; `plan_id` if it says the same.

        An edit between the snapshot and the delete cannot be seen (docs/safety.md).
        """
        if self.case.meanwhile is Step.EDIT:
            return plan_id
        other = World()
        other.databrain.datamarts |= datamarts
        made: str = other.deliver(requested(dryRun=True))["planId"]
        return plan_id if made == plan_id else f"{made}, and not {plan_id}"

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
        if self.case.strike is Strike.CRASH_AFTER:
            raise Crash(call.name)
        if self.case.strike is Strike.FAIL_AFTER:
            raise AwsCallFailed(call.name)
        return answer


def plays(required: int, steps: tuple[Step, ...], at: int, meanwhile: Step | None) -> Iterator[Play]:
    """Each strike at each call of one step."""
    alone = [strike for strike in Strike if strike is not Strike.NOTHING]
    for strike in alone if meanwhile is None else [Strike.NOTHING, Strike.CRASH_AFTER]:
        for number in range(1, MAX_CALLS):
            play = Play(Case(required, steps, at, meanwhile, strike, number))
            if not play.was_struck:
                break
            yield play


# ---- What holds ----------------------------------------------------------------------------------------------------

APPROVED = "nothing is deleted without an approval of exactly that plan"
WAITS = "what is not approved is not deleted, and what is approved is"


def broken(play: Play) -> list[str]:
    """What should hold after any play, and does not."""
    world, receipt = play.world, play.receipt
    stored = {_message(kept.body) for kept in world.evidence.objects.values()}
    outcomes = [result["outcome"] for result in world.published if result["retirementId"] == "offboard-1"]
    happened = {*play.case.steps, play.case.meanwhile}
    edited = Step.EDIT in happened
    ended = {_parsed(receipt.body)["outcome"]} if receipt else set()
    may_end = {"deleted"} | ({"cancelled"} if Step.CANCEL in happened else set())
    may_end |= {"blocked"} if Step.WAIT in happened or edited else set()  # expired, or edited after the intent
    rules = {
        APPROVED: all(_is_approved(play, at, plan_id) for at, plan_id in play.deleted),
        "it is deleted at most once": len(play.deleted) <= 1,
        "what was cancelled is not deleted": not ("cancelled" in outcomes and play.deleted),
        "`deleted` is published if it is deleted, and only then": ("deleted" in outcomes) == bool(play.deleted),
        "it ends as something that happened": ended <= may_end,
        "an end is published": receipt is None or receipt.body in world.results_topic.messages,
        "what does not end waits for approval": receipt is not None or bool(play.asks) or Step.ASK not in happened,
        # unless it ended, or was approved, at the moment at which it was asked for
        "every ask is published": play.case.meanwhile is not None or _are_published(play, "approval-asked-"),
        "every approval is answered": _are_published(play, "approved-"),
        "what is published is stored, to the byte": set(world.results_topic.messages) <= stored,
        "a rejected approval is no receipt": "rejected" not in ended,
        "no timer is left": not world.timers.standing,
        WAITS: play.case.meanwhile is not None or _is_expected(play, ended),
    }
    return [rule for rule, holds in rules.items() if not holds]


def _is_expected(play: Play, ended: set[str]) -> bool:
    """The end of a play that nothing but faults disturbs."""
    expected: dict[tuple[Step, ...], set[str]] = {
        PLAYS[0][1]: {"deleted"},
        PLAYS[1][1]: {"deleted"},
        PLAYS[2][1]: {"deleted"},
        PLAYS[3][1]: set(),
        PLAYS[4][1]: set(),
        PLAYS[5][1]: set(),
        PLAYS[6][1]: {"deleted"},
        PLAYS[7][1]: set(),
        PLAYS[8][1]: {"deleted"},
        PLAYS[9][1]: {"cancelled"},
        PLAYS[10][1]: {"cancelled"},
        PLAYS[11][1]: set(),
        PLAYS[12][1]: {"deleted"},
        PLAYS[13][1]: {"blocked"},
        PLAYS[14][1]: set(),
    }
    return ended == expected[play.case.steps]


def _is_approved(play: Play, at: datetime, plan_id: str) -> bool:
    """By the evidence alone: enough other people have approved this plan, by an event from the approvers' source."""
    approvers = set()
    for key, stored in play.world.evidence.objects.items():
        if not key.startswith(f"{FOLDER}approved-"):
            continue
        result = _parsed(stored.body)
        event = _parsed(result["event"])
        person = event["detail"]["approvedBy"].strip().casefold()
        is_in_time = parse_timestamp(event["time"]) + 14 * DAY > at
        if event["detail"]["planId"] == plan_id and event["source"] == "approvals" and is_in_time:
            approvers.add(person)
    return len(approvers - {REQUESTER, STARTER}) >= play.case.required


def _are_published(play: Play, kind: str) -> bool:
    objects = play.world.evidence.objects.items()
    messages = {_message(stored.body) for key, stored in objects if key.startswith(f"{FOLDER}{kind}")}
    return messages <= set(play.world.results_topic.messages)


def _message(body: str) -> str:
    return ordered_json(as_published(_parsed(body)))


def _parsed(body: str) -> Parsed:
    return parse_json(body)


MEANWHILE = [None, Step.ASK, Step.APPROVE, Step.EDIT, Step.CANCEL]
DISTURBED = [PLAYS[number] for number in (0, 2, 5, 8, 12)]  # by something that happens meanwhile
PLACES = [
    (required, steps, at, meanwhile)
    for required, steps in PLAYS
    for at, step in enumerate(steps)
    for meanwhile in MEANWHILE
    if step not in {Step.EDIT, Step.BACK, Step.WAIT} and (meanwhile is None or (required, steps) in DISTURBED)
]


@pytest.mark.parametrize(("required", "steps", "at", "meanwhile"), PLACES, ids=str)
def test_whatever_strikes_and_whoever_comes(
    required: int, steps: tuple[Step, ...], at: int, meanwhile: Step | None
) -> None:
    """Wherever a call fails or an invocation ends, and whatever happens at that moment, every rule holds."""
    with in_process():
        found = {str(play.case): rules for play in plays(required, steps, at, meanwhile) if (rules := broken(play))}
    assert found == {}


# ---- Guards --------------------------------------------------------------------------------------------------------


def _of_any_plan(record: Record, _: str, requesters: Any = ()) -> Any:  # noqa: ANN401  # as the record's own
    """Count the approvals of all plans."""
    found: dict[str, datetime] = {}
    for plan_id in {given.plan_id for given in record.given_approvals}:
        found |= _APPROVERS(record, plan_id, requesters)
    return found


class _Nobody(set[str]):
    """Requesters that nobody is compared with."""

    def union(self, *_: object) -> set[str]:  # type: ignore[override]  # whatever is added
        return set()

    def issuperset(self, _: object) -> bool:
        return True


@contextmanager
def _without_expiry() -> Iterator[None]:
    """Judge no approval's age, neither at the decision nor before the delete."""
    with (
        patch.object(approval, "refuse_unapproved", lambda *_: None),
        patch.object(workflow, "refuse_unapproved", lambda *_: None),
    ):
        yield


_APPROVERS = Record.approvers

# What breaks without the guard, how to take it away, and where to look: the play, its step, and what happens meanwhile.
GUARDS: dict[str, tuple[str, Callable[[], AbstractContextManager[object]], tuple[int, int, Step | None]]] = {
    "approvals are counted": (
        APPROVED,
        partial(patch.object, Record, "approvers", lambda *_: dict.fromkeys("abc", END)),
        (4, 0, None),
    ),
    "an approval is of one plan": (APPROVED, partial(patch.object, Record, "approvers", _of_any_plan), (5, 2, None)),
    "an approval expires": (APPROVED, _without_expiry, (13, 3, None)),
    "requesters do not count": (
        APPROVED,
        partial(patch.object, Record, "requesters", lambda _: _Nobody()),
        (4, 1, None),
    ),
    "one person counts once": (APPROVED, partial(patch.object, records, "folded", lambda name: name), (11, 2, None)),
    "what is not approved waits": (
        WAITS,
        partial(patch.object, workflow, "wait_unless_approved", lambda *_: None),
        (7, 0, None),
    ),
    "a cancellation is looked for after the intent": (
        "what was cancelled is not deleted",
        partial(patch.object, workflow, "_ended_meanwhile", lambda *_: None),
        (0, 1, Step.CANCEL),
    ),
    "an approval is answered": (
        "every approval is answered",
        partial(patch.object, scheduling, "_answer_approval", lambda *_, **__: {}),
        (0, 1, None),
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_is_load_bearing(guard: str) -> None:
    """Without the guard, the rule that it is there for breaks."""
    rule, removal, (number, at, meanwhile) = GUARDS[guard]
    with in_process(), removal():
        assert any(rule in broken(play) for play in plays(*PLAYS[number], at, meanwhile))


def test_nothing_is_stored_of_a_plan_that_nobody_saw() -> None:
    """What was approved can be read afterwards: the plan of every ask is stored."""
    play = Play(Case(1, PLAYS[5][1], 0, None, Strike.NOTHING, 0))
    for ask in play.asks:
        assert plan_key("sales", ask["planId"]) in play.world.evidence.objects
    assert retirement_key("sales", "offboard-1", "receipt.json") not in play.world.evidence.objects
