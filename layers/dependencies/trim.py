#!/usr/bin/env python3
"""Cut botocore's data in an installed copy to the operations that this project calls.

botocore describes hundreds of services and reads what a client needs as JSON, at every cold start. One file of 1.2 MB
has the endpoints of all services, and a service's model has every operation with its documentation. This script
removes what is not in use. The files keep their names, so that botocore's code can stay as its authors released it.
If the data is not laid out as this script expects, the build stops.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# The operations that the adapters call. The roles in template.yaml allow the same; tests/template compares the two.
# botocore itself calls HeadBucket if S3 answers that a bucket is in another region.
OPERATIONS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset({"DeleteItem", "GetItem", "PutItem", "TransactWriteItems"}),
    "events": frozenset({"PutEvents"}),
    "s3": frozenset({"GetObject", "HeadBucket", "ListObjectsV2", "PutObject"}),
    "scheduler": frozenset({"CreateSchedule", "DeleteSchedule", "UpdateSchedule"}),
    "secretsmanager": frozenset({"GetSecretValue"}),
    "sns": frozenset({"Publish"}),
    "sqs": frozenset({"ChangeMessageVisibility", "SendMessage"}),
}

MODEL = "service-2.json.gz"
KEPT = {MODEL, "service-2.sdk-extras.json", "endpoint-rule-set-1.json.gz"}
# Documentation, and data for botocore's paginators and waiters, which the adapters do not use.
DROPPED = {"examples-1.json", "paginators-1.json", "paginators-1.sdk-extras.json", "waiters-2.json"}
SHARED = {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}


class LayoutChanged(Exception):
    """botocore's data is not laid out as this script expects."""


def trim(data: Path) -> None:
    """Cut the folder `botocore/data` to `OPERATIONS`.

    Raises:
        LayoutChanged: a file, a service, an operation or a key is missing or unknown.
    """
    try:
        _trim(data)
    except (KeyError, TypeError, AttributeError, OSError, ValueError) as error:
        raise LayoutChanged(f"{data} is not laid out as expected: {error!r}") from error


def _trim(data: Path) -> None:
    if files := {entry.name for entry in data.iterdir() if entry.is_file()} ^ SHARED:
        raise LayoutChanged(f"{data} must contain the files {sorted(SHARED)}; missing or unknown: {sorted(files)}")
    for service in (entry for entry in data.iterdir() if entry.is_dir()):
        if service.name not in OPERATIONS:
            shutil.rmtree(service)
    for service_name, operations in OPERATIONS.items():
        *older, current = sorted(version for version in (data / service_name).iterdir() if version.is_dir())
        for version in older:  # botocore takes the newest
            shutil.rmtree(version)
        _trim_service(current, operations)
    _trim_endpoints(data / "endpoints.json")


def _trim_service(folder: Path, operations: frozenset[str]) -> None:
    names = {entry.name for entry in folder.iterdir()}
    if unknown := names - KEPT - DROPPED:
        raise LayoutChanged(f"{folder} contains unknown files: {sorted(unknown)}")
    for name in names & DROPPED:
        (folder / name).unlink()
    model = json.loads(gzip.decompress((folder / MODEL).read_bytes()))
    model["operations"] = {name: _undocumented(model["operations"][name]) for name in sorted(operations)}
    in_use = set(_shapes_in_use(model["operations"], model["shapes"]))
    model["shapes"] = {name: _undocumented(shape) for name, shape in model["shapes"].items() if name in in_use}
    del model["documentation"]
    # mtime=0: the same input gives the same bytes, so that an unchanged layer is not published again
    (folder / MODEL).write_bytes(gzip.compress(_dense(model), mtime=0))


def _shapes_in_use(operations: Mapping[str, Any], shapes: Mapping[str, Any]) -> Iterator[str]:
    """The names of all shapes that the operations' inputs, outputs and errors lead to."""
    seen: set[str] = set()
    waiting = list(_references(operations))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_references(shapes[name]))
            yield name


def _references(node: object) -> Iterator[str]:
    """The names of the shapes that a part of a model refers to, as `{"shape": NAME}` at any depth."""
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for part in node.values():
            yield from _references(part)
    elif isinstance(node, list):
        for part in node:
            yield from _references(part)


def _undocumented(node: Any) -> Any:  # noqa: ANN401  # any part of a model, and the same part back
    """The same without the documentation: text under that key; a member of that name is an object."""
    if isinstance(node, dict):
        return {
            key: _undocumented(part)
            for key, part in node.items()
            if not (key == "documentation" and isinstance(part, str))
        }
    if isinstance(node, list):
        return [_undocumented(part) for part in node]
    return node


def _trim_endpoints(file: Path) -> None:
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: partition["services"][name] for name in sorted(OPERATIONS)}
    file.write_bytes(_dense(endpoints))


def _dense(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
