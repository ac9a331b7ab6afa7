"""What a command shows: documents and tables on stdout, everything else on stderr.

Text from outside is data: it is never read as markup, and a character that could change what a terminal shows is
escaped.
"""

import json
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

from cli.errors import UsageError
from retirement.canonical import Document

PROGRESS_AFTER = 2.0  # seconds
MAX_PLAIN_WIDTH = 120  # characters of a table's line without a terminal

# Control, format (bidirectional overrides, zero-width characters), surrogate and private-use characters, and the
# separators of lines and paragraphs.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def shown(text: object) -> str:
    """Return a text from outside in one line, with escapes for what is not safe to show."""
    return "".join(_escape(each) if unicodedata.category(each) in _UNSAFE else each for each in str(text))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  # the plane that \u can name


class Output:
    """Shows what one command has to say, as text or, with `--json`, as one document a line."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stream = stream or sys.stdout

    def for_a_person(self) -> "Output":
        """Return where text goes that a person has to see with `--json` too: then to stderr."""
        return Output(as_json=False, stream=sys.stderr) if self.as_json else self

    # ---- stdout ----------------------------------------------------------------------------------------------------

    def document(self, document: Document) -> None:
        """Write a document, with `--json` only."""
        if self.as_json:
            self._write(json.dumps(document))

    def line(self, text: str = "") -> None:
        """Write a line, without `--json` only; what comes from outside is `shown` by the caller."""
        if not self.as_json:
            self._write(text)

    def fields(self, *fields: tuple[str, object]) -> None:
        """Write a line for each field that has a value, without `--json` only."""
        told = [(name, shown(value)) for name, value in fields if value not in (None, "")]
        width = max((len(name) for name, _ in told), default=0)
        for name, value in told:
            self.line(f"  {name:<{width}}  {value}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table, without `--json` only. No value is cut: a terminal folds it; else wide rows become blocks."""
        if self.as_json or not rows:
            return
        cells = [["" if value is None else shown(value) for value in row] for row in rows]
        if self._stream.isatty():
            _rich_table(columns, cells, self._stream)
            return
        widths = [max(len(row[number]) for row in (columns, *cells)) for number in range(len(columns))]
        if sum(widths) + 2 * len(widths) <= MAX_PLAIN_WIDTH:
            for row in ([name.upper() for name in columns], *cells):
                self._write("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
            return
        for number, row in enumerate(cells):
            if number:
                self._write("")
            self.fields(*zip(columns, row, strict=True))

    def _write(self, text: str) -> None:
        _write(self._stream, text)

    # ---- stderr ----------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Write a line to stderr; what comes from outside is `shown` by the caller."""
        note(text)

    @staticmethod
    def progress(work: str, so_far: Callable[[], str]) -> AbstractContextManager[None]:
        """While the block takes more than two seconds, write to stderr how far it is; `so_far` runs in a thread."""
        return reported(work, so_far, every=PROGRESS_AFTER)

    # ---- Questions -------------------------------------------------------------------------------------------------

    @staticmethod
    def asks() -> bool:
        """Return whether there is a person to ask."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, what: str, answer: str, *, yes: bool) -> None:
        """Name what is about to happen, and have a person type the answer, unless `yes` says so.

        Raises:
            UsageError: there is no terminal to ask on, or the answer was another one.
        """
        if yes:
            return
        if not self.asks():
            raise UsageError(f"{what} Without a terminal to confirm this on, add --yes")
        self.note(what)
        if self.ask(f"Type {shown(answer)} to confirm: ") != answer:
            raise UsageError("not confirmed: nothing was sent or changed")

    @staticmethod
    def ask(question: str) -> str:
        """Ask on stderr, and return the line that a person types, without outer spaces."""
        sys.stderr.write(question)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
        return line.strip()


@contextmanager
def reported(work: str, so_far: Callable[[], str], *, every: float) -> Iterator[None]:
    """Write to stderr, every so many seconds until the block ends, how far the work is; `so_far` runs in a thread."""
    ended, began = threading.Event(), time.monotonic()

    def report() -> None:
        while not ended.wait(every):
            note(f"{work}: {so_far()}, after {time.monotonic() - began:.0f} s")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def note(text: str) -> None:
    """Write a line to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    """Write a line. If nobody reads it any more, for example behind `| head`, the command goes on to its end."""
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        discard(stream)


def prepare_streams() -> None:
    """Replace a stream that is closed, and write an escape for a character that a stream's encoding does not have."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the process ends
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper, unless replaced


def discard(stream: TextIO) -> None:
    """Write to nowhere from now on: nothing reads the stream any more, and the interpreter would say so at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]], stream: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415  # it takes time to import, and few commands need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(file=stream, highlight=False, markup=False, emoji=False).print(table)
