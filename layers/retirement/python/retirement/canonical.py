"""JSON as this project reads and writes it: strict on the way in, canonical on the way out."""

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
    """A number that no float holds, as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


Json: TypeAlias = "bool | int | float | ExactNumber | str | Sequence[Json] | Mapping[str, Json] | None"
Document: TypeAlias = Mapping[str, Json]

# What JSON may hold and S3, SNS or SQS may not carry raw: lone surrogates and XML's two forbidden characters.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Possessive, and to the end where no quote ends it: never tried twice.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

# Unguessable, so that no text from outside passes for a number.
_MARK = os.urandom(16).hex()
_MARKED = re.compile(f'"{_MARK}([^"]*)"')

# Levels. What is read has to be written again, and Python's own limit differs by version and by the caller's depth.
MAX_DEPTH = 100
# Of a whole number. Python's own limit is 4,300, told in words for a programmer.
MAX_DIGITS = 1_000
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


def canonical_json(value: Json) -> str:
    """Equal values give equal text: keys sorted, no white space, no NaN, Unicode as it is.

    Raises:
        ValueError: a number is not finite.
    """
    return _escaped(_to_text(value, sort_keys=True))


def ordered_json(value: Json) -> str:
    """The same for a reader: keys in the order they have, and no lone surrogate, which Lambda cannot return.

    Parsed and written again, it is unchanged.
    """
    return _escaped(_LONE_SURROGATE.sub("\ufffd", _to_text(value, sort_keys=False)))


def _to_text(value: Json, *, sort_keys: bool) -> str:
    text = json.dumps(
        value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_marked
    )
    return _MARKED.sub(r"\1", text) if _MARK in text else text


def _marked(number: ExactNumber) -> str:
    """What json.dumps can write, until the text is put in its place."""
    return f"{_MARK}{number.text}"


def _escaped(text: str) -> str:
    return _UNSENDABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def truncated(entries: Sequence[Json], max_bytes: int) -> Sequence[Json]:
    """The first entries of a list, as many as are so many bytes of JSON."""
    ends = accumulate(len(canonical_json(entry).encode()) + 1 for entry in entries)
    return [entry for entry, end in zip(entries, ends, strict=True) if end <= max_bytes]


def sha256_hex(text: str) -> str:
    """The SHA-256 of the text's UTF-8 bytes, in lower-case hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def parse_json(text: str | bytes | bytearray, *, keep: frozenset[str] | None = None, exact: bool = False) -> Json:
    """Parse JSON strictly: no duplicate keys, no NaN or infinite numbers, no more than `MAX_DEPTH` and `MAX_DIGITS`.

    Args:
        text: JSON text, or its bytes: UTF-8 and nothing else (RFC 8259, section 8.1), a byte order mark is ignored.
        exact: a number that no float holds becomes an `ExactNumber`, instead of the nearest float.
        keep: only these keys are kept, in every object; it bounds the memory that a long list takes.

    Raises:
        ValueError: the text is no such JSON.
    """

    def to_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        kept = pairs if keep is None else [pair for pair in pairs if pair[0] in keep]
        found = dict(kept)
        if len(found) != len(kept):
            raise ValueError("an object holds one key twice")
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
    if _is_too_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


def count_values(text: bytes | bytearray, most: int) -> int:
    """How many values JSON holds, with nothing parsed; exact enough to bound the memory that parsing takes.

    Each follows a comma or an opening bracket, or is the first one; a list or an object in another one counts twice.
    Those in texts count only where `most` is not passed with them.
    """
    count = _count_openings(text)
    return count if count <= most else _count_openings(_TEXT.sub(b"", text))


def _count_openings(text: bytes | bytearray) -> int:
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def _is_too_deep(value: Json) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
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
    except ArithmeticError:  # an exponent beyond all bounds
        is_held = False
    return number if is_held else ExactNumber(digits)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
