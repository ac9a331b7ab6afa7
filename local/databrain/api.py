"""What the routes of datamarts and data apps do, with the envelopes that each of them really has.

The answers differ from route to route in what looks like accidents: that is how the pages at
docs.usedatabrain.com/developer-docs/helpers/api-reference describe them. Where no page says what happens, the choice
made here is marked "undocumented".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from local.databrain.listing import api_token_item, data_app_item, datamart_item, embed_item, page
from local.databrain.organisation import DataApp, Organisation
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject

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
    shown = page([*organisation.datamarts.values()], page_of_query(call))
    return {
        "data": [datamart_item(datamart, expanded=expanded, dated=options.lists_created_at) for datamart in shown],
        "error": None,
    }


def list_datamarts_legacy(call: Call) -> JsonObject:
    """List Datamarts, legacy form: always expanded, never dated."""
    shown = page([*call.organisation.datamarts.values()], page_of_body(call))
    return {"data": [datamart_item(datamart, expanded=True, dated=False) for datamart in shown], "error": None}


def delete_datamart(call: Call) -> JsonObject:
    """Delete Datamart, current form. An unknown name and none at all get the same answer."""
    return _deleted(call, call.query.get("datamartName"), "Datamart not found")


def delete_datamart_legacy(call: Call) -> JsonObject:
    """Delete Datamart, legacy form, with the message of its time."""
    return _deleted(call, object_of(call).get("datamartName"), "Invalid datamart name")


def create_datamart(call: Call) -> JsonObject:
    """Create Datamart, in both forms."""
    return {"id": call.organisation.create_datamart(object_of(call)), "error": None}


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
    return {"id": call.organisation.create_semantic_layer(object_of(call))}


def list_data_apps(call: Call) -> JsonObject:
    """List Data Apps: those of type "embedded"."""
    if not call.organisation.options.has_data_apps:
        raise ApiError(404, None, "Not Found")
    apps = [app for app in call.organisation.data_apps.values() if app.type == "embedded"]
    return {"data": [data_app_item(app) for app in page(apps, page_of_query(call))]}


def list_api_tokens(call: Call) -> JsonObject:
    """List API Tokens of one data app, with the live keys."""
    app = call.organisation.data_apps.get(call.query.get("dataAppName", ""))
    if app is None:
        raise ApiError(400, "DATA_APP_NOT_FOUND", "Data app not found")  # undocumented here: Create API Token's answer
    return {"data": [api_token_item(token) for token in page(app.tokens, page_of_query(call))]}


def list_embeds(call: Call) -> JsonObject:
    """List Embeds of the key's data app, current form."""
    return _embeds(call, page_of_query(call), legacy=False)


def list_embeds_legacy(call: Call) -> JsonObject:
    """List Embeds of the key's data app, legacy form."""
    return _embeds(call, page_of_body(call), legacy=True)


def _deleted(call: Call, name: object, not_found: str) -> JsonObject:
    if not isinstance(name, str) or name not in call.organisation.datamarts:
        raise invalid_request(not_found)
    call.organisation.delete_datamart(name)
    return {"id": name, "error": None}


def _embeds(call: Call, number: int | None, *, legacy: bool) -> JsonObject:
    app, organisation = data_app_of(call), call.organisation
    told = organisation.options.embeds_tell_datamart
    shown = page([embed for embed in app.embeds if not embed.hidden], number)
    items = [embed_item(embed, app, organisation.title_of(embed), told, legacy=legacy) for embed in shown]
    return {"data": items, "error": None}


def data_app_of(call: Call) -> DataApp:
    """Return the data app whose key was sent; raises `ApiError` where it is none."""
    app = call.organisation.data_app_of(call.token)
    if app is None:
        raise ApiError(400, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")
    return app


def page_of_query(call: Call) -> int | None:
    """Return the number of the page that a query asks for, None for everything; raises `ApiError`."""
    if call.query.get("isPagination") != "true":
        return None
    number = call.query.get("pageNumber", "1")
    if not PAGE_NUMBER.fullmatch(number):
        raise invalid_request()  # undocumented
    return int(number)


def page_of_body(call: Call) -> int | None:
    """Return the number of the page that a legacy body asks for, None for everything; raises `ApiError`."""
    body = {} if call.body is None else object_of(call)
    is_paged, number = body.get("isPagination", False), body.get("pageNumber", 1)
    if type(is_paged) is not bool or type(number) is not int or number < 1:
        raise invalid_request()  # undocumented
    return number if is_paged else None


def object_of(call: Call) -> JsonObject:
    """Return the body; raises `ApiError` where it is not an object."""
    if not isinstance(call.body, dict):
        raise invalid_request()
    return call.body
