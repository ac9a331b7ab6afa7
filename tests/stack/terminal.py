"""`datamart` in a pseudo-terminal, as a person sees it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local.emulator import CHECKOUT

DEADLINE = 90.0
# A terminal's programs hear Ctrl-C, also where the tests run in the background, whose programs ignore it.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from cli.main import main
main()
"""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """One run of the program in a terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self._process = process
        self._master = master
        self.shown = ""

    def read_until(self, words: str) -> str:
        """Read until it shows these words."""
        deadline = time.monotonic() + DEADLINE
        while words not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown
        return self.shown

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + DEADLINE
        while self._read():
            assert time.monotonic() < deadline, self.shown
        return self._process.wait(timeout=DEADLINE)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], 1.0)[0]:
            return self._process.poll() is None
        try:
            found = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self.shown += _COLOURS.sub("", found.decode(errors="replace")).replace("\r", "")
        return bool(found)


@contextmanager
def terminal(*arguments: str, environment: Mapping[str, str], columns: int = 120) -> Iterator[Terminal]:
    """Run `datamart` in a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "retirement" / "python")])
    with subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "PYTHONPATH": paths, "TERM": "xterm", "LANG": "C.UTF-8"},
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(master)
