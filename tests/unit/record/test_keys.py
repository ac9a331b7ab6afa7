import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retirement.record.keys import (
    backup_key,
    embed_file_name,
    plan_key,
    rejected_key,
    restore_key,
    retirement_key,
)

SEGMENT = re.compile(r"[A-Za-z0-9._~%-]+(![0-9a-f]{32})?")


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("sales", "sales"),
        ("Az09-_.~", "Az09-_.~"),
        ("a b/c", "a%20b%2Fc"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("100%&+'\"", "100%25%26%2B%27%22"),
        ("é", "%C3%A9"),
        ("n" * 256, "n" * 256),
    ],
)
def test_segment(name: str, segment: str) -> None:
    """A name is percent-encoded so that only RFC 3986's unreserved characters stay."""
    assert retirement_key(name, "r-1", "receipt.json") == f"retirements/{segment}/r-1/receipt.json"
    assert plan_key(name, "p") == f"plans/{segment}/p.json"
    assert restore_key(name, "r-1", "b-1", embed_file_name(7)) == f"restores/{segment}/r-1/b-1/embed-7.json"
    assert rejected_key(name) == f"rejected/{segment}/receipt.json"


def test_long_segment() -> None:
    """Where that is longer than 600 characters: its first 560, a `!`, and 32 digits of the name's SHA-256."""
    longest, too_long = "é" * 100, "é" * 101

    assert retirement_key(longest, "r", "f") == f"retirements/{'%C3%A9' * 100}/r/f"
    segment = retirement_key(too_long, "r", "f").split("/")[1]
    assert re.fullmatch(r"(%C3%A9){93}%C![0-9a-f]{32}", segment)


@given(st.text(min_size=1, max_size=256))
def test_key_fits(name: str) -> None:
    """Whatever the name, the longest key has at most 1,024 bytes and a name's own folder."""
    key = backup_key(name, "i" * 128, "f" * 64)

    assert len(key.encode()) <= 1024
    segment = key.split("/")[1]
    assert SEGMENT.fullmatch(segment)
    assert segment not in {".", ".."}
    assert "!" in segment or unquote(segment) == name


def test_long_names_differ() -> None:
    """Two long names with one beginning have a folder each."""
    assert plan_key("é" * 255 + "a", "p") != plan_key("é" * 255 + "b", "p")


def test_no_name_has_a_long_ones_folder() -> None:
    """A name that spells out how a long one is shortened has a folder of its own: to cancel one cancels no other."""
    shortened = retirement_key("ab" + "é" * 101, "r", "f").split("/")[1]

    for posing in (unquote(shortened), unquote(shortened).replace("!", "~")):
        assert len(posing) < 256
        assert retirement_key(posing, "r", "f").split("/")[1] != shortened


def test_hostile_event_id() -> None:
    """An event id that is no proper text makes a key all the same."""
    assert rejected_key("\ud800") == "rejected/%3F/receipt.json"


def test_backup_key() -> None:
    """A backup is named by the first 16 hex digits of its SHA-256, and is no object of the record."""
    assert backup_key("a b", "r-1", "0123456789abcdef" * 4) == "backups/a%20b/r-1/backup-0123456789abcdef.json"
