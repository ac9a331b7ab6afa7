"""The webhook function's settings: parameters and resources of template.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass

from retirement.environment import _arn, _text


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """All settings of the webhook function."""

    environment_name: str
    webhook_secret_arn: str
    event_bus_name: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "WebhookSettings":
        """Read and check every variable.

        Raises:
            ConfigurationError: one is missing, empty or wrong; the message names it.
        """
        return cls(
            environment_name=_text(environment, "ENVIRONMENT_NAME"),
            webhook_secret_arn=_arn(environment, "WEBHOOK_SECRET_ARN"),
            event_bus_name=_text(environment, "EVENT_BUS_NAME"),
        )
