"""What the client makes of a Databrain that fails: which error, after how many requests, and never a secret."""

import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime
from itertools import chain, repeat
from threading import Thread
from typing import Any

import httpx
import pytest

from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from local.databrain.server import serve
from local.databrain.state import Databrain
from retirement.databrain.client import DatabrainClient
from retirement.databrain.ports import DatabrainApi, DeleteEffect, Metric
from retirement.databrain.snapshot import Snapshot
from retirement.databrain.transport import http_client
from retirement.errors import (
    BodyTooLarge,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
)
from tests.contract.permits import permit_for
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.routes import requests_to
from tests.contract.seeds import (
    PORTAL_KEY,
    ROTATED_TOKEN,
    SECRETS,
    SERVICE_TOKEN,
    JsonObject,
    data_app,
    datamart,
    numbered,
    seed,
)
from tests.fakes import LogicalClock, RecordingTelemetry

READS = [
    RouteId.LIST_DATAMARTS,
    RouteId.GET_SEMANTIC_LAYER,
    RouteId.LIST_DATA_APPS,
    RouteId.LIST_API_TOKENS,
    RouteId.LIST_EMBEDS,
]
MAX_TRIES = 4

# All that a server can echo, it echoes.
ECHO: JsonObject = {"error": {"code": SERVICE_TOKEN, "message": f"{SERVICE_TOKEN} {PORTAL_KEY}"}, "data": SERVICE_TOKEN}


@pytest.fixture(autouse=True)
def organisation(databrain: Databrain) -> None:
    """One datamart with a semantic layer, and one data app whose embed uses it."""
    app = data_app("Portal", {"embedId": "board", "datamart": "sales"}, keys=(PORTAL_KEY,))
    databrain.organisation = organisation_of(
        {**seed(apps=(app,)), "datamarts": [datamart("sales", semanticLayer={"tables": []})]}
    )


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Databrain]:
    """Another server, where redirects lead: it knows the same tokens."""
    with serve(seed("sales")) as databrain:
        yield databrain


@pytest.fixture
def deaf() -> Iterator[httpx.Client]:
    """A client of a port on which nobody listens, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            yield client


def fail(databrain: Databrain, route: str, fault: str, **arguments: Any) -> None:  # noqa: ANN401  # a rule's JSON
    """Put one fault rule in force."""
    databrain.faults.replace([{"route": route, "fault": fault, **arguments}])


def error_of(client: DatabrainClient, route: RouteId) -> DatabrainError:
    """The error that a fault of one read route ends in; of those for embeds, with the gap that it leaves."""
    if route in {RouteId.LIST_DATAMARTS, RouteId.GET_SEMANTIC_LAYER}:
        with pytest.raises(DatabrainError) as caught:
            client.find("sales")
        error = caught.value
    else:
        listing, (error,) = client.list_embeds()
        assert len(listing.gaps) == 1
        assert [embed.item for embed in listing.embeds] in ([], [None])
    assert_no_secret_in(error)
    return error


def everything_read_by(client: DatabrainClient) -> None:
    """Call each read route, and expect no failure."""
    assert isinstance(client.find("sales"), Snapshot)
    assert client.list_embeds()[1] == ()


def assert_no_secret_in(error: BaseException) -> None:
    """Neither the error nor anything that led to it tells a token or a key."""
    told, cause = "".join(traceback.format_exception(error)), error.__context__
    while cause is not None:  # a suppressed context is still within reach of a handler that shows it
        told += f"{cause} {cause!r}"
        cause = cause.__context__
    assert not [secret for secret in SECRETS if secret in told]


@contextmanager
def speaking(*parts: bytes, for_ever: bytes = b"") -> Iterator[tuple[httpx.Client, list[bytes]]]:
    """A server that answers every connection with these bytes, whatever they are, and the requests that it got."""
    requests: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        with suppress(OSError):  # the end
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):  # the client hangs up
                    requests.append(connection.recv(65536))
                    for part in chain(parts, repeat(for_ever) if for_ever else ()):
                        connection.sendall(part)
                    connection.shutdown(socket.SHUT_WR)
                    while more := connection.recv(65536):  # closed with something unread, it would be reset
                        requests[-1] += more

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer, args=(listener,))
        thread.start()
        try:
            with http_client(f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
                yield http, requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


SALES = b'{"data": [{"name": "sales"}], "error": null}'
LENGTH = b"Content-Length: %d\r\n\r\n" % len(SALES)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(SALES), SALES)
ECHOED = SERVICE_TOKEN.encode()

# Odd, and readable all the same.
UNDERSTOOD: dict[str, bytes] = {
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + SALES,
    "1xx before it": b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" * 9 + OK + LENGTH + SALES,
    "trailers": OK + CHUNKED + b"0\r\nSet-Cookie: visitor=1\r\nX: y\r\n\r\n",
    "a cookie": OK + b"Set-Cookie: visitor=1; Path=/; Max-Age=999999999\r\n" + LENGTH + SALES,
    "the token in the reason": b"HTTP/1.1 200 " + ECHOED + b"\r\n" + LENGTH + SALES,
    "the token in a header": OK + b"X-Token: " + ECHOED + b"\r\n" + LENGTH + SALES,
}
GARBLED: dict[str, tuple[bytes, type[DatabrainError]]] = {
    "the token as status line": (ECHOED + b"\r\n\r\n", DatabrainUnavailable),
    "the token as header": (OK + b"broken " + ECHOED + b"\r\n\r\n", DatabrainUnavailable),
    "the token as length": (OK + b"Content-Length: " + ECHOED + b"\r\n\r\n", DatabrainUnavailable),
    "the token as chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + ECHOED + b"\r\n", DatabrainUnavailable),
    "the token in no UTF-8": (OK + b"\r\n\xff\xff\xff\xff" + ECHOED, DatabrainUnexpected),
    "the token in the error": (b"HTTP/1.1 500 " + ECHOED + b"\r\nX: " + ECHOED + b"\r\n\r\n", DatabrainUnavailable),
    "a length too long": (OK + b"Content-Length: 9999\r\n\r\n" + SALES, DatabrainUnavailable),
    "a length too short": (OK + b"Content-Length: 9\r\n\r\n" + SALES, DatabrainUnexpected),
    "two lengths": (OK + b"Content-Length: 9\r\n" + LENGTH + SALES, DatabrainUnavailable),
    "a negative length": (OK + b"Content-Length: -1\r\n\r\n" + SALES, DatabrainUnavailable),
    "an endless chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + SALES, DatabrainUnavailable),
    "packed on its way": (OK + b"Transfer-Encoding: gzip, " + CHUNKED + b"0\r\n\r\n", DatabrainUnavailable),
    "packed": (OK + b"Content-Encoding: gzip\r\n" + LENGTH + SALES, DatabrainUnexpected),
    "packed by nobody knows what": (OK + b"Content-Encoding: \xff\r\n" + LENGTH + SALES, DatabrainUnexpected),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", DatabrainUnavailable),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", DatabrainUnavailable),
    "status 999": (b"HTTP/1.1 999 Odd\r\n" + LENGTH + SALES, DatabrainUnavailable),
    "no status": (b"HTTP/1.1 000 Odd\r\n\r\n", DatabrainUnavailable),
    "nothing": (b"", DatabrainUnavailable),
}


class TestOnTheWire:
    """What no HTTP server says, and something in between may."""

    @pytest.mark.parametrize("case", UNDERSTOOD)
    def test_an_odd_answer(
        self, client_by: Callable[..., DatabrainClient], caplog: pytest.LogCaptureFixture, case: str
    ) -> None:
        """An answer is read in whatever way it comes; no cookie goes back, and no library logs what is around it."""
        caplog.set_level(logging.DEBUG)
        with speaking(UNDERSTOOD[case]) as (http, requests):
            assert [list(client_by(http).list_datamarts().created_at) for _ in range(2)] == [["sales"]] * 2
        assert len(requests) == 2
        assert not [request for request in requests if b"cookie" in request.lower()]
        assert SERVICE_TOKEN not in caplog.text

    @pytest.mark.parametrize("case", GARBLED)
    def test_a_garbled_answer(
        self, client_by: Callable[..., DatabrainClient], caplog: pytest.LogCaptureFixture, case: str
    ) -> None:
        """What cannot be read is an error, which repeats nothing of it; only what may pass is tried again."""
        caplog.set_level(logging.DEBUG)
        raw, expected = GARBLED[case]
        with speaking(raw) as (http, requests), pytest.raises(expected) as caught:
            client_by(http).list_datamarts()
        # not the connections: one that the server has closed may be used once more
        tries = b"".join(requests).count(b" HTTP/1.1\r\n")
        assert tries == (MAX_TRIES if expected is DatabrainUnavailable else 1)
        assert_no_secret_in(caught.value)
        assert SERVICE_TOKEN not in caplog.text

    @pytest.mark.parametrize("line", [b"X-%b: y\r\n" % (b"x" * 1000), b"x" * 1000], ids=["lines", "one line"])
    def test_headers_without_end(self, client_by: Callable[..., DatabrainClient], line: bytes) -> None:
        """Headers are read up to a limit and no further."""
        with speaking(OK, for_ever=line) as (http, requests), pytest.raises(DatabrainUnavailable):
            client_by(http).list_datamarts()
        assert len(requests) == MAX_TRIES

    @pytest.mark.parametrize("case", GARBLED)
    def test_a_garbled_answer_to_a_delete(self, client_by: Callable[..., DatabrainClient], case: str) -> None:
        """A delete whose answer cannot be read may have happened, and is sent once."""
        with speaking(GARBLED[case][0]) as (http, requests):
            answer = client_by(http).delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.UNKNOWN
        assert answer.error is not None
        assert_no_secret_in(answer.error)
        assert len(requests) == 1


class TestReads:
    """One retry table for all reads."""

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 529])
    @pytest.mark.parametrize("route", READS)
    def test_a_passing_status_is_tried_four_times(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, route: RouteId, status: int
    ) -> None:
        """429 and any 5xx can pass: four requests, then `DatabrainUnavailable`."""
        fail(databrain, route, "status", status=status)
        error = error_of(client, route)
        assert isinstance(error, DatabrainUnavailable)
        assert f"HTTP {status} INJECTED_FAULT" in str(error)
        assert len(requests_to(databrain, api, route)) == MAX_TRIES

    @pytest.mark.parametrize("fault", ["lost_answer", "refused"])
    @pytest.mark.parametrize("route", READS)
    def test_a_cut_connection_is_tried_four_times(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, route: RouteId, fault: str
    ) -> None:
        """No answer can pass: four requests, then `DatabrainUnavailable`."""
        fail(databrain, route, fault)
        error = error_of(client, route)
        assert isinstance(error, DatabrainUnavailable)
        assert "no answer" in str(error)
        assert len(requests_to(databrain, api, route)) == MAX_TRIES

    @pytest.mark.parametrize("route", READS)
    def test_an_answer_that_does_not_come(
        self,
        databrain: Databrain,
        client_by: Callable[..., DatabrainClient],
        impatient_http: httpx.Client,
        api: DatabrainApi,
        route: RouteId,
    ) -> None:
        """A late answer can be in time next time: four requests, each given up, then `DatabrainUnavailable`."""
        fail(databrain, route, "slow", seconds=60)
        error = error_of(client_by(impatient_http), route)
        assert isinstance(error, DatabrainUnavailable)
        assert "ReadTimeout" in str(error)
        assert len(requests_to(databrain, api, route)) == MAX_TRIES

    def test_an_answer_that_does_not_end_in_time(
        self, databrain: Databrain, client_by: Callable[..., DatabrainClient], http: httpx.Client, api: DatabrainApi
    ) -> None:
        """An answer that keeps coming is given up after `ANSWER_LIMIT`, however steadily it comes."""

        class Running(LogicalClock):
            """A second passes whenever somebody looks."""

            def remaining(self) -> float:
                self.advance(1)
                return super().remaining()

        fail(databrain, RouteId.LIST_DATAMARTS, "endless")
        with pytest.raises(DatabrainUnavailable, match="not complete after 15 s"):
            client_by(http, Running(seconds=600)).list_datamarts()
        assert len(requests_to(databrain, api, RouteId.LIST_DATAMARTS)) == MAX_TRIES

    def test_nobody_listens(
        self, deaf: httpx.Client, client_by: Callable[..., DatabrainClient], clock: LogicalClock
    ) -> None:
        """A connection that does not come about is tried four times, too."""
        with pytest.raises(DatabrainUnavailable, match="ConnectError"):
            client_by(deaf).list_datamarts()
        assert len(clock.slept) == MAX_TRIES - 1

    @pytest.mark.parametrize("status", [400, 405, 409, 422])
    @pytest.mark.parametrize("route", READS)
    def test_another_status_is_not_tried_again(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, route: RouteId, status: int
    ) -> None:
        """No other status gets better by asking again: one request, then `DatabrainUnexpected`."""
        fail(databrain, route, "status", status=status)
        error = error_of(client, route)
        assert isinstance(error, DatabrainUnexpected)
        assert len(requests_to(databrain, api, route)) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"fault": "broken_json"},
            {"fault": "html"},
            {"fault": "wrong_shape", "body": ECHO},
            {"fault": "wrong_shape", "body": [SERVICE_TOKEN]},
            {"fault": "wrong_shape", "body": {"data": [SERVICE_TOKEN], "error": None}},
            {"fault": "wrong_shape", "body": {"data": SERVICE_TOKEN, "error": None}},
            {"fault": "status", "status": 400, "code": SERVICE_TOKEN, "message": PORTAL_KEY},
        ],
    )
    @pytest.mark.parametrize("route", READS)
    def test_another_shape_is_not_tried_again(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, route: RouteId, fault: JsonObject
    ) -> None:
        """An answer that is not as documented ends in `DatabrainUnexpected`, which repeats nothing of it."""
        fail(databrain, route, **fault)
        error = error_of(client, route)
        assert isinstance(error, DatabrainUnexpected)
        assert len(requests_to(databrain, api, route)) == 1

    @pytest.mark.parametrize(
        "data",
        [
            [{}],
            [{"name": ""}],
            [{"name": 7}],
            [{"name": None}],
            [{"name": "sales"}, {"name": "sales"}],
            {"sales": {}},
        ],
    )
    def test_a_list_of_datamarts_without_its_shape(
        self, databrain: Databrain, client: DatabrainClient, data: object
    ) -> None:
        """A list in which a name is not what it should be, or is there twice, tells nothing."""
        fail(databrain, RouteId.LIST_DATAMARTS, "wrong_shape", body={"data": data, "error": None})
        assert isinstance(error_of(client, RouteId.LIST_DATAMARTS), DatabrainUnexpected)
        assert len(databrain.requests) == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"datamartTables": ...},
            {"datamartTables": None},
            {"datamartTables": [{"datamartTableColumns": []}]},
            {"datamartTables": [{"tableName": "orders"}]},
            {"datamartTables": [{"tableName": "orders", "datamartTableColumns": {}}]},
        ],
    )
    def test_an_entry_without_its_details(
        self, databrain: Databrain, client: DatabrainClient, fields: dict[str, object]
    ) -> None:
        """A collapsed entry where an expanded one was asked for is no snapshot: its backup would restore nothing."""
        entry = {name: value for name, value in {**datamart("sales"), **fields}.items() if value is not ...}
        fail(databrain, RouteId.LIST_DATAMARTS, "wrong_shape", skip=1, body={"data": [entry], "error": None})
        assert isinstance(error_of(client, RouteId.LIST_DATAMARTS), DatabrainUnexpected)

    @pytest.mark.parametrize("layer", [{}, [], "text", {"datamartName": "marketing", "tables": []}])
    def test_a_semantic_layer_of_something_else(
        self, databrain: Databrain, client: DatabrainClient, layer: object
    ) -> None:
        """A semantic layer that does not name the datamart is not taken for its own."""
        fail(databrain, RouteId.GET_SEMANTIC_LAYER, "wrong_shape", body={"data": layer})
        assert isinstance(error_of(client, RouteId.GET_SEMANTIC_LAYER), DatabrainUnexpected)

    def test_a_page_of_more_than_ten(
        self, databrain: Databrain, client: DatabrainClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that ignores pages cannot be walked: its whole list would be read again and again."""
        databrain.organisation = organisation_of(seed(*numbered(95)))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 8 * 1024)
        eleven = {"data": [{"name": name} for name in numbered(11)], "error": None}
        fail(databrain, RouteId.LIST_DATAMARTS, "wrong_shape", skip=1, body=eleven)
        with pytest.raises(DatabrainUnexpected, match="at most 10 entries in a page"):
            client.list_datamarts()

    def test_pages_that_never_agree(
        self, databrain: Databrain, http: httpx.Client, api: DatabrainApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pages shift when a datamart goes: a list that changes with every walk is no list to decide by."""
        databrain.organisation = organisation_of(seed(*numbered(95)))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 8 * 1024)

        class Busy(RecordingTelemetry):
            """Before each walk somebody deletes a datamart."""

            def count(self, metric: Metric) -> None:
                super().count(metric)
                if metric is Metric.DATABRAIN_WALKS:
                    databrain.organisation.delete_datamart(f"datamart-{self.counts[metric]:02d}")

        token = RotatedSecret(SERVICE_TOKEN).token()
        client = DatabrainClient(http, api=api, token=token, clock=LogicalClock(), telemetry=Busy())
        with pytest.raises(DatabrainUnexpected, match="changed while its pages were read"):
            client.list_datamarts()

    def test_pages_without_end(
        self, databrain: Databrain, client: DatabrainClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server whose pages are always full is not walked for ever."""
        databrain.organisation = organisation_of(seed(*numbered(95)))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 8 * 1024)
        monkeypatch.setattr("retirement.databrain.client.MAX_PAGES", 8)
        full = {"data": [{"name": name} for name in numbered(10)], "error": None}
        fail(databrain, RouteId.LIST_DATAMARTS, "wrong_shape", skip=1, body=full)
        with pytest.raises(DatabrainUnexpected, match="more than 8 pages"):
            client.list_datamarts()
        assert len(databrain.requests) == 1 + 8

    @pytest.mark.parametrize("route", READS)
    def test_an_endless_answer(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        api: DatabrainApi,
        route: RouteId,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An answer is read up to its limit and not further; a list is then tried by pages, at most eight, in vain."""
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 256 * 1024)
        fail(databrain, route, "endless")
        assert isinstance(error_of(client, route), BodyTooLarge)
        sent = len(requests_to(databrain, api, route))
        assert sent == 1 if route is RouteId.GET_SEMANTIC_LAYER else 1 < sent <= 1 + 8

    @pytest.mark.parametrize("route", READS)
    def test_a_redirect_is_not_followed(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        elsewhere: Databrain,
        api: DatabrainApi,
        route: RouteId,
    ) -> None:
        """A redirect would carry the token away: it is an error, and its target gets no request."""
        fail(databrain, route, "redirect", location=f"{elsewhere.url}/api/v2/data-app/datamarts")
        error = error_of(client, route)
        assert isinstance(error, DatabrainUnexpected)
        assert "redirects are not followed" in str(error)
        assert len(requests_to(databrain, api, route)) == 1
        assert elsewhere.requests == []

    def test_trouble_that_passes(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        telemetry: RecordingTelemetry,
        clock: LogicalClock,
    ) -> None:
        """The answer counts that comes in the end, and so do requests and retries."""
        databrain.faults.replace(
            [
                {"route": "list_datamarts", "fault": "status", "status": 503, "times": 1},
                {"route": "list_datamarts", "fault": "lost_answer", "times": 1},
                {"route": "list_datamarts", "fault": "status", "status": 429, "times": 1},
            ]
        )
        assert list(client.list_datamarts().created_at) == ["sales"]
        assert [request["status"] for request in databrain.requests] == [503, None, 429, 200]
        assert telemetry.counts == {Metric.DATABRAIN_REQUESTS: 4, Metric.DATABRAIN_RETRIES: 3}
        assert len(clock.slept) == 3
        assert max(clock.slept) <= 10


class TestWaiting:
    """How long is waited between two tries."""

    def test_retry_after_in_seconds(self, databrain: Databrain, client: DatabrainClient, clock: LogicalClock) -> None:
        """Databrain's own wait is honoured."""
        fail(databrain, RouteId.LIST_DATAMARTS, "status", status=429, retryAfter=11, times=1)
        client.list_datamarts()
        (slept,) = clock.slept
        assert slept == 11

    def test_retry_after_as_a_date(self, databrain: Databrain, client: DatabrainClient, clock: LogicalClock) -> None:
        """Databrain's own wait is honoured as a date, too."""
        moment = format_datetime(clock.now() + timedelta(seconds=12), usegmt=True)
        fail(databrain, RouteId.LIST_DATAMARTS, "status", status=503, retryAfter=moment, times=1)
        client.list_datamarts()
        (slept,) = clock.slept
        assert slept == 12

    @pytest.mark.parametrize(
        "retry_after",
        [
            "soon",
            "-1",
            "1.5",
            "²",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Mon, 01 Jan 99999999999 00:00:00 GMT",
            "Mon, 01 Jan 2024 00:00:00 +9999999999999999",
        ],
    )
    def test_a_wait_that_makes_no_sense(
        self, databrain: Databrain, client: DatabrainClient, clock: LogicalClock, retry_after: str
    ) -> None:
        """A `Retry-After` that is none, or past, leaves the client's own wait."""
        fail(databrain, RouteId.LIST_DATAMARTS, "status", status=503, retryAfter=retry_after, times=1)
        client.list_datamarts()
        (slept,) = clock.slept
        assert 0 <= slept <= 0.5

    @pytest.mark.parametrize("retry_after", [56, 3600, 10**30])
    def test_a_wait_beyond_the_invocation(
        self, databrain: Databrain, client: DatabrainClient, clock: LogicalClock, retry_after: int
    ) -> None:
        """A wait that the invocation has no time for is not begun, and the error tells how long it would have been."""
        fail(databrain, RouteId.LIST_DATAMARTS, "status", status=429, retryAfter=retry_after)
        with pytest.raises(DatabrainUnavailable) as caught:
            client.list_datamarts()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 56
        assert clock.slept == []
        assert len(databrain.requests) == 1


class TestServiceToken:
    """401 and 403: the token is read anew, once in an attempt, before anything was read."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_rotated_token(
        self, databrain: Databrain, client: DatabrainClient, secret: RotatedSecret, status: int
    ) -> None:
        """A token that was rotated before the attempt costs one more request, and the attempt goes on."""

        def rotate() -> None:
            if secret.reads:
                secret.value = databrain.organisation.service_token = ROTATED_TOKEN

        secret.before_read = rotate
        fail(databrain, RouteId.LIST_DATAMARTS, "status", status=status, times=1)
        assert isinstance(client.find("sales"), Snapshot)
        assert client.list_embeds()[1] == ()
        assert secret.reads == 2
        assert [request["status"] for request in databrain.requests].count(status) == 1

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("route", READS[:4])
    def test_a_token_refused_later(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        client_by: Callable[..., DatabrainClient],
        http: httpx.Client,
        secret: RotatedSecret,
        api: DatabrainApi,
        route: RouteId,
        status: int,
    ) -> None:
        """A token that is refused after something was read with it ends the attempt; the next one has the new token."""
        client.list_datamarts()
        fail(databrain, route, "status", status=status, times=1)
        secret.value = ROTATED_TOKEN
        with pytest.raises(DatabrainUnauthorized, match="the next attempt reads it again"):
            everything_read_by(client)
        assert secret.reads == 1
        assert [request["status"] for request in requests_to(databrain, api, route)].count(status) == 1
        databrain.organisation.service_token = ROTATED_TOKEN
        everything_read_by(client_by(http))

    def test_the_same_token_again(self, databrain: Databrain, client: DatabrainClient, secret: RotatedSecret) -> None:
        """A token that is the same when freshly read is not sent a second time."""
        databrain.organisation.service_token = ROTATED_TOKEN
        error = error_of(client, RouteId.LIST_DATAMARTS)
        assert isinstance(error, DatabrainUnauthorized)
        assert "refuses the token that was just read" in str(error)
        assert (len(databrain.requests), secret.reads) == (1, 2)

    def test_another_wrong_token(self, databrain: Databrain, client: DatabrainClient, secret: RotatedSecret) -> None:
        """A freshly read token that is refused as well is the end of the attempt, after two requests."""
        databrain.organisation.service_token = "made-up-and-in-no-secret"

        def rotate() -> None:
            if secret.reads:
                secret.value = ROTATED_TOKEN

        secret.before_read = rotate
        assert isinstance(error_of(client, RouteId.LIST_DATAMARTS), DatabrainUnauthorized)
        assert (len(databrain.requests), secret.reads) == (2, 2)

    def test_once_in_an_attempt(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        secret: RotatedSecret,
    ) -> None:
        """However often Databrain refuses, an attempt reads the secret a second time and no third."""
        databrain.organisation.service_token = "made-up-and-in-no-secret"
        for _ in range(3):
            error_of(client, RouteId.LIST_DATAMARTS)
            with pytest.raises(DatabrainUnauthorized):
                client.list_embeds()
        assert secret.reads == 2

    def test_eight_refusals_at_once(
        self,
        databrain: Databrain,
        http: httpx.Client,
        api: DatabrainApi,
        secret: RotatedSecret,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Requests side by side that are all refused renew the token once between them."""
        databrain.organisation = organisation_of(seed(*numbered(75)))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 4 * 1024)

        class Rotating(RecordingTelemetry):
            """Rotates the token before the pages are read."""

            def count(self, metric: Metric) -> None:
                super().count(metric)
                if metric is Metric.DATABRAIN_WALKS and self.counts[metric] == 1:
                    secret.value = databrain.organisation.service_token = ROTATED_TOKEN

        client = DatabrainClient(http, api=api, token=secret.token(), clock=LogicalClock(), telemetry=Rotating())
        assert list(client.list_datamarts().created_at) == numbered(75)
        assert secret.reads == 2

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_delete_is_not_sent_again(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        client_by: Callable[..., DatabrainClient],
        http: httpx.Client,
        secret: RotatedSecret,
        api: DatabrainApi,
        status: int,
    ) -> None:
        """A refused delete is no success with another token: the next attempt's is."""
        fail(databrain, RouteId.DELETE_DATAMART, "status", status=status, times=1)
        answer = client.delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.NONE
        assert isinstance(answer.error, DatabrainUnauthorized)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1
        secret.value = databrain.organisation.service_token = ROTATED_TOKEN
        assert client.delete(permit_for("sales")).effect is DeleteEffect.NONE
        assert client_by(http).delete(permit_for("sales")).effect is DeleteEffect.DONE
        assert secret.reads == 2


class TestDataAppKeys:
    """Keys come out of an answer, and are as secret as the service token."""

    @pytest.mark.parametrize("key", ["made-up-key\nwith a break", "made-up-schlüssel", "made-up-key\x00", "made-up-🔑"])
    def test_a_key_that_is_none(self, databrain: Databrain, client: DatabrainClient, key: str) -> None:
        """A key that no header can carry leaves the embeds undetermined, and is told nowhere."""
        app = data_app("Portal", {"embedId": "board", "datamart": "sales"}, keys=(key,))
        databrain.organisation = organisation_of(seed("sales", apps=(app,)))
        listing, failures = client.list_embeds()
        assert [(embed.embed_id, embed.item) for embed in listing.embeds] == [("board", None)]
        for failure in failures:
            chain: BaseException | None = failure
            while chain is not None:
                assert "made-up" not in f"{chain} {chain!r}"
                chain = chain.__context__


class TestDelete:
    """One request, never two, and no more said about its effect than its answer tells."""

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 429])
    def test_a_refusal_had_no_effect(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, status: int
    ) -> None:
        """A 4xx is definite: nothing was deleted."""
        fail(databrain, RouteId.DELETE_DATAMART, "status", status=status)
        answer = client.delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.NONE
        assert answer.error is not None
        assert_no_secret_in(answer.error)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1

    @pytest.mark.parametrize(
        ("fault", "error", "is_gone"),
        [
            ({"fault": "status", "status": 408}, DatabrainUnexpected, False),
            (
                {"fault": "status", "status": 500, "retryAfter": "1 Jan 99999999999 00:00 GMT"},
                DatabrainUnavailable,
                False,
            ),
            ({"fault": "status", "status": 500}, DatabrainUnavailable, False),
            ({"fault": "status", "status": 502}, DatabrainUnavailable, False),
            ({"fault": "status", "status": 503}, DatabrainUnavailable, False),
            ({"fault": "status", "status": 504}, DatabrainUnavailable, False),
            ({"fault": "status", "status": 599}, DatabrainUnavailable, False),
            ({"fault": "lost_answer"}, DatabrainUnavailable, True),
            ({"fault": "refused"}, DatabrainUnavailable, False),
            ({"fault": "broken_json"}, DatabrainUnexpected, True),
            ({"fault": "html"}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": ECHO}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": ["sales"]}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"error": None}}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"id": None, "error": None}}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"id": "Sales", "error": None}}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"id": SERVICE_TOKEN, "error": None}}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"id": "sales", "error": {}}}, DatabrainUnexpected, False),
            ({"fault": "wrong_shape", "body": {"id": "sales", "error": "no"}}, DatabrainUnexpected, False),
        ],
    )
    def test_anything_else_tells_nothing(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        api: DatabrainApi,
        fault: JsonObject,
        error: type[DatabrainError],
        *,
        is_gone: bool,
    ) -> None:
        """Whatever is neither a yes nor a refusal leaves the effect unknown, whether or not there was one."""
        fail(databrain, RouteId.DELETE_DATAMART, **fault)
        answer = client.delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.UNKNOWN
        assert isinstance(answer.error, error)
        assert_no_secret_in(answer.error)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1
        assert ("sales" not in databrain.organisation.datamarts) is is_gone

    @pytest.mark.parametrize("error", [None, ...])
    def test_a_yes_names_the_datamart(self, databrain: Databrain, client: DatabrainClient, error: object) -> None:
        """Success is 200 with the name as `id` and an `error` that is null or absent."""
        body = {"id": "sales"} if error is ... else {"id": "sales", "error": error}
        fail(databrain, RouteId.DELETE_DATAMART, "wrong_shape", body=body)
        answer = client.delete(permit_for("sales"))
        assert (answer.effect, answer.error) == (DeleteEffect.DONE, None)

    def test_a_yes_that_is_not_true(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """A yes is believed as far as it goes: the next list shows whether it was true."""
        fail(databrain, RouteId.DELETE_DATAMART, "phantom")
        assert client.delete(permit_for("sales")).effect is DeleteEffect.DONE
        assert "sales" in client.list_datamarts()
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1

    def test_an_answer_that_does_not_come(
        self,
        databrain: Databrain,
        client_by: Callable[..., DatabrainClient],
        impatient_http: httpx.Client,
        api: DatabrainApi,
    ) -> None:
        """A delete whose answer is late has happened all the same, and is not sent again."""
        fail(databrain, RouteId.DELETE_DATAMART, "slow", seconds=60)
        answer = client_by(impatient_http).delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.UNKNOWN
        assert isinstance(answer.error, DatabrainUnavailable)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1
        assert "sales" not in databrain.organisation.datamarts

    def test_an_endless_answer(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        api: DatabrainApi,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An endless answer to a delete is cut, and tells nothing."""
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 256 * 1024)
        fail(databrain, RouteId.DELETE_DATAMART, "endless")
        answer = client.delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.UNKNOWN
        assert isinstance(answer.error, BodyTooLarge)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1

    def test_a_redirect_is_not_followed(
        self, databrain: Databrain, client: DatabrainClient, elsewhere: Databrain, api: DatabrainApi
    ) -> None:
        """A delete that is sent elsewhere is deleted nowhere."""
        fail(databrain, RouteId.DELETE_DATAMART, "redirect", location=f"{elsewhere.url}/api/v2/data-app/datamart")
        answer = client.delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.UNKNOWN
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1
        assert elsewhere.requests == []
        assert "sales" in elsewhere.organisation.datamarts

    def test_nobody_listens(self, deaf: httpx.Client, client_by: Callable[..., DatabrainClient]) -> None:
        """A delete that reached nobody had no effect."""
        answer = client_by(deaf).delete(permit_for("sales"))
        assert answer.effect is DeleteEffect.NONE
        assert isinstance(answer.error, DatabrainUnavailable)

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_wait_that_databrain_asks_for(
        self, databrain: Databrain, client: DatabrainClient, clock: LogicalClock, status: int
    ) -> None:
        """The wait that Databrain asks for is handed on, and nobody waits in the client."""
        fail(databrain, RouteId.DELETE_DATAMART, "status", status=status, retryAfter=7)
        error = client.delete(permit_for("sales")).error
        assert isinstance(error, DatabrainUnavailable)
        assert error.retry_after == 7
        assert clock.slept == []


def test_a_missing_route(databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
    """A 404 to the list of datamarts is a wrong address or form of the API, and the error says so."""
    fail(databrain, RouteId.LIST_DATAMARTS, "status", status=404)
    error = error_of(client, RouteId.LIST_DATAMARTS)
    assert isinstance(error, DatabrainUnexpected)
    assert "check DatabrainBaseUrl and DatabrainApi" in str(error)
    assert len(requests_to(databrain, api, RouteId.LIST_DATAMARTS)) == 1


def test_no_secret_is_shown(client: DatabrainClient) -> None:
    """Neither the client and what it holds nor what it finds shows the token or a key."""
    listing, _ = embeds = client.list_embeds()
    found = client.find("sales"), embeds, client.export_embeds(listing.embeds, leave=5.0)
    shown = repr(found) + repr(vars(client))
    assert "board" in shown
    assert not [secret for secret in SECRETS if secret in shown]
