"""The command that approves a deletion which another person has requested."""

from cli.errors import Refused
from cli.output import shown
from cli.records import Entry, Folder
from cli.retiring import DEFAULT, Flag, Repeated, chosen, show_stored_plan
from cli.sending import NO_REASON, Sending, require_valid, send, show_outcomes, show_result
from cli.session import Given, Session
from cli.waiting import Awaited
from retirement.aws.progress import progress_key
from retirement.canonical import Document
from retirement.delivery.intake import APPROVED
from retirement.record.keys import numbers_in
from retirement.record.standing import Stage
from retirement.requests import Kind


def approve(
    id: str,
    /,
    *,
    reason: str | None = None,
    name: Repeated = (),
    all: Flag = False,
    yes: Flag = False,
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Approve the plan of a deletion that another person has requested.

    Shows who requests it and the plan, asks you to type the name, sends the approval and waits for its answer. What you
    approve is the plan that you saw: if the datamart changes, the deletion awaits a new approval.

    Args:
        id: The retirementId.
        reason: Why, for the audit.
        name: The datamart, if the ID is that of several; repeat it for several.
        all: Every datamart of this ID.
        yes: Do not ask.
        sending: the options of every request.
        session: the run.
    """
    source = _source(session)
    approvals = []
    for folder in chosen(session, id, name, every=all):
        entry = Entry(session.stack, folder)
        if entry.standing.stage is not Stage.AWAITING_APPROVAL:
            raise Refused(f"{id} of {shown(entry.name)} does not await approval: it is {entry.state}")
        approvals.append((entry, _detail(session, sending, entry, reason or NO_REASON)))
    output = session.output.for_a_person()
    for entry, detail in approvals:
        show_result(output, entry.decision)
        show_stored_plan(session, output, entry.name, str(detail["planId"]))
        output.confirm(f"This allows the deletion of {shown(entry.name)}, on {session.context}.", entry.name, yes=yes)
    awaited = [_sent(session, source, entry.folder, detail) for entry, detail in approvals]
    return show_outcomes(session, sending, awaited)


def _source(session: Session) -> str:
    sources = session.stack.parameter("ApprovalSources").split(",")
    if not sources[0].strip():
        raise Refused("this stack requires no approvals (ApprovalSources is empty)")
    return sources[0].strip()


def _detail(session: Session, sending: Sending, entry: Entry, reason: str) -> Document:
    detail: Document = {
        "datamartName": entry.name,
        "environment": session.stack.environment_name,
        "retirementId": entry.folder.id,
        "planId": entry.decision.get("planId"),
        "approvedBy": sending.requested_by or session.stack.caller,
        "reason": reason,
    }
    require_valid(detail, APPROVED)
    return detail


def _sent(session: Session, source: str, folder: Folder, detail: Document) -> Awaited:
    name = str(detail["datamartName"])
    return Awaited(
        name=name,
        identity=folder.id,
        event_id=send(session.stack, APPROVED, detail, source=source),
        prefix=folder.prefix,
        answers=(),
        answered_by="approved",
        follow=f"datamart status {folder.id}",
        progress=progress_key(Kind.APPROVAL, name, folder.id, None),
        failures="approval-failure",
        before=len(numbers_in(folder.files, "approval-failure")),
    )
