"""What the requests in a backup do not bring back, and what keeps them from being accepted: each by its path.

A path leads into the backup's own document; `[*]` stands for every place in a list.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from retirement.canonical import Document, Json
from retirement.record.creation import (
    COLUMN_FIELDS,
    LAYER_COLUMN_FIELDS,
    LAYER_TABLE_FIELDS,
    TABLE_FIELDS,
    TENANCY_FIELDS,
    columns_of,
    datasource_of,
    is_text,
    objects_in,
    tenancy_of,
)

# As many as a result shows of anything.
MAX_OBSTACLES = 100

# What a create request carries of a document: all of it, or of an object these keys, or of a list's entries the same.
_Carried: TypeAlias = "Mapping[str, _Carried] | list[_Carried] | None"

_ENTRY: _Carried = {
    "name": None,
    "companyIntegration": {"name": None},
    "datamartOrganization": dict.fromkeys(TENANCY_FIELDS),
    "datamartTables": [
        {**dict.fromkeys(TABLE_FIELDS), "datamartTableColumns": [dict.fromkeys(COLUMN_FIELDS)]},
    ],
    "datamartRelationships": None,
}
_LAYER: _Carried = {
    "datamartName": None,
    "tables": [{**dict.fromkeys(LAYER_TABLE_FIELDS), "columns": [dict.fromkeys(LAYER_COLUMN_FIELDS)]}],
    "feedback": None,
}
_SET_ANEW = frozenset(
    {"datamart.createdAt", "datamart.updatedAt", "semanticLayer.completionScore", "semanticLayer.lastUpdated"}
)
_COLUMN = "datamart.datamartTables[*].datamartTableColumns[*]"
_UNREADABLE = (
    f"{_COLUMN}: the aggregate flag, which no documented request reads",
    "links from workspaces to the datamart, and metrics that are built on it: no documented request reads them",
)

# As documented for Create Datamart.
_TENANCY_LEVELS = ("TABLE", "DATABASE")
_CLIENT_COLUMN_TYPES = ("NUMBER", "STRING")
_NEEDED_FOR_TABLE = ("clientColumnType", "tableName", "tableClientNameColumn", "tablePrimaryKeyColumn")
_CARDINALITIES = ("ManyToMany", "ManyToOne", "OneToMany", "OneToOne")


def not_restored(entry: Document, layer: Document | None) -> list[str]:
    """What is lost of a datamart that is created anew; what the API never showed of it comes last."""
    lost: dict[str, None] = {}
    _collect(entry, _ENTRY, "datamart", lost)
    if any(column.get("sql") and not column.get("isCustomColumn") for column in _columns(entry)):
        lost[f"{_COLUMN}.sql"] = None
    if not tenancy_of(entry).get("tenancyLevel") and any(tenancy_of(entry).values()):
        lost["datamart.datamartOrganization"] = None
    if layer is not None:
        _collect(layer, _LAYER, "semanticLayer", lost)
    return [
        *(f"{path}: {_why(path)}" for path in sorted(lost)),
        *_unsure(entry),
        *_UNREADABLE,
    ]


def not_restorable(entry: Document) -> list[str]:
    """What Create Datamart would refuse in the create request of a list entry, as far as its rules are documented.

    Returns:
        At most `MAX_OBSTACLES` lines, of which the last one then counts those that are left out; empty where a backup
        of the entry can be restored.
    """
    found = list(_obstacles(entry))
    if len(found) <= MAX_OBSTACLES:
        return found
    return [*found[: MAX_OBSTACLES - 1], f"and {len(found) - MAX_OBSTACLES + 1} more"]


def _obstacles(entry: Document) -> Iterator[str]:
    if not is_text(datasource_of(entry)):
        yield "datamart.companyIntegration.name: Create Datamart needs the datasource, and Databrain does not show it"
    tables = objects_in(entry, "datamartTables")
    if not tables:
        yield "datamart.datamartTables: Create Datamart needs at least one table"
    for number, table in enumerate(tables):
        path, columns = f"datamart.datamartTables[{number}]", columns_of(table)
        if not any(is_text(column.get("columnName")) for column in columns):
            yield f"{path}.datamartTableColumns: Create Datamart needs at least one column in a table"
        for index, column in enumerate(columns):
            if is_text(column.get("columnName")) and column.get("isCustomColumn") and not is_text(column.get("sql")):
                yield f"{path}.datamartTableColumns[{index}].sql: Create Datamart needs it for a custom column"
    yield from _obstacles_in_tenancy(tenancy_of(entry))
    for number, relationship in enumerate(objects_in(entry, "datamartRelationships")):
        if relationship.get("cardinality") not in (None, *_CARDINALITIES):
            path = f"datamart.datamartRelationships[{number}].cardinality"
            yield f"{path}: Create Datamart takes {', '.join(_CARDINALITIES)} only"


def _obstacles_in_tenancy(tenancy: Document) -> Iterator[str]:
    path, level = "datamart.datamartOrganization", tenancy.get("tenancyLevel")
    if not level:
        return
    if level not in _TENANCY_LEVELS:
        yield f"{path}.tenancyLevel: Create Datamart takes {' and '.join(_TENANCY_LEVELS)} only"
    if tenancy.get("clientColumnType") not in (None, *_CLIENT_COLUMN_TYPES):
        yield f"{path}.clientColumnType: Create Datamart takes {' and '.join(_CLIENT_COLUMN_TYPES)} only"
    for field in _NEEDED_FOR_TABLE:
        if level == "TABLE" and not is_text(tenancy.get(field)):
            yield f"{path}.{field}: Create Datamart needs it for the level TABLE"


def _collect(value: Json, carried: _Carried, path: str, lost: dict[str, None]) -> None:
    """Collect the paths of what is there and is not carried; a part of which nothing is carried has one path."""
    if isinstance(carried, list) and isinstance(value, list):
        for entry in value:
            _collect(entry, carried[0], f"{path}[*]", lost)
    elif isinstance(carried, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in carried:
                if not _is_nothing(inner):
                    lost[f"{path}.{key}"] = None
            elif carried[key] is not None:
                _collect(inner, carried[key], f"{path}.{key}", lost)
    elif not _is_nothing(value):
        lost[path] = None


def _why(path: str) -> str:
    if path in _SET_ANEW:
        return "Databrain sets it anew"
    creates = "Create Datamart" if path.startswith("datamart.") else "Create Semantic Layer"
    return f"{creates} has no documented field for it"


def _unsure(entry: Document) -> Iterator[str]:
    if any(not is_text(column.get("columnName")) for column in _columns(entry)):
        yield f"{_COLUMN}: columns that Databrain lists without a name are left out"
    if objects_in(entry, "datamartRelationships"):
        yield (
            "datamart.datamartRelationships[*]: perhaps; they are sent as they are listed, and Create Datamart has no "
            "documented names for their fields"
        )


def _columns(entry: Document) -> Iterator[Document]:
    for table in objects_in(entry, "datamartTables"):
        yield from columns_of(table)


def _is_nothing(value: Json) -> bool:
    return value is None or value == "" or (isinstance(value, Mapping | Sequence) and not value)
