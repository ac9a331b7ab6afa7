"""Names by their globs: `fnmatch`'s, of the whole name, whatever its case."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from unicodedata import normalize


def first_match(name: str, globs: Sequence[str]) -> str | None:
    """The first glob that matches the name, None where none does."""
    own = _comparable(name)
    return next((glob for glob in globs if fnmatchcase(own, _comparable(glob))), None)


def _comparable(text: str) -> str:
    """Case-folded, and in one Unicode form: a name that looks protected is."""
    return normalize("NFC", text.casefold())
