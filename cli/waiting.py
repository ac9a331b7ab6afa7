"""Waits for what becomes of requests that were sent, by looking at the evidence."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cli.errors import Status, UsageError, status_of
from cli.output import Output, shown
from cli.records import Entry, Folder, event_of, folders
from cli.retries import retry_under
from cli.stack import AwsRefused, Stack
from retirement.canonical import Document
from retirement.delivery.endings import as_published
from retirement.record.keys import numbers_in, rejected_key

POLL = 1.0  # seconds between two looks, which grow with the wait
MAX_POLL = 10.0
CLOCK_DIFFERENCE = timedelta(seconds=30)  # between this machine and AWS: an older failure is that of an earlier request

_DURATION = re.compile(r"(\d{1,6})([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Return the seconds in a text such as `90`, `90s`, `15m` or `2h`.

    Raises:
        UsageError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"--timeout is {shown(text)}: expected a number of seconds, or for example 90s, 15m, 2h")
    return float(int(found[1]) * _SECONDS[found[2]])


@dataclass(frozen=True, slots=True)
class Awaited:
    """A request that was sent, and the files that can answer it.

    Attributes:
        prefix: of its files.
        answers: the files that end the wait, beside new failures.
        answered_by: the kind of files of which the one that was stored for this event ends the wait; empty for none.
        failures: the kind of its failures.
        before: how many failures there were.
        follow: the command that shows what becomes of it later.
        progress: the key under which the coordination table knows of failed attempts.
    """

    name: str
    identity: str
    event_id: str
    prefix: str
    answers: Sequence[str]
    follow: str
    progress: str
    answered_by: str = ""
    failures: str = "failure"
    before: int = 0
    cancels: bool = False

    def answer(self, stack: Stack) -> Document | None:
        """Look once for the answer, and return it as it was published."""
        folder = next(folders(stack, self.prefix), Folder(self.prefix, {}))
        entry = Entry(stack, folder)
        for file in self.answers:
            if file in folder.files:
                return as_published(entry.read(file))
        for number in reversed(numbers_in(folder.files, self.answered_by) if self.answered_by else []):
            document = entry.read(f"{self.answered_by}-{number}.json")
            if event_of(document).get("id") == self.event_id:
                return as_published(document)
        failed = numbers_in(folder.files, self.failures)
        if len(failed) > self.before:
            return as_published(entry.read(f"{self.failures}-{failed[-1]}.json"))
        rejected = rejected_key(self.event_id)
        with stack.calls():
            if rejected in stack.evidence.list(rejected):
                prefix, _, file = rejected.rpartition("/")
                return as_published(Entry(stack, Folder(f"{prefix}/", {})).read(file))
        return None


@dataclass(slots=True)
class Wait:
    """Waits for several requests at once, and shows each answer when it comes."""

    stack: Stack
    output: Output
    timeout: float
    worst: Status = Status.OK
    _steps: dict[str, str] = field(default_factory=dict)
    _began: datetime = field(default_factory=lambda: datetime.now(UTC) - CLOCK_DIFFERENCE)

    def run(self, awaited: Sequence[Awaited]) -> list[tuple[Awaited, Document]]:
        """Return the answers that came in time, in the order of the requests, and note the highest status."""
        answers: dict[Awaited, Document] = {}
        deadline, poll = time.monotonic() + self.timeout, POLL
        open_ = list(awaited)
        try:
            for each in open_:
                self._step(each, "queued")
            while True:
                for each in list(open_):
                    document = self._look(each)
                    if document is not None:
                        open_.remove(each)
                        answers[each] = document
                        self._ended(each, document)
                left = deadline - time.monotonic()
                if not open_ or left <= 0:
                    break
                time.sleep(min(poll, left))
                poll = min(poll * 1.2, MAX_POLL)
        except KeyboardInterrupt:
            _note_going_on(self.output, open_)
            raise
        except AwsRefused as refused:
            goes_on = "; ".join(f"{each.identity} goes on by itself: {each.follow}" for each in open_)
            raise AwsRefused(f"{refused}. {goes_on}") from refused
        if open_:
            self.worst = max(self.worst, Status.PENDING)
            _note_going_on(self.output, open_)
        return [(each, answers[each]) for each in awaited if each in answers]

    def _look(self, awaited: Awaited) -> Document | None:
        try:
            answer = awaited.answer(self.stack)
        except AwsRefused as refused:
            if not refused.temporary:
                raise
            self._step(awaited, str(refused))
            return None
        if answer is None:
            retry = retry_under(self.stack, awaited.progress)
            if retry is not None and retry.at > self._began:
                self._step(awaited, str(retry))
        return answer

    def _ended(self, awaited: Awaited, document: Document) -> None:
        outcome = str(document.get("outcome"))
        reason = document.get("reason")
        self._step(awaited, f"{outcome}{f', {reason}' if reason else ''}")
        self.worst = max(self.worst, status_of(outcome, cancels=awaited.cancels))

    def _step(self, awaited: Awaited, step: str) -> None:
        if self._steps.get(awaited.identity + awaited.name) != step:
            self._steps[awaited.identity + awaited.name] = step
            self.output.note(f"{datetime.now(UTC):%H:%M:%S}Z {shown(awaited.name)}: {shown(step)}")


@contextmanager
def announced(output: Output, sent: Sequence[Awaited]) -> Iterator[None]:
    """Send several requests; if that is interrupted or fails, say which of them go on by themselves."""
    try:
        yield
    except BaseException:
        _note_going_on(output, sent)
        raise


def _note_going_on(output: Output, awaited: Sequence[Awaited]) -> None:
    for each in awaited:
        output.note(f"{shown(each.name)}: {each.identity} goes on by itself; to look later: {each.follow}")
