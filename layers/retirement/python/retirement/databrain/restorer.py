"""The client of one attempt at a restore. Sections are those of docs/databrain-api.md.

It reads with the client of retirements and sends through the same transport, so that it creates with the token with
which it reads. It cannot delete.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import httpx

from retirement.canonical import Document, Json
from retirement.clock import Clock
from retirement.databrain.client import MAX_NAME_LENGTH, DatabrainClient
from retirement.databrain.creating import create_datamart, create_semantic_layer, without_effect
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.dependents import EmbedListing
from retirement.databrain.ports import Counter, DatabrainApi
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.databrain.transport import (
    InDoubt,
    KeyRefused,
    NoEffect,
    NotFound,
    Route,
    TokenSource,
    entries,
    text,
    unexpected,
)
from retirement.errors import DatabrainError, DatabrainUnexpected

# Milliseconds from now. A guest token cannot be revoked, so it expires after a minute.
GUEST_TOKEN_EXPIRY = 60_000
NO_CLIENT = "None"  # to Create Guest Token, this means no tenant

# Current name -> name in the legacy form of Create Embed.
_LEGACY_SPELLINGS = {"isAllowAiPilot": "isAllowAipilot", "tableTenancySettings": "tableList"}


@dataclass(frozen=True, slots=True)
class _Routes:
    create_embed: Route
    fetch_metrics: Route
    create_guest_token: Route = Route("POST", "/api/v2/guest-token/create")


# Section 8. Guest tokens have one form.
_ROUTES = {
    DatabrainApi.CURRENT: _Routes(
        create_embed=Route("POST", "/api/v2/data-app/embeds"),
        fetch_metrics=Route("GET", "/api/v2/data-app/metrics"),
    ),
    DatabrainApi.LEGACY: _Routes(
        create_embed=Route("POST", "/api/v2/dataApp/embed/create"),
        fetch_metrics=Route("POST", "/api/v2/dataApp/metrics"),
    ),
}


class DatabrainRestorer:
    """Implements `Restorer`.

    Args:
        http: from `http_client`.
        api: the routes that the server has.
        token: provides the service token.
        clock: limits waiting to the time that the invocation has left.
        telemetry: counts requests, retries and walks.
    """

    def __init__(
        self, http: httpx.Client, *, api: DatabrainApi, token: TokenSource, clock: Clock, telemetry: Counter
    ) -> None:
        self._api = api
        self._routes = _ROUTES[api]
        self._reads = DatabrainClient(http, api=api, token=token, clock=clock, telemetry=telemetry)
        self._transport = self._reads.transport
        self._keys: dict[str, list[str]] = {}  # by data app, without those that Databrain refused

    def find(self, name: str) -> Snapshot | Absent:
        """See `DatabrainClient.find`."""
        return self._reads.find(name)

    def list_datamarts(self) -> Listing:
        """See `DatabrainClient.list_datamarts`."""
        return self._reads.list_datamarts()

    def list_datasources(self) -> frozenset[str] | None:
        """See `DatabrainClient.list_datasources`."""
        return self._reads.list_datasources()

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """See `DatabrainClient.list_embeds`."""
        return self._reads.list_embeds()

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """See `DatabrainClient.list_data_apps`."""
        return self._reads.list_data_apps()

    def fingerprint(self, identity: str) -> str:
        """See `Transport.fingerprint`."""
        return self._transport.fingerprint(identity)

    def place_of_secret(self, document: Json) -> str | None:
        """See `Transport.place_of_secret`."""
        return self._transport.place_of_secret(document)

    def create_datamart(self, body: Document) -> CreateAnswer:
        """See `creating.create_datamart`."""
        return create_datamart(self._transport, self._api, body)

    def create_semantic_layer(self, body: Document) -> CreateAnswer:
        """See `creating.create_semantic_layer`."""
        return create_semantic_layer(self._transport, self._api, body)

    def create_embed(self, data_app_name: str, body: Document) -> CreateAnswer:
        """Send Create Embed with one key after another until one is not refused; success is 200 and `id` (section 8).

        Raises:
            DatabrainError: the keys of the data app could not be read.
        """
        route = self._routes.create_embed
        sent = body if self._api is DatabrainApi.CURRENT else _in_legacy_terms(body)
        refusal: DatabrainError = _no_key()
        for key in self._keys_of(data_app_name):
            try:
                embed_id = self._transport.change(route, sent, key=key).get("id")
            except NoEffect as refused:
                refusal = refused.failure
                if not isinstance(refusal, KeyRefused):
                    break
                self._keys[data_app_name].remove(key)
                continue
            except InDoubt as lost:
                return CreateAnswer(CreateEffect.UNKNOWN, lost.failure)
            if not isinstance(embed_id, str) or not 0 < len(embed_id) <= MAX_NAME_LENGTH:
                return CreateAnswer(CreateEffect.UNKNOWN, unexpected(route, "id: the embed's ID", embed_id))
            return CreateAnswer(CreateEffect.DONE, embed_id=embed_id)
        return without_effect(refusal, when_refused=(DatabrainUnexpected, KeyRefused))

    def show(self, data_app_name: str, embed_id: str) -> None:
        """Request a guest token for this embed alone, which expires within a minute, and fetch the embed's metrics.

        The token is always restricted and always expires. A second one is harmless, so a lost answer is retried like
        that of a read. An old server without Fetch Metrics answers 404; then only the token is checked.

        Raises:
            DatabrainError: it cannot be shown, or the check failed.
        """
        guest: Document = {
            "clientId": NO_CLIENT,
            "dataAppName": data_app_name,
            "params": {"allowedEmbeds": [embed_id]},
            "expiryTime": GUEST_TOKEN_EXPIRY,
        }
        route = self._routes.create_guest_token
        text(route, self._read_with_a_key(data_app_name, route, guest), "token")
        route = self._routes.fetch_metrics
        try:
            metrics = self._read_with_a_key(data_app_name, route, {"embedId": embed_id, "clientId": NO_CLIENT})
        except NotFound:
            return
        entries(route, metrics)

    def _read_with_a_key(self, data_app_name: str, route: Route, fields: Document) -> Document:
        refusal: DatabrainError = _no_key()
        for key in self._keys_of(data_app_name):
            try:
                return self._transport.read(route, fields, key=key)
            except KeyRefused as refused:
                refusal = refused
                self._keys[data_app_name].remove(key)
        raise refusal

    def _keys_of(self, data_app_name: str) -> tuple[str, ...]:
        if data_app_name not in self._keys:
            self._keys[data_app_name] = list(self._reads.data_app_keys(data_app_name))
        return tuple(self._keys[data_app_name])


def _no_key() -> KeyRefused:
    return KeyRefused("Databrain lists no key of the data app that can be used")


def _in_legacy_terms(body: Document) -> Document:
    """Return a body of Create Embed in its legacy form, which has neither `name` nor `joinModel` (section 8)."""
    settings = cast("Document", body["accessSettings"])
    kept = {key: value for key, value in settings.items() if key != "joinModel"}
    return {
        **{key: value for key, value in body.items() if key != "name"},
        "accessSettings": {_LEGACY_SPELLINGS.get(key, key): value for key, value in kept.items()},
    }
