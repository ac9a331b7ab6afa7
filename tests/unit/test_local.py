"""What `make local` shows of what comes on the topic."""

import json

import pytest

from local.__main__ import line
from local.stack import PublishedResult
from tests.sweep_samples import report_of

RESULT = {"retirementId": "r1", "reason": "dry_run", "message": "It would be deleted.", "outcome": "planned"}
SWEEP_ID = "20260301T120000Z-invocation-1"
KEY = f"sweeps/{SWEEP_ID}/report.json"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (json.dumps(RESULT), "r1, dry_run: It would be deleted."),
        (json.dumps(RESULT | {"retirementId": None, "reason": None}), "(no retirementId): It would be deleted."),
        (
            json.dumps(report_of(asked=2, cancelled=1).document()),
            f"{SWEEP_ID}, datamarts 20000, matched 2, asked 2, cancelled 1: the complete report is {KEY}",
        ),
        (
            json.dumps(report_of(refusal="too many").document()),
            f"{SWEEP_ID}, too many: the complete report is {KEY}",
        ),
        *[(text, text) for text in ("", "no JSON", "null", "[]", '"text"', "{}", '{"sweepId": 1}', "[" * 100_000)],
    ],
    ids=lambda text: text[:40],
)
def test_line(message: str, shown: str) -> None:
    """A result, a sweep's report, and whatever else is published each have their line."""
    assert line(PublishedResult(message, None, {})) == shown
