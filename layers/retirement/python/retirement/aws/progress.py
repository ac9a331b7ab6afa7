"""What is known of requests that are being retried, in the coordination table."""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.delivery.ports import FailedAttempt
from retirement.errors import AwsCallFailed
from retirement.requests import Kind
from retirement.timestamps import format_timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "progress#"

# As long as a message can be in a queue.
RETENTION = timedelta(days=14)


class ProgressTable:
    """One item for each request, found by a scan for the prefix of its retirementId (`progress_prefix`)."""

    def __init__(self, make_client: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._make_client = make_client
        self._table = table

    @cached_property
    def _client(self) -> "DynamoDBClient":
        """The client, which is created on first use because few invocations of the schedule function need it."""
        return self._make_client()

    def record(self, failed: FailedAttempt) -> None:
        """Put the request's item."""
        item = {
            "pk": progress_key(failed.kind, failed.datamart_name, failed.retirement_id, failed.restore_id),
            "datamartName": failed.datamart_name,
            "retirementId": failed.retirement_id,
            "kind": failed.kind,
            **({} if failed.restore_id is None else {"restoreId": failed.restore_id}),
            "reason": failed.reason,
            "at": format_timestamp(failed.at),
            "nextAt": format_timestamp(failed.next_at),
        }
        numbers = {"receives": failed.receives, "expiresAt": int((failed.at + RETENTION).timestamp())}
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **{name: {"S": value} for name, value in item.items()},
                    **{name: {"N": str(value)} for name, value in numbers.items()},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"DynamoDB PutItem failed: {error}") from error


def progress_key(kind: Kind, datamart_name: str, retirement_id: str, restore_id: str | None) -> str:
    """Return the key of a request's item. IDs contain no `#`."""
    return f"{progress_prefix(retirement_id)}{kind}#{restore_id or ''}#{datamart_name}"


def progress_prefix(retirement_id: str) -> str:
    """Return what the keys of all items of a retirementId begin with."""
    return f"{PREFIX}{retirement_id}#"
