"""How all tests are run."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
COVERING = {"unit", "contract"}  # the others run the package in other processes, or so often that counting doubles it
WAITING = {"soak", "stack"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits for other processes: meanwhile there is other work."""
    items.sort(key=lambda item: _folder(item) not in WAITING)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Count coverage where it tells something (`no_cover` of pytest-cov has no effect in xdist's workers)."""
    counting = sys.gettrace()
    if _folder(item) not in COVERING:
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(counting)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
