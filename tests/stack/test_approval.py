"""Approval by a second person on the deployed stack: rule, queues, functions, timers and IAM at work."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cli.errors import Status
from local.stack import RETIRE
from tests.stack.program import Program
from tests.stack.scene import (
    APPROVED,
    SCHEDULE,
    JsonObject,
    Scene,
    ahead,
    check_contract,
    set_to,
)
from tests.stack.sweeps import Sweeps
from tests.stack.webhooks import Sender, asking


@pytest.fixture(autouse=True)
def _one_approval(scene: Scene) -> Iterator[None]:
    with scene.stack.requiring(1):
        yield
        scene.wind_down()


def published(scene: Scene, retirement_id: str) -> JsonObject:
    """The next result of a retirement."""
    result = scene.stack.next_result(retirement_id=retirement_id)
    check_contract(result)
    return result.document


def files_of(scene: Scene, retirement_id: str) -> list[str]:
    """The names of the objects that are stored of a retirement."""
    names = [key.rpartition("/")[2] for key in scene.new_objects() if f"/{retirement_id}/" in key]
    return sorted(name for name in names if not name.startswith("arrival-"))


def ask(scene: Scene, **fields: object) -> tuple[JsonObject, JsonObject]:
    """Request a retirement, and return the request and what it waits for."""
    request = scene.event(scene.datamart(), **fields)["detail"]
    scene.stack.put_event(request)
    waits = published(scene, request["retirementId"])
    assert waits["outcome"] == "awaiting_approval"
    scene.settle()
    return request, waits


def edit(scene: Scene, name: str) -> None:
    """Give a datamart another configuration."""
    columns = [{"columnName": "id", "datatype": "integer"}]
    scene.datamart(name, datamartTables=[{"tableName": "refunds", "datamartTableColumns": columns}])


def test_approved_and_deleted(scene: Scene) -> None:
    """A request waits with nothing changed; an approval of its plan has it carried out, and no timer is left."""
    request, waits = ask(scene)

    assert (waits["reason"], waits["approvalsMissing"]) == (None, 1)
    assert files_of(scene, request["retirementId"]) == ["approval-asked-1.json"]
    assert scene.deletions() == []
    remind_at = datetime.fromisoformat(waits["finishedAt"]) + timedelta(days=1)
    assert scene.timers()["remind"]["ScheduleExpression"] == set_to(remind_at)
    scene.approve(request, waits["planId"])

    answer = published(scene, request["retirementId"])
    assert (answer["outcome"], answer["requestedBy"], answer["approvalsMissing"]) == ("approved", "the owner", 0)
    assert scene.result(request["retirementId"]).document["outcome"] == "deleted"
    assert scene.deletions() == [request["datamartName"]]
    assert {"approval-asked-1.json", "approved-1.json"} < set(files_of(scene, request["retirementId"]))
    assert scene.timers() == {}


def test_rejections(scene: Scene) -> None:
    """An approval that does not count has its answer under `rejected/`, and the request waits on."""
    early = scene.event(scene.datamart())["detail"]
    scene.approve(early, "0" * 64)
    assert published(scene, early["retirementId"])["reason"] == "not_awaiting"
    request, waits = ask(scene)
    before = len(scene.deletions())

    scene.approve(request, waits["planId"], " THE Stack tests ")
    assert published(scene, request["retirementId"])["reason"] == "own_request"
    scene.approve(request, "0" * 64)
    assert published(scene, request["retirementId"])["reason"] == "another_plan"

    assert files_of(scene, request["retirementId"]) == ["approval-asked-1.json"]
    assert sum(key.startswith("rejected/") for key in scene.new_objects()) == 3
    assert len(scene.deletions()) == before
    scene.approve(request, waits["planId"])
    assert published(scene, request["retirementId"])["outcome"] == "approved"
    assert scene.result(request["retirementId"]).document["outcome"] == "deleted"
    scene.approve(request, waits["planId"], "too late")
    assert published(scene, request["retirementId"])["reason"] == "already_ended"


def test_no_rule_hears_a_requester(scene: Scene) -> None:
    """An approval from a source that requests come from, or from any other, reaches no queue."""
    request, waits = ask(scene)
    detail = scene.approval(request, waits["planId"], "mallory")["detail"]
    for source in ("datamart.lifecycle", "datamart-retirement.sweep", "datamart-retirement.webhook", "Approvals"):
        scene.stack.put_event(detail, source=source, detail_type=APPROVED)
    scene.approve({**request, "environment": "prod"}, waits["planId"], "mallory")

    scene.approve(request, waits["planId"])

    assert published(scene, request["retirementId"])["requestedBy"] == "the owner"
    assert scene.result(request["retirementId"]).document["outcome"] == "deleted"
    scene.settle()
    approvals = [key for key in scene.new_objects() if "/approved-" in key]
    assert [scene.kept(key).document["requestedBy"] for key in approvals] == ["the owner"]
    assert not any(key.startswith("rejected/") for key in scene.new_objects())


def test_two_people(scene: Scene) -> None:
    """With ApprovalsRequired=2, one person counts once, and the second one has it carried out."""
    with scene.stack.requiring(2):
        request, waits = ask(scene)
        for name, missing in (("Alice", 1), ("alice ", 1), ("Bob", 0)):
            assert scene.deletions() == []
            scene.approve(request, waits["planId"], name)
            assert published(scene, request["retirementId"])["approvalsMissing"] == missing
        assert scene.result(request["retirementId"]).document["outcome"] == "deleted"


def test_the_plan_drifts(scene: Scene) -> None:
    """What was changed since is not deleted: the new plan is asked for, and its approval counts."""
    request, waits = ask(scene)
    edit(scene, request["datamartName"])
    scene.approve(request, waits["planId"])

    results = [published(scene, request["retirementId"]) for _ in range(2)]
    (drifted,) = [result for result in results if result["outcome"] == "awaiting_approval"]
    assert drifted["reason"] == "plan_drifted"
    assert "refunds" in drifted["message"]
    assert scene.deletions() == []
    scene.settle()

    scene.approve(request, drifted["planId"], "somebody else")
    assert published(scene, request["retirementId"])["outcome"] == "approved"
    assert scene.result(request["retirementId"]).document["planId"] == drifted["planId"]


def test_expired(scene: Scene) -> None:
    """An approval that is older than ApprovalExpiresIn deletes nothing."""
    request, waits = ask(scene)
    old = (datetime.now(UTC) - timedelta(days=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {**scene.approval(request, waits["planId"]), "time": old}
    scene.stack.put_message(json.dumps(event), "SchedulingQueueUrl")

    assert published(scene, request["retirementId"])["outcome"] == "approved"
    result = scene.result(request["retirementId"]).document
    assert (result["outcome"], result["reason"]) == ("blocked", "approval_expired")
    assert scene.deletions() == []


def test_refused(scene: Scene) -> None:
    """A cancellation is the "no", and an approval after it is rejected."""
    request, waits = ask(scene)
    scene.cancel(request)
    assert scene.result(request["retirementId"]).document["outcome"] == "cancelled"
    assert scene.timers() == {}

    scene.approve(request, waits["planId"])
    assert published(scene, request["retirementId"])["reason"] == "already_ended"
    assert scene.deletions() == []


def test_dated(scene: Scene) -> None:
    """A dated request is asked for when its timer goes off."""
    request = scene.event(scene.datamart(), retireAt=ahead(seconds=58))["detail"]
    scene.stack.put_event(request)
    assert published(scene, request["retirementId"])["outcome"] == "scheduled"
    scene.approve(request, "0" * 64)
    assert published(scene, request["retirementId"])["reason"] == "not_awaiting"
    scene.let_go_off(scene.timers()["retire"])

    waits = scene.stack.next_result(retirement_id=request["retirementId"], timeout=90).document
    assert waits["outcome"] == "awaiting_approval"
    scene.approve(request, waits["planId"])
    assert published(scene, request["retirementId"])["outcome"] == "approved"
    assert scene.result(request["retirementId"]).document["outcome"] == "deleted"


def test_the_reminder(scene: Scene) -> None:
    """The reminder's timer sends the request to Scheduling, where the reminder is stored and published."""
    request, waits = ask(scene)
    (key,) = (key for key in scene.new_objects() if key.endswith("/approval-asked-1.json"))
    stored, then = scene.kept(key), (datetime.now(UTC) - timedelta(days=2)).isoformat()
    bucket, body = scene.stack.outputs["EvidenceBucketName"], {**stored.document, "finishedAt": then}
    scene.stack.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode(), Metadata=stored.metadata)

    scene.let_go_off(scene.timers()["remind"])

    reminder = published(scene, request["retirementId"])
    assert (reminder["outcome"], reminder["reason"]) == ("awaiting_approval", "reminder")
    assert reminder["planId"] == waits["planId"]
    assert "approval-reminder-1.json" in files_of(scene, request["retirementId"])


def test_a_webhook_needs_approval(scene: Scene, sender: Sender) -> None:
    """A webhook's request waits like any other, and a webhook cannot approve."""
    detail = scene.event(scene.datamart())["detail"]

    assert sender.send(asking(detail)).status_code == 202

    assert published(scene, detail["retirementId"])["outcome"] == "awaiting_approval"
    assert sender.send(asking(detail, "datamart.retirement.approved")).status_code == 400


def test_a_sweep_that_a_person_starts(sweeps: Sweeps) -> None:
    """What a sweep requests names the person who started it, who cannot approve it."""
    scene, name = sweeps.scene, sweeps.datamart("old")
    sweeps.policy(sweeps.rule(retireAfter="0 days"))
    invocation = sweeps.invoke({"requestedBy": "Alice"})
    assert not invocation.error, invocation.payload
    request = sweeps.asked()[name]
    assert request["startedBy"] == "Alice"

    def waiting() -> JsonObject | None:
        results = (result.document for result in scene.stack.results(wait_seconds=1))
        return next((result for result in results if result.get("outcome") == "awaiting_approval"), None)

    waits = scene.eventually(waiting)
    assert waits is not None
    assert 'in a sweep that "Alice" started' in waits["message"]
    scene.approve(request, waits["planId"], "alice")
    assert published(scene, request["retirementId"])["reason"] == "own_request"
    assert "requestedBy in the event" in json.dumps(sweeps.invoke({"requestedBy": 1}).payload)


def test_without_permission_to_announce(scene: Scene) -> None:
    """If the retire function may not send to Scheduling, the ask is stored, and published by a later attempt."""
    request = scene.event(scene.datamart())
    with (
        scene.stack.without_permission("sqs:SendMessage", RETIRE),
        scene.stack.settings(RETIRE, RETRY_DELAYS="0,0,0,0,0"),
    ):
        scene.send(request)
        scene.failure(request["detail"]["retirementId"], attempts=1)
    assert scene.deletions() == []


def test_a_source_of_requests_as_a_source_of_approvals(scene: Scene) -> None:
    """The schedule function does not start, so no approval is taken."""
    with scene.stack.settings(SCHEDULE, APPROVAL_SOURCES="approvals,datamart.lifecycle"):
        invocation = scene.stack.invoke(scene.event(""), function=SCHEDULE)

    assert invocation.error
    assert "requests come from there" in json.dumps(invocation.payload)


def test_with_the_command_line(scene: Scene, datamart: Program) -> None:
    """What waits is listed, and another person approves it: not the requester, and only as long as it waits."""
    name = scene.datamart()
    identity = f"leaves-{name}"
    asked = datamart.json("result", "retire", name, "--id", identity, "--yes", status=Status.PENDING)
    again = datamart.json("result", "retire", name, "--id", identity, "--yes", status=Status.PENDING)
    assert [each["outcome"] for each in (*asked, *again)] == ["awaiting_approval"] * 2
    (row,) = (each for each in datamart.json("retirement", "list", "--pending") if each["retirementId"] == identity)
    assert (row["state"], row["outcome"]) == ("awaiting_approval", "awaiting_approval")

    (own,) = datamart.json("result", "approve", identity, "--yes", status=Status.REJECTED)
    approving = ("approve", identity, "--requested-by", "second@example.com", "--reason", "Reviewed")
    unasked = datamart(*approving)
    (given,) = datamart.json("result", *approving, "--yes")

    assert own["reason"] == "own_request"
    assert (unasked.status, "Without a terminal to confirm this on" in unasked.err) == (Status.USAGE, True)
    assert f'It was requested by "{asked[0]["requestedBy"]}"' in unasked.out
    assert (given["outcome"], given["requestedBy"], given["planId"]) == (
        "approved",
        "second@example.com",
        asked[0]["planId"],
    )
    scene.settle()
    assert scene.kept(f"retirements/{name}/{identity}/receipt.json").document["outcome"] == "deleted"
    late = datamart(*approving, "--yes")
    assert (late.status, "does not await approval: it is ended" in late.err) == (Status.REJECTED, True)
