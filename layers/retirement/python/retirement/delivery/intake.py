"""Turns Lambda's event into a valid request, or into an error that names the field and the rule."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

from aws_lambda_powertools.utilities.validation import SchemaValidationError, validate

from retirement.canonical import Document, Json, canonical_json, parse_json, sha256_hex
from retirement.delivery.events import (
    ApprovalEvent,
    CancellationEvent,
    RequestDetail,
    RequestEvent,
    RestoreEvent,
    WebhookMessage,
)
from retirement.delivery.ports import FailedAttempt
from retirement.errors import ConfigurationError, InvalidRequest
from retirement.outcomes import Reason
from retirement.requests import (
    Approval,
    Cancellation,
    Delivery,
    DependentsPolicy,
    EmbedsPolicy,
    Kind,
    Message,
    RawRequest,
    Request,
    RestoreRequest,
)
from retirement.timestamps import latest_instant, parse_timestamp
from retirement.wording import MAX_QUOTED_LENGTH, shortened

SCHEMAS = Path(__file__).with_name("schemas")
REQUESTED = "Datamart Retirement Requested"
CANCELLED = "Datamart Retirement Cancelled"
APPROVED = "Datamart Retirement Approved"
RESTORE_REQUESTED = "Datamart Restore Requested"

# The types of webhook messages, and the detail-types of the events that they become.
DETAIL_TYPES = {"datamart.retirement.requested": REQUESTED, "datamart.retirement.cancelled": CANCELLED}

_KINDS = {CANCELLED: Kind.CANCELLATION, APPROVED: Kind.APPROVAL, RESTORE_REQUESTED: Kind.RESTORE}

# What may differ between two events of one request: a colleague may move a date, and says who and why.
NOT_COMPARED = frozenset({"retireAt", "requestedBy", "reason", "startedBy"})

# A leap year. Nobody would remember a request for a later date.
MAX_TIME_AHEAD = timedelta(days=366)

# The limits of the result's fields, to which the fields of a rejected event are cut (characters).
NAME_LIMIT = 256
REASON_LIMIT = 1_000
RETIREMENT_ID_LIMIT = 128
EVENT_ID_LIMIT = 1_024
MAX_SHOWN_FIELDS = 5

# The numbers in a message's attributes, as SQS writes them.
_MILLISECONDS = re.compile("[0-9]{1,13}", re.ASCII)  # until the year 2286
_RECEIVES = re.compile("[1-9][0-9]{0,8}", re.ASCII)


def receive(event: object, invocation_id: str, now: datetime) -> Delivery:
    """Return the delivery in Lambda's event: an SQS batch of one, or an EventBridge event itself.

    Raises:
        ConfigurationError: the batch does not have exactly one message.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not (isinstance(records, list) and all(_is_sqs(record) for record in records) and records):
        return Delivery(_text_of(event), now, 1, invocation_id)
    if len(records) != 1:
        raise ConfigurationError(
            f"The event source mapping's BatchSize must be 1; the batch has {len(records)} messages"
        )
    attributes = records[0]["attributes"]
    arrived_at = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, tz=now.tzinfo)
    return Delivery(
        body=_unpacked(records[0]["body"]),
        arrived_at=arrived_at,
        receive_count=int(attributes["ApproximateReceiveCount"]),
        invocation_id=invocation_id,
        message_id=records[0]["messageId"],
        receipt_handle=records[0]["receiptHandle"],
    )


def parse_command(delivery: Delivery, *, backup_by_default: bool) -> Request | Cancellation | Approval:
    """Validate an event that requests a retirement, cancels or approves one. Its environment is not compared yet.

    Raises:
        InvalidRequest: the message names the field, the rule and what was received.
    """
    event = _parsed(delivery.body)
    if isinstance(event, Mapping) and event.get("detail-type") == CANCELLED:
        return _cancellation(event, delivery)
    if isinstance(event, Mapping) and event.get("detail-type") == APPROVED:
        return _approval(event, delivery)
    # Whether it has to be restorable, and is rehearsed, is not decided before it is carried out.
    return _request(event, delivery, backup_by_default=backup_by_default, require_restorable=False, rehearse=False)


def parse_request(delivery: Delivery, *, backup_by_default: bool, require_restorable: bool, rehearse: bool) -> Request:
    """Validate an event that requests a retirement, and fill in the defaults. Its environment is not compared yet.

    Raises:
        InvalidRequest: the message names the field, the rule and what was received.
    """
    sent = _parsed(delivery.body)
    return _request(
        sent,
        delivery,
        backup_by_default=backup_by_default,
        require_restorable=require_restorable,
        rehearse=rehearse,
    )


def parse_restore(delivery: Delivery) -> RestoreRequest:
    """Validate an event that requests a restore, and fill in the defaults. Its environment is not compared yet.

    Raises:
        InvalidRequest: the message names the field, the rule and what was received.
    """
    valid = _validated(_parsed(delivery.body), RESTORE_REQUESTED, root="the event")
    event, sent_detail = cast("RestoreEvent", valid), cast("Document", valid["detail"])
    detail = event["detail"]
    return RestoreRequest(
        datamart_name=detail["datamartName"],
        retirement_id=detail["retirementId"],
        restore_id=detail.get("restoreId") or _default_id(event["id"]),
        environment=detail["environment"],
        requested_by=detail["requestedBy"],
        reason=detail["reason"],
        restored_as=detail.get("asName", detail["datamartName"]),
        embeds=EmbedsPolicy(detail.get("embeds", EmbedsPolicy.RESTORE)),
        dry_run=detail.get("dryRun", False),
        requested_at=_requested_at(event["time"], delivery),
        content_hash=sha256_hex(canonical_json(sent_detail)),
        detail=sent_detail,
    )


def requests_restore(delivery: Delivery) -> bool:
    """Return whether the detail-type of an event, valid or not, is that of a restore."""
    try:
        event = parse_json(delivery.body)
    except ValueError:
        return False
    return isinstance(event, Mapping) and event.get("detail-type") == RESTORE_REQUESTED


def _request(
    body: Json, delivery: Delivery, *, backup_by_default: bool, require_restorable: bool, rehearse: bool
) -> Request:
    valid = _validated(body, REQUESTED, root="the event")
    event, sent_detail = cast("RequestEvent", valid), cast("Document", valid["detail"])
    detail = event["detail"]
    content = {name: value for name, value in sent_detail.items() if name not in NOT_COMPARED}
    return Request(
        datamart_name=detail["datamartName"],
        retirement_id=detail.get("retirementId") or _default_id(event["id"]),
        environment=detail["environment"],
        requested_by=detail["requestedBy"],
        reason=detail["reason"],
        backup=detail.get("backup", backup_by_default),
        require_restorable=detail.get("requireRestorable", require_restorable),
        rehearse=detail.get("rehearse", rehearse),
        dry_run=detail.get("dryRun", False),
        dependents=DependentsPolicy(detail.get("dependents", DependentsPolicy.BLOCK)),
        reviewed_embeds=frozenset(detail.get("reviewedEmbeds", ())),
        plan_id=detail.get("planId"),
        retire_at=_retire_at(detail.get("retireAt"), delivery.arrived_at),
        event_time=_timestamp("time", event["time"]),
        requested_at=_requested_at(event["time"], delivery),
        cutoff=min(latest_instant(event["time"]), delivery.arrived_at),
        event_id=event["id"],
        content_hash=sha256_hex(canonical_json(content)),
        detail=sent_detail,
        started_by=detail.get("startedBy"),
    )


def parse_message(body: str, *, environment: str, arrived_at: datetime) -> Message:
    """Validate the body of a webhook, and its `data` as the detail of the event that it becomes.

    Raises:
        InvalidRequest: the message names the field, the rule and what was received.
    """
    message = cast("WebhookMessage", _validated(_parsed(body), "Datamart Retirement Webhook", root="the body"))
    detail_type, data = DETAIL_TYPES[message["type"]], message["data"]
    # a cancellation has no field that a request does not have
    detail = cast("RequestDetail", _validated(data, detail_type, "detail", root="data"))
    require_environment(detail["environment"], environment, "data")
    _retire_at(detail.get("retireAt"), arrived_at, "data")
    return Message(detail_type=detail_type, time=_timestamp("timestamp", message["timestamp"]), detail=data)


def _retire_at(text: str | None, arrived_at: datetime, root: str = "detail") -> datetime | None:
    if text is None:
        return None
    retire_at = _timestamp(f"{root}.retireAt", text)
    # relative to the arrival instead of the clock, so that a later delivery is rejected as well
    if retire_at > arrived_at + MAX_TIME_AHEAD:
        raise InvalidRequest(f"{root}.retireAt must be at most {MAX_TIME_AHEAD.days} days ahead; it is {_brief(text)}")
    return retire_at


def _cancellation(body: Json, delivery: Delivery) -> Cancellation:
    event = cast("CancellationEvent", _validated(body, CANCELLED, root="the event"))
    detail = event["detail"]
    return Cancellation(
        datamart_name=detail["datamartName"],
        retirement_id=detail["retirementId"],
        environment=detail["environment"],
        requested_by=detail["requestedBy"],
        reason=detail["reason"],
        requested_at=_requested_at(event["time"], delivery),
    )


def _approval(body: Json, delivery: Delivery) -> Approval:
    event = cast("ApprovalEvent", _validated(body, APPROVED, root="the event"))
    detail = event["detail"]
    return Approval(
        datamart_name=detail["datamartName"],
        retirement_id=detail["retirementId"],
        environment=detail["environment"],
        requested_by=detail["approvedBy"],
        reason=detail["reason"],
        requested_at=_requested_at(event["time"], delivery),
        plan_id=detail["planId"],
        source=event["source"],
        event_id=event["id"],
    )


def _requested_at(time: str, delivery: Delivery) -> datetime:
    return min(_timestamp("time", time), delivery.arrived_at)


def raw_request(delivery: Delivery) -> RawRequest:
    """Return the fields of an event that is not a valid request, as far as they can be read."""
    try:
        event = parse_json(delivery.body)
    except ValueError:
        event = None
    envelope = event if isinstance(event, Mapping) else {}
    detail = envelope.get("detail")
    fields = detail if isinstance(detail, Mapping) else {}
    try:
        requested_at = min(parse_timestamp(str(envelope.get("time"))), delivery.arrived_at)
    except ValueError:
        requested_at = delivery.arrived_at
    return RawRequest(
        event_id=_cut(envelope.get("id"), EVENT_ID_LIMIT),
        retirement_id=_cut(fields.get("retirementId"), RETIREMENT_ID_LIMIT),
        datamart_name=_cut(fields.get("datamartName"), NAME_LIMIT),
        requested_by=_cut(fields.get("requestedBy", fields.get("approvedBy")), NAME_LIMIT),
        reason=_cut(fields.get("reason"), REASON_LIMIT),
        requested_at=requested_at,
        kind=_KINDS.get(str(envelope.get("detail-type")), Kind.RETIREMENT),
        restore_id=_cut(fields.get("restoreId"), RETIREMENT_ID_LIMIT),
    )


def failed_attempt(delivery: Delivery, reason: Reason, at: datetime, next_at: datetime) -> FailedAttempt | None:
    """Return what to record of an attempt that failed; None if the event does not name a datamart and have an ID."""
    raw = raw_request(delivery)
    if raw.datamart_name is None or raw.event_id is None:
        return None
    own_id = _default_id(raw.event_id)
    return FailedAttempt(
        kind=raw.kind,
        datamart_name=raw.datamart_name,
        retirement_id=raw.retirement_id or own_id,
        restore_id=(raw.restore_id or own_id) if raw.kind is Kind.RESTORE else None,
        receives=delivery.receive_count,
        reason=reason,
        at=at,
        next_at=next_at,
    )


def _unpacked(body: str) -> str:
    """Return the event in a message; one that a timer could not deliver is wrapped in the timer's call to SQS.

    See the EventBridge Scheduler user guide, "Retrieve the dead-letter event".
    """
    try:
        sent = parse_json(body)
    except ValueError:
        return body
    text = sent.get("MessageBody") if isinstance(sent, Mapping) and sent.keys() >= {"MessageBody", "QueueUrl"} else None
    return text if isinstance(text, str) else body


def _text_of(event: object) -> str:
    """Return the event as the text that a queue would have delivered."""
    try:
        return json.dumps(event)
    except RecursionError:
        return "an event that is nested too deeply"  # not JSON, so it is rejected


def _is_sqs(record: object) -> bool:
    """Return whether a record has the form of SQS's: whoever may invoke the function can send anything."""
    if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
        return False
    attributes = record.get("attributes")
    numbers = attributes if isinstance(attributes, dict) else {}
    return (
        isinstance(record.get("body"), str)
        and isinstance(record.get("messageId"), str)
        and isinstance(record.get("receiptHandle"), str)
        and _MILLISECONDS.fullmatch(str(numbers.get("SentTimestamp"))) is not None
        and _RECEIVES.fullmatch(str(numbers.get("ApproximateReceiveCount"))) is not None
        and all(isinstance(numbers[name], str) for name in ("SentTimestamp", "ApproximateReceiveCount"))
    )


@cache
def schema(title: str) -> dict[str, Any]:
    """Return the published schema with this title."""
    file_name = f"{title.lower().replace(' ', '-')}.json"
    return cast("dict[str, Any]", json.loads((SCHEMAS / file_name).read_bytes()))


def _parsed(body: str) -> Json:
    try:
        return parse_json(body)
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None


def _validated(document: Json, title: str, part: str | None = None, *, root: str) -> Document:
    """Validate an object against a schema, or against that of one of its properties; `root` names it in messages."""
    rules = schema(title) if part is None else schema(title)["properties"][part]
    valid = cast("dict[str, Any]", document)
    try:
        validate(event=valid, schema=rules)
    except SchemaValidationError as error:
        raise InvalidRequest(explain(error, root, f"{root}." if part else "")) from None
    return valid


def require_environment(requested: str, environment: str, root: str = "detail") -> None:
    """Check that the event is meant for this stack.

    Raises:
        InvalidRequest: it is meant for another environment.
    """
    if requested != environment:
        raise InvalidRequest(
            f"{root}.environment is {_brief(requested)}, and this stack's is {environment!r}: "
            "send it to the stack of that environment"
        )


def explain(error: SchemaValidationError, root: str = "the event", prefix: str = "") -> str:
    """Return one sentence with the field, the rule and what was received.

    Args:
        error: the validator's.
        root: names the document itself.
        prefix: precedes the path of a field in it.
    """
    path = (error.path or [])[1:]
    field = prefix + ".".join(path) if path else root
    value, definition = error.value, error.definition or {}
    known = definition.get("properties", {})
    unknown = sorted(set(value) - set(known))[:MAX_SHOWN_FIELDS] if isinstance(value, dict) else []
    if error.rule == "required" and isinstance(value, dict):
        missing = [name for name in error.rule_definition or [] if name not in value]
        misspelt = ", ".join(_brief(name) for name in unknown if _close_to(name, missing))
        return f"{field} must have the field {', '.join(missing)}{misspelt and f'; it has {misspelt}'}"
    if error.rule == "additionalProperties" and isinstance(value, dict):
        named = ", ".join(_with_suggestion(name, known) for name in unknown)
        return f"{field} must not have the unknown field {named}"
    expected = definition["description"] if path else "a JSON object"
    return f"{field} must be {expected}; it is {_brief(value)}"


def _close_to(name: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415  # only where something is misspelt

    return get_close_matches(name, known, n=1, cutoff=0.7)


def _with_suggestion(name: str, known: Iterable[str]) -> str:
    close = _close_to(name, known)
    return f"{_brief(name)} (did you mean {close[0]}?)" if close else _brief(name)


def _timestamp(field: str, text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except ValueError:
        raise InvalidRequest(f"{field} must be an RFC 3339 time with offset; it is {_brief(text)}") from None


def is_retirement_id(text: str) -> bool:
    """Return whether a text can be a retirementId."""
    allowed: str = schema(REQUESTED)["properties"]["detail"]["properties"]["retirementId"]["pattern"]
    return re.fullmatch(allowed, text) is not None


def _default_id(event_id: str) -> str:
    return event_id if is_retirement_id(event_id) else sha256_hex(event_id)


def _cut(value: Json, limit: int) -> str | None:
    if not isinstance(value, str):
        return None
    return value[:limit].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _brief(value: object) -> str:
    """Return a short text that shows a value in a message and is always printable."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    shown = json.dumps(value)
    if len(shown) <= MAX_QUOTED_LENGTH or not isinstance(value, str):
        return shortened(shown)
    return f"{shortened(shown)} ({len(value)} characters)"
