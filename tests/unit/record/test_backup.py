import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retirement.canonical import canonical_json, parse_json, sha256_hex
from retirement.databrain.dependents import Verdict
from retirement.databrain.permits import NoBackupRequested, VerifiedBackup
from retirement.errors import BackupFailed
from retirement.record.backup import BackedUpEmbed, backup_of
from tests.fakes import Parsed, embed_of, entry_of
from tests.unit.samples import LAYER, READ_BACK, REFERENCE, REQUEST, SNAPSHOT

EMBED = BackedUpEmbed(
    embed=embed_of("e", "sales"), verdict=Verdict.USES, export={"data": {}}, workspace_name="Sales", why_not=None
)


def backup(entry: Parsed, layer: Parsed = None, *, legacy: bool = False) -> Parsed:
    """The backup of a datamart, as it is kept."""
    snapshot = replace(SNAPSHOT, entry=entry, semantic_layer=layer)
    return json.loads(canonical_json(backup_of(snapshot, [EMBED], legacy=legacy)))


# ---- The permits ---------------------------------------------------------------------------------------------------


def test_verified_backup() -> None:
    """A backup that was read back and equals the snapshot permits its deletion."""
    permit = VerifiedBackup(SNAPSHOT, REFERENCE, READ_BACK)

    assert permit.snapshot is SNAPSHOT


def test_backup_of_long_numbers() -> None:
    """Numbers of more digits than a float holds are in the backup as they came, which still equals the snapshot."""
    numbers = '{"scale":0.12345678901234567890,"tiny":1e-400,"plain":1.5}'
    entry = entry_of() | {"numbers": parse_json(numbers, exact=True)}
    snapshot = replace(SNAPSHOT, entry=entry)
    body = canonical_json(backup_of(snapshot, [], legacy=False))

    VerifiedBackup(snapshot, *rehashed(body))
    assert all(part in body for part in ('"scale":0.12345678901234567890', '"tiny":1e-400', '"plain":1.5'))


def rehashed(body: str) -> tuple[Any, Any]:
    """Another body, with a reference that fits it."""
    return replace(REFERENCE, sha256=sha256_hex(body)), replace(READ_BACK, body=body)


WRONG_PERMITS: dict[str, Callable[[], object]] = {
    "the body differs": lambda: VerifiedBackup(SNAPSHOT, REFERENCE, replace(READ_BACK, body=READ_BACK.body + " ")),
    "the hash differs": lambda: VerifiedBackup(SNAPSHOT, replace(REFERENCE, sha256="0" * 64), READ_BACK),
    "another configuration": lambda: VerifiedBackup(
        replace(SNAPSHOT, entry=entry_of(label="Changed")), REFERENCE, READ_BACK
    ),
    "another semantic layer": lambda: VerifiedBackup(replace(SNAPSHOT, semantic_layer=None), REFERENCE, READ_BACK),
    "no JSON": lambda: VerifiedBackup(SNAPSHOT, *rehashed("{")),
    "no backup": lambda: VerifiedBackup(SNAPSHOT, *rehashed("{}")),
    "no object": lambda: VerifiedBackup(SNAPSHOT, *rehashed("[]")),
    "a datamart of another type": lambda: VerifiedBackup(SNAPSHOT, *rehashed('{"datamart":1,"semanticLayer":null}')),
    "a replaced permit": lambda: replace(
        VerifiedBackup(SNAPSHOT, REFERENCE, READ_BACK), snapshot=replace(SNAPSHOT, entry=entry_of("hr"))
    ),
    "a backup was asked for": lambda: NoBackupRequested(SNAPSHOT, REQUEST),
}


@pytest.mark.parametrize("case", WRONG_PERMITS)
def test_wrong_permit(case: str) -> None:
    """A permit that is not earned cannot be made, in whatever way, and says so as `backup_failed`."""
    with pytest.raises(BackupFailed):
        WRONG_PERMITS[case]()


def test_no_backup_asked() -> None:
    """A request that asks for no backup permits the deletion without one."""
    assert NoBackupRequested(SNAPSHOT, replace(REQUEST, backup=False)).snapshot is SNAPSHOT


# ---- What is kept --------------------------------------------------------------------------------------------------


def test_everything_is_kept() -> None:
    """The backup holds everything the API told, unknown fields too, and no time of ours."""
    entry = entry_of() | {"updatedAt": "x", "unheardOf": {"deep": [1]}}
    kept = backup(entry, LAYER)

    assert kept["formatVersion"] == "2"
    assert kept["datamart"] == entry
    assert kept["semanticLayer"] == LAYER
    assert kept["embeds"] == [
        {
            "embedId": "e",
            "name": "Embed e",
            "dataAppName": "Portal",
            "verdict": "uses",
            "item": EMBED.embed.item,
            "export": {"data": {}},
            "workspaceName": "Sales",
            "whyNot": None,
        }
    ]
    assert kept.keys() == {
        "formatVersion",
        "datamart",
        "semanticLayer",
        "embeds",
        "createRequest",
        "createSemanticLayerRequest",
        "notRestored",
        "notRestorable",
    }


def test_create_request() -> None:
    """The create request is the list entry in Create Datamart's own words."""
    tenancy = {
        "tenancyLevel": "TABLE",
        "clientColumnType": "STRING",
        "schemaName": "public",
        "tableName": "organizations",
        "tableClientNameColumn": "name",
        "tablePrimaryKeyColumn": "id",
    }
    relationship = {"parentTableName": "orders", "childTableName": "lines", "cardinality": "ManyToOne"}
    columns = [
        {"columnName": "id", "datatype": "integer", "alias": "order_id", "label": "ID", "isHide": False,
         "isCustomColumn": False, "sql": "", "isApplyTimezone": False},
        {"columnName": "net", "datatype": "numeric", "isCustomColumn": True, "sql": "gross * 0.8", "label": None},
        {},
    ]  # fmt: skip
    table = {"schemaName": "public", "tableName": "orders", "label": "Orders", "clientColumn": "tenant", "isHide": True}
    entry = {
        "name": "sales",
        "createdAt": "2026-01-01T00:00:00Z",
        "datamartOrganization": tenancy | {"unheardOf": 1},
        "companyIntegration": {"name": "postgres-prod"},
        "datamartTables": [table | {"datamartTableColumns": columns}],
        "datamartRelationships": [relationship],
    }

    assert backup(entry)["createRequest"] == {
        "method": "POST",
        "path": "/api/v2/data-app/datamarts",
        "body": {
            "name": "sales",
            "datasourceName": "postgres-prod",
            "tableList": [
                {
                    "name": "orders",
                    "schemaName": "public",
                    "clientColumn": "tenant",
                    "label": "Orders",
                    "isHide": True,
                    "columns": [
                        {"name": "id", "alias": "order_id", "label": "ID", "isHide": False, "isCustomColumn": False},
                        {"name": "net", "isCustomColumn": True, "sql": "gross * 0.8"},
                    ],
                }
            ],
            "tenancySettings": tenancy,
            "relationships": [relationship],
        },
    }


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "sales", "datamartTables": []},
        {"name": "sales"},
        {
            "name": "sales",
            "datamartTables": None,
            "datamartOrganization": None,
            "companyIntegration": None,
            "datamartRelationships": None,
        },
        {
            "name": "sales",
            "datamartTables": "x",
            "datamartOrganization": {"tenancyLevel": None},
            "companyIntegration": {"name": ""},
        },
        {"name": "sales", "datamartTables": [None, 5], "companyIntegration": "x", "datamartOrganization": []},
    ],
)
def test_create_request_of_a_bare_entry(entry: Parsed) -> None:
    """What the API does not tell is left out of the create request."""
    assert backup(entry)["createRequest"]["body"] == {"name": "sales", "tableList": []}


@pytest.mark.parametrize(
    ("legacy", "path"), [(False, "/api/v2/data-app/datamarts"), (True, "/api/v2/dataApp/datamart/create")]
)
def test_path_of_the_create_request(legacy: bool, path: str) -> None:  # noqa: FBT001  # a parameter of the test
    """The create request is one that the server takes."""
    assert backup(entry_of(), legacy=legacy)["createRequest"]["path"] == path


def test_create_request_of_the_semantic_layer() -> None:
    """The semantic layer has a create request of its own, of the fields that Create Semantic Layer takes."""
    column = {"name": "status", "description": "state", "synonyms": ["s"], "columnType": "ENUM",
              "columnTypeConfig": {"a": "b"}, "isIdentifier": False}  # fmt: skip
    table = {"name": "orders", "description": "Orders", "synonyms": []}
    layer = {
        "datamartName": "sales",
        "tables": [
            table
            | {"schemaName": "public", "miscellaneousInfo": None}
            | {"columns": [column | {"datatype": "varchar", "isNotIndexed": False}, {"name": "id", "columnType": None}]}
        ],
        "feedback": "in USD",
        "completionScore": 75,
        "lastUpdated": "x",
    }

    assert backup(entry_of(), layer)["createSemanticLayerRequest"] == {
        "method": "POST",
        "path": "/api/v2/data-app/datamarts/semantic-layer",
        "body": {
            "datamartName": "sales",
            "tables": [table | {"columns": [column, {"name": "id"}]}],
            "feedback": "in USD",
        },
    }
    assert backup(entry_of())["createSemanticLayerRequest"] is None


def test_equal_snapshots_have_equal_backups() -> None:
    """An equal snapshot gives an equal backup, whatever the order of keys."""
    turned = replace(SNAPSHOT, entry=dict(reversed(list(SNAPSHOT.entry.items()))))

    assert canonical_json(backup_of(turned, [], legacy=False)) == READ_BACK.body
