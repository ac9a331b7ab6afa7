"""Values that were not meant, and objects of the evidence that this project did not write."""

import io
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.errors import Status, status_of
from cli.main import run
from cli.operations import RESUMED, STOPPED, last
from cli.output import Output
from cli.records import Entry, Folder
from cli.sending import show_result
from cli.stack import Stack
from retirement.errors import MalformedObject
from tests.fakes import FakeEvidence


def stack_with(evidence: object) -> Stack:
    """A stack of which nothing but the evidence is asked."""
    return cast("Stack", SimpleNamespace(evidence=evidence, calls=nullcontext))


@pytest.mark.parametrize(
    ("arguments", "empty"),
    [
        (["restore", "sales", "--id", "", "--yes"], "--id"),
        (["retire", "sales", "--yes", "--id="], "--id"),
        (["plan", "sales", "--requested-by", ""], "--requested-by"),
        (["failures", "drop", "an-id", "--reason", ""], "--reason"),
        (["retire", "sales", "--reviewed", "", "--yes"], "--reviewed"),
    ],
)
def test_an_empty_value(arguments: list[str], empty: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that a script has not set does not mean what is meant without the option."""
    assert run([*arguments, "--stack", "there-is-none"]) == Status.USAGE
    assert capsys.readouterr().err == f"datamart: {empty} is empty\n"


@pytest.mark.parametrize(
    ("arguments", "word", "option"),
    [
        (["retire", "sales", "--yes", "--profile", "our", "prod"], "prod", "--profile"),
        (["--stack", "s", "retire", "sales", "--region=eu", "west", "--yes"], "west", "--region"),
        (["failures", "--stack", "s", "drop", "an-id", "--reason", "a", "mistake"], "mistake", "--reason"),
    ],
)
def test_a_value_that_was_not_quoted(
    arguments: list[str], word: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of a value is never taken for the name of a datamart, also behind an option that every command has."""
    assert run(arguments) == Status.USAGE
    assert f"{word} follows {option}, which takes one value" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["--stack", "s", "sweep", "check"], ["sweep", "--json", "--stack", "s", "check"]])
def test_options_before_a_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The options that every command has may stand before it."""
    assert run([*command, "there-is-none.json"]) == Status.ERROR
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("at", ["2025-12-24T08:00:00Z", "in 0 days"])
def test_a_move_into_the_past(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A date that has passed is no move: it would delete at once, and nobody was asked."""
    assert run(["move", "an-id", "--at", at, "--stack", "there-is-none"]) == Status.USAGE
    assert "which has passed, so the datamart would be deleted at once" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["operations/", "operations/notes.txt", "operations/a-b"])
def test_a_foreign_object_beside_the_operations(key: str) -> None:
    """Deletions can be resumed, whatever else is stored there."""
    evidence = FakeEvidence()
    evidence.create(key, "x")
    evidence.create("operations/2026-03-01T12:00:00Z-stopped-0a1b2c3d.json", '{"what": "stopped"}')

    assert last(stack_with(evidence), {STOPPED, RESUMED}) == {"what": "stopped"}


def test_an_object_that_is_no_text() -> None:
    """One broken object of the evidence hides nothing but itself."""

    def read(key: str) -> Any:  # noqa: ANN401  # it returns nothing
        raise MalformedObject(key)

    entry = Entry(stack_with(SimpleNamespace(read=read)), Folder("retirements/sales/an-id/", {}))

    assert entry.read("receipt.json") == {}


def test_an_outcome_from_outside() -> None:
    """An outcome that this project does not know is shown with escapes, and is an error."""
    stream = io.StringIO()
    show_result(Output(as_json=False, stream=stream), {"outcome": "\x1b[2J", "reason": "\x1b[31m"})

    assert stream.getvalue() == "None: \\u001b[2J, \\u001b[31m\n"
    assert status_of("\x1b[2J") is Status.ERROR
