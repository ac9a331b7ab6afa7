"""Ends an attempt at a restore: the result is stored first, and then published."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import Document, ordered_json, parse_json
from retirement.delivery.endings import publish, store_failure
from retirement.errors import Abandoned, AttemptInterrupted, InvalidRequest, NotConfirmed
from retirement.outcomes import Outcome, Reason
from retirement.record.keys import failure_file_name, restore_key, restores_prefix
from retirement.record.restores import RestoreIntent, RestoreRecord
from retirement.record.results import Grounds, Restoration, Result
from retirement.requests import MAX_RECEIVES, Delivery, RestoreRequest
from retirement.restoring.ports import RestorePorts
from retirement.restoring.rules import Refusal
from retirement.restoring.settings import RestoreSettings
from retirement.stored_object import BackupReference, StoredObject

ANOTHER_ATTEMPT = (
    "Another attempt at this restore is in progress. The queue delivers the request again, and that delivery continues "
    "from there."
)

# The cause and the next step that the result `failed` names; "redrive the queue Failures" follows.
NEXT_STEPS = {
    Reason.DATABRAIN_UNAUTHORIZED: "Databrain refused the service token. Put a valid token into the secret, then",
    Reason.DATABRAIN_UNAVAILABLE: "Databrain did not answer, or answered with errors. When it works again,",
    Reason.DATABRAIN_UNEXPECTED: "Databrain's answers are not as documented. Check DatabrainBaseUrl and DatabrainApi, "
    "then",
    Reason.UNCONFIRMED: "A create may have been sent, and its effect cannot be determined. Check in Databrain whether "
    "the datamart and its embeds exist: if they do not,",
    Reason.INTERNAL_ERROR: "The attempts failed, crashed or timed out. Fix what the function's log names, then",
}


@dataclass(frozen=True, slots=True)
class RestoreAttempt:
    """One attempt: the request, its delivery, and the settings and ports to process it with."""

    request: RestoreRequest
    delivery: Delivery
    settings: RestoreSettings
    ports: RestorePorts
    started_at: datetime

    def record(self) -> RestoreRecord:
        """Return what is stored of this restore now."""
        return RestoreRecord(self.ports.evidence, self.request)

    def key(self, file_name: str) -> str:
        """Return the key of an object of this restore in the evidence bucket."""
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
        """Return a result of this request."""
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
    """End a restore: store its receipt, then publish it.

    Raises:
        AttemptInterrupted: `intent` is None, but a concurrent attempt has written one.
        InvalidRequest: a request with other content has ended the restore meanwhile.
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
    """End a restore that a rule blocks, and that has created nothing."""
    return finish(
        attempt, Outcome.RESTORE_BLOCKED, refusal.message, intent=intent, reason=refusal.reason, backup=backup
    )


def publish_receipt(attempt: RestoreAttempt, receipt: StoredObject, *, again: bool = False) -> Document:
    """Publish the stored receipt, which another attempt may have written."""
    require_same_request(attempt.request, receipt.content_hash)
    return publish(receipt.body, attempt.ports, again=again)


def restored_by_another(own: RestoreIntent, attempt: RestoreAttempt) -> str | None:
    """Return the ID of another restore that has restored the retired datamart under this name, or None.

    What those created that had ended before this one's intent is gone: the name was not listed then.

    Raises:
        NotConfirmed: another one has not ended, and may have created the datamart.
    """
    request, evidence = attempt.request, attempt.ports.evidence
    for key in evidence.list(restores_prefix(request.datamart_name, request.retirement_id)):
        folder, _, file_name = key.rpartition("/")
        intent = evidence.read(key) if file_name == "intent.json" and key != attempt.key(file_name) else None
        if intent is None or RestoreIntent.of(intent).restored_as != request.restored_as:
            continue
        restore_id = folder.rpartition("/")[2]
        if restore_id in own.ended:
            continue
        receipt = evidence.read(f"{folder}/receipt.json")
        if receipt is None:
            raise NotConfirmed(
                f"The restore {restore_id} of the datamart under this name has not ended, and may have created what is "
                "listed. Let it end first: if it is in Failures, redrive it. If both remain unconfirmed, check the "
                "datamart in Databrain."
            )
        if cast("dict[str, Any]", parse_json(receipt.body))["outcome"] == Outcome.RESTORED:
            return restore_id
    return None


def require_same_request(request: RestoreRequest, content_hash: str | None) -> None:
    """Check that the identity belongs to this request, and not to an earlier one with other content.

    Raises:
        InvalidRequest: it belongs to another request.
    """
    if content_hash != request.content_hash:
        raise InvalidRequest(
            f"The restoreId {request.restore_id} was already used for this retirement by a request with other content: "
            "send this request with a new restoreId.",
            Reason.RETIREMENT_ID_REUSED,
        )


def abandon(attempt: RestoreAttempt, intent: RestoreIntent | None, reason: Reason | None) -> Abandoned:
    """Store the failure of a request that has no attempt left, publish it, and return the error to raise.

    Args:
        attempt: the last receive.
        intent: the intent of the restore, if there is one.
        reason: why the last attempt failed; None if every attempt crashed, or the reason was not recorded.
    """
    if reason is None:
        reason = Reason.INTERNAL_ERROR if intent is None else Reason.UNCONFIRMED
    result = attempt.result(
        Outcome.FAILED,
        f"The request was abandoned after {MAX_RECEIVES} receives. {NEXT_STEPS[reason]} redrive the queue Failures, "
        "which retains the request (docs/runbooks/failed-restores.md): the restore continues where it stopped."
        + ("" if intent is None else " It may have created the datamart and some of its embeds already."),
        attempt.started_at,  # so that a retry stores the same failure
        reason=reason,
        backup=None if intent is None else intent.backup,
        restoration=Restoration(attempt.request.restore_id),
    )
    failure = ordered_json({**result, "event": attempt.delivery.body})
    return store_failure(failure, reason, lambda number: attempt.key(failure_file_name(number)), attempt.ports)
