"""The way of a request: rule, queue, function, dead-letter queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retirement.requests import MOST_RECEIVES

Node = dict[str, Any]
Properties = Callable[[str], Node]

DAY = 86_400
BYTECODE = Path(__file__).parents[2] / "layers" / "bytecode.mk"


def arn(logical_id: str) -> Node:
    """The reference to a resource's ARN."""
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def test_the_rule_takes_what_is_meant_for_this_stack(properties: Properties) -> None:
    """The rule takes the given sources, and an environment that is the stack's own or missing."""
    rule = properties("RequestedRule")
    assert rule["EventBusName"] == {"Ref": "EventBusName"}
    assert rule["EventPattern"] == {
        "source": {"Ref": "EventSources"},
        "detail-type": ["Datamart Retirement Requested"],
        "detail": {"environment": [{"Ref": "EnvironmentName"}, {"exists": False}]},
    }


def test_the_rule_loses_nothing(properties: Properties) -> None:
    """The rule tries for a day to reach the queue, and parks in Failures what it cannot deliver."""
    (target,) = properties("RequestedRule")["Targets"]
    assert target["Arn"] == arn("Requests")
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": DAY}
    assert target["DeadLetterConfig"] == {"Arn": arn("Failures")}
    assert "InputTransformer" not in target
    assert "InputPath" not in target


def test_requests_wait_for_six_receives(properties: Properties) -> None:
    """A message is received six times, after a crash six function time-outs after the one before, and is then kept."""
    queue, function = properties("Requests"), properties("RetireFunction")
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": arn("Failures"), "maxReceiveCount": MOST_RECEIVES}
    assert MOST_RECEIVES == 6


def test_both_queues_keep_what_they_hold(deployed: Node) -> None:
    """Both queues keep a message for 14 days, encrypted, and outlive the stack."""
    for name in ("Requests", "Failures"):
        queue = deployed["Resources"][name]
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * DAY
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        assert (queue["DeletionPolicy"], queue["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("queue", ["Requests", "Failures"])
def test_the_rule_alone_is_let_in(properties: Properties, queue: str) -> None:
    """A queue's policy allows one thing: that this rule sends."""
    policy = properties(f"{queue}Policy")
    assert policy["Queues"] == [{"Ref": queue}]
    (allowed,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Resource"] == arn(queue)
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": arn("RequestedRule")}}


def test_one_request_an_invocation(deployed: Node) -> None:
    """An invocation gets one message, and no more run at once than the parameter says."""
    mapping = deployed["Resources"]["RequestsMapping"]["Properties"]
    assert mapping["EventSourceArn"] == arn("Requests")
    assert mapping["FunctionName"] == {"Ref": "RetireFunction"}
    assert mapping["BatchSize"] == 1
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}


def test_the_log_group_comes_first(deployed: Node) -> None:
    """Nothing invokes the function before its log group is there, with its retention."""
    assert deployed["Resources"]["RequestsMapping"]["DependsOn"] == "RetireLogGroup"
    log_group = deployed["Resources"]["RetireLogGroup"]["Properties"]
    assert log_group["LogGroupName"] == {"Fn::Sub": "/aws/lambda/${RetireFunction}"}
    assert log_group["RetentionInDays"] == {"Ref": "LogRetentionInDays"}


def test_the_function(properties: Properties) -> None:
    """One small function on ARM, packed as a zip file, with a minute's time and traces, and no reserved concurrency."""
    function = properties("RetireFunction")
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
    assert (function["Timeout"], function["MemorySize"]) == (60, 512)
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["LoggingConfig"] == {"LogFormat": "JSON"}
    assert not {"PackageType", "SnapStart", "ReservedConcurrentExecutions", "VpcConfig"} & function.keys()


def test_the_layers_are_the_functions(deployed: Node, of_type: Callable[[str], dict[str, Node]]) -> None:
    """Both layers are for the function's runtime and architecture, and byte code is compiled for that runtime."""
    function = deployed["Resources"]["RetireFunction"]["Properties"]
    layers = of_type("AWS::Lambda::LayerVersion")
    assert function["Layers"] == [{"Ref": name} for name in layers]
    for layer in layers.values():
        assert layer["Properties"]["CompatibleRuntimes"] == [function["Runtime"]]
        assert layer["Properties"]["CompatibleArchitectures"] == function["Architectures"]
    assert f"RUNTIME := {function['Runtime']}\n" in BYTECODE.read_text()
