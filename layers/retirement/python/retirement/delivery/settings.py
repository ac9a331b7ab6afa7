"""The settings of every function that answers events."""

from dataclasses import dataclass

from retirement.environment import (
    FunctionSettings,
    approvals,
    arn,
    boolean,
    delays,
    text,
    variable,
)


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(FunctionSettings):
    """The bucket, the topic, and the delays of redeliveries."""

    retry_delays: tuple[int, ...] = variable(delays)  # seconds before receives 2 to 6
    evidence_bucket_name: str = variable(text)
    results_topic_arn: str = variable(arn)


@dataclass(frozen=True, kw_only=True)
class RetirementSettings(AnsweringSettings):
    """The settings of the functions that take requests to retire: queues, defaults of a request, and approvals."""

    backup_by_default: bool = variable(boolean)
    requests_queue_url: str = variable(text)
    scheduling_queue_url: str = variable(text)
    approvals_required: int = variable(approvals)  # 0 if a retirement needs none
