"""The schedule function's settings: parameters and resources of template.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from retirement.environment import _arn, _boolean, _delays, _hours, _text


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """All settings of the schedule function."""

    environment_name: str
    backup_by_default: bool
    retry_delays: tuple[int, ...]  # seconds before receives 2 to 6
    reminder_lead_time: timedelta | None
    scheduling_queue_url: str
    requests_queue_url: str
    scheduling_queue_arn: str
    requests_queue_arn: str
    failures_queue_arn: str
    schedule_group_name: str
    timer_role_arn: str
    evidence_bucket_name: str
    results_topic_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ScheduleSettings":
        """Read and check every variable.

        Raises:
            ConfigurationError: one is missing, empty or wrong; the message names it.
        """
        return cls(
            environment_name=_text(environment, "ENVIRONMENT_NAME"),
            backup_by_default=_boolean(environment, "BACKUP_BY_DEFAULT"),
            retry_delays=_delays(environment, "RETRY_DELAYS"),
            reminder_lead_time=_hours(environment, "REMINDER_LEAD_TIME"),
            scheduling_queue_url=_text(environment, "SCHEDULING_QUEUE_URL"),
            requests_queue_url=_text(environment, "REQUESTS_QUEUE_URL"),
            scheduling_queue_arn=_arn(environment, "SCHEDULING_QUEUE_ARN"),
            requests_queue_arn=_arn(environment, "REQUESTS_QUEUE_ARN"),
            failures_queue_arn=_arn(environment, "FAILURES_QUEUE_ARN"),
            schedule_group_name=_text(environment, "SCHEDULE_GROUP_NAME"),
            timer_role_arn=_arn(environment, "TIMER_ROLE_ARN"),
            evidence_bucket_name=_text(environment, "EVIDENCE_BUCKET_NAME"),
            results_topic_arn=_arn(environment, "RESULTS_TOPIC_ARN"),
        )
