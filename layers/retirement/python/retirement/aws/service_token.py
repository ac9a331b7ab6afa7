"""Databrain's service token, from Secrets Manager. It is only in memory: no message, log or `repr` shows it."""

from threading import Lock
from typing import TYPE_CHECKING

from retirement.aws.stored_secret import StoredSecret
from retirement.canonical import parse_json
from retirement.databrain.tokens import is_bearer_token

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class ServiceToken:
    """Reads the token once for an execution environment, and again after Databrain has refused it."""

    def __init__(self, secrets_manager: "SecretsManagerClient", secret_arn: str) -> None:
        self._secret = StoredSecret(
            secrets_manager,
            secret_arn,
            setting="ServiceTokenSecretArn",
            to_check="the ARN, the role and ServiceTokenKeyArn",
        )
        self._token: str | None = None
        self._lock = Lock()

    def value(self) -> str:
        """Return the token.

        Raises:
            ConfigurationError: the secret cannot be read or contains no token.
            AwsCallFailed: Secrets Manager did not answer.
        """
        with self._lock:
            if self._token is None:
                self._token = self._read()
            return self._token

    def drop(self, refused: str) -> None:
        """Forget this token, unless another thread has already replaced it."""
        with self._lock:
            if self._token == refused:
                self._token = None

    def _read(self) -> str:
        token = _token_in(self._secret.text())
        if not is_bearer_token(token):
            raise self._secret.unusable(
                'the token, as plain text or as JSON {"token": "..."}; a token consists of letters, digits and -._~+/, '
                "and may end with = (RFC 6750)"
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
