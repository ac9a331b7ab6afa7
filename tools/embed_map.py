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
from typing import Any

import boto3

from retirement.canonical import Document
from retirement.databrain import DatabrainClient, http_client
from retirement.dependents import Embed
from retirement.errors import RetirementError
from retirement.ports import Metric
from retirement.service_token import ServiceToken
from retirement.settings import DatabrainApi

TIME_LIMIT = 3600.0  # seconds


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
        told = kept["datamart"] if isinstance(kept, Mapping) else kept
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


def main(arguments: list[str]) -> int:
    """Read the embeds and write the map; the exit status is 1 where Databrain could not be read whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the map to write, or to bring up to date")
    parser.add_argument("--base-url", required=True, help="as DatabrainBaseUrl")
    parser.add_argument("--api", type=DatabrainApi, default=DatabrainApi.CURRENT, help="as DatabrainApi")
    parser.add_argument("--secret-arn", required=True, help="as ServiceTokenSecretArn")
    options = parser.parse_args(arguments)
    token = ServiceToken(boto3.client("secretsmanager"), options.secret_arn)
    earlier = json.loads(options.file.read_text()) if options.file.exists() else {}
    with http_client(options.base_url) as http:
        client = DatabrainClient(http, api=options.api, token=token, clock=_Unhurried(), telemetry=_Uncounted())
        listing, failures = client.list_embeds()
    if failures or listing.gaps:
        for problem in (*failures, *listing.gaps):
            print(f"could not be read: {problem}", file=sys.stderr)
        return 1
    entries = embed_map(listing.embeds, earlier)
    options.file.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    empty = sum(1 for entry in entries.values() if entry["datamart"] == "")
    print(f"{options.file}: {len(entries)} embeds, {empty} still to be filled in")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RetirementError as error:
        sys.exit(f"{type(error).__name__}: {error}")
