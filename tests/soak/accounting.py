"""What became of every request, from the evidence alone: what is kept, what was published, what Databrain deleted."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any

from local.stack import EmbeddedStack, PublishedResult
from retirement.canonical import canonical_json, ordered_json, sha256_hex
from retirement.delivery.endings import as_published
from retirement.globs import folded
from retirement.scheduling.ports import Timer
from tests.soak.traffic import REQUESTER, SECRETS, Asked, Deletion, Identity
from tests.stack.leaks import everything_written, leaks

JsonObject = dict[str, Any]

# Of a look at a datamart until its deletion: an attempt sends a delete in its first 30 seconds, or not at all.
MAX_WINDOW = timedelta(seconds=30)
QUEUES = ("RequestsQueueUrl", "SchedulingQueueUrl", "RestoresQueueUrl", "FailuresQueueUrl")


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    TWICE = "twice"
    WRONG = "wrong"
    LEAKED = "leaked"


@dataclass(frozen=True)
class Finding:
    """One promise that was not kept, and where."""

    kind: Kind
    what: str


@dataclass(frozen=True)
class Evidence:
    """What is there when everything is over.

    Attributes:
        versions: the objects of the evidence bucket, each with all its versions.
        published: the results, as subscribers got them.
        deleted: what Databrain has deleted on request of the function, in order.
        created: what Databrain has created on request of the function, in order.
        listed: what Databrain has still, `createdAt` by name.
        left: the messages that are still in a queue, and the timers that are still set.
        written: all that was written anywhere, as place and text.
    """

    versions: Mapping[str, Sequence[bytes]]
    published: Sequence[str]
    deleted: Sequence[Deletion]
    created: Sequence[Identity]
    listed: Mapping[str, str]
    left: Sequence[str]
    written: Sequence[tuple[str, str]]

    @cached_property
    def documents(self) -> dict[str, JsonObject]:
        """The objects, parsed, by key."""
        return {key: json.loads(versions[0]) for key, versions in self.versions.items()}

    @cached_property
    def receipts(self) -> dict[str, JsonObject]:
        """The receipts of requests that are valid."""
        return self._of("retirements/", "/receipt.json")

    @cached_property
    def restores(self) -> dict[str, JsonObject]:
        """The receipts of restores."""
        return self._of("restores/", "/receipt.json")

    @cached_property
    def rejections(self) -> dict[str, JsonObject]:
        """The receipts of rejected events."""
        return self._of("rejected/", "/receipt.json")

    @cached_property
    def intended(self) -> dict[str, Identity]:
        """The datamart that each receipt of a deletion is about: that of its intent."""
        intents = {
            key: self.intent_of(key) for key, receipt in self.receipts.items() if receipt["outcome"] == "deleted"
        }
        return {
            key: (intent["datamart"]["name"], intent["datamart"]["createdAt"])
            for key, intent in intents.items()
            if intent
        }

    def intent_of(self, receipt_key: str) -> JsonObject:
        """The intent beside a receipt; empty where there is none."""
        return self.documents.get(receipt_key.replace("receipt.json", "intent.json"), {})

    @cached_property
    def unseen(self) -> dict[str, Deletion]:
        """The deletions that hit a datamart which was re-created after the last look at it, by the receipt's key.

        Nothing can see that (docs/safety.md, "Not promised"). It has to have happened within one invocation, instead
        of the deletion that was meant.
        """
        deleted = {deletion.datamart for deletion in self.deleted}
        hit: dict[str, Deletion] = {}
        for key, (name, created_at) in self.intended.items():
            others = [
                deletion
                for deletion in self.deleted
                if deletion.name == name and deletion.created_at > created_at and deletion.age < MAX_WINDOW
                if deletion.datamart not in self.intended.values() and deletion not in hit.values()
            ]
            if others and (name, created_at) not in deleted:
                hit[key] = others[0]
        return hit

    @cached_property
    def failures(self) -> dict[str, JsonObject]:
        """What was given up for a time."""
        return {key: document for key, document in self.documents.items() if "failure-" in key}

    @cached_property
    def dates(self) -> dict[str, JsonObject]:
        """Dates that were set, and cancellations: not published where the end came first."""
        return {
            key: document
            for key, document in self.documents.items()
            if "/schedule-" in key or key.endswith("/cancelled.json")
        }

    @cached_property
    def asks(self) -> dict[str, JsonObject]:
        """The asks for approval, in order for each retirement: not published where the end came first."""
        keys = sorted((key for key in self.documents if "/approval-asked-" in key), key=lambda key: (len(key), key))
        return {key: self.documents[key] for key in keys}

    @cached_property
    def last_asks(self) -> dict[str, JsonObject]:
        """The last ask of each retirement, by its folder."""
        return {key.rpartition("/")[0]: ask for key, ask in self.asks.items()}

    @cached_property
    def waiting(self) -> dict[str, JsonObject]:
        """What awaits approval and has not ended, by its folder."""
        return {folder: ask for folder, ask in self.last_asks.items() if f"{folder}/receipt.json" not in self.documents}

    @cached_property
    def approvals(self) -> dict[str, JsonObject]:
        """The approvals that were stored."""
        return {key: document for key, document in self.documents.items() if "/approved-" in key}

    def is_approved(self, folder: str, plan_id: str) -> bool:
        """Whether another person has approved this plan of a retirement, by an event from the approvers' source."""
        events = [json.loads(given["event"]) for key, given in self.approvals.items() if key.startswith(f"{folder}/")]
        return any(
            event["source"] == "approvals"
            and event["detail"]["planId"] == plan_id
            and folded(event["detail"]["approvedBy"]) != folded(REQUESTER)
            for event in events
        )

    def _of(self, beginning: str, end: str) -> dict[str, JsonObject]:
        return {
            key: document for key, document in self.documents.items() if key.startswith(beginning) and key.endswith(end)
        }


def gathered(
    stack: EmbeddedStack,
    *,
    published: Sequence[PublishedResult],
    deleted: Sequence[Deletion],
    created: Sequence[Identity],
    listed: Mapping[str, str],
) -> Evidence:
    """Take all that there is from a stack."""
    left = [*(message for queue in QUEUES for message in _left(stack, queue)), *stack.timers()]
    versions: dict[str, list[bytes]] = defaultdict(list)
    bucket = stack.outputs["EvidenceBucketName"]
    for page in stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            kept = stack.s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            versions[version["Key"]].append(kept["Body"].read())
    return Evidence(
        versions=versions,
        published=[result.message for result in published],
        deleted=deleted,
        created=created,
        listed=listed,
        left=left,
        written=[
            *everything_written(stack),
            *(("what was published", str(result)) for result in published),
            *(("what is left in a queue", message) for message in left),
        ],
    )


def _left(stack: EmbeddedStack, queue: str) -> Iterator[str]:
    url = stack.outputs[queue]
    while messages := stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
        "Messages"
    ):
        yield from (message["Body"] for message in messages)


def findings(asked: Iterable[Asked], evidence: Evidence) -> list[Finding]:
    """Account for every request; an empty list says that every promise was kept."""
    return [
        *_answers(asked, evidence),
        *_publications(evidence),
        *_deletions(evidence),
        *_approvals(evidence),
        *_cancellations(evidence),
        *_creations(evidence),
        *_leaks(evidence),
        *_leftovers(evidence),
    ]


def _answers(asked: Iterable[Asked], evidence: Evidence) -> Iterator[Finding]:
    """Every request has exactly one receipt, or awaits approval, and every approval one answer, as they may have."""
    receipts = {_identity(end): end for end in chain(evidence.waiting.values(), evidence.receipts.values())}
    restores = {receipt["restoreId"]: receipt for receipt in evidence.restores.values()}
    for request in asked:
        name, retirement_id = request.detail.get("datamartName"), request.detail.get("retirementId")
        who = f"{name!r}, {retirement_id}, event {request.mark}"
        receipt = receipts.get((str(name), str(retirement_id)))
        if request.is_restore:
            receipt = restores.get(request.detail["restoreId"])
        carried_out = [receipt] if receipt and receipt["requestReason"] == request.detail["reason"] else []
        if request.is_approval:
            carried_out = [given for given in evidence.approvals.values() if request.mark in given["event"]]
        rejected = [receipt for receipt in evidence.rejections.values() if request.mark in receipt["event"]]
        # What is no event has no id to find an earlier answer by.
        answers = (rejected or carried_out) if request.shares else [*carried_out, *rejected]
        if len(answers) > 1 and request.is_event:
            yield Finding(Kind.TWICE, f"{len(answers)} receipts: {who}")
        if not answers:
            yield Finding(Kind.LOST, f"no receipt: {who}")
        for answer in answers:
            if answer["outcome"] not in request.ends:
                ended = f"{answer['outcome']} ({answer['reason']}), not {' or '.join(sorted(request.ends))}"
                yield Finding(Kind.WRONG, f"ended as {ended}: {who}")
    for key, versions in evidence.versions.items():
        if len(versions) > 1:
            yield Finding(Kind.TWICE, f"written {len(versions)} times: {key}")


def _publications(evidence: Evidence) -> Iterator[Finding]:
    """What is kept was published, and what was published is kept, to the byte.

    Where the last receive itself could not be carried out, its failure may be kept and not published (docs/safety.md,
    "Not promised"), but not each time.
    """
    ends = chain(
        evidence.receipts.items(),
        evidence.restores.items(),
        evidence.rejections.items(),
        evidence.failures.items(),
        evidence.waiting.items(),
        evidence.approvals.items(),
    )
    results = {key: _result(document) for key, document in ends}
    published = set(evidence.published)
    is_excused = any(results[key] in published for key in evidence.failures)
    for key, result in results.items():
        if result not in published and not (is_excused and key in evidence.failures):
            yield Finding(Kind.LOST, f"never published: {key}")
    may_be_told = set(map(_result, chain(evidence.dates.values(), evidence.asks.values())))
    for message in published - set(results.values()) - may_be_told:
        yield Finding(Kind.WRONG, f"published and not kept: {message}")


def _result(document: JsonObject) -> str:
    return ordered_json(as_published(document))


def _cancellations(evidence: Evidence) -> Iterator[Finding]:
    """What was told to be cancelled was not deleted."""
    told = [json.loads(message) for message in evidence.published]
    cancelled = {_identity(result) for result in told if result["outcome"] == "cancelled"}
    for key, receipt in evidence.receipts.items():
        if receipt["outcome"] == "deleted" and _identity(receipt) in cancelled:
            yield Finding(Kind.WRONG, f"told to be cancelled, and deleted: {key}")


def _identity(result: JsonObject) -> tuple[str, str]:
    return result["datamartName"], result["retirementId"]


def _deletions(evidence: Evidence) -> Iterator[Finding]:
    """What was deleted has one receipt that says so, and a receipt that says so is right, its backup too."""
    deleted = Counter(deletion.datamart for deletion in evidence.deleted)
    unseen = {deletion.datamart for deletion in evidence.unseen.values()}
    claims: Counter[Identity] = Counter()
    for key, receipt in evidence.receipts.items():
        if receipt["outcome"] != "deleted":
            continue
        if key not in evidence.intended:
            yield Finding(Kind.LOST, f"no intent: {key}")
            continue
        datamart = evidence.intended[key]
        if evidence.listed.get(datamart[0]) == datamart[1]:
            yield Finding(Kind.WRONG, f"still there: {datamart}, {key}")
        if receipt["confirmedBy"] == "response":
            claims[datamart] += 1
            if datamart not in deleted and key not in evidence.unseen:
                yield Finding(Kind.WRONG, f"not deleted by anybody: {datamart}, {key}")
        yield from _backups(key, receipt, evidence)
    for datamart in deleted.keys() - set(evidence.intended.values()) - unseen:
        yield Finding(Kind.WRONG, f"deleted, and no receipt says so: {datamart}")
    for datamart, times in (deleted | claims).items():
        if times > 1:
            yield Finding(Kind.TWICE, f"deleted {times} times: {datamart}")


def _approvals(evidence: Evidence) -> Iterator[Finding]:
    """Nothing is deleted without an approval of exactly its plan."""
    for key in evidence.intended:
        if not evidence.is_approved(key.rpartition("/")[0], evidence.intent_of(key)["planId"]):
            yield Finding(Kind.WRONG, f"deleted, and nobody has approved its plan: {key}")


def _leftovers(evidence: Evidence) -> Iterator[Finding]:
    """Nothing is left but the reminders of what awaits approval, or has ended before anybody approved it."""
    reminders = {
        folder: f"{Timer.REMIND.value}-{sha256_hex(canonical_json([*_identity(ask)]))[:40]}"
        for folder, ask in evidence.last_asks.items()
        if not evidence.is_approved(folder, ask["planId"])
    }
    for message in evidence.left:
        if message not in reminders.values():
            yield Finding(Kind.LOST, f"still waiting: {message}")
    for folder in evidence.waiting.keys() & reminders.keys():
        if reminders[folder] not in evidence.left:
            yield Finding(Kind.LOST, f"no reminder is set: {folder}")


def _creations(evidence: Evidence) -> Iterator[Finding]:
    """What was created has one receipt that says so, and is as it was; what is refused was not yet deleted."""
    created = Counter(name for name, _ in evidence.created)
    claims: Counter[str] = Counter()
    for key, receipt in evidence.restores.items():
        if receipt["outcome"] == "restored":
            claims[receipt["restoredAs"]] += 1
            if (receipt["restoredAs"], evidence.listed.get(receipt["restoredAs"])) not in evidence.created:
                yield Finding(Kind.LOST, f"restored, and not there: {key}")
            if receipt["differences"]:
                yield Finding(Kind.WRONG, f"restored otherwise: {receipt['differences']}, {key}")
        elif receipt["outcome"] == "restore_blocked":
            folder = key.removeprefix("restores").rsplit("/", 2)[0]
            retirement = evidence.receipts.get(f"retirements{folder}/receipt.json")
            is_early = retirement is not None and receipt["startedAt"] < retirement["finishedAt"]
            if receipt["reason"] != "not_deleted" or not is_early:
                yield Finding(Kind.WRONG, f"not restored ({receipt['reason']}): {key}")
    for name, times in (created | claims).items():
        if times > 1:
            yield Finding(Kind.TWICE, f"restored {times} times: {name!r}")
    for name in created.keys() - claims.keys():
        yield Finding(Kind.WRONG, f"created, and no receipt says so: {name!r}")


def _backups(key: str, receipt: JsonObject, evidence: Evidence) -> Iterator[Finding]:
    backup = receipt["backup"]
    if backup is None:
        if evidence.intent_of(key)["request"].get("backup") is not False:
            yield Finding(Kind.LOST, f"no backup: {key}")
        return
    kept = evidence.versions.get(backup["key"], [b""])[0]
    if (hashlib.sha256(kept).hexdigest(), len(kept)) != (backup["sha256"], backup["bytes"]):
        yield Finding(Kind.LOST, f"not the backup that the receipt tells of: {backup['key']}, {key}")


def _leaks(evidence: Evidence) -> Iterator[Finding]:
    """No secret is written anywhere, in no form."""
    for place in sorted(leaks(evidence.written, *SECRETS)):
        yield Finding(Kind.LEAKED, f"a token is in {place}")
