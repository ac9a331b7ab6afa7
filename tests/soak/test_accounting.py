"""The account of a soak names every promise that was not kept."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest

from retirement.canonical import ordered_json
from retirement.delivery.intake import APPROVED, CANCELLED, RESTORE_REQUESTED
from tests.soak.accounting import Evidence, Kind, findings
from tests.soak.traffic import APP_KEYS, SERVICE_TOKEN, Asked, Deletion, JsonObject

NAME = "a datamart"
CREATED_AT, DELETED_AT, RECREATED_AT, RESTORED_AT = (
    f"2026-01-02T03:04:{second}.000Z" for second in ("00", "20", "10", "30")
)
KEPT = "retirements/a%20datamart/retirement-1"
RECEIPT, INTENT, FAILURE = (f"{KEPT}/{file}.json" for file in ("receipt", "intent", "failure-1"))
BACKUP = "backups/a%20datamart/retirement-1/backup-0123456789abcdef.json"
REJECTION = "rejected/event-2/receipt.json"
DATED = "retirements/a%20datamart/retirement-3"
SCHEDULE, CANCELLATION, END = (f"{DATED}/{file}.json" for file in ("schedule-1", "cancelled", "receipt"))
RESTORED = "restores/a%20datamart/retirement-1/back-1/receipt.json"
APPROVAL = f"{KEPT}/approved-1.json"
UNAPPROVED = "retirements/a%20datamart/retirement-6"
ASK = f"{UNAPPROVED}/approval-asked-1.json"
REMINDER = "remind-ced24bbd5e6c93b8097a0c260432fbd6861169c2"
SNAPSHOT = json.dumps({"name": NAME}).encode()


def event_of(event_id: str, approval: JsonObject, source: str = "approvals") -> str:
    """The event of an approval, as it is stored."""
    return json.dumps({"id": event_id, "source": source, "detail": approval})


class World:
    """A request that was given up and sent again, one that was cancelled, one that waits, and a rejected event."""

    def __init__(self) -> None:
        request = {"datamartName": NAME, "retirementId": "retirement-1", "reason": "request 1"}
        invalid = {"datamartName": NAME, "retirementId": "retirement-2", "reason": ""}
        dated = {"datamartName": NAME, "retirementId": "retirement-3", "reason": "request 3"}
        restore = {**request, "restoreId": "back-1", "reason": "request 5"}
        unapproved = {"datamartName": NAME, "retirementId": "retirement-6", "reason": "request 6"}
        approval = {**request, "planId": "a plan", "approvedBy": "the owner", "reason": "reviewed"}
        self.asked = [
            Asked("event-1", request, frozenset({"deleted"})),
            Asked("event-2", invalid, frozenset({"rejected"})),
            Asked("event-3", dated, frozenset({"cancelled"})),
            Asked("event-4", dated, frozenset({"cancelled", "rejected"}), detail_type=CANCELLED, shares=True),
            Asked("event-5", restore, frozenset({"restored"}), detail_type=RESTORE_REQUESTED),
            Asked("event-6", unapproved, frozenset({"awaiting_approval"})),
            Asked("event-7", approval, frozenset({"approved"}), detail_type=APPROVED),
        ]
        result: JsonObject = {
            "datamartName": NAME,
            "retirementId": "retirement-1",
            "requestReason": "request 1",
            "reason": None,
        }
        backup = {"key": BACKUP, "sha256": hashlib.sha256(SNAPSHOT).hexdigest(), "bytes": len(SNAPSHOT)}
        failed = {**result, "outcome": "failed"}
        ended = {"confirmedBy": "response", "backup": backup, "finishedAt": DELETED_AT}
        deleted = {**result, "outcome": "deleted", **ended}
        rejected = {**result, "outcome": "rejected"}
        scheduled = {**result, "outcome": "scheduled", "retirementId": "retirement-3", "requestReason": "request 3"}
        cancelled = {**scheduled, "outcome": "cancelled"}
        restored = {
            **result,
            "requestReason": "request 5",
            "outcome": "restored",
            "restoreId": "back-1",
            "restoredAs": NAME,
            "differences": [],
            "startedAt": RESTORED_AT,
        }
        asks = {"retirementId": "retirement-6", "requestReason": "request 6", "planId": "its plan"}
        awaiting = {**result, **asks, "outcome": "awaiting_approval"}
        approved = {**result, "requestReason": "reviewed", "outcome": "approved"}
        self.documents: dict[str, JsonObject] = {
            FAILURE: {**failed, "event": '{"id":"event-1"}'},
            INTENT: {"datamart": {"name": NAME, "createdAt": CREATED_AT}, "request": request, "planId": "a plan"},
            RECEIPT: deleted,
            RESTORED: restored,
            REJECTION: {**rejected, "event": '{"id":"event-2"}'},
            SCHEDULE: {**scheduled, "event": '{"id":"event-3"}'},
            CANCELLATION: {**cancelled, "event": '{"id":"event-4"}'},
            END: cancelled,
            ASK: {**awaiting, "event": '{"id":"event-6"}', "ask": {}},
            APPROVAL: {**approved, "askNumber": 1, "event": event_of("event-7", approval)},
        }
        self.versions = {BACKUP: [SNAPSHOT]}
        self.published = [failed, deleted, deleted, rejected, scheduled, restored, awaiting, approved, cancelled]
        self.deleted = [Deletion(NAME, CREATED_AT, DELETED_AT)]
        self.created = [(NAME, RESTORED_AT)]
        self.listed: dict[str, str] = {NAME: RESTORED_AT}
        self.left = [REMINDER]
        self.written: list[tuple[str, str]] = []

    def findings(self) -> list[tuple[Kind, str]]:
        """Account for it."""
        documents = {key: [ordered_json(document).encode()] for key, document in self.documents.items()}
        evidence = Evidence(
            versions={**self.versions, **documents},
            published=[ordered_json(result) for result in self.published],
            deleted=self.deleted,
            created=self.created,
            listed=self.listed,
            left=self.left,
            written=self.written,
        )
        return [(finding.kind, finding.what) for finding in findings(self.asked, evidence)]


def lose_a_receipt(world: World) -> None:
    """The request has no end."""
    del world.documents[RECEIPT]


def lose_a_rejection(world: World) -> None:
    """The event has no answer."""
    del world.documents[REJECTION]


def publish_no_receipt(world: World) -> None:
    """Nobody is told of the end."""
    world.published = [result for result in world.published if result["outcome"] != "deleted"]


def publish_no_failure(world: World) -> None:
    """Nobody is told of the failure."""
    world.published = world.published[1:]


def publish_another_text(world: World) -> None:
    """What is said is not what is kept."""
    world.published.append({**world.documents[RECEIPT], "finishedAt": "later"})


def reject_and_carry_out(world: World) -> None:
    """One event has two ends."""
    world.documents["rejected/event-1/receipt.json"] = {**world.documents[REJECTION], "event": '{"id":"event-1"}'}


def reject_a_cancellation_too(world: World) -> None:
    """Who cancelled is told that it was too late, and so is who asked."""
    late = {**world.documents[END], "outcome": "rejected"}
    world.documents["rejected/event-3/receipt.json"] = {**late, "event": '{"id":"event-3"}'}


def cancel_and_delete(world: World) -> None:
    """Somebody is told that it is cancelled."""
    world.published.append({**world.documents[RECEIPT], "outcome": "cancelled"})


def lose_a_date(world: World) -> None:
    """A date was told that is not kept."""
    del world.documents[SCHEDULE]


def overwrite(world: World) -> None:
    """An object has two versions."""
    world.versions[BACKUP] *= 2


def end_otherwise(world: World) -> None:
    """What had to be deleted is left."""
    world.documents[RECEIPT]["outcome"] = "already_absent"


def lose_the_intent(world: World) -> None:
    """Nothing says which datamart was meant."""
    del world.documents[INTENT]


def delete_nothing(world: World) -> None:
    """Databrain knows of no deletion."""
    world.deleted = []


def leave_it_there(world: World) -> None:
    """The datamart is still listed."""
    world.listed[NAME] = CREATED_AT


def delete_another(world: World) -> None:
    """A datamart went that nobody had asked for."""
    world.deleted.append(Deletion("another", CREATED_AT, DELETED_AT))


def delete_it_twice(world: World) -> None:
    """The same datamart went twice."""
    world.deleted *= 2


def claim_it_twice(world: World) -> None:
    """Two retirements say that they deleted it."""
    for key in (RECEIPT, INTENT):
        world.documents[key.replace("retirement-1", "retirement-4")] = world.documents[key]


def delete_the_recreated_one(world: World) -> None:
    """The one that was meant went, and so did its successor."""
    world.deleted.append(Deletion(NAME, RECREATED_AT, DELETED_AT))


def delete_an_old_successor(world: World) -> None:
    """Instead of the one that was meant went one that every attempt must have seen."""
    world.deleted = [Deletion(NAME, RECREATED_AT, "2026-01-02T03:04:40.000Z")]


def make_no_backup(world: World) -> None:
    """There is no backup, which was asked for."""
    world.documents[RECEIPT]["backup"] = None


def spoil_the_backup(world: World) -> None:
    """The backup is not the one that the receipt tells of."""
    world.versions[BACKUP] = [b"{}"]


def lose_a_restore(world: World) -> None:
    """The restore has no end."""
    del world.documents[RESTORED]


def create_it_twice(world: World) -> None:
    """One restore has created two datamarts."""
    world.created *= 2


def create_another(world: World) -> None:
    """A datamart was created that no restore tells of."""
    world.created.append(("another", RESTORED_AT))


def create_nothing(world: World) -> None:
    """What is said to be restored is not there."""
    world.listed.clear()


def restore_otherwise(world: World) -> None:
    """What came back is not as it was."""
    world.documents[RESTORED]["differences"] = ["datamart.label"]


def restore_nothing(world: World) -> None:
    """The retirement had ended, and yet the restore is refused."""
    world.documents[RESTORED] |= {"outcome": "restore_blocked", "reason": "not_deleted"}


def approve(world: World, source: str = "approvals", **fields: str) -> None:
    """Store the approval as somebody else has sent it."""
    (detail,) = (asked.detail for asked in world.asked if asked.is_approval)
    world.documents[APPROVAL]["event"] = event_of("event-7", {**detail, **fields}, source)


def approve_another_plan(world: World) -> None:
    """What was approved is not what was deleted."""
    approve(world, planId="its plan")


def approve_it_oneself(world: World) -> None:
    """Who asked has approved it."""
    approve(world, approvedBy=" THE SOAK")


def approve_from_another_source(world: World) -> None:
    """Whoever may ask has approved it."""
    approve(world, "datamart.lifecycle")


def lose_an_approval(world: World) -> None:
    """The approval has no answer."""
    del world.documents[APPROVAL]


def reject_an_approval_too(world: World) -> None:
    """The approval has two answers."""
    world.documents["rejected/event-7/receipt.json"] = {**world.documents[REJECTION], "event": '{"id":"event-7"}'}


def publish_no_approval(world: World) -> None:
    """Nobody is told of the approval."""
    world.published = [result for result in world.published if result["outcome"] != "approved"]


def publish_no_ask(world: World) -> None:
    """Nobody is asked to approve."""
    world.published = [result for result in world.published if result["outcome"] != "awaiting_approval"]


def lose_an_ask(world: World) -> None:
    """What nobody has approved is gone."""
    del world.documents[ASK]


def set_no_reminder(world: World) -> None:
    """Nobody is reminded of what awaits approval."""
    world.left.clear()


def leave_what_is_approved(world: World) -> None:
    """A plan is approved, and never carried out."""
    world.asked[-2] = replace(world.asked[-2], ends=frozenset({"deleted"}))


def leave_a_message(world: World) -> None:
    """A request waits for ever."""
    world.left.append("a message")


BREAKS: dict[Callable[[World], None], tuple[Kind, str]] = {
    lose_a_receipt: (Kind.LOST, "no receipt: 'a datamart', retirement-1, event event-1"),
    lose_a_rejection: (Kind.LOST, "no receipt: 'a datamart', retirement-2, event event-2"),
    publish_no_receipt: (Kind.LOST, f"never published: {RECEIPT}"),
    publish_no_failure: (Kind.LOST, f"never published: {FAILURE}"),
    publish_another_text: (Kind.WRONG, "published and not kept: "),
    reject_and_carry_out: (Kind.TWICE, "2 receipts: 'a datamart', retirement-1, event event-1"),
    reject_a_cancellation_too: (Kind.TWICE, "2 receipts: 'a datamart', retirement-3, event event-3"),
    cancel_and_delete: (Kind.WRONG, f"told to be cancelled, and deleted: {RECEIPT}"),
    lose_a_date: (Kind.WRONG, "published and not kept: "),
    overwrite: (Kind.TWICE, f"written 2 times: {BACKUP}"),
    end_otherwise: (Kind.WRONG, "ended as already_absent (None), not deleted: 'a datamart', retirement-1"),
    lose_the_intent: (Kind.LOST, f"no intent: {RECEIPT}"),
    delete_nothing: (Kind.WRONG, f"not deleted by anybody: ('a datamart', '{CREATED_AT}'), {RECEIPT}"),
    leave_it_there: (Kind.WRONG, f"still there: ('a datamart', '{CREATED_AT}'), {RECEIPT}"),
    delete_another: (Kind.WRONG, f"deleted, and no receipt says so: ('another', '{CREATED_AT}')"),
    delete_it_twice: (Kind.TWICE, f"deleted 2 times: ('a datamart', '{CREATED_AT}')"),
    claim_it_twice: (Kind.TWICE, f"deleted 2 times: ('a datamart', '{CREATED_AT}')"),
    delete_the_recreated_one: (Kind.WRONG, f"deleted, and no receipt says so: ('a datamart', '{RECREATED_AT}')"),
    delete_an_old_successor: (Kind.WRONG, f"deleted, and no receipt says so: ('a datamart', '{RECREATED_AT}')"),
    make_no_backup: (Kind.LOST, f"no backup: {RECEIPT}"),
    spoil_the_backup: (Kind.LOST, f"not the backup that the receipt tells of: {BACKUP}, {RECEIPT}"),
    lose_a_restore: (Kind.LOST, "no receipt: 'a datamart', retirement-1, event event-5"),
    create_it_twice: (Kind.TWICE, "restored 2 times: 'a datamart'"),
    create_another: (Kind.WRONG, "created, and no receipt says so: 'another'"),
    create_nothing: (Kind.LOST, f"restored, and not there: {RESTORED}"),
    restore_otherwise: (Kind.WRONG, f"restored otherwise: ['datamart.label'], {RESTORED}"),
    restore_nothing: (Kind.WRONG, f"not restored (not_deleted): {RESTORED}"),
    approve_another_plan: (Kind.WRONG, f"deleted, and nobody has approved its plan: {RECEIPT}"),
    approve_it_oneself: (Kind.WRONG, f"deleted, and nobody has approved its plan: {RECEIPT}"),
    approve_from_another_source: (Kind.WRONG, f"deleted, and nobody has approved its plan: {RECEIPT}"),
    lose_an_approval: (Kind.LOST, "no receipt: 'a datamart', retirement-1, event event-7"),
    reject_an_approval_too: (Kind.TWICE, "2 receipts: 'a datamart', retirement-1, event event-7"),
    publish_no_approval: (Kind.LOST, f"never published: {APPROVAL}"),
    publish_no_ask: (Kind.LOST, f"never published: {UNAPPROVED}"),
    lose_an_ask: (Kind.LOST, "no receipt: 'a datamart', retirement-6, event event-6"),
    set_no_reminder: (Kind.LOST, f"no reminder is set: {UNAPPROVED}"),
    leave_what_is_approved: (Kind.WRONG, "ended as awaiting_approval (None), not deleted: 'a datamart', retirement-6"),
    leave_a_message: (Kind.LOST, "still waiting: a message"),
}


def test_nothing_is_found_where_all_is_well() -> None:
    """A request that ends after a failure, a cancelled one, and an event that is rejected leave nothing to name."""
    assert World().findings() == []


def test_a_cancellation_that_came_too_late() -> None:
    """A cancellation that is rejected shares its retirement with the request, and each has its own answer."""
    world = World()
    world.asked[2] = replace(world.asked[2], ends=frozenset({"blocked"}))
    world.documents[END]["outcome"] = "blocked"
    world.published[-1] = world.documents[END]
    late = {**world.documents[END], "outcome": "rejected"}
    world.documents["rejected/event-4/receipt.json"] = {**late, "event": '{"id":"event-4"}'}
    world.published.append(late)
    assert world.findings() == []


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda each: each.__name__)
def test_a_broken_promise_is_named(break_it: Callable[[World], None]) -> None:
    """Whatever is lost, done twice or done wrongly is found, with the request it happened to."""
    world = World()
    break_it(world)
    kind, what = BREAKS[break_it]
    assert any(found == kind and text.startswith(what) for found, text in world.findings())


def test_what_nobody_could_see() -> None:
    """A datamart that was re-created just before the delete, and went instead, is the one case that is let pass."""
    world = World()
    world.deleted = [Deletion(NAME, RECREATED_AT, DELETED_AT)]
    assert world.findings() == []


@pytest.mark.parametrize("secret", [SERVICE_TOKEN, *APP_KEYS])
@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize(
    "written",
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    ],
    ids=["as it is", "as a path", "as a query", "Base64", "URL-safe Base64"],
)
def test_a_leak_is_named(written: Callable[[str], str], before: str, secret: str) -> None:
    """A token is found in whatever form it is written, at any place of a longer text."""
    world = World()
    world.written.append(("a place", f"all is {written(f'{before}{secret} and more')} well"))
    assert world.findings() == [(Kind.LEAKED, "a token is in a place")]
