import pytest

from retirement.canonical import ExactNumber
from retirement.databrain.differences import Difference, differences, is_as_sent
from retirement.databrain.snapshot import Listing, Snapshot
from tests.fakes import Parsed


def found(entry: Parsed, layer: Parsed = None) -> Snapshot:
    """What is there now."""
    return Snapshot("sales", None, {"name": "sales", **entry}, layer, Listing({}))


def paths(was: Parsed, now: Parsed) -> list[str]:
    """The paths of what differs between two fields of a datamart."""
    told = differences({"name": "sales", "x": was}, None, found({"x": now}))
    return [difference.path.removeprefix("datamart.x") for difference in told]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"a": 1, "b": [1, {"c": None}]}, {"b": [1, {}], "a": 1}),
        (None, []),
        ({}, None),
        ({"createdAt": "1", "updatedAt": "1", "lastUpdated": "1", "completionScore": 1}, {}),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}]),
        (
            [{"columnName": "a", "sql": "x"}, {"columnName": "b"}],
            [{"columnName": "b"}, {"columnName": "a", "sql": "x"}],
        ),
        (
            [{"schemaName": "a", "tableName": "t"}, {"schemaName": "b", "tableName": "t"}],
            [
                {"schemaName": "b", "tableName": "t"},
                {"schemaName": "a", "tableName": "t"},
            ],
        ),
        (ExactNumber("0.10000000000000000001"), ExactNumber("0.10000000000000000001")),
    ],
    ids=str,
)
def test_no_difference(was: Parsed, now: Parsed) -> None:
    """Times, the order of what has names, and nothing in its several forms make no difference."""
    assert paths(was, now) == []


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (1, True, [""]),
        (0, None, [""]),
        ("", None, [""]),
        (False, None, [""]),
        ("e\u0301", "\u00e9", [""]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [".a.b"]),
        ({"a": 1}, {"b": 1}, [".a", ".b"]),
        ({"a": []}, {"a": {"b": 1}}, [".a"]),
        ([1, 2], [2, 1], ["[0]", "[1]"]),
        ([1], [1, 2], ["[1]"]),
        ([1, 2], [1], ["[1]"]),
        ([{"name": "a"}, {"name": "b", "x": 1}], [{"name": "b", "x": 2}], ["[0]", "[1].x"]),
        ([{"name": "a"}], [{"name": "b"}], ["[0]", "[0]"]),
        ([{"name": "a"}, {"name": "a", "x": 1}], [{"name": "a", "x": 1}, {"name": "a"}], ["[0].x", "[1].x"]),
        ([{"tableName": "t", "schemaName": "a"}], [{"tableName": "t"}], ["[0].schemaName"]),
        (ExactNumber("0.1000000000000000001"), 0.1, [""]),
    ],
    ids=str,
)
def test_differences(was: Parsed, now: Parsed, expected: list[str]) -> None:
    """What differs is told by its path in the backup; what is there in addition by its place now."""
    assert paths(was, now) == expected


def test_values() -> None:
    """Both values are kept with the path."""
    assert differences({"name": "sales", "a": "x"}, None, found({"a": "y"})) == [Difference("datamart.a", "x", "y")]


def test_the_layer() -> None:
    """A semantic layer is compared as well; one that is missing is one difference."""
    layer: Parsed = {"datamartName": "old", "tables": [{"name": "orders", "description": "x"}]}
    assert differences({"name": "old"}, layer, found({}, {**layer, "datamartName": "sales"})) == []
    assert [each.path for each in differences({"name": "old"}, layer, found({}))] == ["semanticLayer"]
    now = {"datamartName": "sales", "tables": [{"name": "orders"}]}
    assert [each.path for each in differences({"name": "old"}, layer, found({}, now))] == [
        "semanticLayer.tables[0].description"
    ]


def test_a_long_path() -> None:
    """A path of names from outside is cut."""
    (difference,) = differences({"name": "sales", "x" * 500: 1}, None, found({}))
    assert len(difference.path) == 200
    assert difference.path.endswith("...")


BODY: Parsed = {
    "name": "sales",
    "datasourceName": "warehouse",
    "tableList": [
        {"name": "orders", "schemaName": "public", "columns": [{"name": "id", "label": "ID"}, {"name": "no"}]}
    ],
}
ENTRY: Parsed = {
    "name": "sales",
    "createdAt": "2026-01-01T00:00:00Z",
    "companyIntegration": {"name": "warehouse", "id": 7},
    "datamartOrganization": None,
    "datamartTables": [
        {
            "tableName": "orders",
            "schemaName": "public",
            "label": "orders",
            "isHide": False,
            "datamartTableColumns": [
                {"columnName": "no", "datatype": "integer", "label": "no"},
                {"columnName": "id", "datatype": "integer", "label": "ID", "sql": ""},
            ],
        }
    ],
    "datamartRelationships": [],
}


def changed(document: Parsed, path: list[str | int], value: Parsed) -> Parsed:
    """A document with another value at one place."""
    if not path:
        return value
    step, *rest = path
    copied = dict(document) if isinstance(document, dict) else list(document)
    inner = copied.get(step) if isinstance(copied, dict) else copied[step]  # type: ignore[index]
    copied[step] = changed(inner, rest, value)  # type: ignore[index]
    return copied


def test_as_sent() -> None:
    """What a server fills in by itself leaves a datamart what was sent."""
    assert is_as_sent(BODY, ENTRY)
    tenancy = {"tenancyLevel": "DATABASE"}
    relationships = [{"parentTableName": "orders"}]
    sent = BODY | {"tenancySettings": tenancy, "relationships": relationships}
    assert is_as_sent(
        sent, ENTRY | {"datamartOrganization": {**tenancy, "schemaName": None}, "datamartRelationships": relationships}
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["name"], "Sales"),
        (["companyIntegration", "name"], "archive"),
        (["companyIntegration"], None),
        (["datamartOrganization"], {"tenancyLevel": "TABLE"}),
        (["datamartRelationships"], [{}]),
        (["datamartTables"], []),
        (["datamartTables"], [*ENTRY["datamartTables"], {"tableName": "more", "datamartTableColumns": []}]),
        (["datamartTables", 0, "schemaName"], "private"),
        (["datamartTables", 0, "datamartTableColumns"], [{"columnName": "id", "label": "ID"}]),
        (["datamartTables", 0, "datamartTableColumns", 1, "label"], "id"),
        (["datamartTables", 0, "datamartTableColumns", 1, "columnName"], "ID"),
    ],
)
def test_not_as_sent(path: list[str | int], value: Parsed) -> None:
    """Anything that was sent and is otherwise, and any table, column, tenancy or relationship more, is not."""
    assert not is_as_sent(BODY, changed(ENTRY, path, value))
