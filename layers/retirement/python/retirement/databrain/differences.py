"""Compares what Databrain lists with what the backup contains, path by path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from retirement.canonical import Document, Json, canonical_json
from retirement.databrain.snapshot import Snapshot

# Fields that change although nobody has changed the configuration.
_TIMES = frozenset({"createdAt", "updatedAt", "lastUpdated", "completionScore"})

# Fields that may identify the objects in a list. If they do, the order of the list does not matter.
_IDENTITIES = (("tableName",), ("schemaName", "tableName"), ("columnName",), ("name",), ("schemaName", "name"))

MAX_PATH = 200  # characters


@dataclass(frozen=True, slots=True)
class Difference:
    """A path in the backup, and both values; None if there is none."""

    path: str
    was: Json
    now: Json

    def document(self) -> Document:
        """Return the difference as `differences.json` contains it."""
        return {"path": self.path, "was": self.was, "is": self.now}


def differences(datamart: Document, semantic_layer: Document | None, found: Snapshot) -> list[Difference]:
    """Compare the datamart and semantic layer of a backup with those found, apart from the name."""
    layer = None if semantic_layer is None else {**semantic_layer, "datamartName": found.name}
    return [
        *_differences("datamart", {**datamart, "name": found.name}, found.entry),
        *_differences("semanticLayer", layer, found.semantic_layer),
    ]


def is_as_sent(body: Document, entry: Document) -> bool:
    """Return whether a listed datamart equals the body of Create Datamart that was sent.

    The server adds fields that were not sent, but no tenancy, relationships, tables or columns.
    """
    expected = _as_listed(body)
    tenancy, relationships = entry.get("datamartOrganization"), entry.get("datamartRelationships")
    has_tenancy = isinstance(tenancy, Mapping) and tenancy.get("tenancyLevel") is not None
    if "datamartOrganization" not in expected and has_tenancy:
        return False
    if "datamartRelationships" not in expected and relationships:
        return False
    return next(_differences("", expected, entry, only_expected=True), None) is None


def _as_listed(body: Document) -> Document:
    """Return what was sent in the form of List Datamarts."""
    tables = cast("Sequence[Document]", body["tableList"])
    renamed = {"datasourceName", "tableList", "tenancySettings", "relationships"}
    listed: dict[str, Json] = {key: value for key, value in body.items() if key not in renamed}
    listed["companyIntegration"] = {"name": body.get("datasourceName")}
    listed["datamartTables"] = [
        {
            **{key: value for key, value in table.items() if key not in {"name", "columns"}},
            "tableName": table["name"],
            "datamartTableColumns": [
                {**{key: value for key, value in column.items() if key != "name"}, "columnName": column["name"]}
                for column in cast("Sequence[Document]", table["columns"])
            ],
        }
        for table in tables
    ]
    if "tenancySettings" in body:
        listed["datamartOrganization"] = body["tenancySettings"]
    if "relationships" in body:
        listed["datamartRelationships"] = body["relationships"]
    return listed


def _differences(path: str, was: Json, now: Json, *, only_expected: bool = False) -> Iterator[Difference]:
    """Yield the differences; with `only_expected`, a key that only `now` has does not count."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        keys = was if only_expected else {**was, **now}
        for key in keys:
            if key not in _TIMES:
                yield from _differences(f"{path}.{key}", was.get(key), now.get(key), only_expected=only_expected)
    elif _is_list(was) and _is_list(now):
        for index, before, after in _paired(cast("Sequence[Json]", was), cast("Sequence[Json]", now)):
            yield from _differences(f"{path}[{index}]", before, after, only_expected=only_expected)
    elif not (_is_nothing(was) and _is_nothing(now)) and canonical_json(was) != canonical_json(now):
        yield Difference(path if len(path) <= MAX_PATH else f"{path[: MAX_PATH - 3]}...", was, now)


def _paired(was: Sequence[Json], now: Sequence[Json]) -> Iterator[tuple[int, Json, Json]]:
    """Yield an index, and the entries of two lists that belong together; None for a missing one."""
    for names in _IDENTITIES:
        before, after = _by_identity(was, names), _by_identity(now, names)
        if before is not None and after is not None:
            for identity, (index, entry) in before.items():
                yield index, entry, after[identity][1] if identity in after else None
            for identity, (index, entry) in after.items():
                if identity not in before:
                    yield index, None, entry
            return
    for index in range(max(len(was), len(now))):
        yield index, was[index] if index < len(was) else None, now[index] if index < len(now) else None


def _by_identity(entries: Sequence[Json], names: Sequence[str]) -> dict[str, tuple[int, Json]] | None:
    """Return the entries by identity, or None if these fields do not identify them."""
    found: dict[str, tuple[int, Json]] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or any(name not in entry for name in names[-1:]):
            return None
        found[canonical_json([entry.get(name) for name in names])] = (index, entry)
    return found if len(found) == len(entries) else None


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_nothing(value: Json) -> bool:
    return value is None or value in ([], {})
