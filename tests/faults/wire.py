"""An organisation at the other end of the client, with neither sockets nor threads, and what can go wrong on the way.

Every answer that is an error echoes the tokens: whatever the product repeats of it, a leak shows.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self, TypeVar, cast

import httpx

from local.databrain import api, embedding, workspaces
from local.databrain.faults import RouteId
from local.databrain.organisation import Organisation, TokenKind
from local.databrain.refusals import ApiError
from tests.fakes import LogicalClock

SERVICE_TOKEN = "made-up-service-token-5f0c"
APP_KEY = "made-up-key-of-the-portal-1d"
SECRETS = (SERVICE_TOKEN, APP_KEY)

# Seconds: as long as the client waits for an answer.
NO_ANSWER = 10.0

_Answer = TypeVar("_Answer")


class Fault(StrEnum):
    """What can happen to one call."""

    TIMEOUT_BEFORE = "time-out before the effect"
    TIMEOUT_AFTER = "time-out after the effect"
    REFUSED = "connection refused"
    STATUS_401 = "401"
    STATUS_403 = "403"
    STATUS_404 = "404"
    STATUS_409 = "409"
    STATUS_429 = "429"
    STATUS_500 = "500"
    STATUS_500_AFTER = "500 after the effect"
    STATUS_503 = "503"
    TRUNCATED = "truncated JSON"
    WRONG_SHAPE = "wrong shape"
    HTML = "HTML"
    STILL_LISTED = "still listed after a 200"
    NOT_LISTED = "not listed after a 200"
    LATE = "no answer, and the effect comes after the attempt"
    DAMAGED = "a 200, and what is created is damaged"


FAULTS_OF_RETIREMENTS = tuple(fault for fault in Fault if fault not in {Fault.NOT_LISTED, Fault.LATE, Fault.DAMAGED})

FAULTS_OF_RESTORES = tuple(fault for fault in Fault if fault is not Fault.STILL_LISTED)

# The faults that pass: they strike once, too, and all of Databrain at a time.
TRANSIENT = (
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.REFUSED,
    Fault.STATUS_401,
    Fault.STATUS_429,
    Fault.STATUS_500,
    Fault.STATUS_500_AFTER,
    Fault.STATUS_503,
)


class Reach(StrEnum):
    """What else of the delivery a fault strikes, after the one call."""

    ONCE = "once"
    LASTING = "lasting"  # all further calls of the same name
    OUTAGE = "an outage of all that follows"  # all further requests to Databrain


_STATUS = {
    Fault.STATUS_401: 401,
    Fault.STATUS_403: 403,
    Fault.STATUS_404: 404,
    Fault.STATUS_409: 409,
    Fault.STATUS_429: 429,
    Fault.STATUS_500: 500,
    Fault.STATUS_500_AFTER: 500,
    Fault.STATUS_503: 503,
}
_ECHO = {"error": {"code": SERVICE_TOKEN, "message": " ".join(SECRETS)}, "data": APP_KEY, "id": SERVICE_TOKEN}
_PAGE_OF_HTML = f"<!doctype html><title>Databrain</title><p>Please sign in, {SERVICE_TOKEN}."

_ACTIONS: Mapping[tuple[str, str], tuple[RouteId, api.Action]] = {
    ("GET", "/api/v2/data-app"): (RouteId.LIST_DATA_APPS, api.list_data_apps),
    ("GET", "/api/v2/data-app/api-tokens"): (RouteId.LIST_API_TOKENS, api.list_api_tokens),
    ("GET", "/api/v2/data-app/datamarts"): (RouteId.LIST_DATAMARTS, api.list_datamarts),
    ("GET", "/api/v2/data-app/datamarts/semantic-layer"): (RouteId.GET_SEMANTIC_LAYER, api.get_semantic_layer),
    ("GET", "/api/v2/data-app/embeds"): (RouteId.LIST_EMBEDS, api.list_embeds),
    ("GET", "/api/v2/data-app/embeds/export"): (RouteId.EXPORT_EMBED, embedding.export_embed),
    ("GET", "/api/v2/workspace"): (RouteId.LIST_WORKSPACES, workspaces.list_workspaces),
    ("POST", "/api/v2/workspace/dashboards"): (
        RouteId.LIST_WORKSPACE_DASHBOARDS,
        workspaces.list_workspace_dashboards,
    ),
    ("DELETE", "/api/v2/data-app/datamart"): (RouteId.DELETE_DATAMART, api.delete_datamart),
    ("GET", "/api/v2/datasource"): (RouteId.LIST_DATASOURCES, workspaces.list_datasources),
    ("POST", "/api/v2/data-app/datamarts"): (RouteId.CREATE_DATAMART, api.create_datamart),
    ("POST", "/api/v2/data-app/datamarts/semantic-layer"): (RouteId.CREATE_SEMANTIC_LAYER, api.create_semantic_layer),
    ("POST", "/api/v2/data-app/embeds"): (RouteId.CREATE_EMBED, embedding.create_embed),
    ("GET", "/api/v2/data-app/metrics"): (RouteId.FETCH_METRICS, embedding.fetch_metrics),
    ("POST", "/api/v2/guest-token/create"): (RouteId.CREATE_GUEST_TOKEN, embedding.create_guest_token),
    ("POST", "/api/v2/dataApp/datamart/create"): (RouteId.CREATE_DATAMART, api.create_datamart),
    ("POST", "/api/v2/dataApp/datamarts/semantic-layer"): (RouteId.CREATE_SEMANTIC_LAYER, api.create_semantic_layer),
    ("POST", "/api/v2/dataApp/embed/create"): (RouteId.CREATE_EMBED, embedding.create_embed_legacy),
    ("POST", "/api/v2/dataApp/metrics"): (RouteId.FETCH_METRICS, embedding.fetch_metrics_legacy),
    ("POST", "/api/v2/dataApp/datamart/list"): (RouteId.LIST_DATAMARTS, api.list_datamarts_legacy),
    ("GET", "/api/v2/dataApp/datamarts/semantic-layer"): (RouteId.GET_SEMANTIC_LAYER, api.get_semantic_layer),
    ("POST", "/api/v2/dataApp/embed/list"): (RouteId.LIST_EMBEDS, api.list_embeds_legacy),
    ("POST", "/api/v2/dataApp/datamart/delete"): (RouteId.DELETE_DATAMART, api.delete_datamart_legacy),
}


_OF_DATA_APPS = {
    RouteId.LIST_EMBEDS,
    RouteId.EXPORT_EMBED,
    RouteId.CREATE_EMBED,
    RouteId.FETCH_METRICS,
    RouteId.CREATE_GUEST_TOKEN,
}


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    path: str
    token: str
    query: Mapping[str, str]
    body: object

    @property
    def route(self) -> RouteId:
        """Which of the documented requests it is; KeyError for none."""
        return _ACTIONS[self.method, self.path][0]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_of(organisation: Organisation, sent: Sent) -> Answer:
    """What the local Databrain server answers, with its effect on the organisation."""
    _, action = _ACTIONS[sent.method, sent.path]
    if sent.route not in _OF_DATA_APPS and organisation.token_kind(sent.token) is not TokenKind.SERVICE:
        return _json(401, ApiError(401, "AUTHENTICATION_ERROR", "Invalid or expired token").envelope())
    try:
        return _json(200, action(api.Call(organisation, sent.token, sent.query, sent.body)))
    except ApiError as error:
        return _json(error.status, error.envelope())


def damaged(sent: Sent) -> Sent:
    """The request as a server understands it that loses labels, descriptions, and permissions."""
    body = copy.deepcopy(cast("Any", sent.body))
    for table in body.get("tableList", []):
        table.pop("label", None)
    for table in body.get("semanticLayer", body).get("tables", []):
        table["description"] = "lost"
    body.get("accessSettings", {}).pop("isAllowUnderlyingData", None)
    return replace(sent, body=body)


def struck(fault: Fault, proceed: Callable[[], Answer], unreal: Callable[[], Answer], clock: LogicalClock) -> Answer:
    """What comes back of a request that `fault` strikes; `unreal` is the right answer to a request without effect."""
    match fault:
        case Fault.TIMEOUT_BEFORE:
            clock.advance(NO_ANSWER)
            raise httpx.ReadTimeout("no answer")
        case Fault.TIMEOUT_AFTER:
            proceed()
            clock.advance(NO_ANSWER)
            raise httpx.ReadTimeout("no answer")
        case Fault.REFUSED:
            raise httpx.ConnectError("refused")
        case Fault.STATUS_500_AFTER:
            proceed()
        case Fault.TRUNCATED:
            whole = proceed()
            return Answer(whole.status, whole.body[: len(whole.body) // 2])
        case Fault.WRONG_SHAPE:
            proceed()
            return _json(200, {**_ECHO, "error": None})
        case Fault.HTML:
            proceed()
            return Answer(200, _PAGE_OF_HTML.encode())
        case Fault.STILL_LISTED | Fault.NOT_LISTED:
            return unreal()
    return _json(_STATUS[fault], _ECHO, {"Retry-After": "2"} if fault is Fault.STATUS_429 else None)


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(body).encode(), headers or {})


class Connection:
    """As much of `httpx.Client` as the client uses: nine tenths of a case's time would be spent in the rest of it."""

    def __init__(self, send: Callable[[Sent], Answer], base_url: str = "https://databrain.test") -> None:
        self._send = send
        self.base_url = base_url

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Iterator[httpx.Response]:
        """Send one request."""
        token, body = (
            headers["Authorization"].removeprefix("Bearer "),
            copy.deepcopy(json),
        )  # a server fills in defaults
        answer = self._send(Sent(method, path, token, params or {}, body))
        yield httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))


class InTurn:
    """A pool that runs each task where it is handed in: side by side, the order would differ from run to run."""

    def __init__(self, max_workers: int) -> None:
        """Take the arguments of a real pool."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, task: Callable[..., _Answer], *arguments: Any) -> "Future[_Answer]":  # noqa: ANN401  # a task's
        """Run the task; its result holds what it raised."""
        future: Future[_Answer] = Future()
        try:
            future.set_result(task(*arguments))
        except BaseException as error:  # noqa: BLE001  # as a real pool does
            future.set_exception(error)
        return future

    def map(self, task: Callable[[Any], _Answer], items: Iterable[Any]) -> Iterator[_Answer]:
        """Run the task on each item."""
        return iter([task(item) for item in items])
