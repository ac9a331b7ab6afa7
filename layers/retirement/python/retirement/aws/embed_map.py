"""The map of embeds, in a file on S3 that the owner maintains."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from retirement.aws.owners_file import read_owners_file
from retirement.canonical import Json, count_values, parse_json
from retirement.databrain.dependents import NO_DATAMART, EmbedMap
from retirement.environment import S3Location
from retirement.errors import ConfigurationError
from retirement.timestamps import parse_timestamp
from retirement.wording import shortened

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Bytes and JSON values: some hundred thousand embeds. More would not fit into the function's memory.
SIZE_LIMIT = 32 * 1024 * 1024
MAX_VALUES = 1_000_000


class S3EmbedMap:
    """A JSON object: embed ID -> datamart name, or null for none.

    `make embed-map` writes an object for each embed instead, with the `updatedAt` that the owner sees, and a `datamart`
    for the owner to fill in: a name, or null for none. While `datamart` is an empty text, the entry does not count.
    """

    def __init__(self, s3: "S3Client", location: S3Location | None) -> None:
        self._s3 = s3
        self._location = location

    def read(self) -> EmbedMap | None:
        """Read and parse the file; a missing or broken one is an error, and is not taken for an empty one."""
        if self._location is None:
            return None
        file = read_owners_file(self._s3, "EmbedMapUri", self._location, SIZE_LIMIT)
        return parse_embed_map(file.where, file.body, file.written_at)


def parse_embed_map(where: str, body: bytes, made_at: datetime) -> EmbedMap:
    """Parse a map; `where` names it in messages.

    Raises:
        ConfigurationError: the map is broken or has another shape; the message names the entry.
    """
    if count_values(body, MAX_VALUES) > MAX_VALUES:
        raise ConfigurationError(f"{where} has more than {MAX_VALUES} values")
    try:
        entries = parse_json(body)
    except ValueError as error:
        raise ConfigurationError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(entries, Mapping):
        raise ConfigurationError(f"{where} must be a JSON object of embed ID -> datamart name (or null for none)")
    datamarts = {embed_id: _datamart_field(where, embed_id, entry) for embed_id, entry in entries.items()}
    return EmbedMap(
        datamart_names={embed_id: name for embed_id, name in datamarts.items() if name is not None},
        made_at=made_at,
        seen={
            embed_id: _seen(where, embed_id, entry["updatedAt"])
            for embed_id, entry in entries.items()
            if isinstance(entry, Mapping) and "updatedAt" in entry
        },
    )


def _datamart_field(where: str, embed_id: str, entry: Json) -> str | None:
    """Return the datamart of an entry, or None if nobody has filled it in."""
    if isinstance(entry, Mapping):
        if "datamart" not in entry:
            raise ConfigurationError(f"{where}: the entry of {shortened(embed_id)!a} has no field datamart")
        if entry["datamart"] == "":
            return None
        entry = entry["datamart"]
    if entry is None:
        return NO_DATAMART
    if isinstance(entry, str) and entry.strip():
        return entry
    raise ConfigurationError(
        f"{where}: the entry of {shortened(embed_id)!a} must be a datamart's name, or null for none"
    )


def _seen(where: str, embed_id: str, updated_at: Json) -> datetime | None:
    try:
        return None if updated_at is None else parse_timestamp(str(updated_at))
    except ValueError:
        raise ConfigurationError(
            f"{where}: the updatedAt of {shortened(embed_id)!a} must be the time that `make embed-map` wrote, or null"
        ) from None
