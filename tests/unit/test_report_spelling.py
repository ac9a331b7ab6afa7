"""How the report spells what comes from outside."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.spelling import laid_out, visible, visible_name

ANY_TEXT = st.text(st.characters(codec=None, categories=None))
FAMILY = "\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("sales", "sales"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Größe 数据 🙂", "Größe 数据 🙂"),
        ("\u202eevil", "[U+202E]evil"),
        ("a\x00b\x1b[31m", "a[U+0000]b[U+001B][31m"),
        ("\ufeffa\u200bb\u2028", "[U+FEFF]a[U+200B]b[U+2028]"),
        ("\ud800", "[U+D800]"),
        ("\uffff", "[U+FFFF]"),
        ("\u3164", "[U+3164]"),
        (FAMILY, FAMILY),
        ("sales\u200d", "sales[U+200D]"),
    ],
)
def test_what_is_invisible_is_spelt_out(text: str, spelt: str) -> None:
    """Characters that show nothing, or that reorder others, are spelt out; what joins emoji is left in its place."""
    assert visible(text) == spelt


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("two words", "two words"),
        (" sales ", "\u2423sales\u2423"),
        ("a   b", "a \u2423\u2423b"),
        ("a\u00a0b", "a[U+00A0]b"),
        ("a\nb", "a[U+000A]b"),
        ("   ", "\u2423\u2423\u2423"),
    ],
)
def test_spaces_count_in_a_name(name: str, spelt: str) -> None:
    """Two names that are not the same do not look the same for a space."""
    assert visible_name(name) == spelt


@given(ANY_TEXT)
def test_any_text_can_be_written(text: str) -> None:
    """Whatever comes, what is shown can be encoded, and holds nothing that moves what stands beside it."""
    shown = visible_name(text)
    assert shown.encode().decode() == shown
    assert {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert unicodedata.bidirectional("\u202e") not in map(unicodedata.bidirectional, shown)


@given(ANY_TEXT)
def test_json_stays_json(text: str) -> None:
    """A document that is laid out says what it said."""
    document = {"name": text, text: [1, None, 0.5]}
    assert json.loads(laid_out(json.dumps(document).encode())) == document


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a": 1, "a": 2}'])
def test_what_is_no_json(body: bytes) -> None:
    """What is not valid JSON is shown as it is."""
    assert laid_out(body) == body.decode(errors="replace")
