"""The port `Databrain`: one suite for the fake and for the client on the local server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, cast

import httpx
import pytest

from local.databrain.listing import datamart_item, embed_export, embed_item
from local.databrain.organisation import Datamart, EmbedsTell
from local.databrain.seed import datamart_of, organisation_of
from local.databrain.state import Databrain as Server
from retirement.databrain.client import DatabrainClient
from retirement.databrain.copies import CopyPermit
from retirement.databrain.creations import CreateEffect
from retirement.databrain.dependents import Embed, EmbedListing
from retirement.databrain.ports import Databrain, DatabrainApi, DatabrainLists, DeleteEffect, Unread
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.errors import DatabrainUnexpected
from retirement.timestamps import parse_timestamp
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.permits import permit_for, rehearsal_permit
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.seeds import (
    CREATED_AT,
    EXPIRED_KEY,
    PORTAL_KEY,
    SERVICE_TOKEN,
    JsonObject,
    data_app,
    datamart,
    seed,
)
from tests.fakes import FakeDatabrain, LogicalClock, RecordingTelemetry

CREATED = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
LATER = datetime(2024, 5, 1, tzinfo=UTC)
LAYER: JsonObject = {"tables": [], "feedback": None, "completionScore": 0, "lastUpdated": CREATED_AT}


class Port(Databrain, DatabrainLists, Protocol):
    """All that one client does."""


@dataclass(frozen=True)
class Subject:
    """A port, and how somebody else creates a datamart, a data app or a workspace behind it, from a seed's entry."""

    port: Port
    create: Callable[[JsonObject], None]
    create_app: Callable[[JsonObject], None]
    create_workspace: Callable[[JsonObject], None]


def parsed(given: JsonObject) -> Datamart:
    """What a seed's entry describes."""
    return datamart_of(given, organisation_of(seed()))


def fake() -> Subject:
    """An organisation in memory."""
    databrain = FakeDatabrain()

    def create(given: JsonObject) -> None:
        created = parsed(given)
        databrain.datamarts[created.name] = datamart_item(created, expanded=True, dated=True)
        if created.semantic_layer is not None:
            databrain.semantic_layers[created.name] = {"datamartName": created.name, **created.semantic_layer}

    def create_app(given: JsonObject) -> None:
        (app,) = organisation_of(seed(apps=(given,))).data_apps.values()
        databrain.data_apps[app.name] = parse_timestamp(app.created_at)
        databrain.secrets |= {token.key for token in app.tokens}
        has_key = any(not token.expired for token in app.tokens)
        for embed in app.embeds:
            item = embed_item(embed, app, embed.name, EmbedsTell.NONE, legacy=False) if has_key else None
            listed = Embed(embed.embed_id, embed.name, app.name, None, None, None, item)
            databrain.embeds = replace(databrain.embeds, embeds=(*databrain.embeds.embeds, listed))
            databrain.exports[embed.embed_id] = (
                embed_export(embed, {"layout": [], "filters": [], "metrics": []}, CREATED_AT)
                if has_key
                else Unread("no key of its data app is accepted")
            )

    def create_workspace(given: JsonObject) -> None:
        known = dict(cast("dict[str, list[str]]", databrain.workspaces))
        for dashboard in given["dashboards"]:
            known[dashboard["dashboardId"]] = [*known.get(dashboard["dashboardId"], []), given["name"]]
        databrain.workspaces = known

    return Subject(databrain, create, create_app, create_workspace)


def served(server: Server, http: httpx.Client) -> Subject:
    """An organisation on the local server."""
    server.organisation = organisation_of(seed())
    token = RotatedSecret(SERVICE_TOKEN).token()
    client = DatabrainClient(
        http, api=DatabrainApi.CURRENT, token=token, clock=LogicalClock(), telemetry=RecordingTelemetry()
    )

    def create_app(given: JsonObject) -> None:
        server.organisation.data_apps |= organisation_of(seed(apps=(given,))).data_apps

    def create_workspace(given: JsonObject) -> None:
        server.organisation.workspaces |= organisation_of({**seed(), "workspaces": [given]}).workspaces

    def create(given: JsonObject) -> None:
        server.organisation.put_datamart(parsed(given))

    return Subject(client, create, create_app, create_workspace)


@pytest.fixture(params=["fake", "client"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """The fake and the client, in turn, each on an organisation without datamarts."""
    if request.param == "fake":
        return fake()
    return served(request.getfixturevalue("databrain"), request.getfixturevalue("http"))


def test_an_empty_organisation(subject: Subject) -> None:
    """Where there is nothing, nothing is found, listed or embedded."""
    assert subject.port.find("sales") == Absent(Listing({}))
    assert subject.port.list_datamarts() == Listing({})
    assert subject.port.list_embeds() == (EmbedListing(()), ())
    assert subject.port.list_data_apps() == {}


def test_data_apps(subject: Subject) -> None:
    """Data apps are listed with the time of their creation, alone and beside the embeds."""
    for name in ("Portal", "Board"):
        subject.create_app(data_app(name) | {"createdAt": CREATED_AT})
    assert subject.port.list_data_apps() == {"Portal": CREATED, "Board": CREATED}
    assert subject.port.list_embeds()[0].data_apps == {"Portal": CREATED, "Board": CREATED}


def test_exports(subject: Subject) -> None:
    """Embeds are exported in the order that is asked for; what cannot be is told, and may be final."""
    subject.create_app(data_app("Portal", *({"embedId": each, "datamart": None} for each in ("board", "other"))))
    subject.create_app(data_app("Keyless", {"embedId": "locked", "datamart": None}, keys=()))
    listed = {embed.embed_id: embed for embed in subject.port.list_embeds()[0].embeds}
    wanted = [listed[embed_id] for embed_id in ("other", "locked", "board")]

    other, locked, board = subject.port.export_embeds(wanted, leave=5.0)

    for export, embed_id in ((other, "other"), (board, "board")):
        assert isinstance(export, Mapping)
        assert cast("JsonObject", export)["_meta"].items() >= {"embedId": embed_id}.items()
        assert export["data"] == {"layout": [], "filters": [], "metrics": []}
    assert locked == Unread("no key of its data app is accepted")
    assert subject.port.export_embeds([], leave=5.0) == []


def test_workspaces(subject: Subject) -> None:
    """For each dashboard it is told which workspaces have it."""
    assert subject.port.find_workspaces(leave=5.0) == {}
    subject.create_workspace({"name": "Sales", "dashboards": [{"dashboardId": "board"}, {"dashboardId": "both"}]})
    subject.create_workspace({"name": "HR", "dashboards": [{"dashboardId": "both"}]})
    subject.create_workspace({"name": "Empty", "dashboards": []})
    assert subject.port.find_workspaces(leave=5.0) == {"board": ["Sales"], "both": ["Sales", "HR"]}


def test_place_of_a_secret(subject: Subject) -> None:
    """A key of a data app is found in a document once the embeds were listed."""
    subject.create_app(data_app("Portal", keys=(EXPIRED_KEY, PORTAL_KEY)))
    subject.port.list_embeds()
    for key in (EXPIRED_KEY, PORTAL_KEY):
        assert subject.port.place_of_secret({"tables": ["orders", {"label": f"a {key} b"}]}) == "tables[1].label"
    assert subject.port.place_of_secret({"tables": ["orders", PORTAL_KEY[1:]]}) is None


def test_fingerprint(subject: Subject) -> None:
    """A fingerprint is 16 hex digits, the same for the same identity and another for another one."""
    prints = [subject.port.fingerprint(identity) for identity in ("one", "one", "another")]
    assert len(prints[0]) == 16
    assert int(prints[0], 16) >= 0
    assert prints[0] == prints[1] != prints[2]


def test_the_list(subject: Subject) -> None:
    """Datamarts are listed in their order, with the time of their creation."""
    for name in ("sales", "marketing", "finance"):
        subject.create(datamart(name))
    listing = subject.port.list_datamarts()
    assert list(listing.created_at.items()) == [("sales", CREATED), ("marketing", CREATED), ("finance", CREATED)]


def test_the_list_with_updates(subject: Subject) -> None:
    """With it comes the time of the last update, where it is wanted, and without it none."""
    subject.create(datamart("sales", updatedAt="2024-05-01T00:00:00Z"))
    subject.create(datamart("marketing"))
    listing = subject.port.list_datamarts_with_updates()
    assert listing == Listing({"sales": CREATED, "marketing": CREATED}, {"sales": LATER, "marketing": CREATED})
    assert list(listing.created_at) == ["sales", "marketing"]
    assert subject.port.list_datamarts().updated_at == {}


def test_what_is_found(subject: Subject) -> None:
    """A datamart is found with its entry and its semantic layer, beside the list of all."""
    given = datamart("sales", semanticLayer=LAYER)
    for entry in (datamart("marketing"), given):
        subject.create(entry)
    found = subject.port.find("sales")
    assert found == Snapshot(
        name="sales",
        created_at=CREATED,
        entry=datamart_item(parsed(given), expanded=True, dated=True),
        semantic_layer={"datamartName": "sales", **LAYER},
        listing=Listing({"marketing": CREATED, "sales": CREATED}),
    )


def test_no_semantic_layer(subject: Subject) -> None:
    """A datamart without a semantic layer is found without one."""
    subject.create(datamart("sales"))
    found = subject.port.find("sales")
    assert isinstance(found, Snapshot)
    assert found.semantic_layer is None


@pytest.mark.parametrize("name", ["Sales", "sales ", "sale", ""])
def test_near_matches(subject: Subject, name: str) -> None:
    """Only the very name is found."""
    subject.create(datamart("sales"))
    assert subject.port.find(name) == Absent(Listing({"sales": CREATED}))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names(subject: Subject, name: str) -> None:
    """A datamart of any legal name is found and deleted, and no other."""
    for existing in HOSTILE_NAMES:
        subject.create(datamart(existing))
    found = subject.port.find(name)
    assert isinstance(found, Snapshot)
    assert found.entry["name"] == name
    assert subject.port.delete(permit_for(name)).effect is DeleteEffect.DONE
    assert list(subject.port.list_datamarts().created_at) == [other for other in HOSTILE_NAMES if other != name]


def test_a_deleted_datamart_is_absent(subject: Subject) -> None:
    """A delete is answered with a yes, and the next look finds nothing."""
    for name in ("sales", "marketing"):
        subject.create(datamart(name))
    answer = subject.port.delete(permit_for("sales"))
    assert (answer.effect, answer.error) == (DeleteEffect.DONE, None)
    assert subject.port.find("sales") == Absent(Listing({"marketing": CREATED}))


def test_deleting_what_is_not_there(subject: Subject) -> None:
    """A delete of an unknown name has no effect, and an error for an answer."""
    subject.create(datamart("sales"))
    answer = subject.port.delete(permit_for("marketing"))
    assert answer.effect is DeleteEffect.NONE
    assert isinstance(answer.error, DatabrainUnexpected)
    assert "HTTP 400 INVALID_REQUEST_BODY" in str(answer.error)
    assert subject.port.list_datamarts() == Listing({"sales": CREATED})


def test_a_new_datamart_under_an_old_name(subject: Subject) -> None:
    """A datamart that is created again is another one: at the end of the list, without the old semantic layer."""
    for entry in (datamart("sales", semanticLayer=LAYER), datamart("marketing")):
        subject.create(entry)
    subject.port.delete(permit_for("sales"))
    subject.create(datamart("sales", createdAt="2024-05-01T00:00:00Z"))
    found = subject.port.find("sales")
    assert isinstance(found, Snapshot)
    assert (found.created_at, found.semantic_layer) == (LATER, None)
    assert list(found.listing.created_at) == ["marketing", "sales"]


COPY_BODY: JsonObject = {
    "datasourceName": "warehouse",
    "tableList": [{"name": "orders", "label": "Orders", "columns": [{"name": "id", "alias": "id"}]}],
}
COPY_LAYER: JsonObject = {"tables": [{"name": "orders", "description": "One row an order", "columns": []}]}


def test_a_copy(subject: Subject) -> None:
    """A copy is created with its layer, found as it was sent, and deleted; the datamart stays as it was."""
    subject.create(datamart("sales", semanticLayer=LAYER))
    before = subject.port.find("sales")
    permit = rehearsal_permit("sales", COPY_BODY, COPY_LAYER)

    assert subject.port.create_copy(permit).effect is CreateEffect.DONE
    assert subject.port.create_layer_of_copy(permit).effect is CreateEffect.DONE
    found = subject.port.find(permit.name)
    assert isinstance(found, Snapshot)
    assert found.semantic_layer is not None
    assert found.created_at is not None
    assert subject.port.delete_copy(CopyPermit(permit, found, None)).effect is DeleteEffect.DONE
    assert subject.port.find("sales") == before


def test_a_copy_that_is_there_or_is_not(subject: Subject) -> None:
    """Databrain refuses a second copy, a second layer, the layer of no copy, and the delete of none."""
    subject.create(datamart("sales"))
    permit = rehearsal_permit("sales", COPY_BODY, COPY_LAYER)

    assert subject.port.create_layer_of_copy(permit).effect is CreateEffect.REFUSED
    for effect in (CreateEffect.DONE, CreateEffect.REFUSED):
        assert subject.port.create_copy(permit).effect is effect
    for effect in (CreateEffect.DONE, CreateEffect.REFUSED):
        assert subject.port.create_layer_of_copy(permit).effect is effect
    found = subject.port.find(permit.name)
    assert isinstance(found, Snapshot)
    removal = CopyPermit(permit, found, None)
    for deletion in (DeleteEffect.DONE, DeleteEffect.NONE):
        assert subject.port.delete_copy(removal).effect is deletion


def test_the_layer_of_a_copy_without_one(subject: Subject) -> None:
    """Without a body nothing is sent."""
    with pytest.raises(TypeError):
        subject.port.create_layer_of_copy(rehearsal_permit("sales", COPY_BODY, None))
