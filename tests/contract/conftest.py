"""The real adapters on real servers, of this machine: one Databrain and one MiniStack for all tests of a worker."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest

from local.databrain.seed import organisation_of
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import Emulator, run_emulator
from local.stack import EmbeddedStack
from retirement.clock import Clock
from retirement.databrain.client import DatabrainClient
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.transport import http_client
from tests.contract.rotated_secret import RotatedSecret
from tests.contract.seeds import SERVICE_TOKEN, seed
from tests.fakes import LogicalClock, RecordingTelemetry

# ---- Databrain -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def databrain_server() -> Iterator[Databrain]:
    """The server itself; tests use `databrain`."""
    with serve(seed()) as databrain:
        yield databrain


@pytest.fixture(scope="session")
def http(databrain_server: Databrain) -> Iterator[httpx.Client]:
    """Set up as in `retirement.wiring`."""
    with http_client(databrain_server.url) as client:
        yield client


@pytest.fixture(scope="session")
def impatient_http(databrain_server: Databrain) -> Iterator[httpx.Client]:
    """Waits for an answer not nearly as long."""
    with httpx.Client(base_url=databrain_server.url, timeout=0.25, follow_redirects=False) as client:
        yield client


@pytest.fixture
def databrain(databrain_server: Databrain) -> Databrain:
    """An organisation of three datamarts, no faults, no requests so far."""
    databrain_server.organisation = organisation_of(seed("sales", "marketing", "finance"))
    databrain_server.faults.clear()
    databrain_server.requests.clear()
    return databrain_server


@pytest.fixture(params=list(DatabrainApi))
def api(request: pytest.FixtureRequest) -> DatabrainApi:
    """Each of the route families."""
    return DatabrainApi(request.param)


@pytest.fixture
def secret() -> RotatedSecret:
    """Holds the service token."""
    return RotatedSecret(SERVICE_TOKEN)


@pytest.fixture
def clock() -> LogicalClock:
    """Sleeps without waiting."""
    return LogicalClock()


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    """Counts."""
    return RecordingTelemetry()


@pytest.fixture
def client_by(
    databrain: Databrain,  # noqa: ARG001  # the server has to be as new
    api: DatabrainApi,
    secret: RotatedSecret,
    clock: LogicalClock,
    telemetry: RecordingTelemetry,
) -> Callable[..., DatabrainClient]:
    """Make the client of one attempt from an HTTP client, and from another clock if wanted."""

    def make(http: httpx.Client, clock: Clock = clock) -> DatabrainClient:
        return DatabrainClient(http, api=api, token=secret.token(), clock=clock, telemetry=telemetry)

    return make


@pytest.fixture
def client(client_by: Callable[..., DatabrainClient], http: httpx.Client) -> DatabrainClient:
    """The client of one attempt."""
    return client_by(http)


# ---- AWS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """MiniStack, with nothing deployed."""
    with run_emulator(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def aws(emulator: Emulator) -> EmbeddedStack:
    """An administrator's clients."""
    return EmbeddedStack(emulator)


@pytest.fixture(scope="module")
def table(aws: EmbeddedStack) -> str:
    """A table with the key of the template's coordination table."""
    name = f"coordination-{uuid4()}"
    aws.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
