"""Sends requests as events, after the package's own validation, and shows what became of them."""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from cli.errors import Status, UsageError
from cli.output import Output, shown
from cli.session import Session
from cli.stack import Stack
from cli.waiting import Awaited, Wait, duration
from retirement.canonical import Document, Json
from retirement.delivery.intake import RESTORE_REQUESTED, parse_command, parse_request, parse_restore
from retirement.errors import InvalidRequest
from retirement.requests import Delivery, Request, RestoreRequest
from retirement.timestamps import format_timestamp

NO_REASON = "no reason was given"
MAX_SHOWN_EMBEDS = 20

# The lists of a result that are paths and texts.
LISTS = ("notRestorable", "differences", "notRestored")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The options of every command that sends a request.

    Attributes:
        requested_by: Who requests it, for the audit [default: your AWS identity].
        no_wait: Send only, and do not wait for the outcome.
        timeout: How long to wait, for example 90s or 2h.
    """

    requested_by: str | None = None
    no_wait: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    timeout: str = "15m"

    def __post_init__(self) -> None:
        """Check the time-out before anything is sent."""
        duration(self.timeout)


@dataclass(frozen=True, slots=True)
class Sendable:
    """A valid request that is not sent yet."""

    detail_type: str
    detail: Document
    name: str
    identity: str


def new_id(kind: str) -> str:
    """Return an ID that nothing else has."""
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def detail_of(session: Session, sending: Sending, **fields: Json) -> dict[str, Json]:
    """Return the fields of an event that have a value, with those that every event has."""
    own = {"environment": session.stack.environment_name, "requestedBy": sending.requested_by or session.stack.caller}
    return {**own, **{name: value for name, value in fields.items() if value is not None}}


def valid_request(detail: Document, detail_type: str) -> Request:
    """Return a request as the stack would read it.

    Raises:
        UsageError: the stack would reject it; the text names the field and the rule.
    """
    try:
        delivery = _delivery(detail, detail_type)
        return parse_request(delivery, backup_by_default=True, require_restorable=False, rehearse=False)
    except InvalidRequest as invalid:
        raise UsageError(invalid.message) from None


def require_valid(detail: Document, detail_type: str) -> None:
    """Check a cancellation or an approval as the stack does.

    Raises:
        UsageError: the stack would reject it; the text names the field and the rule.
    """
    try:
        parse_command(_delivery(detail, detail_type), backup_by_default=True)
    except InvalidRequest as invalid:
        raise UsageError(invalid.message) from None


def valid_restore(detail: Document) -> RestoreRequest:
    """Return a request to restore as the stack would read it.

    Raises:
        UsageError: the stack would reject it; the text names the field and the rule.
    """
    try:
        return parse_restore(_delivery(detail, RESTORE_REQUESTED))
    except InvalidRequest as invalid:
        raise UsageError(invalid.message) from None


def _delivery(detail: Document, detail_type: str) -> Delivery:
    now = datetime.now(UTC)
    event = {
        "version": "0",
        "id": "checked-before-it-is-sent",
        "source": "datamart",
        "detail-type": detail_type,
        "account": "000000000000",
        "time": format_timestamp(now),
        "region": "here",
        "resources": [],
        "detail": detail,
    }
    return Delivery(json.dumps(event), now, 1, "here")


def send(stack: Stack, detail_type: str, detail: Document, source: str | None = None) -> str:
    """Put an event on the stack's bus, and return its ID; without a source, from the first of `EventSources`."""
    with stack.calls():
        return stack.bus.put(source=source or stack.source, detail_type=detail_type, detail=detail)


def follow_up(session: Session, sending: Sending, awaited: Sequence[Awaited]) -> tuple[list[Document], Status]:
    """Wait for the outcomes of what was sent, unless that is not wanted.

    Returns:
        The answers that came, and the highest status.
    """
    output = session.output
    if sending.no_wait:
        for each in awaited:
            output.document(
                {"datamartName": each.name, "id": each.identity, "eventId": each.event_id, "follow": each.follow}
            )
            output.line(f"{shown(each.name)}: sent as {each.identity}; to look later: {each.follow}")
        return [], Status.OK
    wait = Wait(session.stack, output, duration(sending.timeout))
    return [document for _, document in wait.run(awaited)], wait.worst


def show_outcomes(session: Session, sending: Sending, awaited: Sequence[Awaited]) -> Status:
    """Wait for the outcomes of what was sent, unless that is not wanted, show them, and return the highest status."""
    results, status = follow_up(session, sending, awaited)
    for result in results:
        show_result(session.output, result)
    return status


def show_result(output: Output, result: Document) -> None:
    """Show a result: as the documented document, or as text."""
    output.document(result)
    reason = result.get("reason")
    output.line(
        f"{shown(result.get('datamartName'))}: {shown(result.get('outcome'))}{f', {shown(reason)}' if reason else ''}"
    )
    backup, dependents = result.get("backup"), result.get("dependents")
    output.fields(
        ("message", result.get("message")),
        ("retirementId", result.get("retirementId")),
        ("restoreId", result.get("restoreId")),
        ("retireAt", result.get("retireAt")),
        ("planId", result.get("planId")),
        ("approvals missing", result.get("approvalsMissing")),
        ("backup", backup.get("key") if isinstance(backup, dict) else None),
        ("restoredAs", result.get("restoredAs")),
        *(_embeds(dependents) if isinstance(dependents, dict) else ()),
        *((name, path) for name in LISTS for path in _listed(result.get(name))),
        *(("embed", _restored(embed)) for embed in _listed(result.get("restoredEmbeds")) if isinstance(embed, dict)),
    )


def _embeds(dependents: Document) -> Iterator[tuple[str, object]]:
    """Yield the first embeds that use the datamart or may use it, and how many there are in all."""
    for how, name in (("uses it", "found"), ("may use it", "undetermined")):
        listed, count = _listed(dependents.get(name)), dependents.get(f"{name}Count")
        for embed in listed[:MAX_SHOWN_EMBEDS]:
            if isinstance(embed, dict):
                yield how, f"embed {embed.get('embedId')} {embed.get('name')} of {embed.get('dataAppName')}"
        if isinstance(count, int) and count > min(len(listed), MAX_SHOWN_EMBEDS):
            yield how, f"{count} embeds in all"


def _restored(embed: Document) -> str:
    new = f" -> {embed.get('newEmbedId')}" if embed.get("newEmbedId") else ""
    why = f" ({embed.get('why')})" if embed.get("why") else ""
    return f"{embed.get('embedId')}{new} {embed.get('name')}: {embed.get('state')}{why}"


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else []
