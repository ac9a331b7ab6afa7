"""What a stack test works with: the deployed stack, its Databrain, and what has come of a request since it began."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import fastjsonschema

from local.databrain.seed import datamart_of, organisation_of
from local.databrain.state import Databrain
from local.emulator import REGION
from local.stack import STACK_NAME, EmbeddedStack, EvidenceObject, PublishedResult

JsonObject = dict[str, Any]
T = TypeVar("T")

EVENTS = Path(__file__).parents[2] / "events"
SERVICE_TOKEN = "service-token-of-the-stack-tests"
DATA_APP_KEY = "data-app-key-of-the-stack-tests"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATASOURCE = "warehouse"
CREATED_AT = "2025-03-04T09:30:00.000Z"
SEED: JsonObject = {"serviceToken": SERVICE_TOKEN, "datasources": [DATASOURCE], "datamarts": []}
DEADLINE = 90  # seconds, of a machine that is busy with other work
AT_WORK = 5  # seconds; longer than any attempt that nothing holds up
SCHEDULE = "ScheduleFunctionName"
CANCELLED = "Datamart Retirement Cancelled"
APPROVED = "Datamart Retirement Approved"
RESTORE_REQUESTED = "Datamart Restore Requested"
RESTORE = "RestoreFunctionName"
MAPS_BUCKET, MAP_KEY, POLICY_KEY = "embed-maps-of-the-stack-tests", "embeds.json", "sweep.json"
LISTS_KEY = "datamarts.json"
PARAMETERS = {
    "Mode": "retire",
    "EmbedMapUri": f"s3://{MAPS_BUCKET}/{MAP_KEY}",  # its permission is there only where the parameter is
    "DatamartListsUri": f"s3://{MAPS_BUCKET}/{LISTS_KEY}",  # the same
    "SweepPolicyUri": f"s3://{MAPS_BUCKET}/{POLICY_KEY}",  # and so is the function
    "SweepSchedule": "rate(365 days)",
    "MaxSweepPercent": "100",
    "MaxRetirementsPerDay": "10000",  # all tests share the day
    "ApprovalSources": "approvals",  # so that there is a rule; `approvals` in test_approval.py requires one
}

check_schema = fastjsonschema.compile(json.loads((EVENTS / "schemas" / "datamart-retirement-result.json").read_bytes()))


class Scene:
    """One test's view of the stack: it begins with empty queues, an organisation without datamarts, and no faults.

    The map of embeds is empty, the lists allow everything, no retirement of the day is counted, and no timer is set.
    """

    def __init__(self, stack: EmbeddedStack, databrain: Databrain) -> None:
        databrain.organisation = organisation_of(SEED)
        databrain.faults.clear()
        databrain.requests.clear()
        stack.purge()
        self.stack = stack
        self.databrain = databrain
        self.map_embeds({})
        self.list_names({"retirable": ["*"]})
        self.uncount()
        for name in stack.timers():
            stack.scheduler.delete_schedule(Name=name, GroupName=stack.outputs["ScheduleGroupName"])
        self.began = datetime.now(UTC)
        self._objects_before = self._object_versions()

    # ---- What there is ---------------------------------------------------------------------------------------------

    def datamart(self, name: str | None = None, **fields: Any) -> str:  # noqa: ANN401 -- any field of the seed's schema
        """Add or replace a datamart and return its name, by default one that no other test has."""
        organisation = self.databrain.organisation
        entry = _entry(name or f"datamart-{uuid4()}", **fields)
        organisation.put_datamart(datamart_of(entry, organisation))
        return str(entry["name"])

    def portal(self, *embeds: str, **server: object) -> str:
        """Start over with one datamart and a data app of these embeds, and return the datamart's name.

        An embed uses the datamart. `server` are the seed's options: by default nothing tells which datamart it uses.
        """
        name = f"datamart-{uuid4()}"
        app = {
            "name": "Portal",
            "tokens": [{"key": DATA_APP_KEY}],
            "embeds": [{"embedId": embed, "datamart": name, "createdAt": CREATED_AT} for embed in embeds],
        }
        self.databrain.organisation = organisation_of(
            {**SEED, "server": server, "datamarts": [_entry(name)], "dataApps": [app]}
        )
        return name

    def map_embeds(self, embed_map: object) -> None:
        """Put the owner's map of embeds: JSON, or bytes that are none; None takes it away."""
        self._put(MAP_KEY, embed_map)

    def list_names(self, lists: object) -> None:
        """Put the owner's lists of names, in the same way."""
        self._put(LISTS_KEY, lists)

    def _put(self, key: str, content: object) -> None:
        if content is None:
            self.stack.s3.delete_object(Bucket=MAPS_BUCKET, Key=key)
            return
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.stack.s3.put_object(Bucket=MAPS_BUCKET, Key=key, Body=body)

    # ---- Requests --------------------------------------------------------------------------------------------------

    def event(self, datamart_name: str, **fields: Any) -> JsonObject:  # noqa: ANN401 -- any JSON
        """Make an event as EventBridge delivers it, with a retirementId of its own; `fields` go over defaults."""
        return {
            "version": "0",
            "id": str(uuid4()),
            "source": "datamart.lifecycle",
            "detail-type": "Datamart Retirement Requested",
            "account": "000000000000",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [],
            "detail": {
                "datamartName": datamart_name,
                "environment": "dev",
                "requestedBy": "the stack tests",
                "reason": "to see what happens",
                "retirementId": f"test-{uuid4()}",
                **fields,
            },
        }

    def restore_event(self, datamart_name: str, retirement_id: str, **fields: Any) -> JsonObject:  # noqa: ANN401 -- any JSON
        """Make the event that asks for a restore, with a restoreId of its own; `fields` go over defaults."""
        about = {"retirementId": retirement_id, "restoreId": f"back-{uuid4()}"}
        return {**self.event(datamart_name, **{**about, **fields}), "detail-type": RESTORE_REQUESTED}

    def ask(self, datamart_name: str, **fields: Any) -> str:  # noqa: ANN401 -- any JSON
        """Put a request on the bus and return its retirementId; `fields` go over defaults."""
        detail = self.event(datamart_name, **fields)["detail"]
        self.stack.put_event(detail)
        return str(detail["retirementId"])

    def ask_back(self, datamart_name: str, retirement_id: str, **fields: Any) -> str:  # noqa: ANN401 -- any JSON
        """Put a request to restore on the bus and return its restoreId; `fields` go over defaults."""
        detail = self.restore_event(datamart_name, retirement_id, **fields)["detail"]
        self.stack.put_event(detail, detail_type=RESTORE_REQUESTED)
        return str(detail["restoreId"])

    def send(self, event: JsonObject) -> str:
        """Put an event into the queue as the bus would, and return its retirementId. Sent again, it is a redelivery."""
        self.stack.put_message(json.dumps(event))
        return str(event["detail"]["retirementId"])

    def cancellation(self, request: JsonObject) -> JsonObject:
        """Make the event that cancels a request, as EventBridge delivers it; `request` is an event's detail."""
        identity = {field: request[field] for field in ("datamartName", "environment", "retirementId")}
        detail = {**identity, "requestedBy": "the owner", "reason": "still needed"}
        return {**self.event(""), "detail-type": CANCELLED, "detail": detail}

    def cancel(self, request: JsonObject) -> None:
        """Put a cancellation on the bus."""
        self.stack.put_event(self.cancellation(request)["detail"], detail_type=CANCELLED)

    def approval(self, request: JsonObject, plan_id: str, approved_by: str = "the owner") -> JsonObject:
        """Make the event that approves a plan, as EventBridge delivers it; `request` is an event's detail."""
        identity = {field: request[field] for field in ("datamartName", "environment", "retirementId")}
        detail = {**identity, "planId": plan_id, "approvedBy": approved_by, "reason": "reviewed"}
        return {**self.event(""), "detail-type": APPROVED, "source": "approvals", "detail": detail}

    def approve(self, request: JsonObject, plan_id: str, approved_by: str = "the owner") -> None:
        """Put an approval on the bus."""
        detail = self.approval(request, plan_id, approved_by)["detail"]
        self.stack.put_event(detail, source="approvals", detail_type=APPROVED)

    # ---- What came of them -----------------------------------------------------------------------------------------

    def result(self, retirement_id: str) -> PublishedResult:
        """Wait for a retirement's result as SNS delivers it: it keeps the contract, and is the receipt to the byte."""
        result = self.stack.next_result(retirement_id=retirement_id, timeout=DEADLINE)
        check_contract(result)
        (key,) = (key for key in self.new_objects() if key.endswith(f"/{retirement_id}/receipt.json"))
        assert self.kept(key).body.decode() == result.message
        spent_on = self.kept(key).metadata.get("request")  # a cancellation is of whatever content
        assert re.fullmatch("[0-9a-f]{64}", spent_on) if spent_on else result.document["outcome"] == "cancelled"
        return result

    def restored(self, restore_id: str) -> PublishedResult:
        """Wait for a restore's result as SNS delivers it: it keeps the contract, and is the receipt to the byte."""
        result = self.stack.next_result(restore_id=restore_id, timeout=DEADLINE)
        check_contract(result)
        (key,) = (key for key in self.new_objects() if key.endswith(f"/{restore_id}/receipt.json"))
        assert key.startswith("restores/")
        assert self.kept(key).body.decode() == result.message
        assert re.fullmatch("[0-9a-f]{64}", self.kept(key).metadata["request"])
        return result

    def rejection(self) -> JsonObject:
        """Wait for the next result, the test's only rejection: it keeps the contract, and the receipt adds the event.

        Returns the receipt.
        """
        result = self.stack.next_result(timeout=DEADLINE)
        check_contract(result)
        assert result.document["outcome"] == "rejected"
        (key,) = (key for key in self.new_objects() if key.startswith("rejected/"))
        *fields, (last, _) = self.kept(key).document.items()
        assert last == "event"
        assert fields == list(result.document.items())
        assert re.fullmatch("[0-9a-f]{64}", self.kept(key).metadata["request"])
        return self.kept(key).document

    def failure(self, retirement_id: str, *, attempts: int = 1) -> JsonObject:
        """Wait until so many attempts at a retirement have failed, and return what the function logged of the last."""

        def failures() -> list[JsonObject]:
            found = [line for line in self.log_of(retirement_id) if line.get("message") == "attempt failed"]
            return found if len(found) >= attempts else []

        found = self.eventually(failures)
        assert len(found) == attempts
        return found[-1]

    def eventually(self, question: Callable[[], T]) -> T:
        """Ask until the answer is true, and return it."""
        deadline = time.monotonic() + DEADLINE
        while not (answer := question()):
            assert time.monotonic() < deadline, f"it did not come about within {DEADLINE} s"
            time.sleep(0.1)
        return answer

    def settle(self) -> None:
        """Wait until all that was asked for has been answered."""
        self.eventually(lambda: not self.messages())

    def wind_down(self) -> None:
        """Wait until nothing is at work any more, which the next test would see; what is held back may stay."""
        deadline = time.monotonic() + AT_WORK
        while self.messages() and time.monotonic() < deadline:
            time.sleep(0.1)

    # ---- What there is now -----------------------------------------------------------------------------------------

    def deletions(self) -> list[str]:
        """The names in the delete requests that Databrain got, in either form, in order."""
        return [
            (request["query"] or request["body"])["datamartName"]
            for request in self.databrain.requests
            if request["path"].endswith(("/data-app/datamart", "/dataApp/datamart/delete"))
        ]

    def messages(self) -> Counter[str]:
        """How many requests wait: `visible`, `in flight` (at work, or failed and not yet due again), or `given up`."""
        counts: Counter[str] = Counter()
        places = {
            "RequestsQueueUrl": "visible",
            "SchedulingQueueUrl": "visible",
            "RestoresQueueUrl": "visible",
            "FailuresQueueUrl": "given up",
        }
        for queue, visible in places.items():
            attributes = self.stack.sqs.get_queue_attributes(
                QueueUrl=self.stack.outputs[queue],
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
            counts[visible] += int(attributes["ApproximateNumberOfMessages"])
            counts["in flight"] += int(attributes["ApproximateNumberOfMessagesNotVisible"])
        return +counts

    def new_objects(self) -> list[str]:
        """The keys in the evidence bucket that were not there when the test began, one for each version."""
        return sorted((self._object_versions() - self._objects_before).elements())

    def kept(self, key: str) -> EvidenceObject:
        """An object of the evidence bucket."""
        return self.stack.evidence(key)[key]

    def log(self) -> list[list[JsonObject]]:
        """The JSON lines that the function has logged since the test began, by invocation; an ended one has all."""
        invocations: list[list[JsonObject]] = []
        for line in self.stack.function_log(since=self.began):
            if line.startswith("START "):
                invocations.append([])
            elif line.startswith("{") and invocations:
                invocations[-1].append(json.loads(line))
        return invocations

    def log_of(self, retirement_id: str) -> list[JsonObject]:
        """What the function has logged in the invocations that were about a retirement."""
        return [
            line
            for lines in self.log()
            if any(line.get("retirementId") == retirement_id for line in lines)
            for line in lines
        ]

    # ---- Timers ----------------------------------------------------------------------------------------------------

    def timers(self) -> dict[str, JsonObject]:
        """The stack's timers by what they do: `retire` and `remind`."""
        scheduler, group = self.stack.scheduler, self.stack.outputs["ScheduleGroupName"]
        return {
            name.partition("-")[0]: dict(scheduler.get_schedule(Name=name, GroupName=group))
            for name in self.stack.timers()
        }

    def antedate(self, retirement_id: str, number: int = 1, **time: float) -> None:
        """Have a date of a retirement be set so long before now, for its reminder to be due."""
        (key,) = (key for key in self.new_objects() if key.endswith(f"/{retirement_id}/schedule-{number}.json"))
        kept, then = self.kept(key), (datetime.now(UTC) - timedelta(**time)).isoformat()
        bucket = self.stack.outputs["EvidenceBucketName"]
        body = json.dumps({**kept.document, "finishedAt": then}).encode()
        self.stack.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=kept.metadata)

    def let_go_off(self, timer: JsonObject) -> None:
        """Bring a timer forward: MiniStack looks for what is due every ten seconds."""
        fields = ("Name", "GroupName", "FlexibleTimeWindow", "Target", "ActionAfterCompletion")
        now = datetime.now(UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")
        self.stack.scheduler.update_schedule(ScheduleExpression=now, **{field: timer[field] for field in fields})

    # ---- The lock --------------------------------------------------------------------------------------------------

    def is_locked(self, name: str) -> bool:
        """Whether there is a lock on a datamart's name."""
        return "Item" in self.stack.dynamodb.get_item(TableName=self._coordination_table, Key=_lock(name))

    def lock(self, name: str, *, until: int) -> None:
        """Put somebody else's lock on a datamart's name; `until` is epoch seconds."""
        holder = {"holder": {"S": "somebody else"}, "until": {"N": str(until)}, "expiresAt": {"N": str(until)}}
        self.stack.dynamodb.put_item(TableName=self._coordination_table, Item={**_lock(name), **holder})

    def unlock(self, name: str) -> None:
        """Take whatever lock there is off a datamart's name."""
        self.stack.dynamodb.delete_item(TableName=self._coordination_table, Key=_lock(name))

    # ---- The count -------------------------------------------------------------------------------------------------

    def counted(self) -> int:
        """How many retirements are counted, on any day."""
        return sum(int(item["used"]["N"]) for item in self._days())

    def uncount(self) -> None:
        """Forget how many retirements were counted."""
        for item in self._days():
            self.stack.dynamodb.delete_item(TableName=self._coordination_table, Key={"pk": item["pk"]})

    def _days(self) -> list[Any]:
        pages = self.stack.dynamodb.get_paginator("scan").paginate(TableName=self._coordination_table)
        return [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("day#")]

    @cached_property
    def _coordination_table(self) -> str:
        resource = self.stack.cloudformation.describe_stack_resource(
            StackName=STACK_NAME, LogicalResourceId="CoordinationTable"
        )
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    def _object_versions(self) -> Counter[str]:
        pages = self.stack.s3.get_paginator("list_object_versions")
        listed = pages.paginate(Bucket=self.stack.outputs["EvidenceBucketName"])
        return Counter(version["Key"] for page in listed for version in page.get("Versions", []))


def ahead(**time: float) -> str:
    """A time in RFC 3339, so long from now."""
    return (datetime.now(UTC) + timedelta(**time)).isoformat(timespec="seconds")


def set_to(date: datetime) -> str:
    """When a timer is set to go off for a date: at the next whole minute."""
    return (date + timedelta(seconds=59)).strftime("at(%Y-%m-%dT%H:%M:00)")


def check_contract(result: PublishedResult) -> None:
    """What every published result keeps: the schema, and the attributes and subject that go with it."""
    document = result.document
    check_schema(document)
    times = [document[field] for field in ("requestedAt", "startedAt", "finishedAt")]
    assert all(time.endswith("Z") for time in times)
    assert times == sorted(times, key=datetime.fromisoformat)
    named = ("outcome", "datamartName", "environment")
    assert result.attributes == {name: document[name] for name in named if document[name]}
    assert result.subject is not None
    assert re.fullmatch(r"[!-~][ -~]{0,98}", result.subject)
    assert result.subject.endswith(f" {document['outcome'].replace('_', ' ')} [{document['environment']}]")


def _lock(name: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"lock#{name}"}}


def _entry(name: str, **fields: Any) -> JsonObject:  # noqa: ANN401 -- any field of the seed's schema
    return {
        "name": name,
        "createdAt": CREATED_AT,
        "companyIntegration": {"name": DATASOURCE},
        "datamartTables": [
            {"tableName": "orders", "datamartTableColumns": [{"columnName": "id", "datatype": "integer"}]}
        ],
        **fields,
    }
