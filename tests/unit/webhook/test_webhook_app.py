"""The webhook's entry point and what it wires together."""

import io
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from retirement.environment import read_settings
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.webhook.endpoint import TIME_TO_PUT
from retirement.webhook.settings import WebhookSettings
from tests.contract.rotated_secret import RotatedSecret
from tests.fakes import FakeEventBus, Parsed
from tests.unit.entry_points import FUNCTIONS, LAMBDA, Context, kept, lines_of, load, metrics_in
from tests.unit.webhooks import DATA, OTHER_SECRET, SECRET, message, sent

CHECKOUT = Path(__file__).parents[3]
ENVIRONMENT = {
    "ENVIRONMENT_NAME": "prod",
    "WEBHOOK_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook",
    "EVENT_BUS_NAME": "default",
}


@pytest.fixture
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LAMBDA).items():
        monkeypatch.setenv(name, value)


@dataclass
class Deployed:
    """The entry point with one secret and a fake bus, and its real telemetry."""

    app: Any
    capsys: pytest.CaptureFixture[str]
    secret: RotatedSecret = field(default_factory=lambda: RotatedSecret(SECRET))
    event_bus: FakeEventBus = field(default_factory=FakeEventBus)
    log: io.StringIO = field(default_factory=io.StringIO)

    def take(self, event: object) -> int:
        """Answer one request, and return the status."""
        status: int = self.app.handler(event, Context(milliseconds=10_000))["statusCode"]
        return status

    @property
    def lines(self) -> list[Parsed]:
        """The log."""
        return lines_of(self.log)

    def metrics(self) -> list[Parsed]:
        """The documents with the metric `Webhooks`."""
        return [document for document in metrics_in(self.capsys.readouterr().out) if "Webhooks" in document]


@pytest.fixture
def deployed(_configured: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The entry point; it takes what is signed now."""
    deployed = Deployed(load("webhook"), capsys)
    real = deployed.app.wiring.ports
    secrets = deployed.secret.webhook_secrets()

    def ports(context: Context) -> object:
        return replace(real(context), secrets=secrets, event_bus=deployed.event_bus)

    monkeypatch.setattr(deployed.app.wiring, "ports", ports)
    monkeypatch.setattr(deployed.app.logger.registered_handler, "stream", deployed.log)
    capsys.readouterr()
    return deployed


def now() -> datetime:
    """The time of day, which the library goes by."""
    return datetime.now(UTC)


def test_settings() -> None:
    """Every setting comes from its variable, spaces around it trimmed."""
    assert read_settings(WebhookSettings, {name: f" {value}\n" for name, value in ENVIRONMENT.items()}) == (
        WebhookSettings(
            environment_name="prod",
            webhook_secret_arn=ENVIRONMENT["WEBHOOK_SECRET_ARN"],
            event_bus_name="default",
        )
    )


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
@pytest.mark.parametrize("value", [None, "", " "], ids=["missing", "empty", "blank"])
def test_setting_is_missing(name: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or empty setting stops the function at its start, with the setting's name: Lambda answers 502."""
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        load("webhook")


@pytest.mark.usefixtures("_configured")
def test_secret_in_the_place_of_its_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is taken for an ARN is not shown."""
    monkeypatch.setenv("WEBHOOK_SECRET_ARN", SECRET)

    with pytest.raises(ConfigurationError, match=r"^WEBHOOK_SECRET_ARN must be a full ARN") as raised:
        load("webhook")

    assert SECRET not in str(raised.value)


@pytest.mark.usefixtures("_configured")
def test_wired() -> None:
    """What outlives an invocation is made once; what belongs to one is made for each, with its own clock."""
    wiring = load("webhook").wiring
    first, second = wiring.ports(Context()), wiring.ports(Context(milliseconds=1_500))

    assert wiring.settings.event_bus_name == "default"
    assert kept(first, second) == {"secrets", "event_bus", "telemetry"}
    assert second.clock.remaining() == 1.5


@pytest.mark.usefixtures("_configured")
def test_no_call_takes_long() -> None:
    """A call to AWS, its second try and the pause in between end before the time is up that is kept for it."""
    wiring = load("webhook").wiring
    clients = [
        wiring._secrets._secret._secrets_manager,  # noqa: SLF001  # there is no other way to see it
        wiring._event_bus._events,  # noqa: SLF001  # the same
    ]

    for config in (client.meta.config for client in clients):
        tries = config.retries["total_max_attempts"]
        pauses = tries - 1  # a second at most before the first one (botocore, standard mode)
        assert tries * (config.connect_timeout + config.read_timeout) + pauses < TIME_TO_PUT


def test_what_a_start_takes_along() -> None:
    """A start imports nothing that only a retirement needs: a sender waits for it."""
    code = "import json, sys, app; print(json.dumps(sorted(sys.modules)))"
    path = os.pathsep.join([str(FUNCTIONS / "webhook"), str(CHECKOUT / "layers" / "retirement" / "python")])
    finished = subprocess.run(  # noqa: S603  # our own interpreter, code of this file
        [sys.executable, "-c", code],
        env=ENVIRONMENT | LAMBDA | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert finished.returncode == 0, finished.stderr
    loaded = set(json.loads(finished.stdout))
    assert "standardwebhooks" in loaded
    assert not loaded & {
        "httpx",
        "tenacity",
        "retirement.databrain.client",
        "retirement.retiring.workflow",
        "retirement.delivery.answering",
    }


@pytest.mark.parametrize(
    ("event", "status", "told"),
    [
        (lambda: sent(at=now()), 202, {"retirementId": "msg_1"}),
        (lambda: sent(message(data={**DATA, "retirementId": "x-1"}), at=now()), 202, {"retirementId": "x-1"}),
        (lambda: sent({}, at=now()), 400, {}),
        (lambda: sent(at=now(), secret=OTHER_SECRET), 401, {"reason": "No matching signature found"}),
        (sent, 401, {"reason": "Message timestamp too old"}),
        (lambda: sent(at=now(), webhook_signature="v1"), 401, {"reason": "no signature is v1 and base64"}),
        (lambda: sent(webhook_signature=...), 401, {"reason": "a header is missing or too long"}),
        (lambda: sent(method="GET"), 405, {}),
        (lambda: sent("x" * 100_000), 413, {}),
        (lambda: sent(content_type="text/plain"), 415, {}),
    ],
)
def test_one_line_and_one_count(deployed: Deployed, event: Any, status: int, told: dict[str, str]) -> None:  # noqa: ANN401  # makes an event
    """Each request is one line with its status, and one count by status; the line says which retirement, or why not."""
    assert deployed.take(event()) == status

    [line] = deployed.lines
    assert (line["message"], line["status"], line["level"]) == ("webhook answered", status, "INFO")
    assert {name: line[name] for name in ("retirementId", "reason") if name in line} == told
    [document] = deployed.metrics()
    [definition] = document["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "DatamartRetirement"
    assert {name: document[name] for name in definition["Dimensions"][0]} == {
        "service": "datamart-retirement",
        "environment": "prod",
        "status": str(status),
    }
    assert document["Webhooks"] == [1.0]


def test_what_the_stack_is_to_blame_for(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the secret or the bus fails, the one line is an error that says what failed and whether trying helps."""
    deployed.secret.value = "none"
    assert deployed.take(sent(at=now())) == 503

    def put(**_: object) -> None:
        raise AwsCallFailed("EventBridge PutEvents failed: no")

    deployed.secret.value = SECRET
    monkeypatch.setattr("retirement.aws.webhook_secrets.MIN_AGE", now() - now())
    monkeypatch.setattr(deployed.event_bus, "put", put)
    assert deployed.take(sent(at=now())) == 503

    first, second = deployed.lines
    assert {line["level"] for line in (first, second)} == {"ERROR"}
    assert {line["status"] for line in (first, second)} == {503}
    assert (first["exception_name"], first["retryHelps"]) == ("ConfigurationError", False)
    assert "WebhookSecretArn: the secret arn:" in first["exception"]
    assert (second["exception_name"], second["retryHelps"]) == ("AwsCallFailed", True)
    assert second["retirementId"] == "msg_1"
    assert [document["status"] for document in deployed.metrics()] == ["503", "503"]


def test_a_line_tells_of_its_own_request(deployed: Deployed) -> None:
    """A line never tells of an earlier request of the same environment."""
    deployed.take(sent(at=now()))
    deployed.take(sent({}, at=now()))

    assert "retirementId" not in deployed.lines[-1]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_nothing_that_was_sent_is_logged(deployed: Deployed, caplog: pytest.LogCaptureFixture, level: int) -> None:
    """Whatever level the log has: no secret, no header and no part of a body gets into it, but the retirement's id."""
    caplog.set_level(level)
    mark = "made-up-mark"
    data = {**DATA, "datamartName": mark, "requestedBy": mark, "reason": mark}
    deployed.take(sent(message(data=data), at=now()))
    deployed.take(sent(message(data={**data, mark: mark}), at=now()))
    deployed.take(sent(message(type=mark), at=now()))
    deployed.take(sent(mark, at=now()))
    for header in ("webhook-timestamp", "webhook-signature", "content-type", "user-agent"):
        event = sent(at=now())
        event["headers"][header] = mark
        deployed.take(event)
    deployed.take(sent(at=now(), webhook_id=f"{mark} that is no retirementId"))
    deployed.take(sent(at=now(), method=mark))

    logged = deployed.log.getvalue() + caplog.text + "".join(deployed.capsys.readouterr())
    assert len(deployed.lines) == 10
    for hidden in (mark, SECRET.removeprefix("whsec_"), quote(SECRET), "v1,", "192.0.2.1"):
        assert hidden not in logged
