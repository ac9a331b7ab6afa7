"""One request, what it finds, and what is kept of it."""

from datetime import timedelta

from retirement.canonical import canonical_json, sha256_hex
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.record.backup import backup_of
from retirement.record.intents import Intent
from retirement.record.organisation import Organisation
from retirement.requests import Delivery, DependentsPolicy, Request
from retirement.stored_object import BackupReference, StoredObject
from tests.fakes import START, Parsed, entry_of

CREATED_AT = START - timedelta(days=1)

REQUEST = Request(
    datamart_name="sales",
    retirement_id="offboard-1",
    environment="prod",
    requested_by="ops",
    reason="done",
    backup=True,
    require_restorable=False,
    rehearse=False,
    dry_run=False,
    dependents=DependentsPolicy.BLOCK,
    reviewed_embeds=frozenset(),
    plan_id=None,
    retire_at=None,
    event_time=START,
    requested_at=START,
    cutoff=START,
    event_id="7bf73129-1428-4cd3-a780-95db273d1602",
    content_hash="0" * 64,
    detail={"datamartName": "sales"},
)
DELIVERY = Delivery("{}", START, 1, "invocation-1")
LAYER: Parsed = {
    "datamartName": "sales",
    "tables": [{"name": "orders", "columns": []}, {"name": "lines", "columns": []}],
    "feedback": "in USD",
}
SNAPSHOT = Snapshot("sales", CREATED_AT, entry_of(), LAYER, Listing({"sales": CREATED_AT}))

_BACKUP = canonical_json(backup_of(SNAPSHOT, [], legacy=False))
READ_BACK = StoredObject("evidence", "backup.json", "version-1", _BACKUP, None)
REFERENCE = BackupReference("evidence", "backup.json", "version-1", sha256_hex(_BACKUP), len(_BACKUP.encode()))

ORGANISATION = Organisation("sales", "0123456789abcdef", {"returns": CREATED_AT}, {"Portal": None})
INTENT = Intent(
    detail=REQUEST.detail,
    datamart_name="sales",
    created_at=CREATED_AT,
    configuration_hash=SNAPSHOT.configuration_hash,
    plan_id="p",
    dependents={},
    backup=REFERENCE,
    not_restorable=["datamart.datamartTables: Create Datamart needs at least one table"],
    invocation_id="invocation-1",
    content_hash=REQUEST.content_hash,
    organisation=ORGANISATION,
)
