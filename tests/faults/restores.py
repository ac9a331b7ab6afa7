"""The cases of restores: the same faults and crashes as a retirement's, and what can come besides a restore.

Each begins with what a real retirement has left: its evidence, and an organisation without the datamart.
"""

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from local.databrain.faults import RouteId
from local.databrain.seed import organisation_of
from retirement.canonical import canonical_json, parse_json, sha256_hex
from retirement.databrain.ports import DatabrainApi
from retirement.requests import MAX_RECEIVES
from retirement.restoring.settings import RestoreSettings
from retirement.restoring.workflow import TIME_TO_CREATE
from retirement.timestamps import format_timestamp
from tests.fakes import RESTORE_SETTINGS, SETTINGS, Parsed, requested, restore_requested
from tests.faults.cases import Crashes, has_result, to_its_end
from tests.faults.stage import (
    CREATES,
    READS,
    RESTORE_SECONDS,
    Event,
    Stage,
    Strike,
    identity_of,
    is_request_to_databrain,
    put,
    restored_as,
)
from tests.faults.wire import FAULTS_OF_RESTORES, TRANSIENT, Fault, Reach
from tests.restore_world import seed

NAME, NEW_NAME = "sales", "sales \u0104\u010c e\u0301 \U0001f642"
REVIEWED = ["board", "figure", "mirror"]  # the embeds that go with the datamart
ROTATED = "made-up-token-that-was-rotated-3a"


class Besides(StrEnum):
    """What comes besides the first delivery, at the call that a fault strikes, or after it."""

    NOTHING = "single delivery"
    DUPLICATE = "duplicate, the lock held"
    DUPLICATE_LOCKLESS = "duplicate, the lock lost"
    DUPLICATE_CRASHES = "duplicate, which crashes after its create, the lock lost"
    ANOTHER = "another restore of the same name, the lock held"
    ANOTHER_LOCKLESS = "another restore of the same name, the lock lost"
    ANOTHER_BETWEEN = "another restore of the same name before the next delivery"
    ANOTHER_CRASHES = "another restore of the same name, which crashes after its create, the lock lost"
    ANOTHER_CRASHES_BETWEEN = (
        "another restore of the same name, which crashes after its create, before the next delivery"
    )
    RETIREMENT = "a retirement of the restored name, the lock held"
    RETIREMENT_BETWEEN = "a retirement of the restored name before the next delivery"
    TAKEN = "the name is taken by somebody else"
    TAKEN_BETWEEN = "the name is taken by somebody else before the next delivery"
    ROTATED = "the token is rotated before the next delivery"
    ABANDONED = "the same again until abandoned, then redriven"


_OTHER_TIMES = {Besides.NOTHING, Besides.ABANDONED, Besides.ROTATED}
AT_THE_CALL = {
    Besides.DUPLICATE,
    Besides.DUPLICATE_LOCKLESS,
    Besides.ANOTHER,
    Besides.ANOTHER_LOCKLESS,
    Besides.ANOTHER_CRASHES,
    Besides.DUPLICATE_CRASHES,
    Besides.RETIREMENT,
    Besides.TAKEN,
}
_LOCKLESS = {
    Besides.DUPLICATE_LOCKLESS,
    Besides.DUPLICATE_CRASHES,
    Besides.ANOTHER_LOCKLESS,
    Besides.ANOTHER_CRASHES,
}


@dataclass(frozen=True, eq=False)
class RestoreScenario:
    """What a retirement left, a request, and what it has to come to if nothing strikes."""

    name: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, object] = field(default_factory=dict)  # how the server differs from the newest one
    retirement: Mapping[str, object] = field(default_factory=dict)
    meddle: Callable[[Stage], object] = lambda _: None  # after the retirement
    settings: RestoreSettings = RESTORE_SETTINGS
    ends: tuple[str, str | None] = ("restored", "with_differences")  # an embed of a metric is not restored
    seconds: float = RESTORE_SECONDS
    besides: tuple[Besides, ...] = (Besides.NOTHING,)
    crashes: tuple[Crashes, ...] = (Crashes.NONE,)

    def stage(self) -> Stage:
        """A new one, with what the retirement left."""
        left = _after_the_retirement(self)
        there = copy.deepcopy(left.organisation)
        stage = Stage(restore_settings=self.settings, organisation=there, clock=copy.copy(left.clock))
        stage.evidence.objects.update(left.evidence.objects)
        stage.results_topic.messages += left.results_topic.messages
        stage.secret, stage.restore_seconds = left.secret, self.seconds
        return stage

    @property
    def event(self) -> Event:
        """The request."""
        return restore_requested(**self.detail)

    @property
    def is_blocked(self) -> bool:
        """Whether nothing may be created."""
        return self.ends[0] != "restored"


@cache
def _after_the_retirement(scenario: RestoreScenario) -> Stage:
    api = scenario.settings.databrain_api
    stage = Stage(replace(SETTINGS, databrain_api=api), organisation_of(seed(**scenario.server)))
    detail: dict[str, Any] = {"reviewedEmbeds": REVIEWED, **scenario.retirement}
    assert stage.deliver(requested(**detail)).result
    scenario.meddle(stage)
    return stage


# ---- What others have done since the retirement --------------------------------------------------------------------


def _create(name: str) -> Callable[[Stage], object]:
    return lambda stage: put(stage.organisation, name, stage.clock.now())


def _change_backup(change: Callable[[Parsed], object]) -> Callable[[Stage], object]:
    """Put another backup in the place of the retirement's, and into its receipt and intent."""

    def meddle(stage: Stage) -> None:
        objects, key = stage.evidence.objects, _backup_key(stage)
        old = objects[key].body
        document = parse_json(old)
        change(document)
        new = canonical_json(document)
        for other, kept in objects.items():
            body = kept.body.replace(sha256_hex(old), sha256_hex(new))
            objects[other] = replace(kept, body=new if other == key else body)
        stage.results_topic.messages = [
            message.replace(sha256_hex(old), sha256_hex(new)) for message in stage.results_topic.messages
        ]

    return meddle


def _to_format_1(backup: Parsed) -> None:
    del backup["notRestorable"]
    backup |= {"formatVersion": "1", "embeds": [embed["item"] for embed in backup["embeds"]]}


def _remove_backup(stage: Stage) -> None:
    """Take the backup away; only an administrator, or its expiry, can."""
    del stage.evidence.objects[_backup_key(stage)]


def _damage_backup(stage: Stage) -> None:
    """Change the backup; only an administrator can."""
    key = _backup_key(stage)
    kept = stage.evidence.objects[key]
    stage.evidence.objects[key] = replace(kept, body=kept.body.replace("Orders", "Others"))


def _add_a_backup(stage: Stage) -> None:
    """Store another backup beside the real one."""
    key = _backup_key(stage)
    other = stage.evidence.objects[key].body.replace("Orders", "Others")
    stage.evidence.create(f"{key.rpartition('/')[0]}/backup-0000000000000000.json", other)


def _backup_key(stage: Stage) -> str:
    (key,) = (key for key in stage.evidence.objects if key.startswith("backups/"))
    return key


def _to_another_organisation(stage: Stage) -> None:
    """Put the token of another organisation into the secret."""
    other = organisation_of(seed() | {"serviceToken": ROTATED})
    other.datamarts.clear()
    other.data_apps = {
        name: replace(app, created_at=format_timestamp(stage.clock.now())) for name, app in other.data_apps.items()
    }
    put(other, "returns", stage.clock.now())
    stage.organisation, stage.secret = other, ROTATED


def _without_datasource(stage: Stage) -> None:
    stage.organisation.datasources = frozenset({"Warehouse"})


def _rotate(stage: Stage) -> None:
    stage.secret = stage.organisation.service_token = ROTATED


_ALL = (Crashes.NONE, Crashes.BEFORE, Crashes.AFTER)
_AFTER = (Crashes.NONE, Crashes.AFTER)

RESTORES = {
    scenario.name: scenario
    for scenario in (
        RestoreScenario("a restore", besides=tuple(Besides), crashes=_ALL),
        RestoreScenario("a restore under another name", detail={"asName": NEW_NAME}, crashes=_AFTER),
        RestoreScenario(
            "a restore without embeds", detail={"embeds": "leave"}, ends=("restored", None), crashes=_AFTER
        ),
        RestoreScenario(
            "a restore, dry run", detail={"dryRun": True}, ends=("restore_planned", "dry_run"), crashes=_AFTER
        ),
        RestoreScenario(
            "a restore, old server",
            server={"hasExportEmbed": False, "hasWorkspaces": False, "hasFetchMetrics": False},
        ),
        RestoreScenario(
            "a restore, legacy server",
            settings=replace(RESTORE_SETTINGS, databrain_api=DatabrainApi.LEGACY),
            server={"hasWorkspaces": False, "hasFetchMetrics": False, "hasDataApps": False, "listsCreatedAt": False},
            retirement={"dependents": "ignore", "reviewedEmbeds": ...},
            ends=("restored", None),
            besides=(Besides.NOTHING, Besides.DUPLICATE_LOCKLESS, Besides.ANOTHER_LOCKLESS, Besides.TAKEN),
            crashes=_AFTER,
        ),
        RestoreScenario("a restore, the embeds kept", server={"keepsEmbeds": True}, ends=("restored", None)),
        RestoreScenario("a restore with little time", seconds=TIME_TO_CREATE + 5),
        RestoreScenario("a restore, the token rotated", meddle=_rotate, crashes=_AFTER),
        RestoreScenario("a restore of a backup of format 1", meddle=_change_backup(_to_format_1)),
        RestoreScenario("a restore beside a second backup", meddle=_add_a_backup),
        RestoreScenario(
            "a restore, the name taken", meddle=_create(NAME), ends=("restore_blocked", "name_taken"), crashes=_AFTER
        ),
        RestoreScenario(
            "a restore, a name like it", meddle=_create("Sales "), ends=("restore_blocked", "ambiguous_name")
        ),
        RestoreScenario(
            "a restore of what was not deleted", retirement={"dryRun": True}, ends=("restore_blocked", "not_deleted")
        ),
        RestoreScenario(
            "a restore without a backup", retirement={"backup": False}, ends=("restore_blocked", "backup_missing")
        ),
        RestoreScenario(
            "a restore, the backup gone", meddle=_remove_backup, ends=("restore_blocked", "backup_missing")
        ),
        RestoreScenario(
            "a restore, the backup damaged", meddle=_damage_backup, ends=("restore_blocked", "backup_damaged")
        ),
        RestoreScenario(
            "a restore, another organisation",
            meddle=_to_another_organisation,
            ends=("restore_blocked", "another_organisation"),
        ),
        RestoreScenario(
            "a restore, the datasource gone", meddle=_without_datasource, ends=("restore_blocked", "datasource_missing")
        ),
        RestoreScenario(
            "a restore of what cannot be restored",
            meddle=_change_backup(lambda backup: backup["createRequest"]["body"]["tableList"].clear()),
            ends=("restore_blocked", "not_restorable"),
        ),
        RestoreScenario(
            "a restore without a workspace", meddle=lambda stage: stage.organisation.workspaces.clear(), crashes=_AFTER
        ),
    )
}


# Where another scenario is the point: one fault of each kind. What comes besides meets the faults of creates.
_TYPICAL = (
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.STATUS_401,
    Fault.STATUS_404,
    Fault.WRONG_SHAPE,
    Fault.NOT_LISTED,
)


# ---- Cases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RestoreCase:
    """One case: what strikes the call of this number (from 1), and what comes besides."""

    scenario: RestoreScenario
    number: int
    call: str
    besides: Besides
    fault: Fault | None = None
    reach: Reach = Reach.ONCE
    crash: Crashes = Crashes.NONE

    @property
    def name(self) -> str:
        """By which it can be run alone."""
        what = str(self.fault or "no fault")
        return " / ".join(
            (self.scenario.name, f"{self.number} {self.call}", what, self.reach, self.crash, self.besides)
        )


@cache
def calls_of_restore(scenario: RestoreScenario) -> tuple[str, ...]:
    """The calls that go out in a restore without faults."""
    stage = scenario.stage()
    ending = stage.deliver(scenario.event)
    assert ending.result
    assert (ending.result["outcome"], ending.result["reason"]) == scenario.ends, ending.result
    assert stage.line is not None
    return tuple(stage.line.calls)


def restore_cases() -> Iterator[RestoreCase]:
    """Every case of a restore, in order; those of one scenario and call come together."""
    for scenario in RESTORES.values():
        calls = calls_of_restore(scenario)
        for number, call in enumerate(calls, start=1):
            for besides in scenario.besides:
                yield from _cases_at(scenario, number, call, besides)


def _cases_at(scenario: RestoreScenario, number: int, call: str, besides: Besides) -> Iterator[RestoreCase]:
    case = RestoreCase(scenario, number, call, besides)
    faults = tuple(
        fault
        for fault in _possible(scenario, number, call)
        if call in CREATES or _is_thorough(scenario, besides) or (fault in _TYPICAL and besides in _OTHER_TIMES)
    )
    if besides is Besides.ABANDONED:
        if call not in calls_of_restore(scenario)[: number - 1]:
            lasting = replace(case, reach=Reach.LASTING)
            yield from (replace(lasting, fault=fault) for fault in faults)
            yield from (replace(lasting, crash=crash) for crash in (Crashes.BEFORE, Crashes.AFTER))
        return
    if Crashes.AFTER in scenario.crashes:
        yield from (replace(case, crash=crash) for crash in scenario.crashes if crash is not Crashes.NONE)
    if besides in AT_THE_CALL:
        yield case
    for fault in faults:
        is_lasting = is_request_to_databrain(call) and fault is not Fault.LATE and scenario.seconds == RESTORE_SECONDS
        reach = Reach.LASTING if is_lasting else Reach.ONCE
        yield replace(case, fault=fault, reach=reach)
        if fault in TRANSIENT and is_request_to_databrain(call) and _is_thorough(scenario, besides):
            yield replace(case, fault=fault)
            yield replace(case, fault=fault, reach=Reach.OUTAGE)
        if call in CREATES and besides is Besides.NOTHING and Crashes.AFTER in scenario.crashes:
            yield replace(case, fault=fault, reach=reach, crash=Crashes.AFTER)


def _is_thorough(scenario: RestoreScenario, besides: Besides) -> bool:
    return besides is Besides.NOTHING and Crashes.BEFORE in scenario.crashes


def _possible(scenario: RestoreScenario, number: int, call: str) -> Iterator[Fault]:
    if not is_request_to_databrain(call):
        yield Fault.TIMEOUT_BEFORE
        if call not in READS:
            yield Fault.TIMEOUT_AFTER
        return
    is_after_create = RouteId.CREATE_DATAMART in calls_of_restore(scenario)[: number - 1]
    for fault in FAULTS_OF_RESTORES:
        if fault in {Fault.LATE, Fault.DAMAGED} and call not in CREATES:
            continue
        is_list = call in {RouteId.LIST_DATAMARTS, RouteId.LIST_EMBEDS} and is_after_create
        if fault is Fault.NOT_LISTED and not (call in CREATES or is_list):
            continue
        if fault is Fault.STATUS_404 and call == RouteId.GET_SEMANTIC_LAYER:
            continue  # an answer: there is none (docs/safety.md, "Not promised")
        yield fault


def played_restore(case: RestoreCase, event: Event | None = None) -> Stage:
    """Play a case to its end, with its own request or another one."""
    event = event or case.scenario.event
    random.seed(case.name)  # the client's jitter
    stage = case.scenario.stage()
    stage.is_lockless = case.besides in _LOCKLESS
    strike = Strike(
        case.number,
        case.fault,
        case.reach,
        crash_before=case.crash is Crashes.BEFORE,
        crash_after=case.crash is Crashes.AFTER,
    )
    if case.besides is Besides.ABANDONED:
        _abandon(stage, event, replace(strike, at=case.call))
        return stage
    act = _act(case.besides, stage, event)
    stage.deliver(event, replace(strike, meanwhile=act if case.besides in AT_THE_CALL else None))
    if case.besides not in AT_THE_CALL:
        stage.clock.advance(RESTORE_SECONDS)
        act()
    to_its_end(stage, event)
    for other in {identity_of(ending.event): ending.event for ending in stage.endings}.values():
        to_its_end(stage, other)
    return stage


def _abandon(stage: Stage, event: Event, strike: Strike) -> None:
    """Let every attempt end alike; then the last receive, and all that comes after a redrive."""
    while not has_result(stage, event) and stage.receives.get(identity_of(event), 0) < MAX_RECEIVES - 1:
        stage.deliver(event, strike)
    if not has_result(stage, event):
        stage.deliver(event)
        stage.deliver(event)  # redriven
        to_its_end(stage, event)


def _act(besides: Besides, stage: Stage, event: Event) -> Callable[[], object]:
    another = {**event, "id": "another", "detail": {**event["detail"], "restoreId": "back-2"}}
    crash = Strike(RouteId.CREATE_DATAMART, crash_after=True)
    acts: Mapping[Besides, Callable[[], object]] = {
        Besides.DUPLICATE: lambda: stage.deliver_alongside(event),
        Besides.DUPLICATE_LOCKLESS: lambda: stage.deliver_alongside(event),
        Besides.DUPLICATE_CRASHES: lambda: stage.deliver_alongside(event, crash),
        Besides.ANOTHER: lambda: stage.deliver_alongside(another),
        Besides.ANOTHER_LOCKLESS: lambda: stage.deliver_alongside(another),
        Besides.ANOTHER_BETWEEN: lambda: stage.deliver(another),
        Besides.ANOTHER_CRASHES: lambda: stage.deliver_alongside(another, crash),
        Besides.ANOTHER_CRASHES_BETWEEN: lambda: stage.deliver(another, crash),
        Besides.RETIREMENT: lambda: stage.deliver_alongside(_retirement(stage, event)),
        Besides.RETIREMENT_BETWEEN: lambda: stage.deliver(_retirement(stage, event)),
        Besides.TAKEN: lambda: _take(stage, restored_as(event)),
        Besides.TAKEN_BETWEEN: lambda: _take(stage, restored_as(event)),
        Besides.ROTATED: lambda: _rotate(stage),
    }
    return acts.get(besides, lambda: None)


def _retirement(stage: Stage, event: Event) -> Event:
    """Ask now for the restored datamart to be retired; its embeds are ignored."""
    detail = {"retirementId": "offboard-2", "dependents": "ignore"}
    return requested(restored_as(event), **detail) | {
        "time": format_timestamp(stage.clock.now() + timedelta(seconds=1))
    }


def _take(stage: Stage, name: str) -> None:
    """Let somebody else create a datamart of that name, if it is free."""
    if name not in stage.organisation.datamarts:
        put(stage.organisation, name, stage.clock.now(), "Somebody else's")
