"""microburst as a process of this run: it stands between the functions and MiniStack, and fails as AWS does."""

import contextlib
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local.emulator import CHECKOUT
from local.stack import EmbeddedStack

PYTHON = CHECKOUT / ".venv" / "soak" / "bin" / "python"
MAIN = Path(__file__).with_name("proxy_main.py")
MAX_FIRED = 1_000_000  # events that are asked for, and kept


@dataclass(frozen=True)
class Proxy:
    """A running microburst. A process uses it that has its `endpoint` as AWS_ENDPOINT_URL."""

    endpoint: str
    control: httpx.Client

    def inject(self, rules: Sequence[dict[str, Any]]) -> None:
        """Put fault rules in the place of all others (https://github.com/pingedbrain/microburst, "Rules")."""
        self.control.post("/rules", json=rules).raise_for_status()

    def fired(self) -> Counter[tuple[str, str]]:
        """How often each fault has struck so far, by service and kind: `("s3", "error:SlowDown")`."""
        events = self.control.get("/fired", params={"limit": MAX_FIRED}).raise_for_status().json()
        return Counter((event["service"], re.sub(r":?\d.*", "", event["action"])) for event in events)


@contextlib.contextmanager
def run_proxy(stack: EmbeddedStack, seed: int) -> Iterator[Proxy]:
    """Run microburst in front of a stack, without a fault at first; `seed` is that of its dice."""
    environment = stack.environment
    home = Path(environment["HOME"])
    # As with MiniStack, an open socket is handed over.
    with socket.create_server(("127.0.0.1", 0)) as listener, (home / "microburst.log").open("wb") as log:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(  # noqa: S603 -- our own command line
            [PYTHON, MAIN, str(listener.fileno()), environment["AWS_ENDPOINT_URL"], str(seed), str(MAX_FIRED)],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )
    with process, httpx.Client(base_url=f"{endpoint}/_microburst", timeout=120, trust_env=False) as control:
        try:
            yield Proxy(endpoint, control)
        finally:
            process.kill()
