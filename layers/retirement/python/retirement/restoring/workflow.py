"""Carries out one restore, in the steps of docs/architecture.md.

Every step can be repeated: after a crash between any two of them, the next delivery continues from there. An attempt
sends a create once; whether it had an effect is determined by what Databrain lists afterwards.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from retirement.canonical import Document, canonical_json, parse_json, sha256_hex
from retirement.databrain.creations import CreateEffect
from retirement.databrain.dependents import EmbedListing
from retirement.databrain.differences import Difference, differences, is_as_sent
from retirement.databrain.looking import LOOK_WAITS, look, with_semantic_layer
from retirement.databrain.snapshot import Absent, Listing, Snapshot, configuration_hash
from retirement.delivery.intake import parse_restore, require_environment
from retirement.delivery.locking import locked
from retirement.errors import (
    AttemptInterrupted,
    AwsCallFailed,
    DatabrainError,
    InvalidRequest,
    MalformedObject,
    NotConfirmed,
    reason_of,
)
from retirement.outcomes import Outcome, Reason
from retirement.record.organisation import Organisation
from retirement.record.record import Record
from retirement.record.restores import RestoreIntent, RestoreRecord
from retirement.record.results import Restoration
from retirement.record.stored_backup import Backup, read_backup
from retirement.requests import Delivery, EmbedsPolicy, RestoreRequest
from retirement.restoring.embeds import (
    checked,
    has_embeds,
    in_short,
    list_embeds,
    plan_embeds,
    restore_embeds,
)
from retirement.restoring.endings import (
    ANOTHER_ATTEMPT,
    RestoreAttempt,
    abandon,
    finish,
    publish_receipt,
    refuse,
    require_same_request,
    restored_by_another,
)
from retirement.restoring.ports import RestorePorts
from retirement.restoring.rules import (
    ASK_AGAIN,
    EMBEDS_LEFT,
    EmbedState,
    Refusal,
    RestoredEmbed,
    not_restored,
    refuse_by_content,
    refuse_by_datasource,
    refuse_by_listing,
    refuse_by_restore,
)
from retirement.restoring.secrets import require_no_secret
from retirement.restoring.settings import RestoreSettings
from retirement.stored_object import BackupReference
from retirement.wording import in_words

# Seconds for the datamart, its semantic layer, and reading both back. With less, the datamart is not created.
TIME_TO_CREATE = 120.0


@dataclass(frozen=True, slots=True)
class _Source:
    """What a retirement stored of a datamart: its backup, and its organisation."""

    backup: Backup
    reference: BackupReference
    organisation: Organisation


def restore(delivery: Delivery, settings: RestoreSettings, ports: RestorePorts, started_at: datetime) -> Document:
    """Restore one datamart, at most once and never over another one, with the embeds that were deleted with it.

    Returns:
        The result as it was published.

    Raises:
        InvalidRequest: the event has to be rejected.
        RetirementError: the event goes back to its queue, or moves to `Failures` after the last receive.
    """
    request = parse_restore(delivery)  # 1. validate
    ports.telemetry.about(request)
    ports.telemetry.step("request", dryRun=request.dry_run, requestedBy=request.requested_by)
    attempt = RestoreAttempt(request, delivery, settings, ports, started_at)
    if delivery.is_last:
        return _conclude(attempt)
    lock = locked(request.restored_as, delivery, ports.coordination, ports.clock, ports.telemetry)
    with lock, _failure_recorded(attempt):  # 2. lock the new name
        record = attempt.record()  # 3. recover
        if record.receipt is not None:
            return publish_receipt(attempt, record.receipt, again=True)
        if record.intent is not None:  # the identity belongs to its request
            require_same_request(request, record.intent.content_hash)
            ports.telemetry.step("recover", found="intent")
            return _resume(record.intent, record, attempt)
        require_environment(request.environment, settings.environment_name)
        return _carry_out(record, attempt)


def _carry_out(record: RestoreRecord, attempt: RestoreAttempt) -> Document:
    """Steps 4 to 13, if no earlier attempt can have created anything."""
    # 4. read the retirement and its backup
    source = _source(attempt)
    if isinstance(source, Refusal):
        return refuse(attempt, source)

    # 5. the token is read with the first request; 6. look, 7. decide
    listing = attempt.ports.databrain.list_datamarts()
    refusal = _refuse(source, listing, attempt)
    if refusal is not None:
        return refuse(attempt, refusal, backup=source.reference)
    embeds = list_embeds(attempt) if has_embeds(source.backup, attempt) else None
    if attempt.request.dry_run:
        return _end_as_planned(source, embeds, attempt)

    # 8. write the intent, 9. create
    intent = _write_intent(source, listing, embeds, record, attempt)
    found = _create(source, intent, attempt, is_first=True)
    if isinstance(found, Refusal):
        return refuse(attempt, found, intent=intent, backup=source.reference)
    return _complete(source, found, embeds, intent, record, attempt)


def _resume(intent: RestoreIntent, record: RestoreRecord, attempt: RestoreAttempt) -> Document:
    """Steps 5 to 13, if an earlier attempt may have created the datamart: whether it has is determined first."""
    source = _source(attempt)
    if isinstance(source, Refusal):
        raise NotConfirmed(
            f"An earlier attempt may have created the datamart, and this one cannot continue: {source.message}"
        )
    sighting = attempt.ports.databrain.find(intent.restored_as)
    _require_same_organisation(intent, sighting, attempt)
    if isinstance(sighting, Snapshot):
        found = _claimed(sighting, source, intent, attempt)
    elif attempt.ports.coordination.created(attempt.request) is not None:
        raise NotConfirmed(
            "An earlier attempt created the datamart, and it is not listed now. Somebody may have deleted it, so it is "
            f"not created again. If it should exist, {ASK_AGAIN}."
        )
    elif (alike := refuse_by_listing(intent.restored_as, sighting.listing)) is not None:
        raise NotConfirmed(f"An earlier attempt may have created the datamart, and this one cannot: {alike.message}")
    else:  # names are unique: if an earlier request takes effect late, Databrain refuses one of the two
        found = _create(source, intent, attempt, is_first=False)
    if isinstance(found, Refusal):
        return refuse(attempt, found, intent=intent, backup=source.reference)
    embeds = list_embeds(attempt) if has_embeds(source.backup, attempt) else None
    return _complete(source, found, embeds, intent, record, attempt)


def _complete(
    source: _Source,
    found: Snapshot,
    embeds: EmbedListing | None,
    intent: RestoreIntent,
    record: RestoreRecord,
    attempt: RestoreAttempt,
) -> Document:
    """Steps 10 to 13: this restore's datamart exists."""
    # 10. semantic layer, read back, compare
    found = _with_semantic_layer(source.backup, found, attempt)
    differing = differences(source.backup.datamart, source.backup.semantic_layer, found)
    attempt.ports.telemetry.step("compare", differences=len(differing))

    # 11. embeds, 12. check the new ones
    restored = [] if embeds is None else restore_embeds(source.backup, embeds, record, attempt)
    restored = checked(restored, attempt)

    # 13. receipt and publication
    return _end_as_restored(source, differing, restored, intent, attempt)


@contextmanager
def _failure_recorded(attempt: RestoreAttempt) -> Iterator[None]:
    """Record why an attempt failed, for the last receive, which reports it."""
    try:
        yield
    except InvalidRequest:
        raise
    except Exception as error:
        ports = attempt.ports
        with suppress(AwsCallFailed):  # the original error matters more
            after_intent = ports.evidence.read(attempt.key("intent.json")) is not None
            ports.coordination.record_failure(
                attempt.request, reason_of(error), ports.clock.now(), after_intent=after_intent
            )
        raise


def _conclude(attempt: RestoreAttempt) -> Document:
    """Publish what has ended the restore by now, or the failure. The last receive makes no attempt.

    Raises:
        Abandoned: the failure is stored and published.
    """
    record = attempt.record()
    if record.receipt is not None:
        return publish_receipt(attempt, record.receipt, again=True)
    intent, reason = record.intent, None
    if intent is None:
        require_environment(attempt.request.environment, attempt.settings.environment_name)
    else:
        require_same_request(attempt.request, intent.content_hash)
    with suppress(AwsCallFailed):  # the table may be lost
        reason = attempt.ports.coordination.last_failure(attempt.request)
    raise abandon(attempt, intent, reason)


# ---- The retirement and its backup ---------------------------------------------------------------------------------


def _source(attempt: RestoreAttempt) -> _Source | Refusal:
    """Step 4: read what the retirement stored, and verify that it is unchanged."""
    request, evidence = attempt.request, attempt.ports.evidence
    retirement = Record(evidence, request.datamart_name, request.retirement_id)
    if retirement.receipt is None:
        return Refusal(
            Reason.NOT_DELETED,
            "No retirement with this datamartName and retirementId has ended. Names are case-sensitive. If it is in "
            f"progress, wait for its result, then {ASK_AGAIN}.",
        )
    if retirement.outcome is not Outcome.DELETED:
        return Refusal(Reason.NOT_DELETED, f"The retirement ended as {retirement.outcome}, so it deleted nothing.")
    with retirement.receipt.parsed() as receipt:
        reference = None if receipt["backup"] is None else BackupReference.stored_in(receipt["backup"])
    if reference is None:
        return Refusal(
            Reason.BACKUP_MISSING, "The retirement was requested without a backup, so there is nothing to restore from."
        )
    where = f"s3://{reference.bucket}/{reference.key}"
    damaged = Refusal(
        Reason.BACKUP_DAMAGED,
        f"{where} is not the backup that the retirement stored, whose SHA-256 is {reference.sha256}. Check the "
        "object's versions.",
    )
    try:
        stored = evidence.read(reference.key)
    except MalformedObject:
        return damaged
    if stored is None:
        return Refusal(
            Reason.BACKUP_MISSING,
            f"{where} does not exist. Check the object's versions; BackupRetentionDays may have expired.",
        )
    if sha256_hex(stored.body) != reference.sha256:
        return damaged
    try:
        backup = read_backup(stored.body, request.datamart_name, request.restored_as)
    except ValueError as error:
        return Refusal(Reason.BACKUP_DAMAGED, f"The datamart cannot be restored from {where}: {error}.")
    if retirement.intent is None:
        raise retirement.receipt.malformed()
    attempt.ports.telemetry.step("backup", key=reference.key, embeds=len(backup.embeds))
    return _Source(backup, reference, retirement.intent.organisation)


def _refuse(source: _Source, listing: Listing, attempt: RestoreAttempt) -> Refusal | None:
    """Step 7: decide by what Databrain lists."""
    databrain, request = attempt.ports.databrain, attempt.request
    if not source.organisation.is_recognised(
        databrain.fingerprint, listing.created_at, databrain.list_data_apps, has_same_creation=False
    ):
        return Refusal(
            Reason.ANOTHER_ORGANISATION,
            "The service token or DatabrainBaseUrl has changed since the retirement, and nothing that was listed then "
            "is listed now: this appears to be another organisation. Set a token of the right organisation, then "
            f"{ASK_AGAIN}.",
        )
    return (
        refuse_by_listing(request.restored_as, listing)
        or refuse_by_content(source.backup)
        or refuse_by_datasource(source.backup, databrain.list_datasources())
    )


def _require_same_organisation(intent: RestoreIntent, sighting: Snapshot | Absent, attempt: RestoreAttempt) -> None:
    """Check that this is the organisation in which an earlier attempt may have created the datamart."""
    databrain = attempt.ports.databrain
    if not intent.organisation.is_recognised(
        databrain.fingerprint, sighting.listing.created_at, databrain.list_data_apps, has_same_creation=False
    ):
        raise NotConfirmed(
            "The service token or DatabrainBaseUrl has changed since an earlier attempt, and nothing that was listed "
            "then is listed now: this appears to be another organisation. Set a token of the right organisation."
        )


# ---- The datamart --------------------------------------------------------------------------------------------------


def _write_intent(
    source: _Source, listing: Listing, embeds: EmbedListing | None, record: RestoreRecord, attempt: RestoreAttempt
) -> RestoreIntent:
    """Step 8."""
    request, ports = attempt.request, attempt.ports
    _require_time(attempt)
    identity = canonical_json([request.datamart_name, request.retirement_id, request.restore_id])
    intent = RestoreIntent(
        detail=request.detail,
        content_hash=request.content_hash,
        restored_as=request.restored_as,
        listed=frozenset(listing.created_at),
        ended=record.ended,
        backup=source.reference,
        invocation_id=attempt.delivery.invocation_id,
        organisation=Organisation.of(
            identity,
            ports.databrain.fingerprint(identity),
            request.restored_as,
            listing,
            ports.databrain.list_data_apps() if embeds is None else embeds.data_apps,
        ),
    )
    require_no_secret("The intent", intent.document(), attempt)
    text = canonical_json(intent.document())
    if ports.evidence.create(attempt.key("intent.json"), text).body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    ports.telemetry.step("intent")
    return intent


def _create(source: _Source, intent: RestoreIntent, attempt: RestoreAttempt, *, is_first: bool) -> Snapshot | Refusal:
    """Step 9: send one create, and return this restore's datamart as it is listed.

    `is_first` is whether no earlier attempt can have sent one. Only then does a refusal prove that none was created.

    Raises:
        NotConfirmed: it cannot be determined whether it was created, or whose datamart is listed.
        DatabrainError: it was not created.
    """
    ports, body = attempt.ports, source.backup.create_body
    _require_time(attempt)
    answer = ports.databrain.create_datamart(body)
    ports.telemetry.step("create", effect=answer.effect.name.lower(), error=answer.error)
    if answer.effect is CreateEffect.DONE:
        _record_created(None, attempt)  # somebody may delete it before it is read back
        found = _read_back(attempt)
        _record_created(found, attempt)
        return found
    error = answer.error or DatabrainError("no answer")
    waits = LOOK_WAITS if answer.effect is CreateEffect.UNKNOWN else LOOK_WAITS[:1]
    sighting = _look(attempt, waits)
    if isinstance(sighting, Snapshot):
        was_taken = answer.effect is not CreateEffect.UNKNOWN and is_first and not is_as_sent(body, sighting.entry)
        if was_taken:
            return cast("Refusal", refuse_by_listing(intent.restored_as, sighting.listing))
        return _claimed(sighting, source, intent, attempt)
    if answer.effect is CreateEffect.UNKNOWN:
        raise NotConfirmed(f"The datamart may have been created, but is not listed. Databrain's answer: {error}")
    if answer.effect is CreateEffect.REFUSED and is_first:
        return Refusal(
            Reason.NOT_RESTORABLE,
            f"Databrain refused to create the datamart: {in_short(error)}. Its datasource may no longer have a table "
            f"or a column. Fix that, then {ASK_AGAIN}, or send the backup's createRequest by hand.",
        )
    raise error


def _claimed(sighting: Snapshot, source: _Source, intent: RestoreIntent, attempt: RestoreAttempt) -> Snapshot | Refusal:
    """Return a listed datamart if this restore created it; refuse if another restore of the same did.

    This restore created it only if its name was not listed before, and it equals what was sent. If Databrain lists
    something else than it was sent, it has to equal what was listed right after Databrain had confirmed the create.

    Raises:
        NotConfirmed: it may be somebody else's.
    """
    if intent.restored_as not in intent.listed:
        recorded = attempt.ports.coordination.created(attempt.request)
        if recorded == _hash_of(sighting):
            return sighting
        other = None if recorded else restored_by_another(intent, attempt)
        if other is not None and recorded is None:
            return refuse_by_restore(other)
        if other is None and not recorded and is_as_sent(source.backup.create_body, sighting.entry):
            _record_created(sighting, attempt)
            return sighting
    raise NotConfirmed(
        "Databrain lists a datamart of this name that is not what this restore requested, so it may be somebody "
        f"else's. It was not changed: check it in Databrain. To restore under another name, {ASK_AGAIN} and asName."
    )


def _record_created(found: Snapshot | None, attempt: RestoreAttempt) -> None:
    """Record that the datamart was created, and as what it is listed, or None if that is not known yet."""
    ports, listed = attempt.ports, "" if found is None else _hash_of(found)
    with suppress(AwsCallFailed):  # without it the next attempt compares with what was sent
        ports.coordination.record_created(attempt.request, listed, ports.clock.now())


def _hash_of(found: Snapshot) -> str:
    """Return the hash of the datamart, with its createdAt and without its semantic layer."""
    return configuration_hash(found.entry, None)


def _with_semantic_layer(backup: Backup, found: Snapshot, attempt: RestoreAttempt) -> Snapshot:
    """Step 10: create the semantic layer if it does not exist, and read both back.

    Raises:
        NotConfirmed: the datamart is not listed.
        DatabrainError: the layer was not created.
    """
    if backup.create_layer_body is None or found.semantic_layer is not None:
        return found
    answer = attempt.ports.databrain.create_semantic_layer(backup.create_layer_body)
    attempt.ports.telemetry.step("create semantic layer", effect=answer.effect.name.lower(), error=answer.error)
    return with_semantic_layer(answer, partial(_read_back, attempt), attempt.ports.clock)


def _read_back(attempt: RestoreAttempt) -> Snapshot:
    found = _look(attempt)
    if isinstance(found, Absent):
        raise NotConfirmed("The datamart was created, but is not listed yet. The next attempt looks again.")
    return found


def _look(attempt: RestoreAttempt, waits: Sequence[float] = LOOK_WAITS) -> Snapshot | Absent:
    return look(attempt.request.restored_as, attempt.ports.databrain, attempt.ports.clock, waits)


def _require_time(attempt: RestoreAttempt) -> None:
    left = attempt.ports.clock.remaining()
    if left < TIME_TO_CREATE:
        raise AttemptInterrupted(
            f"This invocation has {left:.0f} s left, and a restore needs {TIME_TO_CREATE:.0f}, because Databrain "
            "answered slowly. The queue delivers the request again."
        )


# ---- The end -------------------------------------------------------------------------------------------------------


def _end_as_planned(source: _Source, listing: EmbedListing | None, attempt: RestoreAttempt) -> Document:
    request = attempt.request
    embeds = [] if listing is None else plan_embeds(source.backup, listing, attempt)
    return finish(
        attempt,
        Outcome.RESTORE_PLANNED,
        f"This was a dry run: nothing was changed. A restore would create the datamart again{_as_name(request)}."
        f"{_of_embeds(embeds, planned=True)} notRestored and restoredEmbeds show what it would not restore. To restore "
        f"it, {ASK_AGAIN} and without dryRun.",
        intent=None,
        reason=Reason.DRY_RUN,
        backup=source.reference,
        restoration=Restoration(
            request.restore_id,
            request.restored_as,
            not_restored=_not_restored(source.backup, embeds, attempt),
            embeds=[each.document() for each in embeds],
        ),
    )


def _end_as_restored(
    source: _Source,
    differing: Sequence[Difference],
    embeds: Sequence[RestoredEmbed],
    intent: RestoreIntent,
    attempt: RestoreAttempt,
) -> Document:
    """Step 13: store the differences, then the receipt with what is stored, which another attempt may have written."""
    request = attempt.request
    lost = [
        Difference(f"embeds[{each.embed.number}]", each.embed.embed_id, None)
        for each in embeds
        if each.state is EmbedState.NOT_RESTORED
    ]
    document: Document = {
        "formatVersion": "1",
        "restoredAs": request.restored_as,
        "differences": [each.document() for each in (*differing, *lost)],
        "notRestored": _not_restored(source.backup, embeds, attempt),
        "restoredEmbeds": [each.document() for each in embeds],
    }
    require_no_secret("differences.json", document, attempt)
    stored = attempt.ports.evidence.create(attempt.key("differences.json"), canonical_json(document))
    content = cast("dict[str, Any]", parse_json(stored.body, exact=True))
    paths = [difference["path"] for difference in content["differences"]]
    how = f" It has {in_words(len(paths), 'difference')} from the backup (differences.json has the values)."
    return finish(
        attempt,
        Outcome.RESTORED,
        f"The datamart was created again{_as_name(request)}.{_of_embeds(embeds)}{how if paths else ''} Links from "
        "workspaces cannot be restored: to link one, send PUT /api/v2/workspace with its name, connectionType "
        '"DATAMART" and datamartName.',
        intent=intent,
        reason=Reason.WITH_DIFFERENCES if paths else None,
        backup=source.reference,
        restoration=Restoration(
            request.restore_id,
            request.restored_as,
            differences=paths,
            not_restored=content["notRestored"],
            embeds=content["restoredEmbeds"],
        ),
    )


def _not_restored(backup: Backup, embeds: Sequence[RestoredEmbed], attempt: RestoreAttempt) -> list[str]:
    found = not_restored(backup, embeds, attempt.settings.databrain_api)
    is_left = attempt.request.embeds is EmbedsPolicy.LEAVE and backup.embeds
    return [*found, EMBEDS_LEFT] if is_left else found


def _as_name(request: RestoreRequest) -> str:
    return "" if request.restored_as == request.datamart_name else " under the name in restoredAs"


def _of_embeds(embeds: Sequence[RestoredEmbed], *, planned: bool = False) -> str:
    states = [each.state for each in embeds]
    counts = [
        (states.count(EmbedState.CREATED), f"{'to be ' if planned else ''}created with new IDs"),
        (states.count(EmbedState.KEPT), "kept"),
        (states.count(EmbedState.NOT_RESTORED), f"not {'to be ' if planned else ''}restored"),
    ]
    shown = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f" Embeds: {shown}." if shown else ""
