"""Sweeps: requests the retirement of what the owner's policy matches, and returns the report."""

from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics

from retirement.canonical import Json
from retirement.sweeping.intake import is_dry_run, parse_starter
from retirement.sweeping.workflow import sweep
from retirement.wiring.invocation import LambdaContext
from retirement.wiring.sweep import Wiring

logger = Logger(use_rfc3339=True)
metrics = Metrics()
wiring = Wiring(logger, metrics)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: object, context: LambdaContext) -> Mapping[str, Json]:
    """Sweep once; after an exception, the next sweep does the rest."""
    dry_run, started_by = is_dry_run(event), parse_starter(event)
    return sweep(context.aws_request_id, wiring.settings, wiring.ports(context), dry_run=dry_run, started_by=started_by)
