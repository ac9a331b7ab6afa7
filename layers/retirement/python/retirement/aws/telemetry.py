"""Logs and metrics: one JSON line for each step, and metrics in CloudWatch's embedded format."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from time import perf_counter
from typing import cast

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from retirement.canonical import Document
from retirement.databrain.ports import Metric
from retirement.errors import is_retryable, reason_of
from retirement.requests import Command, Delivery, RestoreRequest


class PowertoolsTelemetry:
    """Logs and metrics of all invocations of an execution environment; `attempt` and `sweep` reset the counts.

    `counted` is the metric of results, and `Failed...` that of abandoned requests.
    """

    def __init__(self, logger: Logger, metrics: Metrics, environment: str, *, counted: str = "Retirements") -> None:
        self._logger = logger
        self._metrics = metrics
        self._environment = environment
        self._counted = counted
        self._counts: Counter[Metric] = Counter()
        self._lock = Lock()
        self._is_last = False

    @contextmanager
    def attempt(self, delivery: Delivery) -> Iterator[None]:
        """Measure one attempt, with `receiveCount` in every line, and log `attempt failed` if it raises."""
        self._is_last = delivery.is_last
        self._logger.append_keys(receiveCount=delivery.receive_count)
        with self._measured(self._failed):
            yield

    @contextmanager
    def sweep(self) -> Iterator[None]:
        """Measure one sweep, and log `sweep failed` if it raises."""
        with self._measured(self._sweep_failed):
            yield

    def about(self, command: Command) -> None:
        """Add `retirementId` and `datamartName` to every line from here on."""
        self._logger.append_keys(retirementId=command.retirement_id, datamartName=command.datamart_name)
        if isinstance(command, RestoreRequest):
            self._logger.append_keys(restoreId=command.restore_id)

    def step(self, step: str, **fields: object) -> None:
        """Log one line; None is left out, and values that JSON does not have are shown as text."""
        shown = {name: value for name, value in fields.items() if value is not None}
        self._logger.info(step, extra=shown, stacklevel=3)  # so that `location` is the caller's

    def count(self, metric: Metric) -> None:
        """Add one, under a lock."""
        with self._lock:
            self._counts[metric] += 1

    def ended(self, result: Document, *, again: bool) -> None:
        """Log the result, and count it in the metric `Retirements` unless it was published `again`."""
        self._logger.append_keys(**{key: result[key] for key in ("retirementId", "datamartName", "outcome")})
        shown = {"reason": result["reason"], "resultMessage": result["message"]}
        self._logger.info("published again" if again else "published", extra=shown)
        if again:
            return
        dimensions = {
            "environment": self._environment,
            "outcome": str(result["outcome"]),
            "reason": str(result["reason"] or "none"),
        }
        with single_metric(self._counted, MetricUnit.Count, 1, default_dimensions=dimensions):
            pass

    def swept(self, report: Document) -> None:
        """Log the report, and count what matched; what was requested and cancelled only if it is not a dry run."""
        counts = cast("Mapping[str, int]", report["counts"])
        shown = {"sweepId": report["sweepId"], "dryRun": report["dryRun"], "refusal": report["refusal"]}
        self._logger.info("reported", extra={**shown, **counts})
        is_dry = report["dryRun"] is not False
        for metric, count in (
            ("SweepMatched", counts["matched"]),
            ("SweepAsked", counts["asked"]),
            ("SweepCancelled", 0 if is_dry else counts["cancelled"]),
        ):
            self._metrics.add_metric(metric, MetricUnit.Count, count)

    @contextmanager
    def _measured(self, report: Callable[[Exception], None]) -> Iterator[None]:
        began = perf_counter()
        self._counts = Counter(dict.fromkeys(Metric, 0))
        self._metrics.add_dimension("environment", self._environment)
        try:
            yield
        except Exception as error:
            report(error)
            raise
        finally:
            self._metrics.add_metric("Duration", MetricUnit.Milliseconds, (perf_counter() - began) * 1000)
            for metric, count in self._counts.items():
                self._metrics.add_metric(metric, MetricUnit.Count, count)

    def _sweep_failed(self, error: Exception) -> None:
        """Log the error; the next sweep does what this one did not."""
        shown = {"reason": reason_of(error), "retryHelps": is_retryable(error)}
        self._logger.error("sweep failed", exc_info=error, extra=shown)

    def _failed(self, error: Exception) -> None:
        """Log the error, and count the request as failed if this was the last receive."""
        reason = reason_of(error)
        self._logger.error(
            "attempt failed",
            exc_info=error,
            extra={
                "reason": reason,
                "retryHelps": is_retryable(error),
                "lastReceive": self._is_last,
            },
        )
        if self._is_last:  # even if its result could not be published
            self._metrics.add_metric(f"Failed{self._counted}", MetricUnit.Count, 1)


class PowertoolsWebhookTelemetry:
    """Logs and counts each request; of what was sent it shows only the retirementId."""

    def __init__(self, logger: Logger, metrics: Metrics, environment: str) -> None:
        self._logger = logger
        self._metrics = metrics
        self._environment = environment

    def about(self, retirement_id: str) -> None:
        """Add `retirementId` to every line from here on."""
        self._logger.append_keys(retirementId=retirement_id)

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        """Log `webhook answered`, and count the request in the metric `Webhooks` by its status."""
        shown: dict[str, object] = {"status": status.value}
        if reason is not None:
            shown["reason"] = reason
        if error is None:
            self._logger.info("webhook answered", extra=shown)
        else:
            shown["retryHelps"] = is_retryable(error)
            self._logger.error("webhook answered", exc_info=error, extra=shown)
        self._metrics.add_dimension("environment", self._environment)
        self._metrics.add_dimension("status", str(status.value))
        self._metrics.add_metric("Webhooks", MetricUnit.Count, 1)
