"""Each row of the table of outcomes, and all that a restore leaves."""

from dataclasses import replace

import pytest

from local.databrain.faults import RouteId
from retirement.canonical import canonical_json
from retirement.databrain.ports import DatabrainApi
from retirement.errors import MalformedObject
from tests.fakes import FailAt, Parsed, restore_requested
from tests.restore_world import RETIREMENT_ID, TENANCY, RestoreWorld, embeds_in


def test_restored(world: RestoreWorld) -> None:
    """A datamart comes back as it was, with its semantic layer and its embeds, and the result says so."""
    world.retire()
    result = world.deliver(restore_requested())
    assert (result["outcome"], result["reason"], result["differences"]) == ("restored", None, [])
    assert (result["restoreId"], result["restoredAs"]) == ("back-1", "sales")
    assert (result["datamartName"], result["retirementId"]) == ("sales", RETIREMENT_ID)
    assert result["backup"]["key"] == world.backup_key
    assert [result[field] for field in ("planId", "dependents", "confirmedBy")] == [None] * 3
    assert world.entry() == world.entry_before()
    assert world.layer() == world.layer_before()
    assert "PUT /api/v2/workspace" in result["message"]
    assert world.published == [result]
    assert world.written == [
        "intent.json",
        "embed-1.json",
        "embed-2.json",
        "embed-3.json",
        "differences.json",
        "receipt.json",
    ]
    assert world.kept("receipt.json") == result
    assert world.created_datamarts == ["sales"]
    assert world.coordination.locks == {}


def test_embeds(world: RestoreWorld) -> None:
    """Each embed that went is created once, as it was, and the result has the old ID beside the new one."""
    world.retire()
    result = world.deliver(restore_requested())
    assert [(app, embed.name) for app, embed in world.gone] == [
        ("Portal", "The board"),
        ("Portal", "The figure"),
        ("Intranet", "The mirror"),
    ]
    for (app, old), (new_app, new), shown in zip(
        world.gone, world.created_embeds, result["restoredEmbeds"], strict=True
    ):
        assert (new_app, new.name, new.embed_type, new.target) == (app, old.name, old.embed_type, old.target)
        assert (new.datamart, new.workspace) == ("sales", "Sales")
        assert new.access_settings == old.access_settings
        assert shown == {
            "embedId": old.embed_id,
            "newEmbedId": new.embed_id,
            "name": old.name,
            "dataAppName": app,
            "state": "created",
            "why": None,
        }


def test_embeds_are_shown(world: RestoreWorld) -> None:
    """Each new embed is checked by a guest token for it alone, which expires."""
    world.retire()
    world.deliver(restore_requested())
    tokens = [*world.organisation.guest_tokens.items()]
    assert [(token.data_app, token.allowed_embeds) for _, token in tokens] == [
        (app, (embed.embed_id,)) for app, embed in world.created_embeds
    ]
    for (value, token), (_, embed) in zip(tokens, world.created_embeds, strict=True):
        assert token.expires_at is not None
        assert world.organisation.why_not_shown(value, embed.embed_id, world.clock.now()) is None


def test_under_another_name(world: RestoreWorld) -> None:
    """Under another name everything is bound to that name, and the name is no difference."""
    world.retire()
    result = world.deliver(restore_requested(asName="sales \u0104\u010c e\u0301"))
    assert (result["outcome"], result["reason"]) == ("restored", None)
    assert (result["datamartName"], result["restoredAs"]) == ("sales", "sales \u0104\u010c e\u0301")
    assert world.entry("sales \u0104\u010c e\u0301") == world.entry_before() | {"name": "sales \u0104\u010c e\u0301"}
    assert world.layer("sales \u0104\u010c e\u0301") == world.layer_before()
    assert {embed.datamart for _, embed in world.created_embeds} == {"sales \u0104\u010c e\u0301"}
    assert "sales" not in world.organisation.datamarts


def test_a_retired_datamart_can_be_restored_twice(world: RestoreWorld) -> None:
    """Another restoreId is another restore: under another name there may be a second one."""
    world.retire()
    world.deliver(restore_requested())
    result = world.deliver(restore_requested(restoreId="back-2", asName="sales-copy"))
    assert (result["outcome"], result["restoredAs"]) == ("restored", "sales-copy")
    assert world.created_datamarts == ["sales", "sales-copy"]
    world.created_embeds = world.created_embeds[:3]  # each restore creates its own


def test_embeds_that_are_left(world: RestoreWorld) -> None:
    """Where the request leaves the embeds, none is read or created, and that is no difference."""
    world.retire()
    result = world.deliver(restore_requested(embeds="leave"))
    assert (result["outcome"], result["reason"], result["restoredEmbeds"]) == ("restored", None, [])
    assert "embeds[*]: the request excludes them (embeds)" in result["notRestored"]
    assert world.created_embeds == []
    assert not world.sent_to(RouteId.LIST_EMBEDS)


def test_no_semantic_layer_and_no_embed(world: RestoreWorld) -> None:
    """A datamart that had neither layer nor embeds comes back without, and nobody lists embeds."""
    world.retire("returns")
    world.organisation.data_apps.clear()
    event = restore_requested("returns")
    result = world.deliver(event)
    assert (result["outcome"], result["differences"]) == ("restored", ["embeds[0]"])
    assert world.layer("returns") == {}
    assert not world.sent_to(RouteId.CREATE_SEMANTIC_LAYER)


def test_planned(world: RestoreWorld) -> None:
    """A dry run says what would come back and what would not, and nothing is created."""
    world.retire()
    result = world.deliver(restore_requested(dryRun=True, asName="again"))
    assert (result["outcome"], result["reason"]) == ("restore_planned", "dry_run")
    assert (result["restoredAs"], result["differences"]) == ("again", [])
    assert [(embed["state"], embed["newEmbedId"]) for embed in result["restoredEmbeds"]] == [("created", None)] * 3
    assert result["notRestored"]
    assert {sent.method for sent in world.requests} == {"GET"}
    assert world.written == ["receipt.json"]


def test_with_differences(world: RestoreWorld) -> None:
    """What is not as it was is told by its path; its values are kept apart, and nowhere else."""
    backup = world.backup_of()
    datamart = backup["datamart"]
    datamart["datamartTables"][0]["datamartTableColumns"][1]["sql"] = "another -- SECRET SQL"
    datamart["datamartTables"][1]["datamartTableColumns"][0]["datatype"] = "bigint"
    datamart["ownedBy"] = "growth"
    world.retire(datamart=datamart, semanticLayer=backup["semanticLayer"] | {"feedback": "in EUR"})
    result = world.deliver(restore_requested(embeds="leave"))
    assert (result["outcome"], result["reason"]) == ("restored", "with_differences")
    assert result["differences"] == [
        "datamart.datamartTables[0].datamartTableColumns[1].sql",
        "datamart.datamartTables[1].datamartTableColumns[0].datatype",
        "datamart.ownedBy",
        "semanticLayer.feedback",
    ]
    kept = world.kept("differences.json")
    assert kept["differences"][0]["was"] == "another -- SECRET SQL"
    assert kept["differences"][1] == {
        "path": "datamart.datamartTables[1].datamartTableColumns[0].datatype",
        "was": "bigint",
        "is": "integer",
    }


def test_many_differences(world: RestoreWorld) -> None:
    """The result shows a hundred differences and embeds, and the restore's folder has all of them."""
    backup = world.backup_of()
    more = {f"field-{number}": number for number in range(150)}
    embeds = [{**backup["embeds"][0], "embedId": f"embed-{number}", "export": None} for number in range(150)]
    world.retire(datamart=backup["datamart"] | more, embeds=embeds)
    result = world.deliver(restore_requested())
    assert len(result["differences"]) == len(result["restoredEmbeds"]) == 100
    kept = world.kept("differences.json")
    assert (len(kept["differences"]), len(kept["restoredEmbeds"])) == (300, 150)


# ---- Blocked -------------------------------------------------------------------------------------------------------


def blocked(world: RestoreWorld, reason: str, **detail: object) -> Parsed:
    """Deliver a restore that is blocked: nothing was created, and the receipt says so."""
    event = restore_requested("sales", **detail)
    before = set(world.organisation.datamarts)
    result = world.deliver(event)
    assert (result["outcome"], result["reason"], result["restoredAs"]) == ("restore_blocked", reason, None)
    assert (result["differences"], result["restoredEmbeds"]) == ([], [])
    assert set(world.organisation.datamarts) == before
    assert not [sent for sent in world.requests if sent.route.value.startswith("create_")]
    assert world.kept("receipt.json", event) == result
    assert world.published == [result]
    return result


def test_name_taken(world: RestoreWorld) -> None:
    """Nothing is created over a datamart that is listed."""
    world.retire()
    world.put("sales")
    result = blocked(world, "name_taken")
    assert "asName" in result["message"]
    assert result["backup"]["key"] == world.backup_key


def test_the_other_name_is_taken(world: RestoreWorld) -> None:
    """The name that it is to have must be free, and not the one that it had."""
    world.retire()
    blocked(world, "name_taken", asName="returns")


@pytest.mark.parametrize("listed", ["Sales", " sales", "sale\u017f", "SALES"])
def test_ambiguous_name(world: RestoreWorld, listed: str) -> None:
    """Nothing is created beside a name that a server may take for the same."""
    world.retire()
    world.put(listed)
    assert listed in blocked(world, "ambiguous_name")["message"]


def test_a_name_in_another_normal_form(world: RestoreWorld) -> None:
    """Names that differ in their Unicode form alone are alike."""
    world.retire()
    world.put("caf\u00e9")
    blocked(world, "ambiguous_name", asName="cafe\u0301")


def test_no_retirement(world: RestoreWorld) -> None:
    """Where no retirement of the name and ID has ended, nothing is restored, and Databrain is not asked."""
    blocked(world, "not_deleted")
    assert world.requests == []


@pytest.mark.parametrize("outcome", ["already_absent", "planned", "blocked", "cancelled"])
def test_not_deleted(world: RestoreWorld, outcome: str) -> None:
    """A retirement that ended otherwise has deleted nothing."""
    world.retire(outcome=outcome)
    assert outcome in blocked(world, "not_deleted")["message"]


def test_another_retirement(world: RestoreWorld) -> None:
    """The retirement is found by name and ID, exactly."""
    world.retire()
    blocked(world, "not_deleted", retirementId="offboard-2")


def test_no_backup(world: RestoreWorld) -> None:
    """A retirement that made no backup cannot be undone."""
    world.retire(backs_up=False)
    blocked(world, "backup_missing")


def test_the_backup_is_gone(world: RestoreWorld) -> None:
    """The backup is the one that the receipt names; another one beside it does not count."""
    world.retire()
    key = world.backup_key
    body = world.evidence.objects[key].body
    world.change(key, None)
    world.evidence.create(key.replace("backup-", "backup-0"), body)
    blocked(world, "backup_missing")


@pytest.mark.parametrize(("old", "new"), [("sales", "sale\u017f"), ("}", "} "), ("}", ""), ("total", "TOTAL")])
def test_the_backup_is_damaged(world: RestoreWorld, old: str, new: str) -> None:
    """A backup that is not to the byte what the receipt says is not restored from."""
    world.retire()
    key = world.backup_key
    world.change(key, world.evidence.objects[key].body.replace(old, new, 1))
    assert key in blocked(world, "backup_damaged")["message"]


def test_the_backup_is_no_text(world: RestoreWorld) -> None:
    """A backup that is no text any more is damaged, and not a call that failed."""
    world.retire()
    read = FailAt("evidence.read", MalformedObject("it is no UTF-8"), nth=2)
    result = world.deliver(restore_requested(), read)
    assert (result["outcome"], result["reason"]) == ("restore_blocked", "backup_damaged")


@pytest.mark.parametrize(
    "fields",
    [
        {"formatVersion": "3"},
        {"formatVersion": 2},
        {"datamart": {"name": "returns"}},
        {"datamart": None},
        {"createRequest": None},
        {"createRequest": {"body": {"name": "returns", "tableList": []}}},
        {"createRequest": {"body": {"name": "sales"}}},
        {"createRequest": {"body": {"name": "sales", "tableList": [{}]}}},
        {"createRequest": {"body": {"name": "sales", "tableList": ["orders"]}}},
        {"createRequest": {"body": {"name": "sales", "tableList": [{"columns": []}]}}},
        {"createRequest": {"body": {"name": "sales", "tableList": [{"name": "orders", "columns": [{}]}]}}},
        {"createSemanticLayerRequest": {"body": {"datamartName": "returns"}}},
        {"createSemanticLayerRequest": {}},
        {"embeds": [{}]},
        {"embeds": ["board"]},
        {"embeds": None},
        {"embeds": [{"embedId": ""}]},
        {"notRestored": None},
    ],
    ids=str,
)
def test_what_is_no_backup(world: RestoreWorld, fields: Parsed) -> None:
    """What does not have the shape of a backup of this datamart is not restored from, whatever its checksum."""
    world.retire(**fields)
    blocked(world, "backup_damaged")


def test_another_organisation(world: RestoreWorld) -> None:
    """Where the token is another one and no witness of the retirement is listed, nothing is created."""
    world.retire()
    world.service_token = "made-up-token-of-another-organisation"
    world.organisation.service_token = world.service_token
    world.organisation.datamarts.clear()
    world.organisation.data_apps.clear()
    world.put("theirs")
    blocked(world, "another_organisation")


def test_a_token_that_was_rotated(world: RestoreWorld) -> None:
    """A rotated token of the same organisation is recognised by what is listed."""
    world.retire()
    world.service_token = "made-up-token-after-its-rotation"
    world.organisation.service_token = world.service_token
    assert world.deliver(restore_requested())["outcome"] == "restored"


def test_datasource_missing(world: RestoreWorld) -> None:
    """The datasource is looked for before anything is created; its name is case-sensitive."""
    world.retire()
    world.organisation.datasources = frozenset({"Warehouse"})
    assert "warehouse" in blocked(world, "datasource_missing")["message"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"datasourceName": None}, "datasource"),
        ({"tableList": []}, "no table"),
        ({"tableList": [{"name": "orders", "columns": []}]}, r"tableList[0] has no column"),
        (
            {"tableList": [{"name": "orders", "columns": [{"name": "net", "isCustomColumn": True}]}]},
            r"tableList[0].columns[0] is a custom column without SQL",
        ),
    ],
)
def test_not_restorable(world: RestoreWorld, body: Parsed, expected: str) -> None:
    """What Databrain would refuse is not sent, and the message says what it is."""
    backup = world.backup_of()
    create = backup["createRequest"] | {"body": backup["createRequest"]["body"] | body}
    world.retire(createRequest=create)
    assert expected in blocked(world, "not_restorable")["message"]


def test_not_restorable_as_the_backup_says(world: RestoreWorld) -> None:
    """What a retirement has found out, the backup says."""
    world.retire(notRestorable=["the table has gone"])
    assert "the table has gone" in blocked(world, "not_restorable")["message"]


@pytest.mark.parametrize("dry", [False, True])
def test_a_dry_run_is_blocked_as_well(world: RestoreWorld, dry: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A dry run decides as a real run does."""
    world.retire()
    world.put("SALES")
    blocked(world, "ambiguous_name", dryRun=dry)


# ---- Rejected ------------------------------------------------------------------------------------------------------


def test_rejected(world: RestoreWorld) -> None:
    """An event that is no valid request is answered, with the fields of a restore's result."""
    result = world.deliver(restore_requested(asName=""))
    assert (result["outcome"], result["reason"], result["restoreId"]) == ("rejected", "invalid_request", "back-1")
    assert world.written == ["rejected/b0c4c0de-1428-4cd3-a780-95db273d1602/receipt.json"]


def test_another_environment(world: RestoreWorld) -> None:
    """A restore that is meant for another stack is rejected before anything is read."""
    world.retire()
    result = world.deliver(restore_requested(environment="staging"))
    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert world.requests == []


def test_the_same_id_for_something_else(world: RestoreWorld) -> None:
    """A restoreId is spent on the request that used it first."""
    world.retire()
    world.deliver(restore_requested())
    result = world.deliver(restore_requested(asName="elsewhere"))
    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
    assert "restoreId back-1" in result["message"]
    assert world.created_datamarts == ["sales"]


def test_a_retirement_request_is_no_restore(world: RestoreWorld) -> None:
    """What else gets into the queue is rejected as what it is."""
    result = world.deliver(restore_requested() | {"detail-type": "Datamart Retirement Requested"})
    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert "restoreId" not in result


# ---- Servers that differ -------------------------------------------------------------------------------------------


def test_a_backup_of_format_1(world: RestoreWorld) -> None:
    """A backup of format 1 restores the datamart; its embeds have no exports."""
    items = [embed["item"] for embed in world.backup_of()["embeds"]]
    world.retire(formatVersion="1", embeds=items, notRestorable=[])
    result = world.deliver(restore_requested())
    assert (result["outcome"], result["reason"]) == ("restored", "with_differences")
    assert result["differences"] == ["embeds[0]", "embeds[1]", "embeds[2]"]
    assert [(embed["dataAppName"], embed["why"]) for embed in result["restoredEmbeds"]] == [
        ("Portal", "the backup does not contain its export"),
        ("Portal", "the backup does not contain its export"),
        ("Intranet", "the backup does not contain its export"),
    ]
    assert world.entry() == world.entry_before()


def test_the_legacy_api(world: RestoreWorld) -> None:
    """A server with the deprecated routes takes neither names of embeds nor their join model; the result says so."""
    world.retire()
    world.settings = replace(world.settings, databrain_api=DatabrainApi.LEGACY)
    result = world.deliver(restore_requested())
    assert result["outcome"] == "restored"
    assert "embeds[*]: names and joinModel, which the legacy API does not take" in result["notRestored"]
    assert [embed.name for _, embed in world.created_embeds] == [embed.embed_id for _, embed in world.created_embeds]
    assert {sent.path for sent in world.requests if sent.route is RouteId.CREATE_DATAMART} == {
        "/api/v2/dataApp/datamart/create"
    }


def test_tenants_are_told_apart(world: RestoreWorld) -> None:
    """With tenancy by table an embed gets every table's clientColumn, and the result says that this is derived."""
    world.retire()
    result = world.deliver(restore_requested())
    assert [body["accessSettings"]["tableTenancySettings"] for body in world.sent_to(RouteId.CREATE_EMBED)] == [
        TENANCY
    ] * 3
    assert (
        "embeds[*]: tableTenancySettings, which no documented request reads; made of clientColumn"
        in result["notRestored"]
    )
    assert len(embeds_in(world.organisation)) == 4


def test_values_are_never_told(world: RestoreWorld) -> None:
    """No result, and no line of the log, holds what was stored: only paths."""
    world.retire()
    world.deliver(restore_requested())
    assert "SECRET SQL" not in canonical_json(world.published)
    assert "SECRET SQL" not in repr(world.telemetry.steps)
