"""Recurring cleanup: check a policy, run a sweep, keep a datamart."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.errors import CommandError, Refused, Status, UnknownId, UsageError
from cli.output import Output, shown
from cli.records import of_datamart, read_all
from cli.retiring import DEFAULT, cancellation
from cli.sending import NO_REASON, Sending, show_outcomes
from cli.session import Given
from retirement.errors import ConfigurationError
from retirement.stored_object import OwnersFile
from retirement.sweeping.intake import parse_policy
from retirement.wording import in_words

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


def check(file: Path, /, *, session: Given) -> int:
    """Check a sweep policy, as a sweep would read it; needs no stack.

    Args:
        file: The policy, a JSON file.
        session: the run.
    """
    try:
        policy = parse_policy(OwnersFile(str(file), file.read_bytes(), None, datetime.now(UTC)))
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    session.output.document({"file": str(file), "valid": True, "dryRun": policy.dry_run, "rules": len(policy.rules)})
    what = "a dry run" if policy.dry_run else "not a dry run: sweeps request retirements"
    session.output.line(f"{shown(file)}: {in_words(len(policy.rules), 'rule')}, {what}")
    return Status.OK


def run(*, dry_run: Flag = False, session: Given) -> int:
    """Run a sweep now, and show its report.

    Args:
        dry_run: Request and cancel nothing, whatever the policy says.
        session: the run.
    """
    stack = session.stack
    name = stack.output("SweepFunctionName", "a sweep")
    with session.output.progress("Sweeping", lambda: "the function is at work"), stack.calls():
        # whoever starts a sweep cannot approve what it requests
        event = {"requestedBy": stack.caller} | ({"dryRun": True} if dry_run else {})
        answer = stack.lambda_.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        report: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise CommandError(f"the sweep failed: {report.get('errorMessage', 'see the log of the function')}")
    _show(session.output, report)
    return Status.BLOCKED if report.get("refusal") else Status.OK


def keep(name: str, /, *, reason: str | None = None, sending: Sending = DEFAULT, session: Given) -> int:
    """Keep a datamart that a sweep wants to retire: cancel the sweep's request.

    Args:
        name: The datamart's exact name.
        reason: Why, for the audit.
        sending: the options of every request.
        session: the run.
    """
    if not name:
        raise UsageError("a name is empty")
    by_sweeps = [folder for folder in of_datamart(session.stack, name) if folder.id.startswith("sweep-")]
    if not by_sweeps:
        raise UnknownId(f"no sweep has requested to retire {shown(name)}: names are exact, see datamart list --pending")
    entries = [entry for entry in read_all(session.stack, by_sweeps) if entry.folder.is_open]
    if not entries:
        raise Refused(f"every retirement of {shown(name)} that a sweep requested has ended: see datamart show")
    awaited = [
        cancellation(session, sending, entry.folder, name, entry.folder.id, reason or NO_REASON) for entry in entries
    ]
    status = show_outcomes(session, sending, awaited)
    session.output.note(f"To spare {shown(name)} permanently, add it to the rule's exempt in the policy.")
    return status


def _show(output: Output, report: dict[str, Any]) -> None:
    output.document(report)
    counts = ", ".join(f"{name} {count}" for name, count in report.get("counts", {}).items() if count)
    output.line(f"sweep {shown(report.get('sweepId'))}: {counts or 'nothing matched'}")
    output.fields(
        ("refusal", report.get("refusal")), ("dry run", report.get("dryRun")), ("report", report["report"]["key"])
    )
    output.table(
        ("datamart", "rule", "state", "due", "retirementId"),
        [
            [each.get(field) for field in ("datamartName", "rule", "state", "retireAt", "retirementId")]
            for each in report.get("matched", [])
        ],
    )
    output.table(("spared", "why"), [[each.get("datamartName"), each.get("why")] for each in report.get("skipped", [])])
