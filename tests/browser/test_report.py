"""The report in a real browser, with evidence that attacks it."""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from cli.reporting.estate import read_estate
from cli.reporting.page import render
from retirement.record.keys import retirement_key
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.estates import NOW, KeptEvidence

pytestmark = pytest.mark.xdist_group("chromium")

Scheme = Literal["light", "dark"]
PHONE, DESKTOP = 360, 1280  # CSS pixels
DEADLINE = 10  # seconds
TOO_WIDE = (
    "[...document.querySelectorAll('body *')].filter(element => element.getBoundingClientRect().right > innerWidth)"
)


class Trap(ThreadingHTTPServer):
    """An address that nobody has a reason to ask, and texts that make a careless page ask it or run a script."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Caught)
        self.asked: list[str] = []
        url = f"http://127.0.0.1:{self.server_port}"
        script = "window.attacked = true"
        self.texts = (
            f"<script>{script}</script>",
            f"</title></style></pre></details></script><script>{script}</script>",
            f'"><img src="{url}/image" onerror="{script}">',
            f"'><svg onload=\"{script}\"><use href='{url}/use'/></svg>",
            f"<link rel=stylesheet href={url}/style><style>@import '{url}/import';</style>",
            f"<p style='background: url({url}/background)'>x</p>",
            f"<iframe src={url}/frame></iframe>",
            f'<details open ontoggle="{script}">x</details>',
            f"<meta http-equiv=refresh content='0; {url}/refresh'>",
            f'<input autofocus onfocus="{script}">',
            "<script>alert('attacked')</script>",
        )


class _Caught(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Note it."""
        assert isinstance(self.server, Trap)
        self.server.asked.append(self.path)
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: object) -> None:
        """The test tells."""


@pytest.fixture
def trap() -> Iterator[Trap]:
    """A trap of the test's own."""
    with Trap() as trap:
        thread = Thread(target=trap.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield trap
        trap.shutdown()
        thread.join()


@dataclass
class View:
    """A page as somebody looks at it."""

    chrome: Chrome
    path: Path

    def open(self, width: int = DESKTOP, scheme: Scheme = "light", media: str = "screen") -> None:
        """Load it as on a screen of this width, or on paper, for somebody who likes it light or dark."""
        self._set(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width == PHONE
        )
        self._set(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self._set("Emulation.setFocusEmulationEnabled", enabled=True)  # a page without a window may have no focus
        self.chrome.get("about:blank")
        self.chrome.get_log("performance")  # type: ignore[no-untyped-call]  # Selenium leaves it untyped
        self.chrome.get_log("browser")  # type: ignore[no-untyped-call]  # the same
        self.chrome.get(self.path.as_uri())

    def ask(self, expression: str) -> Any:  # noqa: ANN401 -- any JSON
        """What a JavaScript expression comes to."""
        return self.chrome.execute_script(f"return {expression}")

    def requests(self) -> set[str]:
        """What the page has asked for since it was opened."""
        entries = self.chrome.get_log("performance")  # type: ignore[no-untyped-call]  # the same
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }

    def complaints(self) -> list[str]:
        """What the browser has to say about the page: errors, and whatever its policy forbade it."""
        entries = self.chrome.get_log("browser")  # type: ignore[no-untyped-call]  # the same
        return [entry["message"] for entry in entries]

    def unfold(self) -> None:
        """Open everything that can be opened."""
        self.ask("document.querySelectorAll('details').forEach(details => { details.open = true })")

    def was_attacked(self) -> bool:
        """Whether a script ran that is not the test's."""
        try:
            self.chrome.switch_to.alert.dismiss()
        except NoAlertPresentException:
            return bool(self.ask("window.attacked === true"))
        return True

    def paper(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self._set("Page.printToPDF")["data"])

    def _set(self, command: str, **parameters: Any) -> Any:  # noqa: ANN401 -- any JSON
        return self.chrome.execute_cdp_cmd(command, parameters)


def eventually(question: Callable[[], object], what: str) -> None:
    """Ask until the answer is true."""
    deadline = time.monotonic() + DEADLINE
    while not question():
        assert time.monotonic() < deadline, f"it did not come about within {DEADLINE} s: {what}"
        time.sleep(0.05)


def hostile(trap: Trap) -> KeptEvidence:
    """A bucket in which every text is an attack."""
    evidence = KeptEvidence()
    for number, text in enumerate((*trap.texts, *HOSTILE_NAMES)):
        name = text[:256]
        said = {"message": text, "requestedBy": name, "requestReason": text, "environment": text}
        evidence.deletion(name, retirementId=f"r{number}", ago=number, **said)
        evidence.tell(name, outcome="blocked", reason=text, retirementId="blocked", ago=number, **said)
        evidence.tell(name, outcome=text, retirementId="odd", **said)
        evidence.tell(name, "failure-1.json", outcome="failed", retirementId="failed", **said)
        evidence.tell(
            name, "schedule-1.json", outcome="scheduled", retirementId="due", retireAt="2026-12-01T00:00:00Z", **said
        )
        evidence.tell(name, "cancelled.json", outcome="cancelled", retirementId="off", **said)
        evidence.put(retirement_key(name, "open", "intent.json"), {"datamart": {"name": name}})
        evidence.put(retirement_key(name, "bad", "receipt.json"), text.encode())
        evidence.put(f"unknown/{text}", b"{}")
        evidence.reject(text[:100], datamartName=name, **said)
        embed = {"embedId": text, "newEmbedId": name, "name": text, "dataAppName": text, "state": text, "why": text}
        evidence.restore(name, retirementId=f"r{number}", restoredAs=text, restoredEmbeds=[embed], ago=number, **said)
    return evidence


@pytest.fixture
def view(chrome: Chrome, trap: Trap, tmp_path: Path) -> Iterator[View]:
    """The report on the hostile bucket; how it looks at the end goes into the folder REPORT_PICTURES, if set."""
    evidence = hostile(trap)
    path = tmp_path / "report.html"
    path.write_text(render(read_estate(evidence, NOW), evidence), encoding="utf-8")
    yield View(chrome, path)
    if folder := os.environ.get("REPORT_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        chrome.save_screenshot(str(Path(folder, f"{tmp_path.name}.png")))


def test_the_trap_works(chrome: Chrome, trap: Trap, tmp_path: Path) -> None:
    """Each of the attacks is one: a page that takes the text for markup runs a script, or asks another host."""
    view = View(chrome, tmp_path / "careless.html")
    for text in trap.texts:
        view.path.write_text(f"<!DOCTYPE html><title>x</title><p title=''>{text}</p>", encoding="utf-8")
        view.open()
        eventually(lambda: view.was_attacked() or trap.asked, text)
        trap.asked.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_hostile_evidence(view: View, trap: Trap, width: int, scheme: Scheme) -> None:
    """No script runs, nobody is asked for anything, nothing is wider than the screen, and nothing was forbidden."""
    view.open(width, scheme)
    for _ in range(2):  # folded in, and then unfolded
        assert not view.was_attacked()
        assert view.ask("innerWidth") == width
        assert view.ask("document.documentElement.scrollWidth") == view.ask("document.documentElement.clientWidth")
        assert view.ask(f"{TOO_WIDE}.map(element => element.outerHTML.slice(0, 200))") == []
        view.unfold()
    assert view.ask("document.querySelectorAll('pre').length") > 100
    assert view.requests() == {view.path.as_uri()}
    assert view.complaints() == []
    assert trap.asked == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(view: View, scheme: Scheme) -> None:
    """The page is as light or dark as its reader likes it, so its style is in force."""
    view.open(scheme=scheme)
    style = "getComputedStyle(document.body)"
    ground, ink = (sum(map(int, view.ask(f"{style}.{name}.match(/[0-9]+/g)"))) for name in ("backgroundColor", "color"))
    assert (ground > ink) == (scheme == "light")


def test_a_click_away(view: View) -> None:
    """On a phone, a link leads to a retirement, one tap opens it, and another one its receipt."""
    view.open(PHONE)
    link = view.chrome.find_element(By.CSS_SELECTOR, "#blocked ~ .list a")
    link.click()
    record = view.chrome.find_element(By.CSS_SELECTOR, ".record:target")
    assert record.find_element(By.CSS_SELECTOR, ".name").text == link.text
    record.find_element(By.CSS_SELECTOR, "summary").click()
    receipt = record.find_element(By.CSS_SELECTOR, ".document > summary")
    assert receipt.text.startswith("Receipt")
    receipt.click()
    assert '"outcome": "blocked"' in record.find_element(By.CSS_SELECTOR, "pre").text


def test_on_paper(view: View) -> None:
    """Printed, the page is black on white, tells of every retirement what there is, and leaves the documents out."""
    view.open(scheme="dark", media="print")
    assert view.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = "[...document.querySelectorAll('{}')].map(element => element.getBoundingClientRect().height)"
    assert min(view.ask(heights.format(".record .inside"))) > 0
    assert not any(view.ask("[...document.querySelectorAll('pre')].map(document => document.checkVisibility())"))
    assert view.paper().startswith(b"%PDF-")
