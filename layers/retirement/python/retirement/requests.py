"""A request, the delivery that it came in, and what can be told of one that is not valid."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from retirement.canonical import Document


class DependentsPolicy(StrEnum):
    """What a dependent does to the request; `ignore` covers found and undetermined."""

    BLOCK = "block"
    IGNORE = "ignore"


# As often as the queue delivers a message (template.yaml, maxReceiveCount).
MAX_RECEIVES = 6


@dataclass(frozen=True, slots=True)
class Delivery:
    """One arrival of an event: its text as it came, when the queue took it, and which invocation got it.

    Without `message_id` and `receipt_handle` it came from no queue.
    """

    body: str
    arrived_at: datetime
    receive_count: int
    invocation_id: str
    message_id: str | None = None
    receipt_handle: str | None = None

    @property
    def id(self) -> str:
        """The same each time that the queue delivers it."""
        return self.message_id or self.invocation_id

    @property
    def is_last(self) -> bool:
        """Whether the queue delivers it no more after this."""
        return self.receive_count >= MAX_RECEIVES


class Command(Protocol):
    """What a request and a cancellation have in common: which retirement it is about, who asks and why."""

    @property
    def datamart_name(self) -> str:
        """Exact and case-sensitive."""

    @property
    def retirement_id(self) -> str:
        """With the name, the identity of a retirement."""

    @property
    def environment(self) -> str:
        """The environment that the sender meant."""

    @property
    def requested_by(self) -> str:
        """For the audit."""

    @property
    def reason(self) -> str:
        """For the audit."""

    @property
    def requested_at(self) -> datetime:
        """The earlier of the event's time and its arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A valid request with its defaults filled in.

    `environment` is the one that is meant. `content_hash` is of the request as sent, before defaults and without
    `retireAt`; `event_id` tells two that ask for the same from one that is delivered twice. `event_time` is what the
    event says; `cutoff` is the latest moment at which this can have been asked: a datamart that was created after it is
    another one.
    """

    datamart_name: str
    retirement_id: str
    environment: str
    requested_by: str
    reason: str
    backup: bool
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

    def no_later_than(self, requested_at: datetime, cutoff: datetime) -> "Request":
        """The same request, known to have been asked for no later than that."""
        return replace(self, requested_at=min(self.requested_at, requested_at), cutoff=min(self.cutoff, cutoff))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A valid wish that a retirement be not carried out."""

    datamart_name: str
    retirement_id: str
    environment: str
    requested_by: str
    reason: str
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A valid webhook: the detail-type, time and detail of the event that it becomes."""

    detail_type: str
    time: datetime
    detail: Document


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What an event without a valid request carried all the same, cut to the limits of a result."""

    event_id: str | None
    retirement_id: str | None
    datamart_name: str | None
    requested_by: str | None
    reason: str | None
    requested_at: datetime
