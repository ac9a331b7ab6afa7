"""`tools/send_webhook.py`, where no answer comes."""

import os
import socket
from pathlib import Path

import pytest

from local.emulator import Emulator
from tests.contract.refused_tools import refusal

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NO_BASE64 = "whsec_C2FVs"


def refused(folder: Path, url: str, *, data: str = "data.json", secret: str = SECRET) -> str:
    """What the tool says in one line."""
    (folder / "data.json").write_text("{}")
    (folder / "broken.json").write_text("{")
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    said = refusal(
        *("send_webhook.py", url, "datamart.retirement.requested", data),
        folder=folder,
        environment=environment | {"WEBHOOK_SECRET": secret, "NO_PROXY": "127.0.0.1"},
        begins="No answer: ",
    )
    assert secret.removeprefix("whsec_") not in said
    return said


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"data": "missing.json"}, "No such file or directory: 'missing.json'"),
        ({"data": "broken.json"}, "broken.json is no JSON: "),
        ({"secret": NO_BASE64}, "the secret is not whsec_ and base64 after it"),
        ({"secret": "whsec_ä"}, "the secret is not whsec_ and base64 after it"),
    ],
)
def test_what_it_was_given(tmp_path: Path, wrong: dict[str, str], told: str) -> None:
    """What does not do is named, and nothing is sent."""
    assert told in refused(tmp_path, "https://webhook.invalid", **wrong)


@pytest.mark.parametrize("url", ["nonsense", "https://webhook:port"])
def test_no_url(tmp_path: Path, url: str) -> None:
    """What is no URL is named."""
    assert f"No answer: {url}: " in refused(tmp_path, url)


def test_nothing_listens(tmp_path: Path) -> None:
    """A refused connection is told with the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    assert f"{url}: [Errno 111] Connection refused" in refused(tmp_path, url)


def test_a_certificate_that_is_not_trusted(tmp_path: Path, emulator: Emulator) -> None:
    """Where the certificate is not trusted, it says how to trust it."""
    assert "set SSL_CERT_FILE to its authority's certificate" in refused(tmp_path, emulator.endpoint)
