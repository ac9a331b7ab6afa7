"""What one document of the evidence says, as far as a page needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.reporting.evidence import Bucket, Listed, Unreadable
from retirement.canonical import Document, Json, parse_json
from retirement.timestamps import parse_timestamp

MIB = 1024 * 1024
MAX_STATEMENT_BYTES = 4 * MIB  # bytes; a failure keeps the event as it came, a megabyte at most
MAX_TEXT_LENGTH = 2_000  # characters of a document's field
MAX_CODE_LENGTH = 100  # of an outcome, a reason, an environment


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as a result names it; `size` in bytes."""

    key: str
    size: int
    sha256: str
    version_id: str | None


@dataclass(frozen=True, slots=True)
class RestoredEmbed:
    """What became, or would become, of an embed."""

    embed_id: str
    new_embed_id: str | None
    name: str | None
    data_app_name: str | None
    state: str
    why: str | None


@dataclass(frozen=True, slots=True)
class Restoration:
    """What the result of a restore has beside that of a retirement; of each list the first 100 entries."""

    restore_id: str | None
    restored_as: str | None
    differences: int
    not_restored: int
    embeds: tuple[RestoredEmbed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one document tells: the fields of a result, texts cut to `MAX_TEXT_LENGTH`."""

    datamart_name: str | None
    retirement_id: str | None
    environment: str
    outcome: str
    reason: str | None
    message: str
    requested_by: str | None
    request_reason: str | None
    requested_at: datetime
    finished_at: datetime
    retire_at: datetime | None
    confirmed_by: str | None
    plan_id: str | None
    backup: Backup | None
    embeds_found: int | None
    embeds_undetermined: int | None
    restoration: Restoration | None


def document_in(bucket: Bucket, listed: Listed) -> Document:
    """A document, parsed.

    Raises:
        Unreadable: it cannot be read, or is none.
    """
    if listed.size > MAX_STATEMENT_BYTES:
        raise Unreadable(f"It has {listed.size} bytes; the maximum for such a document is {MAX_STATEMENT_BYTES}.")
    try:
        document = parse_json(bucket.read(listed, MAX_STATEMENT_BYTES))
    except ValueError as error:
        raise Unreadable(f"It is not valid JSON: {error}") from None
    if not isinstance(document, Mapping):
        raise Unreadable("It is not a JSON object.")
    return document


def statement_of(document: Document) -> Statement:
    """What a document tells.

    Raises:
        Unreadable: a field is missing, or of another type.
    """
    retire_at = optional_text(document, "retireAt")
    dependents = document.get("dependents")
    return Statement(
        datamart_name=optional_text(document, "datamartName"),
        retirement_id=optional_text(document, "retirementId"),
        environment=_text(document, "environment", MAX_CODE_LENGTH),
        outcome=_text(document, "outcome", MAX_CODE_LENGTH),
        reason=optional_text(document, "reason", MAX_CODE_LENGTH),
        message=_text(document, "message"),
        requested_by=optional_text(document, "requestedBy"),
        request_reason=optional_text(document, "requestReason"),
        requested_at=_time(document, "requestedAt"),
        finished_at=_time(document, "finishedAt"),
        retire_at=None if retire_at is None else _time(document, "retireAt"),
        confirmed_by=optional_text(document, "confirmedBy"),
        plan_id=optional_text(document, "planId"),
        backup=_backup(document.get("backup")),
        embeds_found=_count(dependents, "foundCount"),
        embeds_undetermined=_count(dependents, "undeterminedCount"),
        restoration=_restoration(document) if "restoreId" in document else None,
    )


def _restoration(document: Document) -> Restoration:
    return Restoration(
        restore_id=optional_text(document, "restoreId"),
        restored_as=optional_text(document, "restoredAs"),
        differences=len(_list(document, "differences")),
        not_restored=len(_list(document, "notRestored")),
        embeds=tuple(map(_restored_embed, _list(document, "restoredEmbeds"))),
    )


def _restored_embed(embed: Json) -> RestoredEmbed:
    if not isinstance(embed, Mapping):
        raise Unreadable("Its field restoredEmbeds has an entry that is not an object.")
    return RestoredEmbed(
        embed_id=_text(embed, "embedId"),
        new_embed_id=optional_text(embed, "newEmbedId"),
        name=optional_text(embed, "name"),
        data_app_name=optional_text(embed, "dataAppName"),
        state=_text(embed, "state", MAX_CODE_LENGTH),
        why=optional_text(embed, "why"),
    )


def _backup(value: Json) -> Backup | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise Unreadable("Its field backup is not an object.")
    size = _count(value, "bytes")
    if size is None:
        raise Unreadable("Its field backup.bytes is missing.")
    return Backup(_text(value, "key"), size, _text(value, "sha256"), optional_text(value, "versionId"))


def _text(document: Document, field: str, most: int = MAX_TEXT_LENGTH) -> str:
    value = optional_text(document, field, most)
    if value is None:
        raise Unreadable(f"Its field {field} is missing.")
    return value


def optional_text(document: Document, field: str, most: int = MAX_TEXT_LENGTH) -> str | None:
    """A field that may be missing.

    Raises:
        Unreadable: it is not a string.
    """
    value = document.get(field)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"Its field {field} is not a string.")
    return value if value is None or len(value) <= most else f"{value[:most]}..."


def _list(document: Document, field: str) -> Sequence[Json]:
    value = document.get(field)
    if not isinstance(value, list):
        raise Unreadable(f"Its field {field} is not a list.")
    return value


def _time(document: Document, field: str) -> datetime:
    text = _text(document, field)
    try:
        return parse_timestamp(text)
    except ValueError:
        raise Unreadable(f"Its field {field} is not a time.") from None


def _count(document: Json, field: str) -> int | None:
    value = document.get(field) if isinstance(document, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
