#!/usr/bin/env python3
"""What the makefiles of functions and layers do for `sam build`: fill ARTIFACTS_DIR with one of them, and compile it.

Python and no shell, for the folder has whatever name its owner gave it: a shell makes several of one with a blank or an
`&`, and deletes what they name. SAM runs this in a copy of the source's folder.

Without byte code a cold start compiles everything, and takes twice as long. Byte code fits one version of Python: the
runtime's own compiles it where it is to be had. `build.py python` prints which one that is, for whoever runs the tests.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUNTIME = "3.13"  # as in template.yaml


class Refused(Exception):
    """Nothing was touched."""


def pythons() -> Iterator[str]:
    """The runtime's Pythons on this machine: on the PATH, or where version managers keep theirs."""
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
    """A version manager's shim of that name may well answer that it has no such version."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  # ours
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.stdout.strip() == RUNTIME


def build(part: str, artifacts: Path) -> None:
    """Fill the folder with a `function`, a `layer` of our own, or the `dependencies`, from the working directory.

    Raises:
        Refused: the folder is none that SAM gives. It was not touched.
    """
    source = Path.cwd()
    if not artifacts.is_absolute() or not artifacts.is_dir():
        raise Refused(f"ARTIFACTS_DIR has to be the path of a folder, from the root on; it is {str(artifacts)!a}")
    if artifacts.resolve() in (source, *source.parents):
        raise Refused(f"ARTIFACTS_DIR is {str(artifacts)!a}: the sources are there")
    if part == "function":
        shutil.copy("app.py", artifacts)
        _compile(artifacts, "/var/task")
        return
    site = artifacts / "python"
    if site.exists():
        shutil.rmtree(site)
    if part == "layer":
        # The schemas are a link, and become files.
        shutil.copytree("python", site, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        _install(site)
    _compile(artifacts, "/opt")


def _install(site: Path) -> None:
    """Install what is pinned, from wheels of no platform only: one artifact runs on every architecture and Python."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    wheels = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--platform", "any", "--implementation", "py")
    _run(*pip, "--target", str(site), *wheels, "--abi", "none", "-r", "requirements.txt")
    _run(sys.executable, "trim.py", str(site / "botocore" / "data"))
    for unused in ("bin", "boto3/data", "boto3/examples"):
        shutil.rmtree(site / unused)


def _compile(artifacts: Path, where: str) -> None:
    """Compile all for the folder where Lambda unpacks it; the hash is unchecked, since a zip file has other times."""
    runtime = next(pythons(), None)
    python = runtime or sys.executable
    _run(python, "-c", "import platform; print('Byte code is compiled with Python', platform.python_version())")
    if runtime is None:
        print(f"Python {RUNTIME} is not installed: on AWS this byte code is not used, and cold starts take longer")
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
