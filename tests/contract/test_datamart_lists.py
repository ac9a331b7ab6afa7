"""The port `DatamartListsSource`: one suite for the fake and for S3, and what S3 alone can show."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest

from local.emulator import REGION, Emulator
from local.stack import CLIENT_CONFIG, EmbeddedStack
from retirement.aws.datamart_lists import S3DatamartLists
from retirement.databrain.ports import DatamartListsSource
from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.globs import NO_LISTS, DatamartLists
from tests.fakes import FakeDatamartLists

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.xdist_group("ministack")

Lists = dict[str, list[str]]
Sources = Callable[[Lists | None], DatamartListsSource]
Put = Callable[[bytes], S3Location]


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedStack) -> str:
    """A bucket of the owner's."""
    name = f"lists-{uuid4()}"
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def put(aws: EmbeddedStack, bucket: str) -> Put:
    """Put a file, under one name for a test, and return where it is."""
    location = S3Location(bucket, f"databrain/{uuid4()} ü.json")

    def write(body: bytes) -> S3Location:
        aws.s3.put_object(Bucket=location.bucket, Key=location.key, Body=body)
        return location

    return write


@pytest.fixture(params=["fake", "s3"])
def source_of(request: pytest.FixtureRequest) -> Sources:
    """The fake and the adapter, in turn, on a file of these lists, or on none."""

    def fake(lists: Lists | None) -> DatamartListsSource:
        if lists is None:
            return FakeDatamartLists()
        globs = {name: tuple(listed) for name, listed in lists.items()}
        return FakeDatamartLists(DatamartLists("s3://lists/datamarts.json (DatamartListsUri)", **globs))

    def s3(lists: Lists | None) -> DatamartListsSource:
        stack: EmbeddedStack = request.getfixturevalue("aws")
        write: Put = request.getfixturevalue("put")
        return S3DatamartLists(stack.s3, None if lists is None else write(json.dumps(lists).encode()))

    return fake if request.param == "fake" else s3


def test_no_file(source_of: Sources) -> None:
    """A stack need not have a file: nothing more is protected then, and nothing less may be retired."""
    assert source_of(None).read() == NO_LISTS


@pytest.mark.parametrize(
    ("lists", "protected", "retirable"),
    [
        ({"protected": ["core-*", "Marketing, EU"]}, ("core-*", "Marketing, EU"), ("*",)),
        ({"retirable": ["tenant-*"]}, (), ("tenant-*",)),
        ({"protected": ["Umsätze 売上 📈"], "retirable": ['"a"', "b"]}, ("Umsätze 売上 📈",), ('"a"', "b")),
    ],
)
def test_lists(source_of: Sources, lists: Lists, protected: tuple[str, ...], retirable: tuple[str, ...]) -> None:
    """The lists are what their owner wrote, with where that is."""
    source = source_of(lists)
    read = source.read()
    assert (read.protected, read.retirable) == (protected, retirable)
    assert read.where.startswith("s3://")
    assert read.where.endswith(" (DatamartListsUri)")
    assert source.read() == read


class TestS3DatamartLists:
    """What S3 alone can show."""

    def test_newer_lists(self, aws: EmbeddedStack, put: Put) -> None:
        """The file is read anew each time."""
        source = S3DatamartLists(aws.s3, put(b'{"protected": ["a"]}'))
        assert source.read().protected == ("a",)
        put(b'{"protected": ["b"]}')
        assert source.read().protected == ("b",)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"protected": []}', b'{"protected": ["["]}'])
    def test_a_broken_file(self, aws: EmbeddedStack, put: Put, body: bytes) -> None:
        """A file of another shape does not pass as empty: the setting is named, and where the file is."""
        location = put(body)
        with pytest.raises(ConfigurationError, match=r"^DatamartListsUri: ") as raised:
            S3DatamartLists(aws.s3, location).read()
        assert f"s3://{location.bucket}/{location.key}" in str(raised.value)

    def test_no_object(self, aws: EmbeddedStack, bucket: str) -> None:
        """A file that is not there is a wrong setting."""
        with pytest.raises(ConfigurationError, match=r"^DatamartListsUri: .*NoSuchKey"):
            S3DatamartLists(aws.s3, S3Location(bucket, "nowhere.json")).read()

    def test_no_bucket(self, aws: EmbeddedStack) -> None:
        """So is one in a bucket that is not there."""
        with pytest.raises(ConfigurationError, match=r"^DatamartListsUri: .*NoSuchBucket"):
            S3DatamartLists(aws.s3, S3Location(f"nowhere-{uuid4()}", "lists.json")).read()

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
        with pytest.raises(AwsCallFailed, match=r"^DatamartListsUri: "):
            S3DatamartLists(nowhere, S3Location("lists", "lists.json")).read()
