"""The backup: what the API tells of a datamart, the requests that bring it back, and what they cannot bring back."""

from retirement.canonical import Document
from retirement.databrain.snapshot import Snapshot
from retirement.record.creation import create_layer_request, create_request
from retirement.record.losses import not_restorable, not_restored


def backup_of(snapshot: Snapshot, embeds_in_use: list[Document], *, legacy: bool) -> Document:
    """Everything about the datamart. It holds no time of ours, so an equal snapshot gives an equal backup."""
    entry, layer = snapshot.entry, snapshot.semantic_layer
    return {
        "formatVersion": "1",
        "datamart": entry,
        "semanticLayer": layer,
        "embeds": embeds_in_use,
        "createRequest": create_request(entry, legacy=legacy),
        "createSemanticLayerRequest": None if layer is None else create_layer_request(snapshot.name, layer),
        "notRestored": not_restored(entry, layer),
        "notRestorable": not_restorable(entry),
    }
