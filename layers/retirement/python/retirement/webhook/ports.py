"""What the webhook needs of the world."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from retirement.clock import Clock
from retirement.delivery.ports import EventBus


class WebhookSecrets(Protocol):
    """The secrets that webhooks are signed with, any of which will do."""

    def known(self, now: datetime) -> tuple[str, ...]:
        """Return all of them, one or more, as they were a few minutes ago or later.

        Raises:
            ConfigurationError: there is none, or one that is no such secret.
            AwsCallFailed: they could not be read.
        """

    def latest(self, now: datetime) -> tuple[str, ...]:
        """Return all of them, one or more, as they were a few seconds ago or later; raises the same."""


class WebhookTelemetry(Protocol):
    """What an operator sees of the webhook."""

    def about(self, retirement_id: str) -> None:
        """From here on, every line is about this retirement."""

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        """Log one request and count it: its answer, why it was not trusted, or what failed."""


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    """Everything that the webhook talks to, wired for one invocation."""

    secrets: WebhookSecrets
    event_bus: EventBus
    telemetry: WebhookTelemetry
    clock: Clock
