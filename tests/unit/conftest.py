"""Unit tests know no network and no AWS variables."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import fastjsonschema
import pytest
from hypothesis import settings

from tests.fakes import World

RESULT_SCHEMA = Path(__file__).parents[2] / "events" / "schemas" / "datamart-retirement-result.json"

follows_schema = fastjsonschema.compile(json.loads(RESULT_SCHEMA.read_bytes()))

settings.register_profile("unit", deadline=None)  # a busy machine is no fault
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _alone(socket_disabled: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # pytest-socket's fixture
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def world() -> Iterator[World]:
    """A world of fakes; whatever a test publishes in it follows the published schema."""
    world = World()
    yield world
    for result in world.published:
        follows_schema(result)
