"""Bearer tokens: which texts are valid ones, and where a document contains one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from retirement.canonical import Json

# Characters: NIST's minimum for a chosen secret (SP 800-63B, section 5.1.1.1). A shorter text protects nothing, and
# harmless names would contain it.
MIN_SECRET_LENGTH = 8
# Characters of the pieces that the search compares; longer ones would take memory and save little time.
_MAX_PIECE_LENGTH = 8

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_bearer_token(text: str) -> bool:
    """Return whether a text is a b64token (RFC 6750, section 2.1); any other text may contain other credentials."""
    return _B64TOKEN.fullmatch(text) is not None


class ReadSecrets:
    """The secrets that an attempt has read; no `repr` shows them."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Add a secret to look for, if it is long enough; it need not be a valid bearer token."""
        if len(secret) >= MIN_SECRET_LENGTH:
            self._secrets.add(secret)

    def place_in(self, document: Json) -> str | None:
        """Return the path of the first text that contains a secret, or None.

        A path is such as `tables[0].label`; a `*` in it is a key that contains a secret.
        """
        secrets = frozenset(self._secrets)
        if not secrets:
            return None
        place = _place(document, _matcher(secrets))
        return None if place is None else place.removeprefix(".")


def _matcher(secrets: frozenset[str]) -> Callable[[str], bool]:
    """Return a function that says whether a text contains a secret, in one pass for any number of secrets.

    The text is cut into pieces of equal length. A secret that is nearly twice as long as a piece contains at least one
    complete piece, which begins at one of the first `size` places of the secret.
    """
    shortest = min(map(len, secrets))
    size = min(_MAX_PIECE_LENGTH, (shortest + 1) // 2)
    pieces: dict[str, list[tuple[str, int]]] = {}
    for secret in secrets:
        for offset in range(size):
            pieces.setdefault(secret[offset : offset + size], []).append((secret, offset))

    def holds_any(text: str) -> bool:
        return len(text) >= shortest and any(
            text.startswith(secret, at - offset)
            for at in range(0, len(text), size)
            for secret, offset in pieces.get(text[at : at + size], ())
            if at >= offset
        )

    return holds_any


def _place(node: Json, holds_secret: Callable[[str], bool]) -> str | None:
    if isinstance(node, str):
        return "" if holds_secret(node) else None
    if isinstance(node, Mapping):
        for key, value in node.items():
            if holds_secret(key):
                return ".*"
            if (place := _place(value, holds_secret)) is not None:
                return f".{key}{place}"
        return None
    if isinstance(node, Sequence):
        for index, value in enumerate(node):
            if (place := _place(value, holds_secret)) is not None:
                return f"[{index}]{place}"
        return None
    return "" if holds_secret(str(node)) else None  # a number, since a secret may consist of digits
