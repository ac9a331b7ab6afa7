"""One embedded stack and one Databrain server for all stack tests of a worker; each test finds them as new."""

import sys
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import CHECKOUT, REGION
from local.forking import forked
from local.stack import RETIRE, STACK_NAME, SWEEP, WEBHOOK_SECRET_NAME, EmbeddedStack
from tests.stack.leaks import everything_written, leaks, listen
from tests.stack.listener import Listener
from tests.stack.program import Program, variables
from tests.stack.scene import (
    DATA_APP_KEY,
    MAPS_BUCKET,
    PARAMETERS,
    RESTORE,
    SCHEDULE,
    SEED,
    SERVICE_TOKEN,
    WEBHOOK_SECRET,
    Scene,
)
from tests.stack.shell import Shell
from tests.stack.sweeps import Sweeps
from tests.stack.webhooks import Sender

CLI = CHECKOUT / ".venv" / "cli" / "bin" / "aws"


@pytest.fixture(scope="session")
def databrain() -> Iterator[Databrain]:
    """The server itself; tests use the `scene`."""
    with serve(SEED) as databrain:
        yield databrain


@pytest.fixture(scope="session")
def stack(databrain: Databrain) -> Iterator[EmbeddedStack]:
    """The deployment itself, in `retire` mode; tests use the `scene`. Whatever they do, no secret is left behind."""
    with (
        EmbeddedStack.start(
            databrain_url=databrain.url,
            service_token=SERVICE_TOKEN,
            webhook_secret=WEBHOOK_SECRET,
            parameters=PARAMETERS,
        ) as stack,
        stack.requiring(0),
    ):
        stack.s3.create_bucket(Bucket=MAPS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        listen(stack)
        yield stack
        secrets = (SERVICE_TOKEN, DATA_APP_KEY, WEBHOOK_SECRET.removeprefix("whsec_"))
        assert leaks(everything_written(stack), *secrets) == set()


@pytest.fixture
def scene(stack: EmbeddedStack, databrain: Databrain) -> Scene:
    """The stack and its Databrain as new; the evidence of earlier tests stays, under other names."""
    return Scene(stack, databrain)


@pytest.fixture
def datamart(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command line, for an administrator of the stack."""
    return Program(variables(scene.stack, tmp_path), capsys)


@pytest.fixture
def sender(scene: Scene) -> Iterator[Sender]:
    """Somebody who has the secret that webhooks are signed with."""
    with Sender.to(scene.stack) as sender:
        yield sender
    scene.wind_down()


@pytest.fixture(scope="session")
def listening_to_webhooks(stack: EmbeddedStack) -> Listener:
    """Each test forgets what was heard before, so one rule does for all."""
    return Listener(stack, "datamart-retirement.webhook")


@pytest.fixture
def bus(listening_to_webhooks: Listener) -> Listener:
    """What this test's webhooks put on the bus."""
    listening_to_webhooks.forget()
    return listening_to_webhooks


@pytest.fixture(scope="session")
def listening_to_sweeps(stack: EmbeddedStack) -> Listener:
    """Each test forgets what was heard before, so one rule does for all."""
    return Listener(stack, "datamart-retirement.sweep")


@pytest.fixture
def sweeps(scene: Scene, listening_to_sweeps: Listener) -> Iterator[Sweeps]:
    """The sweeps of one test."""
    yield Sweeps(scene, listening_to_sweeps)
    scene.wind_down()


@pytest.fixture
def put_webhook_secret(scene: Scene) -> Iterator[Callable[[str], object]]:
    """Put another text into the secret that webhooks are signed with, until the test is over."""
    secrets = scene.stack.secretsmanager
    yield lambda text: secrets.put_secret_value(SecretId=WEBHOOK_SECRET_NAME, SecretString=text)
    if "DeletedDate" in secrets.describe_secret(SecretId=WEBHOOK_SECRET_NAME):
        secrets.restore_secret(SecretId=WEBHOOK_SECRET_NAME)
    secrets.put_secret_value(SecretId=WEBHOOK_SECRET_NAME, SecretString=WEBHOOK_SECRET)
    with scene.stack.settings("WebhookFunction"):
        pass


@pytest.fixture(scope="session")
def aws() -> Iterator[Path]:
    """A folder for a `PATH`: `datamart`, and `aws`, which pages call so often that its starts took most of the time."""
    with TemporaryDirectory(prefix="aws-") as folder:
        python, modules = CLI.with_name("python"), ("awscli.clidriver", "awscli.handlers")
        program = Path(folder) / "datamart"
        paths = f"{CHECKOUT / 'layers' / 'retirement' / 'python'}:{CHECKOUT}"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} -m cli "$@"\n')
        program.chmod(0o755)
        with forked(Path(folder) / "aws", python, modules, program=CLI):
            yield Path(folder)


@pytest.fixture(scope="session")
def shell_environment(stack: EmbeddedStack, aws: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a shell needs to use the stack with the AWS CLI."""
    path, answers = f"{aws}:{stack.environment['PATH']}", str(tmp_path_factory.mktemp("answers"))
    config = str(tmp_path_factory.mktemp("config"))
    return {
        **stack.environment,
        "PATH": path,
        "ANSWERS": answers,
        "DATAMART_STACK": STACK_NAME,
        "XDG_CONFIG_HOME": config,
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def shell(scene: Scene, shell_environment: dict[str, str], tmp_path: Path) -> Shell:  # noqa: ARG001 -- as new
    """A shell with the AWS CLI."""
    return Shell(shell_environment, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the functions logged meanwhile with a test that failed."""
    report = yield
    scene = getattr(item, "funcargs", {}).get("scene")
    if report.failed and isinstance(scene, Scene):
        began = datetime.fromtimestamp(call.start, UTC)
        for function in (RETIRE, SCHEDULE, RESTORE, SWEEP):
            report.sections.append((f"log of {function}", "\n".join(scene.stack.function_log(began, function))))
    return report
