"""The HTTP transport of one attempt: how requests to Databrain are sent, and which answers are accepted.

Every request has explicit time-outs. Reads are retried; requests that change something are not. Redirects are not
followed, cookies are not stored, and the size and shape of answers are checked. No error repeats a text of the server,
because it may echo a token. Sections are those of docs/databrain-api.md.
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

# Seconds. `read` is the time between two chunks; a complete body may take ANSWER_LIMIT. Only the invocation bounds the
# time of what arrives slowly before the body, such as 1xx answers; httpcore bounds headers to 100 KiB.
TIMEOUT = httpx.Timeout(connect=3.0, read=10.0, write=5.0, pool=5.0)
ANSWER_LIMIT = 15.0
# Bytes of an unpaginated list. An expanded list of some thousand datamarts is larger, and is read by pages.
BODY_LIMIT = 32 * 1024 * 1024
# Bytes of any other answer: a page of ten datamarts with some thousand columns each, or a semantic layer.
PAGE_LIMIT = 8 * 1024 * 1024
# Bytes of all data apps, keys and embeds together. They stay in memory until the decision, where they are several times
# larger.
EMBEDS_LIMIT = 64 * 1024 * 1024
EXPORTS_LIMIT = 16 * 1024 * 1024  # bytes of all that is read for a backup alone; it is written, read back and parsed
# JSON values in one answer, and in all answers that EMBEDS_LIMIT bounds. A value of three bytes takes 72 bytes of
# memory, a key with its value up to 300: about 210 MiB at most. 100,000 collapsed datamarts have less than half of it.
MAX_VALUES = 1_500_000
# A page, a semantic layer or all exports may have a quarter of MAX_VALUES, because pages are read concurrently.
PAGES_SHARE = 4
MAX_CONCURRENCY = 8  # requests at once to a server that documents no rate limit

# Reads are retried after no answer, 429 and 5xx: the number of tries, and the waits in seconds.
MAX_TRIES = 4
FIRST_WAIT = 0.5
MAX_WAIT = 10.0
# Seconds that have to be left in the invocation after a wait; with less, the retry could not complete.
MIN_TIME_AFTER_WAIT = 5.0
# Seconds that have to be left to begin a read; with less, there is only time to report that.
MIN_TIME_TO_READ = 2.0

_REFUSED_TOKEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# Those that another try does not change.
_REFUSALS = frozenset(range(400, 500)) - {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")
_ESCAPE = re.compile(rb'\\(?:u00(?P<hex>[0-7][0-9A-Fa-f])|(?P<plain>["\\/]))')  # JSON's escapes of ASCII characters


class TokenSource(Protocol):
    """Provides the service token."""

    def value(self) -> str:
        """Return the token.

        Raises:
            RetirementError: the token cannot be read.
        """

    def drop(self, refused: str) -> None:
        """Read the token again next time, because Databrain refused this one."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path of the API.

    Answers of a route that `is_retained` stay in memory until the decision; those of one that `holds_keys` have keys.
    An old server may refuse what is read `for_backup` alone, whatever the token; a backup is searched for secrets
    before it is stored.
    """

    method: str
    path: str
    is_retained: bool = False
    holds_keys: bool = False
    for_backup: bool = False

    @property
    def takes_body(self) -> bool:
        """Whether fields are sent in the body instead of the query."""
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytearray = field(repr=False)  # it may contain keys
    retry_after: float | None
    echoes_token: bool

    def code(self) -> str:
        """Return the error's code if it looks like a code, else an empty text, since it could echo a token."""
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
    """Connections to a server with a private certificate authority, which is read before the first connection."""

    def __init__(self, authority: Callable[[], ssl.SSLContext]) -> None:
        self._authority = authority
        self._transport: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if self._transport is None:
            self._transport = httpx.HTTPTransport(verify=self._authority())
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()


def http_client(base_url: str, authority: Callable[[], ssl.SSLContext] | None = None) -> httpx.Client:
    """Return a client for one server, for many attempts. It follows no redirect and stores no cookie.

    Args:
        base_url: the URL of the server.
        authority: reads the authority to trust; None for the public ones. The first request raises what it raises.
    """
    # At INFO, Lambda's default, these libraries log an answer's reason phrase, and at DEBUG its headers: texts of the
    # server.
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
    """Sends the requests of one attempt with one token.

    Another token may belong to another organisation. So a refused token is read again once, before anything was read
    with it; from then on a refusal ends the attempt, and no request is sent with another token.
    """

    def __init__(self, http: httpx.Client, *, token: TokenSource, clock: Clock, telemetry: Counter) -> None:
        self._http = http
        self._token = _AttemptToken(token)
        self._clock = clock
        self._telemetry = telemetry
        self._secrets = ReadSecrets()
        self._concurrency = BoundedSemaphore(MAX_CONCURRENCY)
        self._embeds = _Share("all embeds", EMBEDS_LIMIT, MAX_VALUES)
        self._exports = _Share("all exports", EXPORTS_LIMIT, MAX_VALUES // PAGES_SHARE)

    def fingerprint(self, identity: str) -> str:
        """Return 16 hex digits of a hash of the server's URL, the attempt's token and this identity.

        Raises:
            RetirementError: the token cannot be read.
        """
        return sha256_hex(canonical_json([str(self._http.base_url), self._token.value(), identity]))[:16]

    def place_of_secret(self, document: Json) -> str | None:
        """Return the path of the first text that contains a secret which this attempt has read, or None.

        Secrets are the service token and every key of a data app. A path is such as `datamartTables[0].label`.
        """
        place = self._secrets.place_in(document)
        return None if place is None else shortened(place)

    def change(self, route: Route, fields: Mapping[str, Json], *, key: str | None = None) -> Document:
        """Send a request that changes something, once, and return the document of its 200 answer.

        A failed connection and a 4xx other than 408 mean that it had no effect. After any other failure the effect is
        unknown.

        Raises:
            NoEffect: the request changed nothing.
            InDoubt: the request may have changed something.
            RetirementError: the token cannot be read.
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
        leave: float = 0.0,
    ) -> Document:
        """Read a document, with retries as far as the invocation's time allows.

        Args:
            route: the method and path.
            fields: the query, or the body.
            unpaginated: whether the answer is a complete list, which may be larger than a page.
            key: a data app's key, to use instead of the service token.
            keep: the keys of the answer's objects to keep; None for all.
            leave: the seconds of the invocation that are for something else.

        Raises:
            DatabrainError: Databrain refused, did not answer, or answered in another shape.
        """
        if self._clock.remaining() < MIN_TIME_TO_READ + leave:
            raise DatabrainUnavailable(
                f"{route.method} {route.path}: no time is left for this request, because Databrain answers slowly"
            )
        jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=MAX_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome and state.outcome.exception()
            asked = error.retry_after if isinstance(error, DatabrainUnavailable) else None
            return max(asked or 0.0, jitter(state))

        def is_over(state: RetryCallState) -> bool:
            left = self._clock.remaining() - state.upcoming_sleep
            return state.attempt_number >= MAX_TRIES or left < MIN_TIME_AFTER_WAIT + leave

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
        is_refused = key is None and answer.status in _REFUSED_TOKEN and not route.for_backup
        if is_refused and self._token.renew(token):
            token = self._token.value()
            answer = self._answer_to(route, fields, token, unpaginated=unpaginated)
        if answer.status != HTTPStatus.OK:
            raise self._failure(route, answer, key)
        if key is None:
            self._token.settle(token)
        if answer.echoes_token and not (route.holds_keys or route.for_backup):
            raise DatabrainUnexpected(
                f"{route.method} {route.path}: the answer contains the token that the request was sent with, so it was "
                "not stored: remove the token from what Databrain stores, and replace it with a new one"
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
        raise failure  # without a cause, because httpx's message repeats what it could not parse

    def _failure(self, route: Route, answer: "_Answer", key: str | None = None) -> DatabrainError:
        """Return the error for a status other than 200 (section 1: its meaning differs between endpoints)."""
        code = answer.code()
        summary = f"{route.method} {route.path}: HTTP {answer.status}{' ' if code else ''}{code}"
        if route.for_backup and answer.status in _REFUSALS:
            return Refused(summary)
        if key is not None and (answer.status in _REFUSED_TOKEN or code == "INVALID_DATA_APP_API_KEY"):
            return KeyRefused(f"{summary}; Databrain refuses the data app's key")
        if answer.status in _REFUSED_TOKEN:
            if self._token.is_settled:
                return _TokenReplaced(
                    f"{summary}; Databrain refuses the token that it accepted before: the next attempt reads it again"
                )
            return DatabrainUnauthorized(
                f"{summary}; Databrain refuses the token that was just read: put a valid service token into the secret"
            )
        return _failure(answer, summary)

    def _exchange(self, route: Route, fields: Mapping[str, Json], token: str, *, unpaginated: bool) -> _Answer:
        """Send one request and read its answer, within the limits.

        Raises:
            httpx.TransportError: there is no answer, or it is incomplete.
            BodyTooLarge: the answer exceeds `MAX_VALUES`, or `BODY_LIMIT` if `unpaginated`, else `PAGE_LIMIT`.
            DatabrainUnavailable: the answer takes longer than `ANSWER_LIMIT`.
            DatabrainUnexpected: the answer is compressed, which was not requested and could be a decompression bomb.
        """
        self._telemetry.count(Metric.DATABRAIN_REQUESTS)
        self._secrets.add(token)
        began = self._clock.remaining()
        sent = {"json": fields} if route.takes_body else {"params": fields}
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        limit = BODY_LIMIT if unpaginated else PAGE_LIMIT
        max_values = MAX_VALUES if unpaginated else MAX_VALUES // PAGES_SHARE
        share = self._embeds if route.is_retained else self._exports if route.for_backup else None
        if share is not None:
            share.take(route)  # raises before the request if there is no room for the answer
        body = bytearray()
        with self._concurrency, self._http.stream(route.method, route.path, headers=headers, **sent) as response:  # type: ignore[arg-type]  # one of two documented arguments
            if _is_compressed(response.headers.get("Content-Encoding", "")):
                raise DatabrainUnexpected(f"{route.method} {route.path}: expected an answer that is not compressed")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(f"{route.method} {route.path}: the answer is larger than {limit} bytes")
                if share is not None:
                    share.take(route, size=len(chunk))
                if began - self._clock.remaining() > ANSWER_LIMIT:
                    raise DatabrainUnavailable(
                        f"{route.method} {route.path}: the answer was not complete after {ANSWER_LIMIT:.0f} s"
                    )
            values = count_values(body, max_values)
            if values > max_values:
                raise BodyTooLarge(f"{route.method} {route.path}: the answer has more than {max_values} values")
            if share is not None:
                share.take(route, values=values)
            retry_after = _retry_after(response.headers.get("Retry-After"), self._clock.now())
            return _Answer(response.status_code, body, retry_after, echoes_token=_echoes(token, body))


class _Share:
    """What may stay in memory of the answers of some routes together; safe from any thread."""

    def __init__(self, what: str, max_bytes: int, max_values: int) -> None:
        self._what = what
        self._max_bytes = max_bytes
        self._max_values = max_values
        self._lock = Lock()
        self._bytes = 0
        self._values = 0

    def take(self, route: Route, *, size: int = 0, values: int = 0) -> None:
        """Add bytes, or values.

        Raises:
            BodyTooLarge: they are too many by now, of either.
        """
        with self._lock:
            self._bytes += size
            self._values += values
            if self._bytes > self._max_bytes:
                what = f"{self._what} are larger than {self._max_bytes} bytes"
            elif self._values > self._max_values:
                what = f"{self._what} have more than {self._max_values} values"
            else:
                return
        raise BodyTooLarge(f"{route.method} {route.path}: {what}")


class _AttemptToken:
    """The token of an attempt; no `repr` shows it."""

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
        """Fix the attempt's token, because something was read with it, or is about to be deleted with it.

        Raises:
            DatabrainUnauthorized: a concurrent request was refused, and the attempt has another token by now.
        """
        with self._lock:
            if token != self._token:
                raise _TokenReplaced("Databrain accepted two tokens in one attempt: the next attempt starts afresh")
            self.is_settled = True

    def renew(self, refused: str) -> bool:
        """Drop a refused token, and return whether this attempt has another one to try."""
        with self._lock:
            if refused == self._token and self.is_settled:
                self._source.drop(refused)
            elif refused == self._token and not self._renewed:
                self._renewed = True
                self._source.drop(refused)
                self._token = self._source.value()
            return refused != self._token

    def drop(self) -> None:
        """Let the next attempt read the token again."""
        self._source.drop(self.value())


class NoEffect(Exception):
    """A request that was to change something had no effect; `failure` says why."""

    def __init__(self, failure: DatabrainError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class InDoubt(Exception):
    """A request may have changed something; `failure` says what was received instead of a clear answer."""

    def __init__(self, failure: DatabrainError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class NotFound(DatabrainUnexpected):
    """The status is 404: there is no semantic layer, or the server is old and does not have the route."""


class Refused(DatabrainUnexpected):
    """The status is a 4xx, of a route that is read only for a backup: a retry would be refused as well."""


class _TokenReplaced(DatabrainUnauthorized):
    """Databrain refuses the attempt's token after it had accepted it, or requests of the attempt had two tokens."""

    retryable = True


class KeyRefused(DatabrainUnauthorized):
    """Databrain refuses a data app's key."""


# ---- Answers -------------------------------------------------------------------------------------------------------


def _echoes(token: str, body: bytearray) -> bool:
    """Return whether an answer contains the token, however JSON in UTF-8 escapes it."""
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
    with suppress(ValueError):  # its message may repeat the body
        document = parse_json(body, keep=keep, exact=True)
    if not isinstance(document, Mapping):
        raise DatabrainUnexpected(
            f"{route.method} {route.path}: expected a JSON object; the {len(body)} bytes are not one"
        )
    if document.get("error") is not None:
        raise unexpected(route, "error: null or absent", document["error"])
    return document


def entries(route: Route, document: Document) -> Sequence[Document]:
    """Return the entries of a list's answer; raises like `objects`."""
    return objects(route, document.get("data"), "data")


def objects(route: Route, value: Json, field: str) -> Sequence[Document]:
    """Return the value if it is a list of objects.

    Raises:
        DatabrainUnexpected: it is not.
    """
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise unexpected(route, f"{field}: a list of objects", value)
    return value


def text(route: Route, document: Document, field: str) -> str:
    """Return a field that is a non-empty text.

    Raises:
        DatabrainUnexpected: it is not.
    """
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise unexpected(route, f"{field}: a text", value)
    return value


def optional_text(document: Document, field: str) -> str | None:
    """Return a field if it is a text, else None."""
    value = document.get(field)
    return value if isinstance(value, str) else None


def unexpected(route: Route, expected: str, received: Json) -> DatabrainUnexpected:
    """Return an error that names only the type of what was received, because its content could be a token."""
    return DatabrainUnexpected(f"{route.method} {route.path}: expected {expected}; got {type(received).__name__}")


def _is_compressed(codings: str) -> bool:
    """Return whether any coding other than `identity` is named, in any case (RFC 9110, sections 5.6.1 and 8.4)."""
    return any(coding.strip().lower() not in {"", "identity"} for coding in codings.split(","))


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Return the wait in seconds, from either form of Retry-After (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
