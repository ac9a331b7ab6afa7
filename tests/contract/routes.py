"""Databrain's routes as its pages document them, and which requests to them the local server has seen."""

from collections.abc import Mapping

from local.databrain.faults import RouteId
from local.databrain.state import Databrain
from retirement.databrain.ports import DatabrainApi
from tests.contract.seeds import JsonObject

_ROUTES_OF_ONE_FORM = {
    RouteId.LIST_DATA_APPS: ("GET", "/api/v2/data-app"),
    RouteId.LIST_API_TOKENS: ("GET", "/api/v2/data-app/api-tokens"),
    RouteId.EXPORT_EMBED: ("GET", "/api/v2/data-app/embeds/export"),
    RouteId.LIST_WORKSPACES: ("GET", "/api/v2/workspace"),
    RouteId.LIST_WORKSPACE_DASHBOARDS: ("POST", "/api/v2/workspace/dashboards"),
}

ROUTES: Mapping[DatabrainApi, Mapping[RouteId, tuple[str, str]]] = {
    DatabrainApi.CURRENT: {
        **_ROUTES_OF_ONE_FORM,
        RouteId.LIST_DATAMARTS: ("GET", "/api/v2/data-app/datamarts"),
        RouteId.DELETE_DATAMART: ("DELETE", "/api/v2/data-app/datamart"),
        RouteId.GET_SEMANTIC_LAYER: ("GET", "/api/v2/data-app/datamarts/semantic-layer"),
        RouteId.LIST_EMBEDS: ("GET", "/api/v2/data-app/embeds"),
    },
    DatabrainApi.LEGACY: {
        **_ROUTES_OF_ONE_FORM,
        RouteId.LIST_DATAMARTS: ("POST", "/api/v2/dataApp/datamart/list"),
        RouteId.DELETE_DATAMART: ("POST", "/api/v2/dataApp/datamart/delete"),
        RouteId.GET_SEMANTIC_LAYER: ("GET", "/api/v2/dataApp/datamarts/semantic-layer"),
        RouteId.LIST_EMBEDS: ("POST", "/api/v2/dataApp/embed/list"),
    },
}


def requests_to(databrain: Databrain, api: DatabrainApi, route: RouteId) -> list[JsonObject]:
    """The requests that the server got on one documented route, in order."""
    return [request for request in databrain.requests if (request["method"], request["path"]) == ROUTES[api][route]]
