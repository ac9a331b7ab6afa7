"""A function's entry point, loaded as Lambda does it, and what it writes."""

import importlib.util
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.fakes import Parsed

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
