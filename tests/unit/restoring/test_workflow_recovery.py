"""Crashes between any two calls, duplicates, and answers that are lost: each restore ends, and nothing comes twice."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from retirement.canonical import canonical_json
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.errors import (
    Abandoned,
    AttemptInterrupted,
    AwsCallFailed,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
    NotConfirmed,
    RetirementError,
)
from retirement.outcomes import Reason
from retirement.record.keys import restore_key
from tests.fakes import Call, Crash, CrashAt, FailAt, Interference, Meanwhile, Parsed, restore_requested
from tests.restore_world import RETIREMENT_ID, AnswerWith, Lost, RestoreWorld, embeds_in, seed

CREATE, LAYER, EMBED = "databrain.create_datamart", "databrain.create_semantic_layer", "databrain.create_embed"
UNAVAILABLE = DatabrainUnavailable("POST: HTTP 503")
THROTTLED = CreateAnswer(CreateEffect.NONE, DatabrainUnavailable("POST: HTTP 429", 7))
REFUSED = CreateAnswer(CreateEffect.REFUSED, DatabrainUnexpected("POST: HTTP 400 INVALID_REQUEST_BODY; expected 200"))


def calls_of_a_restore() -> list[str]:
    """The calls that an undisturbed restore makes, in order."""
    world = RestoreWorld()
    world.retire()
    world.deliver(restore_requested())
    return world.calls


CALLS = range(1, len(calls_of_a_restore()) + 1)


def is_back(world: RestoreWorld, result: Parsed) -> None:
    """The datamart is as it was, created once, and the result and the receipt say so."""
    assert (result["outcome"], result["restoredAs"]) == ("restored", "sales")
    assert world.entry() == world.entry_before()
    assert world.layer() == world.layer_before()
    assert world.created_datamarts == ["sales"]
    assert world.kept("receipt.json") == result
    assert world.published[-1] == result
    told = [(each["dataAppName"], each["newEmbedId"]) for each in result["restoredEmbeds"] if each["newEmbedId"]]
    made = [(app, embed.embed_id) for app, embed in world.created_embeds]
    assert set(told) <= set(made)


def is_wholly_back(world: RestoreWorld, result: Parsed) -> None:
    """The embeds came back, too, each once."""
    is_back(world, result)
    assert (result["reason"], result["differences"]) == (None, [])
    assert [each["newEmbedId"] for each in result["restoredEmbeds"]] == [
        embed.embed_id for _, embed in world.created_embeds
    ]
    assert len(world.created_embeds) == 3


# ---- Crashes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", CALLS)
def test_a_crash_at_every_call(world: RestoreWorld, number: int, after: bool) -> None:  # noqa: FBT001
    """Whichever call a crash comes before or after, the next delivery goes on, and all comes back once.

    Between the record of an embed and its create nothing tells whether it was sent: that embed alone is left out.
    """
    world.retire()
    crash = CrashAt(number, after=after)
    with pytest.raises(Crash):
        world.deliver(restore_requested(), crash)
    call = calls_of_a_restore()[number - 1]
    result = world.until_it_ends(restore_requested())
    in_doubt = (call == EMBED and not after) or (call == "evidence.create" and after and len(world.created_embeds) < 3)
    if not in_doubt:
        is_wholly_back(world, result)
        return
    is_back(world, result)
    assert len(world.created_embeds) == 2
    assert [each["state"] for each in result["restoredEmbeds"]].count("not_restored") == 1
    (lost,) = [each for each in result["restoredEmbeds"] if each["state"] == "not_restored"]
    assert lost["why"].startswith("a request to create it may have been sent")


@pytest.mark.parametrize("number", CALLS)
def test_a_crash_twice(world: RestoreWorld, number: int) -> None:
    """A second crash, in the attempt that goes on, changes nothing about that."""
    world.retire()
    event = restore_requested()
    with pytest.raises(Crash):
        world.deliver(event, CrashAt(CREATE, after=True))
    with suppress(Crash):
        world.deliver(event, CrashAt(number, after=True), receive_count=2)
    is_back(world, world.until_it_ends(event))


@pytest.mark.parametrize("number", CALLS)
def test_a_duplicate_after_every_call(world: RestoreWorld, number: int) -> None:
    """A duplicate that is delivered while a restore is under way waits for its lock, or finds what it has done."""
    world.retire()
    event = restore_requested()
    came: list[Parsed | Exception] = []

    def duplicate() -> None:
        try:
            came.append(world.deliver_alongside(event))
        except AttemptInterrupted as busy:
            came.append(busy)
            world.clock.begin_invocation(900.0)

    calls: list[int] = []

    def alongside(call: object) -> object:
        calls.append(1)
        if len(calls) == number:
            duplicate()
        return call.proceed()  # type: ignore[attr-defined]  # a Call

    is_wholly_back(world, world.deliver(event, alongside))
    assert len(came) == 1


def test_a_duplicate_afterwards(world: RestoreWorld) -> None:
    """A duplicate that comes later gets the result that is kept, and nothing is asked of Databrain."""
    world.retire()
    result = world.deliver(restore_requested())
    requests = len(world.requests)
    assert world.deliver(restore_requested(), receive_count=2) == result
    assert len(world.requests) == requests
    assert world.published == [result, result]
    assert world.telemetry.counted == [result]


# ---- The create of the datamart ------------------------------------------------------------------------------------


def test_the_answer_is_lost(world: RestoreWorld) -> None:
    """Where the answer to the create is lost, what is listed tells, and the create is not sent again."""
    world.retire()
    is_wholly_back(world, world.deliver(restore_requested(), Lost(CREATE)))
    assert len(world.sent_to(RouteId.CREATE_DATAMART)) == 1


def test_nothing_came_of_it(world: RestoreWorld) -> None:
    """Where nothing is listed after a lost answer, the attempt fails, and the next one sends it again."""
    world.retire()
    with pytest.raises(NotConfirmed, match="but is not listed"):
        world.deliver(restore_requested(), Lost(CREATE, happens=False))
    assert sum(world.clock.slept) == 15
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_it_comes_late(world: RestoreWorld) -> None:
    """A create that takes effect after the attempt has ended is recognised by the next one."""
    world.retire()
    lost = Lost(CREATE, happens=False)
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), lost)
    lost.arrive()
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))
    assert len(world.sent_to(RouteId.CREATE_DATAMART)) == 1


def test_it_comes_while_the_next_one_is_sent(world: RestoreWorld) -> None:
    """Where the first create takes effect just before the second, the second is refused, and it is there once."""
    world.retire()
    lost = Lost(CREATE, happens=False)
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), lost)
    is_wholly_back(world, world.deliver(restore_requested(), Meanwhile(CREATE, lost.arrive), receive_count=2))
    assert len(world.sent_to(RouteId.CREATE_DATAMART)) == 2


def test_it_is_listed_late(world: RestoreWorld) -> None:
    """A list that lags behind is looked at again; one that lags for longer fails the attempt, not the restore."""
    world.retire()
    absent = world.ports().databrain.find("sales")
    is_wholly_back(world, world.deliver(restore_requested(), AnswerWith("databrain.find", absent, times=3)))


def test_it_is_listed_much_later(world: RestoreWorld) -> None:
    """A datamart that is not listed in time is found by the next attempt, which does not create it again."""
    world.retire()
    absent = world.ports().databrain.find("sales")
    with pytest.raises(NotConfirmed, match="was created, but is not listed"):
        world.deliver(restore_requested(), AnswerWith("databrain.find", absent, times=5))
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))
    assert len(world.sent_to(RouteId.CREATE_DATAMART)) == 1


def test_the_name_is_taken_meanwhile(world: RestoreWorld) -> None:
    """Where somebody else takes the name between look and create, the create is refused: nothing was created."""
    world.retire()
    result = world.deliver(restore_requested(), Meanwhile(CREATE, lambda: world.put("sales")))
    assert (result["outcome"], result["reason"]) == ("restore_blocked", "name_taken")
    assert world.written == ["intent.json", "receipt.json"]
    assert world.created_datamarts == []
    assert world.created_embeds == []


@pytest.mark.parametrize("happens", [False, True])
def test_the_name_is_taken_and_the_answer_lost(world: RestoreWorld, happens: bool) -> None:  # noqa: FBT001
    """Where the answer is lost and what is listed is not what was sent, it is not claimed, and not touched."""
    world.retire()
    taken = Meanwhile(CREATE, lambda: world.put("sales"))
    for receive_count in range(1, 6):
        with pytest.raises(NotConfirmed, match="may be somebody else's"):
            world.deliver(restore_requested(), taken, Lost(CREATE, happens=happens), receive_count=receive_count)
    with pytest.raises(Abandoned) as given_up:
        world.deliver(restore_requested(), receive_count=6)
    assert given_up.value.reason is Reason.UNCONFIRMED
    assert world.published[-1]["reason"] == "unconfirmed"
    assert (world.created_datamarts, world.created_embeds) == ([], [])
    assert world.layer() == {}


def test_an_equal_one_meanwhile(world: RestoreWorld) -> None:
    """Where the create is refused and what is listed is what was sent, another attempt sent it: nothing is denied."""
    world.retire()

    def create() -> None:
        world.organisation.create_datamart(world.backup["createRequest"]["body"])
        world.created_datamarts.append("sales")

    is_wholly_back(world, world.deliver(restore_requested(), Meanwhile(CREATE, create)))


def test_a_name_that_was_listed_before(world: RestoreWorld) -> None:
    """What was listed before the create was sent is not claimed, however equal it is."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE, after=True))
    (key,) = (key for key in world.evidence.objects if key.startswith("restores/") and key.endswith("intent.json"))
    intent = world.evidence.objects[key].body
    world.change(key, intent.replace('"listed":["returns"]', '"listed":["returns","sales"]'))
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), receive_count=2)


def test_somebody_elses_after_a_crash(world: RestoreWorld) -> None:
    """After a crash before the create, a datamart of the name that is not as was sent is not claimed."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE))
    world.put("sales")
    with pytest.raises(NotConfirmed, match="may be somebody else's"):
        world.deliver(restore_requested(), receive_count=2)


@pytest.mark.parametrize("difference", ["a tenancy", "a relationship", "a column", "a table", "a label"])
def test_what_is_not_as_was_sent(world: RestoreWorld, difference: str) -> None:
    """What differs in anything that was sent, or that a server does not make up, is not claimed after a doubt."""
    world.retire("returns")
    world.organisation.data_apps.clear()
    event = restore_requested("returns")
    with pytest.raises(Crash):
        world.deliver(event, CrashAt(CREATE, after=True))
    configuration = world.organisation.datamarts["returns"].configuration
    table = configuration["datamartTables"][0]
    if difference == "a tenancy":
        configuration["datamartOrganization"] = {"tenancyLevel": "DATABASE"}
    elif difference == "a relationship":
        configuration["datamartRelationships"] = [{"parentTableName": "back"}]
    elif difference == "a column":
        table["datamartTableColumns"] = [*table["datamartTableColumns"], {"columnName": "more"}]
    elif difference == "a table":
        configuration["datamartTables"] = [table, {**table, "tableName": "more"}]
    else:
        table["label"] = "another"
    with pytest.raises(NotConfirmed):
        world.deliver(event, receive_count=2)


def test_a_server_that_damages(world: RestoreWorld) -> None:
    """A create that is answered with a yes and damages what it creates is told as it is: with its differences."""
    world.retire()

    result = world.deliver(restore_requested(), damaging(world))
    assert (result["outcome"], result["reason"]) == ("restored", "with_differences")
    assert result["differences"] == ["datamart.datamartTables[0].label"]


def test_a_server_that_damages_and_a_crash(world: RestoreWorld) -> None:
    """What was listed after Databrain's yes is recognised; where the table has lost it, what differs is not claimed."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), damaging(world), CrashAt(LAYER))
    recorded = dict(world.coordination.hashes)
    world.coordination.hashes.clear()
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), receive_count=2)
    world.coordination.hashes |= recorded
    result = world.deliver(restore_requested(), receive_count=3)
    assert (result["outcome"], result["differences"]) == ("restored", ["datamart.datamartTables[0].label"])


def test_somebody_else_s_after_a_crash(world: RestoreWorld) -> None:
    """What somebody has put in the place of what was created is not claimed, although Databrain had said yes."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), damaging(world), CrashAt(LAYER))
    damaged = world.organisation.datamarts["sales"]
    world.organisation.delete_datamart("sales")
    world.organisation.put_datamart(replace(damaged, created_at="2026-06-01T00:00:00.000Z"))
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), receive_count=2)
    assert world.organisation.datamarts["sales"].semantic_layer is None


def test_another_restore_has_come_first(world: RestoreWorld) -> None:
    """Where another restore of the same has restored it before the retry, the retry makes no second embeds."""
    world.retire()
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), Lost(CREATE, happens=False))
    assert world.deliver(restore_requested(restoreId="back-2"))["outcome"] == "restored"
    result = world.deliver(restore_requested(), receive_count=2)
    assert (result["outcome"], result["reason"]) == ("restore_blocked", "name_taken")
    assert result["message"].startswith("The restore back-2 has restored the datamart under this name")
    assert len(world.created_embeds) == 3


@pytest.mark.parametrize("crash", [CrashAt("databrain.find"), CrashAt(LAYER)], ids=["not yet read back", "read back"])
def test_created_and_deleted_since(world: RestoreWorld, crash: CrashAt) -> None:
    """What Databrain has said to have created, and somebody has deleted since, is not created again."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), crash)
    world.organisation.delete_datamart("sales")
    with pytest.raises(NotConfirmed, match="is not listed now"):
        world.deliver(restore_requested(), receive_count=2)
    assert world.created_datamarts == ["sales"]


def test_a_name_like_it_since(world: RestoreWorld) -> None:
    """No create is sent while a name like it is listed, even if it was not listed at the first attempt."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE))
    world.put("Sales ")
    with pytest.raises(NotConfirmed, match='lists "Sales "'):
        world.deliver(restore_requested(), receive_count=2)
    assert world.created_datamarts == []


def test_claimed_and_deleted_since(world: RestoreWorld) -> None:
    """The same of one that was recognised after a lost answer."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), Lost(CREATE), CrashAt(LAYER))
    world.organisation.delete_datamart("sales")
    with pytest.raises(NotConfirmed, match="is not listed now"):
        world.deliver(restore_requested(), receive_count=2)


def test_another_restore_has_not_ended(world: RestoreWorld) -> None:
    """What another restore may have created is not claimed; when it has ended, the name is taken."""
    world.retire()
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), Lost(CREATE, happens=False))
    other = restore_requested(restoreId="back-2")
    with pytest.raises(Crash):
        world.deliver(other, CrashAt(LAYER))
    with pytest.raises(NotConfirmed, match=r"back-2 .* has not ended"):
        world.deliver(restore_requested(), receive_count=2)
    assert world.layer() == {}
    assert world.deliver(other, receive_count=2)["outcome"] == "restored"
    result = world.deliver(restore_requested(), receive_count=3)
    assert (result["outcome"], result["reason"]) == ("restore_blocked", "name_taken")


def test_another_restore_that_had_ended_before(world: RestoreWorld) -> None:
    """What another restore created that had ended before this one began is gone, so what is listed is not its own."""
    world.retire()
    assert world.deliver(restore_requested(restoreId="back-2"))["outcome"] == "restored"
    world.organisation.delete_datamart("sales")
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE, after=True))
    assert world.deliver(restore_requested(), receive_count=2)["outcome"] == "restored"
    world.created_datamarts = ["sales"]  # each restore created its own
    world.created_embeds = world.created_embeds[:3]


def test_a_yes_and_another_restore(world: RestoreWorld) -> None:
    """A restore whose create was answered with a yes never says that nothing was created, whoever has the name now."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt("databrain.find"))
    world.organisation.delete_datamart("sales")
    assert world.deliver(restore_requested(restoreId="back-2"))["outcome"] == "restored"
    with pytest.raises(NotConfirmed, match="may be somebody else's"):
        world.deliver(restore_requested(), receive_count=2)
    world.created_datamarts = ["sales"]  # each restore created its own


def test_another_restore_under_another_name(world: RestoreWorld) -> None:
    """A restore under another name, and one that has ended otherwise, are of no consequence."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE, after=True))
    world.deliver(restore_requested(restoreId="back-2", asName="copy"))
    world.deliver(restore_requested(restoreId="back-3", dryRun=True))
    assert world.deliver(restore_requested(), receive_count=2)["outcome"] == "restored"
    world.created_embeds = world.created_embeds[:3]  # each restore creates its own


def test_ours_although_another_restore_tells_so(world: RestoreWorld) -> None:
    """What was listed right after Databrain's yes is ours, whatever another restore has claimed alongside."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(LAYER))
    receipt = {"outcome": "restored", "restoredAs": "sales", "restoreId": "back-2"}
    world.evidence.create(restore_key("sales", RETIREMENT_ID, "back-2", "receipt.json"), canonical_json(receipt))
    assert world.deliver(restore_requested(), receive_count=2)["outcome"] == "restored"


def damaging(world: RestoreWorld) -> Interference:
    """A server that answers a create with a yes, and creates something else."""

    def damage(call: Call) -> object:
        answer = call.proceed()
        if call.name == CREATE:
            world.organisation.datamarts["sales"].configuration["datamartTables"][0]["label"] = "damaged"
        return answer

    return damage


def test_a_table_is_gone(world: RestoreWorld) -> None:
    """Where Databrain refuses the create, nothing was created, and the result says so at once, with the code."""
    world.retire()
    result = world.deliver(restore_requested(), AnswerWith(CREATE, REFUSED))
    assert (result["outcome"], result["reason"]) == ("restore_blocked", "not_restorable")
    assert "HTTP 400 INVALID_REQUEST_BODY. " in result["message"]
    assert world.created_datamarts == []


def test_a_refusal_after_a_doubt(world: RestoreWorld) -> None:
    """After a request of an earlier attempt a refusal does not say that nothing was created: the attempt fails."""
    world.retire()
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), Lost(CREATE, happens=False))
    with pytest.raises(DatabrainUnexpected):
        world.deliver(restore_requested(), AnswerWith(CREATE, REFUSED), receive_count=2)
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=3))


@pytest.mark.parametrize("error", [UNAVAILABLE, DatabrainUnauthorized("POST: HTTP 401")])
def test_not_now(world: RestoreWorld, error: DatabrainUnavailable | DatabrainUnauthorized) -> None:
    """A create without effect fails the attempt for its reason; the next one goes on."""
    world.retire()
    with pytest.raises(type(error)):
        world.deliver(restore_requested(), AnswerWith(CREATE, CreateAnswer(CreateEffect.NONE, error)))
    assert [*world.coordination.failures.values()] == [Reason.UNCONFIRMED]  # nothing was kept before the intent
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


# ---- The semantic layer --------------------------------------------------------------------------------------------


def test_the_answer_of_the_layer_is_lost(world: RestoreWorld) -> None:
    """A layer whose answer was lost is found, and not created again."""
    world.retire()
    is_wholly_back(world, world.deliver(restore_requested(), Lost(LAYER)))
    assert len(world.sent_to(RouteId.CREATE_SEMANTIC_LAYER)) == 1


def test_no_layer_came_of_it(world: RestoreWorld) -> None:
    """A layer that is not there after a lost answer is created by the next attempt."""
    world.retire()
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), Lost(LAYER, happens=False))
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_the_layer_comes_late(world: RestoreWorld) -> None:
    """A layer that comes late, while it is created again, is there once."""
    world.retire()
    lost = Lost(LAYER, happens=False)
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), lost)
    is_wholly_back(world, world.deliver(restore_requested(), Meanwhile(LAYER, lost.arrive), receive_count=2))


def test_the_layer_is_refused(world: RestoreWorld) -> None:
    """A layer that Databrain refuses is a difference; the embeds come back all the same."""
    world.retire()
    result = world.deliver(restore_requested(), AnswerWith(LAYER, REFUSED))
    assert (result["outcome"], result["differences"]) == ("restored", ["semanticLayer"])
    assert len(world.created_embeds) == 3


def test_the_layer_not_now(world: RestoreWorld) -> None:
    """A layer that was not created for the moment fails the attempt."""
    world.retire()
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), AnswerWith(LAYER, THROTTLED))
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


# ---- Embeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_the_answer_of_an_embed_is_lost(world: RestoreWorld, nth: int) -> None:
    """An embed whose answer was lost is recognised by what was not listed before."""
    world.retire()
    is_wholly_back(world, world.deliver(restore_requested(), Lost(EMBED, nth=nth)))
    assert len(world.sent_to(RouteId.CREATE_EMBED)) == 3


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_embed_comes_late(world: RestoreWorld, nth: int) -> None:
    """An embed that comes after its attempt has ended is recognised by the next one."""
    world.retire()
    lost = Lost(EMBED, nth=nth, happens=False)
    with pytest.raises(NotConfirmed, match="An embed may have been created"):
        world.deliver(restore_requested(), lost)
    lost.arrive()
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))
    assert len(world.sent_to(RouteId.CREATE_EMBED)) == 3


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_embed_comes_much_later(world: RestoreWorld, nth: int) -> None:
    """A request of which nothing is known is never sent again: the embed is named, and comes once if it does."""
    world.retire()
    lost = Lost(EMBED, nth=nth, happens=False)
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), lost)
    result = world.deliver(restore_requested(), receive_count=2)
    is_back(world, result)
    assert result["differences"] == [f"embeds[{nth - 1}]"]
    lost.arrive()
    assert len(world.created_embeds) == 3


def test_a_crash_in_doubt(world: RestoreWorld) -> None:
    """A crash while nothing is known of a request leaves the doubt: the request is not sent again."""
    world.retire()
    lost = Lost(EMBED, happens=False)
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashWhenInDoubt(lost), lost)
    result = world.deliver(restore_requested(), receive_count=2)
    assert result["differences"] == ["embeds[0]"]
    lost.arrive()


class CrashWhenInDoubt:
    """Ends the invocation at the first look after an answer was lost."""

    def __init__(self, lost: Lost) -> None:
        self._lost = lost

    def __call__(self, call: Call) -> object:
        """End it, or pass the call on."""
        if self._lost.calls and call.name == "databrain.list_embeds":
            raise Crash
        return call.proceed()


def test_an_embed_like_it_before(world: RestoreWorld) -> None:
    """An embed of the same name and dashboard that was there before is not taken for the one that was asked for."""
    world.organisation = organisation_of(seed(embedsTellDatamart="none"))
    world.retire()
    portal = world.organisation.data_apps["Portal"]
    theirs = {
        "dashboardId": "overview",
        "embedType": "dashboard",
        "workspaceName": "Sales",
        "name": "The board",
        "accessSettings": {"datamartName": "returns"},
    }
    world.organisation.create_embed(portal, theirs, legacy=False)
    is_wholly_back(world, world.deliver(restore_requested(), Lost(EMBED)))


def test_two_doubts(world: RestoreWorld) -> None:
    """A second doubt does not undo what was decided about the first."""
    world.retire()
    first, second = Lost(EMBED, happens=False), Lost(EMBED, happens=False)
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), first)
    with pytest.raises(NotConfirmed):
        world.deliver(restore_requested(), second, receive_count=2)
    second.arrive()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt("evidence.create", after=True), receive_count=3)
    result = world.until_it_ends(restore_requested())
    states = [each["state"] for each in result["restoredEmbeds"]]
    assert states == ["not_restored", "created", "not_restored"]
    first.arrive()


def test_an_embed_not_now(world: RestoreWorld) -> None:
    """A create of an embed that certainly had no effect is sent again, after the wait that Databrain asks for."""
    world.retire()
    is_wholly_back(world, world.deliver(restore_requested(), AnswerWith(EMBED, THROTTLED, times=2)))
    assert world.clock.slept == [7, 7]
    assert [name for name in world.written if name.startswith("embed-")] == [f"embed-{n}.json" for n in range(1, 6)]


def test_an_embed_not_for_long(world: RestoreWorld) -> None:
    """Where it certainly had no effect, the next attempt sends it again, too, under a record of its own."""
    world.retire()
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), AnswerWith(EMBED, THROTTLED, nth=2, times=4))
    assert [*world.coordination.failures.values()] == [Reason.DATABRAIN_UNAVAILABLE]
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_the_table_has_lost_it(world: RestoreWorld) -> None:
    """Where the table does not say that nothing was on its way, an embed is not asked for again."""
    world.retire()
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), AnswerWith(EMBED, THROTTLED, times=4))
    world.coordination.failures.clear()
    result = world.deliver(restore_requested(), receive_count=2)
    assert [each["state"] for each in result["restoredEmbeds"]] == ["not_restored", "created", "created"]


def test_keys_that_cannot_be_read(world: RestoreWorld) -> None:
    """Where not even the key could be read, nothing was sent, and the next attempt goes on."""
    world.retire()
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), FailAt(EMBED, UNAVAILABLE, nth=2))
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_embeds_of_others_meanwhile(world: RestoreWorld) -> None:
    """What others create meanwhile is not taken for an embed of the restore."""
    world.retire()
    others = {
        "dashboardId": "details",
        "embedType": "dashboard",
        "workspaceName": "Sales",
        "name": "The board",
        "accessSettings": {"datamartName": "returns"},
    }

    def create() -> None:
        portal = world.organisation.data_apps["Portal"]
        world.organisation.create_embed(portal, others, legacy=False)

    interferences = (Meanwhile(EMBED, create), Lost(EMBED))
    is_wholly_back(world, world.deliver(restore_requested(), *interferences))
    assert len(embeds_in(world.organisation)) == 5


def test_an_embed_like_it_meanwhile(world: RestoreWorld) -> None:
    """Where two new embeds are alike, nothing tells which one the restore created, and none is claimed."""
    world.retire()

    def create(call: Parsed) -> object:
        if call.name == EMBED and call.arguments[1]["name"] == "The board":
            portal = world.organisation.data_apps["Portal"]
            world.organisation.create_embed(portal, call.arguments[1], legacy=False)
        return call.proceed()

    result = world.deliver(restore_requested(), create, Lost(EMBED))
    assert result["restoredEmbeds"][0]["state"] == "not_restored"
    assert result["restoredEmbeds"][0]["why"].startswith("the data app has several new embeds like it")
    assert result["differences"] == ["embeds[0]"]


# ---- Giving up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interference", "reason"),
    [
        (lambda: FailAt("databrain.list_datamarts", UNAVAILABLE), "databrain_unavailable"),
        (lambda: FailAt("databrain.list_datamarts", DatabrainUnauthorized("401")), "databrain_unauthorized"),
        (lambda: FailAt("databrain.list_datamarts", DatabrainUnexpected("x")), "databrain_unexpected"),
        (lambda: FailAt("evidence.read", AwsCallFailed("S3"), nth=1), "internal_error"),
        (lambda: FailAt("databrain.list_datamarts", ZeroDivisionError()), "internal_error"),
        (lambda: AnswerWith(CREATE, CreateAnswer(CreateEffect.UNKNOWN, UNAVAILABLE)), "unconfirmed"),
    ],
)
def test_given_up(world: RestoreWorld, interference: Callable[[], FailAt], reason: str) -> None:
    """The sixth receive makes no attempt: it keeps and publishes the failure with its reason; redriven, it goes on."""
    world.retire()
    for receive_count in range(1, 6):
        with pytest.raises((RetirementError, ZeroDivisionError)):
            world.deliver(restore_requested(), interference(), receive_count=receive_count)
    assert [*world.inbox.redelivery_delays.values()] == [*world.settings.retry_delays]
    requests = len(world.requests)
    with pytest.raises(Abandoned):
        world.deliver(restore_requested(), receive_count=6)
    assert len(world.requests) == requests
    assert world.inbox.redelivery_delays["handle-6"] == 0
    (published,) = world.published
    assert (published["outcome"], published["reason"], published["restoreId"]) == ("failed", reason, "back-1")
    assert "docs/runbooks/failed-restores.md" in published["message"]
    kept = world.kept("failure-1.json")
    assert {key: value for key, value in kept.items() if key != "event"} == published
    assert "back-1" in kept["event"]
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=1))


def test_every_attempt_crashed(world: RestoreWorld) -> None:
    """Where nothing tells why, an intent means that something may have been created."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt("coordination.acquire"))
    with pytest.raises(Abandoned):
        world.deliver(restore_requested(), receive_count=6)
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE))
    with pytest.raises(Abandoned):
        world.deliver(restore_requested(), receive_count=6)
    assert [each["reason"] for each in world.published] == ["internal_error", "unconfirmed"]
    assert [name for name in world.written if name.startswith("failure")] == ["failure-1.json", "failure-2.json"]


def test_a_receipt_before_the_last_receive(world: RestoreWorld) -> None:
    """The sixth receive publishes a receipt that is there by then."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt("results_topic.publish"))
    result = world.deliver(restore_requested(), receive_count=6)
    is_wholly_back(world, result)


def test_the_last_receive_of_another_request(world: RestoreWorld) -> None:
    """The last receive of a request whose ID is spent on another one rejects it."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE))
    result = world.deliver(restore_requested(asName="elsewhere"), receive_count=6)
    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")


# ---- Time, lock, token ---------------------------------------------------------------------------------------------


def test_no_time_to_create(world: RestoreWorld) -> None:
    """With too little time left nothing is created; the next attempt has more."""
    world.retire()
    with pytest.raises(AttemptInterrupted, match="119 s left"):
        world.deliver(restore_requested(), seconds=119)
    assert world.written == []
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_no_time_for_all_embeds(world: RestoreWorld) -> None:
    """Where the time is up between two embeds, the next attempt goes on with the second."""
    world.retire()

    def slow(call: Parsed) -> object:
        if call.name == EMBED:
            world.clock.advance(850)
        return call.proceed()

    with pytest.raises(AttemptInterrupted, match="50 s left"):
        world.deliver(restore_requested(), slow)
    assert len(world.created_embeds) == 1
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))
    assert len(world.sent_to(RouteId.CREATE_EMBED)) == 3


def test_the_lock_is_that_of_retirements(world: RestoreWorld) -> None:
    """A retirement that is under way under the target name is waited for, and its time is not used up by a restore."""
    world.retire()
    world.coordination.locks["again"] = ("a retirement", world.clock.now().replace(year=2999))
    with pytest.raises(AttemptInterrupted, match="Another retirement or restore"):
        world.deliver(restore_requested(asName="again"))
    assert world.requests == []
    is_wholly_back(world, world.deliver(restore_requested(restoreId="back-1")))


def test_a_token_that_is_rotated_meanwhile(world: RestoreWorld) -> None:
    """A token that is rotated between two attempts leads to the same organisation, which is recognised."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE, after=True))
    world.service_token = world.organisation.service_token = "made-up-token-after-its-rotation"
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=2))


def test_another_organisation_meanwhile(world: RestoreWorld) -> None:
    """After an intent another organisation tells nothing: nothing is created there, and nothing is claimed."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE))
    there = world.organisation.datamarts, world.organisation.data_apps
    world.service_token = world.organisation.service_token = "made-up-token-of-another-organisation"
    world.organisation.datamarts, world.organisation.data_apps = {}, {}
    with pytest.raises(NotConfirmed, match="appears to be another organisation"):
        world.deliver(restore_requested(), receive_count=2)
    assert world.created_datamarts == []
    world.organisation.datamarts, world.organisation.data_apps = there
    is_wholly_back(world, world.deliver(restore_requested(), receive_count=3))


def test_the_backup_is_gone_meanwhile(world: RestoreWorld) -> None:
    """After an intent a backup that is gone does not say that nothing was created."""
    world.retire()
    with pytest.raises(Crash):
        world.deliver(restore_requested(), CrashAt(CREATE, after=True))
    world.change(world.backup_key, None)
    with pytest.raises(NotConfirmed, match="this one cannot continue: "):
        world.deliver(restore_requested(), receive_count=2)


# ---- A lock that is lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", CALLS)
def test_two_at_once(world: RestoreWorld, number: int) -> None:
    """With the lock lost and two attempts side by side, nothing comes twice, and nothing is denied that is there."""
    world.retire()
    event = restore_requested()
    came: list[Parsed] = []

    def second() -> None:
        with suppress(AttemptInterrupted, NotConfirmed, DatabrainUnexpected):
            came.append(world.deliver_alongside(event))

    calls: list[int] = []

    def alongside(call: Parsed) -> object:
        calls.append(1)
        if len(calls) == number:
            world.coordination.locks.clear()
            second()
        return call.proceed()

    with suppress(AttemptInterrupted, NotConfirmed, DatabrainUnexpected):
        came.append(world.deliver(event, alongside))
    came.append(world.until_it_ends(event))
    assert len({each["finishedAt"] for each in came}) == 1
    is_back(world, came[0])
    assert len(world.created_embeds) <= 3
