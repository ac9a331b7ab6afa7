"""Restores the embeds: decides which ones can be created, creates each at most once, and checks them.

Databrain would create a second, equal embed, so a request that may have been carried out is never repeated. Before it
is sent, each request is stored, with the IDs that are listed, and the coordination table records that it may have been
sent. After a crash, the next attempt looks for a new embed that fits. If there is none, the request is repeated only if
the table says that it had no effect.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

from retirement.canonical import canonical_json
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.dependents import EmbedListing
from retirement.databrain.looking import LOOK_WAITS
from retirement.errors import (
    AttemptInterrupted,
    AwsCallFailed,
    DatabrainError,
    DatabrainUnavailable,
    NotConfirmed,
    RetirementError,
)
from retirement.outcomes import Reason
from retirement.record.keys import embed_file_name
from retirement.record.restores import EmbedIntent, RestoreRecord
from retirement.record.stored_backup import Backup, StoredEmbed
from retirement.requests import EmbedsPolicy
from retirement.restoring.endings import ANOTHER_ATTEMPT, RestoreAttempt
from retirement.restoring.rules import (
    EmbedState,
    RestoredEmbed,
    create_embed_body,
    created_since,
    still_there,
    why_not_created,
)
from retirement.restoring.secrets import require_no_secret

# Seconds that an embed needs. With less, the next delivery continues.
TIME_TO_CREATE = 60.0
# Seconds that a check needs; less than that is left for the receipt.
TIME_TO_CHECK = 30.0
# Seconds between two sends of a request that had no effect, unless Databrain asks for more.
RESEND_WAIT = 1.0
MAX_SENDS = 4

IN_DOUBT = (
    "a request to create it may have been sent, but no new embed is listed. Check the data app, and if it has none, "
    "create it there (embed-{n}.json has the request)"
)
AMBIGUOUS = "the data app has several new embeds like it, and it is unknown which of them this restore created"
NO_TIME_TO_CHECK = "not checked, because no time was left"


def has_embeds(backup: Backup, attempt: RestoreAttempt) -> bool:
    """Return whether there are embeds to restore, and the request does not exclude them."""
    return attempt.request.embeds is EmbedsPolicy.RESTORE and bool(backup.embeds)


def list_embeds(attempt: RestoreAttempt) -> EmbedListing:
    """Return the embeds of all data apps.

    Raises:
        DatabrainError: those of a data app could not be listed.
    """
    listing, failures = attempt.ports.databrain.list_embeds()
    if failures:
        raise failures[0]
    return listing


def plan_embeds(backup: Backup, listing: EmbedListing, attempt: RestoreAttempt) -> list[RestoredEmbed]:
    """Return what would become of each embed."""
    return [_planned(embed, backup, listing, attempt) for embed in backup.embeds]


def restore_embeds(
    backup: Backup, listing: EmbedListing, record: RestoreRecord, attempt: RestoreAttempt
) -> list[RestoredEmbed]:
    """Create each embed that is gone and can be created, at most once.

    Raises:
        NotConfirmed: it cannot yet be determined what a request did.
        AttemptInterrupted: no time is left, or another attempt is in progress.
    """
    run = _Run(backup, listing, attempt, count(record.embeds_requested + 1), [])
    last = record.last_embed
    decided = {} if last is None else {(each["dataAppName"], each["embedId"]): each for each in last.decided}
    for embed in backup.embeds:
        identity = (embed.data_app_name, embed.embed_id)
        if identity in decided:
            run.decided.append(RestoredEmbed.decided(embed, decided[identity]))
            continue
        restored = None
        if last is not None and identity == (last.data_app_name, last.embed_id):
            restored = _what_became_of(last, embed, run)
        run.decided.append(restored or _restore(embed, run))
    return run.decided


def checked(restored: Sequence[RestoredEmbed], attempt: RestoreAttempt) -> list[RestoredEmbed]:
    """Return the embeds, and for each created one that cannot be shown, the reason."""
    found, not_checked = [], None
    for each in restored:
        why = each.why
        if each.state is EmbedState.CREATED and attempt.ports.clock.remaining() < TIME_TO_CHECK:
            why = NO_TIME_TO_CHECK
        elif each.state is EmbedState.CREATED:
            why = not_checked or _why_not_shown(each, attempt)
            not_checked = why if why is not None and why.startswith("not checked") else None
        found.append(replace(each, why=why))
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """The progress of one attempt; `numbers` yields the numbers of its requests."""

    backup: Backup
    listing: EmbedListing
    attempt: RestoreAttempt
    numbers: "count[int]"
    decided: list[RestoredEmbed]

    def listed_in(self, data_app_name: str) -> frozenset[str]:
        """Return the IDs of the embeds that a data app is known to have."""
        listed = {embed.embed_id for embed in self.listing.embeds if embed.data_app_name == data_app_name}
        made = {
            each.new_embed_id
            for each in self.decided
            if each.embed.data_app_name == data_app_name and each.new_embed_id is not None
        }
        return frozenset(listed | made)


def _planned(embed: StoredEmbed, backup: Backup, listing: EmbedListing, attempt: RestoreAttempt) -> RestoredEmbed:
    kept = still_there(embed, attempt.request, listing)
    if kept is not None:
        return kept
    why = why_not_created(embed, backup, listing)
    return RestoredEmbed(embed, EmbedState.CREATED if why is None else EmbedState.NOT_RESTORED, why=why)


def _what_became_of(last: EmbedIntent, embed: StoredEmbed, run: _Run) -> RestoredEmbed | None:
    """Return what the last request of an earlier attempt created, or None if it certainly created nothing."""
    request = run.attempt.request
    made = created_since(last, request.restored_as, run.listing)
    if made:
        return _made(embed, made)
    if run.attempt.ports.coordination.last_failure(request) in {None, Reason.UNCONFIRMED}:
        return RestoredEmbed(embed, EmbedState.NOT_RESTORED, why=IN_DOUBT)
    return None


def _made(embed: StoredEmbed, made: Sequence[str]) -> RestoredEmbed:
    if len(made) > 1:
        return RestoredEmbed(embed, EmbedState.NOT_RESTORED, why=AMBIGUOUS)
    return RestoredEmbed(embed, EmbedState.CREATED, made[0])


def _restore(embed: StoredEmbed, run: _Run) -> RestoredEmbed:
    planned = _planned(embed, run.backup, run.listing, run.attempt)
    return planned if planned.state is not EmbedState.CREATED else _create(embed, run)


def _create(embed: StoredEmbed, run: _Run) -> RestoredEmbed:
    attempt, clock = run.attempt, run.attempt.ports.clock
    for send in range(1, MAX_SENDS + 1):
        left = clock.remaining()
        if left < TIME_TO_CREATE:
            raise AttemptInterrupted(
                f"This invocation has {left:.0f} s left, and an embed needs {TIME_TO_CREATE:.0f}. The queue delivers "
                "the request again, and the next attempt continues with this embed."
            )
        intent, answer = _send(embed, run)
        if answer.effect is CreateEffect.DONE:
            return RestoredEmbed(embed, EmbedState.CREATED, answer.embed_id)
        error = answer.error or DatabrainError("no answer")
        if answer.effect is CreateEffect.UNKNOWN:
            return _made(embed, _look_for(intent, error, attempt))
        if answer.effect is CreateEffect.REFUSED:
            return RestoredEmbed(
                embed, EmbedState.NOT_RESTORED, why=f"Databrain refused to create it: {in_short(error)}"
            )
        wait = (error.retry_after if isinstance(error, DatabrainUnavailable) else None) or RESEND_WAIT
        if send == MAX_SENDS or clock.remaining() - wait < TIME_TO_CREATE:
            raise error
        clock.sleep(wait)
    raise AssertionError  # the last send returns or raises


def _send(embed: StoredEmbed, run: _Run) -> tuple[EmbedIntent, CreateAnswer]:
    """Record that a request may have been sent, store it, send it, and record its effect."""
    attempt, ports, request = run.attempt, run.attempt.ports, run.attempt.request
    data_app_name = embed.data_app_name or ""
    intent = EmbedIntent(
        embed_id=embed.embed_id,
        data_app_name=data_app_name,
        body=create_embed_body(embed, run.backup, request.restored_as, attempt.settings.databrain_api),
        listed=run.listed_in(data_app_name),
        decided=[each.document() for each in run.decided],
        invocation_id=attempt.delivery.invocation_id,
    )
    require_no_secret("The request to create an embed", intent.document(), attempt)
    ports.coordination.record_failure(request, Reason.UNCONFIRMED, ports.clock.now())
    text = canonical_json(intent.document())
    if ports.evidence.create(attempt.key(embed_file_name(next(run.numbers))), text).body != text:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    try:
        answer = ports.databrain.create_embed(data_app_name, intent.body)
    except RetirementError as unsent:
        _settle(unsent.reason, attempt)
        raise
    ports.telemetry.step("create embed", embedId=embed.embed_id, effect=answer.effect.name.lower(), error=answer.error)
    if answer.effect is not CreateEffect.UNKNOWN:
        _settle(Reason.INTERNAL_ERROR if answer.error is None else answer.error.reason, attempt)
    return intent, answer


def _settle(reason: Reason, attempt: RestoreAttempt) -> None:
    with suppress(AwsCallFailed):  # then the doubt remains, and the request is not repeated
        attempt.ports.coordination.record_no_effect(attempt.request, reason, attempt.ports.clock.now())


def _look_for(intent: EmbedIntent, lost: DatabrainError, attempt: RestoreAttempt) -> Sequence[str]:
    for wait in LOOK_WAITS:
        if wait:
            attempt.ports.clock.sleep(wait)
        made = created_since(intent, attempt.request.restored_as, list_embeds(attempt))
        if made:
            return made
    raise NotConfirmed(f"An embed may have been created, but is not listed. Databrain's answer: {lost}")


def _why_not_shown(restored: RestoredEmbed, attempt: RestoreAttempt) -> str | None:
    try:
        attempt.ports.databrain.show(restored.embed.data_app_name or "", restored.new_embed_id or "")
    except DatabrainUnavailable as error:
        return f"not checked, because Databrain did not answer: {in_short(error)}"
    except DatabrainError as error:
        return f"it was created, but cannot be shown: {in_short(error)}"
    return None


def in_short(error: Exception) -> str:
    """Return Databrain's answer without the advice."""
    return str(error).partition("; ")[0]
