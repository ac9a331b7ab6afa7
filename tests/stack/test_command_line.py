"""The command line against the deployed stack: each command, and what it must refuse."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.errors import Status
from retirement.aws.webhook_secrets import usable_secrets
from retirement.timestamps import parse_timestamp
from tests.stack.program import Program
from tests.stack.scene import POLICY_KEY, Scene, ahead

EMBED = "embed-1"
COLUMN = {"columnName": "id", "datatype": "integer"}


# ---- Plan and retire -----------------------------------------------------------------------------------------------


def test_plan_and_retire(scene: Scene, datamart: Program) -> None:
    """A plan changes nothing and names its ID, and a retirement carries out exactly that plan, once."""
    name = scene.datamart()
    planned = datamart("plan", name)
    assert (planned.status, scene.deletions()) == (Status.OK, [])
    (plan,) = datamart.json("result", "plan", name)
    assert f"datamart retire {name} --plan {plan['planId']} --reason ..." in planned.out
    assert "public" in planned.out or "orders" in planned.out

    retire = ("retire", name, "--id", f"ends-{name}", "--reason", "Acme left", "--plan", plan["planId"], "--yes")
    (result,) = datamart.json("result", *retire)

    assert (result["outcome"], result["retirementId"], result["requestReason"]) == (
        "deleted",
        f"ends-{name}",
        "Acme left",
    )
    assert result["requestedBy"].startswith("arn:aws:")
    assert scene.kept(f"retirements/{name}/ends-{name}/receipt.json").document == result
    again = datamart(*retire)
    assert (again.status, "has ended already" in again.err) == (Status.OK, True)
    assert scene.deletions() == [name]


def test_a_plan_that_has_drifted(scene: Scene, datamart: Program) -> None:
    """What has changed since the plan is not deleted: status 3."""
    name = scene.datamart()
    (plan,) = datamart.json("result", "plan", name)
    scene.datamart(name, datamartTables=[{"tableName": "other", "datamartTableColumns": [COLUMN]}])

    (result,) = datamart.json("result", "retire", name, "--plan", plan["planId"], "--yes", status=Status.BLOCKED)

    assert (result["reason"], scene.deletions()) == ("plan_drifted", [])


def test_several_names(scene: Scene, datamart: Program) -> None:
    """All names are tried under one ID, and the highest status is returned."""
    used, free = scene.portal(EMBED, embedsTellDatamart="access_settings"), scene.datamart()
    command = ("retire", free, used, "--id", f"both-{free}", "--yes")

    results = datamart.json("result", *command, status=Status.BLOCKED)

    assert {result["datamartName"]: result["outcome"] for result in results} == {free: "deleted", used: "blocked"}
    assert {result["retirementId"] for result in results} == {f"both-{free}"}
    ignored = datamart.json("result", "retire", used, "--dependents", "ignore", "--yes", "--no-backup")
    assert [(result["outcome"], result["backup"]) for result in ignored] == [("deleted", None)]


def test_reviewed_embeds(scene: Scene, datamart: Program) -> None:
    """Embeds that nothing tells the datamart of block until a person has reviewed each."""
    name = scene.portal("e-1", "e-2")
    scene.map_embeds({})
    assert datamart("retire", name, "--yes", "--reviewed", "e-1").status == Status.BLOCKED
    assert datamart("retire", name, "--yes", "--reviewed", "e-1", "--reviewed", "e-2").status == Status.OK


@pytest.mark.parametrize(
    "arguments",
    [
        ["retire", "--yes"],
        ["retire", "", "--yes"],
        ["retire", "a", "a", "--yes"],
        ["retire", "a"],
        ["retire", "a", "--reviewed", "b", "c", "--yes"],
        ["retire", "a", "--reason", "Acme", "left", "--yes"],
        ["retire", "a", "b", "--plan", "0", "--yes"],
        ["retire", "a", "--id", "not valid", "--yes"],
        ["retire", "a", "--id", "one", "--id", "two", "--yes"],
        ["retire", "a", "--at", "soon", "--yes"],
        ["retire", "a", "--at", "in 400 days", "--yes"],
        ["retire", "a", "--at", "2026-03-01T12:00:00", "--yes"],
        ["retire", "a", "--dependents", "maybe", "--yes"],
        ["retire", "a", "--timeout", "soon", "--yes"],
        ["retire", "a", "--dry-rum", "--yes"],
        ["retire", "x" * 257, "--yes"],
        ["retire", "a\nb", "--yes"],
        ["plan"],
        ["show"],
        ["show", "a", "b"],
        ["show", ""],
        ["status", ""],
        ["move", "an-id"],
        ["cancel", "an-id"],
        ["restore", "a"],
        ["stop"],
        ["stop", "--reason", "x"],
        ["resume"],
        ["failures", "retry"],
        ["failures", "retry", "--all"],
        ["failures", "retry", "x", "--all", "--yes"],
        ["failures", "drop", "x"],
        ["failures", "drop", "x", "--reason", "y"],
        ["webhook", "send", "delete", "a"],
        ["webhook", "rotate"],
        ["list", "--outcome", "gone"],
        ["list", "--since", "yesterday"],
        ["--stack", "", "list"],
        ["retired"],
        ["completion", "csh"],
        ["use", "unknown"],
    ],
)
def test_usage_errors(scene: Scene, datamart: Program, arguments: list[str]) -> None:
    """What cannot be carried out as it was typed is one line and status 2, and nothing is sent."""
    finished = datamart(*arguments)

    assert (finished.status, finished.out) == (Status.USAGE, "")
    assert finished.err.startswith("datamart: ")
    assert finished.err.count("\n") == 1
    assert scene.messages() == {}
    assert scene.new_objects() == []


def test_a_rejection(scene: Scene, datamart: Program) -> None:
    """An ID that a request with other content has used is refused, and nothing is sent."""
    name = scene.datamart()
    datamart("plan", name, "--id", f"used-{name}")

    finished = datamart("retire", name, "--id", f"used-{name}", "--yes")

    assert (finished.status, scene.deletions()) == (Status.REJECTED, [])
    assert "choose another --id" in finished.err


def test_no_wait_and_time_out(scene: Scene, datamart: Program) -> None:
    """What is not waited for is sent nevertheless, and where it is pending at the time-out the status is 6."""
    name = scene.datamart()
    (sent,) = datamart.json("sent", "plan", name, "--no-wait")
    scene.result(sent["id"])
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "status", "status": 503}])

    finished = datamart("retire", name, "--id", f"slow-{name}", "--yes", "--timeout", "8s")

    assert finished.status == Status.PENDING
    assert f"slow-{name} goes on by itself; to look later: datamart status slow-{name}" in finished.err


def test_a_request_that_is_retried(scene: Scene, datamart: Program) -> None:
    """While a request is retried, its attempts are found by the ID alone, though the evidence has nothing of it."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "list_data_apps", "fault": "html"}])
    finished = datamart("retire", name, "--id", f"tries-{name}", "--yes", "--timeout", "8s")
    assert "attempt 1 of 5 failed: databrain_unexpected, next at " in finished.err

    (story,) = datamart.json("story", "status", f"tries-{name}")
    assert (story["datamartName"], story["state"]) == (name, "retrying")
    assert (story["retry"]["attempt"], story["retry"]["reason"]) == (1, "databrain_unexpected")
    assert parse_timestamp(story["retry"]["nextAt"]) > datetime.now(UTC)
    (row,) = [each for each in datamart.json("retirement", "list", "--pending") if each["datamartName"] == name]
    assert row["state"] == "retrying"
    assert "attempt 1 of 5 failed" in datamart("status", f"tries-{name}").out


# ---- Dates ---------------------------------------------------------------------------------------------------------


def test_a_date(scene: Scene, datamart: Program) -> None:
    """A date is set, moved by a colleague, listed as pending, and cancelled by a third person, by the ID alone."""
    name = scene.datamart()
    identity = f"later-{name}"
    (result,) = datamart.json("result", "retire", name, "--at", "in 7 days", "--id", identity, "--yes")
    assert result["outcome"] == "scheduled"
    assert abs(parse_timestamp(result["retireAt"]) - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)

    move = ("move", identity, "--at", ahead(days=9), "--requested-by", "a colleague", "--reason", "one more week")
    (moved,) = datamart.json("result", *move)
    assert (moved["outcome"], moved["requestedBy"], moved["requestReason"]) == (
        "scheduled",
        "a colleague",
        "one more week",
    )

    assert datamart.json("result", *move) == [moved]  # the same date again

    (row,) = [each for each in datamart.json("retirement", "list", "--pending") if each["datamartName"] == name]
    assert (row["state"], row["retireAt"]) == ("scheduled", moved["retireAt"])
    (cancelled,) = datamart.json("result", "cancel", identity, "--reason", "stays", "--requested-by", "a third")
    assert (cancelled["outcome"], cancelled["requestedBy"]) == ("cancelled", "a third")
    (story,) = datamart.json("story", "status", identity)
    assert [each["file"] for each in story["history"]] == [
        "schedule-1.json",
        "schedule-2.json",
        "cancelled.json",
        "receipt.json",
    ]
    assert datamart("move", identity, "--at", "in 2 days").status == Status.REJECTED
    assert datamart("cancel", identity, "--reason", "again").status == Status.OK


def test_an_id_of_several_datamarts(scene: Scene, datamart: Program) -> None:
    """An ID that several datamarts have is shown with their names, and --name or --all decides."""
    first, second = scene.datamart(), scene.datamart()
    identity = f"many-{first}"
    datamart("retire", first, second, "--at", "in 2 days", "--id", identity, "--yes")

    unclear = datamart("cancel", identity, "--reason", "which?")
    assert unclear.status == Status.USAGE
    assert {first, second} <= set(unclear.out.split())
    assert "add --name NAME, or --all" in unclear.err

    (cancelled,) = datamart.json("result", "cancel", identity, "--name", first, "--reason", "this one")
    assert cancelled["datamartName"] == first
    results = datamart.json("result", "move", identity, "--name", second, "--at", "in 3 days")
    assert [result["outcome"] for result in results] == ["scheduled"]
    assert len(datamart.json("story", "status", identity)) == 2
    assert len(datamart.json("story", "status", identity, "--name", first)) == 1


def test_unknown(datamart: Program) -> None:
    """What nothing is known of is status 7, after a look at the evidence."""
    for arguments in (
        ["status", "nothing"],
        ["show", "nothing"],
        ["cancel", "nothing", "--reason", "x"],
        ["move", "nothing", "--at", "in 1 day"],
        ["restore", "nothing", "--dry-run"],
        ["keep", "nothing"],
        ["failures", "retry", "nothing"],
        ["failures", "drop", "nothing", "--reason", "x", "--yes"],
    ):
        finished = datamart(*arguments)
        assert (finished.status, finished.out) == (Status.UNKNOWN, ""), arguments


def test_a_cancellation_before_its_request(scene: Scene, datamart: Program) -> None:
    """With the name, a request is cancelled before it arrives."""
    name = scene.datamart()
    (cancelled,) = datamart.json("result", "cancel", f"not-yet-{name}", "--name", name, "--reason", "too early")
    assert cancelled["outcome"] == "cancelled"
    assert datamart("retire", name, "--id", f"not-yet-{name}", "--yes").status == Status.BLOCKED
    assert scene.deletions() == []


# ---- Restore -------------------------------------------------------------------------------------------------------


def test_restore(scene: Scene, datamart: Program) -> None:
    """A datamart comes back by its name alone, from its last deletion, and its history shows both."""
    name = scene.datamart()
    datamart("retire", name, "--yes")
    (preview,) = datamart.json("result", "restore", name, "--dry-run")
    assert preview["outcome"] == "restore_planned"

    (result,) = datamart.json("result", "restore", name, "--yes", "--reason", "a mistake", "--leave-embeds")
    assert (result["outcome"], result["restoredAs"]) == ("restored", name)
    taken = datamart.json("result", "restore", name, "--yes", status=Status.BLOCKED)
    assert taken[0]["reason"] == "name_taken"
    (other,) = datamart.json("result", "restore", name, "--as", f"{name}-2", "--yes")
    assert other["restoredAs"] == f"{name}-2"

    rows = datamart.json("retirement", "show", name)
    assert [row["outcome"] for row in rows] == [
        "restored",
        "restore_blocked",
        "restored",
        "restore_planned",
        "deleted",
    ]
    (listed,) = [
        row for row in datamart.json("retirement", "list", "--outcome", "deleted") if row["datamartName"] == name
    ]
    assert listed["state"] == "ended"
    assert datamart("list", "--since", ahead(days=1)).out == "nothing\n"


# ---- Failures ------------------------------------------------------------------------------------------------------


def abandoned(scene: Scene, *ids: str) -> None:
    """Put requests into the queue of abandoned ones."""
    for identity in ids:
        event = scene.event(scene.datamart(), retirementId=identity)
        scene.stack.put_message(json.dumps(event), "FailuresQueueUrl")


def test_failures(scene: Scene, datamart: Program) -> None:
    """One abandoned request is sent again, one is dropped with who and why on record, and the others stay."""
    abandoned(scene, "f-1", "f-2", "f-3")
    scene.stack.put_message("not an event", "FailuresQueueUrl")
    listed = datamart.json("failure", "failures")
    assert [each["id"] for each in listed][:3] == ["f-1", "f-2", "f-3"]
    assert "f-2" in datamart("failures", "list").out

    assert datamart("failures", "retry", "f-2", "f-1", "nothing").status == Status.UNKNOWN
    assert [each["state"] for each in datamart.json("changed", "failures", "retry", "f-2")] == ["sent again"]
    assert scene.result("f-2").document["outcome"] == "deleted"
    dropped = datamart.json("changed", "failures", "drop", "f-1", "--reason", "a mistake", "--yes")
    assert [each["state"] for each in dropped] == ["dropped"]
    (key,) = [key for key in scene.new_objects() if "-dropped-" in key]
    assert (scene.kept(key).document["reason"], scene.kept(key).document["retirementId"]) == ("a mistake", "f-1")

    assert {each["id"] for each in datamart.json("failure", "failures")} == {"f-3", listed[3]["messageId"]}
    assert datamart("failures", "drop", listed[3]["messageId"], "--reason", "nonsense", "--yes").status == Status.OK
    assert len(datamart.json("changed", "failures", "retry", "--all", "--yes")) == 1
    assert datamart("failures").out == "no abandoned requests\n"
    assert scene.result("f-3").document["outcome"] == "deleted"


# ---- The stack -----------------------------------------------------------------------------------------------------


def test_stop_and_resume(scene: Scene, datamart: Program) -> None:
    """While deletions are stopped, a request waits; then it is carried out. Who stopped them and why is on record."""
    name = scene.datamart()
    assert datamart("stop", "--reason", "something is wrong", "--yes").status == Status.OK
    try:
        (status,) = datamart.json("stack", "status")
        assert status["stopped"]
        assert datamart("retire", name, "--yes", "--timeout", "4s", "--id", f"w-{name}").status == Status.PENDING
        assert scene.deletions() == []
    finally:
        resumed = datamart("resume", "--yes")
    assert (resumed.status, "something is wrong" in resumed.err) == (Status.OK, True)
    assert scene.result(f"w-{name}").document["outcome"] == "deleted"
    (status,) = datamart.json("stack", "status")
    assert (status["stopped"], status["today"], status["mode"]) == (False, 1, "retire")


def test_sweep(scene: Scene, datamart: Program, tmp_path: Path) -> None:
    """A policy is checked before it is uploaded, a sweep is run dry and for real, and a datamart is kept after all."""
    name = scene.datamart("trial-acme")
    rule = {
        "name": "trials",
        "owner": "growth@example.com",
        "reason": "Trials end",
        "names": ["trial-*"],
        "retireAfter": "7 days",
    }
    policy = {"formatVersion": "1", "dryRun": False, "rules": [rule]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy | {"rules": [rule | {"nmaes": []}]}))
    wrong = datamart("sweep", "check", str(file))
    assert (wrong.status, "did you mean names?" in wrong.err) == (Status.ERROR, True)
    file.write_text(json.dumps(policy))
    assert datamart("sweep", "check", str(file)).status == Status.OK
    scene._put(POLICY_KEY, policy)  # noqa: SLF001  # as the sweeps' own tests

    (dry,) = datamart("sweep", "run", "--dry-run", "--json").documents
    assert [entry["state"] for entry in dry["matched"]] == ["would_ask"]
    (real,) = datamart("sweep", "run", "--json").documents
    (entry,) = real["matched"]
    assert entry["state"] == "asked"
    scene.eventually(lambda: any(key.endswith("schedule-1.json") for key in scene.new_objects()))

    (kept,) = datamart.json("result", "keep", name, "--reason", "Acme has signed")
    assert (kept["outcome"], kept["retirementId"]) == ("cancelled", entry["retirementId"])
    assert datamart("keep", name).status == Status.REJECTED


def test_webhook(scene: Scene, datamart: Program, put_webhook_secret: object) -> None:  # noqa: ARG001  # puts it back
    """A signed webhook is sent with the stack's secret, which is rotated without an interruption."""
    name = scene.datamart()
    sent = datamart("webhook", "send", "retire", name, "--id", f"hook-{name}", "--dry-run")
    assert (sent.status, "HTTP 202" in sent.out) == (Status.OK, True)
    assert scene.result(f"hook-{name}").document["outcome"] == "planned"

    rotated = datamart("webhook", "rotate", "--yes")
    assert len(usable_secrets(rotated.out)) == 1
    assert datamart("webhook", "send", "cancel", name, "--id", f"hook-2-{name}").status == Status.OK
    assert datamart("webhook", "rotate", "--finish", "--yes").status == Status.OK


def test_embeds(scene: Scene, datamart: Program, tmp_path: Path) -> None:
    """Every embed is listed, and the map of those that nothing tells the datamart of is written and uploaded."""
    scene.portal(EMBED)
    (embed,) = datamart("embeds", "list", "--json").documents
    assert (embed["embedId"], embed["datamartName"]) == (EMBED, None)
    file = tmp_path / "map.json"
    assert datamart("embeds", "review", str(file)).out == f"{file}: 1 embed, 1 still to be filled in\n"
    entries = json.loads(file.read_text())
    file.write_text(json.dumps({EMBED: entries[EMBED] | {"datamart": "sales"}}))
    assert datamart("embeds", "review", str(file), "--upload").status == Status.OK
    (embed,) = datamart("embeds", "list", "--json").documents
    assert embed["datamartName"] == "sales"


def test_doctor(scene: Scene, datamart: Program) -> None:
    """The doctor checks everything that the stack needs, and one thing that fails is status 1."""
    rule = {"name": "all", "owner": "o", "reason": "r", "names": ["none"], "retireAfter": "7 days"}
    scene._put(POLICY_KEY, {"formatVersion": "1", "rules": [rule]})  # noqa: SLF001  # as the sweeps' own tests
    findings = {each["check"]: each["grade"] for each in datamart.json("finding", "doctor")}
    assert {check for check, grade in findings.items() if grade != "ok"} == {"AlarmTopicArn"}
    scene.map_embeds(b"{")
    broken = datamart("doctor")
    assert broken.status == Status.ERROR
    assert "fail  EmbedMapUri: " in broken.out


def test_contexts(datamart: Program) -> None:
    """A stored context is used until an option or the environment names another stack."""
    assert datamart("use", "prod", "--stack", "datamart-retirement", DATAMART_STACK="").status == Status.OK
    assert datamart("status", DATAMART_STACK="").status == Status.OK
    assert "current" in datamart("use", DATAMART_STACK="").out
    assert datamart("--stack", "prod", "status").status == Status.OK
    missing = datamart("status", "--stack", "another")
    assert (missing.status, "there is no stack another in eu-central-1" in missing.err) == (Status.ERROR, True)
    assert datamart("use", "local").status == Status.OK
    assert "no local stack is running" in datamart("status", DATAMART_STACK="").err
