"""How messages show numbers and texts from outside."""

from collections.abc import Sequence

MAX_QUOTED = 5  # texts from outside in one list
MAX_QUOTED_LENGTH = 100  # characters of each


def in_words(count: int, noun: str) -> str:
    """Return a number with its noun, for example `1 embed` or `2 embeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def quoted(names: Sequence[str]) -> str:
    """Return the first names of a list, for example `"a", "b" and 7 more`."""
    shown = ", ".join(f'"{shortened(name)}"' for name in names[:MAX_QUOTED])
    return shown if len(names) <= MAX_QUOTED else f"{shown} and {len(names) - MAX_QUOTED} more"


def shortened(text: str) -> str:
    """Cut a text from outside to `MAX_QUOTED_LENGTH`."""
    return text if len(text) <= MAX_QUOTED_LENGTH else f"{text[: MAX_QUOTED_LENGTH - 3]}..."
