"""The webhook's two calls that go out, each with every fault, and a sender that tries again until it hears 202."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from retirement.aws.event_bus import EventBridgeBus
from retirement.canonical import Document
from tests.fakes import Crash, FakeEventBus, LogicalClock, Parsed
from tests.unit.webhooks import DATA, OTHER_SECRET, Door, door_at, sent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

Call = Callable[..., object]
Fault = Callable[[Door, Call], Call]

TRIES = 6


def error(code: str) -> Fault:
    """AWS answers with an error, and does nothing."""

    def fault(_: Door, __: Call) -> Call:
        def call(*_: object, **__: object) -> object:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")

        return call

    return fault


def lost_answer(_: Door, real: Call) -> Call:
    """The call has its effect, and its answer is lost."""

    def call(*arguments: object, **named: object) -> object:
        real(*arguments, **named)
        raise ReadTimeoutError(endpoint_url="https://aws")

    return call


def slow(door: Door, real: Call) -> Call:
    """The call takes as long as it may."""

    def call(*arguments: object, **named: object) -> object:
        door.clock.advance(7)
        return real(*arguments, **named)

    return call


def crash_before(_: Door, __: Call) -> Call:
    """The invocation ends before the call."""

    def call(*_: object, **__: object) -> object:
        raise Crash

    return call


def crash_after(_: Door, real: Call) -> Call:
    """The invocation ends after the call."""

    def call(*arguments: object, **named: object) -> object:
        real(*arguments, **named)
        raise Crash

    return call


FAULTS: dict[str, Fault] = {
    "throttled": error("ThrottlingException"),
    "forbidden": error("AccessDeniedException"),
    "broken": error("InternalFailure"),
    "lost answer": lost_answer,
    "slow": slow,
    "crash before": crash_before,
    "crash after": crash_after,
}


class EventBridge(FakeEventBus):
    """The bus behind its adapter, which translates what the SDK raises."""

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put one event on the bus, by the adapter."""
        bus = EventBridgeBus(cast("EventBridgeClient", self), "default")
        return bus.put(source=source, detail_type=detail_type, detail=detail, time=time)

    def put_events(self, **request: Parsed) -> Parsed:
        """What the adapter calls."""
        [entry] = request["Entries"]
        event_id = super().put(
            source=entry["Source"],
            detail_type=entry["DetailType"],
            detail=json.loads(entry["Detail"]),
            time=entry["Time"],
        )
        return {"FailedEntryCount": 0, "Entries": [{"EventId": event_id}]}


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """The function on AWS's calls."""
    door = door_at(LogicalClock(), monkeypatch)
    door.event_bus = EventBridge()
    return door


def status_of(door: Door, event: object) -> int | None:
    """The answer's status; None where the invocation crashed."""
    try:
        return door.take(event).status
    except Crash:
        return None


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("called", ["get_secret_value", "put_events"])
def test_a_fault(door: Door, monkeypatch: pytest.MonkeyPatch, called: str, name: str, times: int) -> None:
    """Whatever fails, 202 means that the bus has the event; a sender that tries again gets there, to one retirement."""
    target: object = door.secret if called == "get_secret_value" else door.event_bus
    real, calls = getattr(target, called), 0
    faulty = FAULTS[name](door, real)

    def call(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        return (faulty if calls <= times else real)(*arguments, **named)

    monkeypatch.setattr(target, called, call)
    statuses: list[int | None] = []
    while 202 not in statuses:
        assert len(statuses) < TRIES
        assert status_of(door, sent({}, at=door.clock.now())) in {400, 503, None}
        assert status_of(door, sent(at=door.clock.now(), secret=OTHER_SECRET)) in {401, 503, None}
        before = len(door.event_bus.heard)
        statuses.append(status_of(door, sent(at=door.clock.now())))
        assert statuses[-1] in {202, 503, None}
        assert statuses[-1] != 202 or len(door.event_bus.heard) == before + 1
        door.clock.advance(60)
    assert calls
    assert {json.dumps(event) for event in door.event_bus.heard} == {json.dumps(door.event_bus.heard[0])}
    assert door.event_bus.heard[0]["detail"] == {**DATA, "retirementId": "msg_1"}
