"""A plan: what was seen and would be decided on, under a name that is its own hash."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from retirement.canonical import Document, Json, canonical_json, sha256_hex
from retirement.databrain.dependents import Dependents
from retirement.databrain.snapshot import Snapshot
from retirement.record.organisation import Organisation
from retirement.requests import Request
from retirement.timestamps import format_timestamp


@dataclass(frozen=True)  # without slots: the hash is computed once, and thousands of embeds take a while
class Plan:
    """`seen` holds neither times of ours nor limits nor the mode: the same state and options give the same plan.

    The others are not part of the hash. `columns`, which follow from the configuration, explain a later drift;
    `organisation` is where it was seen: a token that is rotated does not make another plan.
    """

    seen: Document
    columns: Document
    organisation: Organisation

    @classmethod
    def of(cls, request: Request, snapshot: Snapshot, dependents: Dependents, organisation: Organisation) -> "Plan":
        """Put down what this request, this snapshot and these dependents amount to."""
        embeds = [
            {**embed.document(), "verdict": embed.verdict(snapshot.name)}
            for embed in sorted(dependents.listing.embeds, key=lambda embed: (embed.embed_id, embed.data_app_name))
        ]
        gaps = {"notListed": list(dependents.listing.gaps)} if dependents.listing.gaps else {}
        return cls(
            columns=_columns(snapshot.entry),
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
        """The SHA-256, in hex, of what was seen."""
        return sha256_hex(canonical_json(self.seen))

    def document(self) -> Document:
        """The plan as it is kept."""
        return {
            "planId": self.plan_id,
            **self.seen,
            "columns": self.columns,
            "organisation": self.organisation.document(),
        }


def _columns(entry: Document) -> Document:
    """The columns of each table: `{"public.orders": ["id", "total"]}`."""
    tables = cast("list[dict[str, Json]]", entry.get("datamartTables", []))
    return {
        ".".join(str(part) for part in (table.get("schemaName"), table["tableName"]) if part): [
            str(column.get("columnName"))
            for column in cast("list[dict[str, Json]]", table.get("datamartTableColumns", []))
        ]
        for table in tables
    }
