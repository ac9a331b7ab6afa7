"""Two deliveries of one request at the same time, the lock lost, that see different states."""

import pytest

from tests.fakes import requested
from tests.faults.stage import Stage, Strike, add_embed, embed, in_process


@pytest.mark.parametrize("call", ["evidence.create", "coordination.reserve", "databrain"])
def test_a_receipt_never_denies_a_deletion(call: str) -> None:
    """Where one delivery has refused the request already, the other one does not delete."""
    stage, event = Stage(is_lockless=True), requested()

    def refuse() -> None:
        add_embed(stage.organisation, embed("used", "sales"))
        stage.deliver_alongside(event)

    with in_process():
        ending = stage.deliver(event, Strike("delete_datamart" if call == "databrain" else call, meanwhile=refuse))

    receipt = stage.receipt(event)
    assert ending.result is None or ending.result == receipt
    assert not stage.deletions or receipt is None or receipt["outcome"] == "deleted"
