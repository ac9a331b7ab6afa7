"""The port `EventBus`: one suite for the fake and for EventBridge, as a rule's queue sees it."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.event_bus import EventBridgeBus
from retirement.canonical import Document
from retirement.delivery.ports import EventBus
from retirement.errors import AwsCallFailed
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.fakes import START, FakeEventBus, Parsed

pytestmark = pytest.mark.xdist_group("ministack")

SOURCE, DETAIL_TYPE = "datamart-retirement.test", "Datamart Retirement Requested"
Taken = Callable[[], Parsed]


class Heard:
    """A bus, and the queue that gets what is put on it."""

    def __init__(self, aws: EmbeddedStack) -> None:
        self._sqs = aws.sqs
        self.bus_name = f"bus-{uuid4()}"
        aws.events.create_event_bus(Name=self.bus_name)
        self._queue_url = aws.sqs.create_queue(QueueName=f"heard-{uuid4()}")["QueueUrl"]
        attributes = aws.sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])["Attributes"]
        rule = aws.events.put_rule(
            Name="everything", EventBusName=self.bus_name, EventPattern=json.dumps({"source": [SOURCE]})
        )
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": attributes["QueueArn"],
            "Condition": {"ArnEquals": {"aws:SourceArn": rule["RuleArn"]}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        aws.sqs.set_queue_attributes(QueueUrl=self._queue_url, Attributes={"Policy": policy})
        aws.events.put_targets(
            Rule="everything", EventBusName=self.bus_name, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
        )

    def take(self) -> dict[str, Any]:
        """The next event."""
        messages = self._sqs.receive_message(QueueUrl=self._queue_url, WaitTimeSeconds=20).get("Messages", [])
        assert messages, "an event was put on the bus, and none came"
        (message,) = messages
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        event: dict[str, Any] = json.loads(message["Body"])
        return event


@pytest.fixture(scope="module")
def heard(aws: EmbeddedStack) -> Heard:
    """Each test takes what it puts, so one does for all."""
    return Heard(aws)


@pytest.fixture(params=["fake", "eventbridge"])
def bus(request: pytest.FixtureRequest) -> EventBus:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeEventBus()
    aws: EmbeddedStack = request.getfixturevalue("aws")
    return EventBridgeBus(aws.events, request.getfixturevalue("heard").bus_name)


@pytest.fixture
def taken(bus: EventBus, request: pytest.FixtureRequest) -> Taken:
    """Take the next event: source, detail-type and detail."""

    def from_fake() -> Parsed:
        event = fake.events.pop(0)
        return event.source, event.detail_type, event.detail

    def from_queue() -> Parsed:
        event = heard.take()
        return event["source"], event["detail-type"], event["detail"]

    if isinstance(bus, FakeEventBus):
        fake = bus
        return from_fake
    heard: Heard = request.getfixturevalue("heard")
    return from_queue


@pytest.mark.parametrize("time", [None, START])
def test_an_event(bus: EventBus, taken: Taken, time: datetime | None) -> None:
    """What is put on the bus is heard there, as it was put."""
    detail: Document = {"datamartName": "sales", "reviewedEmbeds": ["a"], "dryRun": False, "planId": None}
    assert bus.put(source=SOURCE, detail_type=DETAIL_TYPE, detail=detail, time=time)
    assert taken() == (SOURCE, DETAIL_TYPE, detail)


def test_ids(bus: EventBus, taken: Taken) -> None:
    """Each event has an id of its own, also where it says the same."""
    first, second = (bus.put(source=SOURCE, detail_type=DETAIL_TYPE, detail={}) for _ in range(2))
    assert first != second
    assert taken() == taken()


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\ufffe"])
def test_hostile_names(bus: EventBus, taken: Taken, name: str) -> None:
    """A request about a datamart of any name arrives with exactly that name."""
    bus.put(source=SOURCE, detail_type=DETAIL_TYPE, detail={"datamartName": name})
    assert taken()[2] == {"datamartName": name}


def test_a_source_that_nobody_may_use(aws: EmbeddedStack, heard: Heard) -> None:
    """An event that the bus did not take is an error, although the call was answered with 200."""
    bus = EventBridgeBus(aws.events, heard.bus_name)
    with pytest.raises(AwsCallFailed, match=r"EventBridge PutEvents on bus-\S+ failed: NotAuthorizedForSource"):
        bus.put(source="aws.ec2", detail_type=DETAIL_TYPE, detail={})
