"""The secrets that webhooks are signed with, from Secrets Manager; kept in memory, and in no message, log or `repr`."""

from base64 import b64decode
from datetime import datetime, timedelta

from retirement.aws.stored_secret import StoredSecret
from retirement.canonical import parse_json
from retirement.errors import RetirementError

# A secret that was taken out verifies nothing after this; one that was put in need not wait for it.
MAX_AGE = timedelta(minutes=5)
# However many messages come that no secret verifies, and whatever became of the last reading.
MIN_AGE = timedelta(seconds=10)

PREFIX = "whsec_"
# Bytes: "at least 24" (Standard Webhooks 1.0.0, "Signature scheme"). With less, whoever has the URL could guess it.
MIN_KEY_BYTES = 24


class StoredWebhookSecrets:
    """Read once, and again when they have become old, or when none of them verifies a message."""

    def __init__(self, secret: StoredSecret) -> None:
        self._secret = secret
        self._cached: tuple[datetime, tuple[str, ...]] | None = None
        self._failed: tuple[datetime, RetirementError] | None = None

    def known(self, now: datetime) -> tuple[str, ...]:
        """Return all secrets, one or more, as they were at most `MAX_AGE` ago.

        Raises:
            ConfigurationError: the secret cannot be read, or does not hold what it should.
            AwsCallFailed: Secrets Manager did not answer.
        """
        return self._no_older_than(MAX_AGE, now)

    def latest(self, now: datetime) -> tuple[str, ...]:
        """Return all secrets, one or more, as they were at most `MIN_AGE` ago.

        Raises:
            ConfigurationError: the secret cannot be read, or does not hold what it should.
            AwsCallFailed: Secrets Manager did not answer.
        """
        return self._no_older_than(MIN_AGE, now)

    def _no_older_than(self, age: timedelta, now: datetime) -> tuple[str, ...]:
        if self._cached is not None:
            read_at, secrets = self._cached
            if now - read_at < age:
                return secrets
        if self._failed is not None:
            failed_at, failure = self._failed
            if now - failed_at < MIN_AGE:
                raise failure.with_traceback(None)
        return self._read(now)

    def _read(self, now: datetime) -> tuple[str, ...]:
        try:
            secrets = self._usable(self._secret.text())
        except RetirementError as failure:
            self._failed = now, failure
            if not failure.retryable:  # somebody has changed it: what was kept is no longer meant
                self._cached = None
            raise
        self._cached, self._failed = (now, secrets), None
        return secrets

    def _usable(self, text: str) -> tuple[str, ...]:
        secrets = usable_secrets(text)
        if not secrets:
            raise self._secret.unusable(
                f"one or more secrets of Standard Webhooks ({PREFIX} and the base64 of at least {MIN_KEY_BYTES} bytes) "
                'and nothing else, as plain text with white space in between or as JSON {"secrets": ["..."]}'
            )
        return secrets


def usable_secrets(text: str) -> tuple[str, ...]:
    """Return all secrets in the text; none where any of them cannot be used."""
    secrets = _secrets_in(text)
    return secrets if all(map(_is_usable, secrets)) else ()


def _secrets_in(text: str) -> tuple[str, ...]:
    try:
        parsed = parse_json(text)
    except ValueError:
        return tuple(text.split())
    if not isinstance(parsed, dict):
        return tuple(text.split())
    listed = parsed.get("secrets")
    if not isinstance(listed, list):
        return ()
    return tuple(secret.strip() if isinstance(secret, str) else "" for secret in listed)


def _is_usable(secret: str) -> bool:
    """Strictly: the library skips what is no base64, and would then know another key than the sender."""
    encoded = secret.removeprefix(PREFIX)
    try:
        return len(b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= MIN_KEY_BYTES
    except ValueError:
        return False
