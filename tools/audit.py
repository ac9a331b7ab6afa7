"""Look every pinned package up among the known vulnerabilities: exit status 1 where one has any.

Reads only; nothing is installed or resolved. Where the service cannot be asked, it says so and skips.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

OSV_URL = "https://api.osv.dev/v1/query"
TIMEOUT = 5  # seconds to connect, and for each part of an answer
AUDIT_SECONDS = 300  # a list is asked for package by package

# The example of https://google.github.io/osv.dev/post-v1-query/: whatever has nothing to say of it is not OSV.
KNOWN_AS_VULNERABLE = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}


def audit(lists: list[Path], url: str = OSV_URL) -> int:
    """Audit lists of pinned and hashed requirements, and print what came out of each.

    Returns:
        The exit status: 1 where a package is known to be vulnerable, or a list could not be audited to its end.
    """
    if trouble := _trouble_with(url):
        print(f"audit skipped: {trouble}")
        return 0
    with ThreadPoolExecutor() as pool:
        return max(pool.map(lambda path: _audit(path, url), lists))


def _trouble_with(url: str) -> str | None:
    """Why this is not a working service, or None: pip-audit would take an empty answer of anybody for a clean one."""
    try:
        response = httpx.post(url, json=KNOWN_AS_VULNERABLE, timeout=TIMEOUT).raise_for_status()
    # All but the first: a proxy or a certificate that the environment names cannot be used.
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, OSError) as error:
        return f"{url} cannot be asked for vulnerabilities: {error}"
    try:
        known = response.json()["vulns"]
    except (ValueError, KeyError, TypeError):
        known = None
    return None if known else f"{url} does not answer as OSV does"


def _audit(path: Path, url: str) -> int:
    command: list[str | Path] = [
        *(sys.executable, "-m", "pip_audit", "--requirement", path, "--disable-pip", "--strict"),
        *("--vulnerability-service", "osv", "--osv-url", url, "--timeout", str(TIMEOUT), "--progress-spinner", "off"),
    ]
    try:
        run = subprocess.run(  # noqa: S603 -- our own command line
            command, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"{path}: the audit was not done after {AUDIT_SECONDS} s; run it again")
        return 1
    *_, summary = run.stderr.strip().splitlines() or ["pip-audit said nothing"]
    print(f"{path}: {summary}\n{run.stdout}".rstrip())
    return run.returncode


if __name__ == "__main__":
    sys.exit(audit([Path(argument) for argument in sys.argv[1:]]))
