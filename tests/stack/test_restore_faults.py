"""Restores in trouble on the deployed stack: one case for each kind of fault and of bad input."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from local.databrain.organisation import Organisation
from tests.restore_world import embeds_in, without_times
from tests.stack.scene import RESTORE, JsonObject, Scene, ahead
from tests.stack.test_restore import NAME, Retired, retire

TWO_EMBEDS = ["board", "mirror"]
CREATES = ("create_datamart", "create_semantic_layer", "create_embed")
RESTORED = ("restored", None)
DIFFERS = ("restored", "with_differences")


@dataclass(frozen=True)
class Case:
    """What is in the way of the first attempt, and how the restore ends; `embeds` are those that it creates."""

    ends: tuple[str, str | None]
    faults: tuple[JsonObject, ...] = ()
    meddle: Callable[[Scene, Retired], object] = lambda *_: None
    detail: JsonObject | None = None
    embeds: int = 2


def _fault(route: str, fault: str, **arguments: object) -> JsonObject:
    return {"route": route, "fault": fault, "times": 1, **arguments}


def _without_dashboard(scene: Scene, _: Retired) -> None:
    """Take away the dashboard of one of the embeds."""
    organisation = scene.databrain.organisation
    workspace = organisation.workspaces["Sales"]
    organisation.workspaces["Sales"] = replace(workspace, dashboards=workspace.dashboards[:1])


def _take_backup(scene: Scene, retired: Retired) -> None:
    scene.stack.s3.delete_object(Bucket=scene.stack.outputs["EvidenceBucketName"], Key=retired.backup_key)


def _damage_backup(scene: Scene, retired: Retired) -> None:
    _put(scene, retired.backup_key, {**retired.backup, "embeds": []})


def _second_backup(scene: Scene, retired: Retired) -> None:
    folder = retired.backup_key.rpartition("/")[0]
    _put(scene, f"{folder}/backup-0000000000000000.json", {**retired.backup, "embeds": []})


def _put(scene: Scene, key: str, document: JsonObject) -> None:
    bucket = scene.stack.outputs["EvidenceBucketName"]
    scene.stack.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode())


# Each on the same retirement, under a name of its own.
CASES: dict[str, Case] = {
    **{f"lost answer of {route}": Case(RESTORED, (_fault(route, "lost_answer"),)) for route in CREATES},
    **{f"late effect of {route}": Case(RESTORED, (_fault(route, "late_effect", after=2),)) for route in CREATES},
    **{f"429 of {route}": Case(RESTORED, (_fault(route, "status", status=429, retryAfter=1),)) for route in CREATES},
    "a 500 after the effect": Case(RESTORED, (_fault("create_datamart", "status_after", status=500),)),
    "listed later": Case(RESTORED, (_fault("create_datamart", "eventual", after=2),)),
    "the token refused": Case(RESTORED, (_fault("list_datamarts", "token_refused"),)),
    "damaged by the create": Case(
        DIFFERS, (_fault("create_datamart", "damaged", path=["tableList", 0, "label"], value="lost"),)
    ),
    "a refused embed": Case(DIFFERS, (_fault("create_embed", "status", status=400),), embeds=1),
    "a refused datamart": Case(
        ("restore_blocked", "not_restorable"), (_fault("create_datamart", "status", status=400),), embeds=0
    ),
    "the name taken": Case(("restore_blocked", "name_taken"), (_fault("create_datamart", "name_taken"),), embeds=0),
    "a dashboard gone": Case(DIFFERS, meddle=_without_dashboard, embeds=1),
    "the datasource gone": Case(
        ("restore_blocked", "datasource_missing"),
        meddle=lambda scene, _: setattr(scene.databrain.organisation, "datasources", frozenset({"another"})),
        embeds=0,
    ),
    "a listed name": Case(("restore_blocked", "name_taken"), detail={"asName": "returns"}, embeds=0),
    "a name like a listed one": Case(("restore_blocked", "ambiguous_name"), detail={"asName": "Returns"}, embeds=0),
    "another retirement": Case(("restore_blocked", "not_deleted"), detail={"retirementId": "never"}, embeds=0),
    "no embeds": Case(RESTORED, detail={"embeds": "leave"}, embeds=0),
    "a second backup": Case(RESTORED, meddle=_second_backup),
    "a damaged backup": Case(("restore_blocked", "backup_damaged"), meddle=_damage_backup, embeds=0),
    "no backup": Case(("restore_blocked", "backup_missing"), meddle=_take_backup, embeds=0),
}


def test_each_fault(scene: Scene) -> None:
    """Whatever is in the way, each restore ends as it has to, and creates its datamart and each embed once, or none."""
    retired = retire(scene, TWO_EMBEDS)
    left = copy.deepcopy(scene.databrain.organisation)
    found, expected = {}, {}
    for name, case in CASES.items():
        scene.databrain.organisation = copy.deepcopy(left)
        scene.databrain.faults.replace(list(case.faults))
        case.meddle(scene, retired)
        as_name = (case.detail or {}).get("asName", f"{NAME}, {name}")
        event = scene.restore_event(NAME, retired.retirement_id, **{"asName": as_name, **(case.detail or {})})
        ends = _to_its_end(scene, event)
        found[name] = (ends, *_created(scene.databrain.organisation, left, as_name))
        expected[name] = (case.ends, case.ends[0] == "restored", case.embeds)
    assert found == expected


def _to_its_end(scene: Scene, event: JsonObject) -> tuple[str, str | None] | str:
    """Deliver a restore, and again if the attempt fails, as its queue does."""
    invocation = scene.stack.invoke(event, RESTORE)
    if invocation.error:
        invocation = scene.stack.invoke(event, RESTORE)
    return (invocation.payload["outcome"], invocation.payload["reason"]) if not invocation.error else str(invocation)


def _created(now: Organisation, before: Organisation, name: str) -> tuple[bool, int]:
    """Return whether a datamart of the name was created, and how many embeds were; all else has to be as it was."""
    assert all(now.datamarts[other] == datamart for other, datamart in before.datamarts.items())
    new = [datamart for other, datamart in now.datamarts.items() if other not in before.datamarts]
    own = [each.name for each in new if each.configuration["datamartTables"][0]["tableName"] != "not_yours"]
    assert own in ([], [name])
    return bool(own), len(embeds_in(now)) - len(embeds_in(before))


@pytest.mark.parametrize("server", [{"hasExportEmbed": False}, {"hasWorkspaces": False}, {"keepsEmbeds": True}])
def test_another_server(scene: Scene, server: JsonObject) -> None:
    """On an old server the datamart comes back without its embeds; where they are kept, they are as they were."""
    retired = retire(scene, TWO_EMBEDS, server=server)
    result = scene.restored(scene.ask_back(NAME, retired.retirement_id)).document
    keeps = "keepsEmbeds" in server
    assert (result["outcome"], result["reason"]) == (RESTORED if keeps else DIFFERS)
    assert {each["state"] for each in result["restoredEmbeds"]} == {"kept" if keeps else "not_restored"}


def test_every_script(scene: Scene) -> None:
    """Names and SQL come back to the same code points, in decomposed form and beyond the basic plane too."""
    name, sql = "sales \u0104\u010c e\u0301 \U0001f642", "total / 1.19 -- 'e\u0301 \U0001f642 \u0104\u010c'"
    retired = retire(scene, TWO_EMBEDS, name=name, sql=sql)
    result = scene.restored(scene.ask_back(name, retired.retirement_id)).document
    assert (result["outcome"], result["reason"], result["restoredAs"]) == ("restored", None, name)
    was, now = retired.before.datamarts[name], scene.databrain.organisation.datamarts[name]
    assert sql in {
        column["sql"] for table in now.configuration["datamartTables"] for column in table["datamartTableColumns"]
    }
    assert now.configuration == was.configuration
    assert without_times(now.semantic_layer or {}) == without_times(was.semantic_layer or {})
    assert {embed.datamart for _, embed in embeds_in(scene.databrain.organisation)} == {"returns", name}


def test_an_older_retirement_comes_late(scene: Scene) -> None:
    """A request from before the restore that comes later spares what was restored."""
    older = scene.event(NAME, dependents="ignore") | {"time": ahead(seconds=-60)}
    retired = retire(scene, TWO_EMBEDS)
    assert scene.restored(scene.ask_back(NAME, retired.retirement_id)).document["outcome"] == "restored"
    result = scene.result(scene.send(older)).document
    assert (result["outcome"], result["reason"]) == ("blocked", "recreated")
    assert NAME in scene.databrain.organisation.datamarts
