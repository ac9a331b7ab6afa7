"""Text from outside as a reader can trust it: what is invisible, or reorders what is around it, is spelt out."""

import json
import re
import unicodedata

from retirement.canonical import parse_json

# Blank, though Unicode calls them letters and symbols.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# They join letters and emoji, and mean something between those only.
_JOINERS = frozenset("\u200c\u200d")

_EDGES = re.compile("^ +| +$|(?<= ) +")
_OTHER_SPACE = re.compile(r"[^\S ]")


def visible(text: str) -> str:
    """The text with control, format and blank characters spelt out, such as `[U+202E]`; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _code_point(character) if _is_invisible(character) and not _joins(text, index) else character
        for index, character in enumerate(text)
    )


def visible_name(text: str) -> str:
    """A name, in which each space counts: those at its ends, repeated ones and unusual ones are spelt out too."""
    marked = _EDGES.sub(lambda match: "\u2423" * len(match[0]), text)
    return visible(_OTHER_SPACE.sub(lambda match: _code_point(match[0]), marked))


def laid_out(body: bytes) -> str:
    """JSON in lines, with the same characters as JSON's own escapes; what is not valid JSON as it is."""
    try:
        text = json.dumps(parse_json(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode(errors="replace")
    return text if text.isascii() else "".join(map(_in_json, text))


def _in_json(character: str) -> str:
    return json.dumps(character)[1:-1] if _is_invisible(character) else character


def _code_point(character: str) -> str:
    return f"[U+{ord(character):04X}]"


def _is_invisible(character: str) -> bool:
    if character in "\n\t":
        return False
    is_no_character = ord(character) & 0xFFFE == 0xFFFE  # noqa: PLR2004 -- the last two code points of each plane
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or is_no_character or character in _BLANK


def _joins(text: str, index: int) -> bool:
    return text[index] in _JOINERS and index > 0 and not text[index - 1].isascii()
