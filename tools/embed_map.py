"""Write the map of embeds that EmbedMapUri names: every embed of the organisation, for you to fill in.

This only reads Databrain. The entries of an earlier map keep their `datamart`. Embeds that are new, or were changed
since their entry was filled in, get an empty `datamart`.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
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
from retirement.wording import in_words
from tools.progress import progress

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

TIME_LIMIT = 3600.0  # seconds


class NoMap(Exception):
    """The map cannot be written: what was expected, and what was received."""


class _Unhurried:
    """A clock with a long time limit, for a tool that a person waits for."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + TIME_LIMIT

    def now(self) -> datetime:
        return datetime.now(UTC)

    def remaining(self) -> float:
        return self._ends - time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Reading:
    """How far Databrain has been read."""

    def __init__(self) -> None:
        self._counts: Counter[Metric] = Counter()
        self._data_apps: set[str] = set()

    def count(self, metric: Metric) -> None:
        """Count a request or a retry."""
        self._counts[metric] += 1

    def send(self, request: httpx.Request) -> None:
        """Note which data app a request is about."""
        if (name := request.url.params.get("dataAppName")) is not None:
            self._data_apps.add(name)

    def so_far(self) -> str:
        """For example `12 data apps, 25 requests, retries: 0`."""
        data_apps = in_words(len(self._data_apps), "data app")
        requests = in_words(self._counts[Metric.DATABRAIN_REQUESTS], "request")
        return f"{data_apps}, {requests}, retries: {self._counts[Metric.DATABRAIN_RETRIES]}"


def embed_map(embeds: tuple[Embed, ...], earlier: EmbedMap) -> dict[str, Document]:
    """An entry for each embed, by ID; `datamart` is that of the earlier map or of Databrain, otherwise empty."""
    entries: dict[str, Document] = {}
    for embed in sorted(embeds, key=lambda embed: (embed.data_app_name, embed.embed_id)):
        # An entry without a time is not kept: the new entry's time would say that its owner has seen this embed.
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
    """A client that acts as the caller.

    Raises:
        NoMap: no region or no credentials are set.
    """
    session = boto3.Session()
    if session.region_name is None:
        raise NoMap("no AWS region is set: set AWS_DEFAULT_REGION to the region of the secret with the service token")
    if session.get_credentials() is None:
        raise NoMap("no AWS credentials were found: sign in, or set AWS_PROFILE, to read the secret with the token")
    return session.client("secretsmanager")


def earlier_map(file: Path) -> tuple[bytes, EmbedMap]:
    """The file's present content, and the map in it; both empty if there is no file yet.

    Raises:
        NoMap: the stack would refuse the file as well, or its folder does not exist.
    """
    if not file.parent.is_dir():
        raise NoMap(f"FILE is {file}, and the folder {file.parent} does not exist: create it first")
    if not file.exists():
        return b"", EmbedMap({}, datetime.now(UTC))
    body, made_at = file.read_bytes(), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    try:
        return body, parse_embed_map(str(file), body, made_at)
    except ConfigurationError as error:
        raise NoMap(f"{error}; correct it, or name another FILE") from error


def replace_map(file: Path, before: bytes, entries: Mapping[str, Document]) -> None:
    """Write the map beside the file, and replace the file once the map is complete.

    Raises:
        NoMap: the file's content is no longer that of `before`.
    """
    # A lone surrogate, which UTF-8 cannot encode, becomes an escape of JSON.
    body = f"{json.dumps(entries, indent=2, ensure_ascii=False)}\n".encode(errors="backslashreplace")
    file = file.resolve()
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("xb") as written:
            written.write(body)
            written.flush()
            os.fsync(written.fileno())
        if (file.read_bytes() if file.exists() else b"") != before:
            raise NoMap(f"{file} was changed while Databrain was read, so it was not replaced: run this again")
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Read the embeds and write the map; the exit status is 1 if Databrain could not be read completely."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the map to write or to update")
    parser.add_argument("--base-url", required=True, help="the value of DatabrainBaseUrl")
    parser.add_argument("--api", type=DatabrainApi, default=DatabrainApi.CURRENT, help="the value of DatabrainApi")
    parser.add_argument("--secret-arn", required=True, help="the value of ServiceTokenSecretArn")
    options = parser.parse_args(arguments)
    before, earlier = earlier_map(options.file)
    try:
        url = base_url("BASE_URL", options.base_url)
    except ConfigurationError as error:
        raise NoMap(f"{error}, like DatabrainBaseUrl") from None
    try:
        token, connections = ServiceToken(secrets_manager(), options.secret_arn), http_client(url)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise NoMap(f"a proxy or an AWS setting of the environment cannot be used: {error}") from error
    reading = Reading()
    with connections as http, progress(f"Reading the embeds from {url}", reading.so_far):
        http.event_hooks = {"request": [reading.send]}
        client = DatabrainClient(http, api=options.api, token=token, clock=_Unhurried(), telemetry=reading)
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
            print(f"fill in again: {embed_id!a} may have been changed since its datamart was {was}", file=sys.stderr)
    if undated := sum(embed.updated_at is None for embed in listing.embeds):
        print(
            f"no map can cover {in_words(undated, 'embed')} whose updatedAt Databrain does not report", file=sys.stderr
        )
    empty = sum(1 for entry in entries.values() if entry["datamart"] == "")
    print(f"{options.file}: {in_words(len(entries), 'embed')}, {empty} still to be filled in")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RetirementError as error:
        sys.exit(f"No map: {type(error).__name__}: {error}")
    except (NoMap, BotoCoreError, OSError) as error:
        sys.exit(f"No map: {error}")
