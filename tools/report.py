"""Write one self-contained HTML file about an evidence bucket: what was retired, blocked, scheduled or restored.

This only reads, and needs no permission except `s3:ListBucket` on the bucket (and `s3:GetLifecycleConfiguration`, if
backups expire) and `s3:GetObject` on its objects. What may contain SQL, `backups/*` and `restores/*/differences.json`,
may be denied.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError

from local.stack import EmbeddedStack, StackError
from retirement.wording import in_words
from tools.reporting.bucket import BucketRefused, S3Bucket
from tools.reporting.estate import Estate, read_estate
from tools.reporting.page import render

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def write_report(s3: "S3Client", bucket_name: str, path: Path) -> Estate:
    """Write the page, and return what it shows. Nothing is written if the bucket cannot be read.

    Raises:
        BucketRefused: the bucket cannot be listed or read.
    """
    bucket = S3Bucket(s3, bucket_name)
    estate = read_estate(bucket, datetime.now(UTC))
    path.write_text(render(estate, bucket), encoding="utf-8", newline="\n")
    return estate


def _s3_client() -> "S3Client":
    try:
        return boto3.client("s3")
    except ValueError as error:  # botocore's own errors are none of these
        raise BucketRefused(f"an AWS setting of the environment or of the profile cannot be used: {error}") from error


def main(arguments: list[str]) -> int:
    """Write the page about a bucket, or about the stack that `make local` runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the page to write")
    parser.add_argument(
        "--bucket",
        help="EvidenceBucketName of a stack in AWS; by default the bucket of the stack that `make local` runs",
    )
    options = parser.parse_args(arguments)
    if options.bucket:
        s3, bucket = _s3_client(), options.bucket
    else:
        stack = EmbeddedStack.running()
        s3, bucket = stack.s3, stack.outputs["EvidenceBucketName"]
    estate = write_report(s3, bucket, options.file)
    print(
        f"{options.file}: {in_words(len(estate.retirements), 'retirement')}, "
        f"{in_words(len(estate.restores), 'restore')}, "
        f"{in_words(len(estate.rejections), 'rejected event')}, {in_words(len(estate.troubles), 'object')} to check"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BucketRefused, BotoCoreError, StackError, OSError) as error:
        sys.exit(" ".join(f"No report: {error}".split()))  # in one line, whatever it repeats
