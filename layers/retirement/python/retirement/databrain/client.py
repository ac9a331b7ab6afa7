"""The client of Databrain's REST API, for one attempt.

Explicit time-outs on every request, one retry table for reads, none for delete, redirects never followed, cookies never
kept, answers bounded, every answer's shape checked. What a server says in words is never repeated: it may echo a token.
Sections are those of docs/databrain-api.md.
"""

import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import BoundedSemaphore, Lock
from typing import Protocol, TypeAlias

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from retirement.canonical import Document, Json, canonical_json, count_values, parse_json, sha256_hex
from retirement.clock import Clock
from retirement.databrain.dependents import Embed, EmbedListing
from retirement.databrain.permits import DeletePermit
from retirement.databrain.ports import Counter, DatabrainApi, DeleteAnswer, DeleteEffect, Metric
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.databrain.tokens import SHORTEST_SECRET, ReadSecrets, is_bearer_token
from retirement.errors import (
    BodyTooLarge,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
)
from retirement.globs import folded
from retirement.timestamps import parse_timestamp
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
MOST_VALUES = 1_500_000
PAGES_SHARE = 4  # a page, or a semantic layer, may have a quarter of them: pages are read side by side
PAGE_SIZE = 10  # fixed by the API
MOST_PAGES = 10_000  # ten times the datamarts that are reckoned with
LONGEST_NAME = 1_000  # characters; a request can name 256, and all names are kept

MOST_WALKS = 3  # two that agree, and one more
AT_ONCE = 8  # what one client may ask of a server that documents no rate limit
# Two requests each: many more take longer than the function has.
MOST_DATA_APPS = 1_000
MOST_KEYS = 100  # of one data app, tried one after the other

# The retry table of reads: no answer, 429 and 5xx; how often, how long.
MOST_TRIES = 4
FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
# Seconds of the invocation that waiting never uses up: what is left after them is too little to go on.
KEPT_FROM_WAITING = 5.0
# And with less than this no read is begun: it is for saying so.
KEPT_FROM_READING = 2.0

_REFUSED_TOKEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# updatedAt only where it is asked for: two walks that are to agree would differ by it.
_LISTED_KEYS = frozenset({"data", "error", "name", "createdAt"})
_DATED_KEYS = _LISTED_KEYS | {"updatedAt"}
_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")
_ESCAPE = re.compile(rb'\\(?:u00(?P<hex>[0-7][0-9A-Fa-f])|(?P<plain>["\\/]))')  # of ASCII, as JSON may spell it


# One page of a list, or all of it where there is no number.
_Reader: TypeAlias = Callable[[int | None], Sequence[Document]]


class TokenSource(Protocol):
    """Where the service token comes from."""

    def value(self) -> str:
        """The token."""

    def drop(self, refused: str) -> None:
        """Databrain refused this one: read it anew next time."""


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: str

    @property
    def takes_body(self) -> bool:
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class _Routes:
    list_datamarts: _Route
    delete_datamart: _Route
    get_semantic_layer: _Route
    list_embeds: _Route
    list_data_apps: _Route = _Route("GET", "/api/v2/data-app")
    list_api_tokens: _Route = _Route("GET", "/api/v2/data-app/api-tokens")


# Sections 2, 3, 5 and 6. Data apps and their keys have no documented legacy form.
_ROUTES = {
    DatabrainApi.CURRENT: _Routes(
        list_datamarts=_Route("GET", "/api/v2/data-app/datamarts"),
        delete_datamart=_Route("DELETE", "/api/v2/data-app/datamart"),
        get_semantic_layer=_Route("GET", "/api/v2/data-app/datamarts/semantic-layer"),
        list_embeds=_Route("GET", "/api/v2/data-app/embeds"),
    ),
    DatabrainApi.LEGACY: _Routes(
        list_datamarts=_Route("POST", "/api/v2/dataApp/datamart/list"),
        delete_datamart=_Route("POST", "/api/v2/dataApp/datamart/delete"),
        get_semantic_layer=_Route("GET", "/api/v2/dataApp/datamarts/semantic-layer"),
        list_embeds=_Route("POST", "/api/v2/dataApp/embed/list"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytearray = field(repr=False)  # one list is made of keys
    retry_after: float | None
    repeats_token: bool

    def code(self) -> str:
        """The error's code where there is one that looks like a code; anything else could echo a token."""
        if self.repeats_token:
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


class DatabrainClient:
    """Every method but `delete` raises a `DatabrainError` where Databrain refuses, fails or answers in another shape.

    One attempt has one token, for another one may belong to another organisation: before anything was read a refused
    one is read anew, once; from then on a refusal ends the attempt, and no delete goes out with another one.

    Args:
        http: from `http_client`.
        api: which route family the server has.
        token: where the service token comes from.
        clock: bounds waiting by the time that the invocation has left.
        telemetry: counts requests, retries and walks.
    """

    def __init__(
        self, http: httpx.Client, *, api: DatabrainApi, token: TokenSource, clock: Clock, telemetry: Counter
    ) -> None:
        self._http = http
        self._api = api
        self._routes = _ROUTES[api]
        self._token = _AttemptToken(token)
        self._clock = clock
        self._telemetry = telemetry
        self._secrets = ReadSecrets()
        self._at_once = BoundedSemaphore(AT_ONCE)
        self._kept = Lock()
        self._kept_bytes = 0
        self._kept_values = 0

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and read all of it.

        There is no read of one datamart (section 3). The list of names tells the page that holds it; where that page
        does not, pages are walked.
        """
        route, read = self._routes.list_datamarts, self._reader_of_datamarts(_LISTED_KEYS)
        entries = self._whole(route, read)
        listing = self._listing(entries)
        if name not in listing:
            listing = self._listing(self._completed(route, read, entries))
        if name not in listing:
            return Absent(listing)
        page = list(listing.created_at).index(name) // PAGE_SIZE + 1
        with ThreadPoolExecutor(max_workers=2) as pool:
            layer = pool.submit(self._semantic_layer, name)
            entry = _entry_of(route, name, self._datamarts(page=page, keep=None)) or self._walk_for(name)
            semantic_layer = layer.result()
        if entry is None:
            raise DatabrainUnexpected("Databrain lists the datamart's name and no page of the list holds it; try again")
        return Snapshot(name, _created_at(entry), entry, semantic_layer, listing)

    def list_datamarts(self) -> Listing:
        """List the names, fresh and checked to be all; a time that is no clear one counts as not told."""
        return self._listing(self._entries_of_all(_LISTED_KEYS))

    def list_datamarts_with_updates(self) -> Listing:
        """The same, with updatedAt."""
        entries = self._entries_of_all(_DATED_KEYS)
        listing = self._listing(entries)
        updates = (_told_time(entry, "updatedAt") for entry in entries)
        return replace(listing, updated_at=dict(zip(listing.created_at, updates, strict=True)))

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """List the embeds of all data apps, each with a key of its own, and what failed on the way.

        Every data app is asked, side by side. Embeds that the list of data apps names and List Embeds does not return
        are in the listing without an `item`.

        Raises:
            DatabrainUnauthorized: the service token is refused, so that the attempt is over.
        """
        try:
            apps = self._read_all(self._routes.list_data_apps)
        except DatabrainUnauthorized:
            raise
        except _NotFound as missing:
            if self._api is DatabrainApi.CURRENT:
                return EmbedListing((), ("the embeds",)), (missing,)
            return EmbedListing((), ("the embeds: this server has no list of data apps",)), ()
        except DatabrainError as error:
            return EmbedListing((), ("the embeds",)), (error,)
        if len(apps) > MOST_DATA_APPS:
            too_many = _shape(self._routes.list_data_apps, f"at most {MOST_DATA_APPS} data apps", apps)
            return EmbedListing((), ("the embeds",)), (too_many,)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            found = list(pool.map(self._embeds_of, apps))
        return (
            EmbedListing(
                embeds=tuple(embed for app in found for embed in app.embeds),
                gaps=tuple(gap for app in found for gap in app.gaps),
                data_apps=_ages(apps),
            ),
            tuple(app.failure for app in found if app.failure is not None),
        )

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt, None where it is no clear time.

        Nothing where a legacy server has no such list.
        """
        route = self._routes.list_data_apps
        try:
            return _ages(self._read_all(route, keep=_LISTED_KEYS))
        except _NotFound:
            if self._api is DatabrainApi.CURRENT:
                raise
            return {}

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

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request, never a second one.

        Success is 200, `error` null or absent, and `id` the name (section 2). A connection that never came about, and
        a 4xx but 408, had no effect; of anything else nothing is known.

        Raises:
            RetirementError: there is no token to send it with.
        """
        route, name = self._routes.delete_datamart, permit.snapshot.name
        token = self._token.value()
        self._token.settle(token)
        try:
            answer = self._exchange(route, {"datamartName": name}, token)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return DeleteAnswer(DeleteEffect.NONE, _unavailable(route, error))
        except httpx.TransportError as error:
            return DeleteAnswer(DeleteEffect.UNKNOWN, _unavailable(route, error))
        except DatabrainError as error:
            return DeleteAnswer(DeleteEffect.UNKNOWN, error)
        if answer.status == HTTPStatus.OK:
            return _judge_deletion(route, name, answer)
        if answer.status in _REFUSED_TOKEN:
            self._token.drop()
        refused = 400 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT  # noqa: PLR2004
        return DeleteAnswer(DeleteEffect.NONE if refused else DeleteEffect.UNKNOWN, self._failure(route, answer))

    # ---- Datamarts -------------------------------------------------------------------------------------------------

    def _listing(self, entries: Sequence[Document]) -> Listing:
        route = self._routes.list_datamarts
        listing = Listing({_text(route, entry, "name"): _told_time(entry) for entry in entries})
        if len(listing.created_at) != len(entries):
            raise DatabrainUnexpected("Databrain lists one name twice, and a name is all that a delete goes by")
        return listing

    def _entries_of_all(self, keep: frozenset[str]) -> Sequence[Document]:
        route, read = self._routes.list_datamarts, self._reader_of_datamarts(keep)
        return self._completed(route, read, self._whole(route, read))

    def _reader_of_datamarts(self, keep: frozenset[str]) -> _Reader:
        return lambda page: self._datamarts(page=page, keep=keep)

    def _datamarts(self, *, page: int | None, keep: frozenset[str] | None) -> Sequence[Document]:
        """One page of the list, or all of it; expanded where all keys are kept."""
        route = self._routes.list_datamarts
        fields = _paging(route, page)
        if not route.takes_body and keep is not None:
            fields["expandDetails"] = "false"
        entries = _entries(route, self._read(route, fields, keep=keep))
        if any(len(_text(route, entry, "name")) > LONGEST_NAME for entry in entries):
            raise DatabrainUnexpected(f"{route.path}: expected names of at most {LONGEST_NAME} characters")
        return entries

    def _walk_for(self, name: str) -> Document | None:
        route = self._routes.list_datamarts
        pages = self._walk(route, lambda page: self._datamarts(page=page, keep=None))
        return next((entry for page in pages if (entry := _entry_of(route, name, page)) is not None), None)

    def _semantic_layer(self, name: str) -> Document | None:
        """Read the semantic layer; None where there is none (section 5: a 404)."""
        route = self._routes.get_semantic_layer
        try:
            layer = self._read(route, {"datamartName": name}).get("data")
        except _NotFound:
            return None
        if layer is None:
            return None
        if not isinstance(layer, Mapping) or layer.get("datamartName") != name:
            raise _shape(route, "data: an object with the datamartName that was asked for", layer)
        return layer

    # ---- Embeds ----------------------------------------------------------------------------------------------------

    def _embeds_of(self, app: Document) -> "_AppEmbeds":
        route = self._routes.list_data_apps
        shown_name = repr(shortened(_optional_text(app, "name") or ""))
        try:
            app_name = _sendable(route, _text(route, app, "name"))
            named = _by_id(route, _objects(route, app.get("embeds"), "embeds"))
        except DatabrainUnexpected as error:
            return _AppEmbeds((), (f"the embeds of the data app {shown_name}",), error)
        failure, gaps, items = None, [], {}
        try:
            items = self._items_of(app_name)
        except DatabrainUnauthorized:
            raise
        except DatabrainError as error:
            failure = error
            gaps.append(f"the embeds of the data app {shown_name}")
        known = named | items
        told = {embed_id: _told_datamarts(item) for embed_id, item in items.items()}
        counted = app.get("embedCount")
        if isinstance(counted, int) and counted > len(known):
            gaps.append(f"{counted - len(known)} embeds of the data app {shown_name}, which are counted and not named")
        elif counted is not None and type(counted) is not int:
            gaps.append(f"how many embeds the data app {shown_name} has")
        return _AppEmbeds(
            tuple(
                Embed(
                    embed_id=embed_id,
                    name=_optional_text(embed, "name"),
                    data_app_name=app_name,
                    datamart_name=told[embed_id][0] if len(told.get(embed_id, ())) == 1 else None,
                    created_at=_told_time(named.get(embed_id, {})),
                    updated_at=_told_time(named.get(embed_id, {}), "updatedAt"),
                    item=items.get(embed_id),
                    is_contradictory=len(told.get(embed_id, ())) > 1,
                )
                for embed_id, embed in known.items()
            ),
            tuple(gaps),
            failure,
        )

    def _items_of(self, app_name: str) -> dict[str, Document]:
        """What List Embeds returns for a data app, by ID; nothing where no key of it works."""
        tokens, embeds = self._routes.list_api_tokens, self._routes.list_embeds
        for token in self._read_all(tokens, {"dataAppName": app_name})[:MOST_KEYS]:
            key = _text(tokens, token, "key")
            if not is_bearer_token(key):
                continue
            try:
                items = self._read_all(embeds, key=key)
            except _KeyRefused:
                continue
            return _by_id(embeds, items)
        return {}

    # ---- Requests --------------------------------------------------------------------------------------------------

    def _read_all(
        self,
        route: _Route,
        fields: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        keep: frozenset[str] | None = None,
    ) -> Sequence[Document]:
        def read(page: int | None) -> Sequence[Document]:
            return _entries(route, self._read(route, {**(fields or {}), **_paging(route, page)}, key=key, keep=keep))

        return self._completed(route, read, self._whole(route, read))

    def _whole(self, route: _Route, read: _Reader) -> Sequence[Document]:
        """Read a list in one request; where its answer is too large, page by page."""
        try:
            return read(None)
        except BodyTooLarge:
            return self._walked(route, read)

    def _completed(self, route: _Route, read: _Reader, entries: Sequence[Document]) -> Sequence[Document]:
        """Read the list by pages if it goes on after these entries, before anything is said not to be in it.

        A server that caps its lists, whatever was asked for, does it after whole pages, and after one at least. One
        that knows no pages shows the same entries again.
        """
        if not entries or len(entries) % PAGE_SIZE:
            return entries
        after = read(len(entries) // PAGE_SIZE + 1)
        return entries if all(entry in entries for entry in after) else self._walked(route, read)

    def _walked(self, route: _Route, read: _Reader) -> Sequence[Document]:
        """Read page by page, until two walks agree.

        Pages shift when an entry goes meanwhile: one walk can miss another entry that is there all the time.
        """
        before = None
        for _ in range(MOST_WALKS):
            entries = [entry for page in self._walk(route, read) for entry in page]
            if entries == before:
                return entries
            before = entries
        raise DatabrainUnexpected(f"{route.path}: the list changes while its pages are read; try again")

    def _walk(self, route: _Route, read: _Reader) -> Iterator[Sequence[Document]]:
        """Read pages side by side, up to the first that is not full."""
        self._telemetry.count(Metric.DATABRAIN_WALKS)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for first in range(1, MOST_PAGES, AT_ONCE):
                for page in pool.map(read, range(first, first + AT_ONCE)):
                    if len(page) > PAGE_SIZE:
                        raise _shape(route, f"at most {PAGE_SIZE} entries in a page", page)
                    yield page
                    if len(page) < PAGE_SIZE:
                        return
        raise DatabrainUnexpected(f"{route.path} has more than {MOST_PAGES} pages")

    def _read(
        self,
        route: _Route,
        fields: Mapping[str, Json],
        *,
        key: str | None = None,
        keep: frozenset[str] | None = None,
    ) -> Document:
        """Read one answer, again where that can help, within the time that the invocation has left.

        Args:
            route: what to read.
            fields: the query, or the body.
            key: a data app's key, instead of the service token.
            keep: the keys of the answer's objects to keep.
        """
        if self._clock.remaining() < KEPT_FROM_READING:
            raise DatabrainUnavailable(f"{route.method} {route.path}: no time is left for it; Databrain answers slowly")
        jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome and state.outcome.exception()
            asked = error.retry_after if isinstance(error, DatabrainUnavailable) else None
            return max(asked or 0.0, jitter(state))

        def is_over(state: RetryCallState) -> bool:
            left = self._clock.remaining() - state.upcoming_sleep
            return state.attempt_number >= MOST_TRIES or left < KEPT_FROM_WAITING

        retrying = Retrying(
            retry=retry_if_exception_type(DatabrainUnavailable),
            wait=wait,
            stop=is_over,
            sleep=self._clock.sleep,
            before_sleep=lambda _: self._telemetry.count(Metric.DATABRAIN_RETRIES),
            reraise=True,
        )
        return retrying(self._read_once, route, fields, key, keep)

    def _read_once(
        self, route: _Route, fields: Mapping[str, Json], key: str | None, keep: frozenset[str] | None
    ) -> Document:
        token = key or self._token.value()
        answer = self._answer_to(route, fields, token)
        if key is None and answer.status in _REFUSED_TOKEN and self._token.renew(token):
            token = self._token.value()
            answer = self._answer_to(route, fields, token)
        if answer.status != HTTPStatus.OK:
            raise self._failure(route, answer, key)
        if key is None:
            self._token.settle(token)
        if answer.repeats_token and route is not self._routes.list_api_tokens:
            raise DatabrainUnexpected(
                f"{route.method} {route.path}: the answer holds the very token that it was asked with, and would be "
                "kept: take the token out of what Databrain stores, and replace it by a new one"
            )
        document = _document(route, answer.body, keep)
        if route is self._routes.list_api_tokens:
            for entry in _entries(route, document):
                self._secrets.add(_optional_text(entry, "key") or "")
        return document

    def _answer_to(self, route: _Route, fields: Mapping[str, Json], token: str) -> _Answer:
        try:
            return self._exchange(route, fields, token)
        except httpx.TransportError as error:
            failure = _unavailable(route, error)
        raise failure  # without a cause: it repeats what it could not read

    def _failure(self, route: _Route, answer: "_Answer", key: str | None = None) -> DatabrainError:
        """The error for a status other than 200 (section 1: its meaning differs between endpoints)."""
        code = answer.code()
        told = f"{route.method} {route.path}: HTTP {answer.status}{' ' if code else ''}{code}"
        if key is not None and (answer.status in _REFUSED_TOKEN or code == "INVALID_DATA_APP_API_KEY"):
            return _KeyRefused(f"{told}; the data app's key is refused")
        if answer.status in _REFUSED_TOKEN:
            if self._token.is_settled:
                return _TokenReplaced(f"{told}; the token, good until now, is refused: the next attempt reads it anew")
            return DatabrainUnauthorized(
                f"{told}; the token is refused, also freshly read: put a valid service token into the secret"
            )
        return _failure(answer, told)

    def _exchange(self, route: _Route, fields: Mapping[str, Json], token: str) -> _Answer:
        """One request and its bounded answer.

        Raises:
            httpx.TransportError: no answer, or not all of it.
            BodyTooLarge: the answer passes `MOST_VALUES`, or `BODY_LIMIT`, or `PAGE_LIMIT` where it is no whole list.
            DatabrainUnavailable: the answer takes longer than `ANSWER_LIMIT`.
            DatabrainUnexpected: the answer is compressed, which was not asked for and could be a bomb.
        """
        self._telemetry.count(Metric.DATABRAIN_REQUESTS)
        self._secrets.add(token)
        began = self._clock.remaining()
        sent = {"json": fields} if route.takes_body else {"params": fields}
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        limit = BODY_LIMIT if fields.get("isPagination") in {False, "false"} else PAGE_LIMIT
        is_kept = route in {self._routes.list_data_apps, self._routes.list_api_tokens, self._routes.list_embeds}
        body = bytearray()
        with self._at_once, self._http.stream(route.method, route.path, headers=headers, **sent) as response:  # type: ignore[arg-type]  # one of two documented arguments
            if _is_compressed(response.headers.get("Content-Encoding", "")):
                raise DatabrainUnexpected(f"{route.method} {route.path}: expected an answer that is not compressed")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(f"{route.method} {route.path}: the answer is larger than {limit} bytes")
                if is_kept and self._kept_with(len(chunk)) > EMBEDS_LIMIT:
                    raise BodyTooLarge(f"{route.method} {route.path}: all embeds are larger than {EMBEDS_LIMIT} bytes")
                if began - self._clock.remaining() > ANSWER_LIMIT:
                    raise DatabrainUnavailable(f"{route.method} {route.path}: no whole answer in {ANSWER_LIMIT:.0f} s")
            most = MOST_VALUES if limit == BODY_LIMIT else MOST_VALUES // PAGES_SHARE
            values = count_values(body, most)
            if values > most or (is_kept and self._kept_values_with(values) > MOST_VALUES):
                raise BodyTooLarge(f"{route.method} {route.path}: the answer has more than {most} values")
            retry_after = _retry_after(response.headers.get("Retry-After"), self._clock.now())
            return _Answer(response.status_code, body, retry_after, repeats_token=_repeats(token, body))

    def _kept_with(self, size: int) -> int:
        with self._kept:
            self._kept_bytes += size
            return self._kept_bytes

    def _kept_values_with(self, count: int) -> int:
        with self._kept:
            self._kept_values += count
            return self._kept_values


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


@dataclass(frozen=True, slots=True)
class _AppEmbeds:
    embeds: tuple[Embed, ...]
    gaps: tuple[str, ...]
    failure: DatabrainError | None


class _NotFound(DatabrainUnexpected):
    """404: of a semantic layer, that there is none; of a route, that an old server does not have it."""


class _TokenReplaced(DatabrainUnauthorized):
    """The token that the attempt has read with is refused, or no longer the one that its other requests have."""

    retry_helps = True


class _KeyRefused(DatabrainUnauthorized):
    """A data app's key is not, or no longer, good."""


# ---- Answers -------------------------------------------------------------------------------------------------------


def _judge_deletion(route: _Route, name: str, answer: _Answer) -> DeleteAnswer:
    """A 200 is a yes only where it names what was deleted."""
    try:
        document = _document(route, answer.body, None)
    except DatabrainError as error:
        return DeleteAnswer(DeleteEffect.UNKNOWN, error)
    if document.get("id") != name:
        return DeleteAnswer(DeleteEffect.UNKNOWN, _shape(route, "id: the datamart's name", document.get("id")))
    return DeleteAnswer(DeleteEffect.DONE)


def _repeats(token: str, body: bytearray) -> bool:
    """Whether an answer holds the token, spelt in any of the ways of JSON in UTF-8."""
    wanted = token.encode()
    if len(token) < SHORTEST_SECRET:
        return False
    if wanted in body:
        return True
    return b"\\" in body and wanted in _ESCAPE.sub(_unescaped, body)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return found["plain"] or bytes.fromhex(found["hex"].decode())


def _failure(answer: _Answer, told: str) -> DatabrainError:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return DatabrainUnavailable(told, answer.retry_after)
    if answer.status == HTTPStatus.NOT_FOUND:
        return _NotFound(f"{told}; check DatabrainBaseUrl and DatabrainApi")
    if 300 <= answer.status < 400:  # noqa: PLR2004  # a redirect
        return DatabrainUnexpected(f"{told}; redirects are not followed: check DatabrainBaseUrl")
    return DatabrainUnexpected(f"{told}; expected 200")


def _unavailable(route: _Route, error: httpx.TransportError) -> DatabrainUnavailable:
    return DatabrainUnavailable(f"{route.method} {route.path}: no answer ({type(error).__name__})")


def _document(route: _Route, body: bytearray, keep: frozenset[str] | None) -> Document:
    document = None
    with suppress(ValueError):  # which may repeat the body
        document = parse_json(body, keep=keep, exact=True)
    if not isinstance(document, Mapping):
        raise DatabrainUnexpected(f"{route.method} {route.path}: expected a JSON object in these {len(body)} bytes")
    if document.get("error") is not None:
        raise _shape(route, "error: null or absent", document["error"])
    return document


def _ages(apps: Sequence[Document]) -> dict[str, datetime | None]:
    """When data apps were created, by name; one without a name is left out."""
    return {name: _told_time(app) for app in apps if (name := _optional_text(app, "name"))}


def _by_id(route: _Route, embeds: Sequence[Document]) -> dict[str, Document]:
    """Embeds by ID. One that comes twice says the same twice: nothing tells which of two is true."""
    found: dict[str, Document] = {}
    for embed in embeds:
        if found.setdefault(_text(route, embed, "embedId"), embed) != embed:
            raise DatabrainUnexpected(f"{route.method} {route.path}: one embedId comes twice, with different content")
    return found


def _entries(route: _Route, document: Document) -> Sequence[Document]:
    return _objects(route, document.get("data"), "data")


def _objects(route: _Route, value: Json, field: str) -> Sequence[Document]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise _shape(route, f"{field}: a list of objects", value)
    return value


def _text(route: _Route, document: Document, field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise _shape(route, f"{field}: a text", value)
    return value


def _optional_text(document: Document, field: str) -> str | None:
    value = document.get(field)
    return value if isinstance(value, str) else None


def _shape(route: _Route, expected: str, came: Json) -> DatabrainUnexpected:
    """Say what came by its type alone: its content could be a token."""
    return DatabrainUnexpected(f"{route.method} {route.path}: expected {expected}; got {type(came).__name__}")


def _paging(route: _Route, page: int | None) -> dict[str, Json]:
    """Section 1: texts in a query, a boolean and a number in a body."""
    if route.takes_body:
        return {"isPagination": False} if page is None else {"isPagination": True, "pageNumber": page}
    return {"isPagination": "false"} if page is None else {"isPagination": "true", "pageNumber": str(page)}


def _created_at(entry: Document) -> datetime | None:
    """When the datamart was created that is asked about; what is unclear is not the same as not told."""
    created_at = _told_time(entry)
    if created_at is None and entry.get("createdAt") is not None:
        raise DatabrainUnexpected(
            f"Databrain lists the datamart {entry['name']!r} with a createdAt that is no RFC 3339 time with offset, so "
            "nothing tells which one it is"
        )
    return created_at


def _entry_of(route: _Route, name: str, page: Sequence[Document]) -> Document | None:
    """The expanded entry of this name on a page, if it is there."""
    entries = [entry for entry in page if entry.get("name") == name]
    if not entries:
        return None
    if len(entries) > 1:
        raise DatabrainUnexpected("Databrain shows one name twice, and a name is all that a delete goes by")
    (entry,) = entries
    # Without its tables an entry is a collapsed one, not one of an empty datamart (section 4).
    for table in _objects(route, entry.get("datamartTables"), "datamartTables"):
        _text(route, table, "tableName")
        _objects(route, table.get("datamartTableColumns"), "datamartTableColumns")
    return entry


def _sendable(route: _Route, name: str) -> str:
    """What can be a query's value."""
    if len(name) > LONGEST_NAME or any("\ud800" <= character <= "\udfff" for character in name):
        raise _shape(route, f"name: a text of at most {LONGEST_NAME} characters, without lone surrogates", name)
    return name


def _told_datamarts(item: Document) -> list[str]:
    """The datamarts that an embed's fields name (section 6), the API's, then the caller's; near names are one."""
    settings, older = item.get("accessSettings"), item.get("embedDataAppAccessSetting")
    dashboard = item.get("externalDashboard")
    metadata = dashboard.get("metadata") if isinstance(dashboard, Mapping) else None
    older_datamart = older.get("datamart") if isinstance(older, Mapping) else None
    places = (
        (settings, "datamartName"),
        (older, "datamartName"),
        (older_datamart, "name"),
        (item.get("datamart"), "name"),
        (metadata, "datamartName"),
    )
    told: dict[str, str] = {}
    for where, field_name in places:
        if isinstance(where, Mapping) and (name := _optional_text(where, field_name)) and name.strip():
            told.setdefault(folded(name), name)
    return list(told.values())


def _told_time(entry: Document, field_name: str = "createdAt") -> datetime | None:
    """When a list says that a datamart or an embed was created, or updated; None where it does not say so clearly."""
    try:
        return parse_timestamp(_optional_text(entry, field_name) or "")
    except ValueError:
        return None


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
