"""A checkout for one test: what a page's commands write there does not stay."""

import shutil
from pathlib import Path

from local.emulator import CHECKOUT

# What `make` has made already stays as it is: other tests are at work with it.
MADE = [f".venv/{name}/.ready" for name in ("cli", "dev", "emulator", "sam", "soak")] + [".aws-sam/build/template.yaml"]
AS_IT_IS = [word for file in MADE for word in ("-o", file)]
MAKE = f'make() {{ command make {" ".join(AS_IT_IS)} "$@"; }}'  # for a person's shell

_WRITTEN_TO = {"samconfig.toml"}  # by `sam deploy --guided`, for who wants that
_KNOWS_WHERE_IT_IS = {"local"}  # and keeps its runs beside
_LEFT_OUT = {".git", ".local"}


def check_out(folder: Path) -> Path:
    """Make the folder a checkout by links to everything in this one, the built artifact and the tools too."""
    folder.mkdir()
    for entry in CHECKOUT.iterdir():
        if entry.name in _WRITTEN_TO:
            shutil.copy(entry, folder)
        elif entry.name in _KNOWS_WHERE_IT_IS:
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif entry.name not in _LEFT_OUT:
            (folder / entry.name).symlink_to(entry)
    return folder
