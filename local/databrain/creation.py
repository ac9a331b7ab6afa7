"""What Databrain makes of the bodies of requests that create and change things.

A create request carries less than the list shows: the datasource knows the rest.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import fastjsonschema

from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject, compiled, schema

SourceTables: TypeAlias = Mapping[tuple[str | None, str], Mapping[str, str]]
"""The tables of one datasource: (schema, table) -> column -> datatype."""

UNKNOWN_DATATYPE = "varchar"

# What Create Embed's legacy form calls a thing, and its current form calls otherwise.
NEW_SPELLINGS = {"isAllowAipilot": "isAllowAiPilot", "tableList": "tableTenancySettings"}

_validate_datamart = compiled(schema("create-datamart"))
_validate_semantic_layer = compiled(schema("create-semantic-layer"))
_validate_workspace = compiled(schema("update-workspace"))
_validate_embed = compiled(schema("create-embed"))
_validate_access_settings = compiled(schema("access-settings"))
_validate_guest_token = compiled(schema("create-guest-token"))


@dataclass(frozen=True)
class EmbedRequest:
    """A Create Embed whose body is in order; `target` is the ID of the dashboard or metric to show."""

    embed_type: str
    target: str
    workspace: str
    name: str | None
    datamart: str | None
    access_settings: JsonObject


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
    return _checked(body, _validate_semantic_layer)


def checked_workspace(body: JsonObject) -> JsonObject:
    """Return the body of an Update Workspace with its defaults; raises `ApiError`."""
    return _checked(body, _validate_workspace)


def checked_embed(body: JsonObject, *, legacy: bool) -> EmbedRequest:
    """Return what a Create Embed asks for; raises `ApiError`."""
    request = _checked(_in_new_terms(body) if legacy else body, _validate_embed)
    settings = request["accessSettings"]
    return EmbedRequest(
        embed_type=request["embedType"],
        target=request["dashboardId"] if request["embedType"] == "dashboard" else request["metricId"],
        workspace=request["workspaceName"],
        name=request["name"],
        datamart=settings.get("datamartName"),
        access_settings=_checked(
            {key: value for key, value in settings.items() if key != "datamartName"}, _validate_access_settings
        ),
    )


def default_access_settings() -> JsonObject:
    """Return the access settings of an embed for which none were given: nothing is allowed (undocumented)."""
    return _checked({}, _validate_access_settings)


def checked_guest_token(body: JsonObject) -> JsonObject:
    """Return the body of a Create Guest Token with its defaults; raises `ApiError` (which code: undocumented)."""
    try:
        request: JsonObject = _validate_guest_token(copy.deepcopy(body))
    except fastjsonschema.JsonSchemaValueException as error:
        match error.path[1:]:
            case ["clientId"]:
                raise ApiError(400, "CLIENT_ID_ERROR", "Invalid client id") from error
            case ["params", "dashboardAppFilters" | "appFilters", *_]:
                raise ApiError(400, "APP_FILTER_PARAM_ERROR", "Invalid app filter") from error
            case ["params", "rlsSettings", *_]:
                raise ApiError(400, "RLS_SETTINGS_PARAM_ERROR", "Invalid RLS settings") from error
            case ["params", "hideDashboardFilters", *_]:
                raise ApiError(400, "DASHBOARD_PARAM_ERROR", "Invalid dashboard filters") from error
            case _:
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


def _checked(body: JsonObject, validate: Callable[..., Any]) -> JsonObject:
    try:
        request: JsonObject = validate(copy.deepcopy(body))
    except fastjsonschema.JsonSchemaValueException as error:
        raise invalid_request() from error
    return request


def _in_new_terms(body: JsonObject) -> JsonObject:
    """Return the body of a legacy Create Embed as the current form has it; raises `ApiError`.

    The legacy form wants `accessSettings` with a datamart for metrics, too, and has neither `name` nor `joinModel`.
    """
    settings = body.get("accessSettings")
    if "name" in body or not isinstance(settings, dict) or "datamartName" not in settings:
        raise invalid_request()
    if {"joinModel", *NEW_SPELLINGS.values()} & settings.keys():
        raise invalid_request()
    return body | {"accessSettings": {NEW_SPELLINGS.get(key, key): value for key, value in settings.items()}}
