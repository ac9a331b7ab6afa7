"""A person before the command line: questions, narrow windows, and Ctrl-C."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from cli.errors import Status
from tests.stack.program import variables
from tests.stack.scene import Scene
from tests.stack.terminal import terminal


@pytest.fixture
def environment(scene: Scene, tmp_path: Path) -> dict[str, str]:
    """What a person has set."""
    return variables(scene.stack, tmp_path)


def test_a_retirement_is_confirmed(scene: Scene, environment: dict[str, str]) -> None:
    """The plan is shown and the name is typed; then exactly that plan is carried out."""
    name = scene.datamart()
    with terminal("retire", name, environment=environment) as person:
        person.read_until("Reason, for the audit: ")
        person.type("Acme left\n")
        shown = person.read_until(f"Type {name} to confirm: ")
        assert "goes" in shown
        what = f"This asks other people to approve the deletion of {name} now"  # the stack has ApprovalSources
        assert f"{what}, on datamart-retirement" in shown
        assert scene.deletions() == []
        person.type(f"{name}\n")
        assert person.end() == Status.OK
    assert f"{name}: deleted" in person.shown
    (key,) = [key for key in scene.new_objects() if key.endswith("/intent.json")]
    assert scene.kept(key).document["request"]["planId"] == scene.kept(key).document["planId"]
    assert scene.kept(key).document["request"]["reason"] == "Acme left"


@pytest.mark.parametrize("typed", ["y\n", "\n", "\x04"])
def test_another_answer(scene: Scene, environment: dict[str, str], typed: str) -> None:
    """Anything but the name sends nothing: status 2."""
    name = scene.datamart()
    with terminal("retire", name, "--reason", "r", environment=environment) as person:
        person.read_until(f"Type {name} to confirm: ")
        person.type(typed)
        assert person.end() == Status.USAGE
    assert "not confirmed: nothing was sent or changed" in person.shown
    assert scene.deletions() == []


def test_what_would_be_blocked_is_not_asked(scene: Scene, environment: dict[str, str]) -> None:
    """Where the plan is blocked, there is nothing to confirm: status 3."""
    name = scene.portal("embed-1", embedsTellDatamart="access_settings")
    with terminal("retire", name, "--reason", "r", environment=environment) as person:
        assert person.end() == Status.BLOCKED
    assert "dependents_found" in person.shown
    assert "to confirm" not in person.shown


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["retire", "NAME", "--reason", "r"], "to confirm: "),
        (["retire", "NAME"], "Reason, for the audit: "),
        (["stop", "--reason", "r"], "Type stop to confirm: "),
        (["resume"], "Type resume to confirm: "),
        (["webhook", "rotate"], "Type rotate to confirm: "),
    ],
)
def test_ctrl_c_at_a_question(scene: Scene, environment: dict[str, str], arguments: list[str], question: str) -> None:
    """Ctrl-C at a question sends nothing, and is no traceback."""
    name = scene.datamart()
    with terminal(*(name if each == "NAME" else each for each in arguments), environment=environment) as person:
        person.read_until(question)
        person.interrupt()
        assert person.end() == Status.INTERRUPTED
    assert "Traceback" not in person.shown
    assert scene.deletions() == []
    assert scene.stack.mapping()["State"] == "Enabled"


def test_ctrl_c_while_it_waits(scene: Scene, environment: dict[str, str]) -> None:
    """Ctrl-C while it waits leaves the request alone, and names the command that shows what became of it."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "status", "status": 503}])
    with terminal("retire", name, "--id", f"goes-on-{name}", "--yes", environment=environment) as person:
        person.read_until("queued")
        person.interrupt()
        assert person.end() == Status.INTERRUPTED
    assert f"goes on by itself; to look later: datamart status goes-on-{name}" in person.shown.replace("\n", "")
    assert "Traceback" not in person.shown


def test_a_narrow_window(scene: Scene, environment: dict[str, str]) -> None:
    """A narrow window cuts no ID."""
    name = scene.datamart()
    identity = f"narrow-{name}"
    scene.result(scene.ask(name, retirementId=identity, dryRun=True))
    with terminal("show", name, environment=environment, columns=50) as person:
        assert person.end() == Status.OK
    lines = person.shown.splitlines()
    assert max(map(len, lines)) <= 50
    starts = [found.start() for found in re.finditer(r"\S+", lines[1])]
    columns = ["".join(line[start:end].strip() for line in lines[1:]) for start, end in pairwise([*starts, 50])]
    assert any(identity in column for column in columns)
    assert "\u2026" not in person.shown


def test_embeds_are_asked_about(scene: Scene, environment: dict[str, str], tmp_path: Path) -> None:
    """A person is asked for the datamart of each embed, and Ctrl-C writes nothing."""
    scene.portal("embed-1")
    file = tmp_path / "map.json"
    with terminal("embeds", "review", str(file), environment=environment) as person:
        person.read_until("empty to skip): ")
        person.interrupt()
        assert person.end() == Status.INTERRUPTED
    assert not file.exists()
    with terminal("embeds", "review", str(file), environment=environment) as person:
        person.read_until("empty to skip): ")
        person.type("sales\n")
        assert person.end() == Status.OK
    assert '"datamart": "sales"' in file.read_text()
