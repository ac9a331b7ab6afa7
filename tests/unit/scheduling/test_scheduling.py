"""When a retirement is carried out: dates, moves, reminders and cancellations, and what retiring makes of them."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from retirement.databrain.ports import DeleteAnswer, DeleteEffect
from retirement.errors import (
    Abandoned,
    AttemptInterrupted,
    AwsCallFailed,
    DatabrainUnavailable,
    NotConfirmed,
    NotYetDue,
)
from retirement.record.keys import rejected_key
from retirement.requests import MAX_RECEIVES
from retirement.scheduling.ports import Timer
from retirement.timestamps import format_timestamp
from tests.fakes import (
    SETTINGS,
    START,
    Call,
    Crash,
    CrashAt,
    FailAt,
    LogicalClock,
    Meanwhile,
    Parsed,
    ScriptedDeletion,
    World,
    cancelled,
    entry_of,
    message_id,
    requested,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DATE, LATER = START + 7 * DAY, START + 14 * DAY
RETIRE, REMIND = (Timer.RETIRE, "sales", "offboard-1"), (Timer.REMIND, "sales", "offboard-1")
FOLDER = "retirements/sales/offboard-1/"


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, `sales`."""
    world.databrain.datamarts["sales"] = entry_of()
    return world


OTHER: Parsed = {"reviewedEmbeds": ["another"]}  # other content
COLLEAGUE: Parsed = {"requestedBy": "a colleague", "reason": "the tenant needs another week"}


def dated(at: datetime, event_id: str = "first", asked_at: datetime = START, **content: Any) -> Parsed:  # noqa: ANN401  # any JSON
    """A request for a date."""
    event = requested(retireAt=format_timestamp(at), **content)
    return event | {"id": event_id, "time": format_timestamp(asked_at)}


def outcomes(results: list[Parsed]) -> list[tuple[str, str | None]]:
    """In short."""
    return [(result["outcome"], result["reason"]) for result in results]


# ---- A date --------------------------------------------------------------------------------------------------------


def test_a_date_is_set(world: World) -> None:
    """A request for a date is not carried out: it is kept, a timer is set, and the result tells the date."""
    event = dated(DATE)

    result = world.schedule(event)

    assert (result["outcome"], result["reason"], result["retireAt"]) == ("scheduled", None, "2026-03-08T12:00:00.000Z")
    assert (result["requestedBy"], result["requestedAt"]) == ("ops@example.com", format_timestamp(START))
    assert "2026-03-08T12:00:00.000Z" in result["message"]
    kept = world.kept(f"{FOLDER}schedule-1.json")
    body = kept.pop("event")
    assert kept == result
    assert world.published == [result]
    assert world.timers.standing == {RETIRE: (DATE, body), REMIND: (DATE - DAY, body)}
    assert "sales" in world.databrain.datamarts
    assert f"{FOLDER}receipt.json" not in world.evidence.objects


def test_a_dry_run_at_a_date(world: World) -> None:
    """Nobody is told that a dry run carries anything out."""
    result = world.schedule(requested(retireAt=format_timestamp(DATE), dryRun=True))

    assert result["message"].startswith("The dry run is made at 2026-03-08T12:00:00.000Z. To move it, ")
    assert outcomes(world.pass_time(LATER))[-1] == ("planned", "dry_run")


def test_it_is_decided_when_it_is_due(world: World) -> None:
    """The timer sends the event as it came; then the request is decided, and carried out once."""
    world.schedule(dated(DATE))
    world.databrain.datamarts["sales"] = entry_of(label="edited meanwhile")

    came = world.pass_time(LATER)

    assert outcomes(came) == [("scheduled", "due_soon"), ("deleted", None)]
    assert came[1]["requestedAt"] == format_timestamp(START)
    assert world.kept(f"{FOLDER}receipt.json") == came[1]
    assert world.kept(came[1]["backup"]["key"])["datamart"]["datamartTables"][0]["label"] == "edited meanwhile"
    assert len(world.databrain.permits) == 1


def test_recreated_since_it_was_first_asked_for(world: World) -> None:
    """A datamart that was re-created after the date was first asked for is spared, though it was moved after that."""
    world.schedule(dated(DATE))
    world.databrain.datamarts["sales"] = entry_of(created_at=START + DAY)
    world.clock.advance(2 * 86_400)
    world.schedule(dated(LATER, "second", START + 2 * DAY))

    came = world.pass_time(LATER + DAY)

    assert outcomes(came)[-1] == ("blocked", "recreated")
    assert "sales" in world.databrain.datamarts


@pytest.mark.parametrize("seconds", [-86_400.0, 0.0, 50.0])
def test_what_is_due(world: World, seconds: float) -> None:
    """What is past or due within 50 seconds is handed on at once, to be received when it is due."""
    event = dated(START + timedelta(seconds=seconds))

    assert world.schedule(event) == {}
    assert world.timers.standing == {}
    assert world.published == []
    assert [after for _, after in world.outbox.sent] == [max(0, int(seconds))]
    assert outcomes(world.pass_time(START + HOUR)) == [("deleted", None)]


def test_what_has_no_date(world: World) -> None:
    """A request without a date, sent again from Failures, is due."""
    assert world.schedule(requested()) == {}
    assert outcomes(world.pass_time(START + HOUR)) == [("deleted", None)]


def test_an_offset_and_a_part_of_a_second(world: World) -> None:
    """A date is what it is, in whatever offset and however exact; a timer goes off at a whole second, not before."""
    world.schedule(requested(retireAt="2026-03-08T13:00:00.25+01:00"))

    ((at, _),) = [due for key, due in world.timers.standing.items() if key == RETIRE]
    assert at == DATE + timedelta(seconds=0.25)


def test_a_year_ahead(world: World) -> None:
    """A date more than a year ahead is rejected, and stays so."""
    event = dated(START + timedelta(days=366, seconds=1))

    result = world.schedule(event)

    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert "detail.retireAt must be at most 366 days ahead" in result["message"]
    assert list(world.evidence.objects) == [rejected_key("first")]
    assert world.timers.standing == {}


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_now_is_asked_for_after_moves(world: World, moves: int) -> None:
    """Whoever asks later, and for no date, wants it now, however often the date was moved before."""
    world.schedule(dated(DATE))
    for number in range(1, moves + 1):
        world.clock.advance(600)
        world.schedule(dated(DATE + number * DAY, f"move-{number}", START + timedelta(minutes=10 * number)))
    world.clock.advance(600)

    now = requested() | {"id": "now", "time": format_timestamp(world.clock.now())}
    assert world.deliver_now(now)["outcome"] == "deleted"


def test_the_first_request_arrives_late(world: World) -> None:
    """Asked for now, and then for a date: the first request, which arrives just before it, waits for the date, too."""
    date = START + timedelta(minutes=30)
    world.clock.advance(60)
    world.schedule(dated(date, "second", START + timedelta(minutes=1)))
    world.clock.advance(29 * 60 - 55)

    assert world.deliver_now(requested())["outcome"] == "scheduled"
    assert outcomes(world.pass_time(date + timedelta(minutes=1))) == [("deleted", None)]


@pytest.mark.parametrize("ahead", [9, 45, 60])
def test_the_clock_of_the_schedule_function_is_ahead(world: World, ahead: int) -> None:
    """What is handed on too early by a clock that is ahead is held back until its date, and carried out then."""
    world.clock.advance(ahead)
    world.schedule(dated(START + timedelta(seconds=40 + ahead)))
    [(body, seconds)] = world.outbox.sent
    true_clock = LogicalClock()
    true_clock.advance(seconds)
    world.clock = true_clock

    with pytest.raises(NotYetDue):
        world.deliver_now(body)
    assert world.inbox.redelivery_delays["handle-1"] == ahead
    true_clock.advance(ahead)
    assert world.deliver_now(body)["outcome"] == "deleted"


# ---- Another date --------------------------------------------------------------------------------------------------


def test_moved(world: World) -> None:
    """Asked again for another date, it is carried out then, and only then."""
    world.schedule(dated(DATE))
    world.clock.advance(60)
    result = world.schedule(dated(LATER, "second", START + timedelta(minutes=1)))

    assert (result["outcome"], result["retireAt"]) == ("scheduled", format_timestamp(LATER))
    assert "instead of 2026-03-08T12:00:00.000Z" in result["message"]
    assert world.pass_time(DATE + DAY) == []
    assert outcomes(world.pass_time(LATER)) == [("scheduled", "due_soon"), ("deleted", None)]


def test_moved_to_now(world: World) -> None:
    """Moved to a time that is due, it is carried out now, and no timer is left."""
    world.schedule(dated(DATE))

    assert world.schedule(dated(START - DAY, "second", START + timedelta(seconds=1))) == {}
    assert world.timers.standing == {}
    assert outcomes(world.pass_time(START + HOUR)) == [("deleted", None)]
    assert world.pass_time(LATER) == []


@pytest.mark.parametrize("seconds", [60.0, 0.0, -3_600.0])
def test_moved_when_it_is_due(world: World, seconds: float) -> None:
    """A date that is due cannot be moved any more, since it may be under way: the wish is rejected, and says so."""
    world.schedule(dated(DATE))
    world.clock.advance((DATE - START).total_seconds() - seconds)

    result = world.schedule(dated(LATER, "second", DATE))

    assert (result["outcome"], result["reason"]) == ("rejected", "already_due")
    assert "was due at 2026-03-08T12:00:00.000Z" in result["message"]
    assert f"{FOLDER}schedule-2.json" not in world.evidence.objects


def test_the_same_date_again(world: World) -> None:
    """Asked again for the date that stands, nothing changes, and the result is the recorded one."""
    first = world.schedule(dated(DATE))
    world.clock.advance(60)

    assert world.schedule(dated(DATE, "second", START + timedelta(minutes=1))) == first
    assert f"{FOLDER}schedule-2.json" not in world.evidence.objects


@pytest.mark.parametrize("late", [dated(DATE), dated(DATE - DAY, "never seen", START - HOUR)], ids=["again", "late"])
def test_out_of_order(world: World, late: Parsed) -> None:
    """A date that was asked for earlier does not take the place of a later wish, delivered again or late."""
    world.schedule(dated(DATE))
    moved = world.schedule(dated(LATER, "second", START + timedelta(minutes=1)))

    assert world.schedule(late) == moved
    assert world.timers.standing[RETIRE][0] == LATER
    assert world.results_topic.messages[-1] == world.results_topic.messages[-2]


def test_delivered_twice(world: World) -> None:
    """The same request again gets the recorded result, byte for byte, and leaves one date."""
    first = world.schedule(dated(DATE))
    world.clock.advance(500)

    assert world.schedule(dated(DATE)) == first
    assert len(set(world.results_topic.messages)) == 1
    assert [key for key in world.evidence.objects if "schedule-" in key] == [f"{FOLDER}schedule-1.json"]


def test_other_content(world: World) -> None:
    """The same identity with other content is rejected, and the date stands."""
    world.schedule(dated(DATE))

    result = world.schedule(dated(LATER, "second", START + HOUR, **OTHER))

    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
    assert world.timers.standing[RETIRE][0] == DATE


def test_asked_again_without_a_date(world: World) -> None:
    """The same request without a date is for now; what the timer brings later is the recorded result."""
    world.schedule(dated(DATE))
    now = world.deliver(requested())

    came = world.pass_time(DATE)

    assert now["outcome"] == "deleted"
    assert came == [now]  # the reminder's timer, which clears the other one
    assert len(world.databrain.permits) == 1


def test_asked_again_after_its_end(world: World) -> None:
    """A retirement that has its receipt is not scheduled again: its result is published again."""
    receipt = world.deliver(requested())

    assert world.schedule(dated(DATE)) == receipt
    assert world.timers.standing == {}


def test_a_timer_that_goes_off_all_the_same(world: World) -> None:
    """What the timer of a date sends that was moved is not carried out, and answered with the date that stands."""
    world.schedule(dated(DATE))
    _, body = world.timers.standing[RETIRE]
    moved = world.schedule(dated(LATER, "second", START + HOUR))
    world.clock.advance(7 * 86_400)

    assert world.deliver_now(body) == moved
    assert "sales" in world.databrain.datamarts
    assert f"{FOLDER}receipt.json" not in world.evidence.objects


def test_a_timer_that_goes_off_twice(world: World) -> None:
    """What a timer sends twice is carried out once."""
    world.schedule(dated(DATE))
    _, body = world.timers.standing[RETIRE]
    world.pass_time(DATE)

    assert world.deliver_now(body)["outcome"] == "deleted"
    assert len(world.databrain.permits) == 1


def test_due_while_databrain_is_down(world: World) -> None:
    """A request that is due while Databrain does not answer goes back to its queue, and is carried out from there."""
    world.schedule(dated(DATE))
    _, body = world.timers.standing[RETIRE]
    world.clock.advance(7 * 86_400)
    down = FailAt("databrain.find", AwsCallFailed("down"))

    with pytest.raises(AwsCallFailed):
        world.deliver_now(body, down)

    assert world.inbox.redelivery_delays == {"handle-1": SETTINGS.retry_delays[0]}
    assert world.deliver_now(body)["outcome"] == "deleted"


def test_a_timer_that_is_set_too_late(world: World) -> None:
    """Where the date is past when its timer is set, the event is handed on, too: the timer may never go off."""

    def slow(call: Call) -> object:
        if call.name == "timers.set":
            world.clock.advance(55)
        return call.proceed()

    world.schedule(dated(START + timedelta(seconds=51)), slow)

    assert len(world.outbox.sent) == 1
    assert outcomes(world.pass_time(LATER)) == [("deleted", None)] * 2
    assert len(world.databrain.permits) == 1


# ---- Reminders -----------------------------------------------------------------------------------------------------


def test_reminder(world: World) -> None:
    """The reminder is `scheduled`, `due_soon`, once, and kept; sent again, it is the same to the byte."""
    world.schedule(dated(DATE))
    _, body = world.timers.standing[REMIND]

    (reminder,) = world.pass_time(DATE - HOUR)

    assert (reminder["outcome"], reminder["reason"]) == ("scheduled", "due_soon")
    assert reminder["retireAt"] == format_timestamp(DATE)
    assert world.kept(f"{FOLDER}reminder-1.json") == reminder
    assert world.schedule(body) == reminder


@pytest.mark.parametrize("lead", [None, timedelta(hours=200)])
def test_no_reminder(world: World, lead: timedelta | None) -> None:
    """There is none where the stack asks for none, or where the date is nearer than that anyway."""
    world.schedule_settings = replace(world.schedule_settings, reminder_lead_time=lead)

    world.schedule(dated(DATE))

    assert REMIND not in world.timers.standing
    assert outcomes(world.pass_time(DATE)) == [("deleted", None)]


def test_reminder_of_a_date_that_was_moved(world: World) -> None:
    """A move takes the earlier date's reminder along, or away where it would come too late."""
    world.schedule(dated(DATE))
    world.schedule(dated(START + HOUR, "second", START + timedelta(minutes=1)))

    assert REMIND not in world.timers.standing
    assert outcomes(world.pass_time(LATER)) == [("deleted", None)]


def test_event_that_comes_again_after_the_date(world: World) -> None:
    """The event of a date that is past, sent again from Failures, is handed on and reminds of nothing."""
    world.schedule(dated(DATE))
    world.timers.standing.clear()  # it went off, and the retirement was given up
    world.clock.advance(8 * 86_400)

    assert world.schedule(dated(DATE)) == {}
    assert outcomes(world.pass_time(LATER)) == [("deleted", None)]


# ---- Cancellations -------------------------------------------------------------------------------------------------


def test_cancelled(world: World) -> None:
    """A cancellation takes the timers away, ends the retirement with a receipt, and is published once."""
    world.schedule(dated(DATE))

    result = world.schedule(cancelled())

    assert (result["outcome"], result["reason"]) == ("cancelled", None)
    assert (result["requestedBy"], result["requestReason"]) == ("owner@example.com", "still needed")
    assert world.timers.standing == {}
    assert world.kept(f"{FOLDER}receipt.json") == result
    kept = world.kept(f"{FOLDER}cancelled.json")
    assert kept.pop("event")
    assert kept == result
    assert world.pass_time(LATER) == []
    assert outcomes(world.published) == [("scheduled", None), ("cancelled", None)]


def test_cancelled_before_it_was_asked_for(world: World) -> None:
    """A cancellation that comes before its request stands: neither a date nor now is carried out."""
    first = world.schedule(cancelled())
    assert first["message"].startswith("No date is stored under this retirementId; ")

    dated_result, due = world.schedule(dated(DATE)), world.deliver(requested())

    assert first["outcome"] == dated_result["outcome"] == "cancelled"
    assert due == dated_result
    assert dated_result == first
    assert world.timers.standing == {}
    assert "sales" in world.databrain.datamarts


def test_cancelled_before_a_request_for_now(world: World) -> None:
    """A request that waits in its queue while it is cancelled ends as cancelled, without a look at Databrain."""
    world.schedule(cancelled())

    result = world.deliver(requested())

    assert result["outcome"] == "cancelled"
    assert world.kept(f"{FOLDER}receipt.json") == result
    assert not [call for call in world.calls if call.startswith("databrain.")]


def test_cancelled_when_a_timer_had_gone_off(world: World) -> None:
    """A cancellation that is there before the delete wins, even right after the intent."""
    world.schedule(dated(DATE))
    _, body = world.timers.standing[RETIRE]
    world.clock.advance(7 * 86_400)
    with pytest.raises(Crash):
        world.deliver_now(body, CrashAt("coordination.record_failure"))
    with pytest.raises(AttemptInterrupted):
        world.schedule(cancelled())
    world.clock.advance(120)

    result = world.deliver_now(body)

    assert result["outcome"] == "cancelled"
    intent = world.kept(f"{FOLDER}intent.json")
    assert (result["planId"], result["dependents"]) == (intent["planId"], intent["dependents"])
    assert result["backup"] == intent["backup"] is not None
    assert "sales" in world.databrain.datamarts
    assert world.databrain.permits == []
    assert world.schedule(cancelled()) == result


def test_each_end_is_counted_once(world: World) -> None:
    """What is delivered again is published again, and not counted again: dates, ends, cancellations, rejections."""
    dates = [dated(DATE), dated(LATER, "second", START + HOUR)]
    undated = cancelled(retirementId="undated")
    for event in (*dates, *dates, cancelled(), undated):
        for _ in range(2):
            world.schedule(event)
            world.clock.advance(1)
    for event in (requested(retirementId="done"), requested(dryRum=True) | {"id": "misspelt"}):
        for _ in range(2):
            world.deliver(event)
            world.clock.advance(1)
    world.schedule(cancelled(), receive_count=MAX_RECEIVES)

    counted = [(result["retirementId"], result["outcome"]) for result in world.telemetry.counted]
    assert counted == [
        ("offboard-1", "scheduled"),
        ("offboard-1", "scheduled"),
        ("offboard-1", "cancelled"),
        ("undated", "cancelled"),
        ("done", "deleted"),
        ("offboard-1", "rejected"),
    ]
    assert len(world.telemetry.results) > len(counted)


def test_cancelled_before_another_delete_is_sent(world: World) -> None:
    """After a delete that had no effect a cancellation still wins."""
    world.databrain.scripted.append(
        ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.NONE, DatabrainUnavailable("HTTP 429", 10.0)))
    )

    result = world.deliver(requested(), Meanwhile("databrain.find", partial(cancel_alongside, world), nth=2))

    assert result["outcome"] == "cancelled"
    assert "sales" in world.databrain.datamarts
    assert len(world.databrain.permits) == 1


def test_cancelled_while_a_delete_is_in_doubt(world: World) -> None:
    """After a delete that may have had an effect no other one is sent, and the next delivery tells which was first."""
    world.databrain.scripted.append(
        ScriptedDeletion(happens=False, answer=DeleteAnswer(DeleteEffect.UNKNOWN, DatabrainUnavailable("no answer")))
    )

    with pytest.raises(NotConfirmed):
        world.deliver(requested(), Meanwhile("databrain.find", partial(cancel_alongside, world), nth=2))
    assert len(world.databrain.permits) == 1
    world.clock.advance(61)
    assert world.deliver_now(requested())["outcome"] == "cancelled"
    assert "sales" in world.databrain.datamarts


def cancel_alongside(world: World) -> None:
    """Somebody cancels what has set out to delete."""
    with pytest.raises(AttemptInterrupted):
        world.schedule_alongside(cancelled())


def test_cancelled_while_it_ends(world: World) -> None:
    """A cancellation that sees the end only after it was written down is rejected: one answer, not two."""
    world.settings = replace(world.settings, protected_datamarts=("sales",))

    result = world.schedule(cancelled(), Meanwhile("evidence.create", lambda: world.deliver_alongside(requested())))

    assert (result["outcome"], result["reason"]) == ("rejected", "already_ended")
    assert [told["outcome"] for told in world.published] == ["blocked", "rejected"]


def test_cancelled_too_late(world: World) -> None:
    """A cancellation of what has ended is rejected, says how it ended, and changes nothing."""
    world.deliver(requested())

    result = world.schedule(cancelled())

    assert (result["outcome"], result["reason"]) == ("rejected", "already_ended")
    assert "had ended as deleted at 2026-03-01T12:00:00.000Z" in result["message"]
    assert f"{FOLDER}cancelled.json" not in world.evidence.objects
    assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "deleted"


def test_cancelled_twice(world: World) -> None:
    """A second cancellation, delivered again or by somebody else, gets the first one's result."""
    world.schedule(dated(DATE))
    first = world.schedule(cancelled())
    world.clock.advance(60)

    assert world.schedule(cancelled()) == first
    assert world.schedule(cancelled() | {"id": "another"}) == first


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ({"retirementId": ...}, "detail must have the field retirementId"),
        ({"reason": ...}, "detail must have the field reason"),
        ({"dryRun": True}, 'detail must not have the unknown field "dryRun"'),
        ({"environment": "staging"}, "detail.environment is \"staging\", and this stack's is 'prod'"),
        ({"retirementId": "../x"}, "detail.retirementId must be"),
    ],
)
def test_invalid_cancellation(world: World, detail: Parsed, message: str) -> None:
    """A cancellation that is not valid is rejected with the field named, and cancels nothing."""
    world.schedule(dated(DATE))

    result = world.schedule(cancelled(**detail))

    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert result["message"].startswith(message)
    assert RETIRE in world.timers.standing


def test_no_event_at_all(world: World) -> None:
    """What is not valid JSON is rejected here, too."""
    assert world.schedule("{")["outcome"] == "rejected"
    assert list(world.evidence.objects) == [rejected_key(message_id("{"))]


# ---- A request without a date ---------------------------------------------------------------------------------------


def test_a_later_date_stands_over_an_earlier_request_for_now(world: World) -> None:
    """Where a request for now has to wait and a date is asked for meanwhile, the date stands: it is the later wish."""
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), FailAt("databrain.find", DatabrainUnavailable("down")))
    world.clock.advance(30)
    scheduled = world.schedule(dated(DATE, "later", world.clock.now()))
    world.clock.advance(30)

    assert world.deliver(requested(), receive_count=2) == scheduled
    assert "sales" in world.databrain.datamarts
    assert outcomes(world.pass_time(LATER)) == [("scheduled", "due_soon"), ("deleted", None)]


def test_moved_by_a_colleague(world: World) -> None:
    """Whoever moves a date says who and why, which stays on record; the end names the first request."""
    world.schedule(dated(DATE))
    world.clock.advance(60)

    moved = world.schedule(dated(LATER, "second", START + HOUR, **COLLEAGUE))

    assert (moved["outcome"], moved["retireAt"]) == ("scheduled", format_timestamp(LATER))
    assert (moved["requestedBy"], moved["requestReason"]) == ("a colleague", "the tenant needs another week")
    assert world.kept(f"{FOLDER}schedule-1.json")["requestedBy"] == requested()["detail"]["requestedBy"]
    world.pass_time(LATER)
    receipt = world.kept(f"{FOLDER}receipt.json")
    assert receipt["outcome"] == "deleted"
    assert (receipt["requestedBy"], receipt["requestReason"]) == tuple(
        requested()["detail"][name] for name in ("requestedBy", "reason")
    )


def test_other_content_for_now(world: World) -> None:
    """What was scheduled keeps its identity: a request with other content is rejected, also one without a date."""
    world.schedule(requested(retireAt=format_timestamp(DATE), dryRun=True))
    world.clock.advance(60)

    result = world.deliver_now(requested(**OTHER) | {"id": "other"})

    assert (result["outcome"], result["reason"]) == ("rejected", "retirement_id_reused")
    assert "sales" in world.databrain.datamarts


def test_a_date_for_what_is_being_carried_out(world: World) -> None:
    """Once a request for now has set out to delete, no date can be asked for; sent again, it goes on."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete"))
    world.clock.advance(61)

    result = world.schedule(dated(DATE, "later", world.clock.now()))

    assert (result["outcome"], result["reason"]) == ("rejected", "already_due")
    assert world.timers.standing == {}
    world.schedule(requested())  # from Failures
    assert outcomes(world.pass_time(LATER)) == [("deleted", None)]


def test_a_date_while_a_delete_is_set_out_for(world: World) -> None:
    """Where an intent is written while a date is set, nobody is told that it is scheduled, but how it ended."""

    def set_out() -> None:
        with pytest.raises(Crash):
            world.deliver_alongside(requested(), CrashAt("databrain.delete"))

    with pytest.raises(AttemptInterrupted):
        world.schedule(dated(DATE, "later", START + HOUR), Meanwhile("evidence.create", set_out))
    assert world.published == []
    world.clock.advance(61)
    deleted = world.deliver_now(requested())
    assert deleted["outcome"] == "deleted"
    assert world.schedule(dated(DATE, "later", START + HOUR), receive_count=2) == deleted


@pytest.mark.parametrize("again", [requested(), dated(START)], ids=["without a date", "for a date that is past"])
def test_due_and_asked_for_again(world: World, again: Parsed) -> None:
    """What is due is not moved by who asks for it now once more, as after a redrive: both get the one answer."""
    world.schedule(requested())  # from Failures
    world.clock.advance(60)

    assert world.schedule(again | {"id": "again", "time": format_timestamp(world.clock.now())}) == {}
    came = world.pass_time(LATER)
    assert outcomes(came)[0] == ("deleted", None)
    assert came == [came[0]] * len(came)


# ---- Side by side --------------------------------------------------------------------------------------------------


def test_another_date_meanwhile(world: World) -> None:
    """Where another date is asked for while the timers are set, they are set to that one in the end, as is told."""
    later = dated(LATER, "second", START + HOUR)

    result = world.schedule(dated(DATE), Meanwhile("timers.set", lambda: world.schedule_alongside(later), nth=2))

    assert {told["retireAt"] for told in [result, *world.published]} == {format_timestamp(LATER)}
    assert {timer: at for timer, (at, _) in world.timers.standing.items()} == {RETIRE: LATER, REMIND: LATER - DAY}


def test_the_same_number_meanwhile(world: World) -> None:
    """Of two dates that are written down at the same time one is; the other one is tried again, and comes after it."""
    later = dated(LATER, "second", START + HOUR)
    meanwhile = Meanwhile("evidence.create", lambda: world.schedule_alongside(dated(DATE)))

    with pytest.raises(AttemptInterrupted):
        world.schedule(later, meanwhile)
    assert world.kept(f"{FOLDER}schedule-1.json")["retireAt"] == format_timestamp(DATE)
    assert world.schedule(later)["retireAt"] == format_timestamp(LATER)
    assert world.timers.standing[RETIRE][0] == LATER


@pytest.mark.parametrize("nth", [1, 2])
def test_cancelled_meanwhile(world: World, nth: int) -> None:
    """A cancellation that comes while a date is set wins: no timer is left."""
    meanwhile = Meanwhile("timers.set", lambda: world.schedule_alongside(cancelled()), nth=nth)

    result = world.schedule(dated(DATE), meanwhile)

    assert result["outcome"] == "cancelled"
    assert world.kept(f"{FOLDER}receipt.json") == result
    assert world.timers.standing == {}


# ---- The last receive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [dated(DATE), cancelled()], ids=["date", "cancellation"])
def test_abandoned(world: World, event: Parsed) -> None:
    """What fails is held back, longer each time; the last receive publishes `failed`, and SQS moves the message."""
    is_dated = "retireAt" in event["detail"]
    down = FailAt("timers.set" if is_dated else "timers.clear", AwsCallFailed("throttled"))
    for receive_count in range(1, MAX_RECEIVES):
        with pytest.raises(AwsCallFailed):
            world.schedule(event, down, receive_count=receive_count)
    assert tuple(world.inbox.redelivery_delays.values()) == SETTINGS.retry_delays

    with pytest.raises(Abandoned):
        world.schedule(event, down, receive_count=MAX_RECEIVES)

    assert world.inbox.redelivery_delays[f"handle-{MAX_RECEIVES}"] == 0
    failure = world.kept(f"{FOLDER}{'' if is_dated else 'cancellation-'}failure-1.json")
    assert failure.pop("event")
    assert (failure["outcome"], failure["reason"]) == ("failed", "internal_error")
    assert world.published == [failure]
    again = world.schedule(event)  # sent again from Failures
    assert again["outcome"] == ("scheduled" if is_dated else "cancelled")


def test_last_receive_of_what_has_ended(world: World) -> None:
    """The last receive publishes the receipt that is there by now."""
    receipt = world.deliver(requested())

    assert world.schedule(dated(DATE), receive_count=MAX_RECEIVES) == receipt


@pytest.mark.parametrize("ended", ["cancelled", "deleted"])
def test_last_receive_of_a_cancellation_of_what_has_ended(world: World, ended: str) -> None:
    """The last receive of a cancellation answers by the receipt that is there by now."""
    world.schedule(dated(DATE))
    if ended == "cancelled":
        receipt = world.schedule(cancelled())
        assert world.schedule(cancelled(), receive_count=MAX_RECEIVES) == receipt
    else:
        world.pass_time(LATER)
        result = world.schedule(cancelled(), receive_count=MAX_RECEIVES)
        assert (result["outcome"], result["reason"]) == ("rejected", "already_ended")


@pytest.mark.parametrize("event", [requested(), dated(DATE)], ids=["now", "date"])
def test_last_receive_of_what_was_cancelled(world: World, event: Parsed) -> None:
    """What was cancelled while its attempts failed ends as cancelled, not as failed."""
    world.schedule(cancelled())

    deliver = world.schedule if "retireAt" in event["detail"] else world.deliver
    result = deliver(event, receive_count=MAX_RECEIVES)

    assert result["outcome"] == "cancelled"
    assert world.kept(f"{FOLDER}receipt.json") == result


def test_last_receive_of_a_cancellation_in_doubt(world: World) -> None:
    """Where an intent is there and no receipt ever comes, the cancellation is given up as `unconfirmed`."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete"))

    with pytest.raises(Abandoned):
        world.schedule(cancelled(), receive_count=MAX_RECEIVES)

    assert (world.published[-1]["outcome"], world.published[-1]["reason"]) == ("failed", "unconfirmed")
    assert f"{FOLDER}cancellation-failure-1.json" in world.evidence.objects


# ---- A date that was kept and is not as it should be -----------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"event": "{}"}', '{"event": 7}'])
def test_a_date_that_is_not_ours(world: World, body: str) -> None:
    """Where a kept date cannot be read, nothing is decided by the others: each attempt fails, and names the object."""
    world.schedule(dated(DATE))
    key = f"{FOLDER}schedule-1.json"
    world.evidence.objects[key] = replace(world.evidence.objects[key], body=body)

    attempts = [
        partial(world.schedule, dated(LATER, "second", START + HOUR)),
        partial(world.pass_time, DATE - HOUR),  # for the reminder
        partial(world.pass_time, LATER),
        partial(world.schedule, cancelled()),
    ]

    for attempt in attempts:
        with pytest.raises(AwsCallFailed, match=f"^{key} is not as this project writes it"):
            attempt()
    assert "sales" in world.databrain.datamarts


# ---- Who else is there ---------------------------------------------------------------------------------------------


def test_another_content_is_kept_as_a_date_meanwhile(world: World) -> None:
    """An intent owns the identity: a date of another request is told so, and the deletion gets its receipt."""
    other = dated(DATE, "other", **OTHER)

    def ask() -> None:
        assert world.schedule_alongside(other)["outcome"] == "scheduled"

    failing = FailAt("databrain.list_datamarts", DatabrainUnavailable("HTTP 503"))
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), Meanwhile("coordination.reserve", ask), failing)

    assert world.schedule(dated(LATER, "more", **OTHER))["reason"] == "retirement_id_reused"
    assert world.deliver(requested())["outcome"] == "deleted"
    assert [result["reason"] for result in world.pass_time(DATE)] == ["retirement_id_reused"]
    assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "deleted"
    assert world.timers.standing == {}


@pytest.mark.parametrize("retire_at", [DATE, START], ids=["far", "due"])
def test_redriven_beside_a_date_of_another_content(world: World, retire_at: datetime) -> None:
    """A redrive hands on the request that owns the intent, and not the date that another one has left beside it."""
    other = dated(retire_at, "other", **OTHER) | {"time": format_timestamp(START + timedelta(seconds=1))}

    def ask() -> None:
        world.clock.advance(2)
        world.schedule_alongside(other)

    failing = FailAt("databrain.list_datamarts", DatabrainUnavailable("HTTP 503"))
    with pytest.raises(DatabrainUnavailable):
        world.deliver(requested(), Meanwhile("coordination.reserve", ask), failing)
    world.outbox.sent.clear()

    assert world.schedule(requested()) == {}
    [(body, _)] = world.outbox.sent
    assert world.deliver(body)["outcome"] == "deleted"


KINDS: dict[str, Parsed] = {"real": {}, "dry run": {"dryRun": True}, "plan": {"planId": "0" * 64}, "absent": {}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(1, 25))
def test_cancelled_at_any_call(world: World, kind: str, number: int) -> None:
    """What was once answered with `cancelled` stays cancelled, for a cancellation that comes again, too."""
    if kind == "absent":
        world.databrain.datamarts.clear()
    answers: list[Parsed] = []

    def cancel(call: Call) -> object:
        if call.number == number:
            with suppress(AttemptInterrupted):  # an intent is there, and the receipt decides
                answers.append(world.schedule_alongside(cancelled()))
        return call.proceed()

    with suppress(AttemptInterrupted, DatabrainUnavailable):
        world.deliver(requested(**KINDS[kind]), cancel)
    world.clock.advance(61)
    result = world.deliver(requested(**KINDS[kind]))
    again = world.schedule(cancelled())

    if answers and answers[0]["outcome"] == "cancelled":
        assert again == result == answers[0]
        assert not world.databrain.permits
    else:
        assert (again["outcome"] == "cancelled") == (result["outcome"] == "cancelled")
    assert world.kept(f"{FOLDER}receipt.json") == result


@pytest.mark.parametrize("first", ["the one that is cancelled", "another content"])
def test_cancelled_for_whatever_content(world: World, first: str) -> None:
    """A cancellation is one of a datamart and a retirement id: no content that comes later spends them."""
    world.schedule(cancelled())
    events = [requested(), requested(backup=False) | {"id": "another"}]
    if first == "another content":
        events.reverse()

    assert [world.deliver(event)["outcome"] for event in events] == ["cancelled", "cancelled"]
    assert world.schedule(dated(DATE))["outcome"] == "cancelled"


@pytest.mark.parametrize("after", [False, True], ids=["before the delete", "after the delete"])
def test_the_environment_is_renamed(world: World, after: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """An open deletion is recovered, and an ended one told, before a request is sent to another stack."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete", after=after))
    world.clock.advance(61)
    world.settings = replace(world.settings, environment_name="live")
    world.schedule_settings = replace(world.schedule_settings, environment_name="live")

    receipt = world.deliver(requested())

    assert receipt["outcome"] == "deleted"
    assert world.schedule(dated(DATE)) == receipt
    assert world.schedule(cancelled())["reason"] == "already_ended"
    assert world.deliver(requested(retirementId="another"))["reason"] == "invalid_request"
    assert world.schedule(cancelled(retirementId="another"))["reason"] == "invalid_request"


def test_an_open_deletion_is_cancelled_on_a_renamed_stack(world: World) -> None:
    """A cancellation stops an open deletion, whatever the stack is called by now."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete"))
    world.clock.advance(61)
    world.settings = replace(world.settings, environment_name="live")
    world.schedule_settings = replace(world.schedule_settings, environment_name="live")

    with pytest.raises(AttemptInterrupted):
        world.schedule(cancelled())

    assert world.deliver(requested())["outcome"] == world.schedule(cancelled())["outcome"] == "cancelled"
    assert "sales" in world.databrain.datamarts


def test_an_open_deletion_is_sent_again_to_a_renamed_stack(world: World) -> None:
    """Sent again from `Failures`, an open deletion is handed on to who recovers it, whatever the stack is called."""
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("databrain.delete", after=True))
    world.clock.advance(61)
    world.settings = replace(world.settings, environment_name="live")
    world.schedule_settings = replace(world.schedule_settings, environment_name="live")

    world.schedule(requested())

    assert outcomes(world.pass_time(START + HOUR)) == [("deleted", None)]


def test_many_moves(world: World) -> None:
    """A chain of 200 dates costs what one costs."""
    world.schedule(dated(DATE))
    one = list(world.calls)
    for number in range(1, 200):
        asked_at = START + timedelta(seconds=number)
        world.clock.advance(1)
        world.schedule(dated(DATE + timedelta(minutes=number), f"move-{number}", asked_at))
    assert len(world.calls) <= len(one) + 2  # the first date, and an arrival

    again = world.schedule(dated(DATE + timedelta(minutes=7), "move-7", START + timedelta(seconds=7)))

    assert again["retireAt"] == format_timestamp(DATE + timedelta(minutes=199))
    assert len(world.calls) <= len(one) + 2
    assert f"{FOLDER}schedule-201.json" not in world.evidence.objects


def test_two_moves_in_one_second(world: World) -> None:
    """Of two dates of the same second the one that is kept later is current, also when both come again."""
    first, second = dated(DATE, "first"), dated(LATER, "second")
    world.schedule(first)
    world.schedule(second)

    assert world.schedule(first)["retireAt"] == world.schedule(second)["retireAt"] == format_timestamp(LATER)


@pytest.mark.parametrize("embed_id", ["e" * 256, "<" * 100, "é" * 128])
def test_too_large_for_a_timer(world: World, embed_id: str) -> None:
    """What EventBridge takes and EventBridge Scheduler does not is rejected before a date is kept."""
    event = dated(DATE)
    event["detail"]["reviewedEmbeds"] = [f"{number}{embed_id}"[:256] for number in range(1_000)]

    result = world.schedule(json.dumps(event, ensure_ascii=False))

    assert (result["outcome"], result["reason"]) == ("rejected", "invalid_request")
    assert "too large" in result["message"]
    assert not [key for key in world.evidence.objects if "schedule-" in key]


@pytest.mark.parametrize("ending", ["cancelled", "deleted"])
@pytest.mark.parametrize("number", range(1, 9))
def test_no_timer_is_left(world: World, ending: str, number: int) -> None:
    """Whoever finds the end of a retirement clears its timers: one may have set them after they were cleared."""

    def end() -> None:
        if ending == "cancelled":
            world.schedule_alongside(cancelled())
        else:
            world.deliver_alongside(requested())

    def strike(call: Call) -> object:
        if call.number < number:
            return call.proceed()
        if call.number == number:
            end()
            answer = call.proceed()
            if not call.name.startswith("timers."):
                return answer
        raise Crash(call.name)

    with suppress(Crash):
        world.schedule(dated(DATE), strike)
    world.clock.advance(61)

    assert world.schedule(dated(DATE))["outcome"] == ending
    assert world.timers.standing == {}


@pytest.mark.parametrize("deliver_last", [dated(DATE), cancelled()], ids=["the date", "the cancellation"])
def test_the_last_receive_leaves_no_timer(world: World, deliver_last: Parsed) -> None:
    """So does the last receive of an event."""
    world.schedule(dated(DATE))
    body = world.timers.standing[RETIRE]
    world.schedule(cancelled())
    world.timers.standing[RETIRE] = body

    assert world.schedule(deliver_last, receive_count=MAX_RECEIVES)["outcome"] == "cancelled"
    assert world.timers.standing == {}
