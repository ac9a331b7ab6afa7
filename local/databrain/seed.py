"""Makes an organisation of a seed, the JSON object that `schemas/seed.json` describes; `seed.json` is a sample."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.databrain.creation import default_access_settings
from local.databrain.organisation import (
    ApiToken,
    ConnectionType,
    Dashboard,
    DataApp,
    Datamart,
    Embed,
    EmbedsTell,
    Organisation,
    ServerOptions,
    Workspace,
    timestamp,
)
from local.databrain.validation import Checker, InvalidInputError, JsonObject, schema

SAMPLE = Path(__file__).with_name("seed.json")

_SCHEMA = schema("seed")
_check_seed = Checker(_SCHEMA)
_check_datamart = Checker({**_SCHEMA["definitions"]["datamart"], "definitions": _SCHEMA["definitions"]})


def read_seed(path: Path = SAMPLE) -> JsonObject:
    """Return the seed in a file; raises `InvalidInputError` where it is no JSON, and OSError."""
    try:
        seed: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{path} is no JSON in UTF-8: {error}") from error
    return seed


def organisation_of(seed: Any) -> Organisation:  # noqa: ANN401 - any JSON, which is then checked
    """Return the organisation that a seed describes; raises `InvalidInputError`, which names the field."""
    # The schema's defaults reach only into objects that are there.
    seed = _check_seed({"server": {}} | seed if isinstance(seed, dict) else seed, "seed")
    _check_references(seed)
    server = seed["server"]
    organisation = Organisation(
        options=ServerOptions(
            lists_created_at=server["listsCreatedAt"],
            honours_expand_details=server["honoursExpandDetails"],
            has_data_apps=server["hasDataApps"],
            embeds_tell_datamart=EmbedsTell(server["embedsTellDatamart"]),
            has_workspaces=server["hasWorkspaces"],
            has_export_embed=server["hasExportEmbed"],
            has_fetch_metrics=server["hasFetchMetrics"],
            takes_allowed_embeds=server["takesAllowedEmbeds"],
            keeps_embeds=server["keepsEmbeds"],
            embed_ids_of_dashboards=server["embedIdsOfDashboards"],
        ),
        service_token=seed["serviceToken"],
        datasources=frozenset(seed["datasources"]),
    )
    now = timestamp()
    for datamart in seed["datamarts"]:
        organisation.put_datamart(_datamart(datamart, now))
    for workspace in seed["workspaces"]:
        organisation.workspaces[workspace["name"]] = _workspace(workspace)
    for number, app in enumerate(seed["dataApps"]):
        placed = _placed(_data_app(app, now), organisation, f"seed.dataApps[{number}]")
        organisation.data_apps[app["name"]] = placed
    return organisation


def datamart_of(given: Any, organisation: Organisation) -> Datamart:  # noqa: ANN401 - any JSON, which is then checked
    """Return the datamart that an entry of a seed's `datamarts` describes; raises `InvalidInputError`."""
    datamart = _check_datamart(given, "datamart")
    _check_datasource(datamart, organisation.datasources, "datamart")
    return _datamart(datamart, timestamp())


def _placed(app: DataApp, organisation: Organisation, where: str) -> DataApp:
    """Return a data app whose embeds have the workspace of what they show; raises `InvalidInputError`."""
    embeds = [
        replace(embed, workspace=_workspace_of(embed, organisation, f"{where}.embeds[{n}]"))
        for n, embed in enumerate(app.embeds)
    ]
    return replace(app, embeds=tuple(embeds))


def _workspace_of(embed: Embed, organisation: Organisation, where: str) -> str | None:
    if not embed.target and embed.workspace is None:
        return None
    for workspace in organisation.workspaces.values():
        if workspace.has(embed.embed_type, embed.target_id) and embed.workspace in {None, workspace.name}:
            return workspace.name
    place = "in no workspace of the seed" if embed.workspace is None else f"not in {embed.workspace!r}"
    raise InvalidInputError(f"{where} shows the {embed.embed_type} {embed.target_id!r}, which is {place}")


def _check_references(seed: JsonObject) -> None:
    apps = [(f"seed.dataApps[{number}]", app) for number, app in enumerate(seed["dataApps"])]
    tokens = [
        (f"{where}.tokens[{n}].key", token["key"]) for where, app in apps for n, token in enumerate(app["tokens"])
    ]
    embeds = [(f"{where}.embeds[{n}]", embed) for where, app in apps for n, embed in enumerate(app["embeds"])]
    _check_distinct((f"seed.datamarts[{n}].name", datamart["name"]) for n, datamart in enumerate(seed["datamarts"]))
    _check_distinct((f"{where}.name", app["name"]) for where, app in apps)
    _check_distinct((f"{where}.embedId", embed["embedId"]) for where, embed in embeds)
    _check_distinct([("seed.serviceToken", seed["serviceToken"]), *tokens], show=False)
    for number, datamart in enumerate(seed["datamarts"]):
        _check_datasource(datamart, seed["datasources"], f"seed.datamarts[{number}]")
    names = {datamart["name"] for datamart in seed["datamarts"]}
    _check_workspaces(seed, names)
    for where, embed in embeds:
        if embed["datamart"] is not None and embed["datamart"] not in names:
            raise InvalidInputError(f"{where}.datamart is {embed['datamart']!r}, which is none of the seed's datamarts")
        other = "metricId" if embed["embedType"] == "dashboard" else "dashboardId"
        if other in embed:
            raise InvalidInputError(f"{where}.{other} is there, but its type is {embed['embedType']}")


def _check_workspaces(seed: JsonObject, datamarts: Iterable[str]) -> None:
    workspaces = [(f"seed.workspaces[{number}]", workspace) for number, workspace in enumerate(seed["workspaces"])]
    _check_distinct((f"{where}.name", workspace["name"]) for where, workspace in workspaces)
    for where, workspace in workspaces:
        _check_distinct(
            (f"{where}.dashboards[{n}].dashboardId", dashboard["dashboardId"])
            for n, dashboard in enumerate(workspace["dashboards"])
        )
        for key, known in (("datasourceName", seed["datasources"]), ("datamartName", datamarts)):
            if key in workspace and workspace[key] not in known:
                raise InvalidInputError(f"{where}.{key} is {workspace[key]!r}, which the seed does not have")


def _check_distinct(values: Iterable[tuple[str, str]], *, show: bool = True) -> None:
    places: dict[str, str] = {}
    for where, value in values:
        if value in places:
            what = repr(value) if show else "a value"
            raise InvalidInputError(f"{where} is {what} that {places[value]} has already: it must be unique")
        places[value] = where


def _check_datasource(datamart: JsonObject, datasources: Iterable[str], where: str) -> None:
    name = datamart["companyIntegration"]["name"]
    if name not in datasources:
        raise InvalidInputError(
            f"{where}.companyIntegration.name is {name!r}, which is none of the datasources: {sorted(datasources)}"
        )


def _datamart(datamart: JsonObject, now: str) -> Datamart:
    created_at: str = datamart.get("createdAt", now)
    layer = datamart["semanticLayer"]
    return Datamart(
        name=datamart["name"],
        created_at=created_at,
        updated_at=datamart.get("updatedAt") or created_at,
        configuration={
            "datamartOrganization": datamart["datamartOrganization"],
            "companyIntegration": datamart["companyIntegration"],
            "datamartTables": [_table(table) for table in datamart["datamartTables"]],
            "datamartRelationships": datamart["datamartRelationships"],
        },
        semantic_layer=None if layer is None else {"feedback": None, "lastUpdated": now} | layer,
    )


def _table(table: JsonObject) -> JsonObject:
    columns = [
        {"columnName": column["columnName"], "datatype": column["datatype"]}
        | {"alias": column["columnName"], "label": column["columnName"]}
        | column
        for column in table["datamartTableColumns"]
    ]
    shown = {"schemaName": table["schemaName"], "tableName": table["tableName"], "label": table["tableName"]}
    return shown | table | {"datamartTableColumns": columns}


def _data_app(app: JsonObject, now: str) -> DataApp:
    created_at: str = app.get("createdAt", now)
    return DataApp(
        name=app["name"],
        type=app["type"],
        created_at=created_at,
        updated_at=app.get("updatedAt") or created_at,
        tokens=tuple(
            ApiToken(token["key"], token["name"], token["description"], token.get("createdAt", now), token["expired"])
            for token in app["tokens"]
        ),
        embeds=tuple(_embed(embed, now) for embed in app["embeds"]),
    )


def _embed(embed: JsonObject, now: str) -> Embed:
    created_at: str = embed.get("createdAt", now)
    return Embed(
        embed_id=embed["embedId"],
        embed_type=embed["embedType"],
        name=embed.get("name") or embed["embedId"],
        datamart=embed["datamart"],
        metadata=embed["metadata"],
        hidden=embed["hidden"],
        created_at=created_at,
        updated_at=embed.get("updatedAt") or created_at,
        target=embed.get(f"{embed['embedType']}Id", ""),
        workspace=embed.get("workspaceName"),
        access_settings=embed.get("accessSettings") or default_access_settings(),
    )


def _workspace(workspace: JsonObject) -> Workspace:
    datasource, datamart = workspace.get("datasourceName"), workspace.get("datamartName")
    implied = "DATAMART" if datamart else "DATASOURCE" if datasource else "MULTI_DATAMART"
    return Workspace(
        name=workspace["name"],
        connection_type=ConnectionType(workspace.get("connectionType", implied)),
        datasource=datasource,
        datamart=datamart,
        dashboards=tuple(
            Dashboard(dashboard["dashboardId"], dashboard.get("name") or dashboard["dashboardId"], dashboard["data"])
            for dashboard in workspace["dashboards"]
        ),
    )
