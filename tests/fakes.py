"""Fakes of the ports, a clock that moves only when told to, and a way to interfere with any call that goes out.

Each fake has the semantics of its adapter: the contract suite runs on both.
"""

# ruff: noqa: D102  # a port's docstrings are its fake's too

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeAlias, TypeVar, cast

from retirement.canonical import Document, Json, canonical_json, ordered_json, parse_json, sha256_hex
from retirement.databrain.copies import CopyPermit, RehearsalPermit
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.dependents import Embed, EmbedListing, EmbedMap
from retirement.databrain.permits import DeletePermit
from retirement.databrain.ports import DatabrainApi, DeleteAnswer, DeleteEffect, Metric, Unread
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.databrain.tokens import ReadSecrets
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.delivery.ports import FailedAttempt
from retirement.environment import S3Location
from retirement.errors import ConfigurationError, DatabrainError, DatabrainUnexpected
from retirement.globs import NO_LISTS, DatamartLists
from retirement.outcomes import Reason
from retirement.record.keys import retirement_key
from retirement.requests import Command, Delivery, Request, RestoreRequest
from retirement.restoring.ports import RestorePorts
from retirement.restoring.settings import RestoreSettings
from retirement.retiring.ports import RetirePorts
from retirement.retiring.settings import Mode, RetireSettings, UndeterminedEmbeds
from retirement.retiring.workflow import retire
from retirement.scheduling.ports import SchedulePorts, Timer
from retirement.scheduling.settings import ScheduleSettings
from retirement.scheduling.workflow import schedule
from retirement.stored_object import OwnersFile, StoredObject
from retirement.sweeping.ports import SweepPorts
from retirement.sweeping.settings import SweepSettings
from retirement.timestamps import format_timestamp, parse_timestamp, second_before

Parsed: TypeAlias = Any  # parsed JSON, for a test to index as it likes

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
INVOCATION_SECONDS = 60.0

SETTINGS = RetireSettings(
    environment_name="prod",
    mode=Mode.RETIRE,
    databrain_base_url="https://databrain.test",
    databrain_api=DatabrainApi.CURRENT,
    databrain_ca_uri=None,
    service_token_secret_arn="arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain",
    backup_by_default=True,
    require_restorable=False,
    rehearse_by_default=False,
    undetermined_embeds=UndeterminedEmbeds.BLOCK,
    embed_map_uri=None,
    retirable_datamarts=("*",),
    protected_datamarts=(),
    datamart_lists_uri=None,
    max_retirements_per_day=25,
    approvals_required=0,
    approval_expires_in=timedelta(days=14),
    retry_delays=(60, 300, 900, 2700, 7200),
    requests_queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/requests",
    scheduling_queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/scheduling",
    evidence_bucket_name="evidence",
    coordination_table_name="coordination",
    results_topic_arn="arn:aws:sns:eu-west-1:123456789012:results",
)

RESTORE_SETTINGS = RestoreSettings(
    environment_name=SETTINGS.environment_name,
    databrain_base_url=SETTINGS.databrain_base_url,
    databrain_api=SETTINGS.databrain_api,
    databrain_ca_uri=None,
    service_token_secret_arn=SETTINGS.service_token_secret_arn,
    retry_delays=SETTINGS.retry_delays,
    restores_queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/restores",
    evidence_bucket_name=SETTINGS.evidence_bucket_name,
    coordination_table_name=SETTINGS.coordination_table_name,
    results_topic_arn=SETTINGS.results_topic_arn,
)

SWEEP_SETTINGS = SweepSettings(
    environment_name="prod",
    databrain_base_url="https://databrain.test",
    databrain_api=DatabrainApi.CURRENT,
    databrain_ca_uri=None,
    service_token_secret_arn="arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain",
    embed_map_uri=None,
    retirable_datamarts=("*",),
    protected_datamarts=(),
    datamart_lists_uri=None,
    sweep_policy_uri=S3Location("policies", "sweep.json"),
    max_per_sweep=25,
    max_sweep_percent=100,
    event_bus_name="default",
    evidence_bucket_name="evidence",
    results_topic_arn="arn:aws:sns:eu-west-1:123456789012:results",
)


NO_EXPORT = Unread("GET /api/v2/data-app/embeds/export: HTTP 404")


class LogicalClock:
    """Time moves by `sleep` and `advance` alone."""

    def __init__(self, now: datetime = START, seconds: float = INVOCATION_SECONDS) -> None:
        self._now = now
        self._ends = now + timedelta(seconds=seconds)
        self.slept: list[float] = []

    def begin_invocation(self, seconds: float = INVOCATION_SECONDS) -> None:
        """From now on the invocation has this much time."""
        self._ends = self._now + timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._now

    def remaining(self) -> float:
        return max(0.0, (self._ends - self._now).total_seconds())

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)


@dataclass(frozen=True, slots=True)
class ScriptedDeletion:
    """What the next delete request does, whatever is there, and what is answered."""

    happens: bool
    answer: DeleteAnswer


class FakeDatabrain:
    """An organisation: `datamarts` are list entries by name, in Databrain's order."""

    def __init__(self) -> None:
        self.token = "token-of-a"
        self.secrets: set[str] = set()  # that an attempt reads
        self.data_apps: dict[str, datetime | None] = {}
        self.datamarts: dict[str, Document] = {}
        self.semantic_layers: dict[str, Document] = {}
        self.embeds = EmbedListing(())
        self.embed_failures: tuple[DatabrainError, ...] = ()
        self.exports: dict[str, Document | Unread] = {}  # by the embed's ID
        self.workspaces: Mapping[str, Sequence[str]] | Unread = {}  # that have a dashboard, by its ID
        self.scripted: deque[ScriptedDeletion] = deque()
        self.permits: list[DeletePermit] = []  # one for each delete request that was sent
        self.deleted: list[Document] = []  # the entries that are gone by one
        self.now: Callable[[], datetime] = lambda: START  # when a copy is created
        self.created: list[str] = []  # the names of all copies
        self.removed: list[str] = []  # the names of the copies that were deleted

    def find(self, name: str) -> Snapshot | Absent:
        listing = self.list_datamarts()
        if name not in listing:
            return Absent(listing)
        return Snapshot(name, listing.created_at[name], self.datamarts[name], self.semantic_layers.get(name), listing)

    def list_datamarts(self) -> Listing:
        return Listing({name: _told(entry, "createdAt") for name, entry in self.datamarts.items()})

    def list_datamarts_with_updates(self) -> Listing:
        updated_at = {name: _told(entry, "updatedAt") for name, entry in self.datamarts.items()}
        return replace(self.list_datamarts(), updated_at=updated_at)

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        return replace(self.embeds, data_apps=dict(self.data_apps)), self.embed_failures

    def export_embeds(
        self,
        embeds: Sequence[Embed],
        *,
        leave: float,  # noqa: ARG002  # time does not pass here
    ) -> Sequence[Document | Unread]:
        return [self.exports.get(embed.embed_id, NO_EXPORT) for embed in embeds]

    def find_workspaces(self, *, leave: float) -> Mapping[str, Sequence[str]] | Unread:  # noqa: ARG002  # the same
        return self.workspaces

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        return dict(self.data_apps)

    def place_of_secret(self, document: Json) -> str | None:
        return ReadSecrets(self.secrets).place_in(document)

    def fingerprint(self, identity: str) -> str:
        return sha256_hex(canonical_json([SETTINGS.databrain_base_url, self.token, identity]))[:16]

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        self.permits.append(permit)
        name = permit.snapshot.name
        missing = DeleteAnswer(DeleteEffect.NONE, _refused())
        by_itself = ScriptedDeletion(
            happens=True, answer=DeleteAnswer(DeleteEffect.DONE) if name in self.datamarts else missing
        )
        deletion = self.scripted.popleft() if self.scripted else by_itself
        if deletion.happens and name in self.datamarts:
            self.deleted.append(self.datamarts.pop(name))
            self.semantic_layers.pop(name, None)
        return deletion.answer

    def create_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        if permit.name in self.datamarts:
            return CreateAnswer(CreateEffect.REFUSED, _refused())
        self.datamarts[permit.name] = listed_from(permit.create_body, self.now())
        self.created.append(permit.name)
        return CreateAnswer(CreateEffect.DONE)

    def create_layer_of_copy(self, permit: RehearsalPermit) -> CreateAnswer:
        if permit.create_layer_body is None:
            raise TypeError
        if permit.name not in self.datamarts or permit.name in self.semantic_layers:
            return CreateAnswer(CreateEffect.REFUSED, _refused())
        self.semantic_layers[permit.name] = permit.create_layer_body
        return CreateAnswer(CreateEffect.DONE)

    def delete_copy(self, permit: CopyPermit) -> DeleteAnswer:
        if self.datamarts.pop(permit.copy.name, None) is None:
            return DeleteAnswer(DeleteEffect.NONE, _refused())
        self.semantic_layers.pop(permit.copy.name, None)
        self.removed.append(permit.copy.name)
        return DeleteAnswer(DeleteEffect.DONE)


def _refused() -> DatabrainUnexpected:
    return DatabrainUnexpected("HTTP 400 INVALID_REQUEST_BODY; expected 200")


def listed_from(body: Parsed, created_at: datetime) -> Parsed:
    """What is listed of a datamart that was created by this body."""
    tables = [
        {
            **{key: value for key, value in table.items() if key not in {"name", "columns"}},
            "tableName": table["name"],
            "datamartTableColumns": [
                {**{key: value for key, value in column.items() if key != "name"}, "columnName": column["name"]}
                for column in table["columns"]
            ],
        }
        for table in body["tableList"]
    ]
    return {
        "name": body["name"],
        "companyIntegration": {"name": body["datasourceName"]},
        "datamartTables": tables,
        "datamartRelationships": list(body.get("relationships", [])),
        "createdAt": format_timestamp(created_at),
    }


def _told(entry: Document, time: str) -> datetime | None:
    told = entry.get(time)
    return None if told is None else parse_timestamp(cast("str", told))


class FakeEvidence:
    """A versioned bucket in which nothing is overwritten."""

    def __init__(self, bucket: str = SETTINGS.evidence_bucket_name) -> None:
        self._bucket = bucket
        self.objects: dict[str, StoredObject] = {}

    def create(self, key: str, body: str, content_hash: str | None = None) -> StoredObject:
        version = f"version-{len(self.objects) + 1}"
        return self.objects.setdefault(key, StoredObject(self._bucket, key, version, body, content_hash))

    def read(self, key: str) -> StoredObject | None:
        return self.objects.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))


class FakeProgress:
    """What was recorded of failed attempts, in order; `error` is raised instead."""

    def __init__(self) -> None:
        self.recorded: list[FailedAttempt] = []
        self.error: Exception | None = None

    def record(self, failed: FailedAttempt) -> None:
        if self.error is not None:
            raise self.error
        self.recorded.append(failed)


class FakeCoordination:
    """A table whose expired locks count as free."""

    def __init__(self) -> None:
        self.locks: dict[str, tuple[str, datetime]] = {}
        self.failures: dict[tuple[str, ...], Reason] = {}
        self.hashes: dict[tuple[str, ...], str] = {}
        self.counted: set[tuple[date, tuple[str, ...]]] = set()

    def acquire(self, datamart_name: str, holder: str, now: datetime, until: datetime) -> bool:
        busy_by, busy_until = self.locks.get(datamart_name, (holder, until))
        if busy_by != holder and busy_until >= now:
            return False
        self.locks[datamart_name] = (holder, until)
        return True

    def release(self, datamart_name: str, holder: str) -> None:
        if datamart_name in self.locks and self.locks[datamart_name][0] == holder:
            del self.locks[datamart_name]

    def used_today(self, now: datetime) -> int:
        return sum(day == now.date() for day, _ in self.counted)

    def is_counted(self, request: Request, now: datetime) -> bool:
        return (now.date(), _identity(request)) in self.counted

    def reserve(self, request: Request, most: int, now: datetime) -> bool:
        if self.is_counted(request, now) and most > 0:
            return True
        if self.used_today(now) >= most:
            return False
        self.counted.add((now.date(), _identity(request)))
        return True

    def last_failure(self, request: Request | RestoreRequest) -> Reason | None:
        return self.failures.get(_identity(request))

    def record_failure(
        self,
        request: Request | RestoreRequest,
        reason: Reason,
        now: datetime,  # noqa: ARG002  # for expiry
        *,
        after_intent: bool = False,
    ) -> None:
        kept = self.failures.get(_identity(request), Reason.UNCONFIRMED if after_intent else None)
        self.failures[_identity(request)] = Reason.UNCONFIRMED if kept is Reason.UNCONFIRMED else reason

    def record_no_effect(
        self,
        request: Request | RestoreRequest,
        reason: Reason,
        now: datetime,  # noqa: ARG002  # for expiry
    ) -> None:
        self.failures[_identity(request)] = reason

    def record_created(
        self,
        request: RestoreRequest,
        configuration_hash: str,
        now: datetime,  # noqa: ARG002  # for expiry
    ) -> None:
        self.hashes[_identity(request)] = configuration_hash

    def created(self, request: RestoreRequest) -> str | None:
        return self.hashes.get(_identity(request))


def _identity(request: Request | RestoreRequest) -> tuple[str, ...]:
    if isinstance(request, RestoreRequest):
        return request.restore_id, request.retirement_id, request.datamart_name
    return request.retirement_id, request.datamart_name


class FakeEmbedMap:
    """The map, if there is one."""

    def __init__(self, embed_map: EmbedMap | None = None) -> None:
        self.embed_map = embed_map

    def read(self) -> EmbedMap | None:
        return self.embed_map


class FakeDatamartLists:
    """The lists, if there are any."""

    def __init__(self, lists: DatamartLists = NO_LISTS) -> None:
        self.lists = lists

    def read(self) -> DatamartLists:
        return self.lists


class FakeSweepPolicy:
    """The file, if it is there."""

    def __init__(self, body: bytes | None = None) -> None:
        self.body = body

    def read(self) -> OwnersFile:
        where = "SweepPolicyUri: s3://policies/sweep.json"
        if self.body is None:
            raise ConfigurationError(f"{where} cannot be read (NoSuchKey)")
        return OwnersFile(where, self.body, f"version-{sha256_hex(self.body.decode(errors='replace'))[:8]}", START)


class FakeQueue:
    """Keeps for how many seconds each message is held back, by receipt handle, and what was sent, with its delay."""

    def __init__(self) -> None:
        self.redelivery_delays: dict[str, int] = {}
        self.sent: list[tuple[str, int]] = []

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:
        if delivery.receipt_handle is not None:
            self.redelivery_delays[delivery.receipt_handle] = seconds

    def send(self, body: str, seconds: int) -> None:
        self.sent.append((body, seconds))


class FakeTimers:
    """Keeps when each goes off, and what it sends."""

    def __init__(self) -> None:
        self.standing: dict[tuple[Timer, str, str], tuple[datetime, str]] = {}

    def can_send(self, body: str) -> bool:
        return len(body.replace("<", "\\u003c").encode()) <= 256_000

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        self.standing[timer, command.datamart_name, command.retirement_id] = (at, body)

    def clear(self, timer: Timer, command: Command) -> None:
        self.standing.pop((timer, command.datamart_name, command.retirement_id), None)


@dataclass(frozen=True, slots=True)
class PutEvent:
    """An event as it was put on the bus."""

    source: str
    detail_type: str
    detail: Parsed
    time: datetime | None = None


class FakeEventBus:
    """Keeps what is put on it, in order."""

    def __init__(self) -> None:
        self.events: list[PutEvent] = []

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        self.events.append(PutEvent(source, detail_type, parse_json(ordered_json(detail)), time))
        return f"event-{len(self.events)}"

    @property
    def heard(self) -> list[Parsed]:
        """Each as a rule matches it: what the sender sets, with a time of whole seconds if there is one."""
        return [
            {
                "source": event.source,
                "detail-type": event.detail_type,
                "time": event.time and second_before(event.time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "detail": event.detail,
            }
            for event in self.events
        ]


class FakeResultsTopic:
    """Keeps each message as it would be sent."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def publish(self, result: Document) -> None:
        self.messages.append(ordered_json(result))


class FakeReportsTopic:
    """Keeps each message as it would be sent."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def publish(self, report: Document) -> None:
        self.messages.append(ordered_json(report))


class RecordingTelemetry:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.asked: list[Command] = []
        self.steps: list[tuple[str, Mapping[str, object]]] = []
        self.counts: Counter[Metric] = Counter()
        self._lock = Lock()
        self.results: list[Document] = []
        self.counted: list[Document] = []  # as the metric `Retirements` counts them
        self.errors: list[Exception] = []

    @contextmanager
    def attempt(self, delivery: Delivery) -> Iterator[None]:
        self.deliveries.append(delivery)
        try:
            yield
        except Exception as error:
            self.errors.append(error)
            raise

    def about(self, command: Command) -> None:
        self.asked.append(command)

    def step(self, step: str, **fields: object) -> None:
        self.steps.append((step, fields))

    def count(self, metric: Metric) -> None:
        with self._lock:
            self.counts[metric] += 1

    def ended(self, result: Document, *, again: bool) -> None:
        self.results.append(result)
        if not again:
            self.counted.append(result)

    @contextmanager
    def sweep(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors.append(error)
            raise

    def swept(self, report: Document) -> None:
        self.results.append(report)


class RecordingWebhookTelemetry:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.retirement_ids: list[str] = []
        self.answers: list[int] = []
        self.reasons: list[str] = []
        self.errors: list[Exception] = []

    def about(self, retirement_id: str) -> None:
        self.retirement_ids.append(retirement_id)

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        self.answers.append(status.value)
        self.reasons.extend([] if reason is None else [reason])
        self.errors.extend([] if error is None else [error])


# ---- Interference --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A call on its way out: the `number`-th of its delivery, from 1, for example of `evidence.create`.

    `proceed` lets its effect happen and returns its answer.
    """

    number: int
    name: str
    arguments: tuple[Any, ...]
    proceed: Callable[[], Any]


# Stands between the workflow and every port but clock and telemetry: proceeds or not, raises before or after, lets
# others act meanwhile. What it returns is the answer.
Interference = Callable[[Call], object]


class Crash(BaseException):
    """The invocation ends here: nothing of it goes out any more, not even from a `finally`."""


PortsT = TypeVar("PortsT", RetirePorts, SchedulePorts, SweepPorts, RestorePorts)


def interfered(ports: PortsT, interference: Interference) -> PortsT:
    """The same ports, with an interference before each call that goes out, but for progress, which nothing reads."""
    calls = _Calls(interference)
    names = [port.name for port in fields(ports) if port.name not in {"telemetry", "clock", "progress"}]
    outward = {name: _Interfered(calls, name, getattr(ports, name)) for name in names}
    return replace(ports, **cast("Any", outward))


_STAYING_INSIDE = frozenset({"can_send", "fingerprint", "place_of_secret"})


class _Calls:
    def __init__(self, interference: Interference) -> None:
        self._interference = interference
        self._number = 0

    def pass_on(self, name: str, arguments: tuple[object, ...], proceed: Callable[[], object]) -> object:
        self._number += 1
        return self._interference(Call(self._number, name, arguments, proceed))


class _Interfered:
    def __init__(self, calls: _Calls, port_name: str, port: object) -> None:
        self._calls = calls
        self._port_name = port_name
        self._port = port

    def __getattr__(self, method: str) -> Callable[..., object]:
        target: Callable[..., object] = getattr(self._port, method)
        if method in _STAYING_INSIDE:
            return target
        return lambda *arguments, **named: self._calls.pass_on(
            f"{self._port_name}.{method}", (*arguments, *named.values()), lambda: target(*arguments, **named)
        )


class CrashAt:
    """Ends the invocation before or after one call: the one of this number, or the first of this name."""

    def __init__(self, where: int | str, *, after: bool = False) -> None:
        self._where = where
        self._after = after
        self.happened = False

    def __call__(self, call: Call) -> object:
        if not self.happened:
            if self._where not in {call.number, call.name}:
                return call.proceed()
            self.happened = True
            if self._after:
                call.proceed()
        raise Crash(f"{'after' if self._after else 'before'} call {self._where}, now at {call.name}")


class FailAt:
    """Lets the calls of one name fail, `after` their effect or instead of it: all, or only one (from 1)."""

    def __init__(self, name: str, error: Exception, *, nth: int | None = None, after: bool = False) -> None:
        self._name = name
        self._error = error
        self._nth = nth
        self._after = after
        self._seen = 0

    def __call__(self, call: Call) -> object:
        if call.name != self._name:
            return call.proceed()
        self._seen += 1
        if self._nth is not None and self._seen != self._nth:
            return call.proceed()
        if self._after:
            call.proceed()
        raise self._error


class Meanwhile:
    """Lets somebody else act just before the `nth` call of one name (from 1)."""

    def __init__(self, name: str, act: Callable[[], object], *, nth: int = 1) -> None:
        self._name = name
        self._act = act
        self._left = nth

    def __call__(self, call: Call) -> object:
        if call.name == self._name:
            self._left -= 1
            if self._left == 0:
                self._act()
        return call.proceed()


SCHEDULE_SETTINGS = ScheduleSettings(
    environment_name=SETTINGS.environment_name,
    backup_by_default=SETTINGS.backup_by_default,
    retry_delays=SETTINGS.retry_delays,
    reminder_lead_time=timedelta(hours=24),
    scheduling_queue_url=SETTINGS.scheduling_queue_url,
    approval_sources=(),
    approvals_required=SETTINGS.approvals_required,
    requests_queue_url=SETTINGS.requests_queue_url,
    restores_queue_url=RESTORE_SETTINGS.restores_queue_url,
    scheduling_queue_arn="arn:aws:sqs:eu-west-1:123456789012:scheduling",
    requests_queue_arn="arn:aws:sqs:eu-west-1:123456789012:requests",
    failures_queue_arn="arn:aws:sqs:eu-west-1:123456789012:failures",
    schedule_group_name="retirements",
    timer_role_arn="arn:aws:iam::123456789012:role/timers",
    evidence_bucket_name=SETTINGS.evidence_bucket_name,
    results_topic_arn=SETTINGS.results_topic_arn,
    coordination_table_name="coordination",
)


# ---- Everything together -------------------------------------------------------------------------------------------


@dataclass
class World:
    """One organisation, one stack, and deliveries to it."""

    settings: RetireSettings = SETTINGS
    schedule_settings: ScheduleSettings = SCHEDULE_SETTINGS
    clock: LogicalClock = field(default_factory=LogicalClock)
    databrain: FakeDatabrain = field(default_factory=FakeDatabrain)
    embed_map: FakeEmbedMap = field(default_factory=FakeEmbedMap)
    datamart_lists: FakeDatamartLists = field(default_factory=FakeDatamartLists)
    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    coordination: FakeCoordination = field(default_factory=FakeCoordination)
    timers: FakeTimers = field(default_factory=FakeTimers)
    inbox: FakeQueue = field(default_factory=FakeQueue)
    progress: FakeProgress = field(default_factory=FakeProgress)
    outbox: FakeQueue = field(default_factory=FakeQueue)
    restores: FakeQueue = field(default_factory=FakeQueue)
    scheduling: FakeQueue = field(default_factory=FakeQueue)
    results_topic: FakeResultsTopic = field(default_factory=FakeResultsTopic)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    deliveries: int = 0
    calls: list[str] = field(default_factory=list)  # those of the last delivery, in order

    def deliver(
        self, event: object, *interferences: Interference, seconds: float = INVOCATION_SECONDS, receive_count: int = 1
    ) -> Parsed:
        """One delivery of an event, by an invocation of its own, to its end.

        `event` is the message's body if it is text. The first interference stands farthest outside.
        """
        self.clock.begin_invocation(seconds)
        return self.deliver_alongside(event, *interferences, receive_count=receive_count)

    def deliver_alongside(
        self, event: object, *interferences: Interference, receive_count: int = 1, sent_at: datetime = START
    ) -> Parsed:
        """A delivery that takes place during another one: the clock is theirs in common."""
        delivery = self._receive(event, sent_at, receive_count)
        ports, calls = self._recorded(self.retire_ports(), interferences)
        try:
            return answer(delivery, retire, self.settings, ports)
        finally:
            self.calls = calls

    def retire_ports(self) -> RetirePorts:
        """What the retire function talks to."""
        return RetirePorts(
            databrain=self.databrain,
            embed_map=self.embed_map,
            datamart_lists=self.datamart_lists,
            evidence=self.evidence,
            coordination=self.coordination,
            scheduling=self.scheduling,
            inbox=self.inbox,
            progress=self.progress,
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=self.clock,
        )

    def schedule(self, event: object, *interferences: Interference, receive_count: int = 1) -> Parsed:
        """The same to the schedule function; the event arrives now."""
        self.clock.begin_invocation(INVOCATION_SECONDS)
        return self.schedule_alongside(event, *interferences, receive_count=receive_count)

    def schedule_alongside(self, event: object, *interferences: Interference, receive_count: int = 1) -> Parsed:
        """A delivery to the schedule function that takes place during another one."""
        delivery = self._receive(event, self.clock.now(), receive_count)
        ports = SchedulePorts(
            evidence=self.evidence,
            timers=self.timers,
            inbox=self.inbox,
            progress=self.progress,
            outbox=self.outbox,
            restores=self.restores,
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        ports, calls = self._recorded(ports, interferences)
        try:
            return answer(delivery, schedule, self.schedule_settings, ports)
        finally:
            self.calls = calls

    def pass_time(self, until: datetime) -> list[Parsed]:
        """Let timers go off until then, and what is handed on arrive; return what came of it, in order."""
        came: list[Parsed] = []
        while True:
            came += [self.deliver_now(body) for body, _ in self._handed_on()]
            due = sorted((at, key, body) for key, (at, body) in self.timers.standing.items() if at <= until)
            if not due:
                break
            at, key, body = due[0]
            self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))
            del self.timers.standing[key]  # it is deleted after it went off
            came.append(self.deliver_now(body) if key[0] is Timer.RETIRE else self.schedule(body))
        self.clock.advance(max(0.0, (until - self.clock.now()).total_seconds()))
        return came

    def deliver_now(self, event: object, *interferences: Interference, receive_count: int = 1) -> Parsed:
        """A delivery to the retire function of what arrives now."""
        self.clock.begin_invocation(INVOCATION_SECONDS)
        return self.deliver_alongside(event, *interferences, receive_count=receive_count, sent_at=self.clock.now())

    def _handed_on(self) -> Iterator[tuple[str, int]]:
        """What was sent to the retire function, each when it arrives."""
        while self.outbox.sent:
            body, seconds = self.outbox.sent.pop(0)
            self.clock.advance(seconds)
            yield body, seconds

    def _receive(self, event: object, sent_at: datetime, receive_count: int) -> Delivery:
        self.deliveries += 1
        return receive(from_queue(event, sent_at, receive_count), f"invocation-{self.deliveries}", self.clock.now())

    def _recorded(self, ports: PortsT, interferences: Iterable[Interference]) -> tuple[PortsT, list[str]]:
        calls: list[str] = []

        def recorded(call: Call) -> object:
            calls.append(call.name)
            return call.proceed()

        for interference in (recorded, *reversed(tuple(interferences))):
            ports = interfered(ports, interference)
        return ports, calls

    def kept(self, key: str) -> Parsed:
        """An object of the bucket, parsed."""
        return parse_json(self.evidence.objects[key].body)

    def kept_of(self, event: Mapping[str, Any], file_name: str) -> Parsed:
        """An object of one retirement, parsed."""
        detail = event["detail"]
        return self.kept(retirement_key(detail["datamartName"], detail["retirementId"], file_name))

    @property
    def published(self) -> list[Parsed]:
        """All published results, parsed."""
        return [parse_json(message) for message in self.results_topic.messages]


def requested(datamart_name: str = "sales", **detail: object) -> dict[str, Any]:
    """An event that asks for a retirement; a field of `detail` that is `...` is left out."""
    fields: dict[str, object] = {
        "datamartName": datamart_name,
        "environment": SETTINGS.environment_name,
        "requestedBy": "ops@example.com",
        "reason": "the tenant left",
        "retirementId": "offboard-1",
        **detail,
    }
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "Datamart Retirement Requested",
        "source": "datamart.lifecycle",
        "account": "123456789012",
        "time": format_timestamp(START),
        "region": "eu-west-1",
        "resources": [],
        "detail": {name: value for name, value in fields.items() if value is not ...},
    }


def cancelled(datamart_name: str = "sales", **detail: object) -> dict[str, Any]:
    """An event that takes a retirement back."""
    asked = requested(datamart_name, **{"requestedBy": "owner@example.com", "reason": "still needed", **detail})
    return asked | {"id": "0c0ffee0-1428-4cd3-a780-95db273d1602", "detail-type": "Datamart Retirement Cancelled"}


def approved(plan_id: str, approved_by: str = "owner@example.com", /, **detail: object) -> dict[str, Any]:
    """An event that approves a plan of what `requested` asks for; each approver's has an ID of its own."""
    fields = {"planId": plan_id, "approvedBy": approved_by, "requestedBy": ..., "reason": "reviewed", **detail}
    event = requested(**cast("Any", fields))
    return event | {
        "id": f"approval by {approved_by} of {plan_id}",
        "detail-type": "Datamart Retirement Approved",
        "source": "approvals",
    }


def restore_requested(datamart_name: str = "sales", **detail: object) -> dict[str, Any]:
    """An event that asks for what `requested` retired to be restored; a field of `detail` that is `...` is left out."""
    fields = {"requestedBy": "owner@example.com", "reason": "the tenant is back", "restoreId": "back-1", **detail}
    asked = requested(datamart_name, **fields)
    return asked | {"id": "b0c4c0de-1428-4cd3-a780-95db273d1602", "detail-type": "Datamart Restore Requested"}


def from_queue(event: object, sent_at: datetime, receive_count: int) -> dict[str, Any]:
    """What Lambda gets for a message with this event, or with a body that is text."""
    body = event if isinstance(event, str) else json.dumps(event)
    record = {
        "eventSource": "aws:sqs",
        "messageId": message_id(body),
        "receiptHandle": f"handle-{receive_count}",
        "body": body,
        "attributes": {
            "SentTimestamp": str(int(sent_at.timestamp() * 1000)),
            "ApproximateReceiveCount": str(receive_count),
        },
    }
    return {"Records": [record]}


def message_id(body: str) -> str:
    """The id of a message; the same each time that it is delivered."""
    return f"message-{sha256_hex(body)[:8]}"


def entry_of(
    name: str = "sales", created_at: datetime | None = START - timedelta(days=1), label: str = "Orders"
) -> Parsed:
    """An expanded list entry; `created_at` None leaves the field out, `label` makes one configuration another."""
    created = {} if created_at is None else {"createdAt": format_timestamp(created_at)}
    columns = [{"columnName": "id", "datatype": "integer", "alias": "order_id", "isCustomColumn": False, "sql": ""}]
    return {
        "name": name,
        "companyIntegration": {"name": "postgres-prod"},
        "datamartTables": [{"tableName": "orders", "label": label, "datamartTableColumns": columns}],
        "datamartRelationships": [],
        **created,
    }


def embed_of(embed_id: str, datamart_name: str | None, *, listed: bool = True) -> Embed:
    """An embed of the data app `Portal`."""
    item: Document | None = {"embedId": embed_id, "accessSettings": {"datamartName": datamart_name}} if listed else None
    return Embed(embed_id, f"Embed {embed_id}", "Portal", datamart_name, START, START, item)


def showing(embed: Embed, dashboard_id: str) -> Embed:
    """The same embed, which is listed with the dashboard that it shows."""
    shown: Document = {"externalDashboardId": dashboard_id, "name": "A dashboard", "metadata": {}}
    return replace(embed, item={**(embed.item or {}), "externalDashboard": shown})


def export_of(embed_id: str, dashboard_id: str | None = None, /, **settings: Json) -> Parsed:
    """What Export Embed returns; `settings` are the access settings in it."""
    meta = {
        "exportedAt": format_timestamp(START),
        "embedId": embed_id,
        "dashboardId": dashboard_id,
        "embedDataAppAccessSetting": settings,
    }
    return {"_meta": meta, "data": {"layout": [], "filters": [], "metrics": [{"metricId": "m", "query": "select 1"}]}}


def listing_of(*embeds: Embed, gaps: Iterable[str] = ()) -> EmbedListing:
    """A listing of these embeds."""
    return EmbedListing(embeds, tuple(gaps))
