"""What is stored of one retirement. Its prefix is listed once, and objects are read when they are needed.

S3 lists are strongly consistent (S3 user guide, "Amazon S3 data consistency model"). A writer that has to know what
others wrote before its own write makes a new record after it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from retirement.canonical import canonical_json
from retirement.errors import AwsCallFailed
from retirement.globs import folded
from retirement.outcomes import Outcome
from retirement.record.approvals import Ask, GivenApproval
from retirement.record.intents import Intent
from retirement.record.keys import (
    approval_file_name,
    arrival_file_name,
    arrivals_in,
    ask_file_name,
    failure_file_name,
    numbers_in,
    retirement_key,
    schedule_file_name,
)
from retirement.record.ports import Evidence
from retirement.record.rehearsals import Rehearsed, StoredRehearsal
from retirement.record.schedules import Schedule
from retirement.record.standing import Standing, standing
from retirement.requests import Delivery, Request
from retirement.stored_object import StoredObject
from retirement.timestamps import format_timestamp, parse_timestamp

_ENDS = {Outcome.DELETED, Outcome.ALREADY_ABSENT, Outcome.PLANNED, Outcome.BLOCKED, Outcome.CANCELLED}


class Record:
    """The record of one retirement, as it was when it was constructed.

    Raises:
        AwsCallFailed: by every method and property; S3 did not answer, or an object is not as this project writes it.
    """

    def __init__(self, evidence: Evidence, datamart_name: str, retirement_id: str) -> None:
        self._evidence = evidence
        self._prefix = retirement_key(datamart_name, retirement_id, "")
        self._file_names = {key.removeprefix(self._prefix) for key in evidence.list(self._prefix)}
        self._numbers = numbers_in(self._file_names, "schedule")
        self._cache: dict[str, StoredObject] = {}

    @property
    def receipt(self) -> StoredObject | None:
        """The receipt, which ended the retirement."""
        return self._read("receipt.json")

    @property
    def outcome(self) -> Outcome | None:
        """The outcome in the receipt."""
        if self.receipt is None:
            return None
        with self.receipt.parsed() as receipt:
            outcome = Outcome(receipt["outcome"])
        if outcome not in _ENDS:
            raise self.receipt.malformed()
        return outcome

    @property
    def cancelled(self) -> StoredObject | None:
        """The cancellation of the retirement."""
        return self._read("cancelled.json")

    @property
    def intent(self) -> Intent | None:
        """The intent, after which a delete may have been sent."""
        stored = self._read("intent.json")
        return None if stored is None else Intent.of(stored)

    @property
    def first_date(self) -> Schedule | None:
        """The first date that was requested."""
        return self._schedule(self._numbers[0]) if self._numbers else None

    @property
    def current_date(self) -> Schedule | None:
        """The current date, which is the last one that was stored."""
        return self._schedule(self._numbers[-1]) if self._numbers else None

    @property
    def has_intent(self) -> bool:
        """Whether an attempt has written its intent."""
        return "intent.json" in self._file_names

    def standing(self, now: datetime) -> Standing:
        """Return where the retirement stands."""
        return standing(self._file_names, now, self._time_in)

    @property
    def rehearsal(self) -> StoredRehearsal | None:
        """The record of a rehearsal, after which its copy may have been created."""
        stored = self._read("rehearsal.json")
        return None if stored is None else StoredRehearsal.of(stored)

    @property
    def rehearsed(self) -> Rehearsed | None:
        """How the rehearsal went, if it has ended."""
        stored = self._read("rehearsed.json")
        return None if stored is None else Rehearsed.of(stored)

    @property
    def left_copy(self) -> str | None:
        """The name of a rehearsal's copy that may be left; None if it is certain that there is none."""
        rehearsal, rehearsed = self.rehearsal, self.rehearsed
        if rehearsal is None or (rehearsed is not None and rehearsed.is_removed):
            return None
        return rehearsal.copy_name

    def has_date_of(self, request: Request) -> bool:
        """Return whether this event has set a date; dates that were requested before it are not read."""
        for date in self._latest_dates():
            if date.event_id == request.event_id:
                return True
            if date.requested_at < request.requested_at:
                return False
        return False

    def as_first_arrived(self, request: Request, delivery: Delivery, *, may_arrive_again: bool) -> Request:
        """Return the request dated by the first arrival of its event, if that was stored.

        A request cannot have been sent in the future: if the event's time is later than its arrival, that counts,
        and is stored at once, because after a redrive the event arrives anew. If the arrival is within the precision of
        the event's time, for example in the same second, it is stored only if the event `may_arrive_again`.
        """
        first, arrived_at = self._first_arrival(request.event_id), delivery.arrived_at
        counts = arrived_at < request.event_time or (may_arrive_again and arrived_at == request.cutoff)
        if counts and (first is None or arrived_at < first):
            first = arrived_at
            self._evidence.create(
                self._prefix + arrival_file_name(request.event_id, first),
                canonical_json({"arrivedAt": format_timestamp(first)}),
            )
        return request if first is None else request.no_later_than(first, first)

    def as_first_requested(self, request: Request) -> Request:
        """Return the request with the time, sender and reason of the first one of this retirement.

        A datamart that was created since the first request is another one.
        """
        first = self.first_date
        if first is None:
            return request
        request = replace(request, requested_by=first.requested_by, reason=first.reason)
        request = request.no_later_than(first.requested_at, first.cutoff)
        arrived_at = self._first_arrival(first.event_id)
        return request if arrived_at is None else request.no_later_than(arrived_at, arrived_at)

    # ---- Approval --------------------------------------------------------------------------------------------------

    @cached_property
    def asks(self) -> list[Ask]:
        """The asks for approval, in the order in which they were stored."""
        names = ((number, ask_file_name(number)) for number in numbers_in(self._file_names, "approval-asked"))
        return [Ask.of(number, self._listed(name)) for number, name in names]

    @property
    def is_asked(self) -> bool:
        """Whether approval was asked for at least once."""
        return ask_file_name(1) in self._file_names

    @property
    def current_ask(self) -> Ask | None:
        """The last ask; None if there is none, or another date was stored since: then approval is asked for anew."""
        asks = self.asks
        date = self._numbers[-1] if self._numbers else 0
        return asks[-1] if asks and asks[-1].date == date else None

    @cached_property
    def given_approvals(self) -> list[GivenApproval]:
        """The approvals that were given, in the order in which they were stored."""
        names = ((number, approval_file_name(number)) for number in numbers_in(self._file_names, "approved"))
        return [GivenApproval.of(number, self._listed(name)) for number, name in names]

    def approval_of(self, event_id: str) -> GivenApproval | None:
        """Return the approval that this event has given, if it was stored."""
        return next((given for given in self.given_approvals if given.event_id == event_id), None)

    def requesters(self) -> set[str]:
        """Return who has requested or moved the retirement, folded: none of them may approve it."""
        date = self.current_date
        names = [name for ask in self.asks for name in ask.requesters] + list(date.requesters if date else ())
        return set(map(folded, names))

    def approvers(self, plan_id: str, requesters: Iterable[str] = ()) -> Mapping[str, datetime]:
        """Return who has approved a plan, folded, with the time of each one's last approval.

        A person who has requested or moved the retirement does not count, and neither do these other `requesters`.
        """
        first = max((ask.number for ask in self.asks if ask.starts_anew), default=0)
        excluded = self.requesters().union(map(folded, requesters))
        approvers: dict[str, datetime] = {}
        for given in self.given_approvals:
            person = folded(given.approved_by)
            if given.plan_id == plan_id and given.ask >= first and person not in excluded:
                approvers[person] = max(given.approved_at, approvers.get(person, given.approved_at))
        return approvers

    def has_failed_since(self, moment: datetime) -> bool:
        """Return whether its request was abandoned after this time; it is in `Failures`, or was redriven."""
        numbers = numbers_in(self._file_names, "failure")
        return bool(numbers) and self._time_in(failure_file_name(numbers[-1]), "finishedAt") > moment

    def _first_arrival(self, event_id: str) -> datetime | None:
        """Return the earliest stored arrival: EventBridge may deliver an event twice, and not in order."""
        return min(arrivals_in(self._file_names, event_id), default=None)

    def _latest_dates(self) -> Iterator[Schedule]:
        if self.current_date is not None:
            yield self.current_date
        for number in reversed(self._numbers[:-1]):
            yield self._schedule(number)

    def _schedule(self, number: int) -> Schedule:
        return Schedule.of(number, self._listed(schedule_file_name(number)))

    def _time_in(self, file_name: str, field: str) -> datetime:
        with self._listed(file_name).parsed() as stored:
            return parse_timestamp(stored[field])

    def _read(self, file_name: str) -> StoredObject | None:
        return self._listed(file_name) if file_name in self._file_names else None

    def _listed(self, file_name: str) -> StoredObject:
        if file_name not in self._cache:
            self._cache[file_name] = read_listed(self._evidence, self._prefix + file_name)
        return self._cache[file_name]


def read_listed(evidence: Evidence, key: str) -> StoredObject:
    """Read an object that is in a list.

    Raises:
        AwsCallFailed: S3 did not answer, or has no such object any more.
    """
    stored = evidence.read(key)
    if stored is None:
        raise AwsCallFailed(f"S3 lists {key}, but has no such object; try again")
    return stored
