"""The exact requests, and what a real table does not do on demand; the rest is the contract suite's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from retirement.aws.coordination import MAX_COLLISIONS, CoordinationTable
from retirement.errors import AwsCallFailed
from retirement.outcomes import Reason
from tests.fakes import START
from tests.unit.samples import REQUEST

UNTIL = START + timedelta(seconds=59.5)
FAILURE = {"pk": {"S": "failure#offboard-1#sales"}}
FAILURE_ITEM = FAILURE | {"reason": {"S": "unconfirmed"}, "expiresAt": {"N": str(int(START.timestamp()) + 30 * 86_400)}}


@pytest.fixture(scope="module")
def dynamodb() -> Any:  # noqa: ANN401  # a client
    """A client that has no account."""
    return boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.fixture
def stub(dynamodb: Any) -> Iterator[Stubber]:  # noqa: ANN401  # a client
    """Answers in order; all of them are asked for."""
    with Stubber(dynamodb) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def table(dynamodb: Any) -> CoordinationTable:  # noqa: ANN401  # a client
    """The adapter."""
    return CoordinationTable(dynamodb, "coordination")


@pytest.fixture
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


CALLS: dict[str, tuple[str, Callable[[CoordinationTable], object]]] = {
    "acquire": ("put_item", lambda table: table.acquire("sales", "invocation-1", START, UNTIL)),
    "release": ("delete_item", lambda table: table.release("sales", "invocation-1")),
    "used today": ("get_item", lambda table: table.used_today(START)),
    "reserve": ("transact_write_items", lambda table: table.reserve(REQUEST, 5, START)),
    "last failure": ("get_item", lambda table: table.last_failure(REQUEST)),
    "record failure": ("put_item", lambda table: table.record_failure(REQUEST, Reason.UNCONFIRMED, START)),
    "record no effect": ("put_item", lambda table: table.record_no_effect(REQUEST, Reason.BACKUP_FAILED, START)),
}


def test_acquire(stub: Stubber, table: CoordinationTable) -> None:
    """The lock is one conditional item that expires with the invocation; its holder may take it again."""
    item = {
        "pk": {"S": "lock#sales"},
        "holder": {"S": "invocation-1"},
        "until": {"N": "1772366459.500"},
        "expiresAt": {"N": "1772366460"},
    }
    stub.add_response(
        "put_item",
        {},
        {
            "TableName": "coordination",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk) OR #until < :now OR holder = :holder",
            "ExpressionAttributeNames": {"#until": "until"},
            "ExpressionAttributeValues": {":now": {"N": "1772366400.000"}, ":holder": {"S": "invocation-1"}},
        },
    )

    assert table.acquire("sales", "invocation-1", START, UNTIL) is True


@pytest.mark.parametrize(("call", "answer"), [("acquire", False), ("release", None), ("record failure", None)])
def test_condition_does_not_hold(stub: Stubber, table: CoordinationTable, call: str, answer: object) -> None:
    """A condition that does not hold is an answer: the lock is busy, or no longer ours, or doubt is kept already."""
    operation, act = CALLS[call]
    stub.add_client_error(operation, "ConditionalCheckFailedException", http_status_code=400)

    assert act(table) is answer


@pytest.mark.parametrize("call", CALLS)
def test_dynamodb_fails(stub: Stubber, table: CoordinationTable, call: str) -> None:
    """Any other refusal is an error."""
    operation, act = CALLS[call]
    stub.add_client_error(operation, "ProvisionedThroughputExceededException", http_status_code=400)

    with pytest.raises(AwsCallFailed, match=r"^DynamoDB \w+ failed: "):
        act(table)


@pytest.mark.parametrize("call", CALLS)
def test_no_connection(table: CoordinationTable, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A call that reaches nobody is an error."""
    operation, act = CALLS[call]

    def fail(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(table._dynamodb, operation, fail)  # noqa: SLF001  # a Stubber raises no such error

    with pytest.raises(AwsCallFailed):
        act(table)


@pytest.mark.parametrize(("answer", "reason"), [({}, None), ({"Item": FAILURE_ITEM}, Reason.UNCONFIRMED)])
def test_last_failure(stub: Stubber, table: CoordinationTable, answer: dict[str, Any], reason: Reason | None) -> None:
    """The last failure is read consistently."""
    stub.add_response("get_item", answer, {"TableName": "coordination", "Key": FAILURE, "ConsistentRead": True})

    assert table.last_failure(REQUEST) is reason


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (START, "2026-03-01"),
        (datetime(2026, 3, 2, 0, 59, tzinfo=timezone(timedelta(hours=1))), "2026-03-01"),
        (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-02"),
    ],
)
@pytest.mark.parametrize(("item", "used"), [({}, 0), ({"Item": {"used": {"N": "7"}}}, 7)])
def test_used_today(
    stub: Stubber, table: CoordinationTable, item: dict[str, Any], used: int, now: datetime, day: str
) -> None:
    """The count of a UTC day is read consistently; a day without one is at 0."""
    key = {"pk": {"S": f"day#{day}"}}
    stub.add_response("get_item", item, {"TableName": "coordination", "Key": key, "ConsistentRead": True})

    assert table.used_today(now) == used


EXPIRES_AT = {"N": str(int(START.timestamp()) + 30 * 86_400)}
RESERVATION = {
    "TransactItems": [
        {
            "Put": {
                "TableName": "coordination",
                "Item": {"pk": {"S": "counted#2026-03-01#offboard-1#sales"}, "expiresAt": EXPIRES_AT},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
        {
            "Update": {
                "TableName": "coordination",
                "Key": {"pk": {"S": "day#2026-03-01"}},
                "UpdateExpression": "SET expiresAt = :expires ADD used :one",
                "ConditionExpression": "attribute_not_exists(used) OR used < :limit",
                "ExpressionAttributeValues": {":expires": EXPIRES_AT, ":one": {"N": "1"}, ":limit": {"N": "5"}},
            }
        },
    ]
}


def cancelled(stub: Stubber, mark: str, count: str) -> None:
    """Let a transaction be cancelled for these reasons, as DynamoDB tells them."""
    fields = {"CancellationReasons": [{"Code": mark}, {"Code": count}]}
    code = "TransactionCanceledException"
    stub.add_client_error("transact_write_items", code, "cancelled", 400, modeled_fields=fields)


def test_reserve(stub: Stubber, table: CoordinationTable) -> None:
    """One transaction marks the retirement and raises the day's count, if neither rule is broken."""
    stub.add_response("transact_write_items", {}, RESERVATION)

    assert table.reserve(REQUEST, 5, START) is True


def test_reserve_none(stub: Stubber, table: CoordinationTable) -> None:
    """Where none is allowed nothing is asked: a day without a count would let the first one through."""
    assert table.reserve(REQUEST, 0, START) is False
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("mark", "count", "reserved"),
    [
        ("ConditionalCheckFailed", "None", True),
        ("ConditionalCheckFailed", "ConditionalCheckFailed", True),
        ("None", "ConditionalCheckFailed", False),
    ],
)
def test_transaction_is_cancelled(
    stub: Stubber,
    table: CoordinationTable,
    mark: str,
    count: str,
    reserved: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A retirement that is marked is counted, also on a day that is full since; else a full day is full."""
    cancelled(stub, mark, count)

    assert table.reserve(REQUEST, 5, START) is reserved


@pytest.mark.usefixtures("_without_waiting")
@pytest.mark.parametrize(
    ("mark", "count"), [("None", "TransactionConflict"), ("ConditionalCheckFailed", "TransactionConflict")]
)
def test_collision(stub: Stubber, table: CoordinationTable, mark: str, count: str) -> None:
    """Transactions that collide on the day's count are sent again."""
    cancelled(stub, mark, count)
    cancelled(stub, mark, count)
    stub.add_response("transact_write_items", {}, RESERVATION)

    assert table.reserve(REQUEST, 5, START) is True


def test_waits_between_collisions(stub: Stubber, table: CoordinationTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between them are random waits, at most twice as long each time and never longer than a second."""
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda least, most: most if least == 0 else -1)
    for _ in range(MAX_COLLISIONS - 1):
        cancelled(stub, "None", "TransactionConflict")
    stub.add_response("transact_write_items", {}, RESERVATION)

    assert table.reserve(REQUEST, 5, START) is True
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]


@pytest.mark.usefixtures("_without_waiting")
def test_collisions_without_end(stub: Stubber, table: CoordinationTable) -> None:
    """Collisions that do not end are an error, and never a place in the count."""
    for _ in range(MAX_COLLISIONS):
        cancelled(stub, "None", "TransactionConflict")

    with pytest.raises(AwsCallFailed, match=r"^DynamoDB TransactWriteItems failed: "):
        table.reserve(REQUEST, 5, START)


def test_transaction_is_cancelled_otherwise(stub: Stubber, table: CoordinationTable) -> None:
    """Throttling, for one, is an error."""
    cancelled(stub, "None", "ThrottlingError")

    with pytest.raises(AwsCallFailed, match=r"^DynamoDB TransactWriteItems failed: "):
        table.reserve(REQUEST, 5, START)


def test_record_failure(stub: Stubber, table: CoordinationTable) -> None:
    """A reason is kept longer than a message lives, and doubt is never overwritten by it."""
    stub.add_response(
        "put_item",
        {},
        {
            "TableName": "coordination",
            "Item": FAILURE_ITEM,
            "ConditionExpression": "attribute_not_exists(reason) OR reason <> :unconfirmed",
            "ExpressionAttributeValues": {":unconfirmed": {"S": "unconfirmed"}},
        },
    )

    table.record_failure(REQUEST, Reason.UNCONFIRMED, START)


def test_record_no_effect(stub: Stubber, table: CoordinationTable) -> None:
    """Doubt ends with a reason, whatever was kept."""
    settled = FAILURE_ITEM | {"reason": {"S": "backup_failed"}}
    stub.add_response("put_item", {}, {"TableName": "coordination", "Item": settled})

    table.record_no_effect(REQUEST, Reason.BACKUP_FAILED, START)


def test_failure_after_an_intent(stub: Stubber, table: CoordinationTable) -> None:
    """After an intent a reason takes the place of another one; of none, or of a doubt, the place is a doubt's."""
    expected = {
        "TableName": "coordination",
        "Item": FAILURE_ITEM | {"reason": {"S": "backup_failed"}},
        "ConditionExpression": "attribute_exists(reason) AND reason <> :unconfirmed",
        "ExpressionAttributeValues": {":unconfirmed": {"S": "unconfirmed"}},
    }
    stub.add_response("put_item", {}, expected)
    stub.add_client_error("put_item", "ConditionalCheckFailedException", expected_params=expected)
    doubted = FAILURE_ITEM | {"reason": {"S": "unconfirmed"}}
    stub.add_response("put_item", {}, {"TableName": "coordination", "Item": doubted})

    table.record_failure(REQUEST, Reason.BACKUP_FAILED, START, after_intent=True)
    table.record_failure(REQUEST, Reason.BACKUP_FAILED, START, after_intent=True)
