"""What comes in and is no request: answered with the field and the rule, kept as it came, and nothing else is done."""

import json
from dataclasses import replace

import pytest

from retirement.record.keys import rejected_key
from tests.bad_events import BAD_BODIES, BAD_DETAILS, BAD_ENVELOPES, REQUIRED
from tests.fakes import Parsed, World, requested, restore_requested


@pytest.fixture
def world(world: World) -> World:
    """The stack of the environment `dev`."""
    world.settings = replace(world.settings, environment_name="dev")
    return world


def reject(world: World, event: object) -> tuple[str, Parsed]:
    """Deliver what is rejected and done with; return the receipt and its key."""
    result = world.deliver(event)
    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert world.published == [result]
    assert world.calls[-2:] == ["evidence.create", "results_topic.publish"]
    assert not [call for call in world.calls if call.startswith("databrain.")]
    ((key, kept),) = world.evidence.objects.items()
    receipt: Parsed = json.loads(kept.body)
    body = event if isinstance(event, str) else json.dumps(event)
    assert receipt == {**result, "event": body[: 64 * 1024]}
    return key, receipt


@pytest.mark.parametrize("case", BAD_DETAILS)
def test_a_bad_detail(world: World, case: str) -> None:
    """A field of the request with a wrong value, and one that there is not, is named."""
    fields, expected = BAD_DETAILS[case]
    event = requested(**{"environment": "dev", **fields})
    key, receipt = reject(world, event)
    assert key == rejected_key(event["id"])
    assert expected in receipt["message"]


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_field(world: World, field: str) -> None:
    """A field that every request has to have is named where it is missing."""
    event = requested(environment="dev")
    del event["detail"][field]
    _, receipt = reject(world, event)
    assert f"detail must have the field {field}" in receipt["message"]


@pytest.mark.parametrize("case", BAD_ENVELOPES)
def test_a_bad_envelope(world: World, case: str) -> None:
    """A field around the request with a wrong value is named."""
    fields, expected = BAD_ENVELOPES[case]
    _, receipt = reject(world, {**requested(environment="dev"), **fields})
    assert expected in receipt["message"]


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body(world: World, case: str) -> None:
    """A message that is no event says nothing of a datamart, and neither does its result."""
    body, expected = BAD_BODIES[case]
    _, receipt = reject(world, body)
    assert expected in receipt["message"]
    told = ("datamartName", "retirementId", "requestedBy", "requestReason")
    assert [receipt[field] for field in told] == [None] * len(told)


@pytest.mark.parametrize(("sent", "restore_id"), [("back-1", "back-1"), (..., None)])
def test_a_bad_restore(world: World, sent: object, restore_id: str | None) -> None:
    """The answer to an event that asks for a restore has the fields of a restore's result."""
    _, receipt = reject(world, restore_requested(environment="dev", asName="", restoreId=sent))
    assert receipt["restoreId"] == restore_id
    empty = ("restoredAs", "differences", "notRestored", "restoredEmbeds")
    assert [receipt[field] for field in empty] == [None, [], [], []]
