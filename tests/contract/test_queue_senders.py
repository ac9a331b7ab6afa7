"""Who may send to a queue whose senders are named, by an IAM that judges the template's own statement."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types

from local.emulator import CHECKOUT, REGION
from local.stack import EmbeddedStack

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

pytestmark = pytest.mark.xdist_group("ministack")

ACCOUNT = "arn:aws:iam::000000000000"


def denial(queue_arn: str, senders: str) -> dict[str, Any]:
    """The statement of `RequestsPolicy`, filled in as CloudFormation does."""
    template, errors = decode(str(CHECKOUT / "template.yaml"))
    assert not errors
    (statement,) = (
        part["Fn::If"][1]
        for part in template["Resources"]["RequestsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "Fn::If" in part
    )
    values = {
        "TimerRole.Arn": f"{ACCOUNT}:role/timers",
        "ScheduleFunctionRole.Arn": f"{ACCOUNT}:role/schedule",
        "QueueSenderArns": senders,
        "Requests.Arn": queue_arn,
        "RequestedRule.Arn": f"arn:aws:events:{REGION}:000000000000:rule/requested",
    }

    def filled_in(node: Any) -> Any:  # noqa: ANN401  # a part of the statement
        match node:
            case {"Fn::Split": [separator, text]}:
                return filled_in(text).split(separator)
            case {"Fn::Sub": str(text)}:
                for name, value in values.items():
                    text = text.replace(f"${{{name}}}", value)
                return text
            case {"Fn::GetAtt": [name, attribute]}:
                return values[f"{name}.{attribute}"]
            case dict():
                return {name: filled_in(part) for name, part in node.items()}
        return node

    return dict(filled_in(statement))


@pytest.fixture
def queue_url(aws: EmbeddedStack) -> str:
    """A queue of its own."""
    return aws.sqs.create_queue(QueueName=f"requests-{uuid4()}")["QueueUrl"]


@pytest.fixture
def as_user(aws: EmbeddedStack) -> Callable[[str], "SQSClient"]:
    """SQS for a user whose own policy allows everything with it."""

    def client(name: str) -> "SQSClient":
        aws.iam.create_user(UserName=name)
        everything = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
        aws.iam.put_user_policy(UserName=name, PolicyName="sqs", PolicyDocument=json.dumps({"Statement": everything}))
        key = aws.iam.create_access_key(UserName=name)["AccessKey"]
        return boto3.client(
            "sqs",
            region_name=REGION,
            endpoint_url=aws.environment["AWS_ENDPOINT_URL"],
            verify=aws.authority,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    return client


def test_who_is_named_sends_and_nobody_else(
    aws: EmbeddedStack, queue_url: str, as_user: Callable[[str], "SQSClient"]
) -> None:
    """Whatever its own policy allows, a user who is not named cannot send, and one who is, by name or by *, can."""
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    named, matched, other = (f"{kind}-{uuid4()}" for kind in ("named", "ops", "other"))
    statement = denial(arn, f"{ACCOUNT}:user/{named},{ACCOUNT}:user/ops-*")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    users = {name: as_user(name) for name in (named, matched, other)}
    users[other].send_message(QueueUrl=queue_url, MessageBody="before")
    aws.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})

    for name in (named, matched):
        users[name].send_message(QueueUrl=queue_url, MessageBody=name)
    with pytest.raises(ClientError, match="AccessDenied"):
        users[other].send_message(QueueUrl=queue_url, MessageBody=other)
