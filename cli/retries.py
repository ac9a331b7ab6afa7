"""Requests that are being retried, as the coordination table knows them: a hint, and the evidence decides."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli.stack import AwsRefused, Stack
from retirement.aws.progress import PREFIX, progress_prefix
from retirement.canonical import Document
from retirement.record.keys import restore_key, retirement_key
from retirement.requests import MAX_RECEIVES
from retirement.timestamps import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

MAX_ATTEMPTS = MAX_RECEIVES - 1  # the last receive makes none


@dataclass(frozen=True, slots=True)
class Retry:
    """A request whose last attempt failed, and when the next one is due."""

    kind: str
    datamart_name: str
    retirement_id: str
    restore_id: str | None
    receives: int
    reason: str
    at: datetime
    next_at: datetime

    @classmethod
    def of(cls, item: "Mapping[str, AttributeValueTypeDef]") -> "Retry":
        """Read an item as the functions write it.

        Raises:
            KeyError, ValueError: it is another one.
        """
        return cls(
            item["kind"]["S"],
            item["datamartName"]["S"],
            item["retirementId"]["S"],
            item["restoreId"]["S"] if "restoreId" in item else None,
            int(item["receives"]["N"]),
            item["reason"]["S"],
            parse_timestamp(item["at"]["S"]),
            parse_timestamp(item["nextAt"]["S"]),
        )

    @property
    def prefix(self) -> str:
        """Where the evidence of the request is stored."""
        if self.restore_id is not None:
            return restore_key(self.datamart_name, self.retirement_id, self.restore_id, "")
        return retirement_key(self.datamart_name, self.retirement_id, "")

    def __str__(self) -> str:
        what = "" if self.kind == "retirement" else f"{self.kind}: "
        then = "next" if self.receives < MAX_ATTEMPTS else "abandoned"
        return (
            f"{what}attempt {self.receives} of {MAX_ATTEMPTS} failed: {self.reason}, {then} at {self.next_at:%H:%M:%S}Z"
        )

    def document(self) -> Document:
        """Return it as `--json` writes it."""
        return {
            "kind": self.kind,
            "restoreId": self.restore_id,
            "attempt": self.receives,
            "attempts": MAX_ATTEMPTS,
            "reason": self.reason,
            "failedAt": format_timestamp(self.at),
            "nextAt": format_timestamp(self.next_at),
        }


def retries(stack: Stack, retirement_id: str | None = None) -> list[Retry]:
    """Scan for requests that are being retried, or for those of an ID; none if the caller may not."""
    prefix = PREFIX if retirement_id is None else progress_prefix(retirement_id)
    try:
        with stack.calls():
            pages = stack.dynamodb.get_paginator("scan").paginate(
                TableName=stack.coordination_table,
                FilterExpression="begins_with(pk, :prefix)",
                ExpressionAttributeValues={":prefix": {"S": prefix}},
            )
            items = [item for page in pages for item in page["Items"]]
    except AwsRefused:
        return []
    return [Retry.of(item) for item in items]


def retry_under(stack: Stack, key: str) -> Retry | None:
    """Read the item of one request; None if there is none, or if the caller may not read it."""
    try:
        with stack.calls():
            answer = stack.dynamodb.get_item(
                TableName=stack.coordination_table, Key={"pk": {"S": key}}, ConsistentRead=True
            )
    except AwsRefused:
        return None
    return Retry.of(answer["Item"]) if "Item" in answer else None
