"""The errors of an attempt. A `RetirementError` does not end the retirement: it sends the event back to its queue.

    InvalidRequest            the event is not a valid request: it is answered with `rejected` and not raised further
    RetirementError           has the reason that an abandoned request reports, and whether a retry can succeed
    |-- ConfigurationError    a setting, a file of the owner's or a secret is wrong: a person has to fix it
    |-- DatabrainError        a request to Databrain failed
    |   |-- DatabrainUnauthorized
    |   |-- DatabrainUnavailable   the only one that is retried within the invocation
    |   `-- DatabrainUnexpected
    |       `-- BodyTooLarge
    |-- AwsCallFailed         a call to an AWS service failed
    |   `-- MalformedObject   an object is stored, but not as this project writes it
    |-- BackupFailed          there is no verified backup, so nothing is deleted
    |-- NotOurCopy            a datamart may not be the copy of a rehearsal, so it is not touched
    |-- AttemptInterrupted    another attempt is in progress, or the time is up: the next delivery continues
    |   `-- NotYetDue         the date is in the future: the queue delivers the request again then
    |-- NotConfirmed          a delete may have been sent, and its effect cannot be determined
    `-- Abandoned             no attempt is left: the failure is published, and the request moves to `Failures`

No message contains a token, or text from outside that could echo one.
"""

from retirement.outcomes import Reason


class InvalidRequest(Exception):
    """The event is not a valid request.

    Attributes:
        message: names the field, the rule, and what was received.
        reason: the reason of the result `rejected`.
    """

    def __init__(self, message: str, reason: Reason = Reason.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class RetirementError(Exception):
    """The base of all errors that send an event back to its queue.

    Attributes:
        reason: the reason of the result `failed`, if the request is abandoned after this error.
        retryable: whether the same request can succeed later without intervention.
    """

    reason = Reason.INTERNAL_ERROR
    retryable = True


def reason_of(error: Exception) -> Reason:
    """Return the reason that the result `failed` reports for any exception."""
    return error.reason if isinstance(error, RetirementError) else Reason.INTERNAL_ERROR


def is_retryable(error: Exception) -> bool:
    """Return whether a retry can succeed without intervention; this is unknown, so False, for unforeseen exceptions."""
    return isinstance(error, RetirementError) and error.retryable


class ConfigurationError(RetirementError):
    """A setting, a file of the owner's or a secret is missing or wrong; the message names the setting."""

    retryable = False


class DatabrainError(RetirementError):
    """A request to Databrain failed."""


class DatabrainUnauthorized(DatabrainError):
    """Databrain refused the token: one that was just read, or one that it had accepted earlier in the attempt."""

    reason = Reason.DATABRAIN_UNAUTHORIZED
    retryable = False


class DatabrainUnavailable(DatabrainError):
    """Databrain did not answer, or answered with 429 or 5xx.

    Attributes:
        retry_after: the wait in seconds that Databrain requested; None if it requested none.
    """

    reason = Reason.DATABRAIN_UNAVAILABLE

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabrainUnexpected(DatabrainError):
    """Databrain's answer does not have the documented shape or status."""

    reason = Reason.DATABRAIN_UNEXPECTED
    retryable = False


class BodyTooLarge(DatabrainUnexpected):
    """Databrain's answer exceeds the limit on its size."""


class AwsCallFailed(RetirementError):
    """A call to an AWS service failed after the SDK's own retries."""


class MalformedObject(AwsCallFailed):
    """An object is stored, but not as this project writes it."""


class BackupFailed(RetirementError):
    """The requested backup could not be written, or differs from what Databrain shows."""

    reason = Reason.BACKUP_FAILED


class NotOurCopy(RetirementError):
    """A listed datamart may not be the copy that a rehearsal has created, so it is not touched."""

    retryable = False


class AttemptInterrupted(RetirementError):
    """This attempt has to stop, and the next one can continue."""


class NotYetDue(AttemptInterrupted):
    """The date of the retirement is in the future.

    Attributes:
        seconds: the time until that date.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class NotConfirmed(RetirementError):
    """The effect of a delete is unknown; `reason` is `unconfirmed` unless it is known that no delete took effect."""

    reason = Reason.UNCONFIRMED
    retryable = False

    def __init__(self, message: str, reason: Reason = Reason.UNCONFIRMED) -> None:
        super().__init__(message)
        self.reason = reason


class Abandoned(RetirementError):
    """The request was abandoned at its last receive: `failed` is published with the reason of the last attempt."""

    retryable = False

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason
