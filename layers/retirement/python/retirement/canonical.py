"""JSON as this project reads and writes it: strict on the way in, canonical on the way out."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Document: TypeAlias = Mapping[str, Json]

# What JSON may hold and S3, SNS or SQS may not carry raw: lone surrogates and XML's two forbidden characters.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def canonical_json(value: Json) -> str:
    """Equal values give equal text: keys sorted, no white space, no NaN, Unicode as it is.

    Raises:
        ValueError: a number is not finite.
    """
    return _to_text(value, sort_keys=True)


def ordered_json(value: Json) -> str:
    """The same with keys in the order they have, which a person reads: parsed and written again, it is unchanged."""
    return _to_text(value, sort_keys=False)


def _to_text(value: Json, *, sort_keys: bool) -> str:
    text = json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _UNSENDABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def sha256_hex(text: str) -> str:
    """The SHA-256 of the text's UTF-8 bytes, in lower-case hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def parse_json(text: str | bytes | bytearray, *, keep: frozenset[str] | None = None) -> Json:
    """Parse JSON strictly: no duplicate keys, no NaN, no infinite numbers, whatever the depth or the digits.

    Args:
        text: JSON text, or its UTF-8 bytes.
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

    try:
        return json.loads(  # type: ignore[no-any-return]  # json types its result as Any
            text, object_pairs_hook=to_object, parse_float=_finite, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
