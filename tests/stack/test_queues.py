"""What the queues do with a request whose attempts fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.scene import JsonObject, Scene, check_contract

NO_DELAY = "0,0,0,0,0"


@contextmanager
def undelivered(scene: Scene) -> Iterator[None]:
    """Lambda takes no messages out of Requests meanwhile."""
    mapping = scene.stack.mapping()["UUID"]
    scene.stack.lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        scene.stack.lambda_.update_event_source_mapping(UUID=mapping, Enabled=True)


def failure(scene: Scene, request: JsonObject, number: int) -> JsonObject:
    """Wait for the next result, a failure that keeps the contract; its object holds the event, and SQS the message."""
    retirement_id = request["detail"]["retirementId"]
    result = scene.stack.next_result(retirement_id=retirement_id)
    check_contract(result)
    assert result.document["outcome"] == "failed"
    key = f"retirements/{request['detail']['datamartName']}/{retirement_id}/failure-{number}.json"
    assert scene.kept(key).document == {**result.document, "event": json.dumps(request)}
    scene.eventually(lambda: scene.messages() == {"given up": 1})
    (message,) = scene.stack.sqs.receive_message(QueueUrl=scene.stack.outputs["FailuresQueueUrl"], VisibilityTimeout=0)[
        "Messages"
    ]
    assert json.loads(message["Body"]) == request
    return result.document


def test_a_failed_attempt_is_followed_by_another(scene: Scene) -> None:
    """A request stays in its queue until an attempt succeeds, after the waits of RetryDelays, and is carried out."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html", "times": 2}])
    name = scene.datamart()
    with scene.stack.settings(RETRY_DELAYS=NO_DELAY):
        retirement_id = scene.ask(name)
        assert scene.result(retirement_id).document["outcome"] == "deleted"
        scene.settle()
    assert scene.failure(retirement_id, attempts=2)["receiveCount"] == 2
    published = [line for line in scene.log_of(retirement_id) if line.get("message") == "published"]
    assert [line["receiveCount"] for line in published] == [3]
    assert scene.deletions() == [name]


def test_a_request_waits_for_its_next_attempt(scene: Scene) -> None:
    """After a failed attempt the message waits out of sight, and no other attempt is made meanwhile."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html", "times": 1}])
    retirement_id = scene.ask(scene.datamart())
    scene.failure(retirement_id)
    assert scene.result(scene.ask("nobody's datamart")).document["outcome"] == "already_absent"
    assert scene.messages() == {"in flight": 1}
    assert scene.failure(retirement_id)["receiveCount"] == 1


def test_abandoned_and_sent_again(scene: Scene) -> None:
    """A request that is given up gets its result and is kept; sent again, it is carried out as the one it was."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    request = scene.event(scene.datamart())
    retirement_id = request["detail"]["retirementId"]
    with scene.stack.settings(RETRY_DELAYS=NO_DELAY):
        scene.send(request)
        abandoned = failure(scene, request, 1)
    assert abandoned["reason"] == "databrain_unexpected"
    assert scene.failure(retirement_id, attempts=6)["lastReceive"]
    metrics = [line for line in scene.log_of(retirement_id) if "_aws" in line]
    assert [line["FailedRetirements"] for line in metrics if "FailedRetirements" in line] == [[1.0]]
    assert [line["reason"] for line in metrics if line.get("outcome") == "failed"] == ["databrain_unexpected"]

    scene.databrain.faults.clear()
    assert scene.stack.redrive() == 1
    result = scene.result(retirement_id).document
    assert result["outcome"] == "deleted"
    assert result["requestedAt"] == abandoned["requestedAt"]
    assert f"retirements/{result['datamartName']}/{retirement_id}/failure-1.json" in scene.new_objects()
    scene.settle()


def test_attempts_that_end_without_a_word(scene: Scene) -> None:
    """A request is given up too, and told so, where every earlier receive crashed."""
    request = scene.event(scene.datamart())
    with undelivered(scene):
        scene.send(request)
        for _ in range(5):
            assert scene.stack.sqs.receive_message(
                QueueUrl=scene.stack.outputs["RequestsQueueUrl"], VisibilityTimeout=0
            )["Messages"]

    assert failure(scene, request, 1)["reason"] == "internal_error"
    assert scene.databrain.requests == []


def test_abandoned_twice(scene: Scene) -> None:
    """Each giving-up has its result and its object."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "status", "status": 401}])
    request = scene.event(scene.datamart())
    with scene.stack.settings(RETRY_DELAYS=NO_DELAY):
        scene.send(request)
        first = failure(scene, request, 1)
        assert scene.stack.redrive() == 1
        second = failure(scene, request, 2)
    assert [first["reason"], second["reason"]] == ["databrain_unauthorized"] * 2
    assert first["finishedAt"] < second["finishedAt"]
