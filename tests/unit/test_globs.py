"""Globs, held against what they were before characters were told apart: none protects less, none allows more."""

import sys
from fnmatch import fnmatchcase
from functools import cache
from unicodedata import combining, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retirement.globs import allowing_glob, folded, protecting_glob

GREEK = "\u03b1\u1fb3\u0391\u0399\u03b9\u0345"
TRICKY = st.text(alphabet=f"asSßİi\u0131éeE\u0301\u0327ﬁf\u09a1\u09bc\u09dc\u212a *?[]!-{GREEK}", max_size=8)


@cache
def changing() -> list[str]:
    """The characters that become others, or several, or part of what is before them."""
    points = (chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF)
    return [point for point in points if normalize("NFD", point.casefold()) != point or combining(point)]


def holds_folded(name: str, glob: str) -> bool:
    """`fnmatch`, of both sides folded whole."""
    return fnmatchcase(normalize("NFC", name.casefold()), normalize("NFC", glob.casefold()))


def is_character(point: str) -> bool:
    """Whether it stays one: a mark belongs to what is before it, and NFC takes some of Tibetan apart."""
    return [combining(part) for part in normalize("NFC", point)].count(0) == 1


def literal(name: str) -> str:
    """A glob of exactly this name."""
    return "".join(f"[{point}]" if point in "*?[" else point for point in name)


BY_CHARACTER = [
    ("Großkunden", "Gro?kunden"),
    ("Großkunden", "gro[ß]kunden"),
    ("GROẞKUNDEN", "gro[ß]kunden"),
    ("Großkunden", "gro[!a]kunden"),
    ("Großkunden", "*?kunden"),
    ("İstanbul-prod", "?stanbul-*"),
    ("i\u0307stanbul-prod", "[İ]stanbul-*"),
    ("\u0915\u093c-prod", "?-prod"),  # Hindi, qa
    ("\u0958-prod", "[\u0915\u093c]-prod"),
    ("\u09a1\u09bc", "?"),  # Bengali, rra
    ("\u09dc", "[!x]"),
    ("ﬁnance", "?nance"),
    ("ﬁnance", "[ﬁ]nance"),
    ("e\u0301t\u00e9", "?t?"),
    ("q\u0303x", "?x"),
    ("ß-1", "[ß-ü]-[0-9]"),
    ("\u0301a", "?a"),
]


@pytest.mark.parametrize(("name", "glob"), BY_CHARACTER)
def test_one_character(name: str, glob: str) -> None:
    """What a reader sees as one character is one for `?` and a set, however it is spelt and folded."""
    assert protecting_glob(name, ["x", glob]) == glob


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("strase", "stra[ß]e"),
        ("strasse", "stra[ß]e"),
        ("Straße", "strasse"),
        ("STRASSE", "straße"),
        ("Straße", "stra??e"),
        ("istanbul", "[İ]stanbul"),
        ("e\u0301", "??"),
    ],
)
def test_what_may_be_meant_otherwise(name: str, glob: str) -> None:
    """What a glob means in one reading alone it does not allow; a name that is folded to the glob's is protected."""
    assert allowing_glob(name, [glob]) is None
    assert (protecting_glob(name, [glob]) == glob) is holds_folded(name, glob)


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("Großkunden", "GROß*"),
        ("a\u0323\u0301", "\u1ea1\u0301"),
        ("\u00c9t\u00e9", "e\u0301T[a-z\u00e9]"),
    ],
)
def test_equal_names(name: str, glob: str) -> None:
    """Case and the form of Unicode part no names."""
    assert protecting_glob(name, [glob]) == allowing_glob(name, [glob]) == glob


def test_folded_once() -> None:
    """A name that was folded is folded: no code point goes on changing, whatever is before and behind it."""
    for point in changing():
        for name in (point, f"\u03b1\u0345{point}", f"{point}\u0345\u0301"):
            assert folded(folded(name)) == folded(name), ascii(name)


def test_every_character() -> None:
    """Of all code points none is protected less than before, and none allowed more."""
    globs = ["x?y", "x??y", "x[!a]y", "x[a-z]y", "xss*y"]
    for point in changing():
        name = f"x{point}y"
        assert all(protecting_glob(name, [glob]) for glob in globs if holds_folded(name, glob)), ascii(point)
        assert not any(allowing_glob(name, [glob]) for glob in globs if not holds_folded(name, glob)), ascii(point)
        assert not is_character(point) or protecting_glob(name, ["x?y"]), ascii(point)


def test_every_character_that_becomes_several() -> None:
    """Each is protected by itself, in a set and as its folded form, and allowed by itself."""
    several = [point for point in changing() if len(normalize("NFC", point.casefold())) > 1]
    assert len(several) > 160
    for point in several:
        name = f"x{point}y"
        sets = (f"x[{point}]y", f"x[-{point}]y") if is_character(point) else ()
        for glob in (name, f"x{point.casefold()}y", f"x{point.upper()}y", *sets):
            assert protecting_glob(name, [glob]), ascii(glob)
        assert allowing_glob(name, [name]), ascii(point)
        assert allowing_glob(f"x{point.casefold()[0]}y", sets) is None, ascii(point)


@given(TRICKY, TRICKY)
@example("ss\u03b1\u0301\u0345", "ß\u03b1\u0345\u0301")
@example(" sales", " s*")
def test_any_name_and_glob(name: str, glob: str) -> None:
    """No glob protects less than it did, or than its own name; none allows more."""
    glob = glob.strip()
    if holds_folded(name, glob):
        assert protecting_glob(name, [glob]) == glob
    else:
        assert allowing_glob(name, [glob]) is None
    assert protecting_glob(name, [literal(name)]) == literal(name)
    if folded(name) == folded(glob):
        assert protecting_glob(name, [literal(glob)]) == literal(glob)


@given(st.text(alphabet="ab-]![*?cA^\\&|s", max_size=5), st.text(alphabet="ab-][*?cA^\\&|s", max_size=9))
@example("b", "[!]")
@example("]", "[!]]")
@example("b", "[!-a]")
@example("!", "[!!]")
@example("a", "[!")
def test_as_fnmatch_does(name: str, glob: str) -> None:
    """Where each code point is a character both readings are `fnmatch`'s, sets that never end included."""
    expected = glob if holds_folded(name, glob) else None
    assert protecting_glob(name, [glob]) == expected
    assert allowing_glob(name, [glob]) == expected


@pytest.mark.parametrize("name", [" sales", "sales ", "\u00a0sales\t"])
def test_outer_spaces_of_a_name(name: str) -> None:
    """A name with spaces around it is protected as without them, and allowed as it is."""
    assert protecting_glob(name, ["sales"]) == "sales"
    assert allowing_glob(name, ["sales"]) is None
    assert protecting_glob(" sales", ["?sales"]) == allowing_glob(" sales", ["?sales"]) == "?sales"


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800"])
def test_a_name_that_no_request_has(name: str) -> None:
    """A name with any character at all is matched by a star."""
    assert protecting_glob(name, ["*"]) == allowing_glob(name, ["*"]) == "*"


def test_a_hostile_glob() -> None:
    """However many stars a glob has, it is held against a long name in no time."""
    glob = "*?[a\u00e9]" * 85
    assert allowing_glob("\u00e9" * 1_000, [glob]) == glob
    assert allowing_glob("\u00e9" * 1_000 + "x", [glob]) is None
