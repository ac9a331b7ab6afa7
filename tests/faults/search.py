"""The search: plays at random for as long as there is time, and what is left of one that broke a promise."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count

from tests.fakes import Parsed
from tests.faults.performance import Performance
from tests.faults.plays import Play, play_of
from tests.faults.promises import judged
from tests.faults.stage import in_process
from tests.faults.two_organisations import moment

CHUNK = 50  # plays of a task
MAX_FINDINGS = 200  # that are kept of one search
MAX_TRIES = 400  # to leave something out


@dataclass
class Figures:
    """What was played, and what broke: promise -> seeds of plays."""

    plays: int = 0
    deliveries: int = 0
    deletions: int = 0
    creations: int = 0
    tested: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)  # in how many plays
    findings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: "Figures") -> None:
        """Take in those of another part of the search."""
        self.plays += other.plays
        self.deliveries += other.deliveries
        self.deletions += other.deletions
        self.creations += other.creations
        self.tested += other.tested
        self.broken += other.broken
        self.happened += other.happened
        for promise, seeds in other.findings.items():
            self.findings.setdefault(promise, []).extend(seeds)


def searched(seed: str, seconds: float, progress: Callable[[Figures], None]) -> Figures:
    """Play from this seed for so long, on all cores."""
    figures, numbers, ends = Figures(), count(0, CHUNK), time.monotonic() + seconds
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(max_workers=cores) as pool:
        waiting: set[Future[Figures]] = {pool.submit(played_from, seed, next(numbers)) for _ in range(cores + 1)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                figures.add(future.result())
            if time.monotonic() < ends:
                waiting |= {pool.submit(played_from, seed, next(numbers)) for _ in done}
            progress(figures)
    return figures


def played_from(seed: str, first: int, plays: int = CHUNK) -> Figures:
    """Play so many plays of a search."""
    figures = Figures()
    with in_process():
        for number in range(first, first + plays):
            judgement = judged(play_of(f"{seed}/{number}"))
            figures.plays += 1
            figures.deliveries += len(judgement.performance.invocations)
            figures.deletions += len(judgement.performance.deletions)
            figures.creations += len(judgement.performance.creations)
            figures.tested.update(judgement.tested)
            figures.broken.update(judgement.broken)
            figures.happened.update(happened_in(judgement.performance))
            for promise in judgement.broken:
                figures.findings.setdefault(promise, []).append(f"{seed}/{number}")
    return figures


def happened_in(performance: Performance) -> set[str]:
    """Who acted, what struck, and what was answered."""
    given = {type(step.act).__name__ for step in performance.play.steps if step.when is None}
    acts = {type(act).__name__ for _, act in performance.performed}
    answers = {
        " ".join(filter(None, (each.result["outcome"], each.result["reason"]))) for each in performance.published
    }
    return given | acts | answers


def shrunk(play: Play, promise: str) -> Play:
    """Leave out whatever the promise breaks without."""
    tries = MAX_TRIES
    is_smaller = True
    while is_smaller and tries > 0:
        is_smaller = False
        for index in reversed(range(len(play.steps))):
            tries -= 1
            smaller = Play(play.seed, play.steps[:index] + play.steps[index + 1 :])
            if promise in judged(smaller).broken:
                play, is_smaller = smaller, True
    return play


def story(performance: Performance) -> Iterator[str]:
    """What happened, in order, a line each."""
    lines = [(at, f"{act}") for at, act in performance.performed]
    for invocation in performance.invocations:
        who = f"{invocation.function} gets {invocation.message.event} ({invocation.receive})"
        lines.append((invocation.started, f"{who}: {invocation.number}. delivery, {len(invocation.calls)} calls"))
        if invocation.crashed:
            lines.append((invocation.ended, f"{who}: crashed"))
        elif invocation.error is not None:
            lines.append((invocation.ended, f"{who}: {type(invocation.error).__name__}: {invocation.error}"))
        elif not invocation.result:
            lines.append((invocation.ended, f"{who}: handed on"))
    lines += [
        (each.at, f"published by {each.by.message.event}: {_in_short(each.result)}") for each in performance.published
    ]
    lines += [(kept.at, f"kept by {kept.by.message.event}: {key}") for key, kept in performance.kept.items()]
    for deletion in performance.deletions:
        whose = "the first" if deletion.organisation is performance.there.first else "the other"
        by = deletion.by.message.event
        lines.append((deletion.at, f"{whose} organisation's {deletion.datamart.name} is deleted by {by}"))
    for creation in performance.creations:
        whose = "the first" if creation.organisation is performance.there.first else "the other"
        name = creation.datamart.name
        lines.append((creation.at, f"{whose} organisation's {name} is created by {creation.by.message.event}"))
    for addition in performance.additions:
        what = "a semantic layer" if addition.embed is None else f"the embed {addition.embed.embed_id}"
        lines.append((addition.at, f"{what} is created by {addition.by.message.event}"))
    for at, line in sorted(lines, key=lambda line: line[0]):
        yield f"{moment(at):%d %H:%M:%S.%f}"[:-3] + f"  {line}"


def _in_short(result: Parsed) -> str:
    parts = (result["outcome"], result["reason"], result["confirmedBy"], result["message"])
    return " / ".join(str(part) for part in parts if part)
