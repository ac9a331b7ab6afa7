"""Faults on demand: what a server and the network between can do to a client.

A rule is a JSON object `{"route", "fault", "times", "skip", ...}` plus the arguments of its fault:

    status         an error answer: `status` (400 to 599), and `code`, `message`, `retryAfter` if wanted
    status_after   the effect happens, then such an error answer
    throttle       429 and `retryAfter` (1 where left out) to what comes above `perSecond` requests within a second
    token_refused  the route's own answer to a token that it does not know, instead of the normal answer
    refused        the connection is cut before anything happens
    lost_answer    the effect happens, then the connection is cut without an answer
    late_effect    the connection is cut; the effect happens when `after` more requests to the API have been answered
    eventual       the normal answer; the effect happens when `after` more requests to the API have been answered
    slow           the effect happens at once, the normal answer comes `seconds` later
    broken_json    the effect happens, the JSON of the answer breaks off half-way
    phantom        the normal answer to a delete, of which nothing happened
    damaged        a create is carried out without the part of its body at `path`, or with `value` there if one is
                   given, and gets the normal answer
    name_taken     somebody else creates a datamart of that name first, so that the create is refused; where `lost` is
                   true, the connection is cut instead
    html           200 with a page of HTML instead of the normal answer
    redirect       302 to `location` instead of the normal answer
    wrong_shape    200 with the JSON `body` instead of the normal answer
    endless        200 with a body that never ends, instead of the normal answer

Where it says "instead", the effect does not happen. A rule lets the first `skip` requests to its route pass (0 where
left out), acts on the next `times` (all, where null or left out), whatever their token, and is then spent. The first
rule that acts on a request is the only one that does.

A `path` is a list of keys and positions, such as `["tableList", 0, "columns", -1]`; a body without such a part is
carried out as it is. The datamart of `name_taken` has one table, `not_yours`. An effect that is still to come happens
also where the rules have been replaced meanwhile.
"""

import asyncio
import copy
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.databrain.api import Call
from local.databrain.refusals import ApiError
from local.databrain.seed import datamart_of
from local.databrain.validation import Checker, JsonObject

ANY_ROUTE = "*"
UNKNOWN_TOKEN = ""  # every token that there is has some length

Act: TypeAlias = Callable[[Call], Response]
"""Carries out a call and answers it."""


class RouteId(StrEnum):
    """The routes of the API that this server has; an id stands for the current and the legacy form."""

    LIST_DATAMARTS = "list_datamarts"
    DELETE_DATAMART = "delete_datamart"
    CREATE_DATAMART = "create_datamart"
    GET_SEMANTIC_LAYER = "get_semantic_layer"
    CREATE_SEMANTIC_LAYER = "create_semantic_layer"
    LIST_DATA_APPS = "list_data_apps"
    LIST_API_TOKENS = "list_api_tokens"
    LIST_EMBEDS = "list_embeds"
    EXPORT_EMBED = "export_embed"
    CREATE_EMBED = "create_embed"
    FETCH_METRICS = "fetch_metrics"
    CREATE_GUEST_TOKEN = "create_guest_token"  # noqa: S105 - a name
    LIST_DATASOURCES = "list_datasources"
    LIST_WORKSPACES = "list_workspaces"
    LIST_WORKSPACE_DASHBOARDS = "list_workspace_dashboards"
    UPDATE_WORKSPACE = "update_workspace"


class FaultKind(StrEnum):
    """What can go wrong; the module's docstring tells each."""

    STATUS = "status"
    THROTTLE = "throttle"
    LOST_ANSWER = "lost_answer"
    REFUSED = "refused"
    SLOW = "slow"
    ENDLESS = "endless"
    BROKEN_JSON = "broken_json"
    HTML = "html"
    REDIRECT = "redirect"
    WRONG_SHAPE = "wrong_shape"
    PHANTOM = "phantom"
    STATUS_AFTER = "status_after"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a name
    LATE_EFFECT = "late_effect"
    EVENTUAL = "eventual"
    DAMAGED = "damaged"
    NAME_TAKEN = "name_taken"


_STATUS: JsonObject = {
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "code": {"type": "string", "default": "INJECTED_FAULT"},
    "message": {"type": "string", "default": "Injected by a fault rule"},
    "retryAfter": {"type": ["integer", "string"]},
}
_AFTER: JsonObject = {"type": "integer", "minimum": 1}
_CREATES = [RouteId.CREATE_DATAMART.value, RouteId.CREATE_SEMANTIC_LAYER.value, RouteId.CREATE_EMBED.value]
_ARGUMENTS: dict[FaultKind, JsonObject] = {
    FaultKind.STATUS: _STATUS,
    FaultKind.STATUS_AFTER: _STATUS,
    FaultKind.THROTTLE: {
        "perSecond": {"type": "integer", "minimum": 1},
        "retryAfter": {"type": ["integer", "string"], "default": 1},
    },
    FaultKind.SLOW: {"seconds": {"type": "number", "minimum": 0}},
    FaultKind.REDIRECT: {"location": {"type": "string"}},
    FaultKind.WRONG_SHAPE: {"body": {}},
    # Only a delete can claim an effect that did not happen and be believed.
    FaultKind.PHANTOM: {"route": {"enum": [RouteId.DELETE_DATAMART.value]}},
    FaultKind.LATE_EFFECT: {"after": _AFTER, "route": {"enum": [RouteId.DELETE_DATAMART.value, *_CREATES]}},
    # Not of an embed: the ID that was answered would not be the one that it gets.
    FaultKind.EVENTUAL: {"after": _AFTER, "route": {"enum": [RouteId.DELETE_DATAMART.value, *_CREATES[:2]]}},
    FaultKind.DAMAGED: {
        "path": {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}},
        "value": {},
        "route": {"enum": _CREATES},
    },
    FaultKind.NAME_TAKEN: {
        "lost": {"type": "boolean", "default": False},
        "route": {"enum": [RouteId.CREATE_DATAMART.value]},
    },
}
_OPTIONAL = {"code", "message", "retryAfter", "value", "lost"}


def _rule_schema(kind: FaultKind) -> JsonObject:
    arguments = _ARGUMENTS.get(kind, {})
    return {
        "type": "object",
        "required": ["route", "fault", *(arguments.keys() - _OPTIONAL - {"route"})],
        "additionalProperties": False,
        "properties": {
            "route": {"enum": [*(route.value for route in RouteId), ANY_ROUTE]},
            "fault": {"enum": [kind.value]},
            "times": {"type": ["integer", "null"], "minimum": 1, "default": None},
            "skip": {"type": "integer", "minimum": 0, "default": 0},
        }
        | arguments,
    }


_check_rules = Checker(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["fault"],
            "properties": {"fault": {"enum": [kind.value for kind in FaultKind]}},
        },
    },
)
_check_rule = {kind: Checker(_rule_schema(kind)) for kind in FaultKind}


@dataclass
class Rule:
    """One rule as it stands: `skip` and `times` are what is left of them."""

    route: str
    fault: FaultKind
    times: int | None
    skip: int
    arguments: JsonObject
    served: deque[float] = field(default_factory=deque)  # when, within the last second, a throttle let requests pass

    def acts_on(self, route: RouteId) -> bool:
        """Count a request to `route` and tell whether the rule acts on it."""
        if self.route not in (route, ANY_ROUTE) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def throttles(self) -> bool:
        """Count a request and tell whether it comes above the rate of a throttle."""
        now = time.monotonic()
        while self.served and now - self.served[0] >= 1:
            self.served.popleft()
        if len(self.served) >= self.arguments["perSecond"]:
            return True
        self.served.append(now)
        return False


@dataclass
class Pending:
    """An effect that is still to come, when `after` more requests have been answered."""

    after: int
    effect: Callable[[], Response]


class Faults:
    """The rules in force; the first that acts on a request wins."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._pending: list[Pending] = []

    def answer(self, route: RouteId, act: Act, call: Call) -> Response:
        """Return the answer to a request to `route`, as it is or as the rule makes it that acts on it."""
        self._let_happen()
        rule = self.rule_for(route)
        if rule is None:
            return act(call)
        if rule.fault in {FaultKind.LATE_EFFECT, FaultKind.EVENTUAL}:
            self._pending.append(Pending(rule.arguments["after"], lambda: act(call)))
        return _spoilt(rule, act, call)

    def _let_happen(self) -> None:
        """Count a request, and let those effects happen whose time has come before it."""
        due = [pending for pending in self._pending if pending.after == 0]
        self._pending = [pending for pending in self._pending if pending.after > 0]
        for pending in due:
            pending.effect()
        for pending in self._pending:
            pending.after -= 1

    def replace(self, rules: Any) -> None:  # noqa: ANN401 - any JSON, which is then checked
        """Put a list of rules in the place of all others; raises `InvalidInputError`, which names the field."""
        checked = [
            _check_rule[rule["fault"]](rule, f"rules[{n}]") for n, rule in enumerate(_check_rules(rules, "rules"))
        ]
        self._rules = [
            Rule(
                route=rule.pop("route"),
                fault=FaultKind(rule.pop("fault")),
                times=rule.pop("times"),
                skip=rule.pop("skip"),
                arguments=rule,
            )
            for rule in checked
        ]

    def clear(self) -> None:
        """Let everything work again."""
        self._rules = []

    def rules(self) -> list[JsonObject]:
        """Return the rules as they stand, spent ones left out, in the form in which they can be sent again."""
        return [
            {"route": rule.route, "fault": rule.fault, "times": rule.times, "skip": rule.skip, **rule.arguments}
            for rule in self._rules
            if rule.times != 0
        ]

    def rule_for(self, route: RouteId) -> Rule | None:
        """Count a request to `route` and return the rule that acts on it, if any does."""
        return next((rule for rule in self._rules if rule.acts_on(route)), None)


def _spoilt(rule: Rule, act: Act, call: Call) -> Response:  # noqa: C901, PLR0911, PLR0912 - a short case each
    """Return the answer that `rule` makes of a request, which `act` would carry out."""
    arguments = rule.arguments
    match rule.fault:
        case FaultKind.STATUS:
            return _refusal(ApiError(arguments["status"], arguments["code"], arguments["message"]), arguments)
        case FaultKind.THROTTLE:
            if rule.throttles():
                return _refusal(ApiError(429, "TOO_MANY_REQUESTS", "Slow down"), arguments)
            return act(call)
        case FaultKind.REFUSED:
            return Cut()
        case FaultKind.LOST_ANSWER:
            act(call)
            return Cut()
        case FaultKind.SLOW:
            return Late(act(call), arguments["seconds"])
        case FaultKind.BROKEN_JSON:
            answer = act(call)
            half = bytes(answer.body)[: len(answer.body) // 2]
            return Response(half, answer.status_code, media_type=answer.media_type)
        case FaultKind.PHANTOM:
            return act(_in_vain(call))
        case FaultKind.STATUS_AFTER:
            act(call)
            return _refusal(ApiError(arguments["status"], arguments["code"], arguments["message"]), arguments)
        case FaultKind.TOKEN_REFUSED:
            return act(replace(call, token=UNKNOWN_TOKEN))
        case FaultKind.LATE_EFFECT:
            return Cut()
        case FaultKind.EVENTUAL:
            return act(_in_vain(call))
        case FaultKind.DAMAGED:
            return act(replace(call, body=_damaged(call.body, arguments)))
        case FaultKind.NAME_TAKEN:
            _take_name(call)
            return Cut() if arguments["lost"] else act(call)
        case FaultKind.HTML:
            return HTMLResponse("<!doctype html><title>Databrain</title><p>Please sign in.</p>")
        case FaultKind.REDIRECT:
            return Response(status_code=302, headers={"Location": arguments["location"]})
        case FaultKind.WRONG_SHAPE:
            return JSONResponse(arguments["body"])
        case FaultKind.ENDLESS:
            return StreamingResponse(_endless(), media_type="application/json")


def _in_vain(call: Call) -> Call:
    """Return a call whose effect nobody sees."""
    return replace(call, organisation=copy.deepcopy(call.organisation))


def _damaged(body: object, arguments: JsonObject) -> object:
    """Return a body with what is at `path` taken out, or replaced; the body itself where nothing is there."""
    damaged: Any = copy.deepcopy(body)
    *steps, last = arguments["path"]
    place = damaged
    try:
        for step in steps:
            place = place[step]
        if "value" in arguments:
            place[last] = arguments["value"]
        else:
            del place[last]
    except (KeyError, IndexError, TypeError):
        return body
    return damaged


def _take_name(call: Call) -> None:
    """Let somebody else create a datamart of the name that the body asks for, if it is one and free."""
    body, organisation = call.body, call.organisation
    name = body.get("name") if isinstance(body, dict) else None
    if isinstance(name, str) and name and name not in organisation.datamarts and organisation.datasources:
        columns = [{"columnName": "id", "datatype": "integer"}]
        somebody_elses = {
            "name": name,
            "companyIntegration": {"name": min(organisation.datasources)},
            "datamartTables": [{"tableName": "not_yours", "datamartTableColumns": columns}],
        }
        organisation.put_datamart(datamart_of(somebody_elses, organisation))


def _refusal(error: ApiError, arguments: JsonObject) -> Response:
    after = {"Retry-After": str(arguments["retryAfter"])} if "retryAfter" in arguments else None
    return JSONResponse(error.envelope(), error.status, after)


class Cut(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Cut the connection by what `server.CuttableConnection` put into the state."""
        scope["state"]["cut"]()
        await _disconnected(receive)


class Late(Response):
    """Another answer, some seconds later; none where the client has gone by then."""

    def __init__(self, answer: Response, seconds: float) -> None:
        super().__init__()
        self.answer = answer
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then answer."""
        try:
            async with asyncio.timeout(self.seconds):
                await _disconnected(receive)
        except TimeoutError:
            await self.answer(scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _endless() -> AsyncIterator[bytes]:
    yield b'{"data": ['
    while True:
        yield b" " * 65536
        await asyncio.sleep(0)  # a fast reader must not keep the server from everything else
