"""Names by their globs: `fnmatch`'s, of the whole name, whatever its case.

Folded, one character can become two, and what looks like one can be two code points. So a name is read as folded text
and character by character. What protects holds in any reading, what allows only in both.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from unicodedata import combining, normalize

# Behind each character, where characters are told apart; no datamart that can be asked for has it in its name.
_END = "\0"
_ANY = f"[^{_END}]*+{_END}"
_NOTHING = "(?!)"
_CACHE_SIZE = 4_096  # globs, and lists of them; a policy has at most 1,000, each of the owner's lists too


@dataclass(frozen=True, slots=True)
class DatamartLists:
    """The globs that the owner's file adds to the stack's parameters, from which they can only take away.

    A name that `protected` shields is never deleted, one that `retirable` does not allow is not either. `where` names
    the file for a message.
    """

    where: str
    protected: tuple[str, ...] = ()
    retirable: tuple[str, ...] = ("*",)


NO_LISTS = DatamartLists(where="")


def protecting_glob(name: str, globs: Sequence[str]) -> str | None:
    """The first glob that protects the name, None where none does: a name that looks protected is."""
    for text in dict.fromkeys((name, name.strip())):
        readings = _readings(text)
        if any(map(re.Pattern.match, _patterns(*globs), readings)):
            return next(glob for glob in globs if any(map(re.Pattern.match, _patterns(glob), readings)))
    return None


def allowing_glob(name: str, globs: Sequence[str]) -> str | None:
    """The first glob that allows the name, None where none does."""
    readings = _readings(name)[:2]
    if not all(map(re.Pattern.match, _patterns(*globs), readings)):
        return None
    return next((glob for glob in globs if all(map(re.Pattern.match, _patterns(glob), readings))), None)


@lru_cache(1)  # one name after the other is held against many lists
def _readings(text: str) -> tuple[str, ...]:
    """As folded text, character by character, and as it is compared with other names."""
    return _folded_text(text), "".join(character + _END for character in _characters(text)), folded(text)


@lru_cache(_CACHE_SIZE)
def _patterns(*globs: str) -> tuple[re.Pattern[str], ...]:
    """What each reading of a name is held against: any of these globs."""
    expressions = (
        [translate(_folded_text(glob)) for glob in globs],
        [_by_character(list(_characters(glob))) for glob in globs],
        [translate(folded(glob)) for glob in globs],
    )
    return tuple(re.compile("|".join(alternatives) or _NOTHING) for alternatives in expressions)


def _folded_text(text: str) -> str:
    return normalize("NFC", text.casefold())


def _characters(text: str) -> Iterator[str]:
    """Each code point of the NFC form with the marks that follow it, folded for itself."""
    character = ""
    for point in normalize("NFC", text):
        if character and not combining(point):
            yield _folded_text(character)
            character = ""
        character += point
    if character:
        yield _folded_text(character)


def _by_character(glob: Sequence[str]) -> str:
    """The expression for a glob, as `fnmatch` reads it, of characters each of which ends with `_END`."""
    parts, place = [""], 0  # a star stands between two parts
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
    # The nearest place is as good as any: without going back the work stays within name times glob.
    middle = "".join(f"(?>(?:{_ANY})*?{part})" for part in rest[:-1])
    return rf"{first}{middle}(?:{_ANY})*{rest[-1]}\Z"


def _end_of_set(glob: Sequence[str], start: int) -> int | None:
    """Where `[` has its `]`; one that comes first is meant itself, and a `[` without one, too."""
    first = start + 1 + (glob[start + 1 : start + 2] == ["!"])
    return next((place for place in range(first + 1, len(glob)) if glob[place] == "]"), None)


def _set(members: Sequence[str]) -> str:
    is_negated = members[0] == "!"
    left, choices = list(members[is_negated:]), []
    while left:
        if len(left) > 2 and left[1] == "-":  # noqa: PLR2004  # a range
            if left[0][0] <= left[2][0]:  # of its characters the first code points count
                choices.append(f"[{re.escape(left[0][0])}-{re.escape(left[2][0])}][^{_END}]*")
            del left[:3]
        else:
            choices.append(re.escape(left.pop(0)))
    chosen = f"(?:{'|'.join(choices)}){_END}" if choices else _NOTHING
    return f"(?!{chosen}){_ANY}" if is_negated else chosen


def folded(name: str) -> str:
    """A name as a lenient server might compare it: trimmed, case-folded, NFC.

    Before it is folded, too: what is canonically equivalent may fold apart (U+0345).
    """
    return normalize("NFC", normalize("NFC", name.strip()).casefold())
