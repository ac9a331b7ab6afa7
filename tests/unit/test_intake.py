import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retirement.errors import ConfigurationError, InvalidRequest
from retirement.intake import carried_by, parse_request, receive
from retirement.requests import Carried, Delivery, DependentsPolicy, Request
from retirement.results import Reason
from tests.fakes import START, requested

MINIMAL = {"datamartName": "sales", "environment": "prod", "requestedBy": "ops", "reason": "done"}
EVERYTHING = {
    **MINIMAL,
    "retirementId": "offboard-1",
    "backup": False,
    "dryRun": True,
    "dependents": "ignore",
    "reviewedEmbeds": ["b", "a", "a"],
    "planId": "p" * 64,
    "retireAt": "2026-03-01T12:01:00Z",
}


def event_of(detail: object, **envelope: object) -> dict[str, Any]:
    """An event with this detail; a field of the envelope that is `...` is left out."""
    fields = requested() | {"detail": detail} | {name.replace("_", "-"): value for name, value in envelope.items()}
    return {name: value for name, value in fields.items() if value is not ...}


def parsed(event: object, *, arrived_at: datetime = START) -> Request:
    """The request of an event, or of a body that is text."""
    body = event if isinstance(event, str) else json.dumps(event)
    delivery = Delivery(body, arrived_at, 1, "invocation-1")
    return parse_request(delivery, environment="prod", backup_by_default=True)


def complaint(event: object) -> str:
    """What is told about an event that is no valid request."""
    with pytest.raises(InvalidRequest) as raised:
        parsed(event)
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert str(raised.value) == raised.value.message
    return raised.value.message


# ---- The Lambda's event --------------------------------------------------------------------------------------------


def record_of(body: str, *, receives: int = 3) -> dict[str, Any]:
    """A message as SQS hands it to the function."""
    return {
        "eventSource": "aws:sqs",
        "receiptHandle": "handle-1",
        "body": body,
        "attributes": {"SentTimestamp": "1772366400500", "ApproximateReceiveCount": str(receives)},
    }


def test_message_of_the_queue() -> None:
    """Of an SQS message: the body as it came, when the queue took it, how often it was received, and its handle."""
    delivery = receive({"Records": [record_of("{x")]}, "invocation-1", START)

    assert delivery == Delivery("{x", START + timedelta(milliseconds=500), 3, "invocation-1", "handle-1")


@pytest.mark.parametrize(
    "event",
    [requested(), {}, [], "text", None, {"Records": []}, {"Records": "x"}, {"Records": [{"eventSource": "aws:s3"}]}],
)
def test_anything_else_is_an_event_as_such(event: object) -> None:
    """What is no SQS batch is taken as the event itself, that arrived now."""
    delivery = receive(event, "invocation-1", START)

    assert json.loads(delivery.body) == event
    assert (delivery.arrived_at, delivery.receive_count) == (START, 1)


def test_batch_of_two() -> None:
    """A batch of more than one message is a fault of the event source mapping, not of the request."""
    with pytest.raises(ConfigurationError, match="BatchSize must be 1, and 2"):
        receive({"Records": [record_of("{}")] * 2}, "invocation-1", START)


# ---- Valid requests ------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """The fields that may be missing have their documented defaults."""
    request = parsed(event_of(MINIMAL))

    assert request == Request(
        datamart_name="sales",
        retirement_id="7bf73129-1428-4cd3-a780-95db273d1602",
        environment="prod",
        requested_by="ops",
        reason="done",
        backup=True,
        dry_run=False,
        dependents=DependentsPolicy.BLOCK,
        reviewed_embeds=frozenset(),
        plan_id=None,
        requested_at=START,
        content_hash=request.content_hash,
        detail=MINIMAL,
    )


def test_everything() -> None:
    """Every field of the request is taken over."""
    request = parsed(event_of(EVERYTHING))

    assert (request.retirement_id, request.backup, request.dry_run) == ("offboard-1", False, True)
    assert (request.dependents, request.plan_id) == (DependentsPolicy.IGNORE, "p" * 64)
    assert request.reviewed_embeds == {"a", "b"}
    assert request.detail == EVERYTHING


@pytest.mark.parametrize("event_id", ["-x", "a b", "x" * 129, "é", "a\n"])
def test_event_id_that_is_no_retirement_id(event_id: str) -> None:
    """Where the event's id is no retirementId, its SHA-256 is."""
    expected = hashlib.sha256(event_id.encode()).hexdigest()

    assert parsed(event_of(MINIMAL, id=event_id)).retirement_id == expected


@pytest.mark.parametrize(
    ("sent", "arrived", "expected"),
    [
        ("2026-03-01T12:00:00Z", 0, 0),
        ("2026-03-01T12:00:00Z", 5, 0),
        ("2026-03-01T12:00:05Z", 0, 0),
        ("2026-03-01T14:00:00+02:00", 5, 0),
    ],
)
def test_time_of_a_request(sent: str, arrived: int, expected: int) -> None:
    """The time of a request is the earlier of the event's time and its arrival."""
    request = parsed(event_of(MINIMAL, time=sent), arrived_at=START + timedelta(seconds=arrived))

    assert request.requested_at == START + timedelta(seconds=expected)


@pytest.mark.parametrize(
    "other",
    [
        event_of(dict(reversed(EVERYTHING.items()))),
        event_of(EVERYTHING | {"retireAt": "2020-01-01T00:00:00Z"}),
        event_of({name: value for name, value in EVERYTHING.items() if name != "retireAt"}),
        event_of(EVERYTHING, id="another", time="2026-03-01T11:00:00Z", source="another"),
    ],
)
def test_same_content(other: dict[str, Any]) -> None:
    """The content is `detail` as sent, whatever the order of its keys, without `retireAt` and the envelope."""
    assert parsed(other).content_hash == parsed(event_of(EVERYTHING)).content_hash


@pytest.mark.parametrize(
    "detail",
    [
        MINIMAL | {"dryRun": False},
        MINIMAL | {"backup": True},
        MINIMAL | {"reason": "Done"},
        MINIMAL | {"reviewedEmbeds": []},
        MINIMAL | {"reviewedEmbeds": ["a", "b"]},
        MINIMAL | {"reviewedEmbeds": ["b", "a"]},
    ],
)
def test_other_content(detail: dict[str, Any]) -> None:
    """The content is taken before defaults, and each difference in it counts."""
    variants = [MINIMAL, MINIMAL | {"reviewedEmbeds": ["a"]}, detail]

    assert len({parsed(event_of(variant)).content_hash for variant in variants}) == 3


@pytest.mark.parametrize("name", ["x", "é" * 256, "📈" * 256, " a ", ".", "a/b%&+\"'", "\u2028", "\ufffe"])
def test_names(name: str) -> None:
    """A name is any 1 to 256 characters but control characters and lone surrogates, and is taken exactly."""
    assert parsed(event_of(MINIMAL | {"datamartName": name})).datamart_name == name


# ---- Invalid requests ----------------------------------------------------------------------------------------------

WRONG_TYPES: list[object] = [None, True, 1, 1.5, "", [], {}]
VALID_TYPES: dict[str, list[object]] = {"backup": [True], "dryRun": [True], "reviewedEmbeds": [[]]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in EVERYTHING
        for value in WRONG_TYPES
        if not any(value is valid or (value == valid and value == []) for valid in VALID_TYPES.get(field, []))
    ],
)
def test_wrong_type(field: str, value: object) -> None:
    """A field of another type is named, with the rule and what came."""
    message = complaint(event_of(EVERYTHING | {field: value}))

    assert re.match(rf"detail\.{field} (must be|is) ", message)
    shown = "an object" if value == {} else "a list of 0" if value == [] else json.dumps(value)
    assert shown in message


WRONG_VALUES = {
    "datamartName": ["a\nb", "\x00", "\x7f", "\x85", "\ud800", "a\udfff", "n" * 257, "sales\n"],
    "environment": ["staging", "Prod", "prod ", "\ud800"],
    "requestedBy": ["x" * 257, "\ud800"],
    "reason": ["x" * 1_001, "\ud800"],
    "retirementId": [".x", "-x", "a/b", "a b", "x" * 129, "é", "a\n", "../x"],
    "dependents": ["Block", "ignore ", "all"],
    "planId": ["p" * 129, "\ud800"],
    "retireAt": [
        "tomorrow",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-03-01T12:01:01Z",
        "2027-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-23:59",
    ],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG_VALUES.items() for value in values]
)
def test_wrong_value(field: str, value: str) -> None:
    """A value that a field does not allow is refused with a message that is printable ASCII and short."""
    message = complaint(event_of(EVERYTHING | {field: value}))

    assert re.match(rf"detail\.{field} (must be|is) ", message)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize("field", MINIMAL)
def test_missing_field(field: str) -> None:
    """A field that is missing is named."""
    detail = {name: value for name, value in MINIMAL.items() if name != field}

    assert complaint(event_of(detail)) == f"detail must have the field {field}"


def test_unknown_fields() -> None:
    """Unknown fields are named, the first five of them."""
    message = complaint(event_of(MINIMAL | {"dryRum": True, **{f"x{number}": 1 for number in range(9)}}))

    assert message == 'detail must not have the unknown field "dryRum" (did you mean dryRun?), "x0", "x1", "x2", "x3"'


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"id": ...}, "the event must have the field id"),
        ({"id": "", "time": ...}, "the event must have the field time"),
        ({"id": ""}, "id must be a text of 1 to 1,024 characters"),
        ({"id": 7}, "id must be a text of 1 to 1,024 characters"),
        ({"id": "\ud800"}, "id must be a text of 1 to 1,024 characters"),
        ({"id": "x" * 1_025}, "id must be a text of 1 to 1,024 characters"),
        ({"time": "noon"}, "time must be an RFC 3339 time"),
        ({"time": "2026-02-30T12:00:00Z"}, "time must be an RFC 3339 time"),
        ({"time": None}, "time must be an RFC 3339 time"),
        ({"detail_type": "Datamart Retired"}, 'detail-type must be "Datamart Retirement Requested"'),
        ({"detail_type": ...}, "the event must have the field detail-type"),
    ],
)
def test_envelope(envelope: dict[str, Any], message: str) -> None:
    """An event that is none of ours is told so by the envelope's field."""
    assert complaint(event_of(MINIMAL, **envelope)).startswith(message)


@pytest.mark.parametrize("detail", [None, "sales", [], 5, True])
def test_detail_that_is_no_object(detail: object) -> None:
    """A detail that is no object is told so."""
    assert complaint(event_of(detail)).startswith("detail must be an object with the request; it is ")


@pytest.mark.parametrize("body", ["", "{", "sales", '{"id": 1, "id": 2}', '{"id": NaN}', "[" * 100_000])
def test_no_json(body: str) -> None:
    """A body that is no JSON is told so."""
    assert complaint(body).startswith("the body is no JSON: ")


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5", "true"])
def test_no_object(body: str) -> None:
    """A body that is no object is told so."""
    assert complaint(body).startswith("the event must be a JSON object; it is ")


@pytest.mark.parametrize(
    ("embeds", "message"),
    [
        (["a", 5], "detail.reviewedEmbeds.1 must be an embed ID"),
        ([""], "detail.reviewedEmbeds.0 must be an embed ID"),
        (["e"] * 1_001, "detail.reviewedEmbeds must be at most 1,000 embed IDs"),
    ],
)
def test_reviewed_embeds(embeds: list[object], message: str) -> None:
    """The list of reviewed embeds is checked item by item."""
    assert complaint(event_of(MINIMAL | {"reviewedEmbeds": embeds})).startswith(message)
    assert parsed(event_of(MINIMAL | {"reviewedEmbeds": ["e"] * 1_000})).reviewed_embeds == {"e"}


def test_other_environment() -> None:
    """A request for another stack is told which one this is."""
    assert "\"staging\", and this stack's is 'prod'" in complaint(event_of(MINIMAL | {"environment": "staging"}))


def test_retire_at_ahead() -> None:
    """A request whose time has not come is told how to have it scheduled."""
    assert "EventBridge Scheduler" in complaint(event_of(MINIMAL | {"retireAt": "2026-03-02T12:00:00Z"}))


# ---- What a rejected event carried ---------------------------------------------------------------------------------


def carried(body: object) -> Carried:
    """What is told of a rejected event."""
    return carried_by(Delivery(body if isinstance(body, str) else json.dumps(body), START, 1, "invocation-1"))


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"x"', {}, {"detail": "x", "id": 5}, {"detail": None, "id": None}]
)
def test_nothing_carried(body: object) -> None:
    """Of an event that carries nothing, everything is null, and its time is its arrival."""
    found = carried(body)

    assert (found.event_id, found.retirement_id, found.datamart_name) == (None, None, None)
    assert (found.requested_by, found.reason, found.requested_at) == (None, None, START)


def test_carried() -> None:
    """What an event carried is told as it came, its time too."""
    found = carried(event_of(EVERYTHING, time="2026-03-01T11:00:00Z"))

    assert (found.event_id, found.retirement_id) == ("7bf73129-1428-4cd3-a780-95db273d1602", "offboard-1")
    assert (found.datamart_name, found.requested_by, found.reason) == ("sales", "ops", "done")
    assert found.requested_at == datetime(2026, 3, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("n" * 300, "n" * 256),
        ("📈" * 300, "📈" * 256),
        ("\ud800", "\ufffd"),
        ("a\udc00\ud800b", "a\ufffd\ufffdb"),
        ("", ""),
        (5, None),
    ],
)
def test_carried_is_cut(name: object, cut: str | None) -> None:
    """Texts are cut to the result's limits, in characters, and lone surrogates are replaced."""
    assert carried(event_of({"datamartName": name})).datamart_name == cut
