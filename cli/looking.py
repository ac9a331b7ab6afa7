"""The commands that only look: status, list, show."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from cli.dates import moment_before
from cli.errors import Status, UnknownId, UsageError
from cli.output import shown
from cli.records import RETIREMENTS, Entry, folders, of_datamart, of_id, read_all, restores_of
from cli.retries import retries
from cli.sending import show_result
from cli.session import Given, Session
from cli.stack import AwsRefused, Stack
from retirement.canonical import Document
from retirement.outcomes import Outcome

COLUMNS = ("datamart", "retirementId", "state", "outcome", "at", "requestedBy")
QUEUES = ("Requests", "Scheduling", "Restores", "Failures")

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


def status(which: str | None = None, /, *, name: str | None = None, session: Given) -> int:
    """Show one retirement with its whole story and its next attempt, or how the stack is.

    Args:
        which: A retirementId, or the name of a datamart, of which the last retirement is shown [default: the stack].
        name: The datamart, if the ID is that of several.
        session: the run.
    """
    if which is None:
        return _stack_status(session)
    if not which or name == "":
        raise UsageError("a name is empty")
    for entry in _found(session, which, name):
        _story(session, entry)
    return Status.OK


def list_(*, pending: Flag = False, outcome: str | None = None, since: str = "30 days", session: Given) -> int:
    """List retirements, the latest first.

    Args:
        pending: Only those that have not ended, however old.
        outcome: Only those with this outcome.
        since: How far back, for example "7 days", or an RFC 3339 time.
        session: the run.
    """
    if outcome is not None and outcome not in set(Outcome):
        raise UsageError(f"--outcome is {shown(outcome)}: expected one of {', '.join(Outcome)}")
    first = moment_before(since)
    counted = [0]
    with session.output.progress("Reading the evidence", lambda: f"{counted[0]} objects"):
        listed = folders(session.stack, RETIREMENTS, counted)
        found = [each for each in listed if (each.is_open if pending else each.changed_at >= first)]
        known = retries(session.stack) if pending else ()
        entries = [each for each in read_all(session.stack, found, known) if not pending or is_pending(each)]
    if outcome is not None:
        entries = [entry for entry in entries if entry.decision.get("outcome") == outcome]
    _rows(session, entries)
    return Status.OK


def show(name: str, /, *, session: Given) -> int:
    """Show the history of one datamart: every retirement and restore of it, the latest first.

    Args:
        name: The datamart's exact name.
        session: the run.
    """
    if not name:
        raise UsageError("a name is empty")
    retirements = of_datamart(session.stack, name)
    if not retirements:
        raise UnknownId(f"nothing is stored of the datamart {shown(name)}: names are exact, see datamart list")
    restores = [each for folder in retirements for each in restores_of(session.stack, name, folder.id)]
    _rows(session, read_all(session.stack, [*retirements, *restores]))
    return Status.OK


def is_pending(entry: Entry) -> bool:
    """Return whether something is still to come of it without anybody's help."""
    return entry.retry is not None or (bool(entry.folder.files) and entry.state not in {"ended", "abandoned"})


def _rows(session: Session, entries: Iterable[Entry]) -> None:
    rows = sorted((entry.row() for entry in entries), key=lambda row: str(row["at"]), reverse=True)
    for row in rows:
        session.output.document(row)
    if not rows:
        session.output.line("nothing")
    session.output.table(
        COLUMNS,
        [
            [
                row["datamartName"],
                row["retirementId"],
                row["state"],
                " ".join(str(each) for each in (row["outcome"], row["reason"]) if each),
                row["retireAt"] or row["at"],
                row["requestedBy"],
            ]
            for row in rows
        ],
    )


# ---- One retirement ------------------------------------------------------------------------------------------------


def _found(session: Session, which: str, name: str | None) -> list[Entry]:
    """Return the retirements that are meant: those with the ID, or the last one of the datamart.

    Raises:
        UnknownId: nothing is stored, also after a look at the whole bucket.
    """
    stack = session.stack
    if name is None:
        by_name = of_datamart(stack, which)
        if by_name:
            latest = max(by_name, key=lambda folder: folder.changed_at)
            return [Entry(stack, latest, retries(stack, latest.id))]
        counted = [0]
        with session.output.progress("Looking for the ID in the evidence", lambda: f"{counted[0]} objects"):
            found = of_id(stack, which, counted)
    else:
        found = [folder for folder in of_datamart(stack, name) if folder.id == which]
    known = [each for each in retries(stack, which) if name in (None, each.datamart_name)]
    entries = [each for each in read_all(stack, found, known) if each.folder.files or each.retry is not None]
    if not entries:
        raise UnknownId(f"nothing is stored under {shown(which)}, neither as a retirementId nor as a datamart's name")
    return entries


def _story(session: Session, entry: Entry) -> None:
    """Show one retirement: where it stands, and everything that was stored of it, in order."""
    output = session.output
    restores = read_all(session.stack, restores_of(session.stack, entry.name, entry.folder.id))
    history = [*_history(entry), *(each for restore in restores for each in _history(restore))]
    history.sort(key=lambda each: str(each["at"]))
    row = entry.row()
    has_result = "outcome" in entry.decision
    output.document({**row, "result": entry.decision if has_result else None, "history": history})
    if output.as_json:
        return
    if has_result and entry.retry is None:
        show_result(output, entry.decision)
    else:
        output.line(f"{shown(entry.name)}: {entry.state}")
        output.fields(("retirementId", entry.folder.id), ("attempts", entry.retry))
    output.fields(("requested by", row["requestedBy"]), ("reason", row["requestReason"]))
    output.line()
    output.table(
        ("at", "what", "outcome", "by"),
        [[each["at"], each["file"], each["outcome"], each["requestedBy"]] for each in history],
    )


def _history(entry: Entry) -> list[dict[str, Any]]:
    """Return what was stored, one object each; arrivals say nothing to a person."""
    told = []
    for file, written in entry.folder.files.items():
        if file.startswith(("arrival-", "embed-", "differences")):
            continue
        document = {} if file == "intent.json" else entry.read(file)
        told.append(
            {
                "at": document.get("finishedAt") or written.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "file": f"restore {entry.folder.id} {file}" if entry.folder.is_restore else file,
                "outcome": document.get("outcome"),
                "reason": document.get("reason"),
                "message": document.get("message"),
                "retireAt": document.get("retireAt"),
                "requestedBy": document.get("requestedBy"),
                "requestReason": document.get("requestReason"),
            }
        )
    return told


# ---- The stack -----------------------------------------------------------------------------------------------------


def _stack_status(session: Session) -> int:
    """Show the stack: mode, what waits, what failed, the day's count and alarms."""
    stack, output = session.stack, session.output
    waiting = {name: _waiting(stack, name) for name in QUEUES}
    used, limit = _used_today(stack), stack.parameter("MaxRetirementsPerDay")
    alarms = _alarms(stack)
    stopped = is_stopped(stack, "RequestsMapping")
    document: Document = {
        "stack": stack.context.stack,
        "environment": stack.environment_name,
        "mode": stack.parameter("Mode"),
        "stopped": stopped,
        "waiting": waiting["Requests"] + waiting["Scheduling"] + waiting["Restores"],
        "queues": waiting,
        "failures": waiting["Failures"],
        "today": used,
        "maxToday": int(limit),
        "alarms": alarms,
        "webhookUrl": stack.outputs.get("WebhookUrl"),
    }
    output.document(document)
    output.line(f"{session.context}")
    output.fields(
        ("environment", stack.environment_name),
        ("mode", stack.parameter("Mode") + (", deletions are STOPPED (datamart resume)" if stopped else "")),
        ("waiting", ", ".join(f"{count} in {name}" for name, count in waiting.items() if name != "Failures")),
        ("failures", f"{waiting['Failures']}{' (datamart failures)' if waiting['Failures'] else ''}"),
        ("deleted today", f"{used} of {limit}" if used is not None else "unknown"),
        ("alarms", ", ".join(alarms) if alarms else "none"),
        ("webhook", stack.outputs.get("WebhookUrl")),
    )
    return Status.OK


def _waiting(stack: Stack, queue: str) -> int:
    with stack.calls():
        attributes = stack.sqs.get_queue_attributes(
            QueueUrl=stack.output(f"{queue}QueueUrl"),
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
    return sum(map(int, attributes.values()))


def is_stopped(stack: Stack, mapping: str) -> bool:
    """Return whether a mapping is disabled, or is being disabled."""
    with stack.calls():
        state = stack.lambda_.get_event_source_mapping(UUID=stack.resource(mapping))["State"]
    return state in {"Disabled", "Disabling"}


def _used_today(stack: Stack) -> int | None:
    """Return the day's count; None if the caller may not read it."""
    try:
        with stack.calls():
            answer = stack.dynamodb.get_item(
                TableName=stack.coordination_table, Key={"pk": {"S": f"day#{datetime.now(UTC).date()}"}}
            )
    except AwsRefused:
        return None
    return int(answer["Item"]["used"]["N"]) if "Item" in answer else 0


def _alarms(stack: Stack) -> list[str]:
    """Return the names of the stack's alarms that have gone off."""
    with stack.calls():
        pages = stack.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=f"{stack.context.stack}-", StateValue="ALARM"
        )
        return sorted(alarm["AlarmName"] for page in pages for alarm in page.get("MetricAlarms", []))
