"""The search: a play follows from its seed, is judged, and can be made small; and each guard is missed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from retirement.delivery import endings
from retirement.delivery.attempt import Attempt
from retirement.outcomes import Reason
from retirement.record.organisation import Organisation
from retirement.record.record import Record
from retirement.requests import Cancellation
from retirement.restoring import embeds
from retirement.restoring import workflow as restoring
from retirement.retiring import rules, workflow
from retirement.retiring.attempt import RetireAttempt
from retirement.scheduling import workflow as scheduling
from tests.fakes import START, FakeCoordination, FakeEvidence
from tests.faults.plays import At, Play, Redrive, Step, play_of
from tests.faults.promises import PROMISES, judged
from tests.faults.search import played_from, shrunk, story
from tests.faults.stage import in_process

SEED = "tests"
PLAYS = 250
MAX_PLAYS = 1_500  # that a guard may take to be missed

Removal = Callable[[], AbstractContextManager[object]]


def _without(target: object, name: str, instead: object) -> Removal:
    return lambda: patch.object(target, name, instead)


def _nothing(*_: object, **__: object) -> None:
    """What a guard answers that never says no."""


def _undoubted(table: FakeCoordination, request: Any, reason: Reason, now: Any, **_: bool) -> None:  # noqa: ANN401  # as the port
    """Do not keep that a delete is about to be sent."""
    if reason is not Reason.UNCONFIRMED:
        _RECORD_FAILURE(table, request, reason, now)


def _overwriting(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Write over what is there."""
    evidence.objects.pop(key, None)
    return _CREATE(evidence, key, body, content_hash)


def _unseen_by_a_cancellation(attempt: Attempt[Any]) -> Record:
    """See an intent in a retirement's own deliveries alone."""
    record = _RECORD(attempt)
    if isinstance(attempt.request, Cancellation):
        vars(record)["_file_names"].discard("intent.json")
    return record


def _of_any_plan(record: Record, _: str, requesters: Any = ()) -> Any:  # noqa: ANN401  # as the record's own
    """Count the approvals of all plans."""
    plans = {given.plan_id for given in record.given_approvals}
    return {name: at for plan_id in plans for name, at in _APPROVERS(record, plan_id, requesters).items()}


_APPROVERS = Record.approvers
_RECORD_FAILURE = FakeCoordination.record_failure
_CREATE = FakeEvidence.create
_RECORD = Attempt.record

# What breaks without the guard, and how to take it away.
GUARDS: dict[str, tuple[str, Removal]] = {
    "rule: protected": ("what is protected or not retirable is not deleted", _without(rules, "_protected", _nothing)),
    "rule: not retirable": (
        "what is protected or not retirable is not deleted",
        _without(rules, "_not_retirable", _nothing),
    ),
    "rule: ambiguous name": (
        "nothing is deleted while a near-identical name is listed",
        _without(rules, "ambiguous_name", _nothing),
    ),
    "rule: recreated": (
        "nothing is deleted that was created after it was asked for",
        _without(rules, "_recreated", _nothing),
    ),
    "rule: plan drifted": (
        "what names a plan is carried out only in the organisation of the plan",
        _without(rules, "_plan_drifted", _nothing),
    ),
    "rule: dependents found": (
        "nothing is deleted while an embed uses it, unless the map's owner is wrong about it",
        _without(rules, "_dependents_found", _nothing),
    ),
    "rule: dependents undetermined": (
        "nothing is deleted while an embed uses it, unless the map's owner is wrong about it",
        _without(rules, "_dependents_undetermined", _nothing),
    ),
    "the day's count": (
        "never more deletions on one UTC day than the limit in force",
        _without(FakeCoordination, "reserve", lambda *_: True),
    ),
    "the dry run's gate": (
        "a dry run, or a stack in plan mode, sends no delete",
        _without(RetireAttempt, "is_dry_run", instead=False),
    ),
    "nothing is overwritten": (
        "everything published is stored, to the byte",
        _without(FakeEvidence, "create", _overwriting),
    ),
    "the intent is written before the delete": (
        "nothing is deleted but what the intent is about",
        _without(workflow, "_write_intent", _nothing),
    ),
    "an identity is one request's": (
        "nothing is deleted for a request with other content than the intent's",
        _without(workflow, "require_same_request", _nothing),
    ),
    "what is listed is recognised": (
        "nothing is deleted but what the intent is about",
        _without(workflow, "recognise", lambda *_: rules.Recognition.SAME),
    ),
    "a doubt is kept before a delete": (
        "no end and no giving-up denies a deletion",
        _without(FakeCoordination, "record_failure", _undoubted),
    ),
    "a fresh list confirms": (
        "`deleted` is said only of what is gone, where it was",
        _without(workflow, "_confirm", _nothing),
    ),
    "the failure is published": ("each request gets an answer", _without(endings, "publish", _nothing)),
    "a retirement looks for its end after its intent": (
        "nothing is deleted after `cancelled`, or another end, was answered",
        _without(workflow, "_ended_meanwhile", _nothing),
    ),
    "a cancellation looks for an intent": (
        "what was deleted is told as deleted, or as unconfirmed",
        _without(Attempt, "record", _unseen_by_a_cancellation),
    ),
    "an interrupted rehearsal is finished first": (
        "once nothing strikes any more, nothing fails for an error of ours",
        _without(workflow, "finish_rehearsal", lambda record, _: record),
    ),
    "plan mode creates and removes no copy": (
        "a rehearsal changes nothing but its own copy",
        _without(RetireAttempt, "is_dry_run", instead=False),
    ),
    "restoring: the name is free": (
        "nothing is created over a listed name, or one that is nearly the same",
        _without(restoring, "refuse_by_listing", _nothing),
    ),
    "restoring: the organisation": (
        "nothing is created in another organisation than the retirement's",
        _without(Organisation, "is_recognised", lambda *_, **__: True),
    ),
    "restoring: what became of a request is looked for": (
        "one restore creates each embed at most once",
        _without(embeds, "_what_became_of", _nothing),
    ),
    "approvals are counted": (
        "nothing is deleted without an approval of exactly that plan",
        _without(Record, "approvers", lambda *_: dict.fromkeys("abc", START + timedelta(days=999))),
    ),
    "an approval is of one plan": (
        "nothing is deleted without an approval of exactly that plan",
        _without(Record, "approvers", _of_any_plan),
    ),
    "timers are cleared": ("no timer stands for what has ended", _without(scheduling, "_clear_timers", _nothing)),
}


def test_promises_hold() -> None:
    """Whatever is drawn from the seed of the tests, every promise holds."""
    assert played_from(SEED, 0, PLAYS).findings == {}


def _first_broken(promise: str, removal: Removal) -> str | None:
    """The first play that breaks a promise without a guard, and not with it."""
    for number in range(MAX_PLAYS):
        seed = f"{SEED}/{number}"
        with removal():
            is_broken = promise in judged(play_of(seed)).broken
        if is_broken and promise not in judged(play_of(seed)).broken:
            return seed
    return None


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_is_missed(guard: str) -> None:
    """Without the guard, the search finds a play that breaks the promise that it is there for."""
    promise, removal = GUARDS[guard]
    with in_process():
        assert _first_broken(promise, removal) is not None


def test_the_same_each_time() -> None:
    """A play follows from its seed, and so does what comes of it."""
    with in_process():
        for number in range(0, 50, 5):
            first, again = (list(story(judged(play_of(f"{SEED}/{number}")).performance)) for _ in range(2))
            assert first == again


def test_every_promise_is_tested() -> None:
    """No promise holds for want of plays."""
    assert set(played_from(SEED, 0, PLAYS).tested) == set(PROMISES)


def test_made_small() -> None:
    """What a promise breaks without is left out of a play."""
    promise = "a dry run, or a stack in plan mode, sends no delete"
    with in_process(), patch.object(RetireAttempt, "is_dry_run", new=False):
        number = next(number for number in range(MAX_PLAYS) if promise in judged(play_of(f"{SEED}/{number}")).broken)
        whole = play_of(f"{SEED}/{number}")
        small = shrunk(Play(whole.seed, (*whole.steps, Step(At(1.0), Redrive()))), promise)
        assert promise in judged(small).broken
        assert all(promise not in judged(_but(small, index)).broken for index in range(len(small.steps)))


def _but(play: Play, index: int) -> Play:
    return Play(play.seed, play.steps[:index] + play.steps[index + 1 :])


def test_told_in_words() -> None:
    """Each step is a line of its own."""
    for number in range(PLAYS):
        play = play_of(f"{SEED}/{number}")
        assert len(str(play).splitlines()) == len(play.steps)
        assert "object at" not in str(play)
