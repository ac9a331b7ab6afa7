"""The Makefile, with programs in place of the real ones that only say how they were called."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SAM = 'mkdir -p .aws-sam/build && echo built "$PYTHON" && touch .aws-sam/build/template.yaml'

Make = Callable[..., "subprocess.CompletedProcess[str]"]


def lay_out(checkout: Path) -> Make:
    """A checkout whose virtual environments are there, and how to call its make."""
    for source in ("functions", "layers", "events", "requirements"):
        byte_code = shutil.ignore_patterns("__pycache__")  # other tests may be writing it
        shutil.copytree(CHECKOUT / source, checkout / source, symlinks=True, ignore=byte_code)
    for source in ("Makefile", "template.yaml"):
        shutil.copy(CHECKOUT / source, checkout)
    for environment, program, does in (("sam", "sam", SAM), ("dev", "python", 'printf "%s\\n" "$@"')):
        folder = checkout / ".venv" / environment
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / program).write_text(f"#!/bin/sh\n{does}\n")
        (folder / "bin" / program).chmod(stat.S_IRWXU)
        (folder / ".ready").touch()

    def make(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603  # our own makefile
            ["make", *arguments],  # noqa: S607  # whichever builds here
            cwd=checkout,
            env={"PATH": os.environ["PATH"], "PYTHON": sys.executable} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return make


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder whose name a shell would take apart."""
    return tmp_path / "R&D (it's 1;  #2)"


@pytest.fixture
def make(checkout: Path) -> Make:
    """The make of a checkout in that folder."""
    return lay_out(checkout)


def test_a_build_is_called_once(make: Make, checkout: Path) -> None:
    """SAM gets the Python of its own environment, wherever the checkout is, and is called again for nothing."""
    built = make("build")
    assert built.stdout.splitlines()[-1] == f"built {checkout}/.venv/sam/bin/python"
    assert make("--question", "build").returncode == 0


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (lambda folder: (folder / "new").mkdir(), False),
        (lambda folder: ((folder / "new").mkdir(), (folder / "new").rmdir()), False),
        (lambda folder: ((folder / "__pycache__").mkdir(), (folder / "__pycache__" / "app.pyc").touch()), False),
        (lambda folder: (folder / "new.py").touch(), True),
        (lambda folder: ((folder / "new").mkdir(), (folder / "new" / "app.py").touch()), True),
        (lambda folder: (folder / "app.py").unlink(), True),
        (lambda folder: (folder / "app.py").rename(folder / "other.py"), True),
        (lambda folder: os.utime(folder / "app.py"), True),
        (lambda folder: os.utime(folder.parents[1] / "template.yaml"), True),
    ],
)
def test_what_makes_a_build_stale(make: Make, checkout: Path, change: Callable[[Path], object], *, stale: bool) -> None:
    """Only a file that came, changed or went makes another build necessary, and one build is enough then."""
    make("build")
    change(checkout / "functions" / "retire")
    assert make("--question", "build").returncode == stale
    make("build")
    assert make("--question", "build").returncode == 0


@pytest.mark.parametrize("value", ["plain", "my file", "R&D; ls", "it's", 'a"b', "$HOME", "$(shell ls)", "`ls`", "a#b"])
def test_what_is_given_is_taken_as_it_was_typed(make: Make, value: str) -> None:
    """A value reaches the program as one word, unchanged, from make's command line and from the environment."""
    for finished in (make("demo", f"REPORT={value}"), make("demo", REPORT=value)):
        assert finished.stdout.splitlines()[-4:] == ["-m", "local.demo", "--report", value]


@pytest.mark.parametrize("name", ["$HOME", "`ls`", 'a"b', "back\\slash", "a:b", "new\nline"])
def test_a_folder_that_cannot_be_installed_in(tmp_path: Path, name: str) -> None:
    """Where virtual environments cannot be, make says so before it makes any."""
    make = lay_out(tmp_path / name)
    (tmp_path / name / ".venv" / "sam" / ".ready").unlink()
    refused = make("build")
    assert refused.stderr.splitlines()[0].startswith(
        "Virtual environments do not work in a folder whose path contains "
    )
    assert not (tmp_path / name / ".venv" / "sam" / "pyvenv.cfg").exists()
