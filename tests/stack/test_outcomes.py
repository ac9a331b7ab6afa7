"""The outcomes, from the bus to the results topic, with exactly the objects that each leaves."""

import hashlib
import json
from datetime import UTC, datetime
from uuid import uuid4

from local.databrain.organisation import ConnectionType, Dashboard, Workspace
from tests.stack.scene import Scene

NOTHING_FOUND = {"found": [], "foundCount": 0, "undetermined": [], "undeterminedCount": 0}
SEMANTIC_LAYER = {
    "tables": [{"name": "orders", "description": "One row an order", "synonyms": [], "columns": []}],
    "completionScore": 20,
}


def methods(scene: Scene) -> set[str]:
    """How Databrain was asked."""
    return {request["method"] for request in scene.databrain.requests}


def test_deleted(scene: Scene) -> None:
    """A request is carried out: one delete, and plan, backup, intent and receipt are kept."""
    name, other = scene.datamart(semanticLayer=SEMANTIC_LAYER), scene.datamart()
    retirement_id = scene.ask(name)
    published = scene.result(retirement_id)
    result = published.document

    assert (result["outcome"], result["reason"], result["confirmedBy"]) == ("deleted", None, "response")
    assert (result["datamartName"], result["retirementId"], result["environment"]) == (name, retirement_id, "dev")
    assert (result["requestedBy"], result["requestReason"]) == ("the stack tests", "to see what happens")
    assert result["dependents"].items() >= NOTHING_FOUND.items()
    assert published.subject == f'Datamart "{name}" deleted [dev]'
    assert list(scene.databrain.organisation.datamarts) == [other]
    assert scene.deletions() == [name]

    kept, backup = f"retirements/{name}/{retirement_id}", result["backup"]
    assert scene.new_objects() == [
        f"backups/{name}/{retirement_id}/backup-{backup['sha256'][:16]}.json",
        f"plans/{name}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]
    assert backup["key"] == f"backups/{name}/{retirement_id}/backup-{backup['sha256'][:16]}.json"
    kept_backup = scene.stack.s3.get_object(Bucket=backup["bucket"], Key=backup["key"])
    assert kept_backup["VersionId"] == backup["versionId"]
    body = kept_backup["Body"].read()
    assert (hashlib.sha256(body).hexdigest(), len(body)) == (backup["sha256"], backup["bytes"])
    intent = scene.kept(f"{kept}/intent.json").document
    assert (intent["planId"], intent["backup"]) == (result["planId"], backup)


def test_the_backup_brings_it_back(scene: Scene) -> None:
    """The requests in the backup create the datamart anew, as it was, with its semantic layer."""
    name = scene.datamart(semanticLayer=SEMANTIC_LAYER)
    before = scene.databrain.organisation.datamarts[name]
    backup = scene.result(scene.ask(name)).document["backup"]
    kept = scene.kept(backup["key"]).document

    scene.databrain.organisation.create_datamart(kept["createRequest"]["body"])
    scene.databrain.organisation.create_semantic_layer(kept["createSemanticLayerRequest"]["body"])

    after = scene.databrain.organisation.datamarts[name]
    assert after.configuration == before.configuration
    assert (after.semantic_layer or {})["tables"][0]["description"] == "One row an order"


def test_the_embeds_are_backed_up(scene: Scene) -> None:
    """The embeds that Databrain deletes with the datamart are in its backup, each with its export and its workspace."""
    name = scene.portal("overview", "detail", embedsTellDatamart="metadata")
    data = {"layout": [], "filters": [], "metrics": [{"metricId": "revenue", "name": "Revenue", "query": "select 1"}]}
    shown = Dashboard("dashboard-of-overview", "Overview", data)
    workspace = Workspace("Sales", ConnectionType.DATAMART, None, name, (shown,))
    scene.databrain.organisation.workspaces = {"Sales": workspace}

    result = scene.result(scene.ask(name, reviewedEmbeds=["overview", "detail"], requireRestorable=True)).document

    assert (result["outcome"], result["notRestorable"]) == ("deleted", [])
    assert scene.databrain.organisation.data_apps["Portal"].embeds == ()
    backup = scene.kept(result["backup"]["key"]).document
    assert [(embed["embedId"], embed["verdict"], embed["whyNot"]) for embed in backup["embeds"]] == [
        ("detail", "uses", "no workspaces have its dashboard"),
        ("overview", "uses", None),
    ]
    overview = backup["embeds"][1]
    assert (overview["workspaceName"], overview["export"]["data"]) == ("Sales", data)
    assert (
        overview["item"]["embedMetadata"]["dashboardId"]
        == overview["export"]["_meta"]["dashboardId"]
        == shown.dashboard_id
    )
    assert "embeds[0].workspaceName: no workspaces have its dashboard" in backup["notRestored"]


def test_deleted_and_the_answer_lost(scene: Scene) -> None:
    """A delete whose answer is lost is not sent again: the datamart is gone, and the result says how that is known."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "lost_answer"}])
    retirement_id = scene.ask(name)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"], result["confirmedBy"]) == ("deleted", None, "absence")
    assert scene.deletions() == [name]
    kept = f"retirements/{name}/{retirement_id}"
    assert scene.new_objects() == [
        result["backup"]["key"],
        f"plans/{name}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]


def test_already_absent(scene: Scene) -> None:
    """A datamart that is not there is no success: nothing is sent but a list request, and the receipt alone is kept."""
    scene.datamart()
    name = f"absent-{uuid4()}"
    retirement_id = scene.ask(name)
    published = scene.result(retirement_id)
    result = published.document
    assert (result["outcome"], result["reason"]) == ("already_absent", None)
    assert [result[field] for field in ("planId", "backup", "dependents", "confirmedBy")] == [None] * 4
    assert published.subject == f'Datamart "{name}" already absent [dev]'
    assert methods(scene) == {"GET"}
    assert scene.new_objects() == [f"retirements/{name}/{retirement_id}/receipt.json"]


def test_planned_by_a_dry_run(scene: Scene) -> None:
    """A dry run tells what would happen, and keeps the plan under the hash of what was seen."""
    name = scene.datamart()
    retirement_id = scene.ask(name, dryRun=True)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"]) == ("planned", "dry_run")
    assert (result["backup"], result["confirmedBy"]) == (None, None)
    assert result["dependents"].items() >= NOTHING_FOUND.items()
    assert methods(scene) == {"GET"}
    assert list(scene.databrain.organisation.datamarts) == [name]
    plan_key = f"plans/{name}/{result['planId']}.json"
    assert scene.new_objects() == [plan_key, f"retirements/{name}/{retirement_id}/receipt.json"]

    plan = scene.kept(plan_key).document
    assert plan.pop("planId") == result["planId"]
    assert plan.pop("columns") == {"orders": ["id"]}  # to tell a drift with, as of the configuration's hash
    assert plan.pop("notRestorable") == result["notRestorable"] == []
    assert plan.pop("organisation").keys() == {"identity", "fingerprint", "datamarts", "dataApps"}
    assert hashlib.sha256(json.dumps(plan, separators=(",", ":")).encode()).hexdigest() == result["planId"]


def test_planned_by_the_mode(scene: Scene) -> None:
    """In mode `plan` every request is a dry run, and gets the plan that it would get in mode `retire`."""
    name = scene.datamart()
    with scene.stack.settings(MODE="plan"):
        retirement_id = scene.ask(name)
        result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"], result["backup"]) == ("planned", "plan_mode", None)
    assert methods(scene) == {"GET"}
    assert list(scene.databrain.organisation.datamarts) == [name]
    assert scene.new_objects() == [
        f"plans/{name}/{result['planId']}.json",
        f"retirements/{name}/{retirement_id}/receipt.json",
    ]
    carried_out = scene.result(scene.ask(name, planId=result["planId"])).document
    assert (carried_out["outcome"], carried_out["planId"]) == ("deleted", result["planId"])


def test_blocked_recreated(scene: Scene) -> None:
    """A datamart that is younger than the request is another one than was meant."""
    name = scene.datamart(createdAt=datetime.now(UTC).replace(year=2999, day=1).isoformat())
    retirement_id = scene.ask(name)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"], result["backup"]) == ("blocked", "recreated", None)
    assert methods(scene) == {"GET"}
    assert scene.new_objects() == [
        f"plans/{name}/{result['planId']}.json",
        f"retirements/{name}/{retirement_id}/receipt.json",
    ]


def test_blocked_changed(scene: Scene) -> None:
    """A datamart that was changed between the intent and the delete of a crashed attempt is left as it is."""
    name = scene.datamart()
    scene.databrain.faults.replace(
        [
            {"route": "delete_datamart", "fault": "refused"},
            {"route": "list_datamarts", "fault": "status", "status": 400, "skip": 2},
        ]
    )
    request = scene.event(name)
    assert scene.stack.invoke(request).error
    assert scene.deletions() == [name]

    scene.databrain.faults.clear()
    scene.datamart(name, datamartRelationships=[{"relationshipName": "added meanwhile"}])
    retirement_id = scene.send(request)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"], result["confirmedBy"]) == ("blocked", "changed", None)
    assert scene.deletions() == [name]
    assert name in scene.databrain.organisation.datamarts
    kept = f"retirements/{name}/{retirement_id}"
    assert scene.new_objects() == [
        result["backup"]["key"],
        f"plans/{name}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]


def test_blocked_dependents_found(scene: Scene) -> None:
    """A datamart that an embed uses is kept, until a person has looked at the embed."""
    name = scene.portal("overview", embedsTellDatamart="metadata")
    retirement_id = scene.ask(name)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"]) == ("blocked", "dependents_found")
    assert result["dependents"]["found"] == [{"embedId": "overview", "name": "overview", "dataAppName": "Portal"}]
    assert (result["dependents"]["foundCount"], result["dependents"]["undeterminedCount"]) == (1, 0)
    assert "overview" in result["message"]
    assert methods(scene) == {"GET"}
    assert scene.new_objects() == [
        f"plans/{name}/{result['planId']}.json",
        f"retirements/{name}/{retirement_id}/receipt.json",
    ]
    assert scene.result(scene.ask(name, reviewedEmbeds=["overview"])).document["outcome"] == "deleted"


def test_blocked_dependents_undetermined(scene: Scene) -> None:
    """An embed of which nothing says which datamart it uses blocks, unless the request or the stack lets it pass."""
    name = scene.portal("overview")
    retirement_id = scene.ask(name)
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["reason"]) == ("blocked", "dependents_undetermined")
    assert result["dependents"]["undetermined"] == [
        {"embedId": "overview", "name": "overview", "dataAppName": "Portal"}
    ]
    assert (result["dependents"]["foundCount"], result["dependents"]["undeterminedCount"]) == (0, 1)
    assert methods(scene) == {"GET"}
    assert scene.new_objects() == [
        f"plans/{name}/{result['planId']}.json",
        f"retirements/{name}/{retirement_id}/receipt.json",
    ]

    ignored = scene.result(scene.ask(name, dependents="ignore")).document
    assert (ignored["outcome"], ignored["dependents"]["undeterminedCount"]) == ("deleted", 1)
    name = scene.portal("overview")
    with scene.stack.settings(UNDETERMINED_EMBEDS="report"):
        reported = scene.result(scene.ask(name)).document
    assert (reported["outcome"], reported["dependents"]["undeterminedCount"]) == ("deleted", 1)


def test_rejected_retirement_id_reused(scene: Scene) -> None:
    """An identity that a receipt has spent answers no other request: a dry run is not made real by asking again."""
    name = scene.datamart()
    dry_run = scene.event(name, dryRun=True)["detail"]
    scene.stack.put_event(dry_run)
    scene.result(dry_run["retirementId"])
    spent = scene.new_objects()
    scene.databrain.requests.clear()

    event_id = scene.stack.put_event({**dry_run, "dryRun": False})
    receipt = scene.rejection()
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", "retirement_id_reused")
    assert dry_run["retirementId"] in receipt["message"]
    assert scene.databrain.requests == []
    assert sorted(set(scene.new_objects()) - set(spent)) == [f"rejected/{event_id}/receipt.json"]


def test_an_event_as_such(scene: Scene) -> None:
    """The function takes an event that is no message, and returns the result that it publishes."""
    request = scene.event(scene.datamart())
    invocation = scene.stack.invoke(request)
    assert not invocation.error
    assert invocation.payload["outcome"] == "deleted"
    assert invocation.payload == scene.result(request["detail"]["retirementId"]).document


def test_the_receipt_tells_the_request(scene: Scene) -> None:
    """The receipt carries the hash of what was requested, and not of when, by whom and why: written differently too."""
    name = scene.datamart()
    request = scene.event(name, reason="Größe 🙂", reviewedEmbeds=["b", "a"], retireAt="2026-03-01T12:00:00+01:00")
    retirement_id = scene.send(request)
    first = scene.result(retirement_id)
    as_sent = {key: value for key, value in request["detail"].items() if key != "retireAt"}
    compared = {key: value for key, value in as_sent.items() if key not in {"requestedBy", "reason"}}
    text = json.dumps(compared, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    key = f"retirements/{name}/{retirement_id}/receipt.json"
    assert scene.kept(key).metadata == {"request": hashlib.sha256(text.encode()).hexdigest()}

    again = {**request, "detail": dict(reversed(as_sent.items()))}
    scene.stack.put_message(json.dumps(again, indent=4, ensure_ascii=False))
    assert scene.result(retirement_id) == first
