"""Run microburst until standard input ends, so that it never outlives the process that started it.

Runs under an interpreter of its own: `proxy_main.py LISTENER UPSTREAM SEED MAX_FIRED`, the first a file descriptor.
(microburst's own command line takes no open socket and no seed, and its log forgets all but the last 2,000 events.)
"""

import os
import random
import signal
import socket
import sys
import threading

from aiohttp import web  # type: ignore[import-not-found]  # installed beside microburst
from microburst.app import make_app  # type: ignore[import-not-found]  # the same
from microburst.core.pipeline import Microburst  # type: ignore[import-not-found]  # the same


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    listener, upstream, seed, most_fired = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    random.seed(seed)
    proxy = Microburst(upstream, fired_capacity=int(most_fired))
    # The host is part of what the caller signed, and MiniStack checks that.
    headers = proxy.upstream._outbound_headers  # noqa: SLF001 -- there is no option for it
    proxy.upstream._outbound_headers = lambda request: headers(request) | {"host": request.headers["Host"]}  # noqa: SLF001 -- the same
    web.run_app(make_app(proxy), sock=socket.socket(fileno=int(listener)), print=None)
