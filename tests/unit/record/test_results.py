from pathlib import Path

import pytest

from retirement.canonical import ordered_json, parse_json
from retirement.outcomes import Outcome, Reason
from retirement.record.results import Restoration
from retirement.wording import in_words, quoted, shortened
from tests.fakes import Parsed

SCHEMA: Parsed = parse_json(
    (Path(__file__).parents[3] / "events" / "schemas" / "datamart-retirement-result.json").read_bytes()
)


def test_schema_knows_every_outcome_and_reason() -> None:
    """The published schema and the enums name the same outcomes and reasons."""
    branches = [branch["properties"] for branch in SCHEMA["oneOf"]]

    assert (
        {branch["outcome"]["const"] for branch in branches}
        == set(Outcome)
        == set(SCHEMA["properties"]["outcome"]["enum"])
    )
    reasons = [reason for branch in branches for reason in branch["reason"].get("enum", []) if reason is not None]
    reasons += [branch["reason"]["const"] for branch in branches if "const" in branch["reason"]]
    assert set(reasons) == set(Reason)


def test_lists_of_a_restore() -> None:
    """A result shows the first 100 entries of each list, and fewer where they are long, so that SNS takes it."""
    embed = {"embedId": "e", "newEmbedId": None, "name": "n" * 900, "dataAppName": "a", "state": "kept", "why": None}
    shown: Parsed = Restoration("back-1", "sales", ["a"] * 101, ["x" * 1_000] * 100, [embed] * 100).document()
    assert len(shown["differences"]) == 100
    assert 0 < len(shown["notRestored"]) < 100
    assert 0 < len(shown["restoredEmbeds"]) < 100
    assert len(ordered_json(shown).encode()) < 170 * 1024


@pytest.mark.parametrize(("count", "words"), [(0, "0 embeds"), (1, "1 embed"), (2, "2 embeds")])
def test_in_words(count: int, words: str) -> None:
    """A count has its plural."""
    assert in_words(count, "embed") == words


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], ""),
        (["a"], '"a"'),
        (["a", "b", "c", "d", "e"], '"a", "b", "c", "d", "e"'),
        (["a", "b", "c", "d", "e", "f"], '"a", "b", "c", "d", "e" and 1 more'),
    ],
)
def test_quoted(names: list[str], shown: str) -> None:
    """A list for a person is cut after five."""
    assert quoted(names) == shown


def test_shortened() -> None:
    """A text from outside is cut to 100 characters."""
    assert shortened("x" * 100) == "x" * 100
    assert shortened("x" * 101) == "x" * 97 + "..."
