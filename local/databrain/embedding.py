"""What the routes of embeds do that are not lists; a data-app key's."""

from urllib.parse import quote

from local.databrain.api import Call, data_app_of, object_of
from local.databrain.listing import embed_export
from local.databrain.organisation import Embed, timestamp
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject


def export_embed(call: Call) -> JsonObject:
    """Export Embed: a file, which has no `error`."""
    if not call.organisation.options.has_export_embed:
        raise ApiError(404, None, "Not Found")
    embed = _embed(call)
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


def _created(call: Call, *, legacy: bool) -> JsonObject:
    app = data_app_of(call)
    return {"id": call.organisation.create_embed(app, object_of(call), legacy=legacy), "error": None}


def _embed(call: Call) -> Embed | None:
    """Return the embed that the query names, None where the key's data app has none of that ID; raises `ApiError`."""
    app, embed_id = data_app_of(call), call.query.get("embedId")
    if not embed_id:
        raise invalid_request("Request validation failed")
    return next((embed for embed in app.embeds if embed.embed_id == embed_id), None)
