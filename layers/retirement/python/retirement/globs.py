"""Globs that match datamarts' names: the syntax of `fnmatch`, the whole name, without regard to case.

Case folding can turn one character into two, and one visible character can be two code points. So a name has two
readings: as folded text, and character by character. A name is protected if a glob matches any reading, and allowed
only if a glob matches both (docs/reference.md, "Parameters and outputs").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from unicodedata import combining, normalize

# Ends each character in the reading by character. No name that a request can contain has it.
_END = "\0"
_ANY = f"[^{_END}]*+{_END}"
_NOTHING = "(?!)"
_CACHE_SIZE = 4_096  # globs and lists of globs; a policy and each of the owner's lists have at most 1,000


@dataclass(frozen=True, slots=True)
class DatamartLists:
    """The globs in the owner's file. They restrict further what the stack's parameters allow, and never extend it.

    A name that `protected` matches, or that `retirable` does not match, is not deleted. `where` names the file in
    messages.
    """

    where: str
    protected: tuple[str, ...] = ()
    retirable: tuple[str, ...] = ("*",)


NO_LISTS = DatamartLists(where="")


def protecting_glob(name: str, globs: Sequence[str]) -> str | None:
    """Return the first glob that protects the name, or None. A name that may look protected is protected."""
    for text in dict.fromkeys((name, name.strip())):
        readings = _readings(text)
        if any(map(re.Pattern.match, _patterns(*globs), readings)):
            return next(glob for glob in globs if any(map(re.Pattern.match, _patterns(glob), readings)))
    return None


def allowing_glob(name: str, globs: Sequence[str]) -> str | None:
    """Return the first glob that allows the name, or None."""
    readings = _readings(name)[:2]
    if not all(map(re.Pattern.match, _patterns(*globs), readings)):
        return None
    return next((glob for glob in globs if all(map(re.Pattern.match, _patterns(glob), readings))), None)


@lru_cache(1)  # each name is compared with many lists in turn
def _readings(text: str) -> tuple[str, ...]:
    """Return the name as folded text, character by character, and as `folded` compares names."""
    return _folded_text(text), "".join(character + _END for character in _characters(text)), folded(text)


@lru_cache(_CACHE_SIZE)
def _patterns(*globs: str) -> tuple[re.Pattern[str], ...]:
    """Return one pattern for each reading of a name; it matches if any of the globs does."""
    expressions = (
        [translate(_folded_text(glob)) for glob in globs],
        [_by_character(list(_characters(glob))) for glob in globs],
        [translate(folded(glob)) for glob in globs],
    )
    return tuple(re.compile("|".join(alternatives) or _NOTHING) for alternatives in expressions)


def _folded_text(text: str) -> str:
    return normalize("NFC", text.casefold())


def _characters(text: str) -> Iterator[str]:
    """Yield each code point of the NFC form with the combining marks that follow it, case-folded by itself."""
    character = ""
    for point in normalize("NFC", text):
        if character and not combining(point):
            yield _folded_text(character)
            character = ""
        character += point
    if character:
        yield _folded_text(character)


def _by_character(glob: Sequence[str]) -> str:
    """Return the regular expression for a glob of `fnmatch`, for text whose characters each end with `_END`."""
    parts, place = [""], 0  # the parts between the stars
    while place < len(glob):
        end = _end_of_set(glob, place) if glob[place] == "[" else None
        if glob[place] == "*":
            parts.append("")
        elif glob[place] == "?":
            parts[-1] += _ANY
        elif end is not None:
            parts[-1] += _set(glob[place + 1 : end])
            place = end
        else:
            parts[-1] += re.escape(glob[place] + _END)
        place += 1
    first, *rest = parts
    if not rest:
        return rf"{first}\Z"
    # The first match of a middle part is as good as a later one. Without backtracking the work is at most the name's
    # length times the glob's.
    middle = "".join(f"(?>(?:{_ANY})*?{part})" for part in rest[:-1])
    return rf"{first}{middle}(?:{_ANY})*{rest[-1]}\Z"


def _end_of_set(glob: Sequence[str], start: int) -> int | None:
    """Return the index of the `]` that closes a set; a `]` that comes first is a member. None if there is none."""
    first = start + 1 + (glob[start + 1 : start + 2] == ["!"])
    return next((place for place in range(first + 1, len(glob)) if glob[place] == "]"), None)


def _set(members: Sequence[str]) -> str:
    is_negated = members[0] == "!"
    left, choices = list(members[is_negated:]), []
    while left:
        if len(left) > 2 and left[1] == "-":  # noqa: PLR2004  # a range
            if left[0][0] <= left[2][0]:  # a range compares the first code points of characters
                choices.append(f"[{re.escape(left[0][0])}-{re.escape(left[2][0])}][^{_END}]*")
            del left[:3]
        else:
            choices.append(re.escape(left.pop(0)))
    chosen = f"(?:{'|'.join(choices)}){_END}" if choices else _NOTHING
    return f"(?!{chosen}){_ANY}" if is_negated else chosen


def folded(name: str) -> str:
    """Return a name as a lenient server might compare it: trimmed, case-folded, in NFC.

    NFC comes before case folding too, since canonically equivalent texts may fold differently (U+0345).
    """
    return normalize("NFC", normalize("NFC", name.strip()).casefold())
