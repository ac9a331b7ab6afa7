"""Run MiniStack until standard input ends, so that it never outlives the process that started it.

Runs under the emulator's own interpreter; the arguments are hypercorn's. (`python -m ministack` also takes port 443,
where it may, as soon as it speaks TLS.)
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the functions' processes are in the group, and nothing is worth saving


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("hypercorn", run_name="__main__", alter_sys=True)
