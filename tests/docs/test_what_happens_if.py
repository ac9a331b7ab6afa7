"""docs/what-happens-if.md answers with what is shown."""

import ast
import re

import pytest

from local.emulator import CHECKOUT
from tests.docs.pages import Page

PAGE = Page("docs/what-happens-if.md")
SECTIONS = ["Requests", "The datamart", "Dates", "Restores", "Databrain", "The stack", "Strangers and policies"]
TEST = re.compile(r"\[(test_\w+)\]\(\.\./(\S+)\)")

ANSWERS = [tuple(row) for section in SECTIONS for row in PAGE.table(section, "what if")]


def named_in(file: str) -> set[str]:
    """The names of the tests in a file, also of those in a class."""
    tree = ast.parse((CHECKOUT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("question", "answer", "shown_by"), ANSWERS)
def test_each_answer_is_shown(question: str, answer: str, shown_by: str) -> None:
    """Each answer names a test that there is, or a page."""
    assert question.endswith("?")
    assert answer
    assert "](" in shown_by
    for test, file in TEST.findall(shown_by):
        assert test in named_in(file)


def test_there_are_twenty() -> None:
    """The page answers twenty questions at least, each once."""
    assert len({question for question, _, _ in ANSWERS}) == len(ANSWERS) >= 20
