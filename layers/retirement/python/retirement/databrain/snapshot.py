"""What Databrain showed of a datamart at one moment, and the hashes that tell one state from another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from retirement.canonical import Document, Json, canonical_json, sha256_hex

# What changes without anyone having changed the configuration (docs/databrain-api.md, sections 3 and 5).
_VOLATILE_ENTRY = frozenset({"updatedAt"})
_VOLATILE_LAYER = frozenset({"lastUpdated", "completionScore"})


@dataclass(frozen=True, slots=True)
class Listing:
    """All datamarts that the token sees, in Databrain's order: name -> createdAt, None where it is not told.

    `updated_at` is the same of updatedAt, and empty where nobody asked for it.
    """

    created_at: Mapping[str, datetime | None]
    updated_at: Mapping[str, datetime | None] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.created_at


@dataclass(frozen=True, slots=True)
class Absent:
    """The datamart is not among those listed."""

    listing: Listing


@dataclass(frozen=True)  # without slots: the hashes are computed once, and a large datamart takes a while
class Snapshot:
    """The datamart as the API told it: its expanded list entry, and its semantic layer if it has one."""

    name: str
    created_at: datetime | None
    entry: Document
    semantic_layer: Document | None
    listing: Listing

    @cached_property
    def configuration_hash(self) -> str:
        """SHA-256 of the entry and the semantic layer, without what changes by itself."""
        return configuration_hash(self.entry, self.semantic_layer)

    @cached_property
    def semantic_layer_hash(self) -> str | None:
        """SHA-256 of the semantic layer alone, None where there is none."""
        return None if self.semantic_layer is None else _hash(_without(self.semantic_layer, _VOLATILE_LAYER))


def configuration_hash(entry: Document, semantic_layer: Document | None) -> str:
    """SHA-256, in hex, of canonical JSON: object keys sorted, arrays in the API's order."""
    layer = None if semantic_layer is None else _without(semantic_layer, _VOLATILE_LAYER)
    return _hash({"datamart": _without(entry, _VOLATILE_ENTRY), "semanticLayer": layer})


def _without(document: Document, keys: frozenset[str]) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


def _hash(value: Json) -> str:
    return sha256_hex(canonical_json(value))
