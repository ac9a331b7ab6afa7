"""The entry point and what it wires together."""

import json
from collections.abc import Iterator
from dataclasses import fields

import httpx
import pytest

from retirement.databrain.ports import DatabrainApi
from retirement.environment import S3Location, read_settings
from retirement.errors import Abandoned, ConfigurationError, DatabrainUnavailable
from retirement.restoring.settings import RestoreSettings
from tests.fakes import RESTORE_SETTINGS, START, FailAt, Parsed, from_queue, restore_requested
from tests.restore_world import RestoreWorld
from tests.unit.entry_points import LAMBDA, Context, Deployed, deploy, give_up_soon, kept, load

ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "DATABRAIN_BASE_URL": RESTORE_SETTINGS.databrain_base_url,
    "DATABRAIN_API": "current",
    "DATABRAIN_CA_URI": "s3://maps/databrain/authority.pem",
    "SERVICE_TOKEN_SECRET_ARN": RESTORE_SETTINGS.service_token_secret_arn,
    "RETRY_DELAYS": "60,300,900,2700,7200",
    "RESTORES_QUEUE_URL": RESTORE_SETTINGS.restores_queue_url,
    "EVIDENCE_BUCKET_NAME": "evidence",
    "COORDINATION_TABLE_NAME": "coordination",
    "RESULTS_TOPIC_ARN": RESTORE_SETTINGS.results_topic_arn,
}


@pytest.fixture
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LAMBDA).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def deployed(
    _configured: None, world: RestoreWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed[RestoreWorld]]:
    """With one datamart, `sales`, that was retired."""
    world.retire()
    monkeypatch.setattr(RestoreWorld, "databrain", property(lambda world: world.ports().databrain), raising=False)
    ports = ("databrain", "evidence", "coordination", "inbox", "progress", "results_topic")
    with deploy("restore", world, capsys, monkeypatch, *ports) as deployed:
        yield deployed


def message(event: object, receives: int = 1) -> Parsed:
    """An event as the queue hands it to the function."""
    return from_queue(event, START, receives)


def test_settings() -> None:
    """Every setting comes from its variable."""
    settings = read_settings(RestoreSettings, ENVIRONMENT)
    assert settings.databrain_api is DatabrainApi.CURRENT
    assert settings.databrain_ca_uri == S3Location("maps", "databrain/authority.pem")
    assert settings.restores_queue_url == ENVIRONMENT["RESTORES_QUEUE_URL"]
    assert {field.name.upper() for field in fields(RestoreSettings)} == ENVIRONMENT.keys()


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - {"DATABRAIN_CA_URI"}))
def test_setting_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting stops the function at its start, with the setting's name."""
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        load("restore")


@pytest.mark.parametrize("direct", [False, True], ids=["from the queue", "from a rule as such"])
def test_event(deployed: Deployed[RestoreWorld], direct: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A message of the queue and an EventBridge event as such are carried out alike, and return the result."""
    event = restore_requested()
    context = Context(milliseconds=900_000)
    result = deployed.app.handler(event if direct else message(event), context)
    assert result["outcome"] == "restored"
    assert deployed.world.published == [result]
    assert json.loads(json.dumps(result)) == result


def test_log_and_metrics(deployed: Deployed[RestoreWorld]) -> None:
    """Every line tells which restore it is about, and it is counted as a restore, by outcome and reason."""
    deployed.app.handler(message(restore_requested(dryRun=True)), Context(milliseconds=900_000))
    assert {(line["retirementId"], line["restoreId"]) for line in deployed.lines} == {("offboard-1", "back-1")}
    metrics = deployed.metrics()
    assert "Retirements" not in metrics
    assert metrics["Restores"].items() >= {"outcome": "restore_planned", "reason": "dry_run"}.items()
    assert metrics["Restores"].items() >= {"service": "datamart-retirement", "environment": "prod"}.items()


def test_log_of_the_next_request(deployed: Deployed[RestoreWorld]) -> None:
    """A line never tells of an earlier request of the same environment."""
    deployed.app.handler(message(restore_requested(dryRun=True)), Context(milliseconds=900_000))
    before = len(deployed.lines)
    deployed.app.handler(message("no request"), Context())
    assert not {"restoreId", "retirementId"} & {name for line in deployed.lines[before:] for name in line}


def test_failed(deployed: Deployed[RestoreWorld]) -> None:
    """A failed attempt goes back to the queue; the last receive publishes the failure, which counts as one."""
    deployed.interfere(FailAt("databrain.list_datamarts", DatabrainUnavailable("GET: HTTP 503")))
    with pytest.raises(DatabrainUnavailable):
        deployed.app.handler(message(restore_requested(), 5), Context(milliseconds=900_000))
    assert deployed.lines[-1]["reason"] == "databrain_unavailable"
    assert deployed.metrics().keys().isdisjoint({"FailedRestores", "Restores"})
    with pytest.raises(Abandoned):
        deployed.app.handler(message(restore_requested(), 6), Context(milliseconds=900_000))
    metrics = deployed.metrics()
    assert metrics["FailedRestores"]["FailedRestores"] == [1.0]
    assert "FailedRetirements" not in metrics
    assert (metrics["Restores"]["outcome"], metrics["Restores"]["reason"]) == ("failed", "databrain_unavailable")


@pytest.mark.usefixtures("_configured")
def test_wired() -> None:
    """What outlives an invocation is made once; what belongs to one is made for each, with its own clock."""
    wiring = load("restore").wiring
    first, second = wiring.ports(Context()), wiring.ports(Context(milliseconds=1_500))
    assert kept(first, second) == {"evidence", "coordination", "inbox", "progress", "results_topic", "telemetry"}
    assert second.clock.remaining() == 1.5
    assert wiring._inbox._url == ENVIRONMENT["RESTORES_QUEUE_URL"]  # noqa: SLF001  # there is no other way to see it


@pytest.mark.usefixtures("_configured")
def test_nothing_can_delete() -> None:
    """No port of a restore has a method that deletes anything but its own lock."""
    wiring = load("restore").wiring
    ports = wiring.ports(Context())
    methods = {name for port in fields(ports) for name in dir(getattr(ports, port.name)) if not name.startswith("_")}
    assert not [name for name in methods if "delete" in name or "remove" in name]


@pytest.mark.usefixtures("_configured")
def test_every_client_has_time_outs() -> None:
    """No call that goes out can hang for ever, and Databrain's redirects are never followed."""
    wiring = load("restore").wiring
    http: httpx.Client = wiring._http  # noqa: SLF001  # there is no other way to see it
    aws = [
        wiring._token._secret._secrets_manager,  # noqa: SLF001  # the same
        wiring._evidence._s3,  # noqa: SLF001  # the same
        wiring._coordination._dynamodb,  # noqa: SLF001  # the same
        wiring._inbox._client,  # noqa: SLF001  # the same
        wiring._results_topic._sns,  # noqa: SLF001  # the same
    ]
    assert None not in http.timeout.as_dict().values()
    assert http.follow_redirects is False
    assert give_up_soon(*aws)
