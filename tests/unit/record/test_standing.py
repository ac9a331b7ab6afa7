from collections.abc import Collection
from datetime import datetime, timedelta

import pytest

from retirement.canonical import canonical_json
from retirement.errors import MalformedObject
from retirement.outcomes import Outcome
from retirement.record.keys import retirement_key
from retirement.record.record import Record
from retirement.record.standing import Stage, Standing, standing
from retirement.timestamps import format_timestamp
from tests.fakes import START, FakeEvidence

HOUR = timedelta(hours=1)


def unread(file_name: str, field: str) -> datetime:
    """No file is read."""
    pytest.fail(f"{field} of {file_name} was read")


@pytest.mark.parametrize(
    ("file_names", "stage", "decided_by"),
    [
        (set(), Stage.REQUESTED, None),
        ({"arrival-0123456789abcdef-20261120T093000.000000Z.json"}, Stage.REQUESTED, None),
        ({"cancellation-failure-1.json"}, Stage.REQUESTED, None),
        ({"schedule-1.json", "reminder-1.json"}, Stage.SCHEDULED, "schedule-1.json"),
        ({"schedule-2.json", "schedule-10.json"}, Stage.SCHEDULED, "schedule-10.json"),
        ({"approval-asked-1.json"}, Stage.AWAITING_APPROVAL, "approval-asked-1.json"),
        (
            {"approval-asked-1.json", "approval-asked-2.json", "approved-1.json"},
            Stage.AWAITING_APPROVAL,
            "approval-asked-2.json",
        ),
        ({"approval-asked-1.json", "approved-1.json", "intent.json"}, Stage.STARTED, "intent.json"),
        ({"approval-asked-1.json", "cancelled.json"}, Stage.CANCELLED, "cancelled.json"),
        ({"intent.json"}, Stage.STARTED, "intent.json"),
        ({"intent.json", "schedule-1.json"}, Stage.STARTED, "intent.json"),
        ({"failure-2.json", "failure-10.json"}, Stage.ABANDONED, "failure-10.json"),
        ({"intent.json", "schedule-1.json", "failure-1.json"}, Stage.ABANDONED, "failure-1.json"),
        ({"cancelled.json", "intent.json", "schedule-1.json", "failure-1.json"}, Stage.CANCELLED, "cancelled.json"),
        ({"receipt.json", "cancelled.json", "schedule-1.json", "failure-1.json"}, Stage.ENDED, "receipt.json"),
    ],
)
def test_what_the_names_decide(file_names: Collection[str], stage: Stage, decided_by: str | None) -> None:
    """The names alone decide, unless a date and a failure are stored."""
    assert standing(file_names, START, unread) == Standing(stage, decided_by, "intent.json" in file_names)


@pytest.mark.parametrize(
    ("due", "stored", "stage"),
    [
        (HOUR, -2 * HOUR, Stage.SCHEDULED),  # a request for another date failed
        (-HOUR / 2, -2 * HOUR, Stage.ABANDONED),
        (timedelta(), -HOUR, Stage.ABANDONED),
        (-HOUR / 2, -HOUR / 2, Stage.SCHEDULED),  # a redrive stored a new date, which is due
    ],
)
def test_date_and_failure(due: timedelta, stored: timedelta, stage: Stage) -> None:
    """A date is current if it is in the future, or was stored after the last failure."""
    times = {
        ("schedule-2.json", "retireAt"): START + due,
        ("schedule-2.json", "finishedAt"): START + stored,
        ("failure-3.json", "finishedAt"): START - HOUR,
    }
    names = {"schedule-1.json", "schedule-2.json", "failure-1.json", "failure-3.json"}
    found = standing(names, START, lambda *of: times[of])
    assert found.stage is stage
    assert found.decided_by == ("schedule-2.json" if stage is Stage.SCHEDULED else "failure-3.json")


# ---- As the record reads it ----------------------------------------------------------------------------------------


def record(**files: object) -> Record:
    """The record of a retirement with these files."""
    evidence = FakeEvidence()
    for name, content in files.items():
        text = content if isinstance(content, str) else canonical_json(content)  # type: ignore[arg-type]
        evidence.create(retirement_key("sales", "offboard-1", name.replace("_", "-") + ".json"), text)
    return Record(evidence, "sales", "offboard-1")


def test_times_of_a_record() -> None:
    """The record reads the times from its files."""
    date = {"retireAt": format_timestamp(START), "finishedAt": format_timestamp(START - HOUR)}
    failure = {"finishedAt": format_timestamp(START - 2 * HOUR)}
    of = record(schedule_1=date, failure_1=failure)
    assert of.standing(START).stage is Stage.SCHEDULED
    assert record(schedule_1=date, failure_1=date).standing(START).stage is Stage.ABANDONED


@pytest.mark.parametrize("failure", ["", "[]", "{}", '{"finishedAt": 7}', '{"finishedAt": "today"}'])
def test_a_malformed_time(failure: str) -> None:
    """A file without the time is an error."""
    date = {"retireAt": format_timestamp(START), "finishedAt": format_timestamp(START)}
    with pytest.raises(MalformedObject, match=r"failure-1\.json"):
        record(schedule_1=date, failure_1=failure).standing(START)


def test_outcome() -> None:
    """The receipt has the outcome, and without one there is none."""
    assert record(receipt={"outcome": "blocked"}).outcome is Outcome.BLOCKED
    assert record(schedule_1={"outcome": "scheduled"}).outcome is None


@pytest.mark.parametrize("receipt", ["", "[]", "{}", '{"outcome": []}', '{"outcome": "x"}', '{"outcome": "failed"}'])
def test_a_malformed_outcome(receipt: str) -> None:
    """An outcome that no receipt can have is an error."""
    with pytest.raises(MalformedObject):
        _ = record(receipt=receipt).outcome


@pytest.mark.parametrize(
    ("asked", "file_name", "stage"),
    [
        (HOUR, "schedule-1.json", Stage.AWAITING_APPROVAL),
        (-HOUR, "schedule-1.json", Stage.SCHEDULED),  # it was moved since
        (HOUR, "failure-1.json", Stage.AWAITING_APPROVAL),  # a redrive asked
        (-HOUR, "failure-1.json", Stage.ABANDONED),
    ],
)
def test_ask_and_what_else_is_stored(asked: timedelta, file_name: str, stage: Stage) -> None:
    """An ask for approval is current unless another date or a failure was stored since."""
    times = {
        ("approval-asked-1.json", "finishedAt"): START + asked,
        (file_name, "finishedAt"): START,
        (file_name, "retireAt"): START,
    }
    found = standing({"approval-asked-1.json", file_name}, START, lambda *place: times[place])
    assert found.stage is stage
