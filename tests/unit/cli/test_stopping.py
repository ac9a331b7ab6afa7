"""The stop button where the record of it cannot be stored."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from cli.contexts import Context
from cli.errors import Status
from cli.main import run
from cli.session import Session
from cli.stack import AwsRefused


@pytest.mark.parametrize(
    ("command", "enabled", "told"),
    [
        (["stop", "--reason", "something is wrong"], False, "deletions are stopped, but who stopped them"),
        (["resume"], True, "deletions go on, but who resumed them"),
    ],
)
def test_it_is_not_recorded(
    command: list[str],
    enabled: bool,  # noqa: FBT001  # a parameter
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says what is in effect, because a person would believe the contrary."""
    mappings: dict[str, bool] = {"RequestsMapping": not enabled, "SchedulingMapping": True}

    def create(*_: object) -> Any:  # noqa: ANN401  # it returns nothing
        raise AwsRefused("AWS does not allow PutObject")

    stack = SimpleNamespace(
        calls=nullcontext,
        resource=lambda name: name,
        output=lambda name: name,
        caller="arn",
        evidence=SimpleNamespace(list=lambda _: [], create=create),
        sqs=SimpleNamespace(
            get_queue_attributes=lambda **_: {"Attributes": {"ApproximateNumberOfMessages": "0"}},
        ),
        lambda_=SimpleNamespace(
            get_event_source_mapping=lambda *, UUID: {"State": "Enabled" if mappings[UUID] else "Disabled"},  # noqa: N803
            update_event_source_mapping=lambda *, UUID, Enabled: mappings.update({UUID: Enabled}),  # noqa: N803
        ),
    )
    monkeypatch.setattr(Session, "stack", stack)
    monkeypatch.setattr(Session, "context", Context("retirements"))

    assert run([*command, "--yes"]) == Status.ERROR

    assert mappings["RequestsMapping"] is enabled
    assert told in capsys.readouterr().err
