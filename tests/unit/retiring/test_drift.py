from dataclasses import replace
from typing import Any

import pytest

from retirement.databrain.dependents import Dependents, EmbedListing
from retirement.databrain.snapshot import Snapshot
from retirement.record.plans import Plan
from retirement.requests import DependentsPolicy, Request
from retirement.retiring.drift import drift
from tests.fakes import START, Parsed, embed_of, entry_of, listing_of
from tests.unit.samples import ORGANISATION, REQUEST, SNAPSHOT


def entry(tables: dict[str, list[str]], **fields: object) -> Parsed:
    """An entry with these tables of these columns."""
    return {
        **entry_of(),
        "datamartTables": [
            {
                "schemaName": "public",
                "tableName": table,
                "datamartTableColumns": [{"columnName": column} for column in columns],
            }
            for table, columns in tables.items()
        ],
        **fields,
    }


PLANNED = replace(SNAPSHOT, entry=entry({"orders": ["id", "total"], "lines": ["id"]}))
USED_BY_TWO = listing_of(embed_of("a", "other"), embed_of("b", None))


def plan_of(
    request: Request = REQUEST, snapshot: Snapshot = PLANNED, listing: EmbedListing = USED_BY_TWO
) -> dict[str, Any]:
    """The plan as it is kept."""
    return dict(
        Plan.of(request, snapshot, Dependents("sales", listing, request.reviewed_embeds), ORGANISATION).document()
    )


def with_tables(tables: dict[str, list[str]], **fields: object) -> dict[str, Any]:
    """The plan with other tables."""
    return plan_of(snapshot=replace(PLANNED, entry=entry(tables, **fields)))


TABLES = {"orders": ["id", "total"], "lines": ["id"]}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (plan_of(), []),
        (with_tables(TABLES | {"refunds": ["id"]}), ['table added: "public.refunds"']),
        (with_tables({"orders": ["id", "total"]}), ['table removed: "public.lines"']),
        (with_tables(TABLES | {"lines": ["id", "price"]}), ['table changed: "public.lines"']),
        (
            with_tables({"orders": ["id"], "lines": [], "b": [], "a": []}),
            ['tables added: "public.a", "public.b"', 'tables changed: "public.lines", "public.orders"'],
        ),
        (
            with_tables(TABLES, datamartRelationships=[{"parentTableName": "orders"}]),
            ["settings of tables, columns, relationships or tenancy changed"],
        ),
        (plan_of(snapshot=replace(PLANNED, semantic_layer=None)), ["semantic layer changed"]),
        (plan_of(snapshot=replace(PLANNED, semantic_layer={"tables": []})), ["semantic layer changed"]),
        (plan_of(snapshot=replace(PLANNED, created_at=START)), ["it was re-created"]),
        (plan_of(listing=listing_of(*USED_BY_TWO.embeds, embed_of("c", "sales"))), ['embed added: "c of Portal"']),
        (plan_of(listing=listing_of(embed_of("a", "other"))), ['embed removed: "b of Portal"']),
        (plan_of(listing=listing_of(embed_of("a", "sales"), embed_of("b", None))), ['embed changed: "a of Portal"']),
        (
            plan_of(listing=listing_of(replace(embed_of("a", "other"), name="Renamed"), embed_of("b", None))),
            ['embed changed: "a of Portal"'],
        ),
        (
            plan_of(listing=listing_of(*USED_BY_TWO.embeds, gaps=["the embeds of the data app 'X'"])),
            ["which embeds could not be listed"],
        ),
        (plan_of(snapshot=replace(PLANNED, created_at=None)), ["whether Databrain reports when it was created"]),
        (plan_of(replace(REQUEST, backup=False)), ['option changed: "backup"']),
        (
            plan_of(replace(REQUEST, dependents=DependentsPolicy.IGNORE, reviewed_embeds=frozenset("a"))),
            ['options changed: "dependents", "reviewedEmbeds"'],
        ),
    ],
)
def test_drift(now: dict[str, Any], told: list[str]) -> None:
    """What has changed is told by kind and by name."""
    assert drift(plan_of(), now) == told


def test_equal_gaps() -> None:
    """What could be listed neither then nor now has not changed; with it, or with other gaps, it has."""
    gap, other = ("the embeds of the data app 'X'",), ("the embeds of the data app 'Y'",)

    kept = plan_of(listing=listing_of(*USED_BY_TWO.embeds, gaps=gap))

    assert drift(kept, plan_of(listing=listing_of(*USED_BY_TWO.embeds, gaps=list(gap)))) == []
    for gaps in ((), other, (*gap, *other)):
        now = plan_of(listing=listing_of(*USED_BY_TWO.embeds, gaps=gaps))
        assert drift(kept, now) == ["which embeds could not be listed"]


def test_everything_at_once() -> None:
    """A re-creation is told first, then tables, semantic layer, embeds and options."""
    snapshot = replace(
        PLANNED, created_at=START, semantic_layer={}, entry=entry({"orders": [], "lines": ["id"]}, timezone="UTC")
    )
    now = plan_of(replace(REQUEST, backup=False), snapshot, listing_of(embed_of("a", "sales")))

    assert drift(plan_of(), now) == [
        "it was re-created",
        'table changed: "public.orders"',
        "semantic layer changed",
        'embed removed: "b of Portal"',
        'embed changed: "a of Portal"',
        'option changed: "backup"',
    ]


def test_drift_in_many_places() -> None:
    """A few names are told, and how many more there are."""
    tables = {f"t{number}": ["id"] for number in range(9)}

    [added] = drift(plan_of(), with_tables(TABLES | tables))

    assert added.endswith('"public.t4" and 4 more')
