"""Each error of AWS is one line that says what to do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)

from cli.contexts import Context, Emulated
from cli.errors import CommandError, Status
from cli.main import run
from cli.stack import AwsRefused, Stack
from retirement.errors import AwsCallFailed
from tests.contract.sessions import session_with

PROD = Context("retirements", "prod", "eu-west-1")
LOCAL = Context("retirements", emulated=Emulated("https://127.0.0.1:1", "ca", "id", "key"))


def answered(code: str, message: str = "told", status: int = 400) -> ClientError:
    """An answer of AWS."""
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "ListObjectsV2")


@pytest.mark.parametrize(
    ("error", "told", "temporary"),
    [
        (
            answered("ExpiredToken"),
            "credentials have expired or are not valid (ExpiredToken): aws sso login --profile prod",
            False,
        ),
        (answered("UnrecognizedClientException"), "aws sso login --profile prod", False),
        (UnauthorizedSSOTokenError(), "the AWS credentials have expired: aws sso login --profile prod", False),
        (NoCredentialsError(), "no AWS credentials were found: sign in (aws sso login --profile prod)", False),
        (NoRegionError(), "no AWS region is set: add --region", False),
        (ProfileNotFound(profile="prod"), "check --profile, AWS_PROFILE and datamart use", False),
        (answered("AccessDenied", status=403), "AWS does not allow ListObjectsV2: told (docs/permissions.md)", False),
        (answered("403", status=403), "AWS does not allow ListObjectsV2", False),
        (answered("ThrottlingException"), "AWS throttles ListObjectsV2: try again in a moment", True),
        (answered("SlowDown", status=503), "AWS throttles ListObjectsV2", True),
        (answered("InternalError", status=500), "AWS refused ListObjectsV2: InternalError: told", True),
        (answered("NoSuchBucket", status=404), "AWS refused ListObjectsV2: NoSuchBucket: told", False),
        (EndpointConnectionError(endpoint_url="https://s3"), "AWS cannot be reached: ", True),
        (ReadTimeoutError(endpoint_url="https://s3"), "AWS cannot be reached: ", True),
    ],
)
def test_errors(error: Exception, told: str, temporary: bool) -> None:  # noqa: FBT001
    """What the SDK raises, here or in an adapter of the package, says what to do, and whether to try again."""
    adapters = AwsCallFailed("S3 failed")
    adapters.__cause__ = error
    for raised in (error, adapters):
        with pytest.raises(AwsRefused) as refused, Stack(PROD).calls():
            raise raised
        assert told in str(refused.value)
        assert refused.value.temporary is temporary


def test_the_local_stack_is_gone() -> None:
    """A local stack that does not answer is named as such."""
    with pytest.raises(AwsRefused, match="the local stack does not answer: start it again"), Stack(LOCAL).calls():
        raise EndpointConnectionError(endpoint_url="https://127.0.0.1:1")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"AWS_REGION": "eu-west-1"}, "no AWS credentials were found"),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "no AWS region is set"),
        ({"AWS_PROFILE": "missing"}, "The config profile (missing) could not be found"),
        ({"AWS_ENDPOINT_URL": "nonsense", "AWS_REGION": "eu-west-1"}, "an AWS setting of the environment or "),
    ],
)
def test_the_environment(
    variables: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Without credentials, a region or a valid setting, a command is one line and status 1."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    own = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in {**own, "DATAMART_STACK": "retirements", **variables}.items():
        monkeypatch.setenv(name, value)

    assert run(["status"]) == Status.ERROR

    captured = capsys.readouterr()
    assert told in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_another_stack() -> None:
    """A stack that is none of this project's is named; one of an earlier version is to be deployed again."""
    stack = session_with({}, None, None).stack
    vars(stack)["outputs"] = {"Other": "x"}
    with pytest.raises(CommandError, match="is not a stack of this project"):
        stack.output("RequestsQueueUrl")
    vars(stack)["outputs"] = {"EvidenceBucketName": "evidence"}
    with pytest.raises(CommandError, match="has no output RestoresQueueUrl, which a restore needs"):
        stack.output("RestoresQueueUrl", "a restore")
    with pytest.raises(CommandError, match="has no parameter Mode: it was deployed by an earlier version"):
        assert stack.is_in_plan_mode


def test_an_unforeseen_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever goes wrong is one line with the place, and no traceback."""

    def broken(_: object) -> int:
        raise RuntimeError("a defect\nof two lines")

    monkeypatch.setattr("cli.main._launched", broken)
    assert run(["status"]) == Status.ERROR
    assert capsys.readouterr().err.startswith("datamart: unexpected RuntimeError at ")


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::1:user/ops", "arn:aws:iam::1:user/ops"),
        ("arn:aws:sts::1:assumed-role/AWSReservedSSO_ops/eve@example.com", None),
        ("arn:aws:sts::1:assumed-role/ops/botocore-session-1796061209", "arn:aws:sts::1:assumed-role/ops"),
        ("arn:aws:sts::1:assumed-role/ops/aws-go-sdk-1796061209117000000", "arn:aws:sts::1:assumed-role/ops"),
        ("arn:aws:sts::1:assumed-role/ops/botocore-session-of-eve", None),
    ],
)
def test_a_person_has_one_name(arn: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session name that an SDK made up differs with each session: who requests would be another one who approves."""
    monkeypatch.setattr(Stack, "sts", SimpleNamespace(get_caller_identity=lambda: {"Arn": arn}))

    assert Stack(PROD).caller == (name or arn)
