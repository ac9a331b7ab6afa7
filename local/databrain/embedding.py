"""What the routes of embeds do that are not lists; a data-app key's."""

from urllib.parse import quote

from local.databrain.api import Call, data_app_of, object_of, page_of_body, page_of_query
from local.databrain.listing import embed_export, metric_item, page
from local.databrain.organisation import Embed, timestamp
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject


def export_embed(call: Call) -> JsonObject:
    """Export Embed: a file, which has no `error`."""
    if not call.organisation.options.has_export_embed:
        raise ApiError(404, None, "Not Found")
    embed = _embed(call, call.query.get("embedId"))
    if embed is None:
        raise ApiError(400, "INVALID_EMBED_ID", "Embed not found")  # undocumented here: Rename Embed's answer
    dashboard = call.organisation.dashboard_of(embed)
    metrics = call.organisation.metrics_of(embed)
    data = {"layout": [], "filters": [], "metrics": metrics} if dashboard is None else dashboard.data
    return embed_export(embed, data, timestamp())


def export_headers(call: Call) -> dict[str, str]:
    """Return what marks an export as a file; an ID is percent-encoded where a header needs that (undocumented)."""
    name = quote(call.query.get("embedId", ""), safe=" ")
    return {"Content-Disposition": f'attachment; filename="dashboard-{name}.json"'}


def create_embed(call: Call) -> JsonObject:
    """Create Embed, current form: what is not found is 404."""
    return _created(call, legacy=False)


def create_embed_legacy(call: Call) -> JsonObject:
    """Create Embed, legacy form: what is not found is 400, and some settings are spelled otherwise."""
    return _created(call, legacy=True)


def fetch_metrics(call: Call) -> JsonObject:
    """Fetch Metrics of an embed, current form; what `isMetric` does is not documented, and it does nothing here."""
    metrics = _metrics(call, call.query.get("embedId"), call.query.get("clientId"))
    return {"data": [metric_item(metric, legacy=False) for metric in page(metrics, page_of_query(call))]}


def fetch_metrics_legacy(call: Call) -> JsonObject:
    """Fetch Metrics of an embed, legacy form."""
    body = object_of(call)
    metrics = _metrics(call, body.get("embedId"), body.get("clientId"))
    return {"data": [metric_item(metric, legacy=True) for metric in page(metrics, page_of_body(call))]}


def create_guest_token(call: Call) -> JsonObject:
    """Create Guest Token."""
    return {"token": call.organisation.create_guest_token(data_app_of(call), object_of(call))}


def _created(call: Call, *, legacy: bool) -> JsonObject:
    app = data_app_of(call)
    return {"id": call.organisation.create_embed(app, object_of(call), legacy=legacy), "error": None}


def _metrics(call: Call, embed_id: object, client_id: object) -> list[JsonObject]:
    if not call.organisation.options.has_fetch_metrics:
        raise ApiError(404, None, "Not Found")
    embed = _embed(call, embed_id)
    if not isinstance(client_id, str) or not client_id:
        raise invalid_request("Request validation failed")
    if embed is None:
        raise ApiError(400, "EMBED_PARAM_ERROR", "Embed ID not found or mismatched with API Key")
    return call.organisation.metrics_of(embed)


def _embed(call: Call, embed_id: object) -> Embed | None:
    """Return the embed of that ID, None where the key's data app has none; raises `ApiError` where it is no ID."""
    app = data_app_of(call)
    if not isinstance(embed_id, str) or not embed_id:
        raise invalid_request("Request validation failed")
    return next((embed for embed in app.embeds if embed.embed_id == embed_id), None)
