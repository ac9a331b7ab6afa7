"""A redrive brings everything to `Scheduling`: a restore is handed on from there, whatever is in it."""

import json

import pytest

from retirement.errors import AwsCallFailed
from tests.fakes import FailAt, World, restore_requested


@pytest.mark.parametrize(
    "event", [restore_requested(), restore_requested(environment="staging"), restore_requested(asName="", dryRum=1)]
)
@pytest.mark.parametrize("receive_count", [1, 6])
def test_it_is_handed_on_as_it_is(world: World, event: dict[str, object], receive_count: int) -> None:
    """A restore goes on as it came, valid or not: its own function answers it, and nothing else is done."""
    assert world.schedule(event, receive_count=receive_count) == {}
    assert world.restores.sent == [(json.dumps(event), 0)]
    assert world.calls == ["restores.send"]
    assert (world.outbox.sent, world.published, world.evidence.objects) == ([], [], {})


def test_it_cannot_be_handed_on(world: World) -> None:
    """Where it could not be sent on it goes back to its queue, and nothing is published of it."""
    with pytest.raises(AwsCallFailed):
        world.schedule(restore_requested(), FailAt("restores.send", AwsCallFailed("SQS SendMessage failed")))
    assert world.inbox.redelivery_delays == {"handle-1": 60}
    assert world.published == []


def test_the_last_receive_tries_again(world: World) -> None:
    """The last receive tries while there is time: after it SQS moves the event back to `Failures`."""
    failing = FailAt("restores.send", AwsCallFailed("SQS SendMessage failed"), nth=1)
    assert world.schedule(restore_requested(), failing, receive_count=6) == {}
    assert len(world.restores.sent) == 1


def test_a_retirement_is_none(world: World) -> None:
    """Nothing else is handed on to the restore function."""
    assert world.schedule(restore_requested() | {"detail-type": "Datamart Restored"})["outcome"] == "rejected"
    assert world.restores.sent == []
