"""What wakes a person, and what that person then reads."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Node = dict[str, Any]
OfType = Callable[[str], dict[str, Node]]

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


def shown(alarm: Node) -> tuple[object, ...]:
    """What an alarm watches, in one line."""
    return tuple(alarm[key] for key in ("Namespace", "MetricName", "Statistic", "ComparisonOperator", "Threshold"))


def test_each_alarm_has_its_runbook(of_type: OfType) -> None:
    """Each alarm names a page that exists, and no page is left over but that of the stop button."""
    named = [
        re.findall(r"docs/runbooks/([a-z-]+\.md)$", alarm["Properties"]["AlarmDescription"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
    ]
    there = {page.name for page in RUNBOOKS.iterdir()} - {"stop-button.md"}
    assert sorted(page for pages in named for page in pages) == sorted(there)
    assert all(len(pages) == 1 for pages in named)


def test_each_runbook_names_its_alarm(of_type: OfType) -> None:
    """Whoever opens a page from an alarm sees that alarm's logical id in its title."""
    for logical_id, alarm in of_type("AWS::CloudWatch::Alarm").items():
        (page,) = re.findall(r"docs/runbooks/(\S+)$", alarm["Properties"]["AlarmDescription"])
        assert (RUNBOOKS / page).read_text().startswith(f"# {logical_id}\n")


def test_each_alarm_acts_where_there_is_a_topic(of_type: OfType) -> None:
    """Each alarm tells the given topic when it starts and when it ends, and without one has no action."""
    action = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == action
        assert alarm["Properties"]["OKActions"] == action


def test_silence_is_no_alarm(of_type: OfType) -> None:
    """Queues and metrics without data are quiet, not broken."""
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching"


def test_what_is_watched(of_type: OfType) -> None:
    """What is given up, is about to be lost, waits, or fails: of requests, of sweeps, and of webhooks."""
    alarms = {name: alarm["Properties"] for name, alarm in of_type("AWS::CloudWatch::Alarm").items()}
    assert {name: shown(alarm) for name, alarm in alarms.items()} == {
        "FailuresAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", "GreaterThanThreshold", 0),
        "ExpiringFailuresAlarm": (
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            "Maximum",
            "GreaterThanThreshold",
            12 * 86_400,
        ),
        "StaleRequestsAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Minimum", "GreaterThanThreshold", 0),
        "StaleSchedulingAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Minimum", "GreaterThanThreshold", 0),
        "StaleRestoresAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Minimum", "GreaterThanThreshold", 0),
        "FailedRestoresAlarm": ("DatamartRetirement", "FailedRestores", "Sum", "GreaterThanThreshold", 0),
        "FailedRetirementsAlarm": ("DatamartRetirement", "FailedRetirements", "Sum", "GreaterThanThreshold", 0),
        "SweepErrorsAlarm": ("AWS/Lambda", "Errors", "Sum", "GreaterThanThreshold", 0),
        "DroppedSweepsAlarm": ("AWS/Lambda", "AsyncEventsDropped", "Sum", "GreaterThanThreshold", 0),
        "UndeliveredSweepsAlarm": ("AWS/Scheduler", "InvocationDroppedCount", "Sum", "GreaterThanThreshold", 0),
        "WebhookErrorsAlarm": ("AWS/Lambda", "Url5xxCount", "Sum", "GreaterThanThreshold", 0),
    }


def test_alarms_watch_the_queues_by_name(of_type: OfType) -> None:
    """Each queue alarm watches the queue that it is about."""
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {
        "FailuresAlarm": "Failures",
        "ExpiringFailuresAlarm": "Failures",
        "StaleRequestsAlarm": "Requests",
        "StaleSchedulingAlarm": "Scheduling",
        "StaleRestoresAlarm": "Restores",
    }
    for alarm, queue in watched.items():
        assert alarms[alarm]["Properties"]["Dimensions"] == [
            {"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}
        ]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("RetireFunction", "FailedRetirementsAlarm"),
        ("ScheduleFunction", "FailedRetirementsAlarm"),
        ("RestoreFunction", "FailedRestoresAlarm"),
    ],
)
def test_the_metric_is_the_functions(deployed: Node, of_type: OfType, function: str, name: str) -> None:
    """The alarm on what failed has the namespace and the dimensions that the functions report under."""
    alarm = of_type("AWS::CloudWatch::Alarm")[name]["Properties"]
    variables = deployed["Resources"][function]["Properties"]["Environment"]["Variables"]
    assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
    assert alarm["Dimensions"] == [
        {"Name": "service", "Value": variables["POWERTOOLS_SERVICE_NAME"]},
        {"Name": "environment", "Value": {"Ref": "EnvironmentName"}},
    ]


@pytest.mark.parametrize("name", ["StaleRequestsAlarm", "StaleSchedulingAlarm", "StaleRestoresAlarm"])
def test_a_queue_is_stale_after_an_hour(of_type: OfType, name: str) -> None:
    """A queue is stale where something was visible for an hour on end, however long RetryDelays are."""
    alarm = of_type("AWS::CloudWatch::Alarm")[name]["Properties"]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 3600
    assert "DatapointsToAlarm" not in alarm
