"""The exact names, and what Scheduler does not do on demand; the rest is the contract suite's."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from retirement.aws.timers import SchedulerTimers, Targets
from retirement.errors import AwsCallFailed
from retirement.requests import Cancellation
from retirement.scheduling.ports import Timer
from tests.fakes import START

ASKED = Cancellation(
    datamart_name="Größe 1",
    retirement_id="offboard-1",
    environment="prod",
    requested_by="ops",
    reason="done",
    requested_at=START,
)
NAME = "retire-0470f64887f625724ca269158e72d8d92fd6d9a7"


@pytest.fixture(scope="module")
def scheduler() -> Any:  # noqa: ANN401  # a client
    """A client that has no account."""
    return boto3.client("scheduler", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.fixture
def stub(scheduler: Any) -> Iterator[Stubber]:  # noqa: ANN401  # a client
    """Answers in order; all of them are asked for."""
    with Stubber(scheduler) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def timers(scheduler: Any) -> SchedulerTimers:  # noqa: ANN401  # a client
    """The adapter."""
    return SchedulerTimers(scheduler, "retirements", Targets({}, "failures", "role"))


def test_name(stub: Stubber, timers: SchedulerTimers) -> None:
    """A timer's name stays what it is: under another one, a new version would find none that an old one has set."""
    stub.add_response("delete_schedule", {}, {"Name": NAME, "GroupName": "retirements"})

    timers.clear(Timer.RETIRE, ASKED)


def test_there_is_none(stub: Stubber, timers: SchedulerTimers) -> None:
    """To clear a timer that went off, or was never set, is no error."""
    stub.add_client_error("delete_schedule", "ResourceNotFoundException", http_status_code=404)

    timers.clear(Timer.RETIRE, ASKED)


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ConflictException"])
def test_scheduler_refuses(stub: Stubber, timers: SchedulerTimers, code: str) -> None:
    """Any other refusal leaves it open whether the timer is there."""
    stub.add_client_error("delete_schedule", code, http_status_code=400)

    with pytest.raises(AwsCallFailed, match=r"^EventBridge Scheduler could not clear a timer: "):
        timers.clear(Timer.RETIRE, ASKED)


def test_no_connection(timers: SchedulerTimers, scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401  # a client
    """So does a call that reaches nobody."""

    def fail(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://scheduler")

    monkeypatch.setattr(scheduler, "delete_schedule", fail)

    with pytest.raises(AwsCallFailed, match="could not clear a timer"):
        timers.clear(Timer.RETIRE, ASKED)
