"""The decisions, as pure functions: refusals first, each saying what to do next."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from retirement.dependents import Dependents, Verdict
from retirement.intents import Intent
from retirement.plans import Plan
from retirement.requests import DependentsPolicy, Request
from retirement.results import Reason, in_words, quoted
from retirement.settings import UndeterminedEmbeds
from retirement.snapshot import Absent, Snapshot
from retirement.timestamps import format_timestamp

ASK_AGAIN = "then ask again under a new retirementId"
SHOWN_GAPS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule says no."""

    reason: Reason
    message: str


class Recognition(Enum):
    """What has become of the datamart that an earlier attempt set out to delete."""

    GONE = auto()
    SAME = auto()
    CHANGED = auto()
    UNKNOWN = auto()


def recognise(sighting: Snapshot | Absent, intent: Intent) -> Recognition:
    """Tell the datamart of the intent from another one under its name.

    Without createdAt on both sides nothing can tell: a re-creation from the backup has the same configuration.
    """
    if isinstance(sighting, Absent) or is_later_generation(sighting.created_at, intent):
        return Recognition.GONE
    if sighting.created_at is None or sighting.created_at != intent.created_at:
        return Recognition.UNKNOWN
    if sighting.configuration_hash != intent.configuration_hash:
        return Recognition.CHANGED
    return Recognition.SAME


def is_later_generation(created_at: datetime | None, intent: Intent) -> bool:
    """Whether this is a datamart created after the one that the intent names: that one is gone."""
    return created_at is not None and intent.created_at is not None and created_at > intent.created_at


def decide(
    request: Request,
    snapshot: Snapshot,
    dependents: Dependents,
    plan: Plan,
    undetermined_embeds: UndeterminedEmbeds,
) -> Refusal | None:
    """Decide on the deletion of what was seen; None is yes. Dry run or not, the decision is the same."""
    return (
        _recreated(request, snapshot)
        or _plan_drifted(request, plan)
        or _dependents_found(request, dependents)
        or _dependents_undetermined(request, dependents, undetermined_embeds)
    )


def _recreated(request: Request, snapshot: Snapshot) -> Refusal | None:
    if snapshot.created_at is None or snapshot.created_at.replace(microsecond=0) <= request.requested_at:
        return None
    return Refusal(
        Reason.RECREATED,
        f"This datamart was created at {format_timestamp(snapshot.created_at)}, after the request of "
        f"{format_timestamp(request.requested_at)}, so it is not the one that was meant. "
        "If it is to go too, ask under a new retirementId.",
    )


def _plan_drifted(request: Request, plan: Plan) -> Refusal | None:
    if request.plan_id is None or request.plan_id == plan.plan_id:
        return None
    return Refusal(
        Reason.PLAN_DRIFTED,
        f"What is there now is plan {plan.plan_id}, not the plan that the request names: compare the two, {ASK_AGAIN}.",
    )


def _dependents_found(request: Request, dependents: Dependents) -> Refusal | None:
    found = dependents.unreviewed(Verdict.USES)
    if request.dependents is DependentsPolicy.IGNORE or not found:
        return None
    return Refusal(
        Reason.DEPENDENTS_FOUND,
        f"{in_words(len(found), 'embed')} would break: {quoted([embed.embed_id for embed in found])}. Point them at "
        f'another datamart, name them in reviewedEmbeds, or set dependents to "ignore", {ASK_AGAIN}.',
    )


def _dependents_undetermined(
    request: Request, dependents: Dependents, undetermined_embeds: UndeterminedEmbeds
) -> Refusal | None:
    undetermined = dependents.unreviewed(Verdict.UNDETERMINED)
    unknown = list(dependents.listing.gaps[:SHOWN_GAPS])
    if undetermined:
        shown = quoted([embed.embed_id for embed in undetermined])
        unknown.insert(0, f"the datamart of {in_words(len(undetermined), 'embed')} ({shown})")
    ignored = request.dependents is DependentsPolicy.IGNORE or undetermined_embeds is UndeterminedEmbeds.REPORT
    if ignored or not unknown:
        return None
    return Refusal(
        Reason.DEPENDENTS_UNDETERMINED,
        f"Databrain does not tell: {'; '.join(unknown)}. Look at them there and name the embeds in reviewedEmbeds, "
        f'or set dependents to "ignore", {ASK_AGAIN}.',
    )
