"""cfn-lint and the serverless rules, and what may be left out of them."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_template_lints_clean() -> None:
    """cfn-lint finds nothing, not even of level "informational", with the serverless rules too."""
    command = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run(  # noqa: S603  # our own environment's command, no input from outside
        [command], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_every_ignore_gives_its_reason() -> None:
    """A rule is ignored on the resource that it is wrong about, with the reason on the same line, never for all."""
    ignores = [line for line in (CHECKOUT / "template.yaml").read_text().splitlines() if "ignore_checks" in line]
    assert ignores
    assert all(" # " in line for line in ignores)
    assert "ignore_checks" not in (CHECKOUT / ".cfnlintrc.yaml").read_text()
