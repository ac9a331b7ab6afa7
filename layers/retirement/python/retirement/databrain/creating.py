"""Sends the requests that create a datamart and its semantic layer. Sections are those of docs/databrain-api.md.

A caller sends them only as its port permits: `Restorer`, and `Databrain` for the copy of a rehearsal.
"""

from retirement.canonical import Document
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.transport import InDoubt, NoEffect, NotFound, Route, Transport, unexpected
from retirement.errors import DatabrainError, DatabrainUnexpected

# Sections 4 and 5.
_CREATE_DATAMART = {
    DatabrainApi.CURRENT: Route("POST", "/api/v2/data-app/datamarts"),
    DatabrainApi.LEGACY: Route("POST", "/api/v2/dataApp/datamart/create"),
}
_CREATE_SEMANTIC_LAYER = {
    DatabrainApi.CURRENT: Route("POST", "/api/v2/data-app/datamarts/semantic-layer"),
    DatabrainApi.LEGACY: Route("POST", "/api/v2/dataApp/datamarts/semantic-layer"),
}


def create_datamart(transport: Transport, api: DatabrainApi, body: Document) -> CreateAnswer:
    """Send one Create Datamart; success is 200 and `id` the name (section 4).

    Raises:
        RetirementError: there is no token to send it with.
    """
    answer = _create_named(transport, _CREATE_DATAMART[api], body, "name")
    is_no_route = isinstance(answer.error, NotFound)
    return CreateAnswer(CreateEffect.NONE, answer.error) if is_no_route else answer


def create_semantic_layer(transport: Transport, api: DatabrainApi, body: Document) -> CreateAnswer:
    """Send one Create Semantic Layer; success is 200 and `id` the name (section 5).

    Raises:
        RetirementError: there is no token to send it with.
    """
    return _create_named(transport, _CREATE_SEMANTIC_LAYER[api], body, "datamartName")


def without_effect(failure: DatabrainError, *, when_refused: tuple[type[DatabrainError], ...]) -> CreateAnswer:
    """Return the answer to a request that certainly had no effect."""
    return CreateAnswer(CreateEffect.REFUSED if isinstance(failure, when_refused) else CreateEffect.NONE, failure)


def _create_named(transport: Transport, route: Route, body: Document, name_field: str) -> CreateAnswer:
    try:
        answer = transport.change(route, body)
    except NoEffect as refused:
        return without_effect(refused.failure, when_refused=(DatabrainUnexpected,))
    except InDoubt as lost:
        return CreateAnswer(CreateEffect.UNKNOWN, lost.failure)
    if answer.get("id") != body[name_field]:
        return CreateAnswer(CreateEffect.UNKNOWN, unexpected(route, "id: the datamart's name", answer.get("id")))
    return CreateAnswer(CreateEffect.DONE)
