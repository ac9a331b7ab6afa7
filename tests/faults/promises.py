"""What must hold of every play, judged by what really happened.

Each promise is a sentence. Where it does not hold and docs/safety.md says so ("Not promised"), it is excused here, with
the words of that page beside it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from local.databrain.organisation import Datamart
from retirement.canonical import ordered_json, parse_json
from retirement.delivery.endings import as_published
from retirement.errors import Abandoned, RetirementError
from retirement.outcomes import ConfirmedBy
from retirement.retiring.settings import Mode, UndeterminedEmbeds
from retirement.scheduling.workflow import FROZEN
from retirement.timestamps import parse_timestamp
from tests.fakes import Parsed
from tests.faults.invariants import errors_told
from tests.faults.performance import Addition, Copy, Deletion, Invocation, Kept, Performance, Published
from tests.faults.plays import DAY, NAME, REQUESTER, Deploy, Exchange, Outage, Play, SecretInside, To, Trouble, Worn
from tests.faults.stage import Identity, is_restore, key_of
from tests.faults.two_organisations import LONG_AGO, moment, seconds_of

# None: the play has nothing to say on it.
Promise: TypeAlias = Callable[[Performance], bool | None]

EXPIRY = 14 * DAY
CLOCKS_APART = 60.0
ENDS = frozenset({"cancelled", "deleted", "already_absent", "planned", "blocked"})
ENDS_OF_RESTORES = frozenset({"restored", "restore_planned", "restore_blocked"})


def _each_deletion(holds: Callable[[Deletion, Performance], bool | None]) -> Promise:
    def promise(play: Performance) -> bool | None:
        held = [result for deletion in play.deletions if (result := holds(deletion, play)) is not None]
        return all(held) if held else None

    return promise


# ---- What is deleted -----------------------------------------------------------------------------------------------


def _backed_up(deletion: Deletion, play: Performance) -> bool | None:  # noqa: ARG001  # as all of them
    asked = deletion.by.event["detail"].get("backup", deletion.by.settings.backup_by_default)
    if not asked or _changed_since_it_was_seen(deletion):
        return None
    return deletion.had_backup


def _changed_since_it_was_seen(deletion: Deletion) -> bool:
    """A re-creation or an edit between the last list and the delete: it cannot be detected."""
    return deletion.first_look is not None and deletion.changed_at >= deletion.first_look


def _once(play: Performance) -> bool | None:
    deletions = Counter(deletion.by.identity for deletion in play.deletions if not _changed_since_it_was_seen(deletion))
    return all(count == 1 for count in deletions.values()) if deletions else None


def _as_intended(deletion: Deletion, play: Performance) -> bool | None:
    if _changed_since_it_was_seen(deletion):
        return None
    intended = play.intended.get(deletion.by.identity)
    return intended is not None and intended.look is not None and intended.look.datamart == deletion.datamart


def _as_written(deletion: Deletion, play: Performance) -> bool | None:
    intended = play.intended.get(deletion.by.identity)
    return intended is None or _content(deletion.by.event) == _content(intended.by.event)


def _content(event: Parsed) -> Parsed:
    """What two events have in common that ask for the same."""
    return {name: value for name, value in event["detail"].items() if name != "retireAt"}


def _as_asked_for(deletion: Deletion, play: Performance) -> bool | None:
    if not deletion.organisation.options.lists_created_at or _changed_since_it_was_seen(deletion):
        return None
    intended = play.intended.get(deletion.by.identity)
    decided = deletion.by if intended is None else intended.by
    return seconds_of(parse_timestamp(deletion.datamart.created_at)) <= _asked_at(decided, play)


def _asked_at(by: Invocation, play: Performance) -> float:
    """The earlier of the event's time and its first arrival, and of when the first date was asked for.

    An arrival of which every delivery so far crashed, or could not write, is known to nobody.
    """
    arrivals = [
        each.message.sent_at
        for each in play.invocations
        if each.message.event == by.message.event
        and (each is by or not (each.crashed or each.is_struck or each.ended > by.started))
    ]
    own = min(seconds_of(parse_timestamp(by.event["time"])), *arrivals)
    key = key_of(by.event, "schedule-1.json")
    if key not in play.kept or play.kept[key].at >= by.schedules_read_at:
        return own
    return min(own, seconds_of(parse_timestamp(_parsed(play.evidence.objects[key].body)["requestedAt"])))


def _unused(deletion: Deletion, play: Performance) -> bool | None:
    detail = deletion.by.event["detail"]
    intended = play.intended.get(deletion.by.identity)
    decided = deletion.by if intended is None else intended.by
    if detail.get("dependents") == "ignore":
        return None
    if decided.settings.undetermined_embeds is UndeterminedEmbeds.REPORT:
        return None  # what an embed uses where `UndeterminedEmbeds` is `report`
    return not any(
        embed.datamart == deletion.datamart.name
        and embed.embed_id not in detail.get("reviewedEmbeds", [])
        and seconds_of(parse_timestamp(embed.updated_at)) < decided.embeds_looked_at  # new dependents after it
        and not deletion.owners_map.is_wrong_about(embed)
        for embed in deletion.embeds
    )


def _unambiguous(deletion: Deletion, play: Performance) -> bool | None:  # noqa: ARG001  # as all of them
    look = deletion.first_look
    return None if look is None else not any(since < look for since in deletion.near)


def _allowed(deletion: Deletion, play: Performance) -> bool | None:  # noqa: ARG001  # as all of them
    settings, name = deletion.by.settings, deletion.datamart.name.casefold()
    is_protected = any(fnmatchcase(name, glob.casefold()) for glob in settings.protected_datamarts)
    is_retirable = any(fnmatchcase(name, glob.casefold()) for glob in settings.retirable_datamarts)
    return is_retirable and not is_protected


def _dry(play: Performance) -> bool | None:
    if not play.sent:
        return None
    return not any(sent.by.event["detail"].get("dryRun") or sent.by.settings.mode is Mode.PLAN for sent in play.sent)


def _as_planned(deletion: Deletion, play: Performance) -> bool | None:
    plan_id = deletion.by.event["detail"].get("planId")
    if plan_id is None:
        return None
    return id(deletion.organisation) in play.planned_in.get(plan_id, set())


def _within_limit(deletion: Deletion, play: Performance) -> bool | None:
    """The day is the host's; the table is what counts, so that a lost one counts anew."""
    since = max((at for at in play.emptied_at if at <= deletion.at), default=LONG_AGO)
    day = _day(deletion)
    counted = [
        other
        for other in play.deletions
        if other.at <= deletion.at and _day(other) == day and other.by.started >= since
    ]
    return bool(len(counted) <= deletion.by.settings.max_retirements_per_day)


def _day(deletion: Deletion) -> object:
    at = deletion.at if deletion.by.reserved_at is None else deletion.by.reserved_at
    return moment(at + deletion.by.ahead).date()


def _same_token(play: Performance) -> bool | None:
    if not play.sent:
        return None
    return all(sent.look is not None and sent.look.token == sent.token for sent in play.sent)


def _same_organisation(deletion: Deletion, play: Performance) -> bool | None:
    intended = play.intended.get(deletion.by.identity)
    if intended is None or intended.look is None or not _is_told_apart(deletion.by.identity, play):
        return None
    return intended.look.organisation is deletion.organisation


def _in_time(deletion: Deletion, play: Performance) -> bool | None:
    intended = play.intended.get(deletion.by.identity)
    if intended is None or intended.schedule is None:
        return None
    standing, by = intended.schedule, intended.by
    is_plain = "retireAt" not in by.event["detail"]
    asked_at = min(seconds_of(parse_timestamp(by.event["time"])), by.message.sent_at)
    if is_plain and asked_at >= seconds_of(parse_timestamp(standing["requestedAt"])):
        return None  # asked without a date, later: it is retired now
    kept = _kept_as(standing, by.identity, play)
    if kept.at >= by.schedules_read_at and (is_plain or by.ahead - kept.by.ahead > FROZEN.total_seconds()):
        return None  # a date for a request that is being carried out, or a move by a clock that is so far behind
    return deletion.at >= seconds_of(parse_timestamp(standing["retireAt"])) - max(0.0, by.ahead)


def _kept_as(schedule: Parsed, identity: Identity, play: Performance) -> Kept:
    return next(
        kept
        for key, kept in play.kept.items()
        if kept.by.identity == identity
        and "/schedule-" in key
        and _parsed(play.evidence.objects[key].body)["event"] == schedule["event"]
    )


def _not_after_an_end(deletion: Deletion, play: Performance) -> bool | None:
    identity = deletion.by.identity
    ends = [each for each in play.published if each.by.identity == identity and each.result["outcome"] in ENDS]
    early = [each for each in ends if each.at < deletion.at]
    if not early:
        is_asked = any(_cancels(invocation, identity) for invocation in play.invocations)
        return True if is_asked else None
    return (
        None if _is_alongside(deletion.by, play) else False
    )  # two attempts and an end at the same time, without the lock


def _cancels(invocation: Invocation, identity: Identity) -> bool:
    return invocation.identity == identity and invocation.event["detail-type"].endswith("Cancelled")


def _told_cancelled_at(identity: Identity, play: Performance) -> float | None:
    return next(
        (each.at for each in play.published if each.by.identity == identity and each.result["outcome"] == "cancelled"),
        None,
    )


def _is_alongside(by: Invocation, play: Performance) -> bool:
    """Whether another attempt at the same retirement was at work at the same time: the lock has kept nobody out."""
    return any(
        other is not by
        and other.identity == by.identity
        and other.locked_at is not None
        and other.locked_at < by.ended
        and (by.locked_at or 0.0) < other.ended
        for other in play.invocations
    )


def _approved(deletion: Deletion, play: Performance) -> bool | None:
    """By the evidence alone, as of the delete: enough people who have not asked for it have approved this plan."""
    required, intents = deletion.by.settings.approvals_required, play.kept_of(deletion.by.identity, "intent.json")
    if required == 0 or not intents:
        return None
    approvers = set()
    for key, kept in play.kept.items():
        if kept.by.identity == deletion.by.identity and "/approved-" in key and kept.at < deletion.at:
            event = _parsed(_parsed(play.evidence.objects[key].body)["event"])
            is_in_time = seconds_of(parse_timestamp(event["time"])) + EXPIRY + CLOCKS_APART > deletion.at
            if event["source"] == "approvals" and event["detail"]["planId"] == intents[0]["planId"] and is_in_time:
                approvers.add(event["detail"]["approvedBy"].strip().casefold())
    return bool(len(approvers - {REQUESTER}) >= required)


def _is_of_an_approval(by: Invocation) -> bool:
    """Its answer says what became of the approval."""
    return bool(by.event["detail-type"].endswith("Approved"))


# ---- What is restored ----------------------------------------------------------------------------------------------


def _no_delete_by_restores(play: Performance) -> bool | None:
    if not _restores(play):
        return None
    return not any(is_restore(sent.by.event) for sent in play.sent)


def _restores(play: Performance) -> list[Invocation]:
    return [invocation for invocation in play.invocations if is_restore(invocation.event)]


def _one_datamart(play: Performance) -> bool | None:
    """A second one only where the first is gone, and the table does not know of it."""
    return not any(creation.is_known for creation in play.creations) if play.creations else None


def _one_embed(play: Performance) -> bool | None:
    made = Counter(
        (addition.by.identity, addition.embed.target) for addition in play.additions if addition.embed is not None
    )
    return all(count == 1 for count in made.values()) if made else None


def _only_to_its_own(play: Performance) -> bool | None:
    """A semantic layer, or an embed, where it was seen to be the restore's own."""
    held = [
        _is_its_own(addition.datamart, addition.by, play)
        for addition in play.additions
        if addition.datamart is not None and not _changed_meanwhile(addition)
    ]
    return all(held) if held else None


def _is_its_own(datamart: Datamart, by: Invocation, play: Performance) -> bool:
    """Created by it; or by a person, and equal to what was deleted, or after the restore had created its own."""
    creators = [
        creation.by.identity for creation in play.creations if creation.datamart.created_at == datamart.created_at
    ]
    if creators:
        return by.identity in creators
    own = [creation for creation in play.creations if creation.by.identity == by.identity]
    intended = play.intended.get(by.identity[:2])
    was = intended.look.datamart if intended is not None and intended.look is not None else None
    return bool(own) or (was is not None and was.configuration == datamart.configuration)


def _changed_meanwhile(addition: Addition) -> bool:
    """A re-creation between the last list and the request: it cannot be detected."""
    look = addition.look
    return (
        look is None
        or look.datamart is None
        or addition.datamart is None
        or (look.datamart.created_at != addition.datamart.created_at)
    )


def _over_nothing(play: Performance) -> bool | None:
    held = [
        not any(name.strip().casefold() == creation.datamart.name.casefold() for name in creation.listed)
        for creation in play.creations
    ]
    return all(held) if held else None


def _where_it_was(play: Performance) -> bool | None:
    """In the organisation of the retirement's intent, where that can be told."""
    held = [
        intended.look is not None and intended.look.organisation is creation.organisation
        for creation in play.creations
        if (intended := play.intended.get(creation.by.identity[:2])) is not None
        and _is_told_apart(creation.by.identity, play)
    ]
    return all(held) if held else None


def _restored_means_there(play: Performance) -> bool | None:
    held = [
        kept.datamart is not None and _is_its_own(kept.datamart, kept.by, play)
        for key, kept in play.kept.items()
        if key == key_of(kept.by.event, "receipt.json")
        and _parsed(play.evidence.objects[key].body)["outcome"] == "restored"
    ]
    return all(held) if held else None


def _no_denial_of_restores(play: Performance) -> bool | None:
    creators = {creation.by.identity for creation in play.creations}
    held = [
        each.result["outcome"] not in ENDS_OF_RESTORES - {"restored"}
        for each in play.published
        if each.by.identity in creators
    ]
    return all(held) if held else None


def _dry_restores(play: Performance) -> bool | None:
    dry = [invocation for invocation in _restores(play) if invocation.event["detail"].get("dryRun")]
    if not dry:
        return None
    creators = [*(made.by for made in play.creations), *(made.by for made in play.additions)]
    return not any(creator.event["detail"].get("dryRun") for creator in creators)


# ---- What is told --------------------------------------------------------------------------------------------------


def _stays_cancelled(play: Performance) -> bool | None:
    held = []
    for identity in _identities(play):
        told_at = _told_cancelled_at(identity, play)
        if told_at is not None:
            held += [
                _fits_cancelled(each, told_at, play)
                for each in play.published
                if each.by.identity == identity and each.at > told_at and not _is_of_an_approval(each.by)
            ]
    return all(held) if held else None


def _fits_cancelled(later: Published, told_at: float, play: Performance) -> bool:
    if later.result["outcome"] == "cancelled":
        return True
    if later.result["outcome"] in ENDS:
        return False
    if later.result["reason"] == "retirement_id_reused" and _has_other_content(later.by, play):
        return True
    # what was on its way when it was told; an event that is another stack's by now
    return later.by.started <= told_at or _is_of_another_stack(later.by)


def _is_of_another_stack(by: Invocation) -> bool:
    """By now: `EnvironmentName` has changed."""
    return bool(by.event["detail"]["environment"] != by.settings.environment_name)


def _has_other_content(by: Invocation, play: Performance) -> bool:
    """Whether the identity is another request's: its intent, or the first date that is kept under it."""
    intended = play.intended.get(by.identity)
    owners = [_parsed(schedule["event"]) for schedule in play.kept_of(by.identity, "schedule-1.json")]
    owners += [_parsed(ask["event"]) for ask in play.kept_of(by.identity, "approval-asked-1.json")]
    owners += [intended.by.event] if intended else []
    return any(_content(owner) != _content(by.event) for owner in owners)


def _identities(play: Performance) -> set[Identity]:
    return {invocation.identity for invocation in play.invocations}


def _one_end(play: Performance) -> bool | None:
    ends: dict[Identity, set[str]] = {}
    for each in play.published:
        if each.result["outcome"] in ENDS | ENDS_OF_RESTORES:
            ends.setdefault(each.by.identity, set()).add(each.result["outcome"])
    if not ends:
        return None
    return all(len(outcomes) == 1 for outcomes in ends.values())


def _deleted_means_gone(play: Performance) -> bool | None:
    held = [
        kept.was_gone is True
        for key, kept in play.kept.items()
        if key == key_of(kept.by.event, "receipt.json")
        and _parsed(play.evidence.objects[key].body)["outcome"] == "deleted"
        and _is_told_apart(kept.by.identity, play)
    ]
    return all(held) if held else None


def _is_told_apart(identity: Identity, play: Performance) -> bool:
    """Where no createdAt is told, names alone tell organisations apart, and both have this one."""
    return identity[0] == NAME or play.there.first.options.lists_created_at


def _no_denial(deletion: Deletion, play: Performance) -> bool | None:
    """Of what was deleted no end says anything else, and no giving-up from then on but that nothing is known."""
    later = [each for each in play.published if each.by.identity == deletion.by.identity and each.at > deletion.at]
    return all(
        each.result["outcome"] in {"deleted", "scheduled", "rejected"}
        or (each.result["outcome"] == "failed" and each.result["reason"] == "unconfirmed")
        or (each.result["outcome"] == "failed" and each.by.started < deletion.at)
        or _is_of_a_cancellation(each)
        or _is_of_an_approval(each.by)
        or _is_alongside(deletion.by, play)  # an edit, or a rule set since, alongside an attempt, without the lock
        for each in later
    )


def _is_of_a_cancellation(each: Published) -> bool:
    """Its giving-up says what became of the cancellation."""
    return bool(each.result["outcome"] == "failed" and each.by.event["detail-type"].endswith("Cancelled"))


def _is_told(deletion: Deletion, play: Performance) -> bool | None:
    """That it was deleted, or that a delete may have been sent."""
    is_told = any(
        each.result["outcome"] == "deleted"
        or (each.result["outcome"] == "failed" and each.result["reason"] == "unconfirmed")
        for each in play.published
        if each.by.identity == deletion.by.identity
    )
    # an edit, or a rule set since, alongside an attempt, without the lock
    return is_told or (None if _is_alongside(deletion.by, play) else False)


def _answered_so(play: Performance) -> bool | None:
    """By a response only where there was one, and an answer is called lost only where it was."""
    deleted = [each for each in play.published if each.result["outcome"] == "deleted"]
    return all(_is_so(each, play) for each in deleted) if deleted else None


def _is_so(deleted: Published, play: Performance) -> bool:
    sent = [each for each in play.sent if each.by.identity == deleted.by.identity]
    if deleted.result["confirmedBy"] == ConfirmedBy.RESPONSE:
        return any(each.is_clear for each in sent)
    is_lost = any(each.by.crashed or not (each.is_clear or each.is_refused) for each in sent)
    return is_lost or "answer was lost" not in deleted.result["message"]


def _is_kept(play: Performance) -> bool:
    kept = set()
    for key, stored in play.evidence.objects.items():
        if key.rpartition("/")[2].startswith(("receipt", "failure", "schedule", "reminder", "cancel", "approv")):
            kept.add(_message(stored.body))
    return set(play.results_topic.messages) <= kept


def _is_published(play: Performance) -> bool | None:
    receipts = [
        stored.body
        for key, stored in play.evidence.objects.items()
        if key.startswith(("retirements/", "restores/")) and key.endswith("/receipt.json")
    ]
    messages = set(play.results_topic.messages)
    return all(_message(body) in messages for body in receipts)


def _is_clear(play: Performance) -> bool:
    return all(
        invocation.error is None or isinstance(invocation.error, RetirementError) for invocation in play.invocations
    )


def _is_answered(play: Performance) -> bool:
    """Each event, by its last delivery, or by a giving-up that says so; only a crash at the last may hide it."""
    by_event: dict[str, list[Invocation]] = {}
    for invocation in play.invocations:
        by_event.setdefault(invocation.message.event, []).append(invocation)
    return all(_has_answer(invocations, play) for invocations in by_event.values())


def _has_answer(invocations: list[Invocation], play: Performance) -> bool:
    if any(invocation.result for invocation in invocations):
        return True
    handed_on = [invocation for invocation in invocations if invocation.result == {}]
    if handed_on:  # what is due is answered once, whoever asked
        identity, at = handed_on[0].identity, handed_on[0].started
        return any(
            each.by.identity == identity and (each.at >= at or each.result["outcome"] == "awaiting_approval")
            for each in play.published  # what awaits approval is asked for once
        )
    return any(
        invocation.is_last and (invocation.is_struck or _says_so(invocation, play)) for invocation in invocations
    )


def _says_so(abandoned: Invocation, play: Performance) -> bool:
    return any(each.by is abandoned and each.result["outcome"] == "failed" for each in play.published)


def _comes(play: Performance) -> bool | None:
    """What was told as scheduled: by its end, a giving-up, or a rejection of what its timer brought."""
    held = []
    for identity in _identities(play):
        schedules = play.kept_of(identity, "schedule-")
        if schedules:
            due = seconds_of(parse_timestamp(schedules[-1]["retireAt"]))
            held.append(
                any(
                    each.result["outcome"] in ENDS | {"failed"} or each.at >= due or _is_of_another_stack(each.by)
                    for each in play.published
                    if each.by.identity == identity and each.result["outcome"] != "scheduled"
                )
            )
    return all(held) if held else None


def _ends_well(play: Performance) -> bool | None:
    """Once nothing strikes any more, nothing is given up for an error of ours - with its receives before it."""
    if any(isinstance(step.act, Worn) for step in play.play.steps):
        return None
    return not any(
        isinstance(invocation.error, Abandoned) and invocation.error.reason == "internal_error"
        for invocation in play.invocations
        if invocation.message in play.failures
    )


def _rotates(play: Performance) -> bool | None:
    """A rotation within one organisation, and nothing else that leaves a doubt: every request ends."""
    acts = [step.act for step in play.play.steps]
    exchanges = [act for act in acts if isinstance(act, Exchange)]
    if not exchanges or any(act.to is not To.ROTATED for act in exchanges):
        return None
    if any(isinstance(act, Outage) or (isinstance(act, Trouble) and act.fault) for act in acts):
        return None
    if not play.there.first.options.lists_created_at or any(
        isinstance(act, Deploy | SecretInside | Worn) for act in acts
    ):
        return None
    return not any(each.result["outcome"] == "failed" for each in play.published)


def _tells_no_secret(play: Performance) -> bool:
    """No token and no key that the attempt has used: others it cannot look for."""
    for key, stored in play.evidence.objects.items():
        if any(secret in key + stored.body for secret in play.kept[key].by.secrets):
            return False
    written = "\n".join(
        (*play.results_topic.messages, *map(repr, play.telemetry.steps), *errors_told(play.telemetry.errors))
    )
    return not any(secret in written for invocation in play.invocations for secret in invocation.secrets)


# ---- What is rehearsed ---------------------------------------------------------------------------------------------


def _ours_alone(play: Performance) -> bool | None:
    """In plan mode, not even the copy is removed."""
    if not play.copies:
        return None
    ours = [(copy.organisation, copy.datamart.name, copy.datamart.created_at) for copy in play.copies]
    return not play.disturbed and all(
        (gone.organisation, gone.datamart.name, gone.datamart.created_at) in ours
        and gone.by.settings.mode is not Mode.PLAN
        for gone in play.removals
    )


def _one_copy(play: Performance) -> bool | None:
    copies = Counter(copy.by.identity for copy in play.copies)
    return all(count == 1 for count in copies.values()) if copies else None


def _names_its_copy(play: Performance) -> bool | None:
    return all(_is_named(copy, play) for copy in play.copies) if play.copies else None


def _is_named(copy: Copy, play: Performance) -> bool:
    there = copy.organisation.datamarts.get(copy.datamart.name)
    if there is None or there.created_at != copy.datamart.created_at:
        return True
    ends = ENDS | {"failed"}
    told = [each for each in play.published if each.by.identity == copy.by.identity and each.result["outcome"] in ends]
    return any(copy.datamart.name in each.result["message"] for each in told)


def _rehearsed(deletion: Deletion, play: Performance) -> bool | None:
    if not deletion.by.event["detail"].get("rehearse"):
        return None
    rehearsed = play.kept_of(deletion.by.identity, "rehearsed.json")
    return bool(rehearsed) and rehearsed[0]["failure"] is None


PROMISES: dict[str, Promise] = {
    "nothing is deleted without a backup of exactly that, where one was asked for": _each_deletion(_backed_up),
    "one identity deletes at most once": _once,
    "nothing is deleted but what the intent is about": _each_deletion(_as_intended),
    "nothing is deleted for a request with other content than the intent's": _each_deletion(_as_written),
    "nothing is deleted that was created after it was asked for": _each_deletion(_as_asked_for),
    "nothing is deleted while an embed uses it, unless the map's owner is wrong about it": _each_deletion(_unused),
    "nothing is deleted while a near-identical name is listed": _each_deletion(_unambiguous),
    "what is protected or not retirable is not deleted": _each_deletion(_allowed),
    "a dry run, or a stack in plan mode, sends no delete": _dry,
    "what names a plan is carried out only in the organisation of the plan": _each_deletion(_as_planned),
    "never more deletions on one UTC day than the limit in force": _each_deletion(_within_limit),
    "a delete goes out with the token that its snapshot was read with": _same_token,
    "nothing is deleted in another organisation than the intent's": _each_deletion(_same_organisation),
    "nothing is deleted before the date that is current": _each_deletion(_in_time),
    "nothing is deleted after `cancelled`, or another end, was answered": _each_deletion(_not_after_an_end),
    "nothing is deleted without an approval of exactly that plan": _each_deletion(_approved),
    "no restore deletes": _no_delete_by_restores,
    "one restore creates its datamart at most once": _one_datamart,
    "one restore creates each embed at most once": _one_embed,
    "a restore adds to the datamart alone that it has created": _only_to_its_own,
    "nothing is created over a listed name, or one that is nearly the same": _over_nothing,
    "nothing is created in another organisation than the retirement's": _where_it_was,
    "`restored` is said only of what the restore has created and is there": _restored_means_there,
    "no result of a restore denies a creation": _no_denial_of_restores,
    "a dry run of a restore creates nothing": _dry_restores,
    "what was answered `cancelled` stays so": _stays_cancelled,
    "one identity has one end": _one_end,
    "`deleted` is said only of what is gone, where it was": _deleted_means_gone,
    "no end and no giving-up denies a deletion": _each_deletion(_no_denial),
    "what was deleted is told as deleted, or as unconfirmed": _each_deletion(_is_told),
    "what is said of Databrain's answer is so": _answered_so,
    "everything published is stored, to the byte": _is_kept,
    "every receipt is published": _is_published,
    "every error says what it is": _is_clear,
    "each request gets an answer": _is_answered,
    "what is scheduled comes": _comes,
    "once nothing strikes any more, nothing fails for an error of ours": _ends_well,
    "a rotation within one organisation disturbs nothing": _rotates,
    "no timer stands for what has ended": lambda play: not play.leftovers,
    "no token and no key in anything written": _tells_no_secret,
    "a rehearsal changes nothing but its own copy": _ours_alone,
    "a rehearsal creates one copy at most": _one_copy,
    "a copy that is left is named": _names_its_copy,
    "nothing is deleted without the rehearsal that was asked for": _each_deletion(_rehearsed),
}


def _parsed(body: str) -> Parsed:
    return parse_json(body)


def _message(body: str) -> str:
    """What is published of an object: not the event, and what else is stored alone."""
    return ordered_json(as_published(_parsed(body)))


@dataclass(frozen=True)
class Judgement:
    """Of one play: which promises it was a test of, and which of them did not hold."""

    performance: Performance
    tested: tuple[str, ...]
    broken: tuple[str, ...]


def judged(play: Play) -> Judgement:
    """Perform a play, and hold every promise against it."""
    performance = Performance(play)
    verdicts = {name: promise(performance) for name, promise in PROMISES.items()}
    tested = tuple(name for name, held in verdicts.items() if held is not None)
    return Judgement(performance, tested, tuple(name for name in tested if not verdicts[name]))
