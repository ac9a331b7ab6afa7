"""The fault matrix: what holds wherever a fault strikes, an invocation crashes or a message comes twice."""

from itertools import groupby
from zlib import crc32

import pytest

from tests.faults.cases import REHEARSAL, SCENARIOS, Case, Order, calls_of
from tests.faults.matrix import ALL_INVARIANTS, cases_of_all, judged_case
from tests.faults.restores import Besides, RestoreCase
from tests.faults.stage import in_process
from tests.faults.wire import Fault

with in_process():
    CASES = list(cases_of_all())


def _place(case: Case | RestoreCase) -> str:
    return f"{case.scenario.name}-{case.number}-{case.call}"


PLACES = {place: list(cases) for place, cases in groupby(CASES, _place)}


def _sample(cases: list[Case | RestoreCase]) -> list[Case | RestoreCase]:
    """Every third case of a restore, which takes ten times as long as one of a retirement; `make faults` plays all."""
    return cases[crc32(_place(cases[0]).encode()) % 3 :: 3] if isinstance(cases[0], RestoreCase) else cases


@pytest.mark.parametrize("place", PLACES)
def test_invariants_hold(place: str) -> None:
    """Whatever happens at one call of one scenario, every invariant holds."""
    with in_process():
        verdicts = map(judged_case, _sample(PLACES[place]))
        broken = {verdict.case: verdict.broken for verdict in verdicts if verdict.broken}
    assert not broken


@pytest.mark.parametrize("kind", [Case, RestoreCase])
def test_the_matrix_is_whole(kind: type) -> None:
    """There are at least 5,000 cases each, each has a name of its own, and every fault and order is among them."""
    cases = [case for case in CASES if isinstance(case, kind)]
    assert len(cases) >= 5_000
    assert len({case.name for case in cases}) == len(cases)
    orders = {case.order if isinstance(case, Case) else case.besides for case in cases}
    assert orders == set(Order if kind is Case else Besides)
    assert {case.fault for case in CASES} == {None, *Fault}


def test_the_calls_of_a_rehearsal() -> None:
    """What the rehearsal's scenarios strike is the rehearsal, all of it."""
    with in_process():
        calls = calls_of(SCENARIOS["a rehearsal"])
    assert calls[REHEARSAL.start - 2] == "evidence.read"  # the backup
    assert calls[REHEARSAL.stop - 1] == "coordination.reserve"
    assert calls[REHEARSAL.start - 1 : REHEARSAL.stop - 1].count("create_datamart") == 1


def test_every_invariant_is_tested() -> None:
    """No invariant holds for want of cases."""
    with in_process():
        tested = {name for case in CASES[::37] for name in judged_case(case).tested}
    assert tested == set(ALL_INVARIANTS)


def test_a_case_is_the_same_each_time() -> None:
    """A case that failed can be run alone, and ends as before."""
    with in_process():
        for case in CASES[::211]:
            assert judged_case(case) == judged_case(case)
