"""Restores datamarts: takes a request from the queue, or directly from a rule, and returns its result."""

from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics

from retirement.canonical import Json
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.restoring.workflow import restore
from retirement.wiring.invocation import LambdaContext
from retirement.wiring.restore import Wiring

logger = Logger(use_rfc3339=True)
metrics = Metrics()
wiring = Wiring(logger, metrics)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: object, context: LambdaContext) -> Mapping[str, Json]:
    """Restore one datamart; an exception sends the request back to the queue."""
    ports = wiring.ports(context)
    delivery = receive(event, context.aws_request_id, ports.clock.now())
    return answer(delivery, restore, wiring.settings, ports)
