"""A function's entry point, loaded as Lambda does it, and what it writes."""

import importlib.util
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from tests.fakes import Interference, Parsed, interfered

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FUNCTIONS = Path(__file__).parents[2] / "functions"
LAMBDA = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
}


@dataclass
class Context:
    """What Lambda tells of an invocation."""

    function_name: str = "retire"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:retire"
    aws_request_id: str = "invocation-1"
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """The time that is left."""
        return self.milliseconds


def load(function: str) -> ModuleType:
    """The entry point, as new."""
    spec = importlib.util.spec_from_file_location(f"{function}_app", FUNCTIONS / function / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_of(log: io.StringIO) -> list[Parsed]:
    """The lines of a log."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def metrics_in(output: str) -> list[Parsed]:
    """The documents in CloudWatch's embedded format."""
    return [json.loads(line) for line in output.splitlines() if "_aws" in line]


def by_name(documents: Iterable[Parsed]) -> dict[str, Parsed]:
    """The documents by the names of their metrics."""
    return {
        metric["Name"]: document
        for document in documents
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def kept(first: "DataclassInstance", second: "DataclassInstance") -> set[str]:
    """The ports that two invocations have in common."""
    return {port.name for port in fields(first) if getattr(first, port.name) is getattr(second, port.name)}


def give_up_soon(*clients: Any) -> bool:  # noqa: ANN401  # botocore makes their classes
    """Whether no call of these clients to AWS can hang for ever."""
    return all(client.meta.config.read_timeout <= 5 and client.meta.config.connect_timeout <= 2 for client in clients)


WorldT = TypeVar("WorldT")


@dataclass
class Deployed(Generic[WorldT]):
    """An entry point on the fakes of a world, with its real telemetry and clock."""

    app: Any
    world: WorldT
    capsys: pytest.CaptureFixture[str]
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def lines(self) -> list[Parsed]:
        """The log."""
        return lines_of(self.log)

    def metrics(self) -> dict[str, Parsed]:
        """The metrics, by name."""
        return by_name(metrics_in(self.capsys.readouterr().out))

    def interfere(self, interference: Interference) -> None:
        """From now on with this interference."""
        plain = self.app.wiring.ports
        self.app.wiring.ports = lambda context: interfered(plain(context), interference)


@contextmanager
def deploy(
    function: str, world: WorldT, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *ports: str
) -> Iterator[Deployed[WorldT]]:
    """Load an entry point, with these ports from the world, where they have the same names."""
    deployed = Deployed(load(function), world, capsys)
    real, fakes = deployed.app.wiring.ports, {port: getattr(world, port) for port in ports}
    monkeypatch.setattr(deployed.app.wiring, "ports", lambda context: replace(real(context), **fakes))
    monkeypatch.setattr(deployed.app.logger.registered_handler, "stream", deployed.log)
    capsys.readouterr()
    yield deployed
    deployed.app.metrics.clear_metrics()
