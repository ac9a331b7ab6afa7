"""The shapes in which the API shows an organisation: the items of its lists, and its pages."""

from collections.abc import Sequence
from typing import TypeVar

from local.databrain.organisation import (
    ApiToken,
    Dashboard,
    DataApp,
    Datamart,
    Deletion,
    Embed,
    EmbedsTell,
    GuestToken,
)
from local.databrain.validation import JsonObject

PAGE_SIZE = 10
# The access settings that can be read at all.
SHOWN_SETTINGS = (
    "isAllowEmailReports",
    "isAllowManageMetrics",
    "isAllowCreateDashboardView",
    "isAllowMetricCreation",
    "isAllowMetricDeletion",
    "isAllowMetricLayoutChange",
    "isAllowMetricUpdate",
    "isAllowUnderlyingData",
    "metricCreationMode",
)
LEFT_OUT_WHEN_COLLAPSED = ("datamartTables", "datamartRelationships")

Item = TypeVar("Item")


def page(items: Sequence[Item], number: int | None) -> Sequence[Item]:
    """Return one page, counted from 1 and empty past the end; all items where `number` is None."""
    return items if number is None else items[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


def datamart_item(datamart: Datamart, *, expanded: bool, dated: bool) -> JsonObject:
    """Return an item of List Datamarts."""
    times = {"createdAt": datamart.created_at, "updatedAt": datamart.updated_at} if dated else {}
    shown = {
        key: value for key, value in datamart.configuration.items() if expanded or key not in LEFT_OUT_WHEN_COLLAPSED
    }
    return {"name": datamart.name, **times, **shown}


def data_app_item(app: DataApp) -> JsonObject:
    """Return an item of List Data Apps: it names every embed, and no datamart."""
    embeds = [
        {
            "name": embed.name,
            "embedId": embed.embed_id,
            "createdAt": embed.created_at,
            "updatedAt": embed.updated_at,
        }
        for embed in app.embeds
    ]
    return {
        "name": app.name,
        "type": app.type,
        "createdAt": app.created_at,
        "updatedAt": app.updated_at,
        "embedCount": len(embeds),
        "embeds": embeds,
    }


def api_token_item(token: ApiToken) -> JsonObject:
    """Return an item of List API Tokens, with the live key."""
    return {"key": token.key, "name": token.name, "description": token.description, "createdAt": token.created_at}


def dashboard_item(dashboard: Dashboard) -> JsonObject:
    """Return an item of the list of a workspace's dashboards."""
    return {"name": dashboard.name, "externalDashboardId": dashboard.dashboard_id}


def metric_item(metric: JsonObject, *, legacy: bool) -> JsonObject:
    """Return an item of Fetch Metrics; the newest one has two more fields, whose values no page explains."""
    item = {"name": metric["name"], "metricId": metric["metricId"]}
    return item if legacy else item | {"isPublished": True, "createdByUser": None}


def embed_item(embed: Embed, app: DataApp, title: str, told: EmbedsTell, *, legacy: bool) -> JsonObject:
    """Return an item of List Embeds, which says which datamart it uses only where `told` says so.

    `title` is the name of the dashboard or metric that it shows.
    """
    times = {"createdAt": embed.created_at, "updatedAt": embed.updated_at}
    datamart = {} if embed.datamart is None else {"datamartName": embed.datamart}
    dashboard_id, metric_id = _dashboard_and_metric_id(embed)
    item: JsonObject = {
        "embedId": embed.embed_id,
        "embedType": embed.embed_type,
        "name": embed.name,
        "externalDashboard": None,
        "externalMetric": None,
    }
    if dashboard_id is not None:
        item["externalDashboard"] = {
            "externalDashboardId": dashboard_id,
            "metadata": times | (datamart if told is EmbedsTell.METADATA else {}) | embed.metadata,
            "name": title,
        }
    if metric_id is not None:
        item["externalMetric"] = {"metricId": metric_id, "name": title}
    if legacy:
        settings = embed.access_settings
        item["embedDataAppAccessSetting"] = {
            "isAllowAipilot": settings["isAllowAiPilot"],
            **{key: settings[key] for key in SHOWN_SETTINGS if key != "isAllowCreateDashboardView"},
            "tableList": settings["tableTenancySettings"],
        }
    else:
        item["embedMetadata"] = {
            "embedId": embed.embed_id,
            "name": embed.name,
            "embedType": embed.embed_type,
            "dataAppName": app.name,
            "metricId": metric_id,
            "dashboardId": dashboard_id,
            **times,
        }
    if told is EmbedsTell.ACCESS_SETTINGS:
        item["accessSettings"] = datamart
    if told is EmbedsTell.OLD_SPELLING:
        item["embedDataAppAccessSetting"] = item.get("embedDataAppAccessSetting", {}) | datamart
    return item


def embed_in_full(embed: Embed, app: DataApp) -> JsonObject:
    """Return all that there is of an embed, as a seed writes it, and its data app's name."""
    return {
        "dataAppName": app.name,
        "embedId": embed.embed_id,
        "embedType": embed.embed_type,
        "name": embed.name,
        "datamart": embed.datamart,
        **({f"{embed.embed_type}Id": embed.target} if embed.target else {}),
        **({} if embed.workspace is None else {"workspaceName": embed.workspace}),
        "accessSettings": embed.access_settings,
        "metadata": embed.metadata,
        "hidden": embed.hidden,
        "createdAt": embed.created_at,
        "updatedAt": embed.updated_at,
    }


def embed_export(embed: Embed, data: JsonObject, exported_at: str) -> JsonObject:
    """Return the file that Export Embed answers: it names no datamart, workspace, datasource or tenancy."""
    settings = embed.access_settings
    return {
        "_meta": {
            "exportedAt": exported_at,
            "embedId": embed.embed_id,
            "name": embed.name,
            "embedType": embed.embed_type,
            "dashboardId": _dashboard_and_metric_id(embed)[0],
            "embedDataAppAccessSetting": {
                **{key: settings[key] for key in SHOWN_SETTINGS},
                "isIncrementalJoin": settings["joinModel"] == "multi",  # undocumented
            },
        },
        "data": data,
    }


def deletion_item(deletion: Deletion) -> JsonObject:
    """Return what went with a datamart: the datamart as a seed writes it, and the embeds in full."""
    datamart = datamart_item(deletion.datamart, expanded=True, dated=True)
    return {
        "datamart": datamart | {"semanticLayer": deletion.datamart.semantic_layer},
        "embeds": [embed_in_full(embed, app) for app in deletion.data_apps for embed in app.embeds],
    }


def guest_token_item(token: GuestToken) -> JsonObject:
    """Return what the control interface shows of a guest token: all but its value."""
    return {
        "dataAppName": token.data_app,
        "clientId": token.client_id,
        "allowedEmbeds": token.allowed_embeds,
        "expiresAt": None if token.expires_at is None else token.expires_at.isoformat(),
    }


def _dashboard_and_metric_id(embed: Embed) -> tuple[str | None, str | None]:
    return (embed.target_id, None) if embed.embed_type == "dashboard" else (None, embed.target_id)
