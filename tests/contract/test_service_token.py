"""The service token, out of Secrets Manager."""

import json
import traceback
from collections.abc import Callable
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.service_token import ServiceToken
from retirement.errors import ConfigurationError

pytestmark = pytest.mark.xdist_group("ministack")

TOKEN = "0b9cf1d4-0000-4000-8000-made-up-token"
OTHER = "0b9cf1d4-1111-4000-8000-made-up-token"


@pytest.fixture
def secret(aws: EmbeddedStack) -> Callable[[str], str]:
    """Keep a text as a secret of its own, and return the secret's ARN."""
    return lambda text: aws.secretsmanager.create_secret(Name=f"token-{uuid4()}", SecretString=text)["ARN"]


def told_by(error: BaseException) -> str:
    """All that an error and what led to it tell."""
    return "".join(traceback.format_exception(error)) + repr(error.__context__)


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"  {TOKEN}\n",
        json.dumps({"token": TOKEN}),
        json.dumps({"token": f" {TOKEN}\n", "kept by": "the platform team"}, indent=2),
    ],
)
def test_a_secret_as_text_or_as_json(aws: EmbeddedStack, secret: Callable[[str], str], text: str) -> None:
    """The token is the secret's text or the `token` of its JSON, without the white space around it."""
    assert ServiceToken(aws.secretsmanager, secret(text)).value() == TOKEN


@pytest.mark.parametrize("text", ["12345678", "null", "true", "1e5"])
def test_json_that_is_no_object_is_text(aws: EmbeddedStack, secret: Callable[[str], str], text: str) -> None:
    """A token that happens to be JSON is a token all the same."""
    assert ServiceToken(aws.secretsmanager, secret(text)).value() == text


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "{}",
        '{"Token": "made-up"}',
        '{"token": ""}',
        '{"token": null}',
        '{"token": 7}',
        '{"token": ["made-up"]}',
        '"made-up"',
        '["made-up"]',
        '{"token":"made-up","db_password":"made-up",}',
        '{"token":"made-up","token":"made-up-too"}',
        "TOKEN=made-up",
        "made-up two words",
        "made-up\nline",
        "made-up-schlüssel",
        '{"token": "made-up\\u0000"}',
    ],
)
def test_a_secret_without_a_token(aws: EmbeddedStack, secret: Callable[[str], str], text: str) -> None:
    """A secret that holds no token that a header could carry is named with its setting, and not repeated."""
    arn = secret(text)
    with pytest.raises(ConfigurationError, match="ServiceTokenSecretArn") as caught:
        ServiceToken(aws.secretsmanager, arn).value()
    assert arn in str(caught.value)
    assert "made-up" not in told_by(caught.value)


def test_a_binary_secret(aws: EmbeddedStack) -> None:
    """A secret of bytes holds no token."""
    arn = aws.secretsmanager.create_secret(Name=f"token-{uuid4()}", SecretBinary=TOKEN.encode())["ARN"]
    with pytest.raises(ConfigurationError, match="must contain the token"):
        ServiceToken(aws.secretsmanager, arn).value()


def test_a_missing_secret(aws: EmbeddedStack) -> None:
    """A secret that is not there is a wrong setting."""
    arn = f"arn:aws:secretsmanager:eu-central-1:000000000000:secret:nowhere-{uuid4()}"
    with pytest.raises(ConfigurationError, match=r"ServiceTokenSecretArn: .*ResourceNotFoundException"):
        ServiceToken(aws.secretsmanager, arn).value()


def test_a_secret_that_is_being_deleted(aws: EmbeddedStack, secret: Callable[[str], str]) -> None:
    """A secret that is marked for deletion is a wrong setting, too."""
    arn = secret(TOKEN)
    aws.secretsmanager.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    with pytest.raises(ConfigurationError, match=r"ServiceTokenSecretArn: .*InvalidRequestException"):
        ServiceToken(aws.secretsmanager, arn).value()


def test_it_is_read_once(aws: EmbeddedStack, secret: Callable[[str], str]) -> None:
    """A token is kept until it is refused, and a rotated one is read then."""
    arn = secret(TOKEN)
    token = ServiceToken(aws.secretsmanager, arn)
    assert token.value() == TOKEN
    aws.secretsmanager.put_secret_value(SecretId=arn, SecretString=OTHER)
    assert token.value() == TOKEN
    token.drop(TOKEN)
    assert token.value() == OTHER


def test_a_late_drop(aws: EmbeddedStack, secret: Callable[[str], str]) -> None:
    """Dropping a token that has already been replaced keeps the new one."""
    arn = secret(TOKEN)
    token = ServiceToken(aws.secretsmanager, arn)
    token.value()
    aws.secretsmanager.put_secret_value(SecretId=arn, SecretString=OTHER)
    token.drop(TOKEN)
    token.value()
    aws.secretsmanager.put_secret_value(SecretId=arn, SecretString="a-third-one")
    token.drop(TOKEN)
    assert token.value() == OTHER


def test_it_shows_no_token(aws: EmbeddedStack, secret: Callable[[str], str]) -> None:
    """The adapter's `repr` does not show what it holds."""
    token = ServiceToken(aws.secretsmanager, secret(TOKEN))
    token.value()
    assert TOKEN not in f"{token!r} {token}"
