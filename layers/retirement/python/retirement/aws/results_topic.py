"""The results topic on SNS."""

import re
from typing import TYPE_CHECKING

from retirement.aws.sns_message import SUBJECT_LIMIT, as_subject, publish
from retirement.canonical import Document

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_ATTRIBUTES = ("outcome", "datamartName", "environment")
# Characters that message attributes cannot contain (SQS API reference, MessageAttributeValue, for subscribed queues).
# The reference lists those that they can: a class of these takes ten times as long to compile.
_NOT_IN_ATTRIBUTES = re.compile("[\0-\b\v\f\u000e-\u001f\ud800-\udfff\ufffe\uffff]")


class SnsResultsTopic:
    """Publishes results, with the attributes that subscriptions filter by."""

    def __init__(self, sns: "SNSClient", topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def publish(self, result: Document) -> None:
        """Publish a result, with the attributes `outcome`, `datamartName` and `environment`."""
        attributes = {name: _NOT_IN_ATTRIBUTES.sub("\ufffd", str(result[name])) for name in _ATTRIBUTES if result[name]}
        publish(self._sns, self._topic_arn, result, subject(result), attributes)


def subject(result: Document) -> str:
    """Return the subject, for example `Datamart "sales-analytics" deleted [prod]`."""
    tail = f" {str(result['outcome']).replace('_', ' ')} [{result['environment']}]"
    name, room = result["datamartName"], SUBJECT_LIMIT - len(tail)
    head = f'Datamart "{name}"' if name else "Datamart retirement"
    fitted = head if len(head) <= room else f'{head[: room - 4]}..."'
    return as_subject(fitted + tail)
