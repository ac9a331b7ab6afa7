"""How a request to Databrain is sent, and what its answer may be, for one attempt.

Every request has explicit time-outs, reads have one retry table, what changes something has none. Redirects are never
followed, cookies never kept, answers bounded, and their shape checked. What a server says in words is never repeated:
it may echo a token. Sections are those of docs/databrain-api.md.
"""

import logging
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import BoundedSemaphore, Lock
from typing import Protocol

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from retirement.canonical import Document, Json, canonical_json, count_values, parse_json, sha256_hex
from retirement.clock import Clock
from retirement.databrain.ports import Counter, Metric
from retirement.databrain.tokens import MIN_SECRET_LENGTH, ReadSecrets
from retirement.errors import (
    BodyTooLarge,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
)
from retirement.wording import shortened

# Seconds. `read` is between two chunks; a whole body may take ANSWER_LIMIT. What trickles in before it, 1xx answers
# too, is bounded by the invocation alone, and headers by httpcore's 100 KiB.
TIMEOUT = httpx.Timeout(connect=3.0, read=10.0, write=5.0, pool=5.0)
ANSWER_LIMIT = 15.0
# Bytes. An unpaginated, expanded list of some thousand datamarts is larger; the pages are walked then, side by side.
BODY_LIMIT = 32 * 1024 * 1024
PAGE_LIMIT = 8 * 1024 * 1024  # of everything else: ten datamarts of some thousand columns each, or a semantic layer
# Of all data apps, keys and embeds together, which stay in memory until the decision and take some times as much there.
EMBEDS_LIMIT = 64 * 1024 * 1024
# Of one answer, and of all that EMBEDS_LIMIT is about. A value of three bytes takes 72 in memory, a pair up to 300: at
# most some 210 MiB. 100,000 collapsed datamarts are less than half as many.
MAX_VALUES = 1_500_000
PAGES_SHARE = 4  # a page, or a semantic layer, may have a quarter of them: pages are read side by side
MAX_CONCURRENCY = 8  # what one client may ask of a server that documents no rate limit

# The retry table of reads: no answer, 429 and 5xx; how often, how long.
MAX_TRIES = 4
FIRST_WAIT = 0.5
MAX_WAIT = 10.0
# Seconds of the invocation that waiting never uses up: what is left after them is too little to go on.
MIN_TIME_AFTER_WAIT = 5.0
# And with less than this no read is begun: it is for saying so.
MIN_TIME_TO_READ = 2.0

_REFUSED_TOKEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")
_ESCAPE = re.compile(rb'\\(?:u00(?P<hex>[0-7][0-9A-Fa-f])|(?P<plain>["\\/]))')  # of ASCII, as JSON may spell it


class TokenSource(Protocol):
    """Where the service token comes from."""

    def value(self) -> str:
        """The token."""

    def drop(self, refused: str) -> None:
        """Databrain refused this one: read it anew next time."""


@dataclass(frozen=True, slots=True)
class Route:
    """`is_retained` is what stays in memory until the decision; the entries of one that `holds_keys` have secrets."""

    method: str
    path: str
    is_retained: bool = False
    holds_keys: bool = False

    @property
    def takes_body(self) -> bool:
        """Whether fields go into the body, not into the query."""
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytearray = field(repr=False)  # one list is made of keys
    retry_after: float | None
    echoes_token: bool

    def code(self) -> str:
        """The error's code where there is one that looks like a code; anything else could echo a token."""
        if self.echoes_token:
            return ""
        try:
            parsed = parse_json(self.body)
        except ValueError:
            return ""
        error = parsed.get("error") if isinstance(parsed, Mapping) else None
        code = error.get("code") if isinstance(error, Mapping) else None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


class _PrivateTransport(httpx.BaseTransport):
    """Connections to a server that an authority of the owner's vouches for, which is read before the first of them."""

    def __init__(self, authority: Callable[[], ssl.SSLContext]) -> None:
        self._authority = authority
        self._transport: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        if self._transport is None:
            self._transport = httpx.HTTPTransport(verify=self._authority())
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()


def http_client(base_url: str, authority: Callable[[], ssl.SSLContext] | None = None) -> httpx.Client:
    """The connections to one server: they outlive an attempt, follow no redirect and keep no cookie.

    Args:
        base_url: the server's.
        authority: reads whom to trust; None for the public authorities. What it raises, the first request does.
    """
    # At INFO, Lambda's default, they log the reason phrase of an answer, at DEBUG its headers: a server's words.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return httpx.Client(
        base_url=base_url,
        transport=None if authority is None else _PrivateTransport(authority),
        timeout=TIMEOUT,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": "datamart-retirement", "Accept": "application/json"},
    )


class Transport:
    """The requests of one attempt, with its one token.

    Another token may belong to another organisation: before anything was read a refused one is read anew, once; from
    then on a refusal ends the attempt, and nothing that changes anything goes out with another one.
    """

    def __init__(self, http: httpx.Client, *, token: TokenSource, clock: Clock, telemetry: Counter) -> None:
        self._http = http
        self._token = _AttemptToken(token)
        self._clock = clock
        self._telemetry = telemetry
        self._secrets = ReadSecrets()
        self._concurrency = BoundedSemaphore(MAX_CONCURRENCY)
        self._retained_lock = Lock()
        self._retained_bytes = 0
        self._retained_values = 0

    def fingerprint(self, identity: str) -> str:
        """16 hex digits that stand for the server, the attempt's token, and what it is asked for.

        Raises:
            RetirementError: there is no token.
        """
        return sha256_hex(canonical_json([str(self._http.base_url), self._token.value(), identity]))[:16]

    def place_of_secret(self, document: Json) -> str | None:
        """Where a document, for example one that is about to be stored, holds a secret that this attempt has read.

        That is the service token, or any key of any data app, however the answer spelt it.

        Returns:
            The path of the first text that holds one, such as `datamartTables[0].label`; None where there is none.
        """
        place = self._secrets.place_in(document)
        return None if place is None else shortened(place)

    def change(self, route: Route, fields: Mapping[str, Json], *, key: str | None = None) -> Document:
        """Send a request that changes something, never a second one, and return its answer of 200.

        A connection that never came about, and a 4xx but 408, had no effect; of anything else nothing is known.

        Raises:
            NoEffect: it changed nothing.
            InDoubt: it may have changed something.
            RetirementError: there is no token to send it with.
        """
        token = key or self._token.value()
        if key is None:
            self._token.settle(token)
        try:
            answer = self._exchange(route, fields, token, unpaginated=False)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NoEffect(_unavailable(route, error)) from None
        except httpx.TransportError as error:
            raise InDoubt(_unavailable(route, error)) from None
        except DatabrainError as error:
            raise InDoubt(error) from None
        if answer.status == HTTPStatus.OK:
            try:
                return _document(route, answer.body, None)
            except DatabrainError as error:
                raise InDoubt(error) from None
        failure = self._failure(route, answer, key)
        if key is None and answer.status in _REFUSED_TOKEN:
            self._token.drop()
        refused = 400 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT  # noqa: PLR2004
        raise NoEffect(failure) if refused else InDoubt(failure)

    def read(
        self,
        route: Route,
        fields: Mapping[str, Json],
        *,
        unpaginated: bool = False,
        key: str | None = None,
        keep: frozenset[str] | None = None,
    ) -> Document:
        """Read one answer, again where that can help, within the time that the invocation has left.

        Args:
            route: what to read.
            fields: the query, or the body.
            unpaginated: whether it is all of a list, which may be larger than a page.
            key: a data app's key, instead of the service token.
            keep: the keys of the answer's objects to keep.
        """
        if self._clock.remaining() < MIN_TIME_TO_READ:
            raise DatabrainUnavailable(f"{route.method} {route.path}: no time is left for it; Databrain answers slowly")
        jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=MAX_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome and state.outcome.exception()
            asked = error.retry_after if isinstance(error, DatabrainUnavailable) else None
            return max(asked or 0.0, jitter(state))

        def is_over(state: RetryCallState) -> bool:
            left = self._clock.remaining() - state.upcoming_sleep
            return state.attempt_number >= MAX_TRIES or left < MIN_TIME_AFTER_WAIT

        retrying = Retrying(
            retry=retry_if_exception_type(DatabrainUnavailable),
            wait=wait,
            stop=is_over,
            sleep=self._clock.sleep,
            before_sleep=lambda _: self._telemetry.count(Metric.DATABRAIN_RETRIES),
            reraise=True,
        )
        return retrying(self._read_once, route, fields, unpaginated=unpaginated, key=key, keep=keep)

    def _read_once(
        self,
        route: Route,
        fields: Mapping[str, Json],
        *,
        unpaginated: bool,
        key: str | None,
        keep: frozenset[str] | None,
    ) -> Document:
        token = key or self._token.value()
        answer = self._answer_to(route, fields, token, unpaginated=unpaginated)
        if key is None and answer.status in _REFUSED_TOKEN and self._token.renew(token):
            token = self._token.value()
            answer = self._answer_to(route, fields, token, unpaginated=unpaginated)
        if answer.status != HTTPStatus.OK:
            raise self._failure(route, answer, key)
        if key is None:
            self._token.settle(token)
        if answer.echoes_token and not route.holds_keys:
            raise DatabrainUnexpected(
                f"{route.method} {route.path}: the answer holds the very token that it was asked with, and would be "
                "kept: take the token out of what Databrain stores, and replace it by a new one"
            )
        document = _document(route, answer.body, keep)
        if route.holds_keys:
            for entry in entries(route, document):
                self._secrets.add(optional_text(entry, "key") or "")
        return document

    def _answer_to(self, route: Route, fields: Mapping[str, Json], token: str, *, unpaginated: bool) -> _Answer:
        try:
            return self._exchange(route, fields, token, unpaginated=unpaginated)
        except httpx.TransportError as error:
            failure = _unavailable(route, error)
        raise failure  # without a cause: it repeats what it could not read

    def _failure(self, route: Route, answer: "_Answer", key: str | None = None) -> DatabrainError:
        """The error for a status other than 200 (section 1: its meaning differs between endpoints)."""
        code = answer.code()
        summary = f"{route.method} {route.path}: HTTP {answer.status}{' ' if code else ''}{code}"
        if key is not None and (answer.status in _REFUSED_TOKEN or code == "INVALID_DATA_APP_API_KEY"):
            return KeyRefused(f"{summary}; the data app's key is refused")
        if answer.status in _REFUSED_TOKEN:
            if self._token.is_settled:
                return _TokenReplaced(
                    f"{summary}; the token, good until now, is refused: the next attempt reads it anew"
                )
            return DatabrainUnauthorized(
                f"{summary}; the token is refused, also freshly read: put a valid service token into the secret"
            )
        return _failure(answer, summary)

    def _exchange(self, route: Route, fields: Mapping[str, Json], token: str, *, unpaginated: bool) -> _Answer:
        """One request and its bounded answer.

        Raises:
            httpx.TransportError: no answer, or not all of it.
            BodyTooLarge: the answer passes `MAX_VALUES`, or `BODY_LIMIT`, or `PAGE_LIMIT` where it is no whole list.
            DatabrainUnavailable: the answer takes longer than `ANSWER_LIMIT`.
            DatabrainUnexpected: the answer is compressed, which was not asked for and could be a bomb.
        """
        self._telemetry.count(Metric.DATABRAIN_REQUESTS)
        self._secrets.add(token)
        began = self._clock.remaining()
        sent = {"json": fields} if route.takes_body else {"params": fields}
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        limit = BODY_LIMIT if unpaginated else PAGE_LIMIT
        max_values = MAX_VALUES if unpaginated else MAX_VALUES // PAGES_SHARE
        body = bytearray()
        with self._concurrency, self._http.stream(route.method, route.path, headers=headers, **sent) as response:  # type: ignore[arg-type]  # one of two documented arguments
            if _is_compressed(response.headers.get("Content-Encoding", "")):
                raise DatabrainUnexpected(f"{route.method} {route.path}: expected an answer that is not compressed")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(f"{route.method} {route.path}: the answer is larger than {limit} bytes")
                if route.is_retained and self._retain_bytes(len(chunk)) > EMBEDS_LIMIT:
                    raise BodyTooLarge(f"{route.method} {route.path}: all embeds are larger than {EMBEDS_LIMIT} bytes")
                if began - self._clock.remaining() > ANSWER_LIMIT:
                    raise DatabrainUnavailable(f"{route.method} {route.path}: no whole answer in {ANSWER_LIMIT:.0f} s")
            values = count_values(body, max_values)
            if values > max_values or (route.is_retained and self._retain_values(values) > MAX_VALUES):
                raise BodyTooLarge(f"{route.method} {route.path}: the answer has more than {max_values} values")
            retry_after = _retry_after(response.headers.get("Retry-After"), self._clock.now())
            return _Answer(response.status_code, body, retry_after, echoes_token=_echoes(token, body))

    def _retain_bytes(self, size: int) -> int:
        with self._retained_lock:
            self._retained_bytes += size
            return self._retained_bytes

    def _retain_values(self, count: int) -> int:
        with self._retained_lock:
            self._retained_values += count
            return self._retained_values


class _AttemptToken:
    """The one token of an attempt; it is in no `repr`."""

    __slots__ = ("_lock", "_renewed", "_source", "_token", "is_settled")

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._lock = Lock()
        self._token: str | None = None
        self._renewed = False
        self.is_settled = False

    def value(self) -> str:
        with self._lock:
            if self._token is None:
                self._token = self._source.value()
            return self._token

    def settle(self, token: str) -> None:
        """Something was read with it, or is deleted with it: from now on it is the attempt's.

        Raises:
            DatabrainUnauthorized: requests beside that one were refused, and the attempt has another token by now.
        """
        with self._lock:
            if token != self._token:
                raise _TokenReplaced("Databrain took two tokens in one attempt: the next attempt reads all anew")
            self.is_settled = True

    def renew(self, refused: str) -> bool:
        """Drop a refused token, for this attempt or for the next one; whether this one has another to try."""
        with self._lock:
            if refused == self._token and self.is_settled:
                self._source.drop(refused)
            elif refused == self._token and not self._renewed:
                self._renewed = True
                self._source.drop(refused)
                self._token = self._source.value()
            return refused != self._token

    def drop(self) -> None:
        """Let the next attempt read it anew."""
        self._source.drop(self.value())


class NoEffect(Exception):
    """A request that changes something changed nothing, for this reason."""

    def __init__(self, failure: DatabrainError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class InDoubt(Exception):
    """A request may have changed something; `failure` says what came instead of a clear answer."""

    def __init__(self, failure: DatabrainError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class NotFound(DatabrainUnexpected):
    """404: of a semantic layer, that there is none; of a route, that an old server does not have it."""


class _TokenReplaced(DatabrainUnauthorized):
    """The token that the attempt has read with is refused, or no longer the one that its other requests have."""

    retryable = True


class KeyRefused(DatabrainUnauthorized):
    """A data app's key is not, or no longer, good."""


# ---- Answers -------------------------------------------------------------------------------------------------------


def _echoes(token: str, body: bytearray) -> bool:
    """Whether an answer holds the token, spelt in any of the ways of JSON in UTF-8."""
    wanted = token.encode()
    if len(token) < MIN_SECRET_LENGTH:
        return False
    if wanted in body:
        return True
    return b"\\" in body and wanted in _ESCAPE.sub(_unescaped, body)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return found["plain"] or bytes.fromhex(found["hex"].decode())


def _failure(answer: _Answer, summary: str) -> DatabrainError:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return DatabrainUnavailable(summary, answer.retry_after)
    if answer.status == HTTPStatus.NOT_FOUND:
        return NotFound(f"{summary}; check DatabrainBaseUrl and DatabrainApi")
    if 300 <= answer.status < 400:  # noqa: PLR2004  # a redirect
        return DatabrainUnexpected(f"{summary}; redirects are not followed: check DatabrainBaseUrl")
    return DatabrainUnexpected(f"{summary}; expected 200")


def _unavailable(route: Route, error: httpx.TransportError) -> DatabrainUnavailable:
    return DatabrainUnavailable(f"{route.method} {route.path}: no answer ({type(error).__name__})")


def _document(route: Route, body: bytearray, keep: frozenset[str] | None) -> Document:
    document = None
    with suppress(ValueError):  # which may repeat the body
        document = parse_json(body, keep=keep, exact=True)
    if not isinstance(document, Mapping):
        raise DatabrainUnexpected(f"{route.method} {route.path}: expected a JSON object in these {len(body)} bytes")
    if document.get("error") is not None:
        raise unexpected(route, "error: null or absent", document["error"])
    return document


def entries(route: Route, document: Document) -> Sequence[Document]:
    """The objects of a list's answer; raises as `objects`."""
    return objects(route, document.get("data"), "data")


def objects(route: Route, value: Json, field: str) -> Sequence[Document]:
    """A list of objects.

    Raises:
        DatabrainUnexpected: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise unexpected(route, f"{field}: a list of objects", value)
    return value


def text(route: Route, document: Document, field: str) -> str:
    """A field that is a text, and not empty.

    Raises:
        DatabrainUnexpected: it is none.
    """
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise unexpected(route, f"{field}: a text", value)
    return value


def optional_text(document: Document, field: str) -> str | None:
    """A field where it is a text, else None."""
    value = document.get(field)
    return value if isinstance(value, str) else None


def unexpected(route: Route, expected: str, received: Json) -> DatabrainUnexpected:
    """Say what came by its type alone: its content could be a token."""
    return DatabrainUnexpected(f"{route.method} {route.path}: expected {expected}; got {type(received).__name__}")


def _is_compressed(codings: str) -> bool:
    """Names in any case, of which none, empty ones and `identity` say that it is not (RFC 9110, 5.6.1 and 8.4)."""
    return any(coding.strip().lower() not in {"", "identity"} for coding in codings.split(","))


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds, from either form (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
