"""Each guard of a restore is load-bearing: without it, an invariant of the matrix breaks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from retirement.databrain.restorer import DatabrainRestorer
from retirement.delivery import intake
from retirement.outcomes import Reason
from retirement.record.organisation import Organisation
from retirement.record.restores import RestoreRecord
from retirement.restoring import embeds, endings, rules, workflow
from tests.fakes import FakeCoordination, FakeEvidence
from tests.faults.restore_invariants import judged_restore
from tests.faults.restores import RestoreCase, restore_cases
from tests.faults.stage import in_process

ONE_DATAMART = "at most one datamart is created per restore"
ONE_EMBED = "at most one embed is created per restore for each that was deleted"
OVER_NOTHING = "nothing is created over a listed name, or one that is nearly the same"
OF_OTHERS = "nothing is added to a datamart that another restore, or somebody else, has created"
OWN = "`restored` is reported only for the datamart that this restore has created"
BLOCKED = "what blocks a restore is found before anything is created"
DRY = "a dry run of a restore sends nothing but reads"
RIGHTS = "no embed gets more permissions than it had"
GUESTS = "each guest token shows one new embed alone, for a minute"
IN_TIME = "a create leaves time to read back and record it"
AS_READ = "what was read back is what is reported"
NO_DENIAL = "no result of a restore denies a creation"
ENDS = "every restore has one published result, or stays in Failures in doubt"
SECRET = "no token in anything that a restore writes"
STORED = "what a restore publishes is stored, to the byte"
ABANDONED = "an abandoned restore has its failure published and its request kept"

Removal = Callable[[], AbstractContextManager[object]]


def _without(target: object, name: str, instead: object) -> Removal:
    return lambda: patch.object(target, name, instead)


def _nothing(*_: object, **__: object) -> None:
    """What a guard answers that never says no."""


class _Anything(str):
    """Equals every text."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _: object) -> bool:
        return True

    def __ne__(self, _: object) -> bool:
        return False


def _for_good(delivery: Any) -> object:  # noqa: ANN401  # the workflow's own
    """Take every request for one that is no dry run."""
    return replace(_PARSE_RESTORE(delivery), dry_run=False)


def _generous(*arguments: Any) -> Any:  # noqa: ANN401  # the workflow's own
    """Grant what the export does not contain."""
    body: Any = _CREATE_EMBED_BODY(*arguments)
    return {**body, "accessSettings": {**body["accessSettings"], "isAllowMetricDeletion": True}}


def _overwriting(evidence: FakeEvidence, key: str, body: str, content_hash: str | None = None) -> object:
    """Write over what is there."""
    evidence.objects.pop(key, None)
    return _CREATE(evidence, key, body, content_hash)


def _heedless(attempt: Any, *arguments: Any, **fields: Any) -> object:  # noqa: ANN401  # the workflow's own
    """End without a look at what an attempt alongside has written."""
    with patch.object(FakeEvidence, "read", _nothing):
        return _FINISH(attempt, *arguments, **fields)


def _old_embeds(client: DatabrainRestorer, data_app_name: str, _: str) -> None:
    """Make guest tokens for an embed that is gone."""
    _SHOW(client, data_app_name, "board")


_PARSE_RESTORE = intake.parse_restore
_CREATE_EMBED_BODY = rules.create_embed_body
_CREATE = FakeEvidence.create
_FINISH = endings.finish
_SHOW = DatabrainRestorer.show

# What breaks without the guard, how to take it away, and where to look (a part of the cases' names).
GUARDS: dict[str, tuple[str, Removal, str]] = {
    "rule: the name is free": (OVER_NOTHING, _without(workflow, "refuse_by_listing", _nothing), "a name like it / "),
    "rule: what Databrain would refuse": (
        BLOCKED,
        _without(workflow, "refuse_by_content", _nothing),
        "cannot be restored / ",
    ),
    "rule: the datasource": (BLOCKED, _without(workflow, "refuse_by_datasource", _nothing), "the datasource gone / "),
    "rule: the organisation": (
        BLOCKED,
        _without(Organisation, "is_recognised", lambda *_, **__: True),
        "another organisation / ",
    ),
    "the backup's checksum": (
        BLOCKED,
        _without(workflow, "sha256_hex", lambda _: _Anything()),
        "the backup damaged / ",
    ),
    "the dry run's gate": (DRY, _without(workflow, "parse_restore", _for_good), "dry run / "),
    "the intent is read": (ENDS, _without(RestoreRecord, "intent", None), "a restore / 19 "),
    "the receipt is read first": (
        ABANDONED,
        _without(RestoreRecord, "receipt", None),
        "publish / time-out before the effect / lasting",
    ),
    "an intent written meanwhile is seen at the end": (
        NO_DENIAL,
        _without(endings, "finish", _heedless),
        "duplicate, which crashes",
    ),
    "nothing is overwritten": (STORED, _without(FakeEvidence, "create", _overwriting), "duplicate, the lock lost"),
    "what is claimed is what was sent": (
        OWN,
        _without(workflow, "is_as_sent", lambda *_: True),
        "taken by somebody else",
    ),
    "what another restore may have created is not claimed": (
        OF_OTHERS,
        _without(workflow, "restored_by_another", _nothing),
        "which crashes after its create",
    ),
    "what was created and is gone is not created again": (
        ONE_DATAMART,
        _without(FakeCoordination, "created", _nothing),
        "a retirement of the restored name before",
    ),
    "what became of a request is looked for": (
        ONE_EMBED,
        _without(embeds, "_what_became_of", _nothing),
        "a restore / 28 ",
    ),
    "no permission that is not exported": (RIGHTS, _without(embeds, "create_embed_body", _generous), "a restore / 39 "),
    "guest tokens are for what was created": (
        GUESTS,
        _without(DatabrainRestorer, "show", _old_embeds),
        "a restore / 39 ",
    ),
    "the time that is left": (IN_TIME, _without(workflow, "_require_time", _nothing), "with little time / "),
    "differences are told": (AS_READ, _without(workflow, "differences", lambda *_: []), "what is created is damaged"),
    "no secret is stored": (SECRET, _without(workflow, "require_no_secret", _nothing), "create_embed / wrong shape"),
    "the reason is kept": (
        ABANDONED,
        _without(FakeCoordination, "last_failure", lambda *_: Reason.DATABRAIN_UNAVAILABLE),
        "the same again until abandoned",
    ),
}


@pytest.fixture(scope="module")
def cases() -> list[RestoreCase]:
    """All cases."""
    with in_process():
        return list(restore_cases())


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_is_load_bearing(guard: str, cases: list[RestoreCase]) -> None:
    """Without the guard, the invariant that it is there for breaks."""
    invariant, removal, place = GUARDS[guard]
    with in_process(), removal():
        assert any(invariant in judged_restore(case).broken for case in cases if place in case.name)
