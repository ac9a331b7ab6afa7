"""Decides when a retirement is carried out: now, at a date, at another date, once it is approved, or not at all.

The evidence bucket alone decides. Each requested date is stored as `schedule-{n}.json`, and the last one is current.
Timers are set to it, and whoever sets them looks afterwards whether another date or a cancellation came meanwhile.
Approvals are stored in the same way, and the retire function counts them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import TypeAlias, cast

from retirement.canonical import Document, ordered_json, parse_json
from retirement.delivery.attempt import Attempt, CommandT_co
from retirement.delivery.endings import (
    ANOTHER_ATTEMPT,
    abandon,
    of_left_copy,
    publish,
    publish_if_ended,
    require_same_request,
    without_event,
)
from retirement.delivery.intake import parse_command, requests_restore, require_environment
from retirement.errors import AttemptInterrupted, InvalidRequest
from retirement.globs import folded
from retirement.outcomes import Outcome, Reason
from retirement.record.approvals import Ask, GivenApproval
from retirement.record.intents import Intent
from retirement.record.keys import (
    approval_failure_file_name,
    approval_file_name,
    ask_reminder_file_name,
    cancellation_failure_file_name,
    reminder_file_name,
    schedule_file_name,
)
from retirement.record.record import Record
from retirement.record.results import Grounds
from retirement.record.schedules import Schedule
from retirement.requests import Approval, Cancellation, Delivery, Request
from retirement.scheduling.ports import SchedulePorts, Timer
from retirement.scheduling.settings import ScheduleSettings
from retirement.timestamps import format_timestamp
from retirement.wording import in_words, quotation, shortened

# A request that is due this soon is forwarded at once: a timer may go off a minute late, or never if it is set too
# late.
SOON = timedelta(seconds=50)
# A date this near cannot be moved any more: the retire function may begin before the new date is stored.
FROZEN = timedelta(seconds=60)

HOW_TO_CHANGE_IT = (
    "To move it, send the request again with another retireAt; to cancel it, send a Datamart Retirement Cancelled with "
    "this retirementId."
)


@dataclass(frozen=True, slots=True)
class _AnyAttempt(Attempt[CommandT_co]):
    settings: ScheduleSettings
    ports: SchedulePorts


_Attempt: TypeAlias = _AnyAttempt[Request]
_CancelAttempt: TypeAlias = _AnyAttempt[Cancellation]
_ApproveAttempt: TypeAlias = _AnyAttempt[Approval]


def schedule(delivery: Delivery, settings: ScheduleSettings, ports: SchedulePorts, started_at: datetime) -> Document:
    """Set the date of a retirement, move it, remind of it, or cancel or approve the retirement.

    Returns:
        The result as it was published; `{}` for what was forwarded: a due request to the retire function, and a
        restore, which only a redrive brings here, to the restore function.

    Raises:
        InvalidRequest: the event has to be rejected.
        RetirementError: the event goes back to its queue, or moves to `Failures` after the last receive.
    """
    if requests_restore(delivery):
        ports.restores.send(delivery.body, 0)
        ports.telemetry.step("forward a restore")
        return {}
    command = parse_command(delivery, backup_by_default=settings.backup_by_default)
    ports.telemetry.about(command)
    ports.telemetry.step("request", kind=type(command).__name__, requestedBy=command.requested_by)
    match command:
        case Cancellation():
            cancellation = _CancelAttempt(command, delivery, settings, ports, started_at)
            return _conclude_cancellation(cancellation) if delivery.is_last else _cancel(cancellation)
        case Approval():
            approval = _ApproveAttempt(command, delivery, settings, ports, started_at)
            return _conclude_approval(approval) if delivery.is_last else _approve(approval)
        case Request():
            attempt = _Attempt(command, delivery, settings, ports, started_at)
            return _conclude(attempt) if delivery.is_last else _set_date(attempt)


# ---- A date --------------------------------------------------------------------------------------------------------


def _set_date(attempt: _Attempt) -> Document:
    """Store the request's date if it becomes the current one, and set the timers to the current date.

    Raises:
        InvalidRequest: the identity belongs to another request, or the current date is due already.
        AttemptInterrupted: a delete may have been sent, or may be sent now: the retire function ends the retirement.
    """
    record = attempt.record()
    ended = _ended(record, attempt)
    if ended is not None:
        return ended
    _require_environment(record, attempt)
    attempt = replace(
        attempt, request=record.as_first_arrived(attempt.request, attempt.delivery, may_arrive_again=True)
    )

    if _is_of_another(record.current_date, record.intent):
        require_same_request(attempt.request, cast("Intent", record.intent).content_hash)
        _forward(attempt.delivery.body, attempt.ports.clock.now(), attempt)
        return {}
    ask = record.current_ask
    if ask is not None and record.intent is None and not _requests_date(attempt):
        return _await_approval(ask, record, attempt)
    before, current = record.current_date, _store_date(record, attempt)
    is_new = before is None or current.number > before.number
    _set_timers(current, attempt, is_asked=record.is_asked)
    # whoever moves, cancels or retires writes first and then looks, so one of two sees the other
    while (record := attempt.record()).current_date is not None and record.current_date.number > current.number:
        current, is_new = record.current_date, False
        _set_timers(current, attempt, is_asked=record.is_asked)
    ended = _ended(record, attempt)
    if ended is not None:
        return ended
    if _is_soon(current.retire_at, attempt):
        return {}
    if record.intent is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    if _is_due_soon(current, attempt):
        return _remind(current, attempt)
    return publish(current.stored.body, attempt.ports, again=not is_new)


def _requests_date(attempt: _Attempt) -> bool:
    return attempt.request.retire_at is not None and not _is_soon(attempt.request.retire_at, attempt)


def _require_environment(record: Record, attempt: _Attempt | _CancelAttempt | _ApproveAttempt) -> None:
    """Check the event's environment, unless a deletion has started: that is recovered even if the stack was renamed."""
    if record.intent is None:
        require_environment(attempt.request.environment, attempt.settings.environment_name)


def _ended(record: Record, attempt: _Attempt) -> Document | None:
    """Publish what has ended the retirement, if anything, and clear the timers, whoever has set them."""
    if record.receipt is None and record.cancelled is None:
        return None
    _clear_timers(attempt)
    ended = publish_if_ended(attempt, record)
    if ended is None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    return ended


def _is_of_another(date: Schedule | None, intent: Intent | None) -> bool:
    """Return whether a date was stored too late: another request had found none, and has an intent by now."""
    return date is not None and intent is not None and date.stored.content_hash != intent.content_hash


def _store_date(record: Record, attempt: _Attempt) -> Schedule:
    """Return the current date, after storing that of this request if no later request has set one.

    Raises:
        InvalidRequest: the identity belongs to another request, the current date is due, or the event is too large.
        AttemptInterrupted: a concurrent attempt has stored a date under the same number.
    """
    request, last = attempt.request, record.current_date
    retire_at = request.retire_at or request.requested_at
    owner = record.intent or record.rehearsal
    if owner is not None:  # the identity belongs to its request
        require_same_request(request, owner.content_hash)
    else:
        for earlier in [last.stored] if last else [ask.stored for ask in record.asks]:
            require_same_request(request, earlier.content_hash)
    if last is not None:
        is_due_anyway = _is_soon(retire_at, attempt) and _is_soon(last.retire_at, attempt)
        is_the_same = retire_at == last.retire_at or is_due_anyway
        if is_the_same or request.requested_at < last.requested_at or record.has_date_of(request):
            return last  # the same date, an older request, or one that is delivered again
        if _is_soon(last.retire_at, attempt, within=FROZEN):
            raise _already_due(f"was due at {format_timestamp(last.retire_at)} and")
    if not _is_soon(retire_at, attempt) and record.intent is not None:
        raise _already_due("was requested without a date and")
    if not _is_soon(retire_at, attempt) and not attempt.ports.timers.can_send(attempt.delivery.body):
        raise InvalidRequest(
            "The event is too large to be stored for a date, because EventBridge Scheduler takes less than "
            "EventBridge: name fewer embeds in detail.reviewedEmbeds, or send it without detail.retireAt when it is due"
        )
    number = 1 if last is None else last.number + 1
    what = "The dry run is made" if request.dry_run else "The retirement is decided and carried out"
    moved = "" if last is None else f", instead of {format_timestamp(last.retire_at)}"
    result = attempt.result(
        Outcome.SCHEDULED,
        f"{what} at {format_timestamp(retire_at)}{moved}. {HOW_TO_CHANGE_IT}",
        attempt.ports.clock.now(),
        retire_at=retire_at,
    )
    earlier_requesters = [] if last is None else sorted({*last.requesters}.difference(request.requesters))
    known = {"earlierRequesters": earlier_requesters} if earlier_requesters else {}
    text = attempt.with_event({**result, **known})
    stored = attempt.ports.evidence.create(attempt.key(schedule_file_name(number)), text, request.content_hash)
    if stored.body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    attempt.ports.telemetry.step("schedule", number=number, retireAt=format_timestamp(retire_at))
    return Schedule.of(number, stored)


def _already_due(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The retirement {why} is in progress, so it cannot be moved any more: cancel it, or send a request with a new "
        "retirementId",
        Reason.ALREADY_DUE,
    )


def _set_timers(current: Schedule, attempt: _Attempt, *, is_asked: bool) -> None:
    """Set the timers to the current date; that of an ask's reminder may be set if an approval was asked for before."""
    timers, command = attempt.ports.timers, attempt.request
    if _is_soon(current.retire_at, attempt):
        if current.number > 1:
            _clear_timers(attempt)
        _forward(current.event, current.retire_at, attempt)
        return
    remind_at = _remind_at(current, attempt)
    if remind_at is not None and not _is_soon(remind_at, attempt):
        timers.set(Timer.REMIND, command, remind_at, current.event)
    elif current.number > 1 or is_asked:
        timers.clear(Timer.REMIND, command)
    timers.set(Timer.RETIRE, command, current.retire_at, current.event)
    if _is_soon(current.retire_at, attempt, within=timedelta()):  # setting the timer was so slow that it may not go off
        _forward(current.event, current.retire_at, attempt)


def _clear_timers(attempt: _Attempt | _CancelAttempt) -> None:
    for timer in Timer:
        attempt.ports.timers.clear(timer, attempt.request)


def _forward(event: str, due_at: datetime, attempt: _Attempt | _ApproveAttempt) -> None:
    """Send the event to the retire function, to be received when it is due."""
    left = due_at - attempt.ports.clock.now()
    attempt.ports.outbox.send(event, max(0, ceil(left.total_seconds())))
    attempt.ports.telemetry.step("forward")


def _is_soon(moment: datetime, attempt: _Attempt, within: timedelta = SOON) -> bool:
    return moment <= attempt.ports.clock.now() + within


# ---- A reminder ----------------------------------------------------------------------------------------------------


def _remind_at(current: Schedule, attempt: _Attempt) -> datetime | None:
    """Return when to remind; None if the date was set so late that the result `scheduled` is the reminder."""
    lead = attempt.settings.reminder_lead_time
    if lead is None or current.retire_at - lead <= current.scheduled_at + SOON:
        return None
    return current.retire_at - lead


def _is_due_soon(current: Schedule, attempt: _Attempt) -> bool:
    """Return whether to remind now: the timer, or a redrive of `Failures`, has sent the event of the date again."""
    remind_at = _remind_at(current, attempt)
    return remind_at is not None and remind_at <= attempt.ports.clock.now() < current.retire_at


def _remind(current: Schedule, attempt: _Attempt) -> Document:
    key = attempt.key(reminder_file_name(current.number))
    result = attempt.result(
        Outcome.SCHEDULED,
        f"The retirement is due at {format_timestamp(current.retire_at)}{_then_asked(attempt)}. {HOW_TO_CHANGE_IT}",
        attempt.ports.clock.now(),
        reason=Reason.DUE_SOON,
        retire_at=current.retire_at,
    )
    earlier = attempt.ports.evidence.read(key)
    stored = earlier or attempt.ports.evidence.create(key, ordered_json(result))
    return publish(stored.body, attempt.ports, again=earlier is not None)


def _then_asked(attempt: _Attempt) -> str:
    if attempt.settings.approvals_required == 0 or attempt.request.dry_run:
        return ""
    return f", and needs {in_words(attempt.settings.approvals_required, 'approval')}, which it asks for then"


def _conclude(attempt: _Attempt) -> Document:
    record = attempt.record()
    if record.receipt is not None or record.cancelled is not None:
        _clear_timers(attempt)
    ended = publish_if_ended(attempt, record)
    if ended is not None:
        return ended
    _require_environment(record, attempt)
    record.as_first_arrived(attempt.request, attempt.delivery, may_arrive_again=True)  # in case it is redriven
    raise abandon(attempt, record, None)


# ---- An approval ---------------------------------------------------------------------------------------------------


def _await_approval(ask: Ask, record: Record, attempt: _Attempt) -> Document:
    """Set the timer of an ask's reminder, or publish the reminder; the request itself waits for an approval.

    The retire function sends the request here when it has asked, the timer when it goes off, and a redrive. The request
    is forwarded if it failed since it asked, or is approved.
    """
    ports, lead = attempt.ports, attempt.settings.reminder_lead_time
    missing = _missing(ask, record, attempt)
    if missing == 0 or record.has_failed_since(ask.asked_at):
        _forward(attempt.delivery.body, ports.clock.now(), attempt)
        return {}
    if lead is None or missing is None:
        return {}
    remind_at = ask.asked_at + lead
    if _is_soon(remind_at, attempt):
        return _remind_of_ask(ask, missing, attempt)
    if not ports.timers.can_send(ask.event):
        return {}
    ports.timers.set(Timer.REMIND, attempt.request, remind_at, ask.event)
    # whoever approves, cancels or ends it writes first and then clears the timer, so one of two sees the other
    record = attempt.record()
    if record.receipt is not None or record.cancelled is not None or _missing(ask, record, attempt) == 0:
        ports.timers.clear(Timer.REMIND, attempt.request)
    return {}


def _missing(ask: Ask, record: Record, attempt: _Attempt | _ApproveAttempt) -> int | None:
    """Return how many approvals the plan of an ask lacks; None if this stack requires none any more."""
    if attempt.settings.approvals_required == 0:
        return None
    return max(0, attempt.settings.approvals_required - len(record.approvers(ask.plan_id)))


def _remind_of_ask(ask: Ask, missing: int, attempt: _Attempt) -> Document:
    """Publish the one reminder of an ask."""
    key = attempt.key(ask_reminder_file_name(ask.number))
    result = attempt.result(
        Outcome.AWAITING_APPROVAL,
        f"The retirement has waited for {in_words(missing, 'approval')} since {format_timestamp(ask.asked_at)}. It was "
        f"requested by {quotation(attempt.request.requested_by)}. To allow exactly what plan {ask.plan_id} contains, "
        "another person sends a Datamart Retirement Approved with this retirementId and planId. To refuse it, send a "
        "Datamart Retirement Cancelled with this retirementId.",
        attempt.ports.clock.now(),
        reason=Reason.REMINDER,
        grounds=Grounds(ask.plan_id),
        approvals_missing=missing,
    )
    earlier = attempt.ports.evidence.read(key)
    if earlier is not None and attempt.delivery.receive_count == 1:
        return {}
    stored = earlier or attempt.ports.evidence.create(key, ordered_json(result))
    return publish(stored.body, attempt.ports, again=earlier is not None)


def _approve(attempt: _ApproveAttempt) -> Document:
    """Store an approval of the plan that is asked for, and forward the request if none is missing.

    Raises:
        InvalidRequest: the retirement does not await this approval, or its sender may not give it.
        AttemptInterrupted: another approval was stored under the same number.
    """
    record = attempt.record()
    given = record.approval_of(attempt.request.event_id)
    if given is not None:
        return _answer_approval(given, record, attempt, again=True)
    return _answer_approval(_store_approval(record, attempt), record, attempt, again=False)


def _store_approval(record: Record, attempt: _ApproveAttempt) -> GivenApproval:
    approval, numbers = attempt.request, [given.number for given in record.given_approvals]
    ask = _require_awaited(record, attempt)
    person = folded(approval.requested_by)
    others = record.approvers(ask.plan_id).keys() - {person}
    missing = max(0, attempt.settings.approvals_required - len(others) - 1)
    result = attempt.result(
        Outcome.APPROVED,
        f"{quotation(approval.requested_by)} approves plan {ask.plan_id}. "
        + (
            f"The datamart is not deleted before {in_words(missing, 'more approval')} by other people."
            if missing
            else "No approval is missing. The datamart is now deleted if all rules still allow it and the plan still "
            "applies."
        ),
        attempt.ports.clock.now(),
        grounds=Grounds(ask.plan_id),
        approvals_missing=missing,
    )
    text = attempt.with_event({**result, "askNumber": ask.number})
    number = max(numbers, default=0) + 1
    stored = attempt.ports.evidence.create(attempt.key(approval_file_name(number)), text)
    if stored.body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    attempt.ports.telemetry.step("approve", number=number, planId=ask.plan_id, missing=missing)
    return GivenApproval.of(number, stored)


def _require_awaited(record: Record, attempt: _ApproveAttempt) -> Ask:
    """Return the ask that an approval answers.

    Raises:
        InvalidRequest: there is none, it is for another plan, or the sender may not approve it.
    """
    approval, ask = attempt.request, record.current_ask
    retirement = f"The retirement {shortened(approval.retirement_id)} of this datamart"
    if approval.source not in attempt.settings.approval_sources:
        raise InvalidRequest(f"{quotation(approval.source)} is not one of this stack's ApprovalSources")
    if record.receipt is not None or record.cancelled is not None:
        raise InvalidRequest(f"{retirement} had ended before it was approved", Reason.ALREADY_ENDED)
    _require_environment(record, attempt)
    if ask is None or record.intent is not None:
        raise InvalidRequest(
            f"{retirement} does not await an approval now. An approval counts only if it is sent after the result "
            "awaiting_approval",
            Reason.NOT_AWAITING,
        )
    if approval.plan_id != ask.plan_id:
        raise InvalidRequest(
            f"{retirement} awaits the approval of plan {ask.plan_id}, and not of {shortened(approval.plan_id)}. Read "
            "that plan, then approve it",
            Reason.ANOTHER_PLAN,
        )
    if folded(approval.requested_by) in record.requesters():
        raise InvalidRequest(
            f"{quotation(approval.requested_by)} has requested or moved this retirement, so another person has to "
            "approve it",
            Reason.OWN_REQUEST,
        )
    return ask


def _answer_approval(given: GivenApproval, record: Record, attempt: _ApproveAttempt, *, again: bool) -> Document:
    """Forward the request if no approval is missing and nothing has ended it, and publish the answer."""
    ask = record.current_ask
    if given.missing == 0 and ask is not None and record.receipt is None and record.cancelled is None:
        attempt.ports.timers.clear(Timer.REMIND, attempt.request)
        _forward(ask.event, attempt.ports.clock.now(), attempt)
    return publish(given.stored.body, attempt.ports, again=again)


def _conclude_approval(attempt: _ApproveAttempt) -> Document:
    record = attempt.record()
    given = record.approval_of(attempt.request.event_id)
    if given is not None:
        return _answer_approval(given, record, attempt, again=True)
    _require_environment(record, attempt)
    raise abandon(attempt, record, None, approval_failure_file_name)


# ---- A cancellation ------------------------------------------------------------------------------------------------


def _cancel(attempt: _CancelAttempt) -> Document:
    """Cancel a retirement; this is also effective if its request arrives later.

    Raises:
        InvalidRequest: the retirement had ended before.
        AttemptInterrupted: a delete may have been sent: the receipt will show which was first, and the next delivery
            reads it.
    """
    ports, record = attempt.ports, attempt.record()
    if record.receipt is not None:
        _clear_timers(attempt)
        return _publish_cancelled(record.receipt.body, attempt, again=True)
    _require_environment(record, attempt)
    what = (
        "The retirement is not carried out, and neither is a request for it that arrives later."
        if record.current_date is not None or record.is_asked
        else "No date is stored under this retirementId; a request for it that waits or arrives later is not carried "
        "out. If another retirement was meant, it is still carried out: cancel it with its own retirementId."
    )
    result = attempt.result(
        Outcome.CANCELLED,
        f"{what} If the datamart has to go after all, send a request with a new retirementId.",
        ports.clock.now(),
    )
    cancelled = ports.evidence.create(attempt.key("cancelled.json"), attempt.with_event(result))
    record = attempt.record()
    if record.has_intent:
        raise AttemptInterrupted(
            "The retirement had started to delete before it was cancelled. Its own result shows which was first: the "
            "queue delivers the cancellation again, and that delivery reads it."
        )
    _clear_timers(attempt)
    # from here on the receipt decides, also for a concurrent attempt that would end the retirement otherwise
    stated = without_event(cancelled.body)
    receipt = ordered_json({**stated, "message": f"{stated['message']}{of_left_copy(record)}"})
    stored = ports.evidence.create(attempt.key("receipt.json"), receipt)
    return _publish_cancelled(stored.body, attempt, again=stored.body != receipt)


def _conclude_cancellation(attempt: _CancelAttempt) -> Document:
    record = attempt.record()
    if record.receipt is not None:
        _clear_timers(attempt)
        return _publish_cancelled(record.receipt.body, attempt, again=True)
    _require_environment(record, attempt)
    raise abandon(attempt, record, None, cancellation_failure_file_name)


def _publish_cancelled(receipt: str, attempt: _CancelAttempt, *, again: bool = False) -> Document:
    result = cast("dict[str, str]", parse_json(receipt))
    if result["outcome"] != Outcome.CANCELLED:
        raise InvalidRequest(
            f"The retirement {shortened(attempt.request.retirement_id)} of this datamart had ended as "
            f"{result['outcome']} at {result['finishedAt']}, before it was cancelled",
            Reason.ALREADY_ENDED,
        )
    return publish(receipt, attempt.ports, again=again)
