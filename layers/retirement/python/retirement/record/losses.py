"""What the requests in a backup cannot restore, and what Databrain would refuse in them: each by its path.

A path is one in the backup; `[*]` stands for every index of a list.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from retirement.canonical import Document, Json
from retirement.databrain.dependents import Verdict
from retirement.databrain.differences import differences
from retirement.databrain.snapshot import Snapshot
from retirement.record.creation import (
    COLUMN_FIELDS,
    LAYER_COLUMN_FIELDS,
    LAYER_TABLE_FIELDS,
    TABLE_FIELDS,
    TENANCY_FIELDS,
    columns_of,
    datasource_of,
    is_text,
    objects_in,
    tenancy_of,
)

_INDEX = re.compile(r"\[[0-9]+\]")

# As in every list of a result.
MAX_OBSTACLES = 100

# What a create request contains of a document: None for all of it, an object for these keys, a list for its entries.
_Sent: TypeAlias = "Mapping[str, _Sent] | list[_Sent] | None"

_ENTRY: _Sent = {
    "name": None,
    "companyIntegration": {"name": None},
    "datamartOrganization": dict.fromkeys(TENANCY_FIELDS),
    "datamartTables": [
        {**dict.fromkeys(TABLE_FIELDS), "datamartTableColumns": [dict.fromkeys(COLUMN_FIELDS)]},
    ],
    "datamartRelationships": None,
}
_LAYER: _Sent = {
    "datamartName": None,
    "tables": [{**dict.fromkeys(LAYER_TABLE_FIELDS), "columns": [dict.fromkeys(LAYER_COLUMN_FIELDS)]}],
    "feedback": None,
}
_SET_ANEW = frozenset(
    {"datamart.createdAt", "datamart.updatedAt", "semanticLayer.completionScore", "semanticLayer.lastUpdated"}
)
_SETTINGS = "export._meta.embedDataAppAccessSetting"
_COLUMN = "datamart.datamartTables[*].datamartTableColumns[*]"
_UNREADABLE = (
    f"{_COLUMN}: the aggregate flag, which no documented request reads",
    "links from workspaces to the datamart, and metrics that are built on it: no documented request reads them",
)

# As documented for Create Datamart.
_TENANCY_LEVELS = ("TABLE", "DATABASE")
_CLIENT_COLUMN_TYPES = ("NUMBER", "STRING")
_NEEDED_FOR_TABLE = ("clientColumnType", "tableName", "tableClientNameColumn", "tablePrimaryKeyColumn")
_CARDINALITIES = ("ManyToMany", "ManyToOne", "OneToMany", "OneToOne")

# As documented for Create Embed.
_EMBED_FLAGS = (
    "isAllowAiPilot",
    "isAllowCreateDashboardView",
    "isAllowEmailReports",
    "isAllowManageMetrics",
    "isAllowMetricCreation",
    "isAllowMetricDeletion",
    "isAllowMetricLayoutChange",
    "isAllowMetricUpdate",
    "isAllowUnderlyingData",
)
_EMBED_SETTINGS = frozenset({*_EMBED_FLAGS, "metricCreationMode", "joinModel", "tableTenancySettings", "datamartName"})
_OF_EMBEDS = (
    "embeds[*].embedId: Databrain gives a restored embed a new ID, and guest tokens for the old one stay invalid",
    "embeds[*]: joinModel, client, theme, options, filters and translations, which no documented request reads",
)
_OF_EMBEDS_BY_TABLE = "embeds[*]: tableTenancySettings, which no documented request reads; made of clientColumn"


def not_restored(entry: Document, layer: Document | None) -> list[str]:
    """Return what is lost of a datamart that is created again; what the API never returned is last."""
    return [
        *(f"{path}: {_why(path)}" for path in sorted(_lost(entry, layer))),
        *_unsure(entry),
        *_UNREADABLE,
    ]


def differences_beyond_losses(entry: Document, layer: Document | None, found: Snapshot) -> list[str]:
    """Return the paths in which a datamart that was created again differs, apart from what `not_restored` names."""
    lost = _lost(entry, layer) - {f"{_COLUMN}.sql"}
    shown = replace(found, entry=_with_what_is_sent(found.entry))
    return [
        difference.path
        for difference in differences(_with_what_is_sent(entry), layer, shown)
        if not _is_part_of(_INDEX.sub("[*]", difference.path), lost)
    ]


def _lost(entry: Document, layer: Document | None) -> frozenset[str]:
    lost: dict[str, None] = {}
    _collect(entry, _ENTRY, "datamart", lost)
    if any(column.get("sql") and not column.get("isCustomColumn") for column in _columns(entry)):
        lost[f"{_COLUMN}.sql"] = None
    if not tenancy_of(entry).get("tenancyLevel") and any(tenancy_of(entry).values()):
        lost["datamart.datamartOrganization"] = None
    if layer is not None:
        _collect(layer, _LAYER, "semanticLayer", lost)
    return frozenset(lost)


def _with_what_is_sent(entry: Document) -> Document:
    """Return the entry without nameless columns, and without the `sql` of columns that are not custom."""
    tables = [
        {
            **table,
            "datamartTableColumns": [
                {key: value for key, value in column.items() if key != "sql" or column.get("isCustomColumn")}
                for column in columns_of(table)
                if is_text(column.get("columnName"))
            ],
        }
        for table in objects_in(entry, "datamartTables")
    ]
    return {**entry, "datamartTables": tables}


def _is_part_of(path: str, lost: frozenset[str]) -> bool:
    return any(path == whole or path.startswith((f"{whole}.", f"{whole}[")) for whole in lost)


def embeds_not_restored(embeds: Sequence[Document], entry: Document) -> list[str]:
    """Return what is lost of the embeds in a backup of this datamart, which are as `BackedUpEmbed` writes them."""
    using = {number: embed for number, embed in enumerate(embeds) if embed["verdict"] == Verdict.USES}
    lines: list[str] = []
    for number, embed in using.items():
        lines += [
            f"embeds[{number}].{field}: {embed['whyNot']}"
            for field in ("export", "workspaceName")
            if embed[field] is None
        ]
    if using:
        lines += [*_settings_lost(using), *_OF_EMBEDS]
        lines += [_OF_EMBEDS_BY_TABLE] if tenancy_of(entry).get("tenancyLevel") == "TABLE" else []
    if len(embeds) > len(using):
        count = len(embeds) - len(using)
        lines.append(
            f"embeds[*]: the datamart of {count} cannot be determined; those that Databrain deletes are not restored"
        )
    return lines


def _settings_lost(embeds: Mapping[int, Document]) -> Iterator[str]:
    """Yield what the exports do not contain, by embed unless all lack it, and then what Create Embed does not take."""
    exported = {number: _settings_of(embed) for number, embed in embeds.items() if embed["export"] is not None}
    for flag in _EMBED_FLAGS:
        missing = [number for number, settings in exported.items() if flag not in settings]
        for place in ["*"] if len(missing) == len(exported) > 0 else missing:
            yield f"embeds[{place}].{_SETTINGS}.{flag}: it is not exported, so it is false in a restored embed"
    for key in sorted({key for settings in exported.values() for key in settings} - _EMBED_SETTINGS):
        yield f"embeds[*].{_SETTINGS}.{key}: Create Embed has no documented field for it"
    if any(_metadata_of(embed).keys() - {"createdAt", "updatedAt"} for embed in embeds.values()):
        yield "embeds[*].item.externalDashboard.metadata: Create Embed has no documented field for it"


def _settings_of(embed: Document) -> Document:
    return _object_at(embed, "export", "_meta", "embedDataAppAccessSetting")


def _metadata_of(embed: Document) -> Document:
    return _object_at(embed, "item", "externalDashboard", "metadata")


def _object_at(document: Document, *keys: str) -> Document:
    """Return the object at the end of these keys, or an empty one."""
    found: Json = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def not_restorable(entry: Document) -> list[str]:
    """Return what Create Datamart would refuse in the create request of a list entry, as far as documented.

    Returns:
        At most `MAX_OBSTACLES` lines, of which the last one then counts those that are left out; none if a backup of
        the entry can be restored.
    """
    found = list(_obstacles(entry))
    if len(found) <= MAX_OBSTACLES:
        return found
    return [*found[: MAX_OBSTACLES - 1], f"and {len(found) - MAX_OBSTACLES + 1} more"]


def _obstacles(entry: Document) -> Iterator[str]:
    if not is_text(datasource_of(entry)):
        yield "datamart.companyIntegration.name: Create Datamart needs the datasource, and Databrain does not return it"
    tables = objects_in(entry, "datamartTables")
    if not tables:
        yield "datamart.datamartTables: Create Datamart needs at least one table"
    for number, table in enumerate(tables):
        path, columns = f"datamart.datamartTables[{number}]", columns_of(table)
        if not any(is_text(column.get("columnName")) for column in columns):
            yield f"{path}.datamartTableColumns: Create Datamart needs at least one column in a table"
        for index, column in enumerate(columns):
            if is_text(column.get("columnName")) and column.get("isCustomColumn") and not is_text(column.get("sql")):
                yield f"{path}.datamartTableColumns[{index}].sql: Create Datamart needs it for a custom column"
    yield from _obstacles_in_tenancy(tenancy_of(entry))
    for number, relationship in enumerate(objects_in(entry, "datamartRelationships")):
        if relationship.get("cardinality") not in (None, *_CARDINALITIES):
            path = f"datamart.datamartRelationships[{number}].cardinality"
            yield f"{path}: Create Datamart takes {', '.join(_CARDINALITIES)} only"


def _obstacles_in_tenancy(tenancy: Document) -> Iterator[str]:
    path, level = "datamart.datamartOrganization", tenancy.get("tenancyLevel")
    if not level:
        return
    if level not in _TENANCY_LEVELS:
        yield f"{path}.tenancyLevel: Create Datamart takes {' and '.join(_TENANCY_LEVELS)} only"
    if tenancy.get("clientColumnType") not in (None, *_CLIENT_COLUMN_TYPES):
        yield f"{path}.clientColumnType: Create Datamart takes {' and '.join(_CLIENT_COLUMN_TYPES)} only"
    for field in _NEEDED_FOR_TABLE:
        if level == "TABLE" and not is_text(tenancy.get(field)):
            yield f"{path}.{field}: Create Datamart needs it for the level TABLE"


def _collect(value: Json, sent: _Sent, path: str, lost: dict[str, None]) -> None:
    """Collect the paths of what exists and is not sent. A part of which nothing is sent has one path."""
    if isinstance(sent, list) and isinstance(value, list):
        for entry in value:
            _collect(entry, sent[0], f"{path}[*]", lost)
    elif isinstance(sent, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in sent:
                if not _is_nothing(inner):
                    lost[f"{path}.{key}"] = None
            elif sent[key] is not None:
                _collect(inner, sent[key], f"{path}.{key}", lost)
    elif not _is_nothing(value):
        lost[path] = None


def _why(path: str) -> str:
    if path in _SET_ANEW:
        return "Databrain sets it again"
    creates = "Create Datamart" if path.startswith("datamart.") else "Create Semantic Layer"
    return f"{creates} has no documented field for it"


def _unsure(entry: Document) -> Iterator[str]:
    if any(not is_text(column.get("columnName")) for column in _columns(entry)):
        yield f"{_COLUMN}: columns that Databrain lists without a name are omitted"
    if objects_in(entry, "datamartRelationships"):
        yield (
            "datamart.datamartRelationships[*]: perhaps; they are sent as they are listed, because Create Datamart "
            "documents no names for their fields"
        )


def _columns(entry: Document) -> Iterator[Document]:
    for table in objects_in(entry, "datamartTables"):
        yield from columns_of(table)


def _is_nothing(value: Json) -> bool:
    return value is None or value == "" or (isinstance(value, Mapping | Sequence) and not value)
