"""Recurring cleanup on the deployed stack: a policy in a bucket, sweeps by hand and on a schedule, what is heard."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.databrain.seed import organisation_of
from local.stack import STACK_NAME, SWEEP
from retirement.canonical import canonical_json
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.stack.scene import MAPS_BUCKET, POLICY_KEY, SEED
from tests.stack.shell import Shell
from tests.stack.sweeps import RULE, Sweeps

URI = f"SweepPolicyUri: s3://{MAPS_BUCKET}/{POLICY_KEY}"


def days_ahead(time: str) -> float:
    """How far a time is ahead."""
    return (datetime.fromisoformat(time) - datetime.now(UTC)) / timedelta(days=1)


def test_the_main_job(sweeps: Sweeps) -> None:
    """What matches is asked for on the bus, with the date, the rule and its owner; all of it is reported and kept."""
    old, used, young = sweeps.datamart("old"), sweeps.datamart("exempt"), sweeps.datamart("young", days=3)
    other = sweeps.scene.datamart()
    sweeps.policy(sweeps.rule(olderThan="30 days", exempt=["*-exempt"]))
    report = sweeps.sweep()

    (event,) = sweeps.listener.take(1)
    assert (event["source"], event["detail-type"]) == ("datamart-retirement.sweep", "Datamart Retirement Requested")
    detail = event["detail"]
    assert detail == {
        "datamartName": old,
        "environment": "dev",
        "retirementId": detail["retirementId"],
        "requestedBy": "sweep:trials (growth@example.com)",
        "reason": "trials end after 30 days",
        "retireAt": detail["retireAt"],
    }
    assert detail["retirementId"].startswith("sweep-trials-")
    assert 13.9 < days_ahead(detail["retireAt"]) < 14
    assert sweeps.asked() == {old: detail}
    assert sweeps.scene.kept(f"sweeps/asked/{detail['retirementId']}.json").body.decode() == canonical_json(detail)

    (matched,) = report["matched"]
    assert (matched["datamartName"], matched["state"]) == (old, "asked")
    assert (matched["retirementId"], matched["retireAt"]) == (detail["retirementId"], detail["retireAt"])
    assert [entry["datamartName"] for entry in report["skipped"]] == [used, young]
    assert report["counts"]["datamarts"] == 4
    assert (report["dryRun"], report["refusal"]) == (False, None)
    assert other not in json.dumps(report)
    assert {request["method"] for request in sweeps.scene.databrain.requests} == {"GET"}


def test_the_next_sweep(sweeps: Sweeps) -> None:
    """The next sweep finds what was asked for, and resets no date."""
    name = sweeps.datamart("old")
    sweeps.policy(sweeps.rule())
    first = sweeps.sweep()
    asked = sweeps.asked()
    (event,) = sweeps.listener.take(1)
    sweeps.policy(sweeps.rule(retireAfter="1 day", owner="somebody else"))
    second = sweeps.sweep()

    assert sweeps.asked() == asked == {name: event["detail"]}
    (before,), (after,) = first["matched"], second["matched"]
    assert (after["retirementId"], after["retireAt"]) == (before["retirementId"], before["retireAt"])
    assert after["state"] in {"repeated", "pending"}  # as fast as it was heard


def test_one_that_was_not_carried_out(sweeps: Sweeps) -> None:
    """What was not carried out is asked for again, under the next number."""
    name = sweeps.datamart("old")
    sweeps.policy(sweeps.rule())
    sweeps.sweep()
    (first,) = sweeps.listener.take(1)
    sweeps.keep(first["detail"], "receipt.json", outcome="blocked")
    sweeps.sweep()
    (second,) = sweeps.listener.take(1)

    assert second["detail"]["datamartName"] == name
    assert second["detail"]["retirementId"] == first["detail"]["retirementId"][:-1] + "2"


def test_what_no_longer_matches(sweeps: Sweeps) -> None:
    """A retirement whose rule no longer matches is taken back on the bus, also where its rule is gone."""
    one, two = sweeps.datamart("1"), sweeps.datamart("2")
    sweeps.policy(sweeps.rule(exempt=["*-2"]), sweeps.rule(name="second", names=[two]))
    sweeps.sweep()
    requests = sweeps.listener.take(2)
    sweeps.policy(sweeps.rule(exempt=["*"]))
    report = sweeps.sweep()

    cancellations = sweeps.listener.take(2)
    assert {event["detail-type"] for event in cancellations} == {"Datamart Retirement Cancelled"}
    assert [event["detail"]["retirementId"] for event in cancellations] == [
        event["detail"]["retirementId"] for event in requests
    ]
    assert [event["detail"]["requestedBy"] for event in cancellations] == ["sweep:trials", "sweep:second"]
    assert sorted(entry["datamartName"] for entry in report["cancelled"]) == [one, two]


def test_one_that_somebody_cancelled(sweeps: Sweeps) -> None:
    """What somebody has cancelled is left alone."""
    name = sweeps.datamart("old")
    sweeps.policy(sweeps.rule())
    sweeps.sweep()
    (event,) = sweeps.listener.take(1)
    now = datetime.now(UTC).isoformat()
    sweeps.keep(event["detail"], "cancelled.json", requestedBy="ops@example.com", requestReason="no", requestedAt=now)
    report = sweeps.sweep()

    assert (report["matched"], sweeps.listener.is_silent()) == ([], True)
    (skipped,) = report["skipped"]
    assert skipped["datamartName"] == name
    assert "ops@example.com cancelled" in skipped["why"]


@pytest.mark.parametrize("fields", [{"dryRun": True}, {}])
def test_a_dry_run(sweeps: Sweeps, fields: dict[str, bool]) -> None:
    """A policy is a dry run unless it says otherwise: it says what would be, and sends and keeps nothing of it."""
    name = sweeps.datamart("old")
    sweeps.put({"formatVersion": "1", "rules": [sweeps.rule()], **fields})
    report = sweeps.sweep()

    assert report["dryRun"] is True
    assert [(entry["datamartName"], entry["state"]) for entry in report["matched"]] == [(name, "would_ask")]
    assert (sweeps.listener.is_silent(), sweeps.asked()) == (True, {})
    sweeps.policy(sweeps.rule())
    assert sweeps.sweep()["matched"][0]["retirementId"] == report["matched"][0]["retirementId"]


def test_a_limit(sweeps: Sweeps) -> None:
    """Where more would be asked for than a limit says, nothing is, and the report says so."""
    for number in range(2):
        sweeps.datamart(str(number))
    sweeps.policy(sweeps.rule())
    with sweeps.scene.stack.settings(SWEEP, MAX_PER_SWEEP="1"):
        report = sweeps.sweep()
    assert "MaxPerSweep is 1" in report["refusal"]
    assert {entry["state"] for entry in report["matched"]} == {"held_back"}
    assert (sweeps.listener.is_silent(), sweeps.asked()) == (True, {})

    assert sweeps.sweep()["counts"]["asked"] == 2


def test_a_policy_that_matches_everything(sweeps: Sweeps) -> None:
    """With the limits that a stack has by default, a policy that matches everything asks for nothing."""
    for number in range(12):
        sweeps.datamart(str(number))
    sweeps.policy(sweeps.rule(names=["*"]))
    with sweeps.scene.stack.settings(SWEEP, MAX_PER_SWEEP="25", MAX_SWEEP_PERCENT="10"):
        report = sweeps.sweep()

    assert report["refusal"].startswith("12 of 12 datamarts match, and MaxSweepPercent is 10")
    assert (sweeps.listener.is_silent(), sweeps.asked()) == (True, {})


def test_nothing_matches(sweeps: Sweeps) -> None:
    """An organisation in which nothing matches is a plain report."""
    sweeps.scene.datamart()
    sweeps.policy(sweeps.rule())
    report = sweeps.sweep()

    assert (report["counts"]["datamarts"], report["matched"], report["refusal"]) == (1, [], None)
    assert sweeps.listener.is_silent()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, f"{URI} cannot be read (NoSuchKey)"),
        (
            {"formatVersion": "1", "dryRun": False, "rules": [RULE | {"names": ["*"], "olderThen": "30 days"}]},
            f'{URI}: rules.0 must not have the unknown field "olderThen" (did you mean olderThan?)',
        ),
    ],
    ids=["missing", "misspelt"],
)
def test_no_policy(sweeps: Sweeps, policy: object, said: str) -> None:
    """A policy that is missing or broken is an error and a report that names the field, and nothing is asked for."""
    sweeps.datamart("old")
    sweeps.put(policy)
    invocation = sweeps.invoke()

    assert invocation.error
    assert invocation.payload["errorMessage"].startswith(said)
    result = sweeps.published()
    assert result.subject == "Sweep refused [dev]"
    assert result.document["refusal"] == invocation.payload["errorMessage"]
    assert sweeps.scene.databrain.requests == []
    assert (sweeps.listener.is_silent(), sweeps.asked()) == (True, {})


def test_databrain_is_down(sweeps: Sweeps) -> None:
    """Where Databrain does not answer, the sweep is an error and takes nothing back; the next one does it all."""
    sweeps.datamart("old")
    sweeps.policy(sweeps.rule())
    sweeps.scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "status", "status": 503}])
    invocation = sweeps.invoke()
    assert invocation.error
    assert invocation.payload["errorMessage"].startswith("GET /api/v2/data-app/datamarts: HTTP 503")
    assert (sweeps.scene.new_objects(), sweeps.listener.is_silent()) == ([], True)

    sweeps.scene.databrain.faults.clear()
    assert sweeps.sweep()["counts"]["asked"] == 1


def test_embeds(sweeps: Sweeps) -> None:
    """An embed of which nothing tells the datamart counts as a possible use, until its owner's map tells another."""
    name = sweeps.scene.portal("board")
    sweeps.policy(sweeps.rule(names=[name], withoutEmbeds=True))
    (skipped,) = sweeps.sweep()["skipped"]
    assert skipped["why"].startswith(
        "trials: perhaps in use, because Databrain does not report: the datamart of 1 embed"
    )

    sweeps.scene.map_embeds({"board": name})
    (skipped,) = sweeps.sweep()["skipped"]
    assert skipped["why"] == 'trials: used by 1 embed: "board"'

    sweeps.scene.map_embeds({"board": "another"})
    assert sweeps.sweep()["matched"][0]["state"] == "asked"


@pytest.mark.parametrize("api", ["current", "legacy"])
def test_a_server_that_tells_no_times(sweeps: Sweeps, api: str) -> None:
    """On a server that tells no times no rule that asks for them matches, and one that does not still does."""
    sweeps.scene.databrain.organisation = organisation_of({**SEED, "server": {"listsCreatedAt": False}})
    name = sweeps.datamart("old")
    with sweeps.scene.stack.settings(SWEEP, DATABRAIN_API=api):
        sweeps.policy(sweeps.rule(olderThan="1 day"))
        (skipped,) = sweeps.sweep()["skipped"]
        assert skipped == {"datamartName": name, "why": "trials: Databrain does not report when it was created"}
        sweeps.policy(sweeps.rule())
        assert sweeps.sweep()["matched"][0]["state"] == "asked"


def test_hostile_names(sweeps: Sweeps) -> None:
    """Datamarts of any legal name are asked for by exactly that name."""
    for name in HOSTILE_NAMES:
        sweeps.scene.datamart(name)
    sweeps.policy(sweeps.rule(names=["*"]))
    with sweeps.scene.stack.settings(SWEEP, MAX_PER_SWEEP="100"):
        report = sweeps.sweep()

    heard = [event["detail"]["datamartName"] for event in sweeps.listener.take(len(HOSTILE_NAMES))]
    assert sorted(heard) == sorted(HOSTILE_NAMES) == sorted(entry["datamartName"] for entry in report["matched"])


def test_two_sweeps_side_by_side(sweeps: Sweeps) -> None:
    """Sweeps at the same time ask for the same, under one identity and for one date."""
    names = [sweeps.datamart(str(number)) for number in range(5)]
    sweeps.policy(sweeps.rule())
    with ThreadPoolExecutor(max_workers=3) as pool:
        invocations = list(pool.map(lambda _: sweeps.invoke(), range(3)))

    assert not any(invocation.error for invocation in invocations)
    asked = sweeps.asked()
    assert sorted(asked) == names
    heard: list[Any] = []
    for report in (sweeps.published().document for _ in range(3)):
        assert {entry["datamartName"]: entry["retireAt"] for entry in report["matched"]} == {
            name: detail["retireAt"] for name, detail in asked.items()
        }
        heard += [entry for entry in report["matched"] if entry["state"] in {"asked", "repeated"}]
    for event in sweeps.listener.take(len(heard)):
        assert event["detail"] == asked[event["detail"]["datamartName"]]


def test_a_bad_setting(sweeps: Sweeps) -> None:
    """A setting that is missing is named by the error, at once."""
    with sweeps.scene.stack.settings(SWEEP, SWEEP_POLICY_URI=None):
        invocation = sweeps.invoke()
    assert invocation.error
    assert "SWEEP_POLICY_URI is missing or empty" in invocation.payload["errorMessage"]


def test_on_a_schedule(sweeps: Sweeps, shell: Shell) -> None:
    """The target of the deployed schedule is the function, which then sweeps by itself."""
    name = sweeps.datamart("old")
    sweeps.policy(sweeps.rule())
    deployed, group = (
        sweeps.scene.stack.cloudformation.describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical_id)[
            "StackResourceDetail"
        ]["PhysicalResourceId"]
        for logical_id in ("SweepTimer", "SweepGroup")
    )
    told = shell.told(f"aws scheduler get-schedule --name '{deployed}' --group-name '{group}'")
    assert (told["ScheduleExpression"], told["State"]) == ("rate(365 days)", "ENABLED")

    # MiniStack looks every ten seconds, and for a time that has passed at a schedule that it has not looked at before.
    shell.run(
        f"aws scheduler create-schedule --name soon-{uuid4()} --schedule-expression 'at(2026-01-01T00:00:00)' "
        f"--flexible-time-window Mode=OFF --target '{json.dumps(told['Target'])}'"
    )
    report = sweeps.published().document
    assert [entry["datamartName"] for entry in report["matched"]] == [name]
    (event,) = sweeps.listener.take(1)
    assert event["detail"]["datamartName"] == name
