"""A file that the stack's owner keeps on S3, and the parameter that names it."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.stored_object import OwnersFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_owners_file(s3: "S3Client", parameter: str, location: S3Location, size_limit: int) -> OwnersFile:
    """Read it, unless it has more bytes than that.

    Raises:
        ConfigurationError: it is missing, too large, or not for this role: it does not pass as empty.
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
            # S3 answers AccessDenied for a missing object, too, to whom may not list the bucket.
            denied = ", let its bucket's policy and its KMS key admit this role" if code == "AccessDenied" else ""
            raise ConfigurationError(
                f"{where} cannot be read ({code}): put the file there{denied}, or clear the parameter"
            ) from None
        raise AwsCallFailed(f"{where} could not be read: {code}") from error
    except BotoCoreError as error:
        raise AwsCallFailed(f"{where} could not be read: {error}") from error
