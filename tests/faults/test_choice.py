"""Which cases `make faults CASE="..."` plays."""

import pytest

from tests.faults.__main__ import NotOneCase, chosen_by

NAMES = [
    *(f"a deletion / {number} evidence.create / throttled" for number in range(1, 25)),
    "a deletion / 1 evidence.create / throttled / twice",
    "a dry run / 1 clock.now / no fault",
]


def test_all() -> None:
    """Without a name, every case."""
    assert list(chosen_by(NAMES, [])) == list(range(len(NAMES)))


def test_one() -> None:
    """A whole name, though it is part of another one, and a part that only one name has."""
    assert chosen_by(NAMES, [NAMES[0]]) == [0]
    assert chosen_by(NAMES, ["clock.now"]) == [25]


def test_several() -> None:
    """Their number is told, and the first ten."""
    with pytest.raises(NotOneCase) as refused:
        chosen_by(NAMES, ["evidence.create"])
    first, *examples = str(refused.value).splitlines()
    assert first == "25 cases have 'evidence.create' in their names: name one of them, such as:"
    assert [line.strip() for line in examples] == NAMES[:10]


def test_none() -> None:
    """Names that are nearly the same are told, and otherwise one of each scenario."""
    with pytest.raises(NotOneCase, match="No case has 'a dry run") as refused:
        chosen_by(NAMES, ["a dry run / 1 clok.now / no fault"])
    assert str(refused.value).splitlines()[1:] == [f"  {NAMES[25]}"]
    with pytest.raises(NotOneCase) as refused:
        chosen_by(NAMES, ["nonsense"])
    assert str(refused.value).splitlines()[1:] == [f"  {NAMES[0]}", f"  {NAMES[25]}"]
