"""Write the map of embeds that EmbedMapUri names: every embed of the organisation, ready to be filled in.

Read-only. What an earlier map says is kept; embeds that are new since come with an empty `datamart`.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError

from retirement.canonical import Document
from retirement.databrain import DatabrainClient, http_client
from retirement.dependents import Embed
from retirement.errors import RetirementError
from retirement.ports import Metric
from retirement.service_token import ServiceToken
from retirement.settings import DatabrainApi

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

TIME_LIMIT = 3600.0  # seconds


class NoMap(Exception):
    """What the tool was given does not do: what was expected, and what came."""


class _Unhurried:
    """A clock for a tool that a person waits for."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + TIME_LIMIT

    def now(self) -> datetime:
        return datetime.now(UTC)

    def remaining(self) -> float:
        return self._ends - time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Uncounted:
    def count(self, metric: Metric) -> None:
        """Nobody asks here."""


def embed_map(embeds: tuple[Embed, ...], earlier: Mapping[str, Any]) -> dict[str, Document]:
    """An entry for each embed, by ID; `datamart` is what the earlier map or Databrain tells, else empty."""
    entries: dict[str, Document] = {}
    for embed in sorted(embeds, key=lambda embed: (embed.data_app_name, embed.embed_id)):
        kept = earlier.get(embed.embed_id, "")
        told = kept.get("datamart", "") if isinstance(kept, Mapping) else kept
        entries[embed.embed_id] = {
            "name": embed.name,
            "dataApp": embed.data_app_name,
            "dashboard": _dashboard(embed),
            "datamart": embed.datamart_name or "" if told == "" else told,
        }
    return entries


def _dashboard(embed: Embed) -> str | None:
    dashboard = (embed.item or {}).get("externalDashboard")
    name = dashboard.get("name") if isinstance(dashboard, Mapping) else None
    return name if isinstance(name, str) else None


def secrets_manager() -> "SecretsManagerClient":
    """The client that acts as the caller.

    Raises:
        NoMap: nothing tells who that is, or where.
    """
    session = boto3.Session()
    if session.region_name is None:
        raise NoMap("no AWS region is set: set AWS_DEFAULT_REGION to that of the secret with the service token")
    if session.get_credentials() is None:
        raise NoMap("no AWS credentials were found: sign in, or set AWS_PROFILE, to read the secret with the token")
    return session.client("secretsmanager")


def earlier_map(file: Path) -> dict[str, Any]:
    """What the file says so far; nothing where there is none yet.

    Raises:
        NoMap: it is no map, or cannot be written.
    """
    if not file.parent.is_dir():
        raise NoMap(f"FILE is {file}, and there is no folder {file.parent}: make it first")
    if not file.exists():
        return {}
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NoMap(f"{file} is no JSON: {error}; mend it, or name another FILE") from error
    if not isinstance(earlier, dict):
        raise NoMap(f"{file} holds a JSON {type(earlier).__name__}: expected an object with an entry for each embed")
    return earlier


def base_url(given: str) -> str:
    """The base URL.

    Raises:
        NoMap: the stack would not take it for DatabrainBaseUrl, either.
    """
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise NoMap(f"BASE_URL is no URL: {error}") from None
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and url.host in {"localhost", "127.0.0.1"})):
        raise NoMap(f"BASE_URL is {given!r}: expected an https URL, as DatabrainBaseUrl has it (http for localhost)")
    return given


def main(arguments: list[str]) -> int:
    """Read the embeds and write the map; the exit status is 1 where Databrain could not be read whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the map to write, or to bring up to date")
    parser.add_argument("--base-url", required=True, help="as DatabrainBaseUrl")
    parser.add_argument("--api", type=DatabrainApi, default=DatabrainApi.CURRENT, help="as DatabrainApi")
    parser.add_argument("--secret-arn", required=True, help="as ServiceTokenSecretArn")
    options = parser.parse_args(arguments)
    earlier = earlier_map(options.file)
    url = base_url(options.base_url)
    token = ServiceToken(secrets_manager(), options.secret_arn)
    with http_client(url) as http:
        client = DatabrainClient(http, api=options.api, token=token, clock=_Unhurried(), telemetry=_Uncounted())
        listing, failures = client.list_embeds()
    if failures or listing.gaps:
        for problem in (*failures, *listing.gaps):
            print(f"could not be read: {problem}", file=sys.stderr)
        return 1
    entries = embed_map(listing.embeds, earlier)
    options.file.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    empty = sum(1 for entry in entries.values() if entry["datamart"] == "")
    print(f"{options.file}: {len(entries)} embeds, {empty} still to be filled in")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RetirementError as error:
        sys.exit(f"No map: {type(error).__name__}: {error}")
    except (NoMap, BotoCoreError, OSError) as error:
        sys.exit(f"No map: {error}")
