"""The retire function's settings: parameters and resources of template.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from retirement.databrain.ports import DatabrainApi
from retirement.environment import (
    S3Location,
    _arn,
    _boolean,
    _choice,
    _count,
    _delays,
    _globs,
    _s3_location,
    _some_globs,
    _text,
    base_url,
)


class Mode(StrEnum):
    """`plan` treats every request as a dry run."""

    PLAN = "plan"
    RETIRE = "retire"


class UndeterminedEmbeds(StrEnum):
    """What an embed of which nothing says which datamart it uses does to a retirement."""

    BLOCK = "block"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class RetireSettings:
    """All settings of the retire function."""

    environment_name: str
    mode: Mode
    databrain_base_url: str
    databrain_api: DatabrainApi
    databrain_ca: S3Location | None
    service_token_secret_arn: str
    backup_by_default: bool
    undetermined_embeds: UndeterminedEmbeds
    embed_map: S3Location | None
    retirable_datamarts: tuple[str, ...]
    protected_datamarts: tuple[str, ...]
    max_retirements_per_day: int
    retry_delays: tuple[int, ...]  # seconds before receives 2 to 6
    requests_queue_url: str
    evidence_bucket_name: str
    coordination_table_name: str
    results_topic_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RetireSettings":
        """Read and check every variable.

        Raises:
            ConfigurationError: one is missing, empty or wrong; the message names it.
        """
        return cls(
            environment_name=_text(environment, "ENVIRONMENT_NAME"),
            mode=_choice(environment, "MODE", Mode),
            databrain_base_url=base_url("DATABRAIN_BASE_URL", _text(environment, "DATABRAIN_BASE_URL")),
            databrain_api=_choice(environment, "DATABRAIN_API", DatabrainApi),
            databrain_ca=_s3_location(environment, "DATABRAIN_CA_URI"),
            service_token_secret_arn=_arn(environment, "SERVICE_TOKEN_SECRET_ARN"),
            backup_by_default=_boolean(environment, "BACKUP_BY_DEFAULT"),
            undetermined_embeds=_choice(environment, "UNDETERMINED_EMBEDS", UndeterminedEmbeds),
            embed_map=_s3_location(environment, "EMBED_MAP_URI"),
            retirable_datamarts=_some_globs(environment, "RETIRABLE_DATAMARTS"),
            protected_datamarts=_globs(environment, "PROTECTED_DATAMARTS"),
            max_retirements_per_day=_count(environment, "MAX_RETIREMENTS_PER_DAY"),
            retry_delays=_delays(environment, "RETRY_DELAYS"),
            requests_queue_url=_text(environment, "REQUESTS_QUEUE_URL"),
            evidence_bucket_name=_text(environment, "EVIDENCE_BUCKET_NAME"),
            coordination_table_name=_text(environment, "COORDINATION_TABLE_NAME"),
            results_topic_arn=_arn(environment, "RESULTS_TOPIC_ARN"),
        )
