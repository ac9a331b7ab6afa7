"""The port `ResultsTopic`: one suite for the fake and for SNS, as a subscribed queue sees it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.results_topic import SnsResultsTopic
from retirement.canonical import Document, ordered_json
from retirement.databrain.dependents import Dependents, Embed, EmbedListing
from retirement.delivery.ports import ResultsTopic
from retirement.errors import AwsCallFailed
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.fakes import FakeResultsTopic

pytestmark = pytest.mark.xdist_group("ministack")

# SNS API reference, Publish: characters of a subject, bytes of a message.
MAX_SUBJECT_LENGTH = 99
MAX_MESSAGE_BYTES = 256 * 1024


def result_for(name: str | None, outcome: str = "deleted", environment: str = "prod") -> Document:
    """As much of a result as its publication looks at, and a text that nothing may change."""
    return {
        "schemaVersion": "1",
        "retirementId": "retirement-1",
        "datamartName": name,
        "outcome": outcome,
        "environment": environment,
        "message": 'Größe 数据 🙂 "quoted" \\ \n',
    }


class Subscription:
    """A topic, and the queue that gets what is published there."""

    def __init__(self, aws: EmbeddedStack) -> None:
        self._sqs = aws.sqs
        self._queue_url = aws.sqs.create_queue(QueueName=f"results-{uuid4()}")["QueueUrl"]
        self.topic_arn = aws.sns.create_topic(Name=f"results-{uuid4()}")["TopicArn"]
        queue_arn = aws.sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": self.topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        aws.sqs.set_queue_attributes(QueueUrl=self._queue_url, Attributes={"Policy": policy})
        aws.sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=queue_arn)

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next notifications, as many as that."""
        taken: list[dict[str, Any]] = []
        while len(taken) < count:
            messages = self._sqs.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=20
            ).get("Messages", [])
            assert messages, f"{count} notifications were published, and {len(taken)} came"
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(json.loads(message["Body"]))
        return taken


@pytest.fixture(scope="module")
def subscription(aws: EmbeddedStack) -> Subscription:
    """Each test takes what it publishes, so one does for all."""
    return Subscription(aws)


@pytest.fixture
def sns_topic(aws: EmbeddedStack, subscription: Subscription) -> SnsResultsTopic:
    """The adapter."""
    return SnsResultsTopic(aws.sns, subscription.topic_arn)


@pytest.fixture(params=["fake", "sns"])
def results_topic(request: pytest.FixtureRequest) -> ResultsTopic:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeResultsTopic()
    adapter: SnsResultsTopic = request.getfixturevalue("sns_topic")
    return adapter


@pytest.fixture
def messages(results_topic: ResultsTopic, request: pytest.FixtureRequest) -> Callable[[int], list[str]]:
    """Take the next messages, as many as that."""
    if isinstance(results_topic, FakeResultsTopic):
        published = results_topic.messages
        return lambda count: published[:count]
    subscription: Subscription = request.getfixturevalue("subscription")
    return lambda count: [notification["Message"] for notification in subscription.take(count)]


class TestResultsTopic:
    """What a subscriber relies on."""

    def test_the_message_is_the_result(self, results_topic: ResultsTopic, messages: Callable[[int], list[str]]) -> None:
        """A message is the result as JSON, its fields in their order, and nothing else."""
        results_topic.publish(result_for("sales"))
        assert messages(1) == [ordered_json(result_for("sales"))]

    def test_a_repetition_is_the_same(self, results_topic: ResultsTopic, messages: Callable[[int], list[str]]) -> None:
        """A result that is read back from its receipt and published again is the same to the byte."""
        results_topic.publish(result_for("sales"))
        results_topic.publish(json.loads(ordered_json(result_for("sales"))))
        first, second = messages(2)
        assert first.encode() == second.encode()

    @pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\ufffe", None])
    def test_hostile_names(
        self, results_topic: ResultsTopic, messages: Callable[[int], list[str]], name: str | None
    ) -> None:
        """A result about a datamart of any name, or of none, arrives with exactly that name."""
        results_topic.publish(result_for(name))
        (message,) = messages(1)
        assert json.loads(message)["datamartName"] == name

    def test_a_lone_surrogate(self, results_topic: ResultsTopic, messages: Callable[[int], list[str]]) -> None:
        """What no transport can carry arrives as the replacement character."""
        results_topic.publish(result_for("lone \ud800"))
        (message,) = messages(1)
        assert json.loads(message)["datamartName"] == "lone \ufffd"

    def test_the_largest_result(self, results_topic: ResultsTopic, messages: Callable[[int], list[str]]) -> None:
        """A result with more dependents than it shows, all with the longest names, stays within 256 KiB."""
        longest = "🙂" * 256
        embeds = [
            Embed(longest, longest, longest, told, None, None, None) for told in ("sales", None) for _ in range(200)
        ]
        gaps = [f"the embeds of the data app {longest!r}"] * 200
        listing = EmbedListing(tuple(embeds), tuple(gaps))
        dependents = Dependents("sales", listing, frozenset()).document()
        results_topic.publish({**result_for("🙂" * 256), "dependents": dependents})
        (message,) = messages(1)
        assert len(message.encode()) <= MAX_MESSAGE_BYTES


class TestSnsResultsTopic:
    """What SNS alone can show: subject and attributes."""

    @pytest.mark.parametrize(
        ("result", "subject"),
        [
            (result_for("sales-analytics"), 'Datamart "sales-analytics" deleted [prod]'),
            (result_for("sales", "already_absent", "dev"), 'Datamart "sales" already absent [dev]'),
            (result_for(None, "rejected"), "Datamart retirement rejected [prod]"),
            (result_for("Größe 🙂"), 'Datamart "Gr??e ?" deleted [prod]'),
            (result_for("a\tb\nc"), 'Datamart "a?b?c" deleted [prod]'),
            (result_for("n" * 256), f'Datamart "{"n" * 70}..." deleted [prod]'),
        ],
    )
    def test_the_subject(
        self, sns_topic: SnsResultsTopic, subscription: Subscription, result: Document, subject: str
    ) -> None:
        """A subject says what became of which datamart where."""
        sns_topic.publish(result)
        (notification,) = subscription.take(1)
        assert notification["Subject"] == subject

    @pytest.mark.parametrize("name", [*HOSTILE_NAMES, None])
    @pytest.mark.parametrize("environment", ["prod", "e" * 64])
    def test_a_subject_that_sns_takes(
        self, sns_topic: SnsResultsTopic, subscription: Subscription, name: str | None, environment: str
    ) -> None:
        """A subject is printable ASCII of at most 99 characters, whatever the name; the emulator would take more."""
        sns_topic.publish(result_for(name, "already_absent", environment))
        (notification,) = subscription.take(1)
        subject = notification["Subject"]
        assert len(subject) <= MAX_SUBJECT_LENGTH
        assert subject.isascii()
        assert subject.isprintable()
        assert subject.endswith(f" already absent [{environment}]")

    def test_the_attributes(self, sns_topic: SnsResultsTopic, subscription: Subscription) -> None:
        """A subscription can filter by outcome, datamart and environment."""
        sns_topic.publish(result_for("sales", "blocked", "dev"))
        (notification,) = subscription.take(1)
        assert notification["MessageAttributes"] == {
            "outcome": {"Type": "String", "Value": "blocked"},
            "datamartName": {"Type": "String", "Value": "sales"},
            "environment": {"Type": "String", "Value": "dev"},
        }

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_a_name_is_its_own_attribute(
        self, sns_topic: SnsResultsTopic, subscription: Subscription, name: str
    ) -> None:
        """A subscription can filter by any legal name."""
        sns_topic.publish(result_for(name))
        (notification,) = subscription.take(1)
        assert notification["MessageAttributes"]["datamartName"]["Value"] == name

    @pytest.mark.parametrize("name", ["\x00", "a\x1fb", "\ufffe", "\ud800"])
    def test_a_name_that_no_attribute_can_hold(
        self, sns_topic: SnsResultsTopic, subscription: Subscription, name: str
    ) -> None:
        """Of a rejected event's name, the characters that an attribute cannot hold are replaced."""
        sns_topic.publish(result_for(name, "rejected"))
        (notification,) = subscription.take(1)
        assert "\ufffd" in notification["MessageAttributes"]["datamartName"]["Value"]

    @pytest.mark.parametrize("name", [None, ""])
    def test_no_name_is_no_attribute(
        self, sns_topic: SnsResultsTopic, subscription: Subscription, name: str | None
    ) -> None:
        """SNS refuses an empty attribute, which the emulator would take: it is left out."""
        sns_topic.publish(result_for(name, "rejected"))
        (notification,) = subscription.take(1)
        assert set(notification["MessageAttributes"]) == {"outcome", "environment"}

    def test_no_topic(self, aws: EmbeddedStack, subscription: Subscription) -> None:
        """A result that is not taken is an error."""
        nowhere = SnsResultsTopic(aws.sns, f"{subscription.topic_arn}-nowhere")
        with pytest.raises(AwsCallFailed, match=r"SNS Publish to .*-nowhere failed: .*NotFound"):
            nowhere.publish(result_for("sales"))
