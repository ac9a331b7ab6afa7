"""What a stranger types first, each in a checkout of its own: `make demo`, and `make local` until Ctrl-C."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack.checkout import AS_IT_IS, check_out

MAX_SECONDS = 300  # on a machine that is busy with other tests


CONFIRM = re.compile(r"datamart (?:retire|restore|failures retry)")  # these ask first


def environment_in(folder: Path) -> dict[str, str]:
    """What a person has set, with a place for contexts of their own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"XDG_CONFIG_HOME": f"{folder}.config"}


@contextmanager
def make(target: str, folder: Path, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a target as a person does, in a terminal's process group, whose Ctrl-C is sent to all of it."""
    with subprocess.Popen(  # noqa: S603 -- our own Makefile
        ["/usr/bin/env", "make", *AS_IT_IS, target, *(f"{name}={value}" for name, value in variables.items())],
        cwd=folder,
        env=environment_in(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        overdue = threading.Timer(MAX_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        overdue.start()
        try:
            yield process
        finally:
            overdue.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout."""
    return check_out(tmp_path / "checkout")


def read_until(process: "subprocess.Popen[str]", *words: str) -> str:
    """Read what it prints, until it has printed each of these."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if all(each in printed for each in words):
            return printed
    raise AssertionError(f"{words!r} was not printed:\n{printed}")


def test_demo(checkout: Path) -> None:
    """`make demo` runs to its end, every check passes, and the report is written."""
    with make("demo", checkout, REPORT="report.html") as process:
        printed = read_until(process, "All checks passed")
        assert process.wait() == 0
    assert "Nothing is left running." in printed
    assert "<html" in (checkout / "report.html").read_text()
    assert list((checkout / ".local").iterdir()) == []


def test_local(checkout: Path) -> None:
    """`make local` prints commands that work as they stand, shows each result, and ends with Ctrl-C."""
    with make("local", checkout) as process:
        printed = read_until(process, "Press Ctrl-C to stop")
        walk = Walk(printed, checkout)
        assert "acme-trial, Marketing Funnel (EU) (used by an embed)" in printed
        assert "dependents_found" in walk.take("See what sales-analytics", status=3)
        assert "acme-trial: deleted" in walk.take("Retire acme-trial")
        assert "acme-trial-ends" in read_until(process, "acme-trial-ends: ")
        assert "receipt.json" in walk.take("See what is on record")
        assert "acme-trial: restored" in walk.take("Bring it back")
        assert "initech-trial: scheduled" in walk.take("Schedule a retirement")
        assert "initech-trial: cancelled" in walk.take("Cancel that retirement")
        assert "wouldAsk 1" in walk.take("Run a sweep with")
        assert "HTTP 202" in walk.take("Send a request by webhook")
        assert "databrain_unexpected" in walk.take("Break Databrain")
        walk.take_until("sent again", "Send the abandoned requests again")
        assert "report.html: " in walk.take("Look at everything")

        with make("local", checkout) as another:
            assert "is running already" in read_until(another, "is running already")
            assert another.wait() != 0

        os.killpg(process.pid, signal.SIGINT)
        read_until(process, "Nothing is left running.")
        process.wait()
    assert list((checkout / ".local").iterdir()) == []


@dataclass(frozen=True)
class Walk:
    """The steps that `make local` prints, for a person who takes them in another terminal."""

    printed: str
    folder: Path

    def take(self, step: str, status: int = 0) -> str:
        """Run the commands of one step, confirmed where they ask, and return what they print."""
        defined = re.findall(r"(?m)^  (\w+\(\) .*)$", self.printed)
        (commands,) = re.findall(rf"(?m)^{re.escape(step)}.*:\n((?:  .*\n)+)", self.printed)
        finished = subprocess.run(  # noqa: S603 -- as it says
            ["/bin/bash", "-c", "\n".join([*defined, CONFIRM.sub(r"\g<0> --yes", commands)]).replace(" --open", "")],
            cwd=self.folder,
            env=environment_in(self.folder),
            check=False,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == status, finished.stderr
        return finished.stdout

    def take_until(self, words: str, step: str) -> None:
        """Take a step until it prints these words: an abandoned request reaches `Failures` after its result."""
        deadline = time.monotonic() + MAX_SECONDS
        while words not in (said := self.take(step)):
            assert time.monotonic() < deadline, said
            time.sleep(1)
