"""What a command shows."""

import io
import json
import os
import re
import sys
import threading

import pytest

from cli.errors import Status, UsageError, status_of
from cli.output import Output, shown
from retirement.outcomes import Outcome


class Stream(io.StringIO):
    """A stream that is a terminal or none."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._is_terminal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe 🙂 [red]x[/red] :smile:", "Größe 🙂 [red]x[/red] :smile:"),
        ("a\x1b[31mb\x07", "a\\u001b[31mb\\u0007"),
        ("a\nb\tc\r", "a\\u000ab\\u0009c\\u000d"),
        ("a\u202eb\u2066c\u200f\u061c", "a\\u202eb\\u2066c\\u200f\\u061c"),
        ("a\u2028b\ud800\U000e0001", "a\\u2028b\\ud800\\U000e0001"),
    ],
)
def test_shown(text: str, expected: str) -> None:
    """Text from outside is shown as it is, but for what could change the terminal or the order of the text."""
    assert shown(text) == expected


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal folds what it cannot show in a line, and cuts no ID; markup is text."""
    stream = Stream(is_terminal=True)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    identity = "offboard-" + "0123456789" * 5

    Output(as_json=False, stream=stream).table(("id", "name"), [[identity, "[red]sales[/red]"]])

    plain = re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert max(map(len, plain)) <= 30
    width = plain[1].index("[red]")
    assert "".join(line[:width].strip() for line in plain[1:]) == identity
    assert "".join(line[width:].strip() for line in plain[1:]) == "[red]sales[/red]"


@pytest.mark.parametrize(("name", "lines"), [("sales", 2), ("s" * 200, 2)])
def test_a_table_without_a_terminal(name: str, lines: int) -> None:
    """Without a terminal, columns are aligned, or each record is a block if they are too wide; nothing is cut."""
    stream = Stream(is_terminal=False)
    Output(as_json=False, stream=stream).table(("id", "name"), [["first", name]])
    assert len(stream.getvalue().splitlines()) == lines
    assert name in stream.getvalue()
    assert ("ID" in stream.getvalue()) == (len(name) < 100)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, stdout has documents alone, in ASCII, one a line; text for a person goes to stderr."""
    output = Output(as_json=True)
    output.document({"name": "Größe\n\u202e"})
    output.line("text")
    output.table(("a",), [["b"]])
    output.fields(("a", "b"))
    output.for_a_person().line("a plan")
    captured = capsys.readouterr()
    assert captured.out == '{"name": "Gr\\u00f6\\u00dfe\\n\\u202e"}\n'
    assert json.loads(captured.out) == {"name": "Größe\n\u202e"}
    assert captured.err == "a plan\n"


def test_a_question_without_a_terminal() -> None:
    """Nothing is asked without a terminal: it is a usage error that names --yes."""
    with pytest.raises(UsageError, match="add --yes"):
        Output(as_json=False).confirm("This deletes sales.", "sales", yes=False)
    Output(as_json=False).confirm("This deletes sales.", "sales", yes=True)


@pytest.mark.parametrize(("typed", "confirmed"), [("sales\n", True), (" sales \n", True), ("y\n", False), ("", False)])
def test_a_question(typed: str, confirmed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """A person types the name, and nothing else confirms."""
    stdin = Stream(is_terminal=True)
    stdin.write(typed)
    stdin.seek(0)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "stderr", Stream(is_terminal=True))
    try:
        Output(as_json=False).confirm("This deletes sales.", "sales", yes=False)
    except UsageError:
        assert not confirmed
    else:
        assert confirmed


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_status(outcome: Outcome) -> None:
    """Each outcome has its exit status; a retirement that another person has cancelled is not what was requested."""
    expected = {
        Outcome.BLOCKED: Status.BLOCKED,
        Outcome.RESTORE_BLOCKED: Status.BLOCKED,
        Outcome.CANCELLED: Status.BLOCKED,
        Outcome.REJECTED: Status.REJECTED,
        Outcome.FAILED: Status.ABANDONED,
        Outcome.AWAITING_APPROVAL: Status.PENDING,
    }
    assert status_of(outcome) == expected.get(outcome, Status.OK)
    assert status_of(Outcome.CANCELLED, cancels=True) == Status.OK


def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that takes long shows on stderr how far it is; work that does not shows nothing."""
    monkeypatch.setattr("cli.output.PROGRESS_AFTER", 60.0)
    with Output(as_json=True).progress("Reading", lambda: "1 object"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("cli.output.PROGRESS_AFTER", 0.0)
    asked = threading.Event()

    def so_far() -> str:
        asked.set()
        return "1 object"

    with Output(as_json=True).progress("Reading", so_far):
        assert asked.wait(timeout=60)
    assert capsys.readouterr().err.startswith("Reading: 1 object, after 0 s\n")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_nobody_reads_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of which nobody reads the output any more goes on: it may have sent half of what it has to send."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        output = Output(as_json=False)
        for number in range(3):
            output.line(f"line {number}")
            output.note(f"step {number}")
