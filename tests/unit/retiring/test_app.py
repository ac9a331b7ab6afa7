"""The entry point and what it wires together."""

import json
from collections.abc import Iterator

import httpx
import pytest

from retirement.errors import Abandoned, ConfigurationError, DatabrainUnavailable
from retirement.retiring.settings import Mode
from retirement.wiring.invocation import LambdaClock
from tests.fakes import START, FailAt, Parsed, World, entry_of, from_queue, requested
from tests.unit.entry_points import LAMBDA, Context, Deployed, deploy, give_up_soon, kept, load
from tests.unit.test_settings import ENVIRONMENT, MAY_BE_EMPTY


@pytest.fixture
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LAMBDA | {"APPROVALS_REQUIRED": "0"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def deployed(
    _configured: None, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed[World]]:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    ports = (
        "databrain",
        "embed_map",
        "datamart_lists",
        "evidence",
        "coordination",
        "inbox",
        "progress",
        "results_topic",
    )
    with deploy("retire", world, capsys, monkeypatch, *ports) as deployed:
        yield deployed


def message(event: object, receives: int = 1) -> Parsed:
    """An event as the queue hands it to the function."""
    return from_queue(event, START, receives)


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - MAY_BE_EMPTY))
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_setting_is_missing(name: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or empty setting stops the function at its start, with the setting's name."""
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        load("retire")


@pytest.mark.parametrize("direct", [False, True], ids=["from the queue", "from a rule as such"])
def test_event(deployed: Deployed[World], direct: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A message of the queue and an EventBridge event as such are carried out alike, and return the result."""
    event = requested()

    result = deployed.app.handler(event if direct else message(event), Context())

    assert result["outcome"] == "deleted"
    assert deployed.world.published == [result]
    assert json.loads(json.dumps(result)) == result


def test_log(deployed: Deployed[World]) -> None:
    """Every line tells which request it is about, and the last one its outcome."""
    deployed.app.handler(message(requested(), receives=2), Context())

    assert [line["message"] for line in deployed.lines][-1] == "published"
    assert {line["retirementId"] for line in deployed.lines} == {"offboard-1"}
    assert {line["datamartName"] for line in deployed.lines} == {"sales"}
    assert {line["receiveCount"] for line in deployed.lines} == {2}
    assert {line["function_request_id"] for line in deployed.lines} == {"invocation-1"}
    assert deployed.lines[-1]["outcome"] == "deleted"


def test_log_of_the_next_request(deployed: Deployed[World]) -> None:
    """A line never tells of an earlier request of the same environment."""
    deployed.app.handler(message(requested()), Context())
    before = len(deployed.lines)
    deployed.app.handler(message("no request"), Context())

    assert not {"retirementId", "datamartName"} & {name for line in deployed.lines[before:] for name in line}
    assert deployed.lines[-1]["outcome"] == "rejected"


def test_log_of_a_rejected_request(deployed: Deployed[World]) -> None:
    """The line of a rejected request names it as far as it can be told."""
    deployed.app.handler(message(requested(dryRum=True)), Context())

    assert deployed.lines[-1]["outcome"] == "rejected"
    assert deployed.lines[-1]["retirementId"] == "offboard-1"
    assert deployed.lines[-1]["datamartName"] == "sales"


def test_metrics(deployed: Deployed[World]) -> None:
    """One invocation emits its measures, and one count by outcome and reason."""
    deployed.app.handler(message(requested(dryRun=True)), Context())

    metrics = deployed.metrics()
    both = {"service": "datamart-retirement", "environment": "prod"}
    assert metrics.keys() >= {"Duration", "DatabrainRequests", "DatabrainRetries", "DatabrainWalks", "Retirements"}
    assert metrics["Duration"].items() >= both.items()
    assert metrics["Retirements"].items() >= (both | {"outcome": "planned", "reason": "dry_run"}).items()


def test_failed(deployed: Deployed[World]) -> None:
    """A failed attempt goes back to the queue; the last receive publishes the failure, which counts as one."""
    deployed.interfere(FailAt("databrain.find", DatabrainUnavailable("GET: HTTP 503")))

    with pytest.raises(DatabrainUnavailable):
        deployed.app.handler(message(requested(), 5), Context())
    assert deployed.lines[-1]["reason"] == "databrain_unavailable"
    assert deployed.metrics().keys().isdisjoint({"FailedRetirements", "Retirements"})

    with pytest.raises(Abandoned):
        deployed.app.handler(message(requested(), 6), Context())
    assert deployed.lines[-1]["reason"] == "databrain_unavailable"
    metrics = deployed.metrics()
    assert metrics["FailedRetirements"]["FailedRetirements"] == [1.0]
    assert (metrics["Retirements"]["outcome"], metrics["Retirements"]["reason"]) == ("failed", "databrain_unavailable")


@pytest.mark.filterwarnings("ignore:No application metrics to publish")
def test_batch_of_two(deployed: Deployed[World]) -> None:
    """More than one message at once is a wrong setting, told as such."""
    batch = message(requested())
    batch["Records"] *= 2

    with pytest.raises(ConfigurationError, match="BatchSize"):
        deployed.app.handler(batch, Context())


# ---- Wiring --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_configured")
def test_wired() -> None:
    """What outlives an invocation is made once; what belongs to one is made for each, with its own clock."""
    wiring = load("retire").wiring
    first, second = wiring.ports(Context()), wiring.ports(Context(milliseconds=1_500))

    assert wiring.settings.mode is Mode.RETIRE
    assert kept(first, second) == {
        "embed_map",
        "datamart_lists",
        "evidence",
        "coordination",
        "inbox",
        "progress",
        "scheduling",
        "results_topic",
        "telemetry",
    }
    assert second.clock.remaining() == 1.5


@pytest.mark.usefixtures("_configured")
def test_every_client_has_time_outs() -> None:
    """No call that goes out can hang for ever, and Databrain's redirects are never followed."""
    wiring = load("retire").wiring
    http: httpx.Client = wiring._http  # noqa: SLF001  # there is no other way to see it
    aws = [
        wiring._token._secret._secrets_manager,  # noqa: SLF001  # the same
        wiring._evidence._s3,  # noqa: SLF001  # the same
        wiring._embed_map._s3,  # noqa: SLF001  # the same
        wiring._datamart_lists._s3,  # noqa: SLF001  # the same
        wiring._coordination._dynamodb,  # noqa: SLF001  # the same
        wiring._inbox._client,  # noqa: SLF001  # the same
        wiring._results_topic._sns,  # noqa: SLF001  # the same
    ]

    assert None not in http.timeout.as_dict().values()
    assert http.follow_redirects is False
    assert give_up_soon(*aws)


def test_clock() -> None:
    """The clock tells UTC and what Lambda says is left, and sleeping takes no less than asked."""
    clock = LambdaClock(Context(milliseconds=2_500))
    before = clock.now()
    clock.sleep(0.01)

    assert clock.remaining() == 2.5
    assert before.tzinfo is not None
    assert (clock.now() - before).total_seconds() >= 0.009
