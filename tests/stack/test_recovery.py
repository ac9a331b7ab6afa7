"""Requests that come twice, late, at the same time, or in the middle of a crash."""

from datetime import UTC, datetime

import pytest

from tests.stack.scene import JsonObject, Scene

PAST, FUTURE = 1, 4_102_444_800  # epoch seconds


def interrupt(scene: Scene, event: JsonObject, fault: str) -> None:
    """Let an attempt fail right after its delete, of which the fault says what became; then all works again."""
    after_the_snapshot = {"route": "list_datamarts", "fault": "status", "status": 400, "skip": 2}
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": fault}, after_the_snapshot])
    assert scene.stack.invoke(event).error
    scene.databrain.faults.clear()
    assert len(scene.deletions()) == 1


def deliver_together(scene: Scene, first: JsonObject, second: JsonObject) -> None:
    """Deliver two requests for one name so that both are at work when the first of them gets the lock."""
    name = first["detail"]["datamartName"]
    scene.lock(name, until=FUTURE)
    scene.send(first)
    scene.send(second)
    scene.eventually(lambda: scene.messages() == {"in flight": 2})
    assert scene.databrain.requests == []
    scene.unlock(name)


def test_a_redelivery_repeats_the_result(scene: Scene) -> None:
    """The same message again gets the same result to the byte, and leaves the datamart alone that came after it."""
    name = scene.datamart()
    request = scene.event(name)
    first = scene.result(scene.send(request))
    assert first.document["outcome"] == "deleted"
    kept = scene.new_objects()
    scene.databrain.requests.clear()
    scene.datamart(name)

    assert scene.result(scene.send(request)) == first
    assert scene.new_objects() == kept
    assert scene.databrain.requests == []
    assert name in scene.databrain.organisation.datamarts


def test_a_crash_during_the_delete(scene: Scene) -> None:
    """A redelivery after a crash, when the lock is gone, spares the datamart that was created in its place."""
    name = scene.datamart()
    request = scene.event(name)
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "slow", "seconds": 60}])
    retirement_id = scene.send(request)
    scene.eventually(scene.deletions)
    with scene.stack.settings():
        pass  # a new configuration ends the process that waits for Databrain's answer
    assert name not in scene.databrain.organisation.datamarts
    assert scene.is_locked(name)
    scene.unlock(name)
    scene.datamart(name, createdAt=datetime.now(UTC).isoformat())
    scene.databrain.faults.clear()

    assert scene.send(request) == retirement_id
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert name in scene.databrain.organisation.datamarts
    assert scene.deletions() == [name]
    kept = f"retirements/{name}/{retirement_id}"
    assert scene.new_objects() == [
        result["backup"]["key"],
        f"plans/{name}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]


def test_the_lock_of_a_crash_expires(scene: Scene) -> None:
    """A lock whose time is over holds nobody up, and the next attempt leaves none behind."""
    name = scene.datamart()
    scene.lock(name, until=PAST)
    assert scene.result(scene.send(scene.event(name))).document["outcome"] == "deleted"
    scene.eventually(lambda: not scene.is_locked(name))


def test_an_interrupted_retirement_goes_on(scene: Scene) -> None:
    """Where the very same datamart is still there, the next attempt deletes it, on the earlier backup and intent."""
    name = scene.datamart()
    request = scene.event(name)
    interrupt(scene, request, "refused")
    before = scene.new_objects()

    retirement_id = scene.send(request)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "response")
    assert scene.deletions() == [name, name]
    assert result["backup"]["key"] in before
    assert scene.new_objects() == [*before, f"retirements/{name}/{retirement_id}/receipt.json"]


def test_an_interrupted_retirement_finds_it_gone(scene: Scene) -> None:
    """Where it is gone, nothing is sent again."""
    name = scene.datamart()
    request = scene.event(name)
    interrupt(scene, request, "lost_answer")
    result = scene.result(scene.send(request)).document
    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert scene.deletions() == [name]


@pytest.mark.parametrize("fault", ["lost_answer", "refused"])
def test_without_created_at_nothing_tells(scene: Scene, fault: str) -> None:
    """Without createdAt nothing tells the datamart from one like it: hands off both, and the request is kept."""
    name = scene.portal(listsCreatedAt=False)
    request = scene.event(name)
    interrupt(scene, request, fault)
    scene.datamart(name)

    failure = scene.failure(scene.send(request), attempts=2)
    assert failure["reason"] == "unconfirmed"
    assert "with a new retirementId" in failure["exception"]
    assert scene.messages() == {"in flight": 1}
    assert name in scene.databrain.organisation.datamarts
    assert scene.deletions() == [name]


def test_two_requests_at_the_same_time(scene: Scene) -> None:
    """Of two requests for one name the first deletes it, and the other finds it absent."""
    name = scene.datamart()
    first, second = scene.event(name), scene.event(name)
    deliver_together(scene, first, second)
    results = [scene.stack.next_result().document for _ in range(2)]
    asked = {request["detail"]["retirementId"] for request in (first, second)}
    assert {result["retirementId"] for result in results} == asked
    assert sorted(result["outcome"] for result in results) == ["already_absent", "deleted"]
    assert scene.deletions() == [name]


def test_the_same_request_twice_at_the_same_time(scene: Scene) -> None:
    """Of one request that is delivered twice at once comes one delete, and one result, published twice."""
    name = scene.datamart()
    request = scene.event(name)
    deliver_together(scene, request, request)
    first = scene.result(request["detail"]["retirementId"])
    assert first.document["outcome"] == "deleted"
    assert scene.result(request["detail"]["retirementId"]) == first
    assert scene.deletions() == [name]
