"""The settings of the sweep function."""

from dataclasses import dataclass

from retirement.databrain.settings import DatabrainSettings
from retirement.environment import FunctionSettings, S3Location, arn, count, percent, s3_location, text, variable


@dataclass(frozen=True, kw_only=True)
class SweepSettings(FunctionSettings, DatabrainSettings):
    """All settings of the sweep function."""

    sweep_policy_uri: S3Location = variable(s3_location)
    max_per_sweep: int = variable(count)
    max_sweep_percent: int = variable(percent)
    event_bus_name: str = variable(text)
    evidence_bucket_name: str = variable(text)
    results_topic_arn: str = variable(arn)
