"""The schedule function's entry point and what it wires together."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retirement.errors import Abandoned, AwsCallFailed, ConfigurationError
from retirement.scheduling.ports import Timer
from retirement.timestamps import format_timestamp
from tests.fakes import SCHEDULE_SETTINGS, FailAt, Parsed, World, cancelled, from_queue, requested
from tests.unit.entry_points import LAMBDA, Context, Deployed, deploy, give_up_soon, kept, load
from tests.unit.scheduling.test_schedule_settings import ENVIRONMENT

NOW = datetime.now(UTC)


@pytest.fixture
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LAMBDA).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def deployed(
    _configured: None, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed[World]]:
    """With nothing scheduled yet."""
    ports = ("evidence", "timers", "inbox", "outbox", "restores", "progress", "results_topic")
    with deploy("schedule", world, capsys, monkeypatch, *ports) as deployed:
        yield deployed


def take(deployed: Deployed[World], event: object, receives: int = 1) -> Parsed:
    """Handle one message of the queue, and return the result."""
    result: Parsed = deployed.app.handler(from_queue(event, NOW, receives), Context())
    return result


def dated() -> Parsed:
    """A request for a date that is a week ahead."""
    return requested(retireAt=format_timestamp(NOW + timedelta(days=7))) | {"time": format_timestamp(NOW)}


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_setting_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting stops the function at its start, with the setting's name."""
    monkeypatch.delenv(name)

    with pytest.raises(ConfigurationError, match=f"^{name} is missing"):
        load("schedule")


def test_a_date_and_its_end(deployed: Deployed[World]) -> None:
    """A date is set, and a cancellation takes it back; each returns the result that is published."""
    scheduled = take(deployed, dated())
    assert scheduled["outcome"] == "scheduled"
    assert {timer for timer, *_ in deployed.world.timers.standing} == {Timer.RETIRE, Timer.REMIND}

    ended = take(deployed, cancelled())
    assert ended["outcome"] == "cancelled"
    assert deployed.world.timers.standing == {}
    assert deployed.world.published == [scheduled, ended]
    assert json.loads(json.dumps([scheduled, ended])) == deployed.world.published


def test_log_and_metrics(deployed: Deployed[World]) -> None:
    """Every line tells which request it is about, the last one its outcome, which counts as one."""
    take(deployed, dated(), receives=2)

    assert {(line["retirementId"], line["datamartName"]) for line in deployed.lines} == {("offboard-1", "sales")}
    assert {line["receiveCount"] for line in deployed.lines} == {2}
    assert (deployed.lines[-1]["message"], deployed.lines[-1]["outcome"]) == ("published", "scheduled")
    metrics = deployed.metrics()
    assert metrics["Retirements"].items() >= {"environment": "prod", "outcome": "scheduled", "reason": "none"}.items()
    assert metrics["Duration"]["service"] == "datamart-retirement"


def test_failed(deployed: Deployed[World]) -> None:
    """A failed attempt goes back to the queue; the last receive publishes the failure."""
    deployed.interfere(FailAt("timers.set", AwsCallFailed("Scheduler CreateSchedule: throttled")))

    with pytest.raises(AwsCallFailed):
        take(deployed, dated(), receives=5)
    assert deployed.world.published == []
    with pytest.raises(Abandoned):
        take(deployed, dated(), receives=6)
    assert [(result["outcome"], result["reason"]) for result in deployed.world.published] == [
        ("failed", "internal_error")
    ]


# ---- Wiring --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_configured")
def test_wired() -> None:
    """What outlives an invocation is made once; what belongs to one is made for each, with its own clock."""
    wiring = load("schedule").wiring
    first, second = wiring.ports(Context()), wiring.ports(Context(milliseconds=1_500))

    assert wiring.settings == replace(SCHEDULE_SETTINGS, approval_sources=("approvals", "audit"), approvals_required=2)
    assert kept(first, second) == {
        "evidence",
        "timers",
        "inbox",
        "outbox",
        "restores",
        "progress",
        "results_topic",
        "telemetry",
    }
    assert second.clock.remaining() == 1.5


@pytest.mark.usefixtures("_configured")
def test_queues() -> None:
    """What is due goes to the queue of requests, a reminder to that of schedulings, a restore to that of restores."""
    wiring = load("schedule").wiring

    assert wiring._inbox._url == SCHEDULE_SETTINGS.scheduling_queue_url  # noqa: SLF001  # there is no other way to see it
    assert wiring._outbox._url == SCHEDULE_SETTINGS.requests_queue_url  # noqa: SLF001  # the same
    assert wiring._restores._url == SCHEDULE_SETTINGS.restores_queue_url  # noqa: SLF001  # the same
    assert wiring._timers._targets.queues == {  # noqa: SLF001  # the same
        Timer.RETIRE: SCHEDULE_SETTINGS.requests_queue_arn,
        Timer.REMIND: SCHEDULE_SETTINGS.scheduling_queue_arn,
    }


@pytest.mark.usefixtures("_configured")
def test_every_client_has_time_outs() -> None:
    """No call that goes out can hang for ever."""
    wiring = load("schedule").wiring
    aws = [
        wiring._evidence._s3,  # noqa: SLF001  # there is no other way to see it
        wiring._timers._scheduler,  # noqa: SLF001  # the same
        wiring._inbox._client,  # noqa: SLF001  # the same
        wiring._outbox._client,  # noqa: SLF001  # the same
        wiring._restores._client,  # noqa: SLF001  # the same
        wiring._progress._client,  # noqa: SLF001  # the same
        wiring._results_topic._sns,  # noqa: SLF001  # the same
    ]

    assert give_up_soon(*aws)
