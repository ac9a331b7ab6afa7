"""What a real server does not do on demand; the rest is the contract suite's."""

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import combinations
from threading import Barrier, Event, Lock
from typing import Any, TypeAlias

import httpx
import pytest

from retirement.canonical import canonical_json, parse_json
from retirement.databrain import client, transport
from retirement.databrain.client import DatabrainClient
from retirement.databrain.dependents import Embed
from retirement.databrain.permits import NoBackupRequested
from retirement.databrain.ports import DatabrainApi, DeleteEffect, Metric, Unread
from retirement.databrain.snapshot import Absent, Snapshot
from retirement.errors import (
    BodyTooLarge,
    ConfigurationError,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
)
from tests.fakes import START, LogicalClock, Parsed, RecordingTelemetry, entry_of
from tests.unit.samples import REQUEST, SNAPSHOT

TOKEN = "service-token-0001"
NEXT_TOKEN = "service-token-0002"
KEY = "data-app-key-0001"

LIST = "GET /api/v2/data-app/datamarts"
LAYER = "GET /api/v2/data-app/datamarts/semantic-layer"
DELETE = "DELETE /api/v2/data-app/datamart"
APPS = "GET /api/v2/data-app"
KEYS = "GET /api/v2/data-app/api-tokens"
EMBEDS = "GET /api/v2/data-app/embeds"
READS = [LIST, LAYER, APPS, KEYS, EMBEDS]

Answer: TypeAlias = Callable[[httpx.Request], httpx.Response]


def test_headers() -> None:
    """Databrain's logs tell who asks, and an error page is asked for as JSON, too."""
    with transport.http_client("https://databrain.test") as http:
        sent = http.build_request("GET", "/api/v2/data-app").headers

    assert (sent["User-Agent"], sent["Accept"]) == ("datamart-retirement", "application/json")


def body(content: bytes | str, status: int = 200, **headers: str) -> Answer:
    """An answer of exactly these bytes."""
    encoded = content if isinstance(content, bytes) else content.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, headers=named, content=iter([encoded]))


def answer(document: Parsed, status: int = 200, **headers: str) -> Answer:
    """An answer of JSON."""
    return body(json.dumps(document), status, **headers)


def failing(error: Exception) -> Answer:
    """No answer."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return fail


def data(*entries: Parsed) -> Answer:
    """A list."""
    return answer({"data": list(entries), "error": None})


def listed(*names: str) -> Answer:
    """A list of datamarts, paged or not, expanded or not."""

    def respond(request: httpx.Request) -> httpx.Response:
        entries = [entry_of(name) for name in names]
        if request.url.params["isPagination"] == "true":
            page = int(request.url.params["pageNumber"])
            entries = entries[(page - 1) * 10 : page * 10]
        return data(*entries)(request)

    return respond


class Secret:
    """A token source with one token after another."""

    def __init__(self, *tokens: str) -> None:
        self.left = list(tokens)
        self.dropped: list[str] = []
        self._lock = Lock()

    def value(self) -> str:
        """The token."""
        return self.left[0]

    def drop(self, refused: str) -> None:
        """On to the next one."""
        with self._lock:
            self.dropped.append(refused)
            if refused == self.left[0] and len(self.left) > 1:
                del self.left[0]


class Api:
    """Answers by route: the first of those that are left, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {
            LIST: [listed("sales")],
            LAYER: [answer({"error": {"code": "SEMANTIC_LAYER_NOT_FOUND"}}, 404)],
            DELETE: [answer({"id": "sales", "error": None})],
            APPS: [data({"name": "Portal", "embedCount": 1, "embeds": [{"embedId": "e", "name": "Board"}]})],
            KEYS: [data({"key": KEY})],
            EMBEDS: [data({"embedId": "e", "name": "Board", "accessSettings": {"datamartName": "sales"}})],
        }
        self.requests: list[httpx.Request] = []
        self.clock = LogicalClock()
        self.telemetry = RecordingTelemetry()
        self.secret = Secret(TOKEN)
        self._lock = Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        route = f"{request.method} {request.url.path}"
        with self._lock:
            self.requests.append(request)
            answers = self.answers.get(route, [body("", 404)])
            respond = answers.pop(0) if len(answers) > 1 else answers[0]
        return respond(request)

    def client(self, api: DatabrainApi = DatabrainApi.CURRENT) -> DatabrainClient:
        """The client of one attempt."""
        http = httpx.Client(base_url="https://databrain.test", transport=httpx.MockTransport(self))
        return DatabrainClient(http, api=api, token=self.secret, clock=self.clock, telemetry=self.telemetry)

    def asked(self, route: str) -> int:
        """How many requests a route got."""
        return sum(f"{request.method} {request.url.path}" == route for request in self.requests)


@pytest.fixture
def api() -> Api:
    """One datamart, `sales`, that one embed uses."""
    return Api()


def everything_read_by(client: DatabrainClient) -> None:
    """Call each read route, and expect no failure."""
    assert isinstance(client.find("sales"), Snapshot)
    assert client.list_embeds()[1] == ()


PERMIT = NoBackupRequested(SNAPSHOT, replace(REQUEST, backup=False))


def error_of(api: Api, route: str) -> DatabrainError:
    """The error that a read route's answers end in."""
    client = api.client()
    if route in {LIST, LAYER}:
        with pytest.raises(DatabrainError) as raised:
            client.find("sales")
        return raised.value
    _, (error,) = client.list_embeds()
    return error


# ---- Reads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("trouble", [429, 500, 502, 503, 504, 520, 599])
def test_retried_status(api: Api, route: str, trouble: int) -> None:
    """429 and 5xx are tried again, four times in all, with a growing wait and a count."""
    api.answers[route] = [body("", trouble)]

    assert isinstance(error_of(api, route), DatabrainUnavailable)
    assert api.asked(route) == 4
    assert len(api.clock.slept) == api.telemetry.counts[Metric.DATABRAIN_RETRIES] == 3
    assert api.telemetry.counts[Metric.DATABRAIN_REQUESTS] == len(api.requests)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"),
        httpx.ConnectTimeout("x"),
        httpx.ReadTimeout("x"),
        httpx.WriteError("x"),
        httpx.PoolTimeout("x"),
        httpx.RemoteProtocolError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer(api: Api, error: Exception) -> None:
    """A connection that fails is tried again; the second answer counts."""
    api.answers[LIST] = [failing(error), listed("hr")]

    assert isinstance(api.client().find("sales"), Absent)
    assert api.telemetry.counts[Metric.DATABRAIN_RETRIES] == 1


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 409, 422])
def test_status_that_is_not_retried(api: Api, status: int) -> None:
    """Any other status is unexpected at once."""
    api.answers[LIST] = [body("", status, location="https://elsewhere.test/")]

    error = error_of(api, LIST)

    assert isinstance(error, DatabrainUnexpected)
    assert f"HTTP {status}" in str(error)
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("retry_after", "least"),
    [
        ("7", 7.0),
        (format_datetime(START + timedelta(seconds=9), usegmt=True), 9.0),
        ((START + timedelta(seconds=9)).strftime("%a, %d %b %Y %H:%M:%S"), 9.0),
        (format_datetime(START - timedelta(days=1), usegmt=True), 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("٣", 0.0),
        ("", 0.0),
        ("Mon, 99 Foo 99999 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(api: Api, retry_after: str, least: float) -> None:
    """`Retry-After` is honoured in both forms; nonsense is no form."""
    encoded = {b"Retry-After": retry_after.encode()}
    api.answers[LIST] = [lambda _: httpx.Response(429, headers=encoded, content=iter([b""])), listed("hr")]

    api.client().find("sales")

    [slept] = api.clock.slept
    assert least <= slept <= least + 1.0


@pytest.mark.parametrize("retry_after", ["56", "3600", "9" * 400])
def test_retry_after_beyond_the_time_left(api: Api, retry_after: str) -> None:
    """A wait that the invocation has no time for is not begun."""
    api.answers[LIST] = [body("", 503, Retry_After=retry_after)]

    assert isinstance(error_of(api, LIST), DatabrainUnavailable)
    assert len(api.requests) == 1
    assert api.clock.slept == []


def test_slow_answer(api: Api) -> None:
    """An answer that trickles in is given up after its time, and tried again."""

    def trickle(_: httpx.Request) -> httpx.Response:
        def chunks() -> Iterator[bytes]:
            while True:
                api.clock.advance(2)
                yield b" "

        return httpx.Response(200, content=chunks())

    api.answers[LIST] = [trickle, listed("hr")]

    assert isinstance(api.client().find("sales"), Absent)
    assert 15 < 60 - api.clock.remaining() < 20


HOSTILE: dict[str, bytes | str] = {
    "nothing": "",
    "HTML": "<html>token</html>",
    "cut short": '{"data": [{"name": "sa',
    "a list": "[]",
    "null": "null",
    "text": '"data"',
    "no data": "{}",
    "data null": '{"data": null}',
    "data text": '{"data": "x"}',
    "data of texts": '{"data": ["sales"]}',
    "data of lists": '{"data": [[]]}',
    "error": '{"data": [], "error": {"code": "X"}}',
    "error as text": '{"data": [], "error": "x"}',
    "one key twice": '{"data": [], "data": []}',
    "NaN": '{"data": [NaN]}',
    "huge number": '{"data": [1e999]}',
    "huge integer": '{"data": [' + "9" * 5_000 + "]}",
    "too deep": '{"data": ' + "[" * 100_000,
    "no UTF-8": b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize(
    ("route", "case"),
    [
        (route, case)
        for route in READS
        for case in HOSTILE
        if (route, case) not in {(LAYER, "no data"), (LAYER, "data null")}
    ],
)
def test_hostile_body(api: Api, route: str, case: str) -> None:
    """A 200 of another shape than documented is unexpected at once, whatever it is."""
    api.answers[route] = [body(HOSTILE[case])]

    assert isinstance(error_of(api, route), DatabrainUnexpected)
    assert api.asked(route) == 1


@pytest.mark.parametrize("document", [{}, {"data": None}])
def test_no_semantic_layer(api: Api, document: Parsed) -> None:
    """A 200 without data says, like a 404, that there is no semantic layer."""
    api.answers[LAYER] = [answer(document)]

    found = api.client().find("sales")

    assert isinstance(found, Snapshot)
    assert found.semantic_layer is None


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "br", "deflate", "x", "identity, gzip", "gzip, identity", "identity;q=1"]
)
def test_compressed_answer(api: Api, encoding: str) -> None:
    """A compressed answer was not asked for and is not read."""
    api.answers[LIST] = [body(b"x", Content_Encoding=encoding)]

    assert isinstance(error_of(api, LIST), DatabrainUnexpected)
    assert api.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "encoding",
    ["identity", "Identity", "IDENTITY", "", " ", " identity\t", "identity, identity", "identity,Identity,", ","],
)
def test_uncompressed_answer(api: Api, encoding: str) -> None:
    """An answer that says in any way that it is not compressed is read."""
    api.answers[LIST] = [
        lambda request: httpx.Response(
            200, headers={"Content-Encoding": encoding}, content=iter([listed("sales")(request).read()])
        )
    ]

    assert isinstance(api.client().find("sales"), Snapshot)


def test_endless_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is read up to its limit and no further."""
    monkeypatch.setattr(transport, "PAGE_LIMIT", 1_000)
    sent = []

    def chunks() -> Iterator[bytes]:
        while True:
            sent.append(100)
            yield b" " * 100

    api.answers[LAYER] = [lambda _: httpx.Response(200, content=chunks())]

    assert isinstance(error_of(api, LAYER), BodyTooLarge)
    assert sum(sent) == 1_100


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize(
    "content", ["{},", "[],", "[{", "0,", '"a",', '{"a":0},'], ids=["{}", "[]", "nested", "0", "text", "object"]
)
def test_many_values(api: Api, monkeypatch: pytest.MonkeyPatch, route: str, status: int, content: str) -> None:
    """An answer of many small values is not parsed: they would take many times its size in memory."""
    monkeypatch.setattr(transport, "MAX_VALUES", 1_000)
    api.answers[route] = [body(f'{{"data":[{content * 1_000}', status)]

    assert isinstance(error_of(api, route), BodyTooLarge)


def test_many_values_in_one_object(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of one object count as those of many."""
    monkeypatch.setattr(transport, "MAX_VALUES", 1_000)
    api.answers[LAYER] = [answer({"data": {"datamartName": "sales", **{str(number): 0 for number in range(1_000)}}})]

    assert isinstance(error_of(api, LAYER), BodyTooLarge)


def test_many_values_are_read_by_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with more values than one answer may have is read page by page, and commas in texts are no values."""
    monkeypatch.setattr(transport, "MAX_VALUES", 1_200)
    names = [f"datamart {number:03}{',' * 200}" for number in range(103)]
    api.answers[LIST] = [listed(*names)]

    assert list(api.client().list_datamarts().created_at) == names
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 2


def test_embeds_of_many_values(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays in memory of all embeds is bounded together."""
    monkeypatch.setattr(transport, "MAX_VALUES", 1_000)
    api.answers[APPS] = [data(*({"name": f"app {number}", "embeds": []} for number in range(5)))]
    api.answers[EMBEDS] = [data({"embedId": "e", "many": [0] * 400})]

    _, failures = api.client().list_embeds()

    assert {type(failure) for failure in failures} == {BodyTooLarge}
    assert 0 < len(failures) < 5


def test_whole_list_may_be_larger_than_a_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole list has a limit of its own: only what passes that is walked."""
    monkeypatch.setattr(transport, "PAGE_LIMIT", 1_000)
    api.answers[LIST] = [listed(*(f"datamart {number}" for number in range(30)))]

    assert len(api.client().list_datamarts().created_at) == 30
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 0


# ---- Tokens --------------------------------------------------------------------------------------------------------


def bearer(*, good: str) -> Callable[[Answer], Answer]:
    """Only this token is answered."""

    def guarded(respond: Answer) -> Answer:
        def check(request: httpx.Request) -> httpx.Response:
            known = request.headers["Authorization"] == f"Bearer {good}"
            return respond(request) if known else body("", 401)(request)

        return check

    return guarded


def test_renewed_token(api: Api) -> None:
    """A refused token is dropped, and the one that is there then is tried, in the same attempt and without a wait."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    api.answers[LIST] = [bearer(good=NEXT_TOKEN)(listed("sales"))]

    assert isinstance(api.client().find("sales"), Snapshot)
    assert api.secret.dropped == [TOKEN]
    assert api.clock.slept == []


@pytest.mark.parametrize("status", [401, 403])
def test_renewed_once(api: Api, status: int) -> None:
    """A token that is refused also freshly read ends the attempt: it is dropped once in it."""
    api.secret = Secret(TOKEN, NEXT_TOKEN, "third")
    api.answers[LIST] = [body("", status)]
    client = api.client()

    for _ in range(2):
        with pytest.raises(DatabrainUnauthorized, match="put a valid service token into the secret"):
            client.find("sales")

    assert api.secret.dropped == [TOKEN]
    assert len(api.requests) == 3


@pytest.mark.usefixtures("small_bodies")
def test_renewed_once_for_all_threads(api: Api) -> None:
    """Requests side by side that are all refused renew the token once, and all go on with the new one."""
    api.secret = Secret(TOKEN, NEXT_TOKEN, "third")
    together = Barrier(8)

    def refuse_together(request: httpx.Request) -> httpx.Response:
        if request.url.params["isPagination"] == "false":
            return body(b" " * 6_000)(request)
        if request.headers["Authorization"] == f"Bearer {TOKEN}":
            together.wait(timeout=30)
        return bearer(good=NEXT_TOKEN)(listed("sales"))(request)

    api.answers[LIST] = [refuse_together]

    assert list(api.client().list_datamarts().created_at) == ["sales"]
    assert api.secret.dropped == [TOKEN]


@pytest.mark.usefixtures("small_bodies")
def test_two_tokens_side_by_side(api: Api) -> None:
    """What was read with one token does not count where a request beside it went on with another one."""
    is_dropped = Event()

    class Observed(Secret):
        def drop(self, refused: str) -> None:
            super().drop(refused)
            is_dropped.set()

    api.secret = Observed(TOKEN, NEXT_TOKEN)
    together = Barrier(8)

    def refuse_one(request: httpx.Request) -> httpx.Response:
        if request.url.params["isPagination"] == "false":
            return body(b" " * 6_000)(request)
        if request.headers["Authorization"] == f"Bearer {TOKEN}":
            together.wait(timeout=30)
            if request.url.params["pageNumber"] == "2":
                return body("", 401)(request)
            is_dropped.wait(timeout=30)
        return listed("sales")(request)

    api.answers[LIST] = [refuse_one]

    with pytest.raises(DatabrainUnauthorized, match="two tokens in one attempt"):
        api.client().list_datamarts()


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("route", [LIST, LAYER, APPS, KEYS])
def test_refused_after_a_read(api: Api, route: str, status: int) -> None:
    """Once anything was read with a token a refusal ends the attempt; the next attempt reads all with a new one."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    client = api.client()
    client.list_datamarts()
    good = api.answers[route]
    api.answers[route] = [body("", status)]

    with pytest.raises(DatabrainUnauthorized, match="the next attempt reads it again") as raised:
        everything_read_by(client)

    assert raised.value.retryable
    assert api.secret.value() == NEXT_TOKEN
    assert f"Bearer {NEXT_TOKEN}" not in {request.headers["Authorization"] for request in api.requests}
    api.answers[route] = good
    everything_read_by(api.client())


def test_one_token_from_snapshot_to_delete(api: Api) -> None:
    """Whatever the secret holds by then, a delete goes out with the token that the snapshot was read with."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    client = api.client()
    client.find("sales")
    before = client.fingerprint("identity")
    api.secret.drop(TOKEN)

    assert client.delete(PERMIT).effect is DeleteEffect.DONE
    assert isinstance(client.find("sales"), Snapshot)
    assert {request.headers["Authorization"] for request in api.requests} == {f"Bearer {TOKEN}"}
    assert (client.fingerprint("identity") == before) is (api.client().fingerprint("identity") != before) is True


def test_each_attempt_may_renew(api: Api) -> None:
    """The next attempt of the same environment tries a new token again, where nothing was read with the first one."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    api.answers[LIST] = [body("", 401)]
    with pytest.raises(DatabrainUnauthorized):
        api.client().find("sales")
    with pytest.raises(DatabrainUnauthorized):
        api.client().find("sales")

    assert api.secret.dropped == [TOKEN, NEXT_TOKEN]


def shown(error: BaseException) -> str:
    """All that a log could show of an error and of what led to it."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__) + repr(error.__context__)


ECHO = json.dumps({"error": {"code": TOKEN, "message": f"{TOKEN} {KEY}"}, "data": [TOKEN, KEY], "id": TOKEN})


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500])
def test_no_token_in_an_error(api: Api, route: str, status: int) -> None:
    """Whatever a server echoes, no error shows it."""
    api.answers[route] = [body(ECHO, status, location=f"https://elsewhere.test/?token={TOKEN}")]
    client = api.client()
    errors: list[DatabrainError] = []
    try:
        client.find("sales")
    except DatabrainError as error:
        errors.append(error)
    try:
        errors += client.list_embeds()[1]
    except DatabrainError as error:
        errors.append(error)

    assert TOKEN not in "".join(map(shown, errors)) + repr(client)
    assert KEY not in "".join(map(shown, errors))


@pytest.mark.parametrize(
    ("route", "repeating"),
    [
        (LIST, listed("sales", f"a {TOKEN} b")),
        (LIST, data({**entry_of(), "label": TOKEN})),
        (LAYER, answer({"data": {"datamartName": "sales", "feedback": TOKEN}})),
        (APPS, data({"name": TOKEN, "embeds": []})),
        (EMBEDS, data({"embedId": "e", "externalDashboard": {"metadata": {"apiKey": KEY}}})),
    ],
)
def test_a_token_that_comes_back(api: Api, route: str, repeating: Answer) -> None:
    """An answer that holds the token it was asked with is not used: what is read of it would be kept."""
    api.answers[route] = [repeating]

    error = error_of(api, route)

    assert isinstance(error, DatabrainUnexpected)
    assert "remove the token" in str(error)
    assert api.asked(route) == 1
    assert TOKEN not in shown(error)
    assert KEY not in shown(error)


@pytest.mark.parametrize("token", ["sv/a-token", 'sv"a\\token', "plain-token"])
@pytest.mark.parametrize("how", [r"\u{:04x}", r"\u{:04X}", r"\{!s}"])
def test_a_token_that_comes_back_in_escapes(api: Api, token: str, how: str) -> None:
    """However JSON spells the token that an answer holds, it is found."""
    is_short = how.startswith(r"\{")
    spelt = "".join(
        how.format(character if is_short else ord(character))
        if character in '/"\\' or not (is_short or character == "-")
        else character
        for character in token
    )
    assert json.loads(f'"{spelt}"') == token
    api.secret = Secret(token)
    api.answers[LIST] = [body(json.dumps({"data": [entry_of(label="HERE")], "error": None}).replace("HERE", spelt))]

    with pytest.raises(DatabrainUnexpected, match="remove the token"):
        api.client().find("sales")


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("status", [200, 400])
def test_answer_in_another_charset(api: Api, route: str, status: int, charset: str) -> None:
    """An answer is UTF-8, whatever its header says: in another charset a token would be overlooked."""
    told = json.dumps({"error": {"code": "MADE_UP_TOKEN"}} if status == 400 else {"data": [{"name": TOKEN}]})
    api.answers[route] = [body(told.encode(charset), status, content_type=f"application/json; charset={charset}")]

    error = error_of(api, route)

    assert isinstance(error, DatabrainUnexpected)
    assert "MADE_UP_TOKEN" not in str(error)


def test_place_of_a_secret(api: Api) -> None:
    """Of all that an attempt has read the service token and each key, also one that was never tried, is looked for."""
    unused = "data-app-key-0002"
    api.answers[KEYS] = [data({"key": KEY}, {"key": unused}, {"key": "Orders"}, {"key": "no token at all"})]
    document: Parsed = {"tables": [{"label": "Orders"}, {"label": f"no token at all {unused}"}], KEY: 1, "a": TOKEN}
    client = api.client()

    assert client.place_of_secret(document) is None
    client.find("sales")
    assert client.place_of_secret(document) == "a"
    client.list_embeds()
    assert client.place_of_secret(document) == "tables[1].label"
    assert client.place_of_secret({KEY: 1}) == "*"
    assert (client.place_of_secret({"x" * 2_000: [TOKEN]}) or "").endswith("xxx...")
    assert TOKEN not in repr(vars(client))
    assert unused not in repr(vars(client))


def test_key_too_short_to_be_a_secret(api: Api) -> None:
    """A key of a few characters is in any answer; it is used, and not looked for."""
    api.answers[KEYS] = [data({"key": "e"})]

    assert listed_embeds(api)["e"].item is not None


def test_keys_may_come_back(api: Api) -> None:
    """The list of a data app's keys is made of secrets, and of the keys nothing is kept."""
    api.answers[KEYS] = [data({"key": TOKEN}, {"key": KEY})]
    api.answers[EMBEDS] = [bearer(good=KEY)(data({"embedId": "e"}))]

    assert listed_embeds(api)["e"].item == {"embedId": "e"}


def test_a_token_that_looks_like_a_code(api: Api) -> None:
    """The code of an error is told unless it is the token."""
    api.secret = Secret("MADE_UP_TOKEN")
    api.answers[LIST] = [answer({"error": {"code": "MADE_UP_TOKEN"}}, 400)]

    assert "MADE_UP_TOKEN" not in shown(error_of(api, LIST))


@pytest.mark.parametrize("hostile_key", [f"{KEY}\r\nX: y", f"{KEY} ", f"{KEY}é", f"{KEY}\x00"])
def test_key_that_is_no_header(api: Api, hostile_key: str) -> None:
    """A data app's key that no header can carry is a failure like others, and is shown nowhere."""

    def as_a_connection_would(request: httpx.Request) -> httpx.Response:
        value = request.headers["Authorization"]
        raise httpx.LocalProtocolError(f"Illegal header value {value.encode()!r}")

    api.answers[KEYS] = [data({"key": hostile_key})]
    api.answers[EMBEDS] = [as_a_connection_would]

    listing, failures = api.client().list_embeds()

    assert [embed.item for embed in listing.embeds] == [None]
    assert KEY not in "".join(map(shown, failures))


# ---- Datamarts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 9, 10, 25])
def test_find_asks_for_one_page(api: Api, position: int) -> None:
    """The list of names tells the page that holds the datamart: two list requests, however many datamarts there are."""
    names = [f"datamart {number}" for number in range(30)]
    names[position] = "sales"
    api.answers[LIST] = [listed(*names)]

    found = api.client().find("sales")

    assert isinstance(found, Snapshot)
    assert found.entry == entry_of("sales")
    assert list(found.listing.created_at) == names
    assert api.asked(LIST) == 2
    assert {request.url.params.get("pageNumber") for request in api.requests} == {None, str(position // 10 + 1)}
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 0


def test_find_walks_where_the_order_does_not_hold(api: Api) -> None:
    """Where the page does not hold it, the pages are walked to the one that does."""
    names = [f"datamart {number}" for number in range(40)]
    api.answers[LIST] = [listed("sales", *names), listed(*names, "sales")]

    found = api.client().find("sales")

    assert isinstance(found, Snapshot)
    assert found.entry == entry_of("sales")
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 1


def test_find_on_no_page(api: Api) -> None:
    """A name that is listed and on no page is unexpected: nothing is concluded from it."""
    api.answers[LIST] = [listed("sales"), listed("hr")]

    with pytest.raises(DatabrainUnexpected, match="no page of the list has it"):
        api.client().find("sales")


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "sales"},
        {"name": "sales", "datamartTables": None},
        {"name": "sales", "datamartTables": [{}]},
        {"name": "sales", "datamartTables": [{"tableName": "t"}]},
        {"name": "sales", "datamartTables": [{"tableName": "", "datamartTableColumns": []}]},
        {"name": "sales", "datamartTables": [{"tableName": "t", "datamartTableColumns": [5]}]},
    ],
)
def test_entry_without_its_tables(api: Api, entry: Parsed) -> None:
    """An entry without its tables is a collapsed one: it is no snapshot."""
    api.answers[LIST] = [data(entry)]

    assert isinstance(error_of(api, LIST), DatabrainUnexpected)


@pytest.mark.parametrize(
    "entries", [[{"name": "a"}, {"name": "a"}], [{"name": ""}], [{"name": 5}], [{}], [{"name": "n" * 1_001}]]
)
def test_names_that_cannot_be(api: Api, entries: list[Parsed]) -> None:
    """A list with one name twice, without a name, or with one beyond any measure, is unexpected."""
    api.answers[LIST] = [data(*entries)]

    with pytest.raises(DatabrainUnexpected):
        api.client().list_datamarts()


def test_two_of_one_name_on_a_page(api: Api) -> None:
    """A page that shows a name twice is no snapshot: a name is all that a delete goes by."""
    api.answers[LIST] = [listed("sales"), data(entry_of(), entry_of())]

    assert "shows one name twice" in str(error_of(api, LIST))


@pytest.mark.parametrize("created_at", [5, "", "yesterday", "2026-03-01T12:00:00", "20260301101500Z", {}])
def test_created_at_that_is_no_time(api: Api, created_at: object) -> None:
    """An unclear createdAt of the datamart that is asked about is named, and never the same as none; others' are."""
    api.answers[LIST] = [data(entry_of() | {"createdAt": created_at}, entry_of("hr"))]

    error = error_of(api, LIST)
    assert isinstance(error, DatabrainUnexpected)
    assert "the datamart 'sales' with a createdAt that is not an RFC 3339 time" in str(error)

    found = api.client().find("hr")
    assert isinstance(found, Snapshot)
    assert found.created_at == START - timedelta(days=1)
    for listing in (found.listing, api.client().list_datamarts_with_updates()):
        assert listing.created_at == {"sales": None, "hr": START - timedelta(days=1)}


@pytest.mark.parametrize(
    "layer", [{"datamartName": "sales", "tables": []}, {"datamartName": "sales", "unheardOf": {"deep": [1]}}]
)
def test_semantic_layer(api: Api, layer: Parsed) -> None:
    """The semantic layer is taken as it came."""
    api.answers[LAYER] = [answer({"data": layer})]

    found = api.client().find("sales")

    assert isinstance(found, Snapshot)
    assert found.semantic_layer == layer


@pytest.mark.parametrize(("depth", "is_too_deep"), [(98, False), (99, True)])
def test_depth(api: Api, depth: int, is_too_deep: bool) -> None:  # noqa: FBT001  # a parameter
    """What is read has to be written again, so an answer has at most a hundred levels."""
    layer = f'{{"data": {{"datamartName": "sales", "deep": {"[" * depth}{"]" * depth}}}}}'
    api.answers[LAYER] = [body(layer)]

    if is_too_deep:
        assert isinstance(error_of(api, LAYER), DatabrainUnexpected)
    else:
        assert isinstance(api.client().find("sales"), Snapshot)


@pytest.mark.parametrize("layer", ["x", [], {}, {"datamartName": "hr"}])
def test_semantic_layer_of_another(api: Api, layer: Parsed) -> None:
    """A semantic layer that is not the datamart's is unexpected."""
    api.answers[LAYER] = [answer({"data": layer})]

    assert isinstance(error_of(api, LAYER), DatabrainUnexpected)


# ---- Walks ---------------------------------------------------------------------------------------------------------

NAMES = [f"datamart {number:02}" for number in range(23)]


@pytest.fixture
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of a page fits, one of all does not."""
    monkeypatch.setattr(transport, "BODY_LIMIT", 5_000)


def paged(*turns: list[str]) -> Answer:
    """The list as it is at each walk; all at once it is too large."""
    walks = iter(turns)
    current: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        nonlocal current
        if request.url.params["isPagination"] == "false":
            return body(b" " * 6_000)(request)
        if request.url.params["pageNumber"] == "1":
            current = next(walks, current)
        return listed(*current)(request)

    return respond


@pytest.mark.usefixtures("small_bodies")
def test_names_are_walked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all names at once are too large, pages are walked until two walks agree."""
    monkeypatch.setattr(client, "MAX_CONCURRENCY", 1)
    api.answers[LIST] = [paged(NAMES)]

    assert list(api.client().list_datamarts().created_at) == NAMES
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 2


@pytest.mark.usefixtures("small_bodies")
def test_walks_disagree_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that one walk missed, because pages shifted, is found by the next two."""
    monkeypatch.setattr(client, "MAX_CONCURRENCY", 1)
    api.answers[LIST] = [paged(NAMES[1:], NAMES)]

    assert list(api.client().list_datamarts().created_at) == NAMES
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 3


@pytest.mark.usefixtures("small_bodies")
def test_walks_never_agree(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the list changes all the time nothing is concluded from it."""
    monkeypatch.setattr(client, "MAX_CONCURRENCY", 1)
    api.answers[LIST] = [paged(NAMES, NAMES[1:], NAMES[2:])]

    with pytest.raises(DatabrainUnexpected, match="changed while its pages were read"):
        api.client().list_datamarts()


@pytest.mark.usefixtures("small_bodies")
def test_page_that_is_too_long(api: Api) -> None:
    """A page of more than ten is no page: the server does not page as documented."""
    api.answers[LIST] = [
        lambda request: (
            body(b" " * 6_000) if request.url.params["isPagination"] == "false" else data(*({"name": n} for n in NAMES))
        )(request)
    ]

    with pytest.raises(DatabrainUnexpected, match="at most 10 entries in a page"):
        api.client().list_datamarts()


@pytest.mark.usefixtures("small_bodies")
def test_pages_without_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that never end are given up."""
    monkeypatch.setattr(client, "MAX_PAGES", 16)
    api.answers[LIST] = [
        lambda request: (
            body(b" " * 6_000)
            if request.url.params["isPagination"] == "false"
            else data(*({"name": f"{request.url.params['pageNumber']}-{number}"} for number in range(10)))
        )(request)
    ]

    with pytest.raises(DatabrainUnexpected, match="more than 16 pages"):
        api.client().list_datamarts()


@pytest.mark.usefixtures("small_bodies")
def test_embeds_are_walked(api: Api) -> None:
    """Embeds too are read page by page where all at once are too large."""
    embeds = [{"embedId": f"e{number}"} for number in range(13)]

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.params["isPagination"] == "false":
            return body(b" " * 6_000)(request)
        page = int(request.url.params["pageNumber"])
        return data(*embeds[(page - 1) * 10 : page * 10])(request)

    api.answers[EMBEDS] = [respond]
    listing, failures = api.client().list_embeds()

    assert failures == ()
    assert {embed.embed_id for embed in listing.embeds} == {"e", *(f"e{number}" for number in range(13))}


@pytest.mark.usefixtures("small_bodies")
def test_walk_without_time(api: Api) -> None:
    """A walk ends before the invocation does: what is left is for saying so."""

    def slow(request: httpx.Request) -> httpx.Response:
        api.clock.advance(1 / transport.MAX_CONCURRENCY)  # that many at once take a second together
        return data(*({"name": f"{request.url.params['pageNumber']}-{number}"} for number in range(10)))(request)

    api.answers[LIST] = [body(b" " * 6_000), slow]

    with pytest.raises(DatabrainUnavailable, match="no time is left"):
        api.client().list_datamarts()
    assert api.clock.remaining() > 0


# ---- Lists that are capped -----------------------------------------------------------------------------------------


def capped(entries: list[Parsed], cap: int | None, *, paged: bool = True) -> Answer:
    """At most so many entries where all were asked for; a server without pages shows the same for each."""

    def respond(request: httpx.Request) -> httpx.Response:
        if paged and request.url.params["isPagination"] == "true":
            page = int(request.url.params["pageNumber"])
            return data(*entries[(page - 1) * 10 : page * 10])(request)
        return data(*entries[:cap])(request)

    return respond


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (9, 1), (10, 2), (11, 1), (20, 2), (25, 1)])
def test_a_whole_list_is_checked_where_it_could_be_capped(api: Api, count: int, requests: int) -> None:
    """A list of whole pages is checked by one more page before an absence is claimed, any other by none."""
    api.answers[LIST] = [capped([entry_of(f"datamart {number}") for number in range(count)], None)]

    assert isinstance(api.client().find("sales"), Absent)
    assert api.asked(LIST) == requests
    assert len(api.client().list_datamarts().created_at) == count
    assert api.asked(LIST) == 2 * requests
    assert api.telemetry.counts[Metric.DATABRAIN_WALKS] == 0


@pytest.mark.parametrize(("count", "cap"), [(11, 10), (20, 10), (25, 20), (1_001, 1_000)])
def test_capped_datamarts(api: Api, count: int, cap: int) -> None:
    """A server that caps its list although everything was asked for is not believed about what it leaves out."""
    entries = [entry_of(f"datamart {number}") for number in range(count - 1)]
    api.answers[LIST] = [capped([*entries, entry_of("sales")], cap)]
    client = api.client()

    assert isinstance(client.find("sales"), Snapshot)
    assert "sales" in client.list_datamarts()
    assert "sales" in client.list_datamarts_with_updates()
    absent = client.find("hr")
    assert isinstance(absent, Absent)
    assert len(absent.listing.created_at) == count


def test_found_in_a_capped_list(api: Api) -> None:
    """Where the datamart is there nothing more is asked for."""
    api.answers[LIST] = [capped([entry_of("sales"), *(entry_of(f"datamart {number}") for number in range(9))], 10)]

    assert isinstance(api.client().find("sales"), Snapshot)
    assert api.asked(LIST) == 2


def test_list_without_pages(api: Api) -> None:
    """A server that shows the same whatever page is asked for has shown all."""
    api.answers[LIST] = [capped([entry_of(f"datamart {number}") for number in range(20)], None, paged=False)]

    assert isinstance(api.client().find("sales"), Absent)
    assert api.asked(LIST) == 2


@pytest.mark.parametrize("count", [10, 11, 20, 23])
def test_capped_lists_of_embeds(api: Api, count: int) -> None:
    """Neither data apps nor keys nor embeds are lost on a server that caps its lists."""
    apps = [{"name": f"app {number}", "embeds": []} for number in range(count)]
    embeds = [{"embedId": f"e{number}"} for number in range(count)]
    keys = [{"key": f"data-app-key-{number:04}"} for number in range(count)]
    api.answers |= {APPS: [capped(apps, 10)], KEYS: [capped(keys, 10)], EMBEDS: [capped(embeds, 10)]}
    client = api.client()

    listing, failures = client.list_embeds()

    assert failures == ()
    assert len(listing.data_apps) == count
    assert len(listing.embeds) == count * count
    assert client.place_of_secret([keys[-1]["key"]]) == "[0]"


# ---- Embeds --------------------------------------------------------------------------------------------------------


def listed_embeds(api: Api, legacy: DatabrainApi = DatabrainApi.CURRENT) -> dict[str, Embed]:
    """The embeds by ID, where nothing failed."""
    listing, failures = api.client(legacy).list_embeds()
    assert failures == ()
    return {embed.embed_id: embed for embed in listing.embeds}


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({}, None),
        ({"accessSettings": {"datamartName": "a"}}, "a"),
        ({"accessSettings": {"datamartName": ""}}, None),
        ({"accessSettings": {"datamartName": 5}}, None),
        ({"accessSettings": "x", "embedDataAppAccessSetting": [], "externalDashboard": {"metadata": "x"}}, None),
        ({"embedDataAppAccessSetting": {"datamartName": "b"}}, "b"),
        ({"embedDataAppAccessSetting": {"datamart": {"name": "c"}}}, "c"),
        ({"datamart": {"name": "d"}}, "d"),
        ({"externalDashboard": {"metadata": {"datamartName": "e"}}}, "e"),
        ({"externalDashboard": None, "externalMetric": {"name": "x"}}, None),
        ({"accessSettings": {"datamartName": "a"}, "externalDashboard": {"metadata": {"datamartName": None}}}, "a"),
        ({"accessSettings": {"datamartName": ""}, "datamart": {"name": "d"}}, "d"),
        ({"accessSettings": {"datamartName": "Stra\u00dfe"}, "datamart": {"name": " STRASSE"}}, "Stra\u00dfe"),
    ],
)
def test_told_datamart(api: Api, item: Parsed, told: str | None) -> None:
    """The API's own fields and the caller's metadata tell; else nothing does. Near names are one."""
    api.answers[EMBEDS] = [data({"embedId": "e", **item})]

    embed = listed_embeds(api)["e"]

    assert (embed.datamart_name, embed.is_contradictory) == (told, False)


PLACES: list[Callable[[str], Parsed]] = [
    lambda name: {"accessSettings": {"datamartName": name}},
    lambda name: {"embedDataAppAccessSetting": {"datamartName": name}},
    lambda name: {"embedDataAppAccessSetting": {"datamart": {"name": name}}},
    lambda name: {"datamart": {"name": name}},
    lambda name: {"externalDashboard": {"metadata": {"datamartName": name}}},
]


@pytest.mark.parametrize(("one", "other"), list(combinations(range(len(PLACES)), 2)))
def test_two_fields_that_contradict(api: Api, one: int, other: int) -> None:
    """Where any two fields of an embed name different datamarts nothing tells which one it uses."""
    item = PLACES[one]("sales")
    for field, value in PLACES[other]("hr").items():
        item[field] = item.get(field, {}) | value
    api.answers[EMBEDS] = [data({"embedId": "e", **item})]

    embed = listed_embeds(api)["e"]

    assert (embed.datamart_name, embed.is_contradictory) == (None, True)


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("2026-03-01T12:00:00Z", START),
        ("2026-03-01T13:00:00+01:00", START),
        (None, None),
        (1772366400, None),
        ("yesterday", None),
        ("2026-03-01T12:00:00", None),
    ],
)
def test_times_of_an_embed(api: Api, field: str, value: object, told: datetime | None) -> None:
    """When an embed was created and last updated is told by the list of data apps, or is not known."""
    api.answers[APPS] = [data({"name": "Portal", "embeds": [{"embedId": "e", field: value}, {"embedId": "g"}]})]
    api.answers[EMBEDS] = [data({"embedId": "e"}, {"embedId": "f", field: value})]

    embeds = listed_embeds(api)

    is_created_at = field == "createdAt"
    assert (embeds["e"].created_at, embeds["e"].updated_at) == ((told, None) if is_created_at else (None, told))
    for other in ("f", "g"):
        assert (embeds[other].created_at, embeds[other].updated_at) == (None, None)


def test_embed_that_is_not_returned(api: Api) -> None:
    """An embed that the data app names and List Embeds does not return is undetermined; an unnamed one counts too."""
    api.answers[EMBEDS] = [data({"embedId": "f", "datamart": {"name": "hr"}})]

    embeds = listed_embeds(api)

    assert embeds["e"] == Embed("e", "Board", "Portal", None, None, None, None)
    assert embeds["f"].datamart_name == "hr"


@pytest.mark.parametrize(
    "refusal",
    [
        body("", 401),
        body("", 403),
        answer({"error": {"code": "INVALID_DATA_APP_API_KEY", "message": KEY}}, 400),
    ],
)
def test_next_key(api: Api, refusal: Answer) -> None:
    """A key that List Embeds refuses is followed by the app's next one; the service token is not renewed for it."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    api.answers[KEYS] = [data({"key": "stale"}, {"key": KEY})]
    api.answers[EMBEDS] = [refusal, data({"embedId": "e", "datamart": {"name": "hr"}})]

    assert listed_embeds(api)["e"].datamart_name == "hr"
    assert api.secret.dropped == []


@pytest.mark.parametrize("keys", [[], [{"key": "stale"}, {"key": "older"}]])
def test_no_key_works(api: Api, keys: list[Parsed]) -> None:
    """Where no key works, or none exists, the app's embeds are undetermined, and nothing failed."""
    api.answers[KEYS] = [data(*keys)]
    api.answers[EMBEDS] = [body("", 401)]

    assert listed_embeds(api)["e"].item is None


def test_keys_that_are_tried(api: Api) -> None:
    """Of one data app's keys a hundred are tried."""
    api.answers[KEYS] = [data(*({"key": f"stale-{number}"} for number in range(1_000)))]
    api.answers[EMBEDS] = [body("", 401)]

    assert listed_embeds(api)["e"].item is None
    assert api.asked(EMBEDS) == 100


@pytest.mark.parametrize(("count", "is_too_many"), [(1_000, False), (1_001, True)])
def test_data_apps_that_are_asked(api: Api, count: int, is_too_many: bool) -> None:  # noqa: FBT001  # a parameter
    """A thousand data apps are asked; more would take longer than there is, and none of them is."""
    api.answers[APPS] = [data(*({"name": f"app {number}", "embeds": []} for number in range(count)))]
    api.answers[KEYS] = [data()]

    listing, failures = api.client().list_embeds()

    assert [type(failure) for failure in failures] == [DatabrainUnexpected] * is_too_many
    assert listing.gaps == ("the embeds",) * is_too_many
    assert api.asked(KEYS) == (0 if is_too_many else count)


def test_embeds_that_fill_the_memory(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """All embeds together have a limit, however many data apps they come from."""
    monkeypatch.setattr(transport, "EMBEDS_LIMIT", 10_000)
    api.answers[APPS] = [data(*({"name": f"app {number}", "embeds": []} for number in range(20)))]
    api.answers[EMBEDS] = [data({"embedId": "e", "name": "x" * 1_000})]

    _, failures = api.client().list_embeds()

    assert {type(failure) for failure in failures} == {BodyTooLarge}


@pytest.mark.parametrize("route", [APPS, EMBEDS])
@pytest.mark.parametrize("same", [False, True])
def test_one_embed_twice(api: Api, route: str, same: bool) -> None:  # noqa: FBT001  # a parameter
    """An embed may come twice, but not with two contents: one could hide that the other uses the datamart."""
    uses = {"embedId": "e", "accessSettings": {"datamartName": "sales"}}
    other = uses if same else {"embedId": "e", "accessSettings": {"datamartName": "hr"}}
    api.answers[route] = [data({"name": "Portal", "embeds": [uses, other]}) if route == APPS else data(uses, other)]

    _, failures = api.client().list_embeds()

    assert [type(failure) for failure in failures] == ([] if same else [DatabrainUnexpected])


@pytest.mark.parametrize("route", [KEYS, EMBEDS])
def test_one_app_fails(api: Api, route: str) -> None:
    """Where one data app cannot be read its embeds stay undetermined, the failure is told, and the gap named."""
    api.answers[route] = [body("", 400)]

    listing, failures = api.client().list_embeds()

    assert [embed.item for embed in listing.embeds] == [None]
    assert listing.gaps == ("the embeds of the data app 'Portal'",)
    assert [type(failure).__mro__[1] for failure in failures] == [DatabrainError]


@pytest.mark.parametrize(
    ("answer_of_apps", "gap"),
    [(body("", 503), "the embeds"), (body("", 404), "the embeds"), (body("<html>"), "the embeds")],
)
def test_apps_fail(api: Api, answer_of_apps: Answer, gap: str) -> None:
    """Where data apps cannot be listed nothing is known of any embed."""
    api.answers[APPS] = [answer_of_apps]

    listing, failures = api.client().list_embeds()

    assert (listing.embeds, listing.gaps, len(failures)) == ((), (gap,), 1)


def test_legacy_server_without_data_apps(api: Api) -> None:
    """A legacy server that has no list of data apps did not fail; its embeds are a gap."""
    api.answers[APPS] = [body("", 404)]

    listing, failures = api.client(DatabrainApi.LEGACY).list_embeds()

    assert failures == ()
    assert listing.gaps == ("the embeds: this server has no list of data apps",)


def test_data_apps(api: Api) -> None:
    """Data apps are listed with their age, as far as it is clear, and come with the embeds without another request."""
    apps = [
        {"name": "Portal", "createdAt": "2026-03-01T12:00:00Z", "embeds": []},
        {"name": "Odd", "createdAt": "yesterday", "embeds": []},
        {"name": "Old", "embeds": []},
        {"createdAt": "2026-03-01T12:00:00Z", "embeds": []},
    ]
    api.answers[APPS] = [data(*apps)]
    client = api.client()

    assert client.list_data_apps() == {"Portal": START, "Odd": None, "Old": None}
    assert client.list_embeds()[0].data_apps == client.list_data_apps()
    assert api.asked(APPS) == 3


def test_no_list_of_data_apps(api: Api) -> None:
    """A legacy server may have no such list; where one is documented its absence is an error."""
    api.answers[APPS] = [body("", 404)]

    assert api.client(DatabrainApi.LEGACY).list_data_apps() == {}
    with pytest.raises(DatabrainUnexpected):
        api.client().list_data_apps()


def test_embeds_that_are_counted_and_not_named(api: Api) -> None:
    """A data app that counts more embeds than are named leaves a gap."""
    api.answers[APPS] = [data({"name": "Portal", "embedCount": 3, "embeds": [{"embedId": "e"}]})]

    listing, failures = api.client().list_embeds()

    assert failures == ()
    assert listing.gaps == ("2 embeds of the data app 'Portal', which are counted but not named",)


@pytest.mark.parametrize(
    "app", [{}, {"name": "Portal"}, {"name": "Portal", "embeds": "x"}, {"name": "Portal", "embeds": [{}]}]
)
def test_app_of_another_shape(api: Api, app: Parsed) -> None:
    """A data app of another shape is a failure that is told beside the listing, so that `ignore` can go on."""
    api.answers[APPS] = [data(app)]

    listing, failures = api.client().list_embeds()

    assert len(listing.gaps) == len(failures) == 1


# ---- Delete --------------------------------------------------------------------------------------------------------

EFFECTS: dict[str, tuple[Answer, DeleteEffect]] = {
    "done": (answer({"id": "sales", "error": None}), DeleteEffect.DONE),
    "done, no error key": (answer({"id": "sales"}), DeleteEffect.DONE),
    "another id": (answer({"id": "Sales", "error": None}), DeleteEffect.UNKNOWN),
    "no id": (answer({"error": None}), DeleteEffect.UNKNOWN),
    "200 with an error": (answer({"id": "sales", "error": {"code": "X"}}), DeleteEffect.UNKNOWN),
    "200 of HTML": (body("<html>"), DeleteEffect.UNKNOWN),
    "200 cut short": (body('{"id": "sal'), DeleteEffect.UNKNOWN),
    "200 of nothing": (body(""), DeleteEffect.UNKNOWN),
    "200 compressed": (body(b"x", Content_Encoding="gzip"), DeleteEffect.UNKNOWN),
    "204": (body("", 204), DeleteEffect.UNKNOWN),
    "302": (body("", 302, location="/"), DeleteEffect.UNKNOWN),
    "400": (
        answer({"error": {"code": "INVALID_REQUEST_BODY", "message": "Datamart not found"}}, 400),
        DeleteEffect.NONE,
    ),
    "401": (body("", 401), DeleteEffect.NONE),
    "403": (body("", 403), DeleteEffect.NONE),
    "404": (body("", 404), DeleteEffect.NONE),
    "408": (body("", 408), DeleteEffect.UNKNOWN),
    "429": (body("", 429), DeleteEffect.NONE),
    "500": (body("", 500), DeleteEffect.UNKNOWN),
    "503": (body("", 503), DeleteEffect.UNKNOWN),
    "never connected": (failing(httpx.ConnectError("x")), DeleteEffect.NONE),
    "never connected in time": (failing(httpx.ConnectTimeout("x")), DeleteEffect.NONE),
    "no connection free": (failing(httpx.PoolTimeout("x")), DeleteEffect.NONE),
    "cut off": (failing(httpx.ReadError("x")), DeleteEffect.UNKNOWN),
    "late": (failing(httpx.ReadTimeout("x")), DeleteEffect.UNKNOWN),
    "half sent": (failing(httpx.WriteError("x")), DeleteEffect.UNKNOWN),
    "nonsense": (failing(httpx.RemoteProtocolError("x")), DeleteEffect.UNKNOWN),
}


@pytest.mark.parametrize("case", EFFECTS)
def test_effect_of_a_delete(api: Api, case: str) -> None:
    """One request, whatever the answer; only a 200 that names the datamart is a yes, only a refusal a no."""
    respond, effect = EFFECTS[case]
    api.answers[DELETE] = [respond]

    told = api.client().delete(PERMIT)

    assert told.effect is effect
    assert (told.error is None) == (effect is DeleteEffect.DONE)
    assert len(api.requests) == 1
    assert api.clock.slept == []


def test_delete_with_a_refused_token(api: Api) -> None:
    """A refused token is dropped: the same attempt goes on with it, and only the next one reads a fresh one."""
    api.secret = Secret(TOKEN, NEXT_TOKEN)
    api.answers[DELETE] = [bearer(good=NEXT_TOKEN)(answer({"id": "sales"}))]
    client = api.client()

    assert [client.delete(PERMIT).effect for _ in range(2)] == [DeleteEffect.NONE] * 2
    assert api.client().delete(PERMIT).effect is DeleteEffect.DONE


def test_delete_without_a_token(api: Api) -> None:
    """Without a token nothing is sent."""

    class NoSecret(Secret):
        def value(self) -> str:
            raise ConfigurationError("no token in the secret")

    api.secret = NoSecret()
    with pytest.raises(ConfigurationError):
        api.client().delete(PERMIT)

    assert api.requests == []


@pytest.mark.parametrize("name", ["a b", "a/b&c=d", "100%", "+", "ü#?", "..", "n" * 256])
def test_name_in_a_query(api: Api, name: str) -> None:
    """The name arrives exactly, whatever it is made of."""
    api.client().delete(replace(PERMIT, snapshot=replace(SNAPSHOT, name=name)))

    assert api.requests[0].url.params["datamartName"] == name


# ---- The legacy routes ---------------------------------------------------------------------------------------------


def test_legacy_routes(api: Api) -> None:
    """A legacy server gets POST with JSON bodies, numbers and booleans in them."""
    datamarts, delete = "POST /api/v2/dataApp/datamart/list", "POST /api/v2/dataApp/datamart/delete"
    api.answers |= {
        datamarts: [data(entry_of())],
        delete: api.answers[DELETE],
        "POST /api/v2/dataApp/embed/list": api.answers[EMBEDS],
    }
    client = api.client(DatabrainApi.LEGACY)

    assert isinstance(client.find("sales"), Snapshot)
    assert listed_embeds(api, DatabrainApi.LEGACY)["e"].datamart_name == "sales"
    assert client.delete(PERMIT).effect is DeleteEffect.DONE

    sent = [json.loads(request.content) for request in api.requests if request.method == "POST"]
    assert sent == [
        {"isPagination": False},
        {"isPagination": True, "pageNumber": 1},
        {"isPagination": False},
        {"datamartName": "sales"},
    ]


@pytest.mark.parametrize("name", ["x\ud800", "n" * 70_000])
def test_a_data_app_that_no_query_can_name(api: Api, name: str) -> None:
    """A data app whose name cannot be asked for is a gap and a failure, as one without a name."""
    api.answers[APPS] = [data({"name": name, "embeds": []}, {"name": "Portal", "embeds": []})]

    listing, failures = api.client().list_embeds()

    assert len(listing.gaps) == len(failures) == 1
    assert isinstance(failures[0], DatabrainUnexpected)


@pytest.mark.parametrize("count", ["3", 3.0, "many", [1], True])
def test_a_count_of_embeds_that_is_no_number(api: Api, count: object) -> None:
    """Where it is not told clearly how many embeds there are, that is not taken for none."""
    api.answers[APPS] = [data({"name": "Portal", "embeds": [], "embedCount": count})]

    listing, _ = api.client().list_embeds()

    assert listing.gaps == ("the number of embeds of the data app 'Portal'",)


def test_a_blank_name_tells_no_datamart(api: Api) -> None:
    """A name of spaces alone says nothing of the datamart that an embed uses."""
    api.answers[APPS] = [data({"name": "Portal", "embeds": []})]
    api.answers[EMBEDS] = [data({"embedId": "e", "accessSettings": {"datamartName": " "}})]

    listing, _ = api.client().list_embeds()

    assert [embed.datamart_name for embed in listing.embeds] == [None]


# ---- What is read for a backup alone -------------------------------------------------------------------------------

EXPORT = "GET /api/v2/data-app/embeds/export"
WORKSPACES = "GET /api/v2/workspace"
DASHBOARDS = "POST /api/v2/workspace/dashboards"
FOR_BACKUP = [EXPORT, WORKSPACES, DASHBOARDS]


@pytest.fixture
def undoable(api: Api) -> Api:
    """The same, with an export of the embed, and a workspace that has its dashboard."""
    api.answers |= {
        EXPORT: [answer({"_meta": {"embedId": "e"}, "data": {"layout": []}})],
        WORKSPACES: [data({"name": "Sales"})],
        DASHBOARDS: [data({"name": "Board", "externalDashboardId": "board"}, {"name": "No ID"})],
    }
    return api


def read_for_backup(api: Api, route: str, *, leave: float = 5.0, embeds: int = 1) -> Any:  # noqa: ANN401  # of either
    """What is read by this route, of an embed that was listed before: the export, or the workspaces."""
    client = api.client()
    (listed,) = client.list_embeds()[0].embeds
    if route == EXPORT:
        return client.export_embeds([listed] * embeds, leave=leave)[-1]
    return client.find_workspaces(leave=leave)


def test_read_for_a_backup(undoable: Api) -> None:
    """An export comes as it is; dashboards without an ID are nobody's."""
    assert read_for_backup(undoable, EXPORT) == {"_meta": {"embedId": "e"}, "data": {"layout": []}}
    assert read_for_backup(undoable, WORKSPACES) == {"board": ["Sales"]}
    sent = {f"{request.method} {request.url.path}": request for request in undoable.requests}
    assert (sent[EXPORT].headers["Authorization"], sent[EXPORT].url.params["embedId"]) == (f"Bearer {KEY}", "e")
    assert sent[WORKSPACES].headers["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(sent[DASHBOARDS].content) == {"workspaceName": "Sales"}


@pytest.mark.parametrize("route", FOR_BACKUP)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 422])
def test_what_a_server_refuses_for_good(undoable: Api, route: str, status: int) -> None:
    """A 4xx to what is read for a backup is final, and says nothing of the token, which goes on."""
    undoable.answers[route] = [answer({"error": {"code": "NOT_FOR_YOU", "message": "x"}}, status)]

    assert read_for_backup(undoable, route) == Unread(f"{route}: HTTP {status} NOT_FOR_YOU")
    assert undoable.asked(route) == 1
    assert undoable.secret.dropped == []


TROUBLES: dict[str, tuple[Answer, type[DatabrainError], int]] = {
    "429": (body("", 429), DatabrainUnavailable, 4),
    "503": (body("", 503), DatabrainUnavailable, 4),
    "no answer": (failing(httpx.ReadTimeout("x")), DatabrainUnavailable, 4),
    "408": (body("", 408), DatabrainUnexpected, 1),
    "a redirect": (body("", 302, Location="https://elsewhere.test"), DatabrainUnexpected, 1),
    "HTML": (body("<html>"), DatabrainUnexpected, 1),
    "half of it": (body('{"data": ['), DatabrainUnexpected, 1),
    "a list": (answer([]), DatabrainUnexpected, 1),
    "an error": (answer({"error": {"code": "X"}}), DatabrainUnexpected, 1),
}


@pytest.mark.parametrize("route", FOR_BACKUP)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_another_attempt_may_read(undoable: Api, route: str, trouble: str) -> None:
    """Anything else that goes wrong is a failure, tried again in this attempt where that can help."""
    respond, kind, tries = TROUBLES[trouble]
    undoable.answers[route] = [respond]

    unread = read_for_backup(undoable, route)

    assert isinstance(unread.failure, kind)
    assert unread.why == str(unread.failure)
    assert undoable.asked(route) == tries


@pytest.mark.parametrize("route", FOR_BACKUP)
def test_time_that_is_left_for_something_else(undoable: Api, route: str) -> None:
    """Nothing is begun in the time that is to be left, nor waited for into it."""
    undoable.answers[route] = [body("", 503, Retry_After="9")]
    assert isinstance(read_for_backup(undoable, route, leave=40.0).failure, DatabrainUnavailable)
    assert (undoable.asked(route), undoable.clock.slept) == (2, [9.0])  # 60, 51; the next would be at 42

    undoable.clock.begin_invocation(46.9)
    unread = read_for_backup(undoable, route, leave=45.0)
    assert "no time is left" in unread.why
    assert isinstance(unread.failure, DatabrainUnavailable)
    assert undoable.asked(route) == 2


@pytest.mark.parametrize(
    ("limit", "value", "whole"),
    [("EXPORTS_LIMIT", 3_000, "x" * 900), ("MAX_VALUES", 4_000, [0] * 400), ("PAGE_LIMIT", 800, "x" * 900)],
)
def test_exports_that_are_too_large(
    undoable: Api, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, whole: Parsed
) -> None:
    """All exports together have a limit, and each of its own; what passes one is left out for good."""
    monkeypatch.setattr(transport, limit, value)
    undoable.answers[EXPORT] = [answer({"data": whole})]

    unread = read_for_backup(undoable, EXPORT, embeds=20)

    assert unread.failure is None
    assert "large" in unread.why or "values" in unread.why
    assert undoable.asked(EXPORT) <= 3 + 8 or limit == "PAGE_LIMIT"


@pytest.mark.parametrize(("levels", "is_read"), [(97, True), (98, False)])
def test_an_export_that_is_nested_deeply(undoable: Api, *, levels: int, is_read: bool) -> None:
    """An export is left out whose backup could not be read again."""
    undoable.answers[EXPORT] = [body('{"data":' * levels + "0" + "}" * levels)]

    export = read_for_backup(undoable, EXPORT)

    assert isinstance(export, Unread) is not is_read
    if is_read:
        parse_json(canonical_json({"embeds": [{"export": export}]}))


@pytest.mark.parametrize("secret", [TOKEN, KEY])
@pytest.mark.parametrize("route", [EXPORT, WORKSPACES])
def test_an_answer_that_repeats_a_secret(undoable: Api, route: str, secret: str) -> None:
    """What is read for a backup may repeat a secret: the backup is searched for it, which tells the place."""
    undoable.answers[EXPORT] = [answer({"data": {"filters": [f"is {secret}"]}})]
    undoable.answers[WORKSPACES] = [data({"name": f"Sales {secret}"})]
    client = undoable.client()
    (listed,) = client.list_embeds()[0].embeds
    (export,) = client.export_embeds([listed], leave=5.0)
    workspaces = client.find_workspaces(leave=5.0)

    found = export if route == EXPORT else workspaces
    assert not isinstance(found, Unread)
    assert client.place_of_secret(found) == ("data.filters[0]" if route == EXPORT else "board[0]")


@pytest.mark.parametrize("name", ["\ud800", "x" * 1_001])
def test_what_cannot_be_sent(undoable: Api, name: str) -> None:
    """An embed's ID, or a workspace's name, that no request can carry is told, and not asked for."""
    undoable.answers[APPS] = [data({"name": "Portal", "embedCount": 1, "embeds": [{"embedId": name}]})]
    undoable.answers[EMBEDS] = [data()]
    undoable.answers[WORKSPACES] = [data({"name": name}, {"name": "Sales"})]

    assert read_for_backup(undoable, EXPORT) == Unread("its ID cannot be sent")
    assert read_for_backup(undoable, WORKSPACES) == Unread("the name of a workspace cannot be sent")
    assert undoable.asked(EXPORT) == undoable.asked(DASHBOARDS) == 0


def test_at_once(undoable: Api) -> None:
    """Eight exports are under way at a time."""
    barrier = Barrier(8, timeout=30)

    def together(_: httpx.Request) -> httpx.Response:
        barrier.wait()
        return answer({"data": {}})(_)

    undoable.answers[EXPORT] = [together]

    assert read_for_backup(undoable, EXPORT, embeds=16) == {"data": {}}
