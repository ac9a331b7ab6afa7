"""One Chromium for all tests of a worker, found on this machine and driven through its own driver."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "no Chromium with its driver on this machine: install both (Debian: apt-get install chromium chromium-driver), "
    "or name them, CHROMIUM=... CHROMEDRIVER=..."
)
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def installed(variable: str, *names: str) -> str | None:
    """The program that the variable names, else the first of these that is on the PATH; None where there is none."""
    if named := os.environ.get(variable):
        assert shutil.which(named), f"{variable} is {named!r}, which is no program"
        return named
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    """A browser as new, without a picture on any screen; it notes every request that a page makes."""
    browser = installed("CHROMIUM", *BROWSERS)
    driver = installed("CHROMEDRIVER", "chromedriver")
    if browser is None or driver is None:
        pytest.skip(MISSING)
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # A folder of its own, and not pytest's: its last file may be written after the browser has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")  # the driver is on this machine
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # it refuses to start for root otherwise
        chrome = Chrome(options=options, service=Service(driver))
        try:
            yield chrome
        finally:
            chrome.quit()
