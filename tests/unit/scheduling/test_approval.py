"""Approval by a second person: what asks for it, what counts, and what is deleted only with it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from retirement.errors import Abandoned, AttemptInterrupted, AwsCallFailed, NotConfirmed, RetirementError
from retirement.record.keys import rejected_key
from retirement.record.record import Record
from retirement.requests import MAX_RECEIVES
from retirement.retiring.settings import Mode
from retirement.scheduling.ports import Timer
from retirement.timestamps import format_timestamp
from tests.fakes import (
    START,
    Crash,
    CrashAt,
    FailAt,
    Meanwhile,
    Parsed,
    World,
    approved,
    cancelled,
    embed_of,
    entry_of,
    listing_of,
    requested,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FOLDER = "retirements/sales/offboard-1/"
REMIND = (Timer.REMIND, "sales", "offboard-1")
LOCK_EXPIRY = 61


@pytest.fixture
def world(world: World) -> World:
    """With one datamart, and a stack that requires one approval."""
    world.databrain.datamarts["sales"] = entry_of()
    requires(world, 1)
    return world


def requires(world: World, approvals: int) -> None:
    """From now on so many approvals are required."""
    sources = ("approvals",) if approvals else ()
    world.settings = replace(world.settings, approvals_required=approvals)
    world.schedule_settings = replace(world.schedule_settings, approvals_required=approvals, approval_sources=sources)


def hand_on(world: World) -> list[Parsed]:
    """Deliver what the two functions have sent to one another, until nothing is under way."""
    came: list[Parsed] = []
    for _ in range(10):
        if not (world.scheduling.sent or world.outbox.sent):
            return came
        while world.scheduling.sent:
            came.append(world.schedule(world.scheduling.sent.pop(0)[0]))
        while world.outbox.sent:
            world.clock.advance(LOCK_EXPIRY)
            came.append(world.deliver_now(world.outbox.sent.pop(0)[0]))
    raise AssertionError("the functions play ping-pong")


def ask(world: World, **detail: object) -> str:
    """Request a retirement, and return the plan that is to be approved."""
    result = world.deliver(requested("sales", **detail))
    assert result["outcome"] == "awaiting_approval"
    assert hand_on(world) == [{}]
    return str(result["planId"])


def approve(world: World, plan_id: str, approved_by: str = "owner@example.com", **detail: object) -> list[Parsed]:
    """Send an approval, and return what it comes to: its answer, and what becomes of the request."""
    return [world.schedule(approved(plan_id, approved_by, **detail)), *hand_on(world)]


def in_short(results: list[Parsed]) -> list[tuple[str, str | None]]:
    """Outcomes and reasons."""
    return [(result["outcome"], result["reason"]) for result in results if result]


def is_there(world: World) -> bool:
    """Whether nothing was deleted."""
    return "sales" in world.databrain.datamarts and not world.databrain.permits


APPROVED_AND_DELETED = [("approved", None), ("deleted", None)]


# ---- The ask -------------------------------------------------------------------------------------------------------


def test_it_is_asked_for(world: World) -> None:
    """A request that all rules allow waits: the plan is stored and published as awaiting approval, and nothing else."""
    result = world.deliver(requested())

    assert (result["outcome"], result["reason"], result["approvalsMissing"]) == ("awaiting_approval", None, 1)
    assert result["planId"] in result["message"]
    assert world.published == [result]
    stored = world.kept(f"{FOLDER}approval-asked-1.json")
    assert {name: stored[name] for name in result} == result
    assert is_there(world)
    assert not [key for key in world.evidence.objects if "/intent" in key or "/receipt" in key or "backups/" in key]
    assert not world.coordination.counted


def test_it_is_carried_out_once_approved(world: World) -> None:
    """An approval of the plan is answered, and the request is carried out once; both are published."""
    plan_id = ask(world)

    answer, deleted = approve(world, plan_id)

    assert (answer["outcome"], answer["approvalsMissing"], answer["planId"]) == ("approved", 0, plan_id)
    assert (answer["requestedBy"], answer["requestReason"]) == ("owner@example.com", "reviewed")
    assert (deleted["outcome"], deleted["requestedBy"], deleted["planId"]) == ("deleted", "ops@example.com", plan_id)
    assert len(world.databrain.permits) == 1
    assert in_short(world.published) == [("awaiting_approval", None), *APPROVED_AND_DELETED]
    assert world.timers.standing == {}


def test_no_approval_is_required(world: World) -> None:
    """A stack without ApprovalSources asks for nothing and lists no more than before."""
    requires(world, 0)

    assert in_short([world.deliver(requested())]) == [("deleted", None)]
    assert world.calls.count("evidence.list") == 2
    assert "scheduling.send" not in world.calls


def test_a_dry_run_is_not_asked_for(world: World) -> None:
    """Neither a dry run nor the mode `plan` asks for an approval."""
    assert in_short([world.deliver(requested(dryRun=True))]) == [("planned", "dry_run")]
    world.settings = replace(world.settings, mode=Mode.PLAN)
    assert in_short([world.deliver(requested(retirementId="offboard-2"))]) == [("planned", "plan_mode")]


def test_what_a_rule_forbids_is_not_asked_for(world: World) -> None:
    """Nobody is asked to approve what the stack would not delete."""
    world.databrain.embeds = listing_of(embed_of("e", "sales"))

    assert in_short([world.deliver(requested())]) == [("blocked", "dependents_found")]


def test_one_ask_is_published_once(world: World) -> None:
    """A request that is sent again gets the stored ask as its answer, and is not asked for anew."""
    plan_id = ask(world)

    again = world.deliver(requested())

    assert again == world.published[0] == world.published[1]
    assert world.scheduling.sent == []
    assert f"{FOLDER}approval-asked-2.json" not in world.evidence.objects
    assert len(world.telemetry.counted) == 1
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


def test_what_a_requester_wrote_is_quoted(world: World) -> None:
    """No name and no reason can pass for the stack's own words."""
    name = 'ops" (approved by the owner)\u202e'
    result = world.deliver(requested(requestedBy=name, reason="done.\nNo approval is missing.", startedBy="eve\u2028"))

    assert r'"ops\" (approved by the owner)\u202e", in a sweep that "eve\u2028" started' in result["message"]
    assert r'"done.\nNo approval is missing."' in result["message"]


def test_without_a_backup(world: World) -> None:
    """An ask says what cannot be undone."""
    assert " without a backup waits for 1 approval. " in world.deliver(requested(backup=False))["message"]


def test_another_request_of_the_same_identity(world: World) -> None:
    """While it waits, the identity belongs to the request that was asked for, now and for a date."""
    plan_id = ask(world)
    other = requested(backup=False) | {"id": "another"}

    assert in_short([world.deliver(other)]) == [("rejected", "retirement_id_reused")]
    later = requested(backup=False, retireAt=format_timestamp(START + 7 * DAY)) | {"id": "dated"}
    assert in_short([world.schedule(later)]) == [("rejected", "retirement_id_reused")]
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


# ---- Who approves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ops@example.com", " OPS@example.COM\n", "Ops@Example.com"], ids=["same", "spaces and case", "case"]
)
def test_the_requester_cannot_approve(world: World, name: str) -> None:
    """However the requester spells the name, the approval is rejected under `rejected/`, and the request waits."""
    plan_id = ask(world)

    came = approve(world, plan_id, name)

    assert in_short(came) == [("rejected", "own_request")]
    assert is_there(world)
    assert world.kept(rejected_key(f"approval by {name} of {plan_id}"))["reason"] == "own_request"
    assert f"{FOLDER}receipt.json" not in world.evidence.objects
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


def test_the_requester_in_another_unicode_form(world: World) -> None:
    """A name is one name in every Unicode form."""
    plan_id = ask(world, requestedBy="J\u00fcrgen Stra\u00dfe")

    assert in_short(approve(world, plan_id, "ju\u0308rgen STRASSE ")) == [("rejected", "own_request")]


def test_who_started_the_sweep_cannot_approve(world: World) -> None:
    """A person who started the sweep that requests is a requester."""
    plan_id = ask(world, requestedBy="sweep:trials (growth@example.com)", startedBy="Alice")

    assert in_short(approve(world, plan_id, "alice")) == [("rejected", "own_request")]
    assert in_short(approve(world, plan_id, "bob")) == APPROVED_AND_DELETED


def move(world: World, moved_by: str, to: datetime) -> None:
    """Another person requests another date."""
    world.clock.advance(60)
    event = requested(requestedBy=moved_by, retireAt=format_timestamp(to))
    assert in_short([world.schedule(event | {"id": moved_by, "time": format_timestamp(world.clock.now())})]) == [
        ("scheduled", None)
    ]


def test_who_moved_it_cannot_approve(world: World) -> None:
    """Every mover is a requester, and stays one whoever moves it later."""
    world.schedule(requested(retireAt=format_timestamp(START + 2 * DAY)))
    for name, days in (("mover@example.com", 3), ("another@example.com", 4)):
        move(world, name, START + days * DAY)
    world.pass_time(START + 5 * DAY)
    plan_id = world.published[-1]["planId"]
    hand_on(world)

    for name in ("Mover@example.com", "another@example.com ", "OPS@example.com"):
        assert in_short(approve(world, plan_id, name)) == [("rejected", "own_request")]
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


def test_who_moves_it_after_approving(world: World) -> None:
    """An approval does not count any more once its sender has moved the retirement: it is asked for anew."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    move(world, "owner@example.com", START + 2 * DAY)
    hand_on(world)

    assert in_short(world.pass_time(START + 3 * DAY))[-1] == ("awaiting_approval", None)
    hand_on(world)
    assert is_there(world)
    assert in_short(approve(world, plan_id, "Owner@example.com")) == [("rejected", "own_request")]
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED


def test_who_requests_it_again_cannot_approve(world: World) -> None:
    """Whoever sends the request of what waits again is a requester, too, and that is recorded with a new ask."""
    plan_id = ask(world)

    again = world.deliver(requested(requestedBy="owner@example.com") | {"id": "again"})
    hand_on(world)

    assert (again["outcome"], again["reason"]) == ("awaiting_approval", None)
    assert in_short(approve(world, plan_id)) == [("rejected", "own_request")]
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED


def test_who_requests_it_again_at_its_date_cannot_approve(world: World) -> None:
    """The same holds if it had a date: the result names who has set the date, and the ask whoever requests it again."""
    world.schedule(requested(retireAt=format_timestamp(START + HOUR)))
    plan_id = world.pass_time(START + 2 * HOUR)[-1]["planId"]
    hand_on(world)
    again = requested(requestedBy="owner@example.com") | {"id": "again", "time": format_timestamp(world.clock.now())}

    assert world.deliver_now(again)["outcome"] == "awaiting_approval"
    hand_on(world)

    assert in_short(approve(world, plan_id)) == [("rejected", "own_request")]
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED


@pytest.mark.parametrize(("second", "missing"), [(" OWNER@example.com", 1), ("other@example.com", 0)])
def test_two_people(world: World, second: str, missing: int) -> None:
    """Where two have to approve, one person under two spellings is one person."""
    requires(world, 2)
    plan_id = ask(world)

    (first,) = approve(world, plan_id)
    answer, *came = approve(world, plan_id, second)

    assert (first["outcome"], first["approvalsMissing"]) == ("approved", 1)
    assert "1 more approval" in first["message"]
    assert answer["approvalsMissing"] == missing
    assert in_short(came) == ([] if missing else [("deleted", None)])
    assert is_there(world) is bool(missing)


def test_three_people(world: World) -> None:
    """Three approvals are counted down."""
    requires(world, 3)
    plan_id = ask(world)

    assert [approve(world, plan_id, name)[0]["approvalsMissing"] for name in ("a", "b", " A", "c")] == [2, 1, 1, 0]
    assert not is_there(world)


def test_an_approval_twice(world: World) -> None:
    """An approval that is delivered again is answered as the first time, and nothing is done twice."""
    requires(world, 2)
    plan_id = ask(world)

    first, again = approve(world, plan_id), approve(world, plan_id)

    assert first == again
    assert f"{FOLDER}approved-2.json" not in world.evidence.objects
    assert is_there(world)
    requires(world, 1)
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED
    assert in_short(approve(world, plan_id)) == [("approved", None)]
    assert len(world.databrain.permits) == 1


def test_a_source_that_may_not_approve(world: World) -> None:
    """An approval of another source that reaches the queue all the same is rejected, and so it is without approval."""
    plan_id = ask(world)
    forged = approved(plan_id) | {"source": "datamart.lifecycle"}

    assert in_short([world.schedule(forged)]) == [("rejected", "invalid_request")]
    assert '"datamart.lifecycle" is not one of this stack\'s ApprovalSources' in world.published[-1]["message"]
    requires(world, 0)
    assert in_short([world.schedule(approved(plan_id) | {"id": "late"})]) == [("rejected", "invalid_request")]
    assert is_there(world)


# ---- When, and which plan ------------------------------------------------------------------------------------------


def test_an_approval_before_its_request(world: World) -> None:
    """An approval never counts before its request, even if it names the plan that is asked for later."""
    plan_id = world.deliver(requested(dryRun=True, retirementId="dry"))["planId"]

    assert in_short(approve(world, plan_id)) == [("rejected", "not_awaiting")]
    assert ask(world) == plan_id
    assert is_there(world)


def test_an_approval_of_another_plan(world: World) -> None:
    """Another plan is not approved, and the message names the one that is asked for."""
    plan_id = ask(world)

    (rejected,) = approve(world, "0" * 64)

    assert (rejected["outcome"], rejected["reason"]) == ("rejected", "another_plan")
    assert plan_id in rejected["message"]
    assert rejected["requestedBy"] == "owner@example.com"
    assert is_there(world)


def test_another_environment(world: World) -> None:
    """An approval that is meant for another stack is rejected."""
    assert in_short(approve(world, ask(world), environment="dev")) == [("rejected", "invalid_request")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event["detail"].pop("planId"),
        lambda event: event["detail"].update(planId=""),
        lambda event: event["detail"].update(approvedBy=""),
        lambda event: event["detail"].update(extra=1),
        lambda event: event.pop("source"),
    ],
)
def test_an_invalid_approval(world: World, spoil: Callable[[Parsed], object]) -> None:
    """An approval that is not valid is rejected."""
    event = approved(ask(world))
    spoil(event)

    assert in_short([world.schedule(event)]) == [("rejected", "invalid_request")]
    assert is_there(world)


def test_late(world: World) -> None:
    """What has ended cannot be approved, whatever ended it; an end stays what it was."""
    plan_id = ask(world)
    world.schedule(cancelled())

    assert in_short(approve(world, plan_id)) == [("rejected", "already_ended")]
    assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "cancelled"
    assert is_there(world)

    other = world.deliver(requested(retirementId="offboard-2"))["planId"]
    hand_on(world)
    assert in_short(approve(world, other, retirementId="offboard-2")) == APPROVED_AND_DELETED
    assert in_short(approve(world, other, "late@example.com", retirementId="offboard-2")) == [
        ("rejected", "already_ended")
    ]


def test_the_plan_drifts_before_the_approval_is_carried_out(world: World) -> None:
    """An approval counts for its plan alone: what has changed is named and asked for, and nothing is deleted."""
    plan_id = ask(world)
    world.databrain.datamarts["sales"] = entry_of(label="edited")

    answer, asked, forwarded = approve(world, plan_id)

    assert (answer["outcome"], forwarded) == ("approved", {})
    assert (asked["outcome"], asked["reason"]) == ("awaiting_approval", "plan_drifted")
    assert "no longer applies: settings of tables, columns, relationships or tenancy changed. " in asked["message"]
    assert asked["planId"] != plan_id
    assert is_there(world)
    assert in_short(approve(world, plan_id, "second@example.com")) == [("rejected", "another_plan")]
    assert in_short(approve(world, asked["planId"])) == APPROVED_AND_DELETED


def test_a_plan_that_drifts_away_and_comes_back(world: World) -> None:
    """An approval counts for exactly its plan: not for another one in between, and again once it applies again."""
    plan_id = ask(world)
    world.databrain.datamarts["sales"] = entry_of(label="edited")
    _, asked, _ = approve(world, plan_id)
    world.databrain.datamarts["sales"] = entry_of()

    assert in_short(approve(world, plan_id, "second@example.com")) == [("rejected", "another_plan")]
    assert in_short(approve(world, asked["planId"], "third@example.com")) == APPROVED_AND_DELETED
    assert world.published[-1]["planId"] == plan_id


def test_a_plan_that_drifts_and_was_not_approved(world: World) -> None:
    """Approvals of one plan do not add up with those of another."""
    requires(world, 2)
    plan_id = ask(world)
    approve(world, plan_id, "first@example.com")
    world.databrain.datamarts["sales"] = entry_of(label="edited")
    asked = world.deliver(requested())
    hand_on(world)

    assert (asked["reason"], asked["approvalsMissing"]) == ("plan_drifted", 2)
    assert in_short(approve(world, asked["planId"], "second@example.com")) == [("approved", None)]
    assert is_there(world)


def test_another_organisation(world: World) -> None:
    """An equal datamart of another organisation has the same plan, and its approval counts for the first one alone."""
    world.databrain.datamarts["hr"] = entry_of("hr")
    plan_id = ask(world)
    world.databrain.token = "token-of-b"
    del world.databrain.datamarts["hr"]

    _, asked, *_ = approve(world, plan_id)

    assert (asked["outcome"], asked["reason"], asked["planId"]) == ("awaiting_approval", "plan_drifted", plan_id)
    assert "another organisation" in asked["message"]
    assert is_there(world)
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED


def test_a_request_that_names_its_plan(world: World) -> None:
    """A request's own planId stays its own condition: if it drifts, the request is blocked."""
    plan_id = world.deliver(requested(dryRun=True, retirementId="dry"))["planId"]
    ask(world, planId=plan_id)
    world.databrain.datamarts["sales"] = entry_of(label="edited")

    assert in_short(approve(world, plan_id)) == [("approved", None), ("blocked", "plan_drifted")]
    assert is_there(world)


@pytest.mark.parametrize(("days", "outcome"), [(13.99, ("deleted", None)), (14, ("blocked", "approval_expired"))])
def test_an_approval_expires(world: World, days: float, outcome: tuple[str, str | None]) -> None:
    """An approval counts for ApprovalExpiresIn, judged when the request is decided."""
    plan_id = ask(world)
    event = approved(plan_id)
    world.schedule(event)
    world.clock.advance(days * 86_400 - LOCK_EXPIRY)

    assert in_short(hand_on(world)) == [outcome]
    assert is_there(world) is (outcome[0] == "blocked")
    assert world.kept(f"{FOLDER}receipt.json")["reason"] == outcome[1]


def test_approved_again_before_it_expires(world: World) -> None:
    """Of one person's approvals of a plan the last one counts."""
    requires(world, 2)
    plan_id = ask(world)
    approve(world, plan_id, "first@example.com")
    world.clock.advance(13 * 86_400)
    later = {"time": format_timestamp(world.clock.now())}
    world.schedule(approved(plan_id, "first@example.com") | later | {"id": "again"})
    world.clock.advance(2 * 86_400)

    world.schedule(approved(plan_id, "second@example.com") | {"time": format_timestamp(world.clock.now())})

    assert in_short(hand_on(world)) == [("deleted", None)]


# ---- Dates and cancellations ---------------------------------------------------------------------------------------


def test_a_dated_request_is_asked_for_when_it_is_due(world: World) -> None:
    """A date needs no approval, its reminder says that one is needed, and the ask comes when it is due."""
    date = START + 7 * DAY
    world.schedule(requested(retireAt=format_timestamp(date)))
    plan_id = "0" * 64

    assert in_short(approve(world, plan_id)) == [("rejected", "not_awaiting")]
    reminder, asked, *_ = world.pass_time(date + HOUR)
    hand_on(world)

    assert reminder["reason"] == "due_soon"
    assert "is due at 2026-03-08T12:00:00.000Z, and needs 1 approval, which it asks for then. " in reminder["message"]
    assert in_short([asked]) == [("awaiting_approval", None)]
    assert in_short(approve(world, asked["planId"])) == APPROVED_AND_DELETED


def test_a_date_that_awaits_approval_cannot_be_moved(world: World) -> None:
    """What is due is in progress: it can be cancelled, and not moved."""
    world.schedule(requested(retireAt=format_timestamp(START + HOUR)))
    world.pass_time(START + 2 * HOUR)
    hand_on(world)

    later = requested(retireAt=format_timestamp(START + 7 * DAY)) | {"time": format_timestamp(START + 2 * HOUR)}
    assert in_short([world.schedule(later | {"id": "later"})]) == [("rejected", "already_due")]
    assert in_short([world.schedule(cancelled())]) == [("cancelled", None)]


def test_a_request_that_waits_is_moved(world: World) -> None:
    """A date for what waits postpones it: it does not await approval until it is asked for again at the date."""
    plan_id = ask(world)
    assert REMIND in world.timers.standing
    date = START + HOUR  # so near that it has no reminder
    moved = requested(retireAt=format_timestamp(date)) | {"id": "moved"}
    assert in_short([world.schedule(moved)]) == [("scheduled", None)]
    assert REMIND not in world.timers.standing

    assert in_short(approve(world, plan_id)) == [("rejected", "not_awaiting")]
    assert in_short(world.pass_time(date + HOUR)) == [("awaiting_approval", None)]
    hand_on(world)
    assert world.published[-1] == world.published[-1] | {"planId": plan_id, "approvalsMissing": 1}
    assert in_short(approve(world, plan_id, "second@example.com")) == APPROVED_AND_DELETED


def test_moved_after_it_was_approved(world: World) -> None:
    """An approval of the plan counts at a later date, too, until it expires."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    world.clock.advance(60)
    moved = requested(retireAt=format_timestamp(START + 7 * DAY)) | {"time": format_timestamp(world.clock.now())}
    world.schedule(moved | {"id": "moved"})

    assert in_short(hand_on(world)) == [("scheduled", None)]
    assert is_there(world)
    assert in_short(world.pass_time(START + 8 * DAY))[-1] == ("deleted", None)


def test_a_cancellation_is_the_no(world: World) -> None:
    """What awaits approval is cancelled at once, and no timer is left."""
    ask(world)

    answer = world.schedule(cancelled())

    assert answer["outcome"] == "cancelled"
    assert "No date is stored" not in answer["message"]
    assert world.timers.standing == {}


@pytest.mark.parametrize("first", ["approval", "cancellation"])
def test_an_approval_and_a_cancellation_at_once(world: World, first: str) -> None:
    """A cancellation beside an approval is effective as long as no delete was sent."""
    plan_id = ask(world)
    events = [approved(plan_id), cancelled()]
    for event in events if first == "approval" else reversed(events):
        world.schedule(event)
    hand_on(world)

    assert is_there(world)
    assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "cancelled"


@pytest.mark.parametrize("nth", range(1, 20))
def test_a_cancellation_while_it_asks(world: World, nth: int) -> None:
    """A cancellation that comes while the plan is decided on is the end, and no ask outlives it."""
    calls = 0

    def cancel_at(call: Any) -> object:  # noqa: ANN401  # a call
        nonlocal calls
        calls += 1
        if calls == nth:
            world.schedule(cancelled())
        return call.proceed()

    world.deliver(requested(), cancel_at)
    hand_on(world)

    if calls >= nth:
        assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "cancelled"
        assert world.timers.standing == {}
    assert is_there(world)


# ---- Reminders -----------------------------------------------------------------------------------------------------


def test_the_reminder(world: World) -> None:
    """One reminder is published while it waits, ReminderLeadTime after the ask."""
    plan_id = ask(world)
    assert world.timers.standing[REMIND][0] == START + DAY

    (reminder,) = world.pass_time(START + 10 * DAY)

    assert (reminder["outcome"], reminder["reason"], reminder["planId"]) == ("awaiting_approval", "reminder", plan_id)
    assert reminder["approvalsMissing"] == 1
    assert "since 2026-03-01T12:00:00.000Z" in reminder["message"]
    assert world.kept(f"{FOLDER}approval-reminder-1.json") == reminder
    assert world.schedule(requested()) == {}
    assert world.published[1:] == [reminder]
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


def test_a_reminder_that_crashes(world: World) -> None:
    """A reminder that was stored and perhaps not published is published by the next delivery."""
    ask(world)
    world.clock.advance(86_400)
    with pytest.raises(AwsCallFailed):
        world.schedule(requested(), FailAt("results_topic.publish", AwsCallFailed("down")))

    assert in_short([world.schedule(requested(), receive_count=2)]) == [("awaiting_approval", "reminder")]


def test_no_reminder(world: World) -> None:
    """Without ReminderLeadTime no timer is set."""
    world.schedule_settings = replace(world.schedule_settings, reminder_lead_time=None)

    ask(world)

    assert world.timers.standing == {}


def test_a_request_too_large_for_a_timer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no timer can send waits without a reminder."""
    monkeypatch.setattr(world.timers, "can_send", lambda _: False)

    plan_id = ask(world)

    assert world.timers.standing == {}
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


@pytest.mark.parametrize("act", ["approve", "cancel"])
def test_a_timer_that_is_set_late(world: World, act: str) -> None:
    """Whoever sets the timer looks afterwards: an approval or a cancellation that came meanwhile leaves none."""
    plan_id = world.deliver(requested())["planId"]
    event = world.scheduling.sent.pop()[0]

    world.schedule(
        event, Meanwhile("timers.set", lambda: world.schedule(approved(plan_id) if act == "approve" else cancelled()))
    )

    assert world.timers.standing == {}


def test_the_drifted_plan_has_a_reminder_of_its_own(world: World) -> None:
    """A new ask moves the reminder."""
    plan_id = ask(world)
    world.clock.advance(3_600)
    world.databrain.datamarts["sales"] = entry_of(label="edited")
    approve(world, plan_id)

    assert world.timers.standing[REMIND][0] >= START + DAY + HOUR


# ---- Crashes, retries and redrives ---------------------------------------------------------------------------------


def crashed(world: World, act: Callable[..., object], event: Parsed, place: int, *, after: bool) -> bool:
    """Let an invocation crash, deliver its event again, and return whether it crashed."""
    crash = CrashAt(place, after=after)
    try:
        act(event, crash)
    except Crash:
        world.clock.advance(LOCK_EXPIRY)
        act(event, receive_count=2)
    return crash.happened


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", range(1, 20))
def test_a_crash_while_it_asks(world: World, place: int, after: bool) -> None:  # noqa: FBT001  # a parameter
    """A crash anywhere leaves one ask that is published and has its reminder, and nothing is deleted."""
    crashed(world, world.deliver, requested(), place, after=after)
    hand_on(world)

    assert is_there(world)
    assert {message["outcome"] for message in world.published} == {"awaiting_approval"}
    assert len(set(world.results_topic.messages)) == 1
    assert REMIND in world.timers.standing
    assert in_short(approve(world, world.published[0]["planId"])) == APPROVED_AND_DELETED


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", range(1, 14))
def test_a_crash_while_it_is_approved(world: World, place: int, after: bool) -> None:  # noqa: FBT001  # a parameter
    """A crash anywhere in an approval leaves one approval, which is published and carried out once."""
    plan_id = ask(world)

    crashed(world, world.schedule, approved(plan_id), place, after=after)
    hand_on(world)

    assert len(world.databrain.permits) == 1
    assert f"{FOLDER}approved-2.json" not in world.evidence.objects
    assert set(in_short(world.published)) == {("awaiting_approval", None), *APPROVED_AND_DELETED}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", range(1, 30))
def test_a_crash_while_it_is_carried_out(world: World, place: int, after: bool) -> None:  # noqa: FBT001  # a parameter
    """A crash anywhere after the approval ends in one deletion of the approved plan."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    event = world.outbox.sent.pop()[0]

    crashed(world, world.deliver_now, event, place, after=after)

    assert len(world.databrain.permits) == 1
    assert world.kept(f"{FOLDER}receipt.json")["outcome"] == "deleted"
    assert world.kept(f"{FOLDER}intent.json")["planId"] == plan_id


def test_two_approvals_at_once(world: World) -> None:
    """Two approvals that are stored at the same time are both counted: the later one sees the earlier one."""
    requires(world, 2)
    plan_id = ask(world)
    first = approved(plan_id, "first@example.com")
    second = Meanwhile("evidence.create", lambda: world.schedule(approved(plan_id, "second@example.com")))

    with pytest.raises(AttemptInterrupted):
        world.schedule(first, second)
    assert is_there(world)
    world.schedule(first, receive_count=2)
    assert in_short(hand_on(world)) == [("deleted", None)]


def test_an_approval_that_is_abandoned(world: World) -> None:
    """An approval that cannot be stored is published as failed, with a file of its own; a redrive approves."""
    plan_id = ask(world)
    event = approved(plan_id)

    with pytest.raises(Abandoned):
        world.schedule(event, receive_count=MAX_RECEIVES)
    failure = world.kept(f"{FOLDER}approval-failure-1.json")
    assert (failure["outcome"], failure["requestedBy"]) == ("failed", "owner@example.com")
    assert is_there(world)
    assert in_short(approve(world, plan_id)) == APPROVED_AND_DELETED


def test_the_last_receive_of_a_stored_approval(world: World) -> None:
    """An approval that was stored is carried out by the last receive."""
    plan_id = ask(world)
    with pytest.raises(Crash):
        world.schedule(approved(plan_id), CrashAt("timers.clear"))

    answer = world.schedule(approved(plan_id), receive_count=MAX_RECEIVES)

    assert in_short([answer, *hand_on(world)]) == APPROVED_AND_DELETED


def test_a_request_that_failed_since_it_asked(world: World) -> None:
    """A redriven request that failed after its ask is decided anew, and its ask is published at last."""
    down = FailAt("results_topic.publish", AwsCallFailed("down"))
    for receive in range(1, MAX_RECEIVES):
        with pytest.raises(AwsCallFailed):
            world.deliver(requested(), down, receive_count=receive)
        world.clock.advance(LOCK_EXPIRY)
    with pytest.raises(Abandoned):
        world.deliver(requested(), receive_count=MAX_RECEIVES)
    world.scheduling.sent.clear()
    assert in_short(world.published) == [("failed", "internal_error")]
    world.clock.advance(LOCK_EXPIRY)

    assert world.schedule(requested()) == {}
    assert in_short(hand_on(world)) == [("awaiting_approval", None)]
    assert in_short(approve(world, world.published[-1]["planId"])) == APPROVED_AND_DELETED


def test_a_redrive_of_what_is_approved(world: World) -> None:
    """A request that was abandoned after its approval is carried out when it is redriven."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    world.outbox.sent.clear()

    assert world.schedule(requested()) == {}
    assert in_short(hand_on(world)) == [("deleted", None)]


# ---- Immediately before the delete ---------------------------------------------------------------------------------


def interrupted(world: World) -> str:
    """An approved request whose attempt ends with its intent written and nothing deleted."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    with pytest.raises(Crash):
        world.deliver_now(world.outbox.sent.pop()[0], CrashAt("databrain.delete"))
    world.clock.advance(LOCK_EXPIRY)
    return plan_id


def no_doubt(world: World) -> None:
    """Nothing can have been sent."""
    for key in world.coordination.failures:
        world.coordination.failures[key] = world.coordination.failures[key].INTERNAL_ERROR


def test_an_approval_expires_after_the_intent(world: World) -> None:
    """Right before the delete it is judged again: an approval that has expired spares the very same datamart."""
    interrupted(world)
    no_doubt(world)
    world.clock.advance(14 * 86_400)

    assert in_short([world.deliver_now(requested())]) == [("blocked", "approval_expired")]
    assert "0 of 1 approval counted" in world.published[-1]["message"]
    assert is_there(world)


def test_an_approval_expires_after_the_intent_in_doubt(world: World) -> None:
    """If a delete may have been sent, nothing denies it."""
    interrupted(world)
    world.clock.advance(14 * 86_400)

    with pytest.raises(NotConfirmed, match="may have sent a delete"):
        world.deliver_now(requested())
    assert is_there(world)


def test_approval_becomes_required_after_the_intent(world: World) -> None:
    """A stack that requires approval from now on deletes nothing without one, whatever had started."""
    requires(world, 0)
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("evidence.list"))
    world.clock.advance(LOCK_EXPIRY)
    with pytest.raises(Crash):
        world.deliver(requested(), CrashAt("coordination.record_failure"))
    world.clock.advance(LOCK_EXPIRY)
    world.coordination.failures[("offboard-1", "sales")] = RetirementError("x").reason
    requires(world, 1)

    assert in_short([world.deliver(requested(), receive_count=2)]) == [("blocked", "approval_expired")]
    assert is_there(world)


def test_an_approval_that_is_lost_before_the_delete(world: World) -> None:
    """The last look lists the record: what was approved at the decision has to be approved then, too."""
    plan_id = ask(world)
    world.schedule(approved(plan_id))
    event = world.outbox.sent.pop()[0]

    def lose() -> None:
        del world.evidence.objects[f"{FOLDER}approved-1.json"]

    ended = world.deliver_now(event, Meanwhile("evidence.list", lose, nth=3))

    assert in_short([ended]) == [("blocked", "approval_expired")]
    assert is_there(world)


def test_it_is_gone_although_it_is_not_approved_any_more(world: World) -> None:
    """What is gone is reported as deleted, whatever has become of its approval."""
    interrupted(world)
    del world.databrain.datamarts["sales"]
    world.clock.advance(14 * 86_400)

    assert in_short([world.deliver_now(requested())]) == [("deleted", None)]


def test_approval_is_required_no_more(world: World) -> None:
    """A stack that requires no approval any more carries out no request by itself; one that is sent again goes on."""
    ask(world)
    requires(world, 0)

    world.pass_time(START + 2 * DAY)
    assert is_there(world)
    assert in_short([world.deliver_now(requested())]) == [("deleted", None)]


def test_the_record(world: World) -> None:
    """The record says what is asked for, and a malformed ask is an error."""
    ask(world)
    record = Record(world.evidence, "sales", "offboard-1")
    assert record.current_ask is not None
    assert record.current_ask.requesters == ("ops@example.com",)

    world.evidence.create(f"{FOLDER}approval-asked-2.json", "{}")
    world.evidence.create(f"{FOLDER}approved-1.json", "[]")
    with pytest.raises(AwsCallFailed, match=r"approval-asked-2\.json is not as this project writes it"):
        _ = Record(world.evidence, "sales", "offboard-1").asks
    with pytest.raises(AwsCallFailed, match=r"approved-1\.json is not as this project writes it"):
        _ = Record(world.evidence, "sales", "offboard-1").given_approvals
