"""Takes messages at the URL of the webhook, and puts the events that they become on the bus."""

from aws_lambda_powertools import Logger, Metrics

from retirement.canonical import Document
from retirement.webhook.endpoint import respond
from retirement.wiring.invocation import LambdaContext
from retirement.wiring.webhook import Wiring

logger = Logger(use_rfc3339=True)
metrics = Metrics()
wiring = Wiring(logger, metrics)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: object, context: LambdaContext) -> Document:
    """Answer one HTTP request."""
    return respond(event, wiring.settings, wiring.ports(context))
