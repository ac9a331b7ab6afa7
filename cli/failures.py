"""The abandoned requests in the queue `Failures`: list them, send them again, or drop them.

A message that was received stays in the queue, invisible for a while. Each command makes what it leaves visible again,
also when it is interrupted; a message is deleted only after what replaces it was stored.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.errors import CommandError, Status, UnknownId, UsageError
from cli.operations import DROPPED, record
from cli.output import shown
from cli.records import Entry, Folder, folders, last
from cli.session import Given, Session
from cli.stack import AwsRefused, Stack
from retirement.delivery.intake import raw_request, receive
from retirement.record.keys import rejected_key, restore_key, retirement_key
from retirement.requests import Kind, RawRequest
from retirement.timestamps import format_timestamp
from retirement.wording import in_words

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

RETENTION = timedelta(days=14)  # template.yaml, from a message's first arrival
INVISIBLE = 300  # seconds, for which a message is this command's alone
TIME_TO_ACT = 20  # seconds of these, for what one message takes
MAX_WAIT = 20  # seconds, the longest that SQS waits for messages
BATCH = 10

_FAILURES = {Kind.CANCELLATION: "cancellation-failure", Kind.APPROVAL: "approval-failure"}

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A message of the queue; `event` is the event as it arrived, `raw` what could be read of it."""

    message_id: str
    handle: str
    event: str
    raw: RawRequest
    arrived_at: datetime
    error: str | None
    held_until: float

    @classmethod
    def of(cls, message: "MessageTypeDef", held_until: float) -> "Abandoned":
        """Read a message as the functions do; until `held_until` (monotonic), no other can receive it."""
        attributes = {"SentTimestamp": message["Attributes"]["SentTimestamp"], "ApproximateReceiveCount": "1"}
        record = {
            "eventSource": "aws:sqs",
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": attributes,
        }
        delivery = receive({"Records": [record]}, "", datetime.now(UTC))
        attribute = message.get("MessageAttributes", {}).get("ERROR_MESSAGE")
        told = None if attribute is None else attribute.get("StringValue")
        return cls(
            message["MessageId"],
            message["ReceiptHandle"],
            delivery.body,
            raw_request(delivery),
            delivery.arrived_at,
            told,
            held_until,
        )

    @property
    def id(self) -> str:
        """The ID that names it to a person."""
        return self.raw.restore_id or self.raw.retirement_id or self.raw.event_id or self.message_id

    @property
    def ids(self) -> set[str | None]:
        """All IDs by which a person may name it."""
        return {self.raw.restore_id, self.raw.retirement_id, self.raw.event_id, self.message_id}

    @property
    def prefix(self) -> str:
        """Where its evidence is stored."""
        raw, name = self.raw, self.raw.datamart_name
        retirement_id = raw.retirement_id or raw.event_id
        if name is None or retirement_id is None:
            return rejected_key(raw.event_id or self.message_id).removesuffix("receipt.json")
        if raw.kind is Kind.RESTORE:
            return restore_key(name, retirement_id, raw.restore_id or raw.event_id or "", "")
        return retirement_key(name, retirement_id, "")


def list_(*, session: Given) -> int:
    """List the abandoned requests, with the reason and how long they are stored."""
    with _received(session) as messages:
        rows = [(each, _failure(session.stack, each)) for each in messages]
    for each, failure in rows:
        session.output.document(
            {
                "id": each.id,
                "kind": each.raw.kind,
                "datamartName": each.raw.datamart_name,
                "retirementId": each.raw.retirement_id,
                "restoreId": each.raw.restore_id,
                "messageId": each.message_id,
                "reason": failure.get("reason"),
                "message": failure.get("message") or each.error,
                "requestedBy": each.raw.requested_by,
                "arrivedAt": format_timestamp(each.arrived_at),
                "expiresAt": format_timestamp(each.arrived_at + RETENTION),
                "event": each.event,
            }
        )
    if not rows:
        session.output.line("no abandoned requests")
    session.output.table(
        ("id", "what", "datamart", "reason", "arrived", "deleted by SQS"),
        [
            [
                each.id,
                each.raw.kind,
                each.raw.datamart_name,
                failure.get("reason") or each.error,
                f"{each.arrived_at:%Y-%m-%d %H:%M}Z",
                f"{each.arrived_at + RETENTION:%Y-%m-%d}",
            ]
            for each, failure in rows
        ],
    )
    return Status.OK


def retry(*ids: str, all: Flag = False, yes: Flag = False, session: Given) -> int:
    """Send abandoned requests again, as the same requests.

    Args:
        ids: The IDs that datamart failures lists.
        all: Every abandoned request.
        yes: Do not ask.
        session: the run.
    """
    _require_choice(ids, every=all)
    if all and not yes and not session.output.asks():
        raise UsageError("there is no terminal to confirm this on: add --yes")
    with _received(session) as messages:
        chosen = _chosen(messages, ids, every=all)
        if all and chosen:
            what = in_words(len(chosen), "abandoned request")
            session.output.confirm(f"This sends {what} again, on {session.context}.", str(len(chosen)), yes=yes)
        for each in chosen:
            _require_held(each)
            with session.stack.calls():
                session.stack.sqs.send_message(
                    QueueUrl=session.stack.output("SchedulingQueueUrl"), MessageBody=each.event
                )
            _delete(session.stack, each)
            messages.remove(each)
            session.output.document({"id": each.id, "datamartName": each.raw.datamart_name, "state": "sent again"})
            session.output.line(f"{shown(each.id)}: sent again; to look: datamart status {shown(_retirement(each))}")
    if not chosen:
        session.output.line("no abandoned requests")
    return Status.OK


def drop(*ids: str, reason: str, yes: Flag = False, session: Given) -> int:
    """Delete abandoned requests, which are then never carried out. Who did so and why is stored in the evidence.

    Args:
        ids: The IDs that datamart failures lists.
        reason: Why, for the audit.
        yes: Do not ask.
        session: the run.
    """
    _require_choice(ids, every=False)
    if not yes and not session.output.asks():
        raise UsageError("there is no terminal to confirm this on: add --yes")
    with _received(session) as messages:
        chosen = _chosen(messages, ids, every=False)
        what = in_words(len(chosen), "abandoned request")
        named = ", ".join(f"{each.raw.kind} {shown(each.id)} of {shown(each.raw.datamart_name)}" for each in chosen)
        session.output.confirm(f"This deletes {what}, on {session.context}: {named}.", str(len(chosen)), yes=yes)
        for each in chosen:
            _require_held(each)
            about = {
                "datamartName": each.raw.datamart_name,
                "retirementId": each.raw.retirement_id,
                "restoreId": each.raw.restore_id,
                "event": each.event,
            }
            record(session.stack, DROPPED, reason, **about)
            _delete(session.stack, each)
            messages.remove(each)
            session.output.document({"id": each.id, "datamartName": each.raw.datamart_name, "state": "dropped"})
            session.output.line(f"{shown(each.id)}: dropped")
    return Status.OK


def _require_choice(ids: Sequence[str], *, every: bool) -> None:
    if every == bool(ids) or "" in ids:
        raise UsageError("name the IDs that datamart failures lists" + (", or --all alone" if every else ""))


def _chosen(messages: Sequence[Abandoned], ids: Sequence[str], *, every: bool) -> list[Abandoned]:
    """Return the messages that are meant.

    Raises:
        UnknownId: an ID is that of no message; then none is touched.
    """
    if every:
        return list(messages)
    missing = [each for each in ids if not any(each in message.ids for message in messages)]
    if missing:
        raise UnknownId(f"no abandoned request has the ID {shown(missing[0])}: see datamart failures")
    return [message for message in messages if message.ids & set(ids)]


def _require_held(abandoned: Abandoned) -> None:
    """Check that no other command can have received the message since, and have sent it again or dropped it.

    Raises:
        CommandError: one can.
    """
    if time.monotonic() > abandoned.held_until - TIME_TO_ACT:
        raise CommandError(
            f"{shown(abandoned.id)} was not touched: it was read so long ago that somebody else may have sent it again "
            "or dropped it; run the command again"
        )


def _retirement(abandoned: Abandoned) -> str:
    return abandoned.raw.retirement_id or abandoned.raw.event_id or abandoned.message_id


@contextmanager
def _received(session: Session) -> Iterator[list[Abandoned]]:
    """Receive every message; what is left in the list at the end becomes visible again."""
    messages: dict[str, Abandoned] = {}
    try:
        with session.output.progress("Reading the queue Failures", lambda: in_words(len(messages), "message")):
            _receive_into(session.stack, messages)
        left = sorted(messages.values(), key=lambda each: each.arrived_at)
        handles = {each.message_id for each in left}
        yield left
        handles = {each.message_id for each in left}
    except BaseException:
        handles = set(messages)
        raise
    finally:
        _release(session.stack, [each.handle for each in messages.values() if each.message_id in handles])


def _receive_into(stack: Stack, messages: dict[str, Abandoned]) -> None:
    url = stack.output("FailuresQueueUrl")
    with stack.calls():
        attributes: Any = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        expected = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
        while True:
            asked_at = time.monotonic()
            answer = stack.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=MAX_WAIT if len(messages) < expected else 1,  # the number is approximate
                VisibilityTimeout=INVISIBLE,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            found = answer.get("Messages", [])
            if not found:
                return
            held_until = asked_at + INVISIBLE
            messages.update({message["MessageId"]: Abandoned.of(message, held_until) for message in found})


def _release(stack: Stack, handles: Sequence[str]) -> None:
    for handle in handles:
        with suppress(AwsRefused), stack.calls():  # it becomes visible by itself
            stack.sqs.change_message_visibility(
                QueueUrl=stack.output("FailuresQueueUrl"), ReceiptHandle=handle, VisibilityTimeout=0
            )


def _delete(stack: Stack, abandoned: Abandoned) -> None:
    with stack.calls():
        stack.sqs.delete_message(QueueUrl=stack.output("FailuresQueueUrl"), ReceiptHandle=abandoned.handle)


def _failure(stack: Stack, abandoned: Abandoned) -> dict[str, Any]:
    """Return the result `failed` that was published when the request was abandoned; empty if there is none."""
    folder = next(folders(stack, abandoned.prefix), Folder(abandoned.prefix, {}))
    file = last(folder.files, _FAILURES.get(abandoned.raw.kind, "failure"))
    return Entry(stack, folder).read(file) if file else {}
