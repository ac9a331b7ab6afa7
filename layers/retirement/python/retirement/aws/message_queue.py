"""The queues on SQS: the one that events come from, and the one that they are forwarded to."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.errors import AwsCallFailed
from retirement.requests import Delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsQueue:
    """Sends messages, and sets the delay until one is delivered again; receiving and deleting is up to Lambda."""

    def __init__(self, make_client: "Callable[[], SQSClient]", url: str) -> None:
        self._make_client = make_client
        self._url = url

    @cached_property
    def _client(self) -> "SQSClient":
        """The client, which is created on first use because few invocations need it."""
        return self._make_client()

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:
        """Change the message's visibility time-out (SQS API reference, ChangeMessageVisibility)."""
        if delivery.receipt_handle is None:
            return
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=delivery.receipt_handle, VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"SQS ChangeMessageVisibility failed: {error}") from error

    def send(self, body: str, seconds: int) -> None:
        """Send a message with this delay (SQS API reference, SendMessage: at most 900 seconds)."""
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=seconds)
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"SQS SendMessage failed: {error}") from error
