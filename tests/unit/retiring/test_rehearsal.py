"""The rehearsal of a retirement, in process, whatever happens to its calls."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retirement.canonical import canonical_json, parse_json
from retirement.databrain.copies import copy_name
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.ports import DeleteAnswer, DeleteEffect
from retirement.errors import (
    Abandoned,
    AttemptInterrupted,
    AwsCallFailed,
    DatabrainUnavailable,
    DatabrainUnexpected,
    NotConfirmed,
    RetirementError,
)
from retirement.globs import DatamartLists
from retirement.record.keys import retirement_key
from retirement.record.organisation import MAX_WITNESSES
from retirement.requests import MAX_RECEIVES
from retirement.retiring.rehearsal import ENDED, MAX_SHOWN_PATHS
from retirement.retiring.settings import Mode
from retirement.timestamps import format_timestamp
from tests.fakes import (
    START,
    Call,
    Crash,
    CrashAt,
    FailAt,
    Interference,
    Meanwhile,
    Parsed,
    World,
    cancelled,
    embed_of,
    entry_of,
    listing_of,
    requested,
)
from tests.restore_world import AnswerWith, Lost
from tests.unit.conftest import follows_schema

COPY = copy_name("sales", "offboard-1")
CREATE, LAYER, DELETE = "databrain.create_copy", "databrain.create_layer_of_copy", "databrain.delete_copy"
LOCK_EXPIRY = 61
LAYER_OF_SALES: Parsed = {
    "datamartName": "sales",
    "tables": [{"name": "orders", "description": "One row an order", "columns": []}],
    "completionScore": 50,
}
NO_EFFECT = CreateAnswer(CreateEffect.NONE, DatabrainUnavailable("HTTP 429", 2.0))
REFUSED = CreateAnswer(CreateEffect.REFUSED, DatabrainUnexpected("HTTP 400 INVALID_REQUEST_BODY; expected 200"))
LOST_DELETE = DeleteAnswer(DeleteEffect.UNKNOWN, DatabrainUnavailable("no answer (ReadTimeout)"))


@pytest.fixture
def world() -> Iterator[World]:
    """A datamart with a semantic layer; whatever a test does, its copy is created once at most, and never unnamed."""
    world = World()
    world.databrain.now = world.clock.now
    world.databrain.datamarts["sales"] = entry_of()
    world.databrain.semantic_layers["sales"] = LAYER_OF_SALES
    yield world
    assert world.databrain.created in ([], [COPY])
    assert set(world.databrain.removed) <= set(world.databrain.created)
    for result in world.published:
        follows_schema(result)
    if COPY in world.databrain.datamarts and world.databrain.created:
        assert COPY in world.published[-1]["message"]


def asked(datamart_name: str = "sales", **detail: object) -> dict[str, Any]:
    """A request to rehearse."""
    return requested(datamart_name, **{"rehearse": True, **detail})


def until_it_ends(world: World, *interferences: Interference, event: Parsed = None) -> Parsed:
    """Deliver until there is a result or a failure, the first time with the interferences; return what is published."""
    for receive_count in range(1, MAX_RECEIVES + 1):
        with suppress(Crash, RetirementError):
            return world.deliver(event or asked(), *interferences, receive_count=receive_count)
        world.clock.advance(LOCK_EXPIRY)
        interferences = ()
    return world.published[-1]


def is_spared(world: World, result: Parsed) -> bool:
    """Whether the rehearsal failed, and the datamart is as it was."""
    assert (result["outcome"], result["reason"]) == ("blocked", "rehearsal_failed")
    return world.databrain.datamarts["sales"] == entry_of() and not world.databrain.permits


def stored(world: World, file_name: str) -> Parsed:
    """An object of the retirement, parsed; None if there is none."""
    found = world.evidence.objects.get(retirement_key("sales", "offboard-1", file_name))
    return None if found is None else parse_json(found.body)


def damaging(world: World, *, crashes: bool = False) -> Interference:
    """Let Databrain create the copy with another label and confirm it; then, perhaps, the invocation ends."""

    def interfere(call: Call) -> object:
        answer = call.proceed()
        if call.name == CREATE:
            entry: Parsed = world.databrain.datamarts[COPY]
            entry["datamartTables"][0]["label"] = "Damaged"
            if crashes:
                raise Crash
        return answer

    return interfere


# ---- How it goes ---------------------------------------------------------------------------------------------------


def test_success(world: World) -> None:
    """The copy is created after the backup and removed before the intent; then the datamart is deleted."""
    result = world.deliver(asked())

    assert result["outcome"] == "deleted"
    assert world.databrain.created == world.databrain.removed == [COPY]
    assert world.databrain.datamarts == {}
    assert world.calls == [
        "coordination.acquire",
        "evidence.list",
        "datamart_lists.read",
        "coordination.used_today",
        "databrain.find",
        "databrain.list_embeds",
        "embed_map.read",
        "evidence.create",  # the plan
        "evidence.create",  # the backup
        "evidence.read",
        "evidence.list",
        "datamart_lists.read",
        "evidence.create",  # rehearsal.json
        "evidence.list",
        CREATE,
        "databrain.find",
        LAYER,
        "databrain.find",
        "databrain.find",
        DELETE,
        "databrain.find",
        "evidence.create",  # rehearsed.json
        "databrain.find",
        "coordination.reserve",
        "evidence.create",  # the intent
        "evidence.list",
        "coordination.record_failure",
        "databrain.delete",
        "databrain.list_datamarts",
        "evidence.create",
        "results_topic.publish",
        "coordination.release",
    ]
    record = stored(world, "rehearsal.json")
    assert (record["copyName"], record["listed"]) == (COPY, ["sales"])
    assert stored(world, "rehearsed.json") == {
        "formatVersion": "1",
        "copyName": COPY,
        "configurationHash": record["configurationHash"],
        "failure": None,
        "differences": [],
        "isRemoved": True,
    }


def test_nothing_of_the_backup_is_in_the_record(world: World) -> None:
    """SQL stays in the backup, which fewer people may read."""
    column = {"columnName": "net", "alias": "net", "isCustomColumn": True, "sql": "SECRET SQL"}
    entry: Parsed = entry_of()
    entry["datamartTables"][0]["datamartTableColumns"].append(column)
    world.databrain.datamarts["sales"] = entry

    assert world.deliver(asked(), damaging(world))["reason"] == "rehearsal_failed"
    written = [kept.body for key, kept in world.evidence.objects.items() if not key.startswith("backups/")]
    assert not any("SECRET SQL" in body for body in (*written, *world.results_topic.messages))


def test_it_counts_toward_no_limit(world: World) -> None:
    """A day with one retirement left has room for a rehearsed one, and a failed rehearsal takes no place."""
    world.settings = replace(world.settings, max_retirements_per_day=1)

    assert world.deliver(asked(retirementId="another"), AnswerWith(CREATE, REFUSED))["reason"] == "rehearsal_failed"
    assert world.deliver(asked())["outcome"] == "deleted"


@pytest.mark.parametrize("default", [False, True])
def test_default_of_the_stack(world: World, default: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Without `rehearse` in the request the stack decides, and else the request."""
    world.settings = replace(world.settings, rehearse_by_default=default)
    world.deliver(requested(rehearse=not default, retirementId="offboard-2", dryRun=True))

    assert world.deliver(requested())["outcome"] == "deleted"
    assert bool(world.databrain.created) is default


@pytest.mark.parametrize("mode", [Mode.PLAN, Mode.RETIRE])
def test_a_dry_run_does_not_rehearse(world: World, mode: Mode) -> None:
    """A dry run, and every request in plan mode, creates nothing."""
    world.settings = replace(world.settings, mode=mode)

    assert world.deliver(asked(dryRun=mode is Mode.RETIRE))["outcome"] == "planned"
    assert world.databrain.created == []
    assert stored(world, "rehearsal.json") is None


def test_embeds_are_not_rehearsed(world: World) -> None:
    """The datamart's embeds are backed up as ever, and the copy gets none."""
    world.databrain.embeds = listing_of(embed_of("board", "sales"))

    assert world.deliver(asked(dependents="ignore"))["outcome"] == "deleted"
    assert world.databrain.created == [COPY]


def test_a_copy_that_differs(world: World) -> None:
    """If Databrain confirms a copy and damages it, the paths are reported, the copy is removed, nothing is deleted."""
    result = world.deliver(asked(), damaging(world))

    assert is_spared(world, result)
    assert "in 1 place: datamart.datamartTables[0].label." in result["message"]
    assert world.databrain.removed == [COPY]
    assert COPY not in result["message"]
    assert stored(world, "rehearsed.json")["differences"] == ["datamart.datamartTables[0].label"]
    assert result["planId"] is not None


def test_a_layer_that_is_refused(world: World) -> None:
    """A semantic layer that does not come back is a difference."""
    result = world.deliver(asked(), AnswerWith(LAYER, REFUSED))

    assert is_spared(world, result)
    assert "semanticLayer" in result["message"]
    assert world.databrain.removed == [COPY]


def test_many_differences(world: World) -> None:
    """A message shows the first paths, and rehearsed.json has all."""
    columns = [{"columnName": f"c{number}", "alias": "x", "label": "x"} for number in range(MAX_SHOWN_PATHS + 3)]
    entry: Parsed = entry_of()
    entry["datamartTables"][0]["datamartTableColumns"] = columns
    world.databrain.datamarts["sales"] = entry

    def interfere(call: Call) -> object:
        answer = call.proceed()
        if call.name == CREATE:
            copy: Parsed = world.databrain.datamarts[COPY]
            for column in copy["datamartTables"][0]["datamartTableColumns"]:
                column["alias"] = "y"
        return answer

    result = world.deliver(asked(), interfere)

    assert "and 3 more in rehearsed.json" in result["message"]
    assert len(stored(world, "rehearsed.json")["differences"]) == MAX_SHOWN_PATHS + 3


# ---- What cannot be rehearsed --------------------------------------------------------------------------------------


def _without_datasource(world: World) -> None:
    world.databrain.datamarts["sales"] = {**entry_of(), "companyIntegration": None}


def _without_times(world: World) -> None:
    world.databrain.datamarts["sales"] = entry_of(created_at=None)


def _with_the_name(world: World, name: str = COPY) -> None:
    world.databrain.datamarts[name] = entry_of(name)


def _protected(world: World) -> None:
    world.settings = replace(world.settings, protected_datamarts=("rehearsal-*",))


def _protected_by_the_file(world: World) -> None:
    world.datamart_lists.lists = DatamartLists("s3://lists/datamarts.json", protected=("REHEARSAL-*",))


@pytest.mark.parametrize(
    ("prepare", "detail", "why"),
    [
        (_with_the_name, {}, "lists a datamart"),
        (lambda world: _with_the_name(world, COPY.upper()), {}, "nearly identical"),
        (_protected, {}, '"rehearsal-*" protects'),
        (_protected_by_the_file, {}, '"REHEARSAL-*" protects'),
        (_without_times, {}, "does not report when"),
        (_without_datasource, {}, "datamart.companyIntegration.name"),
        (lambda _: None, {"backup": False}, "without a backup"),
    ],
)
def test_not_rehearsable(world: World, prepare: Callable[[World], None], detail: Parsed, why: str) -> None:
    """What cannot be rehearsed, or removed again, is blocked before anything is created."""
    prepare(world)
    before = dict(world.databrain.datamarts)

    result = world.deliver(asked(**detail))

    assert (result["outcome"], result["reason"]) == ("blocked", "rehearsal_failed")
    assert why in result["message"]
    assert world.databrain.datamarts == before
    assert stored(world, "rehearsal.json") is None


@pytest.mark.parametrize("prepare", [_without_times, _without_datasource])
def test_a_plan_says_so(world: World, prepare: Callable[[World], None]) -> None:
    """A dry run is blocked for what certainly prevents a rehearsal, as the real run is."""
    prepare(world)

    assert world.deliver(asked(dryRun=True))["reason"] == "rehearsal_failed"
    assert world.deliver(requested(retirementId="offboard-2", dryRun=True))["outcome"] == "planned"


def test_too_little_time(world: World) -> None:
    """An attempt that has too little time left creates nothing, and the next one does."""
    with pytest.raises(AttemptInterrupted, match="a rehearsal needs 35 s"):
        world.deliver(asked(), seconds=34)

    assert world.databrain.created == []
    assert world.deliver(asked())["outcome"] == "deleted"


def test_a_secret_in_a_name(world: World) -> None:
    """A secret in what the record would contain is not stored, and no copy is created."""
    world.databrain.secrets = {"secret-token-of-a"}
    for name in (*(f"older-{number}" for number in range(MAX_WITNESSES)), "secret-token-of-a"):
        world.databrain.datamarts[name] = entry_of(name)

    with pytest.raises(DatabrainUnexpected, match=r"The record of the rehearsal would contain .* listed\["):
        world.deliver(asked())

    assert world.databrain.created == []


# ---- Answers that are lost or refused ------------------------------------------------------------------------------


def test_a_create_that_certainly_had_no_effect(world: World) -> None:
    """It is sent again, after the wait that Databrain asks for."""
    assert world.deliver(asked(), AnswerWith(CREATE, NO_EFFECT, times=2))["outcome"] == "deleted"
    assert world.clock.slept[:2] == [2.0, 2.0]


def test_a_create_that_never_has_an_effect(world: World) -> None:
    """After three sends it is given up, and no copy is named, because there is none."""
    result = world.deliver(asked(), AnswerWith(CREATE, NO_EFFECT, times=3))

    assert is_spared(world, result)
    assert "HTTP 429" in result["message"]
    assert COPY not in result["message"]


def test_the_name_is_taken_meanwhile(world: World) -> None:
    """Somebody else's datamart of that name is not touched, whatever it contains."""
    for other in (entry_of(COPY, START), entry_of(COPY, START, label="another")):
        world.databrain.datamarts[COPY] = other
        world.databrain.datamarts.pop(COPY)

        result = world.deliver(asked(), Meanwhile(CREATE, lambda o=other: _with(world, o)))  # type: ignore[misc]

        assert is_spared(world, result)
        assert world.databrain.datamarts.pop(COPY) == other
        assert COPY not in world.databrain.semantic_layers
        world.evidence.objects.clear()


def _with(world: World, entry: Parsed) -> None:
    world.databrain.datamarts[COPY] = entry


def test_the_name_is_taken_and_the_refusal_is_lost(world: World) -> None:
    """What is listed, and is not what was sent, may be somebody else's: it is not touched, and it is named."""
    other = entry_of(COPY, START, label="another")
    taken = Meanwhile(CREATE, lambda: _with(world, other))

    result = world.deliver(asked(), taken, Lost(CREATE, happens=False))

    assert is_spared(world, result)
    assert COPY in result["message"]
    assert world.databrain.datamarts[COPY] == other
    assert COPY not in world.databrain.semantic_layers
    assert stored(world, "rehearsed.json")["isRemoved"] is False


@pytest.mark.parametrize("call", [CREATE, LAYER])
def test_a_lost_answer_to_what_happened(world: World, call: str) -> None:
    """What is listed as it was sent is taken for the effect of the request."""
    assert world.deliver(asked(), Lost(call))["outcome"] == "deleted"


def test_a_lost_answer_to_a_create_without_effect(world: World) -> None:
    """It is never sent again: the next attempt looks once more, and blocks the retirement."""
    with pytest.raises(AttemptInterrupted, match=COPY):
        world.deliver(asked(), Lost(CREATE, happens=False))
    world.clock.advance(LOCK_EXPIRY)

    result = world.deliver(asked())

    assert is_spared(world, result)
    assert COPY in result["message"]
    assert world.databrain.created == []


def test_a_create_that_takes_effect_late(world: World) -> None:
    """The next attempt finds the copy, and goes on with it."""
    lost = Lost(CREATE, happens=False)
    with pytest.raises(AttemptInterrupted):
        world.deliver(asked(), lost)
    world.clock.advance(LOCK_EXPIRY)
    lost.arrive()

    assert world.deliver(asked())["outcome"] == "deleted"


def test_a_layer_without_effect(world: World) -> None:
    """The next attempt sends it again: a datamart has one layer at most."""
    assert until_it_ends(world, Lost(LAYER, happens=False))["outcome"] == "deleted"


@pytest.mark.parametrize("happens", [True, False])
def test_a_lost_answer_to_the_delete_of_the_copy(world: World, happens: bool) -> None:  # noqa: FBT001  # the same
    """It is looked for again, and deleted again if it is still there."""

    def lost(call: Call) -> object:
        nonlocal happens
        if call.name != DELETE:
            return call.proceed()
        if happens:
            call.proceed()
        happens = True
        return LOST_DELETE

    assert world.deliver(asked(), lost)["outcome"] == "deleted"
    assert world.databrain.removed == [COPY]


def test_a_copy_that_cannot_be_deleted(world: World) -> None:
    """The next attempt goes on, compares again, and removes it."""
    stuck = AnswerWith(DELETE, LOST_DELETE, times=3)
    with pytest.raises(AttemptInterrupted, match="still listed"):
        world.deliver(asked(), stuck)
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(asked())["outcome"] == "deleted"


def test_a_confirmed_delete_is_not_sent_again(world: World) -> None:
    """If a list lags behind the delete, the attempt waits, and the next one looks again."""
    lagging = entry_of()

    def lag(call: Call) -> object:
        nonlocal lagging
        if call.name == DELETE:
            lagging = world.databrain.datamarts[COPY]
        shows = call.name == "databrain.find" and COPY in call.arguments and DELETE in calls
        calls.append(call.name)
        if not shows:
            return call.proceed()
        world.databrain.datamarts[COPY] = lagging
        try:
            return call.proceed()
        finally:
            del world.databrain.datamarts[COPY]

    calls: list[str] = []
    with pytest.raises(AttemptInterrupted, match="its deletion was confirmed"):
        world.deliver(asked(), lag)
    assert calls.count(DELETE) == 1


def test_a_copy_that_is_listed_late(world: World) -> None:
    """A confirmed copy that is not listed yet is looked for by the next attempt."""

    def hide(call: Call) -> object:
        if call.name == "databrain.find" and COPY in call.arguments:
            shown = world.databrain.datamarts.pop(COPY)
            try:
                return call.proceed()
            finally:
                world.databrain.datamarts[COPY] = shown
        return call.proceed()

    with pytest.raises(AttemptInterrupted, match="not listed"):
        world.deliver(asked(), hide)
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(asked())["outcome"] == "deleted"


# ---- Crashes -------------------------------------------------------------------------------------------------------

CALLS = 32
RECORDED, CREATED, REMOVED, REHEARSED = 13, 15, 20, 22  # of these calls


def test_calls_of_a_run(world: World) -> None:
    """The crashes below come at every call."""
    world.deliver(asked())
    assert len(world.calls) == CALLS
    assert [world.calls[number - 1] for number in (RECORDED, CREATED, REMOVED, REHEARSED)] == [
        "evidence.create",
        CREATE,
        DELETE,
        "evidence.create",
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_crash(world: World, number: int, after: bool) -> None:  # noqa: FBT001  # parameters of the test
    """Wherever an attempt crashes, the next ones end it; only where a copy is not listed the result is in doubt."""
    result = until_it_ends(world, CrashAt(number, after=after))

    moment = number + (0.5 if after else -0.5)
    if RECORDED < moment < CREATED or REMOVED < moment < REHEARSED:
        assert is_spared(world, result)
        assert COPY in result["message"]
    else:
        assert result["outcome"] == "deleted"
    assert COPY not in world.databrain.datamarts


def test_crash_after_a_create_that_damages(world: World) -> None:
    """Nothing tells then whose copy is listed: it is neither touched nor compared, and it is named."""
    with pytest.raises(Crash):
        world.deliver(asked(), damaging(world, crashes=True))
    world.clock.advance(LOCK_EXPIRY)

    result = world.deliver(asked())

    assert is_spared(world, result)
    assert COPY in result["message"]
    assert COPY in world.databrain.datamarts
    assert COPY not in world.databrain.semantic_layers


def test_a_copy_of_an_earlier_time(world: World) -> None:
    """A datamart that was created more than five minutes before the record is not the copy, even if it equals it."""
    early = entry_of(COPY, START - timedelta(minutes=5, seconds=1))
    result = until_it_ends(world, Meanwhile(CREATE, lambda: _with(world, early)), Lost(CREATE, happens=False))
    assert result["outcome"] == "blocked"
    assert COPY in world.databrain.datamarts


@pytest.mark.parametrize("name", ["evidence.create", "evidence.read", "evidence.list", "datamart_lists.read"])
@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("after", [False, True])
def test_aws_call_fails(world: World, name: str, nth: int, after: bool) -> None:  # noqa: FBT001  # the same
    """Wherever S3 fails, with the effect or without, the next attempts end the retirement."""
    result = until_it_ends(world, FailAt(name, AwsCallFailed(f"{name} failed"), nth=nth, after=after))

    if result["outcome"] == "blocked":
        assert (name == "evidence.create" and nth in {3, 4}) or (name == "evidence.list" and nth == 3)
        assert is_spared(world, result)
    else:
        assert result["outcome"] == "deleted"


# ---- Duplicates and cancellations ----------------------------------------------------------------------------------


def _unlocked(call: Call) -> object:
    return True if call.name == "coordination.acquire" else call.proceed()


class AmidCall:
    """Lets somebody act just before the call of one number."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self._number = number
        self._act = act

    def __call__(self, call: Call) -> object:
        """Act, or not."""
        if call.number == self._number:
            with suppress(RetirementError):
                self._act()
        return call.proceed()


@pytest.mark.parametrize("number", range(2, CALLS + 1))
def test_duplicate_at_the_same_time(world: World, number: int) -> None:
    """Without a lock, a duplicate that runs amid the first creates no second copy, and deletes nothing unrehearsed."""
    duplicate = AmidCall(number, lambda: world.deliver_alongside(asked(), _unlocked))
    with suppress(RetirementError):
        world.deliver(asked(), duplicate)
    world.clock.advance(LOCK_EXPIRY)

    result = until_it_ends(world)

    assert COPY not in world.databrain.datamarts
    assert (result["outcome"] == "deleted") is ("sales" not in world.databrain.datamarts)
    assert len(world.databrain.deleted) <= 1


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("number", range(2, CALLS + 1))
def test_cancellation(world: World, number: int, crashes: bool) -> None:  # noqa: FBT001  # the same
    """A cancellation at any call: nothing is deleted, and a copy that is left is named at once, and removed later."""
    told: list[Parsed] = []
    amid = AmidCall(number, lambda: told.append(world.schedule_alongside(cancelled())))
    with suppress(Crash, RetirementError):
        world.deliver(asked(), *([CrashAt(number)] if crashes else []), amid)
    if told and COPY in world.databrain.datamarts:
        assert COPY in told[0]["message"]
    world.clock.advance(LOCK_EXPIRY)

    result = until_it_ends(world)

    assert COPY not in world.databrain.datamarts
    if told and told[0]["outcome"] == "cancelled":
        assert result == told[0]
        assert "sales" in world.databrain.datamarts


def test_cancelled_between_record_and_create(world: World) -> None:
    """An attempt that sees a cancellation after it has stored the record creates nothing."""
    world_told = []
    amid = AmidCall(RECORDED + 1, lambda: world_told.append(world.schedule_alongside(cancelled())))
    with pytest.raises(AttemptInterrupted):
        world.deliver(asked(), amid)

    assert world.databrain.created == []
    assert COPY in world_told[0]["message"]
    assert stored(world, "rehearsed.json")["isRemoved"] is True


@pytest.mark.parametrize("event", [asked(), requested()], ids=["the same request", "one with other content"])
def test_after_a_cancellation(world: World, event: Parsed) -> None:
    """What was cancelled is not compared any more: the copy is removed, and nothing more is created."""
    _interrupted(world)
    told = world.schedule(cancelled())
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(event) == told
    assert LAYER not in world.calls
    assert COPY not in world.databrain.datamarts
    assert stored(world, "rehearsed.json")["failure"] == ENDED


def test_a_cancelled_copy_that_cannot_be_removed(world: World) -> None:
    """The cancellation names it, and so does what the last receive publishes."""
    with pytest.raises(Crash):
        world.deliver(asked(), CrashAt(CREATED, after=True))
    told = world.schedule(cancelled())
    assert COPY in told["message"]
    for receive_count in range(2, MAX_RECEIVES):
        with pytest.raises(AttemptInterrupted):
            world.deliver(asked(), AnswerWith(DELETE, LOST_DELETE, times=3), receive_count=receive_count)

    assert world.deliver(asked(), receive_count=MAX_RECEIVES) == told


# ---- A copy that is left -------------------------------------------------------------------------------------------


def _interrupted(world: World) -> None:
    """An attempt that crashed after it had created the copy."""
    with pytest.raises(Crash):
        world.deliver(asked(), CrashAt(CREATED, after=True))
    world.clock.advance(LOCK_EXPIRY)


def test_the_last_receive_names_it(world: World) -> None:
    """The failure names a copy that no attempt could remove; after a redrive it is removed."""
    _interrupted(world)
    outage = FailAt("databrain.find", DatabrainUnavailable("HTTP 503"))
    for receive_count in range(2, MAX_RECEIVES):
        with pytest.raises(DatabrainUnavailable):
            world.deliver(asked(), outage, receive_count=receive_count)
    with pytest.raises(Abandoned):
        world.deliver(asked(), receive_count=MAX_RECEIVES)

    assert world.published[-1]["outcome"] == "failed"
    assert COPY in world.published[-1]["message"]
    assert not [name for name in world.calls if name.startswith("databrain.")]
    assert world.deliver(asked())["outcome"] == "deleted"


def test_refused_since(world: World) -> None:
    """A rule that was set since removes the copy, too, before it ends the retirement."""
    _interrupted(world)
    world.settings = replace(world.settings, protected_datamarts=("sales",))

    assert world.deliver(asked())["reason"] == "protected"
    assert COPY not in world.databrain.datamarts


def test_plan_mode_since(world: World) -> None:
    """In plan mode nothing is deleted: the result names the copy."""
    _interrupted(world)
    world.settings = replace(world.settings, mode=Mode.PLAN)

    result = world.deliver(asked())

    assert result["outcome"] == "planned"
    assert COPY in result["message"]
    assert COPY in world.databrain.datamarts


def test_changed_since(world: World) -> None:
    """A rehearsal speaks about the configuration that it rehearsed, and about no other."""
    _interrupted(world)
    world.databrain.datamarts["sales"] = entry_of(label="edited")

    result = world.deliver(asked())

    assert (result["outcome"], result["reason"]) == ("blocked", "rehearsal_failed")
    assert "has been changed since" in result["message"]
    assert COPY not in world.databrain.datamarts


@pytest.mark.parametrize(
    ("name", "entry", "outcome"),
    [
        ("sales", entry_of(label="edited"), "rehearsal_failed"),
        ("sales", entry_of(created_at=START + timedelta(seconds=1)), "recreated"),
        ("SALES", entry_of("SALES"), "ambiguous_name"),
    ],
)
def test_somebody_works_on_it_meanwhile(world: World, name: str, entry: Parsed, outcome: str) -> None:
    """A rehearsal takes time, so the datamart is looked at again before the intent: the next attempt decides anew."""
    with pytest.raises(AttemptInterrupted, match="decides anew"):
        world.deliver(asked(), Meanwhile(DELETE, lambda: world.databrain.datamarts.update({name: entry})))
    assert stored(world, "intent.json") is None
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(asked())["reason"] == outcome


def test_it_is_deleted_meanwhile(world: World) -> None:
    """What somebody else deletes during the rehearsal was not deleted by this retirement."""
    with pytest.raises(AttemptInterrupted):
        world.deliver(asked(), Meanwhile(DELETE, lambda: world.databrain.datamarts.pop("sales")))
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(asked())["outcome"] == "already_absent"


def test_a_date_for_a_request_with_other_content(world: World) -> None:
    """From the rehearsal on, no other request can set a date under its identity."""
    _interrupted(world)
    dated = requested(retireAt=format_timestamp(START + timedelta(days=2))) | {"id": "another"}

    assert world.schedule(dated)["reason"] == "retirement_id_reused"
    assert world.deliver(asked())["outcome"] == "deleted"


def test_a_failure_decides_whatever_is_asked_later(world: World) -> None:
    """A failed rehearsal blocks the retirement, even if the stack's default is another one by then."""
    world.settings = replace(world.settings, rehearse_by_default=True)
    with pytest.raises(Crash):
        world.deliver(requested(), AnswerWith(CREATE, REFUSED), CrashAt("evidence.list", after=True))
    world.clock.advance(LOCK_EXPIRY)
    until_it_ends(
        world, AnswerWith(CREATE, REFUSED), FailAt("results_topic.publish", AwsCallFailed("-")), event=requested()
    )
    world.evidence.objects.pop(retirement_key("sales", "offboard-1", "receipt.json"))
    world.settings = replace(world.settings, rehearse_by_default=False)

    assert is_spared(world, world.deliver(requested()))


def test_a_request_with_other_content(world: World) -> None:
    """A rehearsal belongs to its request: another one with its identity is rejected, and does not touch the copy."""
    _interrupted(world)

    assert world.deliver(requested())["reason"] == "retirement_id_reused"
    assert COPY in world.databrain.datamarts
    assert world.deliver(asked())["outcome"] == "deleted"


def test_another_organisation(world: World) -> None:
    """In another organisation nothing is deleted or claimed; with a token of the intended one the rehearsal goes on."""
    world.databrain.data_apps = {"Portal": START}
    _interrupted(world)
    world.databrain.token, world.databrain.data_apps = "token-of-b", {"Portal": START + timedelta(days=1)}
    with pytest.raises(NotConfirmed, match="another organisation"):
        world.deliver(asked())
    assert COPY in world.databrain.datamarts
    assert stored(world, "rehearsed.json") is None
    world.clock.advance(LOCK_EXPIRY)
    world.databrain.token, world.databrain.data_apps = "token-of-a-rotated", {"Portal": START}

    assert world.deliver(asked())["outcome"] == "deleted"


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_the_backup_is_gone(world: World, damage: str) -> None:
    """Without the backup nothing tells whether the copy is ours: it is left, and named."""
    _interrupted(world)
    (key,) = (key for key in world.evidence.objects if key.startswith("backups/"))
    backup = world.evidence.objects.pop(key)
    if damage == "altered":
        world.evidence.objects[key] = replace(backup, body=canonical_json({"formatVersion": "2"}))

    result = world.deliver(asked())

    assert is_spared(world, result)
    assert COPY in result["message"]
    assert COPY in world.databrain.datamarts


def test_a_retirement_of_what_was_left(world: World) -> None:
    """A copy that is left is a datamart like any other: a retirement of its own removes it, rehearsed or not."""
    with pytest.raises(Crash):
        world.deliver(asked(), damaging(world, crashes=True))
    world.clock.advance(LOCK_EXPIRY)
    world.deliver(asked())
    world.databrain.datamarts[COPY]["createdAt"] = entry_of()["createdAt"]  # type: ignore[index]

    assert world.deliver(requested(COPY))["outcome"] == "deleted"
    assert COPY not in world.databrain.datamarts
