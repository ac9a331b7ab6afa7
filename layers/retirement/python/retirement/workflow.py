"""One retirement, from the event to the published result. It reads like the protocol in docs/architecture.md.

Every step can be run again: a crash between any two of them leaves a state from which the next delivery goes on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, cast

from retirement.backup import DeletePermit, NoBackupAsked, VerifiedBackup, backup_of
from retirement.canonical import Document, canonical_json, parse_json, sha256_hex
from retirement.deliveries import (
    ANOTHER_ATTEMPT,
    Attempt,
    answered,
    end_as_cancelled,
    ended_by_now,
    finish,
    given_up,
    insist,
    publish,
    publish_receipt,
    require_same_request,
)
from retirement.dependents import Dependents, Verdict
from retirement.errors import (
    AttemptInterrupted,
    AwsCallFailed,
    BackupFailed,
    DatabrainUnavailable,
    InvalidRequest,
    NotConfirmed,
    RetirementError,
    reason_of,
)
from retirement.intake import parse_request
from retirement.intents import Intent
from retirement.keys import backup_file_name, plan_key
from retirement.plans import Plan
from retirement.ports import DeleteEffect, RetirePorts
from retirement.requests import Delivery, DependentsPolicy, Request
from retirement.results import NOTHING_READ, BackupReference, ConfirmedBy, Grounds, Outcome, Reason, quoted
from retirement.rules import (
    CHANGED,
    Recognition,
    Refusal,
    close_names,
    daily_limit_reached,
    decide,
    is_later_generation,
    recognise,
    refuse_by_count,
    refuse_by_name,
)
from retirement.schedules import Schedule, kept_schedules
from retirement.settings import DatabrainApi, Mode, RetireSettings
from retirement.snapshot import Absent, Snapshot
from retirement.timestamps import format_timestamp

# Seconds. A delete is sent only with time left for it, its confirmation, the receipt and the publication, one of
# them slow; and again only if there is time for a look before.
TIME_TO_DELETE = 30.0
TIME_TO_LOOK = 5.0
# Waiting for a lock costs nothing, raising costs one of the queue's receives.
TIME_TO_GIVE_UP_LOCK = 5.0
LOCK_POLL = 1.0
RESEND_WAIT = 1.0
CONFIRM_WAIT = 1.0

# Of a request whose date is ahead: the clocks of those who send it are not all alike.
SCHEDULING_TOLERANCE = timedelta(seconds=60)

MOST_SENDS = 3
MOST_CONFIRMATIONS = 3

_Attempt: TypeAlias = Attempt[Request, RetireSettings, RetirePorts]


def retire(delivery: Delivery, settings: RetireSettings, ports: RetirePorts) -> Document:
    """Carry out one request at most once, only as asked, with a verified backup and a clear result.

    Returns:
        The result as it was published.

    Raises:
        RetirementError: the request goes back to its queue, or after the last receive to `Failures`.
    """
    return answered(partial(_retire, delivery, settings, ports), delivery, settings, ports)


def _retire(delivery: Delivery, settings: RetireSettings, ports: RetirePorts, started_at: datetime) -> Document:
    request = parse_request(  # 1. validate
        delivery, environment=settings.environment_name, backup_by_default=settings.backup_by_default
    )
    ports.telemetry.about(request)
    ports.telemetry.step("request", dryRun=request.dry_run, requestedBy=request.requested_by)
    _require_due(request, delivery)
    attempt = Attempt(request, delivery, settings, ports, started_at)
    if delivery.is_last:
        return insist(partial(_conclude, attempt), ports.clock)
    with _locked(attempt), _failure_recorded(attempt):  # 2. lock
        return _carry_out(attempt)


def _carry_out(attempt: _Attempt) -> Document:
    request, ports = attempt.request, attempt.ports

    # 3. recover
    receipt = attempt.read("receipt.json")
    if receipt is not None:
        return publish_receipt(attempt, receipt, again=True)
    intent = _earlier_intent(attempt)
    schedules = kept_schedules(attempt.read)
    if schedules:
        require_same_request(request, schedules[0].kept.content_hash)
    called_off = _called_off(schedules, attempt) if intent is None else None
    if called_off is not None:
        return called_off
    if schedules:
        request = _as_first_asked(request, schedules[0])
        attempt = replace(attempt, request=request)

    # 4. refuse what needs no look at Databrain - unless a delete may have been sent already
    refusal = _refuse_at_once(intent, attempt)
    if refusal is not None and intent is None:
        return _refuse(attempt, refusal, intent=None)

    # 5. the token is read with the first request; 6. snapshot
    sighting = ports.databrain.find(request.datamart_name)
    ports.telemetry.step("snapshot", listed=isinstance(sighting, Snapshot))
    if intent is not None:
        ended = _take_up(intent, sighting, refusal, attempt)
        if ended is not None:
            return ended
    if isinstance(sighting, Absent):
        return finish(
            attempt, Outcome.ALREADY_ABSENT, _what_was_not_found(request.datamart_name, sighting), intent=intent
        )

    # 7. dependents
    dependents = _dependents(attempt)

    # 8. decide
    plan = Plan.of(request, sighting, dependents)
    ports.evidence.create(plan_key(request.datamart_name, plan.plan_id), canonical_json(plan.document()))
    refusal = decide(request, sighting, dependents, plan, _kept_plan(plan, attempt), attempt.settings)
    shown = dependents.document()
    grounds = Grounds(plan.plan_id, shown)
    ports.telemetry.step("decide", planId=plan.plan_id, refusal=refusal and refusal.reason)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=intent, grounds=grounds)
    if _is_dry_run(attempt):
        return finish(
            attempt,
            Outcome.PLANNED,
            _what_to_do_with(plan, request),
            intent=intent,
            reason=Reason.DRY_RUN if request.dry_run else Reason.PLAN_MODE,
            grounds=grounds,
        )

    # 9. back up
    permit = _back_up(sighting, dependents, attempt)

    # 10. count, and write the intent
    _require_time_to_delete(attempt)
    refusal = _count(attempt)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=intent, grounds=grounds)
    intent = _write_intent(permit, plan, shown, attempt)

    # 11. delete, 12. confirm, 13. receipt and publication
    return _delete_unless_cancelled(permit, intent, attempt)


@contextmanager
def _locked(attempt: _Attempt) -> Iterator[None]:
    """Step 2. The lock expires with the invocation, so a crash holds nobody up for longer than that."""
    name, holder = attempt.request.datamart_name, attempt.delivery.invocation_id
    clock, coordination = attempt.ports.clock, attempt.ports.coordination
    while not coordination.acquire(name, holder, clock.now(), clock.now() + timedelta(seconds=clock.remaining())):
        if clock.remaining() < TIME_TO_GIVE_UP_LOCK:
            raise AttemptInterrupted(
                "Another retirement of this datamart is under way, and the time of this invocation is up. "
                "Nothing is to be done: the queue delivers the request again."
            )
        attempt.ports.telemetry.step("wait for the lock")
        clock.sleep(LOCK_POLL)
    try:
        yield
    finally:
        with suppress(AwsCallFailed):  # it expires
            coordination.release(name, holder)


@contextmanager
def _failure_recorded(attempt: _Attempt) -> Iterator[None]:
    """Keep the reason of a failed attempt for the receive that gives up."""
    try:
        yield
    except InvalidRequest:
        raise
    except Exception as error:
        with suppress(AwsCallFailed):  # the error itself matters more
            attempt.ports.coordination.record_failure(attempt.request, reason_of(error), attempt.ports.clock.now())
        raise


def _conclude(attempt: _Attempt) -> Document:
    """The last receive makes no attempt. It publishes what has ended the retirement by now, or else the failure.

    Raises:
        GivenUp: the failure is kept and published.
    """
    ended = ended_by_now(attempt)
    if ended is not None:
        return ended
    intent, reason = _earlier_intent(attempt), None
    with suppress(AwsCallFailed):  # the table may vanish
        reason = attempt.ports.coordination.last_failure(attempt.request)
    raise given_up(attempt, intent, reason)


def _is_ahead(retire_at: datetime, delivery: Delivery) -> bool:
    """Whether a date is in the future; by the arrival, not by the clock, so that each delivery is told the same."""
    return retire_at > delivery.arrived_at + SCHEDULING_TOLERANCE


def _require_due(request: Request, delivery: Delivery) -> None:
    if request.retire_at is not None and _is_ahead(request.retire_at, delivery):
        raise InvalidRequest(
            f"detail.retireAt is {format_timestamp(request.retire_at)}, and this function carries out what is due now: "
            "put the request on the event bus, whose rule has it scheduled"
        )


def _called_off(schedules: Sequence[Schedule], attempt: _Attempt) -> Document | None:
    """Step 3: cancelled before a delete could be sent, or moved to a date ahead after this was asked for."""
    cancelled = attempt.read("cancelled.json")
    if cancelled is not None:
        return end_as_cancelled(attempt, cancelled, intent=None)
    if not schedules or not _is_ahead(schedules[-1].retire_at, attempt.delivery):
        return None
    standing, request = schedules[-1], attempt.request
    if request.retire_at is None and request.requested_at >= standing.requested_at:
        return None  # whoever asks later, and for no date, wants it now
    return publish(standing.kept.body, attempt.ports, again=True)


def _as_first_asked(request: Request, first: Schedule) -> Request:
    """A datamart that was re-created after its retirement was first asked for is another one."""
    return replace(request, requested_at=min(request.requested_at, first.requested_at))


def _is_dry_run(attempt: _Attempt) -> bool:
    return attempt.request.dry_run or attempt.settings.mode is Mode.PLAN


def _refuse(attempt: _Attempt, refusal: Refusal, *, intent: Intent | None, grounds: Grounds = NOTHING_READ) -> Document:
    """A rule says no, and nothing was changed."""
    return finish(attempt, Outcome.BLOCKED, refusal.message, reason=refusal.reason, intent=intent, grounds=grounds)


def _earlier_intent(attempt: _Attempt) -> Intent | None:
    intent = attempt.intent()
    if intent is not None:
        require_same_request(attempt.request, intent.content_hash)
        attempt.ports.telemetry.step("recover", found="intent")
    return intent


def _refuse_at_once(intent: Intent | None, attempt: _Attempt) -> Refusal | None:
    """Step 4. An intent was counted when it was written."""
    refusal = refuse_by_name(attempt.request, attempt.settings)
    if refusal is not None or intent is not None:
        return refusal
    now, coordination = attempt.ports.clock.now(), attempt.ports.coordination
    refusal = refuse_by_count(coordination.used_today(now), attempt.settings, now)
    return None if refusal is not None and coordination.is_counted(attempt.request) else refusal


def _end_of(intent: Intent, sighting: Snapshot | Absent, attempt: _Attempt) -> Document | None:
    """Step 6 where an earlier attempt may have deleted already; None where the very same datamart is still there."""
    match recognise(sighting, intent):
        case Recognition.GONE:
            return _deleted(intent, ConfirmedBy.ABSENCE, attempt)
        case Recognition.CHANGED:
            return _refuse(attempt, CHANGED, intent=intent, grounds=intent.grounds)
        case Recognition.UNKNOWN:
            raise NotConfirmed(
                "An earlier attempt meant to delete this datamart, and one of this name is listed; Databrain does not "
                "tell when it was created, so nothing tells whether it is the same one. It was left as it is: look at "
                "it, and if it is to go, ask again under a new retirementId.",
                attempt.ports.coordination.last_failure(attempt.request) or Reason.UNCONFIRMED,
            )
        case Recognition.SAME:
            return None


def _take_up(
    intent: Intent, sighting: Snapshot | Absent, refusal: Refusal | None, attempt: _Attempt
) -> Document | None:
    """Step 6 after an earlier attempt's intent; None where this is a dry run, which has to plan first."""
    ended = _end_of(intent, sighting, attempt)
    if ended is not None or isinstance(sighting, Absent):
        return ended
    if refusal is not None:
        return _refuse(attempt, refusal, intent=intent, grounds=intent.grounds)
    if _is_dry_run(attempt):
        return None
    attempt.ports.coordination.settle(attempt.request, None, attempt.ports.clock.now())
    return _delete_unless_cancelled(_permit_again(sighting, intent, attempt), intent, attempt)


def _dependents(attempt: _Attempt) -> Dependents:
    request = attempt.request
    listing, failures = attempt.ports.databrain.list_embeds()
    if failures and request.dependents is DependentsPolicy.BLOCK:
        raise failures[0]
    listing = listing.filled_in(attempt.ports.embed_map.read())
    dependents = Dependents(request.datamart_name, listing, request.reviewed_embeds)
    attempt.ports.telemetry.step(
        "dependents",
        embeds=len(listing.embeds),
        found=len(dependents.with_verdict(Verdict.USES)),
        undetermined=len(dependents.with_verdict(Verdict.UNDETERMINED)),
        gaps=len(listing.gaps),
    )
    return dependents


def _kept_plan(plan: Plan, attempt: _Attempt) -> Document | None:
    """The plan that the request names, to say what changed since; not needed where nothing did."""
    request = attempt.request
    if request.plan_id is None or request.plan_id == plan.plan_id:
        return None
    kept = attempt.ports.evidence.read(plan_key(request.datamart_name, request.plan_id))
    return None if kept is None else cast("Document", parse_json(kept.body))


def _count(attempt: _Attempt) -> Refusal | None:
    """Step 10: count this retirement on this day, or say why not."""
    now, settings, coordination = attempt.ports.clock.now(), attempt.settings, attempt.ports.coordination
    if coordination.reserve(attempt.request, settings.max_retirements_per_day, now):
        return None
    return daily_limit_reached(coordination.used_today(now), settings, now)


def _back_up(snapshot: Snapshot, dependents: Dependents, attempt: _Attempt) -> DeletePermit:
    """Step 9: write, read back, compare."""
    if not attempt.request.backup:
        return NoBackupAsked(snapshot, attempt.request)
    in_use = [embed.item for embed in dependents.with_verdict(Verdict.USES) if embed.item is not None]
    legacy = attempt.settings.databrain_api is DatabrainApi.LEGACY
    text = canonical_json(backup_of(snapshot, in_use, legacy=legacy))
    sha256 = sha256_hex(text)
    key = attempt.key(backup_file_name(sha256))
    try:
        attempt.ports.evidence.create(key, text)
        read_back = attempt.ports.evidence.read(key)
    except AwsCallFailed as error:
        raise BackupFailed(f"The backup could not be written and read back, so nothing was deleted: {error}") from error
    if read_back is None:
        raise BackupFailed("The backup was written and cannot be found again, so nothing was deleted.")
    reference = BackupReference(read_back.bucket, key, read_back.version_id, sha256, len(text.encode()))
    attempt.ports.telemetry.step("backup", key=key, bytes=reference.size)
    return VerifiedBackup(snapshot, reference, read_back)


def _permit_again(snapshot: Snapshot, intent: Intent, attempt: _Attempt) -> DeletePermit:
    """The permit of an earlier attempt, earned again against what is there now."""
    if intent.backup is None and attempt.request.backup:
        raise BackupFailed(
            "An earlier attempt was to delete without a backup, and BackupByDefault has changed since: "
            "ask under a new retirementId."
        )
    if intent.backup is None:
        return NoBackupAsked(snapshot, attempt.request)
    try:
        read_back = attempt.ports.evidence.read(intent.backup.key)
    except AwsCallFailed as error:
        raise BackupFailed(
            f"The backup of an earlier attempt could not be read, so nothing was deleted: {error}"
        ) from error
    if read_back is None:
        raise BackupFailed(
            "The backup of an earlier attempt is gone, so nothing was deleted: ask under a new retirementId."
        )
    return VerifiedBackup(snapshot, intent.backup, read_back)


def _write_intent(permit: DeletePermit, plan: Plan, dependents: Document, attempt: _Attempt) -> Intent:
    """Step 10."""
    intent = Intent(
        detail=attempt.request.detail,
        content_hash=attempt.request.content_hash,
        datamart_name=permit.snapshot.name,
        created_at=permit.snapshot.created_at,
        configuration_hash=permit.snapshot.configuration_hash,
        plan_id=plan.plan_id,
        dependents=dependents,
        backup=permit.reference if isinstance(permit, VerifiedBackup) else None,
        invocation_id=attempt.delivery.invocation_id,
    )
    text = intent.to_json()
    stored = attempt.ports.evidence.create(attempt.key("intent.json"), text)
    # An attempt alongside may have written its own intent, or have ended before it could see this one.
    if stored.body != text or attempt.read("receipt.json") is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    attempt.ports.telemetry.step("intent")
    return intent


def _delete_unless_cancelled(permit: DeletePermit, intent: Intent, attempt: _Attempt) -> Document:
    """Who cancels looks for an intent afterwards, so one of the two sees the other; what is seen here wins."""
    cancelled = attempt.read("cancelled.json")
    if cancelled is not None:
        return end_as_cancelled(attempt, cancelled, intent=intent)
    return _delete(permit, intent, attempt)


def _delete(permit: DeletePermit, intent: Intent, attempt: _Attempt) -> Document:
    """Steps 11 and 12. Only a fresh list tells what became of a delete whose answer is not a clear yes."""
    request, ports = attempt.request, attempt.ports
    in_doubt, refusal = False, None
    _require_time_to_delete(attempt)
    for send in range(1, MOST_SENDS + 1):
        if send > 1 and (cancelled := attempt.read("cancelled.json")) is not None:
            if in_doubt:
                break  # the next delivery looks once more, and ends it
            return end_as_cancelled(attempt, cancelled, intent=intent)
        # From here on a crash leaves a delete in doubt, and the table has to say so beforehand.
        ports.coordination.record_failure(request, Reason.UNCONFIRMED, ports.clock.now())
        try:
            answer = ports.databrain.delete(permit)
        except RetirementError as unsent:
            if not in_doubt:
                ports.coordination.settle(request, unsent.reason, ports.clock.now())
            raise
        ports.telemetry.step("delete", send=send, effect=answer.effect.name.lower(), error=answer.error)
        if answer.effect is DeleteEffect.DONE:
            _confirm(intent, attempt)
            return _deleted(intent, ConfirmedBy.RESPONSE, attempt)
        refusal = answer.error
        in_doubt = in_doubt or answer.effect is DeleteEffect.UNKNOWN
        if refusal is not None and not in_doubt:
            ports.coordination.settle(request, refusal.reason, ports.clock.now())
        wait = (refusal.retry_after if isinstance(refusal, DatabrainUnavailable) else None) or RESEND_WAIT
        fits = wait + TIME_TO_LOOK + TIME_TO_DELETE <= ports.clock.remaining()
        if fits:
            ports.clock.sleep(wait)
        ended = _end_of(intent, ports.databrain.find(request.datamart_name), attempt)
        if ended is not None:
            return ended
        if not fits or ports.clock.remaining() < TIME_TO_DELETE:
            break
    if refusal is not None and not in_doubt:
        raise refusal
    raise NotConfirmed(f"No delete request got a clear answer, and the datamart is still listed; the last: {refusal}")


def _confirm(intent: Intent, attempt: _Attempt) -> None:
    """Step 12: a fresh list no longer has it, or has a later one."""
    name, ports = attempt.request.datamart_name, attempt.ports
    for look in range(MOST_CONFIRMATIONS):
        if look:
            ports.clock.sleep(CONFIRM_WAIT)
        listing = ports.databrain.list_datamarts()
        if name not in listing or is_later_generation(listing.created_at[name], intent):
            ports.telemetry.step("confirm", looks=look + 1)
            return
    raise NotConfirmed(
        f"Databrain answered that the datamart was deleted and still lists it after {MOST_CONFIRMATIONS} looks."
    )


def _deleted(intent: Intent, confirmed_by: ConfirmedBy, attempt: _Attempt) -> Document:
    kept = f" Its backup is s3://{intent.backup.bucket}/{intent.backup.key}." if intent.backup else ""
    how = (
        "Databrain deleted the datamart and no longer lists it."
        if confirmed_by is ConfirmedBy.RESPONSE
        else "The datamart is gone after this retirement had set out to delete it; Databrain's answer was lost, so "
        "somebody else may have been faster."
    )
    return finish(
        attempt,
        Outcome.DELETED,
        how + kept,
        intent=intent,
        grounds=intent.grounds,
        confirmed_by=confirmed_by,
    )


def _what_was_not_found(name: str, sighting: Absent) -> str:
    close = close_names(name, sighting.listing)
    meant = f" Close to it: {quoted(close)}." if close else ""
    return (
        f"Databrain lists no datamart of exactly this name, so nothing was deleted.{meant} If another one was meant "
        "(names are case-sensitive), ask under a new retirementId."
    )


def _what_to_do_with(plan: Plan, request: Request) -> str:
    why = "as asked (dryRun)" if request.dry_run else "since this stack's Mode is plan"
    return (
        f"Nothing was changed, {why}; a real run would delete the datamart. To have exactly this carried out, ask "
        f"under a new retirementId with planId {plan.plan_id}"
        f"{' and without dryRun' if request.dry_run else ', once Mode is retire'}."
    )


def _require_time_to_delete(attempt: _Attempt) -> None:
    left = attempt.ports.clock.remaining()
    if left < TIME_TO_DELETE:
        raise AttemptInterrupted(
            f"{left:.0f} s are left of this invocation and a delete needs {TIME_TO_DELETE:.0f}: Databrain answered "
            "slowly. The queue delivers the request again."
        )
