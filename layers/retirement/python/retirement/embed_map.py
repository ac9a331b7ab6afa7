"""The map of embeds that the owner keeps, on S3."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from retirement.canonical import Json, parse_json
from retirement.dependents import NO_DATAMART, EmbedMap
from retirement.errors import ConfigurationError
from retirement.owners_file import read_owners_file
from retirement.results import shortened
from retirement.settings import S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Some hundred thousand embeds; more would not fit the function's memory.
SIZE_LIMIT = 32 * 1024 * 1024


class S3EmbedMap:
    """A JSON object: embed ID -> datamart name, or null for none.

    `make embed-map` writes it with an object for each embed, whose `datamart` is to be filled in: a name, or null for
    none. As long as it is empty, nobody has looked.
    """

    def __init__(self, s3: "S3Client", location: S3Location | None) -> None:
        self._s3 = s3
        self._location = location

    def read(self) -> EmbedMap | None:
        """Read the map; None where the stack has none.

        Raises:
            ConfigurationError: the map is missing, broken or of another shape: it does not pass as empty.
            AwsCallFailed: S3 did not answer.
        """
        if self._location is None:
            return None
        file = read_owners_file(self._s3, "EmbedMapUri", self._location, SIZE_LIMIT)
        return EmbedMap(_datamart_names(file.where, file.body), file.written_at)


def _datamart_names(where: str, body: bytes) -> dict[str, str]:
    try:
        entries = parse_json(body)
    except ValueError as error:
        raise ConfigurationError(f"{where} is no JSON: {error}") from None
    if not isinstance(entries, Mapping):
        raise ConfigurationError(f"{where} must be a JSON object of embed ID -> datamart name (or null for none)")
    told = {embed_id: _told(where, embed_id, entry) for embed_id, entry in entries.items()}
    return {embed_id: name for embed_id, name in told.items() if name is not None}


def _told(where: str, embed_id: str, entry: Json) -> str | None:
    """None where nobody has filled it in."""
    if isinstance(entry, Mapping):
        if "datamart" not in entry:
            raise ConfigurationError(f"{where}: the entry of {shortened(embed_id)!a} has no field datamart")
        if entry["datamart"] == "":
            return None
        entry = entry["datamart"]
    if entry is None:
        return NO_DATAMART
    if isinstance(entry, str) and entry:
        return entry
    raise ConfigurationError(
        f"{where}: the entry of {shortened(embed_id)!a} must be a datamart's name, or null for none"
    )
