"""What a tool shows on stderr while it works."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.bench import __main__ as bench
from tests.bench.progress import each, progress


def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says at once what is being done, then again and again how far it is, and nothing after the end."""
    monkeypatch.setattr("tests.bench.progress.EVERY", 0.0)
    done, asked = iter(range(1_000_000_000)), threading.Semaphore(0)

    def so_far() -> str:
        asked.release()
        return f"{next(done)} of 9 embeds"

    with progress("Reading embeds", so_far):
        assert all(asked.acquire(timeout=60) for _ in range(3))

    printed = capsys.readouterr()
    assert printed.out == ""
    first, *lines = printed.err.splitlines()
    assert first == "Reading embeds ..."
    assert [line.partition(", after ")[0] for line in lines] == [
        f"Reading embeds: {number} of 9 embeds" for number in range(len(lines))
    ]
    assert len(lines) >= 3
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(report)")]


def test_it_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the work is the caller's, and ends the progress, too."""
    monkeypatch.setattr("tests.bench.progress.EVERY", 3600.0)
    before = threading.active_count()
    with pytest.raises(ValueError, match="broken"), progress("Reading", lambda: "nothing"):
        raise ValueError("broken")
    assert threading.active_count() == before


def test_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item counts as done when the next one is asked for."""
    asked: list[Callable[[], str]] = []

    @contextmanager
    def recorded(work: str, so_far: Callable[[], str]) -> Iterator[None]:
        assert work == "Measuring"
        asked.append(so_far)
        yield

    monkeypatch.setattr("tests.bench.progress.progress", recorded)
    assert [(item, asked[0]()) for item in each("Measuring", "ab", "runs")] == [
        ("a", "0 of 2 runs"),
        ("b", "1 of 2 runs"),
    ]
    assert asked[0]() == "2 of 2 runs"


def test_bench_shows_its_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`make bench` says on stderr what it measures; its tables on stdout stay as they are."""
    monkeypatch.setattr(bench, "retire_in", lambda *_: {"requests": 1, "peak": 1})
    monkeypatch.setattr(bench, "set_up", lambda *_: 1.0)
    monkeypatch.setattr(bench, "output_of", lambda *_: "Python 3.13.0")
    assert bench.print_retirements()
    bench.print_cold_set_up()
    printed = capsys.readouterr()
    assert printed.err == "Measuring one retirement ...\nMeasuring the cold set-up ...\n"
    assert "Within the limits." in printed.out
    assert "1.00 of the plain function's time" in printed.out
    assert "Measuring" not in printed.out
