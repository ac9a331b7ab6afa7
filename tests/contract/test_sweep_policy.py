"""The port `SweepPolicySource`: one suite for the fake and for S3, and what S3 alone can show."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from local.emulator import REGION
from local.stack import EmbeddedStack
from retirement.aws.sweep_policy_file import SIZE_LIMIT, S3SweepPolicy
from retirement.environment import S3Location
from retirement.errors import ConfigurationError
from retirement.sweeping.ports import SweepPolicySource
from tests.fakes import FakeSweepPolicy

pytestmark = pytest.mark.xdist_group("ministack")

Sources = Callable[[bytes | None], SweepPolicySource]


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedStack) -> str:
    """A versioned bucket of the owner's."""
    name = f"policies-{uuid4()}"
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(params=["fake", "s3"])
def source_of(request: pytest.FixtureRequest) -> Sources:
    """Make a source of this file, or of one that is not there, of each kind in turn."""
    if request.param == "fake":
        return FakeSweepPolicy
    aws: EmbeddedStack = request.getfixturevalue("aws")
    location = S3Location(request.getfixturevalue("bucket"), f"databrain/{uuid4()} ü.json")

    def put(body: bytes | None) -> SweepPolicySource:
        if body is not None:
            aws.s3.put_object(Bucket=location.bucket, Key=location.key, Body=body)
        return S3SweepPolicy(aws.s3, location)

    return put


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff no policy", "Größe 数据".encode()])
def test_a_file(source_of: Sources, body: bytes) -> None:
    """A file is read as it is, whatever it holds, with its version and with where it is."""
    file = source_of(body).read()
    assert file.body == body
    assert file.version_id
    assert file.where.startswith("SweepPolicyUri: s3://")


def test_no_file(source_of: Sources) -> None:
    """A file that is not there is a wrong setting, and no empty policy."""
    with pytest.raises(ConfigurationError, match=r"^SweepPolicyUri: s3://.* cannot be read \(NoSuchKey\)"):
        source_of(None).read()


def test_another_version(source_of: Sources) -> None:
    """What is read is the file as it is now."""
    before, now = (source_of(body).read() for body in (b'{"a":1}', b'{"b":2}'))
    assert now.body == b'{"b":2}'
    assert before.version_id != now.version_id


def test_no_bucket(aws: EmbeddedStack) -> None:
    """A file in a bucket that is not there is a wrong setting, too."""
    with pytest.raises(ConfigurationError, match=r"^SweepPolicyUri: .*NoSuchBucket"):
        S3SweepPolicy(aws.s3, S3Location(f"nowhere-{uuid4()}", "sweep.json")).read()


def test_a_large_file(aws: EmbeddedStack, bucket: str) -> None:
    """A file that is larger than any policy is not read."""
    aws.s3.put_object(Bucket=bucket, Key="large.json", Body=b" " * (SIZE_LIMIT + 1))
    with pytest.raises(ConfigurationError, match=f"^SweepPolicyUri: .* is larger than {SIZE_LIMIT} bytes"):
        S3SweepPolicy(aws.s3, S3Location(bucket, "large.json")).read()
