from datetime import timedelta

import pytest

from retirement.databrain.ports import DatabrainApi
from retirement.environment import S3Location, read_settings
from retirement.errors import ConfigurationError
from retirement.retiring.settings import Mode, RetireSettings, UndeterminedEmbeds

ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "MODE": "retire",
    "DATABRAIN_BASE_URL": "https://api.usedatabrain.com",
    "DATABRAIN_API": "legacy",
    "SERVICE_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain",
    "BACKUP_BY_DEFAULT": "true",
    "REQUIRE_RESTORABLE": "false",
    "REHEARSE_BY_DEFAULT": "false",
    "UNDETERMINED_EMBEDS": "report",
    "DATABRAIN_CA_URI": "s3://maps/databrain/authority.pem",
    "EMBED_MAP_URI": "s3://maps/databrain/embeds.json",
    "RETIRABLE_DATAMARTS": "tenant-*, s?les",
    "PROTECTED_DATAMARTS": "finance*",
    "DATAMART_LISTS_URI": "s3://lists/databrain/datamarts.json",
    "MAX_RETIREMENTS_PER_DAY": "25",
    "APPROVALS_REQUIRED": "2",
    "APPROVAL_EXPIRES_IN": "14",
    "RETRY_DELAYS": "60, 300,900,2700,7200",
    "REQUESTS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/requests",
    "SCHEDULING_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/scheduling",
    "EVIDENCE_BUCKET_NAME": "evidence",
    "COORDINATION_TABLE_NAME": "coordination",
    "RESULTS_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:results",
}
MAY_BE_EMPTY = {"DATABRAIN_CA_URI", "EMBED_MAP_URI", "PROTECTED_DATAMARTS", "DATAMART_LISTS_URI"}


def test_read() -> None:
    """Every setting comes from its variable, spaces around it trimmed."""
    settings = read_settings(RetireSettings, {name: f" {value}\n" for name, value in ENVIRONMENT.items()})

    assert settings == RetireSettings(
        environment_name="prod",
        mode=Mode.RETIRE,
        databrain_base_url="https://api.usedatabrain.com",
        databrain_api=DatabrainApi.LEGACY,
        databrain_ca_uri=S3Location("maps", "databrain/authority.pem"),
        service_token_secret_arn=ENVIRONMENT["SERVICE_TOKEN_SECRET_ARN"],
        backup_by_default=True,
        require_restorable=False,
        rehearse_by_default=False,
        undetermined_embeds=UndeterminedEmbeds.REPORT,
        embed_map_uri=S3Location("maps", "databrain/embeds.json"),
        retirable_datamarts=("tenant-*", "s?les"),
        protected_datamarts=("finance*",),
        datamart_lists_uri=S3Location("lists", "databrain/datamarts.json"),
        max_retirements_per_day=25,
        approvals_required=2,
        approval_expires_in=timedelta(days=14),
        retry_delays=(60, 300, 900, 2700, 7200),
        requests_queue_url=ENVIRONMENT["REQUESTS_QUEUE_URL"],
        scheduling_queue_url=ENVIRONMENT["SCHEDULING_QUEUE_URL"],
        evidence_bucket_name="evidence",
        coordination_table_name="coordination",
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
        read_settings(RetireSettings, environment)


@pytest.mark.parametrize("name", ["RETIRABLE_DATAMARTS", "PROTECTED_DATAMARTS"])
@pytest.mark.parametrize(
    ("value", "globs"),
    [
        ("*", ("*",)),
        (" finance* ,hr, Demo Sales [!2] \n", ("finance*", "hr", "Demo Sales [!2]")),
        ("[ab]*,x[cd]", ("[ab]*", "x[cd]")),
        ("[[]x],a[]b]?,[!]a]*", ("[[]x]", "a[]b]?", "[!]a]*")),
        ("[*],[?],a]", ("[*]", "[?]", "a]")),
        ("R&D (EU) #1/2 + 100% | $a:b=c@d.e_f!~^<g>\\", ("R&D (EU) #1/2 + 100% | $a:b=c@d.e_f!~^<g>\\",)),
        ("Großkunden \u0915\u093c,売上*", ("Großkunden \u0915\u093c", "売上*")),
    ],
)
def test_globs(name: str, value: str, globs: tuple[str, ...]) -> None:
    """Globs are comma-separated, spaces around each trimmed and those within kept."""
    settings = read_settings(RetireSettings, ENVIRONMENT | {name: value})

    assert (settings.retirable_datamarts if name.startswith("R") else settings.protected_datamarts) == globs


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_nothing_is_protected(value: str) -> None:
    """A stack may protect nothing."""
    assert read_settings(RetireSettings, ENVIRONMENT | {"PROTECTED_DATAMARTS": value}).protected_datamarts == ()


@pytest.mark.parametrize("name", ["RETIRABLE_DATAMARTS", "PROTECTED_DATAMARTS", "DATAMART_LISTS_URI"])
def test_globs_are_missing(name: str) -> None:
    """A guard that is not there at all is a wrong deployment and not an empty guard."""
    with pytest.raises(ConfigurationError, match=f"^{name} is missing"):
        read_settings(RetireSettings, {other: text for other, text in ENVIRONMENT.items() if other != name})


@pytest.mark.parametrize("value", [None, "", " "], ids=["missing", "empty", "blank"])
def test_no_embed_map(value: str | None) -> None:
    """A stack need not have a map of embeds."""
    environment = {name: text for name, text in ENVIRONMENT.items() if name != "EMBED_MAP_URI"}

    assert (
        read_settings(RetireSettings, environment | ({} if value is None else {"EMBED_MAP_URI": value})).embed_map_uri
        is None
    )


@pytest.mark.parametrize("value", ["", " "])
def test_no_lists(value: str) -> None:
    """A stack need not have a file of lists."""
    assert read_settings(RetireSettings, ENVIRONMENT | {"DATAMART_LISTS_URI": value}).datamart_lists_uri is None


@pytest.mark.parametrize(("value", "limit"), [("0", 0), ("1", 1), ("10000", 10_000)])
def test_max_retirements_per_day(value: str, limit: int) -> None:
    """The day's limit is a whole number; 0 is none at all."""
    assert (
        read_settings(RetireSettings, ENVIRONMENT | {"MAX_RETIREMENTS_PER_DAY": value}).max_retirements_per_day == limit
    )


MANGLED = [
    ",",
    "core-*,",
    ",core-*",
    "core-*, ,hr",
    '"core-*","hr"',
    "'core-*'",
    'core-*" "hr',
    "\u201ccore-*\u201d",
    "`core-*`",
    "core-*;hr",
    "core-*\nhr",
    "core-*,\r\nhr",
    "core-*\u2028hr",
    "core-*\x00",
    '["core-*", "hr"]',
    '["core-*"]',
    "[core-*, hr]",
    "[core-*]",
    "[core]",
    "[]",
    "[a,b]*",
    "core-[a",
    "core-[!]",
    "{core,hr}-*",
    "${Protected}",
    '{"names": "core-*"}',
]
WRONG = {
    "RETIRABLE_DATAMARTS": MANGLED,
    "PROTECTED_DATAMARTS": MANGLED,
    "MODE": ["Retire", "delete", "plan,retire"],
    "DATABRAIN_API": ["v2", "CURRENT"],
    "SERVICE_TOKEN_SECRET_ARN": ["databrain-token", "secret:arn:"],
    "BACKUP_BY_DEFAULT": ["yes", "True", "1"],
    "REQUIRE_RESTORABLE": ["no", "False", "0"],
    "REHEARSE_BY_DEFAULT": ["no", "False", "0"],
    "UNDETERMINED_EMBEDS": ["ignore", "Block"],
    "DATABRAIN_CA_URI": ["authority.pem", "https://maps/authority.pem"],
    "EMBED_MAP_URI": ["maps/embeds.json", "https://maps/embeds.json", "s3://", "s3://maps", "s3://maps/", "s3:///key"],
    "DATAMART_LISTS_URI": ["lists/datamarts.json", "https://lists/datamarts.json", "s3://lists"],
    "MAX_RETIREMENTS_PER_DAY": ["-1", "2.5", "many", "\u00b2", "\u0665", "1e3"],
    "APPROVALS_REQUIRED": ["4", "-1", "one", "1.0", "\u0661"],
    "APPROVAL_EXPIRES_IN": ["0", "-1", "2 weeks", "\u0661"],
    "RETRY_DELAYS": ["60", "1,2,3,4", "1,2,3,4,5,6", "1,2,,4,5", "1,2,3,4,-5", "1,2,3,4,5.0", "1,2,3,4,42781"],
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
        read_settings(RetireSettings, ENVIRONMENT | {name: value})


def test_every_setting_is_tested() -> None:
    """Only names that nothing can be told of have no wrong value."""
    assert ENVIRONMENT.keys() - WRONG == {
        "ENVIRONMENT_NAME",
        "REQUESTS_QUEUE_URL",
        "SCHEDULING_QUEUE_URL",
        "EVIDENCE_BUCKET_NAME",
        "COORDINATION_TABLE_NAME",
    }


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
    assert read_settings(RetireSettings, ENVIRONMENT | {"DATABRAIN_BASE_URL": url}).databrain_base_url == read


@pytest.mark.parametrize("name", ["SERVICE_TOKEN_SECRET_ARN", "DATABRAIN_BASE_URL"])
def test_token_in_a_wrong_place(name: str) -> None:
    """A token that was put where its secret's ARN or the URL belongs is not repeated."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(RetireSettings, ENVIRONMENT | {name: "dbn_live_abc123"})

    assert "dbn_live_abc123" not in str(raised.value)
