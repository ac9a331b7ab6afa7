"""Sign a webhook as Standard Webhooks wants it, send it, and show the answer.

The secret comes from a file, or from the environment variable WEBHOOK_SECRET, in a form that the stack takes; an
argument would show it to others.
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

# A person runs this file as it is.
sys.path.append(str(Path(__file__).resolve().parents[1] / "layers" / "retirement" / "python"))

from retirement.aws.webhook_secrets import usable_secrets
from retirement.canonical import Json, parse_json

TYPES = ("datamart.retirement.requested", "datamart.retirement.cancelled")
TIMEOUT = 30  # seconds


class NotSent(Exception):
    """No answer came: what was wrong, without the secret."""


def send(
    http: httpx.Client, url: str, secret: str, webhook_type: str, data: object, *, webhook_id: str, asked_at: str
) -> httpx.Response:
    """Send one webhook, signed now. With the same `webhook_id` and `asked_at` it is another try at the same one."""
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
    """Read what is asked for.

    Raises:
        NotSent: the file holds no JSON.
    """
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotSent(f"{file} is no JSON: {error}") from error


def signing_secret(file: Path | None) -> str:
    """Return the first secret of the file, or of WEBHOOK_SECRET without one.

    Raises:
        NotSent: the stack would take none of it; it is not shown.
    """
    try:
        text = file.read_text(encoding="utf-8") if file else os.environ["WEBHOOK_SECRET"]
    except UnicodeDecodeError:
        raise NotSent(f"{file} is not UTF-8 text") from None
    secrets = usable_secrets(text)
    if not secrets:
        raise NotSent(
            f"{file or 'WEBHOOK_SECRET'} does not hold whsec_ and base64 after it, as the stack takes it (it is not "
            "shown): make one as docs/webhook.md does"
        )
    return secrets[0]


def http_client() -> httpx.Client:
    """Connect as the environment says.

    Raises:
        NotSent: a proxy or a certificate that it names cannot be used.
    """
    try:
        return httpx.Client()
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise NotSent(f"the proxy (ALL_PROXY, HTTPS_PROXY, NO_PROXY) cannot be used: {error}") from error
    except OSError as error:
        raise NotSent(f"SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE cannot be used: {error}") from error


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
    if not (options.secret_file or os.environ.get("WEBHOOK_SECRET")):
        parser.error("there is no secret: name a file with one, or set WEBHOOK_SECRET")
    if not re.fullmatch("[!-~]+", options.id):
        raise NotSent(f"--id is {options.id!r}: a header holds visible ASCII characters without a space")
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
        sys.exit(" ".join(f"No answer: {error}".split()))  # in one line, whatever it repeats
