"""The first to see a request: reads it whole and records it before anything can go wrong with it."""

import json
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.databrain.state import Databrain
from local.databrain.validation import JsonObject

CONTROL = "/_control"


class Reception:
    """ASGI middleware; leaves the token and the body in `request.state`.

    `token` is None without an Authorization header and empty for another scheme than Bearer. `body` is JSON, the text
    where it is no JSON, or None.
    """

    def __init__(self, app: ASGIApp, databrain: Databrain) -> None:
        self.app = app
        self.databrain = databrain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request in and hand it on."""
        request = Request(scope, receive)
        request.state.token = _token(request.headers.get("Authorization"))
        request.state.body = _body(await request.body())
        if scope["path"].startswith(f"{CONTROL}/"):
            await self.app(scope, receive, send)
            return
        record = self._record(request)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
            await send(message)

        await self.app(scope, receive, answer)

    def _record(self, request: Request) -> JsonObject:
        organisation = self.databrain.organisation
        tokens = organisation.tokens()
        record: JsonObject = {
            "method": request.method,
            "path": _without(tokens, request.scope["path"]),
            "query": _without(tokens, dict(request.query_params)),
            "body": _without(tokens, request.state.body),
            "token": str(organisation.token_kind(request.state.token)),
            "status": None,
        }
        self.databrain.requests.append(record)
        return record


def _token(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _body(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    if not raw:
        return None
    try:
        value = json.loads(raw)
        # What cannot be sent back (lone surrogates, NaN) is not what a client may send.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
    return value


def _without(tokens: Iterable[str], value: Any) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case str():
            for token in tokens:
                value = value.replace(token, "[token]")
            return value
        case list():
            return [_without(tokens, item) for item in value]
        case dict():
            return {_without(tokens, key): _without(tokens, item) for key, item in value.items()}
        case _:
            return value
