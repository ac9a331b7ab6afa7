"""`datamart report`, against the S3 of MiniStack."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber

from cli.errors import CommandError
from cli.report import report, write_report
from cli.reporting.bucket import BucketRefused, S3Bucket
from cli.reporting.estate import read_estate
from cli.reporting.evidence import Listed, Unreadable
from local.emulator import REGION
from local.stack import EmbeddedStack
from retirement.record.keys import backup_key
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.sessions import session_with
from tests.estates import BACKUP_SHA256, NOW, KeptEvidence

pytestmark = pytest.mark.xdist_group("ministack")


@pytest.fixture
def bucket(aws: EmbeddedStack) -> str:
    """An empty bucket."""
    name = f"evidence-{uuid4()}"
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the page goes."""
    return tmp_path / "report.html"


def keep(aws: EmbeddedStack, bucket: str, evidence: KeptEvidence) -> None:
    """Put evidence into the bucket."""
    for key, body in evidence.bodies.items():
        aws.s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_the_bucket_is_read_as_it_is(aws: EmbeddedStack, bucket: str) -> None:
    """What is read from S3 is what is kept there, whatever the names, and empty objects too."""
    evidence = KeptEvidence()
    for name in HOSTILE_NAMES:
        evidence.deletion(name)
    evidence.put("empty", b"")
    keep(aws, bucket, evidence)
    found, kept = read_estate(S3Bucket(aws.s3, bucket), NOW), read_estate(evidence, NOW)
    assert {entry.datamart_name: (entry.state, entry.stands) for entry in found.retirements} == {
        entry.datamart_name: (entry.state, entry.stands) for entry in kept.retirements
    }
    assert found.troubles == kept.troubles
    assert found.objects == len(evidence.bodies)


def test_how_long_backups_are_kept(aws: EmbeddedStack, bucket: str) -> None:
    """The bucket's lifecycle says for how long, where it has a rule for backups that is in force."""
    assert S3Bucket(aws.s3, bucket).backup_retention is None
    for status, retention in (("Disabled", None), ("Enabled", timedelta(days=30))):
        rule = {"ID": "backups", "Status": status, "Filter": {"Prefix": "backups/"}, "Expiration": {"Days": 30}}
        other = {"ID": "plans", "Status": "Enabled", "Filter": {"Prefix": "plans/"}, "Expiration": {"Days": 1}}
        markers = {
            "ID": "markers",
            "Status": "Enabled",
            "Filter": {"Prefix": "backups/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        }
        aws.s3.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": [rule, other, markers]},  # type: ignore[list-item]  # as S3 has it
        )
        assert S3Bucket(aws.s3, bucket).backup_retention == retention


def test_every_page_of_the_list_is_read(aws: EmbeddedStack, bucket: str) -> None:
    """More objects than S3 lists at once are all found."""
    for number in range(1_001):
        aws.s3.put_object(Bucket=bucket, Key=f"plans/sales/{number}.json", Body=b"{}")
    assert len(list(S3Bucket(aws.s3, bucket).objects())) == 1_001


def test_only_the_beginning_is_read(aws: EmbeddedStack, bucket: str) -> None:
    """Of a large object no more is read than was asked for."""
    aws.s3.put_object(Bucket=bucket, Key="large", Body=b"0123456789" * 100)
    reader = S3Bucket(aws.s3, bucket)
    (large,) = reader.objects()
    assert reader.read(large, 15) == b"012345678901234"
    assert len(reader.read(large, 5_000)) == 1_000


def test_what_vanishes_meanwhile(aws: EmbeddedStack, bucket: str) -> None:
    """An object that was listed and is gone does not end the report."""
    with pytest.raises(Unreadable, match="NoSuchKey"):
        S3Bucket(aws.s3, bucket).read(Listed("gone", 10, NOW), 10)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("backups/sales/r1/backup-0123456789abcdef.json", Unreadable),
        ("restores/sales/r1/back-1/differences.json", Unreadable),
        ("retirements/sales/r1/receipt.json", BucketRefused),
    ],
)
def test_what_may_not_be_read(key: str, error: type[Exception]) -> None:
    """What may contain SQL can be denied without ending the report; nothing else can."""
    s3 = boto3.client("s3", region_name=REGION, aws_access_key_id="made-up", aws_secret_access_key="made-up")
    with Stubber(s3) as answers:
        answers.add_client_error("get_object", "AccessDenied")
        with pytest.raises(error, match="AccessDenied"):
            S3Bucket(s3, "evidence").read(Listed(key, 10, NOW), 10)


def test_a_page_is_written(aws: EmbeddedStack, bucket: str, file: Path) -> None:
    """The page holds what the bucket holds, in the file that was named, and the bucket is as it was."""
    evidence = KeptEvidence()
    evidence.deletion("Größe 数据 🙂")
    evidence.put(backup_key("sales", "r1", BACKUP_SHA256), b'{"note":"' + b"n" * 300_000 + b'"}')
    keep(aws, bucket, evidence)
    estate = write_report(aws.s3, bucket, file)
    html = file.read_text(encoding="utf-8")
    assert [entry.state for entry in estate.retirements] == ["no_result", "deleted"]
    assert "Größe 数据 🙂" in html
    assert "Its backup is s3://" in html
    assert "{&#34;note&#34;:&#34;nnn" in html
    assert {entry.key for entry in S3Bucket(aws.s3, bucket).objects()} == evidence.bodies.keys()


def test_a_bucket_that_is_not_there(aws: EmbeddedStack, file: Path) -> None:
    """A bucket that cannot be listed is named, and no page is written."""
    with pytest.raises(BucketRefused, match=r"s3://no-such-bucket cannot be listed: .*NoSuchBucket"):
        write_report(aws.s3, "no-such-bucket", file)
    assert not file.exists()


def test_the_command(
    aws: EmbeddedStack, bucket: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stack's bucket is read, the counts are shown, and the page is opened if that is wanted."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    evidence = KeptEvidence()
    evidence.deletion("sales")
    evidence.restore("sales")
    evidence.reject("e1")
    evidence.put("operations/2026-03-01T12:00:00.000Z-stopped-0.json", b"{}")
    evidence.put("notes.txt", b"")
    keep(aws, bucket, evidence)
    session = session_with({"s3": aws.s3}, None, {"EvidenceBucketName": bucket})

    assert report(file, session=session) == 0
    assert opened == []
    assert report(file, open=True, session=session) == 0

    assert opened == [file.as_uri()]
    assert f"s3://{bucket}" in file.read_text()
    line = f"{file}: 1 retirement, 1 restore, 1 rejected event, 1 object to check\n"
    assert capsys.readouterr().out == 2 * line


def test_a_bucket_that_cannot_be_read(aws: EmbeddedStack, file: Path) -> None:
    """What S3 refuses is reported, and no page is written."""
    session = session_with({"s3": aws.s3}, None, {"EvidenceBucketName": f"missing-{uuid4()}"})
    with pytest.raises(CommandError, match=r"^no report: s3://missing-"):
        report(file, session=session)
    assert not file.exists()
