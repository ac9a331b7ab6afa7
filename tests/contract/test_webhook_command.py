"""`datamart webhook`: the secret, and where no answer comes."""

import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli.errors import CommandError, Refused, UsageError
from cli.webhook import http_client, rotate, send, signing_secrets
from local.emulator import Emulator
from retirement.aws.webhook_secrets import usable_secrets
from tests.contract.sessions import session_with

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Secrets:
    """A Secrets Manager of one secret."""

    text: str
    put: list[str] = field(default_factory=list)

    def get_secret_value(self, **_: object) -> dict[str, str]:
        """The secret as it is now."""
        return {"SecretString": self.text}

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> None:  # noqa: ARG002, N803  # the SDK's names
        """Replace it."""
        self.text = SecretString
        self.put.append(SecretString)


@pytest.fixture
def secrets() -> Secrets:
    """With one secret."""
    return Secrets(SECRET)


@pytest.fixture
def sent(secrets: Secrets) -> Callable[..., int]:
    """Send a webhook to a URL."""

    def sent(url: str, what: Any = "retire", name: str = "sales", **options: Any) -> int:  # noqa: ANN401  # any option
        return send(what, name, **options, session=session_with({"secretsmanager": secrets}, None, {"WebhookUrl": url}))

    return sent


@pytest.mark.parametrize("message_id", ["offboard-ü", "a b", "a\nb", "a\tb", ""])
def test_an_id_that_no_header_carries(sent: Callable[..., int], message_id: str) -> None:
    """What cannot be the message's ID is a usage error, and nothing is sent."""
    with pytest.raises(UsageError, match="--message-id must be visible ASCII characters without a space"):
        sent("https://webhook.invalid", message_id=message_id)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"what": "cancel"}, "a cancellation needs --id"),
        ({"what": "cancel", "id": "a", "dry_run": True}, "has no --dry-run"),
        ({"name": ""}, "detail.datamartName must be"),
        ({"id": "a b"}, "detail.retirementId must be"),
        ({"what": "cancel", "id": "a b"}, "detail.retirementId must be"),
    ],
)
def test_what_the_stack_would_refuse(sent: Callable[..., int], options: dict[str, Any], told: str) -> None:
    """A message that the webhook would refuse is a usage error, and nothing is sent."""
    with pytest.raises(UsageError, match=told):
        sent("https://webhook.invalid", **options)


@pytest.mark.parametrize(
    "text",
    [
        "whsec_C2FVs",
        "whsec_ä",
        f"WEBHOOK_SECRET={SECRET}",
        f"v1,{SECRET}",
        SECRET.replace("whsec_", "whsk_"),
        "whsec_" + urlsafe_b64encode(b"\xff" * 24).decode(),
        f"\ufeff{SECRET}",
        f'{{"secret": "{SECRET}"}}',
        f"{SECRET} nonsense",
    ],
)
def test_nonsense_signs_nothing(text: str, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack takes for no secret is none here either, in the environment and in the stack, and is not shown."""
    secrets.text = text
    stack = session_with({"secretsmanager": secrets}).stack
    for variable in ("", text):
        monkeypatch.setenv("WEBHOOK_SECRET", variable)
        with pytest.raises(CommandError, match="does not contain whsec_ followed by base64") as told:
            signing_secrets(stack)
        assert text not in str(told.value)


@pytest.mark.parametrize("text", [OTHER, f"{SECRET}\n{OTHER}\n", f'{{"secrets": ["{SECRET}", "{OTHER}"]}}'])
def test_every_form_that_the_stack_takes(text: str, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's secrets sign, whichever form it takes them in; one of the environment comes first."""
    secrets.text = text
    stack = session_with({"secretsmanager": secrets}).stack
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    assert signing_secrets(stack)[-1] == OTHER
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    assert signing_secrets(stack) == (SECRET,)


@pytest.mark.parametrize("text", [f"{SECRET}\n", json.dumps({"secrets": [SECRET]})])
def test_rotation(text: str, secrets: Secrets, capsys: pytest.CaptureFixture[str]) -> None:
    """A new secret is added behind the old one, in the form that there was, and shown; then the old one goes."""
    secrets.text = text
    session = session_with({"secretsmanager": secrets})
    assert rotate(yes=True, session=session) == 0
    new = capsys.readouterr().out.strip()
    assert usable_secrets(secrets.text) == (SECRET, new)
    assert secrets.text.startswith("{") is text.startswith("{")

    assert rotate(finish=True, yes=True, session=session) == 0
    assert usable_secrets(secrets.text) == (new,)
    with pytest.raises(Refused, match="one secret, which is not removed"):
        rotate(finish=True, yes=True, session=session)


def test_a_rotation_that_nobody_confirms(secrets: Secrets) -> None:
    """Without a terminal and without --yes, nothing is changed."""
    with pytest.raises(UsageError, match="add --yes"):
        rotate(session=session_with({"secretsmanager": secrets}))
    assert secrets.put == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://proxy:port"),
        ("HTTPS_PROXY", "nonsense://proxy"),
        ("NO_PROXY", "[::1]"),
        ("NO_PROXY", "fd00::/8"),
        ("SSL_CERT_FILE", "missing.pem"),
        ("SSL_CERT_FILE", "/dev/null"),
    ],
)
def test_what_the_environment_says(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy or a certificate of the environment that cannot be used is named with the variables to look at."""
    monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(CommandError, match=variable):
        http_client(None)


@pytest.mark.parametrize("url", ["nonsense", "https://webhook:port", f"https://{64 * 'a'}.invalid"])
def test_no_url(sent: Callable[..., int], url: str) -> None:
    """What is not a URL is named."""
    with pytest.raises(CommandError, match=f"no response from {url}: "):
        sent(url)


def test_nothing_listens(sent: Callable[..., int]) -> None:
    """A refused connection is reported with the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(CommandError, match=f"{url}: .*Connection refused"):
        sent(url)


def test_a_certificate_that_is_not_trusted(
    sent: Callable[..., int], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the certificate is not trusted, it says how to trust it."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(CommandError, match="set SSL_CERT_FILE to its authority's certificate"):
        sent(emulator.endpoint)
