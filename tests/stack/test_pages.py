"""Pages in docs/ that are an example to follow, from the first command to the last, with bash and the AWS CLI."""

import json
from datetime import datetime
from uuid import uuid4

from local.databrain.organisation import ConnectionType, Workspace
from local.emulator import CHECKOUT
from tests.stack.scene import EVENTS, SCHEDULE, Scene, set_to
from tests.stack.shell import Shell, commands

DOCS = CHECKOUT / "docs"
SECRET = "databrain-service-token"  # as `EmbeddedStack.start` calls it


def test_scheduling(shell: Shell, scene: Scene) -> None:
    """A date is requested, looked at, moved, reminded of and cancelled, each with the line of the page."""
    ask, look, move, cancel = commands(DOCS / "scheduling.md")
    name, retirement_id = scene.datamart("sales-analytics"), f"acme-{uuid4()}"

    def run(block: str) -> str:
        return shell.run(block.replace("acme-leaves", retirement_id))

    assert f"{name}: scheduled" in run(ask)
    asked = scene.stack.next_result(retirement_id=retirement_id).document
    assert retirement_id in (shown := run(look))
    assert asked["retireAt"] in shown
    timers = scene.timers()
    assert sorted(timers) == ["remind", "retire"]
    assert timers["retire"]["ScheduleExpression"] == set_to(datetime.fromisoformat(asked["retireAt"]))

    assert f"instead of {asked['retireAt']}" in run(move)
    moved = scene.stack.next_result(retirement_id=retirement_id).document
    assert (moved["requestReason"], moved["retireAt"] > asked["retireAt"]) == ("one more week", True)
    scene.antedate(retirement_id, number=2, days=400)
    with scene.stack.settings(SCHEDULE, REMINDER_LEAD_TIME="8784"):
        scene.let_go_off(scene.timers()["remind"])
        reminded = scene.stack.next_result(retirement_id=retirement_id).document
    assert (reminded["reason"], reminded["retireAt"]) == ("due_soon", moved["retireAt"])

    assert f"{name}: cancelled" in run(cancel)
    assert scene.timers() == {}
    stored = run("datamart status acme-leaves")
    for file in ("cancelled.json", "receipt.json", "reminder-2.json", "schedule-1.json", "schedule-2.json"):
        assert file in stored


def test_restore(shell: Shell, scene: Scene) -> None:
    """A retirement is undone, first as a preview, and the history shows it; a workspace is linked."""
    preview, restore, history, link = commands(DOCS / "restore.md")
    scene.datamart("sales-analytics")
    organisation = scene.databrain.organisation
    workspace = Workspace("Sales", ConnectionType.DATAMART, None, "sales-analytics", ())
    organisation.workspaces[workspace.name] = workspace
    retirement_id = scene.ask("sales-analytics")
    assert scene.result(retirement_id).document["outcome"] == "deleted"

    assert "sales-analytics: restore_planned, dry_run" in shell.run(preview)
    assert organisation.datamarts == {}
    assert "sales-analytics: restored\n" in shell.run(restore)
    assert list(organisation.datamarts) == ["sales-analytics"]
    assert retirement_id in shell.run(history)

    assert organisation.workspaces["Sales"].datamart is None
    link = link.replace("https://api.usedatabrain.com", scene.databrain.url)
    shell.run(link.replace("databrain/service-token", SECRET))
    assert organisation.workspaces["Sales"] == workspace


def test_approval(shell: Shell, scene: Scene) -> None:
    """What waits is listed, read and approved by somebody else, and the history shows what became of it."""
    waiting, status, approve, history = commands(DOCS / "approval.md")
    scene.datamart("sales-analytics")
    with scene.stack.requiring(1):
        retirement_id = scene.ask("sales-analytics")
        assert scene.stack.next_result(retirement_id=retirement_id).document["outcome"] == "awaiting_approval"
        assert "awaiting" in shell.run(waiting)
        assert "approval-asked-1.json" in shell.run(status.replace("acme-leaves", retirement_id))

        assert "sales-analytics: approved" in shell.run(approve.replace("acme-leaves", retirement_id))
        scene.settle()
        assert "deleted" in shell.run(history)


def test_a_date_that_was_not_filled_in(scene: Scene) -> None:
    """An example that is sent as it is asks for nothing."""
    (entry,) = json.loads((EVENTS / "put-scheduled.json").read_bytes())
    scene.stack.put_event(json.loads(entry["Detail"]) | {"environment": "dev"})

    assert scene.rejection()["message"].startswith("detail.retireAt must be an RFC 3339 time")
