import pytest

from retirement.errors import ConfigurationError
from retirement.settings import DatabrainApi, Mode, Settings, UndeterminedEmbeds

ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "MODE": "retire",
    "DATABRAIN_BASE_URL": "https://api.usedatabrain.com",
    "DATABRAIN_API": "legacy",
    "SERVICE_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain",
    "BACKUP_BY_DEFAULT": "true",
    "UNDETERMINED_EMBEDS": "report",
    "EVIDENCE_BUCKET_NAME": "evidence",
    "COORDINATION_TABLE_NAME": "coordination",
    "RESULTS_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:results",
}


def test_read() -> None:
    """Every setting comes from its variable, spaces around it trimmed."""
    settings = Settings.from_environment({name: f" {value}\n" for name, value in ENVIRONMENT.items()})

    assert settings == Settings(
        environment_name="prod",
        mode=Mode.RETIRE,
        databrain_base_url="https://api.usedatabrain.com",
        databrain_api=DatabrainApi.LEGACY,
        service_token_secret_arn=ENVIRONMENT["SERVICE_TOKEN_SECRET_ARN"],
        backup_by_default=True,
        undetermined_embeds=UndeterminedEmbeds.REPORT,
        evidence_bucket_name="evidence",
        coordination_table_name="coordination",
        results_topic_arn=ENVIRONMENT["RESULTS_TOPIC_ARN"],
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, "", "  "], ids=["missing", "empty", "blank"])
def test_missing(name: str, value: str | None) -> None:
    """A setting that is missing or empty is named."""
    environment = {other: text for other, text in ENVIRONMENT.items() if other != name}
    if value is not None:
        environment[name] = value

    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        Settings.from_environment(environment)


WRONG = {
    "MODE": ["Retire", "delete", "plan,retire"],
    "DATABRAIN_API": ["v2", "CURRENT"],
    "SERVICE_TOKEN_SECRET_ARN": ["databrain-token", "secret:arn:"],
    "BACKUP_BY_DEFAULT": ["yes", "True", "1"],
    "UNDETERMINED_EMBEDS": ["ignore", "Block"],
    "RESULTS_TOPIC_ARN": ["results"],
    "DATABRAIN_BASE_URL": [
        "api.usedatabrain.com",
        "http://api.usedatabrain.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "ftp://localhost",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://[::1",
        "https://host:port",
        "https://host:99999",
        "https://user:secret@host",
        "https://user@host",
        "https://host?x=1",
        "https://host#x",
        "https://host name",
        "https://host\\@example.com",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong(name: str, value: str) -> None:
    """A setting that is wrong is named, with what is expected."""
    with pytest.raises(ConfigurationError, match=f"^{name} (is|must)"):
        Settings.from_environment(ENVIRONMENT | {name: value})


def test_every_setting_is_tested() -> None:
    """Only names that nothing can be told of have no wrong value."""
    assert ENVIRONMENT.keys() - WRONG == {"ENVIRONMENT_NAME", "EVIDENCE_BUCKET_NAME", "COORDINATION_TABLE_NAME"}


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://databrain.example.com/", "https://databrain.example.com"),
        ("https://example.com:8443/databrain/", "https://example.com:8443/databrain"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ],
)
def test_base_url(url: str, read: str) -> None:
    """An https URL with any path, or plain http for this machine alone."""
    assert Settings.from_environment(ENVIRONMENT | {"DATABRAIN_BASE_URL": url}).databrain_base_url == read


@pytest.mark.parametrize("name", ["SERVICE_TOKEN_SECRET_ARN", "DATABRAIN_BASE_URL"])
def test_token_in_a_wrong_place(name: str) -> None:
    """A token that was put where its secret's ARN or the URL belongs is not repeated."""
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_environment(ENVIRONMENT | {name: "dbn_live_abc123"})

    assert "dbn_live_abc123" not in str(raised.value)
