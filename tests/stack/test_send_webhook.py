"""`tools/send_webhook.py`, with the sample webhooks."""

import json
from pathlib import Path

import pytest
from tools.send_webhook import main

from local.emulator import CHECKOUT
from tests.stack.listener import Listener
from tests.stack.scene import WEBHOOK_SECRET, Scene
from tests.stack.webhooks import CANCELLED, REQUESTED

SAMPLES = CHECKOUT / "events" / "webhooks"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
def _trusted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", scene.stack.environment["SSL_CERT_FILE"])
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def sample(tmp_path: Path, name: str) -> str:
    """A sample's file, for this stack's environment."""
    data = json.loads((SAMPLES / name).read_bytes())
    assert data["environment"] == "prod"
    file = tmp_path / name
    file.write_text(json.dumps(data | {"environment": "dev"}))
    return str(file)


@pytest.mark.usefixtures("_trusted")
def test_the_tool(
    scene: Scene, bus: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tools/send_webhook.py` sends the samples, signed with the secret of a file or of its environment."""
    url = scene.stack.outputs["WebhookUrl"]
    file = tmp_path / "secret.txt"
    file.write_text(f"{WEBHOOK_SECRET}\n{OTHER_SECRET}\n")
    request = [url, REQUESTED, sample(tmp_path, "request.json"), "--id", "msg_7", "--secret-file", str(file)]
    assert main(request) == 0
    assert capsys.readouterr().out == 'msg_7: HTTP 202 {"retirementId":"msg_7"}\n'
    assert scene.result("msg_7").document["outcome"] == "already_absent"

    monkeypatch.setenv("WEBHOOK_SECRET", WEBHOOK_SECRET)
    cancellation = [url, CANCELLED, sample(tmp_path, "cancellation.json"), "--timestamp", "2026-03-01T12:00:00Z"]
    assert main(cancellation) == 0
    assert [event["detail-type"].rsplit(" ", 1)[-1] for event in bus.heard()] == ["Requested", "Cancelled"]

    capsys.readouterr()
    monkeypatch.setenv("WEBHOOK_SECRET", OTHER_SECRET)
    assert main(cancellation) == 1
    assert "HTTP 401" in capsys.readouterr().out


def test_the_tool_without_a_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a secret it sends nothing, and says where one may come from."""
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["https://webhook.invalid", REQUESTED, str(SAMPLES / "request.json")])
    assert "there is no secret: use --secret-file, or set WEBHOOK_SECRET" in capsys.readouterr().err
