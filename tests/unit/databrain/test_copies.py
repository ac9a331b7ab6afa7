"""The permits of a rehearsal: what they are constructed from, and from nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retirement.canonical import canonical_json, sha256_hex
from retirement.databrain.copies import CopyPermit, RehearsalPermit, copy_name
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.errors import MalformedObject, NotOurCopy
from retirement.stored_object import StoredObject
from retirement.timestamps import format_timestamp
from tests.fakes import START, Parsed, listed_from

NAME = copy_name("sales", "offboard-1")
BODY: Parsed = {
    "name": NAME,
    "datasourceName": "warehouse",
    "tableList": [{"name": "orders", "label": "Orders", "columns": [{"name": "id", "alias": "id"}]}],
}
LAYER: Parsed = {"datamartName": NAME, "tables": []}


def record(body: Parsed = BODY, layer: Parsed = LAYER, **fields: object) -> StoredObject:
    """`rehearsal.json`, with these fields instead."""
    stored = {
        "datamartName": "sales",
        "retirementId": "offboard-1",
        "copyName": NAME,
        "createHash": sha256_hex(canonical_json((body, layer))),
        "listed": ["sales", "returns"],
        "recordedAt": format_timestamp(START),
        **fields,
    }
    key = "retirements/sales/offboard-1/rehearsal.json"
    return StoredObject("evidence", key, "version-1", canonical_json(stored), None)  # type: ignore[arg-type]  # a test's


def listed(**fields: Any) -> Snapshot:  # noqa: ANN401  # fields of a snapshot
    """The copy as it is listed, with these fields instead."""
    created_at = fields.pop("created_at", START)
    entry = listed_from(BODY, START)
    others = fields.pop("others", ("sales",))
    listing = Listing(dict.fromkeys((*others, NAME), START))
    return replace(Snapshot(NAME, created_at, entry, None, listing), **fields)


def test_the_name() -> None:
    """The name is derived from the datamart's name and the retirement's ID, and two that look alike differ."""
    assert f"rehearsal-{sha256_hex(canonical_json(['sales', 'offboard-1']))[:12]}" == NAME
    assert len({copy_name("a", "b-c"), copy_name("a-b", "c"), copy_name("A", "b-c")}) == 3


def test_permits() -> None:
    """The record permits the creation of its copy, and the deletion of what is listed as it was sent."""
    permit = RehearsalPermit(record(), BODY, LAYER)

    assert permit.name == NAME
    assert CopyPermit(permit, listed(), None).copy == listed()


@pytest.mark.parametrize(
    "fields",
    [
        {"copyName": "sales"},
        {"copyName": copy_name("sales", "offboard-2")},
        {"datamartName": "returns"},
        {"retirementId": "offboard-2"},
        {"createHash": "0" * 64},
        {"listed": ["sales", NAME]},
        {"listed": ["sales", NAME.upper()]},
    ],
)
def test_another_record(fields: Parsed) -> None:
    """A record of another copy, or of a name that was listed, permits no creation."""
    with pytest.raises(NotOurCopy):
        RehearsalPermit(record(**fields), BODY, LAYER)


@pytest.mark.parametrize(
    ("body", "layer"),
    [({**BODY, "name": "sales"}, None), (BODY, {**LAYER, "datamartName": "sales"})],
)
def test_another_name_in_a_body(body: Parsed, layer: Parsed) -> None:
    """Nothing else than the copy is created, and no layer of anything else."""
    with pytest.raises(NotOurCopy):
        RehearsalPermit(record(body, layer), body, layer)


def test_not_a_record() -> None:
    """Anything else than a record permits nothing."""
    with pytest.raises(MalformedObject):
        RehearsalPermit(replace(record(), body="{"), BODY, LAYER)
    with pytest.raises(MalformedObject):
        RehearsalPermit(replace(record(), body="{}"), BODY, LAYER)


LABELLED = {**listed_from(BODY, START), "datamartTables": []}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "sales"}, "another name"),
        ({"others": ("sales", NAME.upper())}, "nearly identical"),
        ({"created_at": None}, "before the rehearsal"),
        ({"created_at": START - timedelta(minutes=5, milliseconds=1)}, "before the rehearsal"),
        ({"entry": LABELLED}, "not what was requested"),
    ],
)
def test_not_our_copy(fields: Parsed, why: str) -> None:
    """What may be another datamart is not deleted."""
    with pytest.raises(NotOurCopy, match=why):
        CopyPermit(RehearsalPermit(record(), BODY, LAYER), listed(**fields), None)


def test_a_clock_that_is_behind() -> None:
    """Databrain's clock may be behind by five minutes, and ahead by any time."""
    permit = RehearsalPermit(record(), BODY, LAYER)

    for created_at in (START - timedelta(minutes=5), START + timedelta(days=1)):
        CopyPermit(permit, listed(created_at=created_at), None)


def test_a_confirmed_copy() -> None:
    """After a confirmation the copy may differ from what was sent, but it has to be the very same one."""
    permit, damaged = RehearsalPermit(record(), BODY, LAYER), listed(entry=LABELLED)

    CopyPermit(permit, damaged, damaged)
    for other in ({**LABELLED, "createdAt": "2026-03-01T12:00:01.000Z"}, {**LABELLED, "views": [1]}):
        with pytest.raises(NotOurCopy):
            CopyPermit(permit, listed(entry=other), damaged)
