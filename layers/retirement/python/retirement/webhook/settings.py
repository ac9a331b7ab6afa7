"""The settings of the webhook function."""

from dataclasses import dataclass

from retirement.environment import FunctionSettings, arn, text, variable


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(FunctionSettings):
    """All settings of the webhook function."""

    webhook_secret_arn: str = variable(arn)
    event_bus_name: str = variable(text)
