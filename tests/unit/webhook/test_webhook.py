"""The webhook: what is put on the bus, what is refused, and what a stranger can do to it."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from retirement.errors import AwsCallFailed
from retirement.webhook.endpoint import MAX_BODY_BYTES, MAX_HEADER_LENGTH, SIGNED_HEADERS, SVIX_HEADERS, TIME_TO_PUT
from tests.fakes import START, LogicalClock
from tests.unit.webhooks import CANCELLED, DATA, MESSAGE, OTHER_SECRET, SECRET, Door, Reply, door_at, message, sent

CANCELLATION = {"type": CANCELLED, "data": {**DATA, "retirementId": "offboard-1"}}
THIRD_SECRET = "whsec_" + b64encode(bytes(32)).decode()
GENUINE = Webhook(SECRET).sign("msg_1", START, json.dumps(MESSAGE))
FORGED = "v1," + b64encode(bytes(32)).decode()

NOT_GENUINE = Reply(401, {"content-type": "application/json"}, {"message": "Invalid signature."})
TRY_AGAIN = Reply(
    503,
    {"content-type": "application/json", "retry-after": "60"},
    {"message": "Send the message again later."},
)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """The function, at `START`."""
    return door_at(LogicalClock(), monkeypatch)


# ---- What is put on the bus ----------------------------------------------------------------------------------------


def test_a_request(door: Door) -> None:
    """A signed request is put on the bus as an event of the webhook's source, and its id is answered with 202."""
    assert door.take(sent()) == Reply(202, {"content-type": "application/json"}, {"retirementId": "msg_1"})
    assert door.event_bus.heard == [
        {
            "source": "datamart-retirement.webhook",
            "detail-type": "Datamart Retirement Requested",
            "time": "2026-03-01T12:00:00Z",
            "detail": {**DATA, "retirementId": "msg_1"},
        }
    ]
    assert (door.telemetry.retirement_ids, door.telemetry.reasons, door.telemetry.errors) == (["msg_1"], [], [])


def test_a_named_retirement(door: Door) -> None:
    """A retirementId that the body names is the retirement's, whatever the webhook's id."""
    reply = door.take(sent(message(data={**DATA, "retirementId": "offboard-1"})))

    assert (reply.status, reply.content) == (202, {"retirementId": "offboard-1"})
    assert door.event_bus.heard[0]["detail"] == {**DATA, "retirementId": "offboard-1"}


def test_a_cancellation(door: Door) -> None:
    """A cancellation is put on the bus as one."""
    assert door.take(sent(message(**CANCELLATION))).content == {"retirementId": "offboard-1"}
    assert door.event_bus.heard[0]["detail-type"] == "Datamart Retirement Cancelled"
    assert door.event_bus.heard[0]["detail"] == {**DATA, "retirementId": "offboard-1"}


def test_every_option(door: Door) -> None:
    """Every field of a request goes along as it came."""
    data = {
        **DATA,
        "datamartName": "Umsätze 📈 \u2028",
        "retirementId": "offboard-1",
        "backup": False,
        "dryRun": True,
        "dependents": "ignore",
        "reviewedEmbeds": ["b", "a", "a"],
        "planId": "p" * 64,
        "retireAt": "2027-03-02T13:00:00+01:00",
    }

    assert door.take(sent(message(data=data))).status == 202
    assert door.event_bus.heard[0]["detail"] == data


@pytest.mark.parametrize("webhook_id", ["msg_p5jXN8AQM9LWM0D4loKWxJek", "7", "a.b-c_d", "x" * 128])
def test_a_webhook_id_that_is_a_retirement_id(door: Door, webhook_id: str) -> None:
    """Where the body names no retirementId, the webhook's id is it."""
    assert door.take(sent(webhook_id=webhook_id)).content == {"retirementId": webhook_id}


@pytest.mark.parametrize("webhook_id", ["-x", "a b", "a/b", "x" * 129, "é", "../../x", "📈", "x" * MAX_HEADER_LENGTH])
def test_a_webhook_id_that_is_none(door: Door, webhook_id: str) -> None:
    """A webhook's id that cannot be a retirementId is hashed."""
    expected = "wh-" + hashlib.sha256(webhook_id.encode()).hexdigest()

    assert door.take(sent(webhook_id=webhook_id)).content == {"retirementId": expected}
    assert door.event_bus.heard[0]["detail"]["retirementId"] == expected


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        ("2026-02-27T08:30:00Z", "2026-02-27T08:30:00Z"),
        ("2026-02-27t10:30:00.999999+02:00", "2026-02-27T08:29:59Z"),
        ("2026-03-01T13:00:00Z", "2026-03-01T13:00:00Z"),
        ("0001-01-01T00:00:00.5Z", "1-01-01T00:00:00Z"),
    ],
)
def test_the_time_of_the_event(door: Door, timestamp: str, time: str) -> None:
    """The event's time is the body's, when it was asked for, and not the header's; in whole seconds, never later."""
    assert door.take(sent(message(timestamp=timestamp))).status == 202
    assert door.event_bus.heard[0]["time"] == time


def test_a_body_in_base64(door: Door) -> None:
    """Lambda may hand the body over in base64: what is signed is what was sent."""
    assert door.take(sent(message(data={**DATA, "reason": "schön"}), as_base64=True)).status == 202
    assert door.event_bus.heard[0]["detail"]["reason"] == "schön"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(MESSAGE, indent=4) + "\r\n",
        " " + json.dumps(dict(reversed(MESSAGE.items())), separators=(",", ":")),
        json.dumps(MESSAGE).replace("sales", "s\\u0061les"),
    ],
)
def test_the_raw_body_is_verified(door: Door, body: str) -> None:
    """However a sender writes its JSON, the body is verified as it came, to the byte."""
    assert door.take(sent(body)).status == 202
    assert door.take({**sent(body), "body": json.dumps(json.loads(body))}) == NOT_GENUINE


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x"])
def test_content_types(door: Door, content_type: str) -> None:
    """JSON is JSON, in whatever case and with whatever parameters."""
    assert door.take(sent(content_type=content_type)).status == 202


def test_names_of_headers(door: Door) -> None:
    """Names of headers have no case."""
    event = sent()
    event["headers"] = {name.title(): value for name, value in event["headers"].items()}

    assert door.take(event).status == 202


def test_a_thousand_replays(door: Door) -> None:
    """A webhook that is sent a thousand times, within its five minutes or anew, is one retirement each time."""
    replies = []
    for number in range(1000):
        at = door.clock.now() if number % 2 else START
        replies.append(door.take(sent(at=at)))
        door.clock.advance(0.29)

    assert {(reply.status, str(reply.content)) for reply in replies} == {(202, "{'retirementId': 'msg_1'}")}
    assert {json.dumps(event) for event in door.event_bus.heard} == {json.dumps(door.event_bus.heard[0])}


def test_retries_for_days(door: Door) -> None:
    """A sender that tries again for days, with a new signature each time, asks for the same."""
    for hours in (0, 1, 5, 24, 76):
        door.clock.advance(hours * 3600)
        assert door.take(sent(at=door.clock.now())).content == {"retirementId": "msg_1"}

    assert {json.dumps(event) for event in door.event_bus.heard} == {json.dumps(door.event_bus.heard[0])}


# ---- What is genuine -----------------------------------------------------------------------------------------------


# The specification's own example, which all its libraries test with, and libraries/testdata/signatures.json
# (https://github.com/standard-webhooks/standard-webhooks). The payloads are none of ours: genuine, they are invalid.
VECTORS: dict[str, tuple[str, int, str, str, str]] = {
    "sign_function": (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "the body must have the field type, timestamp, data",
    ),
    "signatures.json": (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1696200454,
        (
            '{"type": "example.created", "timestamp":"2023-09-28T19:20:22+00:00", '
            '"data":{"str":"string","bool":true,"int":42}}'
        ),
        "v1,GgjvufBlIj71MBIVQotYGb+xEC3LNXCsIZp0HsDC8qs=",
        'type must be "datamart.retirement.requested" or "datamart.retirement.cancelled"; it is "example.created"',
    ),
}


@pytest.mark.parametrize("prefix", ["whsec_", ""])
@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(monkeypatch: pytest.MonkeyPatch, name: str, prefix: str) -> None:
    """What Standard Webhooks publishes as signed is genuine, and nothing that differs from it is."""
    webhook_id, timestamp, payload, signature, complaint = VECTORS[name]
    at = datetime.fromtimestamp(timestamp, UTC)
    door = door_at(LogicalClock(at), monkeypatch)
    door.secret.value = f"{prefix}MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    genuine = sent(payload, webhook_id=webhook_id, at=at, webhook_signature=signature)
    others = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="

    assert door.take(genuine).content == {"message": complaint}
    among_others = sent(payload, webhook_id=webhook_id, at=at, webhook_signature=f"{others} {signature} {others}")
    assert door.take(among_others).content == {"message": complaint}
    for changed in (
        {**genuine, "body": payload + " "},
        sent(payload, webhook_id="msg_other", at=at, webhook_signature=signature),
        sent(payload, webhook_id=webhook_id, at=at + timedelta(seconds=1), webhook_signature=signature),
        sent(payload, webhook_id=webhook_id, at=at, webhook_signature=signature.replace("v1,", "v2,")),
        sent(payload, webhook_id=webhook_id, at=at, webhook_signature=f"{signature[:-2]}A="),
        sent(payload, webhook_id=webhook_id, at=at, webhook_signature=others),
    ):
        assert door.take(changed) == NOT_GENUINE
    assert door.telemetry.answers[:2] == [400, 400]


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-300, 202), (0, 202), (300, 202), (301, 401)])
def test_the_age_of_a_message(door: Door, seconds: int, status: int) -> None:
    """A message counts for five minutes before and after it was signed: a captured one cannot be used later."""
    assert door.take(sent(at=START + timedelta(seconds=seconds))).status == status
    assert len(door.event_bus.heard) == (status == 202)


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET, THIRD_SECRET])
def test_several_secrets(door: Door, secret: str) -> None:
    """Each of several secrets will do, alone or beside one that nobody knows."""
    door.secret.value = json.dumps({"secrets": [SECRET, OTHER_SECRET, THIRD_SECRET]})
    event = sent(secret=secret)

    assert door.take(event).status == 202
    event["headers"]["webhook-signature"] = f"v1,{'A' * 43}= v1a,AAAA {event['headers']['webhook-signature']}"
    assert door.take(event).status == 202


def test_rotation(door: Door) -> None:
    """A new secret counts from its first message on, the old one until it is taken out and five minutes are over."""
    assert door.take(sent()).status == 202
    door.clock.advance(60)
    assert door.take(sent(secret=OTHER_SECRET, at=door.clock.now())) == NOT_GENUINE

    door.secret.value = f"{SECRET}\n{OTHER_SECRET}"
    door.clock.advance(10)
    for secret in (OTHER_SECRET, SECRET):
        assert door.take(sent(secret=secret, at=door.clock.now())).status == 202

    door.secret.value = OTHER_SECRET
    door.clock.advance(300)
    assert door.take(sent(secret=OTHER_SECRET, at=door.clock.now())).status == 202
    assert door.take(sent(at=door.clock.now())) == NOT_GENUINE


def test_a_stranger_has_the_secret_read_rarely(door: Door) -> None:
    """However many forged messages come, the secret is read again once in ten seconds; for unsigned ones never."""
    for _ in range(100):
        assert door.take(sent(webhook_signature=...)) == NOT_GENUINE
    assert door.secret.reads == 0

    for _ in range(100):
        assert door.take(sent(secret=OTHER_SECRET, at=door.clock.now())) == NOT_GENUINE
        door.clock.advance(0.2)
    assert door.secret.reads == 2


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        " ",
        ",",
        ",,,,",
        "nonsense",
        "v1",
        "v1,",
        "v1,*****",
        "v1,AAAAA",
        "v1,Größe",
        "v1,\ud800",
        "v1,\x00",
        "v1,AAAA,AAAA",
        "v1a,AAAA,AAAA",
        "v2",
        GENUINE.removeprefix("v1,"),
        f"{GENUINE},{GENUINE}",
        FORGED,
    ],
    ids=repr,
)
def test_no_other_signature_hides_the_good_one(door: Door, malformed: str) -> None:
    """The list of signatures holds the good one, whatever else stands before or behind it."""
    for signatures in (f"{malformed} {GENUINE}", f"{GENUINE} {malformed}", f"{malformed} {GENUINE} {malformed}"):
        assert door.take(sent(webhook_signature=signatures)).status == 202
    assert door.take(sent(webhook_signature=f"{malformed} {malformed}")) == NOT_GENUINE


@pytest.mark.parametrize(
    "body", [b"\xff", json.dumps(MESSAGE).encode("utf-16"), b'{"reason": "sch\xf6n"}', b"\xed\xa0\x80"]
)
def test_a_signed_body_that_is_no_utf_8(door: Door, body: bytes) -> None:
    """A signature is over bytes: who signs what is no UTF-8 is told so, and who did not sign it is told nothing."""
    key = b64decode(SECRET.removeprefix("whsec_"))
    signature = b64encode(hmac.digest(key, f"msg_1.{int(START.timestamp())}.".encode() + body, "sha256")).decode()
    event = sent(webhook_signature=f"v1,{signature}") | {"body": b64encode(body).decode(), "isBase64Encoded": True}

    reply = door.take(event)
    assert (reply.status, reply.content) == (400, {"message": "the body is not valid JSON: it is not UTF-8"})
    assert door.take(event | {"body": b64encode(body + b" ").decode()}) == NOT_GENUINE
    assert door.event_bus.heard == []


def by_svix(event: dict[str, Any]) -> dict[str, Any]:
    """The same message under Svix's names."""
    renamed = dict(zip(SIGNED_HEADERS, SVIX_HEADERS, strict=True))
    return event | {"headers": {renamed.get(name, name): value for name, value in event["headers"].items()}}


def test_a_sender_on_svix(door: Door) -> None:
    """Svix signs alike and names the headers otherwise: the id, too, is Svix's, and the rest is refused alike."""
    assert door.take(by_svix(sent())).content == {"retirementId": "msg_1"}
    assert door.take(by_svix(sent(webhook_id="msg_2", webhook_signature=GENUINE))) == NOT_GENUINE
    assert door.take(by_svix(sent(secret=OTHER_SECRET))) == NOT_GENUINE
    assert door.take(by_svix(sent(at=START - timedelta(seconds=301)))) == NOT_GENUINE
    assert len(door.event_bus.heard) == 1


@pytest.mark.parametrize("names", list(product(*zip(SIGNED_HEADERS, SVIX_HEADERS, strict=True))), ids=" ".join)
def test_one_set_of_headers(door: Door, names: tuple[str, ...]) -> None:
    """Three headers of one set are a message; of two sets they are none, however genuine each is."""
    event = sent()
    signed = [event["headers"].pop(name) for name in SIGNED_HEADERS]
    event["headers"] |= dict(zip(names, signed, strict=True))

    assert (door.take(event).status == 202) == (names in {SIGNED_HEADERS, SVIX_HEADERS})
    assert len(door.event_bus.heard) == (names in {SIGNED_HEADERS, SVIX_HEADERS})


@pytest.mark.parametrize("other", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_two_sets_of_headers(door: Door, other: str) -> None:
    """Where both sets are there, Standard Webhooks' own alone counts, and all of it: nothing of Svix's fills it up."""
    ours, svix = sent(), by_svix(sent())
    both = ours | {"headers": svix["headers"] | ours["headers"]}
    assert door.take(both).content == {"retirementId": "msg_1"}
    assert door.take(both | {"headers": both["headers"] | {"svix-id": "msg_2"}}).content == {"retirementId": "msg_1"}

    assert door.take(both | {"headers": both["headers"] | {other: "msg_2"}}) == NOT_GENUINE
    assert door.take(svix | {"headers": svix["headers"] | {other: ours["headers"][other]}}) == NOT_GENUINE
    assert len(door.event_bus.heard) == 2


# ---- What is not genuine -------------------------------------------------------------------------------------------

HOSTILE_SIGNATURES = {
    "empty": "",
    "blank": " ",
    "forged": FORGED,
    "another secret's": Webhook(OTHER_SECRET).sign("msg_1", START, json.dumps(MESSAGE)),
    "cut": GENUINE[:-5],
    "in hex": "v1," + "0" * 64,
    "without a version": GENUINE.removeprefix("v1,"),
    "of another version": GENUINE.replace("v1,", "v1a,"),
    "of a version in capitals": GENUINE.replace("v1,", "V1,"),
    "no base64": "v1,*****",
    "padded wrongly": "v1,AAAAA",
    "not ASCII": "v1,Größe",
    "not even Unicode": "v1,\ud800",
    "not ASCII digits": "v1,\uff11\uff12\uff13\uff14",
    "a null character": "v1,\x00",
    "a line break": f"v1,\n{GENUINE}",
    "commas alone": ",,,,",
    "one comma": ",",
    "twice, as Lambda joins two headers": f"{GENUINE},{GENUINE}",
    "a thousand": " ".join([FORGED] * 1000),
    "a thousand empty ones": " ".join(["v1,"] * 1000),
    "ten thousand": " ".join([FORGED] * 10_000),
    "ten thousand, with the genuine one": " ".join([FORGED] * 10_000 + [GENUINE]),
    "ten thousand without a version": " " * 10_000,
    "a megabyte": "v1," + "A" * 1_000_000,
}
HOSTILE_TIMESTAMPS = {
    "empty": "",
    "words": "yesterday",
    "no number": "nan",
    "negative no number": "-nan",
    "infinite": "inf",
    "infinitely long ago": "-infinity",
    "overflowing": "1e308",
    "overflowing a float": "1e400",
    "overflowing a year": "99999999999999",
    "before all years": "-99999999999999",
    "a thousand digits": "9" * 1_000,
    "ten thousand digits": "9" * 10_000,
    "a million digits": "1" * 1_000_000,
    "hexadecimal": hex(int(START.timestamp())),
    "an RFC 3339 time": START.isoformat(),
    "in milliseconds": str(int(START.timestamp() * 1000)),
    "twice, as Lambda joins two headers": f"{int(START.timestamp())},{int(START.timestamp())}",
    "a null character": "\x00",
    "not even Unicode": "\ud800",
    "another one": str(int(START.timestamp()) + 1),
    "zero": "0",
}
HOSTILE_IDS = {
    "empty": "",
    "another one": "msg_2",
    "twice, as Lambda joins two headers": "msg_1,msg_1",
    "not ASCII": "msg_é",
    "not even Unicode": "\ud800",
    "with the time in it": f"msg_1.{int(START.timestamp())}",
    "too long": "m" * (MAX_HEADER_LENGTH + 1),
    "a megabyte": "m" * 1_000_000,
}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param(header, value, id=f"{header}: {name}")
        for header, values in (
            ("webhook_signature", HOSTILE_SIGNATURES),
            ("webhook_timestamp", HOSTILE_TIMESTAMPS),
            ("webhook_id", HOSTILE_IDS),
        )
        for name, value in values.items()
    ],
)
def test_hostile_headers(door: Door, header: str, value: str) -> None:
    """Whatever is wrong with a header, the answer is the same 401, and nothing of what came is told or kept."""
    event = sent()
    event["headers"][header.replace("_", "-")] = value

    assert door.take(event) == NOT_GENUINE
    assert door.event_bus.heard == []
    assert (door.telemetry.retirement_ids, door.telemetry.errors) == ([], [])
    [reason] = door.telemetry.reasons
    assert len(reason) < 50
    assert not value.strip() or value not in reason


@pytest.mark.parametrize("left", [[], ["webhook-id"], ["webhook-id", "webhook-timestamp"], ["webhook-signature"]])
def test_unsigned(door: Door, left: list[str]) -> None:
    """Without all three headers a message is not genuine."""
    event = sent()
    event["headers"] = {
        name: value for name, value in event["headers"].items() if name not in SIGNED_HEADERS or name in left
    }

    assert door.take(event) == NOT_GENUINE
    assert door.event_bus.heard == []


@pytest.mark.parametrize("value", [None, 5, ["v1,x"], {"v1": "x"}, True])
def test_headers_that_are_no_text(door: Door, value: object) -> None:
    """Whoever may invoke the function can send anything for a header: it counts as missing."""
    for name in SIGNED_HEADERS:
        event = sent()
        event["headers"][name] = value
        assert door.take(event) == NOT_GENUINE


@pytest.mark.parametrize(
    "changed",
    [
        {"body": json.dumps(message(data={**DATA, "datamartName": "other"}))},
        {"body": json.dumps(MESSAGE) + "\n"},
        {"body": ""},
        {"body": None},
        {"body": ...},
        {"body": MESSAGE},
        {"body": "\ud800"},
        {"isBase64Encoded": True},
        {"isBase64Encoded": True, "body": "no base64"},
        {"isBase64Encoded": True, "body": b64encode(b"\xff\xfe" + json.dumps(MESSAGE).encode()).decode()},
        {"isBase64Encoded": True, "body": b64encode(json.dumps(MESSAGE).encode("utf-16")).decode()},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_another_body(door: Door, changed: dict[str, object]) -> None:
    """A body that is not the signed one, to the byte, is not genuine, be it UTF-8 or not."""
    event = {name: value for name, value in (sent() | changed).items() if value is not ...}

    assert door.take(event) == NOT_GENUINE
    assert door.event_bus.heard == []


@pytest.mark.parametrize(
    "error",
    [
        WebhookVerificationError("No matching signature found"),
        ValueError("x"),
        RecursionError(),
        MemoryError(),
        OverflowError(),
        KeyError("x"),
        AssertionError(),
    ],
    ids=repr,
)
def test_whatever_the_library_raises(door: Door, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever makes the library raise, the message is not genuine."""

    def verify(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Webhook, "verify", verify)

    assert door.take(sent()) == NOT_GENUINE
    assert door.event_bus.heard == []


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.dictionaries(
        st.sampled_from(SIGNED_HEADERS),
        st.one_of(
            st.text(max_size=60), st.floats().map(str), st.binary(max_size=40).map(lambda b: f"v1,{b64encode(b)!r}")
        ),
        min_size=1,
    ),
    body=st.one_of(st.none(), st.text(max_size=200)),
)
def test_nothing_can_be_forged(door: Door, headers: dict[str, str], body: str | None) -> None:
    """Whatever somebody without a secret changes in a message that was captured, it is not taken."""
    event = sent(OTHER_SECRET if body is None else body, secret=OTHER_SECRET)
    event["headers"] |= headers

    assert door.take(event) == NOT_GENUINE
    assert door.event_bus.heard == []


# ---- What is refused for another reason ----------------------------------------------------------------------------


def test_the_order_of_refusals(door: Door) -> None:
    """Of a message that all is wrong with, one thing after the other is told: who sent it before what it says."""
    event = sent("x" * (MAX_BODY_BYTES + 1), secret=OTHER_SECRET, method="PUT", content_type="text/plain")
    statuses = [door.take(event).status]
    event["requestContext"]["http"]["method"] = "POST"
    statuses.append(door.take(event).status)
    event["headers"]["content-type"] = "application/json"
    statuses.append(door.take(event).status)
    event["body"] = "x"
    statuses.append(door.take(event).status)
    statuses.append(door.take(sent("x")).status)

    assert statuses == [405, 415, 413, 401, 400]
    assert door.telemetry.answers == statuses
    assert door.event_bus.heard == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post", ""])
def test_methods(door: Door, method: str) -> None:
    """Only POST is allowed, and the answer says so."""
    reply = door.take(sent(method=method))

    assert (reply.status, reply.headers["allow"], reply.content) == (405, "POST", {"message": "Send a POST request."})


@pytest.mark.parametrize(
    "content_type",
    [
        ...,
        "",
        "text/plain",
        "application/jsonx",
        "application/cloudevents+json",
        "text/json",
        "application/json,text/x",
    ],
)
def test_other_content_types(door: Door, content_type: str) -> None:
    """What is not sent as JSON is not read."""
    reply = door.take(sent(content_type=content_type))

    assert (reply.status, reply.content) == (415, {"message": "Send JSON, with the content type application/json."})


@pytest.mark.parametrize("as_base64", [False, True])
def test_the_largest_body(door: Door, as_base64: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A body of 64 KiB is read, a larger one refused before anything is made of it, even the reading of the secret."""
    room = MAX_BODY_BYTES - len(json.dumps(MESSAGE).encode())
    too_large = sent(json.dumps(MESSAGE) + " " * (room + 1), as_base64=as_base64)
    largest = sent(json.dumps(MESSAGE) + " " * room, as_base64=as_base64)

    reply = door.take(too_large)
    assert (reply.status, reply.content) == (413, {"message": "Send a body of at most 65536 bytes."})
    assert door.secret.reads == 0
    assert door.take(largest).status == 202


def test_size_is_counted_in_bytes(door: Door) -> None:
    """64 KiB are bytes, not characters."""
    assert door.take(sent(json.dumps("📈" * (MAX_BODY_BYTES // 4), ensure_ascii=False))).status == 413


def test_the_largest_event(door: Door) -> None:
    """Whatever fits into 64 KiB fits, with everything escaped, into 256 KiB, a quarter of what the bus takes."""
    embeds = ["\ufffe" * 256] * 84
    body = json.dumps(message(data={**DATA, "reviewedEmbeds": embeds}), ensure_ascii=False)
    assert MAX_BODY_BYTES - 1024 < len(body.encode()) <= MAX_BODY_BYTES

    assert door.take(sent(body)).status == 202
    assert len(json.dumps(door.event_bus.heard[0])) < 256 * 1024


INVALID: dict[str, tuple[object, str]] = {
    "nothing": ("", "the body is not valid JSON: "),
    "no JSON": ("{", "the body is not valid JSON: "),
    "one key twice": ('{"type": "x", "type": "y"}', "the body is not valid JSON: an object has a duplicate key"),
    "no number": ('{"timestamp": NaN}', "the body is not valid JSON: NaN is not valid JSON"),
    "many digits": ('{"timestamp": ' + "9" * 2_000 + "}", "the body is not valid JSON: a number is too long"),
    "too deep": ("[" * 200 + "]" * 200, "the body is not valid JSON: it is nested deeper than 100 levels"),
    "a byte order mark": ("\ufeff{}", "the body is not valid JSON: "),
    "a list": ([MESSAGE], "the body must be a JSON object; it is a list of 1"),
    "null": (None, "the body must be a JSON object; it is null"),
    "no type": (message(type=...), "the body must have the field type"),
    "no data": (message(data=...), "the body must have the field data"),
    "no timestamp": (message(timestamp=...), "the body must have the field timestamp"),
    "nothing of all": ({}, "the body must have the field type, timestamp, data"),
    "an unknown field": (
        message(datta={}),
        'the body must not have the unknown field "datta" (did you mean data?)',
    ),
    "another type": (message(type="datamart.retired"), 'type must be "datamart.retirement.requested" or'),
    "the event's type": (message(type="Datamart Retirement Requested"), "type must be "),
    "a list of types": (message(type=["datamart.retirement.requested"]), "type must be "),
    "another timestamp": (message(timestamp="noon"), "timestamp must be an RFC 3339 time with offset"),
    "a timestamp without offset": (message(timestamp="2026-03-01T12:00:00"), "timestamp must be an RFC 3339 time"),
    "a timestamp of no day": (message(timestamp="2026-02-30T12:00:00Z"), "timestamp must be an RFC 3339 time"),
    "a timestamp out of range": (message(timestamp="9999-12-31T23:59:59-23:59"), "timestamp must be an RFC 3339 time"),
    "a number as timestamp": (message(timestamp=1772366400), "timestamp must be an RFC 3339 time"),
    "data that is text": (message(data="sales"), "data must be an object with the request or the cancellation"),
    "data that is null": (message(data=None), "data must be an object with the request or the cancellation"),
    "no request": (message(data={}), "data must have the field datamartName, environment, requestedBy, reason"),
    "a misspelt option": (
        message(data={**DATA, "dryRum": True}),
        'data must not have the unknown field "dryRum" (did you mean dryRun?)',
    ),
    "an option of another type": (message(data={**DATA, "dryRun": "true"}), "data.dryRun must be true or false: "),
    "a name that is none": (message(data={**DATA, "datamartName": "a\nb"}), "data.datamartName must be the exact,"),
    "an embed that is none": (
        message(data={**DATA, "reviewedEmbeds": ["a", 5]}),
        "data.reviewedEmbeds.1 must be an embed ID",
    ),
    "an id that is none": (
        message(data={**DATA, "retirementId": "a/b"}),
        "data.retirementId must be a string of 1 to 128",
    ),
    "another environment": (
        message(data={**DATA, "environment": "staging"}),
        "data.environment is \"staging\", and this stack's is 'prod': send it to the stack of that environment",
    ),
    "a date too far ahead": (
        message(data={**DATA, "retireAt": "2027-03-02T12:00:01Z"}),
        'data.retireAt must be at most 366 days ahead; it is "2027-03-02T12:00:01Z"',
    ),
    "a date that is none": (message(data={**DATA, "retireAt": "tomorrow"}), "data.retireAt must be an RFC 3339 time"),
    "a cancellation of nothing in particular": (
        message(type=CANCELLED, data=DATA),
        "data must have the field retirementId",
    ),
    "a cancellation with options": (
        message(type=CANCELLED, data={**DATA, "retirementId": "x", "dryRun": True}),
        'data must not have the unknown field "dryRun"',
    ),
    "a cancellation elsewhere": (
        message(type=CANCELLED, data={**DATA, "retirementId": "x", "environment": "staging"}),
        'data.environment is "staging"',
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid(door: Door, name: str) -> None:
    """A genuine message that is no valid request is told which field is wrong and how, and is not put on the bus."""
    body, complaint = INVALID[name]

    reply = door.take(sent(body if isinstance(body, str) else json.dumps(body)))

    assert reply.status == 400
    assert reply.content["message"].startswith(complaint)
    assert reply.content["message"].isascii()
    assert len(reply.content["message"]) < 400
    assert door.event_bus.heard == []
    assert (door.telemetry.retirement_ids, door.telemetry.reasons, door.telemetry.errors) == ([], [], [])


# ---- When AWS does not help ----------------------------------------------------------------------------------------


def test_the_bus_takes_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bus did not take the event, the sender is told to try again, and never that it was taken."""
    error = AwsCallFailed("EventBridge PutEvents failed")

    def put(**_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(door.event_bus, "put", put)
        assert door.take(sent()) == TRY_AGAIN
    assert (door.telemetry.errors, door.telemetry.retirement_ids) == ([error], ["msg_1"])
    assert door.take(sent()).content == {"retirementId": "msg_1"}


def test_no_time_is_left(door: Door) -> None:
    """The bus is not asked where the function could not wait for its answer: it would say 202 or nothing at all."""
    assert door.take(sent(), seconds=TIME_TO_PUT - 0.1) == TRY_AGAIN
    assert door.event_bus.heard == []
    assert door.take(sent(), seconds=TIME_TO_PUT).status == 202


def broken(door: Door) -> None:
    """The secret holds something else."""
    door.secret.value = "not base64!"


def emptied(door: Door) -> None:
    """The secret holds nothing."""
    door.secret.value = ""


def forbidden(door: Door) -> None:
    """The function may not read the secret."""

    def fail() -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")

    door.secret.before_read = fail


def throttled(door: Door) -> None:
    """Secrets Manager has no time."""

    def fail() -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "GetSecretValue")

    door.secret.before_read = fail


@pytest.mark.parametrize("trouble", [broken, emptied, forbidden, throttled])
@pytest.mark.parametrize("genuine", [True, False])
def test_no_secret(door: Door, trouble: Callable[[Door], None], genuine: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Without a secret nothing is taken, and nobody is told that a signature is wrong: it is the stack's own fault."""
    trouble(door)

    assert door.take(sent(secret=SECRET if genuine else OTHER_SECRET)) == TRY_AGAIN
    assert door.event_bus.heard == []
    [error] = door.telemetry.errors
    assert str(error).startswith("WebhookSecretArn: ")


def test_the_secret_is_lost_later(door: Door) -> None:
    """A message that no kept secret verifies is in doubt while the secret cannot be read; what is kept still counts."""
    assert door.take(sent()).status == 202
    throttled(door)
    door.clock.advance(10)

    assert door.take(sent(secret=OTHER_SECRET)) == TRY_AGAIN
    assert door.take(sent()).status == 202


# ---- Whoever may invoke the function -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        "text",
        5,
        {"requestContext": None},
        {"requestContext": {"http": "POST"}},
        {"requestContext": {"http": {"method": None}}},
        {"requestContext": {"http": {"method": ["POST"]}}},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
    ],
    ids=repr,
)
def test_what_is_no_http_request(door: Door, event: object) -> None:
    """An event that no function URL made is refused like any request that is none."""
    assert door.take(event).status == 405


@pytest.mark.parametrize("part", ["headers", "body", "requestContext", "isBase64Encoded"])
@pytest.mark.parametrize("value", [..., None, 5, [], {}, "x", True])
def test_a_request_with_another_shape(door: Door, part: str, value: object) -> None:
    """Whatever a part of the event is, the request is refused, or taken where that part says nothing."""
    event: Mapping[str, Any] = {name: kept for name, kept in (sent() | {part: value}).items() if kept is not ...}

    status = door.take(event).status

    taken = part == "isBase64Encoded" and value is not True
    assert (status == 202) == taken
    assert len(door.event_bus.heard) == taken


def test_all_kinds_of_nonsense(door: Door) -> None:
    """No combination of nonsense makes it raise."""
    parts = [None, "", "POST", [], {"http": {"method": "POST"}}, sent()["headers"]]
    for values in product(parts, repeat=4):
        event = dict(zip(("headers", "requestContext", "body", "isBase64Encoded"), values, strict=True))
        assert door.take(event).status in {401, 405, 415}
