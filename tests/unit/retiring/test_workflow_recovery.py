"""Step 3 in every branch, and a crash between any two calls."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from retirement.canonical import canonical_json, sha256_hex
from retirement.databrain.permits import VerifiedBackup
from retirement.databrain.ports import DeleteAnswer, DeleteEffect
from retirement.errors import (
    Abandoned,
    AttemptInterrupted,
    AwsCallFailed,
    BackupFailed,
    DatabrainUnavailable,
    NotConfirmed,
    RetirementError,
)
from retirement.outcomes import Reason
from retirement.record.keys import retirement_key
from retirement.retiring.settings import Mode
from tests.fakes import (
    START,
    Call,
    Crash,
    CrashAt,
    FailAt,
    Meanwhile,
    ScriptedDeletion,
    World,
    entry_of,
    requested,
)

CREATED_AT = START - timedelta(days=1)
INTENT = retirement_key("sales", "offboard-1", "intent.json")
RECEIPT = retirement_key("sales", "offboard-1", "receipt.json")
CALLS_OF_A_RUN = 19
LOCK_EXPIRY = 61


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    return world


def interrupted(world: World, event: object = None) -> None:
    """A first delivery that ends with its intent written and nothing deleted; afterwards its lock has expired."""
    with pytest.raises(Crash):
        world.deliver(event or requested(), CrashAt("databrain.delete"))
    world.clock.advance(LOCK_EXPIRY)


# ---- An intent is there --------------------------------------------------------------------------------------------


def test_intent_and_the_datamart_is_absent(world: World) -> None:
    """With an intent and no datamart any more: `deleted`, by absence."""
    interrupted(world)
    world.databrain.datamarts.clear()

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert world.databrain.permits == []


@pytest.mark.parametrize("label", ["Orders", "Orders of 2026"])
def test_intent_and_a_later_datamart(world: World, label: str) -> None:
    """With an intent and a later one of the same name, equal or not: ours is gone, hands off the other."""
    interrupted(world)
    world.databrain.datamarts["sales"] = entry_of(created_at=CREATED_AT + timedelta(seconds=1), label=label)

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert world.databrain.permits == []
    assert "sales" in world.databrain.datamarts


def test_intent_and_the_same_datamart(world: World) -> None:
    """With an intent and the very same datamart: the delete is sent, once, on the grounds of the intent."""
    interrupted(world)
    intent = world.evidence.objects[INTENT]

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "response")
    [permit] = world.databrain.permits
    assert isinstance(permit, VerifiedBackup)
    assert result["backup"]["sha256"] == permit.reference.sha256
    assert world.evidence.objects[INTENT] is intent
    assert "databrain.list_embeds" not in world.calls


def test_intent_without_backup_and_the_same_datamart(world: World) -> None:
    """An intent of a request that asked for no backup is carried out without one."""
    event = requested(backup=False)
    interrupted(world, event)

    result = world.deliver(event)

    assert (result["outcome"], result["backup"]) == ("deleted", None)


def test_intent_and_a_changed_datamart(world: World) -> None:
    """With an intent and the same datamart in another configuration: `blocked`/`changed`."""
    interrupted(world)
    world.databrain.datamarts["sales"] = entry_of(label="Orders of 2026")

    result = world.deliver(requested())

    assert (result["outcome"], result["reason"]) == ("blocked", "changed")
    assert result["planId"] == world.kept(INTENT)["planId"]
    assert world.databrain.permits == []


def test_intent_and_what_changes_by_itself(world: World) -> None:
    """`updatedAt` alone, and the order of an object's keys, do not make a datamart another one."""
    world.databrain.datamarts["sales"] = entry_of() | {"updatedAt": "2026-02-28T12:00:00Z"}
    interrupted(world)
    later = {"updatedAt": "2026-03-01T12:00:00Z", **dict(reversed(entry_of().items()))}
    world.databrain.datamarts["sales"] = later

    assert world.deliver(requested())["outcome"] == "deleted"
    assert len(world.databrain.permits) == 1


@pytest.mark.parametrize(
    ("intended", "sighted"),
    [(None, None), (None, CREATED_AT), (CREATED_AT, None), (CREATED_AT, CREATED_AT - timedelta(seconds=1))],
    ids=["neither tells", "the intent does not tell", "the API tells no longer", "an earlier one"],
)
def test_intent_and_nothing_tells(world: World, intended: datetime | None, sighted: datetime | None) -> None:
    """Where createdAt cannot tell the one from the other: `unconfirmed`, hands off, even if all else is equal."""
    world.databrain.datamarts["sales"] = entry_of(created_at=intended)
    interrupted(world)
    world.databrain.datamarts["sales"] = entry_of(created_at=sighted)

    with pytest.raises(NotConfirmed, match="send a request with a new retirementId") as raised:
        world.deliver(requested())

    assert raised.value.reason is Reason.UNCONFIRMED
    assert world.databrain.permits == []
    assert RECEIPT not in world.evidence.objects


def test_intent_of_other_content(world: World) -> None:
    """An intent spends the identity too: another content under it is `rejected`, and nothing is deleted."""
    interrupted(world)

    result = world.deliver(requested(backup=False) | {"id": "another"})

    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
    assert world.databrain.permits == []
    assert world.deliver(requested())["outcome"] == "deleted"


@pytest.mark.parametrize(
    ("sighted", "outcome", "reason"),
    [
        (entry_of(), "planned", "plan_mode"),
        (entry_of(label="Orders of 2026"), "blocked", "changed"),
        (None, "deleted", None),
    ],
    ids=["the same", "a changed one", "none"],
)
def test_intent_in_plan_mode(world: World, sighted: object, outcome: str, reason: str | None) -> None:
    """A stack that was set to `plan` after an intent was written never deletes on it."""
    interrupted(world)
    world.settings = replace(world.settings, mode=Mode.PLAN)
    world.databrain.datamarts = {} if sighted is None else {"sales": sighted}  # type: ignore[dict-item]  # an entry

    result = world.deliver(requested())

    assert (result["outcome"], result["reason"]) == (outcome, reason)
    assert world.databrain.permits == []


@pytest.mark.parametrize("body", ["{}", "[]", "x", '{"datamart":null,"backup":null}'])
def test_intent_that_is_not_ours(world: World, body: str) -> None:
    """An intent that cannot be read fails the attempt: it never counts as none."""
    world.evidence.create(INTENT, body, "")

    with pytest.raises(AwsCallFailed, match=r"intent\.json"):
        world.deliver(requested())

    assert world.databrain.permits == []


@pytest.mark.parametrize("how", ["it is gone", "it is spoilt", "it cannot be read"])
def test_backup_of_the_intent_cannot_be_verified(world: World, how: str) -> None:
    """The backup is verified again before the delete; where that fails nothing is deleted, for `backup_failed`."""
    interrupted(world)
    backup = world.evidence.objects[world.kept(INTENT)["backup"]["key"]]

    def instead(call: Call) -> object:
        if call.name != "evidence.read" or call.arguments != (backup.key,):
            return call.proceed()
        if how == "it cannot be read":
            raise AwsCallFailed("S3 GetObject: 503")
        return None if how == "it is gone" else replace(backup, body="{}")

    with pytest.raises(BackupFailed):
        world.deliver(requested(), instead)

    assert world.databrain.permits == []


def test_default_changed_after_the_intent(world: World) -> None:
    """Where `BackupByDefault` was switched on after an intent without a backup, nothing is deleted without one."""
    world.settings = replace(world.settings, backup_by_default=False)
    interrupted(world)
    world.settings = replace(world.settings, backup_by_default=True)

    with pytest.raises(BackupFailed):
        world.deliver(requested())

    assert world.databrain.permits == []


def test_intent_and_backup_of_an_earlier_version(world: World) -> None:
    """An open intent goes on by the backup that it names, of whatever format and wherever that is."""
    interrupted(world)
    kept, key = world.kept(INTENT), retirement_key("sales", "offboard-1", "backup-0123456789abcdef.json")
    fields = ("datamart", "semanticLayer", "createRequest", "createSemanticLayerRequest", "notRestored")
    backup = world.kept(kept["backup"]["key"])
    body = canonical_json({"formatVersion": "1", "embeds": [], **{field: backup[field] for field in fields}})
    del world.evidence.objects[kept["backup"]["key"]], world.evidence.objects[INTENT], kept["notRestorable"]
    world.evidence.create(key, body)
    reference = {"key": key, "sha256": sha256_hex(body), "bytes": len(body.encode())}
    world.evidence.create(INTENT, canonical_json({**kept, "backup": kept["backup"] | reference}))

    result = world.deliver(requested())

    assert (result["outcome"], result["backup"]["key"], result["notRestorable"]) == ("deleted", key, None)


# ---- A crash between any two calls ---------------------------------------------------------------------------------

SITUATIONS: dict[str, Callable[[World], None]] = {
    "nothing happens meanwhile": lambda _: None,
    "re-created meanwhile": lambda world: world.databrain.datamarts.update(
        sales=entry_of(created_at=START + timedelta(seconds=30))
    ),
    "gone meanwhile": lambda world: world.databrain.datamarts.clear(),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS_OF_A_RUN + 1))
@pytest.mark.parametrize("situation", SITUATIONS)
def test_crash(world: World, situation: str, number: int, after: bool) -> None:  # noqa: FBT001  # parameters of the test
    """A crash before or after any call leaves a state from which the next delivery goes on correctly."""
    crash = CrashAt(number, after=after)
    original = world.databrain.datamarts["sales"]
    with pytest.raises(Crash):
        world.deliver(requested(), crash)
    had_intent = INTENT in world.evidence.objects
    world.clock.advance(LOCK_EXPIRY)
    SITUATIONS[situation](world)

    result = world.deliver(requested())

    assert all(entry is original for entry in world.databrain.deleted)
    assert len(world.databrain.deleted) <= 1
    assert len(world.databrain.permits) <= 1
    assert world.kept(RECEIPT) == result == world.published[-1]
    assert len(set(world.results_topic.messages)) == 1
    if situation == "nothing happens meanwhile" or had_intent:
        assert result["outcome"] == "deleted"
        assert result["confirmedBy"] in {"response", "absence"}
    else:
        assert result["outcome"] == ("blocked" if "sales" in world.databrain.datamarts else "already_absent")
    if result["outcome"] == "deleted":
        assert world.kept(result["backup"]["key"])["datamart"] == original
    if situation == "re-created meanwhile":
        assert "sales" in world.databrain.datamarts
    assert world.deliver(requested()) == result


def test_calls_of_a_run(world: World) -> None:
    """The matrix reaches every call of a run."""
    world.deliver(requested())

    assert len(world.calls) == CALLS_OF_A_RUN


@pytest.mark.parametrize("after", [False, True], ids=["instead of", "after"])
@pytest.mark.parametrize(
    "name",
    [
        "coordination.acquire",
        "evidence.list",
        "evidence.read",
        "evidence.create",
        "coordination.record_failure",
        "results_topic.publish",
    ],
)
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_aws_call_fails(world: World, name: str, nth: int, after: bool) -> None:  # noqa: FBT001  # parameters of the test
    """Wherever S3, SNS or DynamoDB fail, with the effect or without, the next delivery ends it with one deletion."""
    failing = FailAt(name, AwsCallFailed(f"{name} failed"), nth=nth, after=after)
    try:
        world.deliver(requested(), failing)
    except RetirementError as error:
        backup_was_to_be_kept = (name, nth) in {("evidence.create", 2), ("evidence.read", 1)}
        assert isinstance(error, BackupFailed if backup_was_to_be_kept else AwsCallFailed)  # noqa: PT017
        world.clock.advance(LOCK_EXPIRY)

    result = world.deliver(requested())

    assert result["outcome"] == "deleted"
    assert len(world.databrain.permits) == len(world.databrain.deleted) == 1
    assert world.kept(RECEIPT) == result
    assert len(set(world.results_topic.messages)) == 1


@pytest.mark.parametrize("name", ["coordination.reserve", "coordination.last_failure"])
def test_reasons_cannot_be_kept_or_read(world: World, name: str) -> None:
    """Where DynamoDB fails on the way of a recovery nothing is deleted, and the doubt stays."""
    created_at = None if name == "coordination.last_failure" else CREATED_AT
    world.databrain.datamarts["sales"] = entry_of(created_at=created_at)
    interrupted(world)

    with pytest.raises(AwsCallFailed):
        world.deliver(requested(), FailAt(name, AwsCallFailed("DynamoDB")))

    assert world.databrain.permits == []
    assert world.coordination.failures == {("offboard-1", "sales"): Reason.UNCONFIRMED}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_of_a_rejection(world: World, number: int, after: bool) -> None:  # noqa: FBT001  # parameters of the test
    """A crash while an event is rejected ends in one receipt and its publication all the same."""
    event = requested(dryRum=True)
    with pytest.raises(Crash):
        world.deliver(event, CrashAt(number, after=after))

    result = world.deliver(event)

    assert result["outcome"] == "rejected"
    assert len(world.evidence.objects) == 1
    assert len(set(world.results_topic.messages)) == 1


def test_late_duplicate_spares_a_recreated_datamart(world: World) -> None:
    """A redelivery after the lock is gone publishes the receipt and spares a datamart re-created under the name."""
    first = world.deliver(requested())
    world.databrain.datamarts["sales"] = entry_of(created_at=START + timedelta(minutes=5))
    world.clock.advance(7 * 86_400)

    assert world.deliver(requested()) == first
    assert "sales" in world.databrain.datamarts
    assert len(world.databrain.permits) == 1


# ---- Without the lock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", range(1, CALLS_OF_A_RUN + 1))
@pytest.mark.parametrize("outer", range(1, CALLS_OF_A_RUN + 1))
def test_duplicate_that_crashes_amid_the_first(world: World, outer: int, inner: int) -> None:
    """Without a lock, and with a duplicate that stops anywhere amid the first: what was deleted is told as deleted."""

    def unlocked(call: Call) -> object:
        return True if call.name == "coordination.acquire" else call.proceed()

    def duplicate(call: Call) -> object:
        if call.number == outer:
            with suppress(Crash, RetirementError):
                world.deliver_alongside(requested(), CrashAt(inner), unlocked)
        return call.proceed()

    try:
        world.deliver(requested(), duplicate, unlocked)
    except RetirementError:
        world.deliver(requested(), unlocked)

    assert len(world.databrain.deleted) == 1
    assert world.kept(RECEIPT)["outcome"] == "deleted"
    assert len(set(world.results_topic.messages)) == 1


def test_intent_of_a_concurrent_attempt(world: World) -> None:
    """An attempt that finds another one's intent where it wanted to write its own stops, and deletes nothing."""
    with pytest.raises(RetirementError, match="in progress"):
        world.deliver(
            requested(),
            Meanwhile("evidence.create", lambda: world.evidence.create(INTENT, "{}", "other"), nth=3),
        )

    assert world.databrain.permits == []


def test_receipt_of_a_concurrent_attempt(world: World) -> None:
    """An attempt that finds another one's receipt publishes that, byte for byte."""
    theirs: list[str] = []

    def finish_first() -> None:
        world.deliver_alongside(requested(), lambda call: call.name == "coordination.acquire" or call.proceed())
        theirs.extend(world.results_topic.messages)

    world.deliver(requested(), Meanwhile("evidence.create", finish_first, nth=4))

    assert world.results_topic.messages == theirs * 2


# ---- What is known of a delete -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 26))
def test_the_table_is_lost(world: World, number: int) -> None:
    """Wherever the table is lost, a deletion that happened is never told as a failure that denies it."""

    def lose(call: Call) -> object:
        if call.number == number:
            world.coordination.failures.clear()
        return call.proceed()

    trouble = DatabrainUnavailable("HTTP 503")
    world.databrain.scripted.append(ScriptedDeletion(happens=True, answer=DeleteAnswer(DeleteEffect.UNKNOWN, trouble)))
    for receive_count, look in enumerate((2, 1, 1, 1, 1), start=1):
        with suppress(RetirementError):
            world.deliver(requested(), lose, FailAt("databrain.find", trouble, nth=look), receive_count=receive_count)
        world.clock.advance(LOCK_EXPIRY)
    if RECEIPT not in world.evidence.objects:
        with pytest.raises(Abandoned):
            world.deliver(requested(), receive_count=6)

    assert world.databrain.deleted
    told = {(result["outcome"], result["reason"]) for result in world.published}
    assert told in ({("deleted", None)}, {("failed", "unconfirmed")})


@pytest.mark.parametrize("other", ["Sales", " sales"])
def test_a_name_that_is_nearly_the_same_appears_after_the_intent(world: World, other: str) -> None:
    """A resumed retirement looks for a near-identical name, too."""
    interrupted(world)
    world.databrain.datamarts[other] = entry_of(other)

    result = world.deliver(requested())

    assert (result["outcome"], result["reason"]) == ("blocked", "ambiguous_name")
    assert world.databrain.permits == []


def test_no_delete_was_sent_and_it_is_gone(world: World) -> None:
    """Where no delete was sent, or its answer was a clear no, nothing is said of an answer that was lost."""
    interrupted(world)
    world.databrain.datamarts.clear()

    assert "lost" not in world.deliver(requested())["message"]


def test_a_doubt_outlives_later_attempts(world: World) -> None:
    """Where an answer was lost, what later attempts fail for denies nothing, though the datamart is listed still."""
    trouble = DatabrainUnavailable("HTTP 503")
    lost = ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.UNKNOWN, trouble))
    refused = ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.NONE, trouble))
    world.databrain.scripted += [lost] * 3
    with pytest.raises(NotConfirmed):
        world.deliver(requested())
    world.clock.advance(LOCK_EXPIRY)
    with pytest.raises(AttemptInterrupted):
        world.deliver(requested(), seconds=20, receive_count=2)
    world.clock.advance(LOCK_EXPIRY)
    world.databrain.scripted += [refused] * 3
    with pytest.raises(NotConfirmed):
        world.deliver(requested(), receive_count=3)

    with pytest.raises(Abandoned):
        world.deliver(requested(), receive_count=6)
    assert world.published[-1]["reason"] == "unconfirmed"
