"""The commands that retire datamarts and bring them back: plan, retire, move, cancel, restore."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from cyclopts import Parameter

from cli.dates import date_ahead
from cli.errors import Refused, Status, UnknownId, UsageError, status_of
from cli.output import Output, shown
from cli.records import (
    Entry,
    Folder,
    deletion_of,
    event_of,
    folder_of,
    last,
    of_datamart,
    of_id,
    read_all,
    restores_of,
)
from cli.sending import (
    NO_REASON,
    Sending,
    detail_of,
    follow_up,
    new_id,
    require_valid,
    send,
    show_outcomes,
    show_result,
    valid_request,
    valid_restore,
)
from cli.session import Given, Session
from cli.waiting import Awaited, announced
from retirement.aws.progress import progress_key
from retirement.canonical import Document, Json, parse_json
from retirement.delivery.intake import CANCELLED, REQUESTED, RESTORE_REQUESTED
from retirement.outcomes import Outcome
from retirement.record.keys import (
    ask_file_name,
    numbers_in,
    plan_key,
    restore_key,
    retirement_key,
    schedule_file_name,
)
from retirement.record.standing import Stage
from retirement.requests import Kind
from retirement.timestamps import parse_timestamp
from retirement.wording import in_words

# A date that is this near is not answered by `scheduled`: the request is carried out when it is due.
SOON = timedelta(seconds=60)

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Repeated = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]
DEFAULT = Sending()


# ---- Plan and retire -----------------------------------------------------------------------------------------------


def plan(
    *names: str,
    id: str | None = None,
    reason: str | None = None,
    no_backup: Flag = False,
    dependents: Literal["block", "ignore"] | None = None,
    reviewed: Repeated = (),
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Show what a retirement would delete; changes nothing.

    Waits for the result of a dry run, and shows what would go, which embeds use it, and what would not come back.

    Args:
        names: Exact names of datamarts.
        id: The retirementId of the dry run [default: a new one].
        reason: Why, for the audit.
        no_backup: Plan a retirement without a backup.
        dependents: What embeds do that use the datamart [default: block].
        reviewed: An embed that a person has reviewed; repeat it for several.
        sending: the options of every request.
        session: the run.
    """
    details = _details(
        session,
        sending,
        names,
        id or new_id("plan"),
        reason or NO_REASON,
        dryRun=True,
        **_options(no_backup, dependents, reviewed),
    )
    ended = _ended_already(session, details) if id else None
    if ended is not None:
        return ended
    results, status = _requested(session, sending, details)
    for result in results:
        show_result(session.output, result)
        _show_plan(session, result)
    return status


def retire(
    *names: str,
    id: str | None = None,
    reason: str | None = None,
    plan: str | None = None,
    at: str | None = None,
    no_backup: Flag = False,
    rehearse: Flag = False,
    dependents: Literal["block", "ignore"] | None = None,
    reviewed: Repeated = (),
    yes: Flag = False,
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Delete datamarts, now or at a date.

    Shows the plan, asks you to type the name, sends the request and waits. What is carried out is the plan that you
    saw: if the datamart has changed since, it is blocked. With --yes it sends the request as it is.

    Args:
        names: Exact names of datamarts; they are never patterns.
        id: The retirementId, by which a request is carried out once [default: a new one].
        reason: Why, for the audit.
        plan: Carry out exactly this plan, the planId of a dry run.
        at: Not before this time: RFC 3339, or for example "in 7 days".
        no_backup: Delete without a backup. Nothing can restore the datamart.
        rehearse: Restore the backup under another name first, and compare.
        dependents: What embeds do that use the datamart [default: block].
        reviewed: An embed that a person has reviewed; repeat it for several.
        yes: Do not ask.
        sending: the options of every request.
        session: the run.
    """
    output = session.output
    if plan is not None and len(names) > 1:
        raise UsageError("--plan is the plan of one datamart: name one")
    if not yes and not output.asks():
        raise UsageError("there is no terminal to confirm the retirement on: add --yes")
    options = _options(no_backup, dependents, reviewed)
    retire_at = None if at is None else date_ahead(at)
    identity = id or new_id("retire")
    if not yes and reason is None:
        _named(names)
        reason = output.ask("Reason, for the audit: ") or None
    requests = _details(
        session,
        sending,
        names,
        identity,
        reason or NO_REASON,
        planId=plan,
        retireAt=retire_at,
        rehearse=True if rehearse else None,
        **options,
    )
    ended = _ended_already(session, requests) if id else None
    if ended is not None:
        return ended
    if not yes:
        requests = _confirmed(session, sending, requests, options)
        if not requests:
            return Status.BLOCKED
    results, status = _requested(session, sending, requests)
    for result in results:
        show_result(output, result)
    return status


def _options(no_backup: bool, dependents: str | None, reviewed: Sequence[str]) -> dict[str, Json]:  # noqa: FBT001
    return {"backup": False if no_backup else None, "dependents": dependents, "reviewedEmbeds": list(reviewed) or None}


def _named(names: Sequence[str]) -> None:
    if not names:
        raise UsageError("name one datamart or more")
    if "" in names:
        raise UsageError("a name is empty")
    if len(set(names)) < len(names):
        raise UsageError("a name is given twice")


def _details(
    session: Session, sending: Sending, names: Sequence[str], identity: str, reason: str, **fields: Json
) -> list[dict[str, Json]]:
    """Return a valid request for each name; none is sent if one is not valid."""
    _named(names)
    details = [
        detail_of(session, sending, datamartName=name, reason=reason, retirementId=identity, **fields) for name in names
    ]
    for detail in details:
        valid_request(detail, REQUESTED)
    return details


def _ended_already(session: Session, requests: Sequence[Document]) -> int | None:
    """Show the recorded results if an earlier request has used up the identity of each; None if none has ended.

    Raises:
        Refused: some have ended and others have not, or a request with other content has ended.
    """
    ended, worst = 0, Status.OK
    for detail in requests:
        name, identity = str(detail["datamartName"]), str(detail["retirementId"])
        with session.stack.calls():
            receipt = session.stack.evidence.read(retirement_key(name, identity, "receipt.json"))
        if receipt is None:
            continue
        if receipt.content_hash not in (None, valid_request(detail, REQUESTED).content_hash):
            raise Refused(f"{identity} was used for {shown(name)} by a request with other content: choose another --id")
        ended += 1
        result = Entry(session.stack, folder_of(session.stack, name, identity)).read("receipt.json")
        session.output.note(f"{shown(name)}: {identity} has ended already; this is its result")
        show_result(session.output, result)
        worst = max(worst, status_of(str(result.get("outcome"))))
    if 0 < ended < len(requests):
        raise Refused("some of these have ended already: name the others alone, or choose another --id")
    return worst if ended else None


def _confirmed(
    session: Session, sending: Sending, requests: Sequence[dict[str, Json]], options: dict[str, Json]
) -> list[dict[str, Json]]:
    """Show the plan of each request, and return the requests that a person confirms; those for now carry out the plan.

    Raises:
        UsageError: it was not confirmed.
    """
    output = session.output.for_a_person()
    plans: dict[str, Json] = {}
    given = {str(each["datamartName"]): str(each["planId"]) for each in requests if "planId" in each}
    for name, plan_id in given.items():
        show_stored_plan(session, output, name, plan_id)
        plans[name] = plan_id
    if not given:
        names = [str(each["datamartName"]) for each in requests]
        dry = _details(session, sending, names, new_id("plan"), str(requests[0]["reason"]), dryRun=True, **options)
        results, _ = _requested(session, replace(sending, no_wait=False), dry)
        for result in results:
            show_result(output, result)
            if result.get("outcome") == Outcome.PLANNED:
                show_stored_plan(session, output, str(result["datamartName"]), str(result["planId"]))
                plans[str(result["datamartName"])] = result["planId"]
    left = [each for each in requests if each["datamartName"] in plans]
    if not left:
        return []
    if len(left) < len(requests):
        spared = in_words(len(requests) - len(left), "datamart")
        output.note(f"{spared} would not be deleted: nothing is sent for it")
    if session.stack.is_in_plan_mode:
        output.note("The stack is in mode plan: nothing will be deleted, and the result will be planned.")
    when = f"at {left[0]['retireAt']}" if "retireAt" in left[0] else "now"
    what = ", ".join(shown(each["datamartName"]) for each in left)
    answer = str(left[0]["datamartName"]) if len(left) == 1 else str(len(left))
    backup = " WITHOUT A BACKUP" if left[0].get("backup") is False else ""
    deletes = "This asks other people to approve the deletion of" if session.stack.requires_approval else "This deletes"
    output.confirm(f"{deletes} {what} {when}{backup}, on {session.context}.", answer, yes=False)
    if "retireAt" in left[0] and parse_timestamp(str(left[0]["retireAt"])) > datetime.now(UTC):  # decided at its date
        return left
    return [{**each, "planId": plans[str(each["datamartName"])]} for each in left]


def _requested(session: Session, sending: Sending, details: Sequence[Document]) -> tuple[list[Document], Status]:
    """Send requests, and wait for their results."""
    awaited: list[Awaited] = []
    with announced(session.output, awaited):
        for detail in details:
            name, identity = str(detail["datamartName"]), str(detail["retirementId"])
            folder = folder_of(session.stack, name, identity)
            answers = ["receipt.json", _next_ask(session, folder)]
            at = detail.get("retireAt")
            if at is not None and parse_timestamp(str(at)) > datetime.now(UTC) + SOON:
                answers.append(_next_date(session, folder, detail))
            awaited.append(
                Awaited(
                    name=name,
                    identity=identity,
                    event_id=send(session.stack, REQUESTED, detail),
                    prefix=folder.prefix,
                    answers=tuple(answers),
                    follow=f"datamart status {identity}",
                    progress=progress_key(Kind.RETIREMENT, name, identity, None),
                    before=len(numbers_in(folder.files, "failure")),
                )
            )
    return follow_up(session, sending, awaited)


def _next_ask(session: Session, folder: Folder) -> str:
    """Return the ask for approval that would answer a request: the current one, if it awaits approval already."""
    asks = numbers_in(folder.files, "approval-asked")
    if asks and Entry(session.stack, folder).standing.stage is Stage.AWAITING_APPROVAL:
        return ask_file_name(asks[-1])
    return ask_file_name(asks[-1] + 1 if asks else 1)


def _next_date(session: Session, folder: Folder, detail: Document) -> str:
    """Return the date that would answer a request: the current one, if it is the same request for the same date."""
    dates = numbers_in(folder.files, "schedule")
    if not dates:
        return schedule_file_name(1)
    current = event_of(Entry(session.stack, folder).read(schedule_file_name(dates[-1]))).get("detail")
    is_same = isinstance(current, dict) and all(
        current.get(name) == detail.get(name) for name in {*current, *detail} - {"requestedBy", "reason"}
    )
    return schedule_file_name(dates[-1] if is_same else dates[-1] + 1)


def _show_plan(session: Session, result: Document) -> None:
    """Show what a dry run's plan covers, and how to carry it out."""
    if result.get("outcome") != Outcome.PLANNED:
        return
    name, plan_id = str(result["datamartName"]), str(result["planId"])
    show_stored_plan(session, session.output, name, plan_id)
    session.output.line(f"To carry it out: datamart retire {_quoted(name)} --plan {plan_id} --reason ...")


def show_stored_plan(session: Session, output: Output, name: str, plan_id: str) -> None:
    """Show what a stored plan covers.

    Raises:
        UnknownId: it is not stored.
    """
    with session.stack.calls():
        stored = session.stack.evidence.read(plan_key(name, plan_id))
    if stored is None:
        raise UnknownId(f"no plan {shown(plan_id)} of {shown(name)} is stored: make one with datamart plan")
    content = parse_json(stored.body)
    seen = content if isinstance(content, dict) else {}
    columns = seen.get("columns")
    tables = columns if isinstance(columns, dict) else {}
    output.fields(
        ("created", seen.get("createdAt")),
        ("goes", f"{in_words(len(tables), 'table')}: {', '.join(tables)}" if tables else "no table"),
        ("semantic layer", "goes" if seen.get("semanticLayerHash") else None),
    )


def _quoted(name: str) -> str:
    from shlex import quote  # noqa: PLC0415  # for one line of one command

    return quote(name) if shown(name) == name else "NAME"


# ---- Move and cancel -----------------------------------------------------------------------------------------------


def move(
    id: str,
    /,
    *,
    at: str,
    reason: str | None = None,
    name: Repeated = (),
    all: Flag = False,
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Move the date of a retirement, also of one that a colleague has requested.

    Args:
        id: The retirementId.
        at: The new date: RFC 3339, or for example "in 7 days".
        reason: Why it is moved, for the audit.
        name: The datamart, if the ID is that of several; repeat it for several.
        all: Every datamart of this ID.
        sending: the options of every request.
        session: the run.
    """
    retire_at = date_ahead(at)
    if parse_timestamp(retire_at) <= datetime.now(UTC):
        raise UsageError(
            f"--at is {shown(at)}, which has passed, so the datamart would be deleted at once: to have that, send its "
            "request again with datamart retire"
        )
    details = []
    for folder in chosen(session, id, name, every=all):
        entry = Entry(session.stack, folder)
        if not folder.is_open:
            raise Refused(f"{id} of {shown(entry.name)} has ended as {entry.decision.get('outcome')}: nothing to move")
        date = last(folder.files, "schedule")
        if date is None:
            raise Refused(f"{id} of {shown(entry.name)} has no date: datamart retire --at sets one")
        requested = event_of(entry.read(date)).get("detail")
        if not isinstance(requested, dict):
            raise Refused(f"{folder.prefix}{date} is not as this project writes it")
        moved = {**requested, "retireAt": retire_at, "requestedBy": sending.requested_by or session.stack.caller}
        details.append({**moved, "reason": reason or NO_REASON})
    for detail in details:
        valid_request(detail, REQUESTED)
    results, status = _requested(session, sending, details)
    for result in results:
        show_result(session.output, result)
    return status


def cancel(
    id: str,
    /,
    *,
    reason: str,
    name: Repeated = (),
    all: Flag = False,
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Cancel a retirement, also one that a colleague has requested, as long as no delete was sent.

    Args:
        id: The retirementId.
        reason: Why, for the audit.
        name: The datamart, if the ID is that of several, or if its request has not arrived yet; repeat it for several.
        all: Every datamart of this ID.
        sending: the options of every request.
        session: the run.
    """
    awaited, worst = [], Status.OK
    given = {retirement_key(each, id, ""): each for each in name}
    for folder in chosen(session, id, name, every=all, unknown=True):
        entry = Entry(session.stack, folder)
        datamart = given.get(folder.prefix) or entry.name
        if retirement_key(datamart, id, "") != folder.prefix:
            raise UsageError(f"{id} is stored with only the beginning of the datamart's name: add --name NAME")
        if not folder.is_open:
            outcome = str(entry.decision.get("outcome"))
            session.output.note(f"{shown(datamart)}: {id} has ended already as {outcome}")
            show_result(session.output, entry.decision)
            worst = max(worst, Status.OK if outcome == "cancelled" else Status.REJECTED)
            continue
        awaited.append(cancellation(session, sending, folder, datamart, id, reason))
    return max(worst, show_outcomes(session, sending, awaited))


def cancellation(session: Session, sending: Sending, folder: Folder, name: str, identity: str, reason: str) -> Awaited:
    """Send a cancellation, and return what to wait for."""
    detail = detail_of(session, sending, datamartName=name, retirementId=identity, reason=reason)
    require_valid(detail, CANCELLED)
    return Awaited(
        name=name,
        identity=identity,
        event_id=send(session.stack, CANCELLED, detail),
        prefix=folder.prefix,
        answers=("receipt.json",),
        follow=f"datamart status {identity}",
        progress=progress_key(Kind.CANCELLATION, name, identity, None),
        failures="cancellation-failure",
        before=len(numbers_in(folder.files, "cancellation-failure")),
        cancels=True,
    )


def chosen(
    session: Session, identity: str, names: Sequence[str], *, every: bool, unknown: bool = False
) -> list[Folder]:
    """Return the retirements of an ID that are meant.

    Raises:
        UnknownId: nothing is stored under this ID, and `unknown` does not allow for that.
        UsageError: the ID is that of several datamarts, and nothing says which.
    """
    if names:
        found = [folder_of(session.stack, name, identity) for name in names]
        if not unknown and (missing := [name for name, each in zip(names, found, strict=True) if not each.files]):
            raise UnknownId(f"nothing is stored of {shown(identity)} of {shown(missing[0])}")
        return found
    counted = [0]
    with session.output.progress("Looking for the ID in the evidence", lambda: f"{counted[0]} objects"):
        found = of_id(session.stack, identity, counted)
    if not found:
        raise UnknownId(
            f"nothing is stored under the retirementId {shown(identity)}: check it with datamart list"
            + (", or add --name to cancel a request that has not arrived" if unknown else "")
        )
    if len(found) > 1 and not every:
        session.output.table(
            ["datamart", "state", "outcome"],
            [[entry.name, entry.state, entry.decision.get("outcome")] for entry in read_all(session.stack, found)],
        )
        raise UsageError(f"{shown(identity)} is the ID of {len(found)} datamarts: add --name NAME, or --all")
    return found


# ---- Restore -------------------------------------------------------------------------------------------------------


def restore(
    name: str,
    /,
    *,
    id: str | None = None,
    as_: Annotated[str | None, Parameter(name="--as")] = None,
    reason: str | None = None,
    dry_run: Flag = False,
    leave_embeds: Flag = False,
    restore_id: str | None = None,
    yes: Flag = False,
    sending: Sending = DEFAULT,
    session: Given,
) -> int:
    """Create a deleted datamart again from its backup, with the embeds that went with it.

    Args:
        name: The name of the datamart that was deleted.
        id: The retirement that deleted it [default: the last one].
        as_: The name to restore it under [default: its old one].
        reason: Why, for the audit.
        dry_run: Show what would come back; changes nothing.
        leave_embeds: Create the datamart only.
        restore_id: The ID of the restore, by which it is carried out once [default: a new one].
        yes: Do not ask.
        sending: the options of every request.
        session: the run.
    """
    if not name or as_ == "":
        raise UsageError("a name is empty")
    stack = session.stack
    if not (yes or dry_run) and not session.output.asks():
        raise UsageError("there is no terminal to confirm the restore on: add --yes")
    identity = id or _last_deletion(session, name)
    if not folder_of(stack, name, identity).files:
        raise UnknownId(f"nothing is stored of {shown(identity)} of {shown(name)}: see datamart show")
    detail = detail_of(
        session,
        sending,
        datamartName=name,
        retirementId=identity,
        restoreId=restore_id or new_id("restore"),
        reason=reason or NO_REASON,
        asName=as_,
        embeds="leave" if leave_embeds else None,
        dryRun=True if dry_run else None,
    )
    prefix = restore_key(name, identity, str(detail["restoreId"]), "")
    content_hash = valid_restore(detail).content_hash
    with stack.calls():
        receipt = stack.evidence.read(f"{prefix}receipt.json")
    if receipt is not None and receipt.content_hash != content_hash:
        raise Refused(f"{shown(restore_id)} was used by a request with other content: choose another --restore-id")
    if not dry_run:
        target = f" as {shown(as_)}" if as_ else ""
        embeds = "" if leave_embeds else ", with its embeds"
        session.output.confirm(
            f"This creates {shown(name)} again{target}{embeds}, from the backup of {identity}, on {session.context}.",
            as_ or name,
            yes=yes,
        )
    restored = str(detail["restoreId"])
    earlier = next((each for each in restores_of(stack, name, identity) if each.prefix == prefix), Folder(prefix, {}))
    awaited = Awaited(
        name=name,
        identity=restored,
        event_id=send(stack, RESTORE_REQUESTED, detail),
        prefix=prefix,
        answers=("receipt.json",),
        follow=f"datamart status {identity}",
        progress=progress_key(Kind.RESTORE, name, identity, restored),
        before=len(numbers_in(earlier.files, "failure")),
    )
    return show_outcomes(session, sending, [awaited])


def _last_deletion(session: Session, name: str) -> str:
    deleted = deletion_of(read_all(session.stack, of_datamart(session.stack, name)))
    if not deleted:
        raise UnknownId(f"no retirement on record has deleted {shown(name)}: see datamart show, or check the name")
    return deleted[0].folder.id
