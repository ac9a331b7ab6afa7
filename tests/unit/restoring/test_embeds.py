"""What becomes of each embed, and on which servers."""

from dataclasses import replace
from typing import Any

import pytest

from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from retirement.databrain.dependents import EmbedListing
from retirement.databrain.transport import KeyRefused
from retirement.errors import DatabrainUnavailable, DatabrainUnexpected
from tests.fakes import FailAt, Parsed, restore_requested
from tests.restore_world import AnswerWith, RestoreWorld, seed

Backup = dict[str, Any]


def restored(world: RestoreWorld, **detail: object) -> list[Parsed]:
    """Restore, and return what the result says of the embeds."""
    result = world.deliver(restore_requested("sales", **detail))
    assert result["outcome"] == "restored"
    shown: list[Parsed] = result["restoredEmbeds"]
    assert world.kept("differences.json")["restoredEmbeds"] == shown
    lost = [f"embeds[{number}]" for number, embed in enumerate(shown) if embed["state"] == "not_restored"]
    assert [path for path in result["differences"] if path.startswith("embeds")] == lost
    assert (result["reason"] == "with_differences") == bool(result["differences"])
    return shown


def state_of(world: RestoreWorld, **fields: Any) -> tuple[str, str | None]:  # noqa: ANN401  # any JSON
    """What becomes of the first embed where its backup has these fields; the others come back."""
    backup = world.backup_of()
    world.retire(embeds=[backup["embeds"][0] | fields, *backup["embeds"][1:]])
    first, *others = restored(world)
    assert [embed["state"] for embed in others] == ["created", "created"]
    assert (first["newEmbedId"] is None) == (first["state"] == "not_restored")
    return first["state"], first["why"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"verdict": "undetermined"}, "it is unknown whether it used this datamart"),
        ({"export": None}, "the backup does not contain its export"),
        ({"export": None, "whyNot": "no Export Embed on this server"}, "no Export Embed on this server"),
        ({"workspaceName": None}, "the workspace of its dashboard is unknown"),
        ({"workspaceName": None, "whyNot": "two workspaces have it"}, "two workspaces have it"),
        ({"dataAppName": "Gone"}, "its data app no longer exists"),
        ({"export": {"_meta": {}}, "item": None}, "the backup does not name the dashboard or metric that it shows"),
        ({"export": {"_meta": {"embedType": "dashboard"}}, "item": {}}, "the backup does not name the dashboard or"),
        ({"export": {"_meta": {"embedType": "page", "pageId": "x"}}, "item": {}}, "the backup does not name the"),
        (
            {"workspaceName": "Gone"},
            "Databrain refused to create it: POST /api/v2/data-app/embeds: HTTP 404 INVALID_WORKSPACE",
        ),
    ],
    ids=str,
)
def test_not_restored(world: RestoreWorld, fields: Backup, why: str) -> None:
    """An embed that cannot come back, or must not, is named with the reason, and the others come back."""
    state, told = state_of(world, **fields)
    assert state == "not_restored"
    assert (told or "").startswith(why)


@pytest.mark.parametrize("export", [{}, {"_meta": None}, {"_meta": {"embedDataAppAccessSetting": []}}])
def test_an_export_without_settings(world: RestoreWorld, export: Backup) -> None:
    """What the export does not hold is not allowed: no embed gets more rights than it is known to have had."""
    assert state_of(world, export=export) == ("created", None)
    (settings, *_) = [body["accessSettings"] for body in world.sent_to(RouteId.CREATE_EMBED)]
    flags = {name: value for name, value in settings.items() if name.startswith("isAllow")}
    assert set(flags.values()) == {False}
    assert len(flags) == 9
    assert not {"joinModel", "metricCreationMode"} & settings.keys()


@pytest.mark.parametrize("value", ["true", 1, None, {}, ["true"]])
def test_flags_that_are_none(world: RestoreWorld, value: object) -> None:
    """Only a true is a true."""
    settings = {
        "isAllowManageMetrics": True,
        "isAllowMetricDeletion": value,
        "metricCreationMode": value,
        "isIncrementalJoin": value,
        "isAllowEverything": True,
    }
    state_of(world, export={"_meta": {"embedDataAppAccessSetting": settings}})
    (sent, *_) = [body["accessSettings"] for body in world.sent_to(RouteId.CREATE_EMBED)]
    assert (sent["isAllowManageMetrics"], sent["isAllowMetricDeletion"]) == (True, False)
    assert not {"joinModel", "metricCreationMode", "isAllowEverything"} & sent.keys()


@pytest.mark.parametrize(("is_incremental", "model"), [(True, "multi"), (False, "single")])
def test_join_model(world: RestoreWorld, is_incremental: bool, model: str) -> None:  # noqa: FBT001
    """The join model is derived from its older relative."""
    state_of(world, export={"_meta": {"embedDataAppAccessSetting": {"isIncrementalJoin": is_incremental}}})
    assert world.sent_to(RouteId.CREATE_EMBED)[0]["accessSettings"]["joinModel"] == model


@pytest.mark.parametrize("level", ["TABLE", "ROW", "something new"])
def test_no_client_column(world: RestoreWorld, level: str) -> None:
    """Where a column tells tenants apart and a table has none, no embed is created that would show all of them."""
    backup = world.backup_of()
    body = backup["createRequest"]["body"]
    del body["tableList"][1]["clientColumn"]
    del body["tenancySettings"]
    datamart = backup["datamart"] | {"datamartOrganization": {"tenancyLevel": level}}
    world.retire(createRequest={"body": body}, datamart=datamart)
    shown = restored(world)
    assert {embed["why"] for embed in shown} == {"a table has no clientColumn, so every tenant would see all rows"}
    assert world.created_embeds == []


@pytest.mark.parametrize("tenancy", [None, {"tenancyLevel": None}, {"tenancyLevel": "DATABASE"}])
def test_tenancy_that_needs_no_columns(world: RestoreWorld, tenancy: object) -> None:
    """Without a tenancy, or with one by database, no columns are sent."""
    backup = world.backup_of()
    body = backup["createRequest"]["body"]
    del body["tenancySettings"]
    world.retire(createRequest={"body": body}, datamart=backup["datamart"] | {"datamartOrganization": tenancy})
    assert [embed["state"] for embed in restored(world)] == ["created"] * 3
    assert not any("tableTenancySettings" in body["accessSettings"] for body in world.sent_to(RouteId.CREATE_EMBED))


# ---- Embeds that stayed --------------------------------------------------------------------------------------------


def test_a_server_that_keeps_embeds(world: RestoreWorld) -> None:
    """Where a deletion leaves the embeds, they are kept with their IDs, and none is created."""
    world.organisation = organisation_of(seed(keepsEmbeds=True))
    world.retire()
    shown = restored(world)
    assert [(embed["embedId"], embed["newEmbedId"], embed["state"], embed["why"]) for embed in shown] == [
        (embed_id, embed_id, "kept", None) for embed_id in ("board", "figure", "mirror")
    ]
    assert world.created_embeds == []


def test_kept_embeds_and_another_name(world: RestoreWorld) -> None:
    """An embed that stayed uses the old name: the result says that it does not use the restored datamart."""
    world.organisation = organisation_of(seed(keepsEmbeds=True))
    world.retire()
    (shown, *_) = restored(world, asName="again")
    assert (shown["state"], shown["newEmbedId"]) == ("kept", "board")
    assert shown["why"].startswith("it still uses the datamart's old name")


def test_an_undetermined_embed_that_stayed(world: RestoreWorld) -> None:
    """An embed of which nothing tells the datamart, and that is still there, is kept as it is."""
    backup = world.backup_of()
    others = {**backup["embeds"][0], "embedId": "others", "verdict": "undetermined"}
    world.retire(embeds=[others])
    (shown,) = restored(world)
    assert (shown["state"], shown["newEmbedId"], shown["why"]) == ("kept", "others", None)


def test_ids_of_dashboards(world: RestoreWorld) -> None:
    """A server that gives an embed the ID of its dashboard may give it the old one: it is created, and not kept."""
    world.organisation = organisation_of(seed(embedIdsOfDashboards=True))
    world.retire()
    shown = restored(world)
    assert [(embed["newEmbedId"], embed["state"]) for embed in shown] == [
        ("overview", "created"),
        ("revenue", "created"),
        ("details", "created"),
    ]


def test_the_same_id_in_another_data_app(world: RestoreWorld) -> None:
    """An embed is known by its data app and its ID."""
    world.retire(embeds=[world.backup_of()["embeds"][0] | {"embedId": "others", "dataAppName": "Intranet"}])
    (shown,) = restored(world)
    assert shown["state"] == "created"


def test_embeds_that_cannot_be_listed(world: RestoreWorld) -> None:
    """Where the embeds of one data app cannot be listed, the attempt fails: nothing tells whether they stayed."""
    world.retire()
    some = (EmbedListing((), ("the embeds of the data app Portal",)), (DatabrainUnavailable("GET: HTTP 503"),))
    with pytest.raises(DatabrainUnavailable):
        world.deliver(restore_requested(), AnswerWith("databrain.list_embeds", some))
    assert world.written == []


def test_a_data_app_without_a_key(world: RestoreWorld) -> None:
    """An embed whose data app has no key is not restored."""
    world.retire()
    intranet = world.organisation.data_apps["Intranet"]
    world.organisation.data_apps["Intranet"] = replace(intranet, tokens=())
    assert [embed["why"] for embed in restored(world)][-1] == (
        "Databrain refused to create it: Databrain lists no key of the data app that can be used"
    )


# ---- Whether they are shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (
            {"takesAllowedEmbeds": False},
            "it was created, but cannot be shown: POST /api/v2/guest-token/create: HTTP 400",
        ),
        ({"hasFetchMetrics": False}, None),
    ],
)
def test_old_servers(world: RestoreWorld, server: dict[str, object], why: str | None) -> None:
    """An embed that was created and cannot be shown says so; it is no difference."""
    world.organisation = organisation_of(seed(**server))
    world.retire()
    for embed in restored(world):
        assert embed["state"] == "created"
        assert (embed["why"] or "").startswith(why or "")
        assert (embed["why"] is None) == (why is None)
    assert all(body["params"]["allowedEmbeds"] for body in world.sent_to(RouteId.CREATE_GUEST_TOKEN))


def test_one_that_cannot_be_shown(world: RestoreWorld) -> None:
    """What is wrong with one embed is said of that one."""
    world.retire()
    refused = FailAt("databrain.show", DatabrainUnexpected("GET: HTTP 400 EMBED_PARAM_ERROR; expected 200"), nth=2)
    result = world.deliver(restore_requested(), refused)
    assert [embed["why"] for embed in result["restoredEmbeds"]] == [
        None,
        "it was created, but cannot be shown: GET: HTTP 400 EMBED_PARAM_ERROR",
        None,
    ]
    assert (result["reason"], result["differences"]) == (None, [])


def test_databrain_fails_at_the_end(world: RestoreWorld) -> None:
    """Where Databrain does not answer, the embeds are not checked, and the restore ends all the same."""
    world.retire()
    outage = FailAt("databrain.show", DatabrainUnavailable("POST: HTTP 503"), after=True)
    result = world.deliver(restore_requested(), outage)
    assert {embed["why"] for embed in result["restoredEmbeds"]} == {
        "not checked, because Databrain did not answer: POST: HTTP 503"
    }
    assert world.calls.count("databrain.show") == 1


def test_the_keys_stop_working(world: RestoreWorld) -> None:
    """A key that is refused at the end is told as the reason."""
    world.retire()
    result = world.deliver(restore_requested(), FailAt("databrain.show", KeyRefused("POST: HTTP 401; the key")))
    assert {embed["why"] for embed in result["restoredEmbeds"]} == {
        "it was created, but cannot be shown: POST: HTTP 401"
    }


def test_no_time_to_check(world: RestoreWorld) -> None:
    """Where the time is up, the embeds are not checked, and the receipt is written."""
    world.retire()

    def slow(call: Parsed) -> object:
        if call.name == "databrain.show":
            world.clock.advance(880)
        return call.proceed()

    result = world.deliver(restore_requested(), slow)
    assert [embed["why"] for embed in result["restoredEmbeds"]] == [
        None,
        *["not checked, because no time was left"] * 2,
    ]


# ---- Secrets -------------------------------------------------------------------------------------------------------


def test_a_secret_in_an_embed(world: RestoreWorld) -> None:
    """A record that would hold a data app's key is not stored, and what failed is told by its place."""
    (key, *_) = [token.key for token in world.organisation.data_apps["Portal"].tokens]
    world.retire(embeds=[world.backup_of()["embeds"][0] | {"name": f"The {key}"}])
    with pytest.raises(DatabrainUnexpected, match=r"in createRequest\.name, so it was not stored"):
        world.deliver(restore_requested())
    assert world.created_embeds == []
    assert "embed-1.json" not in world.written
    world.evidence.objects.clear()  # the backup holds it, against what the fixture looks for
