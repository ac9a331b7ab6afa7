"""The tools in `tools/`, run as a person does, where they cannot do what they are told."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.emulator import CHECKOUT


def refusal(tool: str, *arguments: str, folder: Path, environment: Mapping[str, str], begins: str) -> str:
    """What a tool says in one line, and does nothing."""
    finished = subprocess.run(  # noqa: S603 -- our own tool
        [sys.executable, CHECKOUT / "tools" / tool, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith(begins)
    assert finished.stderr.count("\n") == 1
    return finished.stderr
