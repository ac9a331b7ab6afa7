"""Puts the retire function together: once for an execution environment, and again for each invocation."""

import os
from functools import partial

import boto3
from aws_lambda_powertools import Logger, Metrics

from retirement.aws.certificate_authority import read_authority
from retirement.aws.coordination import CoordinationTable
from retirement.aws.datamart_lists import S3DatamartLists
from retirement.aws.embed_map import S3EmbedMap
from retirement.aws.evidence import S3Evidence
from retirement.aws.message_queue import SqsQueue
from retirement.aws.progress import ProgressTable
from retirement.aws.results_topic import SnsResultsTopic
from retirement.aws.service_token import ServiceToken
from retirement.aws.telemetry import PowertoolsTelemetry
from retirement.databrain.client import DatabrainClient
from retirement.databrain.transport import http_client
from retirement.environment import read_settings
from retirement.retiring.ports import RetirePorts
from retirement.retiring.settings import RetireSettings
from retirement.wiring.invocation import AWS, LambdaClock, LambdaContext


class Wiring:
    """What is shared by the invocations of an execution environment.

    Raises:
        ConfigurationError: at construction, if a setting is missing or wrong; the message names it.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self.settings = read_settings(RetireSettings, os.environ)
        session = boto3.Session()
        self._token = ServiceToken(session.client("secretsmanager", config=AWS), self.settings.service_token_secret_arn)
        s3 = session.client("s3", config=AWS)
        ca = self.settings.databrain_ca_uri
        authority = None if ca is None else partial(read_authority, s3, ca)  # read with the first request
        self._http = http_client(self.settings.databrain_base_url, authority)
        self._evidence = S3Evidence(s3, self.settings.evidence_bucket_name)
        self._embed_map = S3EmbedMap(s3, self.settings.embed_map_uri)
        self._datamart_lists = S3DatamartLists(s3, self.settings.datamart_lists_uri)
        dynamodb, table = session.client("dynamodb", config=AWS), self.settings.coordination_table_name
        self._coordination = CoordinationTable(dynamodb, table)
        self._progress = ProgressTable(lambda: dynamodb, table)
        self._inbox = SqsQueue(lambda: session.client("sqs", config=AWS), self.settings.requests_queue_url)
        self._scheduling = SqsQueue(lambda: session.client("sqs", config=AWS), self.settings.scheduling_queue_url)
        self._results_topic = SnsResultsTopic(session.client("sns", config=AWS), self.settings.results_topic_arn)
        self._telemetry = PowertoolsTelemetry(logger, metrics, self.settings.environment_name)

    def ports(self, context: LambdaContext) -> RetirePorts:
        """Return the ports of one invocation."""
        clock = LambdaClock(context)
        return RetirePorts(
            databrain=DatabrainClient(
                self._http,
                api=self.settings.databrain_api,
                token=self._token,
                clock=clock,
                telemetry=self._telemetry,
            ),
            embed_map=self._embed_map,
            datamart_lists=self._datamart_lists,
            evidence=self._evidence,
            coordination=self._coordination,
            inbox=self._inbox,
            progress=self._progress,
            scheduling=self._scheduling,
            results_topic=self._results_topic,
            telemetry=self._telemetry,
            clock=clock,
        )
