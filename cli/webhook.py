"""Webhooks: send one, signed as Standard Webhooks are, and change the secret that signs them.

A secret is read from Secrets Manager, and never stands in an argument, where others could see it.
"""

import json
import os
import re
import secrets as random
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import uuid4

import httpx
from cyclopts import Parameter
from standardwebhooks import Webhook

from cli.errors import CommandError, Refused, Status, UsageError
from cli.output import shown
from cli.sending import NO_REASON, Sending, detail_of, require_valid, valid_request
from cli.session import Given
from cli.stack import Stack
from retirement.aws.webhook_secrets import PREFIX, usable_secrets
from retirement.canonical import Document, parse_json
from retirement.delivery.intake import CANCELLED, DETAIL_TYPES, REQUESTED
from retirement.timestamps import format_timestamp

TYPES = {detail_type: name for name, detail_type in DETAIL_TYPES.items()}
TIMEOUT = 30  # seconds
KEY_BYTES = 32

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


def send(
    what: Literal["retire", "cancel"],
    name: str,
    /,
    *,
    id: str | None = None,
    reason: str | None = None,
    dry_run: Flag = False,
    requested_by: str | None = None,
    message_id: str | None = None,
    session: Given,
) -> int:
    """Send a signed webhook, as a system outside AWS does, and show the response.

    Args:
        what: Request a retirement, or cancel one.
        name: The datamart's exact name.
        id: The retirementId [default: the ID of the message].
        reason: Why, for the audit.
        dry_run: Request a dry run.
        requested_by: Who requests it, for the audit [default: your AWS identity].
        message_id: The ID of the message; the same ID makes it a retry [default: a new one].
        session: the run.
    """
    if message_id is not None and not re.fullmatch("[!-~]+", message_id):
        raise UsageError(f"--message-id must be visible ASCII characters without a space; it is {shown(message_id)}")
    if what == "cancel" and (id is None or dry_run):
        raise UsageError("a cancellation needs --id, and has no --dry-run")
    stack = session.stack
    url = stack.output("WebhookUrl", "a webhook")
    detail = detail_of(
        session,
        Sending(requested_by=requested_by),
        datamartName=name,
        retirementId=id,
        reason=reason or NO_REASON,
        dryRun=True if dry_run else None,
    )
    if what == "cancel":
        require_valid(detail, CANCELLED)
    else:
        valid_request(detail, REQUESTED)
    identity = message_id or f"msg_{uuid4().hex}"
    kind = TYPES[CANCELLED if what == "cancel" else REQUESTED]
    response = _sent(stack, url, kind, detail, identity)
    answer: Document = {"messageId": identity, "status": response.status_code, "response": response.text}
    session.output.document(answer)
    session.output.line(f"{identity}: HTTP {response.status_code} {shown(response.text)}")
    return Status.OK if response.is_success else Status.REJECTED


def rotate(*, finish: Flag = False, yes: Flag = False, session: Given) -> int:
    """Add a new secret, and show it; the old ones stay valid. Later, --finish removes the oldest.

    Args:
        finish: Remove the oldest secret, once its sender signs with the new one.
        yes: Do not ask.
        session: the run.
    """
    stack, output = session.stack, session.output
    text = _secret_text(stack)
    known = usable_secrets(text)
    if text.strip() and not known:
        raise Refused(
            f"the secret of WebhookSecretArn has something that is not {PREFIX} followed by base64, so the stack "
            "accepts none of it, and nothing was changed: correct it first"
        )
    if finish and len(known) < 2:  # noqa: PLR2004  # the last secret would close the webhook
        raise Refused("the webhook has one secret, which is not removed: add another one with datamart webhook rotate")
    new = f"{PREFIX}{b64encode(random.token_bytes(KEY_BYTES)).decode()}"
    changed = [*known[1:]] if finish else [*known, new]
    what = "This removes the oldest" if finish else "This adds a secret to the"
    output.confirm(f"{what} of {len(known)} that sign webhooks, on {session.context}.", "rotate", yes=yes)
    with stack.calls():
        stack.secretsmanager.put_secret_value(
            SecretId=stack.parameter("WebhookSecretArn"), SecretString=_written(text, changed)
        )
    if finish:
        output.document({"secrets": len(changed)})
        output.line("The oldest secret is removed: in five minutes, nothing accepts it any more.")
        return Status.OK
    output.document({"secrets": len(changed), "secret": new})
    output.line(new)
    output.note("Give this secret to the sender. When the sender signs with it: datamart webhook rotate --finish")
    return Status.OK


def post(
    http: httpx.Client,
    url: str,
    secrets: Sequence[str],
    kind: str,
    data: object,
    *,
    message_id: str,
    requested_at: datetime,
) -> httpx.Response:
    """Send one message, signed now with each secret. The same `message_id` and `requested_at` make it a retry."""
    body = json.dumps({"type": kind, "timestamp": format_timestamp(requested_at), "data": data})
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }
    return http.post(url, content=body, headers=headers, timeout=TIMEOUT)


def _sent(stack: Stack, url: str, kind: str, detail: Document, identity: str) -> httpx.Response:
    emulated, known, now = stack.context.emulated, signing_secrets(stack), datetime.now(UTC)
    try:
        with http_client(emulated.authority if emulated else None) as http:
            return post(http, url, known, kind, detail, message_id=identity, requested_at=now)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        hint = ": set SSL_CERT_FILE to its authority's certificate" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise CommandError(f"no response from {url}: {str(error) or type(error).__name__}{hint}") from error


def http_client(authority: str | None) -> httpx.Client:
    """Return a client with the environment's proxies and certificates, or for the local stack.

    Raises:
        CommandError: one of them cannot be used.
    """
    import ssl  # noqa: PLC0415  # for the local stack only

    try:
        if authority:
            return httpx.Client(verify=ssl.create_default_context(cafile=authority), trust_env=False)
        return httpx.Client()
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise CommandError(f"the proxy (ALL_PROXY, HTTPS_PROXY, NO_PROXY) cannot be used: {error}") from error
    except OSError as error:
        raise CommandError(f"SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE cannot be used: {error}") from error


def signing_secrets(stack: Stack) -> tuple[str, ...]:
    """Return the secrets of the stack, of which the newest may not be known everywhere yet, or those of WEBHOOK_SECRET.

    Raises:
        CommandError: there is none that the stack would accept; the message does not show it.
    """
    given = os.environ.get("WEBHOOK_SECRET")
    known = usable_secrets(given) if given else usable_secrets(_secret_text(stack))
    if not known:
        where = "WEBHOOK_SECRET" if given else "the secret of WebhookSecretArn"
        raise CommandError(f"{where} does not contain {PREFIX} followed by base64, as the stack accepts it")
    return known


def _secret_text(stack: Stack) -> str:
    stack.output("WebhookUrl", "a webhook")
    with stack.calls():
        answer = stack.secretsmanager.get_secret_value(SecretId=stack.parameter("WebhookSecretArn"))
    return answer.get("SecretString", "")


def _written(text: str, changed: Sequence[str]) -> str:
    """Return secrets in the form that they had: JSON, with what else it has, or one a line."""
    try:
        stored = parse_json(text)
    except ValueError:
        stored = None
    return json.dumps({**stored, "secrets": list(changed)}) if isinstance(stored, dict) else "\n".join(changed)
