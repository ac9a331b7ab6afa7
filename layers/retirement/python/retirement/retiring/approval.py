"""Asks for approval of a plan, and counts the approvals that were given."""

from typing import cast

from retirement.canonical import Document, ordered_json, parse_json
from retirement.databrain.snapshot import Snapshot
from retirement.delivery.endings import ANOTHER_ATTEMPT, finish, publish, publish_if_ended
from retirement.errors import AttemptInterrupted
from retirement.globs import folded
from retirement.outcomes import Outcome, Reason
from retirement.record.approvals import Ask, ask_document
from retirement.record.keys import ask_file_name, plan_key
from retirement.record.plans import Plan
from retirement.record.record import Record
from retirement.record.results import Grounds
from retirement.retiring.attempt import RetireAttempt
from retirement.retiring.drift import drift
from retirement.retiring.rules import ask_message, refuse_unapproved


def wait_unless_approved(snapshot: Snapshot, plan: Plan, grounds: Grounds, attempt: RetireAttempt) -> Document | None:
    """Step 8: ask for approval of this plan; None if enough others have approved exactly this one.

    Raises:
        AttemptInterrupted: a concurrent attempt has written an intent, or has asked at the same time.
    """
    if attempt.settings.approvals_required == 0:
        return None
    record = attempt.record()
    ended = publish_if_ended(attempt, record)
    if ended is not None:
        return ended
    if record.intent is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    asks = record.asks
    is_elsewhere = bool(asks) and not attempt.recognises(asks[-1].organisation, snapshot, plan)
    approvers = {} if is_elsewhere else record.approvers(plan.plan_id, attempt.request.requesters)
    attempt.ports.telemetry.step("approval", planId=plan.plan_id, asks=len(asks), approvers=len(approvers))
    if len(approvers) < attempt.settings.approvals_required:
        return _ask(record, plan, grounds, len(approvers), attempt, is_elsewhere=is_elsewhere)
    refusal = refuse_unapproved(approvers.values(), attempt.settings, attempt.ports.clock.now())
    if refusal is None:
        return None
    return finish(attempt, Outcome.BLOCKED, refusal.message, reason=refusal.reason, intent=None, grounds=grounds)


def _ask(
    record: Record, plan: Plan, grounds: Grounds, approvers: int, attempt: RetireAttempt, *, is_elsewhere: bool
) -> Document:
    """Ask for approval, unless exactly this is asked for already; the schedule function sets the reminder's timer."""
    request, ports, current = attempt.request, attempt.ports, record.current_ask
    asked, is_new = current, False
    if (
        current is None
        or is_elsewhere
        or current.plan_id != plan.plan_id
        or not record.requesters().issuperset(map(folded, request.requesters))
    ):
        asked, is_new = _store_ask(record, plan, grounds, approvers, attempt, is_elsewhere=is_elsewhere), True
    # A request that an approval or a redrive has sent again does not go back: the two functions would play ping-pong.
    if is_new or attempt.delivery.receive_count > 1:
        ports.scheduling.send(attempt.delivery.body, 0)
    return publish(cast("Ask", asked).stored.body, ports, again=not is_new)


def _store_ask(
    record: Record, plan: Plan, grounds: Grounds, approvers: int, attempt: RetireAttempt, *, is_elsewhere: bool
) -> Ask:
    request, last = attempt.request, record.asks[-1] if record.asks else None
    changes = None if last is None else _changes_since(last, plan, attempt, is_elsewhere=is_elsewhere)
    missing = attempt.settings.approvals_required - approvers
    result = attempt.result(
        Outcome.AWAITING_APPROVAL,
        ask_message(request, plan, missing, changes),
        attempt.ports.clock.now(),
        reason=None if changes is None else Reason.PLAN_DRIFTED,
        grounds=grounds,
        approvals_missing=missing,
    )
    date = record.current_date
    ask = ask_document(date.number if date else 0, plan.organisation, starts_anew=is_elsewhere)
    text = ordered_json({**result, "event": attempt.delivery.body, "ask": ask})
    number = 1 if last is None else last.number + 1
    stored = attempt.ports.evidence.create(attempt.key(ask_file_name(number)), text, request.content_hash)
    if stored.body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    attempt.ports.telemetry.step("ask", number=number, planId=plan.plan_id)
    return Ask.of(number, stored)


def _changes_since(last: Ask, plan: Plan, attempt: RetireAttempt, *, is_elsewhere: bool) -> str | None:
    """Describe what has changed since the last ask; None if it was for the same plan."""
    if is_elsewhere:
        return "the service token or DatabrainBaseUrl was changed, and this appears to be another organisation"
    if last.plan_id == plan.plan_id:
        return None
    stored = attempt.ports.evidence.read(plan_key(attempt.request.datamart_name, last.plan_id))
    if stored is None:
        return "the earlier plan no longer exists"
    return "; ".join(drift(cast("Document", parse_json(stored.body)), plan.document()))
