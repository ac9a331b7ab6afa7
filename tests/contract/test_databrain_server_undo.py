"""What the local Databrain server has for bringing a datamart and its embeds back."""

import copy
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from local.databrain.organisation import ConnectionType
from local.databrain.seed import organisation_of, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError
from tests.contract.databrain_calls import bearer, error_of, names_in, put_faults
from tests.contract.hostile_names import HOSTILE_NAMES

JsonObject = dict[str, Any]

SERVICE = "a-service-token"
PORTAL_KEY = "key-of-the-portal"
EXPIRED_KEY = "old-key-of-the-portal"
INTRANET_KEY = "key-of-the-intranet"

DATAMARTS = "/api/v2/data-app/datamarts"
DATAMART = "/api/v2/data-app/datamart"
SEMANTIC_LAYER = "/api/v2/data-app/datamarts/semantic-layer"
EMBEDS = "/api/v2/data-app/embeds"
EXPORT = "/api/v2/data-app/embeds/export"
LEGACY_CREATE_EMBED = "/api/v2/dataApp/embed/create"
LEGACY_LIST_EMBEDS = "/api/v2/dataApp/embed/list"
DATASOURCES = "/api/v2/datasource"
WORKSPACES = "/api/v2/workspace"
DASHBOARDS = "/api/v2/workspace/dashboards"
METRICS = "/api/v2/data-app/metrics"
LEGACY_METRICS = "/api/v2/dataApp/metrics"
GUEST_TOKEN = "/api/v2/guest-token/create"

# What an export holds of the dashboard `overview`.
REVENUE = {"metricId": "revenue", "name": "Revenue", "query": "SELECT sum(total) FROM public.orders"}
OVERVIEW = {
    "layout": [{"i": "revenue", "x": 0, "y": 0, "w": 6, "h": 4}],
    "filters": [{"name": "Month", "applyOnTables": [{"tableName": "public.orders", "columnName": "ordered_at"}]}],
    "metrics": [REVENUE],
    "theme": {"palette": ["#0af"]},
}


@pytest.fixture(scope="module")
def running() -> Iterator[Databrain]:
    """One server for all tests of this module."""
    with serve(seed()) as databrain:
        yield databrain


@pytest.fixture(scope="module")
def client(running: Databrain) -> Iterator[httpx.Client]:
    """A client that sends the service token unless told otherwise."""
    with httpx.Client(base_url=running.url, headers=bearer(SERVICE), timeout=10) as client:
        yield client


@pytest.fixture(autouse=True)
def databrain(running: Databrain) -> Databrain:
    """The server, for each test as it was at its start."""
    running.organisation = organisation_of(seed())
    running.faults.clear()
    running.requests.clear()
    return running


def datamart(name: str, **more: object) -> JsonObject:
    """Return a seed's datamart with one table."""
    tables = [
        {
            "schemaName": "public",
            "tableName": "orders",
            "clientColumn": "tenant_id",
            "datamartTableColumns": [
                {"columnName": "id", "datatype": "integer"},
                {"columnName": "total", "datatype": "numeric"},
            ],
        }
    ]
    return {
        "name": name,
        "createdAt": "2024-01-15T10:30:00Z",
        "companyIntegration": {"name": "warehouse"},
        "datamartTables": tables,
        **more,
    }


def tenancy(level: str) -> JsonObject:
    """Return a seed's tenancy."""
    return {
        "tenancyLevel": level,
        "schemaName": "public",
        "tableName": "tenants",
        "clientColumnType": "STRING",
        "tableClientNameColumn": "name",
        "tablePrimaryKeyColumn": "id",
    }


def seed(**server: object) -> JsonObject:
    """An organisation with two workspaces, which both have a dashboard `shared`, and one with none."""
    return {
        "server": server,
        "serviceToken": SERVICE,
        "datasources": ["warehouse", "archive"],
        "datamarts": [
            datamart("sales", datamartOrganization=tenancy("TABLE")),
            datamart("returns"),
            datamart("stock", datamartOrganization=tenancy("DATABASE")),
        ],
        "dataApps": [
            {
                "name": "Portal & more",
                "tokens": [{"key": EXPIRED_KEY, "expired": True}, {"key": PORTAL_KEY}],
                "embeds": [
                    {
                        "embedId": "board",
                        "name": "Sales board",
                        "datamart": "sales",
                        "dashboardId": "overview",
                        "metadata": {"owner": "growth"},
                        "accessSettings": {
                            "isAllowManageMetrics": True,
                            "isAllowAiPilot": True,
                            "joinModel": "multi",
                            "metricCreationMode": "CHAT",
                            "tableTenancySettings": [{"name": "orders", "clientColumn": "tenant_id"}],
                        },
                    },
                    {"embedId": "figure", "embedType": "metric", "datamart": None, "metricId": "revenue"},
                    {"embedId": "stocks", "datamart": "stock", "dashboardId": "shared", "workspaceName": "Warehouse"},
                ],
            },
            {
                "name": "Intranet",
                "tokens": [{"key": INTRANET_KEY}],
                "embeds": [{"embedId": "loose", "datamart": "returns", "hidden": True}],
            },
        ],
        "workspaces": [
            {
                "name": "Sales & more",
                "datamartName": "sales",
                "dashboards": [
                    {"dashboardId": "overview", "name": "Overview", "data": OVERVIEW},
                    {"dashboardId": "shared"},
                ],
            },
            {
                "name": "Warehouse",
                "datasourceName": "warehouse",
                "dashboards": [{"dashboardId": "shared", "name": "Shared"}],
            },
            {"name": "Empty"},
        ],
    }


@pytest.mark.parametrize("token", [None, PORTAL_KEY, EXPIRED_KEY, "unknown"])
@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", DATASOURCES, "AUTHENTICATION_ERROR", "Invalid or expired token"),
        ("GET", WORKSPACES, "INVALID_DATA_APP_API_KEY", "Invalid Data App API key"),
        ("PUT", WORKSPACES, "INVALID_DATA_APP_API_KEY", "Invalid Data App API key"),
        ("POST", DASHBOARDS, "INVALID_DATA_APP_API_KEY", "Invalid Data App API key"),
    ],
)
def test_datasources_and_workspaces_take_the_service_token_only(
    running: Databrain, token: str | None, method: str, path: str, code: str, message: str
) -> None:
    """Any other token gets 401, with the code of the route's own page."""
    headers = {} if token is None else bearer(token)
    answer = httpx.request(method, running.url + path, headers=headers, timeout=10)
    assert error_of(answer) == (401, code, message)


class TestDatasources:
    """GET /api/v2/datasource."""

    def test_they_are_listed_by_name(self, client: httpx.Client) -> None:
        """The list names every datasource, under `data` alone."""
        answer = client.get(DATASOURCES)
        assert (answer.status_code, answer.json()) == (200, {"data": [{"name": "archive"}, {"name": "warehouse"}]})

    def test_its_pages(self, databrain: Databrain, client: httpx.Client) -> None:
        """The list has pages of ten, and refuses a page number that is none."""
        databrain.organisation.datasources = frozenset(f"source-{number:02d}" for number in range(11))
        pages = [
            names_in(client.get(DATASOURCES, params={"isPagination": "true", "pageNumber": number}))
            for number in (1, 2, 3)
        ]
        assert [len(names) for names in pages] == [10, 1, 0]
        refused = client.get(DATASOURCES, params={"isPagination": "true", "pageNumber": "0"})
        assert error_of(refused)[:2] == (400, "INVALID_REQUEST_BODY")


class TestWorkspaces:
    """GET and PUT /api/v2/workspace, POST /api/v2/workspace/dashboards."""

    def test_they_are_listed_by_name(self, client: httpx.Client) -> None:
        """The list names every workspace and tells nothing of what it is connected to."""
        answer = client.get(WORKSPACES)
        expected = [{"name": "Sales & more"}, {"name": "Warehouse"}, {"name": "Empty"}]
        assert (answer.status_code, answer.json()) == (200, {"data": expected, "error": None})

    def test_its_pages(self, databrain: Databrain, client: httpx.Client) -> None:
        """The list has pages of ten, and is empty past the end."""
        workspaces = [{"name": f"workspace-{number:02d}"} for number in range(11)]
        databrain.organisation = organisation_of(seed() | {"workspaces": workspaces, "dataApps": []})
        pages = [
            names_in(client.get(WORKSPACES, params={"isPagination": "true", "pageNumber": number}))
            for number in (1, 2, 3)
        ]
        assert [len(names) for names in pages] == [10, 1, 0]

    def test_the_dashboards_of_one(self, client: httpx.Client) -> None:
        """The dashboards of a workspace are listed with their IDs, which another workspace may have as well."""
        answer = client.post(DASHBOARDS, json={"workspaceName": "Sales & more"})
        assert answer.json() == {
            "data": [
                {"name": "Overview", "externalDashboardId": "overview"},
                {"name": "shared", "externalDashboardId": "shared"},
            ],
            "error": None,
        }
        assert names_in(client.post(DASHBOARDS, json={"workspaceName": "Warehouse"})) == ["Shared"]
        assert names_in(client.post(DASHBOARDS, json={"workspaceName": "Empty"})) == []

    def test_the_pages_of_dashboards(self, databrain: Databrain, client: httpx.Client) -> None:
        """Dashboards have pages of ten, which are asked for by a boolean and a number."""
        dashboards = [{"dashboardId": f"dashboard-{number:02d}"} for number in range(11)]
        workspaces = [{"name": "Full", "dashboards": dashboards}]
        databrain.organisation = organisation_of(seed() | {"workspaces": workspaces, "dataApps": []})
        body = {"workspaceName": "Full", "isPagination": True}
        pages = [names_in(client.post(DASHBOARDS, json=body | {"pageNumber": number})) for number in (1, 2, 3)]
        assert [len(names) for names in pages] == [10, 1, 0]
        assert len(names_in(client.post(DASHBOARDS, json={"workspaceName": "Full"}))) == 11

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (None, "INVALID_REQUEST_BODY"),
            ([], "INVALID_REQUEST_BODY"),
            ({}, "INVALID_REQUEST_BODY"),
            ({"workspaceName": 7}, "INVALID_REQUEST_BODY"),
            ({"workspaceName": "Empty", "isPagination": "true"}, "INVALID_REQUEST_BODY"),
            ({"workspaceName": "empty"}, "WORKSPACE_ID_ERROR"),
            ({"workspaceName": ""}, "WORKSPACE_ID_ERROR"),
        ],
    )
    def test_a_wrong_workspace_is_refused(self, client: httpx.Client, body: object, code: str) -> None:
        """A body without a name is a bad request, and the name of no workspace has a code of its own."""
        assert error_of(client.post(DASHBOARDS, json=body))[:2] == (400, code)

    @pytest.mark.parametrize(("method", "path"), [("GET", WORKSPACES), ("PUT", WORKSPACES), ("POST", DASHBOARDS)])
    def test_an_old_server_has_none(self, databrain: Databrain, client: httpx.Client, method: str, path: str) -> None:
        """With `hasWorkspaces` false every route of workspaces is 404."""
        databrain.organisation = organisation_of(seed(hasWorkspaces=False))
        assert client.request(method, path, json={"workspaceName": "Empty"}).status_code == 404

    def test_a_deletion_leaves_a_workspace_without_its_datamart(
        self, databrain: Databrain, client: httpx.Client
    ) -> None:
        """The workspace and its dashboards stay; a new datamart of the name is not connected by itself."""
        before = databrain.organisation.workspaces["Sales & more"]
        client.delete(DATAMART, params={"datamartName": "sales"})
        client.put("/_control/datamarts/sales", json=datamart("sales"))
        after = databrain.organisation.workspaces["Sales & more"]
        assert (before.datamart, after.datamart) == ("sales", None)
        assert (after.connection_type, after.dashboards) == (before.connection_type, before.dashboards)

    @pytest.mark.parametrize(
        ("body", "link"),
        [
            ({"connectionType": "DATAMART", "datamartName": "returns"}, (None, "returns")),
            ({"connectionType": "DATASOURCE", "datasourceName": "archive"}, ("archive", None)),
            ({"connectionType": "MULTI_DATAMART"}, (None, None)),
            ({"connectionType": "MULTI_DATASOURCE", "datamartName": "returns"}, (None, None)),
        ],
    )
    def test_one_is_connected_to_something_else(
        self, databrain: Databrain, client: httpx.Client, body: JsonObject, link: tuple[str | None, str | None]
    ) -> None:
        """An update replaces the connection and keeps the dashboards; the MULTI types clear single links."""
        before = databrain.organisation.workspaces["Sales & more"]
        answer = client.put(WORKSPACES, json={"name": "Sales & more", **body})
        assert (answer.status_code, answer.json()) == (200, {"data": {"name": "Sales & more"}, "error": None})
        after = databrain.organisation.workspaces["Sales & more"]
        assert (after.datasource, after.datamart) == link
        assert after.connection_type is ConnectionType(body["connectionType"])
        assert after.dashboards == before.dashboards

    @pytest.mark.parametrize(
        ("change", "code", "message"),
        [
            ({"name": None}, "INVALID_REQUEST_BODY", "Invalid request body"),
            ({"connectionType": "NONE"}, "INVALID_REQUEST_BODY", "Invalid request body"),
            ({"undocumented": 1}, "INVALID_REQUEST_BODY", "Invalid request body"),
            ({"name": "warehouse"}, "WORKSPACE_DOES_NOT_EXIST", "Workspace does not exist"),
            ({"datamartName": "absent"}, "INVALID_DATAMART_NAME", "Datamart not found"),
            ({"datamartName": None}, "INVALID_DATAMART_NAME", "Datamart not found"),
            ({"connectionType": "DATASOURCE"}, "INVALID_DATASOURCE_NAME", "Datasource not found"),
        ],
    )
    def test_a_wrong_update_is_refused(
        self, databrain: Databrain, client: httpx.Client, change: JsonObject, code: str, message: str
    ) -> None:
        """An update that cannot be carried out gets 400 with the documented code, and changes nothing."""
        before = dict(databrain.organisation.workspaces)
        body = {"name": "Warehouse", "connectionType": "DATAMART", "datamartName": "sales"} | change
        assert error_of(client.put(WORKSPACES, json=body)) == (400, code, message)
        assert databrain.organisation.workspaces == before


class TestExportEmbed:
    """GET /api/v2/data-app/embeds/export."""

    def test_a_dashboard_is_exported_as_a_file(self, client: httpx.Client) -> None:
        """The file holds ten settings and all of the dashboard, without an `error`, and names no datamart."""
        answer = client.get(EXPORT, params={"embedId": "board"}, headers=bearer(PORTAL_KEY))
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == 'attachment; filename="dashboard-board.json"'
        exported = answer.json()
        assert datetime.fromisoformat(exported["_meta"].pop("exportedAt")).tzinfo == UTC
        assert exported == {
            "_meta": {
                "embedId": "board",
                "name": "Sales board",
                "embedType": "dashboard",
                "dashboardId": "overview",
                "embedDataAppAccessSetting": {
                    "isAllowEmailReports": False,
                    "isAllowManageMetrics": True,
                    "isAllowCreateDashboardView": False,
                    "isAllowMetricCreation": False,
                    "isAllowMetricDeletion": False,
                    "isAllowMetricLayoutChange": False,
                    "isAllowMetricUpdate": False,
                    "isAllowUnderlyingData": False,
                    "metricCreationMode": "CHAT",
                    "isIncrementalJoin": True,
                },
            },
            "data": OVERVIEW,
        }

    def test_a_metric_is_exported_with_itself_alone(self, client: httpx.Client) -> None:
        """The export of a metric has no dashboard, and the one metric."""
        exported = client.get(EXPORT, params={"embedId": "figure"}, headers=bearer(PORTAL_KEY)).json()
        assert (exported["_meta"]["embedType"], exported["_meta"]["dashboardId"]) == ("metric", None)
        assert exported["data"] == {"layout": [], "filters": [], "metrics": [REVENUE]}

    def test_what_is_in_no_workspace_is_exported_empty(self, client: httpx.Client) -> None:
        """An embed whose dashboard no workspace has, and that List Embeds hides, is exported without content."""
        exported = client.get(EXPORT, params={"embedId": "loose"}, headers=bearer(INTRANET_KEY)).json()
        assert exported["_meta"]["dashboardId"] == "dashboard-of-loose"
        assert exported["data"] == {"layout": [], "filters": [], "metrics": []}

    def test_an_id_that_no_header_can_carry(self, databrain: Databrain, client: httpx.Client) -> None:
        """The file's name is percent-encoded, and the rest is as ever."""
        name = 'Größe "1"\r\n'
        embed = {"embedId": name, "datamart": None}
        app = {"name": "Portal", "tokens": [{"key": PORTAL_KEY}], "embeds": [embed]}
        databrain.organisation = organisation_of(seed() | {"dataApps": [app]})
        answer = client.get(EXPORT, params={"embedId": name}, headers=bearer(PORTAL_KEY))
        expected = 'attachment; filename="dashboard-Gr%C3%B6%C3%9Fe %221%22%0D%0A.json"'
        assert answer.headers["Content-Disposition"] == expected
        assert answer.json()["_meta"]["embedId"] == name

    @pytest.mark.parametrize(
        ("query", "token", "error"),
        [
            ({}, PORTAL_KEY, (400, "INVALID_REQUEST_BODY", "Request validation failed")),
            ({"embedId": ""}, PORTAL_KEY, (400, "INVALID_REQUEST_BODY", "Request validation failed")),
            ({"embedId": "absent"}, PORTAL_KEY, (400, "INVALID_EMBED_ID", "Embed not found")),
            ({"embedId": "board"}, INTRANET_KEY, (400, "INVALID_EMBED_ID", "Embed not found")),
            ({"embedId": "board"}, SERVICE, (400, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")),
            ({"embedId": "board"}, EXPIRED_KEY, (400, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")),
        ],
    )
    def test_what_it_refuses(
        self, client: httpx.Client, query: dict[str, str], token: str, error: tuple[int, str, str]
    ) -> None:
        """A request is refused without an ID, with one of no embed of the key's data app, and without such a key."""
        assert error_of(client.get(EXPORT, params=query, headers=bearer(token))) == error

    def test_an_old_server_has_none(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `hasExportEmbed` false there is no such route, and the list of embeds is there."""
        databrain.organisation = organisation_of(seed(hasExportEmbed=False))
        answer = client.get(EXPORT, params={"embedId": "board"}, headers=bearer(PORTAL_KEY))
        assert answer.status_code == 404
        assert client.get(EMBEDS, headers=bearer(PORTAL_KEY)).status_code == 200


def dashboard_request(**settings: object) -> JsonObject:
    """A Create Embed that makes `board` again."""
    return {
        "embedType": "dashboard",
        "dashboardId": "overview",
        "workspaceName": "Sales & more",
        "name": "Sales board",
        "accessSettings": {
            "datamartName": "sales",
            "isAllowManageMetrics": True,
            "isAllowAiPilot": True,
            "joinModel": "multi",
            "metricCreationMode": "CHAT",
            "tableTenancySettings": [{"name": "orders", "clientColumn": "tenant_id"}],
            **settings,
        },
    }


def legacy_request(**changes: object) -> JsonObject:
    """A Create Embed in the form of its time."""
    settings = {
        "datamartName": "sales",
        "isAllowAipilot": True,
        "tableList": [{"name": "orders", "clientColumn": "tenant_id"}],
    }
    request = {"embedType": "dashboard", "dashboardId": "overview", "workspaceName": "Sales & more"}
    return request | {"accessSettings": settings} | changes


def embeds_of(client: httpx.Client, app: str = "Portal & more") -> dict[str, JsonObject]:
    """All that there is of the embeds of a data app, by ID."""
    embeds = client.get("/_control/embeds").json()
    return {embed["embedId"]: embed for embed in embeds if embed["dataAppName"] == app}


def made_by(client: httpx.Client, request: JsonObject, path: str = EMBEDS) -> JsonObject:
    """All that there is of the embed that a request makes."""
    answer = client.post(path, json=request, headers=bearer(PORTAL_KEY))
    assert answer.status_code == 200, answer.text
    return embeds_of(client)[answer.json()["id"]]


class TestCreateEmbed:
    """POST /api/v2/data-app/embeds and POST /api/v2/dataApp/embed/create."""

    def test_what_was_there_can_be_made_again(self, client: httpx.Client) -> None:
        """A request with every setting gives an equal embed with a new ID and new times, but without metadata."""
        before = embeds_of(client)["board"]
        item = client.get(DATAMARTS).json()["data"][0]
        client.delete(DATAMART, params={"datamartName": "sales"})
        client.put("/_control/datamarts/sales", json=item)
        assert "board" not in embeds_of(client)
        answer = client.post(EMBEDS, json=dashboard_request(), headers=bearer(PORTAL_KEY))
        assert answer.status_code == 200
        assert answer.json() == {"id": answer.json()["id"], "error": None}
        assert re.fullmatch("embed_[0-9a-f]{12}", answer.json()["id"])
        after = embeds_of(client)[answer.json()["id"]]
        assert datetime.fromisoformat(after["createdAt"]) > datetime.fromisoformat(before["createdAt"])
        assert after["updatedAt"] == after["createdAt"]
        changed = {"embedId", "createdAt", "updatedAt", "metadata"}
        assert {key for key in after if after[key] != before[key]} == changed
        assert after["metadata"] == {}

    def test_it_is_listed_at_the_end(self, client: httpx.Client) -> None:
        """The new embed is in both lists, under the ID that was answered."""
        embed_id = client.post(EMBEDS, json=dashboard_request(), headers=bearer(PORTAL_KEY)).json()["id"]
        listed = client.get(EMBEDS, headers=bearer(PORTAL_KEY)).json()["data"]
        apps = client.get("/api/v2/data-app").json()["data"]
        assert listed[-1]["embedId"] == apps[0]["embeds"][-1]["embedId"] == embed_id
        assert listed[-1]["externalDashboard"]["name"] == "Overview"

    def test_what_is_left_out_is_not_allowed(self, client: httpx.Client) -> None:
        """A request with the least gives an embed named by its ID that allows nothing."""
        request = dashboard_request() | {"dashboardId": "shared", "workspaceName": "Warehouse"}
        request |= {"name": None, "accessSettings": {"datamartName": "stock"}}
        made = made_by(client, request)
        assert made["name"] == made["embedId"]
        assert made["accessSettings"] == embeds_of(client)["stocks"]["accessSettings"]
        assert True not in made["accessSettings"].values()

    @pytest.mark.parametrize("settings", [{}, {"accessSettings": {}}, {"accessSettings": {"datamartName": "returns"}}])
    def test_a_metric_needs_no_datamart(self, client: httpx.Client, settings: JsonObject) -> None:
        """An embed of a metric may leave its access settings out, or the datamart in them."""
        request = {"embedType": "metric", "metricId": "revenue", "workspaceName": "Warehouse"} | settings
        refused = client.post(EMBEDS, json=request, headers=bearer(PORTAL_KEY))
        assert error_of(refused) == (404, "INVALID_METRIC_ID", "Metric not found")
        request["workspaceName"] = "Sales & more"
        if "datamartName" in settings.get("accessSettings", {}):
            client.put("/api/v2/workspace", json={"name": "Sales & more", "connectionType": "MULTI_DATAMART"})
        made = made_by(client, request)
        assert (made["embedType"], made["metricId"]) == ("metric", "revenue")
        assert made["datamart"] == settings.get("accessSettings", {}).get("datamartName")

    def test_the_legacy_form(self, client: httpx.Client) -> None:
        """The legacy form has older spellings of two settings, and gives the same."""
        made = made_by(client, legacy_request(), LEGACY_CREATE_EMBED)
        assert made["accessSettings"]["isAllowAiPilot"] is True
        assert made["accessSettings"]["tableTenancySettings"] == [{"name": "orders", "clientColumn": "tenant_id"}]
        assert (made["datamart"], made["name"]) == ("sales", made["embedId"])

    @pytest.mark.parametrize(
        ("change", "settings", "error"),
        [
            ({"embedType": "chart"}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"embedType": None}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"workspaceName": None}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"dashboardId": None}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"embedId": "board"}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"embedType": "metric"}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"accessSettings": {}}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"accessSettings": None}, {}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"isIncrementalJoin": True}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"isAllowAipilot": True}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"tableList": []}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"isAllowMetricUpdate": None}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"joinModel": "some"}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({}, {"metricCreationMode": None}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            (
                {},
                {"tableTenancySettings": [{"name": "orders", "clientColumn": None}]},
                (400, "INVALID_REQUEST_BODY", "Invalid request body"),
            ),
            ({"workspaceName": "sales & more"}, {}, (404, "INVALID_WORKSPACE_NAME", "Workspace not found")),
            ({"dashboardId": "absent"}, {}, (404, "INVALID_DASHBOARD_ID", "Dashboard not found")),
            ({"workspaceName": "Warehouse"}, {}, (404, "INVALID_DASHBOARD_ID", "Dashboard not found")),
            (
                {"embedType": "metric", "metricId": "absent"},
                {},
                (404, "INVALID_METRIC_ID", "Metric not found"),
            ),
            ({}, {"datamartName": "Sales"}, (400, "INVALID_DATAMART", "Invalid datamart")),
            ({}, {"datamartName": "returns"}, (400, "INVALID_DATAMART", "Invalid datamart tenancy level")),
            ({}, {"tableTenancySettings": []}, (400, "DATAMART_TABLE_NOT_FOUND", "Datamart table not found")),
            (
                {},
                {"tableTenancySettings": [{"name": "Orders", "clientColumn": "tenant_id"}]},
                (400, "DATAMART_TABLE_NOT_FOUND", "Datamart table not found"),
            ),
        ],
    )
    def test_what_it_refuses(
        self, client: httpx.Client, change: JsonObject, settings: JsonObject, error: tuple[int, str, str]
    ) -> None:
        """A wrong request gets the documented status, code and message, and creates nothing."""
        before = embeds_of(client)
        answer = client.post(EMBEDS, json=dashboard_request(**settings) | change, headers=bearer(PORTAL_KEY))
        assert error_of(answer) == error
        assert embeds_of(client) == before

    @pytest.mark.parametrize("settings", [{}, {"tableTenancySettings": []}])
    def test_tenancy_by_database_needs_no_tables(self, client: httpx.Client, settings: JsonObject) -> None:
        """With tenancy by database an embed is made without its tables."""
        request = dashboard_request(datamartName="stock", **settings)
        request |= {"dashboardId": "shared", "workspaceName": "Warehouse"}
        assert client.post(EMBEDS, json=request, headers=bearer(PORTAL_KEY)).status_code == 200

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"name": "n"}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"accessSettings": {}}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            ({"accessSettings": None}, (400, "INVALID_REQUEST_BODY", "Invalid request body")),
            (
                {"accessSettings": dashboard_request()["accessSettings"]},
                (400, "INVALID_REQUEST_BODY", "Invalid request body"),
            ),
            (
                {"embedType": "metric", "metricId": "revenue", "accessSettings": {}},
                (400, "INVALID_REQUEST_BODY", "Invalid request body"),
            ),
            ({"workspaceName": "absent"}, (400, "INVALID_WORKSPACE_NAME", "Workspace not found")),
            ({"dashboardId": "absent"}, (400, "INVALID_DASHBOARD_ID", "Dashboard not found")),
            ({"embedType": "metric", "metricId": "absent"}, (400, "INVALID_METRIC_ID", "Metric not found")),
            ({"accessSettings": {"datamartName": "absent"}}, (400, "INVALID_DATAMART", "Invalid datamart")),
            (
                {"accessSettings": {"datamartName": "sales"}},
                (400, "DATAMART_TABLE_NOT_FOUND", "Datamart table not found"),
            ),
        ],
    )
    def test_what_the_legacy_form_refuses(
        self, client: httpx.Client, change: JsonObject, error: tuple[int, str, str]
    ) -> None:
        """The legacy form knows the fields of its time only, and answers 400 to all that it refuses."""
        answer = client.post(LEGACY_CREATE_EMBED, json=legacy_request(**change), headers=bearer(PORTAL_KEY))
        assert error_of(answer) == error

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names_work_on_every_route(self, databrain: Databrain, client: httpx.Client, name: str) -> None:
        """Any text can be the name of what an embed is made of, and its ID, and passes unchanged."""
        app = {"name": name, "tokens": [{"key": PORTAL_KEY}]}
        workspace = {"name": name, "dashboards": [{"dashboardId": name}]}
        databrain.organisation = organisation_of(
            seed(embedIdsOfDashboards=True)
            | {"datamarts": [datamart(name)], "dataApps": [app], "workspaces": [workspace]}
        )
        request = {"embedType": "dashboard", "dashboardId": name, "workspaceName": name, "name": name}
        assert (
            names_in(client.get(WORKSPACES))
            == names_in(client.post(DASHBOARDS, json={"workspaceName": name}))
            == [name]
        )
        answer = client.post(
            EMBEDS, json=request | {"accessSettings": {"datamartName": name}}, headers=bearer(PORTAL_KEY)
        )
        assert answer.json()["id"] == name
        exported = client.get(EXPORT, params={"embedId": name}, headers=bearer(PORTAL_KEY))
        assert [exported.json()["_meta"][key] for key in ("embedId", "name", "dashboardId")] == [name] * 3
        token = guest_token(client, guest_request(name, dataAppName=name, clientId=name))
        assert why_not(client, token, name) is None

    @pytest.mark.parametrize("token", [SERVICE, EXPIRED_KEY, "unknown"])
    @pytest.mark.parametrize(("path", "status"), [(EMBEDS, 401), (LEGACY_CREATE_EMBED, 400)])
    def test_it_takes_a_live_data_app_key_only(self, client: httpx.Client, path: str, status: int, token: str) -> None:
        """Any other token is INVALID_DATA_APP_API_KEY, which is 401 in the current form and 400 in the legacy one."""
        answer = client.post(path, json=dashboard_request(), headers=bearer(token))
        assert error_of(answer) == (status, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")

    def test_an_id_of_the_dashboard(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `embedIdsOfDashboards` the first embed of a dashboard gets its ID, and the next one a longer one."""
        databrain.organisation = organisation_of(seed(embedIdsOfDashboards=True))
        ids = [client.post(EMBEDS, json=dashboard_request(), headers=bearer(PORTAL_KEY)).json()["id"] for _ in range(2)]
        assert ids[0] == "overview"
        assert re.fullmatch("overview__[0-9a-f]{8}", ids[1])

    def test_a_server_that_keeps_embeds(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `keepsEmbeds` the embeds of a deleted datamart stay as they were, and still name it."""
        databrain.organisation = organisation_of(seed(keepsEmbeds=True))
        before = embeds_of(client)
        assert client.delete(DATAMART, params={"datamartName": "sales"}).status_code == 200
        assert embeds_of(client) == before

    def test_the_legacy_list_tells_tenancy(self, client: httpx.Client) -> None:
        """The legacy form of List Embeds shows the settings of its time, the tables of tenancy among them."""
        board = client.post(LEGACY_LIST_EMBEDS, headers=bearer(PORTAL_KEY)).json()["data"][0]
        assert board["embedDataAppAccessSetting"] == {
            "isAllowAipilot": True,
            "isAllowEmailReports": False,
            "isAllowManageMetrics": True,
            "isAllowMetricCreation": False,
            "isAllowMetricDeletion": False,
            "isAllowMetricLayoutChange": False,
            "isAllowMetricUpdate": False,
            "isAllowUnderlyingData": False,
            "metricCreationMode": "CHAT",
            "tableList": [{"name": "orders", "clientColumn": "tenant_id"}],
        }


class TestFetchMetrics:
    """GET /api/v2/data-app/metrics and POST /api/v2/dataApp/metrics."""

    @pytest.mark.parametrize(("embed_id", "names"), [("board", ["Revenue"]), ("figure", ["Revenue"]), ("stocks", [])])
    def test_the_metrics_of_an_embed(self, client: httpx.Client, embed_id: str, names: list[str]) -> None:
        """A dashboard has its metrics and a metric itself, under `data` alone; the newest form says more of each."""
        asked = {"embedId": embed_id, "clientId": "None"}
        current = client.get(METRICS, params=asked | {"isMetric": "true"}, headers=bearer(PORTAL_KEY))
        legacy = client.post(LEGACY_METRICS, json=asked, headers=bearer(PORTAL_KEY))
        assert names_in(current) == names_in(legacy) == names
        assert current.json().keys() == legacy.json().keys() == {"data"}
        assert legacy.json()["data"] == [{"name": name, "metricId": "revenue"} for name in names]
        assert all(item.keys() > {"name", "metricId"} for item in current.json()["data"])

    def test_its_pages(self, databrain: Databrain, client: httpx.Client) -> None:
        """Metrics have pages of ten in both forms."""
        given = seed()
        metrics = [{"metricId": f"metric-{number:02d}", "name": f"{number}"} for number in range(11)]
        given["workspaces"][1]["dashboards"][0]["data"] = {"layout": [], "filters": [], "metrics": metrics}
        databrain.organisation = organisation_of(given)
        asked, key = {"embedId": "stocks", "clientId": "None"}, bearer(PORTAL_KEY)
        second = {"isPagination": "true", "pageNumber": "2"}
        assert len(names_in(client.get(METRICS, params=asked, headers=key))) == 11
        assert len(names_in(client.get(METRICS, params=asked | second, headers=key))) == 1
        body = asked | {"isPagination": True, "pageNumber": 3}
        assert names_in(client.post(LEGACY_METRICS, json=body, headers=key)) == []

    @pytest.mark.parametrize("legacy", [False, True])
    @pytest.mark.parametrize(
        ("asked", "token", "error"),
        [
            ({}, PORTAL_KEY, ("INVALID_REQUEST_BODY", "Request validation failed")),
            ({"clientId": "c"}, PORTAL_KEY, ("INVALID_REQUEST_BODY", "Request validation failed")),
            ({"embedId": "board"}, PORTAL_KEY, ("INVALID_REQUEST_BODY", "Request validation failed")),
            (
                {"embedId": "absent", "clientId": "c"},
                PORTAL_KEY,
                ("EMBED_PARAM_ERROR", "Embed ID not found or mismatched with API Key"),
            ),
            (
                {"embedId": "board", "clientId": "c"},
                INTRANET_KEY,
                ("EMBED_PARAM_ERROR", "Embed ID not found or mismatched with API Key"),
            ),
            (
                {"embedId": "board", "clientId": "c"},
                SERVICE,
                ("INVALID_DATA_APP_API_KEY", "Missing or invalid data app"),
            ),
        ],
    )
    def test_what_it_refuses(
        self, client: httpx.Client, asked: dict[str, str], token: str, error: tuple[str, str], *, legacy: bool
    ) -> None:
        """Both forms want an embed of the key's data app and a client, and answer 400 to all else."""
        if legacy:
            answer = client.post(LEGACY_METRICS, json=asked, headers=bearer(token))
        else:
            answer = client.get(METRICS, params=asked, headers=bearer(token))
        assert error_of(answer) == (400, *error)

    def test_an_old_server_has_none(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `hasFetchMetrics` false both forms are 404."""
        databrain.organisation = organisation_of(seed(hasFetchMetrics=False))
        asked = {"embedId": "board", "clientId": "None"}
        assert client.get(METRICS, params=asked, headers=bearer(PORTAL_KEY)).status_code == 404
        assert client.post(LEGACY_METRICS, json=asked, headers=bearer(PORTAL_KEY)).status_code == 404


def guest_request(*allowed: str, **changes: object) -> JsonObject:
    """A Create Guest Token that is restricted to embeds and to an hour."""
    request: JsonObject = {"clientId": "None", "dataAppName": "Portal & more", "expiryTime": 3_600_000}
    return request | {"params": {"allowedEmbeds": list(allowed)}} | changes


def guest_token(client: httpx.Client, request: JsonObject) -> str:
    """The guest token that a request makes."""
    answer = client.post(GUEST_TOKEN, json=request, headers=bearer(PORTAL_KEY))
    assert (answer.status_code, answer.json().keys()) == (200, {"token"})
    token: str = answer.json()["token"]
    return token


def why_not(client: httpx.Client, token: str, embed_id: str) -> str | None:
    """Why the web component would not show an embed."""
    told: str | None = client.get("/_control/shown", params={"token": token, "embedId": embed_id}).json()["whyNot"]
    return told


class TestGuestTokens:
    """POST /api/v2/guest-token/create, and what comes of the token."""

    def test_it_is_a_uuid_each_time(self, client: httpx.Client) -> None:
        """The answer is `{"token"}` alone, with another UUID each time."""
        first, second = (guest_token(client, guest_request("board")) for _ in range(2))
        assert str(UUID(first)) == first != second

    def test_it_shows_the_embeds_that_it_allows(self, client: httpx.Client) -> None:
        """A restricted token shows its embeds and no others, and one without restriction all of its data app."""
        restricted = guest_token(client, guest_request("board", "loose"))
        assert why_not(client, restricted, "board") is None
        assert why_not(client, restricted, "stocks") == "the guest token does not allow this embed"
        assert why_not(client, restricted, "loose") == "the data app has no such embed"
        free = guest_token(client, {"clientId": "None", "dataAppName": "Portal & more"})
        assert why_not(client, free, "stocks") is None
        assert why_not(client, free, "loose") == "the data app has no such embed"
        assert why_not(client, "another", "board") == "no such guest token"

    def test_it_expires(self, databrain: Databrain, client: httpx.Client) -> None:
        """A token shows nothing from `expiryTime` milliseconds after its making on; without that it shows for good."""
        before = datetime.now(UTC)
        restricted, forever = guest_token(client, guest_request("board")), guest_request("board")
        after = datetime.now(UTC)
        del forever["expiryTime"]
        organisation, later = databrain.organisation, timedelta(hours=1)
        assert organisation.why_not_shown(restricted, "board", before + later - timedelta(milliseconds=1)) is None
        assert organisation.why_not_shown(restricted, "board", after + later) == "the guest token has expired"
        assert (
            organisation.why_not_shown(guest_token(client, forever), "board", datetime.max.replace(tzinfo=UTC)) is None
        )

    def test_it_forgets_an_embed_that_is_gone(self, databrain: Databrain, client: httpx.Client) -> None:
        """A token of an embed that went with its datamart does not show the embed that gets the ID later."""
        databrain.organisation = organisation_of(seed(embedIdsOfDashboards=True))
        embed_id = made_by(client, dashboard_request())["embedId"]
        old = guest_token(client, guest_request(embed_id))
        assert why_not(client, old, embed_id) is None
        item = client.get(DATAMARTS).json()["data"][0]
        client.delete(DATAMART, params={"datamartName": "sales"})
        assert why_not(client, old, embed_id) == "the guest token does not allow this embed"
        client.put("/_control/datamarts/sales", json=item)
        assert made_by(client, dashboard_request())["embedId"] == embed_id
        assert why_not(client, old, embed_id) == "the guest token does not allow this embed"
        assert why_not(client, guest_token(client, guest_request(embed_id)), embed_id) is None

    def test_an_embed_without_its_datamart_is_not_shown(self, databrain: Databrain, client: httpx.Client) -> None:
        """An embed that outlived its datamart is shown again when there is one of that name."""
        databrain.organisation = organisation_of(seed(keepsEmbeds=True))
        token = guest_token(client, guest_request("board"))
        client.delete(DATAMART, params={"datamartName": "sales"})
        assert why_not(client, token, "board") == "the embed's datamart does not exist"
        client.put("/_control/datamarts/sales", json=datamart("sales"))
        assert why_not(client, token, "board") is None

    def test_what_was_made_is_shown_without_its_value(self, client: httpx.Client) -> None:
        """The control interface tells what each token was made for, and none of the values."""
        before = datetime.now(UTC)
        token = guest_token(client, guest_request("board"))
        guest_token(client, {"clientId": "acme", "dataAppName": "Portal & more"})
        answer = client.get("/_control/guest-tokens")
        first, second = answer.json()
        assert datetime.fromisoformat(first.pop("expiresAt")) >= before + timedelta(hours=1)
        assert first == {"dataAppName": "Portal & more", "clientId": "None", "allowedEmbeds": ["board"]}
        assert second == {
            "dataAppName": "Portal & more",
            "clientId": "acme",
            "allowedEmbeds": None,
            "expiresAt": None,
        }
        assert token not in answer.text

    def test_everything_that_is_documented_is_taken(self, client: httpx.Client) -> None:
        """A request with every documented field is carried out."""
        params = {
            "allowedEmbeds": ["board"],
            "dashboardAppFilters": [{"dashboardId": "overview", "values": {}, "isShowOnUrl": False}],
            "appFilters": [{"label": "Country", "values": ["LT"]}],
            "rlsSettings": [{"metricId": "revenue", "values": {}}],
            "hideDashboardFilters": ["Month"],
            "userIdentifier": "someone",
            "timezone": "Europe/Vilnius",
        }
        request = guest_request("board", params=params, permissions={"isEnableDownloadMetrics": False})
        guest_token(client, request | {"datasourceName": "warehouse"})

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"dataAppName": None}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"undocumented": 1}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"params": {"allowedEmbeds": "board"}}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"params": {"datamartName": "sales"}}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"expiryTime": 0}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"expiryTime": "60000"}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"expiryTime": 1e300}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"dataAppName": "Intranet"}, ("INVALID_REQUEST_BODY", "Invalid data app name")),
            ({"clientId": ""}, ("CLIENT_ID_ERROR", "Invalid client id")),
            ({"clientId": None}, ("CLIENT_ID_ERROR", "Invalid client id")),
            ({"params": {"appFilters": {}}}, ("APP_FILTER_PARAM_ERROR", "Invalid app filter")),
            (
                {"params": {"dashboardAppFilters": [{"dashboardId": "board"}]}},
                ("APP_FILTER_PARAM_ERROR", "Invalid dashboard Id: board in dashboard appFilter"),
            ),
            ({"params": {"rlsSettings": [7]}}, ("RLS_SETTINGS_PARAM_ERROR", "Invalid RLS settings")),
            ({"params": {"hideDashboardFilters": [7]}}, ("DASHBOARD_PARAM_ERROR", "Invalid dashboard filters")),
            ({"datasourceName": "absent"}, ("DATASOURCE_NAME_ERROR", "Invalid datasource name")),
        ],
    )
    def test_what_it_refuses(
        self, databrain: Databrain, client: httpx.Client, change: JsonObject, error: tuple[str, str]
    ) -> None:
        """A wrong request gets 400 with the documented code of its place, and makes no token."""
        answer = client.post(GUEST_TOKEN, json=guest_request("board", **change), headers=bearer(PORTAL_KEY))
        assert error_of(answer) == (400, *error)
        assert databrain.organisation.guest_tokens == {}

    @pytest.mark.parametrize("token", [None, SERVICE, EXPIRED_KEY, "unknown"])
    def test_it_takes_a_live_data_app_key_only(self, running: Databrain, token: str | None) -> None:
        """Any other token is 401 with the code and the envelope of the page's own example, which has no status."""
        headers = {} if token is None else bearer(token)
        answer = httpx.post(running.url + GUEST_TOKEN, json=guest_request("board"), headers=headers, timeout=10)
        expected = {"error": {"message": "API key is invalid or expired", "code": "AUTHENTICATION_ERR"}}
        assert (answer.status_code, answer.json()) == (401, expected)

    def test_a_server_that_takes_no_restriction(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `takesAllowedEmbeds` false a request that names embeds is refused, and one without is not."""
        databrain.organisation = organisation_of(seed(takesAllowedEmbeds=False))
        answer = client.post(GUEST_TOKEN, json=guest_request("board"), headers=bearer(PORTAL_KEY))
        assert error_of(answer) == (400, "INVALID_REQUEST_BODY", '"params.allowedEmbeds" is not allowed')
        guest_token(client, guest_request(params={}))


class TestDeletions:
    """`GET /_control/deletions`: what a restored datamart and its embeds can be compared with."""

    def test_what_went_is_kept(self, client: httpx.Client) -> None:
        """A deletion keeps the datamart with its semantic layer, and the embeds of all data apps, as they were."""
        layer = {"datamartName": "returns", "tables": [{"name": "orders", "description": "One row per return"}]}
        client.post(SEMANTIC_LAYER, json=layer)
        shown = client.get(SEMANTIC_LAYER, params={"datamartName": "returns"}).json()
        returns, loose = client.get(DATAMARTS).json()["data"][1], embeds_of(client, "Intranet")["loose"]
        board = embeds_of(client)["board"]
        client.delete(DATAMART, params={"datamartName": "returns"})
        client.delete("/_control/datamarts/sales")
        first, second = client.get("/_control/deletions").json()
        assert {"datamartName": "returns", **first["datamart"].pop("semanticLayer")} == shown["data"]
        assert (first["datamart"], first["embeds"]) == (returns, [loose])
        assert (second["datamart"]["name"], second["embeds"]) == ("sales", [board])
        assert [*embeds_of(client)] == ["figure", "stocks"]

    def test_it_is_a_seed_again(self, databrain: Databrain, client: httpx.Client) -> None:
        """What a deletion took away can stand in a seed, with `dataAppName` taken out."""
        before = databrain.organisation
        client.delete(DATAMART, params={"datamartName": "sales"})
        (deletion,) = client.get("/_control/deletions").json()
        given = seed()
        given["datamarts"][0] = deletion["datamart"]
        given["dataApps"][0]["embeds"][0] = {k: v for k, v in deletion["embeds"][0].items() if k != "dataAppName"}
        again = organisation_of(given)
        assert again.datamarts["sales"] == before.deletions[0].datamart
        assert again.data_apps["Portal & more"].embeds[0] == before.deletions[0].data_apps[0].embeds[0]

    def test_a_server_that_keeps_embeds(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `keepsEmbeds` a deletion takes the datamart alone."""
        databrain.organisation = organisation_of(seed(keepsEmbeds=True))
        client.delete(DATAMART, params={"datamartName": "sales"})
        assert client.get("/_control/deletions").json()[0]["embeds"] == []


def create_request(name: str = "new") -> JsonObject:
    """A Create Datamart of two tables."""
    columns = [{"name": "id"}, {"name": "total"}]
    tables = [{"schemaName": "public", "name": "orders", "clientColumn": "tenant_id", "columns": columns}]
    return {"name": name, "datasourceName": "warehouse", "tableList": tables, "tenancySettings": tenancy("TABLE")}


def layer_request(name: str = "returns") -> JsonObject:
    """A Create Semantic Layer."""
    return {"datamartName": name, "tables": [{"name": "orders", "description": "One row per order"}]}


# One request to each route that creates something, with the token that it takes.
CREATES: dict[str, tuple[str, JsonObject, str]] = {
    "create_datamart": (DATAMARTS, create_request(), SERVICE),
    "create_semantic_layer": (SEMANTIC_LAYER, layer_request(), SERVICE),
    "create_embed": (EMBEDS, dashboard_request(), PORTAL_KEY),
}


def create(client: httpx.Client, route: str) -> httpx.Response:
    """The answer to the request of a route that creates something."""
    path, body, token = CREATES[route]
    return client.post(path, json=body, headers=bearer(token))


def created(databrain: Databrain, route: str) -> bool:
    """Whether what that request creates is there."""
    organisation = databrain.organisation
    return {
        "create_datamart": "new" in organisation.datamarts,
        "create_semantic_layer": organisation.datamarts["returns"].semantic_layer is not None,
        "create_embed": len(organisation.data_apps["Portal & more"].embeds) == 4,
    }[route]


class TestFaults:
    """What can go wrong with a restore."""

    @pytest.mark.parametrize("route", CREATES)
    def test_without_a_fault_it_is_created(self, databrain: Databrain, client: httpx.Client, route: str) -> None:
        """The requests of these tests create something."""
        assert not created(databrain, route)
        assert create(client, route).status_code == 200
        assert created(databrain, route)

    @pytest.mark.parametrize("route", CREATES)
    @pytest.mark.parametrize(("kind", "happens"), [("lost_answer", True), ("refused", False)])
    def test_a_create_without_an_answer(
        self, databrain: Databrain, client: httpx.Client, route: str, kind: str, *, happens: bool
    ) -> None:
        """Each create can lose its answer, after the effect or before it."""
        put_faults(client, {"route": route, "fault": kind})
        with pytest.raises(httpx.RemoteProtocolError):
            create(client, route)
        assert created(databrain, route) is happens

    @pytest.mark.parametrize("route", CREATES)
    def test_an_error_after_the_effect(self, databrain: Databrain, client: httpx.Client, route: str) -> None:
        """Each create can have its effect and be answered with an error."""
        put_faults(client, {"route": route, "fault": "status_after", "status": 504, "code": "LATE", "retryAfter": 3})
        answer = create(client, route)
        assert error_of(answer) == (504, "LATE", "Injected by a fault rule")
        assert answer.headers["Retry-After"] == "3"
        assert created(databrain, route)

    @pytest.mark.parametrize("route", CREATES)
    def test_a_late_create(self, databrain: Databrain, client: httpx.Client, route: str) -> None:
        """The connection is cut, and the effect is there for the third request after it, whatever that asks for."""
        put_faults(client, {"route": route, "fault": "late_effect", "after": 2, "times": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            create(client, route)
        client.delete("/_control/faults")
        for _ in range(2):
            client.get(DATASOURCES)
            assert not created(databrain, route)
        client.get(DATASOURCES)
        assert created(databrain, route)

    def test_a_late_delete(self, databrain: Databrain, client: httpx.Client) -> None:
        """A delete can be late as a create can."""
        put_faults(client, {"route": "delete_datamart", "fault": "late_effect", "after": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            client.delete(DATAMART, params={"datamartName": "sales"})
        assert "sales" in names_in(client.get(DATAMARTS))
        assert "sales" not in names_in(client.get(DATAMARTS))
        assert len(databrain.organisation.deletions) == 1

    @pytest.mark.parametrize("route", ["create_datamart", "create_semantic_layer"])
    def test_a_create_that_is_seen_later(self, databrain: Databrain, client: httpx.Client, route: str) -> None:
        """The answer is the normal one, and the next request does not see what was created."""
        put_faults(client, {"route": route, "fault": "eventual", "after": 1, "times": 1})
        answer = create(client, route)
        assert (answer.status_code, answer.json()["id"]) == (200, {"create_datamart": "new"}.get(route, "returns"))
        client.get(DATASOURCES)
        assert not created(databrain, route)
        client.get(DATASOURCES)
        assert created(databrain, route)

    def test_a_late_create_finds_the_name_taken(self, databrain: Databrain, client: httpx.Client) -> None:
        """A late create is refused like any other where somebody took the name meanwhile."""
        put_faults(client, {"route": "create_datamart", "fault": "late_effect", "after": 1, "times": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            create(client, "create_datamart")
        client.put("/_control/datamarts/new", json=datamart("new", createdAt="2025-01-01T00:00:00Z"))
        for _ in range(2):
            client.get(DATASOURCES)
        assert databrain.organisation.datamarts["new"].created_at == "2025-01-01T00:00:00Z"

    def test_a_datamart_that_lost_a_column(self, client: httpx.Client) -> None:
        """The answer is that of a normal create, and a column is missing."""
        rule = {"route": "create_datamart", "fault": "damaged", "path": ["tableList", 0, "columns", -1]}
        put_faults(client, rule)
        answer = create(client, "create_datamart")
        assert (answer.status_code, answer.json()) == (200, {"id": "new", "error": None})
        table = client.get(DATAMARTS).json()["data"][-1]["datamartTables"][0]
        assert [column["columnName"] for column in table["datamartTableColumns"]] == ["id"]
        assert client.get("/_control/faults").json() == [rule | {"times": None, "skip": 0}]

    def test_a_layer_that_lost_a_description(self, client: httpx.Client) -> None:
        """A semantic layer can be damaged as a datamart can."""
        path = ["tables", 0, "description"]
        put_faults(client, {"route": "create_semantic_layer", "fault": "damaged", "path": path})
        assert create(client, "create_semantic_layer").json() == {"id": "returns"}
        layer = client.get(SEMANTIC_LAYER, params={"datamartName": "returns"}).json()["data"]
        assert layer["tables"][0]["description"] is None

    def test_an_embed_that_allows_more(self, client: httpx.Client) -> None:
        """With a `value` the place in the body is that, and need not have been there."""
        path = ["accessSettings", "isAllowUnderlyingData"]
        put_faults(client, {"route": "create_embed", "fault": "damaged", "path": path, "value": True})
        assert path[1] not in dashboard_request()["accessSettings"]
        assert made_by(client, dashboard_request())["accessSettings"][path[1]] is True

    @pytest.mark.parametrize(
        "path", [["nothing", 0], ["tableList", 7, "name"], ["name", "x"], ["name", 0], ["tableList", "x"]]
    )
    @pytest.mark.parametrize("value", [{}, {"value": 1}])
    def test_what_is_not_there_is_not_damaged(
        self, databrain: Databrain, client: httpx.Client, path: list[str | int], value: JsonObject
    ) -> None:
        """A request without the place that a rule names is carried out as it is."""
        put_faults(client, {"route": "create_datamart", "fault": "damaged", "path": path, **value})
        assert create(client, "create_datamart").status_code == 200
        assert created(databrain, "create_datamart")

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_name_that_is_taken_meanwhile(self, databrain: Databrain, client: httpx.Client, *, lost: bool) -> None:
        """Somebody else's datamart is there before the create, which is refused or gets no answer."""
        put_faults(client, {"route": "create_datamart", "fault": "name_taken", "lost": lost})
        if lost:
            with pytest.raises(httpx.RemoteProtocolError):
                create(client, "create_datamart")
        else:
            refused = create(client, "create_datamart")
            assert error_of(refused) == (400, "INVALID_REQUEST_BODY", "Datamart name already exists")
        item = client.get(DATAMARTS).json()["data"][-1]
        assert (item["name"], item["datamartTables"][0]["tableName"]) == ("new", "not_yours")
        create(client, "create_semantic_layer")
        assert len(databrain.organisation.datamarts) == 4

    @pytest.mark.parametrize("body", [None, [], {}, {"name": 7}, {"name": ""}, {"name": "sales"}])
    def test_a_name_that_cannot_be_taken(self, databrain: Databrain, client: httpx.Client, body: object) -> None:
        """Nobody creates anything for a request that names nothing, or a datamart that is there."""
        before = dict(databrain.organisation.datamarts)
        put_faults(client, {"route": "create_datamart", "fault": "name_taken"})
        assert client.post(DATAMARTS, json=body).status_code == 400
        assert databrain.organisation.datamarts == before

    @pytest.mark.parametrize(
        ("route", "method", "path", "token"),
        [
            ("create_embed", "POST", EMBEDS, PORTAL_KEY),
            ("create_embed", "POST", LEGACY_CREATE_EMBED, PORTAL_KEY),
            ("export_embed", "GET", EXPORT, PORTAL_KEY),
            ("fetch_metrics", "GET", METRICS, PORTAL_KEY),
            ("fetch_metrics", "POST", LEGACY_METRICS, PORTAL_KEY),
            ("create_guest_token", "POST", GUEST_TOKEN, PORTAL_KEY),
            ("list_embeds", "GET", EMBEDS, PORTAL_KEY),
            ("create_datamart", "POST", DATAMARTS, SERVICE),
            ("list_datasources", "GET", DATASOURCES, SERVICE),
            ("list_workspaces", "GET", WORKSPACES, SERVICE),
            ("update_workspace", "PUT", WORKSPACES, SERVICE),
            ("list_workspace_dashboards", "POST", DASHBOARDS, SERVICE),
        ],
    )
    def test_a_token_that_is_refused(
        self, client: httpx.Client, route: str, method: str, path: str, token: str
    ) -> None:
        """A good token gets the very answer that a route gives to one it does not know, and from no other route."""
        asked: JsonObject = {"params": {"embedId": "board"}, "json": {"embedId": "board"}}
        unknown = client.request(method, path, headers=bearer("unknown"), **asked)
        put_faults(client, {"route": route, "fault": "token_refused"})
        refused = client.request(method, path, headers=bearer(token), **asked)
        assert (refused.status_code, refused.json()) == (unknown.status_code, unknown.json())
        assert refused.status_code in {400, 401}
        put_faults(client, {"route": "list_api_tokens", "fault": "token_refused"})
        again = client.request(method, path, headers=bearer(token), **asked)
        assert (again.status_code, again.text) != (refused.status_code, refused.text)

    @pytest.mark.parametrize(
        ("route", "calls"),
        [
            ("create_embed", [("POST", EMBEDS), ("POST", LEGACY_CREATE_EMBED)]),
            ("export_embed", [("GET", EXPORT)]),
            ("fetch_metrics", [("GET", METRICS), ("POST", LEGACY_METRICS)]),
            ("create_guest_token", [("POST", GUEST_TOKEN)]),
            ("list_datasources", [("GET", DATASOURCES)]),
            ("list_workspaces", [("GET", WORKSPACES)]),
            ("update_workspace", [("PUT", WORKSPACES)]),
            ("list_workspace_dashboards", [("POST", DASHBOARDS)]),
            ("list_embeds", [("GET", EMBEDS)]),
        ],
    )
    def test_a_rule_is_for_one_route_in_both_forms(
        self, client: httpx.Client, route: str, calls: list[tuple[str, str]]
    ) -> None:
        """A rule acts on its route in each form, and on no other."""
        everything = [
            *(("GET", path) for path in (EMBEDS, EXPORT, METRICS, DATASOURCES, WORKSPACES, DATAMARTS)),
            *(("POST", path) for path in (EMBEDS, LEGACY_CREATE_EMBED, LEGACY_METRICS, GUEST_TOKEN, DASHBOARDS)),
            ("PUT", WORKSPACES),
        ]
        put_faults(client, {"route": route, "fault": "status", "status": 599})
        hit = [call for call in everything if client.request(*call).status_code == 599]
        assert sorted(hit) == sorted(calls)


class TestSeed:
    """What a seed says of it."""

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            (["workspaces", 1, "name"], "Empty", "seed.workspaces[2].name is 'Empty' that seed.workspaces[1].name has"),
            (["workspaces", 0, "datamartName"], "gone", "seed.workspaces[0].datamartName is 'gone', which"),
            (["workspaces", 1, "datasourceName"], "gone", "seed.workspaces[1].datasourceName is 'gone', which"),
            (["workspaces", 0, "connectionType"], "NONE", "seed.workspaces[0].connectionType must be one of"),
            (
                ["workspaces", 0, "dashboards", 1, "dashboardId"],
                "overview",
                "seed.workspaces[0].dashboards[1].dashboardId is 'overview' that",
            ),
            (
                ["workspaces", 0, "dashboards", 0, "data"],
                {"layout": [], "filters": []},
                "seed.workspaces[0].dashboards[0].data must contain",
            ),
            (
                ["dataApps", 0, "embeds", 0, "dashboardId"],
                "gone",
                "seed.dataApps[0].embeds[0] shows the dashboard 'gone', which is in no workspace of the seed",
            ),
            (
                ["dataApps", 0, "embeds", 1, "metricId"],
                "gone",
                "seed.dataApps[0].embeds[1] shows the metric 'gone', which is in no workspace of the seed",
            ),
            (
                ["dataApps", 0, "embeds", 0, "workspaceName"],
                "Warehouse",
                "seed.dataApps[0].embeds[0] shows the dashboard 'overview', which is not in 'Warehouse'",
            ),
            (["dataApps", 0, "embeds", 0, "metricId"], "revenue", "seed.dataApps[0].embeds[0].metricId is there"),
            (["dataApps", 0, "embeds", 1, "dashboardId"], "shared", "seed.dataApps[0].embeds[1].dashboardId is there"),
            (
                ["dataApps", 0, "embeds", 0, "accessSettings", "isIncrementalJoin"],
                True,
                "seed.dataApps[0].embeds[0].accessSettings must not contain {'isIncrementalJoin'} properties",
            ),
        ],
    )
    def test_a_wrong_field_is_named(self, path: list[str | int], value: object, complaint: str) -> None:
        """A broken seed is refused with the field and the rule."""
        broken: Any = copy.deepcopy(seed())
        place = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(InvalidInputError) as caught:
            organisation_of(broken)
        assert str(caught.value).startswith(complaint)

    def test_an_embed_is_in_the_first_workspace_that_has_it(self, databrain: Databrain, client: httpx.Client) -> None:
        """An embed that names no workspace is in the first that has its dashboard, and one of no dashboard in none."""
        given = seed()
        del given["dataApps"][0]["embeds"][2]["workspaceName"]
        databrain.organisation = organisation_of(given)
        assert embeds_of(client)["stocks"]["workspaceName"] == "Sales & more"
        assert "workspaceName" not in embeds_of(client, "Intranet")["loose"]

    def test_what_is_shown_of_an_embed_is_a_seed(self, databrain: Databrain, client: httpx.Client) -> None:
        """The embeds that the control interface shows can stand in a seed."""
        given = seed()
        for app in given["dataApps"]:
            app["embeds"] = [*embeds_of(client, app["name"]).values()]
            for embed in app["embeds"]:
                del embed["dataAppName"]
        again, before = organisation_of(given), databrain.organisation
        assert [app.embeds for app in again.data_apps.values()] == [app.embeds for app in before.data_apps.values()]

    def test_the_sample_can_be_restored(self) -> None:
        """Each embed of the sample shows a dashboard of a workspace, and Create Embed would make it again."""
        organisation = organisation_of(read_seed())
        assert organisation.options == organisation_of(read_seed() | {"server": {}}).options
        for app in [*organisation.data_apps.values()]:
            for embed in app.embeds:
                settings = {"datamartName": embed.datamart, **embed.access_settings}
                request = {"embedType": embed.embed_type, "dashboardId": embed.target, "workspaceName": embed.workspace}
                organisation.create_embed(app, request | {"accessSettings": settings}, legacy=False)
                assert organisation.data_apps[app.name].embeds[-1].access_settings == embed.access_settings
