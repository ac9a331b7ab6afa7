"""Run MiniStack until standard input ends, so that it never outlives the process that started it.

Runs under the emulator's own interpreter; the arguments are hypercorn's. (`python -m ministack` also takes port 443,
where it may, as soon as it speaks TLS.)
"""

import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from forking import forked  # type: ignore[import-not-found]  # it is beside this file
from ministack.core import iam_actions, lambda_runtime  # type: ignore[import-not-found]  # it is where this runs
from ministack.services import lambda_svc  # type: ignore[import-not-found]  # the same
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]  # the same


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


def _give_functions_an_address() -> None:
    """Let a stack tell where a function's URL is reached here: no name leads to the one that it would have on AWS."""
    told = provisioners._lambda_url_attributes  # noqa: SLF001 -- there is no option for it

    def told_from_here(config: dict[str, Any]) -> dict[str, Any]:
        url_id = lambda_svc._function_url_id(config["FunctionUrl"])  # noqa: SLF001 -- the same
        return {**told(config), "FunctionUrl": f"{os.environ['AWS_ENDPOINT_URL']}/_aws/lambda-url/{url_id}/"}

    provisioners._lambda_url_attributes = told_from_here  # noqa: SLF001 -- the same


class _UnpackedOnce(zipfile.ZipFile):
    """A function's code or layer. Each process is to have its own copy; that takes more time than all that it runs."""

    _guard = threading.Lock()
    _kept = Path(tempfile.mkdtemp(prefix="unpacked-"))

    def namelist(self) -> list[str]:
        """Name nothing: MiniStack checks each name, for each process, for whether it leads out of the folder."""
        return []

    def extractall(self, path: Any = None, *_: Any) -> None:  # noqa: ANN401 -- as MiniStack calls it
        """Put a link to what is unpacked in the place of the empty folder `path`."""
        kept = self._kept / hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        with self._guard:
            if not kept.exists():
                super().extractall(kept, super().namelist())
        Path(path).rmdir()
        Path(path).symlink_to(kept, target_is_directory=True)


def _unpack_once() -> None:
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=_UnpackedOnce, BadZipFile=zipfile.BadZipFile)


class _Forked:
    """Starts a function's process as a fork of one that has imported the modules of its layers."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="forked-"))
        self._stand_ins: dict[tuple[str, ...], Path] = {}
        self._running = ExitStack()

    def start(self, command: list[str], *, env: dict[str, str], **options: Any) -> Any:  # noqa: ANN401 -- for MiniStack
        """Start a process; `command` is the interpreter and its arguments."""
        python, *run = command
        layers = tuple(os.path.realpath(layer) for layer in env.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep))
        with self._guard:
            if layers not in self._stand_ins:
                stand_in = self._folder / str(len(self._stand_ins))
                path = [f"{layer}/python" for layer in layers]
                modules = ["httpcore", *(module for folder in path for module in _modules(Path(folder), "retirement"))]
                self._running.enter_context(forked(stand_in, Path(python), modules, path=path))
                self._stand_ins[layers] = stand_in
        return subprocess.Popen([self._stand_ins[layers], *run], env=env, **options)  # noqa: S603 -- MiniStack's own


def _modules(path: Path, package: str) -> list[str]:
    """All modules of a package, by name, so far as they are in this folder."""
    files = (file.relative_to(path).with_suffix("") for file in (path / package).rglob("*.py"))
    return [".".join(file.parts) for file in files if file.name != "__init__"]


def _fork_functions() -> None:
    lambda_runtime.subprocess = SimpleNamespace(Popen=_Forked().start, PIPE=subprocess.PIPE)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the functions' processes are in the group, and nothing is worth saving


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _tell_policies_of_events()
    _give_functions_an_address()
    _unpack_once()
    _fork_functions()
    runpy.run_module("hypercorn", run_name="__main__", alter_sys=True)
