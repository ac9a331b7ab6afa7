"""The exact requests, and what a real table does not do on demand; the rest is the contract suite's."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from retirement.coordination import CoordinationTable
from retirement.errors import AwsCallFailed
from retirement.results import Reason
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


CALLS: dict[str, tuple[str, Callable[[CoordinationTable], object]]] = {
    "acquire": ("put_item", lambda table: table.acquire("sales", "invocation-1", START, UNTIL)),
    "release": ("delete_item", lambda table: table.release("sales", "invocation-1")),
    "last failure": ("get_item", lambda table: table.last_failure(REQUEST)),
    "record failure": ("put_item", lambda table: table.record_failure(REQUEST, Reason.UNCONFIRMED, START)),
    "settle": ("put_item", lambda table: table.settle(REQUEST, Reason.BACKUP_FAILED, START)),
    "settle with nothing": ("delete_item", lambda table: table.settle(REQUEST, None, START)),
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


def test_settle(stub: Stubber, table: CoordinationTable) -> None:
    """Doubt ends with a reason, or with none, whatever was kept."""
    settled = FAILURE_ITEM | {"reason": {"S": "backup_failed"}}
    stub.add_response("put_item", {}, {"TableName": "coordination", "Item": settled})
    stub.add_response("delete_item", {}, {"TableName": "coordination", "Key": FAILURE})

    table.settle(REQUEST, Reason.BACKUP_FAILED, START)
    table.settle(REQUEST, None, START)
