"""The client of Databrain's REST API for one attempt. Sections are those of docs/databrain-api.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import httpx

from retirement.canonical import MAX_DEPTH, Document, Json, is_deeper
from retirement.clock import Clock
from retirement.databrain.copies import CopyPermit, RehearsalPermit
from retirement.databrain.creating import create_datamart, create_semantic_layer
from retirement.databrain.creations import CreateAnswer
from retirement.databrain.dependents import Embed, EmbedListing
from retirement.databrain.permits import DeletePermit
from retirement.databrain.ports import Counter, DatabrainApi, DeleteAnswer, DeleteEffect, Metric, Unread
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.databrain.tokens import is_bearer_token
from retirement.databrain.transport import (
    MAX_CONCURRENCY,
    InDoubt,
    KeyRefused,
    NoEffect,
    NotFound,
    Refused,
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
MAX_PAGES = 10_000  # ten times the expected number of datamarts
MAX_NAME_LENGTH = 1_000  # characters; a request can name at most 256, and all names stay in memory

MAX_WALKS = 3  # two have to agree
# Each takes two requests, and the function's time allows not many more.
MAX_DATA_APPS = 1_000
MAX_KEYS = 100  # keys of one data app, tried one after the other
MAX_WORKSPACES = 100  # a request each
MAX_EXPORT_DEPTH = MAX_DEPTH - 3  # a backup, which is read again, holds it three levels down

# updatedAt is read only where it is needed, because it can differ between two walks that have to agree.
_LISTED_KEYS = frozenset({"data", "error", "name", "createdAt"})
_DATED_KEYS = _LISTED_KEYS | {"updatedAt"}


# Reads one page of a list, or all of it if the number is None.
_Reader: TypeAlias = Callable[[int | None], Sequence[Document]]


@dataclass(frozen=True, slots=True)
class _Routes:
    list_datamarts: Route
    delete_datamart: Route
    get_semantic_layer: Route
    list_embeds: Route
    list_data_apps: Route = Route("GET", "/api/v2/data-app", is_retained=True)
    list_api_tokens: Route = Route("GET", "/api/v2/data-app/api-tokens", is_retained=True, holds_keys=True)
    list_datasources: Route = Route("GET", "/api/v2/datasource")
    export_embed: Route = Route("GET", "/api/v2/data-app/embeds/export", for_backup=True)
    list_workspaces: Route = Route("GET", "/api/v2/workspace", for_backup=True)
    list_dashboards: Route = Route("POST", "/api/v2/workspace/dashboards", for_backup=True)


# Sections 2, 3, 5, 6 and 7. Data apps, their keys, exports and workspaces have no documented legacy form.
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
    """Implements the ports `Databrain` and `DatabrainLists` over HTTP.

    Args:
        http: a client that `http_client` returned.
        api: the route family of the server.
        token: provides the service token.
        clock: bounds waits by the time that the invocation has left.
        telemetry: counts requests, retries and walks.
    """

    def __init__(
        self, http: httpx.Client, *, api: DatabrainApi, token: TokenSource, clock: Clock, telemetry: Counter
    ) -> None:
        self._api = api
        self._routes = _ROUTES[api]
        self._telemetry = telemetry
        self._transport = Transport(http, token=token, clock=clock, telemetry=telemetry)
        self._keys = _DataAppKeys()

    def find(self, name: str) -> Snapshot | Absent:
        """Find the datamart of exactly this name, and read all of it.

        The API cannot read one datamart (section 3). Its place in the list of names gives the page to read; if it is
        not on that page, all pages are walked.
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
            raise DatabrainUnexpected("Databrain lists the datamart's name, but no page of the list has it; try again")
        return Snapshot(name, _created_at(entry), entry, semantic_layer, listing)

    def list_datamarts(self) -> Listing:
        """List all names; a time that is not clear is None. If the server may cap the list, it is read by pages too."""
        return self._listing(self._entries_of_all(_LISTED_KEYS))

    def list_datamarts_with_updates(self) -> Listing:
        """List all names, with updatedAt."""
        entries = self._entries_of_all(_DATED_KEYS)
        listing = self._listing(entries)
        updates = (_time_field(entry, "updatedAt") for entry in entries)
        return replace(listing, updated_at=dict(zip(listing.created_at, updates, strict=True)))

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """List the embeds of all data apps, concurrently, each data app with its own key; and the failures.

        An embed that the list of data apps names but List Embeds does not return has no `item`.

        Raises:
            DatabrainUnauthorized: Databrain refuses the service token, which ends the attempt.
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

    def export_embeds(self, embeds: Sequence[Embed], *, leave: float) -> Sequence[Document | Unread]:
        """Export embeds, side by side, each with the key by which its data app's embeds were listed.

        What the server would say again, and what a backup has no room for, is no `failure`.
        """
        with ThreadPoolExecutor(max_workers=MAX_CONCURRENCY) as pool:
            return list(pool.map(lambda embed: self._export_of(embed, leave), embeds))

    def find_workspaces(self, *, leave: float) -> Mapping[str, Sequence[str]] | Unread:
        """List the dashboards of all workspaces, side by side, if there are at most `MAX_WORKSPACES`.

        Which workspaces have a dashboard is known only where all of them were read.
        """
        try:
            route = self._routes.list_workspaces
            workspaces = self._read_all(route, leave=leave)
            names = [text(route, workspace, "name") for workspace in workspaces]
            if len(names) > MAX_WORKSPACES:
                return Unread(f"there are more than {MAX_WORKSPACES} workspaces")
            if not all(map(_is_sendable, names)):
                return Unread("the name of a workspace cannot be sent")
            with ThreadPoolExecutor(max_workers=MAX_CONCURRENCY) as pool:
                found = list(pool.map(lambda name: self._dashboards_of(name, leave), names))
        except DatabrainError as error:
            return _unread(error)
        holders: dict[str, list[str]] = {}
        for name, dashboards in zip(names, found, strict=True):
            for dashboard in dashboards:
                holders.setdefault(dashboard, []).append(name)
        return holders

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt; empty if a legacy server has no such list."""
        route = self._routes.list_data_apps
        try:
            return _creation_times(self._read_all(route, keep=_LISTED_KEYS))
        except NotFound:
            if self._api is DatabrainApi.CURRENT:
                raise
            return {}

    def fingerprint(self, identity: str) -> str:
        """Return what `Transport.fingerprint` does."""
        return self._transport.fingerprint(identity)

    def place_of_secret(self, document: Json) -> str | None:
        """Return what `Transport.place_of_secret` does."""
        return self._transport.place_of_secret(document)

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request. Success is 200 without `error`, with the name as `id` (section 2)."""
        return self._delete(permit.snapshot.name)

    def create_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        """See `creating.create_datamart`."""
        return create_datamart(self._transport, self._api, permit.create_body)

    def create_layer_of_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        """See `creating.create_semantic_layer`."""
        if permit.create_layer_body is None:
            raise TypeError("the datamart has no semantic layer")
        return create_semantic_layer(self._transport, self._api, permit.create_layer_body)

    def delete_copy(self, permit: CopyPermit) -> DeleteAnswer:
        """Do as `delete`."""
        return self._delete(permit.copy.name)

    def _delete(self, name: str) -> DeleteAnswer:
        route = self._routes.delete_datamart
        try:
            answer = self._transport.change(route, {"datamartName": name})
        except NoEffect as refused:
            return DeleteAnswer(DeleteEffect.NONE, refused.failure)
        except InDoubt as lost:
            return DeleteAnswer(DeleteEffect.UNKNOWN, lost.failure)
        if answer.get("id") != name:
            return DeleteAnswer(DeleteEffect.UNKNOWN, unexpected(route, "id: the datamart's name", answer.get("id")))
        return DeleteAnswer(DeleteEffect.DONE)

    # ---- For a restore ---------------------------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        """The transport of this attempt, so that requests that create are sent with the token of the reads."""
        return self._transport

    def list_datasources(self) -> frozenset[str] | None:
        """List the names of the datasources (section 8); None if a legacy server has no such list."""
        route = self._routes.list_datasources
        try:
            found = self._read_all(route, keep=_LISTED_KEYS)
        except NotFound:
            if self._api is DatabrainApi.CURRENT:
                raise
            return None
        return frozenset(text(route, datasource, "name") for datasource in found)

    def data_app_keys(self, data_app_name: str) -> Sequence[str]:
        """List the keys of a data app that can be sent; Databrain may refuse some, since expired keys are listed."""
        route = self._routes.list_api_tokens
        listed = self._read_all(route, {"dataAppName": data_app_name})[:MAX_KEYS]
        return [key for token in listed if is_bearer_token(key := text(route, token, "key"))]

    # ---- Datamarts -------------------------------------------------------------------------------------------------

    def _listing(self, entries: Sequence[Document]) -> Listing:
        route = self._routes.list_datamarts
        listing = Listing({text(route, entry, "name"): _time_field(entry) for entry in entries})
        if len(listing.created_at) != len(entries):
            raise DatabrainUnexpected(
                "Databrain lists one name twice, and a delete names only that: remove one by hand"
            )
        return listing

    def _entries_of_all(self, keep: frozenset[str]) -> Sequence[Document]:
        route, read = self._routes.list_datamarts, self._reader_of_datamarts(keep)
        return self._completed(route, read, self._unpaginated(route, read))

    def _reader_of_datamarts(self, keep: frozenset[str]) -> _Reader:
        return lambda page: self._datamarts(page=page, keep=keep)

    def _datamarts(self, *, page: int | None, keep: frozenset[str] | None) -> Sequence[Document]:
        """Return one page of the list, or all of it if `page` is None; entries are expanded if `keep` is None."""
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
        """Return the semantic layer, or None if there is none (section 5: a 404)."""
        route = self._routes.get_semantic_layer
        try:
            layer = self._transport.read(route, {"datamartName": name}).get("data")
        except NotFound:
            return None
        if layer is None:
            return None
        if not isinstance(layer, Mapping) or layer.get("datamartName") != name:
            raise unexpected(route, "data: an object with the requested datamartName", layer)
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
            gaps.append(f"{counted - len(known)} embeds of the data app {shown_name}, which are counted but not named")
        elif counted is not None and type(counted) is not int:
            gaps.append(f"the number of embeds of the data app {shown_name}")
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
        """Return what List Embeds returns for a data app, by ID; empty if none of its keys is accepted."""
        tokens, embeds = self._routes.list_api_tokens, self._routes.list_embeds
        for token in self._read_all(tokens, {"dataAppName": app_name})[:MAX_KEYS]:
            key = text(tokens, token, "key")
            if not is_bearer_token(key):
                continue
            try:
                items = self._read_all(embeds, key=key)
            except KeyRefused:
                continue
            self._keys.add(app_name, key)
            return _by_id(embeds, items)
        return {}

    def _export_of(self, embed: Embed, leave: float) -> Document | Unread:
        route, key = self._routes.export_embed, self._keys.of(embed.data_app_name)
        if key is None:
            return Unread("no key of its data app is accepted")
        if not _is_sendable(embed.embed_id):
            return Unread("its ID cannot be sent")
        try:
            export = self._transport.read(route, {"embedId": embed.embed_id}, key=key, leave=leave)
        except DatabrainError as error:
            return _unread(error)
        return Unread("it is nested too deeply") if is_deeper(export, MAX_EXPORT_DEPTH) else export

    def _dashboards_of(self, workspace: str, leave: float) -> set[str]:
        """The IDs of its dashboards. No paging is documented; it is asked for where the list may have been capped."""
        route = self._routes.list_dashboards

        def read(page: int | None) -> Sequence[Document]:
            fields = {"workspaceName": workspace, **({} if page is None else _paging(route, page))}
            return entries(route, self._transport.read(route, fields, unpaginated=page is None, leave=leave))

        dashboards = self._completed(route, read, self._unpaginated(route, read))
        found = (optional_text(dashboard, "externalDashboardId") for dashboard in dashboards)
        return {dashboard_id for dashboard_id in found if dashboard_id}

    # ---- Requests --------------------------------------------------------------------------------------------------

    def _read_all(
        self,
        route: Route,
        fields: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        keep: frozenset[str] | None = None,
        leave: float = 0.0,
    ) -> Sequence[Document]:
        def read(page: int | None) -> Sequence[Document]:
            sent = {**(fields or {}), **_paging(route, page)}
            answer = self._transport.read(route, sent, unpaginated=page is None, key=key, keep=keep, leave=leave)
            return entries(route, answer)

        return self._completed(route, read, self._unpaginated(route, read))

    def _unpaginated(self, route: Route, read: _Reader) -> Sequence[Document]:
        """Read a list in one request, or page by page if the answer is too large."""
        try:
            return read(None)
        except BodyTooLarge:
            return self._walked(route, read)

    def _completed(self, route: Route, read: _Reader, entries: Sequence[Document]) -> Sequence[Document]:
        """Read the list by pages if it continues after these entries: otherwise an entry could seem to be absent.

        A server may cap its lists, although all was requested, but only after one or more whole pages. A server without
        pages returns the same entries again.
        """
        if not entries or len(entries) % PAGE_SIZE:
            return entries
        after = read(len(entries) // PAGE_SIZE + 1)
        return entries if all(entry in entries for entry in after) else self._walked(route, read)

    def _walked(self, route: Route, read: _Reader) -> Sequence[Document]:
        """Read all pages until two walks agree.

        Pages shift if an entry is deleted meanwhile, so a single walk can miss an entry that is there all the time.
        """
        before = None
        for _ in range(MAX_WALKS):
            entries = [entry for page in self._walk(route, read) for entry in page]
            if entries == before:
                return entries
            before = entries
        raise DatabrainUnexpected(f"{route.path}: the list changed while its pages were read; try again")

    def _walk(self, route: Route, read: _Reader) -> Iterator[Sequence[Document]]:
        """Read pages concurrently, up to the first that is not full."""
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


class _DataAppKeys:
    """The keys that list the embeds of their data apps; they are in no `repr`."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def add(self, app_name: str, key: str) -> None:
        self._keys[app_name] = key

    def of(self, app_name: str) -> str | None:
        return self._keys.get(app_name)


@dataclass(frozen=True, slots=True)
class _AppEmbeds:
    embeds: tuple[Embed, ...]
    gaps: tuple[str, ...]
    failure: DatabrainError | None


def _unread(error: DatabrainError) -> Unread:
    is_final = isinstance(error, Refused | BodyTooLarge)
    return Unread(str(error), None if is_final else error)


def _creation_times(apps: Sequence[Document]) -> dict[str, datetime | None]:
    """Return when data apps were created, by name; those without a name are left out."""
    return {name: _time_field(app) for app in apps if (name := optional_text(app, "name"))}


def _by_id(route: Route, embeds: Sequence[Document]) -> dict[str, Document]:
    """Return embeds by ID. Two entries with one ID have to be equal, because it is unknown which one is true."""
    found: dict[str, Document] = {}
    for embed in embeds:
        if found.setdefault(text(route, embed, "embedId"), embed) != embed:
            raise DatabrainUnexpected(f"{route.method} {route.path}: two different embeds have one embedId")
    return found


def _paging(route: Route, page: int | None) -> dict[str, Json]:
    """Return the fields for paging: texts in a query, a boolean and a number in a body (section 1)."""
    if route.takes_body:
        return {"isPagination": False} if page is None else {"isPagination": True, "pageNumber": page}
    return {"isPagination": "false"} if page is None else {"isPagination": "true", "pageNumber": str(page)}


def _created_at(entry: Document) -> datetime | None:
    """Return when the datamart was created, or None if Databrain does not say; an unclear time is an error."""
    created_at = _time_field(entry)
    if created_at is None and entry.get("createdAt") is not None:
        raise DatabrainUnexpected(
            f"Databrain lists the datamart {entry['name']!r} with a createdAt that is not an RFC 3339 time with "
            "offset, so it cannot be recognised"
        )
    return created_at


def _entry_of(route: Route, name: str, page: Sequence[Document]) -> Document | None:
    """Return the expanded entry of this name on a page, or None."""
    entries = [entry for entry in page if entry.get("name") == name]
    if not entries:
        return None
    if len(entries) > 1:
        raise DatabrainUnexpected("Databrain shows one name twice, and a delete names only that: remove one by hand")
    (entry,) = entries
    # An entry without tables is a collapsed one, not that of an empty datamart (section 4).
    for table in objects(route, entry.get("datamartTables"), "datamartTables"):
        text(route, table, "tableName")
        objects(route, table.get("datamartTableColumns"), "datamartTableColumns")
    return entry


def _query_value(route: Route, name: str) -> str:
    """Return the name if it can be the value of a query."""
    if not _is_sendable(name):
        raise unexpected(route, f"name: a text of at most {MAX_NAME_LENGTH} characters, without lone surrogates", name)
    return name


def _is_sendable(name: str) -> bool:
    return len(name) <= MAX_NAME_LENGTH and not any("\ud800" <= character <= "\udfff" for character in name)


def _named_datamarts(item: Document) -> list[str]:
    """Return the datamarts that an embed's fields name (section 6); names that `folded` equates are one."""
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
    """Return a time in an entry, or None if it is missing or not clear."""
    try:
        return parse_timestamp(optional_text(entry, field_name) or "")
    except ValueError:
        return None
