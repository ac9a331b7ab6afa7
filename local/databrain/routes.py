"""Databrain's routes, in the current and the legacy form, and which token each of them takes."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.databrain import api, embedding, workspaces
from local.databrain.api import Action, Call
from local.databrain.faults import RouteId
from local.databrain.organisation import TokenKind
from local.databrain.refusals import ApiError
from local.databrain.state import Databrain

CURRENT = "/api/v2/data-app"
LEGACY = "/api/v2/dataApp"
DATASOURCE = "/api/v2/datasource"
WORKSPACE = "/api/v2/workspace"
GUEST_TOKEN = "/api/v2/guest-token/create"  # noqa: S105 - a path


def _for_datamarts(kind: TokenKind) -> None:
    if kind is not TokenKind.SERVICE:
        raise ApiError(401, None, "Invalid or expired token")


def _for_data_apps(kind: TokenKind) -> None:
    if kind is not TokenKind.SERVICE:
        raise ApiError(401, "AUTHENTICATION_ERROR", "Invalid or expired token")


def _for_semantic_layers(kind: TokenKind) -> None:
    if kind is TokenKind.DATA_APP:
        raise ApiError(403, "AUTHENTICATION_ERROR", "A service token is required")
    _for_data_apps(kind)


def _for_workspaces(kind: TokenKind) -> None:
    # The pages kept the code of the time when a data-app key was wanted here.
    if kind is not TokenKind.SERVICE:
        raise ApiError(401, "INVALID_DATA_APP_API_KEY", "Invalid Data App API key")


def _for_embeds(kind: TokenKind) -> None:
    # A token of the wrong kind is the action's to refuse: it finds no data app for it.
    if kind is TokenKind.NONE:
        raise ApiError(401, None, "Invalid or expired token")


def _for_new_embeds(kind: TokenKind) -> None:
    if kind is not TokenKind.DATA_APP:
        raise ApiError(401, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")


def _for_guest_tokens(kind: TokenKind) -> None:
    # The page's table spells the code AUTHENTICATION_ERROR; its example, which is followed here, does not.
    if kind is not TokenKind.DATA_APP:
        raise ApiError(401, "AUTHENTICATION_ERR", "API key is invalid or expired", tells_status=False)


def _no_headers(_call: Call) -> Mapping[str, str]:
    return {}


def _route(
    method: str,
    path: str,
    route: RouteId,
    refuse: Callable[[TokenKind], None],
    action: Action,
    headers: Callable[[Call], Mapping[str, str]] = _no_headers,
) -> Route:
    """Return a Starlette route; `refuse` raises `ApiError` for a token of the wrong kind, `headers` go with a 200."""

    def act(call: Call) -> Response:
        try:
            refuse(call.organisation.token_kind(call.token))
            return JSONResponse(action(call), headers=headers(call))
        except ApiError as error:
            return JSONResponse(error.envelope(), error.status)

    async def endpoint(request: Request) -> Response:
        databrain: Databrain = request.app.state.databrain
        is_json = request.headers.get("Content-Type", "").startswith("application/json")
        call = Call(
            organisation=databrain.organisation,
            token=request.state.token,
            query=request.query_params,
            body=request.state.body if is_json else None,
        )

        return databrain.faults.answer(route, act, call)

    return Route(path, endpoint, methods=[method])


ROUTES = [
    _route("GET", f"{CURRENT}/datamarts", RouteId.LIST_DATAMARTS, _for_datamarts, api.list_datamarts),
    _route("POST", f"{LEGACY}/datamart/list", RouteId.LIST_DATAMARTS, _for_datamarts, api.list_datamarts_legacy),
    _route("DELETE", f"{CURRENT}/datamart", RouteId.DELETE_DATAMART, _for_datamarts, api.delete_datamart),
    _route("POST", f"{LEGACY}/datamart/delete", RouteId.DELETE_DATAMART, _for_datamarts, api.delete_datamart_legacy),
    _route("POST", f"{CURRENT}/datamarts", RouteId.CREATE_DATAMART, _for_datamarts, api.create_datamart),
    _route("POST", f"{LEGACY}/datamart/create", RouteId.CREATE_DATAMART, _for_datamarts, api.create_datamart),
    *(
        _route(method, f"{prefix}/datamarts/semantic-layer", route, _for_semantic_layers, action)
        for prefix in (CURRENT, LEGACY)
        for method, route, action in (
            ("GET", RouteId.GET_SEMANTIC_LAYER, api.get_semantic_layer),
            ("POST", RouteId.CREATE_SEMANTIC_LAYER, api.create_semantic_layer),
        )
    ),
    _route("GET", CURRENT, RouteId.LIST_DATA_APPS, _for_data_apps, api.list_data_apps),
    _route("GET", f"{CURRENT}/api-tokens", RouteId.LIST_API_TOKENS, _for_data_apps, api.list_api_tokens),
    _route("GET", f"{CURRENT}/embeds", RouteId.LIST_EMBEDS, _for_embeds, api.list_embeds),
    _route("POST", f"{LEGACY}/embed/list", RouteId.LIST_EMBEDS, _for_embeds, api.list_embeds_legacy),
    _route(
        "GET",
        f"{CURRENT}/embeds/export",
        RouteId.EXPORT_EMBED,
        _for_embeds,
        embedding.export_embed,
        embedding.export_headers,
    ),
    _route("POST", f"{CURRENT}/embeds", RouteId.CREATE_EMBED, _for_new_embeds, embedding.create_embed),
    _route("POST", f"{LEGACY}/embed/create", RouteId.CREATE_EMBED, _for_embeds, embedding.create_embed_legacy),
    _route("GET", f"{CURRENT}/metrics", RouteId.FETCH_METRICS, _for_embeds, embedding.fetch_metrics),
    _route("POST", f"{LEGACY}/metrics", RouteId.FETCH_METRICS, _for_embeds, embedding.fetch_metrics_legacy),
    _route("POST", GUEST_TOKEN, RouteId.CREATE_GUEST_TOKEN, _for_guest_tokens, embedding.create_guest_token),
    _route("GET", DATASOURCE, RouteId.LIST_DATASOURCES, _for_data_apps, workspaces.list_datasources),
    _route("GET", WORKSPACE, RouteId.LIST_WORKSPACES, _for_workspaces, workspaces.list_workspaces),
    _route("PUT", WORKSPACE, RouteId.UPDATE_WORKSPACE, _for_workspaces, workspaces.update_workspace),
    _route(
        "POST",
        f"{WORKSPACE}/dashboards",
        RouteId.LIST_WORKSPACE_DASHBOARDS,
        _for_workspaces,
        workspaces.list_workspace_dashboards,
    ),
]
