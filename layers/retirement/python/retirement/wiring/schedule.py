"""Puts the schedule function together: once for an execution environment, and again for each invocation."""

import os

import boto3
from aws_lambda_powertools import Logger, Metrics

from retirement.aws.evidence import S3Evidence
from retirement.aws.message_queue import SqsQueue
from retirement.aws.progress import ProgressTable
from retirement.aws.results_topic import SnsResultsTopic
from retirement.aws.telemetry import PowertoolsTelemetry
from retirement.aws.timers import SchedulerTimers, Targets
from retirement.environment import read_settings
from retirement.scheduling.ports import SchedulePorts, Timer
from retirement.scheduling.settings import ScheduleSettings
from retirement.wiring.invocation import AWS, LambdaClock, LambdaContext


class Wiring:
    """What is shared by the invocations of an execution environment.

    Raises:
        ConfigurationError: at construction, if a setting is missing or wrong; the message names it.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self.settings = settings = read_settings(ScheduleSettings, os.environ)
        session = boto3.Session()
        self._evidence = S3Evidence(session.client("s3", config=AWS), settings.evidence_bucket_name)
        self._timers = SchedulerTimers(
            session.client("scheduler", config=AWS),
            settings.schedule_group_name,
            Targets(
                queues={Timer.RETIRE: settings.requests_queue_arn, Timer.REMIND: settings.scheduling_queue_arn},
                failures=settings.failures_queue_arn,
                role=settings.timer_role_arn,
            ),
        )
        self._inbox = SqsQueue(lambda: session.client("sqs", config=AWS), settings.scheduling_queue_url)
        self._outbox = SqsQueue(lambda: session.client("sqs", config=AWS), settings.requests_queue_url)
        self._restores = SqsQueue(lambda: session.client("sqs", config=AWS), settings.restores_queue_url)
        self._progress = ProgressTable(lambda: session.client("dynamodb", config=AWS), settings.coordination_table_name)
        self._results_topic = SnsResultsTopic(session.client("sns", config=AWS), settings.results_topic_arn)
        self._telemetry = PowertoolsTelemetry(logger, metrics, settings.environment_name)

    def ports(self, context: LambdaContext) -> SchedulePorts:
        """Return the ports of one invocation."""
        return SchedulePorts(
            evidence=self._evidence,
            timers=self._timers,
            inbox=self._inbox,
            progress=self._progress,
            outbox=self._outbox,
            restores=self._restores,
            results_topic=self._results_topic,
            telemetry=self._telemetry,
            clock=LambdaClock(context),
        )
