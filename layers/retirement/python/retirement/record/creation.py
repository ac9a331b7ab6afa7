"""The requests that create a datamart again from its list entry (docs/databrain-api.md, sections 4 and 5)."""

from collections.abc import Mapping, Sequence

from retirement.canonical import Document, Json

CREATE_DATAMART = "/api/v2/data-app/datamarts"
CREATE_DATAMART_LEGACY = "/api/v2/dataApp/datamart/create"
CREATE_SEMANTIC_LAYER = "/api/v2/data-app/datamarts/semantic-layer"

# Field of List Datamarts -> field of Create Datamart.
TABLE_FIELDS = {"tableName": "name", "schemaName": "schemaName", "clientColumn": "clientColumn"} | {
    same: same for same in ("label", "isHide")
}
COLUMN_FIELDS = {"columnName": "name"} | {same: same for same in ("alias", "label", "isHide", "isCustomColumn", "sql")}
TENANCY_FIELDS = (
    "tenancyLevel",
    "clientColumnType",
    "schemaName",
    "tableName",
    "tableClientNameColumn",
    "tablePrimaryKeyColumn",
)
LAYER_TABLE_FIELDS = ("name", "description", "synonyms")
LAYER_COLUMN_FIELDS = ("name", "description", "synonyms", "columnType", "columnTypeConfig", "isIdentifier")


def create_request(entry: Document, *, legacy: bool) -> Document:
    """Return the request that creates the datamart of a list entry."""
    body: dict[str, Json] = {
        "name": entry["name"],
        "tableList": [
            {
                **_renamed(table, TABLE_FIELDS),
                "columns": [
                    {key: value for key, value in column.items() if key != "sql" or column.get("isCustomColumn")}
                    for column in (_renamed(column, COLUMN_FIELDS) for column in columns_of(table))
                    if is_text(column.get("name"))
                ],
            }
            for table in objects_in(entry, "datamartTables")
        ],
    }
    if datasource := datasource_of(entry):
        body["datasourceName"] = datasource
    tenancy = tenancy_of(entry)
    if tenancy.get("tenancyLevel"):
        body["tenancySettings"] = _picked(tenancy, TENANCY_FIELDS)
    if relationships := objects_in(entry, "datamartRelationships"):
        body["relationships"] = list(relationships)
    return {"method": "POST", "path": CREATE_DATAMART_LEGACY if legacy else CREATE_DATAMART, "body": body}


def create_layer_request(name: str, layer: Document) -> Document:
    """Return the request that creates the semantic layer of a datamart that exists."""
    tables = [
        {
            **_picked(table, LAYER_TABLE_FIELDS),
            "columns": [_picked(column, LAYER_COLUMN_FIELDS) for column in objects_in(table, "columns")],
        }
        for table in objects_in(layer, "tables")
    ]
    body = {"datamartName": name, "tables": tables, **_picked(layer, ("feedback",))}
    return {"method": "POST", "path": CREATE_SEMANTIC_LAYER, "body": body}


def datasource_of(entry: Document) -> Json:
    """Return the name of the datasource, or whatever is in its place."""
    integration = entry.get("companyIntegration")
    return integration.get("name") if isinstance(integration, Mapping) else None


def tenancy_of(entry: Document) -> Document:
    """Return the tenancy settings, empty if there are none."""
    tenancy = entry.get("datamartOrganization")
    return tenancy if isinstance(tenancy, Mapping) else {}


def columns_of(table: Document) -> Sequence[Document]:
    """Return the columns of a listed table."""
    return objects_in(table, "datamartTableColumns")


def objects_in(document: Document, key: str) -> Sequence[Document]:
    """Return the objects of a list. A missing list counts as empty, because the oldest servers omit lists."""
    found = document.get(key)
    entries = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]


def is_text(value: Json) -> bool:
    """Return whether it is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def _renamed(document: Document, names: Mapping[str, str]) -> Document:
    return {new: document[old] for old, new in names.items() if document.get(old) is not None}


def _picked(document: Document, names: Sequence[str]) -> Document:
    return _renamed(document, {name: name for name in names})
