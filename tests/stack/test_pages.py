"""Pages in docs/ that are an example to follow, from the first command to the last, with bash and the AWS CLI."""

import json
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

from local.databrain.organisation import ConnectionType, Workspace
from local.emulator import CHECKOUT
from tests.stack.scene import EVENTS, SCHEDULE, JsonObject, Scene, set_to
from tests.stack.shell import Shell, commands

DOCS = CHECKOUT / "docs"
SECRET = "databrain-service-token"  # as `EmbeddedStack.start` calls it


@pytest.fixture
def retirement_id(tmp_path: Path) -> str:
    """Put the entries of events/ where the shell is, with this stack's environment and an identity of their own."""
    retirement_id = f"acme-{uuid4()}"
    (tmp_path / "events").mkdir()
    for entries in EVENTS.glob("put-*.json"):
        own = entries.read_text().replace("acme-leaves", retirement_id).replace("prod", "dev")
        (tmp_path / "events" / entries.name).write_text(own)
    return retirement_id


def test_scheduling(shell: Shell, scene: Scene, retirement_id: str) -> None:
    """A date is asked for, moved, reminded of and cancelled, and each answer is where the page says."""
    tools, ask, first, timers, move, second, reminder, cancel, end, kept = commands(DOCS / "scheduling.md")
    tools = tools.replace("acme-leaves", retirement_id)

    def answer() -> JsonObject:
        return scene.stack.next_result(retirement_id=retirement_id).document

    def read(command: str) -> JsonObject:
        return {name: value for name, value in shell.told(tools, command).items() if name != "event"}

    shell.run(tools, ask)
    asked = answer()
    assert (asked["outcome"], asked["reason"]) == ("scheduled", None)
    assert read(first) == asked
    shown = [line.split("\t") for line in shell.run(tools, timers).splitlines()]
    assert sorted(name.partition("-")[0] for name, _, _ in shown) == ["remind", "retire"]
    assert {json.loads(event)["detail"]["retirementId"] for _, _, event in shown} == {retirement_id}
    assert set_to(datetime.fromisoformat(asked["retireAt"])) in [when for _, when, _ in shown]

    shell.run(tools, move)
    moved = answer()
    assert moved["retireAt"] > asked["retireAt"]
    assert read(second) == moved

    scene.antedate(retirement_id, number=2, days=400)
    with scene.stack.settings(SCHEDULE, REMINDER_LEAD_TIME="8784"):
        scene.let_go_off(scene.timers()["remind"])
        reminded = answer()
    assert (reminded["reason"], reminded["retireAt"]) == ("due_soon", moved["retireAt"])
    assert read(reminder) == reminded

    shell.run(tools, cancel)
    cancelled = answer()
    assert cancelled["outcome"] == "cancelled"
    assert read(end) == cancelled
    assert shell.run(tools, timers) == ""
    files = ["cancelled.json", "receipt.json", "reminder-2.json", "schedule-1.json", "schedule-2.json"]
    shown_files = [line.split()[-1] for line in shell.run(tools, kept).splitlines()]
    assert [name for name in shown_files if not name.startswith("arrival-")] == files


def test_restore(shell: Shell, scene: Scene, retirement_id: str) -> None:
    """A retirement is undone, first as a preview, and each answer is where the page says; a workspace is linked."""
    tools, preview, planned, ask, end, differences, link = commands(DOCS / "restore.md")
    tools = tools.replace("acme-leaves", retirement_id)
    scene.datamart("sales-analytics")
    organisation = scene.databrain.organisation
    workspace = Workspace("Sales", ConnectionType.DATAMART, None, "sales-analytics", ())
    organisation.workspaces[workspace.name] = workspace
    scene.ask("sales-analytics", retirementId=retirement_id)
    assert scene.result(retirement_id).document["outcome"] == "deleted"

    shell.run(tools, preview)
    told = scene.restored("preview").document
    assert (told["outcome"], told["reason"]) == ("restore_planned", "dry_run")
    assert shell.told(tools, planned) == told
    assert organisation.datamarts == {}

    shell.run(tools, ask)
    told = scene.restored("for-good").document
    assert (told["outcome"], told["reason"]) == ("restored", None)
    assert shell.told(tools, end) == told
    assert shell.told(tools, differences)["differences"] == []
    assert list(organisation.datamarts) == ["sales-analytics"]

    assert organisation.workspaces["Sales"].datamart is None
    link = link.replace("https://api.usedatabrain.com", scene.databrain.url)
    shell.run(link.replace("databrain/service-token", SECRET))
    assert organisation.workspaces["Sales"] == workspace


def test_a_date_that_was_not_filled_in(scene: Scene) -> None:
    """An example that is sent as it is asks for nothing."""
    (entry,) = json.loads((EVENTS / "put-scheduled.json").read_bytes())
    scene.stack.put_event(json.loads(entry["Detail"]) | {"environment": "dev"})

    assert scene.rejection()["message"].startswith("detail.retireAt must be an RFC 3339 time")
