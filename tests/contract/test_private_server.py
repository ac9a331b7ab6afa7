"""A server with a certificate of a private authority, spoken to with TLS."""

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest
import trustme

from retirement.databrain.transport import http_client


class Answering(BaseHTTPRequestHandler):
    """Answers each request."""

    def do_GET(self) -> None:  # the library's name for it
        """Answer."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A company's own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def url(authority: trustme.CA) -> Iterator[str]:
    """A server that it vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What `read_authority` makes of its certificate."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def test_only_its_own_authority_vouches_for_it(url: str, authority: trustme.CA) -> None:
    """With its authority the server is spoken to; with another one, or with the public ones, it is not."""
    with http_client(url, lambda: trusting(authority)) as http:
        assert http.get("/").status_code == 204
    for another in (lambda: trusting(trustme.CA()), None):
        with http_client(url, another) as http, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get("/")


def test_its_name_counts(url: str, authority: trustme.CA) -> None:
    """A certificate for another name is none for this one, whoever vouches for it."""
    with (
        http_client(url.replace("localhost", "127.0.0.1"), lambda: trusting(authority)) as http,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.get("/")
