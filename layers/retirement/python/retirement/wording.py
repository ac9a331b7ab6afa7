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


def quotation(text: str) -> str:
    """Quote a text that a person wrote, so that it cannot be taken for the stack's own words.

    Quotes in it, and characters that are not printable, such as line breaks and changes of direction, are escaped.
    """
    shown = (
        character if character.isprintable() and character not in '"\\' else _escaped(character)
        for character in shortened(text)
    )
    return f'"{"".join(shown)}"'


def _escaped(character: str) -> str:
    return f"\\{character}" if character in '"\\' else ascii(character)[1:-1]
