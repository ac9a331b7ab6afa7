"""Write the map of embeds that EmbedMapUri names: every embed of the organisation, ready to be filled in.

Databrain is only read. What an earlier map says is kept; embeds that are new, or were changed since somebody looked,
come with an empty `datamart`.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
from botocore.exceptions import BotoCoreError

from retirement.aws.embed_map import parse_embed_map
from retirement.aws.service_token import ServiceToken
from retirement.canonical import Document
from retirement.databrain.client import DatabrainClient
from retirement.databrain.dependents import NO_DATAMART, Embed, EmbedMap
from retirement.databrain.ports import DatabrainApi, Metric
from retirement.databrain.transport import http_client
from retirement.environment import base_url
from retirement.errors import ConfigurationError, RetirementError
from retirement.timestamps import format_timestamp

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


def embed_map(embeds: tuple[Embed, ...], earlier: EmbedMap) -> dict[str, Document]:
    """An entry for each embed, by ID; `datamart` is what the earlier map or Databrain tells, else empty."""
    entries: dict[str, Document] = {}
    for embed in sorted(embeds, key=lambda embed: (embed.data_app_name, embed.embed_id)):
        # an entry that does not say what was seen could not be told from one that was carried over
        told = earlier.datamart_of(embed) if embed.embed_id in earlier.seen else None
        entries[embed.embed_id] = {
            "name": embed.name,
            "dataApp": embed.data_app_name,
            "dashboard": _dashboard(embed),
            "updatedAt": None if embed.updated_at is None else format_timestamp(embed.updated_at),
            "datamart": embed.datamart_name or "" if told is None else None if told == NO_DATAMART else told,
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


def earlier_map(file: Path) -> tuple[bytes, EmbedMap]:
    """The file as it is so far, and what it says; nothing where there is none yet.

    Raises:
        NoMap: the stack would not take it for a map, either, or it cannot be written.
    """
    if not file.parent.is_dir():
        raise NoMap(f"FILE is {file}, and there is no folder {file.parent}: make it first")
    if not file.exists():
        return b"", EmbedMap({}, datetime.now(UTC))
    body, made_at = file.read_bytes(), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    try:
        return body, parse_embed_map(str(file), body, made_at)
    except ConfigurationError as error:
        raise NoMap(f"{error}; mend it, or name another FILE") from error


def replace_map(file: Path, before: bytes, entries: Mapping[str, Document]) -> None:
    """Write the map beside the file, and put it in its place when it is whole.

    Raises:
        NoMap: the file is not any more what it was `before`.
    """
    # What no UTF-8 can hold, a lone surrogate, becomes JSON's escape.
    body = f"{json.dumps(entries, indent=2, ensure_ascii=False)}\n".encode(errors="backslashreplace")
    file = file.resolve()
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("xb") as written:
            written.write(body)
            written.flush()
            os.fsync(written.fileno())
        if (file.read_bytes() if file.exists() else b"") != before:
            raise NoMap(f"{file} was changed while Databrain was read, and is left as it is: run this again")
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Read the embeds and write the map; the exit status is 1 where Databrain could not be read whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the map to write, or to bring up to date")
    parser.add_argument("--base-url", required=True, help="as DatabrainBaseUrl")
    parser.add_argument("--api", type=DatabrainApi, default=DatabrainApi.CURRENT, help="as DatabrainApi")
    parser.add_argument("--secret-arn", required=True, help="as ServiceTokenSecretArn")
    options = parser.parse_args(arguments)
    before, earlier = earlier_map(options.file)
    try:
        url = base_url("BASE_URL", options.base_url)
    except ConfigurationError as error:
        raise NoMap(f"{error}, as DatabrainBaseUrl") from None
    try:
        token, connections = ServiceToken(secrets_manager(), options.secret_arn), http_client(url)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise NoMap(f"a proxy or an AWS setting of the environment cannot be used: {error}") from error
    with connections as http:
        client = DatabrainClient(http, api=options.api, token=token, clock=_Unhurried(), telemetry=_Uncounted())
        listing, failures = client.list_embeds()
    if failures or listing.gaps:
        for problem in (*failures, *listing.gaps):
            print(f"could not be read: {problem}", file=sys.stderr)
        return 1
    entries = embed_map(listing.embeds, earlier)
    replace_map(options.file, before, entries)
    for embed_id, name in earlier.datamart_names.items():
        if embed_id in entries and entries[embed_id]["datamart"] == "":
            was = "null" if name == NO_DATAMART else ascii(name)
            print(f"to be looked at again: {embed_id!a}, which may have changed since it was {was}", file=sys.stderr)
    if undated := sum(embed.updated_at is None for embed in listing.embeds):
        print(f"of {undated} embeds no map can tell: Databrain does not say when they were updated", file=sys.stderr)
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
