"""The coordination table in DynamoDB: locks, the day's counts, and what is known of failed attempts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from retirement.errors import AwsCallFailed
from retirement.outcomes import Reason
from retirement.requests import Request, RestoreRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

# Longer than a message can be in both queues (14 days each).
RETENTION = timedelta(days=30)

MAX_COLLISIONS = 10
_CONDITION = "ConditionalCheckFailed"


class CoordinationTable:
    """One table, with partition key `pk` (string) and TTL attribute `expiresAt` (epoch seconds).

    DynamoDB deletes expired items up to days late (developer guide, "Using time to live"), so locks are compared with
    the time. Every method raises `AwsCallFailed` if DynamoDB does not answer.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def acquire(self, datamart_name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Put the lock's item, unless another holder's exists and has not expired."""
        with _errors_translated("PutItem"):
            try:
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item={
                        "pk": {"S": _lock(datamart_name)},
                        "holder": {"S": holder},
                        "until": {"N": f"{until.timestamp():.3f}"},
                        "expiresAt": {"N": str(int(until.timestamp()) + 1)},
                    },
                    # the holder is compared because the SDK retries a call whose answer was lost
                    ConditionExpression="attribute_not_exists(pk) OR #until < :now OR holder = :holder",
                    ExpressionAttributeNames={"#until": "until"},
                    ExpressionAttributeValues={":now": {"N": f"{now.timestamp():.3f}"}, ":holder": {"S": holder}},
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def release(self, datamart_name: str, holder: str) -> None:
        """Delete the lock's item, if it is still this holder's; after an error the lock expires."""
        with _errors_translated("DeleteItem"), suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.delete_item(
                TableName=self._table,
                Key={"pk": {"S": _lock(datamart_name)}},
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues={":holder": {"S": holder}},
            )

    def used_today(self, now: datetime) -> int:
        """Return the day's count, by a consistent read."""
        item = self._read(_day(now))
        return 0 if item is None else int(item["used"]["N"])

    def is_counted(self, request: Request, now: datetime) -> bool:
        """Return whether the day has a mark of this retirement, by a consistent read."""
        return self._read(_mark(request, now)) is not None

    def reserve(self, request: Request, limit: int, now: datetime) -> bool:
        """Write the day's mark of this retirement and raise the count, in one transaction.

        A transaction that conflicts with another one is retried, up to `MAX_COLLISIONS` times.
        """
        if limit == 0:
            return False
        expires_at = {"N": str(int((now + RETENTION).timestamp()))}
        retrying = Retrying(
            retry=retry_if_exception(_collided),
            stop=stop_after_attempt(MAX_COLLISIONS),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        )
        with _errors_translated("TransactWriteItems"):
            try:
                retrying(
                    self._dynamodb.transact_write_items,
                    TransactItems=[
                        {
                            "Put": {
                                "TableName": self._table,
                                "Item": {"pk": {"S": _mark(request, now)}, "expiresAt": expires_at},
                                "ConditionExpression": "attribute_not_exists(pk)",
                            }
                        },
                        {
                            "Update": {
                                "TableName": self._table,
                                "Key": {"pk": {"S": _day(now)}},
                                "UpdateExpression": "SET expiresAt = :expires ADD used :one",
                                "ConditionExpression": "attribute_not_exists(used) OR used < :limit",
                                "ExpressionAttributeValues": {
                                    ":expires": expires_at,
                                    ":one": {"N": "1"},
                                    ":limit": {"N": str(limit)},
                                },
                            }
                        },
                    ],
                )
            except self._dynamodb.exceptions.TransactionCanceledException as error:
                mark, count = (reason["Code"] for reason in error.response["CancellationReasons"])
                if mark == _CONDITION:  # counted by an earlier attempt
                    return True
                if count == _CONDITION:
                    return False
                raise
        return True

    def last_failure(self, request: Request | RestoreRequest) -> Reason | None:
        """Return the recorded reason, by a consistent read."""
        item = self._read(_failure(request))
        return None if item is None else Reason(item["reason"]["S"])

    def record_failure(
        self, request: Request | RestoreRequest, reason: Reason, now: datetime, *, after_intent: bool = False
    ) -> None:
        """Put the reason, unless `unconfirmed` is recorded, or nothing is after an intent."""
        condition = "attribute_exists(reason) AND" if after_intent else "attribute_not_exists(reason) OR"
        with _errors_translated("PutItem"):
            try:
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=_failure_item(request, reason, now),
                    ConditionExpression=f"{condition} reason <> :unconfirmed",
                    ExpressionAttributeValues={":unconfirmed": {"S": Reason.UNCONFIRMED}},
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                if after_intent:
                    self._dynamodb.put_item(TableName=self._table, Item=_failure_item(request, Reason.UNCONFIRMED, now))

    def record_no_effect(self, request: Request | RestoreRequest, reason: Reason, now: datetime) -> None:
        """Put the reason, whatever is recorded."""
        with _errors_translated("PutItem"):
            self._dynamodb.put_item(TableName=self._table, Item=_failure_item(request, reason, now))

    def record_created(self, request: RestoreRequest, configuration_hash: str, now: datetime) -> None:
        """Record that Databrain has created the datamart, and as what it listed it then; empty if not yet listed.

        Raises:
            AwsCallFailed: DynamoDB did not answer.
        """
        expires_at = {"N": str(int((now + RETENTION).timestamp()))}
        with _errors_translated("PutItem"):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={"pk": {"S": _created(request)}, "hash": {"S": configuration_hash}, "expiresAt": expires_at},
            )

    def created(self, request: RestoreRequest) -> str | None:
        """Return the recorded hash, or None if none is recorded.

        Raises:
            AwsCallFailed: DynamoDB did not answer.
        """
        item = self._read(_created(request))
        return None if item is None else item["hash"]["S"]

    def _read(self, key: str) -> "Mapping[str, AttributeValueTypeDef] | None":
        with _errors_translated("GetItem"):
            answer = self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return answer.get("Item")


def _lock(datamart_name: str) -> str:
    return f"lock#{datamart_name}"


def _day(now: datetime) -> str:
    return f"day#{_date(now)}"


def _date(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _mark(request: Request, now: datetime) -> str:
    return f"counted#{_date(now)}#{_identity(request)}"


def _identity(request: Request) -> str:
    return f"{request.retirement_id}#{request.datamart_name}"


def _failure(request: Request | RestoreRequest) -> str:
    if isinstance(request, RestoreRequest):
        return f"restore-failure#{_identity_of_restore(request)}"
    return f"failure#{_identity(request)}"


def _created(request: RestoreRequest) -> str:
    return f"restore-created#{_identity_of_restore(request)}"


def _identity_of_restore(request: RestoreRequest) -> str:
    return f"{request.restore_id}#{request.retirement_id}#{request.datamart_name}"


def _collided(error: BaseException) -> bool:
    """Return whether another transaction on the same items was in progress (API reference, TransactWriteItems)."""
    if not isinstance(error, ClientError):
        return False
    reasons = error.response.get("CancellationReasons", [])
    return any(reason.get("Code") == "TransactionConflict" for reason in reasons)


def _failure_item(request: Request | RestoreRequest, reason: Reason, now: datetime) -> dict[str, dict[str, str]]:
    return {
        "pk": {"S": _failure(request)},
        "reason": {"S": reason},
        "expiresAt": {"N": str(int((now + RETENTION).timestamp()))},
    }


@contextmanager
def _errors_translated(operation: str) -> Iterator[None]:
    """Raise the SDK's errors as `AwsCallFailed`."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise AwsCallFailed(f"DynamoDB {operation} failed: {error}") from error
