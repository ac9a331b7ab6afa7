"""What docs/deploy.md and docs/operating.md say in tables and policies is what the template and the code have."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types

from local.emulator import CHECKOUT
from local.stack import SAM
from retirement import environment
from retirement.aws import datamart_lists, embed_map
from retirement.databrain import client, transport
from retirement.databrain.ports import Metric
from retirement.delivery import intake
from retirement.globs import DatamartLists
from retirement.record.backup import MAX_EXPORTS
from tests.docs.pages import Page, plain

DEPLOY, OPERATING = Page("docs/deploy.md"), Page("docs/operating.md")
DETAIL_TYPES = ["Datamart Retirement Requested", "Datamart Retirement Cancelled"]

# Of AWS's own policies that SAM attaches: AWSLambdaBasicExecutionRole, and the one for writing X-Ray traces. (That for
# network interfaces is in the template, where the functions' own code is denied it.)
ATTACHED = {
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    "xray:GetSamplingStatisticSummaries",
}

Node = dict[str, Any]

PARSE = """import json, sys
from samcli.cli.types import CfnParameterOverridesType
print(json.dumps(CfnParameterOverridesType().convert(tuple(sys.argv[1:]), None, None)))
"""


@pytest.fixture(scope="module")
def resources() -> Node:
    """The template's resources as written."""
    decoded, errors = decode(str(CHECKOUT / "template.yaml"))
    assert not errors
    return dict(decoded["Resources"])


def statements(node: object) -> Iterator[Node]:
    """Every statement of a policy, wherever it is."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def policies() -> list[Node]:
    """The policies that the page shows, in order."""
    return [json.loads(block.text) for block in DEPLOY.blocks if '"Statement"' in block.text]


def test_how_to_write_a_value() -> None:
    """What the page has people type comes whole through a shell and SAM's parser, and what it warns of is cut."""
    page = CHECKOUT / "docs" / "deploy.md"
    section = page.read_text().partition("### How to write a value\n")[2].partition("\n## ")[0]
    typed = re.findall(r"(?m)^\| [^|]+ \| `(.+)` \|$", section)
    warned = 'ProtectedDatamarts="core-*, finance-*"'
    assert f"`{warned}`" in section
    assert [sam_makes_of(words) for words in [*typed, warned]] == [
        {"ProtectedDatamarts": "core-*,finance-*"},
        {"ProtectedDatamarts": "core-*, Marketing Funnel (EU)"},
        {"SweepSchedule": "rate(1 day)"},
        {"ReminderLeadTime": ""},
        {"ProtectedDatamarts": "core-*,"},
    ]
    assert sam_makes_of("ReminderLeadTime=") is None


def test_long_lists() -> None:
    """The file that the page shows is one, and has a name that no parameter could hold."""
    (shown,) = (block.text for block in DEPLOY.blocks if block.text.startswith('{"protected"'))
    assert datamart_lists.parse_datamart_lists("s3://your-bucket/datamart-lists.json", shown.encode()) == DatamartLists(
        "s3://your-bucket/datamart-lists.json (DatamartListsUri)",
        protected=("core-*", "Marketing, EU"),
        retirable=("tenant-*", "trial-*"),
    )


def sam_makes_of(typed: str) -> dict[str, str] | None:
    """The parameters that the SAM CLI hands on, from what a person types into a shell; None where it refuses."""
    run = subprocess.run(  # noqa: S603  # our own environment's interpreter, words of this file and of our page
        [SAM.with_name("python"), "-c", PARSE, *shlex.split(typed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if run.returncode:
        assert "is not a valid format" in run.stderr
        return None
    parameters: dict[str, str] = json.loads(run.stdout)
    return parameters


def test_who_may_ask(resources: Node) -> None:
    """Both policies are for the bus and the sources that the page deploys with, and for what the rules take."""
    bus, _ = DEPLOY.commands("Who may ask")
    (name,) = set(re.findall(r"(?:--name |EventBusName=)(\w+)", bus))
    (sources,) = re.findall(r"EventSources=([\w,]+)", bus)
    rules = [rule["Properties"] for rule in resources.values() if rule["Type"] == "AWS::Events::Rule"]
    kinds = {kind for rule in rules for kind in rule["EventPattern"]["detail-type"]}
    assert kinds == {*DETAIL_TYPES, intake.RESTORE_REQUESTED, intake.APPROVED}
    assert f"also needs `{intake.RESTORE_REQUESTED}`" in DEPLOY.path.read_text()

    for policy, source in zip(policies()[:2], sources.split(","), strict=True):
        (statement,) = policy["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "events:PutEvents")
        assert statement["Resource"].endswith(f":event-bus/{name}")
        assert statement["Condition"] == {
            "ForAllValues:StringEquals": {"events:source": source},
            "Null": {"events:source": "false"},
            "StringEquals": {"events:detail-type": DETAIL_TYPES},
        }
    own, other = (policy["Statement"][0] for policy in policies()[:2])
    assert "Principal" not in own
    assert other["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}


def test_the_boundary_lets_all_roles_work(resources: Node) -> None:
    """The boundary allows each action that a role of the template allows, and that AWS's own policies do."""
    granted = {
        action
        for statement in statements(resources)
        if "Principal" not in statement
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    (statement,) = policies()[2]["Statement"]
    assert set(statement["Action"]) == granted | ATTACHED
    assert sorted(statement["Action"]) == statement["Action"]


def test_the_key_lets_in_who_has_no_role(resources: Node) -> None:
    """The key's policy leaves the roles to IAM, and allows the two services that use it without one: rules and logs."""
    to_iam, rules, logs = policies()[3]["Statement"]
    assert (to_iam["Principal"], to_iam["Action"]) == ({"AWS": "arn:aws:iam::111111111111:root"}, "kms:*")
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    through_roles = [part for part in statements(resources) if part.get("Sid") == "UseEncryptionKey"]
    assert {tuple(part["Action"]) for part in through_roles} == {tuple(rules["Action"])}
    groups = [group["Properties"] for group in resources.values() if group["Type"] == "AWS::Logs::LogGroup"]
    (context,) = logs["Condition"]["ArnLike"].values()
    assert all(group["LogGroupName"]["Fn::Sub"].startswith("/aws/lambda/") for group in groups)
    assert context.endswith(":log-group:/aws/lambda/*")


def test_alarms(resources: Node) -> None:
    """Each alarm is told, with the condition that it is there under and the page that it names."""
    alarms = {name: alarm for name, alarm in resources.items() if alarm["Type"] == "AWS::CloudWatch::Alarm"}
    conditions = {None: "", "HasWebhook": ", with a webhook", "HasSweep": ", with sweeps"}
    assert {plain(alarm): link for alarm, _, link in OPERATING.table("Alarms", "alarm")} == {
        f"{name}{conditions[alarm.get('Condition')]}": f"[{page}](runbooks/{page})"
        for name, alarm in alarms.items()
        for page in re.findall(r"docs/runbooks/(\S+)$", alarm["Properties"]["AlarmDescription"])
    }


def test_what_stays(resources: Node) -> None:
    """What outlives the stack is told, and the commands remove each of it."""
    kept = {
        name: resource["Type"]
        for name, resource in resources.items()
        if resource.get("DeletionPolicy", "").startswith("Retain")
    }
    told = [name for row in OPERATING.table("Remove the stack", "stays") for name in plain(row[0]).split(", ")]
    assert sorted(told) == sorted(kept)
    commands = "\n".join(OPERATING.commands("Remove what stays"))
    named = {name for name in kept if re.search(rf"\b{name}\b", commands)}
    assert kept.keys() - named == {"EvidenceBucketPolicy"}  # it goes with the bucket


def test_limits() -> None:
    """The limits are those of the code."""
    limits = {what: f"{by} {note}" for what, by, note in OPERATING.table("Raise limits", "limit")}
    mib = 1024 * 1024
    assert f"{client.MAX_DATA_APPS:,}, fixed" in limits["data apps"]
    assert f"{transport.BODY_LIMIT // mib} MiB" in limits["one list of datamarts"]
    assert f"{transport.EMBEDS_LIMIT // mib} MiB, fixed" in limits["all embeds together"]
    assert f"{embed_map.SIZE_LIMIT // mib} MiB, fixed" in limits["an embed map"]
    exports = limits["what a backup holds of embeds"]
    assert f"{MAX_EXPORTS} exports, {transport.EXPORTS_LIMIT // mib} MiB together" in exports
    assert f"{client.MAX_WORKSPACES} workspaces, fixed" in exports
    names = limits["a list of names"]
    assert f"{datamart_lists.SIZE_LIMIT // mib} MiB {datamart_lists.MAX_GLOBS:,} globs of" in names
    assert f"of {datamart_lists.MAX_GLOB_LENGTH} characters, fixed" in names
    assert f"{intake.MAX_TIME_AHEAD.days} days, fixed" in limits["how far ahead a date may be"]
    assert f"{environment.MAX_DELAY:,} seconds" in limits["how long an outage is ridden out"]


def test_metrics() -> None:
    """The metrics that are worth a look are among those that there are."""
    told = {name for row in OPERATING.table("What to watch", "metric") for name in re.findall(r"`(\w+)`", row[0])}
    assert told >= {*Metric} - {Metric.DATABRAIN_REQUESTS}
