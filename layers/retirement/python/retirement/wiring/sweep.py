"""Where the sweep function is put together, once for an execution environment and again for each invocation."""

import os
from functools import partial

import boto3
from aws_lambda_powertools import Logger, Metrics

from retirement.certificate_authority import read_authority
from retirement.databrain import DatabrainClient, http_client
from retirement.embed_map import S3EmbedMap
from retirement.event_bus import EventBridgeBus
from retirement.evidence import S3Evidence
from retirement.ports import SweepPorts
from retirement.reports_topic import SnsReportsTopic
from retirement.service_token import ServiceToken
from retirement.settings import SweepSettings
from retirement.sweep_policy_file import S3SweepPolicy
from retirement.telemetry import PowertoolsTelemetry
from retirement.wiring.invocation import AWS, LambdaClock, LambdaContext


class Wiring:
    """Everything that outlives an invocation.

    Raises:
        ConfigurationError: at construction; the message names the setting.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self.settings = SweepSettings.from_environment(os.environ)
        session = boto3.Session()
        self._token = ServiceToken(session.client("secretsmanager", config=AWS), self.settings.service_token_secret_arn)
        s3 = session.client("s3", config=AWS)
        ca = self.settings.databrain_ca
        authority = None if ca is None else partial(read_authority, s3, ca)  # with the first request
        self._http = http_client(self.settings.databrain_base_url, authority)
        self._policy = S3SweepPolicy(s3, self.settings.policy)
        self._embed_map = S3EmbedMap(s3, self.settings.embed_map)
        self._evidence = S3Evidence(s3, self.settings.evidence_bucket_name)
        self._event_bus = EventBridgeBus(session.client("events", config=AWS), self.settings.event_bus_name)
        self._reports_topic = SnsReportsTopic(session.client("sns", config=AWS), self.settings.results_topic_arn)
        self._telemetry = PowertoolsTelemetry(logger, metrics, self.settings.environment_name)

    def ports(self, context: LambdaContext) -> SweepPorts:
        """The ports of one invocation."""
        clock = LambdaClock(context)
        return SweepPorts(
            policy=self._policy,
            databrain=DatabrainClient(
                self._http,
                api=self.settings.databrain_api,
                token=self._token,
                clock=clock,
                telemetry=self._telemetry,
            ),
            embed_map=self._embed_map,
            evidence=self._evidence,
            event_bus=self._event_bus,
            reports_topic=self._reports_topic,
            telemetry=self._telemetry,
            clock=clock,
        )
