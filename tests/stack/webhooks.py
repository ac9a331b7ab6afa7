"""What a sender of webhooks does, and what then comes over the bus."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self
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
            yield cls(client, stack.webhook_url)

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


class Bus:
    """What the webhook puts on the bus, heard by a rule of the tests' own."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._sqs = stack.sqs
        self._queue_url = stack.sqs.create_queue(QueueName="heard-of-the-webhook")["QueueUrl"]
        queue = stack.sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])
        arn = queue["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        stack.sqs.set_queue_attributes(QueueUrl=self._queue_url, Attributes={"Policy": policy})
        bus = stack.outputs["EventBusName"]
        pattern = json.dumps({"source": ["datamart-retirement.webhook"]})
        stack.events.put_rule(Name="heard-of-the-webhook", EventBusName=bus, EventPattern=pattern)
        stack.events.put_targets(Rule="heard-of-the-webhook", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    def forget(self) -> None:
        """Begin anew."""
        self._sqs.purge_queue(QueueUrl=self._queue_url)

    def heard(self) -> list[JsonObject]:
        """Every event since then, in the order in which they came; MiniStack delivers before it answers PutEvents."""
        return list(self._taken())

    def _taken(self) -> Iterator[Any]:
        while messages := self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(message["Body"])
