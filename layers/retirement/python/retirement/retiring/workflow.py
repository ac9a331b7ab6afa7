"""One retirement, from the event to the published result: the protocol of docs/architecture.md, step by step.

Every step can be repeated: after a crash between any two of them, the next delivery continues from what is stored.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import cast

from retirement.canonical import Document, canonical_json, parse_json, sha256_hex
from retirement.databrain.dependents import Dependents, Verdict
from retirement.databrain.permits import DeletePermit, NoBackupRequested, VerifiedBackup
from retirement.databrain.ports import DatabrainApi, DeleteEffect
from retirement.databrain.snapshot import Absent, Snapshot
from retirement.delivery.endings import (
    ANOTHER_ATTEMPT,
    abandon,
    end_as_cancelled,
    finish,
    publish,
    publish_if_ended,
    publish_receipt,
    require_same_request,
)
from retirement.delivery.intake import parse_request, require_environment
from retirement.delivery.locking import locked
from retirement.environment import MAX_DELAY
from retirement.errors import (
    AttemptInterrupted,
    AwsCallFailed,
    BackupFailed,
    DatabrainUnavailable,
    InvalidRequest,
    NotConfirmed,
    NotYetDue,
    RetirementError,
    reason_of,
)
from retirement.outcomes import ConfirmedBy, Outcome, Reason
from retirement.record.backup import backup_of
from retirement.record.intents import Intent
from retirement.record.keys import backup_key, plan_key
from retirement.record.organisation import Organisation, identity_of
from retirement.record.plans import Plan
from retirement.record.record import Record
from retirement.record.results import NOTHING_READ, Grounds
from retirement.requests import Delivery, DependentsPolicy
from retirement.retiring.approval import wait_unless_approved
from retirement.retiring.attempt import RetireAttempt
from retirement.retiring.exports import embeds_for_backup
from retirement.retiring.ports import RetirePorts
from retirement.retiring.rehearsal import finish_rehearsal, refuse_by_rehearsal, rehearse
from retirement.retiring.rules import (
    CHANGED,
    PLANNED_ELSEWHERE,
    Recognition,
    Refusal,
    ambiguous_name,
    daily_limit_reached,
    decide,
    is_later_generation,
    recognise,
    refuse_by_count,
    refuse_by_name,
    refuse_unapproved,
    similar_names,
)
from retirement.retiring.settings import RetireSettings
from retirement.stored_object import BackupReference, StoredObject
from retirement.timestamps import format_timestamp
from retirement.wording import quoted

# Seconds. A delete is sent only if there is time for it, its confirmation, the receipt and the publication, with one of
# them slow. It is sent again only if there is also time to look for the datamart first.
TIME_TO_DELETE = 30.0
TIME_TO_LOOK = 5.0
TIME_TO_BACK_UP = 5.0
RESEND_WAIT = 1.0
CONFIRM_WAIT = 1.0

_MAY_SEND_NONE = "An earlier attempt may have sent a delete whose effect is unknown, and this attempt may send none: "

MAX_SENDS = 3
MAX_CONFIRMATIONS = 3


@dataclass(frozen=True, slots=True)
class _Deletion:
    """A written intent, the permit for its delete, and what is known about earlier deletes.

    `counted_on` is the UTC day on which it was counted. `in_doubt` says whether a delete that was sent may still take
    effect, although the datamart is listed.
    """

    intent: Intent
    permit: DeletePermit
    counted_on: date
    in_doubt: bool = False


def retire(delivery: Delivery, settings: RetireSettings, ports: RetirePorts, started_at: datetime) -> Document:
    """Carry out one request at most once, only as asked, with a verified backup and a clear result.

    Returns:
        The result as it was published.

    Raises:
        InvalidRequest: the request has to be rejected.
        RetirementError: the request goes back to its queue, or moves to `Failures` after the last receive.
    """
    request = parse_request(  # 1. validate
        delivery,
        backup_by_default=settings.backup_by_default,
        require_restorable=settings.require_restorable,
        rehearse=settings.rehearse_by_default,
    )
    ports.telemetry.about(request)
    ports.telemetry.step("request", dryRun=request.dry_run, requestedBy=request.requested_by)
    attempt = RetireAttempt(request, delivery, settings, ports, started_at)
    if delivery.is_last:
        return _conclude(attempt)
    lock = locked(request.datamart_name, delivery, ports.coordination, ports.clock, ports.telemetry)
    with lock, _failure_recorded(attempt):  # 2. lock
        record = finish_rehearsal(attempt.record(), attempt)  # 3. recover
        if record.receipt is not None:
            return publish_receipt(attempt, record.receipt, again=True)
        if record.intent is not None:  # the identity belongs to its request, whatever was requested or set since
            require_same_request(request, record.intent.content_hash)
            ports.telemetry.step("recover", found="intent")
            return _resume(record.intent, attempt)
        require_environment(request.environment, settings.environment_name)
        # an approval sends the request again
        may_arrive_again = delivery.receive_count > 1 or settings.approvals_required > 0
        request = record.as_first_arrived(request, delivery, may_arrive_again=may_arrive_again)
        attempt = replace(attempt, request=request)
        postponed = _postpone(record, attempt)
        if postponed is not None:
            return postponed
        refusal = refuse_by_rehearsal(record.rehearsed)
        if refusal is not None:
            return _refuse(attempt, refusal, intent=None)
        return _carry_out(replace(attempt, request=record.as_first_requested(request)))


def _carry_out(attempt: RetireAttempt) -> Document:
    """Steps 4 to 13, if there is no intent of an earlier attempt."""
    request, ports = attempt.request, attempt.ports

    # 4. refuse by name and count, before any request to Databrain
    refusal = refuse_by_name(request, attempt.settings, ports.datamart_lists.read()) or _refuse_by_count(attempt)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=None)

    # 5. the token is read with the first request; 6. snapshot
    sighting = _take_snapshot(attempt)
    if isinstance(sighting, Absent):
        return finish(attempt, Outcome.ALREADY_ABSENT, _absence_message(request.datamart_name, sighting), intent=None)

    # 7. dependents, 8. decide
    plan, dependents, refusal = _decide(sighting, attempt)
    grounds = _grounds(plan, dependents)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=None, grounds=grounds)
    if attempt.is_dry_run:
        return _end_as_planned(attempt, grounds, intent=None)
    waiting = wait_unless_approved(sighting, plan, grounds, attempt)
    if waiting is not None:
        return waiting

    # 9. back up, and rehearse the restore
    permit = _back_up(sighting, dependents, attempt)
    refusal = rehearse(permit, plan.organisation, attempt)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=None, grounds=grounds)

    # 10. count, and write the intent
    _require_time_to_delete(attempt)
    counted_on = ports.clock.now().date()
    refusal = _count(attempt)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=None, grounds=grounds)
    intent = _write_intent(permit, plan, grounds, attempt)

    # 11. delete, 12. confirm, 13. receipt and publication
    return _delete_unless_ended(_Deletion(intent, permit, counted_on), attempt)


def _resume(intent: Intent, attempt: RetireAttempt) -> Document:
    """Steps 5 to 13, if an earlier attempt may have deleted the datamart: what has become of it is determined first."""
    request, ports = attempt.request, attempt.ports
    sighting = _take_snapshot(attempt)
    _require_same_organisation(intent, sighting, attempt)
    ended = _end_unless_same(intent, sighting, attempt)
    if ended is not None or isinstance(sighting, Absent):
        return cast("Document", ended)
    refusal = refuse_by_name(request, attempt.settings, ports.datamart_lists.read())
    if refusal is not None:
        return _refuse(attempt, refusal, intent=intent, grounds=intent.grounds)
    if attempt.is_dry_run:
        plan, dependents, refusal = _decide(sighting, attempt)
        grounds = _grounds(plan, dependents)
        if refusal is not None:
            return _refuse(attempt, refusal, intent=intent, grounds=grounds)
        return _end_as_planned(attempt, grounds, intent=intent)
    counted_on, in_doubt = ports.clock.now().date(), _is_in_doubt(attempt)
    refusal = _count(attempt)
    if refusal is not None and in_doubt:
        raise NotConfirmed(_MAY_SEND_NONE + refusal.message)
    if refusal is not None:
        return _refuse(attempt, refusal, intent=intent, grounds=intent.grounds)
    permit = _renew_permit(sighting, intent, attempt)
    return _delete_unless_ended(_Deletion(intent, permit, counted_on, in_doubt), attempt)


@contextmanager
def _failure_recorded(attempt: RetireAttempt) -> Iterator[None]:
    """Record why an attempt failed, for the last receive, which reports it."""
    try:
        yield
    except (InvalidRequest, NotYetDue):
        raise
    except Exception as error:
        coordination, now = attempt.ports.coordination, attempt.ports.clock.now()
        with suppress(AwsCallFailed):  # the original error matters more
            after_intent = attempt.intent() is not None
            coordination.record_failure(attempt.request, reason_of(error), now, after_intent=after_intent)
        raise


def _conclude(attempt: RetireAttempt) -> Document:
    """Publish what has ended the retirement by now, or the failure. The last receive makes no attempt.

    Raises:
        Abandoned: the failure is stored and published.
    """
    record = attempt.record()
    ended = publish_if_ended(attempt, record)
    if ended is not None:
        return ended
    intent, reason = record.intent, None
    if intent is None:
        require_environment(attempt.request.environment, attempt.settings.environment_name)
        record.as_first_arrived(attempt.request, attempt.delivery, may_arrive_again=True)  # in case it is redriven
    else:
        require_same_request(attempt.request, intent.content_hash)
    with suppress(AwsCallFailed):  # the table may be lost
        reason = attempt.ports.coordination.last_failure(attempt.request)
    raise abandon(attempt, record, reason)


def _postpone(record: Record, attempt: RetireAttempt) -> Document | None:
    """Step 3: end a cancelled retirement, or postpone one whose date is in the future; None if it is due.

    Raises:
        NotYetDue: the queue delivers the request again at its date.
        InvalidRequest: the function was invoked without a queue, its date is too far ahead for the queue, or belongs
            to a request with other content.
    """
    request, date = attempt.request, record.current_date
    if record.cancelled is not None:
        return end_as_cancelled(attempt, record.cancelled, intent=None)
    for stored in [date.stored] if date else [ask.stored for ask in record.asks]:
        require_same_request(request, stored.content_hash)
    retire_at = request.retire_at if date is None else date.retire_at
    if retire_at is None or not _is_ahead(retire_at, attempt):
        return None
    if date is None or date.event_id == request.event_id:
        seconds = (retire_at - attempt.ports.clock.now()).total_seconds()
        if attempt.delivery.receipt_handle is not None and seconds <= MAX_DELAY:
            raise NotYetDue(
                f"The retirement is due at {format_timestamp(retire_at)}. The queue delivers the request again then.",
                seconds,
            )
    if date is None:
        raise InvalidRequest(
            f"detail.retireAt is {format_timestamp(retire_at)}, and this function carries out only what is due now: "
            "put the request on the event bus, whose rule sends it to the function that schedules it"
        )
    if request.retire_at is None and request.requested_at >= date.requested_at:
        return None  # a later request without a date is for now
    return publish(date.stored.body, attempt.ports, again=True)


def _is_ahead(retire_at: datetime, attempt: RetireAttempt) -> bool:
    return retire_at > attempt.ports.clock.now()


def _refuse(
    attempt: RetireAttempt, refusal: Refusal, *, intent: Intent | None, grounds: Grounds = NOTHING_READ
) -> Document:
    """End the retirement because a rule says no; nothing was changed."""
    return finish(attempt, Outcome.BLOCKED, refusal.message, reason=refusal.reason, intent=intent, grounds=grounds)


def _refuse_by_count(attempt: RetireAttempt) -> Refusal | None:
    """Step 4: refuse if the day's limit is reached, unless this retirement is among the counted ones."""
    now, coordination = attempt.ports.clock.now(), attempt.ports.coordination
    refusal = refuse_by_count(coordination.used_today(now), attempt.settings, now)
    return None if refusal is not None and coordination.is_counted(attempt.request, now) else refusal


def _take_snapshot(attempt: RetireAttempt) -> Snapshot | Absent:
    """Step 6: find the datamart."""
    sighting = attempt.ports.databrain.find(attempt.request.datamart_name)
    attempt.ports.telemetry.step("snapshot", listed=isinstance(sighting, Snapshot))
    return sighting


def _require_same_organisation(intent: Intent, sighting: Snapshot | Absent, attempt: RetireAttempt) -> None:
    """Refuse to draw conclusions from another organisation than that in which a delete may have been sent."""
    databrain = attempt.ports.databrain
    if not intent.organisation.is_recognised(
        databrain.fingerprint,
        sighting.listing.created_at,
        databrain.list_data_apps,
        has_same_creation=isinstance(sighting, Snapshot) and None is not sighting.created_at == intent.created_at,
    ):
        raise NotConfirmed(
            "The service token or DatabrainBaseUrl has changed since this retirement started to delete, and nothing "
            "that was listed then is listed now, so this appears to be another organisation. Nothing was deleted in "
            "it. Restore a token of the intended organisation: the next attempt uses it."
        )


def _end_unless_same(intent: Intent, sighting: Snapshot | Absent, attempt: RetireAttempt) -> Document | None:
    """Step 6, if an earlier attempt may have deleted the datamart; None if the same datamart is still there."""
    match recognise(sighting, intent):
        case Recognition.GONE:
            return _deleted(intent, ConfirmedBy.ABSENCE, attempt)
        case Recognition.CHANGED:
            return _refuse(attempt, CHANGED, intent=intent, grounds=intent.grounds)
        case Recognition.UNKNOWN:
            raise NotConfirmed(
                "An earlier attempt started to delete this datamart, and one of this name is listed. Databrain does "
                "not report when it was created, so it is unknown whether it is the same one. It was not deleted. "
                "Check it in Databrain: if it has to go, send a request with a new retirementId.",
                _recorded_reason(attempt),
            )
        case Recognition.SAME:
            refusal = ambiguous_name(cast("Snapshot", sighting))
            return None if refusal is None else _refuse(attempt, refusal, intent=intent, grounds=intent.grounds)


def _recorded_reason(attempt: RetireAttempt) -> Reason:
    """Return the reason why no delete took effect, or `unconfirmed` if the last failure does not say that."""
    recorded = attempt.ports.coordination.last_failure(attempt.request)
    return Reason.UNCONFIRMED if recorded in {None, Reason.INTERNAL_ERROR} else cast("Reason", recorded)


def _is_in_doubt(attempt: RetireAttempt) -> bool:
    """Return whether a delete may have been sent after the intent; it may if nothing is recorded."""
    return attempt.ports.coordination.last_failure(attempt.request) in {None, Reason.UNCONFIRMED}


def _dependents(attempt: RetireAttempt) -> Dependents:
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


def _decide(snapshot: Snapshot, attempt: RetireAttempt) -> tuple[Plan, Dependents, Refusal | None]:
    """Steps 7 and 8: read the dependents, store the plan, and decide."""
    request, ports = attempt.request, attempt.ports
    dependents = _dependents(attempt)
    plan = Plan.of(request, snapshot, dependents, _organisation(snapshot, dependents, attempt))
    document = plan.document()
    attempt.require_no_secret("The plan", document)
    stored = ports.evidence.create(plan_key(request.datamart_name, plan.plan_id), canonical_json(document))
    refusal = _planned_elsewhere(stored, plan, snapshot, attempt) or decide(
        request, snapshot, dependents, plan, _named_plan(plan, attempt), attempt.settings
    )
    ports.telemetry.step("decide", planId=plan.plan_id, refusal=refusal and refusal.reason)
    return plan, dependents, refusal


def _grounds(plan: Plan, dependents: Dependents) -> Grounds:
    return Grounds(plan.plan_id, dependents.document(), not_restorable=plan.not_restorable)


def _organisation(snapshot: Snapshot, dependents: Dependents, attempt: RetireAttempt) -> Organisation:
    identity = identity_of(attempt.request.datamart_name, attempt.request.retirement_id)
    return Organisation.of(
        identity,
        attempt.ports.databrain.fingerprint(identity),
        snapshot.name,
        snapshot.listing,
        dependents.listing.data_apps,
    )


def _planned_elsewhere(stored: StoredObject, plan: Plan, snapshot: Snapshot, attempt: RetireAttempt) -> Refusal | None:
    """Refuse a plan that was made of an equal datamart in another organisation."""
    if attempt.request.plan_id != plan.plan_id:
        return None
    with stored.parsed() as planned:
        planned_in = Organisation.stored_in(planned)
    return None if attempt.recognises(planned_in, snapshot, plan) else PLANNED_ELSEWHERE


def _named_plan(plan: Plan, attempt: RetireAttempt) -> Document | None:
    """Read the plan that the request names, to describe what has changed; None if nothing has, or it is missing."""
    request = attempt.request
    if request.plan_id is None or request.plan_id == plan.plan_id:
        return None
    stored = attempt.ports.evidence.read(plan_key(request.datamart_name, request.plan_id))
    return None if stored is None else cast("Document", parse_json(stored.body))


def _count(attempt: RetireAttempt) -> Refusal | None:
    """Step 10: count this retirement on this day, or return why that is refused."""
    now, settings, coordination = attempt.ports.clock.now(), attempt.settings, attempt.ports.coordination
    if coordination.reserve(attempt.request, settings.max_retirements_per_day, now):
        return None
    return daily_limit_reached(coordination.used_today(now), settings, now)


def _back_up(snapshot: Snapshot, dependents: Dependents, attempt: RetireAttempt) -> DeletePermit:
    """Step 9: export the embeds that go with it, write, read back, compare."""
    if not attempt.request.backup:
        return NoBackupRequested(snapshot, attempt.request)
    embeds = embeds_for_backup(dependents, attempt.ports.databrain, leave=TIME_TO_BACK_UP + TIME_TO_DELETE)
    legacy = attempt.settings.databrain_api is DatabrainApi.LEGACY
    backup = backup_of(snapshot, embeds, legacy=legacy)
    attempt.require_no_secret("The backup", backup)
    text = canonical_json(backup)
    sha256 = sha256_hex(text)
    key = backup_key(attempt.request.datamart_name, attempt.request.retirement_id, sha256)
    try:
        attempt.ports.evidence.create(key, text)
        read_back = attempt.ports.evidence.read(key)
    except AwsCallFailed as error:
        raise BackupFailed(f"The backup could not be written and read back, so nothing was deleted: {error}") from error
    if read_back is None:
        raise BackupFailed("The backup was written and cannot be found again, so nothing was deleted.")
    reference = BackupReference(read_back.bucket, key, read_back.version_id, sha256, len(text.encode()))
    exports = sum(embed.export is not None for embed in embeds)
    attempt.ports.telemetry.step("backup", key=key, bytes=reference.size, embeds=len(embeds), exports=exports)
    return VerifiedBackup(snapshot, reference, read_back)


def _renew_permit(snapshot: Snapshot, intent: Intent, attempt: RetireAttempt) -> DeletePermit:
    """Verify the backup of an earlier attempt against the present snapshot."""
    if intent.backup is None and attempt.request.backup:
        raise BackupFailed(
            "An earlier attempt was to delete without a backup, and BackupByDefault has changed since, so nothing was "
            "deleted: send a request with a new retirementId."
        )
    if intent.backup is None:
        return NoBackupRequested(snapshot, attempt.request)
    try:
        read_back = attempt.ports.evidence.read(intent.backup.key)
    except AwsCallFailed as error:
        raise BackupFailed(
            f"The backup of an earlier attempt could not be read, so nothing was deleted: {error}"
        ) from error
    if read_back is None:
        raise BackupFailed(
            "The backup of an earlier attempt no longer exists, so nothing was deleted: send a request with a new "
            "retirementId."
        )
    return VerifiedBackup(snapshot, intent.backup, read_back)


def _write_intent(permit: DeletePermit, plan: Plan, grounds: Grounds, attempt: RetireAttempt) -> Intent:
    """Step 10: store the intent, before the delete."""
    intent = Intent(
        detail=attempt.request.detail,
        content_hash=attempt.request.content_hash,
        datamart_name=permit.snapshot.name,
        created_at=permit.snapshot.created_at,
        configuration_hash=permit.snapshot.configuration_hash,
        plan_id=plan.plan_id,
        dependents=cast("Document", grounds.dependents),
        backup=permit.reference if isinstance(permit, VerifiedBackup) else None,
        not_restorable=grounds.not_restorable,
        invocation_id=attempt.delivery.invocation_id,
        organisation=plan.organisation,
    )
    text = intent.to_json()
    stored = attempt.ports.evidence.create(attempt.key("intent.json"), text)
    if stored.body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    attempt.ports.telemetry.step("intent")
    return intent


def _delete_unless_ended(deletion: _Deletion, attempt: RetireAttempt) -> Document:
    """Step 11: list the record again, then delete.

    A cancellation is written before it looks for an intent, and the intent before this look, so one sees the other.
    """
    end = _ended_meanwhile(deletion, attempt)
    return _delete(deletion, attempt) if end is None else end()


def _ended_meanwhile(deletion: _Deletion, attempt: RetireAttempt) -> Callable[[], Document] | None:
    """Return how to end, if the retirement is cancelled by now, or not approved any more.

    Raises:
        AttemptInterrupted: a concurrent attempt has ended the retirement, perhaps before it could see the intent.
        NotConfirmed: it is not approved any more, and a delete may have been sent.
    """
    record, intent = attempt.record(), deletion.intent
    if record.cancelled is not None:
        return partial(end_as_cancelled, attempt, record.cancelled, intent=intent)
    if record.receipt is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    if attempt.settings.approvals_required == 0:
        return None
    approved_at = record.approvers(intent.plan_id, attempt.request.requesters).values()
    refusal = refuse_unapproved(approved_at, attempt.settings, attempt.ports.clock.now())
    if refusal is None:
        return None
    if deletion.in_doubt:
        raise NotConfirmed(_MAY_SEND_NONE + refusal.message)
    return partial(_refuse, attempt, refusal, intent=intent, grounds=intent.grounds)


def _delete(deletion: _Deletion, attempt: RetireAttempt) -> Document:
    """Steps 11 and 12. If the answer to a delete is not a clear yes, only a fresh list shows its effect."""
    request, ports = attempt.request, attempt.ports
    intent, in_doubt, refusal = deletion.intent, deletion.in_doubt, None
    _require_time_to_delete(attempt)
    for send in range(1, MAX_SENDS + 1):
        end = _end_instead_of_sending(send, deletion, attempt)
        if end is not None and in_doubt:
            break  # the next delivery looks again, and ends it
        if end is not None:
            return end()
        # After a crash from here on, a delete may have been sent: the table has to record that first.
        ports.coordination.record_failure(request, Reason.UNCONFIRMED, ports.clock.now())
        try:
            answer = ports.databrain.delete(deletion.permit)
        except RetirementError as unsent:
            if not in_doubt:
                ports.coordination.record_no_effect(request, unsent.reason, ports.clock.now())
            raise
        ports.telemetry.step("delete", send=send, effect=answer.effect.name.lower(), error=answer.error)
        if answer.effect is DeleteEffect.DONE:
            _confirm(intent, attempt)
            return _deleted(intent, ConfirmedBy.RESPONSE, attempt)
        refusal = answer.error
        in_doubt = in_doubt or answer.effect is DeleteEffect.UNKNOWN
        if refusal is not None and not in_doubt:
            ports.coordination.record_no_effect(request, refusal.reason, ports.clock.now())
        wait = (refusal.retry_after if isinstance(refusal, DatabrainUnavailable) else None) or RESEND_WAIT
        fits = wait + TIME_TO_LOOK + TIME_TO_DELETE <= ports.clock.remaining()
        if fits:
            ports.clock.sleep(wait)
        ended = _end_unless_same(intent, ports.databrain.find(request.datamart_name), attempt)
        if ended is not None:
            return ended
        if not fits or ports.clock.remaining() < TIME_TO_DELETE:
            break
    if refusal is not None and not in_doubt:
        raise refusal
    last = f"; the last answer: {refusal}" if refusal is not None else ""
    raise NotConfirmed(
        f"The datamart is still listed, but a delete that was sent may still take effect{last}. The next attempt looks "
        "again"
    )


def _end_instead_of_sending(send: int, deletion: _Deletion, attempt: RetireAttempt) -> Callable[[], Document] | None:
    """Return how to end instead of sending a delete: the record says so, or a new day began and is full; else None."""
    if send > 1 and (end := _ended_meanwhile(deletion, attempt)) is not None:
        return end
    if attempt.ports.clock.now().date() != deletion.counted_on and (limit := _count(attempt)) is not None:
        return partial(_refuse, attempt, limit, intent=deletion.intent, grounds=deletion.intent.grounds)
    return None


def _confirm(intent: Intent, attempt: RetireAttempt) -> None:
    """Step 12: wait until a fresh list no longer has the datamart, or has a later one of its name."""
    name, ports = attempt.request.datamart_name, attempt.ports
    for look in range(MAX_CONFIRMATIONS):
        if look:
            ports.clock.sleep(CONFIRM_WAIT)
        listing = ports.databrain.list_datamarts()
        if name not in listing or is_later_generation(listing.created_at[name], intent):
            ports.telemetry.step("confirm", looks=look + 1)
            return
    raise NotConfirmed(
        f"Databrain answered that the datamart was deleted, but still lists it after {MAX_CONFIRMATIONS} looks. The "
        "next attempt looks again."
    )


def _deleted(intent: Intent, confirmed_by: ConfirmedBy, attempt: RetireAttempt) -> Document:
    where = f" Its backup is s3://{intent.backup.bucket}/{intent.backup.key}." if intent.backup else ""
    how = (
        "Databrain deleted the datamart and no longer lists it."
        if confirmed_by is ConfirmedBy.RESPONSE
        else "The datamart is gone, after this retirement had started to delete it. No answer of Databrain's confirms "
        "which request deleted it, so it may have been another one."
    )
    return finish(
        attempt,
        Outcome.DELETED,
        how + where,
        intent=intent,
        grounds=intent.grounds,
        confirmed_by=confirmed_by,
    )


def _absence_message(name: str, sighting: Absent) -> str:
    similar = similar_names(name, sighting.listing)
    meant = f" Similar names: {quoted(similar)}." if similar else ""
    return (
        f"Databrain lists no datamart of exactly this name, so nothing was deleted.{meant} If another one was meant "
        "(names are case-sensitive), send a request with a new retirementId."
    )


def _end_as_planned(attempt: RetireAttempt, grounds: Grounds, *, intent: Intent | None) -> Document:
    request = attempt.request
    why = "the request is a dry run" if request.dry_run else "this stack's Mode is plan"
    lasting = ", which could not be restored (notRestorable)" if grounds.not_restorable else ""
    return finish(
        attempt,
        Outcome.PLANNED,
        f"Nothing was changed, because {why}; a real run would delete the datamart{lasting}. To have exactly this "
        f"carried out, send a request with a new retirementId, with planId {grounds.plan_id}"
        f"{' and without dryRun' if request.dry_run else ', once Mode is retire'}.",
        intent=intent,
        reason=Reason.DRY_RUN if request.dry_run else Reason.PLAN_MODE,
        grounds=grounds,
    )


def _require_time_to_delete(attempt: RetireAttempt) -> None:
    left = attempt.ports.clock.remaining()
    if left < TIME_TO_DELETE:
        raise AttemptInterrupted(
            f"{left:.0f} s are left of this invocation, and a delete needs {TIME_TO_DELETE:.0f} s: Databrain answered "
            "slowly. The queue delivers the request again."
        )
