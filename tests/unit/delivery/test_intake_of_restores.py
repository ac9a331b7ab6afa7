import hashlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from retirement.delivery.intake import parse_restore, raw_request, requests_restore
from retirement.errors import InvalidRequest
from retirement.requests import Delivery, EmbedsPolicy, Kind, RestoreRequest
from tests.fakes import START, restore_requested

MINIMAL = {
    "datamartName": "sales",
    "environment": "prod",
    "retirementId": "offboard-1",
    "requestedBy": "ops",
    "reason": "the tenant is back",
}
EVERYTHING = {**MINIMAL, "restoreId": "back-1", "asName": "sales again", "embeds": "leave", "dryRun": True}


def delivery_of(event: object) -> Delivery:
    """A delivery of an event, or of a body that is text."""
    return Delivery(event if isinstance(event, str) else json.dumps(event), START, 1, "invocation-1")


def event_of(detail: object, **envelope: object) -> dict[str, Any]:
    """An event with this detail, and with other fields around it."""
    return restore_requested() | {"detail": detail} | envelope


def parsed(event: object) -> RestoreRequest:
    """The request of an event."""
    return parse_restore(delivery_of(event))


def complaint(event: object) -> str:
    """What is said of an event that is no valid request."""
    with pytest.raises(InvalidRequest) as raised:
        parsed(event)
    return raised.value.message


def test_defaults() -> None:
    """The fields that may be missing have their documented defaults."""
    request = parsed(event_of(MINIMAL))
    assert request == RestoreRequest(
        datamart_name="sales",
        retirement_id="offboard-1",
        restore_id="b0c4c0de-1428-4cd3-a780-95db273d1602",
        environment="prod",
        requested_by="ops",
        reason="the tenant is back",
        restored_as="sales",
        embeds=EmbedsPolicy.RESTORE,
        dry_run=False,
        requested_at=START,
        content_hash=request.content_hash,
        detail=MINIMAL,
    )


def test_everything() -> None:
    """Every field of the request is taken over."""
    request = parsed(event_of(EVERYTHING))
    assert (request.restore_id, request.restored_as) == ("back-1", "sales again")
    assert (request.embeds, request.dry_run, request.detail) == (EmbedsPolicy.LEAVE, True, EVERYTHING)


def test_event_id_that_is_no_restore_id() -> None:
    """Where the event's id is no restoreId, its SHA-256 is."""
    assert parsed(event_of(MINIMAL, id="a b")).restore_id == hashlib.sha256(b"a b").hexdigest()


def test_content_hash() -> None:
    """Requests with other fields have other hashes, and the order of the fields makes no difference."""
    details = [MINIMAL, EVERYTHING, MINIMAL | {"dryRun": True}, MINIMAL | {"dryRun": False}]
    assert len({parsed(event_of(detail)).content_hash for detail in details}) == 4
    assert (
        len({parsed(event_of(dict(pairs))).content_hash for pairs in (MINIMAL.items(), [*MINIMAL.items()][::-1])}) == 1
    )


@pytest.mark.parametrize(("seconds", "counts"), [(-5, -5), (5, 0)])
def test_requested_at(seconds: int, counts: int) -> None:
    """The earlier of the event's time and its arrival is when it was asked for."""
    event = event_of(MINIMAL, time=(START + timedelta(seconds=seconds)).isoformat())
    assert parsed(event).requested_at == START + timedelta(seconds=counts)


@pytest.mark.parametrize(
    "name", ["x", "\u00e9" * 256, "e\u0301", "\U0001f4c8" * 256, " a ", "\u0104\u010c", "a/b%&+\"'"]
)
def test_names(name: str) -> None:
    """Both names are taken to the code point."""
    request = parsed(event_of(MINIMAL | {"datamartName": name, "asName": name}))
    assert (request.datamart_name, request.restored_as) == (name, name)


@pytest.mark.parametrize("field", MINIMAL)
def test_missing_field(field: str) -> None:
    """A field that is missing is named, the retirementId too."""
    assert complaint(event_of({name: value for name, value in MINIMAL.items() if name != field})) == (
        f"detail must have the field {field}"
    )


WRONG_TYPES: list[object] = [None, 1, "", [], {}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in EVERYTHING for value in WRONG_TYPES),
        ("restoreId", "../x"),
        ("restoreId", "x" * 129),
        ("retirementId", "a/b"),
        ("asName", "a\nb"),
        ("asName", "n" * 257),
        ("asName", "\ud800"),
        ("embeds", "Restore"),
        ("dryRun", "true"),
    ],
)
def test_wrong_value(field: str, value: object) -> None:
    """A value that a field does not allow is refused with a message that names the field, in printable ASCII."""
    message = complaint(event_of(EVERYTHING | {field: value}))
    assert re.match(rf"detail\.{field} must be ", message)
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize("field", ["asname", "backup", "retireAt", "planId"])
def test_unknown_field(field: str) -> None:
    """A field that a restore does not have is an error."""
    assert complaint(event_of(MINIMAL | {field: "x"})).startswith(f'detail must not have the unknown field "{field}"')


@pytest.mark.parametrize("detail_type", ["Datamart Retirement Requested", "Datamart Restored", None])
def test_another_detail_type(detail_type: object) -> None:
    """An event of another type is no request for a restore."""
    event = event_of(MINIMAL) | {"detail-type": detail_type}
    assert complaint(event).startswith('detail-type must be "Datamart Restore Requested"')
    assert not requests_restore(delivery_of(event))
    assert raw_request(delivery_of(event)).kind is not Kind.RESTORE


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "{}", '{"id": 1, "id": 2}'])
def test_what_asks_for_nothing(body: str) -> None:
    """What is no event asks for no restore."""
    assert not requests_restore(delivery_of(body))
    assert raw_request(delivery_of(body)).kind is not Kind.RESTORE


def test_what_asks_for_a_restore() -> None:
    """An event says by its type that it asks for a restore, also where it is not valid; its ID is cut to the limit."""
    event = event_of({"restoreId": "x" * 200})
    assert requests_restore(delivery_of(event))
    carried = raw_request(delivery_of(event))
    assert (carried.kind, carried.restore_id) == (Kind.RESTORE, "x" * 128)
