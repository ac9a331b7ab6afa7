"""How much work hostile input can cause: bounded by a limit on the CPU time of a process of its own, not by a clock."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from retirement.databrain.snapshot import Listing
from retirement.delivery.intake import parse_request, raw_request
from retirement.errors import InvalidRequest
from retirement.globs import NO_LISTS
from retirement.outcomes import Reason
from retirement.requests import Delivery
from retirement.retiring.rules import refuse_by_name, similar_names
from retirement.stored_object import OwnersFile
from retirement.sweeping.intake import parse_policy
from retirement.sweeping.rules import Datamart, EmbedUse, Finding, judge
from tests.fakes import SETTINGS, START, SWEEP_SETTINGS, requested

ROOT = Path(__file__).parents[3]
# Seconds of CPU, the start of Python included, on the slowest machine. What is not bounded takes years.
MAX_WORK = 10
MEGABYTE = 1_000_000


def rejected(event: object) -> InvalidRequest:
    """Why an event is no request; all that is read of such an event is read."""
    delivery = Delivery(json.dumps(event), START, 1, "invocation-1")
    raw_request(delivery)
    try:
        parse_request(delivery, backup_by_default=True, require_restorable=False, rehearse=False)
    except InvalidRequest as invalid:
        return invalid
    raise AssertionError("it is valid")


def globs() -> None:
    """Stars and a long name that matches all of a glob but its end."""
    delivery = Delivery(json.dumps(requested("a" * 256)), START, 1, "invocation-1")
    request = parse_request(delivery, backup_by_default=True, require_restorable=False, rehearse=False)
    for glob in (
        "*a" * 60 + "*b",
        "*?*?" * 60 + "b",
        "[a-z]*" * 60 + "b",
        "*" * 4_000 + "b",
        "[" * 4_000,
        "[!" * 2_000,
    ):
        refusal = refuse_by_name(request, replace(SETTINGS, retirable_datamarts=(glob,)), NO_LISTS)
        assert refusal is not None
        assert refusal.reason is Reason.NOT_RETIRABLE


def patterns() -> None:
    """Each text of a request, as long as a message can make it, and wrong in its last character."""
    for field in ("datamartName", "environment", "requestedBy", "reason", "retirementId", "planId", "retireAt"):
        for text in ("a" * MEGABYTE, "2026-03-01T12:00:00." + "0" * MEGABYTE, "a." * (MEGABYTE // 2)):
            assert f"detail.{field} " in rejected(requested(**{field: f"{text}\x00"})).message
    for field in ("id", "time"):
        assert rejected({**requested(), field: "0" * MEGABYTE + "\x00"}).message.startswith(f"{field} must be")


def unknown_fields() -> None:
    """As many fields that look like known ones as a message can have."""
    event = requested()
    event["detail"] |= {f"reviewedEmbed{number}": 1 for number in range(45_000)}
    assert len(json.dumps(event)) > MEGABYTE
    assert "unknown field" in rejected(event).message


def names() -> None:
    """As many datamarts with long names that are nearly the one that is asked for, and are not there."""
    listed = {f"{number:05}{'ab' * 95}": None for number in range(20_000)}
    assert len(similar_names("ba" * 97, Listing(listed))) <= 3


def policies() -> None:
    """Many globs, each slow, and names that match all of each but its end."""
    rule = {"owner": "o", "reason": "r", "retireAfter": "1 day"}
    slow = ["*a" * 120 + f"*b{number:03}" for number in range(200)]
    rules = [{**rule, "name": f"r{number}", "names": slow[number * 20 :][:20]} for number in range(10)]
    body = json.dumps({"formatVersion": "1", "rules": rules}).encode()
    policy = parse_policy(OwnersFile("SweepPolicyUri", body, None, START))
    nothing = EmbedUse({}, (), ())
    for number in range(10):
        datamart = Datamart("a" * 250 + f"{number:05}", None, None)
        assert judge(datamart, policy.rules, SWEEP_SETTINGS, NO_LISTS, nothing, START) == Finding(datamart, (), ())


WORK: Mapping[str, Callable[[], None]] = {
    work.__name__: work for work in (globs, patterns, unknown_fields, names, policies)
}


@pytest.mark.parametrize("work", WORK)
def test_work_is_bounded(work: str) -> None:
    """No input costs more than a moment, however it is made."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "layers/retirement/python")))}
    done = subprocess.run(  # noqa: S603  # this file
        [sys.executable, __file__, work], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_WORK, MAX_WORK))
    WORK[sys.argv[1]]()
