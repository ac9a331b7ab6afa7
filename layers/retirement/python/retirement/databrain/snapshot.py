"""What Databrain showed of a datamart at one moment, and the hashes that distinguish one state from another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from retirement.canonical import Document, Json, canonical_json, sha256_hex

# Fields that change although nobody has changed the configuration (docs/databrain-api.md, sections 3 and 5).
_VOLATILE_ENTRY = frozenset({"updatedAt"})
_VOLATILE_LAYER = frozenset({"lastUpdated", "completionScore"})


@dataclass(frozen=True, slots=True)
class Listing:
    """All datamarts that the token gives access to, in Databrain's order: name -> createdAt, None if unknown.

    `updated_at` has the same shape, and is empty if it was not read.
    """

    created_at: Mapping[str, datetime | None]
    updated_at: Mapping[str, datetime | None] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.created_at


@dataclass(frozen=True, slots=True)
class Absent:
    """The datamart is not listed."""

    listing: Listing


@dataclass(frozen=True)  # without slots, because cached_property needs a dictionary: a large datamart's hash takes time
class Snapshot:
    """A datamart as the API returned it: its expanded list entry, and its semantic layer if it has one."""

    name: str
    created_at: datetime | None
    entry: Document
    semantic_layer: Document | None
    listing: Listing

    @cached_property
    def configuration_hash(self) -> str:
        """The SHA-256 of the entry and the semantic layer, without volatile fields."""
        return configuration_hash(self.entry, self.semantic_layer)

    @cached_property
    def semantic_layer_hash(self) -> str | None:
        """The SHA-256 of the semantic layer without volatile fields; None if there is none."""
        return None if self.semantic_layer is None else _hash(_without(self.semantic_layer, _VOLATILE_LAYER))


def configuration_hash(entry: Document, semantic_layer: Document | None) -> str:
    """Return the SHA-256, in hex, of the canonical JSON: object keys are sorted, arrays keep the API's order."""
    layer = None if semantic_layer is None else _without(semantic_layer, _VOLATILE_LAYER)
    return _hash({"datamart": _without(entry, _VOLATILE_ENTRY), "semanticLayer": layer})


def _without(document: Document, keys: frozenset[str]) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


def _hash(value: Json) -> str:
    return sha256_hex(canonical_json(value))
