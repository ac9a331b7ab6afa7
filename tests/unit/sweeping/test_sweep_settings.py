import pytest

from retirement.databrain.ports import DatabrainApi
from retirement.environment import S3Location, read_settings
from retirement.errors import ConfigurationError
from retirement.sweeping.settings import SweepSettings

ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "DATABRAIN_BASE_URL": "https://api.usedatabrain.com",
    "DATABRAIN_API": "legacy",
    "SERVICE_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain",
    "DATABRAIN_CA_URI": "s3://maps/databrain/authority.pem",
    "EMBED_MAP_URI": "s3://maps/databrain/embeds.json",
    "RETIRABLE_DATAMARTS": "tenant-*, s?les",
    "PROTECTED_DATAMARTS": "finance*",
    "DATAMART_LISTS_URI": "s3://lists/databrain/datamarts.json",
    "SWEEP_POLICY_URI": "s3://policies/databrain/sweep.json",
    "MAX_PER_SWEEP": "25",
    "MAX_SWEEP_PERCENT": "10",
    "EVENT_BUS_NAME": "lifecycle",
    "EVIDENCE_BUCKET_NAME": "evidence",
    "RESULTS_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:results",
}
MAY_BE_EMPTY = {"DATABRAIN_CA_URI", "EMBED_MAP_URI", "PROTECTED_DATAMARTS", "DATAMART_LISTS_URI"}


def test_read() -> None:
    """Every setting comes from its variable, spaces around it trimmed."""
    settings = read_settings(SweepSettings, {name: f" {value}\n" for name, value in ENVIRONMENT.items()})

    assert settings == SweepSettings(
        environment_name="prod",
        databrain_base_url="https://api.usedatabrain.com",
        databrain_api=DatabrainApi.LEGACY,
        databrain_ca_uri=S3Location("maps", "databrain/authority.pem"),
        service_token_secret_arn=ENVIRONMENT["SERVICE_TOKEN_SECRET_ARN"],
        embed_map_uri=S3Location("maps", "databrain/embeds.json"),
        retirable_datamarts=("tenant-*", "s?les"),
        protected_datamarts=("finance*",),
        datamart_lists_uri=S3Location("lists", "databrain/datamarts.json"),
        sweep_policy_uri=S3Location("policies", "databrain/sweep.json"),
        max_per_sweep=25,
        max_sweep_percent=10,
        event_bus_name="lifecycle",
        evidence_bucket_name="evidence",
        results_topic_arn=ENVIRONMENT["RESULTS_TOPIC_ARN"],
    )


@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - MAY_BE_EMPTY))
@pytest.mark.parametrize("value", [None, "", "  "], ids=["missing", "empty", "blank"])
def test_missing(name: str, value: str | None) -> None:
    """A setting that is missing or empty is named."""
    environment = {other: text for other, text in ENVIRONMENT.items() if other != name}
    if value is not None:
        environment[name] = value

    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        read_settings(SweepSettings, environment)


def test_what_may_be_empty() -> None:
    """A stack may have no map and protect nothing; globs that are not there at all are a wrong deployment."""
    settings = read_settings(SweepSettings, ENVIRONMENT | dict.fromkeys(MAY_BE_EMPTY, ""))
    assert (settings.embed_map_uri, settings.protected_datamarts, settings.datamart_lists_uri) == (None, (), None)

    for name in ("RETIRABLE_DATAMARTS", "PROTECTED_DATAMARTS", "DATAMART_LISTS_URI"):
        with pytest.raises(ConfigurationError, match=f"^{name} is missing"):
            read_settings(SweepSettings, {other: text for other, text in ENVIRONMENT.items() if other != name})


@pytest.mark.parametrize("value", ["0", "1", "99", "100"])
def test_percent(value: str) -> None:
    """None at all, or all of them, can be allowed."""
    assert read_settings(SweepSettings, ENVIRONMENT | {"MAX_SWEEP_PERCENT": value}).max_sweep_percent == int(value)


WRONG = {
    "DATABRAIN_BASE_URL": ["http://api.usedatabrain.com", "https://user:secret@host"],
    "DATABRAIN_API": ["v2"],
    "SERVICE_TOKEN_SECRET_ARN": ["databrain-token"],
    "DATABRAIN_CA_URI": ["authority.pem", "https://maps/authority.pem"],
    "EMBED_MAP_URI": ["maps/embeds.json"],
    "DATAMART_LISTS_URI": ["lists/datamarts.json"],
    "SWEEP_POLICY_URI": ["policies/sweep.json", "https://policies/sweep.json", "s3://", "s3://policies", "s3:///key"],
    "RETIRABLE_DATAMARTS": ["*,", '["*"]'],
    "PROTECTED_DATAMARTS": ["core-*,", '["core-*"]'],
    "MAX_PER_SWEEP": ["-1", "2.5", "many", "\u0665"],
    "MAX_SWEEP_PERCENT": ["-1", "101", "10%", "0.1", "\u00b2"],
    "RESULTS_TOPIC_ARN": ["results"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong(name: str, value: str) -> None:
    """A setting that is wrong is named, with what is expected."""
    with pytest.raises(ConfigurationError, match=f"^{name} (is|must)"):
        read_settings(SweepSettings, ENVIRONMENT | {name: value})


def test_every_setting_is_tested() -> None:
    """Only names that nothing can be told of have no wrong value."""
    assert ENVIRONMENT.keys() - WRONG == {
        "ENVIRONMENT_NAME",
        "EVENT_BUS_NAME",
        "EVIDENCE_BUCKET_NAME",
    }
