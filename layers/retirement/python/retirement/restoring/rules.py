"""The decisions, as pure functions: what blocks a restore, and what becomes of each embed."""

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
from retirement.requests import RestoreRequest
from retirement.restoring.backups import Backup, StoredEmbed, target_of
from retirement.wording import quoted

ASK_AGAIN = "ask again under a new restoreId"

# The permissions that Create Embed documents. What an export does not hold is not allowed.
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

EMBEDS_LEFT = "the embeds: the request leaves them (embeds)"
IDS_OF_EMBEDS = "the IDs of embeds that were created: Databrain makes new ones"
NOT_READ_OF_EMBEDS = (
    "permissions of embeds that their exports do not hold, such as isAllowAiPilot: they are not allowed",
    "joinModel of embeds: derived from isIncrementalJoin, where an export holds that",
)
TENANCY_OF_EMBEDS = "tableTenancySettings of embeds: derived from each table's clientColumn"
NAMES_OF_EMBEDS = "names and joinModel of embeds: the legacy API takes neither"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule says no."""

    reason: Reason
    message: str


class EmbedState(StrEnum):
    """What has become of an embed."""

    KEPT = "kept"
    CREATED = "created"
    NOT_RESTORED = "not_restored"


@dataclass(frozen=True, slots=True)
class RestoredEmbed:
    """What has become of an embed, or would."""

    embed: StoredEmbed
    state: EmbedState
    new_embed_id: str | None = None
    why: str | None = None

    def document(self) -> Document:
        """The embed as results show it."""
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
        """What an earlier attempt has decided."""
        return cls(
            embed,
            EmbedState(cast("str", document["state"])),
            cast("str | None", document["newEmbedId"]),
            cast("str | None", document["why"]),
        )


# ---- The datamart --------------------------------------------------------------------------------------------------


def refuse_by_listing(restored_as: str, listing: Listing) -> Refusal | None:
    """Nothing is created over a name that is listed, or over one that is nearly the same."""
    if restored_as in listing:
        return Refusal(
            Reason.NAME_TAKEN,
            f"Databrain lists a datamart of this name, and nothing is ever created over one. To restore under another "
            f"name, {ASK_AGAIN} with asName.",
        )
    alike = [name for name in listing.created_at if folded(name) == folded(restored_as)]
    if not alike:
        return None
    return Refusal(
        Reason.AMBIGUOUS_NAME,
        f"Databrain lists {quoted(alike)}, and how it compares names is not documented. To restore under another name, "
        f"{ASK_AGAIN} with asName.",
    )


def refuse_by_content(backup: Backup) -> Refusal | None:
    """What Databrain would not take is not sent."""
    if not backup.not_restorable:
        return None
    return Refusal(
        Reason.NOT_RESTORABLE,
        f"Databrain would refuse to create the datamart: {'; '.join(backup.not_restorable[:5])}. Create it by hand "
        "from the backup's createRequest.",
    )


def refuse_by_datasource(backup: Backup, datasources: frozenset[str] | None) -> Refusal | None:
    """A datamart needs its datasource; where an old server lists none, the create request tells."""
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
    """The embed where it was never removed, else None."""
    if not any(
        (embed.data_app_name, embed.embed_id) == (listed.data_app_name, listed.embed_id) for listed in listing.embeds
    ):
        return None
    is_renamed = embed.uses_datamart and request.restored_as != request.datamart_name
    why = "it uses the datamart by its old name: point it to the new one in Databrain" if is_renamed else None
    return RestoredEmbed(embed, EmbedState.KEPT, embed.embed_id, why)


def why_not_created(embed: StoredEmbed, backup: Backup, listing: EmbedListing) -> str | None:
    """Why an embed that is gone is not created again; None where it is.

    It gets no more rights than it had, and is never bound to a datamart that it may not have used.
    """
    if not embed.uses_datamart:
        return "datamart unknown"
    if embed.data_app_name not in listing.data_apps:
        return "its data app is not listed"
    if embed.export is None:
        return embed.why_not or "the backup has no export of it"
    if embed.target_id is None:
        return "the backup does not say which dashboard or metric it shows"
    if embed.workspace_name is None:
        return embed.why_not or "the workspace of its dashboard is not known"
    if is_by_table(backup) and tenancy_settings(backup) is None:
        return "a table has no clientColumn, so nothing would tell its tenants apart"
    return None


def create_embed_body(embed: StoredEmbed, backup: Backup, restored_as: str, api: DatabrainApi) -> Document:
    """The body of Create Embed for an embed that can be created again."""
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
    """Whether tenants are told apart by columns; only a tenancy by database is known to need none."""
    tenancy = backup.datamart.get("datamartOrganization")
    level = tenancy.get("tenancyLevel") if isinstance(tenancy, Mapping) else None
    return level not in (None, "DATABASE")  # it may be anything, also what no set can hold


def tenancy_settings(backup: Backup) -> Sequence[Document] | None:
    """Every table with its clientColumn; None where one has none."""
    tables = cast("Sequence[Document]", backup.create_body["tableList"])
    if not all(table.get("clientColumn") for table in tables):
        return None
    return [{"name": table["name"], "clientColumn": table["clientColumn"]} for table in tables]


def created_since(intent: EmbedIntent, restored_as: str, listing: EmbedListing) -> list[str]:
    """The IDs of the embeds that are as was asked for, and that were not there before."""
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
    """What the API does not bring back, and what was derived and not read."""
    found = list(backup.not_restored)
    if any(each.state is EmbedState.CREATED for each in embeds):
        found += [IDS_OF_EMBEDS, *NOT_READ_OF_EMBEDS]
        found += [TENANCY_OF_EMBEDS] if is_by_table(backup) else []
        found += [NAMES_OF_EMBEDS] if api is DatabrainApi.LEGACY else []
    return found
