"""The client of Databrain's REST API, for one attempt. Sections are those of docs/databrain-api.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import httpx

from retirement.canonical import Document, Json
from retirement.clock import Clock
from retirement.databrain.dependents import Embed, EmbedListing
from retirement.databrain.permits import DeletePermit
from retirement.databrain.ports import Counter, DatabrainApi, DeleteAnswer, DeleteEffect, Metric
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.databrain.tokens import is_bearer_token
from retirement.databrain.transport import (
    MAX_CONCURRENCY,
    InDoubt,
    KeyRefused,
    NoEffect,
    NotFound,
    Route,
    TokenSource,
    Transport,
    entries,
    objects,
    optional_text,
    text,
    unexpected,
)
from retirement.errors import BodyTooLarge, DatabrainError, DatabrainUnauthorized, DatabrainUnexpected
from retirement.globs import folded
from retirement.timestamps import parse_timestamp
from retirement.wording import shortened

PAGE_SIZE = 10  # fixed by the API
MAX_PAGES = 10_000  # ten times the datamarts that are reckoned with
MAX_NAME_LENGTH = 1_000  # characters; a request can name 256, and all names are kept

MAX_WALKS = 3  # two that agree, and one more
# Two requests each: many more take longer than the function has.
MAX_DATA_APPS = 1_000
MAX_KEYS = 100  # of one data app, tried one after the other

# updatedAt only where it is asked for: two walks that are to agree would differ by it.
_LISTED_KEYS = frozenset({"data", "error", "name", "createdAt"})
_DATED_KEYS = _LISTED_KEYS | {"updatedAt"}


# One page of a list, or all of it where there is no number.
_Reader: TypeAlias = Callable[[int | None], Sequence[Document]]


@dataclass(frozen=True, slots=True)
class _Routes:
    list_datamarts: Route
    delete_datamart: Route
    get_semantic_layer: Route
    list_embeds: Route
    list_data_apps: Route = Route("GET", "/api/v2/data-app", is_retained=True)
    list_api_tokens: Route = Route("GET", "/api/v2/data-app/api-tokens", is_retained=True, holds_keys=True)


# Sections 2, 3, 5 and 6. Data apps and their keys have no documented legacy form.
_ROUTES = {
    DatabrainApi.CURRENT: _Routes(
        list_datamarts=Route("GET", "/api/v2/data-app/datamarts"),
        delete_datamart=Route("DELETE", "/api/v2/data-app/datamart"),
        get_semantic_layer=Route("GET", "/api/v2/data-app/datamarts/semantic-layer"),
        list_embeds=Route("GET", "/api/v2/data-app/embeds", is_retained=True),
    ),
    DatabrainApi.LEGACY: _Routes(
        list_datamarts=Route("POST", "/api/v2/dataApp/datamart/list"),
        delete_datamart=Route("POST", "/api/v2/dataApp/datamart/delete"),
        get_semantic_layer=Route("GET", "/api/v2/dataApp/datamarts/semantic-layer"),
        list_embeds=Route("POST", "/api/v2/dataApp/embed/list", is_retained=True),
    ),
}


class DatabrainClient:
    """Every method but `delete` raises a `DatabrainError` where Databrain refuses, fails or answers in another shape.

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
        self._api = api
        self._routes = _ROUTES[api]
        self._telemetry = telemetry
        self._transport = Transport(http, token=token, clock=clock, telemetry=telemetry)

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and read all of it.

        There is no read of one datamart (section 3). The list of names tells the page that holds it; where that page
        does not, pages are walked.
        """
        route, read = self._routes.list_datamarts, self._reader_of_datamarts(_LISTED_KEYS)
        entries = self._unpaginated(route, read)
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
        updates = (_time_field(entry, "updatedAt") for entry in entries)
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
        except NotFound as missing:
            if self._api is DatabrainApi.CURRENT:
                return EmbedListing((), ("the embeds",)), (missing,)
            return EmbedListing((), ("the embeds: this server has no list of data apps",)), ()
        except DatabrainError as error:
            return EmbedListing((), ("the embeds",)), (error,)
        if len(apps) > MAX_DATA_APPS:
            too_many = unexpected(self._routes.list_data_apps, f"at most {MAX_DATA_APPS} data apps", apps)
            return EmbedListing((), ("the embeds",)), (too_many,)
        with ThreadPoolExecutor(max_workers=MAX_CONCURRENCY) as pool:
            found = list(pool.map(self._embeds_of, apps))
        return (
            EmbedListing(
                embeds=tuple(embed for app in found for embed in app.embeds),
                gaps=tuple(gap for app in found for gap in app.gaps),
                data_apps=_creation_times(apps),
            ),
            tuple(app.failure for app in found if app.failure is not None),
        )

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt, None where it is no clear time.

        Nothing where a legacy server has no such list.
        """
        route = self._routes.list_data_apps
        try:
            return _creation_times(self._read_all(route, keep=_LISTED_KEYS))
        except NotFound:
            if self._api is DatabrainApi.CURRENT:
                raise
            return {}

    def fingerprint(self, identity: str) -> str:
        """As `Transport.fingerprint`."""
        return self._transport.fingerprint(identity)

    def place_of_secret(self, document: Json) -> str | None:
        """As `Transport.place_of_secret`."""
        return self._transport.place_of_secret(document)

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request, never a second one.

        Success is 200, `error` null or absent, and `id` the name (section 2).

        Raises:
            RetirementError: there is no token to send it with.
        """
        route, name = self._routes.delete_datamart, permit.snapshot.name
        try:
            answer = self._transport.change(route, {"datamartName": name})
        except NoEffect as refused:
            return DeleteAnswer(DeleteEffect.NONE, refused.failure)
        except InDoubt as lost:
            return DeleteAnswer(DeleteEffect.UNKNOWN, lost.failure)
        if answer.get("id") != name:
            return DeleteAnswer(DeleteEffect.UNKNOWN, unexpected(route, "id: the datamart's name", answer.get("id")))
        return DeleteAnswer(DeleteEffect.DONE)

    # ---- Datamarts -------------------------------------------------------------------------------------------------

    def _listing(self, entries: Sequence[Document]) -> Listing:
        route = self._routes.list_datamarts
        listing = Listing({text(route, entry, "name"): _time_field(entry) for entry in entries})
        if len(listing.created_at) != len(entries):
            raise DatabrainUnexpected("Databrain lists one name twice, and a name is all that a delete goes by")
        return listing

    def _entries_of_all(self, keep: frozenset[str]) -> Sequence[Document]:
        route, read = self._routes.list_datamarts, self._reader_of_datamarts(keep)
        return self._completed(route, read, self._unpaginated(route, read))

    def _reader_of_datamarts(self, keep: frozenset[str]) -> _Reader:
        return lambda page: self._datamarts(page=page, keep=keep)

    def _datamarts(self, *, page: int | None, keep: frozenset[str] | None) -> Sequence[Document]:
        """One page of the list, or all of it; expanded where all keys are kept."""
        route = self._routes.list_datamarts
        fields = _paging(route, page)
        if not route.takes_body and keep is not None:
            fields["expandDetails"] = "false"
        found = entries(route, self._transport.read(route, fields, unpaginated=page is None, keep=keep))
        if any(len(text(route, entry, "name")) > MAX_NAME_LENGTH for entry in found):
            raise DatabrainUnexpected(f"{route.path}: expected names of at most {MAX_NAME_LENGTH} characters")
        return found

    def _walk_for(self, name: str) -> Document | None:
        route = self._routes.list_datamarts
        pages = self._walk(route, lambda page: self._datamarts(page=page, keep=None))
        return next((entry for page in pages if (entry := _entry_of(route, name, page)) is not None), None)

    def _semantic_layer(self, name: str) -> Document | None:
        """Read the semantic layer; None where there is none (section 5: a 404)."""
        route = self._routes.get_semantic_layer
        try:
            layer = self._transport.read(route, {"datamartName": name}).get("data")
        except NotFound:
            return None
        if layer is None:
            return None
        if not isinstance(layer, Mapping) or layer.get("datamartName") != name:
            raise unexpected(route, "data: an object with the datamartName that was asked for", layer)
        return layer

    # ---- Embeds ----------------------------------------------------------------------------------------------------

    def _embeds_of(self, app: Document) -> "_AppEmbeds":
        route = self._routes.list_data_apps
        shown_name = repr(shortened(optional_text(app, "name") or ""))
        try:
            app_name = _query_value(route, text(route, app, "name"))
            named = _by_id(route, objects(route, app.get("embeds"), "embeds"))
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
        datamart_names = {embed_id: _named_datamarts(item) for embed_id, item in items.items()}
        counted = app.get("embedCount")
        if isinstance(counted, int) and counted > len(known):
            gaps.append(f"{counted - len(known)} embeds of the data app {shown_name}, which are counted and not named")
        elif counted is not None and type(counted) is not int:
            gaps.append(f"how many embeds the data app {shown_name} has")
        return _AppEmbeds(
            tuple(
                Embed(
                    embed_id=embed_id,
                    name=optional_text(embed, "name"),
                    data_app_name=app_name,
                    datamart_name=datamart_names[embed_id][0] if len(datamart_names.get(embed_id, ())) == 1 else None,
                    created_at=_time_field(named.get(embed_id, {})),
                    updated_at=_time_field(named.get(embed_id, {}), "updatedAt"),
                    item=items.get(embed_id),
                    is_contradictory=len(datamart_names.get(embed_id, ())) > 1,
                )
                for embed_id, embed in known.items()
            ),
            tuple(gaps),
            failure,
        )

    def _items_of(self, app_name: str) -> dict[str, Document]:
        """What List Embeds returns for a data app, by ID; nothing where no key of it works."""
        tokens, embeds = self._routes.list_api_tokens, self._routes.list_embeds
        for token in self._read_all(tokens, {"dataAppName": app_name})[:MAX_KEYS]:
            key = text(tokens, token, "key")
            if not is_bearer_token(key):
                continue
            try:
                items = self._read_all(embeds, key=key)
            except KeyRefused:
                continue
            return _by_id(embeds, items)
        return {}

    # ---- Requests --------------------------------------------------------------------------------------------------

    def _read_all(
        self,
        route: Route,
        fields: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        keep: frozenset[str] | None = None,
    ) -> Sequence[Document]:
        def read(page: int | None) -> Sequence[Document]:
            sent = {**(fields or {}), **_paging(route, page)}
            return entries(route, self._transport.read(route, sent, unpaginated=page is None, key=key, keep=keep))

        return self._completed(route, read, self._unpaginated(route, read))

    def _unpaginated(self, route: Route, read: _Reader) -> Sequence[Document]:
        """Read a list in one request; where its answer is too large, page by page."""
        try:
            return read(None)
        except BodyTooLarge:
            return self._walked(route, read)

    def _completed(self, route: Route, read: _Reader, entries: Sequence[Document]) -> Sequence[Document]:
        """Read the list by pages if it goes on after these entries, before anything is said not to be in it.

        A server that caps its lists, whatever was asked for, does it after whole pages, and after one at least. One
        that knows no pages shows the same entries again.
        """
        if not entries or len(entries) % PAGE_SIZE:
            return entries
        after = read(len(entries) // PAGE_SIZE + 1)
        return entries if all(entry in entries for entry in after) else self._walked(route, read)

    def _walked(self, route: Route, read: _Reader) -> Sequence[Document]:
        """Read page by page, until two walks agree.

        Pages shift when an entry goes meanwhile: one walk can miss another entry that is there all the time.
        """
        before = None
        for _ in range(MAX_WALKS):
            entries = [entry for page in self._walk(route, read) for entry in page]
            if entries == before:
                return entries
            before = entries
        raise DatabrainUnexpected(f"{route.path}: the list changes while its pages are read; try again")

    def _walk(self, route: Route, read: _Reader) -> Iterator[Sequence[Document]]:
        """Read pages side by side, up to the first that is not full."""
        self._telemetry.count(Metric.DATABRAIN_WALKS)
        with ThreadPoolExecutor(max_workers=MAX_CONCURRENCY) as pool:
            for first in range(1, MAX_PAGES, MAX_CONCURRENCY):
                for page in pool.map(read, range(first, first + MAX_CONCURRENCY)):
                    if len(page) > PAGE_SIZE:
                        raise unexpected(route, f"at most {PAGE_SIZE} entries in a page", page)
                    yield page
                    if len(page) < PAGE_SIZE:
                        return
        raise DatabrainUnexpected(f"{route.path} has more than {MAX_PAGES} pages")


@dataclass(frozen=True, slots=True)
class _AppEmbeds:
    embeds: tuple[Embed, ...]
    gaps: tuple[str, ...]
    failure: DatabrainError | None


def _creation_times(apps: Sequence[Document]) -> dict[str, datetime | None]:
    """When data apps were created, by name; one without a name is left out."""
    return {name: _time_field(app) for app in apps if (name := optional_text(app, "name"))}


def _by_id(route: Route, embeds: Sequence[Document]) -> dict[str, Document]:
    """Embeds by ID. One that comes twice says the same twice: nothing tells which of two is true."""
    found: dict[str, Document] = {}
    for embed in embeds:
        if found.setdefault(text(route, embed, "embedId"), embed) != embed:
            raise DatabrainUnexpected(f"{route.method} {route.path}: one embedId comes twice, with different content")
    return found


def _paging(route: Route, page: int | None) -> dict[str, Json]:
    """Section 1: texts in a query, a boolean and a number in a body."""
    if route.takes_body:
        return {"isPagination": False} if page is None else {"isPagination": True, "pageNumber": page}
    return {"isPagination": "false"} if page is None else {"isPagination": "true", "pageNumber": str(page)}


def _created_at(entry: Document) -> datetime | None:
    """When the datamart was created that is asked about; what is unclear is not the same as not told."""
    created_at = _time_field(entry)
    if created_at is None and entry.get("createdAt") is not None:
        raise DatabrainUnexpected(
            f"Databrain lists the datamart {entry['name']!r} with a createdAt that is no RFC 3339 time with offset, so "
            "nothing tells which one it is"
        )
    return created_at


def _entry_of(route: Route, name: str, page: Sequence[Document]) -> Document | None:
    """The expanded entry of this name on a page, if it is there."""
    entries = [entry for entry in page if entry.get("name") == name]
    if not entries:
        return None
    if len(entries) > 1:
        raise DatabrainUnexpected("Databrain shows one name twice, and a name is all that a delete goes by")
    (entry,) = entries
    # Without its tables an entry is a collapsed one, not one of an empty datamart (section 4).
    for table in objects(route, entry.get("datamartTables"), "datamartTables"):
        text(route, table, "tableName")
        objects(route, table.get("datamartTableColumns"), "datamartTableColumns")
    return entry


def _query_value(route: Route, name: str) -> str:
    """What can be a query's value."""
    if len(name) > MAX_NAME_LENGTH or any("\ud800" <= character <= "\udfff" for character in name):
        raise unexpected(route, f"name: a text of at most {MAX_NAME_LENGTH} characters, without lone surrogates", name)
    return name


def _named_datamarts(item: Document) -> list[str]:
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
    names: dict[str, str] = {}
    for where, field_name in places:
        if isinstance(where, Mapping) and (name := optional_text(where, field_name)) and name.strip():
            names.setdefault(folded(name), name)
    return list(names.values())


def _time_field(entry: Document, field_name: str = "createdAt") -> datetime | None:
    """When a list says that a datamart or an embed was created, or updated; None where it does not say so clearly."""
    try:
        return parse_timestamp(optional_text(entry, field_name) or "")
    except ValueError:
        return None
