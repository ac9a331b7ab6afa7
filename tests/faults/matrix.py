"""The whole matrix: retirements, and restores of what they have deleted."""

from collections.abc import Iterator
from itertools import chain

from tests.faults.cases import SCENARIOS, Case, all_cases, calls_of
from tests.faults.invariants import INVARIANTS, Verdict, judged
from tests.faults.restore_invariants import RESTORE_INVARIANTS, judged_restore
from tests.faults.restores import RESTORES, RestoreCase, calls_of_restore, restore_cases

ALL_SCENARIOS = (*SCENARIOS, *RESTORES)
ALL_INVARIANTS = (*INVARIANTS, *RESTORE_INVARIANTS)


def cases_of_all() -> Iterator[Case | RestoreCase]:
    """Every case, in order."""
    return chain(all_cases(), restore_cases())


def most_calls() -> int:
    """The external calls of the longest run without faults."""
    return max(map(len, chain(map(calls_of, SCENARIOS.values()), map(calls_of_restore, RESTORES.values()))))


def judged_case(case: Case | RestoreCase) -> Verdict:
    """Play a case, and hold every invariant against it."""
    return judged(case) if isinstance(case, Case) else judged_restore(case)
