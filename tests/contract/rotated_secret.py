"""A Secrets Manager of one secret, which somebody rotates."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from retirement.aws.service_token import ServiceToken
from retirement.aws.stored_secret import StoredSecret
from retirement.aws.webhook_secrets import StoredWebhookSecrets

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class RotatedSecret:
    """Answers GetSecretValue with `value`, and counts how often it was asked."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.reads = 0
        self.before_read: Callable[[], None] = lambda: None

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803  # the SDK's name
        """The secret as it is now."""
        self.before_read()
        self.reads += 1
        return {"ARN": SecretId, "SecretString": self.value}

    def token(self) -> ServiceToken:
        """The adapter, on this secret."""
        secrets_manager = cast("SecretsManagerClient", self)
        return ServiceToken(secrets_manager, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain")

    def webhook_secrets(self) -> StoredWebhookSecrets:
        """The adapter for what signs webhooks, on this secret."""
        secrets_manager = cast("SecretsManagerClient", self)
        arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook"
        return StoredWebhookSecrets(
            StoredSecret(secrets_manager, arn, setting="WebhookSecretArn", to_check="the ARN and the role")
        )
