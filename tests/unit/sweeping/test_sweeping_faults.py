"""Crashes and failures at each call of a sweep, and another sweep at each of them: the next one makes it good."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from retirement.errors import AwsCallFailed, DatabrainUnavailable
from retirement.sweeping.ids import Subject
from tests.fakes import Call, Crash, CrashAt, Parsed
from tests.sweep_world import OLD, RULE, SweepWorld, one_after_the_other, states
from tests.unit.sweeping.test_sweep_report import follows_schema
from tests.unit.sweeping.test_sweeping import valid

# What the world below has to come to: the number under which each datamart is asked for.
NUMBERS = {"trial-new": 1, "trial-unheard": 1, "trial-blocked": 2, "trial-scheduled": 1, "trial-lapsed": 1}


def make_world() -> SweepWorld:
    """One datamart of each kind: never asked for, asked and not heard of, ended, scheduled, and no longer matching."""
    world = SweepWorld()
    world.rules(RULE)
    world.datamarts("trial-unheard", "trial-blocked", "trial-scheduled", "trial-lapsed")
    world.sweep()
    by_name = {event.detail["datamartName"]: event for event in world.requests}
    world.end(by_name["trial-blocked"], "blocked")
    world.schedule(by_name["trial-scheduled"], by_name["trial-lapsed"])
    world.rules(RULE | {"exempt": ["*-lapsed"]})
    world.datamarts("trial-new", "sales")
    world.clock.advance(86_400)
    return world


@cache
def calls_of_a_sweep() -> list[str]:
    """The calls that go out, in order; played when a test asks for them, not while tests are collected."""
    with one_after_the_other():
        world = make_world()
        world.sweep()
    return world.calls


HOW_MANY = 24
EACH_CALL = pytest.mark.parametrize("number", range(1, HOW_MANY + 1))


@pytest.fixture
def world() -> Iterator[SweepWorld]:
    """Whatever is done to it, all that was said follows the schemas, and all that was sent is what is kept."""
    with one_after_the_other():
        world = make_world()
        yield world
        for report in world.reports:
            follows_schema(report)
        for event in world.events:
            valid(event)
        for event in world.requests:
            assert world.asked[event.detail["retirementId"]] == event.detail


def is_done(world: SweepWorld) -> None:
    """Each datamart was asked for under one identity at a time, with one date, and what lapsed is taken back."""
    ids = {name: Subject.of("trials", name, OLD).retirement_id(number) for name, number in NUMBERS.items()}
    sent = {event.detail["datamartName"]: event.detail["retirementId"] for event in world.requests}
    assert sent == ids
    first_numbers = {Subject.of("trials", name, OLD).retirement_id(1) for name in NUMBERS}
    assert world.asked.keys() == first_numbers | set(ids.values())
    assert {event.detail["retirementId"] for event in world.cancellations} == {ids["trial-lapsed"]}


def test_the_calls() -> None:
    """A sweep goes through each kind of call, so each can go wrong below."""
    assert len(calls_of_a_sweep()) == HOW_MANY
    assert set(calls_of_a_sweep()) == {
        "policy.read",
        "datamart_lists.read",
        "databrain.list_datamarts_with_updates",
        "evidence.list",
        "evidence.read",
        "evidence.create",
        "event_bus.put",
        "reports_topic.publish",
    }
    assert calls_of_a_sweep().count("event_bus.put") == 4


def test_undisturbed(world: SweepWorld) -> None:
    """Without any trouble one sweep does it all."""
    assert states(world.sweep()) == {
        "trial-unheard": "repeated",
        "trial-blocked": "asked",
        "trial-scheduled": "pending",
        "trial-new": "asked",
    }
    is_done(world)


@EACH_CALL
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash(world: SweepWorld, number: int, after: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A sweep that crashes at any call is made good by the next one, and no clock is reset."""
    with pytest.raises(Crash):
        world.sweep(CrashAt(number, after=after))
    dates = {retirement_id: detail["retireAt"] for retirement_id, detail in world.asked.items()}
    world.clock.advance(3_600)
    report = world.sweep()

    is_done(world)
    assert report["refusal"] is None
    assert dates.items() <= {retirement_id: detail["retireAt"] for retirement_id, detail in world.asked.items()}.items()


@EACH_CALL
@pytest.mark.parametrize("after", [False, True], ids=["instead", "after"])
def test_failure(world: SweepWorld, number: int, after: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A call that fails, though it may have been carried out, fails the sweep; the next one makes it good."""
    error = (
        DatabrainUnavailable("HTTP 503")
        if calls_of_a_sweep()[number - 1].startswith("databrain")
        else AwsCallFailed("no answer")
    )

    def fail(call: Call) -> object:
        if call.number == number:
            if after:
                call.proceed()
            raise error
        return call.proceed()

    with pytest.raises(type(error)):
        world.sweep(fail)
    world.clock.advance(3_600)
    world.sweep()

    is_done(world)


@EACH_CALL
def test_an_outage(world: SweepWorld, number: int) -> None:
    """Where nothing of a kind works any more from some call on, the sweep fails, and the next one makes it good."""

    def fail(call: Call) -> object:
        if call.number >= number and call.name == calls_of_a_sweep()[number - 1]:
            raise AwsCallFailed("no answer")
        return call.proceed()

    for _ in range(3):
        with pytest.raises(AwsCallFailed):
            world.sweep(fail)
    world.sweep()

    is_done(world)


def alongside(world: SweepWorld, number: int, act: Callable[[], Parsed]) -> Callable[[Call], object]:
    """Let somebody else act at a call of that number."""

    def interfere(call: Call) -> object:
        if call.number == number:
            world.clock.advance(90)
            act()
        return call.proceed()

    return interfere


@EACH_CALL
def test_two_sweeps_side_by_side(world: SweepWorld, number: int) -> None:
    """A whole sweep at any call of another one: both ask for the same, for the same dates."""
    report = world.sweep(alongside(world, number, world.sweep))

    is_done(world)
    _, first, second = world.reports
    assert report in (first, second)
    dates = [{entry["datamartName"]: entry["retireAt"] for entry in told["matched"]} for told in (first, second)]
    assert dates[0] == dates[1]


@EACH_CALL
def test_two_sweeps_of_two_policies(world: SweepWorld, number: int) -> None:
    """Beside a sweep of another version of the policy, what was kept first is what both ask for."""

    def edited() -> Parsed:
        world.rules(RULE | {"exempt": ["*-lapsed"], "retireAfter": "1 day", "owner": "somebody else"})
        return world.sweep()

    world.sweep(alongside(world, number, edited))

    is_done(world)


@EACH_CALL
def test_a_crash_beside_another_sweep(world: SweepWorld, number: int) -> None:
    """A sweep that crashes right where another one has run leaves nothing undone either."""
    with pytest.raises(Crash):
        world.sweep(alongside(world, number, world.sweep), CrashAt(number))

    is_done(world)


@EACH_CALL
def test_three_sweeps(world: SweepWorld, number: int) -> None:
    """Each call of a sweep within a sweep is one at which a third can run."""
    for inner in range(1, HOW_MANY + 1, 5):
        with one_after_the_other():
            fresh = make_world()
            fresh.sweep(alongside(fresh, number, lambda: fresh.sweep(alongside(fresh, inner, fresh.sweep))))  # noqa: B023  # used at once
            is_done(fresh)
    assert world.reports
