"""The error tree. A retirement that ends in one of these has not ended: the exception goes back to the queue.

    InvalidRequest            the event is no valid request; it is answered with `rejected`, never raised further
    RetirementError           carries the reason that a giving-up reports, and whether trying again can help
    |-- ConfigurationError    a setting or the secret: someone has to mend it
    |-- DatabrainError        a request to Databrain
    |   |-- DatabrainUnauthorized
    |   |-- DatabrainUnavailable   the only one that is tried again within the invocation
    |   `-- DatabrainUnexpected
    |       `-- BodyTooLarge
    |-- AwsCallFailed         S3, DynamoDB, SNS or Secrets Manager
    |-- BackupFailed          no verified backup, so no deletion
    |-- AttemptInterrupted    busy, or out of time: nothing is wrong, the next delivery goes on
    |   `-- NotYetDue         its date is ahead: the queue holds the request back until then
    |-- NotConfirmed          a delete may have been sent and nothing can tell what became of it
    `-- GivenUp               no attempt is left: the failure is published, and the request goes to `Failures`

No message holds a token, nor text that came from outside and could echo one.
"""

from retirement.outcomes import Reason


class InvalidRequest(Exception):
    """The event is no valid request.

    Attributes:
        message: the field, the rule, and what came.
    """

    def __init__(self, message: str, reason: Reason = Reason.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class RetirementError(Exception):
    """Base of all that sends a request back to its queue.

    Attributes:
        reason: what a giving-up reports.
        retryable: whether the same request can succeed later without anyone's doing.
    """

    reason = Reason.INTERNAL_ERROR
    retryable = True


def reason_of(error: Exception) -> Reason:
    """What a giving-up reports of an error, foreseen or not."""
    return error.reason if isinstance(error, RetirementError) else Reason.INTERNAL_ERROR


def is_retryable(error: Exception) -> bool:
    """Whether it can pass without anyone's doing; of what was not foreseen nobody can say so."""
    return isinstance(error, RetirementError) and error.retryable


class ConfigurationError(RetirementError):
    """A setting is missing or wrong, or the secret cannot be used; the message names the setting."""

    retryable = False


class DatabrainError(RetirementError):
    """A request to Databrain failed."""


class DatabrainUnauthorized(DatabrainError):
    """Databrain refused the token: freshly read, or one that the attempt had already read with."""

    reason = Reason.DATABRAIN_UNAUTHORIZED
    retryable = False


class DatabrainUnavailable(DatabrainError):
    """No answer, 429 or 5xx.

    Attributes:
        retry_after: the wait in seconds that Databrain asked for, if it did.
    """

    reason = Reason.DATABRAIN_UNAVAILABLE

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabrainUnexpected(DatabrainError):
    """An answer without the documented shape or status."""

    reason = Reason.DATABRAIN_UNEXPECTED
    retryable = False


class BodyTooLarge(DatabrainUnexpected):
    """An answer passes the limit on its size."""


class AwsCallFailed(RetirementError):
    """A call to an AWS service failed after the SDK's own retries."""


class BackupFailed(RetirementError):
    """The backup that was asked for could not be written, or is not what was seen."""

    reason = Reason.BACKUP_FAILED


class AttemptInterrupted(RetirementError):
    """This attempt has to stop, and the next one can go on."""


class NotYetDue(AttemptInterrupted):
    """The date is ahead.

    Attributes:
        seconds: until then.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class NotConfirmed(RetirementError):
    """A deletion is in doubt; `reason` is `unconfirmed` unless it is known that no delete took effect."""

    reason = Reason.UNCONFIRMED
    retryable = False

    def __init__(self, message: str, reason: Reason = Reason.UNCONFIRMED) -> None:
        super().__init__(message)
        self.reason = reason


class Abandoned(RetirementError):
    """The last receive: `failed` is published, for the reason of the last attempt."""

    retryable = False

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason
