"""The shapes of events and messages that have passed their schemas (`events/schemas/`)."""

from typing import NotRequired, TypedDict

from retirement.canonical import Document


class CommandDetail(TypedDict):
    """The fields of `detail` that a request and a cancellation have in common."""

    datamartName: str
    environment: str
    requestedBy: str
    reason: str


class RequestDetail(CommandDetail):
    """The `detail` of a request."""

    retirementId: NotRequired[str]
    backup: NotRequired[bool]
    requireRestorable: NotRequired[bool]
    rehearse: NotRequired[bool]
    dryRun: NotRequired[bool]
    dependents: NotRequired[str]
    reviewedEmbeds: NotRequired[list[str]]
    planId: NotRequired[str]
    retireAt: NotRequired[str]
    startedBy: NotRequired[str]


class CancellationDetail(CommandDetail):
    """The `detail` of a cancellation."""

    retirementId: str


class ApprovalDetail(TypedDict):
    """The `detail` of an approval."""

    datamartName: str
    environment: str
    retirementId: str
    planId: str
    approvedBy: str
    reason: str


class RestoreDetail(CommandDetail):
    """The `detail` of a request to restore."""

    retirementId: str
    restoreId: NotRequired[str]
    asName: NotRequired[str]
    embeds: NotRequired[str]
    dryRun: NotRequired[bool]


class RestoreEvent(TypedDict):
    """The event of a request to restore."""

    id: str
    time: str
    detail: RestoreDetail


class RequestEvent(TypedDict):
    """The event of a request."""

    id: str
    time: str
    detail: RequestDetail


class CancellationEvent(TypedDict):
    """The event of a cancellation."""

    id: str
    time: str
    detail: CancellationDetail


class ApprovalEvent(TypedDict):
    """The event of an approval."""

    id: str
    time: str
    source: str
    detail: ApprovalDetail


class WebhookMessage(TypedDict):
    """The body of a webhook; `data` has its own schema."""

    type: str
    timestamp: str
    data: Document
