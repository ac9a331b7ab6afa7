"""Steps 2, 11 and 12: the lock, the delete whose answer may be anything, and its confirmation."""

from contextlib import suppress
from datetime import timedelta

import pytest

from retirement.databrain.permits import VerifiedBackup
from retirement.databrain.ports import DeleteAnswer, DeleteEffect
from retirement.errors import (
    AttemptInterrupted,
    AwsCallFailed,
    ConfigurationError,
    DatabrainError,
    DatabrainUnauthorized,
    DatabrainUnavailable,
    DatabrainUnexpected,
    NotConfirmed,
    RetirementError,
)
from retirement.outcomes import Reason
from retirement.retiring.workflow import MAX_SENDS, TIME_TO_DELETE
from tests.fakes import (
    START,
    Call,
    FailAt,
    Meanwhile,
    ScriptedDeletion,
    World,
    entry_of,
    requested,
)

IDENTITY = ("offboard-1", "sales")
REFUSALS = [
    DatabrainUnauthorized("DELETE: HTTP 401"),
    DatabrainUnexpected("DELETE: HTTP 400 INVALID_REQUEST_BODY"),
    DatabrainUnavailable("DELETE: no answer (ConnectError)"),
]
DOUBTS = [
    DatabrainUnavailable("DELETE: no answer (ReadTimeout)"),
    DatabrainUnavailable("DELETE: HTTP 503"),
    DatabrainUnexpected("DELETE: expected JSON"),
]


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    return world


def refused(error: DatabrainError) -> ScriptedDeletion:
    """Nothing happened, and that is sure."""
    return ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.NONE, error))


def lost(error: DatabrainError, *, happens: bool) -> ScriptedDeletion:
    """The answer tells nothing."""
    return ScriptedDeletion(happens, DeleteAnswer(DeleteEffect.UNKNOWN, error))


PHANTOM = ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.DONE))


# ---- The delete ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", DOUBTS, ids=str)
def test_lost_answer(world: World, error: DatabrainError) -> None:
    """A delete whose answer is lost after its effect ends as `deleted` by absence, with one delete sent."""
    world.databrain.scripted.append(lost(error, happens=True))

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert "No answer of Databrain's confirms which request deleted it" in result["message"]
    assert result["backup"]["key"] in result["message"]
    assert len(world.databrain.permits) == len(world.databrain.deleted) == 1


@pytest.mark.parametrize("trouble", [lost(DOUBTS[0], happens=False), *map(refused, REFUSALS)], ids=str)
def test_sent_again_where_the_same_is_there(world: World, trouble: ScriptedDeletion) -> None:
    """A delete without a clear yes is sent again only after a fresh look shows the same datamart."""
    world.databrain.scripted.append(trouble)

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "response")
    assert len(world.databrain.permits) == 2
    assert world.calls[world.calls.index("databrain.delete") :].count("databrain.find") == 1


def test_someone_else_was_faster(world: World) -> None:
    """A refusal because the datamart is gone meanwhile ends as `deleted` by absence."""
    result = world.deliver(requested(), Meanwhile("databrain.delete", world.databrain.datamarts.clear))

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert len(world.databrain.permits) == 1


@pytest.mark.parametrize("trouble", [lost(DOUBTS[0], happens=True), refused(REFUSALS[1])], ids=str)
def test_recreated_before_it_is_sent_again(world: World, trouble: ScriptedDeletion) -> None:
    """A delete is never sent again at a datamart that was re-created meanwhile."""

    def recreate() -> None:
        world.databrain.datamarts["sales"] = entry_of(created_at=START + timedelta(seconds=9))

    world.databrain.scripted.append(trouble)
    result = world.deliver(requested(), Meanwhile("databrain.find", recreate, nth=2))

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert len(world.databrain.permits) == 1
    assert "sales" in world.databrain.datamarts


def test_changed_before_it_is_sent_again(world: World) -> None:
    """A delete is never sent again at a datamart that was changed meanwhile."""

    def change() -> None:
        world.databrain.datamarts["sales"] = entry_of(label="Orders of 2026")

    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))
    result = world.deliver(requested(), Meanwhile("databrain.find", change, nth=2))

    assert (result["outcome"], result["reason"]) == ("blocked", "changed")
    assert len(world.databrain.permits) == 1


def test_not_sent_again_where_nothing_tells(world: World) -> None:
    """Without createdAt a delete in doubt is not sent again: the attempt fails as `unconfirmed`."""
    world.databrain.datamarts["sales"] = entry_of(created_at=None)
    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))

    with pytest.raises(NotConfirmed) as raised:
        world.deliver(requested())

    assert raised.value.reason is Reason.UNCONFIRMED
    assert len(world.databrain.permits) == 1
    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


def test_refused_where_nothing_tells(world: World) -> None:
    """Without createdAt a refused delete is not sent again either, and keeps its own reason."""
    world.databrain.datamarts["sales"] = entry_of(created_at=None)
    world.databrain.scripted.append(refused(REFUSALS[0]))

    with pytest.raises(NotConfirmed) as raised:
        world.deliver(requested())

    assert raised.value.reason is Reason.DATABRAIN_UNAUTHORIZED
    assert world.coordination.failures == {IDENTITY: Reason.DATABRAIN_UNAUTHORIZED}


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_refusals_are_definite(world: World, error: DatabrainError) -> None:
    """A delete that is refused each time fails for the refusal's reason, never as `unconfirmed`."""
    world.databrain.scripted.extend([refused(error)] * MAX_SENDS)

    with pytest.raises(type(error)) as raised:
        world.deliver(requested())

    assert raised.value is error
    assert len(world.databrain.permits) == MAX_SENDS
    assert world.coordination.failures == {IDENTITY: error.reason}


@pytest.mark.parametrize("order", [[True, False, False], [False, True, False], [False, False, True]])
def test_doubt_is_sticky(world: World, order: list[bool]) -> None:
    """One delete in doubt among refused ones makes the failure `unconfirmed`."""
    world.databrain.scripted.extend(
        lost(DOUBTS[0], happens=False) if in_doubt else refused(REFUSALS[1]) for in_doubt in order
    )

    with pytest.raises(NotConfirmed):
        world.deliver(requested())

    assert len(world.databrain.permits) == MAX_SENDS
    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


def test_doubt_outlives_other_failures(world: World) -> None:
    """While nobody could look since, a later failure of another kind does not hide the doubt."""
    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))
    down = DatabrainUnavailable("GET: HTTP 503")

    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), FailAt("databrain.find", down, nth=2))
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), FailAt("databrain.find", down))

    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


def test_doubt_outlives_a_look(world: World) -> None:
    """That the same datamart is listed still ends no doubt: a delete whose answer was lost may take effect late."""
    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), FailAt("databrain.find", DatabrainUnavailable("GET: HTTP 503"), nth=2))

    world.databrain.scripted.extend([refused(REFUSALS[0])] * MAX_SENDS)
    with pytest.raises(NotConfirmed):
        world.deliver(requested())

    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


@pytest.mark.parametrize(
    "error", [ConfigurationError("no token in the secret"), AwsCallFailed("Secrets Manager")], ids=str
)
def test_delete_that_could_not_be_sent(world: World, error: RetirementError) -> None:
    """Where no token could be read no delete was sent, and the failure is not called `unconfirmed`."""
    with pytest.raises(type(error)):
        world.deliver(requested(), FailAt("databrain.delete", error))

    assert world.databrain.permits == []
    assert world.coordination.failures == {IDENTITY: error.reason}


def test_second_delete_that_could_not_be_sent(world: World) -> None:
    """A delete that could not be sent does not end the doubt that an earlier one left."""
    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))

    with pytest.raises(ConfigurationError):
        world.deliver(requested(), FailAt("databrain.delete", ConfigurationError("no token in the secret"), nth=2))

    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


def test_doubt_is_written_down_beforehand(world: World) -> None:
    """Where it cannot be kept that a delete is on its way, none is sent."""
    with pytest.raises(AwsCallFailed):
        world.deliver(requested(), FailAt("coordination.record_failure", AwsCallFailed("DynamoDB"), nth=1))

    assert world.databrain.permits == []


@pytest.mark.parametrize(("asked", "waited"), [(None, 1.0), (7.0, 7.0)])
def test_wait_before_it_is_sent_again(world: World, asked: float | None, waited: float) -> None:
    """The wait that Databrain asks for is honoured."""
    world.databrain.scripted.append(refused(DatabrainUnavailable("DELETE: HTTP 429", asked)))

    world.deliver(requested())

    assert world.clock.slept == [waited]
    assert len(world.databrain.permits) == 2


def test_wait_that_there_is_no_time_for(world: World) -> None:
    """Where Databrain asks for a longer wait than there is time for, its refusal is what the attempt fails for."""
    world.databrain.scripted.append(refused(DatabrainUnavailable("DELETE: HTTP 429", 3_600.0)))

    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), Meanwhile("databrain.find", lambda: world.clock.advance(0.5), nth=2))

    assert len(world.databrain.permits) == 1
    assert world.coordination.failures == {IDENTITY: Reason.DATABRAIN_UNAVAILABLE}


# ---- The time that is left -----------------------------------------------------------------------------------------


def test_delete_needs_time(world: World) -> None:
    """A delete is sent only with time left for it, its confirmation, the receipt and the publication."""
    with pytest.raises(AttemptInterrupted, match="The queue delivers the request again"):
        world.deliver(requested(), seconds=TIME_TO_DELETE - 0.1)
    assert world.databrain.permits == []

    assert world.deliver(requested(), seconds=TIME_TO_DELETE)["outcome"] == "deleted"


def test_sending_again_needs_time_too(world: World) -> None:
    """A delete is not sent again when the first one has used up the time; it stays in doubt until the next look."""
    world.databrain.scripted.append(lost(DOUBTS[0], happens=False))

    with pytest.raises(NotConfirmed):
        world.deliver(requested(), Meanwhile("databrain.delete", lambda: world.clock.advance(31)))

    assert len(world.databrain.permits) == 1
    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


@pytest.mark.parametrize(("slow", "sends"), [(29.0, 2), (29.1, 1)], ids=["just enough", "too little"])
def test_a_slow_look_between_two_sends(world: World, slow: float, sends: int) -> None:
    """However long the look between two sends takes, nothing is sent a second time without the time for it."""
    world.databrain.scripted.append(refused(REFUSALS[0]))
    look = Meanwhile("databrain.find", lambda: world.clock.advance(slow), nth=2)

    with suppress(DatabrainUnauthorized):
        world.deliver(requested(), look, seconds=60.0)

    assert world.clock.slept == [1.0]
    assert len(world.databrain.permits) == sends


@pytest.mark.parametrize(("wait", "sends"), [(25.0, 2), (25.1, 1)], ids=["fits", "does not fit"])
def test_wait_beside_the_time_that_is_left(world: World, wait: float, sends: int) -> None:
    """A wait is made only where a look and a delete fit in after it; otherwise nothing is sent again, wait or not."""
    world.databrain.scripted.append(refused(DatabrainUnavailable("DELETE: HTTP 429", wait)))

    with suppress(DatabrainUnavailable):
        world.deliver(requested(), seconds=60.0)

    assert world.clock.slept == [wait] * (sends - 1)
    assert len(world.databrain.permits) == sends
    assert ("sales" in world.databrain.datamarts) == (sends == 1)


def test_slow_answers_use_up_the_time(world: World) -> None:
    """Time that earlier steps took is missing for the delete; the next delivery goes on and deletes once."""
    with pytest.raises(AttemptInterrupted):
        world.deliver(requested(), Meanwhile("databrain.list_embeds", lambda: world.clock.advance(31)))

    assert world.deliver(requested())["outcome"] == "deleted"
    assert len(world.databrain.permits) == 1


# ---- The confirmation ----------------------------------------------------------------------------------------------


def test_still_listed_for_a_while(world: World) -> None:
    """A deleted datamart that is still listed is looked for again before anything is concluded."""

    def listed_late(call: Call) -> object:
        found = call.proceed()
        if call.name == "databrain.delete":
            world.databrain.datamarts["sales"] = entry_of()
        if call.name == "databrain.list_datamarts":
            world.databrain.datamarts.clear()
        return found

    result = world.deliver(requested(), listed_late)

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "response")
    assert world.calls.count("databrain.list_datamarts") == 2
    assert len(world.databrain.permits) == 1


@pytest.mark.parametrize("created_at", [START - timedelta(days=1), None])
def test_still_listed(world: World, created_at: None) -> None:
    """A datamart that is still listed after a 200 fails the attempt: it is never reported as deleted."""
    world.databrain.datamarts["sales"] = entry_of(created_at=created_at)
    world.databrain.scripted.append(PHANTOM)

    with pytest.raises(NotConfirmed):
        world.deliver(requested())

    assert world.calls.count("databrain.list_datamarts") == 3
    assert world.published == []
    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}


def test_deleted_after_a_phantom(world: World) -> None:
    """Where the same datamart is still there, the next delivery deletes it."""
    world.databrain.scripted.append(PHANTOM)
    with pytest.raises(NotConfirmed):
        world.deliver(requested())

    assert world.deliver(requested())["outcome"] == "deleted"
    assert len(world.databrain.deleted) == 1


def test_recreated_right_after(world: World) -> None:
    """One of the same name that was created after the delete does not hinder the confirmation."""

    def recreate() -> None:
        world.databrain.datamarts["sales"] = entry_of(created_at=START + timedelta(seconds=1))

    result = world.deliver(requested(), Meanwhile("databrain.list_datamarts", recreate))

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "response")
    assert "sales" in world.databrain.datamarts


def test_confirmation_fails(world: World) -> None:
    """A delete that could not be confirmed in this attempt is confirmed by the next one, and not sent again."""
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), FailAt("databrain.list_datamarts", DatabrainUnavailable("GET: HTTP 503")))
    assert world.coordination.failures == {IDENTITY: Reason.UNCONFIRMED}

    result = world.deliver(requested())

    assert (result["outcome"], result["confirmedBy"]) == ("deleted", "absence")
    assert len(world.databrain.permits) == 1


# ---- The permit ----------------------------------------------------------------------------------------------------


def test_permit_is_of_this_attempt(world: World) -> None:
    """The delete is permitted by a backup that was read back and equals what this attempt saw."""
    snapshot = world.databrain.find("sales")

    world.deliver(requested())

    [permit] = world.databrain.permits
    assert isinstance(permit, VerifiedBackup)
    assert permit.snapshot == snapshot
    assert permit.read_back is world.evidence.objects[permit.reference.key]


# ---- The lock ------------------------------------------------------------------------------------------------------


def test_lock_is_held_for_the_time_of_the_invocation(world: World) -> None:
    """The lock is on the name, and ends with the invocation that has it."""
    held = []

    world.deliver(requested(), Meanwhile("databrain.find", lambda: held.append(dict(world.coordination.locks))))

    assert held == [{"sales": ("invocation-1", START + timedelta(seconds=60))}]


def test_busy_lock_is_waited_for(world: World) -> None:
    """A lock that is busy is waited for within the invocation, and taken once it is free."""
    world.coordination.locks["sales"] = ("somebody", START + timedelta(seconds=20))

    result = world.deliver(requested())

    assert result["outcome"] == "deleted"
    assert sum(world.clock.slept) == pytest.approx(21)
    assert world.coordination.locks == {}


def test_lock_stays_busy(world: World) -> None:
    """A lock that stays busy until the time is nearly up raises; the other one's lock and state are left alone."""
    lock = ("somebody", START + timedelta(hours=1))
    world.coordination.locks["sales"] = lock

    with pytest.raises(AttemptInterrupted, match="in progress"):
        world.deliver(requested())

    assert 0 < world.clock.remaining() < 5
    assert world.coordination.locks == {"sales": lock}
    assert world.coordination.failures == {}
    assert set(world.calls) == {"coordination.acquire", "inbox.redeliver_after"}


def test_lock_that_was_lost(world: World) -> None:
    """A lock that expired and that somebody else has by now is left to them."""
    theirs = ("somebody", START + timedelta(hours=1))

    def overtake() -> None:
        world.coordination.locks["sales"] = theirs

    assert world.deliver(requested(), Meanwhile("databrain.find", overtake))["outcome"] == "deleted"
    assert world.coordination.locks == {"sales": theirs}


def test_lock_of_another_name(world: World) -> None:
    """Retirements of different datamarts do not wait for each other."""
    world.coordination.locks["hr"] = ("somebody", START + timedelta(hours=1))

    assert world.deliver(requested())["outcome"] == "deleted"
    assert world.clock.slept == []


def test_lock_taken_though_the_answer_was_lost(world: World) -> None:
    """A lock that was taken by a call whose answer was lost does not lock its own holder out."""

    def retried_by_the_sdk(call: Call) -> object:
        if call.name == "coordination.acquire" and call.number == 1:
            call.proceed()
        return call.proceed()

    assert world.deliver(requested(), retried_by_the_sdk)["outcome"] == "deleted"
    assert world.clock.slept == []


@pytest.mark.parametrize("after", [False, True])
def test_lock_that_cannot_be_given_back(world: World, after: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A lock that cannot be given back expires; the result stands."""
    failing = FailAt("coordination.release", AwsCallFailed("DynamoDB"), after=after)

    assert world.deliver(requested(), failing)["outcome"] == "deleted"
    assert len(world.published) == 1


def test_reason_that_cannot_be_kept(world: World) -> None:
    """Where the reason of a failure cannot be kept, the failure itself is what is raised."""
    with pytest.raises(DatabrainUnauthorized):
        world.deliver(
            requested(),
            FailAt("databrain.find", DatabrainUnauthorized("HTTP 401")),
            FailAt("coordination.record_failure", AwsCallFailed("DynamoDB")),
        )


# ---- Without the lock ----------------------------------------------------------------------------------------------


def _unlocked(call: Call) -> object:
    return True if call.name == "coordination.acquire" else call.proceed()


@pytest.mark.parametrize(
    "where",
    [
        ("evidence.read", 1),
        ("evidence.read", 2),
        ("databrain.find", 1),
        ("databrain.list_embeds", 1),
        ("evidence.create", 1),
        ("evidence.create", 2),
        ("evidence.read", 3),
        ("evidence.create", 3),
        ("coordination.record_failure", 1),
        ("databrain.delete", 1),
        ("databrain.list_datamarts", 1),
        ("evidence.create", 4),
        ("results_topic.publish", 1),
        ("coordination.release", 1),
    ],
    ids=lambda where: f"{where[0]}-{where[1]}",
)
def test_duplicate_at_the_same_time(world: World, where: tuple[str, int]) -> None:
    """Without a lock, a duplicate that runs from beginning to end amid the first: one deletion, told as one."""
    name, nth = where
    duplicate = Meanwhile(name, lambda: world.deliver_alongside(requested(), _unlocked), nth=nth)

    try:
        world.deliver(requested(), _unlocked, duplicate)
    except RetirementError:
        world.deliver(requested(), _unlocked)

    assert len(world.databrain.deleted) == 1
    assert {result["outcome"] for result in world.published} == {"deleted"}
    assert len(set(world.results_topic.messages)) == 1


@pytest.mark.parametrize("where", [("databrain.find", 1), ("evidence.create", 3), ("databrain.delete", 1)])
def test_another_id_at_the_same_time(world: World, where: tuple[str, int]) -> None:
    """Without a lock, two ids for one datamart: one deletion, and each has its own receipt."""
    name, nth = where
    other = requested(retirementId="offboard-2")

    result = world.deliver(
        requested(), _unlocked, Meanwhile(name, lambda: world.deliver_alongside(other, _unlocked), nth=nth)
    )

    assert len(world.databrain.deleted) == 1
    assert world.kept_of(other, "receipt.json")["outcome"] == "deleted"
    assert result["outcome"] == world.kept_of(requested(), "receipt.json")["outcome"]
    assert result["outcome"] == ("already_absent" if name == "databrain.find" else "deleted")
