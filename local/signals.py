"""What ends a program here from outside: as Ctrl-C does, so that no process of it outlives it."""

import signal
from types import FrameType


def end_as_by_ctrl_c() -> None:
    """Let a request to end and a closed terminal raise KeyboardInterrupt; `nohup` keeps its say.

    Ctrl-C does, too, where the parent ignores it, as a shell does for a job in the background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hung_up)


def _hung_up(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the shell and the kernel may both say it; one is enough to clean up
    signal.default_int_handler(number, frame)
