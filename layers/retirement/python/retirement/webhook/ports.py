"""The ports of the webhook."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from retirement.clock import Clock
from retirement.delivery.ports import EventBus


class WebhookSecrets(Protocol):
    """The secrets that verify webhooks; a signature with any of them is valid."""

    def known(self, now: datetime) -> tuple[str, ...]:
        """Return all secrets, one or more, at most a few minutes old.

        Raises:
            ConfigurationError: there is no secret, or one is not valid.
            AwsCallFailed: the secrets could not be read.
        """

    def latest(self, now: datetime) -> tuple[str, ...]:
        """Return all secrets, one or more, at most a few seconds old; raises like `known`."""


class WebhookTelemetry(Protocol):
    """Logs and metrics of the webhook."""

    def about(self, retirement_id: str) -> None:
        """Add the ID of the retirement to every line from here on."""

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        """Log and count one request, with its status, why its signature is invalid, or the error."""


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    """The ports of one invocation."""

    secrets: WebhookSecrets
    event_bus: EventBus
    telemetry: WebhookTelemetry
    clock: Clock
