"""The backup: what the API tells of a datamart, the requests that bring it back, and what they cannot bring back.

Also the permits: the only values that let a delete be sent.
"""

from collections.abc import Iterator, Mapping, Sequence

from retirement.canonical import Document, Json
from retirement.databrain.snapshot import Snapshot

CREATE_DATAMART = "/api/v2/data-app/datamarts"
CREATE_DATAMART_LEGACY = "/api/v2/dataApp/datamart/create"
CREATE_SEMANTIC_LAYER = "/api/v2/data-app/datamarts/semantic-layer"

# What List Datamarts calls a thing and Create Datamart takes (docs/databrain-api.md, section 4).
_TABLE_FIELDS = {"tableName": "name", "schemaName": "schemaName", "clientColumn": "clientColumn"} | {
    same: same for same in ("label", "isHide")
}
_COLUMN_FIELDS = {"columnName": "name"} | {same: same for same in ("alias", "label", "isHide", "isCustomColumn", "sql")}
_TENANCY_FIELDS = (
    "tenancyLevel",
    "clientColumnType",
    "schemaName",
    "tableName",
    "tableClientNameColumn",
    "tablePrimaryKeyColumn",
)
_LAYER_TABLE_FIELDS = ("name", "description", "synonyms")
_LAYER_COLUMN_FIELDS = ("name", "description", "synonyms", "columnType", "columnTypeConfig", "isIdentifier")

_NEVER_RESTORED = (
    "createdAt and updatedAt",
    "the embeds that used the datamart: Databrain deletes them with it; they are listed under `embeds`",
    "guest tokens of those embeds",
    "links from workspaces, and metrics built on the datamart: no documented request reads them",
    "each column's datatype, isApplyTimezone and aggregate flag: Create Datamart has no documented field for them",
)


def backup_of(snapshot: Snapshot, embeds_in_use: Sequence[Document], *, legacy: bool) -> Document:
    """Everything about the datamart. It holds no time of ours, so an equal snapshot gives an equal backup."""
    layer = snapshot.semantic_layer
    return {
        "formatVersion": "1",
        "datamart": snapshot.entry,
        "semanticLayer": layer,
        "embeds": list(embeds_in_use),
        "createRequest": {
            "method": "POST",
            "path": CREATE_DATAMART_LEGACY if legacy else CREATE_DATAMART,
            "body": _create_body(snapshot.entry),
        },
        "createSemanticLayerRequest": None
        if layer is None
        else {"method": "POST", "path": CREATE_SEMANTIC_LAYER, "body": _create_layer_body(snapshot.name, layer)},
        "notRestored": [*_NEVER_RESTORED, *_not_restored(snapshot.entry, layer)],
    }


def _create_body(entry: Document) -> Document:
    body: dict[str, Json] = {
        "name": entry["name"],
        "tableList": [
            {
                **_renamed(table, _TABLE_FIELDS),
                "columns": [
                    {key: value for key, value in column.items() if key != "sql" or column.get("isCustomColumn")}
                    for column in (_renamed(column, _COLUMN_FIELDS) for column in _columns(table))
                    if "name" in column
                ],
            }
            for table in _objects(entry, "datamartTables")
        ],
    }
    integration = entry.get("companyIntegration")
    if isinstance(integration, Mapping) and integration.get("name"):
        body["datasourceName"] = integration["name"]
    tenancy = entry.get("datamartOrganization")
    if isinstance(tenancy, Mapping) and tenancy.get("tenancyLevel"):
        body["tenancySettings"] = _picked(tenancy, _TENANCY_FIELDS)
    if relationships := _objects(entry, "datamartRelationships"):
        body["relationships"] = list(relationships)
    return body


def _create_layer_body(name: str, layer: Document) -> Document:
    tables = [
        {
            **_picked(table, _LAYER_TABLE_FIELDS),
            "columns": [_picked(column, _LAYER_COLUMN_FIELDS) for column in _objects(table, "columns")],
        }
        for table in _objects(layer, "tables")
    ]
    return {"datamartName": name, "tables": tables, **_picked(layer, ("feedback",))}


def _not_restored(entry: Document, layer: Document | None) -> Iterator[str]:
    tables = _objects(entry, "datamartTables")
    integration = entry.get("companyIntegration")
    if not (isinstance(integration, Mapping) and integration.get("name")):
        yield "the datasource: Databrain did not tell its name; add `datasourceName` to the create request"
    if not tables:
        yield "the datamart has no tables, and Create Datamart wants at least one"
    if any("columnName" not in column for table in tables for column in _columns(table)):
        yield "columns that Databrain listed without a name"
    tenancy = entry.get("datamartOrganization")
    level = tenancy.get("tenancyLevel") if isinstance(tenancy, Mapping) else None
    if level not in {None, "TABLE", "DATABASE"}:
        yield "the tenancy, perhaps: Create Datamart documents the levels TABLE and DATABASE only; check it afterwards"
    if _objects(entry, "datamartRelationships"):
        yield "relationships, perhaps: Create Datamart's names for their fields are not documented; check them after it"
    if layer is not None:
        yield "the semantic layer's completionScore, lastUpdated, schema names, isNotIndexed and miscellaneousInfo"


def _columns(table: Document) -> Sequence[Document]:
    return _objects(table, "datamartTableColumns")


def _objects(document: Document, key: str) -> Sequence[Document]:
    """The objects of a list; an absent list is an empty one, since the oldest servers leave lists out."""
    found = document.get(key)
    entries = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _renamed(document: Document, names: Mapping[str, str]) -> Document:
    return {new: document[old] for old, new in names.items() if document.get(old) is not None}


def _picked(document: Document, names: Sequence[str]) -> Document:
    return _renamed(document, {name: name for name in names})
