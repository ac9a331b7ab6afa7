"""What can be sent as a bearer token, and where a document holds one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from retirement.canonical import Json

# Characters. The least that NIST lets a secret have that somebody chose (SP 800-63B, section 5.1.1.1): what is shorter
# protects nothing, and innocent names would hold it.
MIN_SECRET_LENGTH = 8
# Of the pieces that secrets are looked for by; more would take memory and save little.
_MAX_PIECE_LENGTH = 8

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_bearer_token(text: str) -> bool:
    """RFC 6750's b64token (section 2.1): what is none is no token, but may hold other credentials."""
    return _B64TOKEN.fullmatch(text) is not None


class ReadSecrets:
    """The secrets that an attempt has read; they are in no `repr`."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Look for this one, too, if it is long enough to be one; a key need not be one that can be sent."""
        if len(secret) >= MIN_SECRET_LENGTH:
            self._secrets.add(secret)

    def place_in(self, document: Json) -> str | None:
        """The path of the first text that holds one of them, such as `tables[0].label`; `*` is a key that does."""
        secrets = frozenset(self._secrets)
        if not secrets:
            return None
        place = _place(document, _matcher(secrets))
        return None if place is None else place.removeprefix(".")


def _matcher(secrets: frozenset[str]) -> Callable[[str], bool]:
    """Whether a text holds a secret, in one pass however many there are.

    Cut into pieces of equal length a text has a whole one within any secret that is nearly twice as long, and it
    begins at one of as many places of the secret as a piece has characters.
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
    return "" if holds_secret(str(node)) else None  # a number: a secret may be made of digits
