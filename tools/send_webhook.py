"""Sign a webhook as Standard Webhooks wants it, send it, and show the answer.

The secret comes from a file, or from the environment variable WEBHOOK_SECRET; an argument would show it to others.
"""

import argparse
import json
import os
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

TYPES = ("datamart.retirement.requested", "datamart.retirement.cancelled")
TIMEOUT = 30  # seconds


class NotSent(Exception):
    """No answer came: what was wrong, without the secret."""


def send(
    url: str,
    secret: str,
    webhook_type: str,
    data: object,
    *,
    webhook_id: str,
    asked_at: str,
    trusted: ssl.SSLContext | None = None,
) -> httpx.Response:
    """Send one webhook, signed now. With the same `webhook_id` and `asked_at` it is another try at the same one.

    `trusted` are the authorities that the URL's certificate may be from, by default those that are trusted anyway.
    """
    body = json.dumps({"type": webhook_type, "timestamp": asked_at, "data": data})
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
    }
    return httpx.post(url, content=body, headers=headers, timeout=TIMEOUT, verify=trusted or True)


def data_in(file: Path) -> object:
    """What is asked for.

    Raises:
        NotSent: the file holds no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotSent(f"{file} is no JSON: {error}") from error


def _can_sign(secret: str) -> bool:
    try:
        Webhook(secret)
    except (ValueError, EmptyWebhookSecretError):
        return False
    return True


def main(arguments: list[str]) -> int:
    """Send a webhook; the exit status is 1 where it was not taken.

    Raises:
        NotSent: it could not be made, or no answer came.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the stack's WebhookUrl")
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("data", type=Path, help="a JSON file with what is asked for: the detail of the event")
    parser.add_argument("--secret-file", type=Path, help="its first secret signs; by default WEBHOOK_SECRET does")
    parser.add_argument("--id", default=f"msg_{uuid4().hex}", help="of the webhook; the same again is another try")
    parser.add_argument("--timestamp", default=datetime.now(UTC).isoformat(), help="when it was asked for")
    options = parser.parse_args(arguments)
    secrets = (options.secret_file.read_text() if options.secret_file else os.environ.get("WEBHOOK_SECRET", "")).split()
    if not secrets:
        parser.error("there is no secret: name a file with one, or set WEBHOOK_SECRET")
    data = data_in(options.data)
    if not _can_sign(secrets[0]):
        raise NotSent(
            "the secret is not whsec_ and base64 after it: make one as docs/webhook.md does (it is not shown)"
        )
    try:
        response = send(options.url, secrets[0], options.type, data, webhook_id=options.id, asked_at=options.timestamp)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        hint = ": set SSL_CERT_FILE to its authority's certificate" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise NotSent(f"{options.url}: {str(error) or type(error).__name__}{hint}") from error
    print(f"{options.id}: HTTP {response.status_code} {response.text}")
    return 0 if response.is_success else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (NotSent, OSError) as error:
        sys.exit(f"No answer: {error}")
