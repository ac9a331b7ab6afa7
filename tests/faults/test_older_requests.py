"""A retirement that was requested before a restore, and comes after it: what was restored is new to it."""

from datetime import timedelta

import pytest

from retirement.timestamps import format_timestamp
from tests.fakes import START, requested, restore_requested
from tests.faults.stage import Stage, in_process


@pytest.mark.parametrize(
    "detail", [{}, {"retireAt": format_timestamp(START + timedelta(days=1))}], ids=["for now", "for a date"]
)
def test_it_spares_what_was_restored(detail: dict[str, str]) -> None:
    """The older request ends as `recreated`, and the restored datamart stays."""
    older = requested(retirementId="offboard-0", **detail)
    with in_process():
        stage = Stage()
        if detail:
            stage.schedule(older)
        retired, restored = stage.deliver(requested()), stage.deliver(restore_requested())
        stage.clock.advance(2 * 86_400)
        result = stage.deliver(older).result
    assert [each.result["outcome"] for each in (retired, restored)] == ["deleted", "restored"]
    assert (result["outcome"], result["reason"]) == ("blocked", "recreated")
    assert "sales" in stage.organisation.datamarts
