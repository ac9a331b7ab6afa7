"""What `make lint` makes of the known vulnerabilities, with a server that plays OSV."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tools import audit as tool
from tools.audit import audit

Answer = tuple[int, str]

CLEAN: Answer = (200, "{}")
VULNERABLE: Answer = (200, json.dumps({"vulns": [{"id": "PYSEC-1", "summary": "It leaks.", "affected": []}]}))
HASH = "--hash=sha256:" + 64 * "0"


@contextmanager
def osv(answer: Callable[[str], Answer]) -> Iterator[str]:
    """Answer each question by the name of its package, and yield the URL to ask."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(question["package"]["name"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def known(*names: str) -> Callable[[str], Answer]:
    """Know vulnerabilities of these packages, and of the one that OSV is known by."""
    return lambda name: VULNERABLE if name in ("jinja2", *names) else CLEAN


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine needs, it is not for its own address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def lists(tmp_path: Path) -> list[Path]:
    """Two lists that pin one package to different releases."""
    paths = [tmp_path / "one.txt", tmp_path / "other.txt"]
    paths[0].write_text(f"first==1.0 {HASH}\nsecond==2.0 {HASH}\n")
    paths[1].write_text(f"first==1.1 {HASH}\n")
    return paths


def test_clean(lists: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Each package of each list is looked up; lists without a known vulnerability pass, and each is named."""
    asked = []

    def answer(name: str) -> Answer:
        asked.append(name)
        return known()(name)

    with osv(answer) as url:
        assert audit(lists, url) == 0
    assert sorted(asked) == ["first", "first", "jinja2", "second"]
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == [f"{path}: No known vulnerabilities found" for path in lists]


def test_vulnerable(lists: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A vulnerable package in any list fails; list, package and vulnerability are named."""
    with osv(known("second")) as url:
        assert audit(lists, url) == 1
    shown = capsys.readouterr().out
    assert f"{lists[0]}: Found 1 known vulnerability in 1 package" in shown
    assert f"{lists[1]}: No known vulnerabilities found" in shown
    assert "PYSEC-1" in shown
    assert "second" in shown


@pytest.mark.parametrize(
    "answer", [CLEAN, (200, "<html>Sign in</html>"), (200, "[]"), (200, "null"), (200, '{"vulns": []}')]
)
def test_something_else_than_osv(lists: list[Path], answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """What knows nothing of a well-known vulnerability, or speaks otherwise, is not believed; one line says so."""
    with osv(lambda _: answer) as url:
        assert audit(lists, url) == 0
    assert capsys.readouterr().out == f"audit skipped: the response of {url} is not one of OSV\n"


def test_an_error(lists: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A service that answers with an error is skipped; the status is in the line that says so."""
    with osv(lambda _: (503, "Busy")) as url:
        assert audit(lists, url) == 0
    assert "audit skipped: " in (shown := capsys.readouterr().out)
    assert "503" in shown


def test_unreachable(lists: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A service that cannot be reached is skipped, and one line says so."""
    with osv(known()) as url:
        pass
    assert audit(lists, url) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"audit skipped: {url} cannot be queried for vulnerabilities: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTP_PROXY", "nonsense://proxy"),
        ("NO_PROXY", "fd00::/8"),
        ("SSL_CERT_FILE", "missing.pem"),
    ],
)
def test_a_proxy_or_a_certificate_that_cannot_be_used(
    lists: list[Path], variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the environment says and nobody can use is skipped with what is wrong, too."""
    monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    assert audit(lists, "http://127.0.0.1:9/v1/query") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("audit skipped: http://127.0.0.1:9/v1/query cannot be queried for vulnerabilities: ")


def test_it_breaks_off(lists: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """An audit that ends half-way is none: it fails, in one line without a traceback."""
    with osv(lambda name: VULNERABLE if name == "jinja2" else (500, "Oops")) as url:
        assert audit(lists, url) == 1
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(lists)
    assert "ServiceError" in shown[0]


def test_it_takes_too_long(
    lists: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit that does not end in its time fails too."""
    monkeypatch.setattr(tool, "AUDIT_SECONDS", 0)
    with osv(known()) as url:
        assert audit(lists, url) == 1
    assert "was not complete after 0 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["first==1.0", f"first>=1.0 {HASH}", f"first @ https://example.com/first-1.0-py3-none-any.whl {HASH}"]
)
def test_what_is_not_pinned_and_hashed(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A list whose packages are not pinned and hashed tells nothing of what is installed: it fails, and says why."""
    path = tmp_path / "loose.txt"
    path.write_text(f"{line}\n")
    with osv(known()) as url:
        assert audit([path], url) == 1
    assert f"{path}: ERROR:" in capsys.readouterr().out
