"""A Databrain that refuses, fails or answers what no page documents: nothing is deleted, and the request is kept."""

import pytest

from tests.stack.scene import JsonObject, Scene

# What a client can get on each route is the contract tests' matter.
UNDOCUMENTED: dict[str, JsonObject] = {
    "list_datamarts": {"fault": "html"},
    "list_embeds": {"fault": "redirect", "location": "https://elsewhere.example/"},
}


def fail(scene: Scene, name: str) -> JsonObject:
    """Attempt a retirement that fails before it decides: nothing is deleted or answered, and no object is written.

    Returns what the function logged of the failure.
    """
    request = scene.event(name)
    assert scene.stack.invoke(request).error
    failure = scene.failure(request["detail"]["retirementId"])
    assert scene.deletions() == []
    assert name in scene.databrain.organisation.datamarts
    assert scene.new_objects() == []
    return failure


@pytest.mark.parametrize("route", UNDOCUMENTED)
def test_an_undocumented_answer(scene: Scene, route: str) -> None:
    """An answer without the documented shape, on whatever route, is `databrain_unexpected`: no retry can help."""
    name = scene.portal("overview")
    scene.databrain.faults.replace([{"route": route, **UNDOCUMENTED[route]}])
    failure = fail(scene, name)
    assert (failure["reason"], failure["retryHelps"]) == ("databrain_unexpected", False)
    assert failure["level"] == "ERROR"


def test_a_refused_token(scene: Scene) -> None:
    """A token that Databrain refuses, freshly read too, is `databrain_unauthorized`, and the error says what to do."""
    scene.databrain.organisation.service_token = "another-token-by-now"
    failure = fail(scene, scene.datamart())
    assert (failure["reason"], failure["retryHelps"]) == ("databrain_unauthorized", False)
    assert "put a valid service token into the secret" in failure["exception"]


def test_an_outage(scene: Scene) -> None:
    """An outage that outlasts the attempt's own tries is `databrain_unavailable`, and another attempt may do better."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "status", "status": 503}])
    failure = fail(scene, scene.datamart())
    assert (failure["reason"], failure["retryHelps"]) == ("databrain_unavailable", True)
    assert len(scene.databrain.requests) > 1


def test_a_misleading_answer(scene: Scene) -> None:
    """One embed that comes twice, for two datamarts, is nothing to decide by."""
    name = scene.portal("overview")
    embeds = [
        {"embedId": "overview", "accessSettings": {"datamartName": used}, "name": "Overview"}
        for used in (name, "another")
    ]
    scene.databrain.faults.replace([{"route": "list_embeds", "fault": "wrong_shape", "body": {"data": embeds}}])
    assert fail(scene, name)["reason"] == "databrain_unexpected"


@pytest.mark.parametrize("body", [{"ok": True}, {"id": "another datamart", "error": None}], ids=["nothing", "another"])
def test_an_undocumented_answer_to_the_delete(scene: Scene, body: JsonObject) -> None:
    """An answer that is no clear yes, and the datamart still listed: sent a few times at most, and never a success."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "wrong_shape", "body": body}])
    failure = scene.failure(scene.ask(name))
    assert failure["reason"] == "unconfirmed"
    assert scene.messages() == {"in flight": 1}
    assert scene.deletions() == [name] * 3
    assert not [key for key in scene.new_objects() if key.endswith("receipt.json")]


def test_an_unreadable_answer_to_the_delete(scene: Scene) -> None:
    """An answer that cannot be read, and the datamart gone: one delete is enough."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "broken_json"}])
    result = scene.result(scene.ask(name)).document
    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert scene.deletions() == [name]


def test_a_yes_without_effect(scene: Scene) -> None:
    """A delete that Databrain says it did, of a datamart that it goes on listing, is no success and is not repeated."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "phantom"}])
    assert scene.failure(scene.ask(name))["reason"] == "unconfirmed"
    assert scene.messages() == {"in flight": 1}
    assert scene.deletions() == [name]
