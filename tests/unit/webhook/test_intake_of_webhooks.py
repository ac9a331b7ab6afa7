"""A webhook's body, which is held to what is asked of the event that it becomes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from retirement.canonical import Document
from retirement.delivery.intake import (
    CANCELLED,
    DETAIL_TYPES,
    REQUESTED,
    SCHEMAS,
    is_retirement_id,
    parse_command,
    parse_message,
    require_environment,
)
from retirement.errors import InvalidRequest
from retirement.requests import Delivery, Message
from tests.fakes import START, requested

REQUEST = {"datamartName": "sales", "environment": "prod", "requestedBy": "crm", "reason": "Acme left"}
CANCELLATION = {**REQUEST, "retirementId": "offboard-1"}


def parsed(webhook_type: str, data: object, timestamp: str = "2026-03-01T12:00:00Z") -> Message:
    """What a webhook asks for."""
    body = json.dumps({"type": webhook_type, "timestamp": timestamp, "data": data})
    return parse_message(body, environment="prod", arrived_at=START)


def complaint_about_webhook(webhook_type: str, data: object) -> str:
    """What is told about a webhook that is not valid."""
    with pytest.raises(InvalidRequest) as raised:
        parsed(webhook_type, data)
    return raised.value.message


def complaint_about_event(detail_type: str, detail: object) -> str:
    """What is told about the same as an event."""
    body = json.dumps(requested() | {"detail-type": detail_type, "detail": detail})
    with pytest.raises(InvalidRequest) as raised:
        require_environment(parse_command(Delivery(body, START, 1, "i"), backup_by_default=True).environment, "prod")
    return raised.value.message


@pytest.mark.parametrize(
    ("webhook_type", "data", "detail_type"),
    [
        ("datamart.retirement.requested", REQUEST, REQUESTED),
        ("datamart.retirement.requested", {**REQUEST, "retireAt": "2027-03-02T12:00:00Z", "dryRun": True}, REQUESTED),
        ("datamart.retirement.cancelled", CANCELLATION, CANCELLED),
    ],
)
def test_valid(webhook_type: str, data: Document, detail_type: str) -> None:
    """A type stands for a detail-type, `data` for its detail, and `timestamp` for its time, in UTC."""
    message = parsed(webhook_type, data, "2026-03-01T14:00:00+02:00")

    assert message == Message(detail_type=detail_type, time=START, detail=data)
    assert message.time.tzinfo is UTC


def test_every_type_is_known() -> None:
    """The published schema and the table of types name the same."""
    schema = json.loads((SCHEMAS / "datamart-retirement-webhook.json").read_bytes())

    assert schema["properties"]["type"]["enum"] == list(DETAIL_TYPES)


def test_a_year_ahead_of_its_arrival() -> None:
    """How far ahead a date is counts from the arrival, and not from when it was asked for."""
    early = datetime(2025, 1, 1, tzinfo=UTC).isoformat()
    latest = (START + timedelta(days=366)).isoformat()

    assert parsed("datamart.retirement.requested", {**REQUEST, "retireAt": latest}, early).time.year == 2025


INVALID: list[dict[str, object]] = [
    {},
    {"datamartName": "sales"},
    {**CANCELLATION, "datamartName": ""},
    {**CANCELLATION, "datamartName": "a\nb"},
    {**CANCELLATION, "environment": "staging"},
    {**CANCELLATION, "environment": None},
    {**CANCELLATION, "requestedBy": ["x"]},
    {**CANCELLATION, "reason": "x" * 1_001},
    {**CANCELLATION, "retirementId": "a/b"},
    {**CANCELLATION, "x0": 1, "x1": 1},
    {**CANCELLATION, "datamartname": "sales"},
]
INVALID_REQUESTS: list[dict[str, object]] = [
    {**REQUEST, "dryRum": True},
    {**REQUEST, "backup": 1},
    {**REQUEST, "dependents": "Ignore"},
    {**REQUEST, "reviewedEmbeds": ["a", ""]},
    {**REQUEST, "reviewedEmbeds": ["a"] * 1_001},
    {**REQUEST, "planId": ""},
    {**REQUEST, "retireAt": "tomorrow"},
    {**REQUEST, "retireAt": "2026-02-30T12:00:00Z"},
    {**REQUEST, "retireAt": "2027-03-02T12:00:01Z"},
]


@pytest.mark.parametrize(
    ("webhook_type", "detail_type", "data"),
    [
        *(("datamart.retirement.requested", REQUESTED, data) for data in [*INVALID, *INVALID_REQUESTS]),
        *(("datamart.retirement.cancelled", CANCELLED, data) for data in [*INVALID, REQUEST]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid(webhook_type: str, detail_type: str, data: dict[str, object]) -> None:
    """What is wrong with `data` is told in the very words that the event's `detail` would get."""
    complaint = complaint_about_event(detail_type, data)

    assert complaint.startswith(("detail ", "detail."))
    assert complaint_about_webhook(webhook_type, data) == complaint.replace("detail", "data", 1)


@pytest.mark.parametrize("data", [None, "sales", [], 5, True])
def test_data_that_is_no_object(data: object) -> None:
    """Data that is no object is told so."""
    complaint = complaint_about_webhook("datamart.retirement.requested", data)

    assert complaint.startswith("data must be an object with the request or the cancellation")


@pytest.mark.parametrize("text", ["a", "0", "offboard-acme", "A.b_c-9", "x" * 128])
def test_retirement_ids(text: str) -> None:
    """Letters, digits, dots, underscores and hyphens, the first a letter or digit."""
    assert is_retirement_id(text)


@pytest.mark.parametrize("text", ["", "-a", ".", "a b", "a/b", "a\n", "\n", "é", "x" * 129])
def test_no_retirement_ids(text: str) -> None:
    """Anything else is none."""
    assert not is_retirement_id(text)
