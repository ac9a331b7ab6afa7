from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from retirement.aws.results_topic import SnsResultsTopic, subject
from retirement.canonical import ordered_json
from retirement.errors import AwsCallFailed
from tests.fakes import Parsed

ARN = "arn:aws:sns:eu-west-1:123456789012:results"


def result_of(**fields: object) -> Parsed:
    """The part of a result that the topic looks at."""
    return {"outcome": "deleted", "datamartName": "sales-analytics", "environment": "prod", **fields}


class Sns:
    """Keeps what it is sent."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[Parsed] = []

    def publish(self, **fields: object) -> None:
        """Take a message."""
        if self.error:
            raise self.error
        self.sent.append(fields)


def published(result: Parsed) -> Parsed:
    """What goes out for a result."""
    sns: Any = Sns()
    SnsResultsTopic(sns, ARN).publish(result)
    [sent] = sns.sent
    return sent


def test_publish() -> None:
    """The message is the result, with what subscriptions filter by as attributes."""
    assert published(result_of()) == {
        "TopicArn": ARN,
        "Message": ordered_json(result_of()),
        "Subject": 'Datamart "sales-analytics" deleted [prod]',
        "MessageAttributes": {
            "outcome": {"DataType": "String", "StringValue": "deleted"},
            "datamartName": {"DataType": "String", "StringValue": "sales-analytics"},
            "environment": {"DataType": "String", "StringValue": "prod"},
        },
    }


@pytest.mark.parametrize("name", [None, ""])
def test_no_name(name: str | None) -> None:
    """An attribute without a value is left out: SNS takes no empty one."""
    sent = published(result_of(datamartName=name, outcome="rejected"))

    assert sent["MessageAttributes"].keys() == {"outcome", "environment"}
    assert sent["Subject"] == "Datamart retirement rejected [prod]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Umsätze 📈", "Umsätze 📈"),
        ("a\x00b\x1f", "a\ufffdb\ufffd"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("\t\n\r", "\t\n\r"),
    ],
)
def test_attribute(name: str, value: str) -> None:
    """A character that no attribute may hold is replaced there; the message has it all the same."""
    sent = published(result_of(datamartName=name))

    assert sent["MessageAttributes"]["datamartName"]["StringValue"] == value
    assert sent["Message"] == ordered_json(result_of(datamartName=name))


@pytest.mark.parametrize("outcome", ["deleted", "already_absent"])
@pytest.mark.parametrize("name", [None, "sales", "n" * 256, "売" * 256, '"', "\n\x00\x7f", "\ud800", " "])
@pytest.mark.parametrize("environment", ["prod", "e" * 64, "é"])
def test_subject(outcome: str, name: str | None, environment: str) -> None:
    """A subject is what SNS takes: 1 to 99 printable ASCII characters, whatever the name."""
    text = subject(result_of(outcome=outcome, datamartName=name, environment=environment))

    assert 0 < len(text) <= 99
    assert text.isascii()
    assert text.isprintable()
    assert text.startswith("Datamart ")


@pytest.mark.parametrize(
    ("name", "outcome", "text"),
    [
        ("sales", "already_absent", 'Datamart "sales" already absent [prod]'),
        ("Umsätze", "deleted", 'Datamart "Ums?tze" deleted [prod]'),
        ("n" * 73, "deleted", f'Datamart "{"n" * 73}" deleted [prod]'),
        ("n" * 74, "deleted", f'Datamart "{"n" * 70}..." deleted [prod]'),
    ],
)
def test_wording_of_a_subject(name: str, outcome: str, text: str) -> None:
    """A subject says in plain words what became of which datamart; only a long name is cut."""
    assert subject(result_of(datamartName=name, outcome=outcome)) == text
    assert len(text) <= 99


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish"),
        EndpointConnectionError(endpoint_url="https://sns"),
    ],
)
def test_not_taken(error: Exception) -> None:
    """A message that SNS does not take is an error that names the topic."""
    sns: Any = Sns(error)

    with pytest.raises(AwsCallFailed, match=f"SNS Publish to {ARN}"):
        SnsResultsTopic(sns, ARN).publish(result_of())
