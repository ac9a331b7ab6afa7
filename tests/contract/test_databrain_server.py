"""What the local Databrain server promises: the documented API, faults on demand, and a control interface."""

import copy
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.databrain.estate import SERVICE_TOKEN, estate
from local.databrain.organisation import Organisation
from local.databrain.seed import SAMPLE, organisation_of, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError
from tests.contract.databrain_calls import bearer, error_of, names_in, put_faults
from tests.contract.hostile_names import HOSTILE_NAMES

JsonObject = dict[str, Any]

ROOT = Path(__file__).parents[2]
SERVICE = "a-service-token"
PORTAL_KEY = "key-of-the-portal"
EXPIRED_KEY = "old-key-of-the-portal"
INTRANET_KEY = "key-of-the-intranet"

DATAMARTS = "/api/v2/data-app/datamarts"
DATAMART = "/api/v2/data-app/datamart"
SEMANTIC_LAYER = "/api/v2/data-app/datamarts/semantic-layer"
DATA_APPS = "/api/v2/data-app"
API_TOKENS = "/api/v2/data-app/api-tokens"
EMBEDS = "/api/v2/data-app/embeds"
LEGACY_LIST = "/api/v2/dataApp/datamart/list"
LEGACY_DELETE = "/api/v2/dataApp/datamart/delete"
LEGACY_CREATE = "/api/v2/dataApp/datamart/create"
LEGACY_SEMANTIC_LAYER = "/api/v2/dataApp/datamarts/semantic-layer"
LEGACY_EMBEDS = "/api/v2/dataApp/embed/list"


@pytest.fixture(scope="module")
def running() -> Iterator[Databrain]:
    """One server for all tests of this module."""
    with serve(seed()) as databrain:
        yield databrain


@pytest.fixture(scope="module")
def anonymous(running: Databrain) -> Iterator[httpx.Client]:
    """A client that sends no token unless told to."""
    with httpx.Client(base_url=running.url, timeout=10) as client:
        yield client


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


def column(name: str, datatype: str, **more: object) -> JsonObject:
    """Return a seed's column."""
    return {"columnName": name, "datatype": datatype, **more}


def datamart(name: str, **more: object) -> JsonObject:
    """Return a seed's datamart with one table."""
    tables = [{"schemaName": "public", "tableName": "orders", "datamartTableColumns": [column("id", "integer")]}]
    return {
        "name": name,
        "createdAt": "2024-01-15T10:30:00Z",
        "companyIntegration": {"name": "warehouse"},
        "datamartTables": tables,
        **more,
    }


def rich_datamart(name: str) -> JsonObject:
    """Return a seed's datamart with everything that a datamart can have."""
    columns = [
        column("id", "integer", alias="order_id", label="Order ID"),
        column("ordered_at", "timestamp", isApplyTimezone=True),
        column("net", "numeric", isCustomColumn=True, sql="gross / 1.2", isHide=True),
    ]
    return datamart(
        name,
        updatedAt="2024-02-01T00:00:00Z",
        datamartOrganization={
            "tenancyLevel": "TABLE",
            "schemaName": "public",
            "tableName": "tenants",
            "clientColumnType": "STRING",
            "tableClientNameColumn": "name",
            "tablePrimaryKeyColumn": "id",
        },
        datamartTables=[
            {
                "schemaName": "public",
                "tableName": "orders",
                "label": "Orders",
                "clientColumn": "tenant_id",
                "datamartTableColumns": columns,
            },
            {"tableName": "lookup", "datamartTableColumns": [column("code", "varchar")]},
        ],
        datamartRelationships=[
            {
                "parentTableName": "orders",
                "parentColumnName": "id",
                "childTableName": "lookup",
                "childColumnName": "code",
                "relationshipName": "orders_to_lookup",
                "cardinality": "ManyToOne",
                "join": "LEFT JOIN",
            }
        ],
        semanticLayer={
            "tables": [
                {
                    "name": "orders",
                    "schemaName": "public",
                    "description": "One row per order",
                    "synonyms": ["purchases"],
                    "miscellaneousInfo": None,
                    "columns": [
                        {
                            "name": "id",
                            "datatype": "integer",
                            "description": None,
                            "synonyms": [],
                            "miscellaneousInfo": None,
                            "columnType": "Identifier",
                            "columnTypeConfig": None,
                            "isIdentifier": True,
                            "isNotIndexed": False,
                        }
                    ],
                }
            ],
            "feedback": "Amounts are in EUR.",
            "completionScore": 50,
            "lastUpdated": "2024-02-01T00:00:00Z",
        },
    )


def seed(**server: object) -> JsonObject:
    """An organisation of twelve datamarts and two listed data apps."""
    return {
        "server": server,
        "serviceToken": SERVICE,
        "datasources": ["warehouse"],
        "datamarts": [rich_datamart("sales"), *(datamart(f"datamart-{number:02d}") for number in range(1, 12))],
        "dataApps": [
            {
                "name": "Portal & more",
                "createdAt": "2024-03-01T00:00:00Z",
                "tokens": [{"key": EXPIRED_KEY, "expired": True}, {"key": PORTAL_KEY, "name": "Back end"}],
                "embeds": [
                    {"embedId": "sales-board", "name": "Sales", "datamart": "sales", "metadata": {"owner": "growth"}},
                    {"embedId": "sales-metric", "embedType": "metric", "datamart": "sales"},
                    {"embedId": "unseen", "datamart": "datamart-01", "hidden": True},
                ],
            },
            {
                "name": "Intranet",
                "tokens": [{"key": INTRANET_KEY}],
                "embeds": [{"embedId": "free-board", "datamart": None}],
            },
            {"name": "Not for embedding", "type": "internal"},
        ],
    }


def delete_sales(client: httpx.Client) -> httpx.Response:
    """Return the answer to a delete of the datamart `sales`."""
    return client.delete(DATAMART, params={"datamartName": "sales"})


def answers_until(status: int, ask: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Ask again and again; return all answers, the last of which is the first with that status."""
    answers = [ask()]
    deadline = time.monotonic() + 30
    while answers[-1].status_code != status:
        assert time.monotonic() < deadline
        answers.append(ask())
    return answers


def create_request(item: JsonObject) -> JsonObject:
    """The documented create request for an expanded item of the list."""
    return {
        "name": item["name"],
        "datasourceName": item["companyIntegration"]["name"],
        "tableList": [
            {
                "name": table["tableName"],
                **{key: table[key] for key in ("schemaName", "label", "clientColumn", "isHide")},
                "columns": [
                    {
                        "name": entry["columnName"],
                        **{key: entry[key] for key in ("alias", "label", "isHide", "isCustomColumn")},
                        **({"sql": entry["sql"]} if entry["isCustomColumn"] else {}),
                    }
                    for entry in table["datamartTableColumns"]
                ],
            }
            for table in item["datamartTables"]
        ],
        "tenancySettings": item["datamartOrganization"],
        "relationships": item["datamartRelationships"],
    }


SERVICE_ROUTES: list[tuple[str, str, JsonObject, str | None]] = [
    ("GET", DATAMARTS, {}, None),
    ("POST", LEGACY_LIST, {"json": {}}, None),
    ("DELETE", DATAMART, {"params": {"datamartName": "sales"}}, None),
    ("POST", LEGACY_DELETE, {"json": {"datamartName": "sales"}}, None),
    ("POST", DATAMARTS, {"json": {}}, None),
    ("POST", LEGACY_CREATE, {"json": {}}, None),
    ("GET", DATA_APPS, {}, "AUTHENTICATION_ERROR"),
    ("GET", API_TOKENS, {"params": {"dataAppName": "Intranet"}}, "AUTHENTICATION_ERROR"),
    ("GET", SEMANTIC_LAYER, {"params": {"datamartName": "sales"}}, "AUTHENTICATION_ERROR"),
    ("POST", SEMANTIC_LAYER, {"json": {}}, "AUTHENTICATION_ERROR"),
    ("GET", LEGACY_SEMANTIC_LAYER, {"params": {"datamartName": "sales"}}, "AUTHENTICATION_ERROR"),
    ("POST", LEGACY_SEMANTIC_LAYER, {"json": {}}, "AUTHENTICATION_ERROR"),
]


class TestTokens:
    """Who may do what."""

    @pytest.mark.parametrize("headers", [{}, bearer("unknown"), {"Authorization": f"Basic {SERVICE}"}])
    @pytest.mark.parametrize(("method", "path", "arguments", "code"), SERVICE_ROUTES)
    def test_a_missing_or_unknown_token_is_401(
        self,
        databrain: Databrain,
        anonymous: httpx.Client,
        method: str,
        path: str,
        arguments: JsonObject,
        code: str | None,
        headers: dict[str, str],
    ) -> None:
        """A route of the service token answers 401 to no token and to an unknown one, and does nothing."""
        answer = anonymous.request(method, path, headers=headers, **arguments)
        assert error_of(answer) == (401, code, "Invalid or expired token")
        assert len(databrain.organisation.datamarts) == 12

    @pytest.mark.parametrize(("method", "path", "arguments", "code"), SERVICE_ROUTES)
    def test_a_data_app_key_is_refused_where_the_service_token_belongs(
        self, client: httpx.Client, method: str, path: str, arguments: JsonObject, code: str | None
    ) -> None:
        """A data-app key gets 403 from the semantic layer and 401 from the other routes of the service token."""
        status, answered_code, _ = error_of(client.request(method, path, headers=bearer(PORTAL_KEY), **arguments))
        assert (status, answered_code) == (403 if path.endswith("semantic-layer") else 401, code)

    @pytest.mark.parametrize(("method", "path"), [("GET", EMBEDS), ("POST", LEGACY_EMBEDS)])
    @pytest.mark.parametrize("token", [SERVICE, EXPIRED_KEY, "unknown"])
    def test_list_embeds_knows_no_other_token_than_a_live_data_app_key(
        self, client: httpx.Client, method: str, path: str, token: str
    ) -> None:
        """List Embeds answers 400 INVALID_DATA_APP_API_KEY to whatever is not the key of a data app."""
        answer = client.request(method, path, headers=bearer(token))
        assert error_of(answer) == (400, "INVALID_DATA_APP_API_KEY", "Missing or invalid data app")

    @pytest.mark.parametrize(("method", "path"), [("GET", EMBEDS), ("POST", LEGACY_EMBEDS)])
    def test_list_embeds_without_a_token_is_401(self, anonymous: httpx.Client, method: str, path: str) -> None:
        """List Embeds answers 401 where there is no token at all."""
        assert error_of(anonymous.request(method, path))[:2] == (401, None)


class TestListDatamarts:
    """GET /api/v2/data-app/datamarts and POST /api/v2/dataApp/datamart/list."""

    def test_everything_in_one_answer_by_default(self, client: httpx.Client) -> None:
        """Without pagination both forms list every datamart, under `data` with an `error` of null."""
        current, legacy = client.get(DATAMARTS), client.post(LEGACY_LIST, json={})
        assert (
            names_in(current) == names_in(legacy) == ["sales", *(f"datamart-{number:02d}" for number in range(1, 12))]
        )
        assert current.json().keys() == legacy.json().keys() == {"data", "error"}
        assert current.json()["error"] is None

    def test_an_item_has_the_documented_shape(self, client: httpx.Client) -> None:
        """An expanded item carries tenancy, datasource, tables with columns, relationships and both times."""
        item = client.get(DATAMARTS).json()["data"][0]
        assert item["createdAt"] == "2024-01-15T10:30:00Z"
        assert item["updatedAt"] == "2024-02-01T00:00:00Z"
        assert item["companyIntegration"] == {"name": "warehouse"}
        assert item["datamartOrganization"]["tableClientNameColumn"] == "name"
        orders, lookup = item["datamartTables"]
        assert orders["datamartTableColumns"][0] == {
            "columnName": "id",
            "datatype": "integer",
            "alias": "order_id",
            "label": "Order ID",
            "isHide": False,
            "isCustomColumn": False,
            "sql": "",
            "isApplyTimezone": False,
        }
        assert (lookup["schemaName"], lookup["label"], lookup["clientColumn"]) == (None, "lookup", None)
        assert item["datamartRelationships"][0]["relationshipName"] == "orders_to_lookup"

    @pytest.mark.parametrize(("number", "expected"), [(None, 10), (1, 10), (2, 2), (3, 0), (999, 0)])
    def test_pages_of_ten(self, client: httpx.Client, number: int | None, expected: int) -> None:
        """A page holds ten, the first where no number is given, and none past the end."""
        query = {} if number is None else {"pageNumber": str(number)}
        body = {} if number is None else {"pageNumber": number}
        assert len(names_in(client.get(DATAMARTS, params={"isPagination": "true", **query}))) == expected
        assert len(names_in(client.post(LEGACY_LIST, json={"isPagination": True, **body}))) == expected

    @pytest.mark.parametrize("is_paged", ["false", "True", "1", ""])
    def test_only_the_text_true_turns_pages_on(self, client: httpx.Client, is_paged: str) -> None:
        """The current form compares `isPagination` to "true" and ignores `pageNumber` otherwise."""
        answer = client.get(DATAMARTS, params={"isPagination": is_paged, "pageNumber": "2"})
        assert len(names_in(answer)) == 12

    @pytest.mark.parametrize("number", ["0", "-1", "two", "1.0", "", "٣", "9" * 5000])
    def test_a_page_number_is_a_whole_number_from_1(self, client: httpx.Client, number: str) -> None:
        """A page number that is none is refused."""
        answer = client.get(DATAMARTS, params={"isPagination": "true", "pageNumber": number})
        assert error_of(answer) == (400, "INVALID_REQUEST_BODY", "Invalid request body")

    @pytest.mark.parametrize(
        "body", [{"isPagination": "true"}, {"isPagination": True, "pageNumber": "2"}, {"pageNumber": 0}, [], "text"]
    )
    def test_the_legacy_form_takes_a_boolean_and_a_number(self, client: httpx.Client, body: object) -> None:
        """The legacy body has other types than the query of the current form, and is an object."""
        assert error_of(client.post(LEGACY_LIST, json=body))[:2] == (400, "INVALID_REQUEST_BODY")

    def test_the_legacy_form_needs_no_body(self, client: httpx.Client) -> None:
        """A legacy list without a body lists everything."""
        assert len(names_in(client.post(LEGACY_LIST))) == 12

    @pytest.mark.parametrize(
        ("query", "expanded"),
        [
            ({}, True),
            ({"expandDetails": "true"}, True),
            ({"expandDetails": "false"}, False),
            ({"expandDetails": "TRUE"}, False),
        ],
    )
    def test_expand_details(self, client: httpx.Client, query: dict[str, str], *, expanded: bool) -> None:
        """Anything but "true" leaves tables and relationships out, and nothing else."""
        item = client.get(DATAMARTS, params=query).json()["data"][0]
        details = {"datamartTables", "datamartRelationships"}
        assert item.keys() & details == (details if expanded else set())
        assert item.keys() - details == {
            "name",
            "createdAt",
            "updatedAt",
            "datamartOrganization",
            "companyIntegration",
        }

    def test_a_server_that_ignores_expand_details(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `honoursExpandDetails` false every list is expanded."""
        databrain.organisation = organisation_of(seed(honoursExpandDetails=False))
        assert "datamartTables" in client.get(DATAMARTS, params={"expandDetails": "false"}).json()["data"][0]

    def test_a_server_that_does_not_tell_times(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `listsCreatedAt` false, and on the legacy form always, no item has a time."""
        assert "createdAt" not in client.post(LEGACY_LIST, json={}).json()["data"][0]
        databrain.organisation = organisation_of(seed(listsCreatedAt=False))
        assert not {"createdAt", "updatedAt"} & client.get(DATAMARTS).json()["data"][0].keys()


class TestDeleteDatamart:
    """DELETE /api/v2/data-app/datamart and POST /api/v2/dataApp/datamart/delete."""

    def test_it_deletes_by_name(self, databrain: Databrain, client: httpx.Client) -> None:
        """Both forms remove the datamart and answer with its name and an `error` of null."""
        current = client.delete(DATAMART, params={"datamartName": "sales"})
        legacy = client.post(LEGACY_DELETE, json={"datamartName": "datamart-01"})
        assert (current.status_code, current.json()) == (200, {"id": "sales", "error": None})
        assert (legacy.status_code, legacy.json()) == (200, {"id": "datamart-01", "error": None})
        assert not {"sales", "datamart-01"} & databrain.organisation.datamarts.keys()

    @pytest.mark.parametrize("query", [{}, {"datamartName": ""}, {"datamartName": "absent"}, {"datamartName": "SALES"}])
    def test_an_unknown_name_and_a_bad_request_look_the_same(self, client: httpx.Client, query: dict[str, str]) -> None:
        """The current form answers 400 "Datamart not found" to an unknown and to a missing name."""
        answer = client.delete(DATAMART, params=query)
        assert error_of(answer) == (400, "INVALID_REQUEST_BODY", "Datamart not found")

    @pytest.mark.parametrize("body", [{}, {"datamartName": "absent"}, {"datamartName": 7}, {"datamartName": ["sales"]}])
    def test_the_legacy_form_says_so_in_its_own_words(self, client: httpx.Client, body: JsonObject) -> None:
        """The legacy form answers 400 "Invalid datamart name" to the same."""
        answer = client.post(LEGACY_DELETE, json=body)
        assert error_of(answer) == (400, "INVALID_REQUEST_BODY", "Invalid datamart name")

    @pytest.mark.parametrize(
        "arguments",
        [
            {"content": b'{"datamartName": "sales"}'},
            {"content": b'{"datamartName": "sales"', "headers": {"Content-Type": "application/json"}},
            {"json": ["sales"]},
            {"data": {"datamartName": "sales"}},
        ],
    )
    def test_a_body_is_json_that_says_so(
        self, databrain: Databrain, client: httpx.Client, arguments: JsonObject
    ) -> None:
        """Without the JSON content type, or without JSON, there is no body to act on."""
        assert error_of(client.post(LEGACY_DELETE, **arguments)) == (
            400,
            "INVALID_REQUEST_BODY",
            "Invalid request body",
        )
        assert "sales" in databrain.organisation.datamarts

    def test_its_embeds_go_with_it(self, client: httpx.Client) -> None:
        """A delete removes the embeds that use the datamart, and no others."""
        client.delete(DATAMART, params={"datamartName": "sales"})
        apps = {app["name"]: app for app in client.get(DATA_APPS).json()["data"]}
        assert [embed["embedId"] for embed in apps["Portal & more"]["embeds"]] == ["unseen"]
        assert apps["Intranet"]["embedCount"] == 1
        assert client.get(EMBEDS, headers=bearer(PORTAL_KEY)).json()["data"] == []

    @pytest.mark.parametrize(
        ("method", "path"), [("DELETE", DATAMARTS), ("DELETE", "/api/v2/dataApp/datamart"), ("GET", "/")]
    )
    def test_what_no_page_describes_is_not_there(
        self, databrain: Databrain, client: httpx.Client, method: str, path: str
    ) -> None:
        """An undocumented route answers 404 or 405 and does nothing."""
        assert client.request(method, path, params={"datamartName": "sales"}).status_code in {404, 405}
        assert "sales" in databrain.organisation.datamarts


class TestCreateDatamart:
    """POST /api/v2/data-app/datamarts and POST /api/v2/dataApp/datamart/create."""

    @pytest.mark.parametrize("path", [DATAMARTS, LEGACY_CREATE])
    @pytest.mark.parametrize("name", ["sales", "datamart-01"])
    def test_what_the_list_showed_can_be_created_again(self, client: httpx.Client, path: str, name: str) -> None:
        """The create request made of a list entry gives back the same entry, at the end of the list, with new times."""
        before = next(item for item in client.get(DATAMARTS).json()["data"] if item["name"] == name)
        client.delete(DATAMART, params={"datamartName": name})
        request = create_request(before)
        if request["tenancySettings"] is None:
            del request["tenancySettings"]
        answer = client.post(path, json=request)
        assert (answer.status_code, answer.json()) == (200, {"id": name, "error": None})
        after = client.get(DATAMARTS).json()["data"][-1]
        created, updated = after.pop("createdAt"), after.pop("updatedAt")
        assert datetime.fromisoformat(created) > datetime.fromisoformat(before.pop("createdAt"))
        assert updated == created
        del before["updatedAt"]
        assert after == before

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"name": None}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"name": ""}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"undocumented": 1}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"name": "sales"}, ("INVALID_REQUEST_BODY", "Datamart name already exists")),
            ({"datasourceName": "Warehouse"}, ("DATASOURCE_NAME_ERROR", "Invalid datasource name")),
            ({"tableList": []}, ("INVALID_REQUEST_BODY", "Table list cannot be empty")),
            ({"tableList": [{"name": "orders"}]}, ("INVALID_REQUEST_BODY", "Invalid table or column structure")),
            (
                {"tableList": [{"name": "orders", "columns": []}]},
                ("INVALID_REQUEST_BODY", "Invalid table or column structure"),
            ),
            (
                {"tableList": [{"name": "orders", "columns": [{"name": "x", "isCustomColumn": True}]}]},
                ("INVALID_REQUEST_BODY", "Invalid table or column structure"),
            ),
            (
                {"tableList": [{"name": "orders", "columns": [{"name": "id", "datatype": "integer"}]}]},
                ("INVALID_REQUEST_BODY", "Invalid table or column structure"),
            ),
            (
                {"tableList": [{"name": "orders", "columns": [{"name": "id"}]}]},
                ("INVALID_REQUEST_BODY", "Invalid schema or table name"),
            ),
            (
                {"tableList": [{"schemaName": "public", "name": "orders", "columns": [{"name": "nope"}]}]},
                ("INVALID_REQUEST_BODY", "Invalid column names in table"),
            ),
            (
                {
                    "tableList": [
                        {"schemaName": "public", "name": "orders", "clientColumn": "x", "columns": [{"name": "id"}]}
                    ]
                },
                ("INVALID_REQUEST_BODY", "Invalid column names in table"),
            ),
            (
                {"tenancySettings": {"tenancyLevel": "ROW"}},
                ("INVALID_TENANCY", "Invalid tenancy level for organization"),
            ),
            ({"tenancySettings": {"tenancyLevel": "TABLE"}}, ("INVALID_REQUEST_BODY", "Invalid request body")),
            ({"relationships": [{"cardinality": "Few"}]}, ("INVALID_REQUEST_BODY", "Invalid request body")),
        ],
    )
    def test_it_refuses_as_its_table_of_errors_says(
        self, databrain: Databrain, client: httpx.Client, change: JsonObject, expected: tuple[str, str]
    ) -> None:
        """A wrong request gets 400 with the documented code and message, and creates nothing."""
        request = {
            "name": "new",
            "datasourceName": "warehouse",
            "tableList": [{"schemaName": "public", "name": "orders", "columns": [{"name": "id"}]}],
        }
        assert error_of(client.post(DATAMARTS, json=request | change)) == (400, *expected)
        assert len(databrain.organisation.datamarts) == 12

    def test_a_custom_column_needs_no_counterpart_in_the_source(self, client: httpx.Client) -> None:
        """A new custom column is taken with its SQL."""
        columns = [{"name": "half", "isCustomColumn": True, "sql": "id / 2"}]
        tables = [{"schemaName": "public", "name": "orders", "columns": columns}]
        client.post(DATAMARTS, json={"name": "new", "datasourceName": "warehouse", "tableList": tables})
        shown = client.get(DATAMARTS).json()["data"][-1]["datamartTables"][0]["datamartTableColumns"][0]
        assert (shown["columnName"], shown["sql"], shown["isCustomColumn"]) == ("half", "id / 2", True)


class TestSemanticLayer:
    """GET and POST of datamarts/semantic-layer, on both prefixes."""

    @pytest.mark.parametrize("path", [SEMANTIC_LAYER, LEGACY_SEMANTIC_LAYER])
    def test_it_is_shown_under_data_alone(self, client: httpx.Client, path: str) -> None:
        """The answer is `{"data": ...}` without an `error`, and names the datamart."""
        answer = client.get(path, params={"datamartName": "sales"})
        assert answer.status_code == 200
        assert answer.json() == {"data": {"datamartName": "sales", **rich_datamart("sales")["semanticLayer"]}}

    @pytest.mark.parametrize("name", ["datamart-01", "absent"])
    def test_none_is_404(self, client: httpx.Client, name: str) -> None:
        """A datamart without a semantic layer, or no datamart, is 404 SEMANTIC_LAYER_NOT_FOUND."""
        answer = client.get(SEMANTIC_LAYER, params={"datamartName": name})
        assert error_of(answer)[:2] == (404, "SEMANTIC_LAYER_NOT_FOUND")

    def test_a_get_names_a_datamart(self, client: httpx.Client) -> None:
        """A GET without a name is refused."""
        assert error_of(client.get(SEMANTIC_LAYER))[:2] == (400, "INVALID_REQUEST_BODY")

    @pytest.mark.parametrize("path", [SEMANTIC_LAYER, LEGACY_SEMANTIC_LAYER])
    def test_what_was_shown_can_be_created_again(self, client: httpx.Client, path: str) -> None:
        """A layer that is posted as it was read is the same again, but for its score and its time."""
        before = client.get(path, params={"datamartName": "sales"}).json()["data"]
        item = client.get(DATAMARTS).json()["data"][0]
        client.delete(DATAMART, params={"datamartName": "sales"})
        client.post(DATAMARTS, json=create_request(item))
        assert client.get(path, params={"datamartName": "sales"}).status_code == 404
        sent = {key: before[key] for key in ("datamartName", "tables", "feedback")}
        answer = client.post(path, json=sent)
        assert (answer.status_code, answer.json()) == (200, {"id": "sales"})
        after = client.get(path, params={"datamartName": "sales"}).json()["data"]
        assert after.pop("completionScore") == 50
        assert after.pop("lastUpdated") > before["lastUpdated"]
        assert after == sent

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "Invalid request body"),
            ({"datamartName": "absent", "tables": []}, "Datamart not found"),
            ({"datamartName": "sales", "tables": []}, "Semantic layer already exists"),
            ({"datamartName": "datamart-01", "tables": [{"name": "x"}]}, "Invalid schema or table name"),
            (
                {"datamartName": "datamart-01", "tables": [{"name": "orders", "columns": [{"name": "x"}]}]},
                "Invalid column names in table",
            ),
            (
                {"datamartName": "datamart-01", "tables": [{"name": "orders", "synonyms": ["s"] * 11}]},
                "Invalid request body",
            ),
        ],
    )
    def test_a_wrong_request_is_refused(self, client: httpx.Client, body: JsonObject, message: str) -> None:
        """A layer is created once, for a datamart that exists, of its tables and columns, with 10 synonyms at most."""
        assert error_of(client.post(SEMANTIC_LAYER, json=body)) == (400, "INVALID_REQUEST_BODY", message)


class TestDataApps:
    """GET /api/v2/data-app and GET /api/v2/data-app/api-tokens."""

    def test_the_list_names_every_embed(self, client: httpx.Client) -> None:
        """Data apps of type embedded are listed under `data` alone, with all embeds, hidden ones too."""
        answer = client.get(DATA_APPS)
        assert answer.json().keys() == {"data"}
        assert names_in(answer) == ["Portal & more", "Intranet"]
        portal = answer.json()["data"][0]
        assert portal["type"] == "embedded"
        assert portal["createdAt"] == portal["updatedAt"] == "2024-03-01T00:00:00Z"
        assert portal["embedCount"] == 3
        assert [embed["embedId"] for embed in portal["embeds"]] == ["sales-board", "sales-metric", "unseen"]
        assert portal["embeds"][0].keys() == {"name", "embedId", "createdAt", "updatedAt"}

    def test_its_pages(self, databrain: Databrain, client: httpx.Client) -> None:
        """The list of data apps has pages of ten."""
        databrain.organisation = organisation_of(estate(datamarts=1, data_apps=11))
        pages = [
            client.get(DATA_APPS, headers=bearer(SERVICE_TOKEN), params={"isPagination": "true", "pageNumber": number})
            for number in (1, 2, 3)
        ]
        assert [len(names_in(page)) for page in pages] == [10, 1, 0]

    def test_an_old_server_has_none(self, databrain: Databrain, client: httpx.Client) -> None:
        """With `hasDataApps` false the list of data apps is 404."""
        databrain.organisation = organisation_of(seed(hasDataApps=False))
        assert client.get(DATA_APPS).status_code == 404

    def test_the_tokens_of_one_app(self, client: httpx.Client) -> None:
        """List API Tokens gives the live keys of the app that is named, expired ones among them, under `data` alone."""
        answer = client.get(API_TOKENS, params={"dataAppName": "Portal & more"})
        assert answer.status_code == 200
        assert answer.json().keys() == {"data"}
        assert [token["key"] for token in answer.json()["data"]] == [EXPIRED_KEY, PORTAL_KEY]
        assert answer.json()["data"][1].keys() == {"key", "name", "description", "createdAt"}

    @pytest.mark.parametrize("query", [{}, {"dataAppName": "portal & more"}])
    def test_an_unknown_app_is_refused(self, client: httpx.Client, query: dict[str, str]) -> None:
        """List API Tokens of a data app that does not exist is 400 DATA_APP_NOT_FOUND."""
        assert error_of(client.get(API_TOKENS, params=query))[:2] == (400, "DATA_APP_NOT_FOUND")


class TestEmbeds:
    """GET /api/v2/data-app/embeds and POST /api/v2/dataApp/embed/list."""

    def test_one_key_lists_one_app(self, client: httpx.Client) -> None:
        """A key lists the embeds of its own data app but for hidden ones, with an `error` of null."""
        for answer in (
            client.get(EMBEDS, headers=bearer(PORTAL_KEY)),
            client.post(LEGACY_EMBEDS, headers=bearer(PORTAL_KEY), json={}),
        ):
            assert answer.json()["error"] is None
            assert [item["embedId"] for item in answer.json()["data"]] == ["sales-board", "sales-metric"]
        other = client.get(EMBEDS, headers=bearer(INTRANET_KEY)).json()["data"]
        assert [item["embedId"] for item in other] == ["free-board"]

    def test_as_documented_nothing_tells_the_datamart(self, client: httpx.Client) -> None:
        """By default no answer says which datamart an embed uses."""
        for answer in (
            client.get(EMBEDS, headers=bearer(PORTAL_KEY)),
            client.post(LEGACY_EMBEDS, headers=bearer(PORTAL_KEY)),
        ):
            assert "datamartName" not in answer.text
            assert "accessSettings" not in answer.text

    def test_dashboards_and_metrics_differ(self, client: httpx.Client) -> None:
        """A dashboard has an externalDashboard with its creator's metadata, a metric an externalMetric, never both."""
        board, metric = client.get(EMBEDS, headers=bearer(PORTAL_KEY)).json()["data"]
        assert (board["embedType"], metric["embedType"]) == ("dashboard", "metric")
        assert board["externalDashboard"]["metadata"]["owner"] == "growth"
        assert board["externalDashboard"]["metadata"].keys() == {"createdAt", "updatedAt", "owner"}
        assert board["externalMetric"] is None
        assert metric["externalDashboard"] is None
        assert metric["externalMetric"]["name"] == "sales-metric"
        assert board["embedMetadata"]["dataAppName"] == "Portal & more"

    @pytest.mark.parametrize(
        ("told", "place"),
        [
            ("access_settings", ["accessSettings"]),
            ("old_spelling", ["embedDataAppAccessSetting"]),
            ("metadata", ["externalDashboard", "metadata"]),
        ],
    )
    @pytest.mark.parametrize(("method", "path"), [("GET", EMBEDS), ("POST", LEGACY_EMBEDS)])
    def test_a_server_that_tells(
        self, databrain: Databrain, client: httpx.Client, told: str, place: list[str], method: str, path: str
    ) -> None:
        """With `embedsTellDatamart` the datamart stands in the place named, and nothing stands there for none."""
        databrain.organisation = organisation_of(seed(embedsTellDatamart=told))
        found = client.request(method, path, headers=bearer(PORTAL_KEY)).json()["data"][0]
        free = client.request(method, path, headers=bearer(INTRANET_KEY)).json()["data"][0]
        for key in place:
            found, free = found[key], free[key]
        assert found["datamartName"] == "sales"
        assert "datamartName" not in free

    def test_its_pages(self, databrain: Databrain, client: httpx.Client) -> None:
        """Both forms of List Embeds have pages of ten."""
        databrain.organisation = organisation_of(estate(datamarts=3, data_apps=1, embeds_per_app=12))
        key = bearer("made-up-data-app-key-of-app-000")
        query, body = {"isPagination": "true", "pageNumber": "2"}, {"isPagination": True, "pageNumber": 2}
        assert len(client.get(EMBEDS, headers=key, params=query).json()["data"]) == 2
        assert len(client.post(LEGACY_EMBEDS, headers=key, json=body).json()["data"]) == 2


class TestNames:
    """Any text can be a datamart's name."""

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_a_hostile_name_works_on_every_route(self, databrain: Databrain, client: httpx.Client, name: str) -> None:
        """A name passes create, list, semantic layer, both deletes, the record and the control interface unchanged."""
        tables = [{"schemaName": "public", "name": "orders", "columns": [{"name": "id"}]}]
        create = {"name": name, "datasourceName": "warehouse", "tableList": tables}
        layer = {"datamartName": name, "tables": []}
        control = f"/_control/datamarts/{quote(name, safe='')}".replace("/..", "/%2E%2E").replace("/.", "/%2E")
        assert client.post(DATAMARTS, json=create).json()["id"] == name
        assert names_in(client.get(DATAMARTS))[-1] == name
        assert client.post(SEMANTIC_LAYER, json=layer).json()["id"] == name
        assert client.get(SEMANTIC_LAYER, params={"datamartName": name}).json()["data"]["datamartName"] == name
        assert client.delete(DATAMART, params={"datamartName": name}).json()["id"] == name
        assert databrain.requests[-1]["query"] == {"datamartName": name}
        assert client.put(control, json=datamart(name)).status_code == 204
        assert client.post(LEGACY_DELETE, json={"datamartName": name}).json()["id"] == name
        assert databrain.requests[-1]["body"] == {"datamartName": name}
        assert client.put(control, json=datamart(name)).status_code == 204
        assert client.get("/_control/datamarts").json()[-1]["name"] == name
        assert client.delete(control).status_code == 204
        assert name not in databrain.organisation.datamarts

    def test_names_are_told_apart_exactly(self, databrain: Databrain, client: httpx.Client) -> None:
        """A delete hits neither another case, nor another normal form, nor a trimmed name."""
        for name in ("e\u0301", "\u00e9", "\u00c9", "\u00e9 "):
            client.put(f"/_control/datamarts/{quote(name)}", json=datamart(name))
        client.delete(DATAMART, params={"datamartName": "\u00e9"})
        assert [*databrain.organisation.datamarts][-3:] == ["e\u0301", "\u00c9", "\u00e9 "]


class TestFaults:
    """`PUT /_control/faults`."""

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 599])
    def test_status(self, databrain: Databrain, client: httpx.Client, status: int) -> None:
        """An error answer of any status, in the usual envelope, instead of the effect."""
        put_faults(client, {"route": "delete_datamart", "fault": "status", "status": status})
        assert error_of(delete_sales(client)) == (status, "INJECTED_FAULT", "Injected by a fault rule")
        assert "sales" in databrain.organisation.datamarts

    @pytest.mark.parametrize("after", [7, "7", "Wed, 21 Oct 2026 07:28:00 GMT"])
    def test_status_with_all_its_arguments(self, client: httpx.Client, after: int | str) -> None:
        """Code, message and Retry-After are as the rule says."""
        rule = {
            "route": "*",
            "fault": "status",
            "status": 429,
            "code": "SLOW_DOWN",
            "message": "m",
            "retryAfter": after,
        }
        put_faults(client, rule)
        answer = client.get(DATAMARTS)
        assert error_of(answer) == (429, "SLOW_DOWN", "m")
        assert answer.headers["Retry-After"] == str(after)

    def test_throttle(self, databrain: Databrain, client: httpx.Client) -> None:
        """What comes above the rate gets 429, and has no effect; once a second has passed there is room again."""
        put_faults(client, {"route": "*", "fault": "throttle", "perSecond": 2, "retryAfter": 7})
        *passed, refused = answers_until(429, lambda: client.get(DATAMARTS))
        assert len(passed) >= 2
        assert {answer.status_code for answer in passed} == {200}
        assert error_of(refused) == (429, "TOO_MANY_REQUESTS", "Slow down")
        assert refused.headers["Retry-After"] == "7"

        *refused_deletes, deleted = answers_until(200, lambda: delete_sales(client))
        assert {answer.status_code for answer in refused_deletes} <= {429}
        assert deleted.json() == {"id": "sales", "error": None}
        assert "sales" not in databrain.organisation.datamarts

    def test_throttle_of_a_high_rate(self, client: httpx.Client) -> None:
        """What stays below the rate passes; where it does not, a second is the time to wait."""
        put_faults(client, {"route": "*", "fault": "throttle", "perSecond": 1000})
        assert {client.get(DATAMARTS).status_code for _ in range(20)} == {200}
        put_faults(client, {"route": "*", "fault": "throttle", "perSecond": 1})
        assert answers_until(429, lambda: client.get(DATAMARTS))[-1].headers["Retry-After"] == "1"

    @pytest.mark.parametrize(("kind", "deleted"), [("lost_answer", True), ("refused", False)])
    def test_cut_connections(self, databrain: Databrain, client: httpx.Client, kind: str, *, deleted: bool) -> None:
        """The client gets no answer, after the effect or before it; the request is recorded without a status."""
        put_faults(client, {"route": "delete_datamart", "fault": kind})
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            delete_sales(client)
        assert ("sales" not in databrain.organisation.datamarts) is deleted
        assert [(entry["method"], entry["status"]) for entry in databrain.requests] == [("DELETE", None)]

    def test_slow_answers_in_the_end(self, client: httpx.Client) -> None:
        """A client that waits gets the normal answer."""
        put_faults(client, {"route": "list_datamarts", "fault": "slow", "seconds": 0.01})
        assert len(names_in(client.get(DATAMARTS))) == 12

    def test_slow_has_its_effect_though_the_client_left(self, databrain: Databrain, client: httpx.Client) -> None:
        """A client that does not wait has caused the effect, and left no status in the record."""
        put_faults(client, {"route": "delete_datamart", "fault": "slow", "seconds": 3600})
        with pytest.raises(httpx.ReadTimeout):
            client.delete(DATAMART, params={"datamartName": "sales"}, timeout=0.5)
        assert "sales" not in databrain.organisation.datamarts
        assert databrain.requests[-1]["status"] is None

    def test_endless(self, client: httpx.Client) -> None:
        """The body goes on for as long as the client reads, and the server works on meanwhile and afterwards."""
        put_faults(client, {"route": "list_datamarts", "fault": "endless"})
        with client.stream("GET", DATAMARTS) as answer:
            assert answer.status_code == 200
            chunks = answer.iter_bytes(1 << 20)
            assert sum(len(next(chunks)) for _ in range(16)) == 16 << 20
            assert client.get(DATA_APPS).status_code == 200
        assert client.get(DATA_APPS).status_code == 200

    def test_broken_json(self, databrain: Databrain, client: httpx.Client) -> None:
        """The effect happens and a complete answer arrives, in which the JSON breaks off."""
        put_faults(client, {"route": "delete_datamart", "fault": "broken_json"})
        answer = delete_sales(client)
        assert answer.status_code == 200
        assert answer.text == '{"id":"sales"'[: len('{"id":"sales","error":null}') // 2]
        with pytest.raises(json.JSONDecodeError):
            answer.json()
        assert "sales" not in databrain.organisation.datamarts

    def test_html(self, databrain: Databrain, client: httpx.Client) -> None:
        """200 with a page of HTML instead of the effect."""
        put_faults(client, {"route": "delete_datamart", "fault": "html"})
        answer = delete_sales(client)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "sales" in databrain.organisation.datamarts

    def test_redirect(self, databrain: Databrain, client: httpx.Client) -> None:
        """302 to the place that the rule names, instead of the effect."""
        put_faults(client, {"route": "delete_datamart", "fault": "redirect", "location": "https://example.com/a?b=c"})
        answer = delete_sales(client)
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://example.com/a?b=c")
        assert "sales" in databrain.organisation.datamarts

    @pytest.mark.parametrize("body", [None, [], {}, "text", {"data": None, "error": None}, {"id": "other"}])
    def test_wrong_shape(self, databrain: Databrain, client: httpx.Client, body: object) -> None:
        """200 with the JSON that the rule names, instead of the effect."""
        put_faults(client, {"route": "delete_datamart", "fault": "wrong_shape", "body": body})
        answer = delete_sales(client)
        assert (answer.status_code, answer.json()) == (200, body)
        assert "sales" in databrain.organisation.datamarts

    def test_phantom(self, databrain: Databrain, client: httpx.Client) -> None:
        """A delete says that it deleted, and did not; what it would refuse, it still refuses."""
        put_faults(client, {"route": "delete_datamart", "fault": "phantom"})
        assert delete_sales(client).json() == {"id": "sales", "error": None}
        assert "sales" in databrain.organisation.datamarts
        assert client.delete(DATAMART, params={"datamartName": "absent"}).status_code == 400

    @pytest.mark.parametrize(
        ("route", "calls"),
        [
            ("list_datamarts", [("GET", DATAMARTS), ("POST", LEGACY_LIST)]),
            ("delete_datamart", [("DELETE", DATAMART), ("POST", LEGACY_DELETE)]),
            ("create_datamart", [("POST", DATAMARTS), ("POST", LEGACY_CREATE)]),
            ("get_semantic_layer", [("GET", SEMANTIC_LAYER), ("GET", LEGACY_SEMANTIC_LAYER)]),
            ("create_semantic_layer", [("POST", SEMANTIC_LAYER), ("POST", LEGACY_SEMANTIC_LAYER)]),
            ("list_data_apps", [("GET", DATA_APPS)]),
            ("list_api_tokens", [("GET", API_TOKENS)]),
            ("list_embeds", [("GET", EMBEDS), ("POST", LEGACY_EMBEDS)]),
        ],
    )
    def test_a_rule_is_for_one_route_in_both_forms(
        self, client: httpx.Client, route: str, calls: list[tuple[str, str]]
    ) -> None:
        """A rule acts on its route in the current and in the legacy form, whatever the token, and on no other."""
        everything = [(method, path) for method, path, _, _ in SERVICE_ROUTES] + [
            ("GET", EMBEDS),
            ("POST", LEGACY_EMBEDS),
        ]
        put_faults(client, {"route": route, "fault": "status", "status": 599})
        hit = [call for call in everything if client.request(*call, headers=bearer("unknown")).status_code == 599]
        assert sorted(hit) == sorted(calls)

    def test_skip_and_times(self, client: httpx.Client) -> None:
        """A rule lets `skip` requests pass, acts on the next `times`, and is then spent; other routes do not count."""
        put_faults(client, {"route": "list_datamarts", "fault": "status", "status": 500, "skip": 2, "times": 2})
        client.get(DATA_APPS)
        statuses = [client.get(DATAMARTS).status_code for _ in range(6)]
        assert statuses == [200, 200, 500, 500, 200, 200]

    def test_the_first_rule_that_acts_wins(self, client: httpx.Client) -> None:
        """One rule acts on a request; a later one then does not count it, and takes over when the first is spent."""
        put_faults(
            client,
            {"route": "list_datamarts", "fault": "status", "status": 500, "times": 1},
            {"route": "*", "fault": "status", "status": 502, "times": 1},
        )
        assert [client.get(DATAMARTS).status_code for _ in range(3)] == [500, 502, 200]

    def test_rules_can_be_read_and_removed(self, client: httpx.Client) -> None:
        """GET shows what is left of each rule, PUT replaces all, DELETE removes all."""
        rule = {"route": "list_datamarts", "fault": "slow", "seconds": 0, "skip": 1, "times": 1}
        put_faults(client, rule, rule | {"skip": 5, "times": None})
        assert client.get("/_control/faults").json() == [rule, rule | {"skip": 5, "times": None}]
        client.get(DATAMARTS)
        client.get(DATAMARTS)
        left = [rule | {"skip": 4, "times": None}]
        assert client.get("/_control/faults").json() == left
        put_faults(client, *left)
        assert client.get("/_control/faults").json() == left
        assert client.delete("/_control/faults").status_code == 204
        assert client.get("/_control/faults").json() == []

    @pytest.mark.parametrize(
        ("rules", "complaint"),
        [
            ({}, "rules must be array"),
            ([{}], "rules[0] must contain ['fault'] properties"),
            ([{"fault": "sloow"}], "rules[0].fault must be one of"),
            ([{"fault": "html"}], "rules[0] must contain ['route'] properties"),
            ([{"fault": "html", "route": "list"}], "rules[0].route must be one of"),
            ([{"fault": "html", "route": "*", "seconds": 1}], "rules[0] must not contain {'seconds'} properties"),
            ([{"fault": "slow", "route": "*"}], "rules[0] must contain ['seconds'] properties"),
            ([{"fault": "status", "route": "*", "status": 200}], "rules[0].status must be bigger than or equal to 400"),
            ([{"fault": "throttle", "route": "*"}], "rules[0] must contain ['perSecond'] properties"),
            ([{"fault": "redirect", "route": "*"}], "rules[0] must contain ['location'] properties"),
            ([{"fault": "wrong_shape", "route": "*"}], "rules[0] must contain ['body'] properties"),
            ([{"fault": "phantom", "route": "*"}], "rules[0].route must be one of ['delete_datamart']"),
            ([{"fault": "status_after", "route": "*"}], "rules[0] must contain ['status'] properties"),
            (
                [{"fault": "late_effect", "route": "*", "after": 1}],
                "rules[0].route must be one of ['delete_datamart', ",
            ),
            (
                [{"fault": "late_effect", "route": "create_embed", "after": 0}],
                "rules[0].after must be bigger than or equal to 1",
            ),
            ([{"fault": "eventual", "route": "create_embed", "after": 1}], "rules[0].route must be one of ['delete_d"),
            ([{"fault": "damaged", "route": "create_embed"}], "rules[0] must contain ['path'] properties"),
            ([{"fault": "damaged", "route": "*", "path": ["a"]}], "rules[0].route must be one of ['create_datamart', "),
            (
                [{"fault": "damaged", "route": "create_embed", "path": []}],
                "rules[0].path must contain at least 1 items",
            ),
            ([{"fault": "name_taken", "route": "*"}], "rules[0].route must be one of ['create_datamart']"),
            ([{"fault": "html", "route": "*", "times": 0}], "rules[0].times must be bigger than or equal to 1"),
            ([{"fault": "html", "route": "*", "skip": "1"}], "rules[0].skip must be integer"),
        ],
    )
    def test_a_wrong_rule_is_named(self, client: httpx.Client, rules: object, complaint: str) -> None:
        """A rule that is none is 400 with the place and what is wrong there, and the old rules stay."""
        put_faults(client, {"route": "*", "fault": "html"})
        answer = client.put("/_control/faults", json=rules)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(complaint)
        assert len(client.get("/_control/faults").json()) == 1


class TestRequests:
    """`GET /_control/requests`."""

    def test_requests_are_told_in_order(self, client: httpx.Client) -> None:
        """Every request to the API is told with all its parts; those to the control interface are not."""
        client.get(DATAMARTS, params={"isPagination": "true"})
        client.post(LEGACY_DELETE, json={"datamartName": "absent"}, headers=bearer(PORTAL_KEY))
        client.get("/no/such/path", headers=bearer("unknown"))
        client.get("/_control/faults")
        assert client.get("/_control/requests").json() == [
            {
                "method": "GET",
                "path": DATAMARTS,
                "query": {"isPagination": "true"},
                "body": None,
                "token": "service",
                "status": 200,
            },
            {
                "method": "POST",
                "path": LEGACY_DELETE,
                "query": {},
                "body": {"datamartName": "absent"},
                "token": "data-app",
                "status": 401,
            },
            {"method": "GET", "path": "/no/such/path", "query": {}, "body": None, "token": "unknown", "status": 404},
        ]
        assert client.delete("/_control/requests").status_code == 204
        assert client.get("/_control/requests").json() == []

    @pytest.mark.parametrize(
        ("headers", "kind"),
        [
            ({}, "none"),
            (bearer(SERVICE), "service"),
            (bearer(PORTAL_KEY), "data-app"),
            (bearer(EXPIRED_KEY), "unknown"),
            ({"Authorization": SERVICE}, "unknown"),
        ],
    )
    def test_the_kind_of_token(
        self, databrain: Databrain, anonymous: httpx.Client, headers: dict[str, str], kind: str
    ) -> None:
        """The record tells what the token is to the organisation."""
        anonymous.get(DATAMARTS, headers=headers)
        assert databrain.requests[-1]["token"] == kind

    def test_no_token_is_ever_recorded(self, client: httpx.Client) -> None:
        """A token shows nowhere in the record, not even where a client put it into path, query or body."""
        for token in (SERVICE, PORTAL_KEY, EXPIRED_KEY):
            client.post(
                f"/x/{token}",
                params={token: token},
                headers=bearer(token),
                json={token: [token, {"a": f"<{token}>"}, 1]},
            )
        record = client.get("/_control/requests").text
        assert not [token for token in (SERVICE, PORTAL_KEY, EXPIRED_KEY) if token in record]
        assert record.count("<[token]>") == 3

    @pytest.mark.parametrize(
        ("content", "recorded"),
        [
            (b'{"a": ', '{"a": '),
            (b'"\\ud800"', '"\\ud800"'),
            (b"NaN", "NaN"),
            (b"\xff", "\N{REPLACEMENT CHARACTER}"),
            (b"[" * 100_000, "[" * 100_000),
        ],
    )
    def test_a_body_that_is_no_json_is_recorded_as_text(
        self, client: httpx.Client, content: bytes, recorded: str
    ) -> None:
        """A body that is no JSON is refused and recorded as it came."""
        headers = {"Content-Type": "application/json"}
        assert client.post(LEGACY_LIST, content=content, headers=headers).status_code == 400
        assert client.get("/_control/requests").json()[-1]["body"] == recorded


class TestControl:
    """The rest of `/_control`."""

    def test_datamarts_are_shown_expanded(self, client: httpx.Client) -> None:
        """The control interface shows the datamarts as the expanded list does, and asks for no token."""
        assert (
            client.get("/_control/datamarts", headers=bearer("unknown")).json() == client.get(DATAMARTS).json()["data"]
        )

    def test_somebody_creates_a_datamart_anew(self, client: httpx.Client) -> None:
        """A PUT without `createdAt` makes a newer datamart of the same name, at the end of the list."""
        entry = datamart("sales")
        del entry["createdAt"], entry["name"]
        before = client.get(DATAMARTS).json()["data"][0]
        assert client.put("/_control/datamarts/sales", json=entry).status_code == 204
        listed = client.get(DATAMARTS).json()["data"]
        assert [item["name"] for item in listed].count("sales") == 1
        assert listed[-1]["name"] == "sales"
        assert datetime.fromisoformat(listed[-1]["createdAt"]) > datetime.fromisoformat(before["createdAt"])
        assert client.get(SEMANTIC_LAYER, params={"datamartName": "sales"}).status_code == 404

    def test_what_it_shows_it_takes(self, client: httpx.Client) -> None:
        """A datamart as shown can be put back, with or without changes."""
        shown = client.get("/_control/datamarts").json()[0]
        assert client.put("/_control/datamarts/sales", json=shown).status_code == 204
        assert client.get("/_control/datamarts").json()[-1] == shown

    def test_somebody_is_faster_to_delete(self, databrain: Databrain, client: httpx.Client) -> None:
        """A DELETE removes the datamart with its embeds, once."""
        assert client.delete("/_control/datamarts/sales").status_code == 204
        assert client.delete("/_control/datamarts/sales").status_code == 404
        assert "sales" not in databrain.organisation.datamarts
        assert client.get(EMBEDS, headers=bearer(PORTAL_KEY)).json()["data"] == []

    @pytest.mark.parametrize(
        ("entry", "complaint"),
        [
            ([], "datamart must be object"),
            ({}, "datamart must contain"),
            (datamart("other"), "datamart.name is 'other', but the path says 'new'"),
            (datamart("new") | {"companyIntegration": {"name": "x"}}, "datamart.companyIntegration.name is 'x'"),
            (datamart("new") | {"datamartTables": [{}]}, "datamart.datamartTables[0] must contain"),
        ],
    )
    def test_a_wrong_datamart_is_named(
        self, databrain: Databrain, client: httpx.Client, entry: object, complaint: str
    ) -> None:
        """A datamart that is none is 400 with the field, and changes nothing."""
        answer = client.put("/_control/datamarts/new", json=entry)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(complaint)
        assert "new" not in databrain.organisation.datamarts

    def test_another_seed_replaces_everything(self, databrain: Databrain, client: httpx.Client) -> None:
        """A seed replaces datamarts, data apps and tokens; a broken one is 400 and replaces nothing."""
        broken = client.put("/_control/seed", json={"serviceToken": 7})
        assert broken.status_code == 400
        assert broken.json()["error"]["message"].startswith("seed must contain")
        assert client.get(DATAMARTS).status_code == 200
        assert client.put("/_control/seed", json=estate(datamarts=3, data_apps=1)).status_code == 204
        assert client.get(DATAMARTS).status_code == 401
        assert names_in(client.get(DATAMARTS, headers=bearer(SERVICE_TOKEN))) == [
            "tenant-00000",
            "tenant-00001",
            "tenant-00002",
        ]
        assert [*databrain.organisation.data_apps] == ["app-000"]


class TestSeed:
    """What a server can start from."""

    def test_the_sample_is_a_seed(self) -> None:
        """The sample is valid, has what it takes to try everything, and its tokens say that they are made up."""
        organisation = organisation_of(read_seed())
        assert len(organisation.datamarts) >= 4
        assert any(entry.semantic_layer for entry in organisation.datamarts.values())
        assert len(organisation.data_apps) == 2
        assert all("made-up" in token for token in organisation.tokens())
        used = {embed.datamart for app in organisation.data_apps.values() for embed in app.embeds}
        assert organisation.datamarts.keys() - used, "a demo needs a datamart that nobody uses"

    def test_an_estate_has_the_size_asked_for(self) -> None:
        """An estate of any size is a seed, in which every embed tells its datamart."""
        organisation = organisation_of(estate(datamarts=250, data_apps=7, embeds_per_app=2))
        embeds = [embed for app in organisation.data_apps.values() for embed in app.embeds]
        assert (len(organisation.datamarts), len(organisation.data_apps), len(embeds)) == (250, 7, 14)
        assert all(embed.metadata == {"datamartName": embed.datamart} for embed in embeds)

    def test_a_seed_is_not_changed_by_its_use(self, databrain: Databrain, client: httpx.Client) -> None:
        """The object that a server was started with stays as it was, whatever happens to the organisation."""
        given = seed()
        databrain.organisation = organisation_of(given)
        client.delete(DATAMART, params={"datamartName": "sales"})
        assert given == seed()

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            (["serviceToken"], 7, "seed.serviceToken must be string"),
            (["serviceToken"], "short", "seed.serviceToken must be longer than or equal to 8 characters"),
            (["datmarts"], [], "seed must not contain {'datmarts'} properties"),
            (["server", "listCreatedAt"], True, "seed.server must not contain {'listCreatedAt'} properties"),
            (["server", "embedsTellDatamart"], "yes", "seed.server.embedsTellDatamart must be one of"),
            (["datamarts", 1, "name"], "", "seed.datamarts[1].name must be longer than or equal to 1 characters"),
            (["datamarts", 1, "name"], "sales", "seed.datamarts[1].name is 'sales' that seed.datamarts[0].name has"),
            (["datamarts", 1, "createdAt"], "yesterday", "seed.datamarts[1].createdAt must be date-time"),
            (
                ["datamarts", 1, "companyIntegration", "name"],
                "warehose",
                "seed.datamarts[1].companyIntegration.name is 'warehose', which is none of the datasources: ['ware",
            ),
            (["datamarts", 1, "datamartTables"], None, "seed.datamarts[1].datamartTables must be array"),
            (
                ["datamarts", 0, "datamartTables", 0, "datamartTableColumns", 2, "columName"],
                "x",
                "seed.datamarts[0].datamartTables[0].datamartTableColumns[2] must not contain {'columName'} properties",
            ),
            (["dataApps", 1, "name"], "Portal & more", "seed.dataApps[1].name is 'Portal & more' that"),
            (["dataApps", 1, "tokens", 0, "key"], PORTAL_KEY, "seed.dataApps[1].tokens[0].key is a value that"),
            (["dataApps", 1, "tokens", 0, "key"], SERVICE, "seed.dataApps[1].tokens[0].key is a value that"),
            (["dataApps", 1, "embeds", 0, "embedId"], "unseen", "seed.dataApps[1].embeds[0].embedId is 'unseen' that"),
            (["dataApps", 1, "embeds", 0, "datamart"], "gone", "seed.dataApps[1].embeds[0].datamart is 'gone', which"),
        ],
    )
    def test_a_wrong_field_is_named(self, path: list[str | int], value: object, complaint: str) -> None:
        """A broken seed is refused with the field and the rule, and without the value of a token."""
        broken: Any = copy.deepcopy(seed())
        place = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(InvalidInputError) as caught:
            organisation_of(broken)
        assert str(caught.value).startswith(complaint)
        assert not [token for token in (SERVICE, PORTAL_KEY) if token in str(caught.value)]

    @pytest.mark.parametrize("given", [None, [], "text", 7])
    def test_a_seed_is_an_object(self, given: object) -> None:
        """Anything but an object is refused as such."""
        with pytest.raises(InvalidInputError, match="seed must be object"):
            organisation_of(given)

    def test_a_file_that_is_no_json(self, tmp_path: Path) -> None:
        """A file that is no JSON is refused with its path and the place in it."""
        file = tmp_path / "seed.json"
        file.write_text('{"serviceToken": ,}')
        with pytest.raises(InvalidInputError, match=r"seed\.json is no JSON in UTF-8: .*line 1 column 18"):
            read_seed(file)


class TestServing:
    """In-process and as a program."""

    def test_the_state_is_shared(self, databrain: Databrain, client: httpx.Client) -> None:
        """A test in the same process looks at, and changes, what the routes work on."""
        databrain.faults.replace([{"route": "*", "fault": "status", "status": 503, "times": 1}])
        assert client.get(DATAMARTS).status_code == 503
        databrain.organisation.delete_datamart("sales")
        assert "sales" not in names_in(client.get(DATAMARTS))
        assert [entry["status"] for entry in databrain.requests] == [503, 200]
        assert isinstance(databrain.organisation, Organisation)

    @pytest.mark.parametrize("rule", [{"fault": "endless"}, {"fault": "slow", "seconds": 3600}])
    def test_a_request_under_way_does_not_keep_the_server(self, rule: JsonObject) -> None:
        """The end of the server cuts what it was doing, and nothing listens on its port then."""
        with serve(seed()) as databrain:
            databrain.faults.replace([{"route": "list_datamarts", **rule}])
            address = ("127.0.0.1", int(databrain.url.rpartition(":")[2]))
            connection = socket.create_connection(address, timeout=10)
            connection.sendall(f"GET {DATAMARTS} HTTP/1.1\r\nHost: databrain\r\n\r\n".encode())
            deadline = time.monotonic() + 10
            while not databrain.requests and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(databrain.requests) == 1
        with connection:
            while connection.recv(1 << 16):
                pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)

    def test_a_broken_seed_starts_nothing(self) -> None:
        """In-process, a broken seed is an exception before anything listens."""
        with pytest.raises(InvalidInputError, match="seed must contain"), serve({}):
            pytest.fail("a server came up")

    def test_the_program_says_where_it_listens(self, tmp_path: Path) -> None:
        """The module prints its address once it takes connections, serves the file, and ends on SIGTERM."""
        file = tmp_path / "seed.json"
        file.write_text(json.dumps(seed()))
        command = [sys.executable, "-m", "local.databrain", "--port", "0", "--seed", str(file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:  # noqa: S603 - our own module
            try:
                assert program.stdout
                assert program.stderr
                line = program.stdout.readline()
                assert line.startswith("listening on http://127.0.0.1:")
                url = line.removeprefix("listening on ").strip()
                assert len(names_in(httpx.get(url + DATAMARTS, headers=bearer(SERVICE)))) == 12
            finally:
                program.send_signal(signal.SIGTERM)
            assert program.wait(timeout=30) == -signal.SIGTERM
            assert (program.stdout.read(), program.stderr.read()) == ("", "")

    def test_the_program_refuses_a_broken_seed(self, tmp_path: Path) -> None:
        """The module ends with status 2 and one clear line for a broken seed, and never shows a traceback."""
        file = tmp_path / "seed.json"
        file.write_text(json.dumps(read_seed(SAMPLE) | {"datasources": []}))
        command = [sys.executable, "-m", "local.databrain", "--seed", str(file)]
        program = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - our own module
        assert (program.returncode, program.stdout) == (2, "")
        assert "seed.datamarts[0].companyIntegration.name is 'shop-postgres'" in program.stderr
        assert "Traceback" not in program.stderr
