"""The evidence bucket on S3, in which objects are created and never overwritten."""

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.errors import AwsCallFailed, MalformedObject
from retirement.stored_object import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2RequestTypeDef

_CONTENT_HASH = "request"  # the name of the metadata
# 409: another caller is writing or deleting the object (S3 API reference, PutObject and "Error responses").
_CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_MAX_CONFLICTS = 3


class S3Evidence:
    """Writes conditionally (S3 user guide, "How to prevent object overwrites with conditional writes")."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def create(self, key: str, body: str, content_hash: str | None = None) -> StoredObject:
        """Put the object with `If-None-Match: *`; read the existing one after 412, and retry after 409."""
        encoded = body.encode()
        checksum = base64.b64encode(hashlib.sha256(encoded).digest()).decode()
        metadata = {} if content_hash is None else {_CONTENT_HASH: content_hash}
        for _ in range(_MAX_CONFLICTS):
            try:
                answer = self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=encoded,
                    ContentType="application/json",
                    ChecksumSHA256=checksum,
                    IfNoneMatch="*",
                    Metadata=metadata,
                )
            except (ClientError, BotoCoreError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
                if code == "PreconditionFailed":
                    return self._existing(key)
                if code not in _CONFLICTS:
                    raise self._failed("PutObject", key, error) from error
            else:
                return StoredObject(self._bucket, key, answer.get("VersionId"), body, content_hash)
        raise AwsCallFailed(f"S3 PutObject s3://{self._bucket}/{key}: {_MAX_CONFLICTS} conflicts in a row; try again")

    def read(self, key: str) -> StoredObject | None:
        """Read an object of any size, because this project wrote it, and verify its checksum.

        Raises:
            MalformedObject: it is not a text, so this project did not write it.
            AwsCallFailed: it could not be read, or its checksum does not match.
        """
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            body = answer["Body"].read().decode()
        except self._s3.exceptions.NoSuchKey:
            return None
        except UnicodeDecodeError as error:
            raise MalformedObject(f"S3 GetObject s3://{self._bucket}/{key} failed: {error}") from None
        except (ClientError, BotoCoreError) as error:
            raise self._failed("GetObject", key, error) from error
        return StoredObject(
            self._bucket, key, answer.get("VersionId"), body, answer.get("Metadata", {}).get(_CONTENT_HASH)
        )

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys with this prefix, 1,000 for each call (S3 API reference, ListObjectsV2)."""
        request: ListObjectsV2RequestTypeDef = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            try:
                answer = self._s3.list_objects_v2(**request)
            except (ClientError, BotoCoreError) as error:
                raise self._failed("ListObjectsV2", prefix, error) from error
            for entry in answer.get("Contents", []):
                yield entry["Key"]
            if not answer["IsTruncated"]:
                return
            request["ContinuationToken"] = answer["NextContinuationToken"]

    def _existing(self, key: str) -> StoredObject:
        found = self.read(key)
        if found is None:
            raise AwsCallFailed(f"S3 says that s3://{self._bucket}/{key} exists, and then that it does not; try again")
        return found

    def _failed(self, operation: str, key: str, error: Exception) -> AwsCallFailed:
        return AwsCallFailed(f"S3 {operation} s3://{self._bucket}/{key} failed: {error}")
