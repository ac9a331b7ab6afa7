"""The lists of protected and of retirable names, in a file on S3 that the owner maintains."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from retirement.aws.owners_file import read_owners_file
from retirement.canonical import Json, parse_json
from retirement.environment import S3Location, is_glob
from retirement.errors import ConfigurationError
from retirement.globs import NO_LISTS, DatamartLists
from retirement.wording import shortened

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARAMETER = "DatamartListsUri"
SIZE_LIMIT = 1024 * 1024
MAX_GLOBS = 1_000  # in one list
MAX_GLOB_LENGTH = 256  # characters, as in a name
_FIELDS = ("protected", "retirable")


class S3DatamartLists:
    """A JSON object with `protected`, `retirable` or both, each a list of globs."""

    def __init__(self, s3: "S3Client", location: S3Location | None) -> None:
        self._s3 = s3
        self._location = location

    def read(self) -> DatamartLists:
        """Read and parse the file; a missing or broken one is an error, and is not taken for an empty one."""
        if self._location is None:
            return NO_LISTS
        file = read_owners_file(self._s3, PARAMETER, self._location, SIZE_LIMIT)
        return parse_datamart_lists(f"s3://{self._location.bucket}/{self._location.key}", file.body)


def parse_datamart_lists(uri: str, body: bytes) -> DatamartLists:
    """Parse a file of lists; `uri` names it in messages.

    Raises:
        ConfigurationError: the file is broken or has another shape; the message names the entry.
    """
    where = f"{PARAMETER}: {uri}"
    try:
        lists = parse_json(body)
    except ValueError as error:
        raise ConfigurationError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(lists, Mapping) or not lists:
        raise ConfigurationError(f"{where} must be a JSON object with protected, retirable or both")
    for name in lists:
        if name not in _FIELDS:
            raise ConfigurationError(
                f"{where} has the unknown field {shortened(name)!a}: its fields are {' and '.join(_FIELDS)}"
            )
    return DatamartLists(f"{uri} ({PARAMETER})", **{name: _globs(where, name, globs) for name, globs in lists.items()})


def _globs(where: str, name: str, globs: Json) -> tuple[str, ...]:
    if not isinstance(globs, list) or not 0 < len(globs) <= MAX_GLOBS:
        count = f"; it has {len(globs):,}" if isinstance(globs, list) else ""
        raise ConfigurationError(
            f"{where}: {name} must be a list of 1 to {MAX_GLOBS:,} globs{count}. Without the field the stack's "
            "parameter decides alone"
        )
    for number, glob in enumerate(globs):
        if not isinstance(glob, str) or len(glob) > MAX_GLOB_LENGTH or not is_glob(glob):
            raise ConfigurationError(
                f"{where}: {name}.{number} is {shortened(ascii(glob))}: expected a glob of 1 to {MAX_GLOB_LENGTH} "
                "characters, not spaces alone, without line breaks and control characters, each [ with its ] and none "
                "of them around all of it"
            )
    return tuple(glob.strip() for glob in globs)
