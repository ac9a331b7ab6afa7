"""A play as it is performed: the functions with their real code, on queues, timers and clocks that move by themselves.

Time is true time, in seconds since the start, and moves from one thing that is due to the next. Each delivery is an
invocation in a thread of its own, of which one at a time goes on: it lets others pass wherever a call takes time. What
really happened is written down, for the promises to be held against it.
"""

import heapq
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from math import ceil
from threading import Lock, Thread
from typing import Any, cast
from unittest.mock import patch
from zlib import crc32

from botocore.exceptions import ClientError

from local.databrain.faults import RouteId
from local.databrain.organisation import Datamart, Embed, Organisation
from retirement.aws.service_token import ServiceToken
from retirement.canonical import parse_json
from retirement.databrain.client import DatabrainClient
from retirement.databrain.restorer import DatabrainRestorer
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.errors import AwsCallFailed
from retirement.record.keys import retirement_key
from retirement.requests import MAX_RECEIVES, Command, Delivery
from retirement.restoring.ports import RestorePorts
from retirement.restoring.workflow import restore
from retirement.retiring.ports import RetirePorts
from retirement.retiring.workflow import retire
from retirement.scheduling.ports import SchedulePorts, Timer
from retirement.scheduling.workflow import schedule
from retirement.timestamps import format_timestamp
from tests.fakes import (
    INVOCATION_SECONDS,
    RESTORE_SETTINGS,
    SCHEDULE_SETTINGS,
    SETTINGS,
    Call,
    Crash,
    FakeCoordination,
    FakeDatamartLists,
    FakeEvidence,
    FakeProgress,
    FakeResultsTopic,
    FakeTimers,
    Parsed,
    RecordingTelemetry,
    approved,
    cancelled,
    interfered,
    requested,
    restore_requested,
)
from tests.faults.plays import (
    AFTER_DELETE,
    DAY,
    MINUTE,
    NAME,
    Act,
    Again,
    Approve,
    At,
    AtCall,
    Deploy,
    EmptyTable,
    Function,
    Given,
    Hosts,
    Lockless,
    Outage,
    Plan,
    Play,
    Redrive,
    Required,
    Send,
    Slow,
    Stall,
    Step,
    Trouble,
    Worn,
)
from tests.faults.stage import (
    CREATES,
    RESTORE_SECONDS,
    SECRET_CALL,
    Identity,
    identity_of,
    is_request_to_databrain,
    is_restore,
    key_of,
    restored_as,
)
from tests.faults.two_organisations import OwnersMap, TwoOrganisations, embeds_of, moment, seconds_of
from tests.faults.wire import NO_ANSWER, Answer, Connection, Fault, Reach, Sent, answer_of, damaged, struck

# Seconds (template.yaml).
VISIBILITY = {Function.RETIRE: 360.0, Function.SCHEDULE: 360.0, Function.RESTORE: 5_400.0}
TIME_OUT = {
    Function.RETIRE: INVOCATION_SECONDS,
    Function.SCHEDULE: INVOCATION_SECONDS,
    Function.RESTORE: RESTORE_SECONDS,
}
MAX_DELAY = 900
MAX_VISIBILITY = 43_200.0

# Seconds that half a call takes where calls are not slow.
QUICK = 0.004

# Seconds after which a late effect comes.
LATE_BY = 20.0

# What names no plan that was kept.
ANOTHER_PLAN = "0" * 64

# Rounds in which nothing strikes any more, and what is in `Failures` is sent again.
CALM_ROUNDS = 1
MAX_EVENTS = 40_000  # a play that does not end is no play


@dataclass
class Message:
    """A message in one of the queues, or in `Failures` (`function` None)."""

    number: int
    event: str
    body: str
    function: Function | None
    sent_at: float
    receives: int = 0
    turn: int = 0  # what was due for an earlier one is void
    is_gone: bool = False


@dataclass
class Look:
    """What a delivery saw of the datamart when it listed the names last."""

    at: float
    token: str
    organisation: Organisation
    datamart: Datamart | None


@dataclass
class Invocation:
    """One delivery of a message, and what came of it."""

    message: Message
    function: Function
    number: int  # of this event to this function, from 1
    identity: Identity
    event: Parsed
    settings: Parsed  # of its function
    ahead: float  # the host's clock
    started: float
    receive: int  # of its message, from 1
    ended: float = 0.0
    result: Parsed = None
    error: Exception | None = None
    crashed: bool = False
    is_struck: bool = False
    calls: list[str] = field(default_factory=list)
    look: Look | None = None  # the last one
    first_look: float | None = None  # since the start, or since a delete
    embeds_looked_at: float = 0.0
    schedules_read_at: float = 0.0
    locked_at: float | None = None
    reserved_at: float | None = None
    secrets: set[str] = field(default_factory=set)  # tokens and keys that it has used

    @property
    def is_last(self) -> bool:
        """Whether its message comes no more after it, unless it is sent again."""
        return self.receive >= MAX_RECEIVES


@dataclass(frozen=True)
class SentDelete:
    """A delete request, whatever became of it."""

    by: Invocation
    at: float
    token: str
    look: Look | None
    is_clear: bool  # answered with 200 and the name
    is_refused: bool  # it had no effect, and the answer says so


@dataclass(frozen=True)
class Deletion:
    """A datamart that a delete request removed, with all that the promises ask of that moment."""

    by: Invocation
    at: float
    token: str
    organisation: Organisation
    datamart: Datamart
    look: Look | None
    first_look: float | None  # of the delivery, since its start or its last delete
    changed_at: float
    had_backup: bool
    embeds: tuple[Embed, ...]
    near: tuple[float, ...]  # since when there are other names like it
    owners_map: OwnersMap


@dataclass(frozen=True)
class Copy:
    """A datamart that a request of a rehearsal created or removed."""

    by: Invocation
    organisation: Organisation
    datamart: Datamart


@dataclass(frozen=True)
class Creation:
    """A datamart that a request of a restore created, and the names that it had been listed by then."""

    by: Invocation
    at: float
    organisation: Organisation
    datamart: Datamart
    listed: frozenset[str]
    is_known: bool  # whether the table knew that the restore had created one already


@dataclass(frozen=True)
class Addition:
    """An embed that a request of a restore created (None: a semantic layer), and the datamart that it uses."""

    by: Invocation
    at: float
    organisation: Organisation
    datamart: Datamart | None
    embed: Embed | None
    look: Look | None


@dataclass(frozen=True)
class Intended:
    """The intent of a retirement: what its attempt had seen."""

    by: Invocation
    at: float
    look: Look | None
    schedule: Parsed  # the last date that was kept then, None without


@dataclass(frozen=True)
class Published:
    """A message on the topic."""

    by: Invocation
    at: float
    result: Parsed


@dataclass(frozen=True)
class Kept:
    """An object of the bucket, when it was created first."""

    by: Invocation
    at: float
    was_gone: bool | None = None  # of a receipt: whether what was intended was gone
    datamart: Datamart | None = None  # of a restore's: what was there under its name


# ---- One at a time -------------------------------------------------------------------------------------------------


class _Worker(Thread):
    """A thread that runs one task after the other, and only while it is its turn."""

    idle: "list[_Worker]" = []  # noqa: RUF012  # of this process

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._go, self._back = Lock(), Lock()
        self._go.acquire()
        self._back.acquire()
        self.task: Callable[[], None] | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Work for ever."""
        while True:
            self._go.acquire()
            assert self.task is not None
            try:
                self.task()
            except BaseException as error:  # noqa: BLE001  # a defect of the search itself
                self.failure = error
            self.task = None
            self._back.release()

    def resume(self) -> None:
        """Give the turn to it, until it parks or has done its task."""
        self._go.release()
        self._back.acquire()
        if self.failure is not None:
            raise self.failure
        if self.task is None:
            self.idle.append(self)

    def park(self) -> None:
        """Give the turn back."""
        self._back.release()
        self._go.acquire()

    @classmethod
    def begin(cls, task: "Callable[[_Worker], None]") -> None:
        """Let one run the task."""
        if not cls.idle:
            worker = cls()
            worker.start()
            cls.idle.append(worker)
        worker = cls.idle.pop()
        worker.task = lambda: task(worker)
        worker.resume()


class HostClock:
    """The clock of one invocation: its host's, to the millisecond, and the time that is left by true time."""

    def __init__(self, performance: "Performance", worker: _Worker, ahead: float, time_out: float) -> None:
        self._performance = performance
        self._worker = worker
        self._ahead = ahead
        self._ends = performance.seconds + time_out

    def now(self) -> datetime:
        """The time of day as the host has it."""
        return moment(self._performance.seconds + self._ahead)

    def remaining(self) -> float:
        """Seconds left in this invocation."""
        return max(0.0, self._ends - self._performance.seconds)

    def sleep(self, seconds: float) -> None:
        """Let others pass."""
        self._performance.wait(seconds, self._worker)

    advance = sleep


class _Host:
    """An execution environment: its clock, and the token that it keeps."""

    def __init__(self, ahead: float, secret_arn: str, base_url: str) -> None:
        self.ahead = ahead
        self.base_url = base_url
        self.line: _Line | None = None
        self.token = ServiceToken(cast("Any", self), secret_arn)

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803, ARG002  # boto3's spelling
        """Pass on the read of the secret, as boto3's client."""
        assert self.line is not None
        return self.line.secret()


class _Line:
    """All that goes out of one invocation, in order: where something strikes, and others act."""

    def __init__(self, performance: "Performance", invocation: Invocation, clock: HostClock, host: _Host) -> None:
        self._performance = performance
        self._invocation = invocation
        self._clock = clock
        self._host = host
        self._lasting: dict[str, Fault] = {}
        self._outage: Fault | None = None
        self._names: set[str] = set()
        self._key = crc32(f"{invocation.message.event} {invocation.function} {invocation.number}".encode())

    def __call__(self, call: Call) -> object:
        """Pass on a call of a port; of Databrain's port it is the HTTP requests that go out."""
        if call.name.startswith("databrain."):
            return call.proceed()

        def proceed() -> object:
            return self._performance.took_place(call, self._invocation)

        def strike(fault: Fault) -> object:
            if fault is Fault.TIMEOUT_AFTER:
                proceed()
            if fault in {Fault.TIMEOUT_AFTER, Fault.TIMEOUT_BEFORE}:
                self._clock.advance(NO_ANSWER)
            raise AwsCallFailed(f"{call.name} failed: {fault}")

        return self._send(call.name, proceed, strike)

    def request(self, request: Sent) -> Answer:
        """Pass on an HTTP request."""
        stage, by, route = self._performance, self._invocation, request.route
        at, answer, look = stage.seconds, Answer(0, b""), by.look

        def proceed(sent: Sent = request) -> Answer:
            return stage.answered(sent, self._host.base_url, by)

        def unreal() -> Answer:
            return stage.there.answer_without_effect(request, self._host.base_url)

        def strike(fault: Fault) -> Answer:
            if fault is Fault.DAMAGED:
                return proceed(damaged(request))
            if fault is Fault.LATE:
                stage.after(stage.seconds + LATE_BY, lambda: cast("None", proceed()))
                fault = Fault.TIMEOUT_BEFORE
            return struck(fault, proceed, unreal, cast("Any", self._clock))

        try:
            answer = cast("Answer", self._send(route, proceed, strike))
        finally:
            name = request.query.get("datamartName") or (cast("Parsed", request.body) or {}).get("datamartName")
            if route is RouteId.DELETE_DATAMART and name == by.identity[0]:
                is_clear = (
                    answer.status == HTTPStatus.OK and answer.body == json.dumps({"id": name, "error": None}).encode()
                )
                is_refused = 400 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT
                stage.sent.append(SentDelete(by, at, request.token, look, is_clear, is_refused))
                by.first_look = None
        return answer

    def secret(self) -> dict[str, str]:
        """Read the secret."""

        def strike(fault: Fault) -> object:
            raise ClientError({"Error": {"Code": "InternalServiceError", "Message": fault}}, "GetSecretValue")

        return cast(
            "dict[str, str]", self._send(SECRET_CALL, lambda: {"SecretString": self._performance.there.secret}, strike)
        )

    def _send(self, name: str, proceed: Callable[[], object], strike: Callable[[Fault], object]) -> object:
        invocation, stage = self._invocation, self._performance
        invocation.calls.append(name)
        number = len(invocation.calls)
        self._go_on(name)
        trouble, stall = stage.before(invocation, number, self._known_as(name))
        self._names.add(name)
        if stall:
            self._clock.sleep(stall)
            self._go_on(name)
        self._pass(name, number, 0)
        fault = self._fault_at(name, trouble)
        if trouble is not None:
            invocation.is_struck = True
            if trouble.crash_before:
                self._crash(name)
        try:
            answer = proceed() if fault is None else strike(fault)
        finally:
            self._pass(name, number, 1)
            if trouble is not None and trouble.crash_after:
                self._crash(name)
        return answer

    def _known_as(self, name: str) -> str | None:
        """By which a play can name this call: the first of its name, and the one after the first delete."""
        if self._invocation.calls[-2:-1] == [RouteId.DELETE_DATAMART] and AFTER_DELETE not in self._names:
            self._names.add(AFTER_DELETE)
            return AFTER_DELETE
        return None if name in self._names else name

    def _fault_at(self, name: str, trouble: Trouble | None) -> Fault | None:
        stage = self._performance
        is_http = is_request_to_databrain(name)
        if trouble is not None and trouble.fault is not None:
            if trouble.reach is Reach.LASTING:
                self._lasting[name] = trouble.fault
            elif trouble.reach is Reach.OUTAGE:
                self._outage = trouble.fault
        fault = trouble.fault if trouble is not None else None
        fault = fault or self._lasting.get(name) or (self._outage if is_http else None)
        fault = fault or stage.outage_of(name)
        if fault is not None:
            self._invocation.is_struck = True
        if fault is Fault.STILL_LISTED and name != RouteId.DELETE_DATAMART:
            return None  # a list that lags behind: docs/safety.md, "Not promised"
        if fault in {Fault.NOT_LISTED, Fault.LATE, Fault.DAMAGED} and name not in CREATES:
            return None  # of creates
        if fault is Fault.STATUS_404 and name == RouteId.GET_SEMANTIC_LAYER:
            return None  # an answer: there is none
        return fault

    def _pass(self, name: str, number: int, half: int) -> None:
        """Time passes before a call has its effect, and after it."""
        slow = self._performance.slow
        share = crc32(f"{self._key} {number} {half}".encode()) % 1000 / 1000 if slow else 0.0
        self._clock.sleep(slow * share / 2 or QUICK)
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        if self._invocation.crashed or self._clock.remaining() <= 0:  # Lambda ends what runs out of time
            self._crash(name)

    def _crash(self, name: str) -> None:
        self._invocation.crashed = True
        raise Crash(name)


class _Timers(FakeTimers):
    """Timers that go off by themselves, within the minute after the whole one that they are set to."""

    def __init__(self, performance: "Performance") -> None:
        super().__init__()
        self._performance = performance
        self.set_at: dict[tuple[Timer, str, str], float] = {}

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        super().set(timer, command, at, body)
        stage, key = self._performance, (timer, command.datamart_name, command.retirement_id)
        self.set_at[key] = stage.seconds
        standing = self.standing[key]
        whole = ceil(seconds_of(at) / MINUTE) * MINUTE
        due = max(stage.seconds, whole) + crc32(f"{key} {at}".encode()) % 50
        stage.after(due, lambda: self._go_off(key, standing))

    def _go_off(self, key: tuple[Timer, str, str], standing: tuple[datetime, str]) -> None:
        if self.standing.get(key) is not standing:
            return
        stage = self._performance
        stage.note_leftovers()
        del self.standing[key]
        stage.send(Function.RETIRE if key[0] is Timer.RETIRE else Function.SCHEDULE, standing[1])


class _Inbox:
    """The queue that a function's events come from."""

    def __init__(self, performance: "Performance", message: Message, received_at: float) -> None:
        self._performance = performance
        self._message = message
        self._received_at = received_at

    def redeliver_after(self, delivery: Delivery, seconds: int) -> None:  # noqa: ARG002  # it is this one
        if not 0 <= seconds <= MAX_VISIBILITY - (self._performance.seconds - self._received_at):
            raise AwsCallFailed(f"SQS ChangeMessageVisibility refuses {seconds} s")
        self._performance.show(self._message, seconds)


class _Outbox:
    """The queue that a function hands events on to."""

    def __init__(self, performance: "Performance", function: Function) -> None:
        self._performance = performance
        self._function = function

    def send(self, body: str, seconds: int) -> None:
        if not 0 <= seconds <= MAX_DELAY:
            raise AwsCallFailed(f"SQS SendMessage refuses a delay of {seconds} s")
        self._performance.send(self._function, body, seconds)


class Performance:
    """Performs a play at once, to its end."""

    def __init__(self, play: Play) -> None:
        self.play = play
        random.seed(play.seed)  # the client's jitter
        self.seconds = 0.0
        self.is_calm = False
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._acts_at: dict[tuple[str, Function, int], list[tuple[int | str, Act]]] = defaultdict(list)
        self._outages: list[tuple[float, Outage]] = []
        self._hosts: dict[Function, list[_Host | None]] = {function: [None, None] for function in Function}
        self._delivered: dict[tuple[str, Function], int] = defaultdict(int)
        self._is_lockless = False
        self._worn = 0
        self.slow = 0.0
        self.ahead: tuple[float, ...] = (0.0,)

        self.settings: dict[Function, Parsed] = {
            Function.RETIRE: SETTINGS,
            Function.SCHEDULE: SCHEDULE_SETTINGS,
            Function.RESTORE: RESTORE_SETTINGS,
        }
        self.there = TwoOrganisations()
        self.emptied_at: list[float] = []

        self.evidence = FakeEvidence()
        self.coordination = FakeCoordination()
        self.results_topic = FakeResultsTopic()
        self.telemetry = RecordingTelemetry()
        self.timers = _Timers(self)
        self.messages: list[Message] = []
        self.failures: list[Message] = []
        self.bodies: dict[str, str] = {}  # of each event that was sent
        self.sent_at: dict[str, float] = {}
        self.arrived_at: dict[str, float] = {}

        self.performed: list[tuple[float, Act]] = []
        self.invocations: list[Invocation] = []
        self.alive: list[Invocation] = []
        self.published: list[Published] = []
        self.kept: dict[str, Kept] = {}
        self.intended: dict[Identity, Intended] = {}
        self.planned_in: dict[str, set[int]] = defaultdict(set)
        self.sent: list[SentDelete] = []
        self.deletions: list[Deletion] = []
        self.copies: list[Copy] = []  # that rehearsals have created
        self.removals: list[Copy] = []  # what rehearsals have deleted
        self.disturbed: list[str] = []  # the names of datamarts that a rehearsal has changed otherwise
        self.creations: list[Creation] = []
        self.additions: list[Addition] = []
        self.abandoned: list[Message] = []
        self.leftovers: set[tuple[Timer, str, str]] = set()

        for step in play.steps:
            self._prepare(step)
        with patch.object(cached_property, "__get__", _computed):
            self._run()
            self._calm_down()

    # ---- Time ------------------------------------------------------------------------------------------------------

    def after(self, at: float, act: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._number += 1
        heapq.heappush(self._due, (at, self._number, act))

    def wait(self, seconds: float, worker: _Worker) -> None:
        """Let time pass in an invocation; what is due meanwhile happens."""
        until = self.seconds + seconds
        if not self._due or self._due[0][0] > until:
            self.seconds = until
            return
        self.after(until, worker.resume)
        worker.park()

    def _run(self) -> None:
        while self._due:
            at, _, act = heapq.heappop(self._due)
            self.seconds = max(self.seconds, at)
            act()
            assert self._number < MAX_EVENTS, f"{self.play.seed} does not end"

    def _calm_down(self) -> None:
        """Nothing strikes any more, and what was given up is sent again."""
        self.is_calm = True
        self.slow, self._worn = 0.0, 0
        self._outages.clear()
        for _ in range(CALM_ROUNDS):
            if not self.failures:
                break
            self.seconds += DAY
            self.redrive()
            self._run()
        self.note_leftovers()

    # ---- What happens ----------------------------------------------------------------------------------------------

    def _prepare(self, step: Step) -> None:
        if isinstance(step.act, Send):
            self.there.expect(step.act)
        match step:
            case Step(At(seconds), act):
                self.after(seconds, lambda: self._perform(cast("Act", act)))
            case Step(AtCall(event, function, delivery, call), act):
                self._acts_at[event, function, delivery].append((call, cast("Act", act)))
            case Step(None, Hosts(ahead)):
                self.ahead = ahead
            case Step(None, Slow(seconds)):
                self.slow = seconds
            case Step(None, Lockless()):
                self._is_lockless = True
            case Step(None, Worn(receives)):
                self._worn = receives
            case Step(None, Required(approvals)):
                self._deploy({"approvals_required": approvals, "approval_sources": ("approvals",)})
            case Step(None, act):
                self.there.arrange(cast("Given", act))

    def _perform(self, act: Act) -> None:
        self.performed.append((self.seconds, act))
        match act:
            case Send():
                self._put_on_bus(act)
            case Approve():
                self._approve(act)
            case Again(event) if event in self.bodies:
                self._route(self.bodies[event])
            case Deploy(parameters):
                self._deploy(parameters)
            case EmptyTable():
                vars(self.coordination).update(vars(FakeCoordination()))
                self.emptied_at.append(self.seconds)
            case Redrive():
                self.redrive()
            case Outage(_, _, seconds):
                self._outages.append((self.seconds + seconds, act))
            case _:
                self.there.perform(act, self.seconds)
                if self.there.base_url != self.settings[Function.RETIRE].databrain_base_url:
                    self._deploy({"databrain_base_url": self.there.base_url})

    def _deploy(self, parameters: Mapping[str, object]) -> None:
        """New settings, in new environments."""
        for function, settings in self.settings.items():
            known = {each.name for each in fields(settings)}
            changes = {name: value for name, value in parameters.items() if name in known}
            self.settings[function] = replace(settings, **changes)
        for hosts in self._hosts.values():
            hosts[:] = [None] * len(hosts)

    def _put_on_bus(self, send: Send) -> None:
        detail = dict(send.detail)
        if send.retire_in is not None:
            detail["retireAt"] = format_timestamp(moment(send.retire_in))
        if send.plan_of:
            detail["planId"] = [ANOTHER_PLAN, *self._plans()][-1]
        name = detail.pop("datamartName", NAME)
        at = self.seconds if send.ahead is None else self.seconds + send.ahead
        time = moment(at).replace(microsecond=0) if send.ahead is None else moment(at)
        make = cancelled if send.is_cancellation else restore_requested if send.is_restore else requested
        event = make(name, **detail) | {"id": send.event, "time": format_timestamp(time)}
        body = json.dumps(event)
        self.bodies[send.event] = body
        self.sent_at[send.event] = self.seconds
        self.after(self.seconds + send.delay, lambda: self._route(body))

    def _plans(self) -> list[str]:
        """The plans that are kept, in the order in which they were."""
        return [key.rpartition("/")[2].removesuffix(".json") for key in self.kept if key.startswith("plans/")]

    def _approve(self, approval: Approve) -> None:
        detail = dict(approval.detail)
        name = detail.pop("datamartName", NAME)
        event = approved(ANOTHER_PLAN, approval.approver, datamartName=name, **detail)
        plans = [ask["planId"] for ask in self.kept_of(identity_of(event), "approval-asked-")] or self._plans()
        if plans and approval.plan is not Plan.ANOTHER:
            event["detail"]["planId"] = plans[0 if approval.plan is Plan.FIRST else -1]
        body = json.dumps(event | {"id": approval.event, "time": format_timestamp(moment(self.seconds))})
        self.bodies[approval.event] = body
        self.sent_at[approval.event] = self.seconds
        self._route(body)

    def _route(self, body: str) -> None:
        """As the rules of the bus do."""
        event: Parsed = json.loads(body)
        if event["detail"]["environment"] != self.settings[Function.RETIRE].environment_name:
            return  # another stack's
        self.arrived_at.setdefault(event["id"], self.seconds)
        is_dated = "retireAt" in event["detail"] or event["detail-type"].endswith(("Cancelled", "Approved"))
        self.send(Function.RESTORE if is_restore(event) else Function.SCHEDULE if is_dated else Function.RETIRE, body)

    def redrive(self) -> None:
        """Send all of `Failures` to `Scheduling`, as new messages."""
        waiting, self.failures = self.failures, []
        for message in waiting:
            self.send(Function.SCHEDULE, message.body)

    # ---- Queues ----------------------------------------------------------------------------------------------------

    def send(self, function: Function, body: str, delay: float = 0.0) -> None:
        """Put a message into a queue."""
        message = Message(len(self.messages) + 1, json.loads(body)["id"], body, function, self.seconds, self._worn)
        self.messages.append(message)
        self.show(message, delay + 0.01)

    def show(self, message: Message, seconds: float) -> None:
        """Let a message be received after so many seconds."""
        message.turn += 1
        turn = message.turn
        self.after(self.seconds + seconds, lambda: self._receive(message, turn))

    def _receive(self, message: Message, turn: int) -> None:
        if message.is_gone or turn != message.turn:
            return
        if message.receives >= MAX_RECEIVES:
            message.is_gone = True
            self.failures.append(message)
            self.abandoned.append(message)
            return
        message.receives += 1
        self.show(message, VISIBILITY[cast("Function", message.function)])
        _Worker.begin(lambda worker: self._deliver(message, worker))

    def _deliver(self, message: Message, worker: _Worker) -> None:
        function, event = cast("Function", message.function), json.loads(message.body)
        self._delivered[message.event, function] += 1
        number = self._delivered[message.event, function]
        host = self._host_of(message, function, number)
        invocation = Invocation(
            message,
            function,
            number,
            identity_of(event),
            event,
            self.settings[function],
            host.ahead,
            self.seconds,
            message.receives,
        )
        self.invocations.append(invocation)
        self.alive.append(invocation)
        clock = HostClock(self, worker, host.ahead, TIME_OUT[function])
        host.line = line = _Line(self, invocation, clock, host)
        delivery = receive(_record(message), f"invocation-{len(self.invocations)}", clock.now())
        inbox = _Inbox(self, message, self.seconds)
        try:
            if function is Function.RETIRE:
                invocation.result = answer(
                    delivery,
                    retire,
                    invocation.settings,
                    interfered(self._retire_ports(line, host, clock, inbox), line),
                )
            elif function is Function.RESTORE:
                ports = self._restore_ports(line, host, clock, inbox)
                invocation.result = answer(delivery, restore, invocation.settings, interfered(ports, line))
            else:
                invocation.result = answer(
                    delivery, schedule, invocation.settings, interfered(self._schedule_ports(clock, inbox), line)
                )
        except Crash:
            invocation.crashed = True
        except Exception as raised:  # noqa: BLE001  # whatever it is, the queue gets it
            invocation.error = raised
        invocation.ended = self.seconds
        self.alive.remove(invocation)
        hosts = self._hosts[function]
        if not invocation.crashed and None in hosts:  # an environment that crashed is not used again
            hosts[hosts.index(None)] = host
        if invocation.result is not None and not invocation.crashed:
            message.is_gone = True

    def _host_of(self, message: Message, function: Function, number: int) -> _Host:
        """A warm one that is idle, or a new one."""
        hosts = self._hosts[function]
        chosen = crc32(f"{message.event} {number}".encode()) % len(hosts)
        host, hosts[chosen] = hosts[chosen], None
        if host is not None:
            return host
        settings = self.settings[Function.RETIRE]
        ahead = self.ahead[(chosen + (0 if function is Function.RETIRE else 2)) % len(self.ahead)]
        return _Host(ahead, settings.service_token_secret_arn, settings.databrain_base_url)

    def _retire_ports(self, line: _Line, host: _Host, clock: HostClock, inbox: _Inbox) -> RetirePorts:
        return RetirePorts(
            databrain=DatabrainClient(
                cast("Any", Connection(line.request, host.base_url)),
                api=self.settings[Function.RETIRE].databrain_api,
                token=host.token,
                clock=clock,
                telemetry=self.telemetry,
            ),
            embed_map=self.there.embed_map,
            datamart_lists=FakeDatamartLists(),
            evidence=self.evidence,
            coordination=self.coordination,
            scheduling=_Outbox(self, Function.SCHEDULE),
            inbox=inbox,
            progress=FakeProgress(),
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=clock,
        )

    def _restore_ports(self, line: _Line, host: _Host, clock: HostClock, inbox: _Inbox) -> RestorePorts:
        return RestorePorts(
            databrain=DatabrainRestorer(
                cast("Any", Connection(line.request, host.base_url)),
                api=self.settings[Function.RESTORE].databrain_api,
                token=host.token,
                clock=clock,
                telemetry=self.telemetry,
            ),
            evidence=self.evidence,
            coordination=self.coordination,
            inbox=inbox,
            progress=FakeProgress(),
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=clock,
        )

    def _schedule_ports(self, clock: HostClock, inbox: _Inbox) -> SchedulePorts:
        return SchedulePorts(
            evidence=self.evidence,
            timers=self.timers,
            inbox=inbox,
            progress=FakeProgress(),
            outbox=_Outbox(self, Function.RETIRE),
            restores=_Outbox(self, Function.RESTORE),
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=clock,
        )

    # ---- Calls -----------------------------------------------------------------------------------------------------

    def before(self, invocation: Invocation, number: int, name: str | None) -> tuple[Trouble | None, float]:
        """Whoever acts at this call does so now; return what strikes it, and how long it takes."""
        acts = self._acts_at.get((invocation.message.event, invocation.function, invocation.number))
        if acts is None or self.is_calm:
            return None, 0.0
        trouble, stall = None, 0.0
        for call, act in acts:
            if call not in {number, name}:
                continue
            if isinstance(act, Trouble):
                self.performed.append((self.seconds, act))
                trouble = act
            elif isinstance(act, Stall):
                self.performed.append((self.seconds, act))
                stall = act.seconds
            else:
                self._perform(act)
        return trouble, stall

    def outage_of(self, name: str) -> Fault | None:
        """What all such calls end in now."""
        for until, outage in self._outages:
            if until > self.seconds and name.startswith(outage.calls):
                return outage.fault
        return None

    def took_place(self, call: Call, by: Invocation) -> object:
        """Let a call to AWS have its effect, and write down what it was."""
        key: Parsed = call.arguments[0] if call.arguments else None
        match call.name:
            case "evidence.create":
                is_first = key not in self.evidence.objects
                answer = call.proceed()
                if is_first:
                    self._note_kept(key, by)
                return answer
            case "evidence.list":
                by.schedules_read_at = by.schedules_read_at or self.seconds  # the first one decides
                return iter(list(cast("Iterator[str]", call.proceed())))
            case "coordination.acquire":
                is_free = call.proceed() or self._is_lockless
                by.locked_at = self.seconds if is_free else None
                return is_free
            case "coordination.reserve":
                by.reserved_at = self.seconds
            case "results_topic.publish":
                self.published.append(Published(by, self.seconds, key))
        return call.proceed()

    def _note_kept(self, key: str, by: Invocation) -> None:
        was_gone, there = None, None
        if key == key_of(by.event, "receipt.json"):
            if is_restore(by.event):
                there = by.look.organisation.datamarts.get(restored_as(by.event)) if by.look else None
            elif by.identity in self.intended:
                was_gone = self.is_gone(by.identity)
        self.kept[key] = Kept(by, self.seconds, was_gone, there)
        if key.startswith("plans/") and by.look is not None:
            self.planned_in[key.rpartition("/")[2].removesuffix(".json")].add(id(by.look.organisation))
        if key.endswith("/intent.json"):
            schedules = self.kept_of(by.identity, "schedule-")
            self.intended[by.identity] = Intended(by, self.seconds, by.look, schedules[-1] if schedules else None)

    def is_gone(self, identity: Identity) -> bool | None:
        """Whether what the intent is about is gone, where it was; None without an intent that saw it."""
        look = self.intended[identity].look
        if look is None or look.datamart is None:
            return None
        there = look.organisation.datamarts.get(look.datamart.name)
        return there is None or there.created_at != look.datamart.created_at

    def kept_of(self, identity: Identity, file_name: str) -> list[Parsed]:
        """What is kept of a retirement under names that begin so, in the order in which it was."""
        return [
            parse_json(self.evidence.objects[key].body)
            for key, kept in self.kept.items()
            if kept.by.identity == identity and key.rpartition("/")[2].startswith(file_name) and "rejected/" not in key
        ]

    def answered(self, request: Sent, base_url: str, by: Invocation) -> Answer:
        """Let a request to Databrain have its effect, and write down what it was."""
        asked, there = self.there.meant(request, base_url)
        route = request.route
        name = restored_as(by.event) if is_restore(by.event) else by.identity[0]
        by.secrets.add(request.token)
        if route is RouteId.LIST_DATAMARTS:
            by.look = Look(self.seconds, request.token, there, there.datamarts.get(name))
            if by.first_look is None:
                by.first_look = self.seconds
        elif route is RouteId.LIST_DATA_APPS:
            by.embeds_looked_at = self.seconds
        before, embeds = dict(there.datamarts), embeds_of(there)
        answer = answer_of(there, asked)
        if not is_restore(by.event):
            self._note_rehearsal(before, there, by)
        elif route in CREATES:
            self._note_creations(before, embeds, there, by)
        for gone in before.keys() - there.datamarts.keys():
            if gone == name or is_restore(by.event):
                self._note_deletion(before[gone], embeds, there, request.token, by)
        return answer

    def _note_rehearsal(self, before: Mapping[str, Datamart], there: Organisation, by: Invocation) -> None:
        """Keep what a request of a retirement did but for the deletion of its own datamart, as of the true time."""
        at = format_timestamp(moment(self.seconds))
        for name in there.datamarts.keys() - before.keys():
            made = there.datamarts[name] = replace(there.datamarts[name], created_at=at, updated_at=at)
            self.copies.append(Copy(by, there, made))
        gone = before.keys() - there.datamarts.keys() - {by.identity[0]}
        self.removals += [Copy(by, there, before[name]) for name in gone]
        ours = {(copy.datamart.name, copy.datamart.created_at) for copy in self.copies}
        self.disturbed += [
            name
            for name, datamart in there.datamarts.items()
            if before.get(name, datamart) != datamart and (name, datamart.created_at) not in ours
        ]

    def _note_creations(
        self, before: Mapping[str, Datamart], embeds: tuple[Embed, ...], there: Organisation, by: Invocation
    ) -> None:
        """Keep what a request created, as of the true time."""
        at = format_timestamp(moment(self.seconds))
        for name, now in list(there.datamarts.items()):
            was = before.get(name)
            if was is None:
                made = there.datamarts[name] = replace(now, created_at=at, updated_at=at)
                seen_at = by.look.at if by.look else self.seconds
                seen = frozenset(each for each in before if self.there.changed_at(there, each) < seen_at)
                is_known = by.identity[::-1] in self.coordination.hashes
                self.creations.append(Creation(by, self.seconds, there, made, seen, is_known))
            elif now != was:
                self.additions.append(Addition(by, self.seconds, there, now, None, by.look))
            if now != was:
                self.there.note_created(there, name, self.seconds)
        known = {embed.embed_id for embed in embeds}
        for app in list(there.data_apps.values()):
            new = [replace(each, created_at=at, updated_at=at) for each in app.embeds if each.embed_id not in known]
            if new:
                there.data_apps[app.name] = replace(app, embeds=(*app.embeds[: -len(new)], *new))
            self.additions += [
                Addition(by, self.seconds, there, there.datamarts.get(each.datamart or ""), each, by.look)
                for each in new
            ]

    def _note_deletion(
        self, datamart: Datamart, embeds: tuple[Embed, ...], there: Organisation, token: str, by: Invocation
    ) -> None:
        own = datamart.name.strip().casefold()
        near = tuple(self.there.changed_at(there, name) for name in there.datamarts if name.strip().casefold() == own)
        self.deletions.append(
            Deletion(
                by,
                self.seconds,
                token,
                there,
                datamart,
                by.look,
                by.first_look,
                self.there.changed_at(there, datamart.name),
                self._has_backup(datamart, by.identity),
                embeds,
                near,
                self.there.owners_map,
            )
        )

    def _has_backup(self, datamart: Datamart, identity: Identity) -> bool:
        for key, kept in self.kept.items():
            if "/backup-" in key and kept.by.identity == identity:
                backup: Parsed = parse_json(self.evidence.objects[key].body)
                shown = backup["datamart"]
                if all(shown.get(field) == value for field, value in datamart.configuration.items()):
                    return True
        return False

    def note_leftovers(self) -> None:
        """Which timers stand for what has ended, where nothing is under way that could take them away."""
        if self.alive or not all(message.is_gone for message in self.messages):
            return
        waiting = {message.event for message in self.failures}
        for key, set_at in self.timers.set_at.items():
            if key not in self.timers.standing:
                continue
            names = [retirement_key(key[1], key[2], file_name) for file_name in ("receipt.json", "cancelled.json")]
            ends = [(self.kept[name].at, name) for name in names if name in self.kept]
            if not ends or any(json.loads(self.bodies[event])["detail"]["retirementId"] == key[2] for event in waiting):
                continue
            at, name = min(ends)
            by = self.kept[name].by
            if set_at > at or by.function is Function.SCHEDULE:
                self.leftovers.add(key)


def _computed(attribute: Any, instance: object, _: type | None = None) -> object:  # noqa: ANN401  # Python's own
    """Compute a cached property: Python 3.11 holds one lock for all instances, also while an invocation waits in it."""
    if instance is None:
        return attribute
    values = vars(instance)
    if attribute.attrname not in values:
        values[attribute.attrname] = attribute.func(instance)
    return values[attribute.attrname]


def _record(message: Message) -> dict[str, Any]:
    """What Lambda gets for a message."""
    record = {
        "eventSource": "aws:sqs",
        "messageId": f"message-{message.number}",
        "receiptHandle": f"handle-{message.number}-{message.receives}",
        "body": message.body,
        "attributes": {
            "SentTimestamp": str(int(moment(message.sent_at).timestamp() * 1000)),
            "ApproximateReceiveCount": str(message.receives),
        },
    }
    return {"Records": [record]}
