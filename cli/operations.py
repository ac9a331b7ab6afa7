"""What operators did to the stack itself, as objects of the evidence bucket: who, when and why."""

import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from cli.records import Entry, Folder
from cli.stack import Stack
from retirement.canonical import Json, ordered_json
from retirement.timestamps import format_timestamp

PREFIX = "operations/"
STOPPED, RESUMED, DROPPED = "stopped", "resumed", "dropped"


def record(stack: Stack, what: str, reason: str | None, **about: Json) -> None:
    """Store what the caller did."""
    at = format_timestamp(datetime.now(UTC))
    document = {"formatVersion": "1", "what": what, "by": stack.caller, "at": at, "reason": reason, **about}
    with stack.calls():
        stack.evidence.create(f"{PREFIX}{at}-{what}-{secrets.token_hex(4)}.json", ordered_json(document))


def last(stack: Stack, whats: Collection[str]) -> dict[str, Any]:
    """Read the last of these that is stored; empty if there is none."""
    with stack.calls():
        keys = [key for key in stack.evidence.list(PREFIX) if any(f"-{what}-" in key for what in whats)]
    return Entry(stack, Folder("", {})).read(keys[-1]) if keys else {}
