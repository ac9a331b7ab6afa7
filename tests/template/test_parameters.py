"""What the user sets and gets back: design of the stack's interface, name by name."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from retirement.environment import read_settings
from retirement.retiring.settings import RetireSettings

Node = dict[str, Any]
Properties = Callable[[str], Node]

REQUIRED = object()
DEFAULTS = {
    "EnvironmentName": "dev",
    "Mode": "plan",
    "DatabrainBaseUrl": "https://api.usedatabrain.com",
    "DatabrainApi": "current",
    "DatabrainCaUri": "",
    "ServiceTokenSecretArn": REQUIRED,
    "ServiceTokenKeyArn": "",
    "SubnetIds": "",
    "SecurityGroupIds": "",
    "EventBusName": "default",
    "EventSources": "datamart.lifecycle",
    "QueueSenderArns": "",
    "ApprovalSources": "",
    "ApprovalsRequired": 1,
    "ApprovalExpiresIn": 14,
    "BackupByDefault": "true",
    "RequireRestorable": "false",
    "RehearseByDefault": "false",
    "BackupRetentionDays": "",
    "RetirableDatamarts": "*",
    "ProtectedDatamarts": "",
    "DatamartListsUri": "",
    "UndeterminedEmbeds": "block",
    "EmbedMapUri": "",
    "MaxRetirementsPerDay": 25,
    "MaximumConcurrency": 5,
    "RetryDelays": "60,300,900,2700,7200",
    "ReminderLeadTime": "24",
    "SweepPolicyUri": "",
    "SweepSchedule": "",
    "MaxPerSweep": 25,
    "MaxSweepPercent": 10,
    "WebhookSecretArn": "",
    "AlarmTopicArn": "",
    "LogRetentionInDays": 90,
    "EncryptionKeyArn": "",
    "PermissionsBoundaryArn": "",
}
OUTPUTS = {
    "RetireFunctionName": {"Ref": "RetireFunction"},
    "ScheduleFunctionName": {"Ref": "ScheduleFunction"},
    "RestoreFunctionName": {"Ref": "RestoreFunction"},
    "RequestsQueueUrl": {"Ref": "Requests"},
    "RestoresQueueUrl": {"Ref": "Restores"},
    "SchedulingQueueUrl": {"Ref": "Scheduling"},
    "ScheduleGroupName": {"Ref": "ScheduleGroup"},
    "FailuresQueueUrl": {"Ref": "Failures"},
    "ResultsTopicArn": {"Ref": "ResultsTopic"},
    "EvidenceBucketName": {"Ref": "EvidenceBucket"},
    "EventBusName": {"Ref": "EventBusName"},
    "CoordinationTableName": {"Ref": "CoordinationTable"},
    "DashboardName": {"Ref": "Dashboard"},
    "SweepFunctionName": {"Ref": "SweepFunction"},
    "WebhookUrl": {"Fn::GetAtt": ["WebhookFunctionUrl", "FunctionUrl"]},
}
Variables = dict[str, str | dict[str, Any]]
VARIABLES: Variables = {
    "ENVIRONMENT_NAME": {"Ref": "EnvironmentName"},
    "MODE": {"Ref": "Mode"},
    "DATABRAIN_BASE_URL": {"Ref": "DatabrainBaseUrl"},
    "DATABRAIN_API": {"Ref": "DatabrainApi"},
    "DATABRAIN_CA_URI": {"Ref": "DatabrainCaUri"},
    "SERVICE_TOKEN_SECRET_ARN": {"Ref": "ServiceTokenSecretArn"},
    "BACKUP_BY_DEFAULT": {"Ref": "BackupByDefault"},
    "REQUIRE_RESTORABLE": {"Ref": "RequireRestorable"},
    "REHEARSE_BY_DEFAULT": {"Ref": "RehearseByDefault"},
    "UNDETERMINED_EMBEDS": {"Ref": "UndeterminedEmbeds"},
    "EMBED_MAP_URI": {"Ref": "EmbedMapUri"},
    "RETIRABLE_DATAMARTS": {"Ref": "RetirableDatamarts"},
    "PROTECTED_DATAMARTS": {"Ref": "ProtectedDatamarts"},
    "DATAMART_LISTS_URI": {"Ref": "DatamartListsUri"},
    "MAX_RETIREMENTS_PER_DAY": {"Ref": "MaxRetirementsPerDay"},
    "APPROVALS_REQUIRED": {"Fn::If": ["HasApproval", {"Ref": "ApprovalsRequired"}, "0"]},
    "APPROVAL_EXPIRES_IN": {"Ref": "ApprovalExpiresIn"},
    "RETRY_DELAYS": {"Ref": "RetryDelays"},
    "REQUESTS_QUEUE_URL": {"Ref": "Requests"},
    "SCHEDULING_QUEUE_URL": {"Ref": "Scheduling"},
    "EVIDENCE_BUCKET_NAME": {"Ref": "EvidenceBucket"},
    "COORDINATION_TABLE_NAME": {"Ref": "CoordinationTable"},
    "RESULTS_TOPIC_ARN": {"Ref": "ResultsTopic"},
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
SCHEDULE_VARIABLES: Variables = {
    "ENVIRONMENT_NAME": {"Ref": "EnvironmentName"},
    "BACKUP_BY_DEFAULT": {"Ref": "BackupByDefault"},
    "RETRY_DELAYS": {"Ref": "RetryDelays"},
    "REMINDER_LEAD_TIME": {"Ref": "ReminderLeadTime"},
    "EVENT_SOURCES": {"Ref": "EventSources"},
    "APPROVAL_SOURCES": {"Ref": "ApprovalSources"},
    "APPROVALS_REQUIRED": {"Fn::If": ["HasApproval", {"Ref": "ApprovalsRequired"}, "0"]},
    "SCHEDULING_QUEUE_URL": {"Ref": "Scheduling"},
    "REQUESTS_QUEUE_URL": {"Ref": "Requests"},
    "RESTORES_QUEUE_URL": {"Ref": "Restores"},
    "SCHEDULING_QUEUE_ARN": {"Fn::GetAtt": ["Scheduling", "Arn"]},
    "REQUESTS_QUEUE_ARN": {"Fn::GetAtt": ["Requests", "Arn"]},
    "FAILURES_QUEUE_ARN": {"Fn::GetAtt": ["Failures", "Arn"]},
    "SCHEDULE_GROUP_NAME": {"Ref": "ScheduleGroup"},
    "TIMER_ROLE_ARN": {"Fn::GetAtt": ["TimerRole", "Arn"]},
    "COORDINATION_TABLE_NAME": {"Ref": "CoordinationTable"},
    "EVIDENCE_BUCKET_NAME": {"Ref": "EvidenceBucket"},
    "RESULTS_TOPIC_ARN": {"Ref": "ResultsTopic"},
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
RESTORE_VARIABLES: Variables = {
    "ENVIRONMENT_NAME": {"Ref": "EnvironmentName"},
    "DATABRAIN_BASE_URL": {"Ref": "DatabrainBaseUrl"},
    "DATABRAIN_API": {"Ref": "DatabrainApi"},
    "DATABRAIN_CA_URI": {"Ref": "DatabrainCaUri"},
    "SERVICE_TOKEN_SECRET_ARN": {"Ref": "ServiceTokenSecretArn"},
    "RETRY_DELAYS": {"Ref": "RetryDelays"},
    "RESTORES_QUEUE_URL": {"Ref": "Restores"},
    "EVIDENCE_BUCKET_NAME": {"Ref": "EvidenceBucket"},
    "COORDINATION_TABLE_NAME": {"Ref": "CoordinationTable"},
    "RESULTS_TOPIC_ARN": {"Ref": "ResultsTopic"},
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
LISTS = [
    "*",
    "core-*",
    "core-*,finance-*",
    " core-* , finance-*",
    "Marketing Funnel (EU),Umsätze 日本 📈",
    "a\\b,c:d/e|f<h>!,[a]",
    "[a-c]*,*[!0-9],[[]x]*",
    "[ab]*[cd]",
]
# What a shell or the SAM CLI has cut off, and what is written for something else.
NO_LISTS = [
    "core-*,",
    "core-*, ",
    ",core-*",
    " ,core-*",
    ",",
    " ",
    "core-*,,finance-*",
    "core-*, ,finance-*",
    '"core-*,finance-*"',
    "'core-*'",
    "`core-*`",
    "\u00abcore-*\u00bb",
    "{core,hr}-*",
    "${Protected}",
    "core-*\u2028finance-*",
    "\u201ccore-*\u201d",
    "core-*;finance-*",
    "core-*\nfinance-*",
    "core-*,finance-*\n",
    "core-*\tfinance-*",
    '["core-*", "finance-*"]',
    "[core-*, finance-*]",
    "[core-*]",
    "finance-*, [core] ",
    "[core-*,",
    "[a,b]*",
    "[]",
    "core-[!]",
    "core-*,[a-",
]
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:databrain/service-token-AbCdEf"


def test_parameters_and_defaults(written: Node) -> None:
    """The parameters and their defaults are the documented ones, no more and no fewer."""
    defaults = {name: parameter.get("Default", REQUIRED) for name, parameter in written["Parameters"].items()}
    assert defaults == DEFAULTS


def test_parameters_stay_parameters(written: Node) -> None:
    """No transform replaces parameters by values, which an update with the existing template would keep."""
    assert written["Transform"] == "AWS::Serverless-2016-10-31"


def test_every_parameter_is_explained(written: Node) -> None:
    """Every parameter says what it is for, and every bound continues "failed to satisfy constraint: ..."."""
    for name, parameter in written["Parameters"].items():
        assert parameter["Description"], name
        if {"AllowedPattern", "MinValue", "MaxValue"} & parameter.keys():
            assert parameter["ConstraintDescription"].startswith("must be "), name


def test_every_parameter_has_its_group(written: Node) -> None:
    """Whoever deploys in the console finds every parameter in exactly one group."""
    groups = written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(DEFAULTS)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("Mode", ["plan", "retire"]),
        ("DatabrainApi", ["current", "legacy"]),
        ("BackupByDefault", ["true", "false"]),
        ("RequireRestorable", ["true", "false"]),
        ("RehearseByDefault", ["true", "false"]),
        ("UndeterminedEmbeds", ["block", "report"]),
    ],
)
def test_closed_choices(written: Node, parameter: str, values: list[str]) -> None:
    """A choice is closed, and its values are text (an unquoted true would be none)."""
    assert written["Parameters"][parameter]["AllowedValues"] == values


def test_maximum_concurrency_is_what_sqs_allows(written: Node) -> None:
    """SQS takes 2 to 1000."""
    parameter = written["Parameters"]["MaximumConcurrency"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000)


def test_max_retirements_per_day_is_a_count(written: Node) -> None:
    """None at all may be allowed a day, and a slip of the keyboard does not allow all."""
    parameter = written["Parameters"]["MaxRetirementsPerDay"]
    assert parameter["Type"] == "Number"
    assert (parameter["MinValue"], parameter["MaxValue"]) == (0, 10_000)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("DatabrainBaseUrl", "https://api.usedatabrain.com"),
        ("DatabrainBaseUrl", "https://databrain.example.com:8443/api"),
        ("DatabrainBaseUrl", "http://localhost:3000"),
        ("DatabrainBaseUrl", "http://127.0.0.1:43210/"),
        ("EmbedMapUri", ""),
        ("EmbedMapUri", "s3://maps/embeds.json"),
        ("EmbedMapUri", "s3://our.maps-2026/databrain/prod/Umsätze_(1).json"),
        ("DatamartListsUri", ""),
        ("DatamartListsUri", "s3://our.lists-2026/databrain/prod/Umsätze_(1).json"),
        ("RetryDelays", "0,0,0,0,0"),
        ("RetryDelays", "42780,9999,39999,41999,42699"),
        ("ReminderLeadTime", ""),
        ("ReminderLeadTime", "1"),
        ("ReminderLeadTime", "168"),
        ("ReminderLeadTime", "8784"),
        ("BackupRetentionDays", ""),
        ("BackupRetentionDays", "1"),
        ("BackupRetentionDays", "99999"),
        ("DatabrainCaUri", ""),
        ("DatabrainCaUri", "s3://maps/authority.pem"),
        ("SubnetIds", ""),
        ("SubnetIds", "subnet-0123456789abcdef0,subnet-01234567"),
        ("SecurityGroupIds", ""),
        ("SecurityGroupIds", "sg-0123456789abcdef0"),
        ("QueueSenderArns", ""),
        ("QueueSenderArns", "arn:aws:iam::123456789012:role/ops/Redrive"),
        (
            "QueueSenderArns",
            "arn:aws:iam::123456789012:role/ops/Redrive,arn:aws-cn:iam::123456789012:user/ops@example.com",
        ),
        ("QueueSenderArns", "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Ops_*"),
        *((name, value) for name in ("RetirableDatamarts", "ProtectedDatamarts") for value in LISTS),
        ("ProtectedDatamarts", ""),
        ("EventSources", "crm"),
        ("EventSources", "aws.partner/example.com/cleanup"),
        ("EventSources", "crm,billing"),
        ("ApprovalSources", ""),
        ("ApprovalSources", "approvals,audit"),
        ("EnvironmentName", "eu.prod-1"),
        ("EventBusName", "aws.partner/example.com/cleanup"),
        ("ServiceTokenSecretArn", SECRET_ARN),
        ("ServiceTokenSecretArn", SECRET_ARN.replace("arn:aws:", "arn:aws-us-gov:")),
        ("ServiceTokenKeyArn", ""),
        ("ServiceTokenKeyArn", f"arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"),
        ("ServiceTokenKeyArn", f"arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-{KEY_ID.replace('-', '')}"),
        ("EncryptionKeyArn", ""),
        ("EncryptionKeyArn", f"arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"),
        ("WebhookSecretArn", ""),
        ("WebhookSecretArn", SECRET_ARN),
        ("AlarmTopicArn", "arn:aws:sns:eu-central-1:123456789012:on-call"),
        ("PermissionsBoundaryArn", "arn:aws:iam::123456789012:policy/teams/Boundary"),
        ("PermissionsBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess"),
    ],
)
def test_accepted_values(written: Node, parameter: str, value: str) -> None:
    """A pattern lets every sensible value through."""
    assert re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("DatabrainBaseUrl", "http://api.usedatabrain.com"),
        ("DatabrainBaseUrl", "http://localhost.example.com"),
        ("DatabrainBaseUrl", "http://127.0.0.1.example.com"),
        ("DatabrainBaseUrl", "http://localhost@example.com"),
        ("DatabrainBaseUrl", "https://user:password@example.com"),
        ("DatabrainBaseUrl", "https://example.com/?token=1"),
        ("DatabrainBaseUrl", "https://"),
        ("DatabrainBaseUrl", ""),
        ("EmbedMapUri", "maps/embeds.json"),
        ("EmbedMapUri", "https://maps.s3.amazonaws.com/embeds.json"),
        ("EmbedMapUri", "s3://maps"),
        ("EmbedMapUri", "s3://maps/"),
        ("EmbedMapUri", "s3:///embeds.json"),
        ("EmbedMapUri", "s3://Maps/embeds.json"),
        ("EmbedMapUri", "s3://*/embeds.json"),
        ("EmbedMapUri", "s3://maps/*"),
        ("EmbedMapUri", "s3://maps/embeds?.json"),
        ("EmbedMapUri", "s3://maps/two words.json"),
        ("DatamartListsUri", "lists/datamarts.json"),
        ("DatamartListsUri", "s3://lists"),
        ("DatamartListsUri", "s3://lists/*"),
        ("RetryDelays", "60,300,900,2700,42781"),
        ("RetryDelays", "42800,0,0,0,0"),
        ("RetryDelays", "43000,0,0,0,0"),
        ("RetryDelays", "60,300,900,2700"),
        ("RetryDelays", "60,300,900,2700,7200,"),
        ("ReminderLeadTime", "0"),
        ("ReminderLeadTime", "8785"),
        ("ReminderLeadTime", "1 day"),
        ("SubnetIds", "subnet-0123456789abcdef0, subnet-01234567"),
        ("SubnetIds", "subnet-0123456789abcdef0,"),
        ("BackupRetentionDays", "0"),
        ("BackupRetentionDays", "030"),
        ("BackupRetentionDays", "1 year"),
        ("DatabrainCaUri", "authority.pem"),
        ("DatabrainCaUri", "s3://maps/*"),
        ("SubnetIds", "vpc-0123456789abcdef0"),
        ("SecurityGroupIds", "default"),
        ("SecurityGroupIds", "sg-1,sg-2"),
        ("QueueSenderArns", "*"),
        ("QueueSenderArns", "arn:aws:iam::123456789012:role/Redrive,"),
        ("QueueSenderArns", "arn:aws:iam::123456789012:role/Redrive, arn:aws:iam::123456789012:role/Other"),
        ("QueueSenderArns", "Redrive"),
        ("QueueSenderArns", "arn:aws:iam::*:role/Redrive"),
        ("QueueSenderArns", "arn:aws:iam::123456789012:root"),
        ("QueueSenderArns", "arn:aws:sts::123456789012:assumed-role/Redrive/someone"),
        *((name, value) for name in ("RetirableDatamarts", "ProtectedDatamarts") for value in NO_LISTS),
        ("RetirableDatamarts", ""),
        ("EventSources", ""),
        ("EventSources", "crm billing"),
        ("EventSources", '"crm"'),
        ("EventSources", "[crm]"),
        ("EventSources", "crm;billing"),
        ("EventSources", "crm,"),
        ("ApprovalSources", "approvals,"),
        ("ApprovalSources", ",approvals"),
        ("ApprovalSources", "approvals, audit"),
        ("EnvironmentName", ""),
        ("EnvironmentName", "prod eu"),
        ("EventBusName", "arn:aws:events:eu-central-1:123456789012:event-bus/default"),
        ("ServiceTokenSecretArn", ""),
        ("ServiceTokenSecretArn", "databrain/service-token"),
        ("ServiceTokenSecretArn", SECRET_ARN.removesuffix("-AbCdEf")),
        ("ServiceTokenSecretArn", SECRET_ARN[: SECRET_ARN.index("databrain")] + "*"),
        ("ServiceTokenKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/databrain"),
        ("ServiceTokenKeyArn", "*"),
        ("EncryptionKeyArn", "alias/aws/s3"),
        ("EncryptionKeyArn", KEY_ID),
        ("WebhookSecretArn", "databrain/webhook"),
        ("WebhookSecretArn", SECRET_ARN.removesuffix("-AbCdEf")),
        ("WebhookSecretArn", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("AlarmTopicArn", "on-call"),
        ("PermissionsBoundaryArn", "arn:aws:iam::123456789012:role/Boundary"),
    ],
)
def test_refused_values(written: Node, parameter: str, value: str) -> None:
    """A pattern stops what could not work or would open too much."""
    assert not re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


def test_outputs(written: Node) -> None:
    """The outputs are the documented ones, each with a description."""
    assert {name: output["Value"] for name, output in written["Outputs"].items()} == OUTPUTS
    assert all(output["Description"] for output in written["Outputs"].values())


@pytest.mark.parametrize(
    ("function", "variables"),
    [
        ("RetireFunction", VARIABLES),
        ("ScheduleFunction", SCHEDULE_VARIABLES),
        ("RestoreFunction", RESTORE_VARIABLES),
    ],
)
def test_environment_variables(properties: Properties, function: str, variables: Variables) -> None:
    """A function's environment holds its settings and nothing else."""
    assert properties(function)["Environment"]["Variables"] == variables


def test_shared_settings_are_written_once(written: Node) -> None:
    """A function names what is its own and repeats nothing that `Globals` sets, but may have more time."""
    shared = written["Globals"]["Function"]
    for resource in written["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            own = resource["Properties"]
            assert own.keys() & shared.keys() <= {"Environment", "Timeout"}
            assert not own["Environment"]["Variables"].keys() & shared["Environment"]["Variables"].keys()


# Characters: what a pattern says, and the longest names that CloudFormation gives (a stack's has 128 characters).
MAX_LENGTH = {
    "EnvironmentName": 64,
    "EventBusName": 256,
    "RetryDelays": len("42000,42000,42000,42000,42000"),
    "ReminderLeadTime": len("8784"),
    **dict.fromkeys(
        ("Requests", "Scheduling", "Restores"), len("https://sqs.ap-northeast-1.amazonaws.com.cn/123456789012/") + 80
    ),
    **dict.fromkeys(
        ("RequestsArn", "SchedulingArn", "FailuresArn"), len("arn:aws-cn:sqs:ap-northeast-1:123456789012:") + 80
    ),
    "TimerRoleArn": len("arn:aws-cn:iam::123456789012:role/") + 64,
    "ScheduleGroup": 64,
    "EvidenceBucket": 63,
    "CoordinationTable": 160,
    "ResultsTopic": len("arn:aws-cn:sns:ap-northeast-1:123456789012:") + 160,
}


@pytest.mark.parametrize(
    "function", ["RetireFunction", "ScheduleFunction", "RestoreFunction", "SweepFunction", "WebhookFunction"]
)
def test_every_environment_fits(written: Node, properties: Properties, function: str) -> None:
    """Whatever the parameters are within their bounds, a function's variables fit into Lambda's 4 KB, as JSON even."""

    def longest(value: Any) -> int:  # noqa: ANN401  # a value of the template
        if isinstance(value, str | int):
            return len(str(value))
        if "Fn::If" in value:
            return max(map(longest, value["Fn::If"][1:]))
        name = value["Ref"] if "Ref" in value else "".join(value["Fn::GetAtt"])
        parameter = written["Parameters"].get(name, {})
        if "MaxLength" in parameter:
            return int(parameter["MaxLength"])
        if "MaxValue" in parameter:
            return len(str(parameter["MaxValue"]))
        return max(map(len, parameter["AllowedValues"])) if "AllowedValues" in parameter else MAX_LENGTH[name]

    variables = properties(function)["Environment"]["Variables"]
    assert sum(len(f'"{name}":"",') + longest(value) for name, value in variables.items()) <= 4096


def test_a_bound_is_told(written: Node) -> None:
    """Whoever goes over a parameter's length is told how long it may be."""
    for name, parameter in written["Parameters"].items():
        assert str(parameter.get("MaxLength", "")) in parameter.get("ConstraintDescription", ""), name


@pytest.mark.parametrize("name", ["RetirableDatamarts", "ProtectedDatamarts"])
def test_where_long_lists_go(written: Node, name: str) -> None:
    """Whoever's list does not fit into a parameter is told of the file that takes it."""
    assert "DatamartListsUri" in written["Parameters"][name]["ConstraintDescription"]


def test_defaults_are_settings(written: Node) -> None:
    """A stack with nothing but defaults and a secret has settings that the function accepts."""
    resources = {
        "EvidenceBucket": "evidence",
        "Requests": "https://sqs.eu-central-1.amazonaws.com/123456789012/requests",
        "Scheduling": "https://sqs.eu-central-1.amazonaws.com/123456789012/scheduling",
        "CoordinationTable": "coordination",
        "ResultsTopic": "arn:aws:sns:eu-central-1:123456789012:results",
        "ServiceTokenSecretArn": SECRET_ARN,
    }
    defaults = {name: str(parameter.get("Default")) for name, parameter in written["Parameters"].items()}
    environment = {
        name: value if isinstance(value, str) else (defaults | resources)[value["Ref"]]
        for name, value in (VARIABLES | {"APPROVALS_REQUIRED": "0"}).items()  # as without ApprovalSources
    }
    settings = read_settings(RetireSettings, environment)
    assert settings.mode == "plan"
    assert settings.backup_by_default
    assert not settings.require_restorable
    assert not settings.rehearse_by_default
    assert (settings.embed_map_uri, settings.datamart_lists_uri) == (None, None)
    assert (settings.retirable_datamarts, settings.protected_datamarts) == (("*",), ())
    assert settings.max_retirements_per_day == 25


def test_approvers_are_others(written: Node) -> None:
    """CloudFormation refuses the source of requests as the one source of approvals; the functions compare all."""
    (assertion,) = written["Rules"]["ApproversAreOthers"]["Assertions"]
    sources = [{"Ref": "EventSources"}, "datamart-retirement.webhook", "datamart-retirement.sweep"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Contains": [sources, {"Ref": "ApprovalSources"}]}]}
