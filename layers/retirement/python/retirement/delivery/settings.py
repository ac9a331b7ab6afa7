"""The settings of every function that answers events."""

from dataclasses import dataclass

from retirement.environment import FunctionSettings, arn, boolean, delays, text, variable


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(FunctionSettings):
    """The queue, the bucket and the topic, and the defaults of a request."""

    backup_by_default: bool = variable(boolean)
    retry_delays: tuple[int, ...] = variable(delays)  # seconds before receives 2 to 6
    requests_queue_url: str = variable(text)
    evidence_bucket_name: str = variable(text)
    results_topic_arn: str = variable(arn)
