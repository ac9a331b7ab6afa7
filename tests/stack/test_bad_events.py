"""What comes in and is no request: answered with the field and the rule, kept as it came, and never tried again.

One of each kind, and what JSON, SQS and Lambda could each alter on the way; tests/unit/test_bad_events.py has them all.
"""

import json
from uuid import uuid4

import pytest

from retirement.delivery.answering import MAX_EVENT_BYTES
from tests.bad_events import BAD_BODIES, BAD_DETAILS, BAD_ENVELOPES
from tests.stack.scene import JsonObject, Scene

MAX_MESSAGE_BYTES = 1024 * 1024  # bytes (SQS developer guide, "Message quotas")


def reject(scene: Scene, body: str) -> JsonObject:
    """Send a message: it is rejected and done with, kept as it came, and Databrain hears nothing of it.

    Returns the receipt.
    """
    scene.stack.put_message(body)
    receipt = scene.rejection()
    assert receipt["reason"] == "invalid_request"
    assert receipt["event"] == body
    scene.settle()
    assert scene.databrain.requests == []
    assert len(scene.new_objects()) == 1
    return receipt


@pytest.mark.parametrize("case", ["datamartName: null", "environment: lone surrogate", "unknown field, lone surrogate"])
def test_a_bad_detail(scene: Scene, case: str) -> None:
    """A field of the request with a wrong value, and one that there is not, is named."""
    fields, expected = BAD_DETAILS[case]
    request = scene.event("sales", **fields)
    assert expected in reject(scene, json.dumps(request))["message"]
    assert scene.new_objects() == [f"rejected/{request['id']}/receipt.json"]


@pytest.mark.parametrize("case", ["detail: JSON text", "id: path"])
def test_a_bad_envelope(scene: Scene, case: str) -> None:
    """A field around the request with a wrong value is named."""
    fields, expected = BAD_ENVELOPES[case]
    assert expected in reject(scene, json.dumps(scene.event("sales") | fields))["message"]


@pytest.mark.parametrize("case", ["text", "nested deeply", "ten thousand digits", "an SQS event", "empty object"])
def test_a_bad_body(scene: Scene, case: str) -> None:
    """A message that is no event says nothing of a datamart, and neither does its result."""
    body, expected = BAD_BODIES[case]
    receipt = reject(scene, body)
    assert expected in receipt["message"]
    told = ("datamartName", "retirementId", "requestedBy", "requestReason")
    assert [receipt[field] for field in told] == [None] * len(told)


def test_what_is_told_of_a_bad_event(scene: Scene) -> None:
    """A result holds what the event carried, cut to the limits of its schema and without lone surrogates."""
    request = scene.event("n" * 300, requestedBy="a\ud800b", reason="r" * 1100, retirementId="/" * 200)
    receipt = reject(scene, json.dumps(request))
    assert receipt["datamartName"] == "n" * 256
    assert receipt["requestedBy"] == "a\ufffdb"
    assert receipt["requestReason"] == "r" * 1000
    assert receipt["retirementId"] == "/" * 128


def test_a_large_event_is_cut(scene: Scene) -> None:
    """Of a rejected event 64 KiB are kept, to a whole character."""
    body = json.dumps(scene.event("sales", reason="é" * 70_000), ensure_ascii=False)
    scene.stack.put_message(body)
    receipt = scene.rejection()
    assert "detail.reason must be" in receipt["message"]
    assert body.startswith(receipt["event"])
    assert 64 * 1024 - 1 <= len(receipt["event"].encode()) <= 64 * 1024


def test_a_rejection_is_repeated(scene: Scene) -> None:
    """A rejected event that is delivered again gets the same answer to the byte; another under its id gets its own."""
    request = scene.event("sales", dryRum=True)
    scene.send(request)
    first = scene.stack.next_result()
    scene.send(request)
    assert scene.stack.next_result() == first
    assert scene.new_objects() == [f"rejected/{request['id']}/receipt.json"]

    scene.stack.put_message(json.dumps({**request, "detail": {}}))
    assert "detail must have" in scene.stack.next_result().document["message"]
    assert len(scene.new_objects()) == 2


@pytest.mark.parametrize("records", ["text", [], [{"eventSource": "aws:s3"}]], ids=["text", "none", "of S3"])
def test_records_that_are_no_messages(scene: Scene, records: object) -> None:
    """An invocation with something like messages is an event as such, and rejected."""
    assert not scene.stack.invoke({"Records": records}).error
    assert "the event must have the field" in scene.rejection()["message"]


def test_without_environment_it_comes_over_the_bus(scene: Scene) -> None:
    """The rule takes a request that names no environment, so that its sender is told."""
    detail = scene.event("sales")["detail"]
    del detail["environment"]
    event_id = scene.stack.put_event(detail)
    assert "detail must have the field environment" in scene.rejection()["message"]
    assert scene.new_objects() == [f"rejected/{event_id}/receipt.json"]
    assert scene.databrain.requests == []


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"environment": "staging"}),
        ({}, {"environment": ["staging"]}),
        ({"source": "somebody.else"}, {}),
        ({"detail_type": "Datamart Renamed"}, {}),
    ],
    ids=["environment", "environments", "source", "detail-type"],
)
def test_what_is_not_ours(scene: Scene, options: dict[str, str], fields: JsonObject) -> None:
    """An event for another stack, from another source or of another kind is not even delivered."""
    name = scene.datamart()
    scene.stack.put_event(scene.event(name, **fields)["detail"], **options)
    marker = f"marker-{uuid4()}"
    retirement_id = scene.ask(marker)
    assert scene.result(retirement_id).document["outcome"] == "already_absent"
    scene.settle()
    assert scene.new_objects() == [f"retirements/{marker}/{retirement_id}/receipt.json"]
    assert len(scene.databrain.requests) == 1
    assert name in scene.databrain.organisation.datamarts


def test_an_event_of_a_megabyte(scene: Scene) -> None:
    """As large a message as SQS takes is rejected like any other, and its receipt keeps the beginning of it."""
    request = scene.event("sales", reason="r" * MAX_MESSAGE_BYTES)
    request["detail"]["reason"] = "r" * (2 * MAX_MESSAGE_BYTES - len(json.dumps(request)))
    body = json.dumps(request)
    assert len(body) == MAX_MESSAGE_BYTES
    scene.stack.put_message(body)
    receipt = scene.rejection()
    assert "detail.reason must be" in receipt["message"]
    assert receipt["event"] == body[:MAX_EVENT_BYTES]
    scene.settle()
    assert scene.databrain.requests == []
