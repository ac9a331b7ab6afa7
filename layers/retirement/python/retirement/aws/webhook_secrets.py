"""The secrets that verify webhooks, from Secrets Manager. They are in memory; no message, log or `repr` shows them."""

from base64 import b64decode
from datetime import datetime, timedelta

from retirement.aws.stored_secret import StoredSecret
from retirement.canonical import parse_json
from retirement.errors import RetirementError

# A removed secret verifies nothing after this time. A new one can be used earlier, see `latest`.
MAX_AGE = timedelta(minutes=5)
# The time between two reads, however many messages fail verification, and also if the last read failed.
MIN_AGE = timedelta(seconds=10)

PREFIX = "whsec_"
# "At least 24" (Standard Webhooks 1.0.0, "Signature scheme"). A shorter key could be guessed by whoever has the URL.
MIN_KEY_BYTES = 24


class StoredWebhookSecrets:
    """Reads the secrets once, and again when they are too old, or when none of them verifies a message."""

    def __init__(self, secret: StoredSecret) -> None:
        self._secret = secret
        self._cached: tuple[datetime, tuple[str, ...]] | None = None
        self._failed: tuple[datetime, RetirementError] | None = None

    def known(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets, at most `MAX_AGE` old."""
        return self._no_older_than(MAX_AGE, now)

    def latest(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets, at most `MIN_AGE` old."""
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
            if not failure.retryable:  # somebody has changed the secret, so the cached ones may be revoked
                self._cached = None
            raise
        self._cached, self._failed = (now, secrets), None
        return secrets

    def _usable(self, text: str) -> tuple[str, ...]:
        secrets = usable_secrets(text)
        if not secrets:
            raise self._secret.unusable(
                f"one or more secrets of Standard Webhooks ({PREFIX} and the base64 of at least {MIN_KEY_BYTES} bytes) "
                'and nothing else, as plain text separated by white space, or as JSON {"secrets": ["..."]}'
            )
        return secrets


def usable_secrets(text: str) -> tuple[str, ...]:
    """Return all secrets in the text, or none if any of them is not valid."""
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
    """Return whether a secret is valid base64: the library skips other characters, and would use another key."""
    encoded = secret.removeprefix(PREFIX)
    try:
        return len(b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= MIN_KEY_BYTES
    except ValueError:
        return False
