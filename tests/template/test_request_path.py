"""The way of a request: rule, queue, function, dead-letter queue."""

from collections.abc import Callable
from typing import Any

import pytest

from layers.build import RUNTIME
from retirement.requests import MAX_RECEIVES
from tests.template.test_encryption import without_a_key

Node = dict[str, Any]
Properties = Callable[[str], Node]

DAY = 86_400


def arn(logical_id: str) -> Node:
    """The reference to a resource's ARN."""
    return {"Fn::GetAtt": [logical_id, "Arn"]}


# Which queue each rule delivers to, and which events: the rules' patterns alone decide which function gets what.
RULES: dict[str, tuple[str, str, Node]] = {
    "RequestedRule": ("Requests", "Datamart Retirement Requested", {"retireAt": [{"exists": False}]}),
    "ScheduledRule": ("Scheduling", "Datamart Retirement Requested", {"retireAt": [{"exists": True}]}),
    "CancelledRule": ("Scheduling", "Datamart Retirement Cancelled", {}),
    "ApprovedRule": ("Scheduling", "Datamart Retirement Approved", {}),
    "RestoreRule": ("Restores", "Datamart Restore Requested", {}),
}
OWN_SOURCES = ["datamart-retirement.webhook", "datamart-retirement.sweep"]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_takes_what_is_meant_for_this_stack(properties: Properties, name: str) -> None:
    """A rule takes the given sources and the stack's own, and an environment that is the stack's own or missing.

    Restores are asked for by the given sources alone, and approvals come from other sources alone.
    """
    rule, (_, detail_type, detail) = properties(name), RULES[name]
    assert rule["EventBusName"] == {"Ref": "EventBusName"}
    with_own = {"Fn::Sub": ",".join(["${EventSources}", *OWN_SOURCES])}
    given = {"RestoreRule": {"Ref": "EventSources"}, "ApprovedRule": {"Ref": "ApprovalSources"}}
    assert rule["EventPattern"] == {
        "source": {"Fn::Split": [",", given.get(name, with_own)]},
        "detail-type": [detail_type],
        "detail": {"environment": [{"Ref": "EnvironmentName"}, {"exists": False}], **detail},
    }


def test_every_rule_is_tested(of_type: Callable[[str], dict[str, Node]]) -> None:
    """There is no other rule."""
    assert of_type("AWS::Events::Rule").keys() == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_loses_nothing(properties: Properties, name: str) -> None:
    """A rule tries for a day to reach its queue, and parks in Failures what it cannot deliver."""
    (target,) = properties(name)["Targets"]
    assert target["Arn"] == arn(RULES[name][0])
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": DAY}
    assert target["DeadLetterConfig"] == {"Arn": arn("Failures")}
    assert "InputTransformer" not in target
    assert "InputPath" not in target


def test_what_was_abandoned_is_found(properties: Properties) -> None:
    """Who reads Failures waits, so that SQS asks all of its servers; at the other queues Lambda waits anyway."""
    assert properties("Failures")["ReceiveMessageWaitTimeSeconds"] == 5


QUEUES = {"Requests": "Retire", "Scheduling": "Schedule", "Restores": "Restore"}


@pytest.mark.parametrize("name", QUEUES)
def test_requests_wait_for_six_receives(properties: Properties, name: str) -> None:
    """A message is received six times, after a crash six function time-outs after the one before, and is then kept."""
    queue, function = properties(name), properties(f"{QUEUES[name]}Function")
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": arn("Failures"), "maxReceiveCount": MAX_RECEIVES}
    assert MAX_RECEIVES == 6


def test_queues_keep_what_they_hold(deployed: Node, of_type: Callable[[str], dict[str, Node]]) -> None:
    """Every queue keeps a message for 14 days, encrypted, and outlives the stack."""
    assert of_type("AWS::SQS::Queue").keys() == {*QUEUES, "Failures"}
    for name in (*QUEUES, "Failures"):
        queue = deployed["Resources"][name]
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * DAY
        assert without_a_key(queue["Properties"])["SqsManagedSseEnabled"] is True
        assert (queue["DeletionPolicy"], queue["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize("queue", [*QUEUES, "Failures"])
def test_the_rules_alone_are_let_in(properties: Properties, queue: str) -> None:
    """A queue's policy allows one thing: that the rules send which deliver there, or park there."""
    policy = properties(f"{queue}Policy")
    assert policy["Queues"] == [{"Ref": queue}]
    (allowed,) = [s for s in policy["PolicyDocument"]["Statement"] if s.get("Effect") == "Allow"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Resource"] == arn(queue)
    rules = [arn(name) for name, (target, *_) in RULES.items() if queue in {target, "Failures"}]
    source = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert (source if isinstance(source, list) else [source]) == rules


@pytest.mark.parametrize("queue", [*QUEUES, "Failures"])
def test_nobody_else_sends_where_senders_are_named(deployed: Node, queue: str) -> None:
    """With QueueSenderArns a queue refuses who is no rule of it, none of this stack, and not on the list."""
    assert deployed["Conditions"]["HasQueueSenders"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "QueueSenderArns"}, ""]}]}
    allowed, _, (condition, denied, otherwise) = (
        statement.get("Fn::If", statement)
        for statement in deployed["Resources"][f"{queue}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    )
    assert (condition, otherwise) == ("HasQueueSenders", {"Ref": "AWS::NoValue"})
    retiring = "${RetireFunctionRole.Arn}," if queue == "Scheduling" else ""  # it announces its asks for approval
    own = f"${{TimerRole.Arn}},{retiring}${{ScheduleFunctionRole.Arn}}"
    senders = {"Fn::Split": [",", {"Fn::Sub": f"{own},${{QueueSenderArns}}"}]}
    assert denied == {
        "Sid": "DenyOtherSenders",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": arn(queue),
        # Both have to be wrong: a rule has no principal, a role no source, and what is missing is "not like".
        "Condition": {
            "ArnNotLike": {
                "aws:SourceArn": allowed["Condition"]["ArnEquals"]["aws:SourceArn"],
                "aws:PrincipalArn": senders,
            }
        },
    }


@pytest.mark.parametrize("queue", QUEUES)
def test_one_request_an_invocation(deployed: Node, queue: str) -> None:
    """An invocation gets one message, and no more run at once than the parameter says; of restores two."""
    mapping = deployed["Resources"][f"{queue}Mapping"]["Properties"]
    assert mapping["EventSourceArn"] == arn(queue)
    assert mapping["FunctionName"] == {"Ref": f"{QUEUES[queue]}Function"}
    assert mapping["BatchSize"] == 1
    at_once = 2 if queue == "Restores" else {"Ref": "MaximumConcurrency"}
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": at_once}


@pytest.mark.parametrize("queue", QUEUES)
def test_the_log_group_comes_first(deployed: Node, queue: str) -> None:
    """Nothing invokes a function before its log group is there, with its retention."""
    name = QUEUES[queue]
    assert deployed["Resources"][f"{queue}Mapping"]["DependsOn"] == f"{name}LogGroup"
    log_group = deployed["Resources"][f"{name}LogGroup"]["Properties"]
    assert log_group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{{name}Function}}"}
    assert log_group["RetentionInDays"] == {"Ref": "LogRetentionInDays"}


@pytest.mark.parametrize("name", QUEUES.values())
def test_the_functions_of_queues(properties: Properties, name: str) -> None:
    """A small function on ARM, packed as a zip file, with traces and no reserved concurrency.

    It has a minute, and for a restore a quarter of an hour.
    """
    function = properties(f"{name}Function")
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
    assert (function["Timeout"], function["MemorySize"]) == (900 if name == "Restore" else 60, 512)
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["LoggingConfig"] == {"LogFormat": "JSON"}
    assert not {"PackageType", "SnapStart", "ReservedConcurrentExecutions"} & function.keys()


@pytest.mark.parametrize("name", QUEUES.values())
def test_the_layers_are_the_functions(deployed: Node, of_type: Callable[[str], dict[str, Node]], name: str) -> None:
    """Both layers are for a function's runtime and architecture, and byte code is compiled for that runtime."""
    function = deployed["Resources"][f"{name}Function"]["Properties"]
    layers = of_type("AWS::Lambda::LayerVersion")
    assert function["Layers"] == [{"Ref": layer} for layer in layers]
    for layer in layers.values():
        assert layer["Properties"]["CompatibleRuntimes"] == [function["Runtime"]]
        assert layer["Properties"]["CompatibleArchitectures"] == function["Architectures"]
    assert function["Runtime"] == f"python{RUNTIME}"
