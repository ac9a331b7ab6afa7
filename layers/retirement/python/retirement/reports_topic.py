"""The results topic on SNS, as the reports of sweeps go there."""

import re
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import Document, ordered_json
from retirement.errors import AwsCallFailed
from retirement.results import in_words

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# SNS API reference, Publish: fewer than 100 characters.
_SUBJECT_LIMIT = 99


class SnsReportsTopic:
    """Publishes reports without the attribute `outcome`, so that a filter on outcomes keeps them away."""

    def __init__(self, sns: "SNSClient", topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def publish(self, report: Document) -> None:
        """Publish.

        Raises:
            AwsCallFailed: SNS did not take it.
        """
        try:
            self._sns.publish(
                TopicArn=self._topic_arn,
                Message=ordered_json(report),
                Subject=subject(report),
                MessageAttributes={
                    "kind": {"DataType": "String", "StringValue": "sweep"},
                    "environment": {"DataType": "String", "StringValue": str(report["environment"])},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"SNS Publish to {self._topic_arn} failed: {error}") from error


def subject(report: Document) -> str:
    """For example `Sweep asked for 3 retirements [prod]`."""
    counts = cast("dict[str, Any]", report["counts"])
    if report["refusal"] is not None:
        told = "refused"
    elif report["dryRun"]:
        told = f"would ask for {in_words(counts['wouldAsk'], 'retirement')}"
    else:
        told = f"asked for {in_words(counts['asked'], 'retirement')}"
    return re.sub(r"[^\x20-\x7e]", "?", f"Sweep {told} [{report['environment']}]"[:_SUBJECT_LIMIT])
