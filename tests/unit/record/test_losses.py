"""What a backup cannot bring back, derived from what is there and told by its path."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.databrain.creation import checked_datamart
from local.databrain.refusals import ApiError
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.record.creation import create_request
from retirement.record.losses import (
    MAX_OBSTACLES,
    differences_beyond_losses,
    embeds_not_restored,
    not_restorable,
    not_restored,
)
from tests.fakes import START, Parsed, entry_of, export_of, listed_from
from tests.unit.samples import LAYER

TABLE = entry_of()["datamartTables"][0]
COLUMN = TABLE["datamartTableColumns"][0]
TENANCY = {
    "tenancyLevel": "TABLE",
    "clientColumnType": "STRING",
    "schemaName": "public",
    "tableName": "organizations",
    "tableClientNameColumn": "name",
    "tablePrimaryKeyColumn": "id",
}


def with_columns(*columns: Parsed) -> Parsed:
    """A datamart of one table with these columns."""
    return entry_of() | {"datamartTables": [TABLE | {"datamartTableColumns": list(columns)}]}


def lost_of(entry: Parsed, layer: Parsed = None) -> dict[str, str]:
    """What is lost: why, by path."""
    return dict(line.split(": ", maxsplit=1) for line in not_restored(entry, layer))


def added(entry: Parsed, layer: Parsed = None) -> dict[str, str]:
    """What is lost beside what is lost of the plainest datamart."""
    plain = lost_of(entry_of(created_at=None))
    return {path: why for path, why in lost_of(entry, layer).items() if plain.get(path) != why}


# ---- What is lost --------------------------------------------------------------------------------------------------


def test_plainest() -> None:
    """Whatever is there, what no documented request reads is named."""
    bare = with_columns({"columnName": "id"})

    assert list(lost_of({key: bare[key] for key in ("name", "companyIntegration", "datamartTables")})) == [
        "datamart.datamartTables[*].datamartTableColumns[*]",
        "links from workspaces to the datamart, and metrics that are built on it",
    ]


@pytest.mark.parametrize(
    ("entry", "path", "why"),
    [
        (entry_of(), "datamart.createdAt", "Databrain sets it again"),
        (entry_of() | {"updatedAt": "x"}, "datamart.updatedAt", "Databrain sets it again"),
        (entry_of() | {"unheardOf": {"deep": [1]}}, "datamart.unheardOf", "Create Datamart has no documented field"),
        (
            entry_of() | {"companyIntegration": {"name": "x", "id": 7}},
            "datamart.companyIntegration.id",
            "no documented",
        ),
        (entry_of() | {"companyIntegration": "x"}, "datamart.companyIntegration", "no documented"),
        (
            entry_of() | {"datamartOrganization": TENANCY | {"more": 0}},
            "datamart.datamartOrganization.more",
            "no documented",
        ),
        (
            entry_of() | {"datamartOrganization": {"schemaName": "public"}},
            "datamart.datamartOrganization",
            "no documented",
        ),
        (
            entry_of() | {"datamartTables": [TABLE | {"rows": 5}]},
            "datamart.datamartTables[*].rows",
            "no documented",
        ),
        (
            with_columns(COLUMN | {"isApplyTimezone": False}),
            "datamart.datamartTables[*].datamartTableColumns[*].isApplyTimezone",
            "no documented",
        ),
        (
            with_columns(COLUMN | {"sql": "a + b"}),
            "datamart.datamartTables[*].datamartTableColumns[*].sql",
            "no documented",
        ),
        (
            entry_of() | {"datamartRelationships": [{"join": "LEFT JOIN"}]},
            "datamart.datamartRelationships[*]",
            "perhaps; they are sent as they are listed",
        ),
    ],
)
def test_lost(entry: Parsed, path: str, why: str) -> None:
    """What is there and no field takes is named by its path, unknown things too; so is what may not come back."""
    assert why in lost_of(entry)[path]


def test_unnamed_columns() -> None:
    """Columns that Databrain lists without a name cannot be asked for."""
    lines = not_restored(with_columns(COLUMN, {}), None)

    assert any("without a name" in line for line in lines)


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_nothing_is_no_loss(empty: object) -> None:
    """What is empty is not lost, and one path stands for all places in a list."""
    assert added(entry_of(created_at=None) | {"unheardOf": empty, "datamartOrganization": empty}) == {}
    assert [line for line in not_restored(with_columns(*[COLUMN] * 100), None) if "datatype" in line] == [
        "datamart.datamartTables[*].datamartTableColumns[*].datatype: Create Datamart has no documented field for it"
    ]


def test_tenancy_that_is_restored() -> None:
    """The tenancy settings that Create Datamart takes are no loss."""
    assert added(entry_of(created_at=None) | {"datamartOrganization": TENANCY}) == {}


def test_lost_of_the_semantic_layer() -> None:
    """What Create Semantic Layer takes is no loss, and all else of a semantic layer is."""
    column = {"name": "id", "datatype": "integer", "columnType": "Identifier", "columnTypeConfig": {"a": 1}}
    table = {"name": "orders", "schemaName": "public", "synonyms": ["purchases"], "columns": [column]}
    layer = LAYER | {"completionScore": 75, "lastUpdated": "x", "tables": [table]}

    assert added(entry_of(created_at=None), LAYER) == {}
    assert added(entry_of(created_at=None), layer) == {
        "semanticLayer.tables[*].schemaName": "Create Semantic Layer has no documented field for it",
        "semanticLayer.tables[*].columns[*].datatype": "Create Semantic Layer has no documented field for it",
        "semanticLayer.completionScore": "Databrain sets it again",
        "semanticLayer.lastUpdated": "Databrain sets it again",
    }


# ---- What is lost of embeds ----------------------------------------------------------------------------------------

SETTINGS = "export._meta.embedDataAppAccessSetting"
FLAGS = (
    "isAllowAiPilot",
    "isAllowCreateDashboardView",
    "isAllowEmailReports",
    "isAllowManageMetrics",
    "isAllowMetricCreation",
    "isAllowMetricDeletion",
    "isAllowMetricLayoutChange",
    "isAllowMetricUpdate",
    "isAllowUnderlyingData",
)
EXPORT = export_of("e", "board", **dict.fromkeys(FLAGS, True), metricCreationMode="CHAT")


def backed_up(verdict: str = "uses", **fields: Any) -> Parsed:  # noqa: ANN401  # of any type
    """An embed as a backup holds it, with nothing missing unless `fields` say so."""
    whole = {"embedId": "e", "name": "E", "dataAppName": "Portal", "verdict": verdict, "item": {"embedId": "e"}}
    return {**whole, "export": EXPORT, "workspaceName": "Sales", "whyNot": None, **fields}


def lost_with(*embeds: Parsed, tenancy: Parsed = None) -> list[str]:
    """What is lost of these embeds, beside what is lost of each of them."""
    entry = entry_of() | {"datamartOrganization": tenancy}
    always = embeds_not_restored([backed_up()], entry_of())
    assert len(always) == 2
    return [line for line in embeds_not_restored(list(embeds), entry) if line not in always]


def test_no_embeds() -> None:
    """Where no embed goes with the datamart, nothing is said of embeds."""
    assert embeds_not_restored([], entry_of()) == []


def test_what_is_lost_of_every_embed() -> None:
    """No embed keeps its ID, nor what no documented request reads: a line each, however many embeds there are."""
    lines = embeds_not_restored([backed_up()] * 100, entry_of())

    assert [line.split(":")[0] for line in lines] == ["embeds[*].embedId", "embeds[*]"]


@pytest.mark.parametrize(
    ("embeds", "lines"),
    [
        (
            [backed_up(), backed_up(export=None, whyNot="HTTP 404")],
            ["embeds[1].export: HTTP 404"],
        ),
        (
            [backed_up(workspaceName=None, whyNot="no workspaces have its dashboard")],
            ["embeds[0].workspaceName: no workspaces have its dashboard"],
        ),
        (
            [backed_up(), backed_up(export=export_of("e", **dict.fromkeys(FLAGS[1:], True)))],
            [f"embeds[1].{SETTINGS}.isAllowAiPilot: it is not exported, so it is false in a restored embed"],
        ),
        (
            [backed_up(export=export_of("e", **dict.fromkeys(FLAGS[1:], True)))] * 3,
            [f"embeds[*].{SETTINGS}.isAllowAiPilot: it is not exported, so it is false in a restored embed"],
        ),
        (
            [backed_up(export={"data": {}})],
            [f"embeds[*].{SETTINGS}.{flag}: it is not exported, so it is false in a restored embed" for flag in FLAGS],
        ),
        (
            [backed_up(export=export_of("e", **dict.fromkeys(FLAGS, False), isIncrementalJoin=True))],
            [f"embeds[*].{SETTINGS}.isIncrementalJoin: Create Embed has no documented field for it"],
        ),
        (
            [backed_up(item={"externalDashboard": {"metadata": {"createdAt": "x", "owner": "us"}}})],
            ["embeds[*].item.externalDashboard.metadata: Create Embed has no documented field for it"],
        ),
        ([backed_up(item={"externalDashboard": {"metadata": {"createdAt": "x", "updatedAt": "x"}}})], []),
        ([backed_up(item=None)], []),
        (
            [backed_up(), *[backed_up("undetermined", export=None, whyNot="HTTP 404")] * 2],
            ["embeds[*]: the datamart of 2 cannot be determined; those that Databrain deletes are not restored"],
        ),
    ],
)
def test_lost_of_embeds(embeds: list[Parsed], lines: list[str]) -> None:
    """What is missing of an embed is told by its path, and what no field takes."""
    assert lost_with(*embeds) == lines


def test_tenancy_by_table() -> None:
    """With tenancy by table, what an embed's tables are restricted by is derived and not read."""
    (line,) = lost_with(backed_up(), tenancy=TENANCY)

    assert "tableTenancySettings" in line
    assert lost_with(backed_up(), tenancy={"tenancyLevel": "DATABASE"}) == []


# ---- What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        entry_of(),
        entry_of() | {"datamartOrganization": None},
        entry_of() | {"datamartOrganization": {"tenancyLevel": "DATABASE"}},
        entry_of() | {"datamartOrganization": TENANCY},
        entry_of() | {"datamartRelationships": [{"cardinality": "OneToMany"}, {"cardinality": None}, {}]},
        with_columns(COLUMN, {}, {"columnName": "net", "isCustomColumn": True, "sql": "gross * 0.8"}),
    ],
)
def test_restorable(entry: Parsed) -> None:
    """What Create Datamart takes can be restored."""
    assert not_restorable(entry) == []
    checked_datamart(create_request(entry, legacy=False)["body"])  # type: ignore[arg-type]  # an object


NO_DATASOURCE = "datamart.companyIntegration.name"


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        (entry_of() | {"companyIntegration": None}, [NO_DATASOURCE]),
        (entry_of() | {"companyIntegration": {"name": ""}}, [NO_DATASOURCE]),
        (entry_of() | {"companyIntegration": {"name": 5}}, [NO_DATASOURCE]),
        ({"name": "sales"}, [NO_DATASOURCE, "datamart.datamartTables"]),
        (entry_of() | {"datamartTables": []}, ["datamart.datamartTables"]),
        (with_columns(), ["datamart.datamartTables[0].datamartTableColumns"]),
        (with_columns({}), ["datamart.datamartTables[0].datamartTableColumns"]),
        (
            entry_of() | {"datamartTables": [TABLE, {"tableName": "empty"}]},
            ["datamart.datamartTables[1].datamartTableColumns"],
        ),
        (
            with_columns(COLUMN, {"columnName": "net", "isCustomColumn": True}),
            ["datamart.datamartTables[0].datamartTableColumns[1].sql"],
        ),
        (
            with_columns(COLUMN, {"columnName": "net", "isCustomColumn": True, "sql": ""}),
            ["datamart.datamartTables[0].datamartTableColumns[1].sql"],
        ),
        (
            entry_of() | {"datamartOrganization": {"tenancyLevel": "ROW"}},
            ["datamart.datamartOrganization.tenancyLevel"],
        ),
        (
            entry_of() | {"datamartOrganization": TENANCY | {"tableName": None, "clientColumnType": "UUID"}},
            ["datamart.datamartOrganization.clientColumnType", "datamart.datamartOrganization.tableName"],
        ),
        (
            entry_of() | {"datamartRelationships": [{}, {"cardinality": "ManyToFew"}]},
            ["datamart.datamartRelationships[1].cardinality"],
        ),
    ],
)
def test_not_restorable(entry: Parsed, paths: list[str]) -> None:
    """What Create Datamart would refuse is told by its path, each with the rule."""
    assert [line.split(": ")[0] for line in not_restorable(entry)] == paths


def test_very_many_obstacles() -> None:
    """There are as many lines as a result shows, and the last one counts the rest."""
    entry = entry_of() | {"datamartTables": [{"tableName": "empty"}] * 250}

    lines = not_restorable(entry)

    assert len(lines) == MAX_OBSTACLES
    assert lines[-1] == "and 151 more"
    assert len(not_restorable(entry | {"datamartTables": [{"tableName": "empty"}] * MAX_OBSTACLES})) == MAX_OBSTACLES


def _some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:  # noqa: ANN401  # strategies
    return st.fixed_dictionaries({}, optional=fields)


_NAMES = st.sampled_from([None, "", "orders"])
_COLUMNS = _some(
    columnName=_NAMES, isCustomColumn=st.sampled_from([None, False, True]), sql=st.sampled_from([None, "", "a"])
)
_TABLES = _some(label=_NAMES, datamartTableColumns=st.lists(_COLUMNS, max_size=3))
_ENTRIES = _some(
    companyIntegration=st.sampled_from([None, {}, {"name": ""}, {"name": "warehouse"}]),
    datamartTables=st.lists(_TABLES.map(lambda table: table | {"tableName": "orders"}), max_size=2),
    datamartOrganization=st.none()
    | _some(
        tenancyLevel=st.sampled_from([None, "TABLE", "DATABASE", "ROW"]),
        clientColumnType=st.sampled_from([None, "STRING", "UUID"]),
        tableName=_NAMES,
        tableClientNameColumn=st.just("name"),
        tablePrimaryKeyColumn=st.just("id"),
    ),
    datamartRelationships=st.lists(_some(cardinality=st.sampled_from([None, "OneToOne", "x"])), max_size=1),
)


@given(_ENTRIES)
def test_judged_as_the_api_does(entry: dict[str, Any]) -> None:
    """What is judged to be restorable is accepted by Create Datamart as it is documented."""
    request = create_request({"name": "sales"} | entry, legacy=False)
    try:
        checked_datamart(request["body"])  # type: ignore[arg-type]  # an object
    except ApiError:
        assert not_restorable(entry)


# ---- Differences beyond that ---------------------------------------------------------------------------------------


def beyond(entry: Parsed, change: Parsed = None, *, layer: Parsed = None, found_layer: Parsed = None) -> list[str]:
    """In what a datamart that is created anew differs beyond what is lost, with this change of its listing."""
    body = {**create_request(entry, legacy=False)["body"], "name": "copy"}  # type: ignore[dict-item]  # it is a body
    found = {**listed_from(body, START), **(change or {})}
    return differences_beyond_losses(entry, layer, Snapshot("copy", START, found, found_layer, Listing({})))


RICH = with_columns(
    COLUMN | {"isHide": True, "sql": "select 1", "unknown": {"a": [1]}},
    {"columnName": "net", "alias": "net", "isCustomColumn": True, "sql": "total / 2"},
    {"columnName": None, "alias": "nameless"},
) | {"datamartOrganization": {"tenancyLevel": None, "id": 7}, "views": [{"name": "v"}]}


def test_losses_are_no_differences() -> None:
    """What a create request does not carry is lost, named, and no difference."""
    assert beyond(RICH) == []
    assert {"datamart.views", "datamart.datamartOrganization"} <= lost_of(RICH).keys()


def test_losses_of_a_layer_are_no_differences() -> None:
    """The same holds for the semantic layer."""
    found = {**LAYER, "datamartName": "copy", "completionScore": 0}
    lost = {**LAYER, "tables": [{**LAYER["tables"][0], "embedding": [1, 2]}, *LAYER["tables"][1:]]}

    assert beyond(entry_of(), layer=lost, found_layer=found) == []
    assert beyond(entry_of(), layer=lost) == ["semanticLayer"]
    changed = {**found, "tables": [{**LAYER["tables"][0], "description": "another"}, *LAYER["tables"][1:]]}
    assert beyond(entry_of(), layer=lost, found_layer=changed) == ["semanticLayer.tables[0].description"]


def columns_of_copy(*columns: Parsed) -> Parsed:
    """A change of what is listed: these columns."""
    tables = listed_from({**create_request(RICH, legacy=False)["body"]}, START)["datamartTables"]  # type: ignore[dict-item]
    return {"datamartTables": [{**tables[0], "datamartTableColumns": list(columns)}]}


ID, NET = listed_from({**create_request(RICH, legacy=False)["body"]}, START)["datamartTables"][0][  # type: ignore[dict-item]
    "datamartTableColumns"
]


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (columns_of_copy(ID), ["datamart.datamartTables[0].datamartTableColumns[1]"]),
        (columns_of_copy(ID, {**NET, "sql": "0"}), ["datamart.datamartTables[0].datamartTableColumns[1].sql"]),
        (columns_of_copy({**ID, "isHide": False}, NET), ["datamart.datamartTables[0].datamartTableColumns[0].isHide"]),
        (columns_of_copy(ID, NET, {"columnName": "more"}), ["datamart.datamartTables[0].datamartTableColumns[2]"]),
        ({"datamartTables": []}, ["datamart.datamartTables[0]"]),
        ({"companyIntegration": {"name": "another"}}, ["datamart.companyIntegration.name"]),
        ({"datamartRelationships": [{"name": "r"}]}, ["datamart.datamartRelationships[0]"]),
        ({"madeUp": True}, ["datamart.madeUp"]),
    ],
)
def test_differences_beyond_losses(change: Parsed, paths: list[str]) -> None:
    """What a create request carries, and what Databrain makes up, is a difference."""
    assert beyond(RICH, change) == paths


def test_a_relationship_that_does_not_come_back() -> None:
    """A relationship, of which it is only uncertain whether it is lost, is compared."""
    entry = entry_of() | {"datamartRelationships": [{"name": "r", "cardinality": "OneToOne"}]}

    assert beyond(entry) == []
    assert beyond(entry, {"datamartRelationships": []}) == ["datamart.datamartRelationships[0]"]
