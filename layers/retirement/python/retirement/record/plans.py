"""A plan: what was seen and is decided on. Its ID is its own hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from retirement.canonical import Document, Json, canonical_json, sha256_hex
from retirement.databrain.dependents import Dependents
from retirement.databrain.snapshot import Snapshot
from retirement.record.losses import not_restorable
from retirement.record.organisation import Organisation
from retirement.requests import Request
from retirement.timestamps import format_timestamp


@dataclass(frozen=True)  # without slots, because cached_property needs a dictionary: thousands of embeds take time
class Plan:
    """What the decision is based on.

    Attributes:
        seen: what the hash covers. It has no times of attempts, no limits and no mode, so that the same state and the
            same options give the same plan.
        columns: explain a later drift. They follow from the configuration, whose hash is in `seen`.
        not_restorable: what keeps the datamart from being restored. It follows from the configuration, too.
        organisation: where it was seen. It is not hashed, so that a rotated token does not make another plan.
    """

    seen: Document
    columns: Document
    not_restorable: Sequence[str]
    organisation: Organisation

    @classmethod
    def of(cls, request: Request, snapshot: Snapshot, dependents: Dependents, organisation: Organisation) -> "Plan":
        """Make the plan for this request, snapshot and dependents."""
        embeds = [
            {**embed.document(), "verdict": embed.verdict(snapshot.name)}
            for embed in sorted(dependents.listing.embeds, key=lambda embed: (embed.embed_id, embed.data_app_name))
        ]
        gaps = {"notListed": list(dependents.listing.gaps)} if dependents.listing.gaps else {}
        return cls(
            columns=_columns(snapshot.entry),
            not_restorable=not_restorable(snapshot.entry),
            organisation=organisation,
            seen={
                "formatVersion": "1",
                "datamartName": snapshot.name,
                "createdAt": None if snapshot.created_at is None else format_timestamp(snapshot.created_at),
                "configurationHash": snapshot.configuration_hash,
                "semanticLayerHash": snapshot.semantic_layer_hash,
                "embeds": embeds,
                **gaps,
                "options": {
                    "backup": request.backup,
                    "dependents": request.dependents,
                    "reviewedEmbeds": sorted(request.reviewed_embeds),
                },
            },
        )

    @cached_property
    def plan_id(self) -> str:
        """The SHA-256 of `seen`, in hex."""
        return sha256_hex(canonical_json(self.seen))

    def document(self) -> Document:
        """Return the plan as it is stored."""
        return {
            "planId": self.plan_id,
            **self.seen,
            "columns": self.columns,
            "notRestorable": self.not_restorable,
            "organisation": self.organisation.document(),
        }


def _columns(entry: Document) -> Document:
    """Return the columns of each table: `{"public.orders": ["id", "total"]}`."""
    tables = cast("list[dict[str, Json]]", entry.get("datamartTables", []))
    return {
        ".".join(str(part) for part in (table.get("schemaName"), table["tableName"]) if part): [
            str(column.get("columnName"))
            for column in cast("list[dict[str, Json]]", table.get("datamartTableColumns", []))
        ]
        for table in tables
    }
