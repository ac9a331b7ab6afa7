"""The port `ResultsTopic` for reports: one suite for the fake and for SNS, as a subscribed queue sees it."""

import json
from collections.abc import Callable

import pytest

from local.stack import EmbeddedStack
from retirement.aws.reports_topic import SnsReportsTopic
from retirement.canonical import Document, ordered_json
from retirement.delivery.ports import ResultsTopic
from retirement.errors import AwsCallFailed
from retirement.sweeping.report import SweepReport
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.test_results_topic import MAX_MESSAGE_BYTES, MAX_SUBJECT_LENGTH, Subscription
from tests.fakes import FakeReportsTopic
from tests.sweep_samples import report_of, skipped

pytestmark = pytest.mark.xdist_group("ministack")

Messages = Callable[[], str]


@pytest.fixture(scope="module")
def subscription(aws: EmbeddedStack) -> Subscription:
    """Each test takes what it publishes, so one does for all."""
    return Subscription(aws)


@pytest.fixture
def sns_topic(aws: EmbeddedStack, subscription: Subscription) -> SnsReportsTopic:
    """The adapter."""
    return SnsReportsTopic(aws.sns, subscription.topic_arn)


@pytest.fixture(params=["fake", "sns"])
def reports_topic(request: pytest.FixtureRequest) -> ResultsTopic:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeReportsTopic()
    adapter: SnsReportsTopic = request.getfixturevalue("sns_topic")
    return adapter


@pytest.fixture
def message(reports_topic: ResultsTopic, request: pytest.FixtureRequest) -> Messages:
    """Take the next message."""
    if isinstance(reports_topic, FakeReportsTopic):
        published = reports_topic.messages
        return lambda: published.pop(0)
    subscription: Subscription = request.getfixturevalue("subscription")
    return lambda: str(subscription.take(1)[0]["Message"])


def test_the_message_is_the_report(reports_topic: ResultsTopic, message: Messages) -> None:
    """A message is the report as JSON, its fields in their order, and nothing else."""
    report = report_of(asked=3).message()
    reports_topic.publish(report)
    assert message() == ordered_json(report)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\x00", "\ufffe"])
def test_hostile_names(reports_topic: ResultsTopic, message: Messages, name: str) -> None:
    """A report about a datamart of any name arrives with exactly that name."""
    reports_topic.publish(report_of(skipped=[skipped(name)]).message())
    assert json.loads(message())["skipped"][0]["datamartName"] == name


def test_the_largest_report(reports_topic: ResultsTopic, message: Messages) -> None:
    """A report of ten thousand datamarts with the longest names stays within 256 KiB, its counts whole."""
    longest = "\U0001f642" * 250
    entries = [skipped(f"{longest}{number}", longest) for number in range(10_000)]
    report = report_of(asked=10_000, name=longest, cancelled=10_000, skipped=entries, refusal="\U0001f642" * 100_000)
    reports_topic.publish(report.message())
    told = message()
    assert len(told.encode()) <= MAX_MESSAGE_BYTES - 1_024  # attributes and subject count, too
    counts = json.loads(told)["counts"]
    assert (counts["matched"], counts["asked"], counts["cancelled"], counts["skipped"]) == (10_000,) * 4


@pytest.mark.parametrize(
    ("report", "subject"),
    [
        (report_of(asked=0), "Sweep requested 0 retirements [prod]"),
        (report_of(asked=1), "Sweep requested 1 retirement [prod]"),
        (report_of(asked=25), "Sweep requested 25 retirements [prod]"),
        (report_of(would_ask=2, dry_run=True), "Sweep would request 2 retirements [prod]"),
        (report_of(dry_run=None, refusal="no policy"), "Sweep refused [prod]"),
        (report_of(held_back=9, refusal="too many"), "Sweep refused [prod]"),
        (report_of(environment="e" * 64, asked=9), f"Sweep requested 9 retirements [{'e' * 64}]"),
    ],
)
def test_the_subject(sns_topic: SnsReportsTopic, subscription: Subscription, report: SweepReport, subject: str) -> None:
    """A subject says what the sweep did where, in printable ASCII of at most 99 characters."""
    sns_topic.publish(report.message())
    assert subscription.take(1)[0]["Subject"] == subject
    assert len(subject) <= MAX_SUBJECT_LENGTH


def test_a_long_subject(sns_topic: SnsReportsTopic, subscription: Subscription) -> None:
    """A subject that gets too long is cut; the emulator would take more."""
    sns_topic.publish(report_of(would_ask=10_000, dry_run=True, environment="e" * 64).message())
    assert len(subscription.take(1)[0]["Subject"]) == MAX_SUBJECT_LENGTH


def test_the_attributes(sns_topic: SnsReportsTopic, subscription: Subscription) -> None:
    """A subscription can take the reports alone, and one that filters by outcome gets none."""
    sns_topic.publish(report_of(asked=1).message())
    assert subscription.take(1)[0]["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "sweep"},
        "environment": {"Type": "String", "Value": "prod"},
    }


def test_no_topic(aws: EmbeddedStack, subscription: Subscription) -> None:
    """A report that is not taken is an error."""
    nowhere: Document = report_of(asked=1).message()
    with pytest.raises(AwsCallFailed, match=r"SNS Publish to .*-nowhere failed: .*NotFound"):
        SnsReportsTopic(aws.sns, f"{subscription.topic_arn}-nowhere").publish(nowhere)
