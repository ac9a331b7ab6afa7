"""The page docs/sweep.md, followed line by line on the embedded stack, with bash and the AWS CLI."""

import json
import re

import fastjsonschema

from local.emulator import CHECKOUT
from local.stack import SWEEP
from tests.stack.scene import MAPS_BUCKET, POLICY_KEY
from tests.stack.shell import SHOW_DEPLOYMENT, Shell, commands
from tests.stack.sweeps import Sweeps

PAGE = CHECKOUT / "docs" / "sweep.md"
SCHEMAS = CHECKOUT / "events" / "schemas"
POLICY_URI = f"s3://{MAPS_BUCKET}/{POLICY_KEY}"


def test_the_page(sweeps: Sweeps, shell: Shell) -> None:
    """From a dry run to the first request, and back: each command does what the page says."""
    tools, write, upload, deploy, invoke, read, whole, switch_on, schedule, cancel = commands(PAGE)
    tools = tools.replace("s3://your-bucket/sweep-policy.json", POLICY_URI)
    sweeps.scene.datamart("trial-acme", createdAt="2025-01-01T00:00:00Z")
    sweeps.scene.datamart("trial-showcase", createdAt="2025-01-01T00:00:00Z")
    sweeps.scene.datamart("sales", createdAt="2025-01-01T00:00:00Z", updatedAt="2099-01-01T00:00:00Z")

    shell.run(tools, write, upload)
    assert shell.run(SHOW_DEPLOYMENT, tools, deploy) == f"SweepPolicyUri={POLICY_URI}\n"
    shell.run(tools, invoke)
    planned = shell.told(read)
    assert planned == sweeps.published().document
    assert planned["dryRun"] is True
    assert [(entry["datamartName"], entry["rule"]) for entry in planned["matched"]] == [
        ("trial-acme", "expired-trials"),
        ("trial-showcase", "unused"),
    ]
    assert [entry["datamartName"] for entry in planned["skipped"]] == ["sales"]
    assert shell.told(tools, whole, REPORT_KEY=planned["report"]["key"]) == planned
    assert sweeps.listener.is_silent()

    sweeps.put(b"{")
    shell.run(tools, f"set +o pipefail; ! {{ {invoke} }}")
    assert "SweepPolicyUri" in shell.told(read)["errorMessage"]
    sweeps.published()

    shell.run(tools, switch_on)
    assert (
        shell.run(SHOW_DEPLOYMENT, tools, schedule) == "SweepSchedule='rate(1 day)'\n"
    )  # SAM cuts at a space without quotes
    shell.run(tools, invoke)
    done = shell.told(read)
    sweeps.published()
    assert {entry["state"] for entry in done["matched"]} == {"asked"}
    assert [entry["retirementId"] for entry in done["matched"]] == [
        entry["retirementId"] for entry in planned["matched"]
    ]
    acme, _ = sweeps.listener.take(2)
    assert acme["detail"]["requestedBy"] == "sweep:expired-trials (growth@example.com)"

    told = shell.told(cancel, RETIREMENT_ID=acme["detail"]["retirementId"])
    assert told["FailedEntryCount"] == 0


def test_the_cancellation_is_valid() -> None:
    """The event that the page puts on the bus follows its schema."""
    (entries,) = re.findall(r"--entries '(.*?)'", commands(PAGE)[-1], re.DOTALL)
    (entry,) = json.loads(entries)
    schema = json.loads((SCHEMAS / "datamart-retirement-cancelled.json").read_bytes())
    event = {"id": "1", "detail-type": entry["DetailType"], "time": "2026-03-01T12:00:00Z"}
    fastjsonschema.validate(schema, {**event, "detail": json.loads(entry["Detail"])})


def test_the_tables() -> None:
    """The page names every field of a policy and of a rule, every state of a report, and every limit."""
    page = PAGE.read_text()
    policy = json.loads((SCHEMAS / "sweep-policy.json").read_bytes())["properties"]
    report = json.loads((SCHEMAS / "datamart-sweep-report.json").read_bytes())["properties"]
    states = report["matched"]["items"]["properties"]["state"]["enum"]
    named = [*policy, *policy["rules"]["items"]["properties"], "MaxPerSweep", "MaxSweepPercent"]
    assert [name for name in named if f"| `{name}` |" not in page] == []
    assert [state for state in states if f"`{state}`" not in page] == []
    assert SWEEP in page
