"""The events in events/, each on the deployed stack: what a reader copies from there works as it says."""

import json
from uuid import uuid4

import pytest

from tests.stack.scene import CANCELLED, EVENTS, RESTORE_REQUESTED, JsonObject, Scene, ahead, check_contract

ENTRIES = {"put-events.json", "put-scheduled.json", "put-approved.json", "put-cancelled.json", "put-restore.json"}

# The outcome and the reason of each, on a stack called `dev` where the datamart `sales-analytics` has no dependents.
ENDS = {
    "another-detail-type.json": ("rejected", "invalid_request"),
    "cancelled.json": ("cancelled", None),
    "date-without-offset.json": ("rejected", "invalid_request"),
    "dry-run.json": ("planned", "dry_run"),
    "every-option.json": ("blocked", "plan_drifted"),
    "hostile-texts.json": ("already_absent", None),
    "missing-environment.json": ("rejected", "invalid_request"),
    "misspelt-option.json": ("rejected", "invalid_request"),
    "restore.json": ("restore_blocked", "not_deleted"),
    "retire.json": ("deleted", None),
    "scheduled.json": ("scheduled", None),
}


@pytest.fixture(autouse=True)
def datamarts(scene: Scene) -> None:
    """The datamart that all of them name."""
    scene.datamart("sales-analytics")


def sample(name: str) -> JsonObject:
    """An event of the repository under an identity of its own, since a receipt spends it; a date is yet to come."""
    event: JsonObject = json.loads((EVENTS / name).read_bytes())
    event["id"] = str(uuid4())
    if "retirementId" in event["detail"]:
        event["detail"]["retirementId"] += f"-{uuid4()}"
    if name == "scheduled.json":
        event["detail"]["retireAt"] = ahead(days=7)
    return event


def queue_of(event: JsonObject) -> str:
    """Where the rules send it."""
    if event["detail-type"] == RESTORE_REQUESTED:
        return "RestoresQueueUrl"
    is_plain = event["detail-type"] != CANCELLED and "retireAt" not in event["detail"]
    return "RequestsQueueUrl" if is_plain else "SchedulingQueueUrl"


def test_each_is_tested() -> None:
    """No event is there without its end being known."""
    assert {path.name for path in EVENTS.glob("*.json")} == {*ENDS, *ENTRIES}


@pytest.mark.parametrize("name", ENDS)
def test_a_sample_ends_as_expected(scene: Scene, name: str) -> None:
    """An event ends as its name says."""
    event = sample(name)
    scene.stack.put_message(json.dumps(event), queue_of(event))
    published = scene.stack.next_result()
    check_contract(published)
    result = published.document
    assert (result["outcome"], result["reason"]) == ENDS[name]
    told = [result[field] for field in ("datamartName", "requestedBy", "requestReason")]
    assert told == [event["detail"][field] for field in ("datamartName", "requestedBy", "reason")]
    assert ("sales-analytics" in scene.databrain.organisation.datamarts) == (result["outcome"] != "deleted")


def test_the_sample_restore(scene: Scene) -> None:
    """After the sample retirement of the same ID, the sample restore brings the datamart back."""
    retired, restored = sample("retire.json"), sample("restore.json")
    restored["detail"]["retirementId"] = scene.send(retired)
    assert scene.result(restored["detail"]["retirementId"]).document["outcome"] == "deleted"
    scene.stack.put_message(json.dumps(restored), "RestoresQueueUrl")
    assert scene.restored(restored["detail"]["restoreId"]).document["outcome"] == "restored"
    assert list(scene.databrain.organisation.datamarts) == ["sales-analytics"]


def test_every_option_is_carried_out(scene: Scene) -> None:
    """With the plan of what is there, and all other options as they stand, the request is carried out."""
    request = sample("every-option.json")
    dry_run = sample("every-option.json")
    dry_run["detail"] |= {"dryRun": True}
    del dry_run["detail"]["planId"]
    planned = scene.result(scene.send(dry_run)).document
    assert planned["outcome"] == "planned"

    request["detail"]["planId"] = planned["planId"]
    deleted = scene.result(scene.send(request)).document
    assert (deleted["outcome"], deleted["planId"]) == ("deleted", planned["planId"])
    assert scene.kept(deleted["backup"]["key"]).document["datamart"]["name"] == "sales-analytics"
    assert scene.databrain.organisation.datamarts == {}


def test_the_entries_for_the_command_line(scene: Scene) -> None:
    """What `aws events put-events --entries` takes is a dry run; its environment is the reader's."""
    (entry,) = json.loads((EVENTS / "put-events.json").read_bytes())
    detail = json.loads(entry["Detail"])
    assert detail["environment"] == "prod"
    detail |= {"environment": "dev", "retirementId": f"{detail['retirementId']}-{uuid4()}"}
    scene.stack.put_event(detail, source=entry["Source"], detail_type=entry["DetailType"])
    result = scene.result(detail["retirementId"]).document
    assert (result["outcome"], result["reason"]) == ("planned", "dry_run")
