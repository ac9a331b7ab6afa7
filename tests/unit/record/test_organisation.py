"""Which organisation was looked at: what a rotated token leaves alone, and what another organisation's never does."""

from datetime import timedelta

import pytest

from retirement.databrain.snapshot import Listing
from retirement.errors import Abandoned, NotConfirmed
from retirement.record.organisation import MAX_WITNESSES, Organisation, identity_of
from tests.fakes import START, Crash, CrashAt, FakeDatabrain, Parsed, World, entry_of, requested

CREATED_AT = START - timedelta(days=1)
EARLIER = START - timedelta(days=30)
LOCK_EXPIRY = 61


def another_organisation(*names: str, dated: bool = True) -> FakeDatabrain:
    """With datamarts of these names, created at another time, or undated ones."""
    another = FakeDatabrain()
    another.token = "token-of-b"
    another.datamarts |= {name: entry_of(name, EARLIER if dated else None) for name in names}
    another.data_apps["Portal of B"] = EARLIER
    return another


@pytest.fixture
def world(world: World) -> World:
    """With two datamarts and a data app."""
    world.databrain.datamarts |= {name: entry_of(name) for name in ("sales", "hr")}
    world.databrain.data_apps["Portal"] = CREATED_AT
    return world


def interrupted(world: World, *, after: bool = False) -> None:
    """A first delivery that ends before or after its delete."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete", after=after))
    world.clock.advance(LOCK_EXPIRY)


# ---- An intent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(), ("hr",), ("sales",), ("sales", "hr")], ids=str)
@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("after", [True, False], ids=["deleted in A", "not deleted in A"])
def test_an_intent_and_another_organisation(world: World, names: tuple[str, ...], *, dated: bool, after: bool) -> None:
    """What another organisation lists says nothing of the one that is meant: nothing is deleted there or claimed."""
    interrupted(world, after=after)
    world.databrain = another = another_organisation(*names, dated=dated)

    with pytest.raises(NotConfirmed, match="another organisation"):
        world.deliver(requested())
    world.clock.advance(LOCK_EXPIRY)
    with pytest.raises(Abandoned):
        world.deliver(requested(), receive_count=6)

    assert another.permits == []
    assert (world.published[-1]["outcome"], world.published[-1]["reason"]) == ("failed", "unconfirmed")


@pytest.mark.parametrize("seen", ["another datamart", "a data app", "the datamart alone"])
@pytest.mark.parametrize("after", [True, False], ids=["deleted", "not deleted"])
def test_an_intent_and_a_rotated_token(world: World, seen: str, *, after: bool) -> None:
    """A token that was rotated goes on where one witness is left, in however small an organisation."""
    if seen != "another datamart":
        del world.databrain.datamarts["hr"]
    if seen != "a data app":
        world.databrain.data_apps.clear()
    interrupted(world, after=after)
    world.databrain.token = "rotated"

    if after and seen == "the datamart alone":  # nothing is left that could tell
        with pytest.raises(NotConfirmed, match="another organisation"):
            world.deliver(requested())
    else:
        assert world.deliver(requested())["confirmedBy"] == ("absence" if after else "response")
    assert len(world.databrain.deleted) == 1


def test_the_same_token_asks_for_no_witness(world: World) -> None:
    """As long as the token is the same, no data apps are read again."""
    interrupted(world)
    world.databrain.datamarts.pop("hr")

    assert world.deliver(requested())["outcome"] == "deleted"
    assert "databrain.list_data_apps" not in world.calls


# ---- A plan --------------------------------------------------------------------------------------------------------


@pytest.fixture
def undated(world: World) -> World:
    """A server that does not tell when datamarts were created."""
    world.databrain.datamarts = {name: entry_of(name, None) for name in ("sales", "hr")}
    return world


def planned(world: World) -> Parsed:
    """The request that carries out exactly the plan of now."""
    return requested(retirementId="real", planId=world.deliver(requested(dryRun=True))["planId"])


@pytest.mark.parametrize("names", [("sales",), ("sales", "hr")], ids=str)
def test_a_plan_of_another_organisation(undated: World, names: tuple[str, ...]) -> None:
    """A plan is not carried out on an equal datamart of another organisation; a name alone tells nothing."""
    event = planned(undated)
    undated.databrain = another = another_organisation(*names, dated=False)

    result = undated.deliver(event)

    assert (result["outcome"], result["reason"]) == ("blocked", "plan_drifted")
    assert "another organisation" in result["message"]
    assert another.permits == []


@pytest.mark.parametrize(("has_data_app", "outcome"), [(True, "deleted"), (False, "blocked")])
def test_a_plan_and_a_rotated_token(undated: World, has_data_app: bool, outcome: str) -> None:  # noqa: FBT001
    """A plan is carried out with a rotated token, too, unless nothing but names could tell where."""
    if not has_data_app:
        undated.databrain.data_apps.clear()
    event = planned(undated)
    undated.databrain.token = "rotated"

    assert undated.deliver(event)["outcome"] == outcome


def test_a_plan_says_where_it_was_made(world: World) -> None:
    """The fingerprint and the witnesses are kept with the plan, and are no part of its hash."""
    result = world.deliver(requested(dryRun=True))
    world.databrain.token = "rotated"
    world.databrain.data_apps.clear()
    again = world.deliver(requested(dryRun=True, retirementId="again"))

    kept = world.kept(f"plans/sales/{result['planId']}.json")["organisation"]
    assert again["planId"] == result["planId"]
    assert set(kept) == {"identity", "fingerprint", "datamarts", "dataApps"}
    assert (set(kept["datamarts"]), set(kept["dataApps"])) == ({"hr"}, {"Portal"})
    assert "token-of-a" not in str(kept)


# ---- The witnesses -------------------------------------------------------------------------------------------------


def test_the_oldest_others_are_witnesses() -> None:
    """At most 20 are kept: the oldest, undated ones last, never the datamart itself."""
    times = {f"n-{day:02}": START + timedelta(days=day) for day in range(30)}
    listing = Listing({"undated": None, "sales": EARLIER, **times})

    organisation = Organisation.of(identity_of("sales", "x"), "f", "sales", listing, {})

    assert list(organisation.datamarts) == [f"n-{day:02}" for day in range(MAX_WITNESSES)]
    few = Organisation.of("i", "f", "sales", Listing({"b": None, "a": None, "c": START}), {})
    assert list(few.datamarts) == ["c", "a", "b"]


def test_round_trip() -> None:
    """An organisation reads back equal."""
    organisation = Organisation("i", "f", {"hr": CREATED_AT, "old": None}, {"Portal": None})
    document = {"organisation": organisation.document()}

    assert Organisation.stored_in(document) == organisation
