"""The client that creates, on the local Databrain server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.databrain.faults import RouteId
from local.databrain.organisation import Embed
from local.databrain.seed import organisation_of
from local.databrain.state import Databrain
from retirement.databrain.creations import CreateAnswer, CreateEffect, Restorer
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.restorer import DatabrainRestorer
from retirement.databrain.snapshot import Snapshot
from retirement.databrain.transport import KeyRefused, NotFound
from retirement.errors import DatabrainError, DatabrainUnauthorized, DatabrainUnavailable, DatabrainUnexpected
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.seeds import EXPIRED_KEY, PORTAL_KEY, SECRETS, JsonObject, data_app, seed
from tests.fakes import LogicalClock, RecordingTelemetry

BODY: JsonObject = {
    "name": "sales",
    "datasourceName": "warehouse",
    "tableList": [{"name": "orders", "label": "Orders", "columns": [{"name": "id", "label": "ID"}]}],
}
LAYER: JsonObject = {"datamartName": "sales", "tables": [{"name": "orders", "description": "One row an order"}]}
EMBED: JsonObject = {
    "dashboardId": "overview",
    "embedType": "dashboard",
    "workspaceName": "Sales",
    "name": "Sales board",
    "accessSettings": {"datamartName": "returns", "isAllowManageMetrics": True, "isAllowAiPilot": True},
}
CREATES = {
    RouteId.CREATE_DATAMART: ("/api/v2/data-app/datamarts", "/api/v2/dataApp/datamart/create"),
    RouteId.CREATE_SEMANTIC_LAYER: (
        "/api/v2/data-app/datamarts/semantic-layer",
        "/api/v2/dataApp/datamarts/semantic-layer",
    ),
    RouteId.CREATE_EMBED: ("/api/v2/data-app/embeds", "/api/v2/dataApp/embed/create"),
}

# What a server may do to a create so that nobody knows whether it took effect.
DOUBTS: dict[str, JsonObject] = {
    "the answer is lost": {"fault": "lost_answer"},
    "the connection is cut before": {"fault": "refused"},
    "an error after the effect": {"fault": "status_after", "status": 500},
    "an error": {"fault": "status", "status": 503},
    "a time-out of the server": {"fault": "status", "status": 408},
    "broken JSON": {"fault": "broken_json"},
    "a page of HTML": {"fault": "html"},
    "a redirect": {"fault": "redirect", "location": "https://elsewhere.test"},
    "another shape": {"fault": "wrong_shape", "body": {"id": {"token": SECRETS[0]}, "error": None}},
    "no ID": {"fault": "wrong_shape", "body": {"error": None}},
    "another ID": {"fault": "wrong_shape", "body": {"id": "", "error": None}},
    "an error in a 200": {"fault": "wrong_shape", "body": {"id": "sales", "error": {"code": "X"}}},
}


@pytest.fixture
def organisation(databrain: Databrain) -> Databrain:
    """One datamart, `returns`, a datasource that knows the tables of `sales`, a workspace, and a data app with a board.

    The first key of the data app has expired.
    """
    app = data_app(
        "Portal & more",
        {"embedId": "board", "datamart": "returns", "dashboardId": "overview"},
        keys=(EXPIRED_KEY, PORTAL_KEY),
    )
    dashboard = {"dashboardId": "overview", "data": {"layout": [], "filters": [], "metrics": []}}
    databrain.organisation = organisation_of(
        {**seed("returns", apps=(app,)), "workspaces": [{"name": "Sales", "dashboards": [dashboard]}]}
    )
    databrain.organisation.datasources |= {"archive"}
    return databrain


@pytest.fixture
def restorer(
    organisation: Databrain,  # noqa: ARG001  # the server has to be as new
    http: httpx.Client,
    api: DatabrainApi,
    secret: RotatedSecret,
    clock: LogicalClock,
    telemetry: RecordingTelemetry,
) -> DatabrainRestorer:
    """The client of one attempt, on each of the route families."""
    return DatabrainRestorer(http, api=api, token=secret.token(), clock=clock, telemetry=telemetry)


def sent_to(databrain: Databrain, route: RouteId) -> list[Any]:
    """The bodies that the server got on one of the routes that create, in order."""
    return [
        request["body"]
        for request in databrain.requests
        if request["method"] == "POST" and request["path"] in CREATES[route]
    ]


def create(restorer: DatabrainRestorer, route: RouteId) -> CreateAnswer:
    """Create one thing that can be created."""
    if route is RouteId.CREATE_DATAMART:
        return restorer.create_datamart(BODY)
    if route is RouteId.CREATE_SEMANTIC_LAYER:
        return restorer.create_semantic_layer(LAYER | {"datamartName": "returns"})
    return restorer.create_embed("Portal & more", EMBED)


def embeds_of(databrain: Databrain) -> list[Embed]:
    """The embeds of the data app that were not there at first."""
    return [*databrain.organisation.data_apps["Portal & more"].embeds[1:]]


def test_it_is_the_port(restorer: DatabrainRestorer) -> None:
    """The client is what a restore needs, and neither of the two can delete: mypy says so of both, too."""
    port: Restorer = restorer
    with pytest.raises(AttributeError):
        port.delete  # type: ignore[attr-defined]  # noqa: B018  # without the error this comment would be one
    with pytest.raises(AttributeError):
        restorer.delete  # type: ignore[attr-defined]  # noqa: B018  # the same


def test_a_datamart(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """A datamart is created by one request, and found then as it was sent."""
    assert restorer.create_datamart(BODY) == CreateAnswer(CreateEffect.DONE)
    assert sent_to(organisation, RouteId.CREATE_DATAMART) == [BODY]
    found = restorer.find("sales")
    assert isinstance(found, Snapshot)
    assert found.entry["companyIntegration"] == {"name": "warehouse"}
    assert "sales" in restorer.list_datamarts()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("api", [DatabrainApi.CURRENT])
def test_hostile_names(restorer: DatabrainRestorer, organisation: Databrain, name: str) -> None:
    """A datamart and its layer get a name of any script to the code point."""
    assert restorer.create_datamart(BODY | {"name": name}).effect is CreateEffect.DONE
    assert restorer.create_semantic_layer(LAYER | {"datamartName": name}).effect is CreateEffect.DONE
    assert list(organisation.organisation.datamarts) == ["returns", name]


def test_a_semantic_layer(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """A layer is created by one request, and a second one is refused."""
    restorer.create_datamart(BODY)
    assert restorer.create_semantic_layer(LAYER) == CreateAnswer(CreateEffect.DONE)
    assert sent_to(organisation, RouteId.CREATE_SEMANTIC_LAYER) == [LAYER]
    again = restorer.create_semantic_layer(LAYER)
    assert again.effect is CreateEffect.REFUSED
    assert str(again.error).endswith("HTTP 400 INVALID_REQUEST_BODY; expected 200")


def test_an_embed(restorer: DatabrainRestorer, organisation: Databrain, api: DatabrainApi) -> None:
    """An embed is created with a key that still works; its ID is what the answer says.

    The legacy form has other spellings, and no name.
    """
    answer = restorer.create_embed("Portal & more", EMBED)
    (embed,) = embeds_of(organisation)
    assert answer == CreateAnswer(CreateEffect.DONE, embed_id=embed.embed_id)
    assert (embed.datamart, embed.target, embed.workspace) == ("returns", "overview", "Sales")
    assert embed.name == ("Sales board" if api is DatabrainApi.CURRENT else embed.embed_id)
    settings = embed.access_settings
    assert (settings["isAllowManageMetrics"], settings["isAllowAiPilot"]) == (True, True)
    assert not settings["isAllowMetricDeletion"]


def test_tenancy_and_join_model(restorer: DatabrainRestorer, organisation: Databrain, api: DatabrainApi) -> None:
    """What tells tenants apart gets there by either form, the join model by the current one."""
    settings = {
        "datamartName": "returns",
        "joinModel": "multi",
        "tableTenancySettings": [{"name": "orders", "clientColumn": "tenant"}],
    }
    assert restorer.create_embed("Portal & more", EMBED | {"accessSettings": settings}).effect is CreateEffect.DONE
    (embed,) = embeds_of(organisation)
    assert embed.access_settings["tableTenancySettings"] == [{"name": "orders", "clientColumn": "tenant"}]
    assert embed.access_settings["joinModel"] == ("multi" if api is DatabrainApi.CURRENT else "single")


def test_a_key_is_refused_once(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """A key that is refused is not tried again in this attempt, and the list of keys is read once."""
    for _ in range(2):
        restorer.create_embed("Portal & more", EMBED)
    assert len(sent_to(organisation, RouteId.CREATE_EMBED)) == 3
    assert [request["path"] for request in organisation.requests].count("/api/v2/data-app/api-tokens") == 1


def test_no_key(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """Where no key works nothing is created, which is certain."""
    organisation.organisation.data_apps |= organisation_of(
        seed(apps=(data_app("Keyless", keys=()), data_app("Expired", keys=(EXPIRED_KEY,))))
    ).data_apps
    for app in ("Keyless", "Expired"):
        answer = restorer.create_embed(app, EMBED)
        assert (answer.effect, type(answer.error)) == (CreateEffect.REFUSED, KeyRefused)
        with pytest.raises(KeyRefused):
            restorer.show(app, "board")


def test_an_unknown_data_app(restorer: DatabrainRestorer) -> None:
    """Of a data app that is gone there are no keys, and nothing was sent."""
    with pytest.raises(DatabrainUnexpected, match="DATA_APP_NOT_FOUND"):
        restorer.create_embed("gone", EMBED)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (BODY | {"name": "returns"}, "INVALID_REQUEST_BODY"),
        (BODY | {"datasourceName": "Warehouse"}, "DATASOURCE_NAME_ERROR"),
        (BODY | {"tableList": []}, "INVALID_REQUEST_BODY"),
        (BODY | {"datasourceName": "archive"}, "INVALID_REQUEST_BODY"),
    ],
)
def test_a_datamart_that_is_refused(restorer: DatabrainRestorer, body: JsonObject, code: str) -> None:
    """A 4xx says for certain that nothing was created: the name is taken, or the datasource does not have it."""
    answer = restorer.create_datamart(body)
    assert (answer.effect, type(answer.error)) == (CreateEffect.REFUSED, DatabrainUnexpected)
    assert code in str(answer.error)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"workspaceName": "gone"}, "INVALID_WORKSPACE_NAME"),
        ({"dashboardId": "gone"}, "INVALID_DASHBOARD_ID"),
        ({"accessSettings": {"datamartName": "gone"}}, "INVALID_DATAMART"),
    ],
)
def test_an_embed_that_is_refused(
    restorer: DatabrainRestorer, organisation: Databrain, fields: JsonObject, code: str
) -> None:
    """A 4xx says for certain that no embed was created, and no further key is tried."""
    answer = restorer.create_embed("Portal & more", EMBED | fields)
    assert answer.effect is CreateEffect.REFUSED
    assert isinstance(answer.error, DatabrainUnexpected)
    assert code in str(answer.error)
    assert embeds_of(organisation) == []


@pytest.mark.parametrize("route", CREATES)
@pytest.mark.parametrize("doubt", DOUBTS)
def test_doubt(restorer: DatabrainRestorer, organisation: Databrain, route: RouteId, doubt: str) -> None:
    """Anything but a clear answer leaves doubt; the request is not sent again, and no word of a server is repeated."""
    organisation.faults.replace([{"route": route.value, "skip": int(route is RouteId.CREATE_EMBED), **DOUBTS[doubt]}])
    answer = create(restorer, route)
    assert answer.effect is CreateEffect.UNKNOWN
    assert answer.error is not None
    assert not any(secret in str(answer.error) for secret in SECRETS)
    refused_keys = int(route is RouteId.CREATE_EMBED)
    assert len(sent_to(organisation, route)) == 1 + refused_keys


@pytest.mark.parametrize("route", CREATES)
def test_throttled(restorer: DatabrainRestorer, organisation: Databrain, route: RouteId) -> None:
    """A 429 had no effect, says how long to wait, and is not waited for here."""
    organisation.faults.replace([{"route": route.value, "fault": "status", "status": 429, "retryAfter": 7}])
    answer = create(restorer, route)
    assert answer.effect is CreateEffect.NONE
    assert isinstance(answer.error, DatabrainUnavailable)
    assert answer.error.retry_after == 7
    assert len(sent_to(organisation, route)) == 1


@pytest.mark.parametrize(
    ("route", "effect"),
    [
        (RouteId.CREATE_DATAMART, CreateEffect.NONE),
        (RouteId.CREATE_SEMANTIC_LAYER, CreateEffect.REFUSED),
        (RouteId.CREATE_EMBED, CreateEffect.REFUSED),
    ],
)
def test_no_such_route(
    restorer: DatabrainRestorer, organisation: Databrain, route: RouteId, effect: CreateEffect
) -> None:
    """A server that cannot create datamarts is the wrong one; without layers or embeds it is an old one."""
    organisation.faults.replace([{"route": route.value, "fault": "status", "status": 404}])
    answer = create(restorer, route)
    assert (answer.effect, type(answer.error)) == (effect, NotFound)


@pytest.mark.parametrize("route", [RouteId.CREATE_DATAMART, RouteId.CREATE_SEMANTIC_LAYER])
def test_the_token_is_refused(
    restorer: DatabrainRestorer, organisation: Databrain, route: RouteId, secret: RotatedSecret
) -> None:
    """A create never goes out with a second token: the next attempt reads it anew."""
    restorer.list_datamarts()
    organisation.faults.replace([{"route": route.value, "fault": "token_refused"}])
    answer = create(restorer, route)
    assert (answer.effect, isinstance(answer.error, DatabrainUnauthorized)) == (CreateEffect.NONE, True)
    assert len(sent_to(organisation, route)) == 1
    assert secret.reads == 1


def test_datasources(restorer: DatabrainRestorer) -> None:
    """Datasources are listed by their names."""
    assert restorer.list_datasources() == frozenset({"warehouse", "archive"})


def test_no_list_of_datasources(restorer: DatabrainRestorer, organisation: Databrain, api: DatabrainApi) -> None:
    """A legacy server may have no list of datasources; of a current one a 404 is an error."""
    organisation.faults.replace([{"route": "list_datasources", "fault": "status", "status": 404}])
    if api is DatabrainApi.LEGACY:
        assert restorer.list_datasources() is None
        return
    with pytest.raises(NotFound):
        restorer.list_datasources()


def test_an_embed_is_shown(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """An embed is shown by a guest token for it alone, which expires within a minute."""
    before = datetime.now(UTC)
    restorer.show("Portal & more", "board")
    ((value, token),) = organisation.organisation.guest_tokens.items()
    assert (token.data_app, token.client_id, token.allowed_embeds) == ("Portal & more", "None", ("board",))
    assert token.expires_at is not None
    assert token.expires_at - before < timedelta(seconds=90)
    assert organisation.organisation.why_not_shown(value, "board", before) is None


@pytest.mark.parametrize(
    ("embed_id", "server", "fault", "expected"),
    [
        ("gone", {}, None, "EMBED_PARAM_ERROR"),
        ("board", {"takesAllowedEmbeds": False}, None, "INVALID_REQUEST_BODY"),
        ("board", {}, {"route": "create_guest_token", "fault": "wrong_shape", "body": {"token": ""}}, "token: a text"),
        ("board", {}, {"route": "create_guest_token", "fault": "status", "status": 503}, "HTTP 503"),
        ("board", {}, {"route": "fetch_metrics", "fault": "wrong_shape", "body": {"data": None}}, "data: a list"),
        ("board", {}, {"route": "fetch_metrics", "fault": "status", "status": 500}, "HTTP 500"),
    ],
)
def test_an_embed_that_cannot_be_shown(
    restorer: DatabrainRestorer,
    organisation: Databrain,
    embed_id: str,
    server: dict[str, bool],
    fault: JsonObject | None,
    expected: str,
) -> None:
    """An embed that cannot be shown is an error that says why; no token is asked for that is not restricted."""
    app, workspaces = organisation.organisation.data_apps, organisation.organisation.workspaces
    organisation.organisation = organisation_of(seed() | {"server": server})
    organisation.organisation.data_apps, organisation.organisation.workspaces = app, workspaces
    organisation.faults.replace([] if fault is None else [fault])
    with pytest.raises(DatabrainError, match=expected):
        restorer.show("Portal & more", embed_id)
    asked = [request["body"] for request in organisation.requests if request["path"] == "/api/v2/guest-token/create"]
    assert asked
    assert all(body["params"] == {"allowedEmbeds": [embed_id]} and body["expiryTime"] == 60_000 for body in asked)


def test_an_old_server_without_metrics(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """Where there is no Fetch Metrics, the guest token has to do."""
    organisation.faults.replace([{"route": "fetch_metrics", "fault": "status", "status": 404}])
    restorer.show("Portal & more", "board")


def test_secrets_of_the_attempt(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """A key that something was created with is found in what would be stored."""
    restorer.create_embed("Portal & more", EMBED)
    assert restorer.place_of_secret({"labels": ["fine", f"a {PORTAL_KEY} b"]}) == "labels[1]"
    assert embeds_of(organisation)
    assert len(restorer.fingerprint("x")) == 16
    assert restorer.list_data_apps().keys() == {"Portal & more"}
    assert next(embed.embed_id for embed in restorer.list_embeds()[0].embeds) == "board"


def test_names_of_data_apps(restorer: DatabrainRestorer, organisation: Databrain) -> None:
    """An embed is created and shown in a data app of any name."""
    for number, name in enumerate(HOSTILE_NAMES):
        app = data_app(name, {"embedId": f"embed-{number}", "datamart": None}, keys=(f"made-up-key-{number}",))
        organisation.organisation.data_apps |= organisation_of(seed(apps=(app,))).data_apps
        assert restorer.create_embed(name, EMBED).effect is CreateEffect.DONE
        restorer.show(name, f"embed-{number}")
