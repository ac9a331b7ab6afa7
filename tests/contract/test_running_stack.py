"""How `make local` finds another stack that runs in this checkout."""

import dataclasses
import socket
from pathlib import Path

import pytest

from local.emulator import Emulator
from local.stack import EmbeddedStack, StackError


@pytest.fixture(autouse=True)
def announcement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the test's own."""
    file = tmp_path / "running.json"
    monkeypatch.setattr("local.stack.RUNNING", file)
    return file


@pytest.fixture
def gone(emulator: Emulator) -> EmbeddedStack:
    """A stack that was killed: its files are there, and nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return EmbeddedStack(dataclasses.replace(emulator, endpoint=f"https://127.0.0.1:{port}"))


def test_found(aws: EmbeddedStack, announcement: Path) -> None:
    """What is announced is found while it is, and no longer."""
    with aws.announced(), pytest.raises(StackError, match="is running already"):
        EmbeddedStack.refuse_another()
    assert not announcement.exists()


def test_gone(gone: EmbeddedStack, announcement: Path) -> None:
    """Where nothing answers, no stack is running; what was announced stays as it is."""
    with gone.announced():
        EmbeddedStack.refuse_another()
        assert announcement.exists()


@pytest.mark.parametrize("text", ["", '{"endpoint": "https://127', "[]", "{}", '{"endpoint": 1, "authority": 2}'])
def test_a_cut_announcement(announcement: Path, text: str) -> None:
    """An announcement that was not wholly written announces nothing."""
    announcement.write_text(text)
    EmbeddedStack.refuse_another()


def test_another_program_at_its_port(aws: EmbeddedStack, emulator: Emulator, tmp_path: Path) -> None:
    """What answers with another certificate, or after the stack's files are gone, is not the stack."""
    without_files = dataclasses.replace(emulator, authority=tmp_path / "gone.pem")
    with EmbeddedStack(without_files).announced():
        aws.refuse_another()


def test_one_at_a_time(aws: EmbeddedStack, announcement: Path) -> None:
    """A second stack is not announced while the first one answers, and the first one stays announced."""
    with aws.announced():
        announced = announcement.read_text()
        with pytest.raises(
            StackError, match=r"running already, at https://127\.0\.0\.1:\d+: use that one, or stop it with Ctrl-C"
        ):
            aws.refuse_another()
        with pytest.raises(StackError, match="running already"), aws.announced():
            pass
        assert announcement.read_text() == announced


def test_in_the_place_of_a_dead_one(gone: EmbeddedStack, aws: EmbeddedStack, announcement: Path) -> None:
    """A dead announcement is written over, and each ends only its own."""
    with gone.announced():
        with aws.announced():
            announced = announcement.read_text()
        assert not announcement.exists()
        announcement.write_text(another := announced.replace("127.0.0.1", "localhost"))
    assert announcement.read_text() == another
