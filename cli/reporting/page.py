"""The page: one self-contained HTML file, in which what the bucket holds is text, never markup, up to a limit."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cli.reporting.estate import AWAITING, READERS, SCHEDULED, Estate, Rejection, Retirement
from cli.reporting.evidence import Bucket, Listed, Unreadable
from cli.reporting.papers import NO_RESULT, UNREADABLE, Kind
from cli.reporting.restores import Restore
from cli.reporting.spelling import laid_out, visible, visible_name
from cli.reporting.statements import MIB
from cli.reporting.timeline import timeline
from cli.reporting.words import (
    EMBED_STATES,
    RESTORE_STATES,
    STATES,
    confirmation_in_words,
    label_of,
    reason_in_words,
    style_of,
)
from retirement.record.results import MAX_SHOWN
from retirement.timestamps import format_timestamp

_Shown = TypeVar("_Shown", Retirement, Restore, Rejection)
_Titled: TypeAlias = "tuple[str, Listed]"

MAX_LAID_OUT = MIB // 4  # bytes of a document that is laid out as JSON; of a larger one the beginning is shown
BRIEF = 300  # characters of a message in a list
BATCH_SIZE = 32  # retirements whose documents are in memory


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a page holds. What is left out is said in the page, with where it is."""

    document: int = 32 * 1024  # characters of one document
    papers: int = 20  # documents of one retirement or restore
    # Bytes of HTML for retirements, the same again for restores and for rejected events: all their documents, and
    # everything else.
    documents: int = 8 * MIB
    records: int = 4 * MIB
    entries: int = 100  # of each list
    reasons: int = 30  # for which something was blocked, and of each outcome


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the page shows it. `text` is None where it is left out; `note` says what is left out, and why."""

    title: str
    uri: str
    size: int
    text: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A retirement in a list; `number` is the anchor of its record, None where the page holds none."""

    retirement: Retirement
    number: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Retirements that belong together; `entries` are the first of `count`."""

    reason: str | None
    count: int
    entries: Sequence[Entry]

    @property
    def message(self) -> str | None:
        """What all entries say; None where they differ."""
        messages = {entry.retirement.stands.message for entry in self.entries if entry.retirement.stands}
        return messages.pop() if len(messages) == 1 and len(self.entries) > 1 else None

    @property
    def more(self) -> int:
        """How many are not shown here."""
        return self.count - len(self.entries)


def render(estate: Estate, bucket: Bucket, limits: Limits | None = None) -> str:
    """The whole page. It reads the documents that it holds, those of the newest retirements first."""
    limits = limits or Limits()
    environment = _environment()
    style = environment.get_template("page.css").render()
    records = _Records(environment, bucket, limits)
    retirements = records.fitting(estate.retirements, "retirement", _papers)
    undone = _Records(environment, bucket, limits)
    restores = undone.fitting(estate.restores[: limits.entries], "restore", _papers)
    events = _Records(environment, bucket, limits)
    rejections = events.fitting(estate.rejections[: limits.entries], "rejection", _event)
    shown = len(retirements)
    entries = [Entry(entry, number if number < shown else None) for number, entry in enumerate(estate.retirements)]
    over_time = timeline((entry.at, _charted(entry)) for entry in estate.retirements if entry.state not in _NO_ENDS)
    return environment.get_template("page.html").render(
        estate=estate,
        limits=limits,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        summary=_summary(estate),
        tallies=_tallies(estate),
        over_time=over_time,
        bars=over_time.bars(CHARTED),
        charted=[state for state in CHARTED if any(period.counts[state] for period in over_time.periods)],
        outcomes=_outcomes(estate),
        blocked=_by_reason(entries, limits),
        failed=_group(entries, limits, lambda entry: entry.state == "failed"),
        unfinished=_group(entries, limits, lambda entry: entry.state in {NO_RESULT, UNREADABLE, AWAITING}),
        overcome=_group(entries, limits, _is_overcome),
        scheduled=_group(
            sorted(entries, key=lambda entry: _due(entry.retirement)), limits, lambda entry: entry.state == SCHEDULED
        ),
        cancelled=_group(entries, limits, lambda entry: entry.state == "cancelled"),
        months=_months(estate.retirements, retirements),
        restores=restores,
        restores_without_documents=undone.without_documents,
        open_restores=sum(restore.state in _OPEN for restore in estate.restores),
        rejections=rejections,
        left_out=len(estate.retirements) - shown,
        without_documents=records.without_documents,
        events_without_documents=events.without_documents,
    )


OTHER = "other"
_OPEN = {"failed", NO_RESULT, UNREADABLE}
_NO_ENDS = {SCHEDULED, AWAITING, "approved", NO_RESULT, UNREADABLE}
CHARTED = (*(state for state in STATES if state not in _NO_ENDS | {"rejected"}), OTHER)

_TITLES = {
    Kind.RECEIPT: "Receipt",
    Kind.DIFFERENCES: "Differences",
    Kind.CANCELLED: "Cancellation",
    Kind.FAILURE: "Failure",
    Kind.CANCELLATION_FAILURE: "Failure of a cancellation",
    Kind.APPROVAL: "Approval",
    Kind.ASK: "Ask for approval",
    Kind.ASK_REMINDER: "Reminder of an ask for approval",
    Kind.APPROVAL_FAILURE: "Failure of an approval",
    Kind.SCHEDULE: "Schedule",
    Kind.REMINDER: "Reminder",
    Kind.ARRIVAL: "First arrival",
    Kind.INTENT: "Intent",
    Kind.REHEARSED: "End of the rehearsal",
    Kind.REHEARSAL: "Rehearsal",
    Kind.EMBED: "Request to create an embed",
    Kind.PLAN: "Plan",
    Kind.BACKUP: "Backup",
}


class _Records:
    """Renders what the page holds of single retirements and events, as far as the limits go."""

    def __init__(self, environment: Environment, bucket: Bucket, limits: Limits) -> None:
        self._macros: Any = environment.get_template("records.html").module
        self._bucket = bucket
        self._limits = limits
        self._documents_left = limits.documents
        self._records_left = limits.records
        self.without_documents = 0

    def fitting(
        self, entries: Sequence[_Shown], macro: str, papers_of: Callable[[_Shown], Sequence[_Titled]]
    ) -> list[str]:
        """The records of the first entries, as many as the page may hold."""
        render = getattr(self._macros, macro)
        records: list[str] = []
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(entries), BATCH_SIZE):
                chunk = entries[start : start + BATCH_SIZE]
                read = partial(self._documents, read=self._documents_left > 0)
                for entry, documents in zip(chunk, pool.map(read, map(papers_of, chunk)), strict=True):
                    bare = render(len(records), entry, [replace(document, text=None) for document in documents])
                    self._records_left -= len(bare.encode())
                    if self._records_left < 0:
                        return records
                    records.append(self._with_documents(bare, render(len(records), entry, documents)))
        return records

    def _with_documents(self, bare: str, whole: str) -> str:
        """The whole record, unless the documents on the page would be too many; then none gets any from here on."""
        self._documents_left -= len(whole.encode()) - len(bare.encode())
        if self._documents_left > 0:
            return whole
        self.without_documents += 1
        return bare

    def _documents(self, papers: Sequence[_Titled], *, read: bool) -> list[Document]:
        shown = [self._document(title, listed, read=read) for title, listed in papers[: self._limits.papers]]
        if more := papers[self._limits.papers :]:
            folder = self._uri(more[0][1]).rpartition("/")[0]
            shown.append(Document(f"{len(more):,} more", f"{folder}/", sum(listed.size for _, listed in more)))
        return shown

    def _document(self, title: str, listed: Listed, *, read: bool) -> Document:
        text, note = self._text(listed) if read else (None, None)
        return Document(title, self._uri(listed), listed.size, text, note)

    def _uri(self, listed: Listed) -> str:
        return f"s3://{self._bucket.name}/{listed.key}"

    def _text(self, listed: Listed) -> tuple[str | None, str | None]:
        most = self._limits.document
        try:
            beginning = self._bucket.read(listed, MAX_LAID_OUT)
        except Unreadable as error:
            return None, str(error)
        text = laid_out(beginning) if listed.size <= MAX_LAID_OUT else beginning.decode(errors="replace")
        if listed.size <= MAX_LAID_OUT and len(text) <= most:
            return text, None
        return text[
            :most
        ], f"Only the first {most:,} characters are shown. The complete document is at the address above."


def _papers(entry: Retirement | Restore) -> list[_Titled]:
    return [(f"{_TITLES[paper.kind]} {paper.number or ''}".rstrip(), paper.listed) for paper in entry.papers]


def _event(rejection: Rejection) -> list[_Titled]:
    return [("Receipt, with the event", rejection.listed)]


def _summary(estate: Estate) -> list[str]:
    """What a manager asks first, in sentences."""
    tally = Counter(retirement.state for retirement in estate.retirements)
    undone = Counter(restore.state for restore in estate.restores)
    bare = sum(1 for entry in estate.standing("deleted") if entry.stands and entry.stands.backup is None)
    backups = "with a verified backup" if tally["deleted"] == 1 else "each with a verified backup"
    kept = f"{bare:,} without a backup, as requested" if bare else backups
    sentences = [
        (tally["deleted"], f"{_many(tally['deleted'], 'datamart was', 'datamarts were')} deleted, {kept}."),
        (tally["blocked"], f"{_many(tally['blocked'], 'request was', 'requests were')} blocked."),
        (tally["failed"], f"{_many(tally['failed'], 'retirement', 'retirements')} failed and can be redriven."),
        (
            tally[SCHEDULED],
            f"{_many(tally[SCHEDULED], 'retirement waits', 'retirements wait')} for the requested date.",
        ),
        (undone["restored"], f"{_many(undone['restored'], 'datamart was', 'datamarts were')} restored."),
        (undone["failed"], f"{_many(undone['failed'], 'restore', 'restores')} failed and can be redriven."),
    ]
    told = [sentence for count, sentence in sentences if count]
    return told or ["Nothing was deleted, blocked or abandoned so far." if estate.objects else "The bucket is empty."]


def _size(size: int) -> str:
    if size < 1024:  # noqa: PLR2004 -- a KiB
        return _many(size, "byte", "bytes")
    return f"{size / 1024:,.1f} KiB" if size < MIB else f"{size / MIB:,.1f} MiB"


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[state]:,} {label_of(state).lower()}" for state in CHARTED if counts[state])


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _tallies(estate: Estate) -> list[tuple[str, int]]:
    """Each state with its count, those that matter to everybody in any case."""
    tally = Counter(retirement.state for retirement in estate.retirements)
    tally["rejected"] += len(estate.rejections)
    always = ("deleted", "blocked", "failed")
    unknown = sorted(tally.keys() - STATES.keys())
    return [(state, tally[state]) for state in (*STATES, *unknown) if tally[state] or state in always]


def _outcomes(estate: Estate) -> list[tuple[str, str | None, int]]:
    """Each outcome and reason with its count."""
    tally = Counter((entry.state, entry.stands.reason if entry.stands else None) for entry in estate.retirements)
    tally.update(("rejected", event.told.reason if event.told else None) for event in estate.rejections)
    order = [*STATES, *sorted({state for state, _ in tally} - STATES.keys())]
    rows = [(state, reason, count) for (state, reason), count in tally.items()]
    return sorted(rows, key=lambda row: (order.index(row[0]), -row[2], row[1] or ""))


def _by_reason(entries: Sequence[Entry], limits: Limits) -> list[Group]:
    """The blocked ones, the most frequent reason first; the reasons share a list's entries."""
    blocked = [entry for entry in entries if entry.retirement.state == "blocked"]
    tally = Counter(map(_reason_of, blocked)).most_common(limits.reasons)
    most = limits.entries // max(len(tally), 1)
    return [
        Group(reason, count, [entry for entry in blocked if _reason_of(entry) == reason][:most])
        for reason, count in tally
    ]


def _reason_of(entry: Entry) -> str | None:
    return entry.retirement.stands.reason if entry.retirement.stands else None


def _group(entries: Iterable[Entry], limits: Limits, belongs: Callable[[Retirement], bool]) -> Group:
    chosen = [entry for entry in entries if belongs(entry.retirement)]
    return Group(None, len(chosen), chosen[: limits.entries])


def _is_overcome(retirement: Retirement) -> bool:
    """Return whether its last failure was followed by something else."""
    if retirement.state in _OPEN:
        return False
    return any(failure.finished_at <= retirement.at for failure in retirement.failures[:1])


def _due(retirement: Retirement) -> datetime:
    """When a scheduled retirement comes due."""
    return (retirement.stands and retirement.stands.retire_at) or retirement.at


def _charted(retirement: Retirement) -> str:
    return retirement.state if retirement.state in CHARTED else OTHER


def _months(retirements: Sequence[Retirement], records: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The records under the month of their end."""
    pairs = zip(retirements, records, strict=False)  # the page may hold fewer records
    return [
        (month, [record for _, record in group])
        for month, group in groupby(pairs, key=lambda pair: f"{pair[0].at:%B %Y}")
    ]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        name=visible_name,
        when=lambda moment: f"{moment.day} {moment:%b %Y, %H:%M}",
        day=lambda moment: f"{moment.day} {moment:%b %Y}",
        iso=format_timestamp,
        number=lambda number: f"{number:,}",
        size=_size,
        label=label_of,
        style=style_of,
        reason=reason_in_words,
        confirmation=confirmation_in_words,
        sentence=lambda text: text[:1].upper() + text[1:],
        brief=lambda text: text if len(text) <= BRIEF else f"{text[:BRIEF]}...",
        states=_in_words,
    )
    environment.globals.update(STATES={**STATES, **RESTORE_STATES}, EMBED_STATES=EMBED_STATES, MAX_SHOWN=MAX_SHOWN)
    return environment


def _finalize(value: object) -> object:
    """What is printed into the page, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
