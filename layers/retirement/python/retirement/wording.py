"""Texts from outside as a message shows them."""

from collections.abc import Sequence

# Of texts from outside in a message: how many, and how many characters of each.
MAX_QUOTED = 5


MAX_QUOTED_LENGTH = 100


def in_words(count: int, noun: str) -> str:
    """For example `1 embed`, `2 embeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def quoted(names: Sequence[str]) -> str:
    """A list for a person, cut where it gets long: `"a", "b" and 7 more`."""
    shown = ", ".join(f'"{shortened(name)}"' for name in names[:MAX_QUOTED])
    return shown if len(names) <= MAX_QUOTED else f"{shown} and {len(names) - MAX_QUOTED} more"


def shortened(text: str) -> str:
    """A text from outside, cut for a message."""
    return text if len(text) <= MAX_QUOTED_LENGTH else f"{text[: MAX_QUOTED_LENGTH - 3]}..."
