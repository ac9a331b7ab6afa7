"""Where a retirement or a restore stands, as one function of what is stored of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from retirement.record.keys import ask_file_name, failure_file_name, numbers_in, schedule_file_name


class Stage(Enum):
    """How far it has come."""

    REQUESTED = auto()  # no attempt has ended, or no request has arrived
    SCHEDULED = auto()  # its date is current, also a date that is due
    AWAITING_APPROVAL = auto()  # nothing happens until it is approved or cancelled
    STARTED = auto()  # it has an intent, so a delete or a create may have been sent
    ABANDONED = auto()  # it failed, and goes on if it is redriven
    CANCELLED = auto()  # its receipt is still missing
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """The stage, and the name of the file that decides it: None if nothing is stored that does."""

    stage: Stage
    decided_by: str | None
    has_intent: bool


def standing(file_names: Collection[str], now: datetime, time_in: Callable[[str, str], datetime]) -> Standing:
    """Determine where it stands.

    Args:
        file_names: all files under its prefix.
        now: decides whether a date is in the future.
        time_in: reads a time in a file, by the names of the file and of the field. It is called only if two of a date,
            an ask for approval and a failure are stored: the latest one decides, or a date that is in the future.
    """
    has_intent = "intent.json" in file_names
    dates, failures = numbers_in(file_names, "schedule"), numbers_in(file_names, "failure")
    date = schedule_file_name(dates[-1]) if dates else None
    failure = failure_file_name(failures[-1]) if failures else None
    asks = numbers_in(file_names, "approval-asked")
    ask = ask_file_name(asks[-1]) if asks else None

    def is_awaited(ask: str) -> bool:
        others = [time_in(other, "finishedAt") for other in (date, failure) if other is not None]
        return not others or max(others) < time_in(ask, "finishedAt")

    def is_current(date: str) -> bool:
        return (
            failure is None
            or time_in(date, "retireAt") > now
            or time_in(date, "finishedAt") > time_in(failure, "finishedAt")
        )

    if "receipt.json" in file_names:
        return Standing(Stage.ENDED, "receipt.json", has_intent)
    if "cancelled.json" in file_names:
        return Standing(Stage.CANCELLED, "cancelled.json", has_intent)
    if has_intent and failure is None:
        return Standing(Stage.STARTED, "intent.json", has_intent)
    if not has_intent and ask is not None and is_awaited(ask):
        return Standing(Stage.AWAITING_APPROVAL, ask, has_intent)
    if not has_intent and date is not None and is_current(date):
        return Standing(Stage.SCHEDULED, date, has_intent)
    if failure is not None:
        return Standing(Stage.ABANDONED, failure, has_intent)
    return Standing(Stage.REQUESTED, None, has_intent)
