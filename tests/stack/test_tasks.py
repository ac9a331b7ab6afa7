"""docs/command-line.md: each task of its table is one line, run as it stands on a stack with what the task is about."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator import CHECKOUT
from tests.docs.pages import Page, plain
from tests.stack.program import Finished, Program
from tests.stack.scene import DEADLINE, POLICY_KEY, Scene, ahead

TASKS = [plain(line) for _, line in Page("docs/command-line.md").table("The tasks", "task")]
ASKING = re.compile(r"datamart (?:retire|restore|stop|resume|failures retry --all|failures drop|webhook rotate)")
SWEPT = {
    "formatVersion": "1",
    "dryRun": False,
    "rules": [{"name": "all", "owner": "o", "reason": "r", "names": ["acme-trial"], "retireAfter": "7 days"}],
}


class Desk:
    """A person who works through the table, with datamarts of the names in it."""

    def __init__(self, datamart: Program, scene: Scene, folder: Path) -> None:
        self._datamart = datamart
        self.scene = scene
        self.folder = folder
        self.taken: list[str] = []

    def take(self, words: str, **placeholders: str) -> Finished:
        """Run the one line of the table that begins with these words, confirmed if it asks."""
        exact = [task for task in TASKS if task == words]
        (line,) = exact or [task for task in TASKS if task.startswith(f"{words} ") and task not in self.taken]
        self.taken.append(line)
        for name, value in placeholders.items():
            line = line.replace(name.replace("_", "-"), value)
        arguments = shlex.split(line.replace(" --open", ""))[1:]
        return self._datamart(*arguments, *(["--yes"] if ASKING.match(line) else []))


@pytest.fixture
def desk(scene: Scene, datamart: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """With the datamarts of the table."""
    monkeypatch.chdir(tmp_path)
    return Desk(datamart, scene, tmp_path)


def test_every_task(desk: Desk, put_webhook_secret: Callable[[str], object]) -> None:  # noqa: ARG001, PLR0915
    """The table has each task that operators have, and each line does what it says."""
    scene = desk.scene
    desk.taken.append("make local")  # tests/stack/test_first_commands.py

    def again(name: str = "acme-trial") -> None:
        scene.datamart(name)

    again()
    plan = desk.take("datamart plan acme-trial")
    (plan_id,) = set(re.findall("[0-9a-f]{64}", plan.out))
    assert "deleted" in desk.take("datamart retire acme-trial --plan", PLAN_ID=plan_id).out
    assert "acme-trial: restored" in desk.take("datamart restore acme-trial").out
    own = {"offboard-acme": f"offboard-{scene.began:%H%M%S%f}"}
    identity = own["offboard-acme"]
    now = 'datamart retire acme-trial --id offboard-acme --reason "Acme left"'
    assert "scheduled" in desk.take(f"{now} --at", **own).out
    moved = own | {"2026-12-24T08:00:00Z": ahead(days=9)}
    assert "instead of " in desk.take("datamart move offboard-acme", **moved).out
    assert identity in desk.take("datamart list --pending").out
    assert "cancelled" in desk.take("datamart cancel offboard-acme", **own).out
    assert "cancelled.json" in desk.take("datamart status offboard-acme", **own).out
    assert identity in desk.take("datamart show acme-trial").out
    for line, names in (
        (now, ["acme-trial"]),
        ("datamart retire acme-a acme-b", ["acme-a", "acme-b"]),
    ):
        for name in names:
            again(name)
        assert desk.take(line, **{"offboard-acme": f"{identity}-{len(names)}"}).out.count(": deleted") == len(names)

    again()
    assert "HTTP 202" in desk.take("datamart webhook send").out
    scene.stack.next_result(timeout=DEADLINE)
    scene.settle()
    assert "whsec_" in desk.take("datamart webhook rotate").out
    again()
    (desk.folder / "policy.json").write_text(json.dumps(SWEPT))
    assert "1 rule" in desk.take("datamart sweep check").out
    scene._put(POLICY_KEY, SWEPT)  # noqa: SLF001  # as the sweeps' own tests
    assert "would_ask" in desk.take("datamart sweep run").out
    desk._datamart("sweep", "run")  # noqa: SLF001  # for real, so that there is something to keep
    scene.eventually(scene.timers)
    assert "cancelled" in desk.take("datamart keep").out

    for name in ("f-1", "f-2", identity):
        event = scene.event(scene.datamart(), retirementId=f"{name}-failed")
        scene.stack.put_message(json.dumps(event), "FailuresQueueUrl")
    failed = {"offboard-acme": f"{identity}-failed"}
    assert "f-1" in desk.take("datamart failures").out
    assert "dropped" in desk.take("datamart failures drop", **failed).out
    assert "sent again" in desk.take("datamart failures retry offboard-acme", **{"offboard-acme": "f-1-failed"}).out
    assert "f-2-failed: sent again" in desk.take("datamart failures retry --all").out
    scene.settle()
    assert desk.take("datamart stop").status == 0
    assert desk.take("datamart resume").status == 0
    assert "report.html: " in desk.take("datamart report").out
    scene.portal("embed-1")
    assert "1 embed" in desk.take("datamart embeds review").out
    assert "deleted today" in desk.take("datamart status").out
    assert "ok    Databrain: " in desk.take("datamart doctor").out

    assert sorted(desk.taken) == sorted(TASKS)


def test_nothing_defines_output() -> None:
    """No page looks the names of the stack's parts up by a function `output`."""
    pages = [*(CHECKOUT / "docs").rglob("*.md"), CHECKOUT / "README.md"]
    assert [page.name for page in pages if "output()" in page.read_text()] == []
