"""What the file of lists may hold; how a file of the owner's is read is the contract suite's and the map's."""

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from retirement.aws.datamart_lists import MAX_GLOB_LENGTH, MAX_GLOBS, SIZE_LIMIT, S3DatamartLists
from retirement.environment import S3Location
from retirement.errors import AwsCallFailed, ConfigurationError
from retirement.globs import NO_LISTS, DatamartLists
from tests.fakes import START

READ = {"Bucket": "lists", "Key": "databrain/datamarts.json"}
WHERE = "s3://lists/databrain/datamarts.json (DatamartListsUri)"
NAMED = "^DatamartListsUri: s3://lists/databrain/datamarts.json"


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
def source(s3: Any) -> S3DatamartLists:  # noqa: ANN401  # a client
    """The adapter."""
    return S3DatamartLists(s3, S3Location("lists", "databrain/datamarts.json"))


def answered(stub: Stubber, body: object, size: int | None = None) -> None:
    """Let the object be there: these bytes, or anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = len(content) if size is None else size
    stream = StreamingBody(io.BytesIO(content), len(content))
    stub.add_response("get_object", {"Body": stream, "ContentLength": size, "LastModified": START}, READ)


def test_no_file(s3: Any) -> None:  # noqa: ANN401  # a client
    """A stack without a file asks for none."""
    with Stubber(s3):
        assert S3DatamartLists(s3, None).read() == NO_LISTS


@pytest.mark.parametrize(
    ("file", "lists"),
    [
        ({"protected": ["core-*"]}, DatamartLists(WHERE, protected=("core-*",))),
        ({"retirable": ["tenant-*"]}, DatamartLists(WHERE, retirable=("tenant-*",))),
        (
            {"retirable": ["*"], "protected": ["core-*", "Marketing, EU"]},
            DatamartLists(WHERE, protected=("core-*", "Marketing, EU"), retirable=("*",)),
        ),
        ({"protected": ["x"] * MAX_GLOBS}, DatamartLists(WHERE, protected=("x",) * MAX_GLOBS)),
        (b'\xef\xbb\xbf{"protected": ["core-*"]}', DatamartLists(WHERE, protected=("core-*",))),
    ],
)
def test_lists(stub: Stubber, source: S3DatamartLists, file: object, lists: DatamartLists) -> None:
    """Either list may be left out, and then adds nothing to the stack's parameters."""
    answered(stub, file)

    assert source.read() == lists


@pytest.mark.parametrize(
    "glob",
    [
        "Marketing, EU",
        'the "good" one',
        "O'Brien; Söhne",
        "{core} `x` «y»",
        "Umsätze 日本 📈",
        "[ab]*",
        "x[!a,b]",
        "[[]x]",
        "a]",
        "\\",
        "x" * MAX_GLOB_LENGTH,
    ],
)
def test_glob(stub: Stubber, source: S3DatamartLists, glob: str) -> None:
    """JSON quotes, so a glob may hold what a list of the parameters cannot; spaces around it are cut."""
    answered(stub, {"protected": [glob], "retirable": [f" {glob[:200]}  "]})

    assert source.read() == DatamartLists(WHERE, protected=(glob,), retirable=(glob[:200],))


@pytest.mark.parametrize(
    "glob",
    [
        "",
        " ",
        "\u00a0",
        "core-*\n",
        "core-*\nhr",
        "a\tb",
        "a\x00",
        "a\x7f",
        "a\x85",
        "a\u2028b",
        "\ud800",
        "core-[a",
        "core-[!]",
        "[]",
        "[core-*]",
        '["core-*", "hr"]',
        "x" * (MAX_GLOB_LENGTH + 1),
        None,
        7,
        True,
        ["core-*"],
        {"glob": "core-*"},
    ],
)
@pytest.mark.parametrize("name", ["protected", "retirable"])
def test_no_glob(stub: Stubber, source: S3DatamartLists, name: str, glob: object) -> None:
    """One entry that nobody can have meant as a glob spoils the file, and is named."""
    answered(stub, {name: ["core-*", glob]})

    with pytest.raises(ConfigurationError, match=rf"{NAMED}: {name}\.1 is .*: expected a glob of 1 to 256 characters"):
        source.read()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", " is not valid JSON"),
        (b"core-*,hr\n", " is not valid JSON"),
        (b'{"protected": ["\xff"]}', " is not valid JSON"),
        (b'{"protected": ["a"], "protected": ["b"]}', " is not valid JSON: an object has a duplicate key"),
        ([], " must be a JSON object with protected, retirable or both"),
        (["core-*"], " must be a JSON object"),
        (None, " must be a JSON object"),
        ({}, " must be a JSON object"),
        ({"Protected": ["core-*"]}, " has the unknown field 'Protected'"),
        ({"protected": ["core-*"], "retireable": ["x"]}, " has the unknown field 'retireable'"),
        ({"protected": ["core-*"], "\u00e9" * 9_999: []}, r" has the unknown field '(\\xe9)+\.\.\.'"),
        ({"protected": []}, ": protected must be a list of 1 to 1,000 globs; it has 0"),
        ({"protected": ["core-*"], "retirable": []}, ": retirable must be a list of 1 to 1,000 globs; it has 0"),
        ({"protected": "core-*"}, ": protected must be a list of 1 to 1,000 globs"),
        ({"protected": None}, ": protected must be a list"),
        ({"retirable": {"core-*": True}}, ": retirable must be a list"),
        ({"retirable": ["x"] * (MAX_GLOBS + 1)}, ": retirable must be a list of 1 to 1,000 globs; it has 1,001"),
    ],
)
def test_broken(stub: Stubber, source: S3DatamartLists, file: object, said: str) -> None:
    """A file of another shape does not pass as empty; the setting, the file and the field are named."""
    answered(stub, file)

    with pytest.raises(ConfigurationError, match=NAMED + said):
        source.read()


def test_entry_of_a_long_text(stub: Stubber, source: S3DatamartLists) -> None:
    """An entry is named in a message that a log can hold."""
    answered(stub, {"protected": ["\U0001f642" * 100_000]})

    with pytest.raises(ConfigurationError) as raised:
        source.read()
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(("size", "is_too_large"), [(SIZE_LIMIT, False), (SIZE_LIMIT + 1, True)])
def test_size(stub: Stubber, source: S3DatamartLists, size: int, is_too_large: bool) -> None:  # noqa: FBT001  # a parameter
    """A file of more than 1 MiB is not even read."""
    answered(stub, {"protected": ["core-*"]}, size)

    if is_too_large:
        with pytest.raises(ConfigurationError, match=f"{NAMED} is larger than 1048576 bytes"):
            source.read()
    else:
        assert source.read().protected == ("core-*",)


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "AccessDenied"])
def test_missing(stub: Stubber, source: S3DatamartLists, code: str) -> None:
    """A file that is not there, or not for this role, is a wrong setting."""
    stub.add_client_error("get_object", code)

    with pytest.raises(ConfigurationError, match=rf"{NAMED} cannot be read \({code}\): put the file there"):
        source.read()


def test_s3_fails(stub: Stubber, source: S3DatamartLists) -> None:
    """Any other refusal may pass by itself."""
    stub.add_client_error("get_object", "SlowDown", http_status_code=503)

    with pytest.raises(AwsCallFailed, match=f"{NAMED} could not be read: SlowDown"):
        source.read()
