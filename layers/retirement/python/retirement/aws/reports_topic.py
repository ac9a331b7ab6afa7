"""The results topic on SNS, for the reports of sweeps."""

from typing import TYPE_CHECKING, Any, cast

from retirement.aws.sns_message import as_subject, publish
from retirement.canonical import Document
from retirement.wording import in_words

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsReportsTopic:
    """Publishes reports without the attribute `outcome`, so that a filter on outcomes does not match them."""

    def __init__(self, sns: "SNSClient", topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def publish(self, report: Document) -> None:
        """Publish a report, with the attributes `kind` and `environment`."""
        attributes = {"kind": "sweep", "environment": str(report["environment"])}
        publish(self._sns, self._topic_arn, report, subject(report), attributes)


def subject(report: Document) -> str:
    """Return the subject, for example `Sweep requested 3 retirements [prod]`."""
    counts = cast("dict[str, Any]", report["counts"])
    if report["refusal"] is not None:
        outcome = "refused"
    elif report["dryRun"]:
        outcome = f"would request {in_words(counts['wouldAsk'], 'retirement')}"
    else:
        outcome = f"requested {in_words(counts['asked'], 'retirement')}"
    return as_subject(f"Sweep {outcome} [{report['environment']}]")
