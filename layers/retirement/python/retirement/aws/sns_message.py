"""A message on SNS: JSON, with a subject for mail and attributes that subscriptions filter by."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import Document, ordered_json
from retirement.errors import AwsCallFailed

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# A subject is ASCII without control characters, begins with a letter, digit or punctuation, and has fewer than 100
# characters (SNS API reference, Publish).
SUBJECT_LIMIT = 99


def publish(sns: "SNSClient", topic_arn: str, document: Document, subject: str, attributes: Mapping[str, str]) -> None:
    """Publish a document; equal documents give equal bytes.

    Raises:
        AwsCallFailed: SNS did not accept it, or the answer was lost.
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
    """Cut a text to a subject, and replace characters that SNS does not accept by `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", text[:SUBJECT_LIMIT])
