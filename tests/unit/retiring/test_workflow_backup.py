"""Step 9 with embeds that go with the datamart: what is read for the backup, and what strikes meanwhile."""

from dataclasses import replace

import pytest

from retirement.databrain.ports import Unread
from retirement.errors import AttemptInterrupted, DatabrainError, DatabrainUnavailable, DatabrainUnexpected
from retirement.record.keys import retirement_key
from retirement.retiring.workflow import TIME_TO_BACK_UP, TIME_TO_DELETE
from tests.fakes import (
    Call,
    Crash,
    CrashAt,
    Meanwhile,
    Parsed,
    World,
    embed_of,
    entry_of,
    export_of,
    listing_of,
    requested,
    showing,
)

IGNORED = {"dependents": "ignore"}
TOKEN, KEY = "made-up-service-token-5f0c", "made-up-key-of-the-portal-1d"


@pytest.fixture
def world(world: World) -> World:
    """One datamart, `sales`, with an embed that uses it, and one of which nothing tells what it uses."""
    databrain = world.databrain
    databrain.datamarts["sales"] = entry_of()
    databrain.embeds = listing_of(showing(embed_of("used", "sales"), "board"), embed_of("unclear", None))
    databrain.exports = {"used": export_of("used", "board"), "unclear": export_of("unclear")}
    databrain.workspaces = {"board": ["Sales"]}
    databrain.secrets = {TOKEN, KEY}
    return world


def backup_of(world: World, result: Parsed) -> Parsed:
    """The backup that a result names."""
    return world.kept(result["backup"]["key"])


def test_everything_that_goes_with_it(world: World) -> None:
    """The backup holds every embed that goes with the datamart, exported whole, and what of it is lost."""
    result = world.deliver(requested(**IGNORED))

    backup = backup_of(world, result)
    assert result["outcome"] == "deleted"
    assert [(embed["embedId"], embed["verdict"], embed["workspaceName"]) for embed in backup["embeds"]] == [
        ("used", "uses", "Sales"),
        ("unclear", "undetermined", None),
    ]
    assert [embed["export"] for embed in backup["embeds"]] == [export_of("used", "board"), export_of("unclear")]
    assert any(line.startswith("embeds[*].embedId: ") for line in backup["notRestored"])
    (backed_up,) = [fields for step, fields in world.telemetry.steps if step == "backup"]
    assert (backed_up["embeds"], backed_up["exports"]) == (2, 2)


def test_way_of_the_requests(world: World) -> None:
    """Exports are read after the decision and before the backup is written."""
    world.deliver(requested(**IGNORED))

    first = world.calls.index("databrain.export_embeds")
    assert world.calls[first - 1 : first + 5] == [
        "evidence.create",  # the plan
        "databrain.export_embeds",
        "databrain.find_workspaces",
        "databrain.export_embeds",
        "evidence.create",
        "evidence.read",
    ]


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (IGNORED | {"dryRun": True}, "planned"),
        (IGNORED | {"backup": False}, "deleted"),
        ({}, "blocked"),
    ],
)
def test_nothing_is_read_in_vain(world: World, asked: Parsed, outcome: str) -> None:
    """Nothing is exported where no backup is written: not for a dry run, nor where a rule says no."""
    assert world.deliver(requested(**asked))["outcome"] == outcome
    assert not {"databrain.export_embeds", "databrain.find_workspaces"} & set(world.calls)


def test_nothing_goes_with_it(world: World) -> None:
    """Where no embed uses the datamart or may use it, no request is made for the backup."""
    world.databrain.embeds = listing_of(embed_of("other", "marketing"))

    result = world.deliver(requested())

    assert not {"databrain.export_embeds", "databrain.find_workspaces"} & set(world.calls)
    assert backup_of(world, result)["embeds"] == []
    assert not [line for line in backup_of(world, result)["notRestored"] if "embeds[" in line]


@pytest.mark.parametrize("what", ["exports", "workspaces"])
def test_it_fails_for_now(world: World, what: str) -> None:
    """Where an embed that uses the datamart cannot be read for now, nothing is deleted until it can."""
    error = DatabrainUnavailable("HTTP 503")
    before = getattr(world.databrain, what)
    unread = Unread(str(error), error)
    setattr(world.databrain, what, unread if what == "workspaces" else before | {"used": unread})

    with pytest.raises(DatabrainError) as raised:
        world.deliver(requested(**IGNORED))
    assert raised.value is error
    assert world.databrain.permits == []
    assert [key for key in world.evidence.objects if "backup" in key] == []

    setattr(world.databrain, what, before)
    world.clock.advance(61)
    assert backup_of(world, world.deliver(requested(**IGNORED)))["embeds"][0]["whyNot"] is None


def test_it_never_works(world: World) -> None:
    """What an old server does not give out is noted, by its path, and stops no deletion."""
    world.databrain.exports, world.databrain.workspaces = {}, Unread("GET /api/v2/workspace: HTTP 404")

    backup = backup_of(world, world.deliver(requested(**IGNORED)))

    why = "GET /api/v2/data-app/embeds/export: HTTP 404; GET /api/v2/workspace: HTTP 404"
    assert (backup["embeds"][0]["export"], backup["embeds"][0]["whyNot"]) == (None, why)
    assert {f"embeds[0].export: {why}", f"embeds[0].workspaceName: {why}"} <= set(backup["notRestored"])


def test_no_key_of_a_data_app(world: World) -> None:
    """An embed whose data app has no key that works is in the backup, with the reason."""
    world.databrain.embeds = listing_of(embed_of("used", "sales", listed=False))
    world.databrain.exports["used"] = Unread("no key of its data app is accepted")

    (embed,) = backup_of(world, world.deliver(requested(**IGNORED)))["embeds"]

    assert (embed["item"], embed["export"]) == (None, None)
    assert embed["whyNot"].startswith("no key of its data app is accepted; ")


def test_time_is_left_for_the_delete(world: World) -> None:
    """Exports leave the time that a backup and a delete take, those that are not needed another answer's time."""
    left: list[float] = []

    def note(call: Call) -> object:
        if call.name == "databrain.export_embeds":
            left.append(call.arguments[1])
        return call.proceed()

    world.deliver(requested(**IGNORED), note)

    assert left == [TIME_TO_DELETE + TIME_TO_BACK_UP, TIME_TO_DELETE + TIME_TO_BACK_UP + 15]


def test_time_runs_out(world: World) -> None:
    """Where exports took too long after all, the backup is there, and the next attempt goes on in a time of its own."""
    with pytest.raises(AttemptInterrupted):
        world.deliver(
            requested(**IGNORED), Meanwhile("databrain.export_embeds", lambda: world.clock.advance(40), nth=2)
        )
    assert world.databrain.permits == []
    world.clock.advance(61)

    assert world.deliver(requested(**IGNORED), receive_count=2)["outcome"] == "deleted"


@pytest.mark.parametrize(
    ("count", "outcome", "reason"), [(200, "deleted", None), (201, "blocked", "backup_incomplete")]
)
def test_very_many_embeds(world: World, count: int, outcome: str, reason: str | None) -> None:
    """More embeds that use the datamart than a backup holds block it, alike in a dry run, unless it needs no backup."""
    world.databrain.embeds = listing_of(*(embed_of(f"e{number}", "sales") for number in range(count)))

    dry = world.deliver(requested(retirementId="dry", dryRun=True, **IGNORED))
    real = world.deliver(requested(retirementId="real", **IGNORED))

    assert (real["outcome"], real["reason"]) == (outcome, reason)
    if reason is not None:
        assert (dry["reason"], dry["message"]) == (real["reason"], real["message"])
        assert world.deliver(requested(retirementId="bare", backup=False, **IGNORED))["outcome"] == "deleted"


@pytest.mark.parametrize("embed_id", ["used", "unclear"])
@pytest.mark.parametrize("secret", [TOKEN, KEY])
def test_a_secret_inside_an_export(world: World, embed_id: str, secret: str) -> None:
    """A secret that the attempt has read is looked for in exports, too: none is stored, and its place is named."""
    export = export_of(embed_id, "board")
    export["data"]["filters"] = [{"name": f"select '{secret}'"}]
    world.databrain.exports[embed_id] = export
    number = ["used", "unclear"].index(embed_id)

    with pytest.raises(DatabrainUnexpected) as raised:
        world.deliver(requested(**IGNORED))

    assert f"in embeds[{number}].export.data.filters[0].name, so it was not stored" in str(raised.value)
    assert secret not in str(raised.value)
    assert not [kept for kept in world.evidence.objects.values() if secret in kept.body]
    assert world.databrain.permits == []


def test_a_resumed_attempt(world: World) -> None:
    """A resumed attempt goes by the backup that its intent names, and exports nothing anew."""
    with pytest.raises(Crash):
        world.deliver(requested(**IGNORED), CrashAt("databrain.delete"))
    world.clock.advance(61)
    intent = world.kept(retirement_key("sales", "offboard-1", "intent.json"))
    world.databrain.exports = {}

    result = world.deliver(requested(**IGNORED))

    assert (result["outcome"], result["backup"]) == ("deleted", intent["backup"])
    assert "databrain.export_embeds" not in world.calls
    assert len([key for key in world.evidence.objects if key.startswith("backups/")]) == 1


def test_an_export_tells_when_it_was_made(world: World) -> None:
    """Two attempts that back up embeds leave a backup each, and the receipt names that of the delete."""
    with pytest.raises(Crash):
        world.deliver(requested(**IGNORED), CrashAt("coordination.reserve"))
    world.clock.advance(61)
    export = export_of("used", "board")
    world.databrain.exports["used"] = export | {"_meta": export["_meta"] | {"exportedAt": "later"}}

    result = world.deliver(requested(**IGNORED))

    assert len([key for key in world.evidence.objects if key.startswith("backups/")]) == 2
    assert backup_of(world, result)["embeds"][0]["export"]["_meta"]["exportedAt"] == "later"


def test_a_map_of_the_owner(world: World) -> None:
    """What the owner's map says counts as in every decision: an embed that uses another datamart is not exported."""
    world.databrain.embeds = listing_of(replace(embed_of("used", None), datamart_name="marketing"))

    assert backup_of(world, world.deliver(requested()))["embeds"] == []
