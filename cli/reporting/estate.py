"""What the evidence bucket tells: where each retirement stands, rejected events, and what nobody can understand."""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TypeVar
from urllib.parse import unquote

from cli.reporting.evidence import Bucket, Listed, Unreadable
from cli.reporting.papers import NO_RESULT, UNREADABLE, Kind, Paper, Papers, Trouble, shown_name
from cli.reporting.restores import Restore, read_restore
from cli.reporting.statements import Backup, Statement, document_in, optional_text, statement_of
from retirement.record.keys import plan_key, retirement_key
from retirement.record.standing import Stage

MAX_FAILURES = 20  # of one retirement, the latest
READERS = 8  # at once; the client's pool has ten connections

SCHEDULED = "scheduled"
AWAITING = "awaiting_approval"


@dataclass(frozen=True, slots=True)
class Retirement:
    """One retirement. `state` is the outcome that stands, `NO_RESULT` or `UNREADABLE`; `at` is when that came about.

    `stands` is what is told of it now, None where nothing is. `failures` are its givings-up, the latest first, also
    those that it got over. `papers` are in the order in which one reads them. `restores` are those of what it deleted,
    the latest first.
    """

    datamart_name: str
    retirement_id: str
    state: str
    at: datetime
    stands: Statement | None
    failures: tuple[Statement, ...]
    papers: tuple[Paper, ...]
    restores: tuple[Restore, ...]

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


@dataclass(frozen=True, slots=True)
class Estate:
    """All that the bucket tells, the newest first."""

    bucket: str
    read_at: datetime
    objects: int
    retirements: tuple[Retirement, ...]
    restores: tuple[Restore, ...]
    rejections: tuple[Rejection, ...]
    troubles: tuple[Trouble, ...]

    def standing(self, *states: str) -> list[Retirement]:
        """The retirements that stand so."""
        return [retirement for retirement in self.retirements if retirement.state in states]

    @property
    def environments(self) -> list[str]:
        """The environments that the documents name."""
        told = [entry.stands for entry in self.retirements] + [entry.stands for entry in self.restores]
        told += [event.told for event in self.rejections]
        return sorted({statement.environment for statement in told if statement is not None})


# The layout of the bucket (docs/reference.md, "What is stored").
_OF_A_RETIREMENT = re.compile(
    r"retirements/(?P<folder>[^/]+/[^/]+)/"
    r"(?:(?P<one>receipt|cancelled|intent|rehearsal|rehearsed)"
    r"|(?P<many>(?:cancellation-|approval-)?failure|schedule|(?:approval-)?reminder|approval-asked|approved)-(?P<number>[1-9][0-9]{0,8})"
    r"|(?P<hashed>backup)-[0-9a-f]{16}"  # of deletions that were begun before backups had a place of their own
    r"|(?P<dated>arrival)-[0-9a-f]{16}-[0-9]{8}T[0-9]{6}\.[0-9]{6}Z)\.json"
)
_BACKUP = re.compile(r"backups/(?P<folder>[^/]+/[^/]+)/backup-[0-9a-f]{16}\.json")
_OF_A_RESTORE = re.compile(
    r"restores/(?P<folder>[^/]+/[^/]+/[^/]+)/"
    r"(?:(?P<one>receipt|intent|differences)|(?P<many>failure|embed)-(?P<number>[1-9][0-9]{0,8}))\.json"
)
_PLAN = re.compile(r"plans/[^/]+/[^/]+\.json")
_REJECTED = re.compile(r"rejected/[^/]+/receipt\.json")
_OTHER = re.compile(r"(?:sweeps/(?:asked/[^/]+|[^/]+/report)|operations/[^/]+)\.json")

_Dated = TypeVar("_Dated", Retirement, Restore, Rejection)


def read_estate(bucket: Bucket, read_at: datetime) -> Estate:
    """Read what tells where each retirement stands. What is broken or unknown becomes a `Trouble`."""
    folders: dict[str, list[Paper]] = {}
    restoring: dict[str, list[Paper]] = {}
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
        elif match := _OF_A_RESTORE.fullmatch(listed.key):
            restoring.setdefault(match["folder"], []).append(_paper(match, listed))
        elif _PLAN.fullmatch(listed.key):
            plans[listed.key] = listed
        elif _REJECTED.fullmatch(listed.key):
            rejected.append(listed)
        elif not _OTHER.fullmatch(listed.key):
            troubles.append(Trouble(listed.key, "This project writes no object with such a name."))
    with ThreadPoolExecutor(READERS) as pool:
        restores = list(pool.map(lambda of: read_restore(bucket, read_at, *of), restoring.items()))
        restored: dict[str, list[Restore]] = {}
        for folder, (restore, _) in zip(restoring, restores, strict=True):
            restored.setdefault(folder.rpartition("/")[0], []).append(restore)

        def read(folder: str) -> tuple[Retirement, list[Trouble]]:
            of_it = _newest_first(restored.get(folder, ()))
            return _RetirementReader(bucket, plans, of_it, read_at, folder, folders[folder]).read()

        retirements = list(pool.map(read, folders))
        rejections = list(pool.map(lambda listed: _rejection(bucket, listed), rejected))
    for _, found in (*retirements, *restores, *rejections):
        troubles.extend(found)
    return Estate(
        bucket=bucket.name,
        read_at=read_at,
        objects=objects,
        retirements=_newest_first(entry for entry, _ in retirements),
        restores=_newest_first(entry for entry, _ in restores),
        rejections=_newest_first(entry for entry, _ in rejections),
        troubles=tuple(sorted(troubles)),
    )


class _RetirementReader:
    """Reads one retirement; `folder` is its prefix without `retirements/`."""

    def __init__(
        self,
        bucket: Bucket,
        plans: Mapping[str, Listed],
        restores: Sequence[Restore],
        read_at: datetime,
        folder: str,
        papers: Sequence[Paper],
    ) -> None:
        self._bucket = bucket
        self._plans = plans
        self._restores = restores
        self._read_at = read_at
        self._folder = folder
        self._troubles: list[Trouble] = []
        self._papers = Papers(bucket, papers, "retirement", _key_of, self._troubles)

    def read(self) -> tuple[Retirement, list[Trouble]]:
        failures = self._papers.told(Kind.FAILURE, MAX_FAILURES)
        stands = self._stands()
        segment, retirement_id = self._folder.split("/")
        name = stands.datamart_name if stands else next((failure.datamart_name for failure in failures), None)
        state = stands.outcome if stands else UNREADABLE if self._troubles else NO_RESULT
        at = stands.finished_at if stands else self._papers.modified
        retirement = Retirement(
            datamart_name=name or self._intended_name() or shown_name(segment),
            retirement_id=retirement_id,
            state=state,
            at=at,
            stands=stands,
            failures=tuple(failures),
            papers=self._papers.in_order(*self._plan(stands)),
            restores=tuple(self._restores),
        )
        if stands and stands.backup:
            self._look_for(stands.backup, stands.finished_at)
        if state == SCHEDULED:
            self._warn_of_failed_events(failures, at)
        return retirement, self._troubles

    def _stands(self) -> Statement | None:
        found, statement = self._papers.standing(self._read_at)
        if found and found.stage is Stage.REQUESTED:  # perhaps a cancellation was abandoned, and nothing else is stored
            return next(iter(self._papers.told(Kind.CANCELLATION_FAILURE, 1)), None)
        return statement

    def _intended_name(self) -> str | None:
        """Of a retirement that has come to no statement yet."""
        intent = self._papers.document(Kind.INTENT)
        datamart = intent.get("datamart") if intent else None
        return optional_text(datamart, "name") if isinstance(datamart, Mapping) else None

    def _plan(self, stands: Statement | None) -> list[Paper]:
        if stands is None or stands.plan_id is None or stands.datamart_name is None:
            return []
        key = plan_key(stands.datamart_name, stands.plan_id)
        if key not in self._plans:
            self._trouble(key, f"retirements/{self._folder} names this plan, which is not in the bucket.")
            return []
        return [Paper(Kind.PLAN, 0, self._plans[key])]

    def _warn_of_failed_events(self, failures: Sequence[Statement], scheduled_at: datetime) -> None:
        if failures and failures[0].finished_at >= scheduled_at:
            self._trouble(
                self._papers.of(Kind.FAILURE)[0].listed.key,
                "This request was abandoned after the date was stored: the date is current until the request is "
                "redriven.",
            )
        for paper in self._papers.of(Kind.CANCELLATION_FAILURE):
            self._trouble(
                paper.listed.key,
                "This cancellation was abandoned: the date is current until the cancellation is redriven.",
            )

    def _look_for(self, backup: Backup, made_by: datetime) -> None:
        sizes = {paper.listed.key: paper.listed.size for paper in self._papers.of(Kind.BACKUP)}
        retention = self._bucket.backup_retention
        if backup.key not in sizes and retention is not None and self._read_at - made_by >= retention:
            return
        if backup.key not in sizes:
            self._trouble(backup.key, f"retirements/{self._folder} names this backup, which is not in the bucket.")
        elif sizes[backup.key] != backup.size:
            self._trouble(backup.key, f"This backup has {sizes[backup.key]} bytes, but its receipt says {backup.size}.")

    def _trouble(self, key: str, what: str) -> None:
        self._troubles.append(Trouble(key, what))


def _rejection(bucket: Bucket, listed: Listed) -> tuple[Rejection, list[Trouble]]:
    event_id = unquote(listed.key.split("/")[1])
    try:
        told = statement_of(document_in(bucket, listed))
    except Unreadable as error:
        return Rejection(event_id, listed.modified, None, listed), [Trouble(listed.key, str(error))]
    return Rejection(event_id, told.finished_at, told, listed), []


def _paper(match: re.Match[str], listed: Listed) -> Paper:
    """The paper that one of the two patterns found."""
    found = match.groupdict()
    kind = Kind(found["one"] or found["many"] or found.get("hashed") or found.get("dated") or "")
    return Paper(kind, int(found["number"] or 0), listed)


def _key_of(statement: Statement, file_name: str) -> str | None:
    if statement.datamart_name is None or statement.retirement_id is None:
        return None
    return retirement_key(statement.datamart_name, statement.retirement_id, file_name)


def _newest_first(entries: Iterable[_Dated]) -> tuple[_Dated, ...]:
    return tuple(sorted(entries, key=attrgetter("at"), reverse=True))
