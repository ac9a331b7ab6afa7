"""Signals that end a program: they act like Ctrl-C, so that none of its processes outlives it."""

import signal
from types import FrameType


def end_as_by_ctrl_c() -> None:
    """Let SIGTERM and a closed terminal raise KeyboardInterrupt, but respect `nohup`.

    SIGINT raises it, too, even if the parent process ignores it, as a shell does for a background job.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hung_up)


def _hung_up(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the shell and the kernel may both send it; one is enough to clean up
    signal.default_int_handler(number, frame)
