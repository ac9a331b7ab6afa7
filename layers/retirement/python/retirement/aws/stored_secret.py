"""A secret in Secrets Manager. No message, log or `repr` shows its text."""

import logging
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.errors import AwsCallFailed, ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Errors that a person has to fix (Secrets Manager API reference, GetSecretValue); any other may be temporary.
_CONFIGURATION_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "InvalidParameterException",
        "InvalidRequestException",
        "ResourceNotFoundException",
    }
)


class StoredSecret:
    """Reads a secret, without caching it.

    Args:
        secrets_manager: the client.
        arn: the ARN of the secret.
        setting: the template's parameter with that ARN, for messages.
        to_check: what to check if the secret cannot be read, for messages.
    """

    def __init__(self, secrets_manager: "SecretsManagerClient", arn: str, *, setting: str, to_check: str) -> None:
        self._secrets_manager = secrets_manager
        self._arn = arn
        self._setting = setting
        self._to_check = to_check
        # At DEBUG, which can be set as the function's log level, botocore logs the secret.
        logging.getLogger("botocore").setLevel(logging.INFO)

    def text(self) -> str:
        """Return the secret's text, which is empty if the secret is binary.

        Raises:
            ConfigurationError: the secret cannot be read.
            AwsCallFailed: Secrets Manager did not answer.
        """
        try:
            # At most 64 KiB (Secrets Manager user guide, "Quotas").
            return self._secrets_manager.get_secret_value(SecretId=self._arn).get("SecretString", "")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = f"{self._setting}: Secrets Manager answers {code} for {self._arn}"
            if code in _CONFIGURATION_ERRORS:
                raise ConfigurationError(f"{message}: check {self._to_check}") from None
            raise AwsCallFailed(message) from None
        except BotoCoreError as error:
            raise AwsCallFailed(f"Secrets Manager did not answer: {type(error).__name__}") from None

    def unusable(self, expected: str) -> ConfigurationError:
        """Return the error to raise if the text is not as expected; the message does not repeat the text."""
        return ConfigurationError(f"{self._setting}: the secret {self._arn} must contain {expected}")
