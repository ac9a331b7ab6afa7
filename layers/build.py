#!/usr/bin/env python3
"""Fill ARTIFACTS_DIR with one function or layer, and compile it: what their makefiles do for `sam build`.

This is Python and not a shell script, because the folder can have any name: a shell splits a name with a blank or an
`&` into several, and deletes the folders of those names. SAM runs this in a copy of the source's folder.

Without byte code a cold start compiles everything, and takes twice as long. Byte code fits one version of Python, so
the runtime's own version compiles it if it is installed. `build.py python` prints that version's path, for the tests.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUNTIME = "3.13"  # as in template.yaml


class Refused(Exception):
    """The build was refused, and nothing was changed."""


def pythons() -> Iterator[str]:
    """The Pythons of the runtime's version on this machine: on the PATH, or in the folders of version managers."""
    home, variables, name = Path.home(), os.environ, f"python{RUNTIME}"
    shared = Path(variables.get("XDG_DATA_HOME", home / ".local" / "share"))
    managers = (
        Path(variables.get("PYENV_ROOT", home / ".pyenv"), "versions"),
        Path(variables.get("UV_PYTHON_INSTALL_DIR", shared / "uv" / "python")),
        Path(variables.get("MISE_DATA_DIR", shared / "mise"), "installs", "python"),
        Path(variables.get("ASDF_DATA_DIR", home / ".asdf"), "installs", "python"),
    )
    yield from filter(_is_runtime, (str(Path(folder, name)) for folder in os.get_exec_path()))
    for manager in managers:
        yield from filter(_is_runtime, map(str, sorted(manager.glob(f"*/bin/{name}"), reverse=True)))


def _is_runtime(python: str) -> bool:
    """Whether a command is the runtime's Python; a version manager's shim of that name may fail."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  # ours
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.stdout.strip() == RUNTIME


def build(part: str, artifacts: Path) -> None:
    """Fill the folder with a `function`, our own `layer`, or the `dependencies`, from the working directory.

    Raises:
        Refused: SAM would not pass this folder. It was not changed.
    """
    source = Path.cwd()
    if not artifacts.is_absolute() or not artifacts.is_dir():
        raise Refused(f"ARTIFACTS_DIR must be the absolute path of an existing folder; it is {str(artifacts)!a}")
    if artifacts.resolve() in (source, *source.parents):
        raise Refused(f"ARTIFACTS_DIR must not be a folder with the sources; it is {str(artifacts)!a}")
    if part == "function":
        shutil.copy("app.py", artifacts)
        _compile(artifacts, "/var/task")
        return
    site = artifacts / "python"
    if site.exists():
        shutil.rmtree(site)
    if part == "layer":
        # The link to the schemas becomes files.
        shutil.copytree("python", site, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        _install(site)
    _compile(artifacts, "/opt")


def _install(site: Path) -> None:
    """Install the pinned packages from wheels for any platform: the artifact runs on every architecture and Python."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    wheels = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--platform", "any", "--implementation", "py")
    _run(*pip, "--target", str(site), *wheels, "--abi", "none", "-r", "requirements.txt")
    _run(sys.executable, "trim.py", str(site / "botocore" / "data"))
    for unused in ("bin", "boto3/data", "boto3/examples"):
        shutil.rmtree(site / unused)


def _compile(artifacts: Path, where: str) -> None:
    """Compile all modules for the folder in which Lambda unpacks them.

    The byte code is valid without a check of times, which a zip file changes.
    """
    runtime = next(pythons(), None)
    python = runtime or sys.executable
    _run(python, "-c", "import platform; print('Byte code is compiled with Python', platform.python_version())")
    if runtime is None:
        print(f"Python {RUNTIME} is not installed: Lambda will not use this byte code, and cold starts take longer")
    for cache in [*artifacts.rglob("__pycache__")]:
        shutil.rmtree(cache)
    options = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(artifacts), "-p", where)
    _run(python, "-m", "compileall", *options, str(artifacts))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603  # what this file names, no shell


if __name__ == "__main__":
    try:
        if sys.argv[1] == "python":
            print(next(pythons(), "python3"))
        else:
            build(sys.argv[1], Path(os.environ.get("ARTIFACTS_DIR", "")))
    except (Refused, subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"build.py: {error}")
