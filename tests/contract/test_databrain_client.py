"""What the client makes of a Databrain that works: both route families, over real HTTP."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from local.databrain.estate import datamart_name, estate
from local.databrain.faults import RouteId
from local.databrain.listing import datamart_item
from local.databrain.organisation import Organisation
from local.databrain.seed import organisation_of
from local.databrain.state import Databrain
from retirement.databrain.client import DatabrainClient
from retirement.databrain.dependents import Verdict
from retirement.databrain.permits import NoBackupRequested
from retirement.databrain.ports import DatabrainApi, DeleteEffect, Metric, Unread
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.errors import DatabrainUnexpected
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.permits import permit_for
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.routes import requests_to
from tests.contract.seeds import (
    EXPIRED_KEY,
    PORTAL_KEY,
    JsonObject,
    data_app,
    datamart,
    numbered,
    seed,
)
from tests.fakes import RecordingTelemetry

LAYER: JsonObject = {
    "tables": [{"name": "orders", "description": "One row per order", "columns": [{"name": "id"}]}],
    "feedback": "Amounts are in EUR.",
    "completionScore": 50,
    "lastUpdated": "2024-02-01T00:00:00Z",
}


def names_in(listing: Listing) -> list[str]:
    """The names in Databrain's order."""
    return list(listing.created_at)


def expanded(organisation: Organisation, name: str, api: DatabrainApi) -> JsonObject:
    """A datamart as the expanded list shows it; only the current form tells times."""
    return datamart_item(organisation.datamarts[name], expanded=True, dated=api is DatabrainApi.CURRENT)


class TestFind:
    """`find`: one datamart, by its exact name."""

    def test_a_datamart_comes_whole(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """A snapshot holds the expanded entry, the semantic layer, the creation and all names in order."""
        databrain.organisation = organisation_of(
            {**seed(), "datamarts": [datamart("first"), datamart("sales", semanticLayer=LAYER), datamart("last")]}
        )
        found = client.find("sales")
        assert isinstance(found, Snapshot)
        assert found.name == "sales"
        assert found.entry == expanded(databrain.organisation, "sales", api)
        assert found.semantic_layer is not None
        assert found.semantic_layer == {"datamartName": "sales", **LAYER}
        assert names_in(found.listing) == ["first", "sales", "last"]

    def test_creation_is_known_where_the_api_tells_it(self, client: DatabrainClient, api: DatabrainApi) -> None:
        """The current form dates a datamart, the legacy form never does."""
        found = client.find("sales")
        assert isinstance(found, Snapshot)
        dated = datetime(2024, 1, 15, 10, 30, tzinfo=UTC) if api is DatabrainApi.CURRENT else None
        assert (found.created_at, found.listing.created_at["finance"]) == (dated, dated)

    def test_creation_may_be_untold(self, databrain: Databrain, client: DatabrainClient) -> None:
        """A server that lists no times gives snapshots without one."""
        databrain.organisation = organisation_of(seed("sales", listsCreatedAt=False))
        found = client.find("sales")
        assert isinstance(found, Snapshot)
        assert found.created_at is None
        assert found.listing.created_at == {"sales": None}

    @pytest.mark.parametrize("answer", ["404", "null"])
    def test_no_semantic_layer(self, databrain: Databrain, client: DatabrainClient, answer: str) -> None:
        """A datamart without a semantic layer, however that is answered, is found without one."""
        if answer == "null":
            rule = {"route": "get_semantic_layer", "fault": "wrong_shape", "body": {"data": None}}
            databrain.faults.replace([rule])
        found = client.find("sales")
        assert isinstance(found, Snapshot)
        assert found.semantic_layer is None

    @pytest.mark.parametrize(
        "name", ["Sales", "sales ", " sales", "sale", "sales\u0301", "\uff53ales", "datamart", "name"]
    )
    def test_only_the_very_name_is_found(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, name: str
    ) -> None:
        """A near match is absent, told with all names that there are, after one request."""
        found = client.find(name)
        assert isinstance(found, Absent)
        assert names_in(found.listing) == ["sales", "marketing", "finance"]
        assert databrain.requests == requests_to(databrain, api, RouteId.LIST_DATAMARTS)
        assert len(databrain.requests) == 1

    def test_an_empty_organisation(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Nothing is found where there is nothing."""
        databrain.organisation = organisation_of(seed())
        assert client.find("sales") == Absent(Listing({}))

    @pytest.mark.parametrize("position", [1, 10, 11, 20, 21])
    def test_the_page_is_asked_for_that_holds_it(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        api: DatabrainApi,
        telemetry: RecordingTelemetry,
        position: int,
    ) -> None:
        """Names, one expanded page and the semantic layer: three requests, wherever in the list it is."""
        databrain.organisation = organisation_of(seed(*numbered(21)))
        name = numbered(21)[position - 1]
        found = client.find(name)
        assert isinstance(found, Snapshot)
        assert found.entry["name"] == name
        assert len(databrain.requests) == 3
        names, page = requests_to(databrain, api, RouteId.LIST_DATAMARTS)
        (layer,) = requests_to(databrain, api, RouteId.GET_SEMANTIC_LAYER)
        number = (position - 1) // 10 + 1
        if api is DatabrainApi.CURRENT:
            assert names["query"] == {"isPagination": "false", "expandDetails": "false"}
            assert page["query"] == {"isPagination": "true", "pageNumber": str(number)}
        else:
            assert names["body"] == {"isPagination": False}
            assert page["body"] == {"isPagination": True, "pageNumber": number}
        assert layer["query"] == {"datamartName": name}
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 0

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names(self, databrain: Databrain, client: DatabrainClient, name: str) -> None:
        """Any legal name is found, with its own semantic layer and nobody else's."""
        others = [datamart(other) for other in HOSTILE_NAMES if other != name]
        databrain.organisation = organisation_of(
            {**seed(), "datamarts": [*others, datamart(name, semanticLayer=LAYER)]}
        )
        found = client.find(name)
        assert isinstance(found, Snapshot)
        assert found.entry["name"] == name
        assert found.semantic_layer == {"datamartName": name, **LAYER}

    def test_a_list_that_is_always_expanded(
        self, databrain: Databrain, client: DatabrainClient, telemetry: RecordingTelemetry
    ) -> None:
        """A server that ignores `expandDetails` costs the same number of requests."""
        databrain.organisation = organisation_of(seed(*numbered(21), honoursExpandDetails=False))
        found = client.find("datamart-21")
        assert isinstance(found, Snapshot)
        assert names_in(found.listing) == numbered(21)
        assert len(databrain.requests) == 3
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 0

    def test_a_page_that_no_longer_holds_it(
        self, databrain: Databrain, client: DatabrainClient, telemetry: RecordingTelemetry
    ) -> None:
        """Where the order is another by now, the pages are walked, once."""
        databrain.organisation = organisation_of(seed(*numbered(25)))
        shifted = {"data": [datamart(name) for name in numbered(10)], "error": None}
        databrain.faults.replace(
            [{"route": "list_datamarts", "fault": "wrong_shape", "skip": 1, "times": 1, "body": shifted}]
        )
        found = client.find("datamart-23")
        assert isinstance(found, Snapshot)
        assert found.entry["name"] == "datamart-23"
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 1

    def test_a_name_that_is_on_no_page(self, databrain: Databrain, client: DatabrainClient) -> None:
        """A name that is listed and on no page is neither found nor absent."""
        databrain.faults.replace(
            [{"route": "list_datamarts", "fault": "wrong_shape", "skip": 1, "body": {"data": [], "error": None}}]
        )
        with pytest.raises(DatabrainUnexpected, match="no page of the list has it"):
            client.find("sales")


class TestListDatamarts:
    """`list_datamarts`: the names, fresh."""

    def test_the_order_is_databrains(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Names come in the order of the list, in one request."""
        databrain.organisation = organisation_of(seed(*reversed(numbered(31))))
        assert names_in(client.list_datamarts()) == [*reversed(numbered(31))]
        assert len(databrain.requests) == 1

    def test_each_list_is_fresh(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Nothing is kept from one list to the next."""
        assert "sales" in client.list_datamarts()
        databrain.organisation.delete_datamart("sales")
        assert "sales" not in client.list_datamarts()

    def test_an_answer_that_is_too_large(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        telemetry: RecordingTelemetry,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Names that do not fit into one answer are read page by page, until two walks agree."""
        databrain.organisation = organisation_of(seed(*numbered(95), honoursExpandDetails=False))
        whole = len(json.dumps([expanded(databrain.organisation, name, DatabrainApi.LEGACY) for name in numbered(95)]))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", whole // 2)
        assert names_in(client.list_datamarts()) == numbered(95)
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 2

    def test_updates_come_with_the_names(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi
    ) -> None:
        """When each datamart was last updated is told in the same request, where the server tells it."""
        databrain.organisation = organisation_of(seed(*numbered(31)))
        told = datetime(2024, 1, 15, 10, 30, tzinfo=UTC) if api is DatabrainApi.CURRENT else None
        listing = client.list_datamarts_with_updates()
        assert listing.updated_at == dict.fromkeys(numbered(31), told)
        assert listing.created_at == dict.fromkeys(numbered(31), told)
        assert len(databrain.requests) == 1

    @pytest.mark.parametrize("updated_at", [None, 1705314600, "yesterday", "2024-01-15T10:30:00", {}])
    def test_an_update_that_is_no_time(self, databrain: Databrain, client: DatabrainClient, updated_at: object) -> None:
        """An update that is not told clearly is unknown: no retirement fails by it."""
        item = {"name": "sales", "createdAt": "2024-01-15T10:30:00Z", "updatedAt": updated_at}
        databrain.faults.replace([{"route": "list_datamarts", "fault": "wrong_shape", "body": {"data": [item]}}])
        assert client.list_datamarts_with_updates().updated_at == {"sales": None}
        assert names_in(client.list_datamarts()) == ["sales"]


class TestListEmbeds:
    """`list_embeds`: every embed of every data app, and which datamart it uses, if anything tells."""

    def test_every_data_app_is_asked_with_its_own_key(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi
    ) -> None:
        """One request for the data apps, then two for each: its keys by the service token, its embeds by the key."""
        apps = [data_app(f"App {n}", *({"embedId": f"{n}-{m}", "datamart": None} for m in range(n))) for n in range(9)]
        databrain.organisation = organisation_of(seed(apps=tuple(apps)))
        listing, failures = client.list_embeds()
        assert sorted(embed.embed_id for embed in listing.embeds) == [f"{n}-{m}" for n in range(9) for m in range(n)]
        assert {embed.data_app_name for embed in listing.embeds} == {f"App {n}" for n in range(1, 9)}
        assert all(embed.item is not None for embed in listing.embeds)
        assert (listing.gaps, failures) == ((), ())
        assert len(databrain.requests) == 1 + 2 * 9
        asked = requests_to(databrain, api, RouteId.LIST_API_TOKENS)
        assert sorted(request["query"]["dataAppName"] for request in asked) == [f"App {n}" for n in range(9)]
        assert {request["token"] for request in asked} == {"service"}
        assert {request["token"] for request in requests_to(databrain, api, RouteId.LIST_EMBEDS)} == {"data-app"}

    @pytest.mark.parametrize("form", ["access_settings", "old_spelling", "metadata"])
    def test_a_datamart_that_is_told(self, databrain: Databrain, client: DatabrainClient, form: str) -> None:
        """The API's own field, its older spelling and the caller's metadata each tell which datamart an embed uses."""
        uses = {"embedId": "board", "name": "The board", "datamart": "sales"}
        other = {"embedId": "other", "datamart": "finance"}
        databrain.organisation = organisation_of(
            seed("sales", "finance", apps=(data_app("Portal", uses, other),), embedsTellDatamart=form)
        )
        listing, _ = client.list_embeds()
        told = {embed.embed_id: (embed.name, embed.datamart_name) for embed in listing.embeds}
        assert told == {"board": ("The board", "sales"), "other": ("other", "finance")}

    def test_a_datamart_that_nothing_tells(self, databrain: Databrain, client: DatabrainClient) -> None:
        """As documented, List Embeds tells no datamart, and an embed stays undetermined."""
        databrain.organisation = organisation_of(
            seed("sales", apps=(data_app("Portal", {"embedId": "board", "datamart": "sales"}),))
        )
        (embed,) = client.list_embeds()[0].embeds
        assert embed.item is not None
        assert embed.verdict("sales") is Verdict.UNDETERMINED

    def test_a_metric_has_no_metadata(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Metadata tells nothing of an embedded metric, which carries none."""
        metric = {"embedId": "metric", "embedType": "metric", "datamart": "sales"}
        databrain.organisation = organisation_of(
            seed("sales", apps=(data_app("Portal", metric),), embedsTellDatamart="metadata")
        )
        (embed,) = client.list_embeds()[0].embeds
        assert embed.datamart_name is None

    def test_metadata_that_is_the_callers_own(self, databrain: Databrain, client: DatabrainClient) -> None:
        """A datamart that the caller wrote into the metadata counts where the API tells none."""
        embed = {"embedId": "board", "datamart": "sales", "metadata": {"datamartName": "sales", "owner": "growth"}}
        databrain.organisation = organisation_of(seed("sales", apps=(data_app("Portal", embed),)))
        assert [embed.datamart_name for embed in client.list_embeds()[0].embeds] == ["sales"]

    def test_an_embed_that_is_not_listed(self, databrain: Databrain, client: DatabrainClient) -> None:
        """An embed that only the list of data apps names is known, and undetermined."""
        hidden = {"embedId": "unseen", "name": "Unseen", "datamart": "sales", "hidden": True}
        databrain.organisation = organisation_of(
            seed("sales", apps=(data_app("Portal", hidden),), embedsTellDatamart="access_settings")
        )
        listing, failures = client.list_embeds()
        (embed,) = listing.embeds
        assert (embed.embed_id, embed.name, embed.item) == ("unseen", "Unseen", None)
        assert embed.verdict("sales") is Verdict.UNDETERMINED
        assert (listing.gaps, failures) == ((), ())

    @pytest.mark.parametrize(("keys", "asked"), [((), 0), ((EXPIRED_KEY,), 1)])
    def test_no_key_that_works(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        api: DatabrainApi,
        keys: tuple[str, ...],
        asked: int,
    ) -> None:
        """Without a key that works, the embeds of a data app are undetermined, and nothing has failed."""
        app = data_app("Portal", {"embedId": "board", "datamart": "sales"}, keys=keys)
        databrain.organisation = organisation_of(seed("sales", apps=(app,), embedsTellDatamart="access_settings"))
        listing, failures = client.list_embeds()
        assert [(embed.embed_id, embed.datamart_name) for embed in listing.embeds] == [("board", None)]
        assert failures == ()
        assert len(requests_to(databrain, api, RouteId.LIST_EMBEDS)) == asked

    def test_the_next_key_is_tried(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """A key that List Embeds refuses is followed by the data app's next one, and costs nobody the service token."""
        app = data_app("Portal", {"embedId": "board", "datamart": "sales"}, keys=(EXPIRED_KEY, PORTAL_KEY))
        databrain.organisation = organisation_of(seed("sales", apps=(app,), embedsTellDatamart="access_settings"))
        listing, failures = client.list_embeds()
        assert [embed.datamart_name for embed in listing.embeds] == ["sales"]
        assert failures == ()
        assert [request["status"] for request in requests_to(databrain, api, RouteId.LIST_EMBEDS)] == [400, 200]

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_no_refused_service_token(
        self, databrain: Databrain, client: DatabrainClient, secret: RotatedSecret, status: int
    ) -> None:
        """401 and 403 to a data app's key are about that key: the service token is not read again."""
        app = data_app("Portal", {"embedId": "board", "datamart": "sales"})
        databrain.organisation = organisation_of(seed("sales", apps=(app,)))
        databrain.faults.replace([{"route": "list_embeds", "fault": "status", "status": status}])
        listing, failures = client.list_embeds()
        assert [(embed.embed_id, embed.item) for embed in listing.embeds] == [("board", None)]
        assert failures == ()
        assert secret.reads == 1

    def test_a_server_without_data_apps(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """No list of data apps leaves a gap; on the current API, which documents one, it is a failure too."""
        databrain.organisation = organisation_of(seed("sales", hasDataApps=False))
        listing, failures = client.list_embeds()
        assert listing.embeds == ()
        (gap,) = listing.gaps
        assert gap.startswith("the embeds")
        assert len(failures) == (api is DatabrainApi.CURRENT)

    def test_an_organisation_without_data_apps(self, databrain: Databrain, client: DatabrainClient) -> None:
        """An empty list of data apps is complete: no embeds, no gaps."""
        listing, failures = client.list_embeds()
        assert (listing.embeds, listing.gaps, failures) == ((), (), ())
        assert len(databrain.requests) == 1

    def test_embeds_that_are_only_counted(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Embeds that a data app counts and nothing names leave a gap."""
        databrain.organisation = organisation_of(seed(apps=(data_app("Portal"),)))
        body = {"data": [{"name": "Portal", "type": "embedded", "embedCount": 3, "embeds": []}]}
        databrain.faults.replace([{"route": "list_data_apps", "fault": "wrong_shape", "body": body}])
        (gap,) = client.list_embeds()[0].gaps
        assert gap.startswith("3 embeds of the data app 'Portal'")

    def test_one_failure_leaves_one_gap(self, databrain: Databrain, client: DatabrainClient) -> None:
        """Where one data app cannot be read, its embeds stay known by ID, the others are read, and the gap is told."""
        apps = tuple(data_app(f"App {n}", {"embedId": f"board-{n}", "datamart": "sales"}) for n in range(4))
        databrain.organisation = organisation_of(seed("sales", apps=apps, embedsTellDatamart="access_settings"))
        databrain.faults.replace([{"route": "list_embeds", "fault": "html", "times": 1}])
        listing, (failure,) = client.list_embeds()
        assert sorted(embed.embed_id for embed in listing.embeds) == [f"board-{n}" for n in range(4)]
        (unread,) = [embed for embed in listing.embeds if embed.item is None]
        assert [embed.datamart_name for embed in listing.embeds if embed is not unread] == ["sales"] * 3
        assert listing.gaps == (f"the embeds of the data app {unread.data_app_name!r}",)
        assert isinstance(failure, DatabrainUnexpected)

    @pytest.mark.parametrize(
        "app", [{"name": "Broken"}, {"name": "Broken", "embeds": None}, {"name": "Broken", "embeds": [{"name": "x"}]}]
    )
    def test_a_data_app_without_its_shape(self, databrain: Databrain, client: DatabrainClient, app: JsonObject) -> None:
        """A data app that is not as documented is one failure with one gap; the others are read all the same."""
        portal = {"name": "Portal", "embedCount": 1, "embeds": [{"embedId": "board", "name": "Board"}]}
        databrain.organisation = organisation_of(
            seed("sales", apps=(data_app("Portal", {"embedId": "board", "datamart": "sales"}), data_app("Broken")))
        )
        databrain.faults.replace([{"route": "list_data_apps", "fault": "wrong_shape", "body": {"data": [app, portal]}}])
        listing, (failure,) = client.list_embeds()
        assert [embed.embed_id for embed in listing.embeds] == ["board"]
        assert listing.gaps == ("the embeds of the data app 'Broken'",)
        assert isinstance(failure, DatabrainUnexpected)

    def test_an_answer_that_is_too_large(
        self,
        databrain: Databrain,
        client: DatabrainClient,
        telemetry: RecordingTelemetry,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Embeds that do not fit into one answer are read page by page, until two walks agree."""
        embeds = [{"embedId": f"board-{number:02d}", "datamart": None} for number in range(25)]
        databrain.organisation = organisation_of(seed(apps=(data_app("Portal", *embeds),)))
        monkeypatch.setattr("retirement.databrain.transport.BODY_LIMIT", 8 * 1024)
        listing, failures = client.list_embeds()
        assert sorted(embed.embed_id for embed in listing.embeds) == [f"board-{number:02d}" for number in range(25)]
        assert all(embed.item is not None for embed in listing.embeds)
        assert (listing.gaps, failures) == ((), ())
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 2

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names_of_data_apps(self, databrain: Databrain, client: DatabrainClient, name: str) -> None:
        """A data app of any name is asked for its keys."""
        databrain.organisation = organisation_of(
            seed(apps=(data_app(name, {"embedId": "board", "datamart": None}, keys=(PORTAL_KEY,)),))
        )
        listing, failures = client.list_embeds()
        assert [(embed.data_app_name, embed.item is None) for embed in listing.embeds] == [(name, False)]
        assert failures == ()


def with_embeds(
    databrain: Databrain, *embeds: JsonObject, workspaces: tuple[JsonObject, ...] = (), **server: object
) -> None:
    """One data app with these embeds, whose key is known."""
    app = data_app("Portal", *({"datamart": None, **embed} for embed in embeds), keys=(PORTAL_KEY,))
    databrain.organisation = organisation_of({**seed("sales", apps=(app,), **server), "workspaces": list(workspaces)})


def exported_by(client: DatabrainClient) -> list[JsonObject | Unread]:
    """What comes of exporting all embeds."""
    return [*client.export_embeds(client.list_embeds()[0].embeds, leave=5.0)]  # type: ignore[list-item]  # parsed JSON


class TestExports:
    """`export_embeds`: what creates an embed anew, whole."""

    def test_an_export_comes_whole(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """Everything that the API exports is there, asked for with the data app's key, once for each embed."""
        data = {
            "layout": [{"x": 1}],
            "filters": [],
            "metrics": [{"metricId": "m", "name": "M", "query": "select 1.50"}],
        }
        workspace = {"name": "Sales", "dashboards": [{"dashboardId": "dash", "data": data | {"unheardOf": [None]}}]}
        settings = {"isAllowManageMetrics": True, "metricCreationMode": "CHAT"}
        with_embeds(
            databrain,
            {"embedId": "board", "dashboardId": "dash", "accessSettings": settings},
            {"embedId": "metric", "embedType": "metric", "metricId": "m"},
            workspaces=(workspace,),
        )
        board, metric = exported_by(client)
        assert not isinstance(board, Unread)
        assert not isinstance(metric, Unread)
        assert board["data"] == data | {"unheardOf": [None]}
        assert board["_meta"]["embedDataAppAccessSetting"].items() >= settings.items()
        assert (board["_meta"]["dashboardId"], metric["_meta"]["dashboardId"]) == ("dash", None)
        asked = requests_to(databrain, api, RouteId.EXPORT_EMBED)
        assert sorted(request["query"]["embedId"] for request in asked) == ["board", "metric"]
        assert {request["token"] for request in asked} == {"data-app"}

    @pytest.mark.parametrize("embed_id", HOSTILE_NAMES)
    def test_hostile_ids(self, databrain: Databrain, client: DatabrainClient, embed_id: str) -> None:
        """An embed of any ID is exported."""
        with_embeds(databrain, {"embedId": embed_id})
        (export,) = exported_by(client)
        assert not isinstance(export, Unread)
        assert export["_meta"]["embedId"] == embed_id

    def test_an_old_server(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, telemetry: RecordingTelemetry
    ) -> None:
        """A server without Export Embed says so, once for each embed, and nothing has failed."""
        with_embeds(databrain, {"embedId": "board"}, {"embedId": "other"}, hasExportEmbed=False)
        assert exported_by(client) == [Unread("GET /api/v2/data-app/embeds/export: HTTP 404")] * 2
        assert len(requests_to(databrain, api, RouteId.EXPORT_EMBED)) == 2
        assert telemetry.counts[Metric.DATABRAIN_RETRIES] == 0

    def test_an_embed_that_is_gone(self, databrain: Databrain, client: DatabrainClient) -> None:
        """An embed that was removed since it was listed is told by the API's code."""
        with_embeds(databrain, {"embedId": "board"})
        listed = client.list_embeds()[0].embeds
        databrain.organisation.data_apps["Portal"] = replace(databrain.organisation.data_apps["Portal"], embeds=())
        assert client.export_embeds(listed, leave=5.0) == [
            Unread("GET /api/v2/data-app/embeds/export: HTTP 400 INVALID_EMBED_ID")
        ]


class TestFindWorkspaces:
    """`find_workspaces`: which workspaces have a dashboard."""

    def test_all_are_read(self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi) -> None:
        """One request for the list, one for each workspace, and one more where a list may have been capped."""
        dashboards = [{"dashboardId": f"dash-{number}"} for number in range(20)]
        with_embeds(
            databrain,
            workspaces=(
                {"name": "Sales", "dashboards": dashboards},
                *({"name": f"Workspace {number}", "dashboards": dashboards[:1]} for number in range(11)),
            ),
        )
        found = client.find_workspaces(leave=5.0)
        assert not isinstance(found, Unread)
        assert found["dash-0"] == ["Sales", *(f"Workspace {number}" for number in range(11))]
        assert {found[f"dash-{number}"][0] for number in range(1, 20)} == {"Sales"}
        assert [request["token"] for request in requests_to(databrain, api, RouteId.LIST_WORKSPACES)] == ["service"]
        bodies = [request["body"] for request in requests_to(databrain, api, RouteId.LIST_WORKSPACE_DASHBOARDS)]
        assert len(bodies) == 12 + 1
        assert {"workspaceName": "Workspace 10"} in bodies
        assert {"workspaceName": "Sales", "isPagination": True, "pageNumber": 3} in bodies

    @pytest.mark.parametrize(("count", "is_too_many"), [(100, False), (101, True)])
    def test_very_many(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, *, count: int, is_too_many: bool
    ) -> None:
        """A hundred workspaces are read; of more, none is: which have a dashboard could not be known."""
        with_embeds(
            databrain, workspaces=tuple({"name": f"Workspace {number}", "dashboards": []} for number in range(count))
        )
        found = client.find_workspaces(leave=5.0)
        assert found == (Unread("there are more than 100 workspaces") if is_too_many else {})
        assert len(requests_to(databrain, api, RouteId.LIST_WORKSPACE_DASHBOARDS)) == (0 if is_too_many else count)

    def test_an_old_server(self, databrain: Databrain, client: DatabrainClient) -> None:
        """A server without workspaces says so, and nothing has failed."""
        with_embeds(databrain, hasWorkspaces=False)
        assert client.find_workspaces(leave=5.0) == Unread("GET /api/v2/workspace: HTTP 404")

    @pytest.mark.parametrize("route", ["list_workspaces", "list_workspace_dashboards"])
    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_an_old_server_that_wants_another_token(
        self, databrain: Databrain, client: DatabrainClient, secret: RotatedSecret, route: str, status: int
    ) -> None:
        """Where another token is wanted for workspaces than it is today, the service token is none the worse for it."""
        with_embeds(databrain, workspaces=({"name": "Sales", "dashboards": []},))
        assert isinstance(client.find("sales"), Snapshot)
        code = "INVALID_DATA_APP_API_KEY"
        databrain.faults.replace([{"route": route, "fault": "status", "status": status, "code": code}])
        found = client.find_workspaces(leave=5.0)
        assert isinstance(found, Unread)
        assert (found.why.endswith(f"HTTP {status} {code}"), found.failure) == (True, None)
        assert "sales" in client.list_datamarts()
        assert secret.reads == 1


class TestDelete:
    """`delete`: one request, and what its answer tells."""

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_exactly_the_named_one_goes(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi, name: str
    ) -> None:
        """One request deletes the datamart of the permit and no other, whatever its name."""
        databrain.organisation = organisation_of(seed(*HOSTILE_NAMES))
        answer = client.delete(permit_for(name))
        assert (answer.effect, answer.error) == (DeleteEffect.DONE, None)
        assert list(databrain.organisation.datamarts) == [other for other in HOSTILE_NAMES if other != name]
        (request,) = requests_to(databrain, api, RouteId.DELETE_DATAMART)
        sent, unused = ("query", "body") if api is DatabrainApi.CURRENT else ("body", "query")
        assert request[sent] == {"datamartName": name}
        assert not request[unused]
        assert request["token"] == "service"

    def test_a_datamart_that_is_not_there(
        self, databrain: Databrain, client: DatabrainClient, api: DatabrainApi
    ) -> None:
        """Databrain's 400 had no effect; whether the datamart is there, a list has to tell."""
        answer = client.delete(permit_for("nobody"))
        assert answer.effect is DeleteEffect.NONE
        assert isinstance(answer.error, DatabrainUnexpected)
        assert "HTTP 400 INVALID_REQUEST_BODY" in str(answer.error)
        assert len(requests_to(databrain, api, RouteId.DELETE_DATAMART)) == 1


class TestBudget:
    """What a retirement costs Databrain."""

    @pytest.mark.parametrize("datamarts", [10, 2_000])
    def test_it_does_not_grow_with_the_organisation(
        self, databrain: Databrain, client: DatabrainClient, telemetry: RecordingTelemetry, datamarts: int
    ) -> None:
        """Snapshot, dependents, delete and confirmation take at most 6 requests and 2 for each data app."""
        databrain.organisation = organisation_of(estate(datamarts, data_apps=5))
        databrain.organisation.service_token = seed()["serviceToken"]
        name = datamart_name(datamarts - 1)
        snapshot = client.find(name)
        assert isinstance(snapshot, Snapshot)
        assert len(client.list_embeds()[0].embeds) == 15
        assert client.delete(NoBackupRequested(snapshot, permit_for(name).request)).effect is DeleteEffect.DONE
        assert name not in client.list_datamarts()
        assert len(databrain.requests) <= 6 + 2 * 5
        assert telemetry.counts[Metric.DATABRAIN_WALKS] == 0


def test_one_service_token_for_the_whole_attempt(
    databrain: Databrain, client: DatabrainClient, secret: RotatedSecret
) -> None:
    """The secret is read with the first request, and not again."""
    assert secret.reads == 0
    client.find("sales")
    client.list_embeds()
    client.delete(permit_for("sales"))
    assert secret.reads == 1
    assert {request["token"] for request in databrain.requests} == {"service"}


def test_the_answers_are_asked_for_uncompressed(api: DatabrainApi, client_by: Callable[..., DatabrainClient]) -> None:
    """A compressed answer could be a bomb: none is asked for, and one that comes is refused unread."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.headers["Accept-Encoding"]))
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b"))

    transport = httpx.MockTransport(answer)
    with (
        httpx.Client(base_url="http://localhost", transport=transport) as http,
        pytest.raises(DatabrainUnexpected, match="not compressed"),
    ):
        client_by(http).list_datamarts()
    assert asked == [("GET" if api is DatabrainApi.CURRENT else "POST", "identity")]
