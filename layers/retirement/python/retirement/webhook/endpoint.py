"""Answers one request to the webhook's URL: a valid message with a valid signature becomes an event on the bus.

Messages follow Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks).
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import hmac_data

from retirement.canonical import Document, ordered_json, sha256_hex
from retirement.delivery.intake import is_retirement_id, parse_message
from retirement.errors import AttemptInterrupted, InvalidRequest, RetirementError
from retirement.webhook.ports import WebhookPorts
from retirement.webhook.settings import WebhookSettings

# The source of the webhook's events. Its role can put no others on the bus (template.yaml).
SOURCE = "datamart-retirement.webhook"

# A request with a thousand reviewed embeds has 40 KiB. With all characters escaped, it stays below a quarter of the 1
# MB that EventBridge takes (AWS Compute Blog, "More room to build", 29 January 2026).
MAX_BODY_BYTES = 64 * 1024
# A signature has 48 characters, and a sender signs with one secret, or with two during a rotation. The library compares
# each signature with that of each stored secret.
MAX_HEADER_LENGTH = 4 * 1024
SIGNED_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
SVIX_HEADERS = ("svix-id", "svix-timestamp", "svix-signature")  # the names that senders on Svix use

# Seconds for a call to EventBridge that is tried twice (wiring/webhook.py), and for the answer.
TIME_TO_PUT = 7.5
# Seconds after which a sender may retry.
RETRY_AFTER = 60


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request; header names are in lower case, the body is as it was sent."""

    method: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, event: object) -> "HttpRequest":
        """Read the event of a function URL (Lambda developer guide, "Invoking function URLs": payload 2.0).

        Whoever may invoke the function can send anything: a part that is not as Lambda writes it counts as missing.
        """
        envelope = _object(event)
        sent_body = envelope.get("body")
        text = sent_body if isinstance(sent_body, str) else ""
        return cls(
            method=str(_object(_object(envelope.get("requestContext")).get("http")).get("method")),
            headers={
                name.lower(): value
                for name, value in _object(envelope.get("headers")).items()
                if isinstance(value, str)
            },
            body=_base64(text) if envelope.get("isBase64Encoded") is True else text.encode(errors="surrogatepass"),
        )

    @property
    def media_type(self) -> str:
        """The media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Refused(Exception):
    """The request is refused, and answered with this status.

    Attributes:
        message: the message for the sender.
        headers: additional headers of the answer.
        reason: for the log only; it contains nothing of what was sent.
    """

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.reason = reason


def respond(event: object, settings: WebhookSettings, ports: WebhookPorts) -> Document:
    """Answer one request with a response in the form of a function URL."""
    try:
        retirement_id = _accept(HttpRequest.of(event), settings, ports)
    except Refused as refused:
        ports.telemetry.answered(refused.status, reason=refused.reason)
        return _response(refused.status, {"message": refused.message}, refused.headers)
    except InvalidRequest as invalid:
        ports.telemetry.answered(HTTPStatus.BAD_REQUEST)
        return _response(HTTPStatus.BAD_REQUEST, {"message": invalid.message})
    except RetirementError as error:
        ports.telemetry.answered(HTTPStatus.SERVICE_UNAVAILABLE, error=error)
        headers = {"retry-after": str(RETRY_AFTER)}
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, {"message": "Send the message again later."}, headers)
    ports.telemetry.answered(HTTPStatus.ACCEPTED)
    return _response(HTTPStatus.ACCEPTED, {"retirementId": retirement_id})


def _accept(request: HttpRequest, settings: WebhookSettings, ports: WebhookPorts) -> str:
    """Put the event on the bus, and return the retirementId.

    The checks are in the order of their cost, and before the signature is verified answers reveal as little as
    possible.
    """
    if request.method != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Send a POST request.", {"allow": "POST"})
    if request.media_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with the content type application/json.")
    if len(request.body) > MAX_BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send a body of at most {MAX_BODY_BYTES} bytes.")
    signed = _signed_headers(request)
    _require_signature(signed, request.body, ports)

    message = parse_message(_text(request.body), environment=settings.environment_name, arrived_at=ports.clock.now())
    retirement_id = str(message.detail.get("retirementId") or _default_id(signed["webhook-id"]))
    ports.telemetry.about(retirement_id)
    if ports.clock.remaining() < TIME_TO_PUT:
        raise AttemptInterrupted("Too little time is left to put the event on the bus. The sender retries.")
    detail = {**message.detail, "retirementId": retirement_id}
    ports.event_bus.put(source=SOURCE, detail_type=message.detail_type, detail=detail, time=message.time)
    return retirement_id


def _signed_headers(request: HttpRequest) -> Mapping[str, str]:
    """Return the signed headers by the names of Standard Webhooks, all of one set.

    If any header of Standard Webhooks is present, Svix's are ignored, because only one set is verified.
    """
    names = SIGNED_HEADERS if request.headers.keys() & set(SIGNED_HEADERS) else SVIX_HEADERS
    return {ours: request.headers.get(name, "") for ours, name in zip(SIGNED_HEADERS, names, strict=True)}


def _require_signature(signed: Mapping[str, str], body: bytes, ports: WebhookPorts) -> None:
    """Refuse a message that was not signed with one of the secrets, within five minutes of now."""
    if not all(0 < len(value) <= MAX_HEADER_LENGTH for value in signed.values()):
        raise _unauthenticated("a header is missing or too long")
    if not _well_formed(signed["webhook-signature"]):
        raise _unauthenticated("no signature is v1 and base64")
    now = ports.clock.now()
    known = ports.secrets.known(now)
    reason = _verification_failure(signed, body, known)
    if reason is None:
        return
    latest = ports.secrets.latest(now)  # the sender may already use a new secret
    if latest != known:
        reason = _verification_failure(signed, body, latest)
    if reason is not None:
        raise _unauthenticated(reason)


class _BytesWebhook(Webhook):
    """Verifies bytes; the library takes only text, but a signature covers whatever bytes were sent."""

    def sign(self, msg_id: str, timestamp: datetime, data: str) -> str:
        """Return the signature of a body, in which a lone surrogate stands for a byte that is not UTF-8."""
        signed = f"{msg_id}.{int(timestamp.timestamp())}.{data}".encode(errors="surrogateescape")
        return f"v1,{b64encode(hmac_data(self._whsecret, signed)).decode()}"


def _well_formed(signatures: str) -> str:
    """Return the signatures that are `v1,` and base64: any other makes the library raise before it reads the next."""
    return " ".join(part for part in signatures.split(" ") if part.startswith("v1,") and _is_base64(part[3:]))


def _verification_failure(signed: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    """Return why no secret verifies the message, or None if one does."""
    reason = "there is no secret"
    text = body.decode(errors="surrogateescape")
    headers = {**signed, "webhook-signature": _well_formed(signed["webhook-signature"])}
    for secret in secrets:
        try:
            _BytesWebhook(secret).verify(text, headers, json_parse=False)
        except WebhookVerificationError as error:
            reason = str(error)  # one of the library's fixed sentences
        except Exception as error:  # noqa: BLE001  # whatever the error is, the message is not verified
            reason = type(error).__name__
        else:
            return None
    return reason


def _unauthenticated(reason: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, "Invalid signature.", reason=reason)


def _default_id(webhook_id: str) -> str:
    """Return a retirementId that is the same for all retries of a message, even days later."""
    return webhook_id if is_retirement_id(webhook_id) else f"wh-{sha256_hex(webhook_id)}"


def _response(status: HTTPStatus, content: Document, headers: Mapping[str, str] | None = None) -> Document:
    return {
        "statusCode": status.value,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": ordered_json(content),
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not valid JSON: it is not UTF-8") from None


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True
