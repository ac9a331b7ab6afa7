"""Webhooks as a sender makes them, and what the function makes of them, on fakes."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

import pytest
from standardwebhooks import Webhook, webhooks

from retirement.aws.webhook_secrets import StoredWebhookSecrets
from retirement.timestamps import format_timestamp
from retirement.webhook.endpoint import respond
from retirement.webhook.ports import WebhookPorts
from retirement.webhook.settings import WebhookSettings
from tests.contract.rotated_secret import RotatedSecret
from tests.fakes import START, FakeEventBus, LogicalClock, Parsed, RecordingWebhookTelemetry

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
REQUESTED, CANCELLED = "datamart.retirement.requested", "datamart.retirement.cancelled"
DATA = {"datamartName": "sales", "environment": "prod", "requestedBy": "crm", "reason": "Acme left"}
MESSAGE: dict[str, object] = {"type": REQUESTED, "timestamp": format_timestamp(START), "data": DATA}

SETTINGS = WebhookSettings(
    environment_name="prod",
    webhook_secret_arn="arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook",
    event_bus_name="default",
)


def message(**fields: object) -> dict[str, object]:
    """The body of a request; a field that is `...` is left out."""
    return {name: value for name, value in (MESSAGE | fields).items() if value is not ...}


def sent(
    body: object = MESSAGE,
    *,
    webhook_id: str = "msg_1",
    at: datetime = START,
    secret: str = SECRET,
    method: str = "POST",
    as_base64: bool = False,
    **headers: object,
) -> dict[str, Any]:
    """What the function gets of a signed message; text is a body as such, and a header that is `...` is left out."""
    text = body if isinstance(body, str) else json.dumps(body)
    signed = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, text),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return {
        "version": "2.0",
        "rawPath": "/",
        "headers": {name: value for name, value in signed.items() if value is not ...},
        "requestContext": {"http": {"method": method, "path": "/", "sourceIp": "192.0.2.1"}},
        "body": b64encode(text.encode()).decode() if as_base64 else text,
        "isBase64Encoded": as_base64,
    }


@dataclass(frozen=True)
class Reply:
    """What a sender gets."""

    status: int
    headers: Parsed
    content: Parsed


class Frozen(datetime):
    """The time of day for the library, which looks at no other clock."""

    clock: LogicalClock

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass
        """The clock's time."""
        return cls.clock.now().astimezone(tz)


@dataclass
class Door:
    """The function on fakes, with one secret."""

    clock: LogicalClock = field(default_factory=LogicalClock)
    secret: RotatedSecret = field(default_factory=lambda: RotatedSecret(SECRET))
    event_bus: FakeEventBus = field(default_factory=FakeEventBus)
    telemetry: RecordingWebhookTelemetry = field(default_factory=RecordingWebhookTelemetry)
    secrets: StoredWebhookSecrets = field(init=False)

    def __post_init__(self) -> None:
        self.secrets = self.secret.webhook_secrets()

    def take(self, event: object, *, seconds: float = 10) -> Reply:
        """Answer one request; the answer is what Lambda takes for one, and every request is told of once."""
        self.clock.begin_invocation(seconds)
        ports = WebhookPorts(self.secrets, self.event_bus, self.telemetry, self.clock)
        before = len(self.telemetry.answers)
        reply: Parsed = json.loads(json.dumps(respond(event, SETTINGS, ports)))
        assert reply.keys() == {"statusCode", "headers", "body"}
        assert reply["headers"]["content-type"] == "application/json"
        assert self.telemetry.answers[before:] == [reply["statusCode"]]
        return Reply(reply["statusCode"], reply["headers"], json.loads(reply["body"]))


def door_at(clock: LogicalClock, monkeypatch: pytest.MonkeyPatch) -> Door:
    """The function, at this time in the library's eyes, too."""
    monkeypatch.setattr(Frozen, "clock", clock, raising=False)
    monkeypatch.setattr(webhooks, "datetime", Frozen)
    return Door(clock)
