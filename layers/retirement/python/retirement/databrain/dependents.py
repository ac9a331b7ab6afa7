"""Who uses the datamart: three answers for each embed, and *undetermined* is never reported as none."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from retirement.canonical import Document, truncated
from retirement.globs import folded

# In the lists of a result, whatever names the API tells: the message stays under SNS's 256 KiB.
MAX_SHOWN = 100
EMBED_BYTES = 80 * 1024
GAP_BYTES = 40 * 1024

# No documented request reads these (docs/databrain-api.md, section 6).
NEVER_CHECKED = (
    "workspaces connected to the datamart",
    "metrics and dashboards that are not embedded",
    "guest tokens that override the datamart at run time",
    "data apps of another type than embedded",
)


class Verdict(StrEnum):
    """What is known of one embed."""

    USES = "uses"
    USES_ANOTHER = "uses_another"
    UNDETERMINED = "undetermined"


# Told, and it is none: what an owner's map says with null.
NO_DATAMART = ""


@dataclass(frozen=True, slots=True)
class Embed:
    """One embed. `datamart_name` is what is told of its datamart, None where nothing tells.

    `item` is the embed as List Embeds returned it, None where it did not. A time is None where it is not told.
    `is_contradictory` is an embed whose own fields name several datamarts: no map can tell which one is true.
    """

    embed_id: str
    name: str | None
    data_app_name: str
    datamart_name: str | None
    created_at: datetime | None
    updated_at: datetime | None
    item: Document | None
    is_contradictory: bool = False

    def verdict(self, datamart_name: str) -> Verdict:
        """Judge by the name; how Databrain compares names is not documented, so a near match counts as use."""
        if self.datamart_name is None:
            return Verdict.UNDETERMINED
        if self.datamart_name == NO_DATAMART:
            return Verdict.USES_ANOTHER
        return Verdict.USES if folded(self.datamart_name) == folded(datamart_name) else Verdict.USES_ANOTHER

    def document(self) -> Document:
        """The embed as results show it."""
        return {"embedId": self.embed_id, "name": self.name, "dataAppName": self.data_app_name}


@dataclass(frozen=True, slots=True)
class EmbedMap:
    """What the owner knows: embed ID -> datamart name, `NO_DATAMART` for none. `made_at` is when it was written.

    `seen` is the updatedAt that the owner saw, of the entries that name it; None where Databrain did not tell it.
    """

    datamart_names: Mapping[str, str]
    made_at: datetime
    seen: Mapping[str, datetime | None] = field(default_factory=dict)

    def datamart_of(self, embed: Embed) -> str | None:
        """What the map says of the embed as it is now; None also where the embed may have changed since.

        An entry without an updatedAt is held against the map's own time. Of an embed that does not tell when it was
        updated no map speaks: it may use another datamart than the one that was seen.
        """
        if embed.updated_at is None:
            return None
        if embed.embed_id in self.seen:
            is_current = embed.updated_at == self.seen[embed.embed_id]
        else:
            is_current = embed.created_at is not None and max(embed.created_at, embed.updated_at) <= self.made_at
        return self.datamart_names.get(embed.embed_id) if is_current else None

    def apply(self, embed: Embed) -> Embed:
        """Fill in what nothing else tells."""
        if embed.datamart_name is not None or embed.is_contradictory:
            return embed
        return replace(embed, datamart_name=self.datamart_of(embed))


@dataclass(frozen=True, slots=True)
class EmbedListing:
    """The embeds of all data apps. `gaps` says in words what could not be listed; any gap counts as undetermined."""

    embeds: tuple[Embed, ...]
    gaps: tuple[str, ...] = ()
    data_apps: Mapping[str, datetime | None] = field(default_factory=dict)  # name -> createdAt, None if not told

    def filled_in(self, embed_map: EmbedMap | None) -> "EmbedListing":
        """With what the owner's map tells of them, if there is one."""
        if embed_map is None:
            return self
        return replace(self, embeds=tuple(embed_map.apply(embed) for embed in self.embeds))


@dataclass(frozen=True, slots=True)
class Dependents:
    """All embeds, judged against one datamart; `reviewed` are the IDs that a person has looked at."""

    datamart_name: str
    listing: EmbedListing
    reviewed: frozenset[str]

    def with_verdict(self, verdict: Verdict) -> list[Embed]:
        """The embeds with this verdict, those that nobody has reviewed first, and by ID."""
        judged = [embed for embed in self.listing.embeds if embed.verdict(self.datamart_name) is verdict]
        return sorted(judged, key=lambda embed: (embed.embed_id in self.reviewed, embed.embed_id))

    def unreviewed(self, verdict: Verdict) -> list[Embed]:
        """The embeds with this verdict that nobody has reviewed."""
        return [embed for embed in self.with_verdict(verdict) if embed.embed_id not in self.reviewed]

    def document(self) -> Document:
        """The dependents as results show them, at most 100 in each list."""
        found, undetermined = self.with_verdict(Verdict.USES), self.with_verdict(Verdict.UNDETERMINED)
        return {
            "found": truncated([embed.document() for embed in found[:MAX_SHOWN]], EMBED_BYTES),
            "foundCount": len(found),
            "undetermined": truncated([embed.document() for embed in undetermined[:MAX_SHOWN]], EMBED_BYTES),
            "undeterminedCount": len(undetermined),
            "notChecked": truncated([*NEVER_CHECKED, *self.listing.gaps][:MAX_SHOWN], GAP_BYTES),
        }
