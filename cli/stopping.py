"""The stop button: stop all deletions, and go on (docs/runbooks/stop-button.md)."""

import time
from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter

from cli.errors import CommandError, Status
from cli.operations import RESUMED, STOPPED, last, record
from cli.output import shown
from cli.session import Given, Session
from cli.stack import AwsRefused, Stack
from retirement.wording import in_words

REQUESTS, SCHEDULING = "RequestsMapping", "SchedulingMapping"
TIME_LIMIT = 300.0  # seconds; AWS does not say how long a mapping takes to change
POLL = 1.0

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


def stop(*, reason: str, yes: Flag = False, session: Given) -> int:
    """Stop all deletions. Requests wait, for up to 14 days; dates and cancellations are still processed.

    Args:
        reason: Why, for the audit.
        yes: Do not ask.
        session: the run.
    """
    stack, output = session.stack, session.output
    output.confirm(f"This stops all deletions on {session.context}.", "stop", yes=yes)
    _set(session, REQUESTS, enabled=False)
    try:
        record(stack, STOPPED, reason)
    except AwsRefused as refused:
        raise CommandError(f"deletions are stopped, but who stopped them and why was not stored: {refused}") from None
    output.document({"stack": stack.context.stack, "stopped": True, "reason": reason})
    output.line("Deletions are stopped. What Lambda took just before runs to its end, within 60 seconds.")
    output.line("To go on: datamart resume")
    return Status.OK


def resume(*, reason: str | None = None, yes: Flag = False, session: Given) -> int:
    """Go on with deletions: everything that waits is carried out.

    Args:
        reason: Why, for the audit.
        yes: Do not ask.
        session: the run.
    """
    stack, output = session.stack, session.output
    stopped = last(stack, {STOPPED, RESUMED})
    if stopped.get("what") == STOPPED:
        output.note(
            f"Stopped by {shown(stopped.get('by'))} at {shown(stopped.get('at'))}: {shown(stopped.get('reason'))}"
        )
    waiting = in_words(_visible(stack, "RequestsQueueUrl"), "request")
    output.confirm(f"{waiting} will be carried out, on {session.context}.", "resume", yes=yes)
    if _state(stack, SCHEDULING) != "Enabled":  # cancellations first
        _set(session, SCHEDULING, enabled=True)
        output.note("waiting until the queue Scheduling is empty: it may hold cancellations of what waits")
        _until(lambda: _visible(stack, "SchedulingQueueUrl") == 0, "the queue Scheduling is not empty")
    _set(session, REQUESTS, enabled=True)
    try:
        record(stack, RESUMED, reason)
    except AwsRefused as refused:
        raise CommandError(f"deletions go on, but who resumed them and why was not stored: {refused}") from None
    output.document({"stack": stack.context.stack, "stopped": False, "reason": reason})
    output.line(f"Deletions go on: {waiting} waited.")
    return Status.OK


def _set(session: Session, mapping: str, *, enabled: bool) -> None:
    """Enable or disable a mapping, and wait until that is in effect."""
    stack, wanted = session.stack, "Enabled" if enabled else "Disabled"
    if _state(stack, mapping) == wanted:
        return
    with stack.calls():
        stack.lambda_.update_event_source_mapping(UUID=stack.resource(mapping), Enabled=enabled)
    session.output.note(f"{mapping}: waiting until it is {wanted}")
    _until(lambda: _state(stack, mapping) == wanted, f"{mapping} is not {wanted} yet")


def _until(holds: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + TIME_LIMIT
    while not holds():
        if time.monotonic() > deadline:
            raise CommandError(f"{complaint} after {TIME_LIMIT:.0f} s: run the command again")
        time.sleep(POLL)


def _state(stack: Stack, mapping: str) -> str:
    with stack.calls():
        return stack.lambda_.get_event_source_mapping(UUID=stack.resource(mapping))["State"]


def _visible(stack: Stack, queue: str) -> int:
    with stack.calls():
        attributes = stack.sqs.get_queue_attributes(
            QueueUrl=stack.output(queue), AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])
