"""What is stored of retirements and restores: finding them by name or by ID, and reading where they stand."""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from typing import Any, cast

from cli.retries import Retry
from cli.stack import Stack
from retirement.canonical import Document, parse_json
from retirement.delivery.endings import as_published
from retirement.errors import MalformedObject
from retirement.record.keys import name_in, numbers_in, restores_prefix, retirement_key
from retirement.record.standing import Standing, standing
from retirement.timestamps import format_timestamp, parse_timestamp

RETIREMENTS = "retirements/"
READERS = 8  # at once; the client's pool has ten connections

_FOLDER = re.compile(
    r"(?P<prefix>(?:retirements/(?P<segment>[^/]+)/(?P<id>[^/]+)|restores/[^/]+/[^/]+/(?P<restore>[^/]+))/)"
)


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one retirement or one restore, with the times at which they were written."""

    prefix: str
    files: dict[str, datetime]

    @property
    def id(self) -> str:
        """The retirementId, or the restoreId."""
        return self.prefix.rstrip("/").rpartition("/")[2]

    @property
    def key_name(self) -> str:
        """The datamart's name as far as the key shows it: a very long one is cut."""
        return name_in(self.prefix.split("/")[1])[0]

    @property
    def is_restore(self) -> bool:
        """Whether it is that of a restore."""
        return self.prefix.startswith("restores/")

    @property
    def changed_at(self) -> datetime:
        """When the last file was written."""
        return max(self.files.values())

    @property
    def is_open(self) -> bool:
        """Whether no receipt has ended it."""
        return "receipt.json" not in self.files


def last(files: Iterable[str], kind: str) -> str | None:
    """Return the file of a kind with the highest number."""
    numbers = numbers_in(files, kind)
    return f"{kind}-{numbers[-1]}.json" if numbers else None


class Entry:
    """One retirement or restore, read as far as it is asked about."""

    def __init__(self, stack: Stack, folder: Folder, known: Iterable[Retry] = ()) -> None:
        self._stack = stack
        self.folder = folder
        self._known = known

    def read(self, file: str) -> dict[str, Any]:
        """Read a file; one that this project did not write gives an empty document."""
        with self._stack.calls():
            try:
                stored = self._stack.evidence.read(self.folder.prefix + file)
                document = {} if stored is None else parse_json(stored.body)
            except (MalformedObject, ValueError):
                return {}
        return dict(document) if isinstance(document, dict) else {}

    @cached_property
    def standing(self) -> Standing:
        """Where it stands by what is stored of it."""
        return standing(self.folder.files, datetime.now(UTC), self._time_in)

    def _time_in(self, file: str, field: str) -> datetime:
        try:
            return parse_timestamp(self.read(file)[field])
        except (KeyError, ValueError, TypeError):
            return datetime.fromtimestamp(0, UTC)

    @cached_property
    def retry(self) -> Retry | None:
        """The failed attempt that another one follows; None if there is none, or if something has come of it since."""
        since = self.decision.get("finishedAt")
        current = [
            retry
            for retry in self._known
            if self.folder.is_open and self.folder.prefix == retry.prefix
            if since is None or retry.at > parse_timestamp(since)
        ]
        return max(current, key=lambda retry: retry.at, default=None)

    @property
    def state(self) -> str:
        """Where it stands, in one word."""
        if self.retry is not None:
            return "retrying"
        return self.standing.stage.name.lower()

    @cached_property
    def decision(self) -> dict[str, Any]:
        """What the deciding file says, as it was published; empty without one."""
        if self.standing.decided_by is None:
            return {}
        return dict(as_published(self.read(self.standing.decided_by)))

    @cached_property
    def name(self) -> str:
        """The datamart's name."""
        named = self.decision.get("datamartName")
        if named is None and isinstance(self.decision.get("datamart"), dict):  # an intent
            named = self.decision["datamart"].get("name")
        return named if isinstance(named, str) else self.folder.key_name

    @property
    def changed_at(self) -> datetime:
        """When something was last written about it."""
        return self.folder.changed_at if self.folder.files or self.retry is None else self.retry.at

    def row(self) -> Document:
        """Return one line of a list, as `--json` writes it."""
        told = self.decision
        return {
            "datamartName": self.name,
            "retirementId": self.folder.id,
            "state": self.state,
            "outcome": told.get("outcome"),
            "reason": told.get("reason"),
            "retireAt": told.get("retireAt"),
            "at": told.get("finishedAt") or format_timestamp(self.changed_at),
            "requestedBy": told.get("requestedBy"),
            "requestReason": told.get("requestReason"),
            "retry": None if self.retry is None else self.retry.document(),
        }


def folders(stack: Stack, prefix: str, counted: list[int] | None = None) -> Iterator[Folder]:
    """List the folders under a prefix; keys are sorted, so those of a folder follow one another.

    Args:
        stack: whose evidence.
        prefix: of keys.
        counted: its only number is raised by each object that is listed.
    """
    for found, keys in groupby(_listed(stack, prefix, counted), key=lambda listed: _folder_in(listed[0])):
        if found:
            yield Folder(found, {key.removeprefix(found): modified for key, modified in keys})


def _folder_in(key: str) -> str:
    found = _FOLDER.match(key)
    return found[0] if found else ""


def _listed(stack: Stack, prefix: str, counted: list[int] | None) -> Iterator[tuple[str, datetime]]:
    with stack.calls():
        for page in stack.s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket, Prefix=prefix):
            contents = page.get("Contents", [])
            if counted is not None:
                counted[0] += len(contents)
            yield from ((entry["Key"], entry["LastModified"]) for entry in contents)


def folder_of(stack: Stack, name: str, retirement_id: str) -> Folder:
    """List one retirement; without files, nothing is stored of it."""
    prefix = retirement_key(name, retirement_id, "")
    return next(folders(stack, prefix), Folder(prefix, {}))


def of_datamart(stack: Stack, name: str) -> list[Folder]:
    """List the retirements of a datamart."""
    return list(folders(stack, retirement_key(name, "", "").rstrip("/") + "/"))


def of_id(stack: Stack, retirement_id: str, counted: list[int] | None = None) -> list[Folder]:
    """List the retirements that have an ID: it is behind the name in every key, so all keys are listed."""
    return [folder for folder in folders(stack, RETIREMENTS, counted) if folder.id == retirement_id]


def restores_of(stack: Stack, name: str, retirement_id: str) -> list[Folder]:
    """List the restores of a retirement."""
    return list(folders(stack, restores_prefix(name, retirement_id)))


def read_all(stack: Stack, found: Sequence[Folder], known: Sequence[Retry] = ()) -> list[Entry]:
    """Read what decides about each, several at once; `known` are the requests that are being retried."""
    listed = {folder.prefix for folder in found}
    only_known = [
        Folder(prefix, {}) for prefix in dict.fromkeys(retry.prefix for retry in known) if prefix not in listed
    ]
    with ThreadPoolExecutor(READERS) as pool:
        entries = [Entry(stack, folder, known) for folder in (*found, *only_known)]
        list(pool.map(Entry.row, entries))
    return entries


def deletion_of(entries: Iterable[Entry]) -> list[Entry]:
    """Return those that deleted the datamart, the latest first."""
    deleted = [entry for entry in entries if entry.decision.get("outcome") == "deleted"]
    return sorted(deleted, key=lambda entry: str(entry.decision.get("finishedAt")), reverse=True)


def event_of(document: Document) -> Document:
    """Return the event that a stored result was written for; empty if there is none."""
    try:
        event = parse_json(cast("str", document.get("event")))
    except (ValueError, TypeError, AttributeError):
        return {}
    return event if isinstance(event, dict) else {}
