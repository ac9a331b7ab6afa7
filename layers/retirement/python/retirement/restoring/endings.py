"""One attempt at a restore, and how it ends: its result is stored first, and published then."""

from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import Document, ordered_json
from retirement.delivery.endings import publish, store_failure
from retirement.errors import Abandoned, AttemptInterrupted, InvalidRequest
from retirement.outcomes import Outcome, Reason
from retirement.record.keys import failure_file_name, restore_key
from retirement.record.restores import RestoreIntent, RestoreRecord
from retirement.record.results import Grounds, Restoration, Result
from retirement.requests import MAX_RECEIVES, Delivery, RestoreRequest
from retirement.restoring.ports import RestorePorts
from retirement.restoring.rules import Refusal
from retirement.restoring.settings import RestoreSettings
from retirement.stored_object import BackupReference, StoredObject

ANOTHER_ATTEMPT = "Another attempt at this restore is under way: the next delivery goes on from what it leaves."

# What somebody who reads `failed` has to know and do.
NEXT_STEPS = {
    Reason.DATABRAIN_UNAUTHORIZED: "Databrain refused the service token: put a valid one into the secret, then",
    Reason.DATABRAIN_UNAVAILABLE: "Databrain did not answer, or answered with errors: when it works again,",
    Reason.DATABRAIN_UNEXPECTED: "Databrain's answers are not as documented: check DatabrainBaseUrl and DatabrainApi, "
    "then",
    Reason.UNCONFIRMED: "A create request may have been sent, and nothing tells what became of it: look in Databrain "
    "for the datamart and its embeds; if there are none,",
    Reason.INTERNAL_ERROR: "The attempts failed, crashed or ran out of time: mend what the function's log names, then",
}


@dataclass(frozen=True, slots=True)
class RestoreAttempt:
    """What came, what it asks for, and what this function has to answer it with."""

    request: RestoreRequest
    delivery: Delivery
    settings: RestoreSettings
    ports: RestorePorts
    started_at: datetime

    def record(self) -> RestoreRecord:
        """List what is kept of this restore now."""
        return RestoreRecord(self.ports.evidence, self.request)

    def key(self, file_name: str) -> str:
        """Of an object of this restore in the evidence bucket."""
        request = self.request
        return restore_key(request.datamart_name, request.retirement_id, request.restore_id, file_name)

    def result(
        self,
        outcome: Outcome,
        message: str,
        finished_at: datetime,
        *,
        reason: Reason | None,
        backup: BackupReference | None,
        restoration: Restoration,
    ) -> Document:
        """What is said of this request."""
        request = self.request
        result = Result(
            retirement_id=request.retirement_id,
            datamart_name=request.datamart_name,
            requested_by=request.requested_by,
            request_reason=request.reason,
            outcome=outcome,
            reason=reason,
            message=message,
            environment=self.settings.environment_name,
            requested_at=request.requested_at,
            started_at=self.started_at,
            finished_at=finished_at,
            grounds=Grounds(backup=backup),
        )
        return {**result.document(), **restoration.document()}


def finish(
    attempt: RestoreAttempt,
    outcome: Outcome,
    message: str,
    *,
    intent: RestoreIntent | None,
    reason: Reason | None = None,
    backup: BackupReference | None = None,
    restoration: Restoration | None = None,
) -> Document:
    """End a restore: write its receipt, then publish it.

    Raises:
        AttemptInterrupted: this attempt knows of no intent, and one alongside it has written one meanwhile.
    """
    ports = attempt.ports
    if intent is None and ports.evidence.read(attempt.key("intent.json")) is not None:
        raise AttemptInterrupted(ANOTHER_ATTEMPT)
    result = attempt.result(
        outcome,
        message,
        ports.clock.now(),
        reason=reason,
        backup=backup,
        restoration=restoration or Restoration(attempt.request.restore_id),
    )
    receipt = ports.evidence.create(attempt.key("receipt.json"), ordered_json(result), attempt.request.content_hash)
    return publish_receipt(attempt, receipt)


def refuse(
    attempt: RestoreAttempt,
    refusal: Refusal,
    *,
    intent: RestoreIntent | None = None,
    backup: BackupReference | None = None,
) -> Document:
    """A rule says no, and nothing was created."""
    return finish(
        attempt, Outcome.RESTORE_BLOCKED, refusal.message, intent=intent, reason=refusal.reason, backup=backup
    )


def publish_receipt(attempt: RestoreAttempt, receipt: StoredObject, *, again: bool = False) -> Document:
    """Publish the receipt that is stored, which another attempt may have written first."""
    require_same_request(attempt.request, receipt.content_hash)
    return publish(receipt.body, attempt.ports, again=again)


def require_same_request(request: RestoreRequest, content_hash: str | None) -> None:
    """An identity is spent on the request that used it first.

    Raises:
        InvalidRequest: it was another one.
    """
    if content_hash != request.content_hash:
        raise InvalidRequest(
            f"The restoreId {request.restore_id} was already used for this retirement by a request with other content: "
            "use a new one.",
            Reason.RETIREMENT_ID_REUSED,
        )


def abandon(attempt: RestoreAttempt, intent: RestoreIntent | None, reason: Reason | None) -> Abandoned:
    """Keep the failure, publish it, and return what is to be raised.

    Without a reason, every attempt crashed, or nothing has kept why it failed.
    """
    if reason is None:
        reason = Reason.INTERNAL_ERROR if intent is None else Reason.UNCONFIRMED
    result = attempt.result(
        Outcome.FAILED,
        f"Given up after {MAX_RECEIVES} receives. {NEXT_STEPS[reason]} send the request again from the queue "
        "Failures, which keeps it (docs/runbooks/failed-restores.md): it goes on from what there is.",
        attempt.started_at,  # tried again, it is the same failure
        reason=reason,
        backup=None if intent is None else intent.backup,
        restoration=Restoration(attempt.request.restore_id),
    )
    failure = ordered_json({**result, "event": attempt.delivery.body})
    return store_failure(failure, reason, lambda number: attempt.key(failure_file_name(number)), attempt.ports)
