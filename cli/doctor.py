"""Checks what a stack needs to work: secrets, bus, queues, the owner's files, and what the caller may do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.embeds import Reading, databrain, location
from cli.errors import CommandError, Status
from cli.output import shown
from cli.session import Given
from cli.stack import Stack
from retirement.aws.datamart_lists import S3DatamartLists
from retirement.aws.embed_map import S3EmbedMap
from retirement.aws.sweep_policy_file import S3SweepPolicy
from retirement.aws.webhook_secrets import usable_secrets
from retirement.errors import RetirementError
from retirement.sweeping.intake import parse_policy
from retirement.wording import in_words

RULES = ("RequestedRule", "ScheduledRule", "CancelledRule", "RestoreRule")
MAPPINGS = ("RequestsMapping", "SchedulingMapping", "RestoresMapping")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `grade` is `ok`, `warn` or `fail`."""

    check: str
    grade: str
    what: str


class Doubt(Exception):
    """Something that works and that the owner may not have meant."""


def doctor(*, session: Given) -> int:
    """Check what the stack needs: secrets, Databrain, bus, queues, your files, and your permissions.

    Args:
        session: the run.
    """
    stack, output = session.stack, session.output
    worst = Status.OK
    for finding in _findings(stack):
        output.document({"check": finding.check, "grade": finding.grade, "what": finding.what})
        output.line(f"{finding.grade:<4}  {finding.check}: {shown(finding.what)}")
        if finding.grade == "fail":
            worst = Status.ERROR
    return worst


def _findings(stack: Stack) -> Iterator[Finding]:
    checks: list[tuple[str, Callable[[Stack], str]]] = [
        ("credentials", lambda stack: stack.caller),
        ("stack", _deployed),
        ("mode", _mode),
        ("evidence", _evidence),
        ("bus", _bus),
        *((rule, _rule(rule)) for rule in RULES),
        *((mapping, _mapping(mapping)) for mapping in MAPPINGS),
        ("coordination", _coordination),
        ("failures", _failures),
        ("Databrain", _databrain),
        ("EmbedMapUri", _embed_map),
        ("DatamartListsUri", _lists),
        ("SweepPolicyUri", _policy),
        ("WebhookSecretArn", _webhook),
        ("AlarmTopicArn", _alarms),
    ]
    for name, check in checks:
        try:
            with stack.calls():
                yield Finding(name, "ok", check(stack))
        except Doubt as doubt:
            yield Finding(name, "warn", str(doubt))
        except (CommandError, RetirementError) as error:
            yield Finding(name, "fail", str(error))
            if name in {"credentials", "stack"}:
                return  # everything else would fail in the same way


def _deployed(stack: Stack) -> str:
    return f"{stack.context.stack}, environment {stack.environment_name}"


def _mode(stack: Stack) -> str:
    if stack.is_in_plan_mode:
        raise Doubt("plan: every request is a dry run, and nothing is deleted")
    return "retire"


def _evidence(stack: Stack) -> str:
    next(iter(stack.evidence.list("retirements/")), None)
    return f"s3://{stack.bucket} can be read"


def _bus(stack: Stack) -> str:
    name = stack.output("EventBusName")
    stack.events.describe_event_bus(Name=name)
    return f"{name}, and events of the source {stack.source} are accepted"


def _rule(logical_id: str) -> Callable[[Stack], str]:
    def check(stack: Stack) -> str:
        name = stack.resource(logical_id).rpartition("|")[2]
        state = stack.events.describe_rule(Name=name, EventBusName=stack.output("EventBusName"))["State"]
        if state != "ENABLED":
            raise CommandError(f"it is {state}: events are lost; enable it with aws events enable-rule")
        return state

    return check


def _mapping(logical_id: str) -> Callable[[Stack], str]:
    def check(stack: Stack) -> str:
        state = stack.lambda_.get_event_source_mapping(UUID=stack.resource(logical_id))["State"]
        if state != "Enabled":
            raise Doubt(f"it is {state}, and what arrives waits: datamart resume")
        return state

    return check


def _coordination(stack: Stack) -> str:
    stack.dynamodb.get_item(TableName=stack.coordination_table, Key={"pk": {"S": "day#"}})
    return "the table can be read"


def _failures(stack: Stack) -> str:
    attributes = stack.sqs.get_queue_attributes(
        QueueUrl=stack.output("FailuresQueueUrl"), AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    count = int(attributes["ApproximateNumberOfMessages"])
    if count:
        raise Doubt(f"{in_words(count, 'abandoned request')}: datamart failures")
    return "none"


def _databrain(stack: Stack) -> str:
    http, client = databrain(stack, Reading())
    with http:
        datamarts = client.list_datamarts().created_at
    return f"{stack.parameter('DatabrainBaseUrl')} accepts the token, and lists {in_words(len(datamarts), 'datamart')}"


def _embed_map(stack: Stack) -> str:
    embed_map = S3EmbedMap(stack.s3, location(stack, "EmbedMapUri")).read()
    return "not set" if embed_map is None else in_words(len(embed_map.datamart_names), "embed")


def _lists(stack: Stack) -> str:
    where = location(stack, "DatamartListsUri")
    S3DatamartLists(stack.s3, where).read()
    return "not set" if where is None else "valid"


def _policy(stack: Stack) -> str:
    where = location(stack, "SweepPolicyUri")
    if where is None:
        return "not set"
    policy = parse_policy(S3SweepPolicy(stack.s3, where).read())
    return f"{in_words(len(policy.rules), 'rule')}, {'dry run' if policy.dry_run else 'not a dry run'}"


def _webhook(stack: Stack) -> str:
    arn = stack.parameter("WebhookSecretArn")
    if not arn:
        return "not set"
    known = usable_secrets(stack.secretsmanager.get_secret_value(SecretId=arn).get("SecretString", ""))
    if not known:
        raise CommandError("the secret is not one of a webhook: put a valid one into it (docs/webhook.md)")
    return in_words(len(known), "secret")


def _alarms(stack: Stack) -> str:
    topic = stack.parameter("AlarmTopicArn")
    if not topic:
        raise Doubt("not set: alarms notify nobody")
    return topic
