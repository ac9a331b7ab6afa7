"""Evidence as the stack keeps it, in memory: what the report reads."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.reporting.evidence import Listed, Unreadable
from retirement.record.keys import backup_key, plan_key, rejected_key, restore_key, retirement_key
from retirement.timestamps import format_timestamp

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BUCKET_NAME = "evidence-of-prod"
PLAN_ID = "5f2a" * 16
BACKUP_SHA256 = "0123456789abcdef" * 4

Parsed = dict[str, Any]


class KeptEvidence:
    """A bucket, and the means to fill it. `reads` are the keys that were read."""

    name = BUCKET_NAME

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.locked: set[str] = set()
        self.backup_retention: timedelta | None = None

    def objects(self) -> Iterator[Listed]:
        """List every object."""
        for key, body in sorted(self.bodies.items()):
            yield Listed(key, len(body), NOW)

    def read(self, listed: Listed, most: int) -> bytes:
        """Read an object's first bytes; one that is locked is not given out."""
        self.reads.append(listed.key)
        if listed.key in self.locked:
            raise Unreadable("S3 did not return it: InvalidObjectState.")
        return self.bodies[listed.key][:most]

    def put(self, key: str, document: object) -> str:
        """Keep a document, or bytes as they are, and return the key."""
        self.bodies[key] = document if isinstance(document, bytes) else json.dumps(document).encode()
        return key

    def tell(self, name: str, file_name: str = "receipt.json", **fields: Any) -> Parsed:  # noqa: ANN401 -- any JSON
        """Keep what is told of a retirement in one of its files; `fields` go over those of `result`."""
        document = result(name, **fields)
        self.put(retirement_key(name, document["retirementId"], file_name), document)
        return document

    def deletion(self, name: str, **fields: Any) -> Parsed:  # noqa: ANN401 -- any JSON
        """Keep all that a deletion leaves: plan, backup, intent and receipt."""
        retirement_id = fields.get("retirementId", "offboard-acme")
        backup = {
            "formatVersion": "1",
            "datamart": {"name": name, "datamartTables": [{"tableName": "orders"}]},
            "embeds": [],
            "notRestored": ["createdAt and updatedAt"],
        }
        key = self.put(backup_key(name, retirement_id, BACKUP_SHA256), backup)
        plan = {
            "planId": PLAN_ID,
            "formatVersion": "1",
            "datamartName": name,
            "embeds": [],
            "options": {"backup": True},
        }
        self.put(plan_key(name, PLAN_ID), plan)
        intent = {"formatVersion": "1", "datamart": {"name": name}, "planId": PLAN_ID, "invocationId": "i-1"}
        self.put(retirement_key(name, retirement_id, "intent.json"), intent)
        reference = {
            "bucket": BUCKET_NAME,
            "key": key,
            "versionId": "v-1",
            "sha256": BACKUP_SHA256,
            "bytes": len(self.bodies[key]),
        }
        message = f"Databrain deleted the datamart and no longer lists it. Its backup is s3://{BUCKET_NAME}/{key}."
        told = {"outcome": "deleted", "message": message, "confirmedBy": "response", "planId": PLAN_ID}
        return self.tell(name, "receipt.json", **{"backup": reference} | told | fields)

    def restore(self, name: str, file_name: str = "receipt.json", **fields: Any) -> Parsed:  # noqa: ANN401 -- any JSON
        """Keep what is told of a restore in one of its files; `fields` go over those of a restore with an embed."""
        said = {"outcome": "restored", "message": "The datamart was created again. Embeds: 1 created with new IDs."}
        document = result(name, **said | restoration(name) | fields)
        self.put(restore_key(name, document["retirementId"], document["restoreId"], file_name), document)
        return document

    def reject(self, event_id: str, **fields: Any) -> str:  # noqa: ANN401 -- any JSON
        """Keep the answer to an event that was no valid request."""
        told = {"outcome": "rejected", "reason": "invalid_request", "message": "detail must have the field reason"}
        document = result(None, **{"retirementId": None, "event": '{"detail": {}}'} | told | fields)
        return self.put(rejected_key(event_id), document)


def restoration(name: str | None) -> Parsed:
    """What the result of a restore has beside that of a retirement."""
    embed = {
        "embedId": "board",
        "newEmbedId": "board-2",
        "name": "Sales board",
        "dataAppName": "Portal",
        "state": "created",
        "why": None,
    }
    return {
        "restoreId": "back-1",
        "restoredAs": name,
        "differences": [],
        "notRestored": [],
        "restoredEmbeds": [embed],
    }


def result(name: str | None, **fields: Any) -> Parsed:  # noqa: ANN401 -- any JSON
    """A result as it is kept; `fields` go over defaults. `ago`: so many days before `NOW`."""
    finished_at = NOW - timedelta(days=fields.pop("ago", 0), minutes=1)
    return {
        "schemaVersion": "1",
        "datamartName": name,
        "retirementId": "offboard-acme",
        "environment": "prod",
        "outcome": "planned",
        "reason": None,
        "message": "Nothing was changed, because the request is a dry run; a real run would delete the datamart.",
        "requestedBy": "offboarding",
        "requestReason": "Acme left",
        "requestedAt": format_timestamp(finished_at - timedelta(seconds=8)),
        "startedAt": format_timestamp(finished_at - timedelta(seconds=4)),
        "finishedAt": format_timestamp(finished_at),
        "planId": None,
        "backup": None,
        "dependents": None,
        "confirmedBy": None,
        **fields,
    }
