"""`make embed-map`, against the local Databrain server."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from local.databrain.state import Databrain
from local.emulator import CHECKOUT
from retirement.settings import DatabrainApi
from tests.contract.refused_tools import refusal
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.routes import requests_to
from tests.contract.seeds import SECRETS, data_app, seed
from tools.embed_map import main

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain"
APPS = (
    data_app(
        "Portal",
        {"embedId": "p-2", "name": "Umsätze", "datamart": "sales"},
        {"embedId": "p-1", "name": "Churn", "datamart": "marketing"},
    ),
    data_app("Back office", {"embedId": "b-1", "name": "Total", "embedType": "metric", "datamart": "finance"}),
    data_app("Empty"),
)


@pytest.fixture(autouse=True)
def _secret(secret: RotatedSecret, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.embed_map.secrets_manager", lambda: secret)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the map goes."""
    return tmp_path / "embed-map.json"


def organised(databrain: Databrain, **server: object) -> None:
    """Let there be three data apps with three embeds; nothing tells their datamart, unless the server does."""
    databrain.organisation = organisation_of(seed("sales", "marketing", "finance", apps=APPS, **server))


def run(databrain: Databrain, file: Path, *more: str) -> int:
    """Run the tool."""
    return main([str(file), "--base-url", databrain.url, "--secret-arn", SECRET_ARN, *more])


def written(file: Path) -> dict[str, Any]:
    """The map, with nothing in it that would be a secret."""
    text = file.read_text()
    assert not [token for token in SECRETS if token in text]
    entries: dict[str, Any] = json.loads(text)
    return entries


def test_every_embed(databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The map has every embed, in the order of data apps and IDs, with what a person needs to fill in its datamart."""
    organised(databrain)
    assert run(databrain, file) == 0
    entries = written(file)
    assert list(entries) == ["b-1", "p-1", "p-2"]
    assert {entry["datamart"] for entry in entries.values()} == {""}
    assert [entry["name"] for entry in entries.values()] == ["Total", "Churn", "Umsätze"]
    assert [entry["dataApp"] for entry in entries.values()] == ["Back office", "Portal", "Portal"]
    assert [entry["dashboard"] for entry in entries.values()] == [None, "Churn", "Umsätze"]
    assert capsys.readouterr().out == f"{file}: 3 embeds, 3 still to be filled in\n"


def test_it_only_reads(databrain: Databrain, file: Path) -> None:
    """Databrain gets no request but GET, and none for datamarts."""
    organised(databrain)
    run(databrain, file)
    assert {request["method"] for request in databrain.requests} == {"GET"}
    assert not requests_to(databrain, DatabrainApi.CURRENT, RouteId.LIST_DATAMARTS)


def test_what_databrain_tells(databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What Databrain tells by itself is filled in."""
    organised(databrain, embedsTellDatamart="access_settings")
    assert run(databrain, file) == 0
    told = {embed_id: entry["datamart"] for embed_id, entry in written(file).items()}
    assert told == {"b-1": "finance", "p-1": "marketing", "p-2": "sales"}
    assert "0 still to be filled in" in capsys.readouterr().out


@pytest.mark.parametrize("as_objects", [True, False], ids=["as the tool writes it", "as plain names"])
@pytest.mark.parametrize("server", [{}, {"embedsTellDatamart": "access_settings"}], ids=["untold", "told"])
def test_what_was_filled_in_is_kept(
    databrain: Databrain,
    file: Path,
    server: dict[str, object],
    as_objects: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A map that is brought up to date keeps names and nulls, gains new embeds and loses those that are gone."""
    organised(databrain, **server)
    earlier: dict[str, str | None] = {"p-2": "renamed", "b-1": None, "gone": "sales"}
    objects = {embed_id: {"datamart": name, "name": "old"} for embed_id, name in earlier.items()}
    file.write_text(json.dumps(objects if as_objects else earlier))

    assert run(databrain, file) == 0

    entries = written(file)
    told = {embed_id: entry["datamart"] for embed_id, entry in entries.items()}
    assert told == {"b-1": None, "p-1": "marketing" if server else "", "p-2": "renamed"}
    assert entries["p-2"]["name"] == "Umsätze"


def test_again(databrain: Databrain, file: Path) -> None:
    """Run twice, it writes the same."""
    organised(databrain)
    run(databrain, file)
    first = file.read_bytes()
    run(databrain, file)
    assert file.read_bytes() == first


def test_the_other_api(databrain: Databrain, file: Path) -> None:
    """It reads old servers too."""
    organised(databrain)
    assert run(databrain, file, "--api", "legacy") == 0
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
    databrain: Databrain, file: Path, capsys: pytest.CaptureFixture[str], fault: dict[str, Any]
) -> None:
    """A map that would not be whole is not written: what was filled in before stays as it is."""
    organised(databrain)
    databrain.faults.replace([fault])
    file.write_text('{"p-1": "marketing"}')

    assert run(databrain, file) == 1

    assert file.read_text() == '{"p-1": "marketing"}'
    assert "could not be read: " in capsys.readouterr().err


ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    ("arguments", "without", "told"),
    [
        (["embed-map.json"], "AWS_DEFAULT_REGION", "no AWS region is set: set AWS_DEFAULT_REGION"),
        (["embed-map.json"], "AWS_ACCESS_KEY_ID", "no AWS credentials were found: sign in, or set AWS_PROFILE"),
        (["embed-map.json", "--base-url", "nonsense"], "", "BASE_URL is 'nonsense': expected an https URL"),
        (["embed-map.json", "--base-url", "http://databrain.invalid"], "", "expected an https URL"),
        (["embed-map.json", "--base-url", "https://databrain:port"], "", "BASE_URL is no URL: Invalid port"),
        (["broken.json"], "", "broken.json is no JSON: "),
        (["list.json"], "", "list.json holds a JSON list: expected an object"),
        (["missing/embed-map.json"], "", "there is no folder missing: make it first"),
        (["."], "", "Is a directory: '.'"),
    ],
)
def test_what_stops_it_before_it_asks(tmp_path: Path, arguments: list[str], without: str, told: str) -> None:
    """Whatever is wrong on this side is told in one line, and nothing is written."""
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    account = {name: value for name, value in ACCOUNT.items() if name != without}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | account
    said = refusal(
        "embed_map.py",
        *("--base-url", "https://databrain.invalid", "--secret-arn", SECRET_ARN, *arguments),
        folder=tmp_path,
        environment=environment
        | {
            "PYTHONPATH": str(CHECKOUT / "layers" / "retirement" / "python"),
            "HOME": str(tmp_path),
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        begins="No map: ",
    )
    assert told in said
    assert not (tmp_path / "embed-map.json").exists()
