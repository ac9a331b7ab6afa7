"""The decisions about a retirement, as pure functions. Each refusal says what to do next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from retirement.canonical import Document
from retirement.databrain.copies import is_free
from retirement.databrain.dependents import Dependents, Verdict
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.globs import DatamartLists, allowing_glob, folded, protecting_glob
from retirement.outcomes import Reason
from retirement.record.backup import MAX_EXPORTS
from retirement.record.intents import Intent
from retirement.record.plans import Plan
from retirement.requests import DependentsPolicy, Request
from retirement.retiring.drift import drift
from retirement.retiring.settings import RetireSettings, UndeterminedEmbeds
from retirement.timestamps import format_timestamp
from retirement.wording import in_words, quotation, quoted

ASK_AGAIN = "send a request with a new retirementId"
MAX_SHOWN_GAPS = 5
MAX_SHOWN_OBSTACLES = 3
MAX_SIMILAR_NAMES = 3
# Characters of a name. The time that difflib takes to compare two names grows with the cube of their length.
MAX_COMPARED_LENGTH = 48


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason and the message of a rule that says no."""

    reason: Reason
    message: str


CHANGED = Refusal(
    Reason.CHANGED,
    "The datamart was changed after this retirement had decided to delete it, so it was not deleted. Check the change; "
    f"if the datamart still has to go, {ASK_AGAIN}.",
)


PLANNED_ELSEWHERE = Refusal(
    Reason.PLAN_DRIFTED,
    "The plan was made with another service token or DatabrainBaseUrl, and nothing that was listed then is listed now, "
    f"so this appears to be another organisation. Restore a token of the intended one, then {ASK_AGAIN}.",
)


class Recognition(Enum):
    """What has become of the datamart that an earlier attempt was about to delete."""

    GONE = auto()
    SAME = auto()
    CHANGED = auto()
    UNKNOWN = auto()


def recognise(sighting: Snapshot | Absent, intent: Intent) -> Recognition:
    """Compare what is listed with the datamart of the intent.

    This needs createdAt on both sides, because a datamart that was re-created from the backup has the same
    configuration.
    """
    if isinstance(sighting, Absent) or is_later_generation(sighting.created_at, intent):
        return Recognition.GONE
    if sighting.created_at is None or sighting.created_at != intent.created_at:
        return Recognition.UNKNOWN
    if sighting.configuration_hash != intent.configuration_hash:
        return Recognition.CHANGED
    return Recognition.SAME


def is_later_generation(created_at: datetime | None, intent: Intent) -> bool:
    """Return whether this datamart was created after that of the intent, which is then gone."""
    return created_at is not None and intent.created_at is not None and created_at > intent.created_at


def refuse_by_name(request: Request, settings: RetireSettings, lists: DatamartLists) -> Refusal | None:
    """Refuse a name that may not be retired. No request overrides this, and the owner's file overrides no parameter."""
    return _protected(request, settings, lists) or _not_retirable(request, settings, lists)


def refuse_by_count(used: int, settings: RetireSettings, now: datetime) -> Refusal | None:
    """Refuse if the limit of this UTC day is reached."""
    return daily_limit_reached(used, settings, now) if used >= settings.max_retirements_per_day else None


def daily_limit_reached(used: int, settings: RetireSettings, now: datetime) -> Refusal:
    """Return the refusal of a retirement that exceeds the day's limit; it is not queued silently."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return Refusal(
        Reason.DAILY_LIMIT_REACHED,
        f"{used} of {settings.max_retirements_per_day} retirements of this UTC day are used (MaxRetirementsPerDay). "
        f"The count starts again at {format_timestamp(tomorrow)}: {ASK_AGAIN} then.",
    )


def decide(
    request: Request,
    snapshot: Snapshot,
    dependents: Dependents,
    plan: Plan,
    named_plan: Document | None,
    settings: RetireSettings,
) -> Refusal | None:
    """Decide on the deletion of what was seen; None means yes. A dry run gets the same decision.

    `named_plan` is the plan that the request names; None if it names none, or that plan is not stored.
    """
    return (
        ambiguous_name(snapshot)
        or _recreated(request, snapshot)
        or _plan_drifted(request, plan, named_plan)
        or _dependents_found(request, dependents)
        or _dependents_undetermined(request, dependents, settings)
        or _not_restorable(request, plan)
        or _not_rehearsable(request, snapshot, plan)
        or _backup_incomplete(request, dependents)
    )


def refuse_copy_name(name: str, listing: Listing, settings: RetireSettings, lists: DatamartLists) -> Refusal | None:
    """Refuse to rehearse under a name that is taken, or under which the copy could not be removed again."""
    if not is_free(name, listing.created_at):
        return rehearsal_failed(f"Databrain lists a datamart {quoted([name])}, or one of a nearly identical name")
    glob = protecting_glob(name, (*settings.protected_datamarts, *lists.protected))
    if glob is not None:
        return rehearsal_failed(f'"{glob}" protects {quoted([name])}, so the copy could not be removed')
    return None


def rehearsal_failed(why: str) -> Refusal:
    """Return the refusal of a retirement whose rehearsal failed."""
    return Refusal(
        Reason.REHEARSAL_FAILED,
        f"The rehearsal failed, so the datamart was not deleted: {why}. Fix that, or set rehearse to false, then "
        f"{ASK_AGAIN}.",
    )


def ask_message(request: Request, plan: Plan, missing: int, changes: str | None) -> str:
    """Return the message of an ask for approval; what people wrote is quoted."""
    drifted = "" if changes is None else f"The plan that was asked for before no longer applies: {changes}. "
    sweep = "" if request.started_by is None else f", in a sweep that {quotation(request.started_by)} started"
    lasting = ", which could not be restored (notRestorable)" if plan.not_restorable else ""
    return (
        f"{drifted}The deletion of the datamart{lasting if request.backup else ' without a backup'} waits for "
        f"{in_words(missing, 'approval')}. It was requested by {quotation(request.requested_by)}{sweep}, with the "
        f"reason {quotation(request.reason)}. To allow exactly what plan {plan.plan_id} contains, another person sends "
        "a Datamart Retirement Approved with this retirementId and planId. To refuse it, send a Datamart Retirement "
        "Cancelled with this retirementId."
    )


def refuse_unapproved(approved_at: Iterable[datetime], settings: RetireSettings, now: datetime) -> Refusal | None:
    """Refuse if too few approvals of the plan count now; each counts for `approval_expires_in`."""
    counting = sum(now < moment + settings.approval_expires_in for moment in approved_at)
    if counting >= settings.approvals_required:
        return None
    return Refusal(
        Reason.APPROVAL_EXPIRED,
        f"{counting} of {in_words(settings.approvals_required, 'approval')} counted when the datamart was to be "
        f"deleted. An approval counts for {in_words(settings.approval_expires_in.days, 'day')} (ApprovalExpiresIn), "
        "and not if its sender has requested or moved the retirement. If the datamart still has to go, "
        f"{ASK_AGAIN}.",
    )


def similar_names(name: str, listing: Listing) -> list[str]:
    """Return up to `MAX_SIMILAR_NAMES` listed names that the request may have meant."""
    from difflib import get_close_matches  # noqa: PLC0415  # only where nothing was found

    by_folded: dict[str, list[str]] = {}
    for listed in listing.created_at:
        by_folded.setdefault(folded(listed)[:MAX_COMPARED_LENGTH], []).append(listed)
    similar = get_close_matches(folded(name)[:MAX_COMPARED_LENGTH], by_folded, n=MAX_SIMILAR_NAMES)
    return [listed for match in similar for listed in by_folded[match]][:MAX_SIMILAR_NAMES]


def _protected(request: Request, settings: RetireSettings, lists: DatamartLists) -> Refusal | None:
    for globs, where in (
        (settings.protected_datamarts, "the stack's ProtectedDatamarts"),
        (lists.protected, lists.where),
    ):
        glob = protecting_glob(request.datamart_name, globs)
        if glob is not None:
            return Refusal(
                Reason.PROTECTED, f'The datamart is protected by "{glob}" in {where}, and no request overrides that.'
            )
    return None


def _not_retirable(request: Request, settings: RetireSettings, lists: DatamartLists) -> Refusal | None:
    for globs, what in (
        (settings.retirable_datamarts, "The stack's RetirableDatamarts"),
        (lists.retirable, f"The list retirable in {lists.where}"),
    ):
        if allowing_glob(request.datamart_name, globs) is None:
            return Refusal(
                Reason.NOT_RETIRABLE,
                f"{what} does not allow a datamart of this name to be deleted. To allow it, have that list changed, "
                f"then {ASK_AGAIN}.",
            )
    return None


def ambiguous_name(snapshot: Snapshot) -> Refusal | None:
    """Refuse if a name that differs only in case, surrounding spaces or Unicode form is listed too."""
    own = folded(snapshot.name)
    alike = [name for name in snapshot.listing.created_at if name != snapshot.name and folded(name) == own]
    if not alike:
        return None
    return Refusal(
        Reason.AMBIGUOUS_NAME,
        f"Databrain also lists {quoted(alike)}, and does not document how it compares names when it deletes. Delete "
        "one of them by hand in Databrain.",
    )


def _recreated(request: Request, snapshot: Snapshot) -> Refusal | None:
    if snapshot.created_at is None or snapshot.created_at <= request.cutoff:
        return None
    return Refusal(
        Reason.RECREATED,
        f"This datamart was created at {format_timestamp(snapshot.created_at)}, after the request of "
        f"{format_timestamp(request.requested_at)}, so it is not the one that was meant. "
        f"If it has to go too, {ASK_AGAIN}.",
    )


def _plan_drifted(request: Request, plan: Plan, named_plan: Document | None) -> Refusal | None:
    if request.plan_id is None or request.plan_id == plan.plan_id:
        return None
    changes = "no plan is stored under its planId"
    if named_plan is not None:
        changes = "; ".join(drift(named_plan, plan.document()))
    return Refusal(
        Reason.PLAN_DRIFTED,
        f"The plan of the request no longer applies: {changes}. Read plan {plan.plan_id} of the present state, then "
        f"{ASK_AGAIN}.",
    )


def _obstacle(request: Request, plan: Plan) -> str | None:
    """Return what certainly prevents a restore, or None."""
    if not request.backup:
        return "it would be deleted without a backup"
    if not plan.not_restorable:
        return None
    more = len(plan.not_restorable) - MAX_SHOWN_OBSTACLES
    shown = "; ".join(plan.not_restorable[:MAX_SHOWN_OBSTACLES])
    return f"{shown}; and {more} more in notRestorable" if more > 0 else shown


def _not_rehearsable(request: Request, snapshot: Snapshot, plan: Plan) -> Refusal | None:
    if not request.rehearse:
        return None
    obstacle = _obstacle(request, plan)
    if obstacle is None and snapshot.created_at is None:
        obstacle = "Databrain does not report when a datamart was created, so a copy could not be recognised"
    return None if obstacle is None else rehearsal_failed(obstacle)


def _not_restorable(request: Request, plan: Plan) -> Refusal | None:
    why = _obstacle(request, plan)
    if not request.require_restorable or why is None:
        return None
    return Refusal(
        Reason.NOT_RESTORABLE,
        f"The datamart could not be restored afterwards ({why}), and a restorable one is required. Change that, or set "
        f"requireRestorable to false, then {ASK_AGAIN}.",
    )


def _backup_incomplete(request: Request, dependents: Dependents) -> Refusal | None:
    using = len(dependents.with_verdict(Verdict.USES))
    if not request.backup or using <= MAX_EXPORTS:
        return None
    return Refusal(
        Reason.BACKUP_INCOMPLETE,
        f"{in_words(using, 'embed')} use the datamart, and a backup holds the exports of {MAX_EXPORTS}. Point some of "
        f"them at another datamart, or set backup to false, then {ASK_AGAIN}.",
    )


def _dependents_found(request: Request, dependents: Dependents) -> Refusal | None:
    found = dependents.unreviewed(Verdict.USES)
    if request.dependents is DependentsPolicy.IGNORE or not found:
        return None
    return Refusal(
        Reason.DEPENDENTS_FOUND,
        f"{in_words(len(found), 'embed')} would break: {quoted([embed.embed_id for embed in found])}. Point them at "
        f'another datamart, name them in reviewedEmbeds, or set dependents to "ignore", then {ASK_AGAIN}.',
    )


def _dependents_undetermined(request: Request, dependents: Dependents, settings: RetireSettings) -> Refusal | None:
    undetermined = dependents.unreviewed(Verdict.UNDETERMINED)
    unknown = list(dependents.listing.gaps[:MAX_SHOWN_GAPS])
    if undetermined:
        shown = quoted([embed.embed_id for embed in undetermined])
        unknown.insert(0, f"the datamart of {in_words(len(undetermined), 'embed')} ({shown})")
    ignored = request.dependents is DependentsPolicy.IGNORE or settings.undetermined_embeds is UndeterminedEmbeds.REPORT
    if ignored or not unknown:
        return None
    return Refusal(
        Reason.DEPENDENTS_UNDETERMINED,
        f"Databrain does not report: {'; '.join(unknown)}. Review the embeds in Databrain and name them in "
        f'reviewedEmbeds, or set dependents to "ignore", then {ASK_AGAIN}.',
    )
