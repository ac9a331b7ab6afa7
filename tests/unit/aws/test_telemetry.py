import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from aws_lambda_powertools import Logger, Metrics

from retirement.aws.telemetry import PowertoolsTelemetry
from retirement.databrain.ports import Metric
from retirement.errors import DatabrainUnauthorized, DatabrainUnavailable
from tests.fakes import Parsed
from tests.sweep_samples import report_of
from tests.unit.samples import DELIVERY, REQUEST

LAST = replace(DELIVERY, receive_count=6)
RESULT: Parsed = {
    "retirementId": "offboard-1",
    "datamartName": "sales",
    "outcome": "blocked",
    "reason": "recreated",
    "message": "It was created later.",
}


class Seen:
    """What comes out."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.stream = io.StringIO()
        self.logger = Logger()
        self.metrics = Metrics()
        self.telemetry = PowertoolsTelemetry(self.logger, self.metrics, "prod")

    @property
    def lines(self) -> list[Parsed]:
        """The log."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def emitted(self) -> dict[str, Parsed]:
        """The metrics: the document that each of them is in, by name."""
        self.metrics.flush_metrics()
        documents = [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]
        return {
            metric["Name"]: document
            for document in documents
            for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        }


@pytest.fixture
def seen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """A logger and metrics as new, set as the template sets them."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "DatamartRetirement")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "datamart-retirement")
    seen = Seen(capsys)
    seen.logger.registered_handler.stream = seen.stream  # type: ignore[attr-defined]  # loggers live as long as the process
    yield seen
    seen.logger.clear_state()
    seen.metrics.clear_metrics()


def dimensions_of(document: Parsed) -> dict[str, str]:
    """The dimensions of a metric, with their values."""
    [definition] = document["_aws"]["CloudWatchMetrics"]
    [names] = definition["Dimensions"]
    assert definition["Namespace"] == "DatamartRetirement"
    return {name: document[name] for name in names}


def test_lines_are_about_the_request(seen: Seen) -> None:
    """Each step is one line of JSON that names the request."""
    with seen.telemetry.attempt(DELIVERY):
        seen.telemetry.about(REQUEST)
        seen.telemetry.step("snapshot", listed=True, nothing=None)

    [line] = seen.lines
    assert (line["message"], line["listed"], line["level"]) == ("snapshot", True, "INFO")
    assert (line["retirementId"], line["datamartName"], line["receiveCount"]) == ("offboard-1", "sales", 1)
    assert "nothing" not in line
    assert line["service"] == "datamart-retirement"


def test_step_with_an_error(seen: Seen) -> None:
    """An error is shown by its text."""
    seen.telemetry.step("delete", error=DatabrainUnavailable("DELETE: HTTP 503"))

    assert seen.lines[0]["error"] == "DELETE: HTTP 503"


def test_result(seen: Seen) -> None:
    """The end of a request is a line with its outcome, and a count by outcome and reason."""
    with seen.telemetry.attempt(DELIVERY):
        seen.telemetry.ended(RESULT, again=False)

    assert (seen.lines[0]["retirementId"], seen.lines[0]["datamartName"]) == ("offboard-1", "sales")
    assert seen.lines[0]["outcome"] == "blocked"
    assert seen.lines[0]["reason"] == "recreated"
    retirements = seen.emitted()["Retirements"]
    assert retirements["Retirements"] == [1.0]
    assert dimensions_of(retirements) == {
        "service": "datamart-retirement",
        "environment": "prod",
        "outcome": "blocked",
        "reason": "recreated",
    }


def test_result_without_reason(seen: Seen) -> None:
    """A dimension has to have a value: `none` where there is no reason."""
    with seen.telemetry.attempt(DELIVERY):
        seen.telemetry.ended(RESULT | {"outcome": "deleted", "reason": None}, again=False)

    assert dimensions_of(seen.emitted()["Retirements"])["reason"] == "none"


def test_measured(seen: Seen) -> None:
    """Every attempt is measured, from any thread; what did not happen counts as zero."""
    with seen.telemetry.attempt(DELIVERY), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: seen.telemetry.count(Metric.DATABRAIN_REQUESTS), range(200)))

    emitted = seen.emitted()
    assert emitted["DatabrainRequests"]["DatabrainRequests"] == [200.0]
    assert emitted["DatabrainRetries"]["DatabrainRetries"] == emitted["DatabrainWalks"]["DatabrainWalks"] == [0.0]
    assert emitted["Duration"]["Duration"][0] >= 0
    assert dimensions_of(emitted["Duration"]) == {"service": "datamart-retirement", "environment": "prod"}
    assert "FailedRetirements" not in emitted
    assert "Retirements" not in emitted


def test_counts_begin_afresh(seen: Seen) -> None:
    """One attempt does not count for the next."""
    with seen.telemetry.attempt(DELIVERY):
        seen.telemetry.count(Metric.DATABRAIN_WALKS)
    seen.emitted()
    with seen.telemetry.attempt(DELIVERY):
        pass

    assert seen.emitted()["DatabrainWalks"]["DatabrainWalks"] == [0.0]


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (DatabrainUnavailable("HTTP 503"), "databrain_unavailable", True),
        (DatabrainUnauthorized("HTTP 401"), "databrain_unauthorized", False),
        (ZeroDivisionError("division by zero"), "internal_error", False),
    ],
)
def test_failed_attempt(seen: Seen, error: Exception, reason: str, retryable: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A failed attempt is an error with its reason and whether trying again can help; it is measured too."""
    with pytest.raises(type(error)), seen.telemetry.attempt(DELIVERY):
        raise error

    [line] = seen.lines
    assert (line["level"], line["reason"], line["retryHelps"], line["lastReceive"]) == (
        "ERROR",
        reason,
        retryable,
        False,
    )
    assert str(error) in line["exception"]
    emitted = seen.emitted()
    assert "Duration" in emitted
    assert "FailedRetirements" not in emitted


def test_last_attempt(seen: Seen) -> None:
    """The failure of the last receive is a failed retirement, which the alarm counts, published or not."""
    with pytest.raises(DatabrainUnavailable), seen.telemetry.attempt(LAST):
        raise DatabrainUnavailable("HTTP 503")

    emitted = seen.emitted()
    assert emitted["FailedRetirements"]["FailedRetirements"] == [1.0]
    assert dimensions_of(emitted["FailedRetirements"]) == {"service": "datamart-retirement", "environment": "prod"}
    assert "Retirements" not in emitted
    assert seen.lines[0]["lastReceive"] is True


def test_last_attempt_that_succeeds(seen: Seen) -> None:
    """A last receive that succeeds is no failure."""
    with seen.telemetry.attempt(LAST):
        seen.telemetry.ended(RESULT, again=False)

    assert "FailedRetirements" not in seen.emitted()


@pytest.mark.parametrize(("dry_run", "cancelled"), [(False, 2), (True, 0), (None, 0)])
def test_sweep(seen: Seen, dry_run: bool | None, cancelled: int) -> None:  # noqa: FBT001  # a parameter of the test
    """A sweep is a line with its counts, and metrics of what it did; what a dry run would take back is not counted."""
    with seen.telemetry.sweep():
        seen.telemetry.swept(report_of(asked=3, cancelled=2, dry_run=dry_run).message())

    [line] = seen.lines
    assert (line["message"], line["sweepId"], line["matched"], line["cancelled"]) == (
        "reported",
        "20260301T120000Z-invocation-1",
        3,
        2,
    )
    emitted = seen.emitted()
    told = {name: emitted[name][name] for name in ("SweepMatched", "SweepAsked", "SweepCancelled")}
    assert told == {"SweepMatched": [3.0], "SweepAsked": [3.0], "SweepCancelled": [float(cancelled)]}
    assert emitted.keys() >= {"Duration", "DatabrainRequests"}
    assert dimensions_of(emitted["SweepAsked"]) == {"service": "datamart-retirement", "environment": "prod"}


def test_failed_sweep(seen: Seen) -> None:
    """A sweep that fails is an error with its reason, measured too, and no failed retirement."""
    with seen.telemetry.attempt(LAST):
        pass
    seen.emitted()
    with pytest.raises(DatabrainUnavailable), seen.telemetry.sweep():
        raise DatabrainUnavailable("HTTP 503")

    line = seen.lines[-1]
    assert (line["message"], line["level"], line["reason"], line["retryHelps"]) == (
        "sweep failed",
        "ERROR",
        "databrain_unavailable",
        True,
    )
    emitted = seen.emitted()
    assert "Duration" in emitted
    assert "FailedRetirements" not in emitted
    assert "SweepAsked" not in emitted


def test_result_published_again(seen: Seen) -> None:
    """A result that is published again is logged, and not counted as another retirement."""
    with seen.telemetry.attempt(LAST):
        seen.telemetry.ended(RESULT, again=True)

    assert seen.lines[-1]["message"] == "published again"
    assert "Retirements" not in seen.emitted()
