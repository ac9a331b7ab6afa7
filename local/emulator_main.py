"""Run MiniStack until standard input ends, so that it never outlives the process that started it.

Runs under the emulator's own interpreter; the arguments are hypercorn's. (`python -m ministack` also takes port 443,
where it may, as soon as it speaks TLS.)
"""

import json
import os
import runpy
import signal
import sys
import threading
from typing import Any

from ministack.core import iam_actions  # type: ignore[import-not-found]  # it is where this runs


def _tell_policies_of_events() -> None:
    """Tell policies what AWS tells them of PutEvents, and MiniStack does not: `events:source`, `events:detail-type`."""
    told = iam_actions.request_tag_context

    def told_of_events(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = told(service, iam_action, body, params)
        if iam_action == "events:PutEvents":
            entries = json.loads(body)["Entries"]
            context["events:source"] = [entry.get("Source", "") for entry in entries]
            context["events:detail-type"] = " and ".join({entry.get("DetailType", "") for entry in entries})
        return context

    iam_actions.request_tag_context = told_of_events


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the functions' processes are in the group, and nothing is worth saving


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _tell_policies_of_events()
    runpy.run_module("hypercorn", run_name="__main__", alter_sys=True)
