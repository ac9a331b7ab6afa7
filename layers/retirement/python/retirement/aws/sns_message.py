"""A message on SNS: JSON, with a subject for mail and attributes that subscriptions filter by."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import Document, ordered_json
from retirement.errors import AwsCallFailed

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# SNS API reference, Publish: a subject is ASCII, begins with a letter, digit or punctuation, has no control characters
# and fewer than 100 characters.
SUBJECT_LIMIT = 99


def publish(sns: "SNSClient", topic_arn: str, document: Document, subject: str, attributes: Mapping[str, str]) -> None:
    """Publish; what is the same is published the same, to the byte.

    Raises:
        AwsCallFailed: SNS did not take it.
    """
    try:
        sns.publish(
            TopicArn=topic_arn,
            Message=ordered_json(document),
            Subject=subject,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except (ClientError, BotoCoreError) as error:
        raise AwsCallFailed(f"SNS Publish to {topic_arn} failed: {error}") from error


def as_subject(text: str) -> str:
    """What SNS takes of a text; what it does not take becomes `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", text[:SUBJECT_LIMIT])
