"""The port `Progress` on DynamoDB, and how the command line finds what was recorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from cli.retries import Retry, retries, retry_under
from cli.stack import Stack
from local.stack import EmbeddedStack
from retirement.aws.progress import ProgressTable, progress_key
from retirement.delivery.ports import FailedAttempt
from retirement.errors import AwsCallFailed
from retirement.outcomes import Reason
from retirement.requests import Kind
from tests.contract.hostile_names import HOSTILE_NAMES

pytestmark = pytest.mark.xdist_group("ministack")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def progress(aws: EmbeddedStack, table: str) -> ProgressTable:
    """The adapter."""
    return ProgressTable(lambda: aws.dynamodb, table)


@pytest.fixture
def stack(aws: EmbeddedStack, table: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack of the command line with that table."""
    stack = Stack.__new__(Stack)
    monkeypatch.setattr(Stack, "dynamodb", aws.dynamodb)
    vars(stack)["coordination_table"] = table
    return stack


def failed(retirement_id: str, name: str = "sales") -> FailedAttempt:
    """The second attempt at a retirement."""
    return FailedAttempt(
        kind=Kind.RETIREMENT,
        datamart_name=name,
        retirement_id=retirement_id,
        restore_id=None,
        receives=2,
        reason=Reason.DATABRAIN_UNAVAILABLE,
        at=NOW,
        next_at=NOW + timedelta(minutes=15),
    )


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_found_by_id_alone(progress: ProgressTable, stack: Stack, name: str) -> None:
    """Whatever the datamart is called, what is known of it is found by the ID, and by the ID alone."""
    retirement_id = f"id-{uuid4()}"
    progress.record(failed(retirement_id, name))
    progress.record(failed(f"{retirement_id}-another", name))

    (found,) = retries(stack, retirement_id)

    assert found == Retry(
        "retirement", name, retirement_id, None, 2, "databrain_unavailable", NOW, NOW + timedelta(minutes=15)
    )
    assert retry_under(stack, progress_key(Kind.RETIREMENT, name, retirement_id, None)) == found
    assert str(found) == "attempt 2 of 5 failed: databrain_unavailable, next at 12:15:00Z"


def test_the_last_attempt_counts(progress: ProgressTable, stack: Stack) -> None:
    """A later attempt replaces what was known; a cancellation and a restore of the same ID are apart from it."""
    retirement_id = f"id-{uuid4()}"
    first = failed(retirement_id)
    for each in (
        first,
        replace(first, receives=3),
        replace(first, kind=Kind.CANCELLATION),
        replace(first, kind=Kind.RESTORE, restore_id="back"),
    ):
        progress.record(each)

    found = {(each.kind, each.restore_id): each.receives for each in retries(stack, retirement_id)}

    assert found == {("retirement", None): 3, ("cancellation", None): 2, ("restore", "back"): 2}


def test_it_expires(aws: EmbeddedStack, progress: ProgressTable, table: str) -> None:
    """An item expires when no message can be in a queue any more."""
    retirement_id = f"id-{uuid4()}"
    progress.record(failed(retirement_id))

    key = progress_key(Kind.RETIREMENT, "sales", retirement_id, None)
    item = aws.dynamodb.get_item(TableName=table, Key={"pk": {"S": key}})["Item"]
    assert int(item["expiresAt"]["N"]) == int((NOW + timedelta(days=14)).timestamp())


def test_an_error() -> None:
    """An error of DynamoDB's is one of this project's."""

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")

    client = cast("Any", SimpleNamespace(put_item=refuse))
    with pytest.raises(AwsCallFailed, match="DynamoDB PutItem failed"):
        ProgressTable(lambda: client, "table").record(failed("id"))
