"""What a failed attempt leaves for the next receive, and what the last one says."""

import json

import pytest

from retirement.delivery.answering import TIME_TO_CONCLUDE
from retirement.delivery.endings import NEXT_STEPS
from retirement.errors import Abandoned, AwsCallFailed, DatabrainUnavailable, RetirementError
from retirement.outcomes import Reason
from retirement.requests import MAX_RECEIVES, Kind
from tests.fakes import SETTINGS, Crash, CrashAt, FailAt, Interference, Parsed, World, entry_of, requested

DOWN = FailAt("databrain.find", DatabrainUnavailable("GET: HTTP 503"))
LOCK_EXPIRY = 61


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    return world


def fail(world: World) -> None:
    """An attempt that fails, Databrain being down."""
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), DOWN)


def give_up(world: World, *interferences: Interference) -> Parsed:
    """The last receive; returns what it published."""
    world.clock.advance(LOCK_EXPIRY)
    with pytest.raises(Abandoned):
        world.deliver(requested(), *interferences, receive_count=MAX_RECEIVES)
    return world.published[-1]


def test_the_wait_grows(world: World) -> None:
    """After a failed receive the message is held back for as long as RetryDelays says."""
    for receive_count in range(1, MAX_RECEIVES):
        with pytest.raises(DatabrainUnavailable):
            world.deliver(requested(), DOWN, receive_count=receive_count)

    assert tuple(world.inbox.redelivery_delays.values()) == SETTINGS.retry_delays


def test_a_wait_that_cannot_be_set(world: World) -> None:
    """Where SQS does not answer, the attempt's own error is raised: the visibility time-out brings the message back."""
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), DOWN, FailAt("inbox.redeliver_after", AwsCallFailed("no answer")))


def test_what_has_ended_is_not_held_back(world: World) -> None:
    """A request that has its result leaves the queue."""
    world.deliver(requested())
    world.deliver(requested(dryRum=True))

    assert world.inbox.redelivery_delays == {}


def test_the_last_receive_makes_no_attempt(world: World) -> None:
    """It asks Databrain nothing, publishes `failed`, keeps it with the event, and has SQS move the message."""
    fail(world)

    result = give_up(world)

    assert (result["outcome"], result["reason"]) == ("failed", "databrain_unavailable")
    assert world.kept_of(requested(), "failure-1.json") == {**result, "event": json.dumps(requested())}
    assert not [call for call in world.calls if call.startswith("databrain.")]
    assert world.inbox.redelivery_delays[f"handle-{MAX_RECEIVES}"] == 0
    assert "sales" in world.databrain.datamarts


@pytest.mark.parametrize("reason", NEXT_STEPS)
def test_the_reason_is_that_of_the_last_attempt(world: World, reason: Reason) -> None:
    """Whatever reason is kept is told, with what to do about it."""
    world.coordination.failures["offboard-1", "sales"] = reason

    result = give_up(world)

    assert result["reason"] == reason
    assert NEXT_STEPS[reason] in result["message"]


def test_every_reason_of_a_failure_has_its_advice() -> None:
    """No reason is without a sentence."""
    reasons = list(Reason)
    assert list(NEXT_STEPS) == reasons[reasons.index(Reason.DATABRAIN_UNAUTHORIZED) :]


@pytest.mark.parametrize(
    ("crash", "reason"), [("databrain.find", "internal_error"), ("databrain.delete", "unconfirmed")]
)
def test_attempts_that_crashed(world: World, crash: str, reason: str) -> None:
    """Without a kept reason an intent leaves doubt, and its plan and backup are shown; nothing else was begun."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt(crash))
    world.coordination.failures.clear()

    result = give_up(world)

    assert result["reason"] == reason
    assert (result["planId"] is None) is (result["backup"] is None) is (reason == "internal_error")


def test_the_table_is_down(world: World) -> None:
    """A table that does not answer is as good as none."""
    fail(world)

    assert give_up(world, FailAt("coordination.last_failure", AwsCallFailed("down")))["reason"] == "internal_error"


def test_there_is_a_receipt_by_now(world: World) -> None:
    """Where only the publication had failed, the receipt is published, and nothing is given up."""
    with pytest.raises(AwsCallFailed):
        world.deliver(requested(), FailAt("results_topic.publish", AwsCallFailed("down")))

    result = world.deliver(requested(), receive_count=MAX_RECEIVES)

    assert result["outcome"] == "deleted"
    assert world.published == [result]
    assert result == world.kept_of(requested(), "receipt.json")


@pytest.mark.parametrize("call", ["evidence.read", "evidence.create", "results_topic.publish", "inbox.redeliver_after"])
def test_the_last_receive_insists(world: World, call: str) -> None:
    """A call that fails is made again, since nobody comes after; the failure is one and the same."""
    fail(world)

    result = give_up(world, FailAt(call, AwsCallFailed("down"), nth=1))

    assert [key for key in world.evidence.objects if "failure-" in key] == [
        "retirements/sales/offboard-1/failure-1.json"
    ]
    assert world.published == [result]


def test_a_rejection_insists_too(world: World) -> None:
    """An event that is no valid request is rejected by the last receive as by any other."""
    down = FailAt("results_topic.publish", AwsCallFailed("down"), nth=1)

    assert world.deliver(requested(dryRum=True), down, receive_count=MAX_RECEIVES)["outcome"] == "rejected"


@pytest.mark.parametrize("event", [requested(), requested(dryRum=True)])
def test_the_time_is_up(world: World, event: Parsed) -> None:
    """What cannot be published until the time is nearly up is raised: the message is moved, and kept."""
    with pytest.raises(AwsCallFailed):
        world.deliver(event, FailAt("results_topic.publish", AwsCallFailed("down")), receive_count=MAX_RECEIVES)

    assert 0 < world.clock.remaining() < TIME_TO_CONCLUDE
    assert world.inbox.redelivery_delays[f"handle-{MAX_RECEIVES}"] == 0


def test_sent_again_and_abandoned_again(world: World) -> None:
    """Each giving-up is kept on its own."""
    fail(world)
    first = give_up(world)
    fail(world)

    second = give_up(world)

    assert world.published == [first, second]
    for number, result in enumerate((first, second), start=1):
        assert world.kept_of(requested(), f"failure-{number}.json") == {**result, "event": json.dumps(requested())}


def test_sent_again_and_carried_out(world: World) -> None:
    """A request that is sent again is carried out as the one it was, and its receipt lies beside the failure."""
    fail(world)
    failure = give_up(world)

    result = world.deliver(requested())

    assert result["outcome"] == "deleted"
    assert result["requestedAt"] == failure["requestedAt"]
    assert world.kept_of(requested(), "receipt.json") == result
    assert world.kept_of(requested(), "failure-1.json")["outcome"] == "failed"


def test_failed_attempts_can_be_looked_up(world: World) -> None:
    """Each failed attempt that another one follows is recorded, with its number, its reason and the next one's time."""
    for receive_count in range(1, MAX_RECEIVES + 1):
        with pytest.raises(RetirementError):
            world.deliver(requested(), DOWN, receive_count=receive_count)

    recorded = world.progress.recorded
    assert [each.receives for each in recorded] == [1, 2, 3, 4, 5]
    assert {each.reason for each in recorded} == {Reason.DATABRAIN_UNAVAILABLE}
    assert [(each.next_at - each.at).total_seconds() for each in recorded] == [*SETTINGS.retry_delays]
    assert {(each.kind, each.datamart_name, each.retirement_id) for each in recorded} == {
        (Kind.RETIREMENT, "sales", requested()["detail"]["retirementId"])
    }


def test_a_failure_that_cannot_be_recorded(world: World) -> None:
    """What is known of failed attempts is a hint: without it, the attempt fails as it would, and is delayed."""
    world.progress.error = AwsCallFailed("no answer")

    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), DOWN)
    assert tuple(world.inbox.redelivery_delays.values()) == SETTINGS.retry_delays[:1]


def test_an_identity_that_is_spent(world: World) -> None:
    """The last receive rejects what any other would reject."""
    world.deliver(requested())

    result = world.deliver(requested(reviewedEmbeds=["another"]), receive_count=MAX_RECEIVES)

    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
