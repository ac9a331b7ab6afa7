"""How a command ends: its exit status, and the errors that are shown as one line."""

from enum import IntEnum

from retirement.outcomes import Outcome


class Status(IntEnum):
    """The exit statuses of every command."""

    OK = 0  # the outcome is the one that was requested
    ERROR = 1
    USAGE = 2
    BLOCKED = 3
    REJECTED = 4
    ABANDONED = 5
    PENDING = 6
    UNKNOWN = 7
    INTERRUPTED = 130  # as a shell reports a process that SIGINT ended


class CommandError(Exception):
    """A command cannot do what it was asked to do; the text says what to do next."""

    status = Status.ERROR


class UsageError(CommandError):
    """The command line is not one that can be carried out, or a confirmation is missing."""

    status = Status.USAGE


class Refused(CommandError):
    """The stack's state does not allow it, and nothing was sent."""

    status = Status.REJECTED


class UnknownId(CommandError):
    """Nothing is known of a retirement or of a datamart."""

    status = Status.UNKNOWN


_STATUSES = {
    Outcome.BLOCKED: Status.BLOCKED,
    Outcome.RESTORE_BLOCKED: Status.BLOCKED,
    Outcome.REJECTED: Status.REJECTED,
    Outcome.FAILED: Status.ABANDONED,
    Outcome.AWAITING_APPROVAL: Status.PENDING,
}


def status_of(outcome: str, *, cancels: bool = False) -> Status:
    """Return the exit status for an outcome; `cancels` says whether a cancellation was requested.

    An object that this project did not write has no outcome, so it is an error.
    """
    if outcome not in set(Outcome):
        return Status.ERROR
    if outcome == Outcome.CANCELLED and not cancels:
        return Status.BLOCKED
    return _STATUSES.get(Outcome(outcome), Status.OK)
