from dataclasses import replace
from typing import Any

import pytest

from retirement.databrain.dependents import Dependents, EmbedListing
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.record.plans import Plan
from retirement.requests import DependentsPolicy, Request
from tests.fakes import START, Parsed, embed_of, entry_of, listing_of
from tests.unit.samples import CREATED_AT, ORGANISATION, REQUEST, SNAPSHOT

LISTING = listing_of(embed_of("b", None), embed_of("a", "sales"))


def plan_of(request: Request = REQUEST, snapshot: Snapshot = SNAPSHOT, listing: EmbedListing = LISTING) -> Plan:
    """The plan of a request."""
    return Plan.of(request, snapshot, Dependents("sales", listing, request.reviewed_embeds), ORGANISATION)


def test_document() -> None:
    """A plan is what was seen and the options that count, under its own hash."""
    plan = plan_of()

    assert plan.document() == {
        "formatVersion": "1",
        "planId": plan.plan_id,
        "datamartName": "sales",
        "createdAt": "2026-02-28T12:00:00.000Z",
        "configurationHash": SNAPSHOT.configuration_hash,
        "semanticLayerHash": SNAPSHOT.semantic_layer_hash,
        "embeds": [
            {"embedId": "a", "name": "Embed a", "dataAppName": "Portal", "verdict": "uses"},
            {"embedId": "b", "name": "Embed b", "dataAppName": "Portal", "verdict": "undetermined"},
        ],
        "options": {"backup": True, "dependents": "block", "reviewedEmbeds": []},
        "columns": {"orders": ["id"]},
        "notRestorable": [],
        "organisation": ORGANISATION.document(),
    }


def test_the_id_itself() -> None:
    """A plan's id stays what it is: otherwise an upgrade would make `plan_drifted` of every plan that is kept."""
    entry: Parsed = {
        "name": "sales",
        "createdAt": "2026-02-28T12:00:00.000Z",
        "datamartTables": [{"tableName": "orders"}],
    }
    snapshot = Snapshot("sales", CREATED_AT, entry, {"tables": []}, Listing({"sales": CREATED_AT}))
    request = replace(REQUEST, reviewed_embeds=frozenset({"b", "a"}))

    assert plan_of(request, snapshot).plan_id == "c03187d4ebf102351bc8672acc22706d8216b3062bac0f9d1a8361a250322889"
    assert (
        plan_of(request, snapshot, listing_of(gaps=["the embeds of 'Portal'"])).plan_id
        == "82ff246d2d7b9b3e8f6e70cd6e3ebef39bb580f1841a518eb5ee5fca55459bec"
    )


def test_not_restorable() -> None:
    """A plan says what keeps the datamart from being restored."""
    lines = plan_of(snapshot=replace(SNAPSHOT, entry=entry_of() | {"datamartTables": []})).not_restorable

    assert lines == ["datamart.datamartTables: Create Datamart needs at least one table"]


def test_columns() -> None:
    """A plan names the columns of each table, with the table's schema where it has one."""
    tables = [
        {"schemaName": "public", "tableName": "orders", "datamartTableColumns": [{"columnName": "id"}]},
        {"schemaName": None, "tableName": "lines"},
    ]
    entry = {**entry_of(), "datamartTables": tables}

    assert plan_of(snapshot=replace(SNAPSHOT, entry=entry)).columns == {"public.orders": ["id"], "lines": []}
    assert plan_of(snapshot=replace(SNAPSHOT, entry={"name": "sales"})).columns == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"request": replace(REQUEST, dry_run=True, retirement_id="x", reason="x", requested_at=CREATED_AT)},
        {"request": replace(REQUEST, require_restorable=True)},
        {"listing": listing_of(*reversed(LISTING.embeds))},
        {"snapshot": replace(SNAPSHOT, entry=entry_of() | {"updatedAt": "x"})},
    ],
)
def test_same_plan(changes: dict[str, Any]) -> None:
    """Neither who asks, when, nor how it is to be done makes another plan."""
    assert plan_of(**changes).plan_id == plan_of().plan_id


@pytest.mark.parametrize(
    "changes",
    [
        {"request": replace(REQUEST, backup=False)},
        {"request": replace(REQUEST, dependents=DependentsPolicy.IGNORE)},
        {"request": replace(REQUEST, reviewed_embeds=frozenset("a"))},
        {"snapshot": replace(SNAPSHOT, name="hr")},
        {"snapshot": replace(SNAPSHOT, created_at=START)},
        {"snapshot": replace(SNAPSHOT, created_at=None)},
        {"snapshot": replace(SNAPSHOT, entry=entry_of(label="Changed"))},
        {"snapshot": replace(SNAPSHOT, semantic_layer={})},
        {"listing": listing_of(embed_of("a", "sales"))},
        {"listing": listing_of(embed_of("b", "other"), embed_of("a", "sales"))},
    ],
)
def test_other_plan(changes: dict[str, Any]) -> None:
    """Another state, or another option that counts, is another plan."""
    assert plan_of(**changes).plan_id != plan_of().plan_id
