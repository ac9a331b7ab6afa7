"""The port `Timers`: one suite for the fake and for EventBridge Scheduler."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from local.stack import EmbeddedStack
from retirement.aws.timers import SchedulerTimers, Targets
from retirement.errors import AwsCallFailed
from retirement.requests import Cancellation
from retirement.scheduling.ports import Timer, Timers
from tests.fakes import START, FakeTimers

pytestmark = pytest.mark.xdist_group("ministack")

TARGETS = Targets(
    queues={
        Timer.RETIRE: "arn:aws:sqs:eu-central-1:000000000000:requests",
        Timer.REMIND: "arn:aws:sqs:eu-central-1:000000000000:scheduling",
    },
    failures="arn:aws:sqs:eu-central-1:000000000000:failures",
    role="arn:aws:iam::000000000000:role/timers",
)
BODY = json.dumps({"reason": "<aws.scheduler.execution-id> \u0000 <b>Größe</b> 🙂"}, ensure_ascii=False)

# What stands for a retirement: when it goes off, and the message, parsed; None for nothing.
Standing = Callable[[Timer, Cancellation], tuple[datetime, object] | None]


def asked(datamart_name: str = "sales", retirement_id: str = "offboard-1") -> Cancellation:
    """Somebody asks about a retirement."""
    return Cancellation(
        datamart_name=datamart_name,
        retirement_id=retirement_id,
        environment="prod",
        requested_by="ops",
        reason="done",
        requested_at=START,
    )


def names_in(aws: EmbeddedStack, group: str) -> list[str]:
    """The names of the schedules in a group."""
    return [each["Name"] for each in aws.scheduler.list_schedules()["Schedules"] if each["GroupName"] == group]


@pytest.fixture
def group(aws: EmbeddedStack) -> str:
    """A group of its own."""
    name = f"group-{uuid4()}"
    aws.scheduler.create_schedule_group(Name=name)
    return name


@pytest.fixture(params=["fake", "scheduler"])
def timers(request: pytest.FixtureRequest) -> Timers:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeTimers()
    aws: EmbeddedStack = request.getfixturevalue("aws")
    return SchedulerTimers(aws.scheduler, request.getfixturevalue("group"), TARGETS)


@pytest.fixture
def standing(timers: Timers, aws: EmbeddedStack, group: str) -> Standing:
    """Look at what stands."""

    def in_fake(timer: Timer, of: Cancellation) -> tuple[datetime, object] | None:
        assert isinstance(timers, FakeTimers)
        found = timers.standing.get((timer, of.datamart_name, of.retirement_id))
        return None if found is None else (found[0], json.loads(found[1]))

    def in_scheduler(timer: Timer, of: Cancellation) -> tuple[datetime, object] | None:
        del of  # a group of its own: what is there is this one's
        for name in (
            each["Name"] for each in aws.scheduler.list_schedules()["Schedules"] if each["GroupName"] == group
        ):
            schedule = aws.scheduler.get_schedule(Name=name, GroupName=group)
            target = schedule["Target"]
            if target["Arn"] == TARGETS.queues[timer]:
                at = datetime.strptime(f"{schedule['ScheduleExpression']} +0000", "at(%Y-%m-%dT%H:%M:%S) %z")
                return at, json.loads(target["Input"])
        return None

    return in_fake if isinstance(timers, FakeTimers) else in_scheduler


@pytest.mark.parametrize("timer", Timer)
def test_set_and_clear(timers: Timers, standing: Standing, timer: Timer) -> None:
    """A timer stands from when it is set until it is cleared, with its message as it was."""
    timers.set(timer, asked(), START, BODY)
    assert standing(timer, asked()) == (START, json.loads(BODY))
    timers.clear(timer, asked())
    assert standing(timer, asked()) is None


def test_set_again(timers: Timers, standing: Standing) -> None:
    """A timer that is set again is moved, and takes its new message along."""
    timers.set(Timer.RETIRE, asked(), START, BODY)
    timers.set(Timer.RETIRE, asked(), START + timedelta(days=365), "{}")
    assert standing(Timer.RETIRE, asked()) == (START + timedelta(days=365), {})


def test_clear_what_is_not_there(timers: Timers, standing: Standing) -> None:
    """There is nothing to do, and no other timer goes."""
    timers.set(Timer.RETIRE, asked(), START, BODY)
    timers.clear(Timer.REMIND, asked())
    timers.clear(Timer.RETIRE, asked(retirement_id="another"))
    timers.clear(Timer.RETIRE, asked(datamart_name="another"))
    assert standing(Timer.RETIRE, asked()) is not None


@pytest.mark.parametrize("name", ["sales", "Umsätze 売上 📈", "../../x", "n" * 256, "a\nb"])
def test_names(aws: EmbeddedStack, group: str, name: str) -> None:
    """Whatever a datamart is called, its timer has a name that EventBridge Scheduler takes, and one of its own."""
    timers = SchedulerTimers(aws.scheduler, group, TARGETS)
    for retirement_id in ("a", "r" * 128):
        timers.set(Timer.RETIRE, asked(name, retirement_id), START.replace(year=START.year + 9), BODY)
    names = names_in(aws, group)
    assert len(set(names)) == 2
    assert all(len(each) <= 64 and each.isascii() and each.replace("-", "").isalnum() for each in names)


def test_as_it_is_set(aws: EmbeddedStack, group: str) -> None:
    """A timer is set once to a whole minute, not before its time, is tried for a day, and leaves nothing behind."""
    SchedulerTimers(aws.scheduler, group, TARGETS).set(Timer.RETIRE, asked(), START + timedelta(milliseconds=1), BODY)
    (name,) = names_in(aws, group)
    schedule = aws.scheduler.get_schedule(Name=name, GroupName=group)
    assert schedule["ScheduleExpression"] == "at(2026-03-01T12:01:00)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["ActionAfterCompletion"] == "DELETE"
    assert schedule["Target"]["RoleArn"] == TARGETS.role
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": TARGETS.failures}
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
    assert "<aws.scheduler" not in schedule["Target"]["Input"]


def test_a_refusal(aws: EmbeddedStack) -> None:
    """What EventBridge Scheduler refuses is an error that says so."""
    timers = SchedulerTimers(aws.scheduler, f"group-{uuid4()}", TARGETS)
    with pytest.raises(AwsCallFailed, match="could not set a timer"):
        timers.set(Timer.RETIRE, asked(), START, BODY)
    with pytest.raises(AwsCallFailed, match="could not clear a timer"):
        SchedulerTimers(aws.scheduler, "", TARGETS).clear(Timer.RETIRE, asked())
