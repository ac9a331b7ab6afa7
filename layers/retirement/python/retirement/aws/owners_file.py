"""Reads a file on S3 that the stack's owner maintains, and that a parameter names."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.stored_object import OwnersFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_owners_file(s3: "S3Client", parameter: str, location: S3Location, size_limit: int) -> OwnersFile:
    """Read a file of at most `size_limit` bytes.

    Raises:
        ConfigurationError: it is missing or too large, or the role may not read it; it is not taken for an empty file.
        AwsCallFailed: S3 did not answer.
    """
    where = f"{parameter}: s3://{location.bucket}/{location.key}"
    try:
        answer = s3.get_object(Bucket=location.bucket, Key=location.key)
        if answer["ContentLength"] > size_limit:
            raise ConfigurationError(f"{where} is larger than {size_limit} bytes")
        return OwnersFile(where, answer["Body"].read(), answer.get("VersionId"), answer["LastModified"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"NoSuchKey", "NoSuchBucket", "AccessDenied"}:
            # S3 also answers AccessDenied for a missing object if the role may not list the bucket.
            denied = ", allow this role in its bucket's policy and its KMS key" if code == "AccessDenied" else ""
            raise ConfigurationError(
                f"{where} cannot be read ({code}): put the file there{denied}, or clear the parameter"
            ) from None
        raise AwsCallFailed(f"{where} could not be read: {code}") from error
    except BotoCoreError as error:
        raise AwsCallFailed(f"{where} could not be read: {error}") from error
