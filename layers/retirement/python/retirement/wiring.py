"""One place where everything is put together, once for an execution environment and again for each invocation."""

import os
import time
from datetime import UTC, datetime
from typing import Protocol

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from retirement.coordination import CoordinationTable
from retirement.databrain import DatabrainClient, http_client
from retirement.embed_map import S3EmbedMap
from retirement.evidence import S3Evidence
from retirement.ports import Ports
from retirement.requests_queue import SqsRequestsQueue
from retirement.results_topic import SnsResultsTopic
from retirement.service_token import ServiceToken
from retirement.settings import Settings
from retirement.telemetry import PowertoolsTelemetry

# Seconds; `total_max_attempts` counts the first one.
_AWS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


class LambdaContext(Protocol):
    """What of Lambda's context object is used."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's id."""

    def get_remaining_time_in_millis(self) -> int:
        """The time that this invocation has left."""


class LambdaClock:
    """The clock of one invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def now(self) -> datetime:
        """The time of day, UTC, to the millisecond."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def remaining(self) -> float:
        """Seconds left in this invocation."""
        return self._context.get_remaining_time_in_millis() / 1000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Wiring:
    """Everything that outlives an invocation.

    Raises:
        ConfigurationError: at construction; the message names the setting.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self.settings = Settings.from_environment(os.environ)
        session = boto3.Session()
        self._http = http_client(self.settings.databrain_base_url)
        self._token = ServiceToken(
            session.client("secretsmanager", config=_AWS), self.settings.service_token_secret_arn
        )
        s3 = session.client("s3", config=_AWS)
        self._evidence = S3Evidence(s3, self.settings.evidence_bucket_name)
        self._embed_map = S3EmbedMap(s3, self.settings.embed_map)
        self._coordination = CoordinationTable(
            session.client("dynamodb", config=_AWS), self.settings.coordination_table_name
        )
        self._requests_queue = SqsRequestsQueue(
            lambda: session.client("sqs", config=_AWS), self.settings.requests_queue_url
        )
        self._results_topic = SnsResultsTopic(session.client("sns", config=_AWS), self.settings.results_topic_arn)
        self._telemetry = PowertoolsTelemetry(logger, metrics, self.settings.environment_name)

    def ports(self, context: LambdaContext) -> Ports:
        """The ports of one invocation."""
        clock = LambdaClock(context)
        return Ports(
            databrain=DatabrainClient(
                self._http,
                api=self.settings.databrain_api,
                token=self._token,
                clock=clock,
                telemetry=self._telemetry,
            ),
            embed_map=self._embed_map,
            evidence=self._evidence,
            coordination=self._coordination,
            requests_queue=self._requests_queue,
            results_topic=self._results_topic,
            telemetry=self._telemetry,
            clock=clock,
        )
