"""The evidence bucket on S3, for reading: only listed and read, never written."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from cli.reporting.evidence import Listed, Unreadable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class BucketRefused(Exception):
    """The bucket cannot be read at all: what S3 said, and what to do."""


class S3Bucket:
    """Needs `s3:ListBucket` on the bucket and `s3:GetObject` on its objects. Can be used from any thread.

    With `s3:GetLifecycleConfiguration` it knows how long backups are stored.
    """

    def __init__(self, s3: "S3Client", name: str) -> None:
        self._s3 = s3
        self.name = name

    @cached_property
    def backup_retention(self) -> timedelta | None:
        """How long backups are stored; None where they are not deleted, or where that cannot be read."""
        try:
            rules = self._s3.get_bucket_lifecycle_configuration(Bucket=self.name)["Rules"]
        except (ClientError, BotoCoreError):
            return None
        days = [
            rule["Expiration"]["Days"]
            for rule in rules
            if rule["Status"] == "Enabled" and rule.get("Filter", {}).get("Prefix") == "backups/"
            if "Days" in rule.get("Expiration", {})
        ]
        return timedelta(days=min(days)) if days else None

    def objects(self) -> Iterator[Listed]:
        """List every object that is there now, whatever older versions there are.

        Raises:
            BucketRefused: it cannot be listed.
        """
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name):
                for entry in page.get("Contents", []):
                    yield Listed(entry["Key"], entry["Size"], entry["LastModified"])
        except (ClientError, BotoCoreError) as error:
            raise BucketRefused(f"s3://{self.name} cannot be listed: {error}") from error

    def read(self, listed: Listed, most: int) -> bytes:
        """Read an object's first bytes, at most so many.

        Raises:
            Unreadable: it is gone, or in a storage class that does not give it out at once; or it may contain SQL, and
                the caller may not read it.
            BucketRefused: nothing may be read, or S3 cannot be reached.
        """
        if not listed.size:
            return b""  # a range of nothing is an error
        try:
            answer = self._s3.get_object(Bucket=self.name, Key=listed.key, Range=f"bytes=0-{most - 1}")
            return answer["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            may_be_denied = listed.key.startswith("backups/") or listed.key.endswith("/differences.json")
            if code in {"NoSuchKey", "InvalidObjectState"} or (code == "AccessDenied" and may_be_denied):
                raise Unreadable(f"S3 did not return it: {code}.") from error
            raise BucketRefused(f"s3://{self.name}/{listed.key} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise BucketRefused(f"s3://{self.name}/{listed.key} cannot be read: {error}") from error
