"""Puts the webhook function together: once for an execution environment, and again for each invocation."""

import os

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from retirement.aws.event_bus import EventBridgeBus
from retirement.aws.stored_secret import StoredSecret
from retirement.aws.telemetry import PowertoolsWebhookTelemetry
from retirement.aws.webhook_secrets import StoredWebhookSecrets
from retirement.environment import read_settings
from retirement.webhook.ports import WebhookPorts
from retirement.webhook.settings import WebhookSettings
from retirement.wiring.invocation import LambdaClock, LambdaContext

# Time-outs in seconds. A sender waits for the answer and retries by itself, so a call takes at most 7 s with its retry.
AWS = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


class Wiring:
    """What is shared by the invocations of an execution environment.

    Raises:
        ConfigurationError: at construction, if a setting is missing or wrong; the message names it.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self.settings = read_settings(WebhookSettings, os.environ)
        session = boto3.Session()
        self._secrets = StoredWebhookSecrets(
            StoredSecret(
                session.client("secretsmanager", config=AWS),
                self.settings.webhook_secret_arn,
                setting="WebhookSecretArn",
                to_check="the ARN and the role, and that no KMS key of your own encrypts it",
            )
        )
        self._event_bus = EventBridgeBus(session.client("events", config=AWS), self.settings.event_bus_name)
        self._telemetry = PowertoolsWebhookTelemetry(logger, metrics, self.settings.environment_name)

    def ports(self, context: LambdaContext) -> WebhookPorts:
        """Return the ports of one invocation."""
        return WebhookPorts(
            secrets=self._secrets,
            event_bus=self._event_bus,
            telemetry=self._telemetry,
            clock=LambdaClock(context),
        )
