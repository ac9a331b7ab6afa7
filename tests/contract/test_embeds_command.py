"""`datamart embeds review`, against the local Databrain server."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.embeds import NoMap, Reading, earlier_map, embed_map, replace_map, review
from cli.errors import CommandError
from cli.output import Output
from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from local.databrain.state import Databrain
from retirement.aws.embed_map import parse_embed_map
from retirement.canonical import Document
from retirement.databrain.dependents import Embed
from retirement.databrain.ports import DatabrainApi, Metric
from retirement.errors import ConfigurationError
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.routes import requests_to
from tests.contract.seeds import SECRETS, data_app, seed
from tests.contract.sessions import session_with

MADE: dict[str, Any] = {"createdAt": "2024-03-01T00:00:00Z"}
APPS = (
    data_app(
        "Portal",
        {"embedId": "p-2", "name": "Umsätze", "datamart": "sales", **MADE},
        {"embedId": "p-1", "name": "Churn", "datamart": "marketing", **MADE},
    ),
    data_app("Back office", {"embedId": "b-1", "name": "Total", "embedType": "metric", "datamart": "finance", **MADE}),
    data_app("Empty"),
)


@pytest.fixture
def run(databrain: Databrain, secret: RotatedSecret) -> Callable[..., int]:
    """Run the command; what is given goes over the stack's parameters."""

    def run(file: Path, **parameters: str) -> int:
        given = {"DatabrainBaseUrl": databrain.url, **parameters}
        return review(file, session=session_with({"secretsmanager": secret}, given))

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the map goes."""
    return tmp_path / "embed-map.json"


def organised(databrain: Databrain, **server: object) -> None:
    """Let there be three data apps with three embeds; nothing tells their datamart, unless the server does."""
    databrain.organisation = organisation_of(seed("sales", "marketing", "finance", apps=APPS, **server))


def written(file: Path) -> dict[str, Any]:
    """The map, with nothing in it that would be a secret."""
    text = file.read_text()
    assert not [token for token in SECRETS if token in text]
    entries: dict[str, Any] = json.loads(text)
    return entries


def test_every_embed(
    run: Callable[..., int], databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The map has every embed, in the order of data apps and IDs, with what a person needs to fill in its datamart."""
    organised(databrain)
    assert run(file) == 0
    entries = written(file)
    assert list(entries) == ["b-1", "p-1", "p-2"]
    assert {entry["datamart"] for entry in entries.values()} == {""}
    assert [entry["name"] for entry in entries.values()] == ["Total", "Churn", "Umsätze"]
    assert [entry["dataApp"] for entry in entries.values()] == ["Back office", "Portal", "Portal"]
    assert {entry["updatedAt"] for entry in entries.values()} == {"2024-03-01T00:00:00.000Z"}
    assert [entry["dashboard"] for entry in entries.values()] == [None, "Churn", "Umsätze"]
    assert capsys.readouterr().out == f"{file}: 3 embeds, 3 still to be filled in\n"


@pytest.mark.parametrize("api", DatabrainApi)
def test_it_shows_how_far_it_is(
    run: Callable[..., int], databrain: Databrain, file: Path, api: DatabrainApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Databrain is read, the person who waits sees which server is read, and how far."""
    shown: list[tuple[str, str]] = []

    @contextmanager
    def recorded(_: Output, work: str, so_far: Callable[[], str]) -> Iterator[None]:
        shown.append((work, so_far()))
        yield
        shown.append((work, so_far()))

    monkeypatch.setattr(Output, "progress", recorded)
    organised(databrain)
    run(file, DatabrainApi=api)
    work = "Reading the embeds"
    requests = len(databrain.requests)
    assert shown == [
        (work, "0 data apps, 0 requests, retries: 0"),
        (work, f"3 data apps, {requests} requests, retries: 0"),
    ]


def test_it_shows_retries() -> None:
    """A slow server is not taken for a tool that hangs: each request that is sent again is counted."""
    reading = Reading()
    for metric in (Metric.DATABRAIN_REQUESTS, Metric.DATABRAIN_RETRIES, Metric.DATABRAIN_REQUESTS):
        reading.count(metric)
    assert reading.so_far() == "0 data apps, 2 requests, retries: 1"


def test_it_only_reads(run: Callable[..., int], databrain: Databrain, file: Path) -> None:
    """Databrain gets no request but GET, and none for datamarts."""
    organised(databrain)
    run(file)
    assert {request["method"] for request in databrain.requests} == {"GET"}
    assert not requests_to(databrain, DatabrainApi.CURRENT, RouteId.LIST_DATAMARTS)


def test_what_databrain_tells(
    run: Callable[..., int], databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Databrain tells by itself is filled in."""
    organised(databrain, embedsTellDatamart="access_settings")
    assert run(file) == 0
    told = {embed_id: entry["datamart"] for embed_id, entry in written(file).items()}
    assert told == {"b-1": "finance", "p-1": "marketing", "p-2": "sales"}
    assert "0 still to be filled in" in capsys.readouterr().out


@pytest.mark.parametrize("server", [{}, {"embedsTellDatamart": "access_settings"}], ids=["untold", "told"])
def test_what_was_filled_in_is_kept(
    run: Callable[..., int],
    databrain: Databrain,
    file: Path,
    server: dict[str, object],
) -> None:
    """A map that is brought up to date keeps names and nulls, gains new embeds and loses those that are gone."""
    organised(databrain, **server)
    earlier: dict[str, str | None] = {"p-2": "renamed", "b-1": None, "gone": "sales"}
    seen = {"updatedAt": MADE["createdAt"], "name": "old"}
    file.write_text(json.dumps({embed_id: {"datamart": name, **seen} for embed_id, name in earlier.items()}))

    assert run(file) == 0

    entries = written(file)
    told = {embed_id: entry["datamart"] for embed_id, entry in entries.items()}
    assert told == {"b-1": None, "p-1": "marketing" if server else "", "p-2": "renamed"}
    assert entries["p-2"]["name"] == "Umsätze"


PLAIN, OBJECT = '"marketing"', '{"datamart": "marketing"}'
SEEN = '{"updatedAt": "2024-03-01T00:00:00Z", "datamart": "marketing"}'


@pytest.mark.parametrize(
    ("entry", "updated_at", "is_kept"),
    [
        (PLAIN, None, False),
        (OBJECT, None, False),
        (PLAIN, "2026-02-01T00:00:00Z", False),
        (OBJECT, "2026-02-01T00:00:00Z", False),
        (SEEN, None, True),
        (SEEN, "2024-03-01T00:00:01Z", False),
        (SEEN, "2024-02-01T00:00:00Z", False),
    ],
)
def test_what_has_changed_since(
    run: Callable[..., int],
    databrain: Databrain,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    entry: str,
    updated_at: str | None,
    is_kept: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """An embed that was changed since its owner looked, or may have been, is to be filled in again, and told."""
    updated = {} if updated_at is None else {"updatedAt": updated_at}
    app = data_app("Portal", {"embedId": "e-1", "name": "Churn", "datamart": "sales", **MADE, **updated})
    databrain.organisation = organisation_of(seed("sales", "marketing", apps=(app,)))
    file.write_text(f'{{"e-1": {entry}}}')
    last_year = datetime(2025, 6, 1, tzinfo=UTC).timestamp()
    os.utime(file, (last_year, last_year))

    assert run(file) == 0

    assert written(file)["e-1"]["datamart"] == ("marketing" if is_kept else "")
    told = "fill in again: 'e-1' may have been changed since its datamart was 'marketing'\n"
    assert (told in capsys.readouterr().err) is not is_kept


def test_an_editors_map(run: Callable[..., int], databrain: Databrain, file: Path) -> None:
    """A byte order mark is none of the map, as the stack has it."""
    organised(databrain)
    file.write_bytes(b'\xef\xbb\xbf{"p-1": {"updatedAt": "2024-03-01T00:00:00Z", "datamart": "marketing"}}')
    assert run(file) == 0
    assert written(file)["p-1"]["datamart"] == "marketing"


def test_a_hostile_name(file: Path) -> None:
    """A name that no UTF-8 can hold is written as JSON escapes it, and the stack reads the map."""
    hostile = Embed("e \ud800", "\ud800 \u2028 \x00", "Portal \udc00", None, None, None, None)
    before, earlier = earlier_map(file)
    replace_map(file, before, embed_map((hostile,), earlier))
    (entry,) = written(file).values()
    assert (entry["name"], entry["dataApp"]) == (hostile.name, hostile.data_app_name)
    assert set(parse_embed_map("here", file.read_bytes(), datetime.now(UTC)).seen) == {hostile.embed_id}


def test_an_embed_without_a_time(file: Path) -> None:
    """An embed that does not tell when it was updated has no time in the map, and is to be looked at each time."""
    embed = Embed("e", None, "Portal", None, datetime(2024, 3, 1, tzinfo=UTC), None, None)
    file.write_text('{"e": "marketing"}')
    (entry,) = embed_map((embed,), earlier_map(file)[1]).values()
    assert (entry["updatedAt"], entry["datamart"]) == (None, "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://proxy:port"),
        ("NO_PROXY", "[::1]"),
        ("NO_PROXY", "fd00::/8"),
    ],
)
def test_what_the_environment_says(
    run: Callable[..., int], variable: str, value: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment that cannot be used is told in one line, before anything is read."""
    monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(CommandError, match="a proxy of the environment cannot be used: "):
        run(file)
    assert not file.exists()


@pytest.mark.parametrize("fails", ["os.fsync", "os.replace"])
def test_a_map_that_cannot_be_written(
    run: Callable[..., int], databrain: Databrain, file: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Where the new map cannot be written, the old one is as it was, and nothing is left beside it."""
    organised(databrain)
    file.write_text('{"p-1": "marketing"}')

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match="No space left"):
        run(file)

    assert file.read_text() == '{"p-1": "marketing"}'
    assert list(file.parent.iterdir()) == [file]


def test_a_map_that_is_edited_meanwhile(
    run: Callable[..., int], databrain: Databrain, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody fills in while Databrain is read is not lost."""
    organised(databrain)
    file.write_text("{}")

    def edited(*_: object) -> dict[str, Document]:
        file.write_text('{"p-1": "marketing"}')
        return {}

    monkeypatch.setattr("cli.embeds.embed_map", edited)
    with pytest.raises(NoMap, match="was changed while Databrain was read"):
        run(file)

    assert file.read_text() == '{"p-1": "marketing"}'
    assert list(file.parent.iterdir()) == [file]


def test_what_stays_of_a_file(run: Callable[..., int], databrain: Databrain, file: Path) -> None:
    """A file keeps its permissions, and a link goes on naming it."""
    organised(databrain)
    file.write_text("{}")
    file.chmod(0o640)
    link = file.with_name("link.json")
    link.symlink_to(file.name)
    assert run(link) == 0
    assert link.is_symlink()
    assert (len(written(file)), file.stat().st_mode & 0o777) == (3, 0o640)


def test_again(run: Callable[..., int], databrain: Databrain, file: Path) -> None:
    """Run twice, it writes the same."""
    organised(databrain)
    run(file)
    first = file.read_bytes()
    run(file)
    assert file.read_bytes() == first


def test_the_other_api(run: Callable[..., int], databrain: Databrain, file: Path) -> None:
    """It reads old servers too."""
    organised(databrain)
    assert run(file, DatabrainApi="legacy") == 0
    assert len(written(file)) == 3
    assert not [request for request in databrain.requests if request["method"] == "DELETE"]


@pytest.mark.parametrize(
    "fault",
    [
        {"route": "list_data_apps", "fault": "status", "status": 400},
        {"route": "list_embeds", "fault": "html"},
    ],
)
def test_what_could_not_be_read(
    run: Callable[..., int], databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str], fault: dict[str, Any]
) -> None:
    """A map that would not be whole is not written: what was filled in before stays as it is."""
    organised(databrain)
    databrain.faults.replace([fault])
    file.write_text('{"p-1": "marketing"}')

    with pytest.raises(CommandError, match="of the embeds could not be read"):
        run(file)

    assert file.read_text() == '{"p-1": "marketing"}'
    assert "could not be read: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("embed-map.json", {"DatabrainBaseUrl": "nonsense"}, "DatabrainBaseUrl must be an https URL"),
        ("broken.json", {}, "broken.json is not valid JSON: "),
        ("list.json", {}, "list.json must be a JSON object of embed ID"),
        ("twice.json", {}, "twice.json is not valid JSON: an object has a duplicate key; correct it, or name another"),
        ("number.json", {}, "number.json: the entry of 'e' must be a datamart's name, or null for none"),
        ("latin-1.json", {}, "latin-1.json is not valid JSON: "),
        ("missing/embed-map.json", {}, "missing does not exist: create it first"),
        (".", {}, "Is a directory"),
    ],
)
def test_what_stops_it_before_it_asks(
    run: Callable[..., int], tmp_path: Path, name: str, parameters: dict[str, str], told: str
) -> None:
    """Whatever is wrong on this side is told, and nothing is written."""
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "twice.json").write_text('{"e": "sales", "e": "hr"}')
    (tmp_path / "number.json").write_text('{"e": {"datamart": 7}}')
    (tmp_path / "latin-1.json").write_bytes('{"e": "Umsätze"}'.encode("latin-1"))
    with pytest.raises((CommandError, ConfigurationError, OSError), match=re.escape(told)):
        run(tmp_path / name, **parameters)
    assert not (tmp_path / "embed-map.json").exists()


def test_it_asks_a_person(
    run: Callable[..., int], databrain: Databrain, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, a person is asked for each embed that has no datamart yet: a name, none, or nothing."""
    organised(databrain)
    answers = iter(["finance", "none", ""])
    monkeypatch.setattr(Output, "asks", lambda _: True)
    monkeypatch.setattr(Output, "ask", lambda *_: next(answers))

    assert run(file) == 0

    assert {embed_id: entry["datamart"] for embed_id, entry in written(file).items()} == {
        "b-1": "finance",
        "p-1": None,
        "p-2": "",
    }
