"""The cases of the matrix: where which fault strikes, what crashes, and in which order deliveries come."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from local.databrain.faults import RouteId
from retirement.databrain.copies import copy_name
from retirement.databrain.ports import DatabrainApi
from retirement.errors import RetirementError
from retirement.globs import DatamartLists
from retirement.requests import MAX_RECEIVES
from retirement.retiring.settings import Mode, RetireSettings, UndeterminedEmbeds
from retirement.timestamps import format_timestamp
from tests.fakes import SETTINGS, START, cancelled, requested
from tests.faults.stage import (
    CREATES,
    LOCK_EXPIRY,
    READS,
    Event,
    Stage,
    Strike,
    add_embed,
    add_workspace,
    embed,
    identity_of,
    is_request_to_databrain,
    organisation,
    put,
)
from tests.faults.wire import FAULTS_OF_RETIREMENTS, TRANSIENT, Fault, Reach

A_WEEK = 7 * 86_400.0
NAME = "sales"
COPY_NAME = copy_name(NAME, "offboard-1")


class Crashes(StrEnum):
    """Where the first invocation ends. Before the call, the fault strikes the first such call of the next delivery."""

    NONE = "no crash"
    BEFORE = "crash before"
    AFTER = "crash after"


class Order(StrEnum):
    """What comes besides the first delivery, each with the deliveries that it takes until the request has ended."""

    SINGLE = "single delivery"
    LATE = "late duplicate after the lock is gone"
    CONCURRENT = "concurrent duplicate, the lock lost"
    WAITING = "concurrent duplicate, the lock held"
    RECREATED_CONCURRENT = "concurrent duplicate and a re-creation, the lock lost"
    RECREATED = "duplicate after a re-creation"
    EDITED = "duplicate after an edit"
    ANOTHER_ID = "another id for the same name"
    ANOTHER_ID_CONCURRENT = "another id for the same name, concurrent, the lock lost"
    ANOTHER_DATAMART = "another datamart, concurrent"
    ABANDONED = "the same again until given up, then sent again"
    CANCELLED = "a cancellation meanwhile"
    NAME_TAKEN = "another datamart of the copy's name meanwhile"


_OF_REHEARSALS = {Order.CANCELLED, Order.NAME_TAKEN}
_ALL_ORDERS = tuple(order for order in Order if order not in {Order.ANOTHER_DATAMART, *_OF_REHEARSALS})
_CONCURRENT = {
    Order.CONCURRENT,
    Order.RECREATED_CONCURRENT,
    Order.WAITING,
    Order.ANOTHER_ID_CONCURRENT,
    Order.ANOTHER_DATAMART,
    *_OF_REHEARSALS,
}
_LOCKLESS = {Order.CONCURRENT, Order.RECREATED_CONCURRENT, Order.ANOTHER_ID_CONCURRENT}


@dataclass(frozen=True, eq=False)
class Scenario:
    """A stack, an organisation and a request; `orders` and `crashes` are those that are tried on it."""

    name: str
    settings: RetireSettings = SETTINGS
    detail: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Stage], object] = lambda _: None
    lists_created_at: bool = True
    is_forbidden: bool = False  # a rule says no, whatever happens
    orders: tuple[Order, ...] = (Order.SINGLE, Order.CONCURRENT)
    crashes: tuple[Crashes, ...] = (Crashes.NONE,)
    struck: range | None = None  # the numbers of the calls that something happens at; None: all

    def stage(self) -> Stage:
        """A new one."""
        stage = Stage(self.settings, organisation(lists_created_at=self.lists_created_at))
        self.prepare(stage)
        return stage

    @property
    def event(self) -> Event:
        """The request."""
        return requested(**self.detail)

    @property
    def reports(self) -> bool:
        """Whether undetermined embeds are reported only."""
        return self.settings.undetermined_embeds is UndeterminedEmbeds.REPORT

    @property
    def rehearses(self) -> bool:
        """Whether the restore is rehearsed first."""
        return bool(self.detail.get("rehearse"))

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing may be sent but reads."""
        return self.settings.mode is Mode.PLAN or bool(self.detail.get("dryRun"))


# Within the minute by which a request may be early.
DUE = format_timestamp(START + timedelta(seconds=55))


def _list(stage: Stage, **globs: tuple[str, ...]) -> None:
    stage.datamart_lists.lists = DatamartLists("s3://lists/datamarts.json", **globs)


def _reviewed(stage: Stage) -> None:
    used = embed("used", NAME)
    add_embed(stage.organisation, used, embed("unclear", None))
    add_workspace(stage.organisation, "Sales", used)


# The calls of a rehearsal, from its list of the record to `rehearsed.json`; the others are those of any retirement.
REHEARSAL = range(16, 37)


_LEGACY = replace(SETTINGS, databrain_api=DatabrainApi.LEGACY)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("a backup is asked for", orders=_ALL_ORDERS, crashes=tuple(Crashes)),
        Scenario(
            "a backup is asked for, no createdAt",
            lists_created_at=False,
            orders=(
                Order.SINGLE,
                Order.CONCURRENT,
                Order.RECREATED_CONCURRENT,
                Order.RECREATED,
                Order.EDITED,
                Order.ANOTHER_ID,
                Order.ABANDONED,
            ),
            crashes=tuple(Crashes),
        ),
        Scenario(
            "no backup is asked for",
            detail={"backup": False},
            orders=(Order.SINGLE, Order.RECREATED, Order.EDITED),
            crashes=(Crashes.NONE, Crashes.AFTER),
        ),
        Scenario(
            "no backup is asked for, a legacy server",
            settings=replace(_LEGACY, backup_by_default=False),
            lists_created_at=False,
            orders=(Order.SINGLE, Order.RECREATED, Order.CONCURRENT, Order.ABANDONED),
            crashes=(Crashes.NONE, Crashes.AFTER),
        ),
        Scenario(
            "dependents are ignored",
            detail={"dependents": "ignore"},
            prepare=lambda stage: add_embed(stage.organisation, embed("used", NAME), embed("unclear", None)),
        ),
        Scenario(
            "dependents are reviewed",
            detail={"reviewedEmbeds": ["used", "unclear"]},
            prepare=_reviewed,
        ),
        Scenario("dry run", detail={"dryRun": True}, crashes=tuple(Crashes)),
        Scenario("dry run, no createdAt", detail={"dryRun": True}, lists_created_at=False),
        Scenario("plan mode", settings=replace(SETTINGS, mode=Mode.PLAN)),
        Scenario(
            "its date has come",
            detail={"retireAt": DUE},
            prepare=lambda stage: stage.schedule(requested(retireAt=DUE)),
            orders=(Order.SINGLE, Order.LATE, Order.CONCURRENT, Order.RECREATED, Order.ABANDONED),
            crashes=(Crashes.NONE, Crashes.AFTER),
        ),
        Scenario(
            "a rehearsal",
            detail={"rehearse": True},
            orders=(Order.SINGLE, Order.ABANDONED),
            crashes=tuple(Crashes),
            struck=REHEARSAL,
        ),
        Scenario(
            "a rehearsal amid others",
            detail={"rehearse": True},
            orders=(Order.CONCURRENT, Order.CANCELLED, Order.NAME_TAKEN),
            crashes=(Crashes.NONE, Crashes.AFTER),
            struck=REHEARSAL,
        ),
        Scenario("it was cancelled", prepare=lambda stage: stage.schedule(cancelled()), is_forbidden=True),
        Scenario("protected", settings=replace(SETTINGS, protected_datamarts=("SAL*",)), is_forbidden=True),
        Scenario("not retirable", settings=replace(SETTINGS, retirable_datamarts=("tenant-*",)), is_forbidden=True),
        Scenario(
            "protected by the owner's file",
            prepare=lambda stage: _list(stage, protected=("hr", "SAL*")),
            is_forbidden=True,
        ),
        Scenario(
            "not retirable by the owner's file",
            prepare=lambda stage: _list(stage, retirable=("tenant-*",)),
            is_forbidden=True,
        ),
        Scenario("limit reached", settings=replace(SETTINGS, max_retirements_per_day=0), is_forbidden=True),
        Scenario(
            "limit of one",
            settings=replace(SETTINGS, max_retirements_per_day=1),
            orders=(Order.ANOTHER_DATAMART,),
            crashes=(Crashes.NONE, Crashes.AFTER),
        ),
        Scenario(
            "ambiguous name",
            prepare=lambda stage: put(stage.organisation, "Sales ", START - timedelta(days=2)),
            is_forbidden=True,
        ),
        Scenario(
            "created after the request",
            prepare=lambda stage: put(stage.organisation, NAME, START + timedelta(seconds=1)),
            is_forbidden=True,
        ),
        Scenario("plan drifted", detail={"planId": "0" * 64}, is_forbidden=True),
        Scenario(
            "an embed uses it",
            prepare=lambda stage: add_embed(stage.organisation, embed("used", NAME)),
            is_forbidden=True,
        ),
        Scenario(
            "an embed may use it",
            prepare=lambda stage: add_embed(stage.organisation, embed("unclear", None)),
            is_forbidden=True,
        ),
        Scenario(
            "an embed uses it, undetermined ones are reported",
            settings=replace(SETTINGS, undetermined_embeds=UndeterminedEmbeds.REPORT),
            prepare=lambda stage: add_embed(stage.organisation, embed("used", NAME)),
            is_forbidden=True,
        ),
    )
}


@dataclass(frozen=True)
class AtLast:
    """What strikes the last receive, at the call of this number (from 1)."""

    number: int
    fault: Fault | None
    reach: Reach
    crash: Crashes

    def __str__(self) -> str:
        what = self.crash if self.fault is None else f"{self.fault} {self.reach}"
        return f"at last {self.number} {what}"


@dataclass(frozen=True)
class Case:
    """One case; without a fault, `inner` is the call at which a concurrent duplicate crashes."""

    scenario: Scenario
    number: int
    call: str
    order: Order
    fault: Fault | None = None
    reach: Reach = Reach.ONCE
    crash: Crashes = Crashes.NONE
    inner: int | None = None
    at_last: AtLast | None = None

    @property
    def name(self) -> str:
        """By which it can be run alone."""
        what = str(self.fault or "no fault") if self.inner is None else f"duplicate crashes at call {self.inner}"
        place = f"{self.number} {self.call}"
        parts = (self.scenario.name, place, what, self.reach, self.crash, self.order, self.at_last)
        return " / ".join(str(part) for part in parts if part is not None)


@cache
def calls_of(scenario: Scenario) -> tuple[str, ...]:
    """The calls that go out in a run without faults."""
    stage = scenario.stage()
    stage.deliver(scenario.event)
    assert stage.line is not None
    return tuple(stage.line.calls)


def all_cases() -> Iterator[Case]:
    """Every case of the matrix, in order; those of one scenario and call come together."""
    for scenario in SCENARIOS.values():
        calls = calls_of(scenario)
        struck = scenario.struck or range(1, len(calls) + 1)
        for number, call in enumerate(calls, start=1):
            if number not in struck:
                continue
            yield from _faults_at(scenario, number, call)
            if Order.ABANDONED in scenario.orders and call not in calls[: number - 1]:
                yield from _abandoned_at(scenario, number, call)
        if Order.CONCURRENT in scenario.orders and Crashes.AFTER in scenario.crashes:
            for number in struck:
                for inner in struck:
                    yield Case(scenario, number, calls[number - 1], Order.CONCURRENT, inner=inner)


def _faults_at(scenario: Scenario, number: int, call: str) -> Iterator[Case]:
    for order in scenario.orders:
        if order is Order.ABANDONED:
            continue
        if order is Order.RECREATED_CONCURRENT and "coordination.reserve" in calls_of(scenario)[: number - 2]:
            continue  # the intent is written: a re-creation before the delete cannot be seen (docs/safety.md)
        for fault in _possible(scenario, number, call):
            for crash in scenario.crashes:
                if fault is Fault.STILL_LISTED and call == RouteId.LIST_DATAMARTS and crash is Crashes.BEFORE:
                    continue  # a list that lags behind for longer than a delivery: docs/safety.md, "Not promised"
                reach = Reach.LASTING if is_request_to_databrain(call) else Reach.ONCE
                yield Case(scenario, number, call, order, fault, reach, crash)
            if is_request_to_databrain(call) and fault in TRANSIENT:
                yield Case(scenario, number, call, order, fault, Reach.ONCE)
                yield Case(scenario, number, call, order, fault, Reach.OUTAGE)


def _abandoned_at(scenario: Scenario, number: int, call: str) -> Iterator[Case]:
    """The call fails, or ends the invocation, in every attempt; then something may strike the last receive too."""
    case = Case(scenario, number, call, Order.ABANDONED, reach=Reach.LASTING)
    for fault in _possible(scenario, number, call):
        yield replace(case, fault=fault)
    for crash in (Crashes.BEFORE, Crashes.AFTER):
        yield replace(case, crash=crash)
    if call in {RouteId.LIST_DATAMARTS, RouteId.DELETE_DATAMART}:
        for at_last in _at_last():
            yield replace(case, fault=Fault.STATUS_503, at_last=at_last)
            yield replace(case, crash=Crashes.AFTER, at_last=at_last)


# The calls of a last receive that gives up: receipt, intent, reason, failure, publication, and back to the queue.
_LAST_CALLS = 6


def _at_last() -> Iterator[AtLast]:
    for number in range(1, _LAST_CALLS + 1):
        for crash in (Crashes.BEFORE, Crashes.AFTER):
            yield AtLast(number, None, Reach.ONCE, crash)
        for fault in (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER):
            for reach in (Reach.ONCE, Reach.LASTING):
                yield AtLast(number, fault, reach, Crashes.NONE)


def _possible(scenario: Scenario, number: int, call: str) -> Iterator[Fault]:
    if not is_request_to_databrain(call):
        yield Fault.TIMEOUT_BEFORE
        if call not in READS:
            yield Fault.TIMEOUT_AFTER
        return
    is_after_delete = RouteId.DELETE_DATAMART in calls_of(scenario)[: number - 1]
    for fault in Fault if scenario.rehearses and call in CREATES else FAULTS_OF_RETIREMENTS:
        if fault is Fault.STILL_LISTED and not (
            call == RouteId.DELETE_DATAMART or (call == RouteId.LIST_DATAMARTS and is_after_delete)
        ):
            continue
        if fault is Fault.STATUS_404 and call == RouteId.GET_SEMANTIC_LAYER:
            continue  # an answer: there is none (docs/safety.md, "Not promised")
        if fault in {Fault.STATUS_401, Fault.STATUS_403} and call == RouteId.LIST_EMBEDS and scenario.reports:
            continue  # what such a key hides is undetermined, which this stack only reports
        yield fault


def played(case: Case, event: Event | None = None) -> Stage:
    """Play a case to its end, with its own request or another one."""
    event = event or case.scenario.event
    random.seed(case.name)  # the client's jitter
    stage = case.scenario.stage()
    stage.is_lockless = case.order in _LOCKLESS
    if case.order is Order.ABANDONED:
        _give_up(case, stage, event)
        return stage
    stage.deliver(
        event,
        Strike(
            case.number,
            None if case.crash is Crashes.BEFORE else case.fault,
            case.reach,
            crash_before=case.crash is Crashes.BEFORE,
            crash_after=case.crash is Crashes.AFTER,
            meanwhile=_others(case, stage, event),
        ),
    )
    other = _other(case.order, event)
    if case.order is Order.RECREATED:
        stage.clock.advance(LOCK_EXPIRY)
        stage.create(NAME)
    if case.order is Order.EDITED:
        stage.edit(NAME)
    if other is not event:
        to_its_end(stage, other)
    to_its_end(stage, event, Strike(case.call, case.fault, case.reach) if case.crash is Crashes.BEFORE else None)
    if case.order in {Order.LATE, Order.RECREATED}:
        stage.clock.advance(A_WEEK)
        stage.deliver(event)
        to_its_end(stage, event)
    return stage


def _give_up(case: Case, stage: Stage, event: Event) -> None:
    """Let every attempt end alike; then the last receive, and all that comes after the message was sent again."""
    strike = _strike(case.call, case)
    while not has_result(stage, event) and stage.receives.get(identity_of(event), 0) < MAX_RECEIVES - 1:
        stage.deliver(event, strike)
    if has_result(stage, event):
        return
    stage.deliver(event, None if case.at_last is None else _strike(case.at_last.number, case.at_last))
    if not has_result(stage, event):
        stage.deliver(event)  # sent again from Failures
        to_its_end(stage, event)


def _strike(at: int | str, what: Case | AtLast) -> Strike:
    return Strike(
        at,
        what.fault,
        what.reach,
        crash_before=what.crash is Crashes.BEFORE,
        crash_after=what.crash is Crashes.AFTER,
    )


def to_its_end(stage: Stage, event: Event, strike: Strike | None = None) -> None:
    """Deliver until the request has its result, or its receives are used up."""
    while not has_result(stage, event) and stage.receives.get(identity_of(event), 0) < MAX_RECEIVES:
        stage.deliver(event, strike)
        strike = None


def has_result(stage: Stage, event: Event) -> bool:
    """Whether the last delivery of a request brought its result."""
    results = [ending.result for ending in stage.endings if identity_of(ending.event) == identity_of(event)]
    return bool(results) and results[-1] is not None


def _other(order: Order, event: Event) -> Event:
    if order in {Order.ANOTHER_ID, Order.ANOTHER_ID_CONCURRENT}:
        return {**event, "detail": {**event["detail"], "retirementId": "offboard-2"}}
    if order is Order.ANOTHER_DATAMART:
        return {**event, "detail": {**event["detail"], "datamartName": "returns", "dependents": "ignore"}}
    return event


def _others(case: Case, stage: Stage, event: Event) -> Callable[[], object] | None:
    if case.order not in _CONCURRENT:
        return None
    strike = None if case.inner is None else Strike(case.inner, crash_before=True)

    def act() -> None:
        if case.order is Order.CANCELLED:
            with suppress(RetirementError):
                stage.schedule(cancelled())
            return
        if case.order is Order.NAME_TAKEN:
            if COPY_NAME not in stage.organisation.datamarts:
                put(stage.organisation, COPY_NAME, stage.clock.now(), "of somebody else")
            return
        stage.deliver_alongside(_other(case.order, event), strike)
        if case.order is Order.RECREATED_CONCURRENT:
            stage.clock.advance(1)
            stage.create(NAME)

    return act
