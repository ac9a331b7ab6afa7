"""A deployed stack: the one place that talks to AWS, and that turns AWS's errors into one line each."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as ConnectionFailed,
)

from cli.contexts import Context
from cli.errors import CommandError
from retirement.aws.event_bus import EventBridgeBus
from retirement.aws.evidence import S3Evidence
from retirement.errors import AwsCallFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

# Seconds: a person waits, and a sweep that is invoked synchronously takes up to 900.
_QUICK = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5})
_PATIENT = Config(connect_timeout=5, read_timeout=910, retries={"mode": "standard", "total_max_attempts": 1})

MAX_REQUESTED_BY = 256
# It differs with each session, and whoever approves has to be recognised as whoever has requested.
_MADE_UP_SESSION = re.compile("/(botocore-session-|aws-go-sdk-)?[0-9]{10,}$")

_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class AwsRefused(CommandError):
    """A call to AWS failed.

    Attributes:
        temporary: whether the same call can succeed a moment later.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class Stack:
    """The stack of a context. Everything that is read of it is read once, when it is needed.

    Every property and method raises `AwsRefused` or another `CommandError`, never an error of the SDK.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._client = cache(self._make_client)

    # ---- Clients ---------------------------------------------------------------------------------------------------

    @property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation; the other clients alike."""
        return cast("CloudFormationClient", self._client("cloudformation"))

    @property
    def cloudwatch(self) -> "CloudWatchClient":
        """CloudWatch."""
        return cast("CloudWatchClient", self._client("cloudwatch"))

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        return cast("DynamoDBClient", self._client("dynamodb"))

    @property
    def events(self) -> "EventBridgeClient":
        """EventBridge."""
        return cast("EventBridgeClient", self._client("events"))

    @property
    def lambda_(self) -> "LambdaClient":
        """Lambda."""
        return cast("LambdaClient", self._client("lambda"))

    @property
    def s3(self) -> "S3Client":
        """S3."""
        return cast("S3Client", self._client("s3"))

    @property
    def secretsmanager(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        return cast("SecretsManagerClient", self._client("secretsmanager"))

    @property
    def sqs(self) -> "SQSClient":
        """SQS."""
        return cast("SQSClient", self._client("sqs"))

    @property
    def sts(self) -> "STSClient":
        """STS."""
        return cast("STSClient", self._client("sts"))

    def _make_client(self, service: str) -> object:
        emulated = self.context.emulated
        options: dict[str, Any] = {"config": _PATIENT if service == "lambda" else _QUICK}
        if emulated:
            options["config"] = options["config"].merge(Config(proxies={}))
            options |= {"endpoint_url": emulated.endpoint, "verify": emulated.authority}
        with self.calls():
            try:
                return self._session.client(service, **options)  # type: ignore[call-overload]  # any of the above
            except ValueError as error:  # botocore's own errors are none of these
                raise CommandError(
                    f"an AWS setting of the environment or the profile cannot be used: {error}"
                ) from None

    @cached_property
    def _session(self) -> boto3.Session:
        emulated = self.context.emulated
        if emulated:
            from botocore.session import get_session  # noqa: PLC0415  # only for the emulator

            return boto3.Session(
                aws_access_key_id=emulated.access_key_id,
                aws_secret_access_key=emulated.secret_access_key,
                region_name=self.context.region,
                botocore_session=get_session({"profile": (None, None, None, None)}),  # whatever AWS_PROFILE says
            )
        return boto3.Session(profile_name=self.context.profile, region_name=self.context.region)

    # ---- What the stack is -----------------------------------------------------------------------------------------

    @cached_property
    def _description(self) -> Mapping[str, Any]:
        try:
            with self.calls():
                return self.cloudformation.describe_stacks(StackName=self.context.stack)["Stacks"][0]
        except AwsRefused as refused:
            if "does not exist" not in str(refused):
                raise
            where = self.cloudformation.meta.region_name
            raise CommandError(
                f"there is no stack {self.context.stack} in {where}: check --stack, --profile and --region"
            ) from None

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The outputs by name."""
        return {each["OutputKey"]: each["OutputValue"] for each in self._description.get("Outputs", [])}

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The parameters by name; of those that come from Parameter Store, the value."""
        listed = self._description.get("Parameters", [])
        return {each["ParameterKey"]: each.get("ResolvedValue", each.get("ParameterValue", "")) for each in listed}

    def output(self, name: str, needed_for: str = "this command") -> str:
        """Return an output.

        Raises:
            CommandError: the stack is another one, or of an earlier version, or deployed without it.
        """
        if name in self.outputs:
            return self.outputs[name]
        if "EvidenceBucketName" not in self.outputs:
            raise CommandError(f"{self.context.stack} is not a stack of this project: check --stack")
        raise CommandError(
            f"the stack {self.context.stack} has no output {name}, which {needed_for} needs: it is deployed without it "
            "or by an earlier version; deploy it again"
        )

    def parameter(self, name: str) -> str:
        """Return a parameter.

        Raises:
            CommandError: the stack is another one, or of an earlier version.
        """
        self.output("EvidenceBucketName")
        if name in self.parameters:
            return self.parameters[name]
        raise CommandError(
            f"the stack {self.context.stack} has no parameter {name}: it was deployed by an earlier version; "
            "deploy it again"
        )

    def resource(self, logical_id: str) -> str:
        """Return the physical ID of a resource."""
        with self.calls():
            answer = self.cloudformation.describe_stack_resource(
                StackName=self.context.stack, LogicalResourceId=logical_id
            )
        return answer["StackResourceDetail"].get("PhysicalResourceId", "")

    @property
    def environment_name(self) -> str:
        """The stack's `EnvironmentName`."""
        return self.parameter("EnvironmentName")

    @property
    def is_in_plan_mode(self) -> bool:
        """Whether every request is a dry run."""
        return self.parameter("Mode") == "plan"

    @property
    def requires_approval(self) -> bool:
        """Whether another person has to approve each deletion."""
        return bool(self.parameters.get("ApprovalSources"))

    @property
    def source(self) -> str:
        """The source of events that the stack accepts."""
        return self.parameter("EventSources").split(",")[0].strip()

    @cached_property
    def bucket(self) -> str:
        """The name of the evidence bucket."""
        return self.output("EvidenceBucketName")

    @cached_property
    def evidence(self) -> S3Evidence:
        """The evidence bucket."""
        return S3Evidence(self.s3, self.bucket)

    @cached_property
    def coordination_table(self) -> str:
        """The name of the coordination table."""
        return self.outputs.get("CoordinationTableName") or self.resource("CoordinationTable")

    @cached_property
    def bus(self) -> EventBridgeBus:
        """The bus that requests are sent to."""
        return EventBridgeBus(self.events, self.output("EventBusName"))

    @cached_property
    def caller(self) -> str:
        """Who is signed in, as requests name it: the identity's ARN, without a session name that an SDK made up."""
        with self.calls():
            return _MADE_UP_SESSION.sub("", self.sts.get_caller_identity()["Arn"])[:MAX_REQUESTED_BY]

    # ---- Errors ----------------------------------------------------------------------------------------------------

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Raise errors of the SDK, and of the package's adapters, as `AwsRefused`."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error) from error
        except AwsCallFailed as failed:
            cause = failed.__cause__
            if isinstance(cause, (ClientError, BotoCoreError)):
                raise self._explained(cause) from failed
            raise AwsRefused(str(failed), temporary=failed.retryable) from failed

    def _explained(self, error: ClientError | BotoCoreError) -> AwsRefused:
        sign_in = "aws sso login" + (f" --profile {self.context.profile}" if self.context.profile else "")
        if isinstance(error, ClientError):
            return self._answered(error, sign_in)
        match error:
            case NoCredentialsError() | PartialCredentialsError():
                return AwsRefused(f"no AWS credentials were found: sign in ({sign_in}), or set AWS_PROFILE")
            case NoRegionError():
                return AwsRefused("no AWS region is set: add --region, or set AWS_REGION")
            case ProfileNotFound():
                return AwsRefused(f"{error}: check --profile, AWS_PROFILE and datamart use")
            case SSOError() | TokenRetrievalError():
                return AwsRefused(f"the AWS credentials have expired: {sign_in}")
            case ConnectionFailed() | HTTPClientError() if self.context.emulated:
                return AwsRefused("the local stack does not answer: start it again with make local")
            case ConnectionFailed() | HTTPClientError():
                return AwsRefused(f"AWS cannot be reached: {error}", temporary=True)
        return AwsRefused(f"the AWS SDK failed: {type(error).__name__}: {error}")

    def _answered(self, error: ClientError, sign_in: str) -> AwsRefused:
        details = error.response.get("Error", {})
        code, said = str(details.get("Code", "")), str(details.get("Message", ""))
        if code in _EXPIRED:
            return AwsRefused(f"the AWS credentials have expired or are not valid ({code}): {sign_in}")
        if code in _DENIED or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:  # noqa: PLR2004
            return AwsRefused(f"AWS does not allow {error.operation_name}: {said or code} (docs/permissions.md)")
        if code in _THROTTLED:
            return AwsRefused(f"AWS throttles {error.operation_name}: try again in a moment", temporary=True)
        return AwsRefused(f"AWS refused {error.operation_name}: {code}: {said}", temporary=_is_temporary(error))


def _is_temporary(error: ClientError) -> bool:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500  # noqa: PLR2004
