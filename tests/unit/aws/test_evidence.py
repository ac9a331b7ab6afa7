"""Only what a real bucket does not do on demand; the rest is the contract suite's."""

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from retirement.aws.evidence import S3Evidence
from retirement.errors import AwsCallFailed, MalformedObject
from retirement.stored_object import StoredObject

KEY = "retirements/sales/offboard-1/receipt.json"
BODY = '{"name":"é"}'
HASH = "0" * 64
READ = {"Bucket": "evidence", "Key": KEY, "ChecksumMode": "ENABLED"}
WRITTEN = {
    "Bucket": "evidence",
    "Key": KEY,
    "Body": BODY.encode(),
    "ContentType": "application/json",
    "ChecksumSHA256": base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode(),
    "IfNoneMatch": "*",
    "Metadata": {"request": HASH},
}


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
def evidence(s3: Any) -> S3Evidence:  # noqa: ANN401  # a client
    """The adapter."""
    return S3Evidence(s3, "evidence")


def found(body: bytes = BODY.encode(), **more: object) -> dict[str, object]:
    """An answer of GetObject."""
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), **more}


def test_create(stub: Stubber, evidence: S3Evidence) -> None:
    """An object is written only where there is none, with its checksum, and the request's hash beside it."""
    stub.add_response("put_object", {"VersionId": "v1"}, WRITTEN)

    assert evidence.create(KEY, BODY, HASH) == StoredObject("evidence", KEY, "v1", BODY, HASH)


def test_create_without_hash(stub: Stubber, evidence: S3Evidence) -> None:
    """What is no receipt carries no hash of a request."""
    stub.add_response("put_object", {}, WRITTEN | {"Metadata": {}})

    assert evidence.create(KEY, BODY) == StoredObject("evidence", KEY, None, BODY, None)


def test_exists(stub: Stubber, evidence: S3Evidence) -> None:
    """Where there is one already, that one is returned and stays as it is."""
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_response("get_object", found(b"{}", VersionId="v0", Metadata={"request": "theirs"}), READ)

    assert evidence.create(KEY, BODY, HASH) == StoredObject("evidence", KEY, "v0", "{}", "theirs")


def test_exists_and_does_not(stub: Stubber, evidence: S3Evidence) -> None:
    """An object that is there and not there is an error."""
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)

    with pytest.raises(AwsCallFailed, match="exists, and then that it does not"):
        evidence.create(KEY, BODY)


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
@pytest.mark.parametrize("conflicts", [1, 2])
def test_conflict(stub: Stubber, evidence: S3Evidence, conflicts: int, code: str) -> None:
    """A concurrent write is waited out by trying again."""
    for _ in range(conflicts):
        stub.add_client_error("put_object", code, http_status_code=409)
    stub.add_response("put_object", {"VersionId": "v1"})

    assert evidence.create(KEY, BODY).version_id == "v1"


def test_conflicts_without_end(stub: Stubber, evidence: S3Evidence) -> None:
    """Three conflicts in a row are given up."""
    for code in ("ConditionalRequestConflict", "OperationAborted", "ConditionalRequestConflict"):
        stub.add_client_error("put_object", code, http_status_code=409)

    with pytest.raises(AwsCallFailed, match="3 conflicts"):
        evidence.create(KEY, BODY)


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404), ("SlowDown", 503), ("", 400)]
)
def test_write_fails(stub: Stubber, evidence: S3Evidence, code: str, status: int) -> None:
    """A write that fails for any other reason is an error that names the object."""
    stub.add_client_error("put_object", code, http_status_code=status)

    with pytest.raises(AwsCallFailed, match=f"PutObject s3://evidence/{KEY}"):
        evidence.create(KEY, BODY)


def test_no_connection(evidence: S3Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that reaches nobody is an error."""

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(evidence._s3, "put_object", fail)  # noqa: SLF001  # a Stubber raises no such error

    with pytest.raises(AwsCallFailed):
        evidence.create(KEY, BODY)


def test_read(stub: Stubber, evidence: S3Evidence) -> None:
    """An object is read with its checksum verified, its version and the request's hash."""
    stub.add_response("get_object", found(VersionId="v1", Metadata={"request": HASH}), READ)

    assert evidence.read(KEY) == StoredObject("evidence", KEY, "v1", BODY, HASH)


def test_nothing_there(stub: Stubber, evidence: S3Evidence) -> None:
    """Only `NoSuchKey` says that there is none."""
    stub.add_client_error(
        "get_object",
        "NoSuchKey",
        http_status_code=404,
        expected_params={"Bucket": ANY, "Key": KEY, "ChecksumMode": ANY},
    )

    assert evidence.read(KEY) is None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("403", 403),
        ("NoSuchBucket", 404),
        ("404", 404),
        ("InvalidObjectState", 403),
        ("SlowDown", 503),
    ],
)
def test_read_fails(stub: Stubber, evidence: S3Evidence, code: str, status: int) -> None:
    """Anything else is an error and never "there is none", a 403 above all."""
    stub.add_client_error("get_object", code, http_status_code=status)

    with pytest.raises(AwsCallFailed, match=f"GetObject s3://evidence/{KEY}"):
        evidence.read(KEY)


@pytest.mark.parametrize("body", [b"\xff", b"\xed\xa0\x80"])
def test_no_text(stub: Stubber, evidence: S3Evidence, body: bytes) -> None:
    """An object that is no UTF-8 is an error that tells it from a call that failed: this project did not write it."""
    stub.add_response("get_object", found(body))

    with pytest.raises(MalformedObject):
        evidence.read(KEY)


def test_cut_short(stub: Stubber, evidence: S3Evidence) -> None:
    """A body that ends early is an error."""
    stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"{"), 100)})

    with pytest.raises(AwsCallFailed):
        evidence.read(KEY)


# ---- The list ------------------------------------------------------------------------------------------------------


def page(*keys: str, after: str | None = None, more: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """An answer of ListObjectsV2, and what it is asked with; `more` is the token of the next one."""
    asked = {"Bucket": "evidence", "Prefix": "sweeps/"} | ({} if after is None else {"ContinuationToken": after})
    answer: dict[str, Any] = {"IsTruncated": more is not None}
    answer |= {"Contents": [{"Key": key} for key in keys]} if keys else {}
    return answer | ({} if more is None else {"NextContinuationToken": more}), asked


def test_pages(stub: Stubber, evidence: S3Evidence) -> None:
    """Page follows page, an empty one too, until S3 says that it was the last."""
    stub.add_response("list_objects_v2", *page("sweeps/a", "sweeps/b", more="1"))
    stub.add_response("list_objects_v2", *page(after="1", more="2"))
    stub.add_response("list_objects_v2", *page("sweeps/c", after="2"))

    assert list(evidence.list("sweeps/")) == ["sweeps/a", "sweeps/b", "sweeps/c"]


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "SlowDown"])
def test_list_fails_in_between(stub: Stubber, evidence: S3Evidence, code: str) -> None:
    """A list that breaks off is an error, and never a short list."""
    stub.add_response("list_objects_v2", *page("sweeps/a", more="1"))
    stub.add_client_error("list_objects_v2", code)

    with pytest.raises(AwsCallFailed, match="ListObjectsV2 s3://evidence/sweeps/"):
        list(evidence.list("sweeps/"))
