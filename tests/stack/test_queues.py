"""What the queues do with a request whose attempts fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.stack.scene import Scene


@contextmanager
def undelivered(scene: Scene) -> Iterator[None]:
    """Lambda takes no messages meanwhile."""
    (mapping,) = scene.stack.lambda_.list_event_source_mappings()["EventSourceMappings"]
    scene.stack.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        scene.stack.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@pytest.mark.usefixtures("impatient")
def test_a_failed_attempt_is_followed_by_another(scene: Scene) -> None:
    """A request stays in its queue until an attempt succeeds, and is carried out then."""
    scene.result(scene.ask("nobody's datamart"))  # so that the first attempt starts warm, and ends before the second
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html", "times": 1}])
    name = scene.datamart()
    retirement_id = scene.ask(name)
    assert scene.result(retirement_id).document["outcome"] == "deleted"
    scene.eventually(lambda: not scene.messages())
    assert scene.failure(retirement_id)["receiveCount"] == 1
    published = [line for line in scene.log_of(retirement_id) if line.get("message") == "published"]
    assert all(line["receiveCount"] > 1 for line in published)
    assert scene.deletions() == [name]


@pytest.mark.usefixtures("impatient")
def test_the_last_receive(scene: Scene) -> None:
    """A request whose last attempt fails too is counted as failed, and kept as it came where a person finds it."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    request = scene.event(scene.datamart())
    url = scene.stack.outputs["RequestsQueueUrl"]
    with undelivered(scene):
        scene.stack.put_message(json.dumps(request))
        for _ in range(5):
            assert scene.stack.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]

    failure = scene.failure(request["detail"]["retirementId"])
    assert (failure["receiveCount"], failure["lastReceive"]) == (6, True)
    scene.eventually(lambda: scene.messages() == {"given up": 1})
    (message,) = scene.stack.sqs.receive_message(QueueUrl=scene.stack.outputs["FailuresQueueUrl"])["Messages"]
    assert json.loads(message["Body"]) == request
    metrics = [line for line in scene.log_of(request["detail"]["retirementId"]) if "_aws" in line]
    assert [line["FailedRetirements"] for line in metrics if "FailedRetirements" in line] == [[1.0]]
    assert [line["reason"] for line in metrics if line.get("outcome") == "failed"] == ["databrain_unexpected"]
