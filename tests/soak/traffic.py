"""What is asked during a soak, and what others do to the datamarts meanwhile."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from local.databrain.organisation import Datamart, Organisation, timestamp
from local.databrain.seed import organisation_of
from local.emulator import REGION
from local.stack import EmbeddedStack, PublishedResult
from retirement.delivery.intake import APPROVED, CANCELLED, REQUESTED, RESTORE_REQUESTED

JsonObject = dict[str, Any]
Identity = tuple[str, str]  # of a datamart: its name and `createdAt`

# With characters that change when they are percent-encoded.
SERVICE_TOKEN = "service-token/of+the~soak=="
APP_KEYS = ("first-key/of+the~soak==", "second-key/of+the~soak==")
SECRETS = (SERVICE_TOKEN, *APP_KEYS)
DATASOURCE = "warehouse"
CREATED_AT = "2025-03-04T09:30:00.000Z"
USED, PROTECTED = "used", "protected"
TAILS = ("sales", "Straße ☃", "..%2F..", '<b>"x"</b>', "a/b")
PARAMETERS = {
    "Mode": "retire",
    "ProtectedDatamarts": f"{PROTECTED} *",
    "MaxRetirementsPerDay": "10000",
    # Attempts that wait for a dead one's lock must not hold up all others.
    "MaximumConcurrency": "20",
    "ApprovalSources": "approvals",
}
REQUESTER, OWNER = "the soak", "the owner"
INVALID: tuple[JsonObject, ...] = ({"dryRum": True}, {"reason": ""}, {"backup": "no"}, {"retirementId": "../.."})
CONTESTED = 10
# Seconds. Of a date for which a timer is set, and of one that never comes during a soak.
AHEAD, FAR_AHEAD = 55, 3 * 86_400
EARLY = 0.1  # of the restores come before their retirement is known to have ended


@dataclass(frozen=True)
class Deletion:
    """One deletion of a datamart; the times are RFC 3339."""

    name: str
    created_at: str
    at: str

    @property
    def datamart(self) -> Identity:
        """Which one."""
        return self.name, self.created_at

    @property
    def age(self) -> timedelta:
        """How long the datamart had been there."""
        return datetime.fromisoformat(self.at) - datetime.fromisoformat(self.created_at)


@dataclass(frozen=True)
class Asked:
    """One event that was sent, once or more often.

    `mark` is what it alone holds, `body` the message of one that went past the bus, and `ends` the outcomes that it
    may have. Of one that `shares` its retirement with another event, the receipt is told, or its own rejection.
    """

    mark: str
    detail: JsonObject
    ends: frozenset[str]
    body: str | None = None
    detail_type: str = REQUESTED
    shares: bool = False

    @property
    def is_event(self) -> bool:
        """Whether it is an event at all."""
        return bool(self.detail)

    @property
    def is_restore(self) -> bool:
        """Whether it asks for what a retirement has deleted."""
        return self.detail_type == RESTORE_REQUESTED

    @property
    def is_approval(self) -> bool:
        """Whether it approves a plan."""
        return self.detail_type == APPROVED

    @property
    def source(self) -> str:
        """Who sends it."""
        return "approvals" if self.is_approval else "datamart.lifecycle"

    @property
    def queue(self) -> str:
        """Where the rules send it: an output's name."""
        if self.is_restore:
            return "RestoresQueueUrl"
        is_due = self.detail_type == REQUESTED and "retireAt" not in self.detail
        return "RequestsQueueUrl" if is_due else "SchedulingQueueUrl"


class RememberingOrganisation(Organisation):
    """An organisation that remembers what was deleted, and what the API has created, in order.

    An edit of what is gone comes too late, and has no effect.
    """

    deleted: list[Deletion]
    created: list[Identity]

    @classmethod
    def of(cls, seed: JsonObject) -> "RememberingOrganisation":
        """Make one of a seed."""
        organisation = cls(**vars(organisation_of(seed)))
        organisation.deleted, organisation.created = [], []
        return organisation

    def put_datamart(self, datamart: Datamart) -> None:
        """Add or edit a datamart."""
        if (datamart.name, datamart.created_at) not in {deletion.datamart for deletion in self.deleted}:
            super().put_datamart(datamart)

    def create_datamart(self, body: JsonObject) -> str:
        """Create a datamart."""
        name = super().create_datamart(body)
        self.created.append((name, self.datamarts[name].created_at))
        return name

    def delete_datamart(self, name: str) -> None:
        """Delete a datamart."""
        created_at = self.datamarts[name].created_at
        super().delete_datamart(name)
        self.deleted.append(Deletion(name, created_at, timestamp()))


def organisation() -> RememberingOrganisation:
    """Datamarts that an embed uses, and the data app with that embed; all others come with the requests for them."""
    names = [f"{USED} {tail}" for tail in TAILS]
    app = {
        "name": "Portal",
        "tokens": [{"key": key} for key in APP_KEYS],
        "embeds": [{"embedId": f"embed of {name}", "datamart": name, "createdAt": CREATED_AT} for name in names],
    }
    return RememberingOrganisation.of(
        {
            "server": {"embedsTellDatamart": "access_settings"},
            "serviceToken": SERVICE_TOKEN,
            "datasources": [DATASOURCE],
            "datamarts": [{"name": name, **_configuration("id"), "createdAt": CREATED_AT} for name in names],
            "dataApps": [app],
        }
    )


class Traffic:
    """Sends requests of all kinds, one step after the other; `others` is what others change datamarts by."""

    def __init__(self, stack: EmbeddedStack, others: httpx.Client, random: Random) -> None:
        self.asked: list[Asked] = []
        self.deleted_by_others: set[Identity] = set()
        self._stack = stack
        self._random = random
        self._others = others
        self._numbers = count(1)
        self._created_at: dict[str, str] = {}
        self._contested: list[str] = []
        self._restored: set[str] = set()
        self._heard: set[str] = set()
        self._known_deleted: set[str] = set()  # by `retirementId`
        # By `retirementId`: what nobody approves, and what is cancelled when it awaits approval.
        self._unapproved: set[str] = set()
        self._to_cancel: dict[str, JsonObject] = {}

    def step(self) -> None:
        """Send one or two requests; now and then somebody else changes a datamart that is being retired."""
        kinds = {
            self._plain: 10,
            self._twice_at_once: 3,
            self._again: 6,
            self._two_ids: 3,
            self._one_id_for_two: 2,
            self._contest: 5,
            self._dry_run: 2,
            self._protected: 1,
            self._used: 2,
            self._absent: 1,
            self._invalid: 2,
            self._no_event: 1,
            self._dated: 4,
            self._moved: 3,
            self._cancelled: 3,
            self._cancelled_at_once: 3,
            self._restore: 4,
            self._restored_twice: 1,
            self._preview: 1,
            self._never_approved: 2,
            self._cancelled_when_asked: 2,
        }
        (kind,) = self._random.choices(list(kinds), list(kinds.values()))
        kind()
        if self._contested and self._random.random() < 0.5:
            self._meddle(self._random.choice(self._contested[-CONTESTED:]))

    def hear(self, results: Iterable[PublishedResult]) -> None:
        """Answer each plan that awaits approval, and approve once more what was cancelled instead."""
        for result in results:
            if result.message in self._heard:
                continue
            self._heard.add(result.message)
            told = result.document
            if told["outcome"] == "awaiting_approval":
                self._answer(told)
            elif told["outcome"] == "deleted":
                self._known_deleted.add(told["retirementId"])
            elif told["outcome"] == "cancelled" and told["retirementId"] in self._to_cancel:
                self._approve(told, self._to_cancel[told["retirementId"]]["planId"], OWNER, {"rejected"})

    # ---- Kinds of requests -----------------------------------------------------------------------------------------

    def _plain(self) -> None:
        self._ask(self._datamart(), {"deleted"}, backup=self._random.random() < 0.8)

    def _twice_at_once(self) -> None:
        self._plain()
        self._send_again(self.asked[-1])

    def _again(self) -> None:
        alone = [asked for asked in self.asked if not asked.shares]
        if alone:
            self._send_again(self._random.choice(alone))

    def _two_ids(self) -> None:
        name = self._datamart()
        for _ in range(2):
            self._ask(name, {"deleted", "already_absent"})

    def _one_id_for_two(self) -> None:
        name, retirement_id = self._datamart(), self._id()
        for backup in (True, False):
            self._ask(name, {"deleted", "rejected"}, retirementId=retirement_id, backup=backup)

    def _contest(self) -> None:
        name = self._datamart()
        self._ask(name, {"deleted", "already_absent", "blocked"})
        self._contested.append(name)

    def _dry_run(self) -> None:
        self._ask(self._datamart(), {"planned"}, dryRun=True)

    def _protected(self) -> None:
        self._ask(self._datamart(PROTECTED), {"blocked"})

    def _used(self) -> None:
        self._ask(f"{USED} {self._random.choice(TAILS)}", {"blocked"})

    def _absent(self) -> None:
        self._ask(f"absent {next(self._numbers)}", {"already_absent"})

    def _invalid(self) -> None:
        self._ask(self._datamart(), {"rejected"}, **self._random.choice(INVALID))

    def _no_event(self) -> None:
        mark = self._id()
        self._send(Asked(mark, {}, frozenset({"rejected"}), self._random.choice([mark, f'{{"id": {{"{mark}": 1}}}}'])))

    def _dated(self) -> None:
        self._ask(self._datamart(), {"deleted"}, retireAt=_in(self._random.choice([-3600, 5, AHEAD])))

    def _moved(self) -> None:
        detail = self._detail(self._datamart(), retireAt=_in(FAR_AHEAD))
        self._tell(detail, {"deleted", "rejected"}, shares=True)  # rejected where it comes when it is due
        self._tell({**detail, "retireAt": _in(0)}, {"deleted"})

    def _cancelled(self) -> None:
        detail = self._detail(self._datamart(), retireAt=_in(FAR_AHEAD))
        self._tell(detail, {"cancelled"})
        self._cancel(detail, {"cancelled"})

    def _cancelled_at_once(self) -> None:
        detail = self._detail(self._datamart(), retireAt=_in(self._random.choice([-3600, AHEAD])))
        if self._random.random() < 0.5:
            del detail["retireAt"]
        self._tell(detail, {"deleted", "cancelled"})
        self._cancel(detail, {"cancelled", "rejected"})

    def _never_approved(self) -> None:
        self._ask(self._datamart(), {"awaiting_approval"})
        self._unapproved.add(self.asked[-1].detail["retirementId"])

    def _cancelled_when_asked(self) -> None:
        self._ask(self._datamart(), {"cancelled"})
        request = self.asked[-1].detail
        self._to_cancel[request["retirementId"]] = request

    def _restore(self) -> None:
        """Under its old name once, and then under others: of two restores of a name, both may end unconfirmed."""
        gone = self._deleted()
        if gone:
            name = gone["datamartName"]
            is_new = name in self._restored or self._random.random() < 0.3
            self._restored.add(name)
            as_name = {"asName": f"restored {next(self._numbers)} {self._random.choice(TAILS)}"} if is_new else {}
            self._ask_back(gone, {"restored"}, **as_name)

    def _restored_twice(self) -> None:
        sent = len(self.asked)
        self._restore()
        if len(self.asked) > sent:
            self._send_again(self.asked[-1])

    def _preview(self) -> None:
        gone = self._deleted()
        if gone:
            as_name = f"restored {next(self._numbers)}"
            self._ask_back(gone, {"restore_planned"}, dryRun=True, asName=as_name)

    def _deleted(self) -> JsonObject | None:
        """What is deleted, with a backup, or now and then what is still to be."""
        is_early = self._random.random() < EARLY
        gone = [
            asked.detail
            for asked in self.asked
            if asked.ends == {"deleted"} and not asked.shares and asked.detail.get("backup", True)
            if is_early or asked.detail["retirementId"] in self._known_deleted
        ]
        return self._random.choice(gone) if gone else None

    # ---- Approvals -------------------------------------------------------------------------------------------------

    def _answer(self, asked_for: JsonObject) -> None:
        """Approve a plan, now and then twice, by two people, or after approvals that do not count."""
        retirement_id, plan_id = asked_for["retirementId"], asked_for["planId"]
        if self._random.random() < 0.2:
            self._approve(asked_for, plan_id, f" {REQUESTER.upper()}", {"rejected"})
        if self._random.random() < 0.2:
            self._approve(asked_for, "0" * 64, OWNER, {"rejected"})
        if retirement_id in self._to_cancel:
            request = self._to_cancel[retirement_id]
            self._to_cancel[retirement_id] = {**request, "planId": plan_id}
            self._cancel(request, {"cancelled"})
        elif retirement_id not in self._unapproved:
            self._approve(asked_for, plan_id, OWNER, {"approved", "rejected"})  # rejected where it has just ended
            if self._random.random() < 0.2:
                self._send_again(self.asked[-1])
            if self._random.random() < 0.2:
                self._approve(asked_for, plan_id, "somebody else", {"approved", "rejected"})

    def _approve(self, retirement: JsonObject, plan_id: str, approved_by: str, ends: Iterable[str]) -> None:
        identity = {field: retirement[field] for field in ("datamartName", "environment", "retirementId")}
        detail = {**identity, "planId": plan_id, "approvedBy": approved_by, "reason": "reviewed"}
        self._tell(detail, ends, APPROVED)

    # ---- Sending ---------------------------------------------------------------------------------------------------

    def _ask(self, name: str, ends: Iterable[str], **fields: object) -> None:
        self._tell(self._detail(name, **fields), ends)

    def _ask_back(self, gone: JsonObject, ends: Iterable[str], **fields: object) -> None:
        """Refused where the retirement has not ended yet."""
        identity = {name: gone[name] for name in ("datamartName", "retirementId")}
        detail = self._detail("", **identity, restoreId=self._id(), **fields)
        self._tell(detail, {*ends, "restore_blocked"}, RESTORE_REQUESTED)

    def _cancel(self, request: JsonObject, ends: Iterable[str]) -> None:
        """For the reason of the request, by which its receipt is known."""
        detail = {name: value for name, value in request.items() if name != "retireAt"}
        self._tell(detail, ends, CANCELLED, shares=True)

    def _detail(self, name: str, **fields: object) -> JsonObject:
        return {
            "datamartName": name,
            "environment": "dev",
            "requestedBy": REQUESTER,
            "reason": f"request {next(self._numbers)}",
            "retirementId": self._id(),
            **fields,
        }

    def _tell(
        self, detail: JsonObject, ends: Iterable[str], detail_type: str = REQUESTED, *, shares: bool = False
    ) -> None:
        asked = Asked("", detail, frozenset(ends), None, detail_type, shares)
        if self._random.random() < 0.7:
            self._put_on_the_bus(asked)
            return
        event_id = self._id()
        event = {
            "version": "0",
            "id": event_id,
            "source": asked.source,
            "detail-type": detail_type,
            "account": "000000000000",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [],
            "detail": detail,
        }
        self._send(replace(asked, mark=event_id, body=json.dumps(event)))

    def _put_on_the_bus(self, asked: Asked) -> None:
        mark = self._stack.put_event(asked.detail, source=asked.source, detail_type=asked.detail_type)
        self.asked.append(replace(asked, mark=mark))

    def _send(self, asked: Asked) -> None:
        assert asked.body is not None
        self._stack.put_message(asked.body, asked.queue)
        self.asked.append(asked)

    def _send_again(self, asked: Asked) -> None:
        if asked.body is None:
            self._put_on_the_bus(asked)  # as another event
        else:
            self._stack.put_message(asked.body, asked.queue)

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    # ---- Datamarts -------------------------------------------------------------------------------------------------

    def _datamart(self, kind: str = "datamart") -> str:
        name = f"{kind} {next(self._numbers)} {self._random.choice(TAILS)}"
        self._put(name, CREATED_AT, "id")
        return name

    def _meddle(self, name: str) -> None:
        """Others edit, re-create or delete a datamart."""
        match self._random.choice(["edit", "re-create", "delete"]):
            case "edit":
                self._put(name, self._created_at[name], f"column {next(self._numbers)}")
            case "re-create":
                self._put(name, timestamp(), "id")
            case "delete" if self._others.delete(f"/datamarts/{quote(name, safe='')}").is_success:
                self.deleted_by_others.add((name, self._created_at[name]))

    def _put(self, name: str, created_at: str, column: str) -> None:
        body = {**_configuration(column), "createdAt": created_at}
        self._others.put(f"/datamarts/{quote(name, safe='')}", json=body).raise_for_status()
        self._created_at[name] = created_at


def _in(seconds: float) -> str:
    """A time in RFC 3339."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _configuration(column: str) -> JsonObject:
    columns = [{"columnName": column, "datatype": "integer"}]
    return {
        "companyIntegration": {"name": DATASOURCE},
        "datamartTables": [{"tableName": "orders", "datamartTableColumns": columns}],
    }
