"""What the stack's owner guards, on the way of a request: by name, by count, by plan, and by the files on S3."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retirement.databrain.dependents import NO_DATAMART, EmbedMap
from retirement.errors import Abandoned, AwsCallFailed, ConfigurationError, NotConfirmed, RetirementError
from retirement.globs import DatamartLists
from retirement.outcomes import Reason
from retirement.record.keys import retirement_key
from retirement.retiring.settings import Mode
from tests.fakes import (
    START,
    Crash,
    CrashAt,
    FailAt,
    FakeCoordination,
    Meanwhile,
    World,
    embed_of,
    entry_of,
    listing_of,
    requested,
)
from tests.unit.samples import REQUEST

INTENT = retirement_key("sales", "offboard-1", "intent.json")
INTENT_WRITTEN = 11  # of the calls of a run
LOCK_EXPIRY = 61
DAY = 86_400

# Nothing is asked of Databrain; the intent is looked for again, since an attempt alongside may have written one.
REFUSED_BY_NAME = [
    "coordination.acquire",
    "evidence.list",
    "datamart_lists.read",
    "evidence.list",
    "evidence.create",
    "results_topic.publish",
    "coordination.release",
]
REFUSED_BY_COUNT = [*REFUSED_BY_NAME[:3], "coordination.used_today", "coordination.is_counted", *REFUSED_BY_NAME[3:]]


@pytest.fixture
def world(world: World) -> World:
    """With two datamarts, `sales` and `hr`."""
    world.databrain.datamarts |= {name: entry_of(name) for name in ("sales", "hr")}
    return world


def limited(world: World, limit: int) -> None:
    """From now on so many a day."""
    world.settings = replace(world.settings, max_retirements_per_day=limit)


def interrupted(world: World) -> None:
    """A first delivery that ends with its intent written and nothing deleted; afterwards its lock has expired."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete"))
    world.clock.advance(LOCK_EXPIRY)


# ---- By name -------------------------------------------------------------------------------------------------------

GUARDS = [
    ({"protected_datamarts": ("S?LES",)}, "protected"),
    ({"retirable_datamarts": ("tenant-*",)}, "not_retirable"),
    ({"retirable_datamarts": ()}, "not_retirable"),
    ({"protected_datamarts": ("sales",), "retirable_datamarts": ("sales",)}, "protected"),
    ({"protected_datamarts": ("sales",), "max_retirements_per_day": 0}, "protected"),
]


@pytest.mark.parametrize(("settings", "reason"), GUARDS)
@pytest.mark.parametrize(
    "asked", [{}, {"dryRun": True}, {"dependents": "ignore", "backup": False, "reviewedEmbeds": ["e"]}]
)
def test_refused_by_name(world: World, settings: dict[str, Any], reason: str, asked: dict[str, Any]) -> None:
    """A name that is guarded is refused before any request to Databrain, whatever the request says."""
    world.settings = replace(world.settings, **settings)

    result = world.deliver(requested(**asked))

    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert (result["planId"], result["backup"], result["dependents"]) == (None, None, None)
    assert world.calls == REFUSED_BY_NAME
    assert world.coordination.counted == set()


def test_plan_does_not_lift_a_protection(world: World) -> None:
    """A plan from before the name was protected is not carried out."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    world.settings = replace(world.settings, protected_datamarts=("sales",))

    assert world.deliver(requested(retirementId="real", planId=plan_id))["reason"] == "protected"
    assert world.databrain.permits == []


@pytest.mark.parametrize(("settings", "reason"), GUARDS[:2])
def test_guarded_since_the_intent(world: World, settings: dict[str, Any], reason: str) -> None:
    """A name that is guarded since an earlier attempt's intent: the same datamart is spared, with what was known."""
    interrupted(world)
    world.settings = replace(world.settings, **settings)

    result = world.deliver(requested())

    intent = world.kept(INTENT)
    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert (result["planId"], result["backup"]) == (intent["planId"], intent["backup"])
    assert world.databrain.permits == []
    assert world.deliver(requested()) == result


@pytest.mark.parametrize("later", [False, True], ids=["gone", "re-created"])
@pytest.mark.parametrize(("settings", "_reason"), GUARDS[:2])
def test_guarded_after_the_deletion(
    world: World,
    settings: dict[str, Any],
    _reason: str,
    later: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """What was deleted before the name was guarded is told as deleted, and a later datamart is left alone."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete", after=True))
    world.clock.advance(LOCK_EXPIRY)
    world.settings = replace(world.settings, **settings)
    if later:
        world.databrain.datamarts["sales"] = entry_of(created_at=START + timedelta(seconds=30))

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert len(world.databrain.permits) == 1
    assert ("sales" in world.databrain.datamarts) is later


def test_guarded_and_changed_since_the_intent(world: World) -> None:
    """A datamart that was changed since the intent is told as changed, guarded or not."""
    interrupted(world)
    world.settings = replace(world.settings, protected_datamarts=("*",))
    world.databrain.datamarts["sales"] = entry_of(label="Orders of 2026")

    assert world.deliver(requested())["reason"] == "changed"


# ---- By the owner's file of lists ----------------------------------------------------------------------------------

LISTS = "s3://lists/datamarts.json (DatamartListsUri)"
BY_FILE = [
    (DatamartLists(LISTS, protected=("hr", "S?LES")), "protected"),
    (DatamartLists(LISTS, retirable=("tenant-*",)), "not_retirable"),
]
BROKEN = [ConfigurationError("DatamartListsUri: it is not valid JSON"), AwsCallFailed("DatamartListsUri: S3")]


@pytest.mark.parametrize(("lists", "reason"), BY_FILE)
@pytest.mark.parametrize("asked", [{}, {"dryRun": True}, {"dependents": "ignore", "backup": False}])
def test_refused_by_the_file(world: World, lists: DatamartLists, reason: str, asked: dict[str, Any]) -> None:
    """A name that the file guards is refused before any request to Databrain, as one that a parameter guards."""
    world.datamart_lists.lists = lists

    result = world.deliver(requested(**asked))

    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert LISTS in result["message"]
    assert world.calls == REFUSED_BY_NAME


@pytest.mark.parametrize(("settings", "reason"), GUARDS)
def test_the_file_lifts_no_parameter(world: World, settings: dict[str, Any], reason: str) -> None:
    """What a parameter guards stays guarded, whatever the file allows."""
    world.settings = replace(world.settings, **settings)
    world.datamart_lists.lists = DatamartLists(LISTS, retirable=("*", "sales"))

    assert world.deliver(requested())["reason"] == reason
    assert world.databrain.permits == []


@pytest.mark.parametrize(("lists", "reason"), BY_FILE)
def test_guarded_by_the_file_since_the_intent(world: World, lists: DatamartLists, reason: str) -> None:
    """An attempt that goes on from an intent obeys the file as it is by then."""
    interrupted(world)
    world.datamart_lists.lists = lists

    result = world.deliver(requested())

    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert world.databrain.permits == []


@pytest.mark.parametrize("error", BROKEN)
@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
def test_the_file_cannot_be_read(world: World, error: RetirementError, resumed: bool) -> None:  # noqa: FBT001  # a parameter
    """With a file that cannot be read, or is broken, nothing is deleted, and nothing looked at before an intent."""
    if resumed:
        interrupted(world)
    before = dict(world.evidence.objects)

    with pytest.raises(type(error), match="DatamartListsUri"):
        world.deliver(requested(), FailAt("datamart_lists.read", error))

    assert world.evidence.objects == before
    assert resumed or not [call for call in world.calls if call.startswith("databrain.")]
    assert world.databrain.permits == []
    world.clock.advance(LOCK_EXPIRY)
    assert world.deliver(requested())["outcome"] == "deleted"


def test_a_deletion_is_told_whatever_the_file_is(world: World) -> None:
    """What was deleted, and not confirmed yet, is recovered without the file."""
    interrupted(world)
    world.databrain.datamarts.clear()

    assert world.deliver(requested(), FailAt("datamart_lists.read", BROKEN[0]))["outcome"] == "deleted"


def test_the_file_is_not_read_in_vain(world: World) -> None:
    """What has ended is published again whatever has become of the file."""
    ended = world.deliver(requested())

    assert world.deliver(requested(), FailAt("datamart_lists.read", BROKEN[0])) == ended


# ---- By count ------------------------------------------------------------------------------------------------------


def test_limit_reached(world: World) -> None:
    """A limit that is reached is told before any request to Databrain; the next day is another one."""
    limited(world, 1)
    first = world.deliver(requested())
    second = world.deliver(requested("hr"))

    assert (first["outcome"], second["outcome"]) == ("deleted", "blocked")
    assert second["reason"] == "daily_limit_reached"
    assert "1 of 1 retirements" in second["message"]
    assert "2026-03-02T00:00:00.000Z" in second["message"]
    assert "new retirementId" in second["message"]
    assert world.calls == REFUSED_BY_COUNT

    world.clock.advance(DAY / 2)
    assert world.deliver(requested("hr"))["reason"] == "daily_limit_reached"
    assert world.deliver(requested("hr", retirementId="tomorrow"))["outcome"] == "deleted"


def test_limit_of_none(world: World) -> None:
    """A limit of 0 stops every deletion."""
    limited(world, 0)
    result = world.deliver(requested())

    assert (result["outcome"], result["reason"]) == ("blocked", "daily_limit_reached")
    assert "0 of 0 retirements" in result["message"]
    assert world.calls == REFUSED_BY_COUNT


def test_limit_reached_meanwhile(world: World) -> None:
    """The last place of the day may go to somebody else while this retirement looks: no intent, no delete."""
    limited(world, 1)

    def somebody_else() -> None:
        world.deliver_alongside(requested("hr"))

    result = world.deliver(requested(), Meanwhile("coordination.reserve", somebody_else))

    assert (result["outcome"], result["reason"]) == ("blocked", "daily_limit_reached")
    assert "1 of 1 retirements" in result["message"]
    assert result["planId"] is not None
    assert INTENT not in world.evidence.objects
    assert [permit.snapshot.name for permit in world.databrain.permits] == ["hr"]


@pytest.mark.parametrize("mode", Mode)
def test_dry_run_only_reads_the_count(world: World, mode: Mode) -> None:
    """Neither a dry run nor `plan` mode counts; on the same count both decide as a real run does."""
    limited(world, 1)
    world.settings = replace(world.settings, mode=mode)

    planned = world.deliver(requested(dryRun=True))

    assert planned["outcome"] == "planned"
    assert "coordination.used_today" in world.calls
    assert "coordination.reserve" not in world.calls
    assert world.coordination.counted == set()

    limited(world, 0)
    dry = world.deliver(requested(retirementId="dry", dryRun=True))
    real = world.deliver(requested(retirementId="real"))
    assert dry["reason"] == real["reason"] == "daily_limit_reached"
    assert dry["message"] == real["message"]


@pytest.mark.parametrize("reason", ["dependents_found", "recreated"])
def test_refused_ones_are_not_counted(world: World, reason: str) -> None:
    """A retirement that a rule refuses, or that finds nothing, takes no place of the day."""
    if reason == "recreated":
        world.databrain.datamarts["sales"] = entry_of(created_at=START + timedelta(days=1))
    else:
        world.databrain.embeds = listing_of(embed_of("e", "sales"))

    assert world.deliver(requested())["reason"] == reason
    assert world.deliver(requested("gone"))["outcome"] == "already_absent"
    assert world.coordination.counted == set()


@pytest.mark.parametrize("where", ["coordination.reserve", "evidence.create", "databrain.delete", "databrain.find"])
def test_retry_is_counted_once(world: World, where: str) -> None:
    """A retirement takes one place of a day, wherever its first attempt stops, and is not blocked by its own."""
    limited(world, 1)
    crash = CrashAt(where, after=True) if where != "evidence.create" else CrashAt(INTENT_WRITTEN, after=True)
    with pytest.raises(Crash):
        world.deliver(requested(), crash)
    world.clock.advance(LOCK_EXPIRY)

    assert world.deliver(requested())["outcome"] == "deleted"
    assert len(world.coordination.counted) == 1


@pytest.mark.parametrize("limit", [1, 2])
def test_intent_of_another_day(world: World, limit: int) -> None:
    """A delete that is sent on another day than its intent was written takes a place of that day."""
    limited(world, limit)
    interrupted(world)
    world.coordination.record_no_effect(REQUEST, Reason.DATABRAIN_UNAVAILABLE, START)  # no delete was sent
    world.clock.advance(DAY)
    world.deliver(requested("hr", retirementId="of-that-day") | {"time": "2026-03-02T12:00:00Z"})

    result = world.deliver(requested())

    told = ("deleted", None) if limit == 2 else ("blocked", "daily_limit_reached")
    assert (result["outcome"], result["reason"]) == told
    assert world.coordination.used_today(world.clock.now()) == limit


@pytest.mark.parametrize("kept", [Reason.UNCONFIRMED, None], ids=["in doubt", "the table is lost"])
def test_no_place_is_left_and_a_delete_may_have_been_sent(world: World, kept: Reason | None) -> None:
    """Where a delete may have been sent, a limit that is reached denies nothing: the doubt stays."""
    limited(world, 1)
    interrupted(world)
    world.coordination = FakeCoordination()
    if kept:
        world.coordination.record_failure(REQUEST, kept, START)
    limited(world, 0)

    with pytest.raises(NotConfirmed, match="MaxRetirementsPerDay"):
        world.deliver(requested())

    assert world.databrain.permits == []
    with pytest.raises(Abandoned):
        world.deliver(requested(), receive_count=6)
    assert world.published[-1]["reason"] == "unconfirmed"


def test_midnight_before_a_delete(world: World) -> None:
    """The limit is that of the day on which the delete goes out, also where that day begins after the intent."""
    limited(world, 1)
    world.clock.advance(DAY / 2 - 10)

    def midnight() -> None:
        world.clock.advance(10)
        world.coordination.reserve(replace(REQUEST, retirement_id="another"), 1, world.clock.now())

    result = world.deliver(requested(), Meanwhile("evidence.list", midnight, nth=2))

    assert (result["outcome"], result["reason"]) == ("blocked", "daily_limit_reached")
    assert world.databrain.permits == []


@pytest.mark.parametrize("name", ["coordination.used_today", "coordination.reserve"])
def test_count_cannot_be_read_or_raised(world: World, name: str) -> None:
    """Where the count fails nothing is deleted, and the next delivery goes on."""
    with pytest.raises(AwsCallFailed):
        world.deliver(requested(), FailAt(name, AwsCallFailed("DynamoDB")))

    assert world.databrain.permits == []
    assert INTENT not in world.evidence.objects
    assert world.deliver(requested())["outcome"] == "deleted"


# ---- By what is listed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["Sales", " sales ", "SALES"])
def test_ambiguous_name(world: World, other: str) -> None:
    """Where another listed name is nearly the same, neither is deleted, dry run or not."""
    world.databrain.datamarts[other] = entry_of(other)

    results = [
        world.deliver(requested(name, retirementId=f"{number}", dryRun=dry))
        for number, (name, dry) in enumerate([("sales", False), (other, False), ("sales", True)])
    ]

    assert {result["reason"] for result in results} == {"ambiguous_name"}
    assert f'"{other}"' in results[0]["message"]
    assert '"sales"' in results[1]["message"]
    assert all(result["planId"] for result in results)
    assert world.databrain.permits == []


@pytest.mark.parametrize(
    ("listed", "meant"),
    [
        (["Slaes", "hr"], ' Similar names: "Slaes".'),
        (["sales-1", "sales-2", "sales-3", "sales-4"], ' Similar names: "sales-'),
        (["hr", "marketing"], ""),
        ([], ""),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_close_names(world: World, listed: list[str], meant: str, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    """A typo does not read as success: names that may have been meant are told, three at most."""
    world.databrain.datamarts = {name: entry_of(name) for name in listed}

    result = world.deliver(requested(dryRun=dry_run))

    assert result["outcome"] == "already_absent"
    assert meant in result["message"]
    assert ("Similar names" in result["message"]) is bool(meant)
    assert sum(f'"{name}"' in result["message"] for name in listed) <= 3


# ---- By plan -------------------------------------------------------------------------------------------------------


def test_plan_that_drifted(world: World) -> None:
    """The message of a plan that drifted names what changed, and the plan of what is there now."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    tables = [*entry_of()["datamartTables"], {"tableName": "refunds", "datamartTableColumns": []}]
    world.databrain.datamarts["sales"] = entry_of() | {"datamartTables": tables}
    world.databrain.semantic_layers["sales"] = {"datamartName": "sales", "tables": []}
    world.databrain.embeds = listing_of(embed_of("e", "hr"))

    result = world.deliver(requested(retirementId="real", planId=plan_id, backup=False))

    assert (result["outcome"], result["reason"]) == ("blocked", "plan_drifted")
    assert (
        'The plan of the request no longer applies: table added: "refunds"; semantic layer changed; '
        'embed added: "e of Portal"; option changed: "backup". '
        f"Read plan {result['planId']} of the present state, then send a request with a new retirementId."
    ) == result["message"]
    assert result["planId"] != plan_id


def test_plan_of_another_generation(world: World) -> None:
    """A plan does not hold for a datamart that was re-created since, even from the very same configuration."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    world.databrain.datamarts["sales"] = entry_of(created_at=START - timedelta(hours=1))

    result = world.deliver(requested(retirementId="real", planId=plan_id))

    assert "no longer applies: it was re-created" in result["message"]


@pytest.mark.parametrize("days", [30, 400])
def test_plan_carried_out_late(world: World, days: int) -> None:
    """A plan that still holds is carried out whenever that is asked for, under another limit, too."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    world.clock.advance(days * DAY)
    limited(world, 1)

    result = world.deliver(requested(retirementId="real", planId=plan_id))

    assert (result["outcome"], result["planId"]) == ("deleted", plan_id)


@pytest.mark.parametrize(
    "plan_id",
    ["0" * 64, "x", "../retirements/sales/offboard-1/receipt", "..", ".", "%", "a/b", "\u58f2" * 128, " "],
)
def test_unknown_plan(world: World, plan_id: str) -> None:
    """A plan that nobody made is told as such, and its name leads nowhere else in the bucket."""
    world.deliver(requested(dryRun=True))

    result = world.deliver(requested(retirementId="real", planId=plan_id))

    assert (result["outcome"], result["reason"]) == ("blocked", "plan_drifted")
    assert "no plan is stored under its planId" in result["message"]
    assert f"Read plan {result['planId']} of the present state" in result["message"]
    assert world.databrain.permits == []


def test_plan_of_another_datamart(world: World) -> None:
    """A plan is of one datamart."""
    plan_id = world.deliver(requested("hr", dryRun=True))["planId"]

    assert "no plan is stored" in world.deliver(requested(planId=plan_id))["message"]


# ---- By the map of embeds ------------------------------------------------------------------------------------------

MADE_AT = START + timedelta(hours=1)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "hidden"])
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"e": "sales"}, "dependents_found"),
        ({"e": " SALES"}, "dependents_found"),
        ({"e": "hr"}, None),
        ({"e": NO_DATAMART}, None),
        ({}, "dependents_undetermined"),
        ({"f": "hr"}, "dependents_undetermined"),
    ],
)
def test_map(world: World, told: dict[str, str], reason: str | None, listed: bool) -> None:  # noqa: FBT001  # a parameter
    """What the owner's map tells of an embed decides where nothing else tells, dry run or not."""
    world.databrain.embeds = listing_of(embed_of("e", None, listed=listed))
    world.embed_map.embed_map = EmbedMap(told, MADE_AT)

    dry = world.deliver(requested(retirementId="dry", dryRun=True))
    real = world.deliver(requested())

    assert dry["reason"] == (reason or "dry_run")
    assert (real["outcome"], real["reason"]) == ("blocked" if reason else "deleted", reason)
    assert dry["planId"] == real["planId"]
    assert real["dependents"]["undeterminedCount"] == (reason == "dependents_undetermined")


def test_a_stale_map(world: World) -> None:
    """An embed that was pointed to the datamart since its owner looked blocks, until the map has seen it."""
    world.databrain.embeds = listing_of(replace(embed_of("e", None), updated_at=MADE_AT + timedelta(seconds=1)))
    world.embed_map.embed_map = EmbedMap({"e": "hr"}, MADE_AT)
    assert world.deliver(requested())["reason"] == "dependents_undetermined"

    world.embed_map.embed_map = EmbedMap({"e": "hr"}, MADE_AT, {"e": MADE_AT})
    assert world.deliver(requested(retirementId="second"))["reason"] == "dependents_undetermined"
    assert world.databrain.permits == []

    world.embed_map.embed_map = EmbedMap({"e": "hr"}, MADE_AT, {"e": MADE_AT + timedelta(seconds=1)})
    assert world.deliver(requested(retirementId="third"))["outcome"] == "deleted"


def test_map_tells_what_a_plan_shows(world: World) -> None:
    """A plan keeps the verdict that the map led to: another map may make another plan."""
    world.databrain.embeds = listing_of(embed_of("e", None))
    world.embed_map.embed_map = EmbedMap({"e": "hr"}, MADE_AT)
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    world.embed_map.embed_map = EmbedMap({"e": "sales"}, MADE_AT)

    result = world.deliver(requested(retirementId="real", planId=plan_id))

    assert 'embed changed: "e of Portal"' in result["message"]


@pytest.mark.parametrize(
    "error", [ConfigurationError("EmbedMapUri: s3://maps/e.json is not valid JSON"), AwsCallFailed("EmbedMapUri: S3")]
)
@pytest.mark.parametrize("asked", [{}, {"dependents": "ignore"}, {"dryRun": True}])
def test_map_cannot_be_read(world: World, error: RetirementError, asked: dict[str, Any]) -> None:
    """A map that cannot be read fails the attempt and does not pass as empty, even where dependents are ignored."""
    with pytest.raises(type(error), match="EmbedMapUri"):
        world.deliver(requested(**asked), FailAt("embed_map.read", error))

    assert world.evidence.objects == {}
    assert world.databrain.permits == []
    assert world.coordination.failures == {("offboard-1", "sales"): error.reason}


def test_map_is_not_read_in_vain(world: World) -> None:
    """The map is read where embeds are judged, and nowhere else."""
    broken = FailAt("embed_map.read", ConfigurationError("EmbedMapUri"))

    assert world.deliver(requested("gone"), broken)["outcome"] == "already_absent"
    interrupted(world)
    assert world.deliver(requested(), broken)["outcome"] == "deleted"
