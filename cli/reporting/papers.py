"""The documents of one retirement or restore, while they are read: what is broken among them becomes a trouble."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter

from cli.reporting.evidence import Bucket, Listed, Unreadable
from cli.reporting.statements import Statement, document_in, statement_of
from retirement.canonical import Document
from retirement.record.keys import name_in
from retirement.record.standing import Stage, Standing, standing

# Where something stands that no document tells an outcome of.
NO_RESULT = "no_result"
UNREADABLE = "unreadable"


class Kind(StrEnum):
    """What an object is evidence of, in the order in which one reads a retirement or a restore."""

    RECEIPT = "receipt"
    DIFFERENCES = "differences"
    CANCELLED = "cancelled"
    INTENT = "intent"
    REHEARSED = "rehearsed"
    REHEARSAL = "rehearsal"
    EMBED = "embed"
    PLAN = "plan"
    BACKUP = "backup"
    FAILURE = "failure"
    CANCELLATION_FAILURE = "cancellation-failure"
    APPROVAL = "approved"
    ASK = "approval-asked"
    ASK_REMINDER = "approval-reminder"
    APPROVAL_FAILURE = "approval-failure"
    SCHEDULE = "schedule"
    REMINDER = "reminder"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Paper:
    """One document; `number` where there may be several of its kind, else 0."""

    kind: Kind
    number: int
    listed: Listed

    @property
    def file_name(self) -> str:
        """The last part of its key."""
        return self.listed.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """Something in the bucket that a person has to look at."""

    key: str
    what: str


class Papers:
    """All documents under one prefix. Each is read at most once.

    Args:
        bucket: where they are.
        papers: the documents.
        what: what they are evidence of, in a word.
        key_of: the key under which a statement belongs, by the statement and its file's name; None if it names nothing
            that has a key.
        troubles: takes what cannot be read.
    """

    def __init__(
        self,
        bucket: Bucket,
        papers: Sequence[Paper],
        what: str,
        key_of: Callable[[Statement, str], str | None],
        troubles: list[Trouble],
    ) -> None:
        self._bucket = bucket
        self._papers = papers
        self._what = what
        self._key_of = key_of
        self._troubles = troubles
        self._statements: dict[str, Statement | None] = {}

    @property
    def modified(self) -> datetime:
        """When the last one was written."""
        return max(paper.listed.modified for paper in self._papers)

    def of(self, kind: Kind) -> list[Paper]:
        """The papers of a kind, the latest first."""
        return sorted((paper for paper in self._papers if paper.kind is kind), key=attrgetter("number"), reverse=True)

    def in_order(self, *more: Paper) -> tuple[Paper, ...]:
        """These papers and others, in the order in which one reads them."""
        return tuple(sorted([*self._papers, *more], key=_reading_order))

    def told(self, kind: Kind, most: int) -> list[Statement]:
        """The statements of a kind, at most so many, the latest first."""
        told = map(self._statement, self.of(kind)[:most])
        return [statement for statement in told if statement is not None]

    def document(self, kind: Kind) -> Document | None:
        """The document of a kind of which there is at most one; None if there is none, or it cannot be read."""
        for paper in self.of(kind):
            try:
                return document_in(self._bucket, paper.listed)
            except Unreadable as error:
                self._troubles.append(Trouble(paper.listed.key, str(error)))
        return None

    def standing(self, now: datetime) -> tuple[Standing | None, Statement | None]:
        """Where it stands, and the statement that says so; None where that cannot be read, or there is none."""
        papers = {paper.file_name: paper for paper in self._papers}

        def time_in(file_name: str, field: str) -> datetime:
            statement = self._statement(papers[file_name])
            if statement is None:
                raise Unreadable
            return (statement.retire_at if field == "retireAt" else None) or statement.finished_at

        try:
            found = standing(papers, now, time_in)
        except Unreadable:
            return None, None
        if found.decided_by is None or found.stage is Stage.STARTED:
            return found, None
        return found, self._statement(papers[found.decided_by])

    def _statement(self, paper: Paper) -> Statement | None:
        key = paper.listed.key
        if key not in self._statements:
            try:
                statement = statement_of(document_in(self._bucket, paper.listed))
                self._check_place(statement, paper)
                self._statements[key] = statement
            except Unreadable as error:
                self._troubles.append(Trouble(key, str(error)))
                self._statements[key] = None
        return self._statements[key]

    def _check_place(self, statement: Statement, paper: Paper) -> None:
        """A document is evidence of what it names, and of nothing else.

        Raises:
            Unreadable: it lies somewhere else.
        """
        if self._key_of(statement, paper.file_name) != paper.listed.key:
            raise Unreadable(f"It names a different {self._what} than its key.")


def shown_name(segment: str) -> str:
    """Return the datamart's name as far as a part of a key tells it."""
    name, is_whole = name_in(segment)
    return name if is_whole else f"{name}..."


_READING_ORDER = list(Kind)


def _reading_order(paper: Paper) -> tuple[int, int, str]:
    return _READING_ORDER.index(paper.kind), -paper.number, paper.listed.key
