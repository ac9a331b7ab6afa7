from dataclasses import replace
from datetime import timedelta

import pytest

from retirement.environment import read_settings
from retirement.errors import ConfigurationError
from retirement.scheduling.settings import ScheduleSettings
from tests.fakes import SCHEDULE_SETTINGS

ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "BACKUP_BY_DEFAULT": "true",
    "RETRY_DELAYS": "60,300,900,2700,7200",
    "REMINDER_LEAD_TIME": "24",
    "EVENT_SOURCES": "crm,billing",
    "APPROVAL_SOURCES": "approvals, audit",
    "APPROVALS_REQUIRED": "2",
    "SCHEDULING_QUEUE_URL": SCHEDULE_SETTINGS.scheduling_queue_url,
    "REQUESTS_QUEUE_URL": SCHEDULE_SETTINGS.requests_queue_url,
    "RESTORES_QUEUE_URL": SCHEDULE_SETTINGS.restores_queue_url,
    "SCHEDULING_QUEUE_ARN": SCHEDULE_SETTINGS.scheduling_queue_arn,
    "REQUESTS_QUEUE_ARN": SCHEDULE_SETTINGS.requests_queue_arn,
    "FAILURES_QUEUE_ARN": SCHEDULE_SETTINGS.failures_queue_arn,
    "SCHEDULE_GROUP_NAME": "retirements",
    "TIMER_ROLE_ARN": SCHEDULE_SETTINGS.timer_role_arn,
    "EVIDENCE_BUCKET_NAME": "evidence",
    "COORDINATION_TABLE_NAME": "coordination",
    "RESULTS_TOPIC_ARN": SCHEDULE_SETTINGS.results_topic_arn,
}


def test_read() -> None:
    """Every setting of the schedule function comes from its variable, spaces around it trimmed."""
    environment = {name: f" {value}\n" for name, value in ENVIRONMENT.items()}

    assert read_settings(ScheduleSettings, environment) == replace(
        SCHEDULE_SETTINGS, approval_sources=("approvals", "audit"), approvals_required=2
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_missing(name: str) -> None:
    """A setting that is missing is named."""
    environment = {other: text for other, text in ENVIRONMENT.items() if other != name}

    with pytest.raises(ConfigurationError, match=f"^{name} is missing"):
        read_settings(ScheduleSettings, environment)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - {"APPROVAL_SOURCES", "REMINDER_LEAD_TIME"}))
def test_empty(name: str) -> None:
    """A setting that is empty is named."""
    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        read_settings(ScheduleSettings, ENVIRONMENT | {name: " "})


@pytest.mark.parametrize(("value", "lead"), [("", None), (" ", None), ("1", 1), ("8784", 8_784)])
def test_reminder_lead_time(value: str, lead: int | None) -> None:
    """The lead time of a reminder is a whole number of hours; empty is no reminder."""
    settings = read_settings(ScheduleSettings, ENVIRONMENT | {"REMINDER_LEAD_TIME": value})

    assert settings.reminder_lead_time == (None if lead is None else timedelta(hours=lead))


WRONG = {
    "APPROVAL_SOURCES": [" , ", "approvals,", "approvals,,audit"],
    "APPROVALS_REQUIRED": ["4", "-1"],
    "BACKUP_BY_DEFAULT": ["yes"],
    "RETRY_DELAYS": ["60"],
    "REMINDER_LEAD_TIME": ["0", "-1", "24h", "1.5", "8785", "\u0665"],
    **{name: ["no ARN"] for name in ENVIRONMENT if name.endswith("_ARN")},
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong(name: str, value: str) -> None:
    """A setting that is wrong is named, with what is expected."""
    with pytest.raises(ConfigurationError, match=f"^{name} (is|must)"):
        read_settings(ScheduleSettings, ENVIRONMENT | {name: value})


@pytest.mark.parametrize(
    "value",
    [
        "crm",
        "approvals,crm",
        "billing , approvals",
        "datamart-retirement.webhook",
        "approvals,datamart-retirement.sweep",
    ],
)
def test_who_requests_cannot_approve(value: str) -> None:
    """A source of requests, the stack's own ones included, is no source of approvals: the function does not start."""
    with pytest.raises(ConfigurationError, match=r"^APPROVAL_SOURCES has .*requests come from there"):
        read_settings(ScheduleSettings, ENVIRONMENT | {"APPROVAL_SOURCES": value})


def test_no_approval() -> None:
    """No source means that no approval is required; a missing variable is an error, as for every guard."""
    assert read_settings(ScheduleSettings, ENVIRONMENT | {"APPROVAL_SOURCES": " "}).approval_sources == ()
    with pytest.raises(ConfigurationError, match=r"^APPROVAL_SOURCES is missing"):
        read_settings(
            ScheduleSettings, {name: text for name, text in ENVIRONMENT.items() if name != "APPROVAL_SOURCES"}
        )
