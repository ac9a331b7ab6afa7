"""The rehearsal of a retirement: its backup is restored under another name, compared, and the copy is removed.

`rehearsal.json` is stored before the copy is created, and only the attempt that stored it sends the create. So a
retirement creates one copy at most, whatever is lost or delivered twice. `rehearsed.json` is stored at the end. An
attempt that finds the first without the second finishes the rehearsal before anything else; where none can, whatever
ends the retirement names the copy. The embeds are not rehearsed, and the datamart itself is only read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from retirement.canonical import canonical_json, sha256_hex
from retirement.databrain.copies import CopyPermit, RehearsalPermit, bodies_hash, copy_name
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.looking import look, with_semantic_layer
from retirement.databrain.permits import DeletePermit, VerifiedBackup
from retirement.databrain.ports import DeleteEffect
from retirement.databrain.snapshot import Absent, Snapshot
from retirement.delivery.endings import ANOTHER_ATTEMPT, require_same_request
from retirement.errors import AttemptInterrupted, DatabrainUnavailable, NotConfirmed, NotOurCopy
from retirement.record.losses import differences_beyond_losses
from retirement.record.organisation import Organisation
from retirement.record.record import Record
from retirement.record.rehearsals import Rehearsal, Rehearsed, StoredRehearsal
from retirement.record.stored_backup import Backup, read_backup
from retirement.retiring.attempt import RetireAttempt
from retirement.retiring.rules import Refusal, ambiguous_name, refuse_copy_name, rehearsal_failed
from retirement.wording import in_words

# Seconds for the copy, its semantic layer, reading both back, and the removal. With less, no copy is created.
TIME_TO_REHEARSE = 35.0
TIME_TO_SEND = 20.0
RESEND_WAIT = 1.0
MAX_SENDS = 3

MAX_SHOWN_PATHS = 20

UNKNOWN_COPY = "an attempt was interrupted, and Databrain does not list the copy that it may have created"
ENDED = "the retirement ended before the copy was compared"
CANCELLED = "the retirement ended before the copy was created"


@dataclass(frozen=True, slots=True)
class _Created:
    """The copy as it is listed, and the same if Databrain has confirmed in this attempt that it was created."""

    found: Snapshot
    confirmed: Snapshot | None


def rehearse(permit: DeletePermit, organisation: Organisation, attempt: RetireAttempt) -> Refusal | None:
    """Rehearse the restore of the datamart from its backup, once; return why it must not be deleted, or None.

    Raises:
        AttemptInterrupted: the next attempt goes on.
        RetirementError: the same.
    """
    if not attempt.request.rehearse or not isinstance(permit, VerifiedBackup):
        return None
    record = attempt.record()
    if record.rehearsed is not None:
        return refuse_by_rehearsal(record.rehearsed, permit.snapshot)
    if record.rehearsal is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)

    # 1. what cannot be rehearsed
    name = copy_name(attempt.request.datamart_name, attempt.request.retirement_id)
    refusal = refuse_copy_name(name, permit.snapshot.listing, attempt.settings, attempt.ports.datamart_lists.read())
    if refusal is not None:
        return refusal
    try:
        backup = read_backup(permit.read_back.body, permit.snapshot.name, name)
    except ValueError as error:
        return rehearsal_failed(f"the backup cannot be restored: {error}")

    # 2. the record; 3. the copy; 4. its semantic layer; 5. compare, and remove; 6. how it went, and look again
    copy = _record(backup, permit, organisation, attempt)
    created = _create(copy, attempt)
    if isinstance(created, str):
        rehearsed = _end(copy.name, permit.snapshot.configuration_hash, attempt, failure=created, is_removed=True)
    else:
        rehearsed = _complete(copy, backup, permit.snapshot.configuration_hash, created, attempt)
    refusal = refuse_by_rehearsal(rehearsed, permit.snapshot)
    if refusal is None:
        _require_unchanged(permit.snapshot, attempt)
    return refusal


def finish_rehearsal(record: Record, attempt: RetireAttempt) -> Record:
    """Finish the rehearsal that an earlier attempt has begun, and return the record as it is then.

    A dry run changes nothing, so it leaves the copy, and its result names it.

    Raises:
        InvalidRequest: the rehearsal is that of a request with other content.
        NotConfirmed: the token may be that of another organisation.
        AttemptInterrupted: the copy could not be removed.
        RetirementError: the next attempt goes on.
    """
    rehearsal = record.rehearsal
    if rehearsal is None:
        return record
    if record.receipt is None:
        require_same_request(attempt.request, rehearsal.content_hash)
    if record.rehearsed is not None or attempt.is_dry_run:
        return record
    attempt.ports.telemetry.step("recover", found="rehearsal")
    sighting = attempt.ports.databrain.find(rehearsal.copy_name)
    _require_same_organisation(rehearsal, sighting, attempt)
    end = partial(_end, rehearsal.copy_name, rehearsal.configuration_hash, attempt)
    backup = _stored_backup(rehearsal, attempt)
    if isinstance(sighting, Absent):
        end(failure=UNKNOWN_COPY, is_removed=False)
    elif backup is None:
        end(failure="the backup that the copy was created from is missing or damaged", is_removed=False)
    else:
        copy = RehearsalPermit(rehearsal.stored, backup.create_body, backup.create_layer_body)
        if record.receipt is None and record.cancelled is None:
            _complete(copy, backup, rehearsal.configuration_hash, _Created(sighting, confirmed=None), attempt)
        else:
            why_left = _remove(copy, None, attempt)
            end(failure=why_left or ENDED, is_removed=why_left is None)
    return attempt.record()


def refuse_by_rehearsal(rehearsed: Rehearsed | None, snapshot: Snapshot | None = None) -> Refusal | None:
    """Refuse if the rehearsal has failed, or was that of another configuration than this snapshot's."""
    if rehearsed is None:
        return None
    if rehearsed.failure is not None:
        return rehearsal_failed(rehearsed.failure)
    if snapshot is not None and snapshot.configuration_hash != rehearsed.configuration_hash:
        return rehearsal_failed("the datamart has been changed since its restore was rehearsed")
    return None


def _record(
    backup: Backup, permit: VerifiedBackup, organisation: Organisation, attempt: RetireAttempt
) -> RehearsalPermit:
    """Store `rehearsal.json`, then look for a cancellation: either this attempt sees it, or it sees the record."""
    request, ports = attempt.request, attempt.ports
    left = ports.clock.remaining()
    if left < TIME_TO_REHEARSE:
        raise AttemptInterrupted(
            f"{left:.0f} s are left of this invocation, and a rehearsal needs {TIME_TO_REHEARSE:.0f} s: Databrain "
            "answered slowly. The queue delivers the request again."
        )
    rehearsal = Rehearsal(
        datamart_name=request.datamart_name,
        retirement_id=request.retirement_id,
        copy_name=copy_name(request.datamart_name, request.retirement_id),
        create_hash=bodies_hash(backup.create_body, backup.create_layer_body),
        listed=sorted(permit.snapshot.listing.created_at),
        configuration_hash=permit.snapshot.configuration_hash,
        backup=permit.reference,
        recorded_at=ports.clock.now(),
        content_hash=request.content_hash,
        invocation_id=attempt.delivery.invocation_id,
        organisation=organisation,
    )
    attempt.require_no_secret("The record of the rehearsal", rehearsal.document())
    text = canonical_json(rehearsal.document())
    stored = ports.evidence.create(attempt.key("rehearsal.json"), text)
    if stored.body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    ports.telemetry.step("rehearse", copy=rehearsal.copy_name)
    record = attempt.record()
    if record.cancelled is not None or record.receipt is not None:
        _end(rehearsal.copy_name, rehearsal.configuration_hash, attempt, failure=CANCELLED, is_removed=True)
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    return RehearsalPermit(stored, backup.create_body, backup.create_layer_body)


def _create(copy: RehearsalPermit, attempt: RetireAttempt) -> _Created | str:
    """Create the copy, and look for it; return why, if certainly none was created.

    Raises:
        AttemptInterrupted: it may have been created, and is not listed yet.
    """
    ports, answer = attempt.ports, _sent(copy, attempt)
    if answer.effect in {CreateEffect.NONE, CreateEffect.REFUSED}:
        return f"Databrain did not create the copy: {answer.error}"
    sighting = look(copy.name, ports.databrain, ports.clock)
    if isinstance(sighting, Absent):
        raise AttemptInterrupted(
            f"The copy {copy.name} was, or may have been, created, and is not listed. The next attempt looks again."
        )
    return _Created(sighting, confirmed=sighting if answer.effect is CreateEffect.DONE else None)


def _sent(copy: RehearsalPermit, attempt: RetireAttempt) -> CreateAnswer:
    """Send the create, and again only as long as it certainly had no effect."""
    ports, send = attempt.ports, 1
    while True:
        answer = ports.databrain.create_copy(copy)
        ports.telemetry.step("create the copy", send=send, effect=answer.effect.name.lower(), error=answer.error)
        asked = answer.error.retry_after if isinstance(answer.error, DatabrainUnavailable) else None
        wait = asked or RESEND_WAIT
        if answer.effect is not CreateEffect.NONE or send == MAX_SENDS or ports.clock.remaining() < wait + TIME_TO_SEND:
            return answer
        ports.clock.sleep(wait)
        send += 1


def _complete(
    copy: RehearsalPermit, backup: Backup, configuration_hash: str, created: _Created, attempt: RetireAttempt
) -> Rehearsed:
    """Create the copy's semantic layer, read both back, compare them with the backup, and remove the copy."""
    try:
        CopyPermit(copy, created.found, created.confirmed)
    except NotOurCopy as doubt:
        return _end(copy.name, configuration_hash, attempt, failure=_left(copy, doubt), is_removed=False)
    differing = _differences(copy, backup, created.found, attempt)
    attempt.ports.telemetry.step("compare the copy", differences=len(differing))
    why_left = _remove(copy, created.confirmed, attempt)
    failures = [_told(differing)] if differing else []
    failures += [] if why_left is None else [why_left]
    return _end(
        copy.name,
        configuration_hash,
        attempt,
        failure="; ".join(failures) or None,
        differences=differing,
        is_removed=why_left is None,
    )


def _differences(copy: RehearsalPermit, backup: Backup, found: Snapshot, attempt: RetireAttempt) -> list[str]:
    ports = attempt.ports
    if copy.create_layer_body is not None and found.semantic_layer is None:
        answer = ports.databrain.create_layer_of_copy(copy)
        ports.telemetry.step("create the copy's layer", effect=answer.effect.name.lower(), error=answer.error)
        found = with_semantic_layer(answer, partial(_read_back, copy, attempt), ports.clock)
    return differences_beyond_losses(backup.datamart, backup.semantic_layer, found)


def _read_back(copy: RehearsalPermit, attempt: RetireAttempt) -> Snapshot:
    sighting = look(copy.name, attempt.ports.databrain, attempt.ports.clock)
    if isinstance(sighting, Absent):
        raise AttemptInterrupted(f"The copy {copy.name} is not listed. The next attempt looks again.")
    return sighting


def _remove(copy: RehearsalPermit, confirmed: Snapshot | None, attempt: RetireAttempt) -> str | None:
    """Delete the copy, if what is listed is certainly ours; return why it is left, or None if it is gone.

    A delete that Databrain has confirmed is not sent again: a list that lags behind may hide somebody else's datamart.

    Raises:
        AttemptInterrupted: it is still listed.
    """
    ports, is_deleted = attempt.ports, False
    error: Exception | None = None
    for turn in range(1, MAX_SENDS + 2):
        sighting = ports.databrain.find(copy.name)
        if isinstance(sighting, Absent):
            return None
        if not is_deleted and turn <= MAX_SENDS:
            try:
                permit = CopyPermit(copy, sighting, confirmed)
            except NotOurCopy as doubt:
                return _left(copy, doubt)
            answer = ports.databrain.delete_copy(permit)
            ports.telemetry.step("delete the copy", send=turn, effect=answer.effect.name.lower(), error=answer.error)
            is_deleted, error = answer.effect is DeleteEffect.DONE, answer.error
            if is_deleted:
                continue
        ports.clock.sleep(RESEND_WAIT)
    raise AttemptInterrupted(
        f"The copy {copy.name} is still listed ({error or 'its deletion was confirmed'}). The next attempt goes on."
    )


def _left(copy: RehearsalPermit, doubt: NotOurCopy) -> str:
    return f"the listed {copy.name} was not touched, because {doubt}"


def _end(
    name: str,
    configuration_hash: str,
    attempt: RetireAttempt,
    *,
    failure: str | None,
    is_removed: bool,
    differences: Sequence[str] = (),
) -> Rehearsed:
    """Store `rehearsed.json`, and return what is stored, which another attempt may have written."""
    rehearsed = Rehearsed(
        copy_name=name,
        configuration_hash=configuration_hash,
        failure=failure,
        differences=differences,
        is_removed=is_removed,
    )
    attempt.require_no_secret("rehearsed.json", rehearsed.document())
    stored = attempt.ports.evidence.create(attempt.key("rehearsed.json"), canonical_json(rehearsed.document()))
    attempt.ports.telemetry.step("rehearsed", failure=failure, isRemoved=is_removed)
    return Rehearsed.of(stored)


def _stored_backup(rehearsal: StoredRehearsal, attempt: RetireAttempt) -> Backup | None:
    """Return the backup that the copy was created from, or None if it is missing or was altered."""
    stored = attempt.ports.evidence.read(rehearsal.backup.key)
    if stored is None or sha256_hex(stored.body) != rehearsal.backup.sha256:
        return None
    return read_backup(stored.body, attempt.request.datamart_name, rehearsal.copy_name)


def _require_same_organisation(rehearsal: StoredRehearsal, sighting: Snapshot | Absent, attempt: RetireAttempt) -> None:
    databrain = attempt.ports.databrain
    if not rehearsal.organisation.is_recognised(
        databrain.fingerprint, sighting.listing.created_at, databrain.list_data_apps, has_same_creation=False
    ):
        raise NotConfirmed(
            "The service token or DatabrainBaseUrl has changed since the rehearsal began, and nothing that was listed "
            "then is listed now, so this appears to be another organisation. Restore a token of the intended "
            "organisation: the next attempt uses it."
        )


def _require_unchanged(snapshot: Snapshot, attempt: RetireAttempt) -> None:
    """Look at the datamart again: a rehearsal takes so long that somebody may have worked on it meanwhile."""
    seen = attempt.ports.databrain.find(snapshot.name)
    is_the_same = isinstance(seen, Snapshot) and (seen.created_at, seen.configuration_hash) == (
        snapshot.created_at,
        snapshot.configuration_hash,
    )
    if not is_the_same or ambiguous_name(cast("Snapshot", seen)) is not None:
        raise AttemptInterrupted(
            "Somebody worked on the datamart, or on one of a nearly identical name, during the rehearsal. The next "
            "attempt decides anew."
        )


def _told(differing: Sequence[str]) -> str:
    shown = ", ".join(differing[:MAX_SHOWN_PATHS])
    more = len(differing) - MAX_SHOWN_PATHS
    return f"the copy differs from the backup in {in_words(len(differing), 'place')}: {shown}" + (
        f" and {more} more in rehearsed.json" if more > 0 else ""
    )
