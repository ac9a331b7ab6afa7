"""Recurring cleanup: what is there with a policy, and with a schedule, and what is not there without."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from retirement.environment import read_settings
from retirement.sweeping.settings import SweepSettings
from retirement.sweeping.workflow import SOURCE
from tests.template.test_permissions import statements
from tests.template.test_request_path import RULES, arn

Node = dict[str, Any]
Properties = Callable[[str], Node]

WITH_A_POLICY = {
    "SweepFunction",
    "SweepFunctionEventInvokeConfig",
    "SweepFunctionRole",
    "SweepLogGroup",
    "SweepErrorsAlarm",
    "SweepGroup",
    "DroppedSweepsAlarm",
    "UndeliveredSweepsAlarm",
}
WITH_A_SCHEDULE = {"SweepTimer", "SweepTimerRole"}
VARIABLES: dict[str, str | dict[str, str]] = {
    "ENVIRONMENT_NAME": {"Ref": "EnvironmentName"},
    "DATABRAIN_BASE_URL": {"Ref": "DatabrainBaseUrl"},
    "DATABRAIN_API": {"Ref": "DatabrainApi"},
    "DATABRAIN_CA_URI": {"Ref": "DatabrainCaUri"},
    "SERVICE_TOKEN_SECRET_ARN": {"Ref": "ServiceTokenSecretArn"},
    "EMBED_MAP_URI": {"Ref": "EmbedMapUri"},
    "RETIRABLE_DATAMARTS": {"Ref": "RetirableDatamarts"},
    "PROTECTED_DATAMARTS": {"Ref": "ProtectedDatamarts"},
    "DATAMART_LISTS_URI": {"Ref": "DatamartListsUri"},
    "SWEEP_POLICY_URI": {"Ref": "SweepPolicyUri"},
    "MAX_PER_SWEEP": {"Ref": "MaxPerSweep"},
    "MAX_SWEEP_PERCENT": {"Ref": "MaxSweepPercent"},
    "EVENT_BUS_NAME": {"Ref": "EventBusName"},
    "EVIDENCE_BUCKET_NAME": {"Ref": "EvidenceBucket"},
    "RESULTS_TOPIC_ARN": {"Ref": "ResultsTopic"},
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}


def test_it_is_there_for_who_wants_it(deployed: Node) -> None:
    """Without a policy nothing of it is there; with one the function is, and with a schedule too what wakes it."""
    found: dict[str, set[str]] = {}
    for name, resource in deployed["Resources"].items():
        found.setdefault(resource.get("Condition", ""), set()).add(name)
    assert found["HasSweep"] == WITH_A_POLICY
    assert found["HasSweepSchedule"] == WITH_A_SCHEDULE
    assert not [name for name in found[""] if name.startswith("Sweep")]
    assert deployed["Outputs"]["SweepFunctionName"]["Condition"] == "HasSweep"
    without = {"Fn::Not": [{"Fn::Equals": [{"Ref": "SweepPolicyUri"}, ""]}]}
    assert deployed["Conditions"]["HasSweep"] == without
    assert deployed["Conditions"]["HasSweepSchedule"] == {
        "Fn::And": [{"Condition": "HasSweep"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "SweepSchedule"}, ""]}]}]
    }


def test_the_function(properties: Properties) -> None:
    """The function is as the others are, but has the most time that there is, and is not tried again."""
    sweep, retire = properties("SweepFunction"), properties("RetireFunction")
    for name in ("Runtime", "Architectures", "MemorySize", "TracingConfig", "LoggingConfig", "Layers", "Handler"):
        assert sweep[name] == retire[name]
    assert sweep["Timeout"] == 900
    config = properties("SweepFunctionEventInvokeConfig")
    assert config["FunctionName"] == {"Ref": "SweepFunction"}
    assert config["MaximumRetryAttempts"] == 0
    assert "ReservedConcurrentExecutions" not in sweep


def test_environment_variables(properties: Properties) -> None:
    """The function's environment holds its settings and nothing else."""
    assert properties("SweepFunction")["Environment"]["Variables"] == VARIABLES


def test_defaults_are_settings(written: Node) -> None:
    """A stack with nothing but defaults, a secret and a policy has settings that the function accepts."""
    given = {
        "EvidenceBucket": "evidence",
        "ResultsTopic": "arn:aws:sns:eu-central-1:123456789012:results",
        "ServiceTokenSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:databrain-AbCdEf",
        "SweepPolicyUri": "s3://policies/sweep.json",
    }
    defaults = {name: str(parameter.get("Default")) for name, parameter in written["Parameters"].items()}
    environment = {
        name: value if isinstance(value, str) else (defaults | given)[value["Ref"]] for name, value in VARIABLES.items()
    }
    settings = read_settings(SweepSettings, environment)
    assert (settings.max_per_sweep, settings.max_sweep_percent) == (25, 10)
    assert settings.event_bus_name == "default"


def test_what_wakes_it(properties: Properties, deployed: Node) -> None:
    """The schedule is the parameter's, to the minute, and wakes the function when all is there that a sweep needs.

    A rate wakes it at once: its log group, its retries (none), and the way of what it asks for come first.
    """
    timer = properties("SweepTimer")
    assert timer["ScheduleExpression"] == {"Ref": "SweepSchedule"}
    assert timer["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert timer["Target"]["Arn"] == arn("SweepFunction")
    assert timer["Target"]["RoleArn"] == arn("SweepTimerRole")
    assert "DeadLetterConfig" not in timer["Target"]
    assert timer["GroupName"] == {"Ref": "SweepGroup"}
    before = {"SweepLogGroup", "SweepFunctionEventInvokeConfig"}
    for rule, (queue, *_) in RULES.items():
        if rule not in {"RestoreRule", "ApprovedRule"}:  # a sweep sends neither
            before |= {rule, f"{queue}Policy"}
    assert set(deployed["Resources"]["SweepTimer"]["DependsOn"]) == before
    log_group = properties("SweepLogGroup")
    assert log_group["LogGroupName"] == {"Fn::Sub": "/aws/lambda/${SweepFunction}"}
    assert log_group["RetentionInDays"] == {"Ref": "LogRetentionInDays"}


def test_only_this_accounts_scheduler_wakes_it(properties: Properties) -> None:
    """The schedule's role is EventBridge Scheduler's, for schedules of this account."""
    (statement,) = properties("SweepTimerRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_it_speaks_in_its_own_name(deployed: Node) -> None:
    """The function may put on the bus what it asks and takes back, and nothing in another one's name."""
    role = deployed["Resources"]["SweepFunctionRole"]
    (statement,) = [s for s in statements(role) if s["Action"] == "events:PutEvents"]
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"events:source": SOURCE},
        "Null": {"events:source": "false"},
        "StringEquals": {"events:detail-type": ["Datamart Retirement Requested", "Datamart Retirement Cancelled"]},
    }


def test_the_alarms_are_the_functions(properties: Properties) -> None:
    """The alarms watch this function, and the group that its schedule is in."""
    function = [{"Name": "FunctionName", "Value": {"Ref": "SweepFunction"}}]
    assert properties("SweepErrorsAlarm")["Dimensions"] == function
    assert properties("DroppedSweepsAlarm")["Dimensions"] == function
    group = [{"Name": "ScheduleGroup", "Value": {"Ref": "SweepGroup"}}]
    assert properties("UndeliveredSweepsAlarm")["Dimensions"] == group


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("SweepPolicyUri", ""),
        ("SweepPolicyUri", "s3://our.policies-2026/databrain/sweep_(1).json"),
        ("SweepSchedule", ""),
        ("SweepSchedule", "rate(1 day)"),
        ("SweepSchedule", "rate(12 hours)"),
        ("SweepSchedule", "cron(0 6 ? * MON *)"),
        ("SweepSchedule", "cron(0/30 6-8 L * ? 2026)"),
        ("SweepSchedule", "cron(0 6 ? * 2#1 *)"),
    ],
)
def test_accepted_values(written: Node, parameter: str, value: str) -> None:
    """A pattern lets every sensible value through."""
    assert re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("SweepPolicyUri", "policies/sweep.json"),
        ("SweepPolicyUri", "s3://policies"),
        ("SweepPolicyUri", "s3://policies/*"),
        ("SweepPolicyUri", "s3://*/sweep.json"),
        ("SweepSchedule", "1 day"),
        ("SweepSchedule", "at(2026-03-01T12:00:00)"),
        ("SweepSchedule", "rate()"),
        ("SweepSchedule", "rate(1"),
        ("SweepSchedule", "cron(0"),
        ("SweepSchedule", "'rate(1 day)'"),
        ("SweepSchedule", "rate(1 day) "),
        ("SweepSchedule", "daily"),
    ],
)
def test_refused_values(written: Node, parameter: str, value: str) -> None:
    """A pattern stops what could not work or would open too much."""
    assert not re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


@pytest.mark.parametrize(("parameter", "most"), [("MaxPerSweep", 1_000), ("MaxSweepPercent", 100)])
def test_limits_are_counts(written: Node, parameter: str, most: int) -> None:
    """None at all may be allowed, and a slip of the keyboard does not allow all."""
    limit = written["Parameters"][parameter]
    assert (limit["Type"], limit["MinValue"], limit["MaxValue"]) == ("Number", 0, most)
