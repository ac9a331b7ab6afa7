"""Each guard is load-bearing: without it, an invariant of the matrix breaks.

So a guard that a change takes away does not go unseen, and none is there for nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from retirement.databrain.client import DatabrainClient
from retirement.databrain.copies import CopyPermit
from retirement.databrain.permits import NoBackupRequested, VerifiedBackup
from retirement.databrain.ports import DeleteAnswer, DeleteEffect
from retirement.delivery import answering, endings
from retirement.outcomes import Reason
from retirement.record.intents import Intent
from retirement.record.record import Record
from retirement.retiring import rehearsal, rules, workflow
from retirement.retiring.attempt import RetireAttempt
from retirement.scheduling import workflow as scheduling
from retirement.stored_object import StoredObject
from tests.fakes import FakeCoordination, FakeEvidence
from tests.faults.cases import Case, all_cases
from tests.faults.invariants import judged
from tests.faults.stage import in_process

BACKED_UP = "no delete without a verified backup of exactly that, if one was requested"
ONCE = "at most one successful delete per retirement"
SEEN = "no delete of a datamart that was re-created or edited meanwhile"
DEPENDENTS = "no delete with found or unreviewed undetermined dependents"
DRY = "a dry run sends no delete"
UNASKED = "a refusal by name or count sends no request to Databrain"
PROTECTED = "a protected or not retirable datamart is never deleted"
FORBIDDEN = "a datamart that any other rule forbids to delete is not deleted"
HONEST = "`deleted` only if it is gone; no result denies a deletion"
ENDS = "every delivery ends with a receipt or an error, every request with a result"
PUBLISHED = "everything published is stored, to the byte"
ABANDONED = "an abandoned request has its failure published and is stored"
LIMIT = "the daily limit is never exceeded"
IN_TIME = "a delete leaves time to confirm and record it"
NAMED = "a copy never stays without being named"
ONE_COPY = "at most one copy is created per retirement"
OURS = "only our copy is ever deleted by a rehearsal"
REHEARSED = "nothing is deleted without a rehearsal that succeeded, where one was asked for"

DAMAGED_COPY = "a rehearsal / 20 create_datamart / a 200, and what is created is damaged"

Removal = Callable[[], AbstractContextManager[object]]


def _without(target: object, name: str, instead: object) -> Removal:
    return lambda: patch.object(target, name, instead)


def _nothing(*_: object, **__: object) -> None:
    """What a guard answers that never says no."""


def _a_yes(client: DatabrainClient, permit: Any) -> DeleteAnswer:  # noqa: ANN401  # either permit
    """Take every answer to a delete for a yes."""
    _DELETE(client, permit)
    return DeleteAnswer(DeleteEffect.DONE)


def _clear(client: DatabrainClient, permit: Any) -> DeleteAnswer:  # noqa: ANN401  # either permit
    """Take every answer that is not a yes for a no."""
    answer = _DELETE(client, permit)
    return replace(answer, effect=DeleteEffect.NONE) if answer.effect is DeleteEffect.UNKNOWN else answer


def _undoubted(table: FakeCoordination, request: Any, reason: Reason, now: Any, **_: bool) -> None:  # noqa: ANN401  # as the port
    """Do not keep that a delete is about to be sent."""
    if reason is not Reason.UNCONFIRMED:
        _RECORD_FAILURE(table, request, reason, now)


def _overwriting(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Write over what is there."""
    evidence.objects.pop(key, None)
    return _CREATE(evidence, key, body, content_hash)


def _claiming(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Say that the intent that is there is one's own."""
    stored = _CREATE(evidence, key, body, content_hash)
    return replace(stored, body=body) if key.endswith("/intent.json") else stored


def _heedless(attempt: Any, *arguments: Any, **fields: Any) -> object:  # noqa: ANN401  # the workflow's own
    """End without a look at what an attempt alongside has written."""
    with patch.object(Record, "has_intent", new=False):
        return _FINISH(attempt, *arguments, **fields)


def _undated(intent: Intent) -> str:
    """Keep no createdAt."""
    return _TO_JSON(replace(intent, created_at=None))


@contextmanager
def _unheeded_attempts() -> Iterator[None]:
    """An attempt that takes another one's intent for its own, and does not look for its receipt either."""
    with patch.object(FakeEvidence, "create", _claiming), patch.object(workflow, "_ended_meanwhile", _nothing):
        yield


@contextmanager
def _spoilt_backups() -> Iterator[None]:
    """A bucket that keeps something else than the backup that was written, and nobody compares."""

    def spoil(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
        return _CREATE(evidence, key, "{}" if "/backup-" in key else body, content_hash)

    with patch.object(FakeEvidence, "create", spoil), patch.object(VerifiedBackup, "__post_init__", _nothing):
        yield


@contextmanager
def _unwritten_backups() -> Iterator[None]:
    """A workflow that forgets to back up, and a permit that does not ask."""

    def forget(snapshot: Any, _: object, attempt: Any) -> object:  # noqa: ANN401  # the workflow's own
        return NoBackupRequested(snapshot, attempt.request)

    with patch.object(workflow, "_back_up", forget), patch.object(NoBackupRequested, "__post_init__", _nothing):
        yield


def _unrecorded(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Create a copy without a record that is kept."""
    if key.endswith("/rehearsal.json"):
        return StoredObject("evidence", key, None, body, content_hash)
    return _CREATE(evidence, key, body, content_hash)


def _claiming_rehearsals(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Say that the record that is there is one's own."""
    stored = _CREATE(evidence, key, body, content_hash)
    return replace(stored, body=body) if key.endswith("/rehearsal.json") else stored


@contextmanager
def _unheeded_rehearsals() -> Iterator[None]:
    """Nobody asks how the rehearsal went."""
    with (
        patch.object(workflow, "refuse_by_rehearsal", _nothing),
        patch.object(rehearsal, "refuse_by_rehearsal", _nothing),
    ):
        yield


_DELETE = DatabrainClient.delete
_LIST_EMBEDS = DatabrainClient.list_embeds
_RECORD_FAILURE = FakeCoordination.record_failure
_CREATE = FakeEvidence.create
_TO_JSON = Intent.to_json
_FINISH = endings.finish

# What breaks without the guard, how to take it away, and where in the matrix to look (a part of the cases' names).
GUARDS: dict[str, tuple[str, Removal, str]] = {
    "rule: protected": (PROTECTED, _without(rules, "_protected", _nothing), "protected / "),
    "rule: not retirable": (PROTECTED, _without(rules, "_not_retirable", _nothing), "not retirable / "),
    "rule: the day's limit": (UNASKED, _without(workflow, "refuse_by_count", _nothing), "limit reached / "),
    "rule: ambiguous name": (FORBIDDEN, _without(rules, "ambiguous_name", _nothing), "ambiguous name / "),
    "rule: recreated": (SEEN, _without(rules, "_recreated", _nothing), "created after the request / "),
    "rule: plan drifted": (FORBIDDEN, _without(rules, "_plan_drifted", _nothing), "plan drifted / "),
    "rule: dependents found": (DEPENDENTS, _without(rules, "_dependents_found", _nothing), "an embed uses it / "),
    "rule: dependents undetermined": (
        DEPENDENTS,
        _without(rules, "_dependents_undetermined", _nothing),
        "an embed may use it / ",
    ),
    # spared even so, for another reason, but the request never ends
    "rule: a later datamart is another one": (
        ENDS,
        _without(rules, "is_later_generation", lambda *_: False),
        " / 19 coordination.record_failure / ",
    ),
    "rule: what is listed is recognised": (
        SEEN,
        _without(workflow, "recognise", lambda *_: rules.Recognition.SAME),
        "no createdAt / 19 coordination.record_failure / ",
    ),
    "a failure to list embeds fails the attempt": (
        DEPENDENTS,
        _without(DatabrainClient, "list_embeds", lambda client: (_LIST_EMBEDS(client)[0], ())),
        "undetermined ones are reported / 9 list_data_apps / ",
    ),
    "the day's count": (LIMIT, _without(FakeCoordination, "reserve", lambda *_: True), "limit of one / "),
    "the dry run's gate": (
        DRY,
        _without(RetireAttempt, "is_dry_run", instead=False),
        "dry run / ",
    ),
    "the backup": (BACKED_UP, _unwritten_backups, "a backup is asked for / "),
    "the backup's comparison": (BACKED_UP, _spoilt_backups, "a backup is asked for / "),
    "the receipt is read first": (
        ABANDONED,
        _without(Record, "receipt", None),
        "no createdAt / 9 list_data_apps / ",
    ),
    "nothing is overwritten": (
        PUBLISHED,
        _without(FakeEvidence, "create", _overwriting),
        "a backup is asked for / 20 delete_datamart / ",
    ),
    "the intent is written before the delete": (
        SEEN,
        _without(workflow, "_write_intent", _nothing),
        "a backup is asked for / ",
    ),
    # the write of another intent stops it even so, each time anew
    "the intent is read": (ENDS, _without(Record, "intent", None), "a backup is asked for / 16 "),
    "another attempt's intent or receipt stops this one": (
        SEEN,
        _unheeded_attempts,
        "a backup is asked for / 11 list_embeds / ",
    ),
    "an intent written meanwhile is seen at the end": (
        HONEST,
        _without(workflow, "finish", _heedless),
        "a backup is asked for / 6 list_datamarts / ",
    ),
    "the intent keeps createdAt": (
        ENDS,
        _without(Intent, "to_json", _undated),
        "a backup is asked for / 19 coordination.record_failure / ",
    ),
    "a doubt is kept before a delete": (
        HONEST,
        _without(FakeCoordination, "record_failure", _undoubted),
        "no createdAt / 20 delete_datamart / ",
    ),
    "the reason is kept": (
        ABANDONED,
        _without(FakeCoordination, "last_failure", lambda *_: Reason.DATABRAIN_UNAVAILABLE),
        "the same again until given up",
    ),
    "a conclusion insists": (
        ABANDONED,
        _without(answering, "TIME_TO_CONCLUDE", 60.0),
        "/ at last 5 time-out before the effect once",
    ),
    "the failure is published": (ABANDONED, _without(endings, "publish", _nothing), "the same again until given up"),
    "only a clear yes is a yes": (HONEST, _without(DatabrainClient, "delete", _a_yes), "/ 20 delete_datamart / "),
    "only a clear no is a no": (
        HONEST,
        _without(DatabrainClient, "delete", _clear),
        "no createdAt / 20 delete_datamart / ",
    ),
    "a fresh list confirms": (HONEST, _without(workflow, "_confirm", _nothing), "/ 20 delete_datamart / "),
    "the record of a rehearsal is written first": (
        ONE_COPY,
        _without(FakeEvidence, "create", _unrecorded),
        "a rehearsal / 31 delete_datamart / ",
    ),
    "only who has written the record creates": (
        ONE_COPY,
        _without(FakeEvidence, "create", _claiming_rehearsals),
        "a rehearsal amid others / 18 evidence.create / ",
    ),
    # it is named even so, but no attempt goes on from there
    "an interrupted rehearsal is finished first": (
        ENDS,
        _without(workflow, "finish_rehearsal", lambda record, _: record),
        "a rehearsal / 20 create_datamart / ",
    ),
    "a copy that is left is named": (
        NAMED,
        _without(endings, "of_left_copy", lambda _: ""),
        "a rehearsal / 31 delete_datamart / ",
    ),
    "a cancellation names a copy": (
        NAMED,
        _without(scheduling, "of_left_copy", lambda _: ""),
        "a rehearsal amid others / ",
    ),
    "only what was sent or confirmed is the copy": (
        OURS,
        _without(CopyPermit, "__post_init__", _nothing),
        "another datamart of the copy's name",
    ),
    "the copy is compared": (
        REHEARSED,
        _without(rehearsal, "differences_beyond_losses", lambda *_: []),
        DAMAGED_COPY,
    ),
    "a failed rehearsal blocks": (
        REHEARSED,
        _unheeded_rehearsals,
        DAMAGED_COPY,
    ),
    "the time that is left": (
        IN_TIME,
        _without(workflow, "_require_time_to_delete", _nothing),
        " / 9 list_data_apps / ",
    ),
}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """All cases."""
    with in_process():
        return list(all_cases())


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_is_load_bearing(guard: str, cases: list[Case]) -> None:
    """Without the guard, the invariant that it is there for breaks."""
    invariant, removal, place = GUARDS[guard]
    with in_process(), removal():
        assert any(invariant in judged(case).broken for case in cases if place in case.name)
