"""Databrain's service token, from Secrets Manager. It is kept in memory, and in no message, log or `repr`."""

import logging
from threading import Lock
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import parse_json
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.tokens import is_bearer_token

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Someone has to mend these (Secrets Manager API reference, GetSecretValue); anything else may pass.
_MENDABLE = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "InvalidParameterException",
        "InvalidRequestException",
        "ResourceNotFoundException",
    }
)


class ServiceToken:
    """Read once and kept for the life of the execution environment, until Databrain refuses it."""

    def __init__(self, secrets_manager: "SecretsManagerClient", secret_arn: str) -> None:
        self._secrets_manager = secrets_manager
        self._secret_arn = secret_arn
        self._token: str | None = None
        self._lock = Lock()
        # At DEBUG, which anyone who looks for a fault can set as the function's log level, botocore logs the secret.
        logging.getLogger("botocore").setLevel(logging.INFO)

    def value(self) -> str:
        """The token.

        Raises:
            ConfigurationError: the secret cannot be read or holds no token.
            AwsCallFailed: Secrets Manager did not answer.
        """
        with self._lock:
            if self._token is None:
                self._token = self._read()
            return self._token

    def drop(self, refused: str) -> None:
        """Forget the token that Databrain refused, unless another thread already has."""
        with self._lock:
            if self._token == refused:
                self._token = None

    def _read(self) -> str:
        try:
            # At most 64 KiB (Secrets Manager user guide, "Quotas").
            secret = self._secrets_manager.get_secret_value(SecretId=self._secret_arn).get("SecretString", "")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = f"ServiceTokenSecretArn: Secrets Manager answers {code} for {self._secret_arn}"
            if code in _MENDABLE:
                raise ConfigurationError(f"{message}: check the ARN, the role and ServiceTokenKeyArn") from None
            raise AwsCallFailed(message) from None
        except BotoCoreError as error:
            raise AwsCallFailed(f"Secrets Manager did not answer: {type(error).__name__}") from None
        token = _token_in(secret)
        if not is_bearer_token(token):
            raise ConfigurationError(
                f"ServiceTokenSecretArn: the secret {self._secret_arn} must hold the token, as plain text or as "
                'JSON {"token": "..."}, and holds neither'
            )
        return token


def _token_in(secret: str) -> str:
    try:
        parsed = parse_json(secret)
    except ValueError:
        return secret.strip()
    if not isinstance(parsed, dict):
        return secret.strip()
    token = parsed.get("token")
    return token.strip() if isinstance(token, str) else ""
