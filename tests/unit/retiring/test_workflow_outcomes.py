"""Every outcome, the objects it leaves and the message it publishes."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retirement.canonical import sha256_hex
from retirement.databrain.ports import DatabrainApi
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.errors import (
    Abandoned,
    BackupFailed,
    ConfigurationError,
    DatabrainUnavailable,
    DatabrainUnexpected,
    NotYetDue,
)
from retirement.outcomes import Reason
from retirement.record.keys import rejected_key
from retirement.retiring.settings import Mode, UndeterminedEmbeds
from retirement.retiring.workflow import retire
from retirement.timestamps import format_timestamp
from tests.fakes import (
    START,
    Call,
    Crash,
    CrashAt,
    FailAt,
    World,
    embed_of,
    entry_of,
    listing_of,
    message_id,
    requested,
)

PLAN, BACKUP, INTENT, RECEIPT = "plan", "backup", "intent", "receipt"

NAMES = [
    "sales",
    "Demo Sales API",
    "a/b/../c",
    "100 % & more + \"quotes\" 'too'",
    ".",
    "..",
    "Umsätze 売上 📈",
    "#?=;~",
    "n" * 256,
    "売" * 256,
    "📈" * 256,
]


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    return world


def kinds(world: World) -> list[str]:
    """What is in the bucket, in the order of writing."""
    return [_kind(key) for key in world.evidence.objects]


def _kind(key: str) -> str:
    folder, file_name = key.split("/", maxsplit=1)[0], key.rsplit("/", maxsplit=1)[1]
    if folder in {"plans", "backups"}:
        return folder.removesuffix("s")
    kind = file_name.removesuffix(".json").split("-")[0]
    return kind if folder == "retirements" else f"{folder} {kind}"


def test_deleted(world: World) -> None:
    """A request is carried out with a backup, an intent, one delete, a receipt and a publication."""
    world.databrain.semantic_layers["sales"] = {"datamartName": "sales", "tables": [], "completionScore": 75}
    snapshot = world.databrain.find("sales")
    event = requested()

    result = world.deliver(event)

    intent, backup = world.kept_of(event, "intent.json"), result["backup"]
    [plan_key, backup_key, _, _] = world.evidence.objects
    assert result == {
        "schemaVersion": "1",
        "retirementId": "offboard-1",
        "datamartName": "sales",
        "requestedBy": "ops@example.com",
        "requestReason": "the tenant left",
        "outcome": "deleted",
        "reason": None,
        "message": result["message"],
        "environment": "prod",
        "requestedAt": "2026-03-01T12:00:00.000Z",
        "startedAt": "2026-03-01T12:00:00.000Z",
        "finishedAt": "2026-03-01T12:00:00.000Z",
        "planId": plan_key.removeprefix("plans/sales/").removesuffix(".json"),
        "backup": backup,
        "dependents": result["dependents"],
        "notRestorable": [],
        "confirmedBy": "response",
    }
    assert kinds(world) == [PLAN, BACKUP, INTENT, RECEIPT]
    assert world.published == [result] == [world.kept_of(event, "receipt.json")]
    stored = world.evidence.objects[backup_key]
    assert backup == {
        "bucket": "evidence",
        "key": backup_key,
        "versionId": stored.version_id,
        "sha256": sha256_hex(stored.body),
        "bytes": len(stored.body.encode()),
    }
    assert backup_key == f"backups/sales/offboard-1/backup-{backup['sha256'][:16]}.json"
    assert backup_key in result["message"]
    assert intent == {
        "formatVersion": "1",
        "request": event["detail"],
        "requestHash": intent["requestHash"],
        "datamart": {
            "name": "sales",
            "createdAt": "2026-02-28T12:00:00.000Z",
            "configurationHash": snapshot.configuration_hash,  # type: ignore[union-attr]  # it is there
        },
        "planId": result["planId"],
        "dependents": result["dependents"],
        "notRestorable": [],
        "backup": backup,
        "invocationId": "invocation-1",
        "organisation": {
            "identity": '["sales","offboard-1"]',
            "fingerprint": world.databrain.fingerprint('["sales","offboard-1"]'),
            "datamarts": {},
            "dataApps": {},
        },
    }
    assert [permit.snapshot.name for permit in world.databrain.permits] == ["sales"]
    assert world.databrain.datamarts == {}
    assert world.coordination.locks == {}
    assert world.telemetry.results == [result]


def test_way_of_a_request(world: World) -> None:
    """The calls come in the order of the protocol: nothing is deleted before its backup and its intent are kept."""
    world.deliver(requested())

    assert world.calls == [
        "coordination.acquire",
        "evidence.list",
        "datamart_lists.read",
        "coordination.used_today",
        "databrain.find",
        "databrain.list_embeds",
        "embed_map.read",
        "evidence.create",
        "evidence.create",
        "evidence.read",
        "coordination.reserve",
        "evidence.create",
        "evidence.list",
        "coordination.record_failure",
        "databrain.delete",
        "databrain.list_datamarts",
        "evidence.create",
        "results_topic.publish",
        "coordination.release",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_any_name(world: World, name: str) -> None:
    """A name is exact whatever it is made of, and two names never share an object."""
    world.databrain.datamarts |= {name: entry_of(name), f"{name[:255]}x": entry_of(f"{name[:255]}x")}

    first, second = world.deliver(requested(name)), world.deliver(requested(f"{name[:255]}x"))

    assert (first["outcome"], first["datamartName"]) == ("deleted", name)
    assert (second["outcome"], second["datamartName"]) == ("deleted", f"{name[:255]}x")
    assert len(world.evidence.objects) == 8
    assert all(len(key.encode()) <= 1024 for key in world.evidence.objects)


def test_without_backup(world: World) -> None:
    """`backup: false` deletes without one, and the result says so."""
    result = world.deliver(requested(backup=False))

    assert (result["outcome"], result["backup"]) == ("deleted", None)
    assert kinds(world) == [PLAN, INTENT, RECEIPT]


@pytest.mark.parametrize("default", [True, False])
def test_backup_by_default(world: World, default: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Without `backup` in the request the stack's default decides."""
    world.settings = replace(world.settings, backup_by_default=default)

    assert (world.deliver(requested())["backup"] is not None) is default


@pytest.mark.parametrize(
    ("api", "path"),
    [(DatabrainApi.CURRENT, "/api/v2/data-app/datamarts"), (DatabrainApi.LEGACY, "/api/v2/dataApp/datamart/create")],
)
def test_create_request_of_the_servers_api(world: World, api: DatabrainApi, path: str) -> None:
    """The backup has a create request for the server's API."""
    world.settings = replace(world.settings, databrain_api=api)

    backup = world.kept(world.deliver(requested())["backup"]["key"])

    assert backup["createRequest"]["path"] == path


def test_already_absent(world: World) -> None:
    """A name that is not listed is reported as such, with nothing written but the receipt."""
    result = world.deliver(requested("sales "))

    assert (result["outcome"], result["reason"]) == ("already_absent", None)
    assert 'Similar names: "sales".' in result["message"]
    assert kinds(world) == [RECEIPT]
    assert world.published == [result]


@pytest.mark.parametrize(
    ("mode", "dry_run", "reason", "why", "how"),
    [
        (Mode.RETIRE, True, "dry_run", "because the request is a dry run", "and without dryRun."),
        (Mode.PLAN, True, "dry_run", "because the request is a dry run", "and without dryRun."),
        (Mode.PLAN, False, "plan_mode", "because this stack's Mode is plan", ", once Mode is retire."),
    ],
)
def test_planned(world: World, mode: Mode, dry_run: bool, reason: str, why: str, how: str) -> None:  # noqa: FBT001  # a parameter
    """A dry run, and any run in `plan` mode, leaves a plan and a receipt, says why, and changes nothing."""
    world.settings = replace(world.settings, mode=mode)

    result = world.deliver(requested(dryRun=dry_run))

    assert (result["outcome"], result["reason"]) == ("planned", reason)
    assert result["message"].startswith(f"Nothing was changed, {why}; ")
    assert result["planId"] in result["message"]
    assert result["message"].endswith(how)
    assert kinds(world) == [PLAN, RECEIPT]
    assert "sales" in world.databrain.datamarts
    assert world.databrain.permits == []


def test_dry_run_of_an_absent_one(world: World) -> None:
    """A dry run says `already_absent` too."""
    assert world.deliver(requested("gone", dryRun=True))["outcome"] == "already_absent"


TABLELESS = entry_of() | {"datamartTables": []}
NEEDS_A_TABLE = "datamart.datamartTables: Create Datamart needs at least one table"


def test_what_cannot_be_restored_is_said_beforehand(world: World) -> None:
    """A dry run says what keeps the datamart from being restored, in plan and result; so does the backup."""
    world.databrain.datamarts["sales"] = TABLELESS

    dry = world.deliver(requested(retirementId="dry", dryRun=True))
    real = world.deliver(requested(retirementId="real", planId=dry["planId"]))

    assert dry["notRestorable"] == real["notRestorable"] == [NEEDS_A_TABLE]
    assert "which could not be restored (notRestorable)" in dry["message"]
    assert world.kept(f"plans/sales/{dry['planId']}.json")["notRestorable"] == [NEEDS_A_TABLE]
    assert world.kept(real["backup"]["key"])["notRestorable"] == [NEEDS_A_TABLE]


@pytest.mark.parametrize("asked", [{"requireRestorable": True}, {}])
def test_restorable_or_not_at_all(world: World, asked: dict[str, Any]) -> None:
    """Where it has to be restorable, by the request or the stack, another datamart is blocked; alike in a dry run."""
    world.databrain.datamarts["sales"] = TABLELESS
    world.settings = replace(world.settings, require_restorable=not asked)

    dry = world.deliver(requested(retirementId="dry", dryRun=True, **asked))
    real = world.deliver(requested(retirementId="real", **asked))

    for result in (dry, real):
        assert (result["outcome"], result["reason"]) == ("blocked", "not_restorable")
        assert (result["notRestorable"], result["backup"]) == ([NEEDS_A_TABLE], None)
    assert world.databrain.permits == []
    lifted = world.deliver(requested(retirementId="lifted", requireRestorable=False))
    assert lifted["outcome"] == "deleted"


STATES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing uses it": ({"embeds": listing_of(embed_of("e", "marketing"))}, "-"),
    "used": ({"embeds": listing_of(embed_of("e", "sales"))}, "dependents_found"),
    "used under a near name": ({"embeds": listing_of(embed_of("e", " SALES"))}, "dependents_found"),
    "undetermined": ({"embeds": listing_of(embed_of("e", None))}, "dependents_undetermined"),
    "not returned": ({"embeds": listing_of(embed_of("e", None, listed=False))}, "dependents_undetermined"),
    "a gap": ({"embeds": listing_of(gaps=["the embeds of a data app"])}, "dependents_undetermined"),
    "used and undetermined": (
        {"embeds": listing_of(embed_of("e", None), embed_of("f", "sales"))},
        "dependents_found",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_plan_and_retire_decide_alike(world: World, state: str) -> None:
    """On the same state a dry run and a real run decide the same, with the same plan."""
    organisation, reason = STATES[state]
    vars(world.databrain).update(organisation)

    dry = world.deliver(requested(retirementId="dry", dryRun=True))
    real = world.deliver(requested(retirementId="real"))

    assert dry["planId"] == real["planId"]
    assert dry["dependents"] == real["dependents"]
    if reason == "-":
        assert (dry["outcome"], real["outcome"]) == ("planned", "deleted")
    else:
        assert (dry["outcome"], dry["reason"]) == (real["outcome"], real["reason"]) == ("blocked", reason)
        assert dry["message"] == real["message"]
        assert world.databrain.permits == []


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "way",
    [
        {"dependents": "ignore"},
        {"reviewedEmbeds": ["e", "f"]},
    ],
)
def test_dependents_that_do_not_block(world: World, state: str, way: dict[str, Any]) -> None:
    """`ignore` covers everything, `reviewedEmbeds` those named; both still list them for the audit."""
    organisation, _ = STATES[state]
    vars(world.databrain).update(organisation)
    embeds = organisation["embeds"]

    result = world.deliver(requested(**way))

    blocks = embeds.gaps and "reviewedEmbeds" in way
    assert result["outcome"] == ("blocked" if blocks else "deleted")
    dependents = result["dependents"]
    shown = {embed["embedId"] for embed in dependents["found"] + dependents["undetermined"]}
    assert shown == {embed.embed_id for embed in embeds.embeds if embed.datamart_name != "marketing"}
    assert dependents["notChecked"][4:] == list(embeds.gaps)


def test_undetermined_reported(world: World) -> None:
    """With `UndeterminedEmbeds` `report` they are told and do not block; found ones still do."""
    world.settings = replace(world.settings, undetermined_embeds=UndeterminedEmbeds.REPORT)
    world.databrain.datamarts["hr"] = entry_of("hr")
    world.databrain.embeds = listing_of(embed_of("e", None), embed_of("f", "hr"), gaps=["some embeds"])

    undetermined, found = world.deliver(requested("sales")), world.deliver(requested("hr"))

    assert (undetermined["outcome"], undetermined["dependents"]["undeterminedCount"]) == ("deleted", 1)
    assert (found["outcome"], found["reason"]) == ("blocked", "dependents_found")


def test_embeds_that_cannot_be_listed(world: World) -> None:
    """A failure to list embeds fails the attempt; with `ignore` it goes into `notChecked`."""
    failure = DatabrainUnavailable("GET /api/v2/data-app: HTTP 503")
    world.databrain.embeds, world.databrain.embed_failures = listing_of(gaps=["the embeds"]), (failure,)

    with pytest.raises(DatabrainUnavailable) as raised:
        world.deliver(requested())
    assert raised.value is failure
    assert kinds(world) == []

    result = world.deliver(requested(dependents="ignore", retirementId="offboard-2"))
    assert result["outcome"] == "deleted"
    assert "the embeds" in result["dependents"]["notChecked"]


@pytest.mark.parametrize(
    ("created", "outcome"),
    [
        (timedelta(seconds=-1), "deleted"),
        (timedelta(0), "deleted"),
        (timedelta(milliseconds=1), "blocked"),
        (timedelta(seconds=1), "blocked"),
        (None, "deleted"),
    ],
)
def test_recreated(world: World, created: timedelta | None, outcome: str) -> None:
    """A datamart created after the request has arrived is not the one that was meant."""
    world.databrain.datamarts["sales"] = entry_of(created_at=None if created is None else START + created)
    world.clock.advance(3600)

    result = world.deliver(requested())

    assert result["outcome"] == outcome
    assert result["reason"] == (Reason.RECREATED if outcome == "blocked" else None)
    assert kinds(world) == ([PLAN, RECEIPT] if outcome == "blocked" else [PLAN, BACKUP, INTENT, RECEIPT])


SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("time", "arrived", "created", "outcome"),
    [
        ("2026-03-01T12:00:00Z", SECOND, timedelta(milliseconds=900), "deleted"),
        ("2026-03-01T12:00:00Z", SECOND, SECOND, "blocked"),
        ("2026-03-01T12:00:00Z", timedelta(milliseconds=150), timedelta(milliseconds=900), "blocked"),
        ("2026-03-01T12:00:00Z", timedelta(milliseconds=150), timedelta(milliseconds=150), "deleted"),
        ("2026-03-01T12:00:00.2Z", SECOND, timedelta(milliseconds=299), "deleted"),
        ("2026-03-01T12:00:00.2Z", SECOND, timedelta(milliseconds=300), "blocked"),
        ("2026-03-01T12:00:00.200Z", SECOND, timedelta(milliseconds=201), "blocked"),
        ("2026-03-01T13:00:00.200+01:00", SECOND, timedelta(milliseconds=200), "deleted"),
        ("2026-03-01T12:00:00.1234567Z", SECOND, timedelta(microseconds=123_457), "blocked"),
        ("2026-03-01T13:00:00Z", SECOND, SECOND, "deleted"),  # the sender's clock is ahead
        ("2026-03-01T13:00:00Z", SECOND, SECOND + MILLISECOND, "blocked"),
        ("9999-12-31T23:59:59Z", SECOND, SECOND + MILLISECOND, "blocked"),
    ],
)
def test_recreated_at_the_same_time(
    world: World, time: str, arrived: timedelta, created: timedelta, outcome: str
) -> None:
    """What counts is the earlier of the event's time, to its own precision, and its arrival; createdAt is not cut."""
    world.databrain.datamarts["sales"] = entry_of(created_at=START + created)
    world.clock.advance(3600)
    world.clock.begin_invocation()

    result = world.deliver_alongside(requested() | {"time": time}, sent_at=START + arrived)

    assert result["outcome"] == outcome


@pytest.mark.parametrize("receives", [(1, 2), (6,)], ids=["the first of six", "the last of six"])
@pytest.mark.parametrize("time", ["2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"], ids=["this second", "ahead"])
def test_recreated_before_it_is_sent_again(world: World, time: str, receives: tuple[int, ...]) -> None:
    """Sent again from `Failures`, a request is still as old as its first arrival, whatever came to nothing."""
    event = requested() | {"time": time}
    failing = FailAt("databrain.find", DatabrainUnavailable("HTTP 503"))
    for receive_count in receives:
        with pytest.raises((DatabrainUnavailable, Abandoned)):
            world.deliver(event, failing, receive_count=receive_count)
    world.databrain.datamarts["sales"] = entry_of(created_at=START + MILLISECOND)
    world.clock.advance(3 * 86_400)

    assert world.deliver_now(event)["reason"] == "recreated"


def test_recreated_between_two_deliveries_by_eventbridge(world: World) -> None:
    """The earlier of two arrivals counts, also where it is read after the other one, and before both are sent again."""
    event = requested() | {"time": "2026-03-02T12:00:00Z"}
    failing = FailAt("databrain.find", DatabrainUnavailable("HTTP 503"))
    for arrived in (START + 11 * SECOND, START):
        world.clock.begin_invocation()
        with pytest.raises(DatabrainUnavailable):
            world.deliver_alongside(event, failing, sent_at=arrived)
    world.databrain.datamarts["sales"] = entry_of(created_at=START + SECOND)
    world.clock.advance(3 * 86_400)

    assert world.deliver_now(event)["reason"] == "recreated"


def test_plan_that_holds(world: World) -> None:
    """A request that names the plan of a dry run is carried out while that is still what is there."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]

    assert world.deliver(requested(retirementId="real", planId=plan_id))["outcome"] == "deleted"


def test_plan_that_drifted(world: World) -> None:
    """A request that names a plan is blocked once something else is there."""
    plan_id = world.deliver(requested(dryRun=True))["planId"]
    world.databrain.datamarts["sales"] = entry_of(label="Orders of 2026")

    result = world.deliver(requested(retirementId="real", planId=plan_id))

    assert (result["outcome"], result["reason"]) == ("blocked", "plan_drifted")
    assert "sales" in world.databrain.datamarts


REJECTED: dict[str, Any] = {
    "no JSON": "{",
    "empty": "",
    "text": '"retire sales"',
    "a list": [],
    "null": "null",
    "twice the same key": '{"id": "e", "id": "f"}',
    "NaN": '{"id": NaN}',
    "a huge number": '{"id": 1e999}',
    "nested too deeply": "[" * 100_000,
    "another detail-type": requested() | {"detail-type": "Datamart Retired"},
    "no detail": {name: value for name, value in requested().items() if name != "detail"},
    "detail is text": requested() | {"detail": "sales"},
    "no id": {name: value for name, value in requested().items() if name != "id"},
    "unknown field": requested(dryRum=True),
    "lone surrogate": requested("sales\ud800"),
}
REJECTED_BY_WHAT_IS_KEPT: dict[str, Any] = {
    "another environment": requested(environment="staging"),
    "farther ahead than a queue can hold it back": requested(retireAt="2026-03-02T00:00:00Z"),
}


@pytest.mark.parametrize("case", [*REJECTED, *REJECTED_BY_WHAT_IS_KEPT])
def test_rejected(world: World, case: str) -> None:
    """An event that is no valid request is answered with `rejected` and a receipt that keeps it, and only that."""
    event = (REJECTED | REJECTED_BY_WHAT_IS_KEPT)[case]
    body = event if isinstance(event, str) else json.dumps(event)
    event_id = event.get("id") if isinstance(event, dict) else None

    result = world.deliver(event)

    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    [(key, receipt)] = world.evidence.objects.items()
    assert key == rejected_key(event_id or message_id(body))
    assert json.loads(receipt.body) == {**result, "event": body[: 64 * 1024]}
    assert world.published == [result]
    look = ["coordination.acquire", "evidence.list", "coordination.release"]
    assert world.calls == [
        *(look if case in REJECTED_BY_WHAT_IS_KEPT else []),
        "evidence.create",
        "results_topic.publish",
    ]


@pytest.mark.parametrize(
    ("tail", "kept"),
    [("x", "x"), ("xy", "x"), ("é", ""), ("🙂", ""), ("\ud800", "?"), ("\ud800x", "?")],
    ids=["fits", "too long", "cut in é", "cut in an emoji", "surrogate", "cut after a surrogate"],
)
def test_rejected_event_is_cut(world: World, tail: str, kept: str) -> None:
    """Of a long event its first 64 KiB are kept, as whole characters of UTF-8."""
    head = "x" * (64 * 1024 - 1)

    world.deliver(head + tail)

    [receipt] = world.evidence.objects.values()
    assert json.loads(receipt.body)["event"] == head + kept


def test_rejected_result_is_cut(world: World) -> None:
    """What a rejected event carried is cut to the schema's limits, its lone surrogates replaced."""
    long = "\ud800" + "x" * 5_000

    result = world.deliver(requested(long, requestedBy=long, reason=long, retirementId=long))

    assert result["datamartName"] == result["requestedBy"] == "\ufffd" + "x" * 255
    assert result["requestReason"] == "\ufffd" + "x" * 999
    assert result["retirementId"] == "\ufffd" + "x" * 127


def test_what_has_no_id_is_rejected_once(world: World) -> None:
    """A delivery that crashes before the answer to an event without an id is published leaves it to the next one."""
    with pytest.raises(Crash):
        world.deliver("no JSON", CrashAt("results_topic.publish"))

    result = world.deliver("no JSON")

    assert [json.loads(kept.body) for kept in world.evidence.objects.values()] == [{**result, "event": "no JSON"}]


def test_rejected_again(world: World) -> None:
    """A rejected event that is delivered again gets the same result, byte for byte."""
    first = world.deliver(requested(dryRum=True))
    world.clock.advance(500)
    second = world.deliver(requested(dryRum=True))

    assert first == second
    assert world.results_topic.messages[0] == world.results_topic.messages[1]
    assert len(world.evidence.objects) == 1


def test_two_rejected_events_under_one_id(world: World) -> None:
    """Another rejected event under the same id has a receipt of its own, under the message's id."""
    first = world.deliver(requested(dryRum=True))
    another = requested("hr", dryRum=True)
    second = world.deliver(another)

    assert (first["datamartName"], second["datamartName"]) == ("sales", "hr")
    assert list(world.evidence.objects) == [
        rejected_key(requested()["id"]),
        rejected_key(message_id(json.dumps(another))),
    ]
    assert world.published == [first, second]


@pytest.mark.parametrize("ahead", [1, 9, 45, 55, 60, 3_600, 42_000])
def test_held_back_until_its_date(world: World, ahead: int) -> None:
    """A request whose date is ahead is neither carried out nor rejected: the queue brings it again at its date."""
    event = requested(retireAt=format_timestamp(START + timedelta(seconds=ahead)))

    with pytest.raises(NotYetDue):
        world.deliver(event)
    redelivery_delays = world.inbox.redelivery_delays["handle-1"]
    assert (redelivery_delays, world.published, world.databrain.permits) == (ahead, [], [])

    world.clock.advance(redelivery_delays)
    assert world.deliver(event, receive_count=2)["outcome"] == "deleted"


def test_no_queue_holds_it_back(world: World) -> None:
    """A request with a date ahead that came from no queue is rejected: nobody would bring it again."""
    event = requested(retireAt="2026-03-01T12:00:09Z")
    delivery = receive(event, "invocation-1", START)

    assert answer(delivery, retire, world.settings, world.retire_ports())["reason"] == "invalid_request"
    assert "sales" in world.databrain.datamarts


@pytest.mark.parametrize("retire_at", ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2020-01-01T00:00:00Z"])
def test_retire_at_that_is_due(world: World, retire_at: str) -> None:
    """A `retireAt` that has come is carried out."""
    assert world.deliver(requested(retireAt=retire_at))["outcome"] == "deleted"


def test_same_request_again(world: World) -> None:
    """The same request delivered again, even as another event, gets the recorded result and costs nothing more."""
    first = world.deliver(requested())
    world.databrain.datamarts["sales"] = entry_of()
    world.clock.advance(86_400)

    again = world.deliver(requested() | {"id": "another"})

    assert again == first
    assert world.results_topic.messages[0] == world.results_topic.messages[1]
    assert len(world.databrain.permits) == 1
    assert world.calls == [
        "coordination.acquire",
        "evidence.list",
        "evidence.read",
        "results_topic.publish",
        "coordination.release",
    ]


@pytest.mark.parametrize(
    "changed", [{"backup": True}, {"dependents": "ignore"}, {"dryRun": False}, {"reviewedEmbeds": []}]
)
def test_id_spent_by_a_receipt(world: World, changed: dict[str, Any]) -> None:
    """The same identity with other content is `rejected`, even where the defaults would make it equal."""
    world.deliver(requested())
    world.databrain.datamarts["sales"] = entry_of()

    result = world.deliver(requested(**changed) | {"id": "another"})

    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
    assert world.kept(rejected_key("another"))["outcome"] == "rejected"
    assert len(world.databrain.permits) == 1
    assert world.coordination.locks == {}


def test_id_of_another_datamart_is_not_spent(world: World) -> None:
    """One retirementId may be used for many datamarts."""
    world.databrain.datamarts["hr"] = entry_of("hr")

    assert [world.deliver(requested(name))["outcome"] for name in ("sales", "hr")] == ["deleted", "deleted"]


def test_default_id(world: World) -> None:
    """Without a retirementId the event's id is taken."""
    event = requested(retirementId=...)

    assert world.deliver(event)["retirementId"] == event["id"]


@pytest.mark.parametrize("error", [ConfigurationError("the secret holds no token"), DatabrainUnexpected("HTML")])
def test_failed_is_raised(world: World, error: Exception) -> None:
    """A failed attempt raises, publishes nothing, leaves no receipt, keeps its reason and gives the lock back."""
    with pytest.raises(type(error)):
        world.deliver(requested(), FailAt("databrain.find", error))

    assert kinds(world) == []
    assert world.published == []
    assert world.coordination.failures == {("offboard-1", "sales"): error.reason}  # type: ignore[attr-defined]  # all have one
    assert world.coordination.locks == {}
    assert world.telemetry.errors == [error]


def test_unforeseen_error(world: World) -> None:
    """An error that nobody thought of goes back to the queue as `internal_error`."""
    with pytest.raises(ZeroDivisionError):
        world.deliver(requested(), FailAt("databrain.find", ZeroDivisionError()))

    assert world.coordination.failures == {("offboard-1", "sales"): Reason.INTERNAL_ERROR}


def test_backup_that_cannot_be_found_again(world: World) -> None:
    """A backup that was written and is not there when read back fails the attempt, and nothing is deleted."""

    def lose(call: Call) -> object:
        return None if call.name == "evidence.read" and "/backup-" in call.arguments[0] else call.proceed()

    with pytest.raises(BackupFailed):
        world.deliver(requested(), lose)

    assert world.databrain.permits == []
    assert kinds(world) == [PLAN, BACKUP]


def test_backup_that_differs(world: World) -> None:
    """A backup that reads back as anything else than what was written fails the attempt, and nothing is deleted."""

    def spoil(call: Call) -> object:
        found = call.proceed()
        return replace(found, body="{}") if call.name == "evidence.read" and "/backup-" in call.arguments[0] else found

    with pytest.raises(BackupFailed, match="not what was written"):
        world.deliver(requested(), spoil)

    assert world.databrain.permits == []


def test_result_stays_small(world: World) -> None:
    """Whatever the API calls its embeds and data apps, the published message stays under SNS's 256 KiB."""
    long = "売" * 2_000
    embeds = [
        replace(embed_of(f"{long}{number}", name), name=long) for number in range(150) for name in ("sales", None)
    ]
    world.databrain.embeds = listing_of(*embeds, gaps=["📈" * 130] * 150)
    tables = [{"tableName": "t", "datamartTableColumns": [{"columnName": "c", "isCustomColumn": True}]}] * 10_000
    world.databrain.datamarts["sales"] = entry_of() | {"datamartTables": tables}

    result = world.deliver(requested())

    assert result["dependents"]["foundCount"] == result["dependents"]["undeterminedCount"] == 150
    assert len(result["notRestorable"]) == 100
    assert len(world.results_topic.messages[0].encode()) < 256 * 1024


def test_steps(world: World) -> None:
    """Each step of the protocol is one line."""
    world.deliver(requested())

    assert [step for step, _ in world.telemetry.steps] == [
        "request",
        "snapshot",
        "dependents",
        "decide",
        "backup",
        "intent",
        "delete",
        "confirm",
    ]
    assert [asked.retirement_id for asked in world.telemetry.asked] == ["offboard-1"]
