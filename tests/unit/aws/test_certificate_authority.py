"""Whom to trust in the name of a private server: what the owner's file may hold, and when it is read."""

import io
import ssl
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
import trustme
from botocore.response import StreamingBody
from botocore.stub import Stubber

from retirement.aws.certificate_authority import SIZE_LIMIT, read_authority
from retirement.databrain.transport import http_client
from retirement.environment import S3Location
from retirement.errors import ConfigurationError
from tests.fakes import START

WHERE = S3Location("maps", "authority.pem")
NAMED = "^DatabrainCaUri: s3://maps/authority.pem "
ONE, OTHER = (trustme.CA().cert_pem.bytes() for _ in range(2))


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


def answered(stub: Stubber, body: bytes, size: int | None = None) -> None:
    """Let the object be there."""
    size = len(body) if size is None else size
    stub.add_response(
        "get_object",
        {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": size, "LastModified": START},
        {"Bucket": "maps", "Key": "authority.pem"},
    )


@pytest.mark.parametrize(
    ("body", "count"),
    [(ONE, 1), (ONE + OTHER, 2), ("\ufeff# Größe\n".encode() + ONE.replace(b"\n", b"\r\n") + b"# end", 1)],
    ids=["one", "two", "with remarks"],
)
def test_its_authorities_alone_are_trusted(stub: Stubber, s3: Any, body: bytes, count: int) -> None:  # noqa: ANN401
    """The file's certificates are trusted and no others; names and times are checked as ever."""
    answered(stub, body)

    context = read_authority(s3, WHERE)

    assert len(context.get_ca_certs()) == count
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"no certificate",
        ONE.decode().encode("utf-16"),
        ONE[: len(ONE) // 2],
        ONE.replace(b"CERTIFICATE", b"PUBLIC KEY"),
        ssl.PEM_cert_to_DER_cert(ONE.decode()),
    ],
    ids=["empty", "blank", "words", "UTF-16", "cut", "a key", "DER"],
)
def test_what_is_no_certificate_trusts_nobody(stub: Stubber, s3: Any, body: bytes) -> None:  # noqa: ANN401
    """A file without a certificate is a wrong setting; the public authorities do not stand in for it."""
    answered(stub, body)

    with pytest.raises(ConfigurationError, match=NAMED + "contains no certificate in PEM"):
        read_authority(s3, WHERE)


def test_size(stub: Stubber, s3: Any) -> None:  # noqa: ANN401
    """What is far too large is not even read."""
    answered(stub, b"", SIZE_LIMIT + 1)

    with pytest.raises(ConfigurationError, match=f"{NAMED}is larger than {SIZE_LIMIT} bytes"):
        read_authority(s3, WHERE)


def test_it_is_read_with_the_first_request(stub: Stubber, s3: Any) -> None:  # noqa: ANN401
    """A file that is missing fails the attempt, which is answered, and not the function's start."""
    with http_client("https://databrain.test", lambda: read_authority(s3, WHERE)) as http:
        stub.add_client_error("get_object", "NoSuchKey")
        with pytest.raises(ConfigurationError, match=NAMED + r"cannot be read \(NoSuchKey\)"):
            http.get("/")


def test_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests share its connections."""
    reads: list[ssl.SSLContext] = []

    def read() -> ssl.SSLContext:
        reads.append(ssl.create_default_context())
        return reads[-1]

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _self, _request: httpx.Response(204))
    with http_client("https://databrain.test", read) as http:
        assert [http.get("/").status_code for _ in range(3)] == [204] * 3
    assert len(reads) == 1
