import inspect

import pytest

from retirement import errors
from retirement.errors import Abandoned, InvalidRequest, NotConfirmed, NotYetDue, RetirementError
from retirement.outcomes import Reason

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass)]
# The reason of the one is that of the attempt before; the other is no failure.
TREE = [found for found in CLASSES if issubclass(found, RetirementError) and found not in {Abandoned, NotYetDue}]
FAILED = {
    Reason.DATABRAIN_UNAUTHORIZED,
    Reason.DATABRAIN_UNAVAILABLE,
    Reason.DATABRAIN_UNEXPECTED,
    Reason.BACKUP_FAILED,
    Reason.UNCONFIRMED,
    Reason.INTERNAL_ERROR,
}


@pytest.mark.parametrize("error", TREE)
def test_every_error_says_what_to_do_with_it(error: type[RetirementError]) -> None:
    """Every error has a reason that `failed` may have, and says whether trying again can help."""
    raised = error("what was expected")

    assert raised.reason in FAILED
    assert raised.retryable in {True, False}
    assert str(raised) == "what was expected"


def test_every_reason_of_a_failure_has_its_error() -> None:
    """No reason of a failure is without an error that leads to it."""
    assert {error("x").reason for error in TREE} == FAILED


@pytest.mark.parametrize("error", [InvalidRequest, NotConfirmed, Abandoned])
def test_reason_of_its_own(error: type[InvalidRequest | NotConfirmed | Abandoned]) -> None:
    """These carry the reason of their own case."""
    assert error("x", Reason.RETIREMENT_ID_REUSED).reason is Reason.RETIREMENT_ID_REUSED
