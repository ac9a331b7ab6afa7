"""The decisions of a sweep, as pure functions: which datamarts match, what is requested, and what is cancelled."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from retirement.canonical import Document
from retirement.databrain.dependents import NO_DATAMART, EmbedListing
from retirement.globs import DatamartLists, allowing_glob, folded, protecting_glob
from retirement.sweeping.ids import Subject
from retirement.sweeping.policy import SweepRule
from retirement.sweeping.settings import SweepSettings
from retirement.timestamps import format_timestamp
from retirement.wording import in_words, quoted, shortened

# The names that a request can contain, as in its schema.
REQUESTABLE = re.compile("[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,256}")
MAX_SHOWN_GAPS = 5
MAX_REASON_LENGTH = 1_000  # characters, as in the schemas of requests and cancellations
# The beginning of requestedBy in what a sweep sends.
SWEEP_PREFIX = "sweep:"


# ---- Which datamarts match -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Datamart:
    """A datamart as it is listed; a time is None if it is unknown."""

    name: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class EmbedUse:
    """Which datamarts the embeds use.

    Attributes:
        by_datamart: folded datamart name -> the IDs of the embeds that use it.
        undetermined: the IDs of embeds whose datamart is unknown.
        gaps: what could not be listed.
    """

    by_datamart: Mapping[str, Sequence[str]]
    undetermined: Sequence[str]
    gaps: Sequence[str]

    @classmethod
    def of(cls, listing: EmbedListing) -> "EmbedUse":
        """Group the embeds once, so that the work does not grow with datamarts times embeds."""
        by_datamart: dict[str, list[str]] = {}
        undetermined: list[str] = []
        for embed in listing.embeds:
            if embed.datamart_name is None:
                undetermined.append(embed.embed_id)
            elif embed.datamart_name != NO_DATAMART:
                by_datamart.setdefault(folded(embed.datamart_name), []).append(embed.embed_id)
        return cls(by_datamart, undetermined, listing.gaps)

    def possible_use_of(self, datamart_name: str) -> str | None:
        """Return which embeds use or may use the datamart, or None if it is certain that none does."""
        if using := self.by_datamart.get(folded(datamart_name)):
            return f"used by {in_words(len(using), 'embed')}: {quoted(using)}"
        unknown = [shortened(gap) for gap in self.gaps[:MAX_SHOWN_GAPS]]
        if self.undetermined:
            embeds = f"{in_words(len(self.undetermined), 'embed')} ({quoted(self.undetermined)})"
            unknown.insert(0, f"the datamart of {embeds}")
        return f"perhaps in use, because Databrain does not report: {'; '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class Match:
    """A rule matches, and why."""

    rule: SweepRule
    why: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule names the datamart but does not match it, and why."""

    rule_name: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The matches and misses of one datamart, in the policy's order; both are empty if no rule names it."""

    datamart: Datamart
    matches: tuple[Match, ...]
    misses: tuple[Miss, ...]

    def match_of(self, rule_name: str) -> Match | None:
        """Return the match of this rule, or None."""
        return next((match for match in self.matches if match.rule.name == rule_name), None)

    def why_not(self, rule_name: str) -> str:
        """Return why this rule does not match, although it once did."""
        for miss in self.misses:
            if miss.rule_name == rule_name:
                return miss.why
        return "the policy has no rule of this name any more, or it no longer names the datamart"


def judge(
    datamart: Datamart,
    rules: Sequence[SweepRule],
    settings: SweepSettings,
    lists: DatamartLists,
    use: EmbedUse,
    now: datetime,
) -> Finding:
    """Compare one datamart with all rules."""
    matches: list[Match] = []
    misses: list[Miss] = []
    for rule in rules:
        glob = allowing_glob(datamart.name, rule.names)
        if glob is None:
            continue
        why_not = _refused_to_all(datamart.name, settings, lists) or _why_not(datamart, rule, use, now)
        if why_not is None:
            matches.append(Match(rule, _why(datamart, rule, glob)))
        else:
            misses.append(Miss(rule.name, why_not))
    return Finding(datamart, tuple(matches), tuple(misses))


def _refused_to_all(name: str, settings: SweepSettings, lists: DatamartLists) -> str | None:
    """Return why no rule can request this datamart's retirement: it would be rejected or blocked."""
    if not REQUESTABLE.fullmatch(name):
        return "its name does not fit a request (1 to 256 characters, no control characters)"
    if glob := protecting_glob(name, settings.protected_datamarts):
        return f'protected by "{shortened(glob)}" in the stack\'s ProtectedDatamarts'
    if glob := protecting_glob(name, lists.protected):
        return f'protected by "{shortened(glob)}" in {lists.where}'
    if allowing_glob(name, settings.retirable_datamarts) is None:
        return "not allowed by the stack's RetirableDatamarts"
    if allowing_glob(name, lists.retirable) is None:
        return f"not allowed by the list retirable in {lists.where}"
    return None


def _why_not(datamart: Datamart, rule: SweepRule, use: EmbedUse, now: datetime) -> str | None:
    if glob := protecting_glob(datamart.name, rule.exempt):
        return f'exempt by "{shortened(glob)}"'
    return (
        _too_late(datamart.created_at, "created", rule.older_than, now)
        or _too_late(datamart.updated_at, "last updated", rule.not_updated_for, now)
        or (use.possible_use_of(datamart.name) if rule.without_embeds else None)
    )


def _too_late(moment: datetime | None, what: str, least: timedelta | None, now: datetime) -> str | None:
    """Return why a time is not long enough ago; exactly `least` is long enough."""
    if least is None:
        return None
    if moment is None:
        return f"Databrain does not report when it was {what}"
    if now - moment >= least:
        return None
    return f"{what} at {format_timestamp(moment)}, less than {in_words(least.days, 'day')} ago"


def _why(datamart: Datamart, rule: SweepRule, glob: str) -> str:
    whys = [f'named by "{shortened(glob)}"']
    if rule.older_than is not None and datamart.created_at is not None:
        whys.append(f"created at {format_timestamp(datamart.created_at)}")
    if rule.not_updated_for is not None and datamart.updated_at is not None:
        whys.append(f"last updated at {format_timestamp(datamart.updated_at)}")
    if rule.without_embeds:
        whys.append("used by no embed")
    return ", ".join(whys)


# ---- What is requested ---------------------------------------------------------------------------------------------


class Status(Enum):
    """What has become of a retirement that a sweep requested."""

    UNANSWERED = auto()  # nothing is stored yet: the event may not have been sent
    SCHEDULED = auto()
    IN_PROGRESS = auto()  # it has an intent
    NOT_CARRIED_OUT = auto()  # planned, blocked, failed after its intent, or cancelled by a sweep
    ABANDONED = auto()  # in `Failures`, from where it may be redriven
    GONE = auto()
    CANCELLED = auto()  # not by a sweep


@dataclass(frozen=True, slots=True)
class Earlier:
    """The last retirement that a rule requested; `summary` describes what has become of it, `retire_at` is its date."""

    retirement_id: str
    number: int
    status: Status
    summary: str
    retire_at: datetime


class Step(Enum):
    """What a sweep does about a datamart that matches."""

    ASK = auto()
    REPEAT = auto()  # send the request of an earlier sweep again, because it has no answer
    WAIT = auto()  # for a retirement that is scheduled or in progress
    NOTHING = auto()  # its receipt says that it is gone, but Databrain lists it
    SPARE = auto()  # a person has cancelled its retirement


@dataclass(frozen=True, slots=True)
class Decision:
    """What a sweep does about a datamart that matches: by which rule, with which identity and date, and why."""

    datamart: Datamart
    step: Step
    rule: SweepRule
    retirement_id: str
    retire_at: datetime
    why: str
    also_matched: tuple[str, ...]


def decide(finding: Finding, earlier: Mapping[str, Earlier], now: datetime) -> Decision:
    """Decide about a datamart that matches.

    The first rule that matches makes the request. But if a matching rule has made one already, its date is unchanged,
    so that no grace period begins again; and if a person has cancelled that request, no rule makes another.

    Args:
        finding: has at least one match.
        earlier: the last requests, by the rule's name.
        now: when the sweep began.
    """
    for status, step in (
        (Status.IN_PROGRESS, Step.WAIT),
        (Status.SCHEDULED, Step.WAIT),
        (Status.CANCELLED, Step.SPARE),
        (Status.GONE, Step.NOTHING),
        (Status.UNANSWERED, Step.REPEAT),
    ):
        for match in finding.matches:
            before = earlier.get(match.rule.name)
            if before is not None and before.status is status and not _is_overdue(before, match.rule, now):
                return _decision(finding, match, step, before.number, before.retire_at, before.summary)
    first = finding.matches[0]
    before, anew = earlier.get(first.rule.name), now.replace(microsecond=0) + first.rule.retire_after
    if before is None:
        return _decision(finding, first, Step.ASK, 1, anew, None)
    return _decision(finding, first, Step.ASK, before.number + 1, anew, before.summary)


def _is_overdue(before: Earlier, rule: SweepRule, now: datetime) -> bool:
    """Return whether the date passed without an answer: it was never announced, so the grace period begins again."""
    return before.status is Status.UNANSWERED and before.retire_at <= now and rule.retire_after > timedelta(0)


def _decision(
    finding: Finding, match: Match, step: Step, number: int, retire_at: datetime, summary: str | None
) -> Decision:
    subject = Subject.of(match.rule.name, finding.datamart.name, finding.datamart.created_at)
    return Decision(
        datamart=finding.datamart,
        step=step,
        rule=match.rule,
        retirement_id=subject.retirement_id(number),
        retire_at=retire_at,
        why=match.why if summary is None else f"{match.why}; {summary}",
        also_matched=tuple(other.rule.name for other in finding.matches if other is not match),
    )


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A retirement that is cancelled, and why."""

    datamart: Datamart
    rule_name: str
    earlier: Earlier
    why: str


def lapsed_of(finding: Finding, earlier: Mapping[str, Earlier], now: datetime) -> list[Lapsed]:
    """Return what to cancel of one datamart: its rule no longer matches, it failed, or its date passed unanswered.

    Retirements that are in progress or have ended are not cancelled. `earlier` has the last requests by the rule's
    name.
    """
    lapsed = []
    for rule_name, before in earlier.items():
        match = finding.match_of(rule_name)
        if before.status not in {Status.UNANSWERED, Status.SCHEDULED, Status.ABANDONED}:
            continue
        if match is None:
            why = f"no longer matches: {finding.why_not(rule_name)}"
        elif before.status is Status.ABANDONED:  # if it is redriven, it must not be carried out beside the new request
            why = "it failed, and a new request replaces it"
        elif _is_overdue(before, match.rule, now):  # if its event arrives late, there would be no grace period
            why = "its date passed before it was scheduled"
        else:
            continue
        lapsed.append(Lapsed(finding.datamart, rule_name, before, why))
    return lapsed


def refuse_by_limits(decisions: Sequence[Decision], datamarts: int, settings: SweepSettings) -> str | None:
    """Return why nothing is requested if a limit is exceeded: so many matches suggest that a rule is wrong."""
    matched = sum(decision.step is not Step.SPARE for decision in decisions)
    requested = sum(decision.step is Step.ASK for decision in decisions)
    if requested > settings.max_per_sweep:
        return (
            f"{in_words(requested, 'retirement')} would be requested, and MaxPerSweep is {settings.max_per_sweep}, so "
            "none was. Check what matched, then narrow the policy or raise MaxPerSweep."
        )
    if matched * 100 > settings.max_sweep_percent * datamarts:
        return (
            f"{matched} of {in_words(datamarts, 'datamart')} match, and MaxSweepPercent is "
            f"{settings.max_sweep_percent}, so no retirement was requested. Check what matched, then narrow the policy "
            "or raise MaxSweepPercent."
        )
    return None


# ---- What is sent --------------------------------------------------------------------------------------------------


def request_of(decision: Decision, environment: str, started_by: str | None) -> Document:
    """Return the detail of the event that requests a retirement; `started_by` is the person who started the sweep."""
    started = {} if started_by is None else {"startedBy": started_by}
    return {
        "datamartName": decision.datamart.name,
        "environment": environment,
        "retirementId": decision.retirement_id,
        "requestedBy": f"{SWEEP_PREFIX}{decision.rule.name} ({decision.rule.owner})",
        "reason": decision.rule.reason,
        "retireAt": format_timestamp(decision.retire_at),
        **started,
    }


def cancellation_of(lapsed: Lapsed, environment: str) -> Document:
    """Return the detail of the event that cancels a retirement."""
    return {
        "datamartName": lapsed.datamart.name,
        "environment": environment,
        "retirementId": lapsed.earlier.retirement_id,
        "requestedBy": f"{SWEEP_PREFIX}{lapsed.rule_name}",
        "reason": f"The rule {lapsed.rule_name} of the sweep: {lapsed.why}"[:MAX_REASON_LENGTH],
    }
