"""The decisions of a restore, as pure functions: what blocks it, and what becomes of each embed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from retirement.canonical import Document, Json
from retirement.databrain.dependents import Embed, EmbedListing
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.snapshot import Listing
from retirement.globs import folded
from retirement.outcomes import Reason
from retirement.record.restores import EmbedIntent
from retirement.record.stored_backup import Backup, StoredEmbed, target_of
from retirement.requests import RestoreRequest
from retirement.wording import quoted

ASK_AGAIN = "send a request with a new restoreId"

# The permissions that Create Embed documents. One that an export does not contain is not granted.
FLAGS = (
    "isAllowAiPilot",
    "isAllowEmailReports",
    "isAllowManageMetrics",
    "isAllowCreateDashboardView",
    "isAllowMetricCreation",
    "isAllowMetricDeletion",
    "isAllowMetricLayoutChange",
    "isAllowMetricUpdate",
    "isAllowUnderlyingData",
)
METRIC_CREATION_MODES = ("DRAG_DROP", "CHAT")
# In a message; notRestorable in the backup has them all.
MAX_SHOWN_OBSTACLES = 5

EMBEDS_LEFT = "embeds[*]: the request excludes them (embeds)"
JOIN_MODEL_OF_EMBEDS = "embeds[*]: joinModel is derived from isIncrementalJoin, if the export contains it"
NAMES_OF_EMBEDS = "embeds[*]: names and joinModel, which the legacy API does not take"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule blocks the restore."""

    reason: Reason
    message: str


class EmbedState(StrEnum):
    """What became of an embed."""

    KEPT = "kept"
    CREATED = "created"
    NOT_RESTORED = "not_restored"


@dataclass(frozen=True, slots=True)
class RestoredEmbed:
    """What became, or would become, of an embed."""

    embed: StoredEmbed
    state: EmbedState
    new_embed_id: str | None = None
    why: str | None = None

    def document(self) -> Document:
        """Return the embed as results contain it."""
        return {
            "embedId": self.embed.embed_id,
            "newEmbedId": self.new_embed_id,
            "name": self.embed.name,
            "dataAppName": self.embed.data_app_name,
            "state": self.state,
            "why": self.why,
        }

    @classmethod
    def decided(cls, embed: StoredEmbed, document: Document) -> "RestoredEmbed":
        """Return what an earlier attempt decided."""
        return cls(
            embed,
            EmbedState(cast("str", document["state"])),
            cast("str | None", document["newEmbedId"]),
            cast("str | None", document["why"]),
        )


# ---- The datamart --------------------------------------------------------------------------------------------------


def refuse_by_listing(restored_as: str, listing: Listing) -> Refusal | None:
    """Refuse if the name, or one that is nearly the same, is listed."""
    if restored_as in listing:
        return Refusal(
            Reason.NAME_TAKEN,
            f"Databrain lists a datamart of this name, and a restore never replaces one. To restore under another "
            f"name, {ASK_AGAIN} and asName.",
        )
    alike = [name for name in listing.created_at if folded(name) == folded(restored_as)]
    if not alike:
        return None
    return Refusal(
        Reason.AMBIGUOUS_NAME,
        f"Databrain lists {quoted(alike)}, and does not document how it compares names. To restore under another name, "
        f"{ASK_AGAIN} and asName.",
    )


def refuse_by_restore(other_restore_id: str) -> Refusal:
    """Refuse because another restore has created the datamart meanwhile, and its embeds."""
    return Refusal(
        Reason.NAME_TAKEN,
        f"The restore {other_restore_id} has restored the datamart under this name meanwhile. To restore it under "
        f"another name too, {ASK_AGAIN} and asName.",
    )


def refuse_by_content(backup: Backup) -> Refusal | None:
    """Refuse if Create Datamart would refuse what the backup contains."""
    if not backup.not_restorable:
        return None
    return Refusal(
        Reason.NOT_RESTORABLE,
        f"Databrain would refuse to create the datamart: {'; '.join(backup.not_restorable[:MAX_SHOWN_OBSTACLES])}. "
        "Complete the backup's createRequest, and send it by hand.",
    )


def refuse_by_datasource(backup: Backup, datasources: frozenset[str] | None) -> Refusal | None:
    """Refuse if the datasource is not listed. An old server lists none; then the create fails without it."""
    name = backup.datasource_name
    if datasources is None or name in datasources:
        return None
    return Refusal(
        Reason.DATASOURCE_MISSING,
        f"Databrain lists no datasource {quoted([str(name)])} (names are case-sensitive). Create it there, then "
        f"{ASK_AGAIN}.",
    )


# ---- Embeds --------------------------------------------------------------------------------------------------------


def still_there(embed: StoredEmbed, request: RestoreRequest, listing: EmbedListing) -> RestoredEmbed | None:
    """Return the embed if it still exists, or None."""
    if not any(
        (embed.data_app_name, embed.embed_id) == (listed.data_app_name, listed.embed_id) for listed in listing.embeds
    ):
        return None
    is_renamed = embed.uses_datamart and request.restored_as != request.datamart_name
    why = "it still uses the datamart's old name: change that in Databrain" if is_renamed else None
    return RestoredEmbed(embed, EmbedState.KEPT, embed.embed_id, why)


def why_not_created(embed: StoredEmbed, backup: Backup, listing: EmbedListing) -> str | None:
    """Return why a deleted embed cannot be created, or None if it can.

    It must not get more permissions than it had, nor a datamart that it may not have used.
    """
    if not embed.uses_datamart:
        return "it is unknown whether it used this datamart"
    if embed.data_app_name not in listing.data_apps:
        return "its data app no longer exists"
    if embed.export is None:
        return embed.why_not or "the backup does not contain its export"
    if embed.target_id is None:
        return "the backup does not name the dashboard or metric that it shows"
    if embed.workspace_name is None:
        return embed.why_not or "the workspace of its dashboard is unknown"
    if is_by_table(backup) and tenancy_settings(backup) is None:
        return "a table has no clientColumn, so every tenant would see all rows"
    return None


def create_embed_body(embed: StoredEmbed, backup: Backup, restored_as: str, api: DatabrainApi) -> Document:
    """Return the body of Create Embed for an embed that can be created."""
    settings = embed.settings
    access: dict[str, Json] = {
        "datamartName": restored_as,
        **{flag: settings.get(flag) is True for flag in FLAGS},
    }
    if settings.get("metricCreationMode") in METRIC_CREATION_MODES:
        access["metricCreationMode"] = settings["metricCreationMode"]
    if isinstance(settings.get("isIncrementalJoin"), bool) and api is DatabrainApi.CURRENT:
        access["joinModel"] = "multi" if settings["isIncrementalJoin"] else "single"
    if is_by_table(backup):
        access["tableTenancySettings"] = tenancy_settings(backup) or []
    named = {} if embed.name is None or api is DatabrainApi.LEGACY else {"name": embed.name}
    return {
        "embedType": embed.embed_type,
        f"{embed.embed_type}Id": embed.target_id,
        "workspaceName": embed.workspace_name,
        **named,
        "accessSettings": access,
    }


def is_by_table(backup: Backup) -> bool:
    """Return whether columns separate tenants. Only a tenancy by database is known not to need them."""
    tenancy = backup.datamart.get("datamartOrganization")
    level = tenancy.get("tenancyLevel") if isinstance(tenancy, Mapping) else None
    return level not in (None, "DATABASE")  # a tuple, because the level may be unhashable


def tenancy_settings(backup: Backup) -> Sequence[Document] | None:
    """Return every table with its clientColumn, or None if a table has none."""
    tables = cast("Sequence[Document]", backup.create_body["tableList"])
    if not all(table.get("clientColumn") for table in tables):
        return None
    return [{"name": table["name"], "clientColumn": table["clientColumn"]} for table in tables]


def created_since(intent: EmbedIntent, restored_as: str, listing: EmbedListing) -> list[str]:
    """Return the IDs of the embeds that the request may have created: they fit it, and were not listed before."""
    return [
        embed.embed_id
        for embed in listing.embeds
        if embed.data_app_name == intent.data_app_name
        and embed.embed_id not in intent.listed
        and _is_as_asked(embed, intent.body, restored_as)
    ]


def _is_as_asked(embed: Embed, body: Document, restored_as: str) -> bool:
    embed_type = cast("str", body["embedType"])
    return (
        embed.name == body.get("name", embed.embed_id)
        and target_of(embed.item, embed_type) == body[f"{embed_type}Id"]
        and (embed.datamart_name is None or folded(embed.datamart_name) == folded(restored_as))
    )


def not_restored(backup: Backup, embeds: Sequence[RestoredEmbed], api: DatabrainApi) -> list[str]:
    """Return what the API cannot restore, and what was derived because it cannot be read."""
    found = list(backup.not_restored)
    if any(each.state is EmbedState.CREATED for each in embeds):
        found.append(NAMES_OF_EMBEDS if api is DatabrainApi.LEGACY else JOIN_MODEL_OF_EMBEDS)
    return found
