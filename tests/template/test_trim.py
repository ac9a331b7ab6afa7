"""The dependency layer's cut of botocore's data."""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.loaders import Loader
from botocore.session import Session

from layers.dependencies.trim import OPERATIONS, LayoutChanged, trim

INSTALLED = Path(botocore.__file__).parent / "data"
Call = tuple[str, str, dict[str, Any]]
CALLS: list[Call] = [
    (
        "s3",
        "put_object",
        {"Bucket": "b", "Key": "k/ü", "Body": b"x", "IfNoneMatch": "*", "ChecksumAlgorithm": "SHA256"},
    ),
    ("s3", "get_object", {"Bucket": "b", "Key": "k/ü", "ChecksumMode": "ENABLED"}),
    ("s3", "head_bucket", {"Bucket": "b"}),
    ("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "p/ü/", "ContinuationToken": "t"}),
    (
        "events",
        "put_events",
        {"Entries": [{"EventBusName": "b", "Source": "s", "DetailType": "d", "Detail": "{}", "Time": 0}]},
    ),
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}, "ConsistentRead": True}),
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"pk": {"S": "x"}}, "ConditionExpression": "x"}),
    ("dynamodb", "delete_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}}),
    (
        "dynamodb",
        "transact_write_items",
        {
            "TransactItems": [{"Put": {"TableName": "t", "Item": {"pk": {"S": "x"}}, "ConditionExpression": "x"}}],
            "ClientRequestToken": "t",  # else a random one
        },
    ),
    (
        "events",
        "put_events",
        {
            "Entries": [
                {
                    "EventBusName": "b",
                    "Source": "s",
                    "DetailType": "t",
                    "Time": datetime(2026, 3, 1, tzinfo=UTC),
                    "Detail": "{}",
                }
            ]
        },
    ),
    ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
    *(
        (
            "scheduler",
            f"{operation}_schedule",
            {
                "Name": "n",
                "GroupName": "g",
                "ScheduleExpression": "at(2026-03-01T12:00:00)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": "a", "RoleArn": "arn:aws:iam::123456789012:role/r", "Input": "{}"},
                "ClientToken": "t",  # else a random one
            },
        )
        for operation in ("create", "update")
    ),
    ("scheduler", "delete_schedule", {"Name": "n", "GroupName": "g", "ClientToken": "t"}),
    ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:t", "Message": "m", "Subject": "s"}),
    (
        "sqs",
        "change_message_visibility",
        {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/1/q", "ReceiptHandle": "h", "VisibilityTimeout": 60},
    ),
    ("sqs", "send_message", {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/1/q", "MessageBody": "m"}),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the installed data, of the services in use and one other."""
    copy = tmp_path / "data"
    for service in (*OPERATIONS, "sts"):
        shutil.copytree(INSTALLED / service, copy / service)
    for file in INSTALLED.glob("*.json"):
        shutil.copy(file, copy)
    return copy


class Stopped(Exception):
    """A request was about to be sent."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def loader_of(data: Path) -> Loader:
    """A loader of this data alone, which reads each file once."""
    return Loader(extra_search_paths=[str(data)], include_default_search_paths=False)


def sent(loader: Loader, region: str, call: Call) -> tuple[str | None, str, set[str], object]:
    """What a client with this data would send: method, address, names of headers, and body."""

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise Stopped(request)

    service, method, arguments = call
    session = Session()
    session.register_component("data_loader", loader)
    session.set_credentials("key", "secret")
    client = session.create_client(service, region_name=region)
    client.meta.events.register(f"before-send.{service}", stop)
    with pytest.raises(Stopped) as stopped:
        getattr(client, method)(**arguments)
    request = stopped.value.request
    body = getattr(request.body, "read", lambda: request.body)()
    return request.method, request.url, set(request.headers), body


def model_of(data: Path, service: str) -> Path:
    """The newest model of a service."""
    return max((data / service).glob("*/service-2.json.gz"))


def read(model: Path) -> dict[str, Any]:
    """A model, parsed."""
    document: dict[str, Any] = json.loads(gzip.decompress(model.read_bytes()))
    return document


def without_operation(data: Path) -> None:
    """A new release no longer has an operation that is in use."""
    model = model_of(data, "dynamodb")
    document = read(model)
    del document["operations"]["PutItem"]
    model.write_bytes(gzip.compress(json.dumps(document).encode()))


def without_endpoints(data: Path) -> None:
    """A new release keeps its endpoints elsewhere."""
    (data / "endpoints.json").unlink()


def without_compression(data: Path) -> None:
    """A new release no longer compresses its models."""
    model = model_of(data, "sns")
    model.with_suffix("").write_bytes(gzip.decompress(model.read_bytes()))
    model.unlink()


def with_a_new_file(data: Path) -> None:
    """A new release has a kind of file that nobody here has looked at."""
    model_of(data, "s3").with_name("auth-2.json").write_text("{}")


def with_a_new_shared_file(data: Path) -> None:
    """A new release has another file for all services."""
    (data / "services.json").write_text("{}")


def without_a_service(data: Path) -> None:
    """A new release has moved a service."""
    (data / "secretsmanager").rename(data / "secrets-manager")


def without_a_partition_service(data: Path) -> None:
    """A new release does not list a service in some partition."""
    endpoints = json.loads((data / "endpoints.json").read_text())
    del endpoints["partitions"][0]["services"]["s3"]
    (data / "endpoints.json").write_text(json.dumps(endpoints))


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1"])
def test_the_same_requests_are_sent(data: Path, region: str) -> None:
    """A client sends with the cut data what it sends with all of it, in every partition."""
    trim(data)
    cut, whole = loader_of(data), loader_of(INSTALLED)
    for call in CALLS:
        assert sent(cut, region, call) == sent(whole, region, call)


def test_every_operation_is_tried() -> None:
    """The calls above cover every operation that is kept."""
    tried = {(service, method.replace("_", "")) for service, method, _ in CALLS}
    assert tried == {(service, operation.lower()) for service, names in OPERATIONS.items() for operation in names}


@pytest.mark.parametrize("service", sorted(OPERATIONS))
def test_only_what_is_in_use_stays(data: Path, service: str) -> None:
    """A model keeps its operations in use, every shape that they lead to, and nothing written for people."""
    trim(data)
    model = read(model_of(data, service))
    assert model["operations"].keys() == OPERATIONS[service]
    text = json.dumps({"operations": model["operations"], "shapes": model["shapes"]})
    assert set(re.findall(r'"shape": "(\w+)"', text)) == model["shapes"].keys()
    assert '"documentation": "' not in text


def test_other_services_go(data: Path) -> None:
    """No other service stays, neither its model nor its endpoints; every partition does."""
    partitions = [
        partition["partition"] for partition in json.loads((data / "endpoints.json").read_text())["partitions"]
    ]
    trim(data)
    assert {entry.name for entry in data.iterdir() if entry.is_dir()} == OPERATIONS.keys()
    endpoints = json.loads((data / "endpoints.json").read_text())
    assert [partition["partition"] for partition in endpoints["partitions"]] == partitions
    assert all(partition["services"].keys() == OPERATIONS.keys() for partition in endpoints["partitions"])


def test_errors_keep_their_classes(data: Path) -> None:
    """The errors that the adapters tell apart are still classes of their own."""
    trim(data)
    assert {"ConditionalCheckFailedException"} <= read(model_of(data, "dynamodb"))["shapes"].keys()
    assert {"NoSuchKey"} <= read(model_of(data, "s3"))["shapes"].keys()


def test_the_same_input_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    """Two builds of one release are equal, so that an unchanged layer is not published again."""
    again = shutil.copytree(data, tmp_path / "again")
    for folder in (data, again):
        trim(folder)
    files = sorted(file.relative_to(data) for file in data.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file())
    assert all((data / file).read_bytes() == (again / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    "change",
    [
        without_operation,
        without_endpoints,
        without_compression,
        with_a_new_file,
        with_a_new_shared_file,
        without_a_service,
        without_a_partition_service,
    ],
)
def test_an_unknown_layout_stops_the_build(data: Path, change: Callable[[Path], None]) -> None:
    """Whatever a new release of botocore lays out otherwise stops the build with the place in the message."""
    change(data)
    with pytest.raises(LayoutChanged, match=str(data)):
        trim(data)
