"""One stack and one organisation: the product as it is, down to its HTTP requests, on fakes of AWS.

What goes out of a delivery passes one `Line`, where a fault can strike it, a crash can end it, and others can act
meanwhile. The stage keeps what really happened, for the invariants to compare with what was said.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from typing import Any, TypeAlias, cast
from unittest.mock import patch

import fastjsonschema
from botocore.exceptions import ClientError

from local.databrain.faults import RouteId
from local.databrain.listing import datamart_item
from local.databrain.organisation import (
    ApiToken,
    ConnectionType,
    Dashboard,
    DataApp,
    Datamart,
    Embed,
    EmbedsTell,
    Organisation,
    ServerOptions,
    Workspace,
)
from retirement.aws.service_token import ServiceToken
from retirement.canonical import parse_json
from retirement.databrain.client import DatabrainClient
from retirement.databrain.ports import DatabrainApi
from retirement.databrain.restorer import DatabrainRestorer
from retirement.delivery.answering import answer
from retirement.delivery.intake import RESTORE_REQUESTED, receive
from retirement.errors import Abandoned, AwsCallFailed
from retirement.outcomes import Reason
from retirement.record.keys import backup_key, restore_key, retirement_key
from retirement.requests import MAX_RECEIVES, Delivery
from retirement.restoring.ports import RestorePorts
from retirement.restoring.settings import RestoreSettings
from retirement.restoring.workflow import restore
from retirement.retiring.ports import RetirePorts
from retirement.retiring.settings import RetireSettings
from retirement.retiring.workflow import retire
from retirement.scheduling.ports import SchedulePorts
from retirement.scheduling.workflow import schedule
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import (
    INVOCATION_SECONDS,
    RESTORE_SETTINGS,
    SCHEDULE_SETTINGS,
    SETTINGS,
    START,
    Call,
    Crash,
    FakeCoordination,
    FakeDatamartLists,
    FakeEmbedMap,
    FakeEvidence,
    FakeProgress,
    FakeQueue,
    FakeResultsTopic,
    FakeTimers,
    LogicalClock,
    Parsed,
    RecordingTelemetry,
    from_queue,
    interfered,
)
from tests.faults.wire import (
    APP_KEY,
    NO_ANSWER,
    SERVICE_TOKEN,
    Answer,
    Connection,
    Fault,
    InTurn,
    Reach,
    Sent,
    answer_of,
    damaged,
    struck,
)

Event: TypeAlias = Mapping[str, Any]
Identity: TypeAlias = tuple[str, ...]  # the datamart's name, the retirementId, and a restore's restoreId

CREATED_AT = START - timedelta(days=1)
# Seconds: longer than a lock is held.
LOCK_EXPIRY = INVOCATION_SECONDS + 1
RESTORE_SECONDS = 900.0

SECRET_CALL = "secret.read"
READS = frozenset(
    {
        "evidence.list",
        "evidence.read",
        "coordination.used_today",
        "coordination.last_failure",
        "coordination.created",
        "embed_map.read",
        "datamart_lists.read",
        SECRET_CALL,
    }
)
_ROUTES = frozenset(RouteId)
CREATES = frozenset({RouteId.CREATE_DATAMART, RouteId.CREATE_SEMANTIC_LAYER, RouteId.CREATE_EMBED})
CHANGES = CREATES | {RouteId.DELETE_DATAMART}


def identity_of(event: Event) -> Identity:
    """Of the retirement or the restore that an event asks for."""
    detail = event["detail"]
    return detail["datamartName"], detail["retirementId"], *([detail["restoreId"]] if is_restore(event) else [])


def is_restore(event: Event) -> bool:
    """Whether an event asks for a restore."""
    return bool(event["detail-type"] == RESTORE_REQUESTED)


def key_of(event: Event, file_name: str) -> str:
    """The key of an object of what an event asks for."""
    if is_restore(event):
        name, retirement_id, restore_id = identity_of(event)
        return restore_key(name, retirement_id, restore_id, file_name)
    name, retirement_id = identity_of(event)
    return retirement_key(name, retirement_id, file_name)


def restored_as(event: Event) -> str:
    """The name under which a restore creates its datamart."""
    return str(event["detail"].get("asName", event["detail"]["datamartName"]))


def is_request_to_databrain(name: str) -> bool:
    """Whether a call of a line is an HTTP request, not a call to AWS."""
    return name in _ROUTES


@dataclass(frozen=True)
class Strike:
    """Let `fault` strike one call of a delivery: the one of this number (from 1), or the first of this name.

    `reach` says what it strikes after that. The invocation can end just before the call, or just
    after it, when nothing of it goes out any more.
    """

    at: int | str
    fault: Fault | None = None
    reach: Reach = Reach.ONCE
    crash_before: bool = False
    crash_after: bool = False
    meanwhile: Callable[[], object] | None = None


@dataclass(frozen=True)
class Deletion:
    """A datamart that a delete request of a retirement removed, with all that the invariants ask of that moment."""

    event: Event
    datamart: Datamart
    at: datetime
    had_backup: bool
    embeds: tuple[Embed, ...]


@dataclass(frozen=True)
class Copy:
    """A datamart that a request of a retirement created."""

    event: Event
    datamart: Datamart


@dataclass(frozen=True)
class SentDelete:
    """A delete request, whatever became of it."""

    event: Event
    seconds_left: float
    is_clear: bool  # answered with 200 and the name


@dataclass(frozen=True)
class Creation:
    """A datamart that a request of a restore created, and the names that were listed then."""

    event: Event
    datamart: Datamart
    listed: frozenset[str]


@dataclass(frozen=True)
class EmbedCreation:
    """An embed that a request of a restore created, and the datamart of the name that it uses."""

    event: Event
    data_app: str
    embed: Embed
    datamart: Datamart | None


@dataclass(frozen=True)
class SentByRestore:
    """A request of a restore, and what is left of its invocation."""

    event: Event
    request: Sent
    seconds_left: float


@dataclass(frozen=True)
class AtReceipt:
    """What was there when a restore stored its receipt."""

    datamarts: Mapping[str, Datamart]
    data_apps: Mapping[str, DataApp]


@dataclass(frozen=True)
class Ending:
    """How one delivery ended: with a result, an error, or a crash, which has neither."""

    event: Event
    delivery: Delivery
    started_at: datetime
    strike: Strike | None  # what was laid in its way
    result: Parsed
    error: Exception | None
    has_intent: bool
    was_gone: bool | None  # at the end, what the retirement had intended to delete; None without an intent
    has_deleted: bool  # a delete request of the retirement, in this delivery or an earlier one
    kept_reason: Reason | None
    decisions: tuple[tuple[object, object], ...]  # planId and refusal


class Line:
    """All that goes out during one delivery, in order."""

    def __init__(self, stage: "Stage", event: Event, strike: Strike | None) -> None:
        self._stage = stage
        self._event = event
        self._strike = strike
        self._crashed = False
        self._struck: str | None = None
        self.calls: list[str] = []

    def __call__(self, call: Call) -> object:
        """Pass on a call of a port; of Databrain's port it is the HTTP requests that go out."""
        if call.name.startswith("databrain."):
            return call.proceed()

        def proceed() -> object:
            answer = call.proceed()
            if call.name == "coordination.acquire" and self._stage.is_lockless:
                return True
            if call.name == "evidence.create":
                self._stage.note_stored(self._event, call.arguments[0])
            return answer

        def strike(fault: Fault) -> object:
            if fault is Fault.TIMEOUT_AFTER:
                proceed()
            if fault in {Fault.TIMEOUT_AFTER, Fault.TIMEOUT_BEFORE}:
                self._stage.clock.advance(NO_ANSWER)
            raise AwsCallFailed(f"{call.name} failed: {fault}")

        return self._send(call.name, proceed, strike)

    def request(self, request: Sent) -> Answer:
        """Pass on an HTTP request."""
        route, stage = request.route, self._stage

        def proceed(sent: Sent = request) -> Answer:
            before = dict(stage.organisation.datamarts)
            embeds = stage.embeds
            answer = answer_of(stage.organisation, sent)
            own, gone = self._event["detail"]["datamartName"], before.keys() - stage.organisation.datamarts.keys()
            for name in gone if is_restore(self._event) else gone & {own}:
                stage.note_deletion(self._event, before[name], embeds)
            if is_restore(self._event):
                stage.note_creations(self._event, before, embeds)
            else:
                stage.note_rehearsal(self._event, before)
            return answer

        def unreal() -> Answer:
            if route in CHANGES:
                return answer_of(copy.deepcopy(stage.organisation), request)
            return answer_of(stage.organisation_before_changes(), request)

        def strike(fault: Fault) -> Answer:
            if fault is Fault.DAMAGED:
                return proceed(damaged(request))
            if fault is Fault.LATE:
                stage.late.append(proceed)
                fault = Fault.TIMEOUT_BEFORE
            return struck(fault, proceed, unreal, stage.clock)

        stage.requests += 1
        seconds_left, answer = stage.clock.remaining(), Answer(0, b"")
        if is_restore(self._event) and not self._crashed:
            stage.sent_by_restores.append(SentByRestore(self._event, request, seconds_left))
        try:
            answer = cast("Answer", self._send(route, proceed, strike))
        finally:
            if route is RouteId.DELETE_DATAMART and _deleted_by(request) == self._event["detail"]["datamartName"]:
                stage.sent.append(SentDelete(self._event, seconds_left, _is_clear_yes(answer, request)))
        return answer

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803, ARG002  # boto3's spelling
        """Pass on the read of the secret, as boto3's client."""

        def strike(fault: Fault) -> object:
            raise ClientError({"Error": {"Code": "InternalServiceError", "Message": fault}}, "GetSecretValue")

        stage = self._stage
        return cast("dict[str, str]", self._send(SECRET_CALL, lambda: {"SecretString": stage.secret}, strike))

    def _send(self, name: str, proceed: Callable[[], object], strike: Callable[[Fault], object]) -> object:
        self.calls.append(name)
        if self._crashed or self._stage.clock.remaining() <= 0:  # Lambda ends what runs out of time
            self._crashed = True
            raise Crash(name)
        plan = self._strike
        if plan is None:
            return proceed()
        is_first = self._struck is None and plan.at in {name, len(self.calls)}
        if not is_first and not self._reaches(plan.reach, name):
            return proceed()
        self._struck = self._struck or name
        if is_first and plan.meanwhile is not None:
            plan.meanwhile()
        if plan.crash_before:
            self._crashed = True
            raise Crash(f"before {name}")
        try:
            return proceed() if plan.fault is None else strike(plan.fault)
        finally:
            if plan.crash_after:
                self._crashed = True
                raise Crash(f"after {name}")

    def _reaches(self, reach: Reach, name: str) -> bool:
        match reach:
            case Reach.ONCE:
                return False
            case Reach.LASTING:
                return name == self._struck
            case Reach.OUTAGE:
                return self._struck is not None and is_request_to_databrain(name)


@dataclass
class Stage:
    """`deliver` carries out one delivery of an event to its end."""

    settings: RetireSettings = SETTINGS
    organisation: Organisation = field(default_factory=lambda: organisation())  # noqa: PLW0108  # it is defined below
    clock: LogicalClock = field(default_factory=LogicalClock)
    embed_map: FakeEmbedMap = field(default_factory=FakeEmbedMap)
    datamart_lists: FakeDatamartLists = field(default_factory=FakeDatamartLists)
    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    coordination: FakeCoordination = field(default_factory=FakeCoordination)
    inbox: FakeQueue = field(default_factory=FakeQueue)
    results_topic: FakeResultsTopic = field(default_factory=FakeResultsTopic)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    is_lockless: bool = False  # the lock is a convenience: everything must hold where it is lost
    restore_settings: RestoreSettings = RESTORE_SETTINGS
    restore_seconds: float = RESTORE_SECONDS  # that an invocation has
    secret: str = SERVICE_TOKEN
    line: Line | None = None  # of the last delivery
    requests: int = 0  # to Databrain
    sent: list[SentDelete] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)  # that rehearsals have created
    removals: list[Datamart] = field(default_factory=list)  # what rehearsals have deleted
    disturbed: list[str] = field(default_factory=list)  # the names of datamarts that a rehearsal has changed otherwise
    unnamed: list[Copy] = field(default_factory=list)  # copies that were there when something else was published
    intended: dict[Identity, Datamart] = field(default_factory=dict)
    sent_by_restores: list[SentByRestore] = field(default_factory=list)
    creations: list[Creation] = field(default_factory=list)
    stored_by_restores: list[str] = field(default_factory=list)  # keys
    embed_creations: list[EmbedCreation] = field(default_factory=list)
    layered: list[tuple[Event, Datamart]] = field(default_factory=list)  # whose semantic layer a restore created
    at_receipt: dict[Identity, AtReceipt] = field(default_factory=dict)
    late: list[Callable[[], Answer]] = field(default_factory=list)  # effects that come after the delivery has ended
    deliveries: int = 0
    endings: list[Ending] = field(default_factory=list)
    receives: dict[Identity, int] = field(default_factory=dict)  # of the message; sent again from Failures, from 1

    def deliver(self, event: Event, strike: Strike | None = None) -> Ending:
        """Deliver by an invocation of its own, after the lock of any other has expired."""
        seconds = self.restore_seconds if is_restore(event) else INVOCATION_SECONDS
        self.clock.advance(seconds + 1)
        self.clock.begin_invocation(seconds)
        return self.deliver_alongside(event, strike)

    def deliver_alongside(self, event: Event, strike: Strike | None = None) -> Ending:
        """Deliver while another delivery is under way; the clock is theirs in common."""
        receive_count = self.receives.get(identity_of(event), 0) % MAX_RECEIVES + 1
        self.receives[identity_of(event)] = receive_count
        self.deliveries += 1
        message = from_queue(event, parse_timestamp(event["time"]), receive_count)
        delivery = receive(message, f"invocation-{self.deliveries}", self.clock.now())
        self.line = line = Line(self, event, strike)
        started_at = self.clock.now()
        decided = len(self.telemetry.steps)
        result, error = None, None
        try:
            result = self._answer(delivery, event, line)
        except Crash:
            pass
        except Exception as raised:  # noqa: BLE001  # whatever it is, the queue gets it
            error = raised
        while self.late:
            self.late.pop(0)()
        ending = Ending(
            event,
            delivery,
            started_at,
            strike,
            result,
            error,
            key_of(event, "intent.json") in self.evidence.objects,
            self._is_gone(event),
            any(deletion.event["detail"] == event["detail"] for deletion in self.deletions),
            self.coordination.failures.get(identity_of(event)[::-1]),
            tuple(
                (fields["planId"], fields["refusal"])
                for step, fields in self.telemetry.steps[decided:]
                if step == "decide"
            ),
        )
        self.endings.append(ending)
        if result is not None or isinstance(error, Abandoned):
            self._note_copies(event)
        return ending

    def _answer(self, delivery: Delivery, event: Event, line: Line) -> Parsed:
        settings = self.restore_settings if is_restore(event) else self.settings
        http, token = cast("Any", Connection(line.request)), cast("Any", line)
        shared: dict[str, Any] = {
            "evidence": self.evidence,
            "coordination": self.coordination,
            "inbox": self.inbox,
            "progress": FakeProgress(),
            "results_topic": self.results_topic,
            "telemetry": self.telemetry,
            "clock": self.clock,
        }
        client: dict[str, Any] = {
            "api": settings.databrain_api,
            "token": ServiceToken(token, settings.service_token_secret_arn),
            "clock": self.clock,
            "telemetry": self.telemetry,
        }
        if is_restore(event):
            restore_ports = RestorePorts(databrain=DatabrainRestorer(http, **client), **shared)
            return answer(delivery, restore, self.restore_settings, interfered(restore_ports, line))
        ports = RetirePorts(
            databrain=DatabrainClient(http, **client),
            embed_map=self.embed_map,
            datamart_lists=self.datamart_lists,
            scheduling=FakeQueue(),
            **shared,
        )
        return answer(delivery, retire, self.settings, interfered(ports, line))

    def schedule(self, event: Event) -> None:
        """Have a date set, or a retirement cancelled, before anything strikes."""
        ports = SchedulePorts(
            evidence=self.evidence,
            timers=FakeTimers(),
            inbox=self.inbox,
            progress=FakeProgress(),
            outbox=FakeQueue(),
            restores=FakeQueue(),
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        delivery = receive(from_queue(event, self.clock.now(), 1), "scheduling", self.clock.now())
        answer(delivery, schedule, SCHEDULE_SETTINGS, ports)
        self._note_copies(event)

    # ---- What people do --------------------------------------------------------------------------------------------

    def create(self, name: str) -> None:
        """Create a datamart, or create it anew."""
        put(self.organisation, name, self.clock.now())

    def edit(self, name: str) -> None:
        """Give a datamart another configuration, if it is there."""
        datamart = self.organisation.datamarts.get(name)
        if datamart is not None:
            label = f"edited at {self.clock.now()}"
            configuration = {**datamart.configuration, "datamartTables": [_table(label)]}
            self.organisation.datamarts[name] = replace(datamart, configuration=configuration)

    # ---- What really happened --------------------------------------------------------------------------------------

    @property
    def embeds(self) -> tuple[Embed, ...]:
        """All embeds."""
        return tuple(embed for app in self.organisation.data_apps.values() for embed in app.embeds)

    def organisation_before_changes(self) -> Organisation:
        """The organisation as a list that lags behind shows it."""
        shown = copy.deepcopy(self.organisation)
        made = [creation.embed for creation in self.embed_creations]
        for app in list(shown.data_apps.values()):
            shown.data_apps[app.name] = replace(app, embeds=tuple(each for each in app.embeds if each not in made))
        for name in {each.datamart.name for each in self.creations} | {each.datamart.name for each in self.copies}:
            shown.datamarts.pop(name, None)
        for datamart in (*(deletion.datamart for deletion in self.deletions), *self.removals):
            shown.datamarts.setdefault(datamart.name, datamart)
        return shown

    def receipt(self, event: Event) -> Parsed:
        """The receipt of a retirement or a restore, None where there is none."""
        kept = self.evidence.objects.get(key_of(event, "receipt.json"))
        return None if kept is None else parse_json(kept.body)

    def rehearsed(self, event: Event) -> Parsed:
        """How the rehearsal of a retirement went, None where none has ended."""
        kept = self.evidence.objects.get(key_of(event, "rehearsed.json"))
        return None if kept is None else parse_json(kept.body)

    def _note_copies(self, event: Event) -> None:
        """Keep which copies are there, although what was just published of the retirement does not name them."""
        told = self.results_topic.messages[-1:]
        self.unnamed += [
            made
            for made in self.copies
            if identity_of(made.event) == identity_of(event)
            and is_same(self.organisation.datamarts.get(made.datamart.name), made.datamart)
            and not (told and made.datamart.name in cast("Parsed", parse_json(told[0]))["message"])
        ]

    def failures(self, event: Event) -> list[Parsed]:
        """The giving-ups of a retirement or a restore."""
        prefix = key_of(event, "failure-")
        return [parse_json(kept.body) for key, kept in self.evidence.objects.items() if key.startswith(prefix)]

    def note_stored(self, event: Event, key: str) -> None:
        """Keep what was there when an intent or a receipt was stored first."""
        if is_restore(event):
            self.stored_by_restores.append(key)
            if key == key_of(event, "receipt.json"):
                seen = AtReceipt(dict(self.organisation.datamarts), dict(self.organisation.data_apps))
                self.at_receipt.setdefault(identity_of(event), seen)
        elif key.endswith("/intent.json"):
            self._note_intent(event)

    def note_creations(self, event: Event, before: Mapping[str, Datamart], embeds: tuple[Embed, ...]) -> None:
        """Keep what a request of a restore created, as of the stage's time."""
        there, at = self.organisation, format_timestamp(self.clock.now())
        for name in there.datamarts.keys() - before.keys():
            made = there.datamarts[name] = replace(there.datamarts[name], created_at=at, updated_at=at)
            self.creations.append(Creation(event, made, frozenset(before)))
        for name, datamart in before.items():
            now = there.datamarts.get(name)
            if now is not None and now.semantic_layer is not None and datamart.semantic_layer is None:
                self.layered.append((event, now))
        for app in list(there.data_apps.values()) if len(self.embeds) > len(embeds) else []:
            new = tuple(each for each in app.embeds if each not in embeds)
            self.embed_creations += [
                EmbedCreation(event, app.name, each, there.datamarts.get(each.datamart or "")) for each in new
            ]

    def _note_intent(self, event: Event) -> None:
        """Keep which datamart it is about; somebody else may have deleted it meanwhile."""
        name = event["detail"]["datamartName"]
        gone = [deletion.datamart for deletion in self.deletions if deletion.datamart.name == name]
        there = self.organisation.datamarts.get(name) or gone[-1]
        self.intended.setdefault(identity_of(event), there)

    def note_rehearsal(self, event: Event, before: Mapping[str, Datamart]) -> None:
        """Keep what a request has done but for the deletion of its own retirement's datamart."""
        after, name = self.organisation.datamarts, event["detail"]["datamartName"]
        at = format_timestamp(self.clock.now())
        for new in after.keys() - before.keys():
            after[new] = replace(after[new], created_at=at, updated_at=at)
            self.copies.append(Copy(event, after[new]))
        self.removals += [before[gone] for gone in before.keys() - after.keys() if gone != name]
        created = {(made.datamart.name, made.datamart.created_at) for made in self.copies}
        self.disturbed += [
            old
            for old in after.keys() & before.keys()
            if after[old] != before[old] and (old, after[old].created_at) not in created
        ]

    def note_deletion(self, event: Event, datamart: Datamart, embeds: tuple[Embed, ...]) -> None:
        """Keep what was deleted, and whether there was a backup of exactly that."""
        if is_restore(event):
            self.deletions.append(Deletion(event, datamart, self.clock.now(), had_backup=False, embeds=embeds))
            return
        name, retirement_id = identity_of(event)
        options = self.organisation.options
        dated = options.lists_created_at and self.settings.databrain_api is DatabrainApi.CURRENT
        entry = datamart_item(datamart, expanded=True, dated=dated)
        layer = None if datamart.semantic_layer is None else {"datamartName": name, **datamart.semantic_layer}
        prefix = backup_key(name, retirement_id, "").removesuffix(".json")
        backups: list[Parsed] = [
            parse_json(kept.body) for key, kept in self.evidence.objects.items() if key.startswith(prefix)
        ]
        # Where failures to list embeds are ignored, too, some of them may not be known.
        is_known = event["detail"].get("dependents") != "ignore"
        gone = {embed.embed_id for embed in embeds if is_known and embed.datamart == name}
        had_backup = any(
            backup.get("datamart") == entry and backup.get("semanticLayer") == layer and gone <= _whole(backup)
            for backup in backups
        )
        self.deletions.append(Deletion(event, datamart, self.clock.now(), had_backup, embeds))

    def _is_gone(self, event: Event) -> bool | None:
        intended = self.intended.get(identity_of(event))
        if intended is None:
            return None
        there = self.organisation.datamarts.get(intended.name)
        return there is None or there.created_at != intended.created_at


def is_same(one: Datamart | None, other: Datamart) -> bool:
    """Whether it is the same datamart; it may have got a semantic layer."""
    return one is not None and replace(one, semantic_layer=None) == replace(other, semantic_layer=None)


def _whole(backup: Parsed) -> set[str]:
    """The embeds that a backup holds with their export, or with the reason why not."""
    return {embed["embedId"] for embed in backup["embeds"] if embed["export"] or embed["whyNot"]}


def _deleted_by(request: Sent) -> str:
    return request.query.get("datamartName") or cast("str", cast("Parsed", request.body)["datamartName"])


def _is_clear_yes(answer: Answer, request: Sent) -> bool:
    body = json.dumps({"id": _deleted_by(request), "error": None}).encode()
    return answer.status == HTTPStatus.OK and answer.body == body


@contextmanager
def in_process() -> Iterator[None]:
    """Let the client read one thing after the other, and compile the request's schema once for all deliveries."""
    with (
        patch("retirement.databrain.client.ThreadPoolExecutor", InTurn),
        patch("local.databrain.embedding.timestamp", lambda: format_timestamp(START)),  # of an export
        patch("fastjsonschema.validate", _validate),
    ):
        yield


def _validate(definition: object, data: object, **options: object) -> object:
    return _compiled(json.dumps(definition), json.dumps(options))(data)


@cache
def _compiled(definition: str, options: str) -> Callable[[object], object]:
    return cast("Callable[[object], object]", fastjsonschema.compile(json.loads(definition), **json.loads(options)))


# ---- An organisation -----------------------------------------------------------------------------------------------


def organisation(*, lists_created_at: bool = True) -> Organisation:
    """Two datamarts, `sales` and `returns`, and a data app with one embed, which uses `returns`."""
    options = ServerOptions(
        lists_created_at=lists_created_at,
        honours_expand_details=True,
        has_data_apps=True,
        embeds_tell_datamart=EmbedsTell.ACCESS_SETTINGS,
    )
    made = Organisation(options, SERVICE_TOKEN, frozenset({"warehouse"}))
    for name in ("sales", "returns"):
        put(made, name, CREATED_AT)
    at = format_timestamp(CREATED_AT)
    key = ApiToken(APP_KEY, "key", "", at, expired=False)
    made.data_apps["Portal"] = DataApp("Portal", "embedded", at, at, (key,), (embed("board", "returns"),))
    return made


def add_workspace(organisation: Organisation, name: str, *shown: Embed) -> None:
    """Add a workspace with the dashboards of these embeds."""
    data: dict[str, Any] = {"layout": [], "filters": [], "metrics": []}
    dashboards = tuple(Dashboard(embed.target_id, embed.name, data) for embed in shown)
    organisation.workspaces[name] = Workspace(name, ConnectionType.DATASOURCE, "warehouse", None, dashboards)


def put(organisation: Organisation, name: str, created_at: datetime, label: str = "Orders") -> None:
    """Put a datamart in the place of any other of its name; `created_at` tells one from the other.

    `label` makes one configuration another.
    """
    at = format_timestamp(created_at)
    configuration = {
        "datamartOrganization": None,
        "companyIntegration": {"name": "warehouse"},
        "datamartTables": [_table(label)],
        "datamartRelationships": [],
    }
    layer: dict[str, Any] = {"tables": [], "feedback": None, "lastUpdated": at}
    organisation.put_datamart(Datamart(name, at, at, configuration, layer))


def embed(embed_id: str, datamart: str | None) -> Embed:
    """An embed; with `datamart` None, nothing tells which one it uses."""
    at = format_timestamp(CREATED_AT)
    return Embed(embed_id, "dashboard", embed_id, datamart, {}, hidden=False, created_at=at, updated_at=at)


def add_embed(organisation: Organisation, *added: Embed) -> None:
    """Put embeds into the data app."""
    app = organisation.data_apps["Portal"]
    organisation.data_apps["Portal"] = replace(app, embeds=(*app.embeds, *added))


def _table(label: str) -> dict[str, Any]:
    column = {
        "columnName": "id",
        "datatype": "integer",
        "alias": "id",
        "label": "id",
        "isHide": False,
        "isCustomColumn": False,
        "sql": "",
        "isApplyTimezone": False,
    }
    return {
        "schemaName": "public",
        "tableName": "orders",
        "label": label,
        "clientColumn": None,
        "isHide": False,
        "datamartTableColumns": [column],
    }
