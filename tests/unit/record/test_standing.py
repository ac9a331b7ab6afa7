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
        ({"approval-asked-2.json", "approval-asked-10.json"}, Stage.AWAITING, "approval-asked-10.json"),
        ({"intent.json", "approval-asked-1.json", "approved-1.json"}, Stage.STARTED, "intent.json"),
        ({"cancelled.json", "approval-asked-1.json"}, Stage.CANCELLED, "cancelled.json"),
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


@pytest.mark.parametrize(
    ("asked", "dated", "failed", "decided_by"),
    [
        (-HOUR, -2 * HOUR, None, "approval-asked-1.json"),
        (-HOUR, -2 * HOUR, -3 * HOUR, "approval-asked-1.json"),
        (-2 * HOUR, -HOUR, None, "schedule-1.json"),  # moved since
        (-2 * HOUR, None, -HOUR, "failure-1.json"),  # approved, and then it failed
        (-HOUR, None, -HOUR, "approval-asked-1.json"),
    ],
)
def test_ask(asked: timedelta, dated: timedelta | None, failed: timedelta | None, decided_by: str) -> None:
    """A retirement awaits approval unless it was moved, or failed, after it was asked for."""
    stored = {"approval-asked-1.json": asked, "schedule-1.json": dated, "failure-1.json": failed}
    times = {file: START + ago for file, ago in stored.items() if ago is not None}
    found = standing(times, START, lambda file, field: times[file] if field == "finishedAt" else START - 2 * HOUR)
    assert found.decided_by == decided_by
    assert (found.stage is Stage.AWAITING) == decided_by.startswith("approval")


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
