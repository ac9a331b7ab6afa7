"""`make faults`: play every case of the matrix, or the one that part of a name tells, and say which invariants held."""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches

from rich.console import Console
from rich.table import Table

from tests.faults.cases import SCENARIOS, Case, all_cases, calls_of
from tests.faults.invariants import INVARIANTS, Verdict, judged
from tests.faults.stage import in_process
from tests.faults.wire import Fault

SHOWN = 20
CHUNK = 100
FEW = 10
ALIKE = 0.8  # of 1, as difflib counts


class NotOneCase(Exception):
    """Several cases are meant, or none: which there are."""


def main() -> None:
    """Print the table; the exit status is 1 where an invariant did not hold."""
    console = Console()
    with in_process():
        cases = list(all_cases())
        calls = max(len(calls_of(scenario)) for scenario in SCENARIOS.values())
    try:
        numbers = chosen_by([case.name for case in cases], sys.argv[1:])
    except NotOneCase as error:
        sys.exit(str(error))
    chunks = [numbers[first : first + CHUNK] for first in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        verdicts = [verdict for chunk in pool.map(_judged, chunks) for verdict in chunk]
    chosen = [cases[number] for number in numbers]
    console.print(
        f"{len(chosen):,} cases: {len(SCENARIOS)} scenarios, up to {calls} external calls each, {len(Fault)} faults, "
        f"crashes before and after, {len({case.order for case in cases})} orders of deliveries\n"
    )
    console.print(_table(verdicts))
    broken = [
        f"{case.name}\n    {'; '.join(names)}" for case, (_, names) in zip(chosen, verdicts, strict=True) if names
    ]
    if broken:
        console.print(f"\n{len(broken)} cases broke an invariant", style="bold red")
        console.print("\n".join(broken[:SHOWN]), markup=False, highlight=False, soft_wrap=True)
        sys.exit('Run one alone: make faults CASE="<its name>"')


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
        cases: list[Case] = list(all_cases())
        verdicts: Iterable[Verdict] = (judged(cases[number]) for number in numbers)
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
    for name in INVARIANTS:
        style = None if held[name] == run[name] else "bold red"
        table.add_row(name, f"{run[name]:,}", f"{held[name]:,}", style=style)
    return table


if __name__ == "__main__":
    main()
