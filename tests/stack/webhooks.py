"""What a sender of webhooks does, and what then comes over the bus."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

import httpx
from standardwebhooks import Webhook

from local.stack import EmbeddedStack
from tests.stack.scene import DEADLINE, WEBHOOK_SECRET, JsonObject

REQUESTED, CANCELLED = "datamart.retirement.requested", "datamart.retirement.cancelled"


class Sender:
    """Sends webhooks to the stack, signed with its secret unless told otherwise."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._url = url

    @classmethod
    @contextmanager
    def to(cls, stack: EmbeddedStack) -> Iterator[Self]:
        """A sender for this stack."""
        authority = ssl.create_default_context(cafile=stack.environment["SSL_CERT_FILE"])
        with httpx.Client(verify=authority, timeout=DEADLINE, trust_env=False) as client:
            yield cls(client, stack.outputs["WebhookUrl"])

    def send(
        self,
        body: object,
        *,
        webhook_id: str | None = None,
        secret: str = WEBHOOK_SECRET,
        at: datetime | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Sign and send a body, now unless it is said when; `headers` go over those of a signed message."""
        text = body if isinstance(body, str) else json.dumps(body)
        webhook_id, at = webhook_id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
        signed = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, at, text),
        }
        return self.send_unsigned("POST", text, signed | (headers or {}))

    def send_unsigned(self, method: str, body: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
        """Send whatever it is, as it is."""
        return self._client.request(method, self._url, content=body, headers=headers)


def asking(data: JsonObject, webhook_type: str = REQUESTED) -> JsonObject:
    """The body of a message, asked for now."""
    return {"type": webhook_type, "timestamp": datetime.now(UTC).isoformat(), "data": data}
