"""A program that is forked does what it does when it is started."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.forking import forked

PROGRAM = r"""
import os, sys
print(ascii([sys.argv[1:], os.getcwd(), os.environ["GIVEN"], os.environ.get("ELSE"), sys.stdin.read(), __name__]))
print("a complaint", file=sys.stderr)
exec(sys.argv[1])
"""
# It says when it is imported, and where its data is, as the AWS CLI does.
MODULE = """
import os
with open(__file__ + ".imported", "a") as file:
    file.write("once ")
os.environ["DATA_PATH"] = "the module's"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that tells what it is given, and then does what its first argument says."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


@pytest.fixture
def stand_in(tmp_path: Path, program: Path) -> Iterator[Path]:
    """The program's stand-in; the program has a module to import."""
    (tmp_path / "a_module.py").write_text(MODULE)
    stand_in = tmp_path / "stand in"
    with forked(stand_in, Path(sys.executable), ["a_module"], program=program, path=[str(tmp_path)]):
        yield stand_in


@pytest.mark.parametrize(
    "end",
    ["pass", "sys.exit()", "sys.exit(3)", "sys.exit('why')", "os._exit(4)", "os.kill(os.getpid(), 15)"],
)
def test_as_if_it_was_started(tmp_path: Path, program: Path, stand_in: Path, end: str) -> None:
    """Arguments, folder, environment, standard streams and exit code are those of the program that is started."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def run(*command: str | Path) -> tuple[int, bytes, bytes]:
        finished = subprocess.run(  # noqa: S603 -- our own command line
            [*command, end, "two  words", b"\xff"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "GIVEN": "\udcff"},
            input="größer".encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        code = finished.returncode
        return code if code >= 0 else 128 - code, finished.stdout, finished.stderr

    assert run(stand_in) == run(sys.executable, program)


def test_the_stand_in_of_an_interpreter(tmp_path: Path, program: Path) -> None:
    """Without a program of its own a stand-in runs the file that is its first argument."""
    python = tmp_path / "python"
    with forked(python, Path(sys.executable), []):
        finished = subprocess.run(  # noqa: S603 -- our own command line
            [python, program, "print('here')"],
            env={"GIVEN": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    assert finished.stdout.splitlines()[-1] == b"here"


def test_imported_once(tmp_path: Path, stand_in: Path) -> None:
    """The modules are imported once, and what they have set in the environment is there in each program."""
    said = "import a_module; print(os.environ['DATA_PATH'])"
    for _ in range(3):
        finished = subprocess.run(  # noqa: S603 -- our own command line
            [stand_in, said], env={"GIVEN": ""}, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        assert finished.stdout.splitlines()[-1] == b"the module's"
    assert (tmp_path / "a_module.py.imported").read_text() == "once "


def test_what_ends_the_stand_in_ends_the_program(stand_in: Path) -> None:
    """A stand-in that is killed takes the program with it, whatever that is waiting for."""
    with subprocess.Popen(  # noqa: S603 -- our own command line
        [stand_in, "print('ready', flush=True); import signal; signal.pause()"],
        env={"GIVEN": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert process.stdout.read() == b""  # nobody has it open any more


def test_what_it_serves_ends_with_it(tmp_path: Path, program: Path) -> None:
    """Once it is over, nobody takes a stand-in's request."""
    stand_in = tmp_path / "over"
    with forked(stand_in, Path(sys.executable), [], program=program):
        pass
    finished = subprocess.run([stand_in, "pass"], capture_output=True, check=False)  # noqa: S603 -- the same
    assert (finished.returncode, b"ConnectionRefusedError" in finished.stderr) == (1, True)
