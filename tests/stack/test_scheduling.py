"""Scheduled retirement on the deployed stack: rules, queue, function, timers and IAM at work."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.stack import Invocation
from tests.stack.role import Role, assert_denied
from tests.stack.scene import SCHEDULE, JsonObject, Scene, ahead, set_to


def kept(scene: Scene, retirement_id: str) -> list[str]:
    """The names of the objects that are kept of a retirement."""
    names = [key.rpartition("/")[2] for key in scene.new_objects() if f"/{retirement_id}/" in key]
    return [name for name in names if not name.startswith("arrival-")]  # there if it arrived within its own second


def published(scene: Scene, retirement_id: str) -> JsonObject:
    """The next result of a retirement."""
    return scene.stack.next_result(retirement_id=retirement_id).document


def test_scheduled_and_carried_out(scene: Scene) -> None:
    """A request for a date is told so; its timer sends the event to Requests as it came, and it waits there."""
    name = scene.datamart()
    retirement_id = scene.ask(name, retireAt=ahead(seconds=58))

    result = published(scene, retirement_id)

    assert (result["outcome"], result["reason"]) == ("scheduled", None)
    assert kept(scene, retirement_id) == ["schedule-1.json"]
    assert scene.deletions() == []
    assert scene.timers().keys() == {"retire"}
    scene.let_go_off(scene.timers()["retire"])  # early
    carried_out = scene.result(retirement_id).document
    assert carried_out["outcome"] == "deleted"
    assert carried_out["startedAt"] >= result["retireAt"]
    assert scene.deletions() == [name]
    assert scene.timers() == {}


def test_a_reminder_is_set(scene: Scene) -> None:
    """A date that is far enough ahead has a second timer, which sends the event to Scheduling again."""
    retirement_id = scene.ask(scene.datamart(), retireAt=ahead(days=7))
    result = published(scene, retirement_id)

    found = scene.timers()

    assert found.keys() == {"retire", "remind"}
    date = datetime.fromisoformat(result["retireAt"])
    assert found["retire"]["ScheduleExpression"] == set_to(date)
    assert found["remind"]["ScheduleExpression"] == set_to(date - timedelta(days=1))
    assert found["retire"]["Target"]["Input"] == found["remind"]["Target"]["Input"]
    scene.let_go_off(found["remind"])  # early: the date is told once more
    assert published(scene, retirement_id) == result


def test_moved_to_now(scene: Scene) -> None:
    """Moved to a time that is due, it is carried out at once, and its timers are gone."""
    name = scene.datamart()
    request = scene.event(name, retireAt=ahead(days=7))["detail"]
    scene.stack.put_event(request)
    assert published(scene, request["retirementId"])["outcome"] == "scheduled"

    scene.stack.put_event({**request, "retireAt": ahead(seconds=1)})

    assert scene.result(request["retirementId"]).document["outcome"] == "deleted"
    assert scene.timers() == {}
    assert scene.deletions() == [name]


def test_in_the_past(scene: Scene) -> None:
    """A request for a time that is past is carried out at once."""
    retirement_id = scene.ask(scene.datamart(), retireAt="2026-01-01T00:00:00+01:00")

    assert scene.result(retirement_id).document["outcome"] == "deleted"


def test_moved_and_cancelled(scene: Scene) -> None:
    """A date can be moved, and the retirement be cancelled: then it has its receipt, and no timer is left."""
    request = scene.event(scene.datamart(), retireAt=ahead(days=7))["detail"]
    scene.stack.put_event(request)
    first = published(scene, request["retirementId"])
    scene.stack.put_event({**request, "retireAt": ahead(days=14)})
    second = published(scene, request["retirementId"])
    assert second["retireAt"] > first["retireAt"]

    scene.cancel(request)

    result = scene.result(request["retirementId"]).document
    assert (result["outcome"], result["requestedBy"]) == ("cancelled", "the owner")
    assert scene.timers() == {}
    assert sorted(kept(scene, request["retirementId"])) == [
        "cancelled.json",
        "receipt.json",
        "schedule-1.json",
        "schedule-2.json",
    ]


def test_cancelled_before_it_was_asked_for(scene: Scene) -> None:
    """A cancellation that comes first stands, also for a request without a date."""
    request = scene.event(scene.datamart())["detail"]
    scene.cancel(request)
    assert published(scene, request["retirementId"])["outcome"] == "cancelled"

    scene.stack.put_event(request)

    assert scene.result(request["retirementId"]).document["outcome"] == "cancelled"
    assert scene.deletions() == []


def test_cancelled_too_late(scene: Scene) -> None:
    """A cancellation of what was carried out is rejected, and says so."""
    request = scene.event(scene.datamart())["detail"]
    scene.stack.put_event(request)
    scene.result(request["retirementId"])

    scene.cancel(request)

    receipt = scene.rejection()
    assert receipt["reason"] == "already_ended"
    assert "had ended as deleted" in receipt["message"]


def test_failure_goes_to_failures_and_back(scene: Scene) -> None:
    """A date that cannot be kept is given up with a result, kept in Failures, and set when it is sent again."""
    event = scene.event(scene.datamart(), retireAt=ahead(days=7))
    at_once = scene.stack.settings(SCHEDULE, RETRY_DELAYS="0,0,0,0,0")
    with scene.stack.without_permission("scheduler:CreateSchedule", SCHEDULE), at_once:
        scene.stack.put_message(json.dumps(event), "SchedulingQueueUrl")
        failed = published(scene, event["detail"]["retirementId"])
        scene.eventually(lambda: scene.messages()["given up"] == 1)
    assert (failed["outcome"], failed["reason"]) == ("failed", "internal_error")

    assert scene.stack.redrive() == 1

    assert published(scene, event["detail"]["retirementId"])["outcome"] == "scheduled"
    assert "retire" in scene.timers()


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ({"retireAt": "tomorrow"}, "detail.retireAt must be an RFC 3339 time with offset"),
        ({"retireAt": "2026-12-01T00:00:00"}, "detail.retireAt must be an RFC 3339 time with offset"),
        ({"retireAt": 1_800_000_000}, "detail.retireAt must be"),
        ({"retireAt": None}, "detail.retireAt must be"),
        ({"retireAt": {"in": "a week"}}, "detail.retireAt must be"),
        ({"retireAt": []}, "detail.retireAt must be"),
        ({"retireAt": "9999-12-31T23:59:59Z"}, "detail.retireAt must be at most 366 days ahead"),
    ],
)
def test_no_date(scene: Scene, detail: JsonObject, message: str) -> None:
    """Whatever comes as a date and is none is rejected by one of the two functions, with the field named."""
    scene.ask(scene.datamart(), **detail)

    assert scene.rejection()["message"].startswith(message)


# ---- Permissions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def role(scene: Scene) -> Role:
    """The schedule function's."""
    return Role(scene.stack, SCHEDULE)


def dated(scene: Scene) -> JsonObject:
    """Ask for a date."""
    return scene.event(scene.datamart(), retireAt=ahead(days=7))


def known_date(scene: Scene) -> JsonObject:
    """Ask again."""
    event = dated(scene)
    assert not scene.stack.invoke(event, SCHEDULE).error
    return event


def bad_event(scene: Scene) -> JsonObject:
    """Send what is rejected."""
    return scene.event("sales", dryRum=True)


def known_bad_event(scene: Scene) -> JsonObject:
    """Send again what was rejected before."""
    bad = bad_event(scene)
    assert not scene.stack.invoke(bad, SCHEDULE).error
    return bad


def cancellation(scene: Scene) -> JsonObject:
    """Cancel what was never asked for."""
    return scene.cancellation(scene.event("sales")["detail"])


SHOWN_BY_FAILURES: dict[str, tuple[Callable[[Scene], Any], str]] = {
    "s3:GetObject rejected/*": (known_bad_event, "S3 GetObject s3://[^/]+/rejected/"),
    "s3:GetObject retirements/*": (dated, "S3 GetObject s3://[^/]+/retirements/"),
    "s3:PutObject rejected/*": (bad_event, "S3 PutObject s3://[^/]+/rejected/"),
    "s3:PutObject retirements/*": (dated, "S3 PutObject s3://[^/]+/retirements/"),
    "scheduler:CreateSchedule": (dated, "EventBridge Scheduler could not set a timer"),
    "scheduler:DeleteSchedule": (cancellation, "EventBridge Scheduler could not clear a timer"),
    "scheduler:UpdateSchedule": (known_date, "EventBridge Scheduler could not set a timer"),
    "sns:Publish": (dated, "SNS Publish"),
}
# MiniStack passes any role on, and its simulation knows no condition keys: the template's tests look at it.
TO_BE_TAKEN_ON_TRUST = "iam:PassRole"
# Without it, a person is not shown when the next attempt is due; nothing fails for that.
A_HINT = "dynamodb:PutItem"
# What no invocation shows here: MiniStack asks nobody about queues and missing objects.
NOT_SHOWN_BY_MINISTACK = [
    "s3:ListBucket",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
]


def test_each_permission_has_its_test(role: Role) -> None:
    """The role has the permissions that are tested here, and no others."""
    assert role.permissions == sorted([*SHOWN_BY_FAILURES, TO_BE_TAKEN_ON_TRUST, A_HINT, *NOT_SHOWN_BY_MINISTACK])


@pytest.mark.parametrize("permission", SHOWN_BY_FAILURES)
def test_the_function_fails_without(scene: Scene, role: Role, permission: str) -> None:
    """Without the permission the attempt fails, and the error names the call."""
    event_for, expected = SHOWN_BY_FAILURES[permission]
    event = event_for(scene)
    with role.without(permission):
        invocation: Invocation = scene.stack.invoke(event, SCHEDULE)
    assert_denied(invocation, expected)


@pytest.mark.parametrize("permission", NOT_SHOWN_BY_MINISTACK)
def test_the_role_may_not_without(role: Role, permission: str) -> None:
    """The role may do it, by IAM's own judgement, and only by this permission."""
    role.require(permission)
