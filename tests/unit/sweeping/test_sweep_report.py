import json
from datetime import timedelta
from pathlib import Path

import fastjsonschema
import pytest

from retirement.canonical import ordered_json
from retirement.sweeping.report import MAX_REFUSAL_LENGTH, Matched, State, SweepReport
from tests.fakes import START, Parsed
from tests.sweep_samples import report_of, skipped

SCHEMA: Parsed = json.loads(
    (Path(__file__).parents[3] / "events" / "schemas" / "datamart-sweep-report.json").read_bytes()
)
follows_schema = fastjsonschema.compile(SCHEMA)

REPORTS = [
    report_of(),
    report_of(asked=3, cancelled=2, skipped=[skipped("a"), skipped("\x00")]),
    report_of(dry_run=True, would_ask=3),
    report_of(dry_run=None, refusal="SweepPolicyUri: nothing there"),
    report_of(held_back=30, refusal="too many"),
]


@pytest.mark.parametrize("report", REPORTS)
def test_schema(report: SweepReport) -> None:
    """A report follows the published schema, whole and as a message; a short one is the same in both."""
    follows_schema(report.document())
    assert report.message() == report.document()


def test_document() -> None:
    """A report says which sweep it is, what it went by, where it is kept, and what it found and did."""
    report = report_of(asked=1, cancelled=1, skipped=[skipped("sales", "trials: exempt")])

    assert report.document() == {
        "formatVersion": "1",
        "sweepId": "20260301T120000Z-invocation-1",
        "environment": "prod",
        "startedAt": "2026-03-01T12:00:00.000Z",
        "finishedAt": "2026-03-01T12:00:00.000Z",
        "dryRun": False,
        "refusal": None,
        "policy": {"bucket": "policies", "key": "sweep.json", "versionId": "version-1"},
        "report": {"bucket": "evidence", "key": "sweeps/20260301T120000Z-invocation-1/report.json"},
        "counts": {
            "datamarts": 20_000,
            "matched": 1,
            "asked": 1,
            "repeated": 0,
            "pending": 0,
            "heldBack": 0,
            "wouldAsk": 0,
            "ended": 0,
            "cancelled": 1,
            "skipped": 1,
        },
        "matched": [
            {
                "datamartName": "trial-0",
                "rule": "trials",
                "alsoMatched": ["old"],
                "why": 'named by "*"',
                "retirementId": "sweep-trials-0-1",
                "retireAt": "2026-03-15T12:00:00.000Z",
                "state": "asked",
            }
        ],
        "cancelled": [
            {
                "datamartName": "trial-0",
                "rule": "trials",
                "why": 'exempt by "*"',
                "retirementId": "sweep-trials-0-1",
                "retireAt": "2026-03-15T12:00:00.000Z",
            }
        ],
        "skipped": [{"datamartName": "sales", "why": "trials: exempt"}],
    }


@pytest.mark.parametrize("state", State)
def test_counts(state: State) -> None:
    """Each state has its count, and together they are what matched."""
    matched = Matched(
        datamart_name="a",
        rule="trials",
        also_matched=(),
        why="",
        retirement_id="r",
        retire_at=START + timedelta(days=1),
        state=state,
    )
    document: Parsed = SweepReport(
        sweep_id="s",
        environment="prod",
        started_at=START,
        finished_at=START,
        policy=report_of().policy,
        policy_version_id=None,
        stored_as=report_of().stored_as,
        matched=[matched] * 3,
    ).document()

    follows_schema(document)
    states = {name: count for name, count in document["counts"].items() if name not in {"datamarts", "matched"}}
    words = state.value.split("_")
    assert {name: count for name, count in states.items() if count} == {
        words[0] + "".join(word.title() for word in words[1:]): 3
    }
    assert document["counts"]["matched"] == 3


def test_every_state_is_in_the_schema() -> None:
    """The schema names every state, and explains it."""
    state = SCHEMA["properties"]["matched"]["items"]["properties"]["state"]

    assert state["enum"] == list(State)
    assert all(f"{name}:" in state["description"] for name in State)


def test_a_long_report() -> None:
    """A message has the first of each list, as many as fit, and all of them are in what is kept."""
    entries = [skipped(f"datamart-{number}", "w" * 200) for number in range(2_000)]
    report = report_of(asked=2_000, cancelled=2_000, skipped=entries, refusal="r" * 5_000)
    message: Parsed = report.message()
    whole: Parsed = report.document()

    follows_schema(message)
    follows_schema(whole)
    for name in ("matched", "cancelled", "skipped"):
        assert len(whole[name]) == 2_000
        assert 100 < len(message[name]) < 2_000
        assert message[name] == whole[name][: len(message[name])]
    assert message["counts"] == whole["counts"]
    assert len(message["refusal"]) == MAX_REFUSAL_LENGTH
    assert len(ordered_json(message).encode()) < 250 * 1024
