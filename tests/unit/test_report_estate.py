"""What the report reads out of an evidence bucket."""

import json
from datetime import timedelta
from typing import Any

import pytest

from cli.reporting.estate import Estate, Retirement, read_estate
from cli.reporting.papers import Kind
from cli.reporting.restores import Restore
from cli.reporting.statements import MAX_STATEMENT_BYTES
from retirement.record.keys import (
    approval_failure_file_name,
    approval_file_name,
    arrival_file_name,
    ask_file_name,
    ask_reminder_file_name,
    backup_key,
    cancellation_failure_file_name,
    embed_file_name,
    failure_file_name,
    plan_key,
    reminder_file_name,
    restore_key,
    retirement_key,
    schedule_file_name,
)
from retirement.timestamps import format_timestamp
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.estates import BACKUP_SHA256, NOW, PLAN_ID, KeptEvidence, Parsed, restoration, result


@pytest.fixture
def evidence() -> KeptEvidence:
    """An empty bucket."""
    return KeptEvidence()


def read(evidence: KeptEvidence) -> Estate:
    """What the report makes of it."""
    return read_estate(evidence, NOW)


def only(evidence: KeptEvidence) -> Retirement:
    """The only retirement there, with nothing to be said against it."""
    estate = read(evidence)
    assert estate.troubles == ()
    (retirement,) = estate.retirements
    return retirement


def test_empty_bucket(evidence: KeptEvidence) -> None:
    """A bucket without objects is an estate without retirements."""
    estate = read(evidence)
    assert (estate.retirements, estate.rejections, estate.troubles, estate.objects) == ((), (), (), 0)


def test_deletion(evidence: KeptEvidence) -> None:
    """A deletion has its receipt, intent, plan and backup, in that order, and what the receipt tells."""
    evidence.deletion("sales", dependents={"foundCount": 2, "undeterminedCount": 1})
    retirement = only(evidence)
    assert (retirement.datamart_name, retirement.retirement_id, retirement.state) == (
        "sales",
        "offboard-acme",
        "deleted",
    )
    assert [paper.kind for paper in retirement.papers] == [Kind.RECEIPT, Kind.INTENT, Kind.PLAN, Kind.BACKUP]
    assert retirement.stands is not None
    assert retirement.at == retirement.stands.finished_at
    assert (retirement.stands.confirmed_by, retirement.stands.environment) == ("response", "prod")
    assert (retirement.stands.embeds_found, retirement.stands.embeds_undetermined) == (2, 1)
    assert retirement.set_out


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names(evidence: KeptEvidence, name: str) -> None:
    """A datamart has the name that the documents tell, however its key spells or shortens it."""
    evidence.deletion(name)
    assert only(evidence).datamart_name == name


@pytest.mark.parametrize(
    ("name", "shown"), [("a b~" + "0" * 32, "a b~" + "0" * 32), ("ab" + "é" * 101, "ab" + "é" * 93 + "...")]
)
def test_name_of_a_key(evidence: KeptEvidence, name: str, shown: str) -> None:
    """Where no document can be read the name is what its key tells, and a shortened one is seen to be."""
    evidence.put(retirement_key(name, "r-1", "receipt.json"), b"{")
    assert [retirement.datamart_name for retirement in read(evidence).retirements] == [shown]


def test_newest_first(evidence: KeptEvidence) -> None:
    """Retirements and rejected events are in the order of their ends, the newest first."""
    for ago in (3, 1, 2):
        evidence.tell("sales", retirementId=f"r{ago}", ago=ago)
        evidence.reject(f"e{ago}", ago=ago)
    estate = read(evidence)
    assert [retirement.retirement_id for retirement in estate.retirements] == ["r1", "r2", "r3"]
    assert [rejection.event_id for rejection in estate.rejections] == ["e1", "e2", "e3"]


# ---- What stands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["deleted", "blocked", "cancelled", "an_outcome_to_come"])
def test_a_receipt_stands(evidence: KeptEvidence, outcome: str) -> None:
    """A receipt says where a retirement stands, whatever else was written, before it or after it."""
    evidence.tell("sales", outcome=outcome, ago=2)
    evidence.tell("sales", "failure-1.json", outcome="failed", ago=1)
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", ago=0)
    evidence.tell("sales", "cancelled.json", outcome="cancelled", ago=0)
    retirement = only(evidence)
    assert retirement.state == outcome
    assert [failure.outcome for failure in retirement.failures] == ["failed"]


def test_a_cancellation_stands(evidence: KeptEvidence) -> None:
    """Without a receipt, a cancelled retirement is cancelled, whenever it was scheduled or given up."""
    evidence.tell("sales", "cancelled.json", outcome="cancelled", ago=1)
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", ago=0)
    evidence.tell("sales", "failure-1.json", outcome="failed", ago=0)
    assert only(evidence).state == "cancelled"


def test_the_highest_schedule_stands(evidence: KeptEvidence) -> None:
    """Of several schedules the one with the highest number stands, and a reminder does not change it."""
    for number, day in ((1, 3), (2, 5), (9, 7), (10, 4)):
        at = f"2026-12-0{day}T08:00:00+02:00"
        evidence.tell("sales", f"schedule-{number}.json", outcome="scheduled", retireAt=at, ago=20 - number)
    evidence.tell("sales", "reminder-1.json", outcome="scheduled", reason="due_soon", retireAt="2026-12-01T00:00:00Z")
    retirement = only(evidence)
    assert retirement.state == "scheduled"
    assert retirement.stands is not None
    assert retirement.stands.retire_at is not None
    assert retirement.stands.retire_at.isoformat() == "2026-12-04T06:00:00+00:00"


@pytest.mark.parametrize(("failed", "scheduled", "stands"), [(1, 2, "failed"), (2, 1, "scheduled"), (1, 1, "failed")])
def test_the_later_one_stands(evidence: KeptEvidence, failed: int, scheduled: int, stands: str) -> None:
    """Of a failure and a schedule whose date is not ahead, the later one stands: either may have come of the other."""
    evidence.tell("sales", "failure-1.json", outcome="failed", ago=failed)
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", ago=scheduled)
    assert only(evidence).state == stands


def test_a_date_ahead_of_a_failure(evidence: KeptEvidence) -> None:
    """Where a request for another date was abandoned, the earlier date is current, and a person has to look."""
    at = format_timestamp(NOW + timedelta(days=1))
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", retireAt=at, ago=2)
    for number in (1, 2):
        evidence.tell("sales", f"failure-{number}.json", outcome="failed", ago=1)
    estate = read(evidence)
    assert [retirement.state for retirement in estate.retirements] == ["scheduled"]
    (trouble,) = estate.troubles
    assert trouble.key.endswith("/failure-2.json")
    assert trouble.what.startswith("This request was abandoned after the date was stored")


def test_a_date_that_has_begun(evidence: KeptEvidence) -> None:
    """A retirement with an intent does not wait for its date any more."""
    evidence.tell("sales", "schedule-1.json", outcome="scheduled")
    evidence.put(retirement_key("sales", "offboard-acme", "intent.json"), {"datamart": {"name": "sales"}})
    retirement = only(evidence)
    assert (retirement.state, retirement.stands, retirement.set_out) == ("no_result", None, True)


def test_the_last_failure_stands(evidence: KeptEvidence) -> None:
    """What was given up again failed for the last reason, and every giving-up is kept in mind."""
    for number in (1, 2, 10):
        evidence.tell("sales", f"failure-{number}.json", outcome="failed", reason=f"reason {number}", ago=20 - number)
    retirement = only(evidence)
    assert retirement.stands is not None
    assert retirement.stands.reason == "reason 10"
    assert [failure.reason for failure in retirement.failures] == ["reason 10", "reason 2", "reason 1"]


def test_a_cancellation_that_was_abandoned(evidence: KeptEvidence) -> None:
    """Where a cancellation was given up and the date stands, a person has to look."""
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", ago=1)
    evidence.tell("sales", "cancellation-failure-1.json", outcome="failed", ago=0)
    estate = read(evidence)
    (retirement,) = estate.retirements
    assert (retirement.state, retirement.failures) == ("scheduled", ())
    assert [paper.kind for paper in retirement.papers] == [Kind.CANCELLATION_FAILURE, Kind.SCHEDULE]
    (trouble,) = estate.troubles
    assert trouble.key.endswith("/cancellation-failure-1.json")
    assert trouble.what == "This cancellation was abandoned: the date is current until the cancellation is redriven."


@pytest.mark.parametrize("outcome", ["cancelled", "deleted"])
def test_a_cancellation_that_was_abandoned_and_is_settled(evidence: KeptEvidence, outcome: str) -> None:
    """Once the retirement has ended, whatever became of its cancellation is history."""
    evidence.tell("sales", "schedule-1.json", outcome="scheduled", ago=2)
    evidence.tell("sales", "cancellation-failure-1.json", outcome="failed", ago=1)
    evidence.tell("sales", "cancelled.json" if outcome == "cancelled" else "receipt.json", outcome=outcome)
    assert only(evidence).state == outcome


def test_a_cancellation_that_was_abandoned_and_nothing_else(evidence: KeptEvidence) -> None:
    """A cancellation that was given up, of a retirement that nothing else tells of, failed."""
    evidence.tell("n" * 700, "cancellation-failure-1.json", outcome="failed")
    retirement = only(evidence)
    assert (retirement.datamart_name, retirement.state) == ("n" * 700, "failed")


def test_under_way(evidence: KeptEvidence) -> None:
    """An intent alone is a retirement without a result, under the name that it tells."""
    evidence.put(retirement_key("n" * 700, "r1", "intent.json"), {"datamart": {"name": "n" * 700}})
    retirement = only(evidence)
    assert (retirement.state, retirement.datamart_name, retirement.at) == ("no_result", "n" * 700, NOW)
    assert retirement.set_out


def test_a_backup_alone(evidence: KeptEvidence) -> None:
    """A backup alone is a retirement that has not set out to delete, under the name in its key."""
    evidence.put(backup_key("Größe 数据", "r1", BACKUP_SHA256), {})
    retirement = only(evidence)
    assert (retirement.state, retirement.datamart_name, retirement.set_out) == ("no_result", "Größe 数据", False)


def test_each_object_of_a_retirement(evidence: KeptEvidence) -> None:
    """Every object that a retirement can have is known, under the name that its writer gives it."""
    evidence.deletion("sales")
    evidence.tell("sales", cancellation_failure_file_name(1), outcome="failed")
    for file_name in (
        arrival_file_name("event-1", NOW),
        failure_file_name(2),
        schedule_file_name(10),
        reminder_file_name(10),
        ask_file_name(1),
        ask_reminder_file_name(1),
        approval_file_name(1),
        approval_failure_file_name(1),
        "rehearsal.json",
        "rehearsed.json",
    ):
        evidence.tell("sales", file_name, outcome="scheduled")
    assert {paper.kind for paper in only(evidence).papers} == {*Kind} - {Kind.CANCELLED, Kind.DIFFERENCES, Kind.EMBED}


def test_only_what_is_needed_is_read(evidence: KeptEvidence) -> None:
    """Where there is a receipt, neither plan nor backup nor intent nor schedule is read to tell where it stands."""
    evidence.deletion("sales")
    evidence.tell("sales", "schedule-1.json", outcome="scheduled")
    read(evidence)
    assert evidence.reads == [retirement_key("sales", "offboard-acme", "receipt.json")]


# ---- Restores ------------------------------------------------------------------------------------------------------


def only_restore(evidence: KeptEvidence) -> Restore:
    """The only restore there, with nothing to be said against it."""
    estate = read(evidence)
    assert estate.troubles == ()
    (restore,) = estate.restores
    return restore


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_restore(evidence: KeptEvidence, name: str) -> None:
    """A restore is what its receipt tells, and all that it can have written is known."""
    evidence.restore(name, restoredAs="copy", reason="with_differences", differences=["datamart.a", "datamart.b"])
    for file_name in ("intent.json", "differences.json", embed_file_name(1), failure_file_name(1)):
        evidence.put(restore_key(name, "offboard-acme", "back-1", file_name), b"{}")
    restore = only_restore(evidence)
    assert (restore.datamart_name, restore.retirement_id, restore.restore_id) == (name, "offboard-acme", "back-1")
    assert (restore.state, restore.restored_as, restore.differences) == ("restored", "copy", 2)
    assert [(embed.embed_id, embed.new_embed_id, embed.state) for embed in restore.embeds] == [
        ("board", "board-2", "created")
    ]
    assert restore.requested_by == "offboarding"
    assert [paper.kind for paper in restore.papers] == [
        Kind.RECEIPT,
        Kind.DIFFERENCES,
        Kind.INTENT,
        Kind.EMBED,
        Kind.FAILURE,
    ]
    assert evidence.reads == [restore_key(name, "offboard-acme", "back-1", "receipt.json")]


def test_restores_of_a_retirement(evidence: KeptEvidence) -> None:
    """A retirement has the restores of what it deleted, the newest first, and no others."""
    for ago, restore_id in ((3, "a"), (1, "b"), (2, "c")):
        evidence.restore("sales", restoreId=restore_id, ago=ago)
    evidence.restore("sales", retirementId="offboard-acme-2")
    evidence.deletion("sales")
    estate = read(evidence)
    assert [restore.restore_id for restore in estate.retirements[0].restores] == ["b", "c", "a"]
    assert len(estate.restores) == 4


def test_a_restore_in_progress(evidence: KeptEvidence) -> None:
    """Without a result, what is known of a restore is what its intent says."""
    name = "n" * 700
    request = {"datamartName": name, "requestedBy": "ops"}
    evidence.put(
        restore_key(name, "r1", "back-1", "intent.json"), {"formatVersion": "1", "request": request, "restoredAs": "n"}
    )
    restore = only_restore(evidence)
    assert (restore.state, restore.datamart_name, restore.restored_as) == ("no_result", name, "n")
    assert (restore.requested_by, restore.differences, restore.embeds, restore.set_out) == ("ops", None, (), True)


def test_an_abandoned_restore(evidence: KeptEvidence) -> None:
    """A restore that was abandoned failed, and its intent says under which name."""
    nothing: Parsed = {"restoredAs": None, "restoredEmbeds": []}
    evidence.restore("sales", "failure-1.json", outcome="failed", reason="unconfirmed", **nothing)
    assert (only_restore(evidence).restored_as, only_restore(evidence).set_out) == (None, False)
    evidence.put(restore_key("sales", "offboard-acme", "back-1", "intent.json"), {"request": 7, "restoredAs": "copy"})
    restore = only_restore(evidence)
    assert (restore.state, restore.restored_as, restore.requested_by) == ("failed", "copy", "offboarding")
    assert (restore.differences, restore.set_out) == (None, True)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"differences": None}, "Its field differences is not a list."),
        ({"restoredEmbeds": ["board"]}, "Its field restoredEmbeds has an entry that is not an object."),
        ({"restoredEmbeds": [{"state": "kept"}]}, "Its field embedId is missing."),
        ({"restoreId": None}, "It names a different restore than its key."),
        ({"datamartName": "marketing"}, "It names a different restore than its key."),
    ],
)
def test_a_broken_restore(evidence: KeptEvidence, fields: Parsed, what: str) -> None:
    """The receipt of a restore that is broken is named with what is wrong with it."""
    document = result("sales", **restoration("sales") | fields)
    key = evidence.put(restore_key("sales", "offboard-acme", "back-1", "receipt.json"), document)
    estate = read(evidence)
    assert [(trouble.key, trouble.what) for trouble in estate.troubles] == [(key, what)]
    assert [restore.state for restore in estate.restores] == ["unreadable"]


@pytest.mark.parametrize("intent", [b"{", b'{"restoredAs": 7}'])
def test_a_broken_intent_of_a_restore(evidence: KeptEvidence, intent: bytes) -> None:
    """An intent of a restore that is broken is named."""
    key = evidence.put(restore_key("sales 2026", "r1", "back-1", "intent.json"), intent)
    estate = read(evidence)
    assert [trouble.key for trouble in estate.troubles] == [key]
    assert [restore.datamart_name for restore in estate.restores] == ["sales 2026"]


def test_a_rejected_restore(evidence: KeptEvidence) -> None:
    """A rejected event that requested a restore is told from others."""
    evidence.reject("e1", **restoration(None) | {"restoreId": None})
    evidence.reject("e2")
    told = {rejection.event_id: rejection.told for rejection in read(evidence).rejections}
    assert told["e1"] is not None
    assert told["e1"].restoration is not None
    assert told["e2"] is not None
    assert told["e2"].restoration is None


# ---- What is broken, missing or unknown ----------------------------------------------------------------------------

WHOLE = result("sales", retirementId="r1")


def without(field: str) -> bytes:
    """A receipt that lacks a field."""
    return json.dumps({key: value for key, value in WHOLE.items() if key != field}).encode()


def with_field(**fields: Any) -> bytes:  # noqa: ANN401 -- any JSON
    """A receipt with other fields."""
    return json.dumps(WHOLE | fields).encode()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "It is not valid JSON: "),
        (b"{", "It is not valid JSON: "),
        (b'{"outcome": NaN}', "It is not valid JSON: NaN is not valid JSON"),
        (b'{"outcome": "a", "outcome": "b"}', "It is not valid JSON: an object has a duplicate key"),
        (b"[" * 100_000, "It is not valid JSON: it is nested deeper than 100 levels"),
        (b'"\xff"', "It is not valid JSON: "),
        (b"[]", "It is not a JSON object."),
        (without("outcome"), "Its field outcome is missing."),
        (without("message"), "Its field message is missing."),
        (with_field(outcome=["deleted"]), "Its field outcome is not a string."),
        (with_field(requestedBy=7), "Its field requestedBy is not a string."),
        (with_field(finishedAt="yesterday"), "Its field finishedAt is not a time."),
        (with_field(finishedAt="0001-01-01T00:00:00+10:00"), "Its field finishedAt is not a time."),
        (with_field(backup="s3://"), "Its field backup is not an object."),
        (with_field(backup={"key": "k", "sha256": "s"}), "Its field backup.bytes is missing."),
        (with_field(datamartName="marketing"), "It names a different retirement than its key."),
        (with_field(retirementId=None), "It names a different retirement than its key."),
        (b" " * MAX_STATEMENT_BYTES + b"{}", f"It has {MAX_STATEMENT_BYTES + 2} bytes; "),
    ],
)
def test_a_broken_receipt(evidence: KeptEvidence, body: bytes, what: str) -> None:
    """A broken receipt is named with what is wrong with it, proves nothing, and keeps nothing else from view."""
    key = evidence.put(retirement_key("sales", "r1", "receipt.json"), body)
    evidence.tell("sales", "cancelled.json", outcome="cancelled", retirementId="r1")
    evidence.deletion("marketing")
    estate = read(evidence)
    (trouble,) = estate.troubles
    assert trouble.key == key
    assert trouble.what.startswith(what)
    assert {entry.datamart_name: entry.state for entry in estate.retirements} == {
        "sales": "unreadable",
        "marketing": "deleted",
    }


def test_a_broken_failure_beside_a_receipt(evidence: KeptEvidence) -> None:
    """What is broken beside a receipt is named; the receipt stands."""
    evidence.deletion("sales")
    key = evidence.put(retirement_key("sales", "offboard-acme", "failure-1.json"), b"{")
    estate = read(evidence)
    assert [trouble.key for trouble in estate.troubles] == [key]
    assert estate.retirements[0].state == "deleted"


def test_a_broken_cancellation(evidence: KeptEvidence) -> None:
    """Where a cancellation cannot be read, nobody is told that the retirement is still scheduled."""
    evidence.put(retirement_key("sales", "offboard-acme", "cancelled.json"), b"{")
    evidence.tell("sales", "schedule-1.json", outcome="scheduled")
    estate = read(evidence)
    assert len(estate.troubles) == 1
    assert estate.retirements[0].state == "unreadable"


@pytest.mark.parametrize("broken", ["schedule-1.json", "failure-1.json"])
def test_a_broken_time(evidence: KeptEvidence, broken: str) -> None:
    """Where a date or a failure beside it cannot be read, nobody can say which of them counts."""
    for file_name, outcome in (("schedule-1.json", "scheduled"), ("failure-1.json", "failed")):
        evidence.tell("sales", file_name, outcome=outcome)
    key = evidence.put(retirement_key("sales", "offboard-acme", broken), b"{")
    estate = read(evidence)
    assert [trouble.key for trouble in estate.troubles] == [key]
    assert estate.retirements[0].state == "unreadable"


def test_a_broken_intent(evidence: KeptEvidence) -> None:
    """An intent that is broken is named, and the retirement has the name in its key."""
    evidence.put(retirement_key("sales 2026", "r1", "intent.json"), b"{")
    estate = read(evidence)
    assert len(estate.troubles) == 1
    assert estate.retirements[0].datamart_name == "sales 2026"


def test_a_broken_rejection(evidence: KeptEvidence) -> None:
    """The receipt of a rejected event that is broken is named, and the event is still listed."""
    key = evidence.put("rejected/e%201/receipt.json", b"{")
    estate = read(evidence)
    assert [trouble.key for trouble in estate.troubles] == [key]
    assert [(rejection.event_id, rejection.told) for rejection in estate.rejections] == [("e 1", None)]


def test_what_s3_does_not_give_out(evidence: KeptEvidence) -> None:
    """An object that S3 does not give out, because it was archived, is named."""
    evidence.tell("sales")
    evidence.locked = set(evidence.bodies)
    estate = read(evidence)
    assert [trouble.what for trouble in estate.troubles] == ["S3 did not return it: InvalidObjectState."]
    assert estate.retirements[0].state == "unreadable"


@pytest.mark.parametrize(
    "key",
    [
        "notes.txt",
        "retirements/sales/receipt.json",
        "retirements/sales/r1/receipt.json.bak",
        "retirements/sales/r1/failure-0.json",
        "retirements/sales/r1/schedule-01.json",
        "retirements/sales/r1/backup-XYZ.json",
        "backups/sales/backup-0123456789abcdef.json",
        "backups/sales/r1/backup-XYZ.json",
        "retirements/sales/r1/more/receipt.json",
        "plans/p1.json",
        "rejected/receipt.json",
        "restores/sales/r1/receipt.json",
        "restores/sales/r1/b1/embed-0.json",
        "restores/sales/r1/b1/schedule-1.json",
        "sweeps/report.json",
        "<script>alert(1)</script>",
    ],
)
def test_unknown_objects(evidence: KeptEvidence, key: str) -> None:
    """An object that nothing here writes is named."""
    evidence.put(key, b"{}")
    estate = read(evidence)
    assert [trouble.key for trouble in estate.troubles] == [key]
    assert (estate.retirements, estate.rejections) == ((), ())


@pytest.mark.parametrize(
    "key", ["sweeps/asked/a1.json", "sweeps/2026-11-20T00%3A00Z-a1/report.json", "plans/sales/p1.json"]
)
def test_what_is_no_retirement(evidence: KeptEvidence, key: str) -> None:
    """What sweeps leave, and plans that no result names, are as they should be."""
    evidence.put(key, b"{")
    estate = read(evidence)
    assert (estate.troubles, estate.retirements) == ((), ())


def test_a_missing_backup(evidence: KeptEvidence) -> None:
    """A receipt that names a backup is taken by its word only where that backup is there."""
    evidence.deletion("sales")
    key = backup_key("sales", "offboard-acme", BACKUP_SHA256)
    del evidence.bodies[key]
    (trouble,) = read(evidence).troubles
    assert trouble.key == key
    assert "names this backup" in trouble.what


@pytest.mark.parametrize(("days", "is_missed"), [(None, True), (8, True), (7, False)])
def test_a_backup_that_has_expired(evidence: KeptEvidence, days: int | None, is_missed: bool) -> None:  # noqa: FBT001  # parameters of the test
    """A backup that the bucket's lifecycle has deleted is not missed."""
    evidence.deletion("sales", ago=7)
    del evidence.bodies[backup_key("sales", "offboard-acme", BACKUP_SHA256)]
    evidence.backup_retention = None if days is None else timedelta(days=days)
    assert bool(read(evidence).troubles) is is_missed


def test_a_backup_at_its_former_place(evidence: KeptEvidence) -> None:
    """A backup that was written beside its receipt, as it once was, is found there."""
    evidence.deletion("sales")
    key = backup_key("sales", "offboard-acme", BACKUP_SHA256)
    beside = retirement_key("sales", "offboard-acme", key.rpartition("/")[2])
    evidence.put(beside, evidence.bodies.pop(key))
    receipt = json.loads(evidence.bodies[retirement_key("sales", "offboard-acme", "receipt.json")])
    evidence.deletion("sales", backup=receipt["backup"] | {"key": beside})
    del evidence.bodies[key]
    assert [paper.listed.key for paper in only(evidence).papers if paper.kind is Kind.BACKUP] == [beside]


def test_a_backup_of_another_size(evidence: KeptEvidence) -> None:
    """A backup that is not as large as its receipt says is named."""
    evidence.deletion("sales")
    evidence.put(backup_key("sales", "offboard-acme", BACKUP_SHA256), b"{}")
    (trouble,) = read(evidence).troubles
    assert trouble.what.startswith("This backup has 2 bytes, but its receipt says ")


def test_a_missing_plan(evidence: KeptEvidence) -> None:
    """A plan that a result names and that is not there is named."""
    evidence.deletion("sales")
    key = plan_key("sales", PLAN_ID)
    del evidence.bodies[key]
    (trouble,) = read(evidence).troubles
    assert trouble.key == key
    assert "names this plan" in trouble.what


def test_long_texts_are_cut(evidence: KeptEvidence) -> None:
    """What a document tells is kept as far as a limit goes."""
    evidence.tell("sales", message="m" * 1_000_000, outcome="o" * 1_000_000)
    retirement = only(evidence)
    assert retirement.stands is not None
    assert len(retirement.stands.message) < 3_000
    assert len(retirement.state) < 200
