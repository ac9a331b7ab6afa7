"""What `sam build` calls for each function and layer: the makefiles, and layers/build.py behind them."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from layers import build

CHECKOUT = Path(__file__).parents[2]
NAMES = (
    *("plain", "R&D", "a;b", "out dir", " two  blanks ", "(it's)", 'a"b', "$HOME", "$(shell ls)", "a#b", "back\\slash"),
    *("a:b=c%", "`ls`", "a|b>c", "*", "~", "-rf", "Größe", "new\nline"),
)


def tree(folder: Path) -> set[str]:
    """Everything below, however deep."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def one_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte code of this Python, on whatever machine."""
    monkeypatch.setattr(build, "pythons", lambda: iter([sys.executable]))


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, "by SAM") for name in NAMES] + [(name, "by hand") for name in ("out dir", "R&D", "$HOME", "a#b")],
)
def test_folders_of_any_name(tmp_path: Path, name: str, given: str) -> None:
    """A checkout and a build folder of any name are built into, and what a shell reads in that name stays as it is."""
    checkout = tmp_path / name
    for part in ("layers/build.py", "layers/retirement/Makefile"):
        (checkout / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / part, checkout / part)
    package = checkout / "layers" / "retirement" / "python" / "retirement"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    artifacts = checkout / "build" / name
    (artifacts / "python" / "stale").mkdir(parents=True)
    for word in {*re.split(r"\W+", name), name.split(maxsplit=1)[0]} - {"", name}:
        for neighbour in (tmp_path / word, artifacts.parent / word):
            (neighbour / "python").mkdir(parents=True)
    before = tree(tmp_path)
    command = ["make", "--makefile", str(checkout / "layers" / "retirement" / "Makefile"), "build-RetirementLayer"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHON": sys.executable}
    if given == "by SAM":
        environment["ARTIFACTS_DIR"] = str(artifacts)
    else:
        command.append(f"ARTIFACTS_DIR={artifacts}")
    subprocess.run(command, cwd=package.parents[1], env=environment, check=True, timeout=120)  # noqa: S603  # our makefile
    built = artifacts.relative_to(tmp_path) / "python"
    module, cache = built / "retirement" / "__init__.py", built / "retirement" / "__pycache__"
    after = tree(tmp_path)
    assert before - after == {str(built / "stale")}
    (byte_code,) = after - before - {str(module.parent), str(module), str(cache)}
    assert Path(byte_code).parent == cache


@pytest.mark.usefixtures("one_python")
@pytest.mark.parametrize("part", ["function", "layer", "dependencies"])
@pytest.mark.parametrize("artifacts", ["", ".", "out", "/nowhere/at all", "SOURCE", "SOURCE/.."])
def test_other_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, artifacts: str) -> None:
    """Where ARTIFACTS_DIR names no folder from the root on, or one with the sources in it, nothing is touched."""
    source = tmp_path / "source"
    for folder in (source, source / "out", tmp_path):
        (folder / "python" / "kept").mkdir(parents=True)
        (folder / "app.py").touch()
    monkeypatch.chdir(source)
    before = tree(tmp_path)
    with pytest.raises(build.Refused, match="ARTIFACTS_DIR"):
        build.build(part, Path(artifacts.replace("SOURCE", str(source))))
    assert tree(tmp_path) == before


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    """Who builds reads what is wrong, and no traceback."""
    finished = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, build.__file__, "layer"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert re.fullmatch(r"build\.py: ARTIFACTS_DIR must be .*\n", finished.stderr)


@pytest.mark.usefixtures("one_python")
def test_a_second_build_leaves_what_the_first_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier build left in the folder, of another version too, goes."""
    monkeypatch.chdir(CHECKOUT / "functions" / "retire")
    build.build("function", tmp_path)
    first = tree(tmp_path)
    (tmp_path / "__pycache__" / "app.cpython-399.pyc").touch()
    build.build("function", tmp_path)
    assert tree(tmp_path) == first


def test_without_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the runtime's Python is not to be had, the one that builds compiles, and the build says what that means."""
    monkeypatch.setattr(build, "pythons", lambda: iter(()))
    monkeypatch.setattr(build, "RUNTIME", "3.99")
    monkeypatch.chdir(CHECKOUT / "functions" / "retire")
    build.build("function", tmp_path)
    assert len([*tmp_path.rglob(f"*.{sys.implementation.cache_tag}.pyc")]) == 1
    said = capfd.readouterr().out
    assert "Byte code is compiled with Python {}.{}".format(*sys.version_info) in said
    assert "Python 3.99 is not installed" in said


# ---- Where the runtime's Python is ---------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python."""
    for name in ("XDG_DATA_HOME", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "MISE_DATA_DIR", "ASDF_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'bin'}")
    return tmp_path


def install(program: Path, does: str = f"echo {build.RUNTIME}") -> str:
    """Put there what answers like a Python of that version, and return its path."""
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(stat.S_IRWXU)
    return str(program)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        (None, "bin"),
        (None, ".pyenv/versions/3.13.0/bin"),
        ("PYENV_ROOT=py env", "py env/versions/3.13.0/bin"),
        (None, ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin"),
        ("XDG_DATA_HOME=data", "data/uv/python/cpython-3.13.1-macos-aarch64-none/bin"),
        ("UV_PYTHON_INSTALL_DIR=pythons", "pythons/cpython-3.13.1-linux-x86_64-gnu/bin"),
        (None, ".local/share/mise/installs/python/3.13.2/bin"),
        ("XDG_DATA_HOME=data", "data/mise/installs/python/3.13.2/bin"),
        ("MISE_DATA_DIR=mise", "mise/installs/python/3.13.2/bin"),
        (None, ".asdf/installs/python/3.13.3/bin"),
        ("ASDF_DATA_DIR=asdf", "asdf/installs/python/3.13.3/bin"),
    ],
)
def test_where_the_runtime_is(home: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, folder: str) -> None:
    """The runtime's Python is found on the PATH and with each version manager, behind a shim that has none."""
    install(home / "shims" / "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    installed = install(home / folder / "python3.13")
    if variable:
        name, _, value = variable.partition("=")
        monkeypatch.setenv(name, str(home / value))
    assert [*build.pythons()] == [installed]


@pytest.mark.parametrize("answer", ["echo 3.12", "exit 1", "true"])
def test_another_python_is_none(home: Path, answer: str) -> None:
    """A program of that name which is no Python of that version is not taken."""
    install(home / "bin" / "python3.13", answer)
    assert [*build.pythons()] == []


@pytest.mark.parametrize("installed", [True, False])
def test_the_python_that_tests(home: Path, *, installed: bool) -> None:
    """`build.py python` names the runtime's Python for the virtual environments, or else any."""
    expected = install(home / "bin" / "python3.13") if installed else "python3"
    named = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, build.__file__, "python"], capture_output=True, text=True, check=True
    )
    assert named.stdout == f"{expected}\n"
