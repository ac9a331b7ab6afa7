"""A rehearsal on the deployed stack, with the permissions of its role alone."""

from local.databrain.faults import RouteId
from retirement.databrain.copies import copy_name
from tests.stack.scene import Scene
from tests.stack.test_outcomes import SEMANTIC_LAYER


def test_rehearsed_and_deleted(scene: Scene) -> None:
    """The restore is rehearsed on a copy, which is removed again; then the datamart is deleted."""
    name, other = scene.datamart(semanticLayer=SEMANTIC_LAYER), scene.datamart()
    retirement_id = scene.ask(name, rehearse=True)
    result, copy = scene.result(retirement_id).document, copy_name(name, retirement_id)

    assert (result["outcome"], result["reason"]) == ("deleted", None)
    assert list(scene.databrain.organisation.datamarts) == [other]
    assert scene.deletions() == [copy, name]
    kept = f"retirements/{name}/{retirement_id}"
    assert scene.new_objects() == [
        result["backup"]["key"],
        f"plans/{name}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
        f"{kept}/rehearsal.json",
        f"{kept}/rehearsed.json",
    ]
    assert scene.kept(f"{kept}/rehearsed.json").document["failure"] is None
    assert scene.counted() == 1


def test_a_rehearsal_that_fails(scene: Scene) -> None:
    """If Databrain damages the copy, the datamart is spared, the result says what differs, and no copy is left."""
    name = scene.datamart(semanticLayer=SEMANTIC_LAYER)
    before = dict(scene.databrain.organisation.datamarts)
    damaged = {"route": RouteId.CREATE_DATAMART, "fault": "damaged", "path": ["tableList", 0, "label"], "value": "?"}
    scene.databrain.faults.replace([damaged])
    retirement_id = scene.ask(name, rehearse=True)
    result = scene.result(retirement_id).document

    assert (result["outcome"], result["reason"], result["backup"]) == ("blocked", "rehearsal_failed", None)
    assert "datamart.datamartTables[0].label" in result["message"]
    assert scene.databrain.organisation.datamarts == before
    assert scene.deletions() == [copy_name(name, retirement_id)]
    assert scene.counted() == 0
