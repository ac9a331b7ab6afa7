"""Sign a webhook in the form of Standard Webhooks, send it, and show the response.

The secret comes from a file or from the environment variable WEBHOOK_SECRET, in a form that the stack accepts, and not
from an argument, which others could see.
"""

import argparse
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from standardwebhooks import Webhook

# A person runs this file directly.
sys.path.append(str(Path(__file__).resolve().parents[1] / "layers" / "retirement" / "python"))

from retirement.aws.webhook_secrets import usable_secrets
from retirement.canonical import Json, parse_json

TYPES = ("datamart.retirement.requested", "datamart.retirement.cancelled")
TIMEOUT = 30  # seconds


class NotSent(Exception):
    """No response was received: what is wrong, without the secret."""


def send(
    http: httpx.Client, url: str, secret: str, webhook_type: str, data: object, *, webhook_id: str, asked_at: str
) -> httpx.Response:
    """Send one webhook, signed now. The same `webhook_id` and `asked_at` make it a retry."""
    body = json.dumps({"type": webhook_type, "timestamp": asked_at, "data": data})
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
    }
    return http.post(url, content=body, headers=headers, timeout=TIMEOUT)


def data_in(file: Path) -> Json:
    """Read the request or the cancellation.

    Raises:
        NotSent: the file is not valid JSON.
    """
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotSent(f"{file} is not valid JSON: {error}") from error


def signing_secret(file: Path | None) -> str:
    """Return the first secret of the file, or of WEBHOOK_SECRET without one.

    Raises:
        NotSent: the stack would accept no part of it; the message does not show it.
    """
    try:
        text = file.read_text(encoding="utf-8") if file else os.environ["WEBHOOK_SECRET"]
    except UnicodeDecodeError:
        raise NotSent(f"{file} is not UTF-8 text") from None
    secrets = usable_secrets(text)
    if not secrets:
        raise NotSent(
            f"{file or 'WEBHOOK_SECRET'} does not contain whsec_ followed by base64, as the stack accepts it (the "
            "value is not shown): create one as docs/webhook.md does"
        )
    return secrets[0]


def http_client() -> httpx.Client:
    """A client with the environment's proxies and certificates.

    Raises:
        NotSent: one of them cannot be used.
    """
    try:
        return httpx.Client()
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise NotSent(f"the proxy (ALL_PROXY, HTTPS_PROXY, NO_PROXY) cannot be used: {error}") from error
    except OSError as error:
        raise NotSent(f"SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE cannot be used: {error}") from error


def main(arguments: list[str]) -> int:
    """Send a webhook; the exit status is 1 if it was not accepted.

    Raises:
        NotSent: it could not be created, or no response was received.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the stack's WebhookUrl")
    parser.add_argument("type", choices=TYPES)
    parser.add_argument(
        "data", type=Path, help="a JSON file with the request or the cancellation, in the form of the event's detail"
    )
    parser.add_argument(
        "--secret-file", type=Path, help="a file whose first secret signs; the default is WEBHOOK_SECRET"
    )
    parser.add_argument(
        "--id", default=f"msg_{uuid4().hex}", help="the ID of the webhook; the same ID makes it a retry"
    )
    parser.add_argument("--timestamp", default=datetime.now(UTC).isoformat(), help="the time of the request")
    options = parser.parse_args(arguments)
    if not (options.secret_file or os.environ.get("WEBHOOK_SECRET")):
        parser.error("there is no secret: use --secret-file, or set WEBHOOK_SECRET")
    if not re.fullmatch("[!-~]+", options.id):
        raise NotSent(f"--id must be visible ASCII characters without a space; it is {options.id!r}")
    secret = signing_secret(options.secret_file)
    data = data_in(options.data)
    try:
        with http_client() as http:
            response = send(
                http, options.url, secret, options.type, data, webhook_id=options.id, asked_at=options.timestamp
            )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        hint = ": set SSL_CERT_FILE to its authority's certificate" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise NotSent(f"{options.url}: {str(error) or type(error).__name__}{hint}") from error
    print(f"{options.id}: HTTP {response.status_code} {response.text}")
    return 0 if response.is_success else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (NotSent, OSError) as error:
        sys.exit(" ".join(f"No response: {error}".split()))  # in one line, whatever it repeats
