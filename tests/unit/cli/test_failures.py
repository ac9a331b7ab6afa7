"""The abandoned requests, in a queue that forgets what was received after a while, as SQS does."""

import json
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from cli.contexts import Context
from cli.errors import CommandError, Status
from cli.failures import INVISIBLE, drop, list_, retry
from cli.output import Output
from cli.session import Session
from tests.fakes import START, FakeEvidence, Parsed, approved, cancelled, requested


class Queue:
    """The two queues, as one client of SQS."""

    def __init__(self, *events: Parsed) -> None:
        self.messages = {f"message-{number}": json.dumps(event) for number, event in enumerate(events, 1)}
        self.sent: list[str] = []
        self._received = False

    def get_queue_attributes(self, **_: object) -> Parsed:
        """How many there are."""
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.messages))}}

    def receive_message(self, **_: object) -> Parsed:
        """All of them, once."""
        if self._received:
            return {}
        self._received = True
        return {
            "Messages": [
                {
                    "MessageId": each,
                    "ReceiptHandle": each,
                    "Body": body,
                    "Attributes": {"SentTimestamp": "1772366400000"},
                }
                for each, body in self.messages.items()
            ]
        }

    def send_message(self, *, MessageBody: str, **_: object) -> None:  # noqa: N803  # as SQS names it
        """Send one again."""
        self.sent.append(MessageBody)

    def delete_message(self, *, ReceiptHandle: str, **_: object) -> None:  # noqa: N803
        """Delete one."""
        del self.messages[ReceiptHandle]

    def change_message_visibility(self, **_: object) -> None:
        """Let others receive it."""


def session_with(queue: Queue, evidence: FakeEvidence) -> Session:
    """A run on a stack that has no more than these."""

    def pages(**given: str) -> Parsed:
        yield {"Contents": [{"Key": key, "LastModified": START} for key in evidence.list(given["Prefix"])]}

    stack = SimpleNamespace(
        sqs=queue,
        evidence=evidence,
        s3=SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=pages)),
        bucket="evidence",
        caller="arn",
        calls=nullcontext,
        output=lambda name: name,
    )
    session = Session(Output(as_json=True), None, None, None)
    session.__dict__.update(stack=stack, context=Context("retirements"))
    return session


def hesitating(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """A person who takes so long to confirm, and what they were asked."""
    asked: list[str] = []
    offset, monotonic = [0.0], time.monotonic

    def confirm(_: Output, what: str, answer: str, **__: object) -> None:  # noqa: ARG001  # it is given
        asked.append(what)
        offset[0] += seconds

    monkeypatch.setattr(Output, "confirm", confirm)
    monkeypatch.setattr(Output, "asks", lambda _: True)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + offset[0])
    return asked


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("seconds", [INVISIBLE - 60, INVISIBLE])
def test_a_person_who_hesitates(monkeypatch: pytest.MonkeyPatch, command: str, seconds: float) -> None:
    """What others may have received meanwhile is neither sent again nor dropped, and nothing says that it was."""
    hesitating(monkeypatch, seconds)
    queue, evidence = Queue(requested("a"), requested("b")), FakeEvidence()
    session = session_with(queue, evidence)

    def act() -> int:
        if command == "retry":
            return retry(all=True, session=session)
        return drop("offboard-1", reason="a mistake", session=session)

    if seconds < INVISIBLE:
        assert act() == Status.OK
        assert (len(queue.messages), len(queue.sent) + len(evidence.objects)) == (0, 2)
    else:
        with pytest.raises(CommandError, match=r"offboard-1 was not touched: .* run the command again"):
            act()
        assert (len(queue.messages), queue.sent, evidence.objects) == (2, [], {})


def test_what_is_dropped_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several requests can have one ID, so a person sees what would be deleted."""
    asked = hesitating(monkeypatch, 0)
    queue = Queue(requested("a"), requested("b"), requested("c", retirementId="another"))

    drop("offboard-1", reason="a mistake", session=session_with(queue, FakeEvidence()))

    assert asked == [
        "This deletes 2 abandoned requests, on retirements: retirement offboard-1 of a, retirement offboard-1 of b."
    ]
    assert list(queue.messages) == ["message-3"]


def test_each_has_its_own_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A cancellation and an approval are not taken for the request that has the same ID."""
    evidence = FakeEvidence()
    for kind, reason in (("", "databrain_unavailable"), ("cancellation-", "internal_error"), ("approval-", "unknown")):
        evidence.create(f"retirements/sales/offboard-1/{kind}failure-1.json", json.dumps({"reason": reason}))

    list_(session=session_with(Queue(requested(), cancelled(), approved("a-plan")), evidence))

    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["id"], each["kind"], each["reason"]) for each in listed] == [
        ("offboard-1", "retirement", "databrain_unavailable"),
        ("offboard-1", "cancellation", "internal_error"),
        ("offboard-1", "approval", "unknown"),
    ]
