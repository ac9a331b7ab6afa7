"""Which embeds use the datamart. Each has one of three verdicts; *undetermined* is never reported as no use."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from retirement.canonical import Document, truncated
from retirement.globs import folded

# Limits of the lists in a result, so that the message stays under SNS's 256 KiB whatever names the API returns.
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
    """What is known about one embed."""

    USES = "uses"
    USES_ANOTHER = "uses_another"
    UNDETERMINED = "undetermined"


# The datamart name of an embed that is known to use none: null in the owner's map.
NO_DATAMART = ""


@dataclass(frozen=True, slots=True)
class Embed:
    """One embed.

    Attributes:
        datamart_name: the datamart that it uses; `NO_DATAMART` for none, None if unknown.
        created_at: None if unknown; so is `updated_at`.
        item: the embed as List Embeds returned it, or None.
        is_contradictory: whether its fields name several datamarts; then no map decides which one is true.
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
        """Return the verdict for a datamart. How Databrain compares names is undocumented, so a near match is a use."""
        if self.datamart_name is None:
            return Verdict.UNDETERMINED
        if self.datamart_name == NO_DATAMART:
            return Verdict.USES_ANOTHER
        return Verdict.USES if folded(self.datamart_name) == folded(datamart_name) else Verdict.USES_ANOTHER

    def document(self) -> Document:
        """Return the embed as results contain it."""
        return {"embedId": self.embed_id, "name": self.name, "dataAppName": self.data_app_name}


@dataclass(frozen=True, slots=True)
class EmbedMap:
    """The owner's map of embeds.

    Attributes:
        datamart_names: embed ID -> datamart name, `NO_DATAMART` for none.
        made_at: when the file was written.
        seen: embed ID -> the updatedAt that the owner saw, for entries that name it; None if Databrain returned none.
    """

    datamart_names: Mapping[str, str]
    made_at: datetime
    seen: Mapping[str, datetime | None] = field(default_factory=dict)

    def datamart_of(self, embed: Embed) -> str | None:
        """Return the datamart that the map gives for the embed, or None if the embed may have changed since.

        An entry without an updatedAt is compared by the time of the map. An embed without an updatedAt is never in the
        map's scope, because it may use another datamart by now.
        """
        if embed.updated_at is None:
            return None
        if embed.embed_id in self.seen:
            is_current = embed.updated_at == self.seen[embed.embed_id]
        else:
            is_current = embed.created_at is not None and max(embed.created_at, embed.updated_at) <= self.made_at
        return self.datamart_names.get(embed.embed_id) if is_current else None

    def apply(self, embed: Embed) -> Embed:
        """Return the embed with the datamart that the map gives, unless its own fields name one."""
        if embed.datamart_name is not None or embed.is_contradictory:
            return embed
        return replace(embed, datamart_name=self.datamart_of(embed))


@dataclass(frozen=True, slots=True)
class EmbedListing:
    """The embeds of all data apps. `gaps` describes what could not be listed; each gap counts as undetermined."""

    embeds: tuple[Embed, ...]
    gaps: tuple[str, ...] = ()
    data_apps: Mapping[str, datetime | None] = field(default_factory=dict)  # name -> createdAt, None if unknown

    def filled_in(self, embed_map: EmbedMap | None) -> "EmbedListing":
        """Return the listing with the map applied to every embed, if there is a map."""
        if embed_map is None:
            return self
        return replace(self, embeds=tuple(embed_map.apply(embed) for embed in self.embeds))


@dataclass(frozen=True, slots=True)
class Dependents:
    """All embeds and their verdicts for one datamart; `reviewed` are the IDs of those that a person has reviewed."""

    datamart_name: str
    listing: EmbedListing
    reviewed: frozenset[str]

    def with_verdict(self, verdict: Verdict) -> list[Embed]:
        """Return the embeds with this verdict, sorted by ID, those that nobody has reviewed first."""
        judged = [embed for embed in self.listing.embeds if embed.verdict(self.datamart_name) is verdict]
        return sorted(judged, key=lambda embed: (embed.embed_id in self.reviewed, embed.embed_id))

    def unreviewed(self, verdict: Verdict) -> list[Embed]:
        """Return the embeds with this verdict that nobody has reviewed, sorted by ID."""
        return [embed for embed in self.with_verdict(verdict) if embed.embed_id not in self.reviewed]

    def document(self) -> Document:
        """Return the dependents as results contain them, at most `MAX_SHOWN` in each list."""
        found, undetermined = self.with_verdict(Verdict.USES), self.with_verdict(Verdict.UNDETERMINED)
        return {
            "found": truncated([embed.document() for embed in found[:MAX_SHOWN]], EMBED_BYTES),
            "foundCount": len(found),
            "undetermined": truncated([embed.document() for embed in undetermined[:MAX_SHOWN]], EMBED_BYTES),
            "undeterminedCount": len(undetermined),
            "notChecked": truncated([*NEVER_CHECKED, *self.listing.gaps][:MAX_SHOWN], GAP_BYTES),
        }
