"""What Databrain makes of the bodies of requests that create and change things.

A create request carries less than the list shows: the datasource knows the rest.
"""

from collections.abc import Mapping
from typing import TypeAlias

import fastjsonschema

from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject, schema

SourceTables: TypeAlias = Mapping[tuple[str | None, str], Mapping[str, str]]
"""The tables of one datasource: (schema, table) -> column -> datatype."""

UNKNOWN_DATATYPE = "varchar"

_validate_datamart = fastjsonschema.compile(schema("create-datamart"))
_validate_semantic_layer = fastjsonschema.compile(schema("create-semantic-layer"))
_validate_workspace = fastjsonschema.compile(schema("update-workspace"))


def checked_datamart(body: JsonObject) -> JsonObject:
    """Return the body of a Create Datamart with its defaults; raises `ApiError` as that page's table says."""
    try:
        request: JsonObject = _validate_datamart(body)
    except fastjsonschema.JsonSchemaValueException as error:
        match error.path[1:]:
            case ["tableList"] if error.rule == "minItems":
                raise invalid_request("Table list cannot be empty") from error
            case ["tableList", _, *_]:
                raise invalid_request("Invalid table or column structure") from error
            case ["tenancySettings", "tenancyLevel"]:
                raise ApiError(400, "INVALID_TENANCY", "Invalid tenancy level for organization") from error
            case _:
                raise invalid_request() from error
    return request


def checked_semantic_layer(body: JsonObject) -> JsonObject:
    """Return the body of a Create Semantic Layer with its defaults; raises `ApiError`."""
    try:
        request: JsonObject = _validate_semantic_layer(body)
    except fastjsonschema.JsonSchemaValueException as error:
        raise invalid_request() from error
    return request


def checked_workspace(body: JsonObject) -> JsonObject:
    """Return the body of an Update Workspace with its defaults; raises `ApiError`."""
    try:
        request: JsonObject = _validate_workspace(body)
    except fastjsonschema.JsonSchemaValueException as error:
        raise invalid_request() from error
    return request


def configuration(request: JsonObject, source: SourceTables) -> JsonObject:
    """Return what the datamart list will show for a checked create request, but for its name and times.

    Raises `ApiError` for tables and columns that the datasource does not have.
    """
    return {
        "datamartOrganization": request.get("tenancySettings"),
        "companyIntegration": {"name": request["datasourceName"]},
        "datamartTables": [_table(table, source) for table in request["tableList"]],
        "datamartRelationships": request["relationships"],
    }


def semantic_layer(request: JsonObject, datamart: JsonObject, created_at: str) -> JsonObject:
    """Return what Get Semantic Layer will show for a checked request, but for the datamart's name.

    `datamart` is its configuration. Raises `ApiError` for tables and columns that it does not have.
    """
    known = {
        table["tableName"]: (
            table["schemaName"],
            {column["columnName"]: column["datatype"] for column in table["datamartTableColumns"]},
        )
        for table in datamart["datamartTables"]
    }
    tables = []
    for table in request["tables"]:
        if table["name"] not in known:
            raise invalid_request("Invalid schema or table name")
        schema_name, datatypes = known[table["name"]]
        if any(column["name"] not in datatypes for column in table["columns"]):
            raise invalid_request("Invalid column names in table")
        columns = [column | {"datatype": datatypes[column["name"]]} for column in table["columns"]]
        tables.append(table | {"schemaName": schema_name, "columns": columns})
    entities = [entity for table in tables for entity in (table, *table["columns"])]
    described = sum(entity["description"] is not None for entity in entities)
    return {
        "tables": tables,
        "feedback": request["feedback"],
        "completionScore": round(100 * described / len(entities)) if entities else 0,
        "lastUpdated": created_at,
    }


def _table(table: JsonObject, source: SourceTables) -> JsonObject:
    columns = source.get((table["schemaName"], table["name"]))
    if columns is None:
        raise invalid_request("Invalid schema or table name")
    if table["clientColumn"] is not None and table["clientColumn"] not in columns:
        raise invalid_request("Invalid column names in table")
    return {
        "schemaName": table["schemaName"],
        "tableName": table["name"],
        "label": table["label"] or table["name"],
        "clientColumn": table["clientColumn"],
        "isHide": table["isHide"],
        "datamartTableColumns": [_column(column, columns) for column in table["columns"]],
    }


def _column(column: JsonObject, source: Mapping[str, str]) -> JsonObject:
    name = column["name"]
    if name not in source and not column["isCustomColumn"]:
        raise invalid_request("Invalid column names in table")
    datatype = source.get(name, UNKNOWN_DATATYPE)
    return {
        "columnName": name,
        "datatype": datatype,
        "alias": column["alias"] or name,
        "label": column["label"] or name,
        "isHide": column["isHide"],
        "isCustomColumn": column["isCustomColumn"],
        "sql": column.get("sql", ""),
        "isApplyTimezone": datatype.startswith("timestamp"),
    }
