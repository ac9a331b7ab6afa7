"""The program as a process: what stands around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator import CHECKOUT

POLICY = {
    "formatVersion": "1",
    "rules": [{"name": "all", "owner": "o", "reason": "r", "names": ["*"], "retireAfter": "7 days"}],
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy in a file whose name not every terminal can show."""
    file = tmp_path / "Größe.json"
    file.write_text(json.dumps(POLICY))
    return file


def start(*arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Start the program without a terminal."""
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "retirement" / "python")])
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-m", "cli", *arguments],
        env={**kept, "PYTHONPATH": paths, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}, {}])
def test_json_is_json(policy: Path, variables: dict[str, str]) -> None:
    """With --json, stdout is JSON and nothing else, whatever the environment says about colours and encodings."""
    with start("sweep", "check", str(policy), "--json", **variables) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out) == {"file": str(policy), "valid": True, "dryRun": True, "rules": 1}


def test_a_character_that_cannot_be_shown(policy: Path) -> None:
    """A stream that cannot encode a character gets an escape."""
    with start("sweep", "check", str(policy), PYTHONIOENCODING="ascii") as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Gr\\xf6\\xdfe.json: 1 rule" in out


def test_nobody_reads_on(policy: Path) -> None:
    """Output that nobody reads any more is no error."""
    with start("sweep", "check", str(policy)) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("closed", "arguments", "status"),
    [("0<&-", "retire acme", 2), ("1>&-", "retire acme --yes", 2), ("1>&-", "use", 0), ("2>&-", "nonsense", 2)],
)
def test_a_stream_that_is_closed(closed: str, arguments: str, status: int, tmp_path: Path) -> None:
    """A stream that the program is started without changes no status: nobody is asked, and nothing is shown there."""
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "retirement" / "python")])
    finished = subprocess.run(  # noqa: S603 -- our own program
        ["/bin/sh", "-c", f'"$0" -m cli {arguments} {closed}', sys.executable],
        env={"PYTHONPATH": paths, "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert (finished.returncode, b"Error" in finished.stderr) == (status, False)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """Each shell has its completion, with the commands and their options."""
    with start("completion", shell) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert b"retire" in out
    assert b"--reviewed" in out


@pytest.mark.parametrize("arguments", [["--help"], ["retire", "--help"], ["failures", "--help"], ["sweep"]])
def test_help(arguments: list[str]) -> None:
    """Help needs no stack, and shows the options that every command has."""
    with start(*arguments) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert b"--profile" in out
    assert b"tokens" not in out.lower()


def test_help_imports_no_sdk() -> None:
    """`--help` starts fast, because a command is imported only when it runs."""
    code = (
        "import sys; from cli.main import run; run(['--help']); print(sorted({'boto3', 'httpx'} & sys.modules.keys()))"
    )
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "retirement" / "python")])
    finished = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines()[-1] == "[]"
