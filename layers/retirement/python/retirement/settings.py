"""Each function's settings, read once from its environment. Each is a parameter or a resource of template.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from retirement.errors import ConfigurationError
from retirement.requests import MOST_RECEIVES

_Choice = TypeVar("_Choice", bound=StrEnum)

# Seconds. SQS ends the invisibility of a message 12 hours after it was received (SQS developer guide, "Visibility
# timeout"), and Lambda may have held it for 360 s, the queue's visibility time-out, before the function had it, which
# then took its minute. The template says the same.
LONGEST_DELAY = 42_780

# What a shell, JSON or YAML puts around lists, and what is between lines: in a glob no owner can have meant it. Nor a
# set that has no end, for a comma cut it in two, nor one that is the whole glob: it matches names of one character.
_REFUSED = r"\x00-\x1f\x7f-\x9f\u2028\u2029;{}\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a"
_GLOB = re.compile(
    rf"(?!\s*\Z)(?!\s*\[[^\]]{{2,}}\]\s*\Z)(?:[^\[{_REFUSED}]|\[(?:![^{_REFUSED}]|[^!{_REFUSED}])[^\]{_REFUSED}]*\])+"
)

# Hours: a year. No retirement is scheduled farther ahead.
LONGEST_LEAD = 8_784


class Mode(StrEnum):
    """`plan` treats every request as a dry run."""

    PLAN = "plan"
    RETIRE = "retire"


class DatabrainApi(StrEnum):
    """Which of Databrain's two route families the server has (docs/databrain-api.md, sections 2 and 3)."""

    CURRENT = "current"
    LEGACY = "legacy"


class UndeterminedEmbeds(StrEnum):
    """What an embed of which nothing says which datamart it uses does to a retirement."""

    BLOCK = "block"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class S3Location:
    """Of an object: `s3://{bucket}/{key}`."""

    bucket: str
    key: str


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


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """All settings of the webhook function."""

    environment_name: str
    webhook_secret_arn: str
    event_bus_name: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "WebhookSettings":
        """Read and check every variable.

        Raises:
            ConfigurationError: one is missing, empty or wrong; the message names it.
        """
        return cls(
            environment_name=_text(environment, "ENVIRONMENT_NAME"),
            webhook_secret_arn=_arn(environment, "WEBHOOK_SECRET_ARN"),
            event_bus_name=_text(environment, "EVENT_BUS_NAME"),
        )


def base_url(name: str, value: str) -> str:
    """Check the base URL that has this name; a slash at its end is cut.

    Raises:
        ConfigurationError: it is none, or would send the token in clear text.
    """
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"{name} is no URL") from None
    local = url.scheme == "http" and host in {"localhost", "127.0.0.1"}
    if not host or any(map(str.isspace, value)) or not (url.scheme == "https" or local):
        raise ConfigurationError(f"{name} must be an https URL, or http for localhost and 127.0.0.1 only")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigurationError(f"{name} must have no user, password, query or fragment")
    return value.rstrip("/")


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"{name} is missing or empty: set it in the function's environment (see template.yaml)"
        )
    return value


def _given(environment: Mapping[str, str], name: str) -> str:
    """Empty or not."""
    if name not in environment:
        raise ConfigurationError(f"{name} is missing: set it in the function's environment (see template.yaml)")
    return environment[name]


def _choice(environment: Mapping[str, str], name: str, choices: type[_Choice]) -> _Choice:
    value = _text(environment, name)
    try:
        return choices(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}: expected {' or '.join(choices)}") from None


def _boolean(environment: Mapping[str, str], name: str) -> bool:
    value = _text(environment, name)
    if value not in {"true", "false"}:
        raise ConfigurationError(f"{name} is {value!r}: expected true or false")
    return value == "true"


def _globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Comma-separated; empty is none at all.

    A list that came mangled would protect less than its owner meant: it is refused.
    """
    value = _given(environment, name).strip()
    globs = value.split(",") if value else []
    for glob in globs:
        if not _GLOB.fullmatch(glob):
            raise ConfigurationError(
                f"{name} is {value!r}, and {glob!r} is no glob: expected globs with commas in between, none empty, "
                "without quotes, semicolons, braces, line breaks and outer brackets; in a name `?` matches them"
            )
    return tuple(glob.strip() for glob in globs)


def _some_globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    _text(environment, name)
    return _globs(environment, name)


def _count(environment: Mapping[str, str], name: str) -> int:
    value = _text(environment, name)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name} is {value!r}: expected a whole number, 0 or more")
    return int(value)


def _delays(environment: Mapping[str, str], name: str) -> tuple[int, ...]:
    parts = [part.strip() for part in _text(environment, name).split(",")]
    delays = [int(part) for part in parts if part.isascii() and part.isdigit() and int(part) <= LONGEST_DELAY]
    if not len(parts) == len(delays) == MOST_RECEIVES - 1:
        raise ConfigurationError(
            f"{name} is {','.join(parts)!r}: expected {MOST_RECEIVES - 1} whole numbers of seconds, "
            f"0 to {LONGEST_DELAY}, with commas in between"
        )
    return tuple(delays)


def _hours(environment: Mapping[str, str], name: str) -> timedelta | None:
    """Empty is none."""
    value = _given(environment, name).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= LONGEST_LEAD):
        raise ConfigurationError(f"{name} is {value!r}: expected whole hours, 1 to {LONGEST_LEAD}, or nothing")
    return timedelta(hours=int(value))


def _s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """Empty is none."""
    value = environment.get(name, "").strip()
    return _location(name, value) if value else None


def _location(name: str, value: str) -> S3Location:
    scheme, _, path = value.partition("://")
    bucket, _, key = path.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ConfigurationError(f"{name} is {value!r}: expected s3://bucket/key, or nothing")
    return S3Location(bucket, key)


def _arn(environment: Mapping[str, str], name: str) -> str:
    value = _text(environment, name)
    if not value.startswith("arn:"):
        raise ConfigurationError(f"{name} must be a full ARN; what it is could be a secret and is not shown")
    return value


def _percent(environment: Mapping[str, str], name: str) -> int:
    value = _count(environment, name)
    if value > 100:  # noqa: PLR2004  # per cent
        raise ConfigurationError(f"{name} is {value}: expected a whole number, 0 to 100")
    return value


def _named_s3_location(environment: Mapping[str, str], name: str) -> S3Location:
    return _location(name, _text(environment, name))
