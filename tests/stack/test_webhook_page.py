"""docs/webhook.md, followed line by line on the embedded stack, with bash, openssl, curl and the AWS CLI."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator import CHECKOUT
from local.stack import WEBHOOK_SECRET_NAME
from tests.stack.scene import WEBHOOK_SECRET, Scene
from tests.stack.webhooks import Sender, asking

PAGE = (CHECKOUT / "docs" / "webhook.md").read_text()
CLI = CHECKOUT / ".venv" / "cli" / "bin"
SHELL_SECONDS = 120

Run = Callable[..., str]


def blocks(language: str) -> list[str]:
    """Every block of the page in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def run(scene: Scene, tmp_path: Path) -> Run:
    """Run a block in a person's shell, whose only AWS is the embedded stack, and return what it prints."""
    environment = scene.stack.environment
    path = f"{CLI}:{environment['PATH']}"
    for tool in ("bash", "curl", "openssl", "sed", "od"):
        assert shutil.which(tool, path=path), f"the page needs {tool}, which is not there"

    def run(block: str, **replaced: str) -> str:
        for old, new in replaced.items():
            placeholder = {"url": "<the URL>", "secret_name": WEBHOOK_SECRET_NAME, "environment": '"prod"'}[old]
            assert placeholder in block
            block = block.replace(placeholder, new)
        finished = subprocess.run(  # noqa: S603 -- our own page
            ["/bin/bash", "-c", f"set -euo pipefail\n{block}"],
            cwd=tmp_path,
            env={**environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


def test_the_page(
    scene: Scene, run: Run, tmp_path: Path, put_webhook_secret: Callable[[str], object], sender: Sender
) -> None:
    """A secret is made, a message signed with curl and openssl is taken, and the secret is changed, all as it says."""
    make, _deploy, ask_for_url, send, add, take_out, close, reopen, reserve = blocks("sh")
    file = tmp_path / "webhook-secret.txt"

    arn = run(make, secret_name="made-by-the-page").strip()
    assert scene.stack.secretsmanager.get_secret_value(SecretId=arn)["SecretString"] == file.read_text()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", file.read_text())
    assert file.stat().st_mode & 0o077 == 0
    url = run(ask_for_url).strip()
    assert re.fullmatch(r"https://[a-z0-9]{32}\.lambda-url\.[a-z0-9-]+\.on\.aws/", url)

    put_webhook_secret(file.read_text())
    with scene.stack.settings("WebhookFunction"):
        answer = run(send, url=scene.stack.webhook_url, environment='"dev"')
    assert answer == '{"retirementId":"first-look-by-webhook"} HTTP 202\n'
    assert scene.result("first-look-by-webhook").document["outcome"] == "already_absent"

    run(add)
    old, new = file.read_text().split()
    scene.eventually(lambda: sender.send(asking({}), secret=new).status_code == 400)
    assert sender.send(asking({}), secret=old).status_code == 400
    run(take_out)
    assert file.read_text() == f"{new}\n"
    assert json.loads(run(close)) == {"ReservedConcurrentExecutions": 0}
    assert sender.send(asking({}), secret=new).status_code == 429
    run(reopen)
    with scene.stack.settings("WebhookFunction"):  # as it is five minutes later
        assert sender.send(asking({}), secret=new).status_code == 400
        assert sender.send(asking({}), secret=old).status_code == 401

    assert json.loads(run(reserve)) == {"ReservedConcurrentExecutions": 10}
    run(reopen)


def test_the_python_of_the_page(scene: Scene, tmp_path: Path) -> None:
    """The page's Python signs and sends a message that is taken, and carried out."""
    name = scene.datamart()
    [code] = blocks("python")
    assert '"sales-analytics"' in code
    script = tmp_path / "send.py"
    script.write_text(code.replace("sales-analytics", name).replace('"prod"', '"dev"'))
    finished = subprocess.run(  # noqa: S603 -- our own page
        [sys.executable, script],
        env={
            "SSL_CERT_FILE": scene.stack.environment["SSL_CERT_FILE"],
            "WEBHOOK_URL": scene.stack.webhook_url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ('202 {"retirementId":"offboard-acme"}\n', "")
    assert scene.result("offboard-acme").document["outcome"] == "deleted"
