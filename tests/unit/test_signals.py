"""What ends a program of this machine from outside."""

import signal
import subprocess
import sys

import pytest

from local.emulator import CHECKOUT

PROGRAM = """
import signal, time
from local.signals import end_as_by_ctrl_c

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever runs the tests
signal.signal(signal.SIGINT, {interrupt})
end_as_by_ctrl_c()
try:
    print("up", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    for again in {again}:
        signal.raise_signal(again)
    print("cleaned up")
"""


@pytest.mark.parametrize("interrupt", ["signal.default_int_handler", "signal.SIG_IGN"])
@pytest.mark.parametrize(
    ("number", "again"), [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGHUP, []), (signal.SIGHUP, [1, 1])]
)
def test_it_cleans_up(number: signal.Signals, again: list[int], interrupt: str) -> None:
    """Ctrl-C, a request to end and a closed terminal each end it in order, also where the parent ignores Ctrl-C."""
    program = PROGRAM.format(again=again, interrupt=interrupt)
    with subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == "cleaned up\n"
        assert process.returncode == 0


def test_nohup() -> None:
    """What is to outlive its terminal does."""
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    told = "end_as_by_ctrl_c(); signal.raise_signal(signal.SIGHUP); print('still here')"
    program = f"{ignoring}; from local.signals import end_as_by_ctrl_c; {told}"
    finished = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout == "still here\n"
