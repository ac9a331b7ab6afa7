"""The port `Evidence`: one suite for the fake and for S3."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest

from local.emulator import REGION, Emulator
from local.stack import CLIENT_CONFIG, EmbeddedStack
from retirement.aws.evidence import S3Evidence
from retirement.canonical import canonical_json, sha256_hex
from retirement.errors import AwsCallFailed
from retirement.record.keys import plan_key, rejected_key, retirement_key
from retirement.record.ports import Evidence
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.fakes import FakeEvidence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.xdist_group("ministack")

HASH = "5e" * 32
OTHER_HASH = "a1" * 32


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedStack) -> str:
    """A versioned bucket."""
    name = f"evidence-{uuid4()}"
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def s3_evidence(aws: EmbeddedStack, bucket: str) -> S3Evidence:
    """The adapter."""
    return S3Evidence(aws.s3, bucket)


@pytest.fixture(params=["fake", "s3"])
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeEvidence()
    adapter: S3Evidence = request.getfixturevalue("s3_evidence")
    return adapter


@pytest.fixture
def stranger(emulator: Emulator, aws: EmbeddedStack) -> "S3Client":
    """The S3 client of a user who may do nothing."""
    name = f"stranger-{uuid4()}"
    aws.iam.create_user(UserName=name)
    key = aws.iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.client(
        "s3",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name=REGION,
        endpoint_url=emulator.endpoint,
        verify=str(emulator.authority),
        config=CLIENT_CONFIG,
    )


@pytest.fixture
def key() -> str:
    """A key that no other test has."""
    return f"retirements/sales/{uuid4()}/receipt.json"


class TestEvidence:
    """What the workflow relies on."""

    def test_what_is_created_can_be_read(self, evidence: Evidence, key: str) -> None:
        """An object is read as it was created, with its version."""
        created = evidence.create(key, '{"a":1}', HASH)
        assert (created.key, created.body, created.content_hash) == (key, '{"a":1}', HASH)
        assert created.bucket
        assert created.version_id
        assert evidence.read(key) == created

    def test_the_content_hash_is_optional(self, evidence: Evidence, key: str) -> None:
        """An object without a content hash is read without one."""
        created = evidence.create(key, "{}")
        assert created.content_hash is None
        assert evidence.read(key) == created

    def test_what_is_not_there(self, evidence: Evidence, key: str) -> None:
        """Nothing is read where nothing was created, neither under the start of a key nor under more than a key."""
        evidence.create(key, "{}")
        assert evidence.read(f"{key}.other") is None
        assert evidence.read(key.removesuffix("/receipt.json")) is None

    def test_the_same_again(self, evidence: Evidence, key: str) -> None:
        """Creating an object again changes nothing and returns the first."""
        first = evidence.create(key, "{}", HASH)
        assert evidence.create(key, "{}", HASH) == first
        assert evidence.read(key) == first

    def test_another_content(self, evidence: Evidence, key: str) -> None:
        """Nothing is overwritten: whoever comes second is told what the first has stored."""
        first = evidence.create(key, '{"by":"first"}', HASH)
        assert evidence.create(key, '{"by":"second"}', OTHER_HASH) == first
        assert evidence.create(key, '{"by":"third"}') == first
        assert evidence.read(key) == first

    def test_the_list(self, evidence: Evidence) -> None:
        """All keys that begin so are listed, in their order, and no others."""
        folder = f"sweeps/{uuid4()}"
        keys = [f"{folder}/asked/{name}.json" for name in ("a-1", "a-10", "a-2", "b b+ü%2F", "z")]
        for key in reversed(keys):
            evidence.create(key, "{}")
        evidence.create(f"{folder}/asked.json", "{}")
        assert list(evidence.list(f"{folder}/asked/")) == keys
        assert list(evidence.list(f"{folder}/asked/a-1")) == keys[:2]
        assert list(evidence.list(f"{folder}/nothing/")) == []

    def test_eight_at_once(self, evidence: Evidence, key: str) -> None:
        """Of several at once one is first, and all are told the same."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            told = list(pool.map(lambda n: evidence.create(key, f'{{"by":{n}}}', HASH), range(8)))
        assert told == [evidence.read(key)] * 8

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "Größe 数据 🙂 \u2028 \x7f",
            canonical_json({"lone": "\ud800", "last": "\uffff"}),
            canonical_json({"much": "🙂" * 300_000}),
        ],
        ids=["empty", "unicode", "escaped", "megabyte"],
    )
    def test_any_text(self, evidence: Evidence, key: str, body: str) -> None:
        """A body comes back as it was, to the character."""
        evidence.create(key, body)
        found = evidence.read(key)
        assert found is not None
        assert sha256_hex(found.body) == sha256_hex(body)

    def test_hostile_names(self, evidence: Evidence) -> None:
        """Datamarts of any name have objects of their own."""
        retirement_id, plan_id = "i" * 128, uuid4().hex * 2
        of = {
            key: f'"{number}"'
            for number, key in enumerate(
                key
                for name in HOSTILE_NAMES
                for key in (
                    retirement_key(name, retirement_id, f"{plan_id}.json"),
                    plan_key(name, plan_id),
                    rejected_key(f"{plan_id}{name}"),
                )
            )
        }
        assert len(of) == 3 * len(HOSTILE_NAMES)
        for key, body in of.items():
            evidence.create(key, body)
        for key, body in of.items():
            found = evidence.read(key)
            assert found is not None
            assert found.body == body


class TestS3Evidence:
    """What S3 alone can show."""

    def test_how_it_is_stored(self, s3_evidence: S3Evidence, aws: EmbeddedStack, bucket: str, key: str) -> None:
        """An object is JSON, checked by SHA-256 on the way, and carries the request's hash as metadata."""
        s3_evidence.create(key, "{}", HASH)
        head = aws.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert head["ContentType"] == "application/json"
        assert head["ChecksumSHA256"] == "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="
        assert head["Metadata"] == {"request": HASH}

    def test_no_version_is_added(self, s3_evidence: S3Evidence, aws: EmbeddedStack, bucket: str, key: str) -> None:
        """An object keeps its one version, whoever comes later."""
        for body in ("{}", "{}", '{"other":1}'):
            s3_evidence.create(key, body)
        assert len(aws.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 1

    def test_a_long_list(self, s3_evidence: S3Evidence, aws: EmbeddedStack, bucket: str) -> None:
        """More keys than fit into one answer of S3 are listed all the same, each once."""
        folder = f"sweeps/{uuid4()}/"
        keys = [f"{folder}{number:04}" for number in range(1_001)]
        for key in keys:
            aws.s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert list(s3_evidence.list(folder)) == keys

    def test_no_bucket(self, aws: EmbeddedStack, key: str) -> None:
        """A bucket that is missing is an error, and never an object that is missing."""
        nowhere = S3Evidence(aws.s3, f"nowhere-{uuid4()}")
        with pytest.raises(AwsCallFailed, match=f"S3 PutObject s3://nowhere-.*{key} failed: .*NoSuchBucket"):
            nowhere.create(key, "{}")
        with pytest.raises(AwsCallFailed, match=f"S3 GetObject s3://nowhere-.*{key} failed: .*NoSuchBucket"):
            nowhere.read(key)
        with pytest.raises(AwsCallFailed, match=r"S3 ListObjectsV2 s3://nowhere-.*/sweeps/ failed: .*NoSuchBucket"):
            list(nowhere.list("sweeps/"))

    def test_no_permission(self, stranger: "S3Client", bucket: str, key: str) -> None:
        """A 403 is an error, and never an object that is missing."""
        evidence = S3Evidence(stranger, bucket)
        with pytest.raises(AwsCallFailed, match="AccessDenied"):
            evidence.create(key, "{}")
        with pytest.raises(AwsCallFailed, match="AccessDenied"):
            evidence.read(key)
        with pytest.raises(AwsCallFailed, match="AccessDenied"):
            list(evidence.list("sweeps/"))
