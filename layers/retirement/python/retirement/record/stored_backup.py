"""Reads a backup, of either format. A document of another shape is not a backup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from retirement.canonical import Document, Json, parse_json
from retirement.databrain.dependents import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEmbed:
    """An embed in a backup.

    Attributes:
        number: its index in the backup.
        uses_datamart: whether it used the datamart; False if that could not be determined.
        item: the embed as List Embeds returned it, or None.
        export: the embed as Export Embed returned it, or None.
        workspace_name: the workspace of its dashboard, or None.
        why_not: why something is missing, or None.
    """

    number: int
    embed_id: str
    name: str | None
    data_app_name: str | None
    uses_datamart: bool
    item: Document | None
    export: Document | None
    workspace_name: str | None
    why_not: str | None

    @property
    def settings(self) -> Document:
        """The access settings in the export; empty if there are none."""
        return _object(_object(self.export, "_meta"), "embedDataAppAccessSetting")

    @property
    def embed_type(self) -> str | None:
        """`dashboard` or `metric`, or None if the backup does not contain it."""
        found = _object(self.export, "_meta").get("embedType") or (self.item or {}).get("embedType")
        return found if found in ("dashboard", "metric") else None

    @property
    def target_id(self) -> str | None:
        """The ID of the dashboard or metric that it shows, or None."""
        if self.embed_type is None:
            return None
        exported = _object(self.export, "_meta").get(f"{self.embed_type}Id")
        return _text(exported) or target_of(self.item, self.embed_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A datamart as it was, and the bodies of the requests that create it again under its new name."""

    datamart: Document
    semantic_layer: Document | None
    create_body: Document
    create_layer_body: Document | None
    embeds: Sequence[StoredEmbed]
    not_restored: Sequence[str]
    not_restorable: Sequence[str]

    @property
    def datasource_name(self) -> str | None:
        """The datasource that the datamart uses, or None."""
        return _text(self.create_body.get("datasourceName"))


def read_backup(text: str, datamart_name: str, restored_as: str) -> Backup:
    """Read the backup of a datamart that is to be created as `restored_as`.

    Raises:
        ValueError: it is not a backup of this datamart, or has a format that this version does not know.
    """
    try:
        stored = cast("dict[str, Any]", parse_json(text, exact=True))
        read = {"1": _embeds_of_format_1, "2": _embeds_of_format_2}[stored["formatVersion"]]
        datamart, body = stored["datamart"], stored["createRequest"]["body"]
        layer, layer_request = stored["semanticLayer"], stored["createSemanticLayerRequest"]
        layer_body = None if layer_request is None else layer_request["body"]
        if not datamart["name"] == body["name"] == datamart_name:
            raise ValueError("it is the backup of another datamart")
        if layer_body is not None and not layer["datamartName"] == layer_body["datamartName"] == datamart_name:
            raise ValueError("it contains the semantic layer of another datamart")
        return Backup(
            datamart=datamart,
            semantic_layer=layer,
            create_body={**body, "name": restored_as},
            create_layer_body=None if layer_body is None else {**layer_body, "datamartName": restored_as},
            embeds=[read(number, embed) for number, embed in enumerate(stored["embeds"])],
            not_restored=[str(text) for text in stored["notRestored"]],
            not_restorable=[str(text) for text in stored.get("notRestorable", [])] or list(_not_restorable(body)),
        )
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it does not have the format of a backup") from None


def target_of(item: Document | None, embed_type: str) -> str | None:
    """Return the ID of what an embed shows according to List Embeds, or None."""
    of_metadata = _object(item, "embedMetadata").get(f"{embed_type}Id")
    if embed_type == "dashboard":
        return _text(of_metadata) or _text(_object(item, "externalDashboard").get("externalDashboardId"))
    return _text(of_metadata) or _text(_object(item, "externalMetric").get("metricId"))


def _not_restorable(body: Document) -> Sequence[str]:
    """Return why Create Datamart would refuse the body, as far as its page says (docs/databrain-api.md, section 4)."""
    tables = cast("Sequence[dict[str, Any]]", body["tableList"])
    found = [] if _text(body.get("datasourceName")) else ["Databrain did not show the datasource"]
    if not tables:
        found.append("the datamart has no table")
    for number, table in enumerate(tables):
        _required(table["name"])
        for column in table["columns"]:
            _required(column["name"])
        if not table["columns"]:
            found.append(f"tableList[{number}] has no column")
        found += [
            f"tableList[{number}].columns[{place}] is a custom column without SQL"
            for place, column in enumerate(table["columns"])
            if column.get("isCustomColumn") and not column.get("sql")
        ]
    return found


def _embeds_of_format_1(number: int, item: dict[str, Any]) -> StoredEmbed:
    """Read an embed of format 1, which has no exports, and only embeds that used the datamart."""
    return StoredEmbed(
        number=number,
        embed_id=_required(item["embedId"]),
        name=_text(item.get("name")),
        data_app_name=_text(_object(item, "embedMetadata").get("dataAppName")),
        uses_datamart=True,
        item=item,
        export=None,
        workspace_name=None,
        why_not=None,
    )


def _embeds_of_format_2(number: int, embed: dict[str, Any]) -> StoredEmbed:
    return StoredEmbed(
        number=number,
        embed_id=_required(embed["embedId"]),
        name=_text(embed["name"]),
        data_app_name=_required(embed["dataAppName"]),
        uses_datamart=embed["verdict"] == Verdict.USES,
        item=_object_or_none(embed["item"]),
        export=_object_or_none(embed["export"]),
        workspace_name=_text(embed["workspaceName"]),
        why_not=_text(embed["whyNot"]),
    )


def _object(document: Document | None, key: str) -> Document:
    """Return a field that is an object, or an empty one."""
    return _object_or_none((document or {}).get(key)) or {}


def _object_or_none(value: Json) -> Document | None:
    return value if isinstance(value, Mapping) else None


def _text(value: Json) -> str | None:
    """Return a text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def _required(value: Json) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
