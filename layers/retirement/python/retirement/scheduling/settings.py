"""The settings of the schedule function."""

from dataclasses import dataclass
from datetime import timedelta

from retirement.delivery.settings import RetirementSettings
from retirement.environment import approval_sources, arn, hours, text, variable


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(RetirementSettings):
    """All settings of the schedule function."""

    approval_sources: tuple[str, ...] = variable(approval_sources)
    reminder_lead_time: timedelta | None = variable(hours)
    restores_queue_url: str = variable(text)
    scheduling_queue_arn: str = variable(arn)
    requests_queue_arn: str = variable(arn)
    failures_queue_arn: str = variable(arn)
    schedule_group_name: str = variable(text)
    timer_role_arn: str = variable(arn)
    coordination_table_name: str = variable(text)
