"""A hundred and more requests at once, for a Databrain that slows them down."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate

from tests.stack.scene import JsonObject, Scene

REQUESTS, DUPLICATES = 100, 25
# Far below what five retirements at once ask for, and for a while only: this is no test of patience.
THROTTLE = {"route": "*", "fault": "throttle", "perSecond": 20, "times": 100}


def test_a_burst(scene: Scene) -> None:
    """Of many requests at once, a quarter of them twice, none is lost, done twice, or given up for a 429."""
    asked = [scene.event(scene.datamart())["detail"] for _ in range(REQUESTS)]
    names = sorted(detail["datamartName"] for detail in asked)
    scene.databrain.faults.replace([THROTTLE])
    with scene.stack.settings(RETRY_DELAYS="1,1,1,1,1"):
        for detail in [*asked, *asked[:DUPLICATES]]:
            scene.stack.put_event(detail)
        published = {scene.stack.next_result().message for _ in range(REQUESTS + DUPLICATES)}
        scene.settle()

    receipts = sorted(f"retirements/{detail['datamartName']}/{detail['retirementId']}/receipt.json" for detail in asked)
    assert [key for key in scene.new_objects() if key.endswith("/receipt.json")] == receipts
    kept = [scene.kept(key) for key in receipts]
    assert {receipt.body.decode() for receipt in kept} == published
    assert {receipt.document["outcome"] for receipt in kept} == {"deleted"}
    assert scene.databrain.organisation.datamarts == {}
    answers = Counter(request["status"] for request in scene.databrain.requests)
    assert answers[429]
    assert deletions_done(scene.databrain.requests) == names
    most = scene.stack.mapping()["ScalingConfig"]["MaximumConcurrency"]
    assert 1 < most_at_once(receipt.document for receipt in kept) <= most


def deletions_done(requests: Iterable[JsonObject]) -> list[str]:
    """The names in the delete requests that Databrain has carried out, sorted."""
    done = (request["query"] for request in requests if (request["method"], request["status"]) == ("DELETE", 200))
    return sorted(query["datamartName"] for query in done)


def most_at_once(results: Iterable[JsonObject]) -> int:
    """How many of these retirements were at work at the same time, at most."""
    times = [(result[field], change) for result in results for field, change in (("startedAt", 1), ("finishedAt", -1))]
    times.sort(key=lambda change: (datetime.fromisoformat(change[0]), change[1]))
    return max(accumulate(change for _, change in times))
