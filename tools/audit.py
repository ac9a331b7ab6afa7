"""Check every pinned package for known vulnerabilities: the exit status is 1 if one has any.

This only reads; it installs and resolves nothing. If the service cannot be queried, it says so and skips the check.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

OSV_URL = "https://api.osv.dev/v1/query"
TIMEOUT = 5  # seconds to connect, and for each part of an answer
AUDIT_SECONDS = 300  # each package of a list is one query

# The example of https://google.github.io/osv.dev/post-v1-query/: a service that does not know it is not OSV.
KNOWN_AS_VULNERABLE = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}


def audit(lists: list[Path], url: str = OSV_URL) -> int:
    """Audit lists of pinned and hashed requirements, and print the result of each.

    Returns:
        The exit status: 1 if a package is known to be vulnerable, or a list could not be audited completely.
    """
    if trouble := _trouble_with(url):
        print(f"audit skipped: {trouble}")
        return 0
    with ThreadPoolExecutor() as pool:
        return max(pool.map(lambda path: _audit(path, url), lists))


def _trouble_with(url: str) -> str | None:
    """Why this is not a working service, or None: pip-audit would accept any empty response as a clean result."""
    try:
        response = httpx.post(url, json=KNOWN_AS_VULNERABLE, timeout=TIMEOUT).raise_for_status()
    # All except the first: the environment names a proxy or a certificate that cannot be used.
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, OSError) as error:
        return f"{url} cannot be queried for vulnerabilities: {error}"
    try:
        known = response.json()["vulns"]
    except (ValueError, KeyError, TypeError):
        known = None
    return None if known else f"the response of {url} is not one of OSV"


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
        print(f"{path}: the audit was not complete after {AUDIT_SECONDS} s; run it again")
        return 1
    *_, summary = run.stderr.strip().splitlines() or ["pip-audit printed nothing"]
    print(f"{path}: {summary}\n{run.stdout}".rstrip())
    return run.returncode


if __name__ == "__main__":
    sys.exit(audit([Path(argument) for argument in sys.argv[1:]]))
