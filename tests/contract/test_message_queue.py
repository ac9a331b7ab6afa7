"""The ports `Inbox` and `Outbox`: one suite for the fake and for SQS."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.message_queue import SqsQueue
from retirement.delivery.ports import Inbox
from retirement.errors import AwsCallFailed
from retirement.requests import Delivery
from tests.fakes import START, FakeQueue

pytestmark = pytest.mark.xdist_group("ministack")

HOUR = 3600


class Queue:
    """A queue on SQS with one message, which is received once."""

    def __init__(self, aws: EmbeddedStack) -> None:
        self._sqs = aws.sqs
        self.url = aws.sqs.create_queue(QueueName=f"requests-{uuid4()}")["QueueUrl"]
        aws.sqs.send_message(QueueUrl=self.url, MessageBody="{}")
        (message,) = aws.sqs.receive_message(QueueUrl=self.url, VisibilityTimeout=HOUR)["Messages"]
        self.receipt_handle = message["ReceiptHandle"]

    def is_visible(self) -> bool:
        """Whether the message can be received."""
        return "Messages" in self._sqs.receive_message(QueueUrl=self.url, VisibilityTimeout=0)


def delivery(receipt_handle: str | None) -> Delivery:
    """A delivery of that message."""
    return Delivery("{}", START, 1, "invocation-1", "message-1", receipt_handle)


@pytest.fixture
def queue(aws: EmbeddedStack) -> Queue:
    """A queue of its own."""
    return Queue(aws)


@pytest.fixture(params=["fake", "sqs"])
def inbox(request: pytest.FixtureRequest) -> Inbox:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeQueue()
    aws: EmbeddedStack = request.getfixturevalue("aws")
    queue: Queue = request.getfixturevalue("queue")
    return SqsQueue(lambda: aws.sqs, queue.url)


@pytest.fixture
def is_visible(inbox: Inbox, queue: Queue) -> Callable[[], bool]:
    """Tell whether the message can be received."""
    if isinstance(inbox, FakeQueue):
        return lambda: inbox.redelivery_delays.get(queue.receipt_handle) == 0
    return queue.is_visible


def test_a_message_is_held_back(inbox: Inbox, queue: Queue, is_visible: Callable[[], bool]) -> None:
    """A message that is held back cannot be received, and one that is not any more can."""
    inbox.redeliver_after(delivery(queue.receipt_handle), HOUR)
    assert not is_visible()
    inbox.redeliver_after(delivery(queue.receipt_handle), 0)
    assert is_visible()


def test_what_came_from_no_queue(inbox: Inbox, is_visible: Callable[[], bool]) -> None:
    """For an event that came from no queue there is nothing to do."""
    inbox.redeliver_after(delivery(None), 0)
    assert not is_visible()


@pytest.mark.parametrize(("seconds", "arrives"), [(0, True), (900, False)])
def test_a_message_is_sent(aws: EmbeddedStack, queue: Queue, seconds: int, arrives: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A message that is sent arrives as it is, now or after its delay."""
    body = '{"name": "Größe <&> 🙂"}'
    SqsQueue(lambda: aws.sqs, queue.url).send(body, seconds)
    messages = aws.sqs.receive_message(QueueUrl=queue.url).get("Messages", [])
    assert [message["Body"] for message in messages] == [body] * arrives


def test_a_refusal_of_sqs(aws: EmbeddedStack, queue: Queue) -> None:
    """What SQS refuses is an error that names the call."""
    adapter = SqsQueue(lambda: aws.sqs, queue.url)
    with pytest.raises(AwsCallFailed, match="SQS ChangeMessageVisibility failed"):
        adapter.redeliver_after(delivery("none of its"), 0)
    with pytest.raises(AwsCallFailed, match="SQS SendMessage failed"):
        SqsQueue(lambda: aws.sqs, f"{queue.url}-none").send("{}", 0)


def test_the_client_is_made_when_it_is_needed(aws: EmbeddedStack, queue: Queue) -> None:
    """Few invocations need a client, and no invocation needs two."""
    made: list[object] = []

    def make() -> object:
        made.append(aws.sqs)
        return aws.sqs

    adapter = SqsQueue(make, queue.url)  # type: ignore[arg-type]  # it counts
    adapter.redeliver_after(delivery(None), 0)
    assert made == []
    adapter.redeliver_after(delivery(queue.receipt_handle), 1)
    adapter.redeliver_after(delivery(queue.receipt_handle), 0)
    assert made == [aws.sqs]
