"""One retirement in a process of its own: Databrain over HTTP, AWS in memory.

`python -m tests.bench.one_retirement URL API DATAMART` prints JSON: `requests` to Databrain, and `peak`, the memory
in bytes at its peak above that of the interpreter with everything imported.
"""

import json
import resource
import sys
from dataclasses import replace

from local.databrain.estate import SERVICE_TOKEN
from retirement.databrain.client import DatabrainClient
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.transport import http_client
from retirement.delivery.answering import answer
from retirement.requests import Delivery
from retirement.retiring.ports import RetirePorts
from retirement.retiring.workflow import retire
from tests.contract.rotated_secret import RotatedSecret
from tests.fakes import (
    SETTINGS,
    START,
    FakeCoordination,
    FakeDatamartLists,
    FakeEmbedMap,
    FakeEvidence,
    FakeProgress,
    FakeQueue,
    FakeResultsTopic,
    LogicalClock,
    RecordingTelemetry,
    requested,
)

BYTES = 1 if sys.platform == "darwin" else 1024  # of one unit of ru_maxrss


def main() -> None:
    """Retire the datamart and print what it took."""
    url, api, datamart_name = sys.argv[1:]
    settings = replace(SETTINGS, databrain_api=DatabrainApi(api))
    delivery = Delivery(json.dumps(requested(datamart_name, dependents="ignore")), START, 1, "invocation")
    clock, telemetry = LogicalClock(), RecordingTelemetry()
    with http_client(url) as http:
        databrain = DatabrainClient(
            http,
            api=settings.databrain_api,
            token=RotatedSecret(SERVICE_TOKEN).token(),
            clock=clock,
            telemetry=telemetry,
        )
        ports = RetirePorts(
            databrain=databrain,
            embed_map=FakeEmbedMap(),
            datamart_lists=FakeDatamartLists(),
            evidence=FakeEvidence(),
            coordination=FakeCoordination(),
            scheduling=FakeQueue(),
            inbox=FakeQueue(),
            progress=FakeProgress(),
            results_topic=FakeResultsTopic(),
            telemetry=telemetry,
            clock=clock,
        )
        imported = _peak()
        result = answer(delivery, retire, settings, ports)
        peak = _peak() - imported
        requests = len(http.get("/_control/requests").json())
    if result["outcome"] != "deleted":
        sys.exit(f"expected the outcome deleted, got {result['outcome']}: {result['message']}")
    json.dump({"requests": requests, "peak": peak}, sys.stdout)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES


if __name__ == "__main__":
    main()
