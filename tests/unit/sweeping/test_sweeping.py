"""The workflow of a sweep on fakes: what is asked for, looked up, taken back and reported."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest

from retirement.canonical import canonical_json
from retirement.databrain.dependents import EmbedMap
from retirement.delivery.intake import parse_command
from retirement.errors import (
    AwsCallFailed,
    ConfigurationError,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
)
from retirement.globs import DatamartLists
from retirement.requests import Command, Delivery
from retirement.sweeping.ids import Subject
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.fakes import START, FailAt, Meanwhile, Parsed, PutEvent, embed_of, entry_of, listing_of
from tests.sweep_world import DAY, OLD, RULE, SweepWorld, states, whys
from tests.unit.sweeping.test_sweep_report import follows_schema


@pytest.fixture
def world() -> Iterator[SweepWorld]:
    """A policy of one rule and four datamarts, two of which match; all that is said follows the schemas."""
    world = SweepWorld()
    world.rules(RULE)
    world.datamarts("trial-1", "sales", "trial-2", "finance")
    yield world
    for report in world.reports:
        follows_schema(report)
    for event in world.events:
        valid(event)


def valid(event: PutEvent) -> Command:
    """What the functions that hear it make of an event: it is valid."""
    assert event.source == "datamart-retirement.sweep"
    body = json.dumps(
        {"id": "e-1", "detail-type": event.detail_type, "time": "2026-03-01T12:00:00Z", "detail": event.detail}
    )
    return parse_command(Delivery(body, START, 1, "invocation-1"), backup_by_default=True)


def id_of(name: str, number: int = 1, rule: str = "trials") -> str:
    """The identity under which a rule asks for a datamart."""
    return Subject.of(rule, name, OLD).retirement_id(number)


# ---- Asking --------------------------------------------------------------------------------------------------------


def test_asks_for_what_matches(world: SweepWorld) -> None:
    """Each datamart that matches is asked for, in Databrain's order, for now plus the grace, and no other one is."""
    report = world.sweep()

    assert [event.detail["datamartName"] for event in world.events] == ["trial-1", "trial-2"]
    assert world.requests[0].detail == {
        "datamartName": "trial-1",
        "environment": "prod",
        "retirementId": id_of("trial-1"),
        "requestedBy": "sweep:trials (growth@example.com)",
        "reason": "trials end after 30 days",
        "retireAt": "2026-03-15T12:00:00.000Z",
    }
    assert states(report) == {"trial-1": "asked", "trial-2": "asked"}
    assert report["counts"]["asked"] == 2


def test_without_a_grace(world: SweepWorld) -> None:
    """Without a grace the date is now, and the event carries it all the same."""
    world.rules(RULE | {"retireAfter": "0 days"})
    world.clock.advance(0.75)
    world.sweep()

    assert {event.detail["retireAt"] for event in world.requests} == {"2026-03-01T12:00:00.000Z"}


def test_what_is_kept_is_what_is_sent(world: SweepWorld) -> None:
    """Before a request is sent it is kept, to the byte as it is asked."""
    world.sweep()

    assert world.asked == {event.detail["retirementId"]: event.detail for event in world.requests}
    for event in world.requests:
        kept = world.evidence.objects[f"sweeps/asked/{event.detail['retirementId']}.json"]
        assert kept.body == canonical_json(event.detail)
    assert world.calls[-6:] == [
        *["evidence.create", "event_bus.put"] * 2,
        "evidence.create",
        "reports_topic.publish",
    ]


def test_the_report(world: SweepWorld) -> None:
    """The report is kept whole under the sweep's own key, published, and returned."""
    report = world.sweep()

    assert world.reports == [report]
    kept = json.loads(world.evidence.objects[report["report"]["key"]].body)
    assert kept == report
    assert report["report"] == {
        "bucket": "evidence",
        "key": "sweeps/20260301T120000Z-invocation-1/report.json",
    }
    assert report["policy"] == {"bucket": "policies", "key": "sweep.json", "versionId": world.policy.read().version_id}
    assert (report["sweepId"], report["environment"]) == ("20260301T120000Z-invocation-1", "prod")
    assert (report["dryRun"], report["refusal"], report["counts"]["datamarts"]) == (False, None, 4)
    assert [entry["why"] for entry in report["matched"]] == ['named by "trial-*"'] * 2
    assert world.telemetry.results == [report]


@pytest.mark.parametrize("datamarts", [[], ["sales"]])
def test_nothing_matches(world: SweepWorld, datamarts: list[str]) -> None:
    """An empty organisation, or one in which nothing matches, is a plain report."""
    world.databrain.datamarts.clear()
    world.datamarts(*datamarts)
    report = world.sweep()

    assert world.events == []
    assert (report["matched"], report["skipped"], report["refusal"]) == ([], [], None)


def test_several_rules(world: SweepWorld) -> None:
    """The first rule in the policy's order asks, and the others that match are named."""
    world.rules(RULE | {"name": "all", "names": ["*"], "exempt": ["fin*"]}, RULE)
    report = world.sweep()

    assert [event.detail["datamartName"] for event in world.requests] == ["trial-1", "sales", "trial-2"]
    assert {event.detail["requestedBy"] for event in world.requests} == {"sweep:all (growth@example.com)"}
    assert [entry["alsoMatched"] for entry in report["matched"]] == [["trials"], [], ["trials"]]
    assert whys(report) == {"finance": 'all: exempt by "fin*"'}


def test_skipped_by_all(world: SweepWorld) -> None:
    """A datamart that rules name and none matches is skipped, and each says why; what none names is not listed."""
    world.datamarts("trial-2", created_at=START - 3 * DAY, updated_at=None)
    world.rules(RULE | {"olderThan": "30 days"}, RULE | {"name": "stale", "notUpdatedFor": "7 days", "exempt": ["*1"]})
    report = world.sweep()

    assert states(report) == {"trial-1": "asked"}
    assert whys(report) == {
        "trial-2": "trials: created at 2026-02-26T12:00:00.000Z, less than 30 days ago; "
        "stale: Databrain does not report when it was last updated"
    }


def test_guards(world: SweepWorld) -> None:
    """What the stack protects or does not allow is skipped before anything is asked."""
    world.limits(protected_datamarts=("trial-1",), retirable_datamarts=("*1",))  # type: ignore[arg-type]  # globs
    report = world.sweep()

    assert world.events == []
    assert whys(report) == {
        "trial-1": 'trials: protected by "trial-1" in the stack\'s ProtectedDatamarts',
        "trial-2": "trials: not allowed by the stack's RetirableDatamarts",
    }


def test_guarded_by_the_owners_file(world: SweepWorld) -> None:
    """What the file protects by now is not asked for, and what was asked for is taken back; each sweep reads it."""
    where = "s3://lists/datamarts.json (DatamartListsUri)"
    world.datamart_lists.lists = DatamartLists(where, protected=("trial-1",))
    report = world.sweep()

    assert world.calls.index("datamart_lists.read") < world.calls.index("databrain.list_datamarts_with_updates")
    assert states(report) == {"trial-2": "asked"}
    assert whys(report) == {"trial-1": f'trials: protected by "trial-1" in {where}'}

    world.datamart_lists.lists = DatamartLists(where, retirable=("hr",))
    report = world.sweep()
    assert set(whys(report).values()) == {f"trials: not allowed by the list retirable in {where}"}
    assert [event.detail["datamartName"] for event in world.cancellations] == ["trial-2"]


def test_a_broken_file_of_lists(world: SweepWorld) -> None:
    """A file that cannot be read, or is broken, is a refusal: Databrain is not asked, and nothing asked for."""
    broken = ConfigurationError("DatamartListsUri: s3://lists/datamarts.json is not valid JSON")
    with pytest.raises(ConfigurationError, match="DatamartListsUri"):
        world.sweep(FailAt("datamart_lists.read", broken))

    assert world.reports[-1]["refusal"] == str(broken)
    assert world.events == []
    assert not [call for call in world.calls if call.startswith("databrain.")]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names(world: SweepWorld, name: str) -> None:
    """A datamart of any name is asked for by exactly that name, and found again by the next sweep."""
    world.databrain.datamarts.clear()
    world.datamarts(name)
    world.rules(RULE | {"names": ["*"]})
    world.sweep()
    (event,) = world.requests
    assert event.detail["datamartName"] == name

    world.schedule(event)
    world.clock.advance(86_400)
    assert states(world.sweep()) == {name: "pending"}
    world.rules(RULE)
    world.sweep()
    assert [event.detail["datamartName"] for event in world.cancellations] == [name]


@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", "n" * 1_000])
def test_names_that_fit_no_request(world: SweepWorld, name: str) -> None:
    """A datamart that cannot be asked for is skipped, and spoils nothing."""
    world.datamarts(name)
    world.rules(RULE | {"names": ["*"]})
    report = world.sweep()

    assert len(world.requests) == 4
    assert [why.partition(" (")[0] for why in whys(report).values()] == ["trials: its name does not fit a request"]


# ---- Embeds --------------------------------------------------------------------------------------------------------

UNUSED = RULE | {"withoutEmbeds": True}


def test_embeds_are_read_where_a_rule_asks(world: SweepWorld) -> None:
    """Neither embeds nor their map are read for rules that do not ask for them."""
    world.sweep()
    assert not {"databrain.list_embeds", "embed_map.read"} & set(world.calls)

    world.rules(RULE, UNUSED | {"name": "unused"})
    world.sweep()
    assert world.calls.count("databrain.list_embeds") == world.calls.count("embed_map.read") == 1


def test_embeds(world: SweepWorld) -> None:
    """A datamart that an embed uses does not match a rule that wants none."""
    world.rules(UNUSED)
    world.databrain.embeds = listing_of(embed_of("e-1", "trial-1"), embed_of("e-2", "sales"))
    report = world.sweep()

    assert states(report) == {"trial-2": "asked"}
    assert whys(report) == {"trial-1": 'trials: used by 1 embed: "e-1"'}


def test_an_undetermined_embed(world: SweepWorld) -> None:
    """One embed of which nothing tells the datamart may use any; what its owner's map tells it does not."""
    world.rules(UNUSED)
    world.databrain.embeds = listing_of(embed_of("e-1", None))
    assert set(whys(world.sweep()).values()) == {
        'trials: perhaps in use, because Databrain does not report: the datamart of 1 embed ("e-1")'
    }

    world.embed_map.embed_map = EmbedMap({"e-1": "trial-2"}, START)
    report = world.sweep()
    assert states(report) == {"trial-1": "asked"}
    assert whys(report) == {"trial-2": 'trials: used by 1 embed: "e-1"'}


def test_a_stale_map(world: SweepWorld) -> None:
    """What the map says of an embed that was changed since is not known, and no rule without embeds matches."""
    world.rules(UNUSED)
    world.databrain.embeds = listing_of(replace(embed_of("e-1", None), updated_at=START + timedelta(seconds=1)))
    world.embed_map.embed_map = EmbedMap({"e-1": "sales"}, START)
    assert states(world.sweep()) == {}

    world.embed_map.embed_map = EmbedMap({"e-1": "sales"}, START, {"e-1": START + timedelta(seconds=1)})
    assert states(world.sweep()) == {"trial-1": "asked", "trial-2": "asked"}


def test_embeds_that_cannot_be_listed(world: SweepWorld) -> None:
    """What cannot be listed counts as a possible use, and rules that do not ask are not held up by it."""
    world.rules(UNUSED, RULE | {"name": "second", "names": ["trial-2"]})
    gap = "the embeds of the data app 'Portal'"
    world.databrain.embeds = listing_of(gaps=[gap])
    report = world.sweep()

    assert states(report) == {"trial-2": "asked"}
    assert whys(report) == {"trial-1": f"trials: perhaps in use, because Databrain does not report: {gap}"}


@pytest.mark.parametrize("failure", [DatabrainUnavailable("HTTP 503"), DatabrainUnexpected("a maintenance page")])
def test_embeds_that_can_be_listed_later(world: SweepWorld, failure: DatabrainError) -> None:
    """Where Databrain does not answer as it should the sweep fails: it takes nothing back for a moment's trouble."""
    world.rules(UNUSED)
    world.sweep()
    world.databrain.embeds = listing_of(gaps=["the embeds"])
    world.databrain.embed_failures = (failure,)

    with pytest.raises(type(failure)):
        world.sweep()
    assert world.cancellations == []


KEY = "a-live-key-of-a-data-app"


@pytest.mark.parametrize(
    "leak",
    [
        lambda world: world.databrain.datamarts.update({f"trial-{KEY}": entry_of(f"trial-{KEY}")}),
        lambda world: setattr(world.databrain, "embeds", listing_of(embed_of(KEY, None))),
        lambda world: setattr(world.databrain, "embeds", listing_of(embed_of(KEY, "trial-1"))),
        lambda world: setattr(world.databrain, "embeds", listing_of(gaps=[f"the embeds of the data app {KEY}"])),
    ],
)
def test_a_secret_in_what_is_listed(world: SweepWorld, leak: Callable[[SweepWorld], object]) -> None:
    """A sweep ends before it asks for, stores or reports anything that holds a key which it has read."""
    world.rules(UNUSED)
    world.databrain.secrets = {KEY}
    leak(world)

    with pytest.raises(DatabrainUnexpected, match="contains a token or a data app's key, in ") as raised:
        world.sweep()

    assert KEY not in str(raised.value)
    assert KEY not in repr((world.evidence.objects, world.reports_topic.messages, world.requests))


# ---- What was asked for before -------------------------------------------------------------------------------------


def test_the_clock_is_not_reset(world: SweepWorld) -> None:
    """However often a sweep runs, a date that was asked for stands, and nothing is asked twice."""
    world.sweep()
    world.schedule(*world.requests)
    for _ in range(13):
        world.clock.advance(86_400)
        report = world.sweep()
        assert states(report) == {"trial-1": "pending", "trial-2": "pending"}
        assert {entry["retireAt"] for entry in report["matched"]} == {"2026-03-15T12:00:00.000Z"}
    assert len(world.events) == len(world.asked) == 2


def test_a_date_that_was_moved(world: SweepWorld) -> None:
    """Of several dates that were asked for the last one stands."""
    world.sweep()
    world.schedule(*world.requests)
    world.schedule(world.requests[0], number=2, retire_at="2026-05-01T00:00:00.000Z")
    report = world.sweep()

    assert [entry["retireAt"] for entry in report["matched"]] == [
        "2026-05-01T00:00:00.000Z",
        "2026-03-15T12:00:00.000Z",
    ]


def test_one_that_is_at_work(world: SweepWorld) -> None:
    """A retirement that has written its intent is left alone."""
    world.sweep()
    for event in world.requests:
        world.keep(event, "intent.json")
    world.clock.advance(15 * 86_400)
    assert set(states(world.sweep()).values()) == {"pending"}
    world.rules(RULE | {"names": ["x"]})
    world.sweep()

    assert len(world.events) == 2


@pytest.mark.parametrize("outcome", ["planned", "blocked"])
def test_one_that_was_not_carried_out(world: SweepWorld, outcome: str) -> None:
    """What ended without a deletion is asked for again, under the next number and with a new grace."""
    world.sweep()
    for number in range(2, 12):
        for event in world.requests[-2:]:
            world.end(event, outcome)
        world.clock.advance(86_400)
        report = world.sweep()
        assert [entry["retirementId"] for entry in report["matched"]] == [
            id_of("trial-1", number),
            id_of("trial-2", number),
        ]
        assert set(states(report).values()) == {"asked"}
        assert f"ended as {outcome}" in report["matched"][0]["why"]
    assert world.requests[-1].detail["retireAt"] == "2026-03-25T12:00:00.000Z"


def test_one_that_failed(world: SweepWorld) -> None:
    """What was given up is asked for again; one that was sent again and ended counts by its end."""
    world.sweep()
    for event in world.requests:
        world.keep(event, "failure-1.json", outcome="failed")
    world.end(world.requests[1], "deleted")
    report = world.sweep()

    assert states(report) == {"trial-1": "asked", "trial-2": "ended"}
    assert report["matched"][0]["retirementId"] == id_of("trial-1", 2)


@pytest.mark.parametrize("outcome", ["deleted", "already_absent"])
def test_one_that_is_gone(world: SweepWorld, outcome: str) -> None:
    """What is gone by its receipt and still listed is told, and not asked for."""
    world.sweep()
    for event in world.requests:
        world.end(event, outcome)
    report = world.sweep()

    assert set(states(report).values()) == {"ended"}
    assert f"ended as {outcome}" in report["matched"][0]["why"]
    assert len(world.events) == 2


def test_one_that_was_created_anew(world: SweepWorld) -> None:
    """A later datamart of that name is another one, with a grace of its own."""
    world.sweep()
    for event in world.requests:
        world.end(event, "deleted")
    world.clock.advance(86_400)
    world.datamarts("trial-1", created_at=START)
    report = world.sweep()

    assert states(report) == {"trial-1": "asked", "trial-2": "ended"}
    assert report["matched"][0]["retirementId"] == Subject.of("trials", "trial-1", START).retirement_id(1)
    assert report["matched"][0]["retireAt"] == "2026-03-16T12:00:00.000Z"


def test_no_creation_is_told(world: SweepWorld) -> None:
    """Where the server tells no creation, a later datamart of that name is the same: it is not asked for again."""
    world.datamarts("trial-1", "trial-2", created_at=None)
    world.sweep()
    assert world.requests[0].detail["retirementId"] == Subject.of("trials", "trial-1", None).retirement_id(1)
    world.schedule(world.requests[0])
    world.end(world.requests[1], "deleted")

    assert states(world.sweep()) == {"trial-1": "pending", "trial-2": "ended"}


@pytest.mark.parametrize("with_receipt", [True, False])
def test_one_that_somebody_cancelled(world: SweepWorld, with_receipt: bool) -> None:  # noqa: FBT001  # a parameter
    """What somebody has cancelled is not asked for again, and the report says who did and why."""
    world.sweep()
    first, second = world.requests
    world.schedule(first, second)
    world.call_off(first, "ops@example.com")
    if with_receipt:
        world.end(first, "cancelled")
    world.clock.advance(86_400)
    report = world.sweep()

    assert states(report) == {"trial-2": "pending"}
    assert whys(report) == {
        "trial-1": f'named by "trial-*"; ops@example.com cancelled {id_of("trial-1")} at 2026-03-01T12:00:00.000Z '
        "(still in use), so no sweep requests it again"
    }
    assert len(world.events) == 2


@pytest.mark.parametrize("with_receipt", [True, False])
def test_one_that_a_sweep_took_back(world: SweepWorld, with_receipt: bool) -> None:  # noqa: FBT001  # a parameter
    """What a sweep has taken back is asked for again where it matches again, with a new grace."""
    world.sweep()
    world.schedule(*world.requests)
    world.datamarts("trial-1", updated_at=START)
    world.rules(RULE | {"notUpdatedFor": "30 days"})
    world.sweep()
    (cancellation,) = world.cancellations
    world.call_off(world.requests[0], cancellation.detail["requestedBy"], cancellation.source)
    if with_receipt:
        world.end(world.requests[0], "cancelled")
    world.clock.advance(30 * 86_400)
    report = world.sweep()

    assert states(report)["trial-1"] == "asked"
    assert report["matched"][0]["retirementId"] == id_of("trial-1", 2)
    assert "a sweep cancelled" in report["matched"][0]["why"]


def test_a_cancelled_one_without_its_cancellation(world: SweepWorld) -> None:
    """A receipt that says cancelled, and nothing that says by whom: it counts as somebody's."""
    world.sweep()
    world.end(world.requests[0], "cancelled")

    assert states(world.sweep()) == {"trial-2": "repeated"}


def test_several_rules_and_one_date(world: SweepWorld) -> None:
    """A datamart that another rule has asked for keeps that date, whichever rule comes first by now."""
    world.sweep()
    world.schedule(*world.requests)
    world.rules(RULE | {"name": "first", "retireAfter": "0 days"}, RULE)
    report = world.sweep()

    assert {entry["rule"] for entry in report["matched"]} == {"trials"}
    assert {entry["state"] for entry in report["matched"]} == {"pending"}
    assert [entry["alsoMatched"] for entry in report["matched"]] == [["first"], ["first"]]
    assert len(world.events) == 2


# ---- What nobody seems to have heard -------------------------------------------------------------------------------


def test_an_event_that_nobody_heard(world: SweepWorld) -> None:
    """What was asked for and has left no trace is sent once more, as it was asked, whatever the policy says by now."""
    world.sweep()
    before = list(world.requests)
    world.clock.advance(86_400)
    world.rules(RULE | {"owner": "somebody else", "reason": "another", "retireAfter": "1 day"})
    report = world.sweep()

    assert world.requests == before + [replace(event, time=world.clock.now()) for event in before]
    assert set(states(report).values()) == {"repeated"}
    assert {entry["retireAt"] for entry in report["matched"]} == {"2026-03-15T12:00:00.000Z"}


def test_a_date_that_passed_unheard(world: SweepWorld) -> None:
    """Where the date has passed meanwhile, nobody was told of it: it is taken back, and asked for with a new grace."""
    world.sweep()
    world.clock.advance(14 * 86_400)
    report = world.sweep()

    assert [event.detail["retirementId"] for event in world.cancellations] == [id_of("trial-1"), id_of("trial-2")]
    assert {entry["why"] for entry in report["cancelled"]} == {"its date passed before it was scheduled"}
    assert [entry["retirementId"] for entry in report["matched"]] == [id_of("trial-1", 2), id_of("trial-2", 2)]
    assert {entry["retireAt"] for entry in report["matched"]} == {"2026-03-29T12:00:00.000Z"}


# ---- Taking back ---------------------------------------------------------------------------------------------------


def no_longer_old(world: SweepWorld) -> str:
    """Somebody works on it."""
    world.rules(RULE | {"notUpdatedFor": "30 days"})
    world.datamarts("trial-1", updated_at=START)
    return "last updated at 2026-03-01T12:00:00.000Z, less than 30 days ago"


def used(world: SweepWorld) -> str:
    """An embed uses it."""
    world.rules(UNUSED)
    world.databrain.embeds = listing_of(embed_of("e-1", "trial-1"))
    return 'used by 1 embed: "e-1"'


def exempt(world: SweepWorld) -> str:
    """The rule spares it."""
    world.rules(RULE | {"exempt": ["*-1"]})
    return 'exempt by "*-1"'


def not_named(world: SweepWorld) -> str:
    """The rule no longer names it."""
    world.rules(RULE | {"names": ["*-2"]})
    return "the policy has no rule of this name any more, or it no longer names the datamart"


def protected(world: SweepWorld) -> str:
    """The stack protects it."""
    world.limits(protected_datamarts=("*-1",))  # type: ignore[arg-type]  # globs
    return 'protected by "*-1" in the stack\'s ProtectedDatamarts'


@pytest.mark.parametrize("change", [no_longer_old, used, exempt, not_named, protected])
def test_what_no_longer_matches(world: SweepWorld, change: Any) -> None:  # noqa: ANN401  # a function
    """A retirement whose rule no longer matches is cancelled, and the cancellation says why."""
    world.sweep()
    world.schedule(*world.requests)
    world.clock.advance(60)
    why = change(world)
    report = world.sweep()

    (event,) = world.cancellations
    assert event.detail == {
        "datamartName": "trial-1",
        "environment": "prod",
        "retirementId": id_of("trial-1"),
        "requestedBy": "sweep:trials",
        "reason": f"The rule trials of the sweep: no longer matches: {why}",
    }
    assert report["cancelled"] == [
        {
            "datamartName": "trial-1",
            "rule": "trials",
            "why": f"no longer matches: {why}",
            "retirementId": id_of("trial-1"),
            "retireAt": "2026-03-15T12:00:00.000Z",
        }
    ]
    assert states(report) == {"trial-2": "pending"}
    assert len(world.requests) == 2


def test_a_rule_that_is_gone(world: SweepWorld) -> None:
    """What a rule asked for that is no longer in the policy is cancelled; a new rule asks with its own grace."""
    world.sweep()
    world.schedule(*world.requests)
    world.clock.advance(86_400)
    world.rules(RULE | {"name": "renamed"})
    report = world.sweep()

    assert [event.detail["retirementId"] for event in world.cancellations] == [id_of("trial-1"), id_of("trial-2")]
    assert [event.detail["retirementId"] for event in world.requests[2:]] == [
        id_of("trial-1", rule="renamed"),
        id_of("trial-2", rule="renamed"),
    ]
    assert report["counts"]["cancelled"] == report["counts"]["asked"] == 2


def test_cancellations_go_first(world: SweepWorld) -> None:
    """What is taken back is sent before anything is asked for."""
    world.sweep()
    world.rules(RULE | {"name": "renamed"})
    world.sweep()

    kinds = [event.detail_type.split()[-1] for event in world.events[2:]]
    assert kinds == ["Cancelled", "Cancelled", "Requested", "Requested"]


def test_cancelled_until_it_is_heard(world: SweepWorld) -> None:
    """A cancellation is sent by each sweep until something has come of it."""
    world.sweep()
    world.schedule(*world.requests)
    world.rules(RULE | {"names": ["x"]})
    world.sweep()
    world.sweep()
    assert len(world.cancellations) == 4

    for event in world.requests:
        world.call_off(event, "sweep:trials", "datamart-retirement.sweep")
    assert world.sweep()["cancelled"] == []
    assert len(world.cancellations) == 4


@pytest.mark.parametrize(
    "file_names", [("receipt.json",), ("cancelled.json",), ("intent.json",), ("intent.json", "failure-1.json")]
)
def test_what_is_not_cancelled(world: SweepWorld, file_names: tuple[str, ...]) -> None:
    """What is over, called off or at work is no longer the sweep's to take back."""
    world.sweep()
    world.schedule(*world.requests)
    for event, file_name in product(world.requests, file_names):
        world.keep(event, file_name, outcome="blocked")
    world.rules(RULE | {"names": ["x"]})
    report = world.sweep()

    assert (world.cancellations, report["cancelled"]) == ([], [])


def test_abandoned_with_its_date_ahead(world: SweepWorld) -> None:
    """What was given up although its date is kept, a reminder for one, is scheduled all the same."""
    world.sweep()
    world.schedule(*world.requests)
    for event in world.requests:
        world.keep(event, "failure-1.json", outcome="failed")
    assert set(states(world.sweep()).values()) == {"pending"}

    world.rules(RULE | {"names": ["x"]})
    assert len(world.sweep()["cancelled"]) == len(world.cancellations) == 2


@pytest.mark.parametrize("matches", [True, False])
def test_abandoned(world: SweepWorld, matches: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """What waits in `Failures` is taken back before another one is asked for: it may be sent again from there."""
    world.sweep()
    world.schedule(*world.requests)
    world.clock.advance(14 * 86_400)
    for event in world.requests:
        world.keep(event, "failure-1.json", outcome="failed")
    if not matches:
        world.rules(RULE | {"names": ["x"]})
    report = world.sweep()

    assert [entry["retirementId"] for entry in report["cancelled"]] == [id_of("trial-1"), id_of("trial-2")]
    assert len(world.cancellations) == 2
    if matches:
        assert {entry["why"] for entry in report["cancelled"]} == {"it failed, and a new request replaces it"}
        assert [event.detail["retirementId"] for event in world.requests[2:]] == [
            id_of("trial-1", 2),
            id_of("trial-2", 2),
        ]
    else:
        assert len(world.requests) == 2


def test_whoever_copies_the_name_of_a_sweep(world: SweepWorld) -> None:
    """What a person cancelled stays so, whatever name they wrote into it: the event's source tells who it was."""
    world.sweep()
    for event in world.requests:
        world.call_off(event, event.detail["requestedBy"])

    assert set(whys(world.sweep())) == {"trial-1", "trial-2"}
    assert len(world.requests) == 2


@pytest.mark.parametrize("event", [None, 7, "", "{", "[]"])
def test_a_cancellation_without_its_event(world: SweepWorld, event: object) -> None:
    """Where nothing tells who cancelled it was not a sweep."""
    world.sweep()
    for asked in world.requests:
        world.keep(asked, "cancelled.json", outcome="cancelled", requestedBy="sweep:trials", event=event)

    assert set(whys(world.sweep())) == {"trial-1", "trial-2"}


def test_the_time_of_a_request(world: SweepWorld) -> None:
    """A sweep asks as of its beginning: what was re-created after it was listed is younger than the request."""
    world.sweep(Meanwhile("evidence.create", partial(world.clock.advance, 60)))

    assert {event.time for event in world.requests} == {START}


def test_unheard_under_another_rule(world: SweepWorld) -> None:
    """What one matching rule has asked for stands before it is heard, too: no other rule asks beside it."""
    world.sweep()
    world.rules(RULE | {"name": "first", "retireAfter": "30 days"}, RULE)
    report = world.sweep()

    assert set(states(report).values()) == {"repeated"}
    assert {event.detail["retirementId"] for event in world.requests} == {id_of("trial-1"), id_of("trial-2")}
    assert world.cancellations == []


def test_what_is_no_longer_listed(world: SweepWorld) -> None:
    """A datamart that is gone, or was re-created, needs no cancellation: its retirement finds that out."""
    world.sweep()
    world.schedule(*world.requests)
    del world.databrain.datamarts["trial-1"]
    world.datamarts("trial-2", created_at=START)
    world.rules(RULE | {"names": ["x"]})
    world.sweep()

    assert world.cancellations == []


# ---- Limits and dry runs -------------------------------------------------------------------------------------------


def test_too_many_at_once(world: SweepWorld) -> None:
    """Where more would be asked for than MaxPerSweep none is, neither anew nor again, and the report says so."""
    world.sweep()
    world.datamarts(*(f"trial-{number}" for number in range(3, 6)))
    world.limits(max_per_sweep=2)
    report = world.sweep()

    assert len(world.events) == len(world.asked) == 2
    assert set(states(report).values()) == {"held_back"}
    assert report["counts"]["heldBack"] == 5
    assert report["refusal"].startswith("3 retirements would be requested, and MaxPerSweep is 2, so none was.")

    world.limits(max_per_sweep=3)
    assert world.sweep()["refusal"] is None
    assert len(world.asked) == 5


def test_too_large_a_part(world: SweepWorld) -> None:
    """Where more match than MaxSweepPercent of all datamarts none is asked for; pending ones count, and stay."""
    world.sweep()
    world.schedule(*world.requests)
    world.datamarts("trial-3")
    world.limits(max_sweep_percent=59)
    report = world.sweep()

    assert states(report) == {"trial-1": "pending", "trial-2": "pending", "trial-3": "held_back"}
    assert report["refusal"].startswith("3 of 5 datamarts match, and MaxSweepPercent is 59")
    world.limits(max_sweep_percent=60)
    assert states(world.sweep())["trial-3"] == "asked"


def test_a_policy_that_matches_everything(world: SweepWorld) -> None:
    """With the limits as they are by default, a policy that matches everything asks for nothing."""
    world.rules(RULE | {"names": ["*"]})
    world.limits(max_per_sweep=25, max_sweep_percent=10)
    report = world.sweep()

    assert (world.events, world.asked) == ([], {})
    assert report["refusal"].startswith("4 of 4 datamarts match")


def test_cancellations_happen_all_the_same(world: SweepWorld) -> None:
    """A limit keeps nothing from being taken back."""
    world.sweep()
    world.schedule(*world.requests)
    world.rules(RULE | {"name": "everything", "names": ["*"]})
    world.limits(max_per_sweep=0)
    report = world.sweep()

    assert report["refusal"]
    assert (len(world.cancellations), len(world.requests)) == (2, 2)


@pytest.mark.parametrize("dry_run", [None, True])
def test_dry_run(world: SweepWorld, dry_run: bool | None) -> None:  # noqa: FBT001  # a parameter of the test
    """A dry run says what it would do; it sends nothing, and keeps nothing but its report."""
    world.sweep()
    first, second = world.requests
    world.schedule(first)
    world.end(second, "blocked")
    world.datamarts("trial-3")
    objects = set(world.evidence.objects)
    world.rules(RULE | {"exempt": ["*-1"]}, dry_run=dry_run)
    report = world.sweep()

    assert len(world.events) == 2
    assert world.evidence.objects.keys() - objects == {report["report"]["key"]}
    assert report["dryRun"] is True
    assert states(report) == {"trial-2": "would_ask", "trial-3": "would_ask"}
    assert [entry["retirementId"] for entry in report["matched"]] == [id_of("trial-2", 2), id_of("trial-3")]
    assert [entry["datamartName"] for entry in report["cancelled"]] == ["trial-1"]


def test_a_dry_run_decides_alike(world: SweepWorld) -> None:
    """A dry run and the sweep after it name the same datamarts, identities and dates."""
    world.datamarts("trial-3", created_at=None)
    world.rules(RULE | {"olderThan": "30 days", "exempt": ["*-2"]}, dry_run=True)
    planned = world.sweep()
    world.rules(RULE | {"olderThan": "30 days", "exempt": ["*-2"]})
    done = world.sweep()

    assert [{**entry, "state": ""} for entry in planned["matched"]] == [
        {**entry, "state": ""} for entry in done["matched"]
    ]
    assert planned["skipped"] == done["skipped"]
    assert planned["cancelled"] == done["cancelled"]


def test_a_dry_run_within_limits(world: SweepWorld) -> None:
    """A dry run says too that a limit would hold everything back."""
    world.rules(RULE, dry_run=True)
    world.limits(max_per_sweep=1)

    report = world.sweep()
    assert set(states(report).values()) == {"held_back"}
    assert report["refusal"]


# ---- What goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "SweepPolicyUri: s3://policies/sweep.json cannot be read"),
        (b"", "SweepPolicyUri: s3://policies/sweep.json is not valid JSON"),
        (b"{}", "SweepPolicyUri: s3://policies/sweep.json: the policy must have the field formatVersion"),
        (b'{"formatVersion": "1", "rules": []}', "SweepPolicyUri: s3://policies/sweep.json: rules must be a list"),
        (json.dumps({"formatVersion": "1", "rules": [RULE | {"olderThen": "1 day"}]}).encode(), "SweepPolicyUri: "),
    ],
)
def test_no_policy(world: SweepWorld, body: bytes | None, said: str) -> None:
    """A policy that is missing, broken or of another shape is reported as a refusal, and raised."""
    world.sweep()
    world.policy.body = body
    with pytest.raises(ConfigurationError) as raised:
        world.sweep()

    assert str(raised.value).startswith(said)
    report = world.reports[-1]
    assert report["refusal"] == str(raised.value)
    assert json.loads(world.evidence.objects[report["report"]["key"]].body) == report
    assert (report["dryRun"], report["counts"]["datamarts"]) == (None, None)
    assert (report["policy"]["versionId"] is None) is (body is None)
    assert len(world.events) == 2
    assert set(world.calls) == {"policy.read", "evidence.create", "reports_topic.publish"}


@pytest.mark.parametrize("call", ["databrain.list_datamarts_with_updates", "databrain.list_embeds", "embed_map.read"])
def test_a_wrong_setting(world: SweepWorld, call: str) -> None:
    """So is a map or a secret that somebody has to mend."""
    world.rules(UNUSED)
    with pytest.raises(ConfigurationError):
        world.sweep(FailAt(call, ConfigurationError("EmbedMapUri: mend it")))

    assert world.reports[-1]["refusal"] == "EmbedMapUri: mend it"
    assert world.events == []


@pytest.mark.parametrize("error", [DatabrainUnavailable("HTTP 503"), DatabrainUnauthorized("HTTP 401")])
@pytest.mark.parametrize("call", ["databrain.list_datamarts_with_updates", "databrain.list_embeds"])
def test_databrain_does_not_answer(world: SweepWorld, call: str, error: Exception) -> None:
    """Where Databrain does not answer the sweep fails, and asks for nothing and takes nothing back."""
    world.rules(UNUSED)
    with pytest.raises(type(error)):
        world.sweep(FailAt(call, error))

    assert (world.events, world.reports, world.evidence.objects) == ([], [], {})
    assert world.telemetry.errors == [error]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"datamartName": "sales"}',
        canonical_json({"datamartName": "sales", "retirementId": id_of("trial-1"), "retireAt": "2026-03-15T12:00:00Z"}),
        canonical_json({"datamartName": "trial-1", "retirementId": id_of("x"), "retireAt": "2026-03-15T12:00:00Z"}),
        canonical_json({"datamartName": "trial-1", "retirementId": id_of("trial-1"), "retireAt": "tomorrow"}),
        canonical_json({"datamartName": "trial-1", "retirementId": id_of("trial-1"), "retireAt": 7}),
        canonical_json({"datamartName": "trial-1", "retirementId": id_of("trial-1")}),
    ],
)
def test_what_is_kept_is_not_ours(world: SweepWorld, body: str) -> None:
    """An object that no sweep wrote in its place is an error, and nothing of it is ever sent."""
    world.evidence.create(f"sweeps/asked/{id_of('trial-1')}.json", body)
    with pytest.raises(AwsCallFailed, match="is not as this project writes it"):
        world.sweep()

    assert world.events == []


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"outcome": "failed"}', '{"outcome": "scheduled"}', '{"outcome": 7}', '{"outcome": []}']
)
def test_a_receipt_that_is_not_ours(world: SweepWorld, body: str) -> None:
    """So is a receipt that says nothing a receipt can say."""
    world.sweep()
    world.evidence.create(f"retirements/trial-1/{id_of('trial-1')}/receipt.json", body)
    with pytest.raises(AwsCallFailed, match="is not as this project writes it"):
        world.sweep()


def test_an_object_that_is_listed_and_gone(world: SweepWorld) -> None:
    """An object that is listed and cannot be read is an error, and never a request that was not made."""
    world.sweep()
    with pytest.raises(AwsCallFailed, match="but has no such object"):
        world.sweep(_without("sweeps/asked/"))


def _without(prefix: str) -> Any:  # noqa: ANN401  # an interference
    def interfere(call: Parsed) -> object:
        if call.name == "evidence.read" and call.arguments[0].startswith(prefix):
            return None
        return call.proceed()

    return interfere


# ---- Work ----------------------------------------------------------------------------------------------------------


def test_work_does_not_grow_with_what_is_kept_and_listed(world: SweepWorld) -> None:
    """Ten thousand datamarts and ten thousand requests of old: only what is still listed and was asked for is read."""
    world.datamarts(*(f"datamart-{number}" for number in range(10_000)))
    for number in range(10_000):
        world.evidence.create(f"sweeps/asked/{Subject.of('trials', f'gone-{number}', OLD).retirement_id(1)}.json", "{}")
    world.sweep()
    assert world.calls.count("evidence.read") == 0
    assert world.calls.count("evidence.list") == world.calls.count("databrain.list_datamarts_with_updates") == 1

    world.schedule(*world.requests)
    world.sweep()
    assert world.calls.count("evidence.read") == 2 * 2
    assert world.calls.count("evidence.list") == 1 + 2
    assert set(states(world.reports[-1]).values()) == {"pending"}


def test_a_large_report(world: SweepWorld) -> None:
    """A report of a thousand datamarts is kept whole, and published as far as it fits."""
    world.datamarts(*("\U0001f642" * 250 + f"{number:05}" for number in range(1_000)))
    world.rules(RULE | {"names": ["\U0001f642*"]})
    report = world.sweep()

    assert report["refusal"]
    assert len(world.reports_topic.messages[-1].encode()) < 250 * 1024
    kept = json.loads(world.evidence.objects[report["report"]["key"]].body)
    follows_schema(kept)
    assert len(kept["matched"]) == report["counts"]["matched"] == 1_000


def test_a_sweep_takes_its_time_from_one_clock(world: SweepWorld) -> None:
    """However long a sweep takes, all its dates count from its beginning."""

    def slow(call: Parsed) -> object:
        world.clock.advance(60)
        return call.proceed()

    report = world.sweep(slow)

    assert {event.detail["retireAt"] for event in world.requests} == {"2026-03-15T12:00:00.000Z"}
    assert report["startedAt"] == "2026-03-01T12:00:00.000Z"
    assert report["finishedAt"] > report["startedAt"]


def test_dates_are_a_grace_apart(world: SweepWorld) -> None:
    """The grace is counted in days of 24 hours, whatever the calendar does."""
    world.rules(RULE | {"retireAfter": "365 days"})
    world.sweep()

    assert {event.detail["retireAt"] for event in world.requests} == {
        (START + timedelta(days=365)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    }
