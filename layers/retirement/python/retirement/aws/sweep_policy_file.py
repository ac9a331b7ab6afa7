"""The policy of sweeps, in a file on S3 that the owner maintains."""

from typing import TYPE_CHECKING

from retirement.aws.owners_file import read_owners_file
from retirement.environment import S3Location
from retirement.stored_object import OwnersFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Bytes. A policy with the longest texts and the most globs is smaller, even with every character escaped.
SIZE_LIMIT = 4 * 1024 * 1024


class S3SweepPolicy:
    """JSON, as `events/schemas/sweep-policy.json` describes it."""

    def __init__(self, s3: "S3Client", location: S3Location) -> None:
        self._s3 = s3
        self._location = location

    def read(self) -> OwnersFile:
        """Read the file, of at most `SIZE_LIMIT` bytes."""
        return read_owners_file(self._s3, "SweepPolicyUri", self._location, SIZE_LIMIT)
