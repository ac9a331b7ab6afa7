"""What is sent, and what a person is told about it."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cli.contexts import Context
from cli.errors import Status
from cli.main import run
from cli.output import Output
from cli.session import Session
from cli.stack import AwsRefused
from retirement.record.keys import retirement_key
from tests.fakes import FakeEvidence

RECEIPT = json.dumps({"outcome": "deleted", "datamartName": "sales", "retirementId": "an-id"})


class FakeStack:
    """A stack with a bucket, and a bus that fails from an event on."""

    environment_name, source, caller = "prod", "datamart.lifecycle", "arn:aws:iam::1:user/ops"
    bucket, coordination_table = "evidence", "coordination"
    is_in_plan_mode = requires_approval = False

    def __init__(self) -> None:
        self.evidence = FakeEvidence()
        self.sent: list[Any] = []
        self.takes = 10
        self.calls = nullcontext
        self.bus = SimpleNamespace(put=self._put)
        self.s3 = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=self._pages))

    def _put(self, *, detail: Any, **_: object) -> str:  # noqa: ANN401  # parsed JSON
        if len(self.sent) == self.takes:
            raise AwsRefused("AWS throttles PutEvents: try again in a moment")
        self.sent.append(detail)
        return f"event-{len(self.sent)}"

    def _pages(self, **given: str) -> Any:  # noqa: ANN401  # as S3 answers
        keys = self.evidence.list(given["Prefix"])
        yield {"Contents": [{"Key": key, "LastModified": datetime.now(UTC)} for key in keys]}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    """The stack that commands work on."""
    fake = FakeStack()
    monkeypatch.setattr(Session, "stack", fake)
    monkeypatch.setattr(Session, "context", Context("retirements"))
    return fake


def test_the_bus_fails_after_some(stack: FakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    """What was sent goes on, so a person is told under which ID, also if it is a new one."""
    stack.takes = 2

    assert run(["retire", "a", "b", "c", "--yes"]) == Status.ERROR

    identity = stack.sent[0]["retirementId"]
    assert capsys.readouterr().err.splitlines() == [
        *(f"{name}: {identity} goes on by itself; to look later: datamart status {identity}" for name in ("a", "b")),
        "datamart: AWS throttles PutEvents: try again in a moment",
    ]


@pytest.mark.parametrize("command", [["plan", "sales", "--id", "an-id"], ["retire", "sales", "--id", "an-id", "--yes"]])
def test_an_id_that_was_used(stack: FakeStack, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The receipt of a request with other content is no answer to this one."""
    stack.evidence.create("retirements/sales/an-id/receipt.json", RECEIPT, "another")

    assert run(command) == Status.REJECTED
    assert "an-id was used for sales by a request with other content" in capsys.readouterr().err
    assert stack.sent == []


def test_the_id_of_a_restore_that_was_used(stack: FakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for restores."""
    stack.evidence.create("retirements/sales/an-id/receipt.json", RECEIPT)
    stack.evidence.create("restores/sales/an-id/back-1/receipt.json", '{"outcome": "restored"}', "another")

    assert run(["restore", "sales", "--restore-id", "back-1", "--as", "new", "--yes"]) == Status.REJECTED
    assert "back-1 was used by a request with other content" in capsys.readouterr().err
    assert stack.sent == []


@pytest.mark.parametrize("body", ["", "[]"])
def test_a_receipt_that_is_none(stack: FakeStack, body: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An ID whose receipt cannot be read is used up: nothing is sent under it."""
    stack.evidence.create("retirements/sales/an-id/receipt.json", body)

    assert run(["retire", "sales", "--id", "an-id", "--yes"]) == Status.ERROR
    assert "an-id has ended already" in capsys.readouterr().err
    assert stack.sent == []


@pytest.mark.parametrize(("at", "plan"), [("2025-12-24T08:00:00Z", "a-plan"), ("in 2 days", None)])
def test_what_was_confirmed(stack: FakeStack, at: str, plan: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is carried out at once is the plan that a person saw, also if its date has passed."""
    sent: list[Any] = []

    def requested(_: Session, __: object, details: list[Any]) -> tuple[list[Any], Status]:
        sent.extend(details)
        return [{"outcome": "planned", "datamartName": "sales", "planId": "a-plan"}], Status.OK

    stack.evidence.create("plans/sales/a-plan.json", "{}")
    monkeypatch.setattr("cli.retiring._requested", requested)
    monkeypatch.setattr(Output, "asks", lambda _: True)
    monkeypatch.setattr(Output, "confirm", lambda *_, **__: None)

    assert run(["retire", "sales", "--at", at, "--reason", "r"]) == Status.OK

    assert sent[-1].get("planId") == plan


LONG = "Ж" * 120  # its key has but the beginning of it


@pytest.mark.parametrize("stored", [False, True])
def test_a_long_name_is_cancelled(stack: FakeStack, stored: bool) -> None:  # noqa: FBT001
    """A cancellation names the datamart as it was given, also where the key cuts its name short."""
    if stored:
        stack.evidence.create(
            retirement_key(LONG, "an-id", "arrival-0123456789abcdef-20261120T093000.000000Z.json"), "{}"
        )

    assert run(["cancel", "an-id", "--name", LONG, "--reason", "r", "--no-wait"]) == Status.OK
    assert [detail["datamartName"] for detail in stack.sent] == [LONG]


def test_a_long_name_that_is_not_known(stack: FakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing but a key tells the name, and not all of it, nothing is cancelled."""
    stack.evidence.create(retirement_key(LONG, "an-id", "arrival-0123456789abcdef-20261120T093000.000000Z.json"), "{}")

    assert run(["cancel", "an-id", "--reason", "r", "--no-wait"]) == Status.USAGE
    assert "add --name" in capsys.readouterr().err
    assert stack.sent == []
