"""What a sweep decides, as pure functions: which datamarts match, what is asked for, and what is taken back."""

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

# As in the schema of a request: what does not fit cannot be asked for.
REQUESTABLE = re.compile("[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,256}")
MAX_SHOWN_GAPS = 5
MAX_REASON_LENGTH = 1_000  # of a request or a cancellation
# Who asks and takes back, in what a sweep sends; a cancellation by anybody else stands.
SWEEP_PREFIX = "sweep:"


# ---- Which datamarts match -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Datamart:
    """A datamart as it is listed; a time is None where it is not told."""

    name: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class EmbedUse:
    """What all embeds say: the IDs of those of which a datamart is told, by its name, and what is not known."""

    by_datamart: Mapping[str, Sequence[str]]
    undetermined: Sequence[str]
    gaps: Sequence[str]

    @classmethod
    def of(cls, listing: EmbedListing) -> "EmbedUse":
        """Sort the embeds once: the work must not grow with datamarts times embeds."""
        by_datamart: dict[str, list[str]] = {}
        undetermined: list[str] = []
        for embed in listing.embeds:
            if embed.datamart_name is None:
                undetermined.append(embed.embed_id)
            elif embed.datamart_name != NO_DATAMART:
                by_datamart.setdefault(folded(embed.datamart_name), []).append(embed.embed_id)
        return cls(by_datamart, undetermined, listing.gaps)

    def possible_use_of(self, datamart_name: str) -> str | None:
        """Why it cannot be said that no embed uses the datamart; what nothing tells is a possible use."""
        if using := self.by_datamart.get(folded(datamart_name)):
            return f"used by {in_words(len(using), 'embed')}: {quoted(using)}"
        unknown = [shortened(gap) for gap in self.gaps[:MAX_SHOWN_GAPS]]
        if self.undetermined:
            embeds = f"{in_words(len(self.undetermined), 'embed')} ({quoted(self.undetermined)})"
            unknown.insert(0, f"the datamart of {embeds}")
        return f"perhaps in use, since Databrain does not tell: {'; '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class Match:
    """A rule matches, and why."""

    rule: SweepRule
    why: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule names the datamart and does not match it all the same, and why."""

    rule_name: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What the rules say of one datamart, in the policy's order; nothing at all where none names it."""

    datamart: Datamart
    matches: tuple[Match, ...]
    misses: tuple[Miss, ...]

    def match_of(self, rule_name: str) -> Match | None:
        """The match of that rule, None where it does not match."""
        return next((match for match in self.matches if match.rule.name == rule_name), None)

    def why_not(self, rule_name: str) -> str:
        """Why a rule does not match that once did."""
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
    """Hold one datamart against all rules."""
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
    """What no rule can ask for: the retirement would be rejected or blocked."""
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
    """Exactly so long ago is long enough."""
    if least is None:
        return None
    if moment is None:
        return f"Databrain does not tell when it was {what}"
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


# ---- What is asked for ---------------------------------------------------------------------------------------------


class Status(Enum):
    """What has come of a retirement that a sweep asked for."""

    UNANSWERED = auto()  # nothing yet: its event may never have been sent
    SCHEDULED = auto()
    IN_PROGRESS = auto()  # it has written its intent
    NOT_CARRIED_OUT = auto()  # planned, blocked, failed after its intent, or taken back by a sweep
    ABANDONED = auto()  # kept in `Failures`, from where it may be sent again
    GONE = auto()
    CANCELLED = auto()  # by somebody


@dataclass(frozen=True, slots=True)
class Earlier:
    """The last retirement that a rule asked for; `summary` is what has come of it in words, `retire_at` its date."""

    retirement_id: str
    number: int
    status: Status
    summary: str
    retire_at: datetime


class Step(Enum):
    """What a sweep does about a datamart that matches."""

    ASK = auto()
    REPEAT = auto()  # the event of an earlier sweep, which nobody seems to have heard
    WAIT = auto()  # for a retirement that is on its way
    NOTHING = auto()  # it is gone by what is kept, and still listed
    SPARE = auto()  # somebody has called it off


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a datamart that matches: by which rule, under which identity, for which date, and why."""

    datamart: Datamart
    step: Step
    rule: SweepRule
    retirement_id: str
    retire_at: datetime
    why: str
    also_matched: tuple[str, ...]


def decide(finding: Finding, earlier: Mapping[str, Earlier], now: datetime) -> Decision:
    """Decide about a datamart that matches; `earlier` is by the rule's name.

    The first rule that matches asks, unless one that matches has asked already: then its date stands, and nobody's
    clock begins again; and what somebody has called off under one of them none asks for.
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
    """A date that passed unheard was never announced, and where there is to be a grace it is given once more."""
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
    """A retirement that is taken back, and why."""

    datamart: Datamart
    rule_name: str
    earlier: Earlier
    why: str


def lapsed_of(finding: Finding, earlier: Mapping[str, Earlier], now: datetime) -> list[Lapsed]:
    """What is taken back of one datamart: its rule no longer matches, or it failed, or its date has passed unheard.

    What is at work or over is left alone. `earlier` is by the rule's name.
    """
    lapsed = []
    for rule_name, before in earlier.items():
        match = finding.match_of(rule_name)
        if before.status not in {Status.UNANSWERED, Status.SCHEDULED, Status.ABANDONED}:
            continue
        if match is None:
            why = f"no longer matches: {finding.why_not(rule_name)}"
        elif before.status is Status.ABANDONED:  # sent again it would be carried out beside what is asked for anew
            why = "it failed, and another one takes its place"
        elif _is_overdue(before, match.rule, now):  # heard late it would have no grace at all
            why = "its date passed before anything had come of it"
        else:
            continue
        lapsed.append(Lapsed(finding.datamart, rule_name, before, why))
    return lapsed


def refuse_by_limits(decisions: Sequence[Decision], datamarts: int, settings: SweepSettings) -> str | None:
    """Whether so many are matched that something must be wrong: then none is asked for."""
    matched = sum(decision.step is not Step.SPARE for decision in decisions)
    requested = sum(decision.step is Step.ASK for decision in decisions)
    if requested > settings.max_per_sweep:
        return (
            f"{in_words(requested, 'retirement')} would be asked for, and MaxPerSweep is {settings.max_per_sweep}, so "
            "none was. Look at what matched; narrow the policy, or raise MaxPerSweep."
        )
    if matched * 100 > settings.max_sweep_percent * datamarts:
        return (
            f"{matched} of {in_words(datamarts, 'datamart')} match, and MaxSweepPercent is "
            f"{settings.max_sweep_percent}, so no retirement was asked for. Look at what matched; narrow the policy, "
            "or raise MaxSweepPercent."
        )
    return None


# ---- What is sent --------------------------------------------------------------------------------------------------


def request_of(decision: Decision, environment: str) -> Document:
    """The detail of the event that asks."""
    return {
        "datamartName": decision.datamart.name,
        "environment": environment,
        "retirementId": decision.retirement_id,
        "requestedBy": f"{SWEEP_PREFIX}{decision.rule.name} ({decision.rule.owner})",
        "reason": decision.rule.reason,
        "retireAt": format_timestamp(decision.retire_at),
    }


def cancellation_of(lapsed: Lapsed, environment: str) -> Document:
    """The detail of the event that takes back."""
    return {
        "datamartName": lapsed.datamart.name,
        "environment": environment,
        "retirementId": lapsed.earlier.retirement_id,
        "requestedBy": f"{SWEEP_PREFIX}{lapsed.rule_name}",
        "reason": f"The rule {lapsed.rule_name} of the sweep: {lapsed.why}"[:MAX_REASON_LENGTH],
    }
