"""The sweep function's settings: parameters and resources of template.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass

from retirement.databrain.ports import DatabrainApi
from retirement.environment import (
    S3Location,
    _arn,
    _choice,
    _count,
    _globs,
    _named_s3_location,
    _percent,
    _s3_location,
    _some_globs,
    _text,
    base_url,
)


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """All settings of the sweep function."""

    environment_name: str
    databrain_base_url: str
    databrain_api: DatabrainApi
    databrain_ca: S3Location | None
    service_token_secret_arn: str
    embed_map: S3Location | None
    retirable_datamarts: tuple[str, ...]
    protected_datamarts: tuple[str, ...]
    policy: S3Location
    max_per_sweep: int
    max_sweep_percent: int
    event_bus_name: str
    evidence_bucket_name: str
    results_topic_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "SweepSettings":
        """Read and check every variable.

        Raises:
            ConfigurationError: one is missing, empty or wrong; the message names it.
        """
        return cls(
            environment_name=_text(environment, "ENVIRONMENT_NAME"),
            databrain_base_url=base_url("DATABRAIN_BASE_URL", _text(environment, "DATABRAIN_BASE_URL")),
            databrain_api=_choice(environment, "DATABRAIN_API", DatabrainApi),
            databrain_ca=_s3_location(environment, "DATABRAIN_CA_URI"),
            service_token_secret_arn=_arn(environment, "SERVICE_TOKEN_SECRET_ARN"),
            embed_map=_s3_location(environment, "EMBED_MAP_URI"),
            retirable_datamarts=_some_globs(environment, "RETIRABLE_DATAMARTS"),
            protected_datamarts=_globs(environment, "PROTECTED_DATAMARTS"),
            policy=_named_s3_location(environment, "SWEEP_POLICY_URI"),
            max_per_sweep=_count(environment, "MAX_PER_SWEEP"),
            max_sweep_percent=_percent(environment, "MAX_SWEEP_PERCENT"),
            event_bus_name=_text(environment, "EVENT_BUS_NAME"),
            evidence_bucket_name=_text(environment, "EVIDENCE_BUCKET_NAME"),
            results_topic_arn=_arn(environment, "RESULTS_TOPIC_ARN"),
        )
