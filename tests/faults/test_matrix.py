"""The fault matrix: what holds wherever a fault strikes, an invocation crashes or a message comes twice."""

from itertools import groupby

import pytest

from tests.faults.cases import Case, Order, Scenario, all_cases
from tests.faults.invariants import INVARIANTS, judged
from tests.faults.stage import in_process
from tests.faults.wire import Fault

with in_process():
    CASES = list(all_cases())


def _place(case: Case) -> tuple[Scenario, int, str]:
    return case.scenario, case.number, case.call


PLACES = {f"{scenario.name}-{number}-{call}": list(cases) for (scenario, number, call), cases in groupby(CASES, _place)}


@pytest.mark.parametrize("place", PLACES)
def test_invariants_hold(place: str) -> None:
    """Whatever happens at one call of one scenario, every invariant holds."""
    with in_process():
        broken = {verdict.case.name: verdict.broken for verdict in map(judged, PLACES[place]) if verdict.broken}
    assert not broken


def test_the_matrix_is_whole() -> None:
    """There are at least 5,000 cases, each has a name of its own, and every fault and order is among them."""
    assert len(CASES) >= 5_000
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.fault for case in CASES} == {None, *Fault}
    assert {case.order for case in CASES} == set(Order)


def test_every_invariant_is_tested() -> None:
    """No invariant holds for want of cases."""
    with in_process():
        tested = {name for case in CASES[::37] for name in judged(case).tested}
    assert tested == set(INVARIANTS)


def test_a_case_is_the_same_each_time() -> None:
    """A case that failed can be run alone, and ends as before."""
    with in_process():
        for case in CASES[::211]:
            assert judged(case) == judged(case)
