"""What lets a delete be sent."""

from datetime import UTC, datetime

from retirement.databrain.permits import NoBackupRequested
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.requests import DependentsPolicy, Request


def request_for(name: str, retirement_id: str = "retirement-1") -> Request:
    """A valid request that asks for no backup."""
    return Request(
        datamart_name=name,
        retirement_id=retirement_id,
        environment="test",
        requested_by="the contract tests",
        reason="to see what happens",
        backup=False,
        require_restorable=False,
        dry_run=False,
        dependents=DependentsPolicy.BLOCK,
        reviewed_embeds=frozenset(),
        plan_id=None,
        retire_at=None,
        event_id="7bf73129-1428-4cd3-a780-95db273d1602",
        event_time=datetime(2026, 1, 1, tzinfo=UTC),
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        cutoff=datetime(2026, 1, 1, tzinfo=UTC),
        content_hash="0" * 64,
        detail={},
    )


def permit_for(name: str) -> NoBackupRequested:
    """Permits the deletion of a datamart of this name."""
    return NoBackupRequested(Snapshot(name, None, {"name": name}, None, Listing({name: None})), request_for(name))
