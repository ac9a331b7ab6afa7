"""`tools/send_webhook.py`, where no answer comes."""

import os
import re
import socket
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from tools.send_webhook import NotSent, http_client, main, signing_secret

from local.emulator import Emulator
from tests.contract.refused_tools import refusal

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def refused(folder: Path, url: str, *options: str, data: str = "data.json", **variables: str) -> str:
    """What the tool says in one line."""
    (folder / "data.json").write_text("{}")
    (folder / "broken.json").write_text("{")
    (folder / "twice.json").write_text('{"reason": "a", "reason": "b"}')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "utf-16.txt").write_text(SECRET, encoding="utf-16")
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    said = refusal(
        *("send_webhook.py", url, "datamart.retirement.requested", data, *options),
        folder=folder,
        environment=environment | {"WEBHOOK_SECRET": SECRET, "NO_PROXY": "127.0.0.1"} | variables,
        begins="No response: ",
    )
    assert SECRET.removeprefix("whsec_") not in said
    return said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"data": "missing.json"}, "No such file or directory: 'missing.json'"),
        ({"data": "broken.json"}, "broken.json is not valid JSON: "),
        ({"data": "twice.json"}, "twice.json is not valid JSON: "),
        ({"data": "deep.json"}, "deep.json is not valid JSON: "),
        ({"data": "utf-16.txt"}, "utf-16.txt is not valid JSON: "),
        ({"data": "a\nb"}, "No such file or directory"),
    ],
)
def test_what_it_was_given(tmp_path: Path, options: dict[str, str], told: str) -> None:
    """What does not do is named, and nothing is sent."""
    assert told in refused(tmp_path, "https://webhook.invalid", **options)


@pytest.mark.parametrize("webhook_id", ["offboard-ü", "a b", "a\nb", "a\tb", "", "\udcff"])
def test_an_id_that_no_header_carries(webhook_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be the webhook's id is named, and nothing is sent."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    with pytest.raises(NotSent, match=f"^--id must be .*; it is {re.escape(repr(webhook_id))}$"):
        main(["https://webhook.invalid", "datamart.retirement.requested", "data.json", "--id", webhook_id])


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
def test_nonsense_signs_nothing(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack takes for no secret is none here either, in the environment and in a file, and is not shown."""
    file = tmp_path / "secret.txt"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("WEBHOOK_SECRET", text)
    for place in (None, file):
        with pytest.raises(NotSent) as told:
            signing_secret(place)
        assert str(told.value).startswith(f"{place or 'WEBHOOK_SECRET'} does not contain whsec_ followed by base64")
        assert text not in str(told.value)


def test_a_secret_file_of_another_encoding(tmp_path: Path) -> None:
    """A secret file that is no UTF-8 is named."""
    said = refused(tmp_path, "https://webhook.invalid", "--secret-file", "utf-16.txt")
    assert "utf-16.txt is not UTF-8 text" in said


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n{OTHER}\n", f'{{"secrets": ["{SECRET}"]}}'])
def test_every_form_that_the_stack_takes(tmp_path: Path, text: str) -> None:
    """The first secret of a file signs, whichever form the stack takes it in."""
    file = tmp_path / "secret.txt"
    file.write_text(text)
    assert signing_secret(file) == SECRET


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
    """A proxy or a certificate of the environment that cannot be used is told with the variables to look at."""
    monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(NotSent, match=variable):
        http_client()


def test_what_the_environment_says_is_told_in_one_line(tmp_path: Path) -> None:
    """The same, as a person sees it."""
    assert "NO_PROXY) cannot be used: " in refused(tmp_path, "https://webhook.invalid", NO_PROXY="[::1]")


@pytest.mark.parametrize("url", ["nonsense", "https://webhook:port", f"https://{64 * 'a'}.invalid", ""])
def test_no_url(tmp_path: Path, url: str) -> None:
    """What is no URL is named."""
    assert f"No response: {url}: " in refused(tmp_path, url)


def test_nothing_listens(tmp_path: Path) -> None:
    """A refused connection is told with the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    assert f"{url}: [Errno 111] Connection refused" in refused(tmp_path, url)


def test_a_certificate_that_is_not_trusted(tmp_path: Path, emulator: Emulator) -> None:
    """Where the certificate is not trusted, it says how to trust it."""
    assert "set SSL_CERT_FILE to its authority's certificate" in refused(tmp_path, emulator.endpoint)
