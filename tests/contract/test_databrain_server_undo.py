"""What the local Databrain server has for bringing a datamart and its embeds back."""

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.databrain.organisation import ConnectionType
from local.databrain.seed import organisation_of
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError
from tests.contract.databrain_calls import bearer, error_of, names_in

JsonObject = dict[str, Any]

SERVICE = "a-service-token"
PORTAL_KEY = "key-of-the-portal"
EXPIRED_KEY = "old-key-of-the-portal"
INTRANET_KEY = "key-of-the-intranet"

DATAMART = "/api/v2/data-app/datamart"
DATASOURCES = "/api/v2/datasource"
WORKSPACES = "/api/v2/workspace"
DASHBOARDS = "/api/v2/workspace/dashboards"


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
            },
            {"name": "Intranet", "tokens": [{"key": INTRANET_KEY}]},
        ],
        "workspaces": [
            {
                "name": "Sales & more",
                "datamartName": "sales",
                "dashboards": [{"dashboardId": "overview", "name": "Overview"}, {"dashboardId": "shared"}],
            },
            {"name": "Warehouse", "datasourceName": "warehouse", "dashboards": [{"dashboardId": "shared"}]},
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
        databrain.organisation = organisation_of(seed() | {"workspaces": workspaces})
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
        assert names_in(client.post(DASHBOARDS, json={"workspaceName": "Warehouse"})) == ["shared"]
        assert names_in(client.post(DASHBOARDS, json={"workspaceName": "Empty"})) == []

    def test_the_pages_of_dashboards(self, databrain: Databrain, client: httpx.Client) -> None:
        """Dashboards have pages of ten, which are asked for by a boolean and a number."""
        dashboards = [{"dashboardId": f"dashboard-{number:02d}"} for number in range(11)]
        workspaces = [{"name": "Full", "dashboards": dashboards}]
        databrain.organisation = organisation_of(seed() | {"workspaces": workspaces})
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
