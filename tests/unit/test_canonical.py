import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retirement.canonical import Json, canonical_json, count_values, ordered_json, parse_json, sha256_hex

TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud800\udfff\ufffe\uffff"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON)
def test_round_trip(value: Json) -> None:
    """What is written can be sent as UTF-8, reads back equal, and is written the same again."""
    text = canonical_json(value)

    assert parse_json(text.encode()) == value
    assert canonical_json(parse_json(text)) == text


def test_equal_values_give_equal_text() -> None:
    """Keys are sorted, there is no white space, and Unicode stays as it is."""
    assert canonical_json({"b": [1, 2.5, None], "ä": True, "a": {}}) == '{"a":{},"b":[1,2.5,null],"ä":true}'


@pytest.mark.parametrize(("text", "escaped"), [("\ud800", r"\ud800"), ("\uffff", r"\uffff"), ("\ufffe", r"\ufffe")])
def test_what_cannot_be_sent_is_escaped(text: str, escaped: str) -> None:
    """Lone surrogates, and characters that XML forbids, go out as escapes."""
    assert canonical_json(text) == f'"{escaped}"'


def test_what_a_reader_gets() -> None:
    """A result keeps the order of its keys, and has no lone surrogate, which Lambda could not return."""
    text = ordered_json({"b": "\ud83d cut \udc00", "a": {"\udfff": "\ufffe"}})

    assert text == '{"b":"\ufffd cut \ufffd","a":{"\ufffd":"\\ufffe"}}'
    assert ordered_json(parse_json(text)) == text
    json.dumps(parse_json(text), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "number",
    [
        "0.12345678901234567890",
        "-0.1234567890123456789e-5",
        "1234567890123456789.5",
        "1E-400",
        "-1e-999999999999999999999999",
        "3.141592653589793238462643383279",
        f"0.{'7' * 5_000}",
        "12345678901234567890",
        "-123456789012345678901234567890",
    ],
    ids=lambda number: number[:20],
)
def test_numbers_that_no_float_holds(number: str) -> None:
    """A number of any precision is written as it came, wherever it stands, and read again as the same."""
    text = f'{{"a":[{number},{{"b":{number}}}],"c":{number}}}'
    value = parse_json(text, exact=True)

    assert canonical_json(value) == ordered_json(value) == text
    assert parse_json(text, exact=True) == value


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("1.0", "1.0"),
        ("1.50", "1.5"),
        ("0.1", "0.1"),
        ("1e3", "1000.0"),
        ("2.5E-3", "0.0025"),
        ("-0.0", "-0.0"),
        ("1e308", "1e+308"),
    ],
)
def test_ordinary_numbers(number: str, written: str) -> None:
    """A number that a float holds is a float: equal ones give equal text, and hash as ever."""
    assert canonical_json(parse_json(number, exact=True)) == canonical_json(parse_json(number)) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_held(number: float) -> None:
    """What Python writes of a float is never taken for more than a float."""
    assert parse_json(repr(number), exact=True) == number


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_that_json_lacks_is_written(number: float) -> None:
    """NaN and infinity are refused on the way out."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{} {}",
        '{"a": 1, "a": 1}',
        '[{"a": {"b": 1, "b": 2}}]',
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        "-1e999",
        "9" * 1_001,
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '{"a":' * 101 + "[]" + "}" * 101,
        '{"a":' * 100_000,
        b"\xff\xfe\x00",
        b'"\xc3\x28"',
        bytearray(b"{'a': 1}"),
        *(
            '{"a": "b"}'.encode(charset)
            for charset in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
        ),
        '"é"'.encode("latin-1"),
        b'"\xed\xa0\x80"',
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_is_refused(text: str | bytes | bytearray) -> None:
    """Text that is not valid JSON, or JSON that means two things, is a ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011  # its words are of no interest
        parse_json(text)


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100, '{"a":' * 99 + "[]" + "}" * 99, "9" * 1_000, "1e308", "-0"])
def test_what_is_just_possible(text: str) -> None:
    """What is read can be written again."""
    assert parse_json(canonical_json(parse_json(text))) == parse_json(text)


def test_byte_order_mark() -> None:
    """A byte order mark is ignored: RFC 8259 forbids to write it and allows to read it."""
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "count", "exact"),
    [
        (b"", 1, 1),
        (b"5", 1, 1),
        (b"[1,2,3]", 4, 4),
        (b"[{},{},{}]", 7, 7),
        (b"[[[[", 5, 5),
        (b'{"a":1,"b":2}', 3, 3),
        (b'{"a":"x,y","b":"[{"}', 6, 3),
        (rb'["\",\"","\\",1]', 5, 4),
        (rb'["a\",[,,,', 7, 2),
        (b'["' + b'\\"' * 100_000 + b",", 3, 2),
        (b'[",\n,",1]', 5, 3),
        (b'["\\', 2, 2),
    ],
    ids=lambda case: repr(case)[:20],
)
def test_counted_values(text: bytes, count: int, exact: int) -> None:
    """Values are counted without parsing; what texts hold counts only as long as it does not matter."""
    assert count_values(text, limit=100) == count
    assert count_values(bytearray(text), limit=1) == exact


@given(JSON)
def test_no_value_is_overlooked(value: Json) -> None:
    """The count is never less than what parsing makes."""

    def made(node: Json) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return 1 + sum(map(made, inner))

    assert made(value) <= count_values(canonical_json(value).encode(), limit=0)


def test_kept_keys() -> None:
    """Only the keys that are asked for are kept, at any depth; a doubled one among the others does no harm."""
    text = '{"data": [{"name": "a", "big": [1], "big": [2]}], "error": null}'

    assert parse_json(text, keep=frozenset({"data", "name"})) == {"data": [{"name": "a"}]}
    with pytest.raises(ValueError, match="duplicate key"):
        parse_json(text, keep=frozenset({"big"}))


def test_sha256() -> None:
    """The hash is of the text's UTF-8 bytes, in lower-case hex, whatever the text."""
    assert sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len(sha256_hex("\ud800")) == 64
