"""The deployed template on MiniStack: IAM policies, queues and function processes at work, no account, no Docker."""

import contextlib
import heapq
import io
import json
import re
import shutil
import socket
import ssl
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from botocore.session import get_session

from local.emulator import ACCESS_KEY_ID, CHECKOUT, REGION, SECRET_ACCESS_KEY, Emulator, run_emulator

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import OutputLogEventTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler.client import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

BUILT_TEMPLATE = CHECKOUT / ".aws-sam" / "build" / "template.yaml"
RUNS = CHECKOUT / ".local"
RUNNING = RUNS / "running.json"
SAM = CHECKOUT / ".venv" / "sam" / "bin" / "sam"
STACK_NAME = "datamart-retirement"
ARTIFACTS_BUCKET = "artifacts"
RETIRE: Final = "RetireFunctionName"  # outputs
SWEEP: Final = "SweepFunctionName"
SWEEP_POLICY_URI = "s3://your-bucket/sweep-policy.json"  # as in docs/sweep.md
WEBHOOK_SECRET_NAME = "databrain/webhook"  # noqa: S105 -- a name

DEPLOY_SECONDS = 180
ANSWER_SECONDS = 10
CLIENT_CONFIG = Config(
    connect_timeout=5,
    read_timeout=75,  # a synchronous invocation takes up to the function's 60 s
    retries={"mode": "standard", "total_max_attempts": 1},
    proxies={},
)


class StackError(Exception):
    """The embedded stack cannot do what it was asked: what failed, and why."""


@dataclass(frozen=True)
class PublishedResult:
    """One result as SNS delivers it to a queue (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html)."""

    message: str
    subject: str | None
    attributes: dict[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """The message, parsed."""
        document: dict[str, Any] = json.loads(self.message)
        return document


@dataclass(frozen=True)
class EvidenceObject:
    """One object of the evidence bucket."""

    body: bytes
    metadata: dict[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """The body, parsed."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(frozen=True)
class Invocation:
    """What a synchronous invocation answered; `error`: the function raised, and the payload describes that."""

    payload: Any
    error: bool


class _ClientOptions(TypedDict):
    endpoint_url: str
    verify: str
    config: Config


class EmbeddedStack:
    """A running stack. Clients act as an administrator; the function acts as its own role, with IAM enforced."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._session = boto3.Session(
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            region_name=REGION,
            botocore_session=get_session({"profile": (None, None, None, None)}),  # whatever AWS_PROFILE says
        )
        self._options: _ClientOptions = {
            "endpoint_url": emulator.endpoint,
            "verify": str(emulator.authority),
            "config": CLIENT_CONFIG,
        }

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        *,
        databrain_url: str,
        service_token: str,
        webhook_secret: str | None = None,
        sweep_policy: bytes | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Iterator[Self]:
        """Start MiniStack, deploy the built template there, and end everything afterwards.

        Args:
            databrain_url: `DatabrainBaseUrl`.
            service_token: goes into a secret, whose ARN becomes `ServiceTokenSecretArn`.
            webhook_secret: the same, for `WebhookSecretArn`; without it there is no webhook.
            sweep_policy: goes to `SWEEP_POLICY_URI`; without it there is no sweep.
            parameters: further template parameters.

        Raises:
            StackError: MiniStack did not come up, or the deployment failed. After any exception, from the caller too,
                the logs stay, and a note on the exception says where.
        """
        if not BUILT_TEMPLATE.is_file():
            raise StackError(f"{BUILT_TEMPLATE} does not exist: run `make build` first")
        with _run_folder() as folder, run_emulator(folder) as emulator:
            stack = cls(emulator)
            secret_arn = stack._first_call(service_token)
            always = {"DatabrainBaseUrl": databrain_url, "ServiceTokenSecretArn": secret_arn}
            if webhook_secret is not None:
                always["WebhookSecretArn"] = stack._keep_secret(WEBHOOK_SECRET_NAME, webhook_secret)
            if sweep_policy is not None:
                always["SweepPolicyUri"] = stack._keep_policy(sweep_policy)
            stack._deploy({**always, **(parameters or {})})
            stack._repair_event_source_mappings()
            stack._repair_schedule_permissions()
            stack._subscribe_to_results()
            yield stack

    @property
    def authority(self) -> str:
        """The certificate that its TLS is trusted by: a file's path."""
        return str(self._emulator.authority)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use the stack as its administrator, and nothing else."""
        return self._emulator.environment

    @staticmethod
    def refuse_another() -> None:
        """Make sure that no other process announces a stack: one announcement is all that there is room for.

        Raises:
            StackError: there is one that answers.
        """
        if emulator := _announced():
            raise StackError(
                f"an embedded stack is running already, at {emulator.endpoint}: use that one, or stop it with Ctrl-C "
                "in its terminal"
            )

    @contextlib.contextmanager
    def announced(self) -> Iterator[None]:
        """Let other processes find this stack meanwhile.

        Raises:
            StackError: another one is announced, and answers.
        """
        self.refuse_another()
        announcement = json.dumps(asdict(self._emulator), default=str)
        RUNNING.write_text(announcement)
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                if RUNNING.read_text() == announcement:
                    RUNNING.unlink()

    # ---- Clients ---------------------------------------------------------------------------------------------------

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """An administrator's CloudFormation client; the others alike."""
        return self._session.client("cloudformation", **self._options)

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """CloudWatch."""
        return self._session.client("cloudwatch", **self._options)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        return self._session.client("dynamodb", **self._options)

    @cached_property
    def events(self) -> "EventBridgeClient":
        """EventBridge."""
        return self._session.client("events", **self._options)

    @cached_property
    def iam(self) -> "IAMClient":
        """IAM."""
        return self._session.client("iam", **self._options)

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """Lambda."""
        return self._session.client("lambda", **self._options)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """CloudWatch Logs."""
        return self._session.client("logs", **self._options)

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        return self._session.client("s3", **self._options)

    @cached_property
    def scheduler(self) -> "EventBridgeSchedulerClient":
        """EventBridge Scheduler."""
        return self._session.client("scheduler", **self._options)

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        return self._session.client("secretsmanager", **self._options)

    @cached_property
    def sns(self) -> "SNSClient":
        """SNS."""
        return self._session.client("sns", **self._options)

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        return self._session.client("sqs", **self._options)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The template's outputs by name."""
        (stack,) = self.cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def function_name(self, function: str) -> str:
        """The name of a function that an output names, or by its logical id."""
        if function in self.outputs:
            return self.outputs[function]
        resource = self.cloudformation.describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=function)
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    # ---- Requests --------------------------------------------------------------------------------------------------

    def put_event(
        self,
        detail: Mapping[str, Any],
        *,
        source: str = "datamart.lifecycle",
        detail_type: str = "Datamart Retirement Requested",
    ) -> str:
        """Put one event on the bus, now (MiniStack takes no other time), and return its id.

        Raises:
            StackError: the bus refused it.
        """
        response = self.events.put_events(
            Entries=[
                {
                    "EventBusName": self.outputs["EventBusName"],
                    "Source": source,
                    "DetailType": detail_type,
                    "Detail": json.dumps(detail),
                }
            ]
        )
        (entry,) = response["Entries"]
        if response["FailedEntryCount"]:
            raise StackError(f"the bus refused the event: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
        return entry["EventId"]

    def put_message(self, body: str, queue: str = "RequestsQueueUrl") -> None:
        """Put a message into a queue (an output's name) past the bus: a redelivery, or what no rule would ever send."""
        self.sqs.send_message(QueueUrl=self.outputs[queue], MessageBody=body)

    def invoke(self, event: object, function: str = RETIRE) -> Invocation:
        """Invoke a function (an output's name) with an event as such, and wait for its end."""
        response = self.lambda_.invoke(FunctionName=self.function_name(function), Payload=json.dumps(event).encode())
        return Invocation(json.loads(response["Payload"].read()), error="FunctionError" in response)

    def mapping(self, function: str = "RetireFunctionName") -> "EventSourceMappingConfigurationTypeDef":
        """What takes messages out of the queue of a function (an output's name)."""
        (mapping,) = self.lambda_.list_event_source_mappings(FunctionName=self.outputs[function])["EventSourceMappings"]
        return mapping

    # ---- What came of them -----------------------------------------------------------------------------------------

    def next_result(
        self, *, retirement_id: str | None = None, restore_id: str | None = None, timeout: float = 30
    ) -> PublishedResult:
        """Take the next result out of the queue that is subscribed to the topic.

        Args:
            retirement_id: pass over the results of other retirements.
            restore_id: pass over the results of other restores, and of retirements.
            timeout: seconds.

        Raises:
            StackError: nothing came in time; carries the last lines of the logs.
        """
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            for result in self.results(wait_seconds=min(int(left) + 1, 20)):
                told = result.document
                is_it = retirement_id in (None, told.get("retirementId"))
                if is_it and restore_id in (None, told.get("restoreId")):
                    return result
        raise StackError(
            f"no result within {timeout} s (retirementId {retirement_id or 'any'}, restoreId {restore_id or 'any'}).\n"
            + "\n".join(["The retire function's last lines:", *self.function_log()[-20:]])
            + "\n".join(["", "The schedule function's:", *self.function_log(function="ScheduleFunctionName")[-20:]])
            + "\n".join(["", "The restore function's:", *self.function_log(function="RestoreFunctionName")[-20:]])
            + "\n".join(["", "MiniStack's last lines:", *self._emulator.log.read_text().splitlines()[-20:]])
        )

    def results(self, wait_seconds: int) -> Iterator[PublishedResult]:
        """Take what is published by now, or in so many seconds (at most 20), out of that queue."""
        response = self.sqs.receive_message(
            QueueUrl=self._results_queue_url, MaxNumberOfMessages=1, WaitTimeSeconds=wait_seconds
        )
        for message in response.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self._results_queue_url, ReceiptHandle=message["ReceiptHandle"])
            yield _published(message["Body"])

    def evidence(self, prefix: str = "") -> dict[str, EvidenceObject]:
        """The current objects of the evidence bucket by key, in key order."""
        bucket = self.outputs["EvidenceBucketName"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = {}
        for key in sorted(entry["Key"] for page in pages for entry in page.get("Contents", [])):
            response = self.s3.get_object(Bucket=bucket, Key=key)
            objects[key] = EvidenceObject(response["Body"].read(), response["Metadata"])
        return objects

    def timers(self) -> list[str]:
        """The names of the timers that are set."""
        pages = self.scheduler.get_paginator("list_schedules").paginate(GroupName=self.outputs["ScheduleGroupName"])
        return [timer["Name"] for page in pages for timer in page["Schedules"]]

    def function_log(self, since: datetime | None = None, function: str = RETIRE) -> list[str]:
        """A function's log lines, in order; those of an invocation are there when it has ended."""
        return self.log(f"/aws/lambda/{self.function_name(function)}", since)

    def steps_of(self, retirement_id: str, since: datetime, timeout: float = 10) -> list[dict[str, Any]]:
        """What the functions of queues logged about a retirement until its result was published, in order.

        The log comes after the result: MiniStack writes an invocation's lines once it has ended.

        Args:
            retirement_id: the retirement.
            since: what was logged before is left out.
            timeout: seconds; then what there is by now.
        """
        deadline = time.monotonic() + timeout
        while True:
            found: list[dict[str, Any]] = []
            for function in ("ScheduleFunctionName", "RetireFunctionName", "RestoreFunctionName"):
                logged = [json.loads(line) for line in self.function_log(since, function) if line.startswith("{")]
                invocations = {
                    line["function_request_id"] for line in logged if line.get("retirementId") == retirement_id
                }
                found += [line for line in logged if line.get("function_request_id") in invocations]
            if any(line["message"] == "published" for line in found) or time.monotonic() > deadline:
                return sorted(found, key=itemgetter("timestamp"))
            time.sleep(0.1)

    def log(self, group: str, since: datetime | None = None) -> list[str]:
        """The lines of a log group, in order.

        Stream by stream: of a whole group MiniStack gives out the first 10,000 and no token for more.
        """
        begin = 0 if since is None else int(since.timestamp() * 1000)
        pages = self.logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
        streams = [stream for page in pages for stream in page["logStreams"]]
        # MiniStack, unlike AWS, knows at once when a stream was last written to. Each cold start leaves another stream.
        names = [stream["logStreamName"] for stream in streams if stream.get("lastEventTimestamp", begin) >= begin]
        events = heapq.merge(*(self._stream(group, name, begin) for name in names), key=itemgetter("timestamp"))
        return [event["message"] for event in events]

    def _stream(self, group: str, name: str, begin: int) -> "Iterator[OutputLogEventTypeDef]":
        page = self.logs.get_log_events(logGroupName=group, logStreamName=name, startTime=begin, startFromHead=True)
        while page["events"]:
            yield from page["events"]
            page = self.logs.get_log_events(
                logGroupName=group, logStreamName=name, startTime=begin, nextToken=page["nextForwardToken"]
            )

    def redrive(self) -> int:
        """Move all of `Failures` to `Scheduling`, as SQS's own redrive does, which MiniStack does not have.

        Returns:
            How many requests were sent again.
        """
        failures, moved = self.outputs["FailuresQueueUrl"], 0
        while messages := self.sqs.receive_message(QueueUrl=failures, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages"
        ):
            for message in messages:
                self.put_message(message["Body"], "SchedulingQueueUrl")
                self.sqs.delete_message(QueueUrl=failures, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return moved

    def purge(self) -> None:
        """Forget every message: requests (those in work too), failures and results."""
        names = ("RequestsQueueUrl", "SchedulingQueueUrl", "RestoresQueueUrl", "FailuresQueueUrl")
        queues = (self.outputs[name] for name in names)
        for url in (*queues, self._results_queue_url):
            self.sqs.purge_queue(QueueUrl=url)

    # ---- Other circumstances ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def settings(self, function: str = RETIRE, /, **variables: str | None) -> Iterator[None]:
        """Run a function with other environment variables (None: without that one), from a cold start."""
        name = self.function_name(function)
        deployed = self.lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        changed = {key: value for key, value in (deployed | variables).items() if value is not None}
        self.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
        try:
            yield
        finally:
            self.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": deployed})

    @contextlib.contextmanager
    def requiring(self, approvals: int) -> Iterator[None]:
        """Require so many approvals of a deletion; the stack has to have ApprovalSources."""
        variables = {"APPROVALS_REQUIRED": str(approvals)}
        with self.settings(RETIRE, **variables), self.settings("ScheduleFunctionName", **variables):
            yield

    @contextlib.contextmanager
    def without_permission(self, action: str, function: str = RETIRE) -> Iterator[None]:
        """Run a function without one action in its role's own policies, from a cold start.

        Raises:
            StackError: no statement names that action.
        """
        role = self.role_name(function)
        policies = self._role_policies(role)
        if not any(action in _actions(statement) for policy in policies.values() for statement in policy["Statement"]):
            raise StackError(f"no statement of the role {role} names {action}")
        reduced = {name: _without_action(policy, action) for name, policy in policies.items()}
        self._put_role_policies(role, reduced)
        try:
            with self.settings(function):
                yield
        finally:
            self._put_role_policies(role, policies)

    def _role_policies(self, role: str) -> dict[str, Any]:
        return {
            name: self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        }

    def _put_role_policies(self, role: str, policies: Mapping[str, Any]) -> None:
        for name, policy in policies.items():
            self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))

    def role_name(self, function: str = RETIRE) -> str:
        """Of a function's own role."""
        configuration = self.lambda_.get_function_configuration(FunctionName=self.function_name(function))
        return configuration["Role"].rsplit("/", 1)[-1]

    # ---- Deployment ------------------------------------------------------------------------------------------------

    def _first_call(self, service_token: str) -> str:
        """Keep the service token as a secret; the first call also tells whether MiniStack has come up."""
        try:
            return self._keep_secret("databrain-service-token", service_token)
        except BotoCoreError as error:
            raise StackError(f"MiniStack did not start: {error}") from error

    def _keep_secret(self, name: str, text: str) -> str:
        return self.secretsmanager.create_secret(Name=name, SecretString=text)["ARN"]

    def _keep_policy(self, policy: bytes) -> str:
        place = urlsplit(SWEEP_POLICY_URI)
        self.s3.create_bucket(Bucket=place.netloc, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_object(Bucket=place.netloc, Key=place.path.removeprefix("/"), Body=policy)
        return SWEEP_POLICY_URI

    def _deploy(self, parameters: Mapping[str, str]) -> None:
        """Create the stack; not with the SAM CLI, which takes seconds: tests/stack/test_deploy_page.py has that."""
        self.s3.create_bucket(Bucket=ARTIFACTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        template = re.sub(
            r"\b((?:Code|Content)Uri): (\w+)$",
            lambda uri: f"{uri[1]}: {self._upload(BUILT_TEMPLATE.parent / uri[2])}",
            BUILT_TEMPLATE.read_text(),
            flags=re.MULTILINE,
        )
        self.s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=BUILT_TEMPLATE.name, Body=template.encode())
        try:
            self.cloudformation.create_stack(
                StackName=STACK_NAME,
                TemplateURL=f"{self._emulator.endpoint}/{ARTIFACTS_BUCKET}/{BUILT_TEMPLATE.name}",
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            )
            self.cloudformation.get_waiter("stack_create_complete").wait(
                StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": DEPLOY_SECONDS}
            )
        except (ClientError, WaiterError) as error:
            raise StackError(f"the deployment failed: {'; '.join(self._failed_resources() or [str(error)])}") from error

    def _upload(self, folder: Path) -> str:
        """Upload what is in a folder as an archive, and return where it is."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as files:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                files.write(file, file.relative_to(folder))
        self.s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=folder.name, Body=archive.getvalue())
        return f"s3://{ARTIFACTS_BUCKET}/{folder.name}"

    def _failed_resources(self) -> list[str]:
        try:
            events = self.cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        except ClientError:  # there is no stack: the command says why
            return []
        return [
            f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
            for event in reversed(events)
            if event.get("ResourceStatus", "").endswith("_FAILED")
        ]

    def _repair_event_source_mappings(self) -> None:
        """Set `MaximumConcurrency` again: a template's parameter reaches MiniStack's poller as text and stops it."""
        for mapping in self.lambda_.list_event_source_mappings()["EventSourceMappings"]:
            if scaling := mapping.get("ScalingConfig"):
                self.lambda_.update_event_source_mapping(
                    UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(scaling["MaximumConcurrency"])}
                )

    def _repair_schedule_permissions(self) -> None:
        """Allow the same in the group `default`: MiniStack takes every schedule to be in that one when it asks IAM."""
        role = self.role_name("ScheduleFunctionName")
        group = self.outputs["ScheduleGroupName"]
        for name, policy in self._role_policies(role).items():
            for statement in policy["Statement"]:
                if str(statement["Resource"]).endswith(f":schedule/{group}/*"):
                    meant = statement["Resource"]
                    statement["Resource"] = [meant, meant.replace(f"/{group}/", "/default/")]
            self._put_role_policies(role, {name: policy})

    def _subscribe_to_results(self) -> None:
        topic_arn = self.outputs["ResultsTopicArn"]
        queue = self.sqs.get_queue_attributes(QueueUrl=self._results_queue_url, AttributeNames=["QueueArn"])
        queue_arn = queue["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self._results_queue_url, Attributes={"Policy": policy})
        self.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)

    @cached_property
    def _results_queue_url(self) -> str:
        return self.sqs.create_queue(QueueName="results")["QueueUrl"]


def _published(body: str) -> PublishedResult:
    """What came by the topic; what somebody has put into the queue past it is shown as it is."""
    notification: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        notification = json.loads(body)
    if not isinstance(notification, dict) or "Message" not in notification:
        return PublishedResult(body, None, {})
    attributes = notification.get("MessageAttributes", {})
    return PublishedResult(
        notification["Message"],
        notification.get("Subject"),
        {name: attribute["Value"] for name, attribute in attributes.items()},
    )


def _announced() -> Emulator | None:
    """The emulator of the stack that is announced, unless nothing answers there any more."""
    try:
        kept = json.loads(RUNNING.read_text())
        emulator = Emulator(kept["endpoint"], Path(kept["authority"]), kept["environment"], Path(kept["log"]))
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # also where a full disk has cut it
        return None
    return emulator if _answers(emulator) else None


def _answers(emulator: Emulator) -> bool:
    """Whether it is that one: its port may be another program's by now."""
    address = urlsplit(emulator.endpoint)
    try:
        trusted = ssl.create_default_context(cafile=emulator.authority)
        with (
            socket.create_connection((address.hostname, address.port), ANSWER_SECONDS) as connection,
            trusted.wrap_socket(connection, server_hostname=address.hostname),
        ):
            return True
    except OSError:  # the authority's file is gone, too, where the stack has ended in order
        return False


@contextlib.contextmanager
def _run_folder() -> Iterator[Path]:
    """A folder of this run's own; what stays of it after a failure are the logs."""
    RUNS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="stack-", dir=RUNS))
    kept = ""
    try:
        yield folder
    except Exception as error:
        kept = ".log"
        error.add_note(f"The logs of this run are in {folder}")
        raise
    finally:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.suffix != kept:
                entry.unlink()
        if not kept:
            folder.rmdir()


def _without_action(policy: Any, action: str) -> dict[str, Any]:  # noqa: ANN401 -- the stubs have no type for a policy
    """The policy without one action; a statement that names nothing else goes with it."""
    kept = [
        {**statement, "Action": [other for other in _actions(statement) if other != action]}
        for statement in policy["Statement"]
        if _actions(statement) != [action]
    ]
    return {**policy, "Statement": kept}


def _actions(statement: Mapping[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions
