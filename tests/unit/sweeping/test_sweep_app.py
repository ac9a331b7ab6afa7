"""The sweep's entry point and what it wires together."""

import json
from collections.abc import Iterator

import pytest

from retirement.environment import S3Location
from retirement.errors import ConfigurationError, DatabrainUnavailable
from tests.fakes import FailAt
from tests.sweep_world import RULE, SweepWorld
from tests.unit.entry_points import LAMBDA, Context, Deployed, deploy, give_up_soon, kept, load
from tests.unit.sweeping.test_sweep_settings import ENVIRONMENT, MAY_BE_EMPTY


@pytest.fixture
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LAMBDA | {"MAX_SWEEP_PERCENT": "100"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def deployed(
    _configured: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed[SweepWorld]]:
    """With a policy that matches one of two datamarts."""
    world = SweepWorld()
    world.rules(RULE | {"names": ["tenant-*"]})
    world.datamarts("tenant-1", "sales")
    ports = ("policy", "databrain", "embed_map", "datamart_lists", "evidence", "event_bus", "reports_topic")
    with deploy("sweep", world, capsys, monkeypatch, *ports) as deployed:
        yield deployed


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - MAY_BE_EMPTY))
def test_setting_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting stops the function at its start, with the setting's name."""
    monkeypatch.delenv(name)

    with pytest.raises(ConfigurationError, match=f"^{name} is missing or empty"):
        load("sweep")


@pytest.mark.parametrize("event", [{}, None, {"source": "aws.scheduler"}, [1], "anything"])
def test_event(deployed: Deployed[SweepWorld], event: object) -> None:
    """Whatever wakes the function, it sweeps once and returns the report that is published."""
    report = deployed.app.handler(event, Context())

    assert report["counts"]["asked"] == 1
    assert deployed.world.reports == [report]
    assert report["sweepId"].endswith("Z-invocation-1")
    assert json.loads(json.dumps(report)) == report


@pytest.mark.filterwarnings("ignore:No application metrics")  # a refused event is measured by Lambda alone
def test_dry_run(deployed: Deployed[SweepWorld]) -> None:
    """An invocation can be a dry run, whatever the policy says."""
    report = deployed.app.handler({"dryRun": True}, Context())

    assert (report["dryRun"], report["counts"]["wouldAsk"], report["counts"]["asked"]) == (True, 1, 0)


@pytest.mark.filterwarnings("ignore:No application metrics")  # a refused event is measured by Lambda alone
def test_a_person_starts_it(deployed: Deployed[SweepWorld]) -> None:
    """Whoever starts a sweep is named in what it requests; a name that no requester can have is refused."""
    deployed.app.handler({"requestedBy": "alice@example.com"}, Context())

    (event,) = deployed.world.events
    assert event.detail["startedBy"] == "alice@example.com"
    for name in (1, "", "a" * 257):
        with pytest.raises(
            ConfigurationError, match=r"^requestedBy in the event that starts the sweep must be a string"
        ):
            deployed.app.handler({"requestedBy": name}, Context())
    assert len(deployed.world.events) == 1


def test_log_and_metrics(deployed: Deployed[SweepWorld]) -> None:
    """Each step is a line, the last one with the counts, and a sweep emits its measures."""
    deployed.app.handler({}, Context())

    assert [line["message"] for line in deployed.lines] == ["read", "decide", "request", "reported"]
    assert deployed.lines[2]["datamartName"] == "tenant-1"
    assert (deployed.lines[-1]["matched"], deployed.lines[-1]["asked"]) == (1, 1)
    metrics = deployed.metrics()
    assert metrics.keys() >= {"Duration", "DatabrainRequests", "SweepMatched", "SweepAsked", "SweepCancelled"}
    assert metrics["SweepAsked"].items() >= {"service": "datamart-retirement", "environment": "prod"}.items()


def test_failure(deployed: Deployed[SweepWorld]) -> None:
    """A sweep that fails raises, so that Lambda counts an error, and says why in the log."""
    deployed.interfere(FailAt("databrain.list_datamarts_with_updates", DatabrainUnavailable("GET: HTTP 503")))

    with pytest.raises(DatabrainUnavailable):
        deployed.app.handler({}, Context())
    assert deployed.lines[-1]["message"] == "sweep failed"
    assert deployed.lines[-1]["reason"] == "databrain_unavailable"
    assert "SweepAsked" not in deployed.metrics()


def test_refusal(deployed: Deployed[SweepWorld]) -> None:
    """So does one without a policy, which is reported, too."""
    deployed.world.policy.body = None

    with pytest.raises(ConfigurationError):
        deployed.app.handler({}, Context())
    assert [line["message"] for line in deployed.lines] == ["reported", "sweep failed"]
    assert deployed.lines[0]["refusal"] == deployed.world.reports[-1]["refusal"]


@pytest.mark.usefixtures("_configured")
def test_wired() -> None:
    """What outlives an invocation is made once; what belongs to one is made for each, with its own clock."""
    wiring = load("sweep").wiring
    first, second = wiring.ports(Context()), wiring.ports(Context(milliseconds=1_500))

    assert wiring.settings.sweep_policy_uri == S3Location("policies", "databrain/sweep.json")
    assert kept(first, second) == {
        "policy",
        "embed_map",
        "datamart_lists",
        "evidence",
        "event_bus",
        "reports_topic",
        "telemetry",
    }
    assert second.clock.remaining() == 1.5


@pytest.mark.usefixtures("_configured")
def test_every_client_has_time_outs() -> None:
    """No call that goes out can hang for ever."""
    wiring = load("sweep").wiring
    aws = [
        wiring._token._secret._secrets_manager,  # noqa: SLF001  # there is no other way to see it
        wiring._policy._s3,  # noqa: SLF001  # the same
        wiring._embed_map._s3,  # noqa: SLF001  # the same
        wiring._datamart_lists._s3,  # noqa: SLF001  # the same
        wiring._evidence._s3,  # noqa: SLF001  # the same
        wiring._event_bus._events,  # noqa: SLF001  # the same
        wiring._reports_topic._sns,  # noqa: SLF001  # the same
    ]

    assert None not in wiring._http.timeout.as_dict().values()  # noqa: SLF001  # the same
    assert give_up_soon(*aws)
