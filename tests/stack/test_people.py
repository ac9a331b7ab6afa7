"""docs/permissions.md: the policies of those who look and of those who operate are enough, and allow nothing else."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from cli.errors import Status
from local.emulator import REGION
from local.stack import STACK_NAME
from tests.docs.pages import Page
from tests.stack.program import Program
from tests.stack.scene import POLICY_KEY, Scene

LOOK, OPERATE = (block.text for block in Page("docs/permissions.md").blocks)
ACCOUNT = "000000000000"
# MiniStack takes the reading and the changing of a mapping for one other action, so it cannot tell the two apart.
MINISTACK = {
    "lambda:GetEventSourceMapping": "lambda:ListEventSourceMappings",
    "lambda:UpdateEventSourceMapping": "lambda:ListEventSourceMappings",
}


def person(scene: Scene, *policies: str) -> tuple[str, dict[str, str]]:
    """A user with these policies of the page, and what the user has set."""
    iam, name = scene.stack.iam, f"person-{uuid4()}"
    iam.create_user(UserName=name)
    for number, policy in enumerate(policies):
        for action, other in MINISTACK.items():
            policy = policy.replace(f'"{action}"', f'"{other}"')  # noqa: PLW2901  # the page's, as MiniStack reads it
        own = policy.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT).replace("STACK", STACK_NAME)
        iam.put_user_policy(UserName=name, PolicyName=f"page-{number}", PolicyDocument=json.dumps(json.loads(own)))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture
def reader(scene: Scene) -> dict[str, str]:
    """A person who only looks."""
    return person(scene, LOOK)[1]


@pytest.fixture
def operator(scene: Scene) -> dict[str, str]:
    """A person who operates."""
    return person(scene, LOOK, OPERATE)[1]


def test_to_look(scene: Scene, datamart: Program, reader: dict[str, str], tmp_path: Path) -> None:
    """Who looks sees everything that happened, and can change nothing and read no backup."""
    name = scene.datamart()
    identity = scene.ask(name)
    scene.result(identity)

    for command in (
        ["status"],
        ["status", identity],
        ["show", name],
        ["list", "--pending"],
        ["list"],
        ["report", str(tmp_path / "r.html")],
    ):
        finished = datamart(*command, **reader)
        assert finished.status == Status.OK, (command, finished.err)
    assert "deleted today  unknown" not in datamart("status", **reader).out

    other = scene.datamart()
    for command in (
        ["retire", other, "--yes"],
        ["cancel", "x", "--name", other, "--reason", "r"],
        ["restore", name, "--yes"],
        ["failures"],
        ["sweep", "run"],
        ["embeds", "list"],
        ["webhook", "rotate", "--yes"],
    ):
        finished = datamart(*command, **reader)
        assert finished.status == Status.ERROR, (command, finished)
        assert "AWS does not allow" in finished.err or "AccessDenied" in finished.err
        assert finished.err.count("\n") == 1
    assert scene.deletions() == [name]


def test_to_operate(scene: Scene, datamart: Program, operator: dict[str, str]) -> None:
    """Who operates can do each of that, but for the secrets."""
    name = scene.datamart()
    retired = datamart("retire", name, "--id", f"op-{name}", "--yes", **operator)
    assert (retired.status, ": deleted" in retired.out) == (Status.OK, True), retired.err
    assert datamart("restore", name, "--yes", **operator).status == Status.OK
    assert (
        datamart("retire", name, "--at", "in 7 days", "--id", f"later-{name}", "--yes", **operator).status == Status.OK
    )
    assert datamart("move", f"later-{name}", "--at", "in 8 days", **operator).status == Status.OK
    assert datamart("cancel", f"later-{name}", "--reason", "r", **operator).status == Status.OK
    for identity in ("people-1", "people-2"):
        event = scene.event(scene.datamart(), retirementId=f"{identity}-{name}")
        scene.stack.put_message(json.dumps(event), "FailuresQueueUrl")
    assert datamart("failures", "retry", f"people-1-{name}", **operator).status == Status.OK
    dropped = datamart("failures", "drop", f"people-2-{name}", "--reason", "r", "--yes", **operator)
    assert dropped.status == Status.OK, dropped.err
    assert datamart("stop", "--reason", "r", "--yes", **operator).status == Status.OK
    assert datamart("resume", "--yes", **operator).status == Status.OK
    rule = {"name": "none", "owner": "o", "reason": "r", "names": ["none"], "retireAfter": "7 days"}
    scene._put(POLICY_KEY, {"formatVersion": "1", "rules": [rule]})  # noqa: SLF001  # as the sweeps' own tests
    swept = datamart("sweep", "run", "--dry-run", **operator)
    assert swept.status == Status.OK, swept.err
    secret = datamart("embeds", "list", **operator)
    assert secret.status == Status.ERROR
