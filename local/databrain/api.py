"""Databrain's routes, in the current and the legacy form, with the envelopes that each of them really has.

The answers differ from route to route in what looks like accidents: that is how the pages at
docs.usedatabrain.com/developer-docs/helpers/api-reference describe them. Where no page says what happens, the choice
made here is marked "undocumented".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.databrain.faults import RouteId, spoilt
from local.databrain.listing import api_token_item, data_app_item, datamart_item, embed_item, page
from local.databrain.organisation import Organisation, TokenKind
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.state import Databrain
from local.databrain.validation import JsonObject

CURRENT = "/api/v2/data-app"
LEGACY = "/api/v2/dataApp"
PAGE_NUMBER = re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Call:
    """One request, as far as the routes look at it."""

    organisation: Organisation
    token: str | None
    query: Mapping[str, str]
    body: object


Action: TypeAlias = Callable[[Call], JsonObject]
"""Carries out a call and returns the body of the 200; raises `ApiError`."""


def list_datamarts(call: Call) -> JsonObject:
    """List Datamarts, current form: expanded unless `expandDetails` is there and not "true"."""
    organisation = call.organisation
    options = organisation.options
    expanded = call.query.get("expandDetails", "true") == "true" or not options.honours_expand_details
    shown = page([*organisation.datamarts.values()], _page_of_query(call))
    return {
        "data": [datamart_item(datamart, expanded=expanded, dated=options.lists_created_at) for datamart in shown],
        "error": None,
    }


def list_datamarts_legacy(call: Call) -> JsonObject:
    """List Datamarts, legacy form: always expanded, never dated."""
    shown = page([*call.organisation.datamarts.values()], _page_of_body(call))
    return {"data": [datamart_item(datamart, expanded=True, dated=False) for datamart in shown], "error": None}


def delete_datamart(call: Call) -> JsonObject:
    """Delete Datamart, current form. An unknown name and none at all get the same answer."""
    return _deleted(call, call.query.get("datamartName"), "Datamart not found")


def delete_datamart_legacy(call: Call) -> JsonObject:
    """Delete Datamart, legacy form, with the message of its time."""
    return _deleted(call, _object(call).get("datamartName"), "Invalid datamart name")


def create_datamart(call: Call) -> JsonObject:
    """Create Datamart, in both forms."""
    return {"id": call.organisation.create_datamart(_object(call)), "error": None}


def get_semantic_layer(call: Call) -> JsonObject:
    """Get Semantic Layer. An unknown datamart (undocumented) is answered like one without."""
    name = call.query.get("datamartName")
    if not name:
        raise invalid_request()  # undocumented
    datamart = call.organisation.datamarts.get(name)
    if datamart is None or datamart.semantic_layer is None:
        raise ApiError(404, "SEMANTIC_LAYER_NOT_FOUND", "Semantic layer not found")
    return {"data": {"datamartName": name, **datamart.semantic_layer}}


def create_semantic_layer(call: Call) -> JsonObject:
    """Create Semantic Layer."""
    return {"id": call.organisation.create_semantic_layer(_object(call))}


def list_data_apps(call: Call) -> JsonObject:
    """List Data Apps: those of type "embedded"."""
    if not call.organisation.options.has_data_apps:
        raise ApiError(404, None, "Not Found")
    apps = [app for app in call.organisation.data_apps.values() if app.type == "embedded"]
    return {"data": [data_app_item(app) for app in page(apps, _page_of_query(call))]}


def list_api_tokens(call: Call) -> JsonObject:
    """List API Tokens of one data app, with the live keys."""
    app = call.organisation.data_apps.get(call.query.get("dataAppName", ""))
    if app is None:
        raise ApiError(400, "DATA_APP_NOT_FOUND", "Data app not found")  # undocumented here: Create API Token's answer
    return {"data": [api_token_item(token) for token in page(app.tokens, _page_of_query(call))]}


def list_embeds(call: Call) -> JsonObject:
    """List Embeds of the key's data app, current form."""
    return _embeds(call, _page_of_query(call), legacy=False)


def list_embeds_legacy(call: Call) -> JsonObject:
    """List Embeds of the key's data app, legacy form."""
    return _embeds(call, _page_of_body(call), legacy=True)


def _deleted(call: Call, name: object, not_found: str) -> JsonObject:
    if not isinstance(name, str) or name not in call.organisation.datamarts:
        raise invalid_request(not_found)
    call.organisation.delete_datamart(name)
    return {"id": name, "error": None}


def _embeds(call: Call, number: int | None, *, legacy: bool) -> JsonObject:
    app = call.organisation.data_app_of(call.token)
    if app is None:
        raise ApiError(400, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")
    told = call.organisation.options.embeds_tell_datamart
    shown = page([embed for embed in app.embeds if not embed.hidden], number)
    return {"data": [embed_item(embed, app, told, legacy=legacy) for embed in shown], "error": None}


def _page_of_query(call: Call) -> int | None:
    if call.query.get("isPagination") != "true":
        return None
    number = call.query.get("pageNumber", "1")
    if not PAGE_NUMBER.fullmatch(number):
        raise invalid_request()  # undocumented
    return int(number)


def _page_of_body(call: Call) -> int | None:
    body = {} if call.body is None else _object(call)
    is_paged, number = body.get("isPagination", False), body.get("pageNumber", 1)
    if type(is_paged) is not bool or type(number) is not int or number < 1:
        raise invalid_request()  # undocumented
    return number if is_paged else None


def _object(call: Call) -> JsonObject:
    if not isinstance(call.body, dict):
        raise invalid_request()
    return call.body


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


def _for_embeds(kind: TokenKind) -> None:
    # A token of the wrong kind is the action's to refuse: it finds no data app for it.
    if kind is TokenKind.NONE:
        raise ApiError(401, None, "Invalid or expired token")


def _route(method: str, path: str, route: RouteId, refuse: Callable[[TokenKind], None], action: Action) -> Route:
    """Return a Starlette route; `refuse` raises `ApiError` for a token of the wrong kind."""

    async def endpoint(request: Request) -> Response:
        databrain: Databrain = request.app.state.databrain
        is_json = request.headers.get("Content-Type", "").startswith("application/json")
        call = Call(
            organisation=databrain.organisation,
            token=request.state.token,
            query=request.query_params,
            body=request.state.body if is_json else None,
        )

        def act(organisation: Organisation) -> Response:
            try:
                refuse(organisation.token_kind(call.token))
                return JSONResponse(action(replace(call, organisation=organisation)))
            except ApiError as error:
                return JSONResponse(error.envelope(), error.status)

        rule = databrain.faults.rule_for(route)
        return act(databrain.organisation) if rule is None else spoilt(rule, act, databrain.organisation)

    return Route(path, endpoint, methods=[method])


ROUTES = [
    _route("GET", f"{CURRENT}/datamarts", RouteId.LIST_DATAMARTS, _for_datamarts, list_datamarts),
    _route("POST", f"{LEGACY}/datamart/list", RouteId.LIST_DATAMARTS, _for_datamarts, list_datamarts_legacy),
    _route("DELETE", f"{CURRENT}/datamart", RouteId.DELETE_DATAMART, _for_datamarts, delete_datamart),
    _route("POST", f"{LEGACY}/datamart/delete", RouteId.DELETE_DATAMART, _for_datamarts, delete_datamart_legacy),
    _route("POST", f"{CURRENT}/datamarts", RouteId.CREATE_DATAMART, _for_datamarts, create_datamart),
    _route("POST", f"{LEGACY}/datamart/create", RouteId.CREATE_DATAMART, _for_datamarts, create_datamart),
    *(
        _route(method, f"{prefix}/datamarts/semantic-layer", route, _for_semantic_layers, action)
        for prefix in (CURRENT, LEGACY)
        for method, route, action in (
            ("GET", RouteId.GET_SEMANTIC_LAYER, get_semantic_layer),
            ("POST", RouteId.CREATE_SEMANTIC_LAYER, create_semantic_layer),
        )
    ),
    _route("GET", CURRENT, RouteId.LIST_DATA_APPS, _for_data_apps, list_data_apps),
    _route("GET", f"{CURRENT}/api-tokens", RouteId.LIST_API_TOKENS, _for_data_apps, list_api_tokens),
    _route("GET", f"{CURRENT}/embeds", RouteId.LIST_EMBEDS, _for_embeds, list_embeds),
    _route("POST", f"{LEGACY}/embed/list", RouteId.LIST_EMBEDS, _for_embeds, list_embeds_legacy),
]
