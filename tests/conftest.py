"""How all tests are run."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import fastjsonschema
import pytest

TESTS = Path(__file__).parent
WAITING = {"soak", "stack"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits for other processes: meanwhile there is other work."""
    items.sort(key=lambda item: _folder(item) not in WAITING)


@pytest.fixture(scope="session", autouse=True)
def _prepared_once() -> Iterator[None]:
    """Prepare once for each worker what Lambda prepares for each event or start: it was most of what tests took."""
    compiled: dict[str, Callable[[Any], Any]] = {}
    compile_schema = fastjsonschema.compile

    def compile_once(definition: Any, *options: Any, **named: Any) -> Callable[[Any], Any]:  # noqa: ANN401  # as they come
        text = json.dumps(definition) + repr((options, named))
        if text not in compiled:
            compiled[text] = compile_schema(definition, *options, **named)
        return compiled[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastjsonschema, "compile", compile_once)
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
