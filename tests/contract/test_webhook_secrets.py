"""The secrets that webhooks are signed with, out of Secrets Manager."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.stored_secret import StoredSecret
from retirement.aws.webhook_secrets import MIN_AGE, StoredWebhookSecrets
from retirement.errors import ConfigurationError
from tests.fakes import START

pytestmark = pytest.mark.xdist_group("ministack")

ONE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
def keep(aws: EmbeddedStack) -> Callable[[str], str]:
    """Keep a text as a secret of its own, and return the secret's ARN."""
    return lambda text: aws.secretsmanager.create_secret(Name=f"webhook-{uuid4()}", SecretString=text)["ARN"]


def secrets_in(aws: EmbeddedStack, arn: str) -> StoredWebhookSecrets:
    """The adapter."""
    stored = StoredSecret(aws.secretsmanager, arn, setting="WebhookSecretArn", to_check="the ARN and the role")
    return StoredWebhookSecrets(stored)


@pytest.mark.parametrize("text", [f"{ONE}\n{OTHER}\n", json.dumps({"secrets": [ONE, OTHER]})])
def test_a_secret_as_text_or_as_json(aws: EmbeddedStack, keep: Callable[[str], str], text: str) -> None:
    """Several secrets are read from plain text and from JSON."""
    assert secrets_in(aws, keep(text)).known(START) == (ONE, OTHER)


def test_rotation(aws: EmbeddedStack, keep: Callable[[str], str]) -> None:
    """A new version of the secret is read when it is asked for, and not before."""
    arn = keep(ONE)
    secrets = secrets_in(aws, arn)
    secrets.known(START)
    aws.secretsmanager.put_secret_value(SecretId=arn, SecretString=f"{ONE} {OTHER}")
    assert secrets.known(START + MIN_AGE) == (ONE,)
    assert secrets.latest(START + MIN_AGE) == (ONE, OTHER)


def test_a_binary_secret(aws: EmbeddedStack) -> None:
    """A secret of bytes holds none."""
    arn = aws.secretsmanager.create_secret(Name=f"webhook-{uuid4()}", SecretBinary=ONE.encode())["ARN"]
    with pytest.raises(ConfigurationError, match="must contain one or more secrets"):
        secrets_in(aws, arn).known(START)


def test_a_missing_secret(aws: EmbeddedStack) -> None:
    """A secret that is not there is a wrong setting."""
    arn = f"arn:aws:secretsmanager:eu-central-1:000000000000:secret:nowhere-{uuid4()}"
    with pytest.raises(ConfigurationError, match=r"WebhookSecretArn: .*ResourceNotFoundException"):
        secrets_in(aws, arn).known(START)


def test_a_secret_that_is_deleted_meanwhile(aws: EmbeddedStack, keep: Callable[[str], str]) -> None:
    """A secret that is marked for deletion verifies nothing, as soon as that is seen."""
    arn = keep(ONE)
    secrets = secrets_in(aws, arn)
    secrets.known(START)
    aws.secretsmanager.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    for question in (secrets.latest, secrets.known):
        with pytest.raises(ConfigurationError, match=r"WebhookSecretArn: .*InvalidRequestException"):
            question(START + MIN_AGE + timedelta(seconds=1))
