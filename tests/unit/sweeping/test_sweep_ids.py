import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retirement.delivery.intake import schema
from retirement.record.keys import SWEEP_REQUESTS, sweep_request_key
from retirement.sweeping.ids import Subject, latest_numbers
from tests.contract.hostile_names import HOSTILE_NAMES

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RETIREMENT_ID = re.compile(
    schema("Datamart Retirement Requested")["properties"]["detail"]["properties"]["retirementId"]["pattern"]
)


def test_an_id_never_changes() -> None:
    """What was asked for is found by its id years later: neither hash nor layout may change."""
    assert Subject.of("trials", "sales", CREATED).retirement_id(1) == "sweep-trials-4d4b21190160d11e-1"
    assert Subject.of("trials", "sales", None).retirement_id(12) == "sweep-trials-c081f711783c8b69-12"


def test_what_an_id_is_made_of() -> None:
    """Another rule, another name, another creation: each is another subject; the same time in another zone is not."""
    subjects = {
        Subject.of(rule, name, created_at)
        for rule in ("a", "a-b")
        for name in ("sales", "Sales", "sales ", "a-b")
        for created_at in (CREATED, CREATED + timedelta(microseconds=1), CREATED + timedelta(seconds=1), None)
    }
    assert len(subjects) == 2 * 4 * 4
    elsewhere = CREATED.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert Subject.of("a", "sales", CREATED) == Subject.of("a", "sales", elsewhere)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\ud800"])
def test_hostile_names(name: str) -> None:
    """Whatever the name, the id is a valid retirementId, and its own key."""
    retirement_id = Subject.of("r" * 40, name, CREATED).retirement_id(123_456_789)

    assert RETIREMENT_ID.fullmatch(retirement_id)
    assert sweep_request_key(retirement_id) == f"sweeps/asked/{retirement_id}.json"


RULES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)
NUMBERS = st.dictionaries(st.builds(Subject.of, RULES, st.text(), st.none()), st.integers(1, 10**9 - 1))


@given(NUMBERS)
def test_ids_are_found_again(numbers: Mapping[Subject, int]) -> None:
    """Of each subject the highest number is found, among whatever other numbers and in whatever order."""
    keys = [
        sweep_request_key(subject.retirement_id(number))
        for subject, highest in numbers.items()
        for number in {1, highest, max(1, highest - 1)}
    ]

    assert latest_numbers(keys) == latest_numbers(reversed(keys)) == numbers


def test_numbers_are_no_texts() -> None:
    """The tenth comes after the ninth, though its key does not."""
    subject = Subject.of("trials", "sales", CREATED)
    keys = sorted(sweep_request_key(subject.retirement_id(number)) for number in range(1, 13))

    assert latest_numbers(keys) == {subject: 12}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "notes.txt",
        "sweep-trials-c86fdc9a8fc0a2fe-1",
        "sweep-trials-c86fdc9a8fc0a2fe-0.json",
        "sweep-trials-c86fdc9a8fc0a2fe-01.json",
        "sweep-trials-c86fdc9a8fc0a2fe-\u0661.json",
        "sweep-trials-c86fdc9a8fc0a2fe-1.json.bak",
        "sweep-trials-C86FDC9A8FC0A2FE-1.json",
        "sweep-trials-c86f-1.json",
        "sweep--c86fdc9a8fc0a2fe-1.json",
        "x/sweep-trials-c86fdc9a8fc0a2fe-1.json",
        f"sweep-trials-c86fdc9a8fc0a2fe-{'9' * 5_000}.json",
    ],
)
def test_foreign_objects(name: str) -> None:
    """What somebody else has put there is passed over."""
    ours = Subject.of("trials", "sales", CREATED)

    assert latest_numbers([f"{SWEEP_REQUESTS}{name}", sweep_request_key(ours.retirement_id(3))]) == {ours: 3}
