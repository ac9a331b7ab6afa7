"""The entry points of all functions."""

from pathlib import Path

import pytest

from tests.unit.entry_points import FUNCTIONS


@pytest.mark.parametrize("app", sorted(FUNCTIONS.glob("*/app.py")), ids=lambda app: app.parent.name)
def test_entry_point_is_thin(app: Path) -> None:
    """An entry point has at most 30 lines and decides nothing."""
    source = app.read_text()

    assert len(source.splitlines()) <= 30
    assert "if " not in source
