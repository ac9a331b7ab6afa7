"""The backup: what the API tells of a datamart, the requests that bring it back, and what they cannot bring back."""

from collections.abc import Sequence
from dataclasses import dataclass

from retirement.canonical import Document
from retirement.databrain.dependents import Embed, Verdict
from retirement.databrain.snapshot import Snapshot
from retirement.record.creation import create_layer_request, create_request
from retirement.record.losses import embeds_not_restored, not_restorable, not_restored

# A request each, side by side, within one attempt; and few enough for a server that limits its rate.
MAX_EXPORTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUpEmbed:
    """One embed that goes with the datamart, or may go with it.

    `export` is the whole answer of Export Embed, `workspace_name` the one workspace that has its dashboard; `why_not`
    says why either is missing.
    """

    embed: Embed
    verdict: Verdict
    export: Document | None
    workspace_name: str | None
    why_not: str | None

    def document(self) -> Document:
        """The embed as a backup holds it."""
        return {
            **self.embed.document(),
            "verdict": self.verdict,
            "item": self.embed.item,
            "export": self.export,
            "workspaceName": self.workspace_name,
            "whyNot": self.why_not,
        }


def backup_of(snapshot: Snapshot, embeds: Sequence[BackedUpEmbed], *, legacy: bool) -> Document:
    """Everything about the datamart. It holds no time of ours, so an equal snapshot gives an equal backup.

    (Unless embeds go with it: an export tells when it was made.)
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
