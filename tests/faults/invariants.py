"""What must hold in every case, judged by what really happened."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from retirement.canonical import ordered_json, parse_json, sha256_hex
from retirement.errors import Abandoned, RetirementError
from retirement.outcomes import Reason
from retirement.retiring.workflow import TIME_TO_DELETE
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import Parsed
from tests.faults.cases import Case, Crashes, Order, has_result, played
from tests.faults.stage import Deletion, Ending, Event, Stage, identity_of, is_same
from tests.faults.wire import SECRETS, Reach

GUARDED_BY_NAME = {
    "protected",
    "not retirable",
    "protected by the owner's file",
    "not retirable by the owner's file",
}

# None: the case has nothing to say on it.
Invariant: TypeAlias = Callable[[Case, Stage], bool | None]


def _backed_up(case: Case, stage: Stage) -> bool | None:
    asked = case.scenario.event["detail"].get("backup", case.scenario.settings.backup_by_default)
    if not asked or not stage.deletions:
        return None
    references = [
        ending.result["backup"] for ending in stage.endings if ending.result and ending.result["outcome"] == "deleted"
    ]
    return all(deletion.had_backup for deletion in stage.deletions) and all(
        sha256_hex(stage.evidence.objects[reference["key"]].body) == reference["sha256"] for reference in references
    )


def _once(case: Case, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    deletions = Counter(identity_of(deletion.event) for deletion in stage.deletions)
    return all(count == 1 for count in deletions.values()) if deletions else None


def _seen(case: Case, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    return all(is_seen(deletion, stage) for deletion in stage.deletions) if stage.deletions else None


def is_seen(deletion: Deletion, stage: Stage) -> bool:
    """No re-created one, and none that was edited after the intent had been written."""
    dated = stage.organisation.options.lists_created_at
    if dated and parse_timestamp(deletion.datamart.created_at) > parse_timestamp(deletion.event["time"]):
        return False
    return deletion.datamart == stage.intended.get(identity_of(deletion.event))


def _dependents(case: Case, stage: Stage) -> bool | None:
    detail = case.scenario.event["detail"]
    if detail.get("dependents") == "ignore" or not stage.deletions:
        return None
    reviewed = detail.get("reviewedEmbeds", [])
    return not any(
        embed.datamart == deletion.datamart.name or (embed.datamart is None and not case.scenario.reports)
        for deletion in stage.deletions
        if deletion.event["detail"].get("dependents") != "ignore"
        for embed in deletion.embeds
        if embed.embed_id not in reviewed
    )


def _dry(case: Case, stage: Stage) -> bool | None:
    return not stage.sent if case.scenario.is_dry_run else None


def _alike(case: Case, stage: Stage) -> bool | None:
    """The first delivery decides as a dry run does that the same fault strikes."""
    if case.order is not Order.SINGLE or case.crash is not Crashes.NONE or case.scenario.is_dry_run:
        return None
    event = case.scenario.event
    if "retireAt" in event["detail"]:  # what was scheduled is this request, and not a dry run of it
        return None
    dry, real = (
        each.endings[0] for each in (played(case, {**event, "detail": {**event["detail"], "dryRun": True}}), stage)
    )
    if dry.decisions and real.decisions and dry.decisions != real.decisions:
        return False
    if not (dry.result and real.result):
        return True
    if dry.result["outcome"] == "planned" and real.result["reason"] == "rehearsal_failed":
        return case.scenario.rehearses
    if dry.result["outcome"] == "planned":
        return bool(real.result["outcome"] == "deleted") and dry.result["planId"] == real.result["planId"]
    return all(dry.result[field] == real.result[field] for field in ("outcome", "reason", "planId"))


def _protected(case: Case, stage: Stage) -> bool | None:
    if case.scenario.name not in GUARDED_BY_NAME:
        return None
    return not stage.sent and "sales" in stage.organisation.datamarts


def _unasked(case: Case, stage: Stage) -> bool | None:
    return stage.requests == 0 if case.scenario.name in {*GUARDED_BY_NAME, "limit reached"} else None


def _forbidden(case: Case, stage: Stage) -> bool | None:
    return not stage.sent if case.scenario.is_forbidden else None


def _honest(case: Case, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    return all(is_honest(ending, stage) for ending in stage.endings)


def is_honest(ending: Ending, stage: Stage) -> bool:
    """`deleted` only of what is gone; no result denies a deletion, nor does the reason of a giving-up."""
    if ending.result is None:
        is_in_doubt = ending.kept_reason is Reason.UNCONFIRMED or stage.receipt(ending.event) is not None
        return is_in_doubt or not ending.has_deleted
    if ending.result["outcome"] == "deleted":
        said_so = any(sent.is_clear for sent in stage.sent if identity_of(sent.event) == identity_of(ending.event))
        return ending.was_gone is True and (said_so or ending.result["confirmedBy"] == "absence")
    return not ending.has_deleted


def tells_no_secret(stage: Stage, secrets: Iterable[str] = SECRETS) -> bool:
    """Nothing that was written holds a token."""
    errors = errors_told(stage.telemetry.errors)
    bodies = (kept.key + kept.body for kept in stage.evidence.objects.values())
    written = "\n".join(chain(bodies, stage.results_topic.messages, map(repr, stage.telemetry.steps), errors))
    return not any(secret in written for secret in secrets)


def errors_told(errors: Iterable[BaseException]) -> Iterator[str]:
    """All that errors say, and what they came from."""
    return chain.from_iterable(map(_chain, errors))


def _chain(error: BaseException) -> Iterator[str]:
    """An error and all that it came from, suppressed or not."""
    cause: BaseException | None = error
    while cause is not None:
        yield f"{cause} {cause!r}"
        cause = cause.__cause__ or cause.__context__


def _ends(case: Case, stage: Stage) -> bool | None:
    events = {identity_of(ending.event): ending.event for ending in stage.endings}
    return all(map(is_clear, stage.endings)) and all(_has_ended(event, case, stage) for event in events.values())


def is_clear(ending: Ending) -> bool:
    """A result, a crash, or an error that says what it is."""
    return ending.error is None or isinstance(ending.error, RetirementError)


def _has_ended(event: Event, case: Case, stage: Stage) -> bool:
    """A request has its result; or it was given up where nothing tells one datamart from another."""
    if has_result(stage, event):
        return stage.receipt(event) is not None
    last = [ending for ending in stage.endings if ending.event == event][-1]
    return not case.scenario.lists_created_at and isinstance(last.error, Abandoned)


def is_published(stage: Stage) -> bool:
    """Every result that was returned, and nothing that differs from a receipt, a failure, a date or a cancellation."""
    returned = {ordered_json(ending.result) for ending in stage.endings if ending.result is not None}
    kept = _kept(stage, "receipt.json", "failure-", "schedule-", "cancelled.json")
    return returned <= set(stage.results_topic.messages) <= kept


def _kept(stage: Stage, *file_names: str) -> set[str]:
    """As it is to be published."""
    objects = stage.evidence.objects.items()
    return {_message(parse_json(kept.body)) for key, kept in objects if key.rpartition("/")[2].startswith(file_names)}


def _message(kept: Parsed) -> str:
    """What is published of a receipt or a failure: not the event, where that is kept too."""
    return ordered_json({field: value for field, value in kept.items() if field != "event"})


def all_published(stage: Stage) -> bool:
    """Every receipt."""
    return _kept(stage, "receipt.json") <= set(stage.results_topic.messages)


def are_abandoned_well(stage: Stage) -> bool | None:
    """All that were abandoned."""
    abandoned = [ending for ending in stage.endings if ending.delivery.is_last and ending.result is None]
    return all(is_abandoned_well(ending, stage) for ending in abandoned) if abandoned else None


def is_abandoned_well(ending: Ending, stage: Stage) -> bool:
    """There was no receipt; its failure is published, and kept with the event and the right reason; SQS is to move it.

    Of a last receive that crashes, or of which one call fails for good, the message may be all that is kept.
    """
    strike = ending.strike
    if not isinstance(ending.error, Abandoned):
        return strike is not None and (strike.crash_before or strike.crash_after or strike.reach is Reach.LASTING)
    receipt = stage.receipt(ending.event)
    if receipt is not None and parse_timestamp(receipt["finishedAt"]) < ending.started_at:
        return False
    (failure,) = (
        kept for kept in stage.failures(ending.event) if kept["startedAt"] == format_timestamp(ending.started_at)
    )
    without_the_table = Reason.UNCONFIRMED if ending.has_intent else Reason.INTERNAL_ERROR
    reasons = {ending.kept_reason or without_the_table} | ({without_the_table} if strike else set())
    # it makes no attempt: what is deleted from then on, another delivery alongside has deleted, and reports
    is_overtaken = any(
        deletion.event["detail"] == ending.event["detail"] and deletion.at >= ending.started_at
        for deletion in stage.deletions
    )
    says_why = failure["reason"] in reasons and (failure["reason"] == Reason.UNCONFIRMED or not ending.has_deleted)
    return (
        (says_why or is_overtaken)
        and failure["event"] == ending.delivery.body
        and _message(failure) in stage.results_topic.messages
        and (strike is not None or stage.inbox.redelivery_delays[str(ending.delivery.receipt_handle)] == 0)
    )


def _within_limit(case: Case, stage: Stage) -> bool | None:
    most = case.scenario.settings.max_retirements_per_day
    days = Counter(deletion.at.date() for deletion in stage.deletions)
    if most >= len(stage.receives):  # too few requests to pass it
        return None
    return all(count <= most for count in days.values())


def _in_time(case: Case, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    return all(sent.seconds_left >= TIME_TO_DELETE for sent in stage.sent) if stage.sent else None


def _untouched(case: Case, stage: Stage) -> bool | None:
    return not stage.disturbed if case.scenario.rehearses else None


def _copies_named(case: Case, stage: Stage) -> bool | None:
    return not stage.unnamed if case.scenario.rehearses else None


def _one_copy(case: Case, stage: Stage) -> bool | None:
    counts = Counter(identity_of(made.event) for made in stage.copies)
    return all(count == 1 for count in counts.values()) if case.scenario.rehearses else None


def _ours_alone(case: Case, stage: Stage) -> bool | None:
    if not case.scenario.rehearses:
        return None
    return all(any(is_same(gone, made.datamart) for made in stage.copies) for gone in stage.removals)


def _rehearsed_first(case: Case, stage: Stage) -> bool | None:
    return all(_was_rehearsed(deletion, stage) for deletion in stage.deletions) if case.scenario.rehearses else None


def _was_rehearsed(deletion: Deletion, stage: Stage) -> bool:
    """Its copy was as the original, and was found to be."""
    rehearsed, configuration = stage.rehearsed(deletion.event), deletion.datamart.configuration
    is_like_it = any(made.datamart.configuration == configuration for made in stage.copies)
    return is_like_it and rehearsed is not None and rehearsed["failure"] is None


INVARIANTS: dict[str, Invariant] = {
    "no delete without a verified backup of exactly that, if one was requested": _backed_up,
    "at most one successful delete per retirement": _once,
    "no delete of a datamart that was re-created or edited meanwhile": _seen,
    "no delete with found or unreviewed undetermined dependents": _dependents,
    "a dry run sends no delete": _dry,
    "plan and execution decide alike": _alike,
    "a protected or not retirable datamart is never deleted": _protected,
    "a refusal by name or count sends no request to Databrain": _unasked,
    "a datamart that any other rule forbids to delete is not deleted": _forbidden,
    "`deleted` only if it is gone; no result denies a deletion": _honest,
    "no token in anything written": lambda _, stage: tells_no_secret(stage),
    "every delivery ends with a receipt or an error, every request with a result": _ends,
    "everything published is stored, to the byte": lambda _, stage: is_published(stage),
    "every receipt is published": lambda _, stage: all_published(stage),
    "an abandoned request has its failure published and is stored": lambda _, stage: are_abandoned_well(stage),
    "the daily limit is never exceeded": _within_limit,
    "a delete leaves time to confirm and record it": _in_time,
    "the original is never touched by a rehearsal": _untouched,
    "a copy never stays without being named": _copies_named,
    "at most one copy is created per retirement": _one_copy,
    "only our copy is ever deleted by a rehearsal": _ours_alone,
    "nothing is deleted without a rehearsal that succeeded, where one was asked for": _rehearsed_first,
}


@dataclass(frozen=True)
class Verdict:
    """Of one case: its name, which invariants it was a test of, and which of them did not hold."""

    case: str
    tested: tuple[str, ...]
    broken: tuple[str, ...]


def judged(case: Case) -> Verdict:
    """Play a case, and hold every invariant against it."""
    stage = played(case)
    verdicts = {name: invariant(case, stage) for name, invariant in INVARIANTS.items()}
    tested = tuple(name for name, held in verdicts.items() if held is not None)
    return Verdict(case.name, tested, tuple(name for name in tested if not verdicts[name]))
