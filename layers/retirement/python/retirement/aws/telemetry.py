"""What an operator sees: one JSON line a step, and metrics in CloudWatch's embedded format."""

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
    """One instance for the life of the execution environment; `attempt` and `sweep` begin afresh.

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
        """Measure one attempt, whatever its end, and report the error that it ends in."""
        self._is_last = delivery.is_last
        self._logger.append_keys(receiveCount=delivery.receive_count)
        with self._measured(self._failed):
            yield

    @contextmanager
    def sweep(self) -> Iterator[None]:
        """Measure one sweep, whatever its end, and report the error that it ends in."""
        with self._measured(self._sweep_failed):
            yield

    def about(self, command: Command) -> None:
        """From here on, every line is about this request."""
        self._logger.append_keys(retirementId=command.retirement_id, datamartName=command.datamart_name)
        if isinstance(command, RestoreRequest):
            self._logger.append_keys(restoreId=command.restore_id)

    def step(self, step: str, **fields: object) -> None:
        """Log one line; values that JSON does not know are shown as text."""
        shown = {name: value for name, value in fields.items() if value is not None}
        self._logger.info(step, extra=shown, stacklevel=3)  # `location` is the caller's

    def count(self, metric: Metric) -> None:
        """Count one; safe from any thread."""
        with self._lock:
            self._counts[metric] += 1

    def ended(self, result: Document, *, again: bool) -> None:
        """The request has its result; it is counted once, as far as deliveries one after the other go."""
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
        """The sweep has its report; of a dry run nothing is counted but what matched."""
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
        """The next sweep does what this one did not."""
        shown = {"reason": reason_of(error), "retryHelps": is_retryable(error)}
        self._logger.error("sweep failed", exc_info=error, extra=shown)

    def _failed(self, error: Exception) -> None:
        """The attempt goes back to the queue, or was the last one."""
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
        if self._is_last:  # also where its result could not be published
            self._metrics.add_metric(f"Failed{self._counted}", MetricUnit.Count, 1)


class PowertoolsWebhookTelemetry:
    """One line and one count a request; nothing of what was sent but the retirement's id."""

    def __init__(self, logger: Logger, metrics: Metrics, environment: str) -> None:
        self._logger = logger
        self._metrics = metrics
        self._environment = environment

    def about(self, retirement_id: str) -> None:
        """From here on, every line is about this retirement."""
        self._logger.append_keys(retirementId=retirement_id)

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        """Log one request and count it: its answer, why it was not trusted, or what failed."""
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
