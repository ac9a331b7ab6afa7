"""What the map may hold, and what S3 does not do on demand; the rest is the contract suite's."""

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from retirement.aws.embed_map import SIZE_LIMIT, S3EmbedMap
from retirement.databrain.dependents import NO_DATAMART, EmbedMap
from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from tests.fakes import START

MADE_AT = START - timedelta(days=30)
READ = {"Bucket": "maps", "Key": "databrain/embeds.json"}
NAMED = "^EmbedMapUri: s3://maps/databrain/embeds.json "


@pytest.fixture(scope="module")
def s3() -> Any:  # noqa: ANN401  # a client
    """A client that has no account."""
    return boto3.client("s3", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.fixture
def stub(s3: Any) -> Iterator[Stubber]:  # noqa: ANN401  # a client
    """Answers in order; all of them are asked for."""
    with Stubber(s3) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def source(s3: Any) -> S3EmbedMap:  # noqa: ANN401  # a client
    """The adapter."""
    return S3EmbedMap(s3, S3Location("maps", "databrain/embeds.json"))


def answered(stub: Stubber, body: bytes, size: int | None = None) -> None:
    """Let the object be there."""
    size = len(body) if size is None else size
    stub.add_response(
        "get_object",
        {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": size, "LastModified": MADE_AT},
        READ,
    )


def test_no_map(s3: Any) -> None:  # noqa: ANN401  # a client
    """A stack without a map asks for none."""
    with Stubber(s3):
        assert S3EmbedMap(s3, None).read() is None


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("sales", {"e": "sales"}),
        (" Sales", {"e": " Sales"}),
        (None, {"e": NO_DATAMART}),
        ({"datamart": "sales"}, {"e": "sales"}),
        ({"name": "Board", "dataApp": "Portal", "dashboard": None, "datamart": "sales"}, {"e": "sales"}),
        ({"datamart": None}, {"e": NO_DATAMART}),
        ({"datamart": ""}, {}),
    ],
)
def test_entry(stub: Stubber, source: S3EmbedMap, entry: object, told: dict[str, str]) -> None:
    """An entry is a name, or null for none, as such or filled in; what nobody has filled in tells nothing."""
    answered(stub, json.dumps({"e": entry}).encode())

    assert source.read() == EmbedMap(told, MADE_AT)


@pytest.mark.parametrize(
    ("updated_at", "seen"),
    [
        ("2026-03-01T12:00:00.000Z", START),
        ("2026-03-01T13:00:00+01:00", START),
        ("2026-03-01T12:00:00.000001Z", START + timedelta(microseconds=1)),
        (None, None),
    ],
)
@pytest.mark.parametrize("datamart", ["sales", None, ""])
def test_what_was_seen(
    stub: Stubber, source: S3EmbedMap, updated_at: str | None, seen: datetime | None, datamart: str | None
) -> None:
    """An entry may name the updatedAt of the embed that its owner saw; where Databrain tells none it is null."""
    answered(stub, json.dumps({"e": {"updatedAt": updated_at, "datamart": datamart}, "plain": "hr"}).encode())

    embed_map = source.read()

    assert embed_map is not None
    assert embed_map.seen == {"e": seen}
    assert embed_map.datamart_names.get("e", "nobody looked") == {None: NO_DATAMART, "": "nobody looked"}.get(
        datamart, datamart
    )


@pytest.mark.parametrize("updated_at", ["", "yesterday", "2026-03-01", "2026-03-01T12:00:00", 7, True, ["2026"], {}])
def test_wrong_time(stub: Stubber, source: S3EmbedMap, updated_at: object) -> None:
    """An updatedAt that is no time spoils the map: it would speak of nothing, or of anything."""
    answered(stub, json.dumps({"e": {"updatedAt": updated_at, "datamart": "sales"}}).encode())

    with pytest.raises(ConfigurationError, match=NAMED.rstrip() + ": the updatedAt of 'e' must be the time that"):
        source.read()


@pytest.mark.parametrize("body", [b"{}", b"\xef\xbb\xbf{}"], ids=["plain", "with a byte order mark"])
def test_empty_map(stub: Stubber, source: S3EmbedMap, body: bytes) -> None:
    """A map may hold nothing, and may be what an editor makes of it."""
    answered(stub, body)

    assert source.read() == EmbedMap({}, MADE_AT)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"embedId,datamart\n", "is not valid JSON"),
        (b'{"e": "\xff"}', "is not valid JSON"),
        (b'{"e": "sales", "e": "hr"}', "is not valid JSON: an object has a duplicate key"),
        (b'{"e": NaN}', "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON: it is nested deeper than 100 levels"),
        (b'{"e": ' + b"9" * 1_001 + b"}", "is not valid JSON: a number is too long"),
        (b'{"e": 1e999}', "is not valid JSON: a number is too large"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"sales"', "must be a JSON object"),
    ],
)
def test_broken(stub: Stubber, source: S3EmbedMap, body: bytes, said: str) -> None:
    """A map that is not a JSON object does not pass as empty; the setting and the object are named."""
    answered(stub, body)

    with pytest.raises(ConfigurationError, match=NAMED + said):
        source.read()


@pytest.mark.parametrize("entry", ["", 7, True, [], ["sales"], {"datamart": 7}, {"datamart": {"datamart": "sales"}}])
def test_wrong_entry(stub: Stubber, source: S3EmbedMap, entry: object) -> None:
    """One entry of another shape spoils the map, and is named."""
    answered(stub, json.dumps({"a": "sales", "\u00e9": entry}).encode())

    with pytest.raises(ConfigurationError, match=r"the entry of '\\xe9' must be a datamart's name, or null for none"):
        source.read()


def test_entry_of_a_long_name(stub: Stubber, source: S3EmbedMap) -> None:
    """An entry is named in a message that a log can hold."""
    answered(stub, json.dumps({"e" * 1_000_000: 7}).encode())

    with pytest.raises(ConfigurationError) as raised:
        source.read()
    assert len(str(raised.value)) < 300


def test_entry_without_a_datamart(stub: Stubber, source: S3EmbedMap) -> None:
    """An object whose field is missing or misspelt is not taken for one that nobody has filled in."""
    answered(stub, b'{"e": {"dataMart": "sales"}}')

    with pytest.raises(ConfigurationError, match="the entry of 'e' has no field datamart"):
        source.read()


@pytest.mark.parametrize(("size", "is_too_large"), [(SIZE_LIMIT, False), (SIZE_LIMIT + 1, True)])
def test_size(stub: Stubber, source: S3EmbedMap, size: int, is_too_large: bool) -> None:  # noqa: FBT001  # a parameter
    """A map that would not fit the memory is not even read."""
    answered(stub, b"{}", size)

    if is_too_large:
        with pytest.raises(ConfigurationError, match=f"{NAMED}is larger than {SIZE_LIMIT} bytes"):
            source.read()
    else:
        assert source.read() is not None


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "AccessDenied"])
def test_missing(stub: Stubber, source: S3EmbedMap, code: str) -> None:
    """A map that is not there, or not for this role, is a wrong setting."""
    stub.add_client_error("get_object", code)

    with pytest.raises(ConfigurationError, match=rf"{NAMED}cannot be read \({code}\): put the file there") as raised:
        source.read()
    assert ("its KMS key" in str(raised.value)) == (code == "AccessDenied")


def test_s3_fails(stub: Stubber, source: S3EmbedMap) -> None:
    """Any other refusal may pass by itself."""
    stub.add_client_error("get_object", "SlowDown", http_status_code=503)

    with pytest.raises(AwsCallFailed, match=f"{NAMED}could not be read: SlowDown"):
        source.read()


def test_no_connection(source: S3EmbedMap, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that reaches nobody is an error, and never an empty map."""

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(source._s3, "get_object", fail)  # noqa: SLF001  # a Stubber raises no such error

    with pytest.raises(AwsCallFailed, match=NAMED):
        source.read()
