"""What comes in and is no request: answered with the field and the rule, kept as it came, and never tried again."""

import json
from collections.abc import Mapping
from uuid import uuid4

import pytest

from retirement.deliveries import KEPT_EVENT_BYTES
from tests.stack.scene import JsonObject, Scene

# What goes over the fields of a valid request, and what the rejection says of it.
BAD_DETAILS: Mapping[str, tuple[JsonObject, str]] = {
    "datamartName: null": ({"datamartName": None}, "detail.datamartName must be"),
    "datamartName: number": ({"datamartName": 5}, "detail.datamartName must be"),
    "datamartName: object": ({"datamartName": {"name": "sales"}}, "detail.datamartName must be"),
    "datamartName: empty": ({"datamartName": ""}, "detail.datamartName must be"),
    "datamartName: too long": ({"datamartName": "n" * 257}, "detail.datamartName must be"),
    "datamartName: control character": ({"datamartName": "a\nb"}, "detail.datamartName must be"),
    "datamartName: lone surrogate": ({"datamartName": "a\ud800b"}, "detail.datamartName must be"),
    "environment: list": ({"environment": ["dev"]}, "detail.environment must be"),
    "environment: another one": ({"environment": "prod"}, 'detail.environment is "prod"'),
    "environment: lone surrogate": ({"environment": "dev\udfff"}, "detail.environment must be"),
    "requestedBy: boolean": ({"requestedBy": True}, "detail.requestedBy must be"),
    "requestedBy: too long": ({"requestedBy": "r" * 257}, "detail.requestedBy must be"),
    "requestedBy: lone surrogate": ({"requestedBy": "\udc00"}, "detail.requestedBy must be"),
    "reason: empty": ({"reason": ""}, "detail.reason must be"),
    "reason: too long": ({"reason": "r" * 1001}, "detail.reason must be"),
    "retirementId: path": ({"retirementId": "../other"}, "detail.retirementId must be"),
    "retirementId: line end": ({"retirementId": "offboard-acme\n"}, "detail.retirementId must be"),
    "retirementId: too long": ({"retirementId": "i" * 129}, "detail.retirementId must be"),
    "backup: text": ({"backup": "false"}, "detail.backup must be true or false"),
    "dryRun: text": ({"dryRun": "true"}, "detail.dryRun must be true or false"),
    "dryRun: number": ({"dryRun": 1}, "detail.dryRun must be true or false"),
    "dependents: unknown": ({"dependents": "allow"}, 'detail.dependents must be "block" or "ignore"'),
    "reviewedEmbeds: text": ({"reviewedEmbeds": "overview"}, "detail.reviewedEmbeds must be"),
    "reviewedEmbeds: numbers": ({"reviewedEmbeds": [1]}, "detail.reviewedEmbeds"),
    "reviewedEmbeds: too many": ({"reviewedEmbeds": ["e"] * 1001}, "detail.reviewedEmbeds must be"),
    "planId: number": ({"planId": 1}, "detail.planId must be"),
    "retireAt: words": ({"retireAt": "tomorrow"}, "detail.retireAt must be"),
    "retireAt: no offset": ({"retireAt": "2026-03-01T12:00:00"}, "detail.retireAt must be"),
    "retireAt: to be scheduled": ({"retireAt": "2999-03-01T12:00:00Z"}, "at most 366 days ahead"),
    "unknown field": ({"dryRum": True}, "dryRum"),
    "unknown field, lone surrogate": ({"\ud800": True}, "unknown field"),
}
BAD_ENVELOPES: Mapping[str, tuple[JsonObject, str]] = {
    "detail: text": ({"detail": "retire sales"}, "detail must be an object"),
    "detail: JSON text": ({"detail": '{"datamartName": "sales"}'}, "detail must be an object"),
    "detail: list": ({"detail": []}, "detail must be an object"),
    "detail: null": ({"detail": None}, "detail must be an object"),
    "another detail-type": ({"detail-type": "Datamart Renamed"}, "detail-type must be"),
    "id: number": ({"id": 7}, "id must be"),
    "id: path": ({"id": "../../retirements/x", "detail": {}}, "detail must have the field"),
    "time: words": ({"time": "now"}, "time must be"),
    "time: number": ({"time": 1767225600}, "time must be"),
}
BAD_BODIES: Mapping[str, tuple[str, str]] = {
    "text": ("retire sales", "the body is no JSON"),
    "broken JSON": ('{"detail": {"datamartName": "sales"', "the body is no JSON"),
    "two documents": ("{}{}", "the body is no JSON"),
    "JSON text": ('"retire sales"', "the event must be a JSON object"),
    "JSON list": ("[]", "the event must be a JSON object"),
    "JSON null": ("null", "the event must be a JSON object"),
    "JSON number": ("1e999", "the body is no JSON"),
    "NaN": ('{"detail": NaN}', "the body is no JSON"),
    "one key twice": ('{"detail": {"dryRun": true, "dryRun": false}}', "one key twice"),
    "nested deeply": ("[" * 50_000, "nested deeper than 100 levels"),
    "ten thousand digits": ('{"id": ' + "7" * 10_000 + "}", "a number is too long"),
    "one key twice, once escaped": ('{"dryRun": true, "dry\\u0052un": false}', "one key twice"),
    "prototype": ('{"__proto__": {"id": "x"}}', "the event must have the field id"),
    "an SQS event": ('{"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}', "the event must have the field id"),
    "empty object": ("{}", "the event must have the field id, detail-type, time, detail"),
}
LARGEST_MESSAGE = 1024 * 1024  # bytes (SQS developer guide, "Message quotas")
REQUIRED = ("datamartName", "environment", "requestedBy", "reason")


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


@pytest.mark.parametrize("case", BAD_DETAILS)
def test_a_bad_detail(scene: Scene, case: str) -> None:
    """A field of the request with a wrong value, and one that there is not, is named."""
    fields, expected = BAD_DETAILS[case]
    request = scene.event("sales", **fields)
    assert expected in reject(scene, json.dumps(request))["message"]
    assert scene.new_objects() == [f"rejected/{request['id']}/receipt.json"]


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_field(scene: Scene, field: str) -> None:
    """A field that every request has to have is named where it is missing."""
    request = scene.event("sales")
    del request["detail"][field]
    assert f"detail must have the field {field}" in reject(scene, json.dumps(request))["message"]


@pytest.mark.parametrize("case", BAD_ENVELOPES)
def test_a_bad_envelope(scene: Scene, case: str) -> None:
    """A field around the request with a wrong value is named."""
    fields, expected = BAD_ENVELOPES[case]
    assert expected in reject(scene, json.dumps(scene.event("sales") | fields))["message"]


@pytest.mark.parametrize("case", BAD_BODIES)
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
    request = scene.event("sales", reason="r" * LARGEST_MESSAGE)
    request["detail"]["reason"] = "r" * (2 * LARGEST_MESSAGE - len(json.dumps(request)))
    body = json.dumps(request)
    assert len(body) == LARGEST_MESSAGE
    scene.stack.put_message(body)
    receipt = scene.rejection()
    assert "detail.reason must be" in receipt["message"]
    assert receipt["event"] == body[:KEPT_EVENT_BYTES]
    scene.settle()
    assert scene.databrain.requests == []
