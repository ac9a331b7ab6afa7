"""Least privilege: what the function may do, and what nobody may."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from layers.dependencies.trim import OPERATIONS
from retirement.aws.progress import PREFIX
from retirement.delivery.intake import CANCELLED, REQUESTED
from retirement.webhook.endpoint import SOURCE

Node = dict[str, Any]
OfType = Callable[[str], dict[str, Node]]

# Each role with its actions, and what each is for: a resource or parameter of the template, or a prefix in the bucket.
ACTIONS: dict[str, dict[str, list[str]]] = {
    "RetireFunctionRole": {
        "sqs:ReceiveMessage": ["Requests"],
        "sqs:DeleteMessage": ["Requests"],
        "sqs:GetQueueAttributes": ["Requests"],
        "sqs:ChangeMessageVisibility": ["Requests"],
        "sqs:SendMessage": ["Scheduling"],
        "secretsmanager:GetSecretValue": ["ServiceTokenSecretArn"],
        "kms:Decrypt": ["ServiceTokenKeyArn", "EncryptionKeyArn"],
        "kms:GenerateDataKey": ["EncryptionKeyArn"],
        "s3:ListBucket": ["EvidenceBucket"],
        "s3:PutObject": ["retirements/*", "backups/*", "plans/*", "rejected/*"],
        "s3:GetObject": [
            "retirements/*",
            "backups/*",
            "plans/*",
            "rejected/*",
            "DatabrainCaUri",
            "EmbedMapUri",
            "DatamartListsUri",
        ],
        "dynamodb:PutItem": ["CoordinationTable"],
        "dynamodb:DeleteItem": ["CoordinationTable"],
        "dynamodb:GetItem": ["CoordinationTable"],
        "dynamodb:UpdateItem": ["CoordinationTable"],
        "sns:Publish": ["ResultsTopic"],
    },
    "ScheduleFunctionRole": {
        "sqs:ReceiveMessage": ["Scheduling"],
        "sqs:DeleteMessage": ["Scheduling"],
        "sqs:GetQueueAttributes": ["Scheduling"],
        "sqs:ChangeMessageVisibility": ["Scheduling"],
        "sqs:SendMessage": ["Requests", "Restores"],
        "scheduler:CreateSchedule": ["schedule/${ScheduleGroup}/*"],
        "scheduler:UpdateSchedule": ["schedule/${ScheduleGroup}/*"],
        "scheduler:DeleteSchedule": ["schedule/${ScheduleGroup}/*"],
        "iam:PassRole": ["TimerRole"],
        "kms:Decrypt": ["EncryptionKeyArn"],
        "kms:GenerateDataKey": ["EncryptionKeyArn"],
        "s3:ListBucket": ["EvidenceBucket"],
        "s3:PutObject": ["retirements/*", "rejected/*"],
        "s3:GetObject": ["retirements/*", "rejected/*"],
        "dynamodb:PutItem": ["CoordinationTable"],
        "sns:Publish": ["ResultsTopic"],
    },
    "RestoreFunctionRole": {
        "sqs:ReceiveMessage": ["Restores"],
        "sqs:DeleteMessage": ["Restores"],
        "sqs:GetQueueAttributes": ["Restores"],
        "sqs:ChangeMessageVisibility": ["Restores"],
        "secretsmanager:GetSecretValue": ["ServiceTokenSecretArn"],
        "kms:Decrypt": ["ServiceTokenKeyArn", "EncryptionKeyArn"],
        "kms:GenerateDataKey": ["EncryptionKeyArn"],
        "s3:ListBucket": ["EvidenceBucket"],
        "s3:PutObject": ["restores/*", "rejected/*"],
        "s3:GetObject": ["restores/*", "rejected/*", "retirements/*", "backups/*", "DatabrainCaUri"],
        "dynamodb:PutItem": ["CoordinationTable"],
        "dynamodb:DeleteItem": ["CoordinationTable"],
        "dynamodb:GetItem": ["CoordinationTable"],
        "sns:Publish": ["ResultsTopic"],
    },
    "SweepFunctionRole": {
        "secretsmanager:GetSecretValue": ["ServiceTokenSecretArn"],
        "kms:Decrypt": ["ServiceTokenKeyArn", "EncryptionKeyArn"],
        "kms:GenerateDataKey": ["EncryptionKeyArn"],
        "s3:ListBucket": ["EvidenceBucket"],
        "s3:PutObject": ["sweeps/*"],
        "s3:GetObject": [
            "SweepPolicyUri",
            "DatabrainCaUri",
            "EmbedMapUri",
            "DatamartListsUri",
            "sweeps/*",
            "retirements/*",
        ],
        "events:PutEvents": ["EventBusName"],
        "sns:Publish": ["ResultsTopic"],
    },
    "WebhookFunctionRole": {
        "secretsmanager:GetSecretValue": ["WebhookSecretArn"],
        "events:PutEvents": ["EventBusName"],
    },
    "TimerRole": {
        "sqs:SendMessage": ["Requests", "Scheduling", "Failures"],
        "kms:Decrypt": ["EncryptionKeyArn"],
        "kms:GenerateDataKey": ["EncryptionKeyArn"],
    },
    "SweepTimerRole": {"lambda:InvokeFunction": ["SweepFunction"]},
}
FUNCTION_ROLES = [name for name in ACTIONS if name.endswith("FunctionRole")]
# What SAM attaches by itself, the name of the second depends on the partition.
ATTACHED = {"service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSXRayDaemonWriteAccess"}
# And to whom may be in a VPC (IAM: the role's own code is denied it again).
IN_A_VPC = {"RetireFunctionRole", "RestoreFunctionRole", "SweepFunctionRole"}
NETWORK = "service-role/AWSLambdaVPCAccessExecutionRole"


# The policy's actions (AWS managed policy reference, "AWSLambdaVPCAccessExecutionRole"), but those for the log. A call
# by the function's code has its ARN with it, one by Lambda has not (Lambda developer guide, "Lambda execution role").
LEAVE_NETWORKS_TO_LAMBDA = {
    "Sid": "LeaveNetworksToLambda",
    "Effect": "Deny",
    "Action": [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ],
    "Resource": "*",
    "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
}


def as_list(value: object) -> list[Any]:
    """IAM takes one value or a list of them."""
    return value if isinstance(value, list) else [value]


def statements(role: Node) -> Iterator[Node]:
    """The statements that we grant a role, with those under a condition."""
    return (statement for statement in _all_statements(role) if statement["Effect"] == "Allow")


def _all_statements(role: Node) -> Iterator[Node]:
    for policy in role["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def strings(node: object) -> Iterator[str]:
    """All text in a part of the template."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for part in node.values():
            yield from strings(part)
    elif isinstance(node, list):
        for part in node:
            yield from strings(part)


def target(resource: Node) -> str:
    """What a statement's resource names: a resource or parameter of the template, or a prefix in the bucket."""
    match resource:
        case {"Fn::GetAtt": [name, "Arn"]} | {"Ref": name}:
            return str(name)
        case {"Fn::Sub": str(text)} if text.startswith("${EvidenceBucket.Arn}/"):
            return text.removeprefix("${EvidenceBucket.Arn}/")
        case {"Fn::Sub": str(text)} if text.startswith("arn:${AWS::Partition}:scheduler:"):
            return text.removeprefix("arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:")
        case {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"}:
            return "EventBusName"
        case {"Fn::Sub": ["arn:${AWS::Partition}:s3:::${Path}", {"Path": {"Fn::Select": [1, split]}}]}:
            separator, uri = split["Fn::Split"]
            assert separator == "s3://"
            return str(uri["Ref"])
        case {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"}:
            return "EventBusName"
    raise AssertionError(f"expected a reference to one resource, found {resource}")


def granted(role: Node) -> dict[str, list[str]]:
    """What a role may do, and with what."""
    found: dict[str, list[str]] = {}
    for statement in statements(role):
        for action in as_list(statement["Action"]):
            found.setdefault(action, []).extend(target(part) for part in as_list(statement["Resource"]))
    return found


def test_each_role_may_do_exactly_this(of_type: OfType) -> None:
    """Each role grants each action that is needed on the one thing that it is needed for."""
    assert {name: granted(role) for name, role in of_type("AWS::IAM::Role").items()} == ACTIONS


def test_who_reads_backups() -> None:
    """Backups hold customers' SQL: one role writes them, and one more reads them."""
    users = {
        action: {
            role for role, actions in ACTIONS.items() if any("backups/*" in part for part in actions.get(action, ()))
        }
        for action in ("s3:PutObject", "s3:GetObject")
    }
    assert users == {
        "s3:PutObject": {"RetireFunctionRole"},
        "s3:GetObject": {"RetireFunctionRole", "RestoreFunctionRole"},
    }


def test_what_is_called_is_what_is_allowed() -> None:
    """The operations that the layer's build leaves in botocore are those that the roles allow."""
    required = {f"{service}:{operation}" for service, operations in OPERATIONS.items() for operation in operations}
    required -= {
        "dynamodb:TransactWriteItems"
    }  # IAM knows what is in it (DynamoDB guide, "Transactional APIs and IAM")
    required |= {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    renamed = {"s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket"}  # IAM's name for them
    called_by_lambda = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    called_by_what_encrypts = {"kms:Decrypt", "kms:GenerateDataKey"}
    asked_by_scheduler = {"iam:PassRole"}
    allowed = {action for name in FUNCTION_ROLES for action in ACTIONS[name]}
    assert {renamed.get(action, action) for action in required} == (
        allowed - called_by_lambda - called_by_what_encrypts - asked_by_scheduler
    )


def test_no_statement_of_ours_is_for_everything(of_type: OfType) -> None:
    """No action of a role's statement has a wildcard, and no resource is everything."""
    for role in of_type("AWS::IAM::Role").values():
        for statement in statements(role):
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            assert not [resource for resource in as_list(statement["Resource"]) if resource == "*"]


def test_sam_attaches_policies(of_type: OfType) -> None:
    """Beside our statements a role has the policies for logs and traces, and for networks where it needs that."""
    roles = of_type("AWS::IAM::Role")
    assert not [name for name in roles.keys() - FUNCTION_ROLES if "ManagedPolicyArns" in roles[name]["Properties"]]
    for name in FUNCTION_ROLES:
        attached = {policy.partition(":policy/")[2] for policy in roles[name]["Properties"]["ManagedPolicyArns"]}
        assert len(attached - {NETWORK}) == 2
        assert attached - {NETWORK} <= ATTACHED
        assert (NETWORK in attached) == (name in IN_A_VPC)


def test_only_lambda_makes_networks(of_type: OfType) -> None:
    """What a role may do with network interfaces is for Lambda alone: the function's own code is denied all of it."""
    for name, role in of_type("AWS::IAM::Role").items():
        denied = [statement for statement in _all_statements(role) if statement["Effect"] == "Deny"]
        assert denied == [LEAVE_NETWORKS_TO_LAMBDA] * (name in IN_A_VPC)


def test_every_role_takes_the_boundary(of_type: OfType) -> None:
    """Every role has the permissions boundary, where one is given."""
    for role in of_type("AWS::IAM::Role").values():
        assert role["Properties"]["PermissionsBoundary"] == {
            "Fn::If": ["HasPermissionsBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]
        }


def test_every_statement_has_an_id(deployed: Node) -> None:
    """Every statement says in its Sid what it is for."""
    for role in (resource for resource in deployed["Resources"].values() if resource["Type"] == "AWS::IAM::Role"):
        assert all(statement["Sid"] for statement in statements(role))


def conditional(deployed: Node, role: str, condition: str) -> Node:
    """A role's only statement under a condition, which is left out without it."""
    (policy,) = deployed["Resources"][role]["Properties"]["Policies"]
    branches = [s["Fn::If"] for s in policy["PolicyDocument"]["Statement"] if "Fn::If" in s]
    ((statement, otherwise),) = [rest for name, *rest in branches if name == condition]
    assert otherwise == {"Ref": "AWS::NoValue"}
    found: Node = statement
    return found


@pytest.mark.parametrize("role", ["RetireFunctionRole", "RestoreFunctionRole", "SweepFunctionRole"])
def test_the_key_is_for_the_secret_only(deployed: Node, role: str) -> None:
    """A function may decrypt only where a key is given, and only through Secrets Manager."""
    statement = conditional(deployed, role, "HasServiceTokenKey")
    assert statement["Action"] == "kms:Decrypt"
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": {"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}}
    }


@pytest.mark.parametrize("role", ["RetireFunctionRole", "SweepFunctionRole"])
@pytest.mark.parametrize(
    ("condition", "parameter"),
    [("HasEmbedMap", "EmbedMapUri"), ("HasDatabrainCa", "DatabrainCaUri"), ("HasDatamartLists", "DatamartListsUri")],
)
def test_a_file_is_for_who_has_one(deployed: Node, role: str, condition: str, parameter: str) -> None:
    """A function may read a file of the owner's only where one is named, and that object alone."""
    assert deployed["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}
    statement = conditional(deployed, role, condition)
    assert statement["Action"] == "s3:GetObject"
    assert target(statement["Resource"]) == parameter


def test_a_restore_writes_its_own_evidence_alone(of_type: OfType) -> None:
    """The restore role writes under restores/ and rejected/ alone, so that no retirement's record can be its work."""
    written = granted(of_type("AWS::IAM::Role")["RestoreFunctionRole"])["s3:PutObject"]
    assert written == ["restores/*", "rejected/*"]
    others = {name: role for name, role in of_type("AWS::IAM::Role").items() if name != "RestoreFunctionRole"}
    assert not [name for name, role in others.items() if "restores/*" in granted(role).get("s3:PutObject", [])]


def test_only_timers_get_their_role(of_type: OfType) -> None:
    """The role of the timers goes to EventBridge Scheduler alone, and only for the timers of this stack's group."""
    (passing,) = [
        s for s in statements(of_type("AWS::IAM::Role")["ScheduleFunctionRole"]) if s["Action"] == "iam:PassRole"
    ]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    (trust,) = of_type("AWS::IAM::Role")["TimerRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Action"]) == ({"Service": "scheduler.amazonaws.com"}, "sts:AssumeRole")
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:SourceArn": {"Fn::GetAtt": ["ScheduleGroup", "Arn"]},
            "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        }
    }


@pytest.mark.parametrize(
    "name", ["RetireFunctionRole", "ScheduleFunctionRole", "RestoreFunctionRole", "SweepFunctionRole"]
)
def test_a_missing_object_can_be_told(of_type: OfType, name: str) -> None:
    """The role may list the bucket without a condition: else S3 answers 403 for an object that is not there."""
    role = of_type("AWS::IAM::Role")[name]
    (statement,) = [s for s in statements(role) if "s3:ListBucket" in as_list(s["Action"])]
    assert statement["Resource"] == {"Fn::GetAtt": ["EvidenceBucket", "Arn"]}
    assert "Condition" not in statement


def test_dates_touch_no_lock_and_no_count(of_type: OfType) -> None:
    """The schedule function may write nothing into the coordination table but what is known of failed attempts."""
    (statement,) = [
        statement
        for statement in statements(of_type("AWS::IAM::Role")["ScheduleFunctionRole"])
        if statement["Action"] == "dynamodb:PutItem"
    ]
    assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]}}


def test_the_webhook_speaks_in_its_own_name(of_type: OfType) -> None:
    """The webhook may put nothing on the bus but requests and cancellations, and those as the webhook's alone."""
    (statement,) = [
        statement
        for statement in statements(of_type("AWS::IAM::Role")["WebhookFunctionRole"])
        if statement["Action"] == "events:PutEvents"
    ]
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"events:source": SOURCE},
        "Null": {"events:source": "false"},
        "StringEquals": {"events:detail-type": [REQUESTED, CANCELLED]},
    }


@pytest.mark.parametrize(
    ("policy", "action", "resources"),
    [
        ("RequestsPolicy", "sqs:*", ["Requests"]),
        ("SchedulingPolicy", "sqs:*", ["Scheduling"]),
        ("RestoresPolicy", "sqs:*", ["Restores"]),
        ("FailuresPolicy", "sqs:*", ["Failures"]),
        ("EvidenceBucketPolicy", "s3:*", ["EvidenceBucket", "*"]),
        ("ResultsTopicPolicy", "sns:Publish", ["ResultsTopic"]),
    ],
)
def test_tls_only(deployed: Node, policy: str, action: str, resources: list[str]) -> None:
    """Queues, bucket and topic refuse whatever does not come over TLS."""
    document = deployed["Resources"][policy]["Properties"]["PolicyDocument"]
    (statement,) = [s for s in document["Statement"] if s.get("Sid") == "TlsOnly"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Action"] == action
    assert [target(part) for part in as_list(statement["Resource"])] == resources
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_no_arn_names_a_partition(written: Node) -> None:
    """What we write runs in every partition: an ARN comes from a reference or is written with ${AWS::Partition}."""
    arns = [text for section in ("Resources", "Outputs") for text in strings(dict(written[section])) if "arn:" in text]
    assert not [text for text in arns if not text.startswith("arn:${AWS::Partition}:")]
