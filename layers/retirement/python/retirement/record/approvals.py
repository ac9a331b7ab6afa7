"""The asks for approval of a retirement, and the approvals that were given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import Document, parse_json
from retirement.record.organisation import Organisation
from retirement.stored_object import StoredObject
from retirement.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One ask, as stored in `approval-asked-{number}.json`: the result `awaiting_approval`, with the request's event.

    Attributes:
        number: from 1.
        event: the event's text, as it was received.
        requesters: who requests it, as they spelled their names.
        asked_at: when the ask was stored.
        date: the number of the date that was current then; 0 if there was none.
        organisation: where the datamart was seen.
        starts_anew: whether the approvals of earlier asks do not count, because they were for another organisation.
        stored: the object.
    """

    number: int
    plan_id: str
    event: str
    requesters: tuple[str, ...]
    asked_at: datetime
    date: int
    organisation: Organisation
    starts_anew: bool
    stored: StoredObject

    @classmethod
    def of(cls, number: int, stored: StoredObject) -> "Ask":
        """Parse a stored ask.

        Raises:
            AwsCallFailed: the object is not as this project writes it.
        """
        with stored.parsed() as result:
            return cls(
                number=number,
                plan_id=result["planId"],
                event=result["event"],
                requesters=requesters_in(parse_json(result["event"])),
                asked_at=parse_timestamp(result["finishedAt"]),
                date=result["ask"]["date"],
                organisation=Organisation.stored_in(result["ask"]),
                starts_anew=result["ask"]["startsAnew"],
                stored=stored,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenApproval:
    """One approval, as stored in `approved-{number}.json`: the result `approved`, with the event that approves.

    Attributes:
        number: from 1.
        ask: the number of the ask that it answers.
        approved_at: the earlier of the event's time and its arrival.
        missing: how many approvals the plan lacked with this one.
        stored: the object.
    """

    number: int
    ask: int
    plan_id: str
    event_id: str
    approved_by: str
    approved_at: datetime
    missing: int
    stored: StoredObject

    @classmethod
    def of(cls, number: int, stored: StoredObject) -> "GivenApproval":
        """Parse a stored approval.

        Raises:
            AwsCallFailed: the object is not as this project writes it.
        """
        with stored.parsed() as result:
            return cls(
                number=number,
                ask=result["askNumber"],
                plan_id=result["planId"],
                event_id=cast("dict[str, Any]", parse_json(result["event"]))["id"],
                approved_by=result["requestedBy"],
                approved_at=parse_timestamp(result["requestedAt"]),
                missing=result["approvalsMissing"],
                stored=stored,
            )


def ask_document(date: int, organisation: Organisation, *, starts_anew: bool) -> Document:
    """Return what an ask is stored with, and not published with."""
    return {"date": date, "organisation": organisation.document(), "startsAnew": starts_anew}


def requesters_in(event: object) -> tuple[str, ...]:
    """Return who requests a retirement by the event of a valid request: its sender, and who started its sweep."""
    detail = cast("Mapping[str, Mapping[str, str]]", event)["detail"]
    return tuple(detail[field] for field in ("requestedBy", "startedBy") if field in detail)
