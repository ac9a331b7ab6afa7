"""The embeds of an organisation, and the map of them that EmbedMapUri names.

Databrain is only read. The entries of an earlier map keep their `datamart`. Embeds that are new, or were changed since
their entry was filled in, get an empty `datamart`.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
from cyclopts import Parameter

from cli.errors import CommandError, Status
from cli.output import Output, shown
from cli.session import Given
from cli.stack import Stack
from retirement.aws.certificate_authority import read_authority
from retirement.aws.embed_map import S3EmbedMap, parse_embed_map
from retirement.aws.service_token import ServiceToken
from retirement.canonical import Document
from retirement.databrain.client import DatabrainClient
from retirement.databrain.dependents import NO_DATAMART, Embed, EmbedListing, EmbedMap
from retirement.databrain.ports import DatabrainApi, Metric
from retirement.databrain.transport import http_client
from retirement.environment import S3Location, base_url, optional_s3_location
from retirement.errors import ConfigurationError
from retirement.timestamps import format_timestamp
from retirement.wording import in_words

TIME_LIMIT = 3600.0  # seconds


class NoMap(CommandError):
    """The map cannot be written: what was expected, and what was received."""


class Unhurried:
    """A clock with a long time limit, for a command that a person waits for."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + TIME_LIMIT

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)

    def remaining(self) -> float:
        """Return the seconds that are left."""
        return self._ends - time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
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


def databrain(stack: Stack, reading: Reading) -> tuple[httpx.Client, DatabrainClient]:
    """Return a client of the stack's Databrain, which acts with the stack's token, and its connections.

    Raises:
        CommandError: a parameter, or a proxy of the environment, cannot be used.
    """
    authority = location(stack, "DatabrainCaUri")
    read = None if authority is None else partial(read_authority, stack.s3, authority)
    try:
        url = base_url("DatabrainBaseUrl", stack.parameter("DatabrainBaseUrl"))
        token = ServiceToken(stack.secretsmanager, stack.parameter("ServiceTokenSecretArn"))
        http = http_client(url, read)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise CommandError(f"a proxy of the environment cannot be used: {error}") from error
    http.event_hooks = {"request": [reading.send]}
    api = DatabrainApi(stack.parameter("DatabrainApi"))
    return http, DatabrainClient(http, api=api, token=token, clock=Unhurried(), telemetry=reading)


def location(stack: Stack, parameter: str) -> S3Location | None:
    """Return the object that a parameter names; None if it is empty."""
    return optional_s3_location(stack.parameters, parameter)


def read_embeds(stack: Stack, output: Output) -> EmbedListing:
    """Read every embed.

    Raises:
        CommandError: not all of them could be read.
    """
    reading = Reading()
    http, client = databrain(stack, reading)
    with http, output.progress("Reading the embeds", reading.so_far), stack.calls():
        listing, failures = client.list_embeds()
    if problems := [*map(str, failures), *listing.gaps]:
        for problem in problems:
            output.note(f"could not be read: {shown(problem)}")
        raise CommandError(f"{in_words(len(problems), 'part')} of the embeds could not be read")
    return listing


def list_(*, session: Given) -> int:
    """List every embed with the datamart that it uses, as Databrain or the stack's map says.

    Args:
        session: the run.
    """
    listing = read_embeds(session.stack, session.output)
    with session.stack.calls():
        owners = S3EmbedMap(session.stack.s3, location(session.stack, "EmbedMapUri")).read()
    embeds = sorted(listing.filled_in(owners).embeds, key=lambda embed: (embed.data_app_name, embed.embed_id))
    for embed in embeds:
        session.output.document({**embed.document(), "datamartName": embed.datamart_name})
    session.output.table(
        ("embed", "name", "data app", "datamart"),
        [[embed.embed_id, embed.name, embed.data_app_name, _told(embed.datamart_name)] for embed in embeds],
    )
    undetermined = sum(embed.datamart_name is None for embed in embeds)
    session.output.note(f"{in_words(len(embeds), 'embed')}, {undetermined} undetermined")
    return Status.OK


def _told(datamart_name: str | None) -> str:
    return "undetermined" if datamart_name is None else datamart_name or "none"


def review(
    file: Path, /, *, upload: Annotated[bool, Parameter(negative=(), show_default=False)] = False, session: Given
) -> int:
    """Write the map of embeds, or bring it up to date, and ask for the datamart of each embed that has none yet.

    Without a terminal it does not ask: fill the file in, and run this again.

    Args:
        file: The map, a JSON file of yours.
        upload: Then store it where the stack reads it, EmbedMapUri.
        session: the run.
    """
    stack, output = session.stack, session.output
    before, earlier = earlier_map(file)
    target = location(stack, "EmbedMapUri")
    if upload and target is None:
        raise CommandError("the stack has no EmbedMapUri: deploy it with the place of the map")
    listing = read_embeds(stack, output)
    entries = embed_map(listing.embeds, earlier)
    if output.asks() and not output.as_json:
        entries = _asked(output, entries)
    replace_map(file, before, entries)
    for embed_id, name in earlier.datamart_names.items():
        if embed_id in entries and entries[embed_id]["datamart"] == "":
            was = "null" if name == NO_DATAMART else ascii(name)
            output.note(f"fill in again: {embed_id!a} may have been changed since its datamart was {was}")
    if undated := sum(embed.updated_at is None for embed in listing.embeds):
        output.note(f"no map can cover {in_words(undated, 'embed')} whose updatedAt Databrain does not report")
    empty = sum(1 for entry in entries.values() if entry["datamart"] == "")
    output.document({"file": str(file), "embeds": len(entries), "empty": empty})
    output.line(f"{shown(file)}: {in_words(len(entries), 'embed')}, {empty} still to be filled in")
    if upload and target is not None:
        with stack.calls():
            stack.s3.put_object(Bucket=target.bucket, Key=target.key, Body=file.read_bytes())
        output.line(f"stored as s3://{target.bucket}/{target.key}")
    elif target is not None:
        output.note(f"To have the stack read it: add --upload, for s3://{target.bucket}/{target.key}")
    return Status.OK


def _asked(output: Output, entries: Mapping[str, Document]) -> dict[str, Document]:
    """Ask for the datamart of each entry that has none."""
    asked = dict(entries)
    for embed_id, entry in entries.items():
        if entry["datamart"] == "":
            about = " ".join(shown(each) for each in (embed_id, entry["name"], "of", entry["dataApp"]) if each)
            answer = output.ask(f"{about}\n  datamart (none if it uses none, empty to skip): ")
            asked[embed_id] = {**entry, "datamart": None if answer == "none" else answer}
    return asked
