from pathlib import Path

import pytest

from retirement.canonical import parse_json
from retirement.outcomes import Outcome, Reason
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
    assert sorted(reasons) == sorted(Reason)


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
