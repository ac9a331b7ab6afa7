"""What lets a delete be sent."""

from datetime import UTC, datetime

from retirement.canonical import Document, canonical_json
from retirement.databrain.copies import RehearsalPermit, bodies_hash, copy_name
from retirement.databrain.permits import NoBackupRequested
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.requests import DependentsPolicy, Request
from retirement.stored_object import StoredObject


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
        rehearse=False,
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


def rehearsal_permit(name: str, create_body: Document, layer_body: Document | None) -> RehearsalPermit:
    """Permits the creation of the copy of a datamart of this name, by these bodies but for the copy's own name."""
    copy = copy_name(name, "retirement-1")
    create = {**create_body, "name": copy}
    layer = None if layer_body is None else {**layer_body, "datamartName": copy}
    record = {
        "datamartName": name,
        "retirementId": "retirement-1",
        "copyName": copy,
        "createHash": bodies_hash(create, layer),
        "listed": [name],
        "recordedAt": "2024-01-01T00:00:00.000Z",
    }
    return RehearsalPermit(
        StoredObject("evidence", "rehearsal.json", None, canonical_json(record), None), create, layer
    )
