"""docs/webhook.md, followed line by line on the embedded stack, with bash, openssl, curl and the AWS CLI."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.emulator import CHECKOUT
from local.stack import WEBHOOK_SECRET_NAME
from tests.docs.pages import Page
from tests.stack.scene import WEBHOOK_SECRET, Scene
from tests.stack.shell import SHELL_SECONDS, SHOW_DEPLOYMENT, Shell, commands
from tests.stack.webhooks import Sender, asking

PAGE = CHECKOUT / "docs" / "webhook.md"


def test_the_page(scene: Scene, shell: Shell, put_webhook_secret: Callable[[str], object], sender: Sender) -> None:
    """A secret is made, a message signed with curl and openssl is taken, and the secret is changed, all as it says."""
    for program in ("bash", "curl", "openssl", "sed", "od"):
        assert shutil.which(program, path=shell.environment["PATH"]), f"the page needs {program}, which is not there"
    tools, make, deploy, url, delete, send, add, take_out, close, reopen, reserve = commands(PAGE)
    file = shell.folder / "webhook-secret.txt"

    def made_by_the_page(block: str) -> str:
        assert WEBHOOK_SECRET_NAME in block  # the stack has one of this name
        return block.replace(WEBHOOK_SECRET_NAME, "made-by-the-page")

    arn = shell.told(made_by_the_page(make))["ARN"]
    made = file.read_text()
    assert scene.stack.secretsmanager.get_secret_value(SecretId=arn)["SecretString"] == made
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", made)
    assert file.stat().st_mode & 0o077 == 0
    assert shell.run(SHOW_DEPLOYMENT, made_by_the_page(deploy)) == f"WebhookSecretArn={arn}\n"
    assert shell.run(tools, url) == f"{scene.stack.outputs['WebhookUrl']}\n"
    shell.run(delete)
    assert not file.exists()

    put_webhook_secret(made)
    assert '"prod"' in send
    with scene.stack.settings("WebhookFunction"):
        answer = shell.run(tools, send.replace('"prod"', '"dev"'))
    assert answer == '{"retirementId":"first-look-by-webhook"} HTTP 202\n'
    assert scene.result("first-look-by-webhook").document["outcome"] == "already_absent"

    old, new = made.strip(), shell.run(add.replace("rotate", "rotate --yes")).strip()
    scene.eventually(lambda: sender.send(asking({}), secret=new).status_code == 400)
    assert sender.send(asking({}), secret=old).status_code == 400
    shell.run(take_out.replace("--finish", "--finish --yes"))
    assert json.loads(shell.run(tools, close)) == {"ReservedConcurrentExecutions": 0}
    assert sender.send(asking({}), secret=new).status_code == 429
    shell.run(tools, reopen)
    with scene.stack.settings("WebhookFunction"):  # as it is five minutes later
        assert sender.send(asking({}), secret=new).status_code == 400
        assert sender.send(asking({}), secret=old).status_code == 401

    assert json.loads(shell.run(tools, reserve)) == {"ReservedConcurrentExecutions": 10}
    shell.run(tools, reopen)


def test_the_python_of_the_page(scene: Scene, tmp_path: Path) -> None:
    """The page's Python signs and sends a message that is taken, and carried out."""
    name = scene.datamart()
    [code] = [block.text for block in Page("docs/webhook.md").blocks if block.language == "python"]
    assert '"sales-analytics"' in code
    script = tmp_path / "send.py"
    script.write_text(code.replace("sales-analytics", name).replace('"prod"', '"dev"'))
    finished = subprocess.run(  # noqa: S603 -- our own page
        [sys.executable, script],
        env={
            "SSL_CERT_FILE": scene.stack.environment["SSL_CERT_FILE"],
            "WEBHOOK_URL": scene.stack.outputs["WebhookUrl"],
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ('202 {"retirementId":"offboard-acme"}\n', "")
    assert scene.result("offboard-acme").document["outcome"] == "deleted"
