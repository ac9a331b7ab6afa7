"""The backup: what the API returns about a datamart, the requests that create it again, and what those cannot do."""

from collections.abc import Sequence
from dataclasses import dataclass

from retirement.canonical import Document
from retirement.databrain.dependents import Embed, Verdict
from retirement.databrain.snapshot import Snapshot
from retirement.record.creation import create_layer_request, create_request
from retirement.record.losses import embeds_not_restored, not_restorable, not_restored

# Each takes a request. All have to fit into one attempt, and into the rate limit of a server.
MAX_EXPORTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUpEmbed:
    """One embed that Databrain deletes, or may delete, with the datamart.

    `export` is the whole answer of Export Embed, `workspace_name` the one workspace that has its dashboard; `why_not`
    says why either is missing.
    """

    embed: Embed
    verdict: Verdict
    export: Document | None
    workspace_name: str | None
    why_not: str | None

    def document(self) -> Document:
        """Return the embed as a backup contains it."""
        return {
            **self.embed.document(),
            "verdict": self.verdict,
            "item": self.embed.item,
            "export": self.export,
            "workspaceName": self.workspace_name,
            "whyNot": self.why_not,
        }


def backup_of(snapshot: Snapshot, embeds: Sequence[BackedUpEmbed], *, legacy: bool) -> Document:
    """Return everything about the datamart.

    Only an export contains the time of its making, so without exports equal snapshots give equal backups.
    """
    entry, layer = snapshot.entry, snapshot.semantic_layer
    documents = [embed.document() for embed in embeds]
    return {
        "formatVersion": "2",
        "datamart": entry,
        "semanticLayer": layer,
        "embeds": documents,
        "createRequest": create_request(entry, legacy=legacy),
        "createSemanticLayerRequest": None if layer is None else create_layer_request(snapshot.name, layer),
        "notRestored": [*not_restored(entry, layer), *embeds_not_restored(documents, entry)],
        "notRestorable": not_restorable(entry),
    }
