"""What the workflow needs of the world. Each protocol has one adapter, and a fake that passes the same tests."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from http import HTTPStatus
from typing import Protocol

from retirement.backup import DeletePermit
from retirement.canonical import Document, Json
from retirement.dependents import EmbedListing, EmbedMap
from retirement.errors import DatabrainError
from retirement.requests import Asked, Delivery, Request
from retirement.results import Reason
from retirement.snapshot import Absent, Listing, Snapshot
from retirement.stored_object import StoredObject
from retirement.sweep_policy import PolicyFile


class DeleteEffect(Enum):
    """What one delete request did, as far as its answer tells."""

    DONE = auto()
    NONE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class DeleteAnswer:
    """The effect, and what went wrong unless it is `DONE`."""

    effect: DeleteEffect
    error: DatabrainError | None = None


class Metric(StrEnum):
    """What is counted in each attempt."""

    DATABRAIN_REQUESTS = "DatabrainRequests"
    DATABRAIN_RETRIES = "DatabrainRetries"
    DATABRAIN_WALKS = "DatabrainWalks"


class Clock(Protocol):
    """The time of day, and the time that this invocation has left."""

    def now(self) -> datetime:
        """An aware time, UTC."""

    def remaining(self) -> float:
        """Seconds left in this invocation."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Databrain(Protocol):
    """The API, for one attempt. Every method but `delete` raises a `DatabrainError` after its own retries."""

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and read all of it."""

    def list_datamarts(self) -> Listing:
        """List the names, fresh."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """List the embeds of all data apps, and what failed on the way; each failure leaves a gap in the listing."""

    def list_data_apps(self) -> Mapping[str, datetime | None]:
        """List the names of all data apps with their createdAt, None where it is no clear time.

        Nothing where an old server has no such list.
        """

    def fingerprint(self, identity: str) -> str:
        """16 hex digits that stand for the server, the attempt's token, and what it is asked for.

        Raises:
            RetirementError: there is no token.
        """

    def place_of_secret(self, document: Json) -> str | None:
        """The path of the first text in a document that holds a secret which this attempt has read, None without one.

        Such as `datamartTables[0].label`; keys of data apps are known only once the embeds were listed.
        """

    def delete(self, permit: DeletePermit) -> DeleteAnswer:
        """Send one delete request, never a second one, with the token that all else was read with.

        Raises:
            RetirementError: it could not even be sent, for want of a token.
        """


class DatamartLists(Protocol):
    """What a sweep reads of the API, and nothing that changes anything there."""

    def list_datamarts_with_updates(self) -> Listing:
        """List the names, fresh, with all times that are told."""

    def list_embeds(self) -> tuple[EmbedListing, tuple[DatabrainError, ...]]:
        """As `Databrain` does."""

    def place_of_secret(self, document: Json) -> str | None:
        """As `Databrain` does."""


class Evidence(Protocol):
    """The evidence bucket: nothing in it is ever overwritten."""

    def create(self, key: str, body: str, content_hash: str | None = None) -> StoredObject:
        """Store the object unless there is one, and return what is there now: this one, or the earlier one.

        Raises:
            AwsCallFailed: it could not be stored or read.
        """

    def read(self, key: str) -> StoredObject | None:
        """Read an object; None where there is none.

        Raises:
            AwsCallFailed: it could not be read. A 403 is an error and never "there is none".
        """

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin so, in their order; those that are created meanwhile may be among them.

        Raises:
            AwsCallFailed: in between, too: not all of them could be listed.
        """


class Coordination(Protocol):
    """What may vanish without harm: the lock on a name, and the reason of a retirement's last failure."""

    def acquire(self, datamart_name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take the lock unless somebody else has it and it has not expired."""

    def release(self, datamart_name: str, holder: str) -> None:
        """Give the lock back, if it is still this holder's."""

    def used_today(self, now: datetime) -> int:
        """How many retirements were counted on this UTC day."""

    def is_counted(self, request: Request, now: datetime) -> bool:
        """Whether this retirement was counted on this UTC day."""

    def reserve(self, request: Request, most: int, now: datetime) -> bool:
        """Count this retirement on this UTC day, unless `most` are; once a day, however often it is asked for."""

    def last_failure(self, request: Request) -> Reason | None:
        """The reason of this retirement's last failed attempt, None where none is known."""

    def record_failure(self, request: Request, reason: Reason, now: datetime, *, after_intent: bool = False) -> None:
        """Remember why this attempt failed; a kept `unconfirmed` stays until `settle` says what became of it.

        After an intent, where nothing is kept, it becomes `unconfirmed`: what was kept may be lost.
        """

    def settle(self, request: Request, reason: Reason, now: datetime) -> None:
        """No delete of this retirement took effect so far, for this reason."""


class EmbedMapSource(Protocol):
    """The map that the owner keeps."""

    def read(self) -> EmbedMap | None:
        """Read the map; None where the stack has none.

        Raises:
            ConfigurationError: the map is missing, broken or of another shape.
            AwsCallFailed: it could not be read.
        """


class SweepPolicySource(Protocol):
    """The policy that the owner keeps."""

    def read(self) -> PolicyFile:
        """Read the file as it is now, whatever it holds.

        Raises:
            ConfigurationError: it is missing, too large, or not for this role.
            AwsCallFailed: it could not be read.
        """


class Inbox(Protocol):
    """The queue that a function's events come from, and go back to."""

    def hold_back(self, delivery: Delivery, seconds: int) -> None:
        """Deliver it again after this time, or at once; nothing where it came from no queue.

        Raises:
            AwsCallFailed: it comes again after the queue's visibility time-out.
        """


class Outbox(Protocol):
    """The queue that a function hands events on to."""

    def send(self, body: str, seconds: int) -> None:
        """Send a message, to be delivered after this time (at most 900 seconds).

        Raises:
            AwsCallFailed: it may have been sent or not.
        """


class Timer(Enum):
    """What a timer does when it goes off: each sends the event of a schedule to a queue."""

    RETIRE = "retire"
    REMIND = "remind"


class Timers(Protocol):
    """One timer of each kind for a retirement."""

    def can_send(self, body: str) -> bool:
        """Whether a body is small enough for a timer."""

    def set(self, timer: Timer, asked: Asked, at: datetime, body: str) -> None:
        """Set or move it: at this time, and hardly later than a minute after it, the body is sent.

        Raises:
            AwsCallFailed: it may have been set or not.
        """

    def clear(self, timer: Timer, asked: Asked) -> None:
        """Take it away, if it is there.

        Raises:
            AwsCallFailed: it may be there or not.
        """


class EventBus(Protocol):
    """The bus that requests arrive on."""

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put an event on it and return its id; without a time of its own it is of now.

        Raises:
            AwsCallFailed: the bus did not take it, or it is not known.
        """


class ResultsTopic(Protocol):
    """Where results are published."""

    def publish(self, result: Document) -> None:
        """Publish; a repeated publication of one result is the same to the byte.

        Raises:
            AwsCallFailed: it was not taken.
        """


class ReportsTopic(Protocol):
    """Where the reports of sweeps are published."""

    def publish(self, report: Document) -> None:
        """Publish.

        Raises:
            AwsCallFailed: it was not taken.
        """


class WebhookSecrets(Protocol):
    """The secrets that webhooks are signed with, any of which will do."""

    def known(self, now: datetime) -> tuple[str, ...]:
        """Return all of them, one or more, as they were a few minutes ago or later.

        Raises:
            ConfigurationError: there is none, or one that is no such secret.
            AwsCallFailed: they could not be read.
        """

    def latest(self, now: datetime) -> tuple[str, ...]:
        """Return all of them, one or more, as they were a few seconds ago or later; raises the same."""


class Counter(Protocol):
    """Where an adapter counts what it does."""

    def count(self, metric: Metric) -> None:
        """Count one; safe from any thread."""


class Telemetry(Counter, Protocol):
    """What an operator sees."""

    def attempt(self, delivery: Delivery) -> AbstractContextManager[None]:
        """Measure one attempt, whatever its end, and report the error that it ends in."""

    def about(self, asked: Asked) -> None:
        """From here on, every line is about this request."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def ended(self, result: Document, *, again: bool) -> None:
        """The request has its result, which is published `again` for a delivery that came again."""


class SweepTelemetry(Counter, Protocol):
    """What an operator sees of a sweep."""

    def sweep(self) -> AbstractContextManager[None]:
        """Measure one sweep, whatever its end, and report the error that it ends in."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def swept(self, report: Document) -> None:
        """The sweep has its report."""


class AnsweringPorts(Protocol):
    """What every function needs that answers events."""

    @property
    def evidence(self) -> Evidence:
        """The evidence bucket."""

    @property
    def inbox(self) -> Inbox:
        """Where its events come from."""

    @property
    def results_topic(self) -> ResultsTopic:
        """Where it answers."""

    @property
    def telemetry(self) -> Telemetry:
        """What an operator sees."""

    @property
    def clock(self) -> Clock:
        """The time of this invocation."""


@dataclass(frozen=True, slots=True)
class RetirePorts:
    """Everything that a retirement talks to, wired for one invocation."""

    databrain: Databrain
    embed_map: EmbedMapSource
    evidence: Evidence
    coordination: Coordination
    inbox: Inbox
    results_topic: ResultsTopic
    telemetry: Telemetry
    clock: Clock


@dataclass(frozen=True, slots=True)
class SchedulePorts:
    """Everything that scheduling talks to, wired for one invocation."""

    evidence: Evidence
    timers: Timers
    inbox: Inbox
    outbox: Outbox
    results_topic: ResultsTopic
    telemetry: Telemetry
    clock: Clock


@dataclass(frozen=True, slots=True)
class SweepPorts:
    """Everything that a sweep talks to, wired for one invocation."""

    policy: SweepPolicySource
    databrain: DatamartLists
    embed_map: EmbedMapSource
    evidence: Evidence
    event_bus: EventBus
    reports_topic: ReportsTopic
    telemetry: SweepTelemetry
    clock: Clock


class WebhookTelemetry(Protocol):
    """What an operator sees of the webhook."""

    def about(self, retirement_id: str) -> None:
        """From here on, every line is about this retirement."""

    def answered(self, status: HTTPStatus, *, reason: str | None = None, error: Exception | None = None) -> None:
        """Log one request and count it: its answer, why it was not trusted, or what failed."""


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    """Everything that the webhook talks to, wired for one invocation."""

    secrets: WebhookSecrets
    event_bus: EventBus
    telemetry: WebhookTelemetry
    clock: Clock
