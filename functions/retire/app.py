"""Retires datamarts: takes a request from the queue, or directly from a rule, and returns its result."""

from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics

from retirement.canonical import Json
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.retiring.workflow import retire
from retirement.wiring.invocation import LambdaContext
from retirement.wiring.retire import Wiring

logger = Logger(use_rfc3339=True)
metrics = Metrics()
wiring = Wiring(logger, metrics)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: object, context: LambdaContext) -> Mapping[str, Json]:
    """Carry out one request; an exception sends it back to its queue."""
    ports = wiring.ports(context)
    delivery = receive(event, context.aws_request_id, ports.clock.now())
    return answer(delivery, retire, wiring.settings, ports)
