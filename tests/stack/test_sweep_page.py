"""The page docs/sweep.md, followed line by line on the embedded stack, with bash and the AWS CLI."""

import json

from local.emulator import CHECKOUT
from tests.stack.scene import MAPS_BUCKET, POLICY_KEY
from tests.stack.shell import SHOW_DEPLOYMENT, Shell, commands
from tests.stack.sweeps import Sweeps

PAGE = CHECKOUT / "docs" / "sweep.md"
SCHEMAS = CHECKOUT / "events" / "schemas"
POLICY_URI = f"s3://{MAPS_BUCKET}/{POLICY_KEY}"


def test_the_page(sweeps: Sweeps, shell: Shell) -> None:
    """From a dry run to the first request, and back: each command does what the page says."""
    where, write, upload, deploy, run, switch_on, schedule, keep = commands(PAGE)
    where = where.replace("s3://your-bucket/sweep-policy.json", POLICY_URI)
    sweeps.scene.datamart("trial-acme", createdAt="2025-01-01T00:00:00Z")
    sweeps.scene.datamart("trial-showcase", createdAt="2025-01-01T00:00:00Z")
    sweeps.scene.datamart("sales", createdAt="2025-01-01T00:00:00Z", updatedAt="2099-01-01T00:00:00Z")

    assert "2 rules, a dry run" in shell.run(where, write, upload)
    assert shell.run(SHOW_DEPLOYMENT, where, deploy) == f"SweepPolicyUri={POLICY_URI}\n"
    shown = shell.run(run)
    planned = sweeps.published().document
    assert planned["dryRun"] is True
    assert [(entry["datamartName"], entry["rule"]) for entry in planned["matched"]] == [
        ("trial-acme", "expired-trials"),
        ("trial-showcase", "unused"),
    ]
    assert [entry["datamartName"] for entry in planned["skipped"]] == ["sales"]
    assert all(name in shown for name in ("trial-acme", "trial-showcase", "sales", planned["report"]["key"]))
    assert sweeps.listener.is_silent()

    sweeps.put(b"{")
    shell.run(f"! {{ {run} }}")
    sweeps.published()

    shell.run(where, switch_on)
    assert shell.run(SHOW_DEPLOYMENT, schedule) == "SweepSchedule='rate(1 day)'\n"  # SAM cuts at a space without quotes
    shell.run(run)
    done = sweeps.published().document
    assert {entry["state"] for entry in done["matched"]} == {"asked"}
    assert [entry["retirementId"] for entry in done["matched"]] == [
        entry["retirementId"] for entry in planned["matched"]
    ]
    acme, _ = sweeps.listener.take(2)
    assert acme["detail"]["requestedBy"] == "sweep:expired-trials (growth@example.com)"

    scene = sweeps.scene
    scene.eventually(lambda: any("/trial-acme/" in key and "schedule-1" in key for key in scene.new_objects()))
    assert "trial-acme: cancelled" in shell.run(keep)


def test_the_tables() -> None:
    """The page names every field of a policy and of a rule, every state of a report, and every limit."""
    page = PAGE.read_text()
    policy = json.loads((SCHEMAS / "sweep-policy.json").read_bytes())["properties"]
    report = json.loads((SCHEMAS / "datamart-sweep-report.json").read_bytes())["properties"]
    states = report["matched"]["items"]["properties"]["state"]["enum"]
    named = [*policy, *policy["rules"]["items"]["properties"], "MaxPerSweep", "MaxSweepPercent"]
    assert [name for name in named if f"| `{name}` |" not in page] == []
    assert [state for state in states if f"`{state}`" not in page] == []
