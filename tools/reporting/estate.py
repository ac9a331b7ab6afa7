"""What the evidence bucket tells: where each retirement stands, rejected events, and what nobody can understand."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from urllib.parse import unquote

from retirement.record.keys import plan_key, retirement_key
from retirement.record.standing import Stage, standing
from tools.reporting.evidence import Bucket, Listed, Unreadable
from tools.reporting.statements import Backup, Statement, document_in, optional_text, statement_of

MAX_FAILURES = 20  # of one retirement, the latest
READERS = 8  # at once; the client's pool has ten connections

# Where a retirement stands that no document tells an outcome of.
NO_RESULT = "no_result"
UNREADABLE = "unreadable"
SCHEDULED = "scheduled"


class Kind(StrEnum):
    """What an object is evidence of, in the order in which one reads a retirement."""

    RECEIPT = "receipt"
    CANCELLED = "cancelled"
    INTENT = "intent"
    PLAN = "plan"
    BACKUP = "backup"
    FAILURE = "failure"
    CANCELLATION_FAILURE = "cancellation-failure"
    SCHEDULE = "schedule"
    REMINDER = "reminder"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Paper:
    """One document of a retirement; `number` where there may be several of its kind, else 0."""

    kind: Kind
    number: int
    listed: Listed

    @property
    def file_name(self) -> str:
        """The last part of its key."""
        return self.listed.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Retirement:
    """One retirement. `state` is the outcome that stands, `NO_RESULT` or `UNREADABLE`; `at` is when that came about.

    `stands` is what is told of it now, None where nothing is. `failures` are its givings-up, the latest first, also
    those that it got over. `papers` are in the order in which one reads them.
    """

    datamart_name: str
    retirement_id: str
    state: str
    at: datetime
    stands: Statement | None
    failures: tuple[Statement, ...]
    papers: tuple[Paper, ...]

    @property
    def set_out(self) -> bool:
        """Whether a delete may have been sent."""
        return any(paper.kind is Kind.INTENT for paper in self.papers)


@dataclass(frozen=True, slots=True)
class Rejection:
    """One event that was no valid request; `told` is None where its receipt cannot be read."""

    event_id: str
    at: datetime
    told: Statement | None
    listed: Listed


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """Something in the bucket that a person has to look at."""

    key: str
    what: str


@dataclass(frozen=True, slots=True)
class Estate:
    """All that the bucket tells, the newest first."""

    bucket: str
    read_at: datetime
    objects: int
    retirements: tuple[Retirement, ...]
    rejections: tuple[Rejection, ...]
    troubles: tuple[Trouble, ...]

    def standing(self, *states: str) -> list[Retirement]:
        """The retirements that stand so."""
        return [retirement for retirement in self.retirements if retirement.state in states]

    @property
    def environments(self) -> list[str]:
        """The environments that the documents name."""
        told = [retirement.stands for retirement in self.retirements] + [event.told for event in self.rejections]
        return sorted({statement.environment for statement in told if statement is not None})


# The layout of the bucket (docs/reference.md, "What is stored").
_OF_A_RETIREMENT = re.compile(
    r"retirements/(?P<folder>[^/]+/[^/]+)/"
    r"(?:(?P<one>receipt|cancelled|intent)"
    r"|(?P<many>failure|cancellation-failure|schedule|reminder)-(?P<number>[1-9][0-9]{0,8})"
    r"|(?P<hashed>backup)-[0-9a-f]{16}"  # of deletions that were begun before backups had a place of their own
    r"|(?P<dated>arrival)-[0-9a-f]{16}-[0-9]{8}T[0-9]{6}\.[0-9]{6}Z)\.json"
)
_BACKUP = re.compile(r"backups/(?P<folder>[^/]+/[^/]+)/backup-[0-9a-f]{16}\.json")
_PLAN = re.compile(r"plans/[^/]+/[^/]+\.json")
_REJECTED = re.compile(r"rejected/[^/]+/receipt\.json")
_SWEEP = re.compile(r"sweeps/(?:asked/[^/]+|[^/]+/report)\.json")
_CUT_SEGMENT = re.compile(r"(?P<kept>.+)![0-9a-f]{32}")  # retirement.keys shortens long names so

_READING_ORDER = list(Kind)


def read_estate(bucket: Bucket, read_at: datetime) -> Estate:
    """Read what tells where each retirement stands. What is broken or unknown becomes a `Trouble`."""
    folders: dict[str, list[Paper]] = {}
    plans: dict[str, Listed] = {}
    rejected: list[Listed] = []
    troubles: list[Trouble] = []
    objects = 0
    for listed in bucket.objects():
        objects += 1
        if match := _OF_A_RETIREMENT.fullmatch(listed.key):
            folders.setdefault(match["folder"], []).append(_paper(match, listed))
        elif match := _BACKUP.fullmatch(listed.key):
            folders.setdefault(match["folder"], []).append(Paper(Kind.BACKUP, 0, listed))
        elif _PLAN.fullmatch(listed.key):
            plans[listed.key] = listed
        elif _REJECTED.fullmatch(listed.key):
            rejected.append(listed)
        elif not _SWEEP.fullmatch(listed.key):
            troubles.append(Trouble(listed.key, "This project writes no object with such a name."))
    with ThreadPoolExecutor(READERS) as pool:
        retirements = list(pool.map(lambda folder: _Folder(bucket, plans, read_at, *folder).read(), folders.items()))
        rejections = list(pool.map(lambda listed: _rejection(bucket, listed), rejected))
    for _, found in (*retirements, *rejections):
        troubles.extend(found)
    return Estate(
        bucket=bucket.name,
        read_at=read_at,
        objects=objects,
        retirements=tuple(sorted((entry for entry, _ in retirements), key=attrgetter("at"), reverse=True)),
        rejections=tuple(sorted((entry for entry, _ in rejections), key=attrgetter("at"), reverse=True)),
        troubles=tuple(sorted(troubles)),
    )


class _Folder:
    """The papers of one retirement, while they are read."""

    def __init__(
        self, bucket: Bucket, plans: Mapping[str, Listed], read_at: datetime, folder: str, papers: list[Paper]
    ) -> None:
        self._bucket = bucket
        self._plans = plans
        self._read_at = read_at
        self._key = f"retirements/{folder}"
        self._papers = papers
        self._troubles: list[Trouble] = []
        self._statements: dict[str, Statement | None] = {}

    def read(self) -> tuple[Retirement, list[Trouble]]:
        failures = self._told(Kind.FAILURE, MAX_FAILURES)
        stands = self._standing()
        _, segment, retirement_id = self._key.split("/")
        name = stands.datamart_name if stands else next((failure.datamart_name for failure in failures), None)
        state = stands.outcome if stands else UNREADABLE if self._troubles else NO_RESULT
        at = stands.finished_at if stands else max(paper.listed.modified for paper in self._papers)
        retirement = Retirement(
            datamart_name=name or self._intended_name() or _decoded(segment),
            retirement_id=retirement_id,
            state=state,
            at=at,
            stands=stands,
            failures=tuple(failures),
            papers=tuple(sorted([*self._papers, *self._plan(stands)], key=_reading_order)),
        )
        if stands and stands.backup:
            self._look_for(stands.backup, stands.finished_at)
        if state == SCHEDULED:
            self._warn_of_failed_events(failures, at)
        return retirement, self._troubles

    def _standing(self) -> Statement | None:
        """The statement that says where the retirement stands; None if there is none, or it cannot be read."""
        papers = {paper.file_name: paper for paper in self._papers}

        def time_in(file_name: str, field: str) -> datetime:
            statement = self._statement(papers[file_name])
            if statement is None:
                raise Unreadable
            return (statement.retire_at if field == "retireAt" else None) or statement.finished_at

        try:
            found = standing(papers, self._read_at, time_in)
        except Unreadable:
            return None
        if found.stage is Stage.STARTED:
            return None
        if found.decided_by is None:  # perhaps a cancellation was abandoned, and nothing else is stored
            return next(iter(self._told(Kind.CANCELLATION_FAILURE, 1)), None)
        return self._statement(papers[found.decided_by])

    def _told(self, kind: Kind, most: int) -> list[Statement]:
        """The statements of a kind, at most so many, the latest first."""
        told = map(self._statement, self._of(kind)[:most])
        return [statement for statement in told if statement is not None]

    def _statement(self, paper: Paper) -> Statement | None:
        """The statement in a paper; None if it cannot be read, which is a trouble."""
        key = paper.listed.key
        if key not in self._statements:
            try:
                statement = statement_of(document_in(self._bucket, paper.listed))
                _check_place(statement, paper)
                self._statements[key] = statement
            except Unreadable as error:
                self._troubles.append(Trouble(key, str(error)))
                self._statements[key] = None
        return self._statements[key]

    def _of(self, kind: Kind) -> list[Paper]:
        """The papers of a kind, the latest first."""
        return sorted((paper for paper in self._papers if paper.kind is kind), key=attrgetter("number"), reverse=True)

    def _intended_name(self) -> str | None:
        """Of a retirement that has come to no statement yet."""
        for paper in self._of(Kind.INTENT):
            try:
                datamart = document_in(self._bucket, paper.listed).get("datamart")
            except Unreadable as error:
                self._troubles.append(Trouble(paper.listed.key, str(error)))
            else:
                return optional_text(datamart, "name") if isinstance(datamart, Mapping) else None
        return None

    def _plan(self, stands: Statement | None) -> list[Paper]:
        if stands is None or stands.plan_id is None or stands.datamart_name is None:
            return []
        key = plan_key(stands.datamart_name, stands.plan_id)
        if key not in self._plans:
            self._troubles.append(Trouble(key, f"{self._key} names this plan, which is not in the bucket."))
            return []
        return [Paper(Kind.PLAN, 0, self._plans[key])]

    def _warn_of_failed_events(self, failures: Sequence[Statement], scheduled_at: datetime) -> None:
        if failures and failures[0].finished_at >= scheduled_at:
            self._troubles.append(
                Trouble(
                    self._of(Kind.FAILURE)[0].listed.key,
                    "This request was abandoned after the date was stored: the date is current until the request is "
                    "redriven.",
                )
            )
        for paper in self._of(Kind.CANCELLATION_FAILURE):
            self._troubles.append(
                Trouble(
                    paper.listed.key,
                    "This cancellation was abandoned: the date is current until the cancellation is redriven.",
                )
            )

    def _look_for(self, backup: Backup, made_by: datetime) -> None:
        sizes = {paper.listed.key: paper.listed.size for paper in self._of(Kind.BACKUP)}
        retention = self._bucket.backup_retention
        if backup.key not in sizes and retention is not None and self._read_at - made_by >= retention:
            return
        if backup.key not in sizes:
            self._troubles.append(Trouble(backup.key, f"{self._key} names this backup, which is not in the bucket."))
        elif sizes[backup.key] != backup.size:
            self._troubles.append(
                Trouble(backup.key, f"This backup has {sizes[backup.key]} bytes, but its receipt says {backup.size}.")
            )


def _rejection(bucket: Bucket, listed: Listed) -> tuple[Rejection, list[Trouble]]:
    event_id = unquote(listed.key.split("/")[1])
    try:
        told = statement_of(document_in(bucket, listed))
    except Unreadable as error:
        return Rejection(event_id, listed.modified, None, listed), [Trouble(listed.key, str(error))]
    return Rejection(event_id, told.finished_at, told, listed), []


def _paper(match: re.Match[str], listed: Listed) -> Paper:
    kind = Kind(match["one"] or match["many"] or match["hashed"] or match["dated"])
    return Paper(kind, int(match["number"] or 0), listed)


def _reading_order(paper: Paper) -> tuple[int, int, str]:
    return _READING_ORDER.index(paper.kind), -paper.number, paper.listed.key


def _decoded(segment: str) -> str:
    """The name as far as its key tells it."""
    cut = _CUT_SEGMENT.fullmatch(segment)
    return f"{unquote(cut['kept'])}..." if cut else unquote(segment)


def _check_place(statement: Statement, paper: Paper) -> None:
    """A document is evidence of the retirement that it names, and of no other.

    Raises:
        Unreadable: it lies somewhere else.
    """
    name, retirement_id = statement.datamart_name, statement.retirement_id
    if (
        name is None
        or retirement_id is None
        or retirement_key(name, retirement_id, paper.file_name) != paper.listed.key
    ):
        raise Unreadable("It names a different retirement than its key.")
