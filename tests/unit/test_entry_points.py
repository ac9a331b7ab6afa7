"""The entry points of all functions."""

import io
import re
from pathlib import Path

import pytest

from tests.unit import test_settings
from tests.unit.entry_points import FUNCTIONS, LAMBDA, lines_of, load
from tests.unit.restoring import test_restore_app
from tests.unit.scheduling import test_schedule_settings
from tests.unit.sweeping import test_sweep_settings
from tests.unit.webhook import test_webhook_app

CONFIGURED = [
    each.ENVIRONMENT
    for each in (test_schedule_settings, test_settings, test_restore_app, test_sweep_settings, test_webhook_app)
]


EACH = pytest.mark.parametrize("app", sorted(FUNCTIONS.glob("*/app.py")), ids=lambda app: app.parent.name)


@EACH
def test_entry_point_is_thin(app: Path) -> None:
    """An entry point has at most 30 lines and decides nothing."""
    source = app.read_text()

    assert len(source.splitlines()) <= 30
    assert "if " not in source


@EACH
def test_times_in_the_log(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line has its level and an RFC 3339 time: without both, Lambda takes an error for INFO, and may drop it."""
    for environment in (*CONFIGURED, LAMBDA, {"POWERTOOLS_SERVICE_NAME": f"times-of-{app.parent.name}"}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)  # a logger lives as long as the process, so each has a name of its own
    logger, log = load(app.parent.name).logger, io.StringIO()
    logger.registered_handler.stream = log

    logger.error("attempt failed")

    [line] = lines_of(log)
    assert line["level"] == "ERROR"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line["timestamp"])
