"""The port `EmbedMapSource`: one suite for the fake and for S3, and what S3 alone can show."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest

from local.emulator import REGION, Emulator
from local.stack import CLIENT_CONFIG, EmbeddedStack
from retirement.aws.embed_map import S3EmbedMap
from retirement.databrain.dependents import NO_DATAMART, EmbedMap
from retirement.databrain.ports import EmbedMapSource
from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from tests.fakes import FakeEmbedMap

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.xdist_group("ministack")

TOLD = {"e-1": "sales", "e-2": "Umsätze 売上 📈", "e 3/?": NO_DATAMART}
Sources = Callable[[dict[str, str] | None], EmbedMapSource]
Put = Callable[[bytes], S3Location]


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedStack) -> str:
    """A bucket of the owner's."""
    name = f"maps-{uuid4()}"
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def put(aws: EmbeddedStack, bucket: str) -> Put:
    """Put a map, under one name for a test, and return where it is."""
    location = S3Location(bucket, f"databrain/{uuid4()} ü.json")

    def write(body: bytes) -> S3Location:
        aws.s3.put_object(Bucket=location.bucket, Key=location.key, Body=body)
        return location

    return write


@pytest.fixture(params=["fake", "s3"])
def source_of(request: pytest.FixtureRequest) -> Sources:
    """The fake and the adapter, in turn, on a map that tells this, or on none."""

    def fake(told: dict[str, str] | None) -> EmbedMapSource:
        return FakeEmbedMap(None if told is None else EmbedMap(told, datetime.now(UTC)))

    def s3(told: dict[str, str] | None) -> EmbedMapSource:
        stack: EmbeddedStack = request.getfixturevalue("aws")
        write: Put = request.getfixturevalue("put")
        if told is None:
            return S3EmbedMap(stack.s3, None)
        names = {embed_id: name or None for embed_id, name in told.items()}
        return S3EmbedMap(stack.s3, write(json.dumps(names).encode()))

    return fake if request.param == "fake" else s3


def test_no_map(source_of: Sources) -> None:
    """A stack need not have one."""
    assert source_of(None).read() is None


@pytest.mark.parametrize("told", [TOLD, {}])
def test_map(source_of: Sources, told: dict[str, str]) -> None:
    """A map tells what its owner wrote, and when that was."""
    earliest = datetime.now(UTC) - timedelta(minutes=1)  # S3 tells whole seconds
    source = source_of(told)
    embed_map = source.read()
    assert embed_map is not None
    assert embed_map.datamart_names == told
    assert earliest < embed_map.made_at < datetime.now(UTC) + timedelta(minutes=1)
    assert source.read() == embed_map


class TestS3EmbedMap:
    """What S3 alone can show."""

    def test_a_newer_map(self, aws: EmbeddedStack, put: Put) -> None:
        """The map is read anew for each retirement."""
        source = S3EmbedMap(aws.s3, put(b'{"e": "sales"}'))
        assert source.read() is not None
        put(b'{"e": "hr"}')
        embed_map = source.read()
        assert embed_map is not None
        assert embed_map.datamart_names == {"e": "hr"}

    def test_what_the_tool_writes(self, aws: EmbeddedStack, put: Put) -> None:
        """What `make embed-map` writes is a map, and tells what has been filled in."""
        entry = {"name": "Board", "dataApp": "Portal", "dashboard": "Sales", "updatedAt": "2026-03-01T12:00:00.000Z"}
        filled = {"sold": "sales", "none": None, "nobody looked": ""}
        body = json.dumps({embed_id: {**entry, "datamart": name} for embed_id, name in filled.items()}, indent=2)
        embed_map = S3EmbedMap(aws.s3, put(body.encode())).read()
        assert embed_map is not None
        assert embed_map.datamart_names == {"sold": "sales", "none": NO_DATAMART}
        assert embed_map.seen == dict.fromkeys(filled, datetime(2026, 3, 1, 12, tzinfo=UTC))

    def test_two_thousand_embeds(self, aws: EmbeddedStack, put: Put) -> None:
        """A large organisation is no matter."""
        told = {f"embed-{number}": f"datamart-{number % 50}" for number in range(2_000)}
        embed_map = S3EmbedMap(aws.s3, put(json.dumps(told).encode())).read()
        assert embed_map is not None
        assert embed_map.datamart_names == told

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"e": 1}', b'{"e": {}}'])
    def test_a_broken_map(self, aws: EmbeddedStack, put: Put, body: bytes) -> None:
        """A map of another shape does not pass as empty: the setting is named, and where the map is."""
        location = put(body)
        with pytest.raises(ConfigurationError, match=r"^EmbedMapUri: ") as raised:
            S3EmbedMap(aws.s3, location).read()
        assert f"s3://{location.bucket}/{location.key}" in str(raised.value)

    def test_no_object(self, aws: EmbeddedStack, bucket: str) -> None:
        """A map that is not there is a wrong setting."""
        with pytest.raises(ConfigurationError, match=r"^EmbedMapUri: .*NoSuchKey"):
            S3EmbedMap(aws.s3, S3Location(bucket, "nowhere.json")).read()

    def test_no_bucket(self, aws: EmbeddedStack) -> None:
        """So is one in a bucket that is not there."""
        with pytest.raises(ConfigurationError, match=r"^EmbedMapUri: .*NoSuchBucket"):
            S3EmbedMap(aws.s3, S3Location(f"nowhere-{uuid4()}", "map.json")).read()

    def test_not_allowed(self, emulator: Emulator, aws: EmbeddedStack, put: Put) -> None:
        """So is one that the role may not read."""
        user = f"stranger-{uuid4()}"
        aws.iam.create_user(UserName=user)
        key = aws.iam.create_access_key(UserName=user)["AccessKey"]
        stranger: S3Client = boto3.client(
            "s3",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            region_name=REGION,
            endpoint_url=emulator.endpoint,
            verify=str(emulator.authority),
            config=CLIENT_CONFIG,
        )
        with pytest.raises(ConfigurationError, match=r"^EmbedMapUri: .*AccessDenied"):
            S3EmbedMap(stranger, put(b"{}")).read()

    def test_no_connection(self, emulator: Emulator) -> None:
        """An S3 that nobody can reach may be there again later."""
        nowhere: S3Client = boto3.client(
            "s3",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            region_name=REGION,
            endpoint_url="https://127.0.0.1:9",
            verify=str(emulator.authority),
            config=CLIENT_CONFIG,
        )
        with pytest.raises(AwsCallFailed, match=r"^EmbedMapUri: "):
            S3EmbedMap(nowhere, S3Location("maps", "map.json")).read()
