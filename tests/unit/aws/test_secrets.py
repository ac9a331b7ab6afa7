"""What holds a secret in memory does not show it, whoever looks: `repr`, a traceback, a logger at whatever level."""

import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from aws_lambda_powertools import Logger
from botocore.parsers import create_parser
from botocore.session import get_session

from retirement.aws.service_token import ServiceToken
from retirement.canonical import parse_json
from retirement.databrain.client import DatabrainClient
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.transport import http_client
from retirement.errors import DatabrainError
from tests.fakes import LogicalClock, RecordingTelemetry
from tests.unit.entry_points import LAMBDA, Context, load
from tests.unit.test_settings import ENVIRONMENT

TOKEN = "made-up-service-token"
KEY = "made-up-key-of-a-data-app"
SECRETS = (TOKEN, KEY)
ECHO = json.dumps({"error": {"code": TOKEN, "message": KEY}, "data": [TOKEN, {"name": KEY, "createdAt": KEY}]})


class SecretsManager:
    """Has the token."""

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803  # boto3's name
        """The secret."""
        return {"ARN": SecretId, "SecretString": TOKEN}


def service_token() -> ServiceToken:
    """The adapter, with the token read."""
    manager: Any = SecretsManager()
    token = ServiceToken(manager, ENVIRONMENT["SERVICE_TOKEN_SECRET_ARN"])
    token.value()
    return token


def client(respond: Callable[[httpx.Request], httpx.Response]) -> DatabrainClient:
    """The client on a server that answers like this."""
    http = httpx.Client(base_url="https://databrain.test", transport=httpx.MockTransport(respond))
    return DatabrainClient(
        http,
        api=DatabrainApi.CURRENT,
        token=service_token(),
        clock=LogicalClock(),
        telemetry=RecordingTelemetry(),
    )


def garble(request: httpx.Request) -> httpx.Response:
    """What cannot be read is in the exception that a library raises, its request and so its token too."""
    raise httpx.RemoteProtocolError(f"illegal status line: {ECHO}", request=request)


ANSWERS: Mapping[str, Callable[[httpx.Request], httpx.Response]] = {
    "garbled": garble,
    "no UTF-8": lambda _: httpx.Response(200, content=iter([b"\xff\xff\xff\xff" + KEY.encode()])),
    "no JSON": lambda _: httpx.Response(200, content=iter([KEY.encode()])),
    "no time": lambda request: httpx.Response(
        404 if request.url.path.endswith("semantic-layer") else 200,
        content=iter([b'{"data": [{"name": "a", "createdAt": "%b", "datamartTables": []}]}' % KEY.encode()]),
    ),
    **{
        f"HTTP {status}": lambda _, status=status: httpx.Response(  # type: ignore[misc]  # the default binds the loop's value
            status, headers={"Location": TOKEN, "Retry-After": TOKEN}, content=iter([ECHO.encode()])
        )
        for status in (200, 302, 400, 401, 403, 404, 429, 500)
    },
}


@pytest.fixture(params=ANSWERS)
def error(request: pytest.FixtureRequest) -> DatabrainError:
    """What an answer that repeats the secrets ends in."""
    with pytest.raises(DatabrainError) as raised:
        client(ANSWERS[request.param]).find("a")
    return raised.value


def assert_no_secret_in(text: str) -> None:
    """In whatever case: what reads a time shows it in capitals."""
    assert not [secret for secret in SECRETS if secret in text.lower()]


def test_an_error(error: DatabrainError) -> None:
    """Neither an error nor what led to it tells a secret, suppressed or not, in whatever form it is shown."""
    assert_no_secret_in("".join(traceback.format_exception(error)))
    cause: BaseException | None = error
    while cause is not None:
        assert_no_secret_in(f"{cause} {cause!r} {cause.args!r} {vars(cause)!r}")
        cause = cause.__cause__ or cause.__context__


def test_an_error_in_the_log(error: DatabrainError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Powertools logs messages, frames and statements, and no frame's variables, among which is the token."""
    stream, logger = io.StringIO(), Logger(service="secrets", level="DEBUG")
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    logger.error("attempt failed", exc_info=error)
    logged = json.loads(stream.getvalue())
    assert logged["exception_name"] == type(error).__name__
    assert logged["stack_trace"]["frames"]
    assert_no_secret_in(stream.getvalue())


def holders() -> Iterator[tuple[str, object]]:
    """Everything that has a secret in it, or in what it has."""
    databrain = client(lambda _: httpx.Response(200, content=iter([b'{"data": [{"key": "%s"}]}' % KEY.encode()])))
    route = databrain._routes.list_api_tokens  # noqa: SLF001  # there is no other way to it
    transport = databrain._transport  # noqa: SLF001  # the same
    answer = transport._exchange(route, {}, TOKEN, unpaginated=False)  # noqa: SLF001  # the same
    assert parse_json(answer.body) == {"data": [{"key": KEY}]}
    wiring = load("retire").wiring
    ports = wiring.ports(Context())
    wiring._token._token = TOKEN  # noqa: SLF001  # as after a first request
    yield from {
        "token": service_token(),
        "client": databrain,
        "transport": transport,
        "HTTP client": transport._http,  # noqa: SLF001  # the same
        "headers": httpx.Request("GET", "https://databrain.test", headers={"Authorization": f"Bearer {TOKEN}"}).headers,
        "answer": answer,
        "wiring": wiring,
        "ports": ports,
        "wired client": ports.databrain,
    }.items()


def test_what_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that has a secret shows it when it is printed, nor does what it belongs to."""
    for name, value in (ENVIRONMENT | LAMBDA).items():
        monkeypatch.setenv(name, value)
    for _, holder in holders():
        assert_no_secret_in(f"{holder} {holder!r} {[holder]!r} {(holder,)!s}")


def test_the_settings_hold_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is taken for an ARN or put into a URL is not shown."""
    for name, value in (("SERVICE_TOKEN_SECRET_ARN", TOKEN), ("DATABRAIN_BASE_URL", f"https://{TOKEN}@host")):
        for known, right in (ENVIRONMENT | LAMBDA | {name: value}).items():
            monkeypatch.setenv(known, right)
        with pytest.raises(Exception, match=name) as raised:
            load("retire")
        assert_no_secret_in("".join(traceback.format_exception(raised.value)))


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_the_libraries(caplog: pytest.LogCaptureFixture, level: int) -> None:
    """Whatever level someone gives the function's log, no library writes the secret or a server's words into it."""
    for name in ("botocore", "httpx", "httpcore"):
        caplog.set_level(logging.NOTSET, name)  # as in a new process
    caplog.set_level(level)
    service_token()
    shape: Any = get_session().get_service_model("secretsmanager").operation_model("GetSecretValue").output_shape
    read = {"body": json.dumps({"SecretString": TOKEN}).encode(), "headers": {"X": TOKEN}, "status_code": 200}
    assert create_parser("json").parse(read, shape)["SecretString"] == TOKEN
    with http_client("https://databrain.test") as http:
        http._transport = httpx.MockTransport(  # noqa: SLF001  # a client of its own would be set up otherwise
            lambda _: httpx.Response(200, extensions={"reason_phrase": TOKEN.encode()})
        )
        assert http.get("/").reason_phrase == TOKEN
    assert_no_secret_in(caplog.text)
