"""A secret in Secrets Manager. Its text is in no message, log or `repr`."""

import logging
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.errors import AwsCallFailed, ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Someone has to mend these (Secrets Manager API reference, GetSecretValue); anything else may pass.
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
    """Read anew each time.

    Args:
        secrets_manager: the client.
        arn: of the secret.
        setting: the template's parameter with that ARN, for messages.
        to_check: what to check where the secret cannot be read, for messages.
    """

    def __init__(self, secrets_manager: "SecretsManagerClient", arn: str, *, setting: str, to_check: str) -> None:
        self._secrets_manager = secrets_manager
        self._arn = arn
        self._setting = setting
        self._to_check = to_check
        # At DEBUG, which anyone who looks for a fault can set as the function's log level, botocore logs the secret.
        logging.getLogger("botocore").setLevel(logging.INFO)

    def text(self) -> str:
        """The secret's text; empty where it is bytes.

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
        """What to raise where the text is not as expected; it is not repeated."""
        return ConfigurationError(f"{self._setting}: the secret {self._arn} must hold {expected}")
