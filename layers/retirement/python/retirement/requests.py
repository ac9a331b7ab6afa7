"""Requests, cancellations and approvals, the delivery that each arrives in, and the fields of an invalid event."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, cast

from retirement.canonical import Document


class DependentsPolicy(StrEnum):
    """Whether embeds block the request; `ignore` applies to those that use the datamart and to undetermined ones."""

    BLOCK = "block"
    IGNORE = "ignore"


class EmbedsPolicy(StrEnum):
    """What a restore does with the embeds that were deleted with the datamart."""

    RESTORE = "restore"
    LEAVE = "leave"


# How often the queue delivers a message (template.yaml, maxReceiveCount).
MAX_RECEIVES = 6


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of an event to a function: its text, when the queue accepted it, and the invocation.

    `message_id` and `receipt_handle` are None if the function was invoked directly, without a queue.
    """

    body: str
    arrived_at: datetime
    receive_count: int
    invocation_id: str
    message_id: str | None = None
    receipt_handle: str | None = None

    @property
    def id(self) -> str:
        """The message's ID, which is the same at each delivery; without a queue, the invocation's ID."""
        return self.message_id or self.invocation_id

    @property
    def is_last(self) -> bool:
        """Whether this is the last delivery: SQS then moves the message to `Failures`."""
        return self.receive_count >= MAX_RECEIVES


class Command(Protocol):
    """The fields that requests, cancellations and approvals have in common."""

    @property
    def datamart_name(self) -> str:
        """The datamart's name, exact and case-sensitive."""

    @property
    def retirement_id(self) -> str:
        """The ID of the retirement; together with the datamart's name it is the identity."""

    @property
    def environment(self) -> str:
        """The environment that the event is meant for."""

    @property
    def requested_by(self) -> str:
        """Who sends the event, for the audit."""

    @property
    def reason(self) -> str:
        """Why, for the audit."""

    @property
    def requested_at(self) -> datetime:
        """The earlier of the event's time and its arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A valid request with its defaults filled in.

    Attributes:
        content_hash: the SHA-256 of `detail` as it was sent, before defaults, without date, sender and reason.
        event_id: distinguishes two equal requests from one that is delivered twice.
        event_time: the time in the event.
        requested_at: the earlier of `event_time` and the arrival.
        cutoff: the latest time at which this can have been requested; a datamart that was created later is another one.
        started_by: the person who started the sweep that requests it.
    """

    datamart_name: str
    retirement_id: str
    environment: str
    requested_by: str
    reason: str
    backup: bool
    require_restorable: bool
    rehearse: bool
    dry_run: bool
    dependents: DependentsPolicy
    reviewed_embeds: frozenset[str]
    plan_id: str | None
    retire_at: datetime | None
    event_time: datetime
    requested_at: datetime
    cutoff: datetime
    event_id: str
    content_hash: str
    detail: Document
    started_by: str | None = None

    @property
    def requesters(self) -> tuple[str, ...]:
        """Who may not approve it, because of this event: who sent it, also if another person set the first date."""
        sender = cast("str", self.detail["requestedBy"])
        return (sender,) if self.started_by is None else (sender, self.started_by)

    def no_later_than(self, requested_at: datetime, cutoff: datetime) -> "Request":
        """Return the same request with `requested_at` and `cutoff` no later than these times."""
        return replace(self, requested_at=min(self.requested_at, requested_at), cutoff=min(self.cutoff, cutoff))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A valid event that cancels a retirement."""

    datamart_name: str
    retirement_id: str
    environment: str
    requested_by: str
    reason: str
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A valid event that approves the plan of a retirement; `requested_by` is who approves it."""

    datamart_name: str
    retirement_id: str
    environment: str
    requested_by: str
    reason: str
    requested_at: datetime
    plan_id: str
    source: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """A valid request to restore a datamart, with its defaults filled in.

    Attributes:
        datamart_name: the name of the datamart that the retirement deleted; together with `retirement_id` and
            `restore_id` it is the identity of the restore.
        restored_as: the name that the restored datamart gets.
        content_hash: the SHA-256 of `detail` as it was sent, before defaults.
    """

    datamart_name: str
    retirement_id: str
    restore_id: str
    environment: str
    requested_by: str
    reason: str
    restored_as: str
    embeds: EmbedsPolicy
    dry_run: bool
    requested_at: datetime
    content_hash: str
    detail: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A valid message to the webhook, as the detail-type, time and detail of the event that it becomes."""

    detail_type: str
    time: datetime
    detail: Document


class Kind(StrEnum):
    """What an event requests."""

    RETIREMENT = "retirement"
    CANCELLATION = "cancellation"
    APPROVAL = "approval"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """The fields of an event that is not a valid request, cut to the limits of a result; None if they are missing."""

    event_id: str | None
    retirement_id: str | None
    datamart_name: str | None
    requested_by: str | None
    reason: str | None
    requested_at: datetime
    kind: Kind = Kind.RETIREMENT
    restore_id: str | None = None
