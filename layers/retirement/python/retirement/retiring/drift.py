"""Describes what has changed since a plan."""

from collections.abc import Iterator, Mapping
from typing import cast

from retirement.canonical import Document, Json
from retirement.wording import quoted


def drift(before: Document, now: Document) -> list[str]:
    """Compare the documents of two plans; each difference is a clause, for example `table added: "public.refunds"`."""
    columns, columns_now = cast("Document", before["columns"]), cast("Document", now["columns"])
    found = list(_differences("table", columns, columns_now))
    if before["semanticLayerHash"] != now["semanticLayerHash"]:
        found.append("semantic layer changed")
    if before["createdAt"] != now["createdAt"]:  # it is also part of the configuration's hash
        is_known = before["createdAt"] is not None and now["createdAt"] is not None
        found.insert(0, "it was re-created" if is_known else "whether Databrain reports when it was created")
    if before["configurationHash"] != now["configurationHash"] and not found:
        found.append("settings of tables, columns, relationships or tenancy changed")
    found += _differences("embed", _embeds(before), _embeds(now))
    if before.get("notListed") != now.get("notListed"):
        found.append("which embeds could not be listed")
    found += _differences("option", cast("Document", before["options"]), cast("Document", now["options"]))
    return found


def _differences(noun: str, before: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    for change, names in (
        ("added", [name for name in now if name not in before]),
        ("removed", [name for name in before if name not in now]),
        ("changed", [name for name in now if name in before and now[name] != before[name]]),
    ):
        if names:
            yield f"{noun}{'' if len(names) == 1 else 's'} {change}: {quoted(sorted(names))}"


def _embeds(plan: Document) -> Document:
    embeds = cast("list[dict[str, str]]", plan["embeds"])
    return {f"{embed['embedId']} of {embed['dataAppName']}": embed for embed in embeds}
