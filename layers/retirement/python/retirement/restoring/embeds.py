"""The embeds of a restore: which come back, and what has become of each request that creates one.

Nothing makes two equal embeds one, so a request that may have been carried out is never sent again. Each is kept before
it is sent, with what was there before; and the coordination table says beforehand that it may be on its way. After a
crash a fresh list tells what it made. Where that tells nothing, only a table that says that nothing was on its way lets
it be sent again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

from retirement.canonical import canonical_json
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.dependents import EmbedListing
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
from retirement.requests import EmbedsPolicy
from retirement.restoring.backups import Backup, StoredEmbed
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

# Seconds. With less left no embed is begun: the next delivery goes on with it.
TIME_TO_CREATE = 60.0
# And with less none is checked: it is for the receipt.
TIME_TO_CHECK = 30.0
# Between two sends of a request that was refused for the moment, unless Databrain asks for more.
RESEND_WAIT = 1.0
MAX_SENDS = 4
# Before each look for what a request has made, of which the answer was lost.
LOOK_WAITS = (0.0, 1.0, 2.0, 4.0, 8.0)

IN_DOUBT = (
    "a request to create it may have been sent, and no new embed is listed: look in the data app, and if there is "
    "none, create it there"
)
AMBIGUOUS = "several new embeds of the data app are like it, and nothing tells which one this restore created"
NO_TIME_TO_CHECK = "not checked: no time was left"


def has_embeds(backup: Backup, attempt: RestoreAttempt) -> bool:
    """Whether there are embeds that the request does not leave as they are."""
    return attempt.request.embeds is EmbedsPolicy.RESTORE and bool(backup.embeds)


def list_embeds(attempt: RestoreAttempt) -> EmbedListing:
    """List the embeds of all data apps, whole.

    Raises:
        DatabrainError: of one data app, too.
    """
    listing, failures = attempt.ports.databrain.list_embeds()
    if failures:
        raise failures[0]
    return listing


def plan_embeds(backup: Backup, listing: EmbedListing, attempt: RestoreAttempt) -> list[RestoredEmbed]:
    """What would become of each embed."""
    return [_planned(embed, backup, listing, attempt) for embed in backup.embeds]


def restore_embeds(
    backup: Backup, listing: EmbedListing, record: RestoreRecord, attempt: RestoreAttempt
) -> list[RestoredEmbed]:
    """Create each embed again that is gone, and that can be, at most once.

    Raises:
        NotConfirmed: nothing tells what became of a request yet.
        AttemptInterrupted: no time is left, or another attempt is under way.
    """
    run = _Run(backup, listing, attempt, count(record.embeds_asked_for + 1), [])
    last = record.last_embed
    decided = {} if last is None else {(told["dataAppName"], told["embedId"]): told for told in last.decided}
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
    """The embeds, those that were created with the reason why they cannot be shown, if they cannot."""
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
    """One attempt's way through the embeds; `numbers` are those of the requests to come."""

    backup: Backup
    listing: EmbedListing
    attempt: RestoreAttempt
    numbers: "count[int]"
    decided: list[RestoredEmbed]

    def listed_in(self, data_app_name: str) -> frozenset[str]:
        """The IDs that a data app is known to have."""
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
    """Of the last request of an earlier attempt; None where it is certain that it created nothing."""
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
                f"{left:.0f} s are left of this invocation and an embed needs {TIME_TO_CREATE:.0f}. The queue delivers "
                "the request again, and the next attempt goes on with it."
            )
        intent, answer = _send(embed, run)
        if answer.effect is CreateEffect.DONE:
            return RestoredEmbed(embed, EmbedState.CREATED, answer.embed_id)
        error = answer.error or DatabrainError("no answer")
        if answer.effect is CreateEffect.UNKNOWN:
            return _made(embed, _look_for(intent, error, attempt))
        if answer.effect is CreateEffect.REFUSED:
            return RestoredEmbed(embed, EmbedState.NOT_RESTORED, why=f"Databrain refuses it: {in_short(error)}")
        wait = (error.retry_after if isinstance(error, DatabrainUnavailable) else None) or RESEND_WAIT
        if send == MAX_SENDS or clock.remaining() - wait < TIME_TO_CREATE:
            raise error
        clock.sleep(wait)
    raise AssertionError  # the last send returns or raises


def _send(embed: StoredEmbed, run: _Run) -> tuple[EmbedIntent, CreateAnswer]:
    """Say that a request may be on its way, keep it, send it, and say what is known of it then."""
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
    with suppress(AwsCallFailed):  # it is in doubt then, and not sent again
        attempt.ports.coordination.record_no_effect(attempt.request, reason, attempt.ports.clock.now())


def _look_for(intent: EmbedIntent, lost: DatabrainError, attempt: RestoreAttempt) -> Sequence[str]:
    for wait in LOOK_WAITS:
        if wait:
            attempt.ports.clock.sleep(wait)
        made = created_since(intent, attempt.request.restored_as, list_embeds(attempt))
        if made:
            return made
    raise NotConfirmed(f"An embed may have been created and is not listed; the answer: {lost}")


def _why_not_shown(restored: RestoredEmbed, attempt: RestoreAttempt) -> str | None:
    try:
        attempt.ports.databrain.show(restored.embed.data_app_name or "", restored.new_embed_id or "")
    except DatabrainUnavailable as error:
        return f"not checked: {in_short(error)}"
    except DatabrainError as error:
        return f"it was created and cannot be shown: {in_short(error)}"
    return None


def in_short(error: Exception) -> str:
    """What Databrain answered, without the advice."""
    return str(error).partition("; ")[0]
