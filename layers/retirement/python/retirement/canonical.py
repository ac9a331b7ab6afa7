"""JSON as this project reads and writes it: input is parsed strictly, output is canonical."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import NoReturn, TypeAlias


@dataclass(frozen=True, slots=True)
class ExactNumber:
    """A number that a float cannot represent, with its digits as they were written."""

    text: str

    def __str__(self) -> str:
        return self.text


Json: TypeAlias = "bool | int | float | ExactNumber | str | Sequence[Json] | Mapping[str, Json] | None"
Document: TypeAlias = Mapping[str, Json]

# Characters that JSON may contain and that S3, SNS and SQS reject: lone surrogates, and two that XML forbids.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Possessive quantifiers, and a match to the end if the closing quote is missing: no backtracking.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

# Unguessable, so that no text from outside is taken for a number.
_MARK = os.urandom(16).hex()
_MARKED = re.compile(f'"{_MARK}([^"]*)"')

# Levels. Parsed JSON is written again, and Python's own limit differs by version and by the depth of the call.
MAX_DEPTH = 100
# Digits of an integer. Python's own limit is 4,300, and its error message is meant for a programmer.
MAX_DIGITS = 1_000
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


def canonical_json(value: Json) -> str:
    """Write JSON so that equal values give equal text: sorted keys, no white space, no NaN, Unicode not escaped.

    Raises:
        ValueError: a number is not finite.
    """
    return _escaped(_to_text(value, sort_keys=True))


def ordered_json(value: Json) -> str:
    """Write JSON for a reader: keys keep their order, and lone surrogates, which Lambda cannot return, are replaced.

    If the text is parsed and written again, it does not change.

    Raises:
        ValueError: a number is not finite.
    """
    return _escaped(_LONE_SURROGATE.sub("\ufffd", _to_text(value, sort_keys=False)))


def _to_text(value: Json, *, sort_keys: bool) -> str:
    text = json.dumps(
        value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_marked
    )
    return _MARKED.sub(r"\1", text) if _MARK in text else text


def _marked(number: ExactNumber) -> str:
    """Return a placeholder that json.dumps can write; `_to_text` replaces it with the digits."""
    return f"{_MARK}{number.text}"


def _escaped(text: str) -> str:
    return _UNSENDABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def truncated(entries: Sequence[Json], max_bytes: int) -> Sequence[Json]:
    """Return the first entries of a list, as many as fit into this many bytes of JSON."""
    ends = accumulate(len(canonical_json(entry).encode()) + 1 for entry in entries)
    return [entry for entry, end in zip(entries, ends, strict=True) if end <= max_bytes]


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8 bytes, in lower-case hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def parse_json(text: str | bytes | bytearray, *, keep: frozenset[str] | None = None, exact: bool = False) -> Json:
    """Parse JSON strictly: no duplicate keys, no NaN, no infinite number, at most `MAX_DEPTH` and `MAX_DIGITS`.

    Args:
        text: JSON text, or its bytes, which must be UTF-8 (RFC 8259, section 8.1); a byte order mark is ignored.
        exact: return an `ExactNumber` for a number that a float cannot represent, instead of the nearest float.
        keep: drop all other keys of every object, to bound the memory that a long list takes.

    Raises:
        ValueError: the text is not such JSON.
    """

    def to_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        kept = pairs if keep is None else [pair for pair in pairs if pair[0] in keep]
        found = dict(kept)
        if len(found) != len(kept):
            raise ValueError("an object has a duplicate key")
        return found

    if not isinstance(text, str):
        text = text.decode("utf-8-sig")  # json.loads would take UTF-16 and UTF-32 as well
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=to_object,
            parse_float=_exact if exact else _finite,
            parse_int=_integer,
            parse_constant=_refuse,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def count_values(text: bytes | bytearray, limit: int) -> int:
    """Count the values in JSON without parsing it, exactly enough to bound the memory that parsing takes.

    A value is the first one, or follows a comma or an opening bracket; a nested list or object counts twice. Commas and
    brackets in strings are left out if the count exceeds `limit` with them.
    """
    count = _count_openings(text)
    return count if count <= limit else _count_openings(_TEXT.sub(b"", text))


def _count_openings(text: bytes | bytearray) -> int:
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def is_deeper(value: Json, levels: int) -> bool:
    """Whether parsed JSON is nested deeper than so many levels."""
    level = [value]
    for _ in range(levels):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, (dict, list)))
        level = [child for children in inner for child in children if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _exact(digits: str) -> float | ExactNumber:
    number = _finite(digits)
    try:
        is_held = Decimal(digits) == Decimal(repr(number))
    except ArithmeticError:  # the exponent is out of Decimal's range
        is_held = False
    return number if is_held else ExactNumber(digits)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")
