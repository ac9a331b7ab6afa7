"""A page about the evidence: one self-contained HTML file that shows what was retired, blocked, scheduled or restored.

This only reads, and needs no permission except `s3:ListBucket` on the bucket (and `s3:GetLifecycleConfiguration`, if
backups expire) and `s3:GetObject` on its objects. What may contain SQL, `backups/*` and `restores/*/differences.json`,
may be denied.
"""

import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.errors import CommandError, Status
from cli.output import shown
from cli.reporting.bucket import BucketRefused, S3Bucket
from cli.reporting.estate import Estate, read_estate
from cli.reporting.page import render
from cli.session import Given
from retirement.wording import in_words

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


def report(
    file: Path = Path("report.html"),
    /,
    *,
    open: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    session: Given,
) -> int:
    """Write a page about the evidence: what was retired, blocked, scheduled, abandoned or restored, and why.

    The page contains names and reasons: share it with care.

    Args:
        file: The page, an HTML file.
        open: Then open it in a browser.
        session: the run.
    """
    stack, output = session.stack, session.output
    bucket, s3 = stack.bucket, stack.s3
    try:
        with output.progress("Reading the evidence", lambda: bucket):
            estate = write_report(s3, bucket, file)
    except BucketRefused as refused:
        raise CommandError(f"no report: {refused}") from refused
    output.document({"file": str(file), "retirements": len(estate.retirements), "restores": len(estate.restores)})
    output.line(
        f"{shown(file)}: {in_words(len(estate.retirements), 'retirement')}, "
        f"{in_words(len(estate.restores), 'restore')}, "
        f"{in_words(len(estate.rejections), 'rejected event')}, {in_words(len(estate.troubles), 'object')} to check"
    )
    if open:
        webbrowser.open(file.resolve().as_uri())
    return Status.OK
