"""`make faults`: play every case of the matrix, and then plays at random, and say what held.

A case of the matrix can be played alone by part of its name, the search from a seed of its own for as long as it is to
go on, and one of its plays by its own seed.
"""

import os
import secrets
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from tests.faults.cases import Order
from tests.faults.invariants import Verdict
from tests.faults.matrix import ALL_INVARIANTS, ALL_SCENARIOS, cases_of_all, judged_case, most_calls
from tests.faults.plays import play_of
from tests.faults.promises import PROMISES
from tests.faults.promises import judged as judged_play
from tests.faults.restores import Besides
from tests.faults.search import Figures, searched, shrunk, story
from tests.faults.stage import in_process
from tests.faults.wire import Fault

SHOWN = 20
CHUNK = 100
FEW = 10
SEARCHED = 30.0  # seconds
ALIKE = 0.8  # of 1, as difflib counts


class NotOneCase(Exception):
    """Several cases are meant, or none: which there are."""


def main() -> None:
    """Print the tables; the exit status is 1 where something did not hold."""
    console, asked = Console(), _asked()
    if asked.play:
        sys.exit(_play_alone(asked.play, console))
    is_search_alone = asked.seed is not None or asked.minutes is not None
    broken = False if is_search_alone else _play_matrix(asked.case, console)
    if not asked.case:
        seconds = SEARCHED if asked.minutes is None else asked.minutes * 60
        broken |= _search(asked.seed or str(secrets.randbelow(1_000_000)), seconds, console)
    sys.exit(broken)


def _asked() -> Namespace:
    parser = ArgumentParser(prog="make faults")
    parser.add_argument("case", nargs="*", help="part of the name of one case of the matrix")
    parser.add_argument("--seed", help="the seed of the search; only the search runs")
    parser.add_argument("--minutes", type=float, help="the minutes of the search; only the search runs")
    parser.add_argument("--play", help="the seed of one play of the search")
    return parser.parse_args()


def _play_matrix(wanted: Sequence[str], console: Console) -> bool:
    """Whether a case broke an invariant."""
    with in_process():
        cases = list(cases_of_all())
        calls = most_calls()
    try:
        numbers = chosen_by([case.name for case in cases], wanted)
    except NotOneCase as error:
        sys.exit(str(error))
    chunks = [numbers[first : first + CHUNK] for first in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        verdicts = [verdict for chunk in pool.map(_judged, chunks) for verdict in chunk]
    chosen = [cases[number] for number in numbers]
    console.print(
        f"{len(chosen):,} cases: {len(ALL_SCENARIOS)} scenarios, up to {calls} external calls each, "
        f"{len(Fault)} faults, crashes before and after, {len(Order) + len(Besides)} orders of deliveries\n"
    )
    console.print(_table(verdicts))
    broken = [
        f"{case.name}\n    {'; '.join(names)}" for case, (_, names) in zip(chosen, verdicts, strict=True) if names
    ]
    if broken:
        console.print(f"\n{len(broken)} cases broke an invariant", style="bold red")
        console.print("\n".join(broken[:SHOWN]), markup=False, highlight=False, soft_wrap=True)
        console.print('To run one of them: make faults CASE="<its name>"', markup=False)
    return bool(broken)


def _search(seed: str, seconds: float, console: Console) -> bool:
    """Whether a play broke a promise."""
    console.print(f"\nSearch with the seed {seed}, for {seconds:,.0f} s\n", markup=False, highlight=False)
    with Progress(TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")

        def show(figures: Figures) -> None:
            progress.update(task, description=f"{figures.plays:,} plays, {len(figures.findings)} promises broken")

        figures = searched(seed, seconds, show)
    console.print(
        f"{figures.plays:,} plays, {figures.deliveries:,} deliveries, {figures.deletions:,} deletions, "
        f"{figures.creations:,} restored datamarts, {sum(figures.broken.values()):,} findings\n"
    )
    console.print(_table_of_promises(figures))
    happened = ", ".join(
        f"{what} {1000 * times / figures.plays:,.0f}" for what, times in figures.happened.most_common()
    )
    console.print(f"\nEvents per 1,000 plays: {happened}", markup=False, highlight=False)
    for promise, seeds in figures.findings.items():
        _tell(promise, seeds, console)
    return bool(figures.findings)


def _tell(promise: str, seeds: Sequence[str], console: Console) -> None:
    """Show what is left of the first play that broke a promise."""
    console.print(f"\nA promise was broken in {len(seeds)} plays: {promise}", style="bold red", markup=False)
    with in_process():
        play = shrunk(play_of(seeds[0]), promise)
        happened = "\n".join(f"    {line}" for line in story(judged_play(play).performance))
    console.print(f"  {play}\n  ----\n{happened}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"To run this play: make faults PLAY={seeds[0]}", markup=False, highlight=False)


def _play_alone(seed: str, console: Console) -> bool:
    """Whether the play broke a promise."""
    with in_process():
        play = play_of(seed)
        judgement = judged_play(play)
        console.print(f"{play}\n----", markup=False, highlight=False, soft_wrap=True)
        for line in story(judgement.performance):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for promise in judgement.broken:
        _tell(promise, [seed], console)
    return bool(judgement.broken)


def chosen_by(names: Sequence[str], wanted: Sequence[str]) -> Sequence[int]:
    """The numbers of the cases to play: all, or one for each name or part of a name that is wanted.

    Raises:
        NotOneCase: several cases have that part, or none.
    """
    return [_one(names, part) for part in wanted] or range(len(names))


def _one(names: Sequence[str], part: str) -> int:
    if part in names:
        return names.index(part)
    found = [number for number, name in enumerate(names) if part in name]
    if len(found) == 1:
        return found[0]
    if found:
        few = [names[number] for number in found[:FEW]]
        raise NotOneCase(_listed(f"{len(found):,} cases have {part!r} in their names: name one of them, such as", few))
    few = get_close_matches(part, names, n=FEW, cutoff=ALIKE) or _first_of_each_scenario(names)[:FEW]
    raise NotOneCase(_listed(f"No case has {part!r} in its name. Names are like", few))


def _first_of_each_scenario(names: Iterable[str]) -> list[str]:
    firsts: dict[str, str] = {}
    for name in names:
        firsts.setdefault(name.partition(" / ")[0], name)
    return list(firsts.values())


def _listed(what: str, names: Iterable[str]) -> str:
    return "\n  ".join([f"{what}:", *names])


def _judged(numbers: Iterable[int]) -> list[tuple[Sequence[str], Sequence[str]]]:
    """In a process of its own; a case is known by its number there."""
    with in_process():
        cases = list(cases_of_all())
        verdicts: Iterable[Verdict] = (judged_case(cases[number]) for number in numbers)
        return [(verdict.tested, verdict.broken) for verdict in verdicts]


def _table(verdicts: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Table:
    run: Counter[str] = Counter()
    held: dict[str, int] = defaultdict(int)
    for tested, broken in verdicts:
        run.update(tested)
        for name in tested:
            held[name] += name not in broken
    table = Table("invariant", "cases run", "cases held")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in ALL_INVARIANTS:
        style = None if held[name] == run[name] else "bold red"
        table.add_row(name, f"{run[name]:,}", f"{held[name]:,}", style=style)
    return table


def _table_of_promises(figures: Figures) -> Table:
    table = Table("promise", "plays", "held")
    for column in table.columns[1:]:
        column.justify = "right"
    for promise in PROMISES:
        tested, broken = figures.tested[promise], figures.broken[promise]
        table.add_row(promise, f"{tested:,}", f"{tested - broken:,}", style="bold red" if broken else None)
    return table


if __name__ == "__main__":
    main()
