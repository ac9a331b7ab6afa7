"""One embedded stack and one Databrain server for all stack tests of a worker; each test finds them as new."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import pytest

from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import REGION
from local.stack import RETIRE, SWEEP, EmbeddedStack
from tests.stack.leaks import everything_written, leaks, listen
from tests.stack.scene import DATA_APP_KEY, MAPS_BUCKET, PARAMETERS, SEED, SERVICE_TOKEN, Scene


@pytest.fixture(scope="session")
def databrain() -> Iterator[Databrain]:
    """The server itself; tests use the `scene`."""
    with serve(SEED) as databrain:
        yield databrain


@pytest.fixture(scope="session")
def stack(databrain: Databrain) -> Iterator[EmbeddedStack]:
    """The deployment itself, in `retire` mode; tests use the `scene`. Whatever they did, they leave no token behind."""
    with EmbeddedStack.start(databrain_url=databrain.url, service_token=SERVICE_TOKEN, parameters=PARAMETERS) as stack:
        stack.s3.create_bucket(Bucket=MAPS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        listen(stack)
        yield stack
        assert leaks(everything_written(stack), SERVICE_TOKEN, DATA_APP_KEY) == set()


@pytest.fixture
def scene(stack: EmbeddedStack, databrain: Databrain) -> Scene:
    """The stack and its Databrain as new; the evidence of earlier tests stays, under other names."""
    return Scene(stack, databrain)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the function logged meanwhile with a test that failed."""
    report = yield
    scene = getattr(item, "funcargs", {}).get("scene")
    if report.failed and isinstance(scene, Scene):
        for function in (RETIRE, SWEEP):
            log = scene.stack.function_log(since=datetime.fromtimestamp(call.start, UTC), function=function)
            report.sections.append((f"log of {function}", "\n".join(log)))
    return report
