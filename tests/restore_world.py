"""An organisation, what a retirement has left of one of its datamarts, and restores of it; on fakes of AWS."""

import copy
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from local.databrain.faults import RouteId
from local.databrain.listing import datamart_item, embed_export, embed_item
from local.databrain.organisation import DataApp, Datamart, Embed, Organisation
from local.databrain.seed import organisation_of
from retirement.aws.service_token import ServiceToken
from retirement.canonical import canonical_json, parse_json, sha256_hex
from retirement.databrain import dependents
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.dependents import Verdict
from retirement.databrain.restorer import DatabrainRestorer
from retirement.databrain.snapshot import Listing, Snapshot
from retirement.delivery.answering import answer
from retirement.delivery.intake import receive
from retirement.errors import DatabrainUnavailable
from retirement.outcomes import Outcome
from retirement.record import backup as record_backup
from retirement.record.intents import Intent
from retirement.record.keys import restore_key, retirement_key
from retirement.record.organisation import Organisation as Witnesses
from retirement.record.organisation import identity_of
from retirement.record.results import Grounds, Result
from retirement.requests import MAX_RECEIVES
from retirement.restoring.ports import RestorePorts
from retirement.restoring.settings import RestoreSettings
from retirement.restoring.workflow import restore
from retirement.stored_object import BackupReference, StoredObject
from retirement.timestamps import parse_timestamp
from tests.fakes import (
    RESTORE_SETTINGS,
    START,
    Call,
    Crash,
    FakeCoordination,
    FakeEvidence,
    FakeProgress,
    FakeQueue,
    FakeResultsTopic,
    Interference,
    LogicalClock,
    Parsed,
    RecordingTelemetry,
    from_queue,
    interfered,
    restore_requested,
)
from tests.faults.wire import APP_KEY, SERVICE_TOKEN, Answer, Connection, Sent, answer_of

SECONDS = 900.0
BASE_URL = "https://databrain.test"
INTRANET_KEY = "made-up-key-of-the-intranet-2e"
SECRETS = (SERVICE_TOKEN, APP_KEY, INTRANET_KEY)
RETIREMENT_ID = "offboard-1"
CREATED_AT = "2026-01-15T10:30:00.000Z"

SALES: dict[str, Any] = {
    "name": "sales",
    "createdAt": CREATED_AT,
    "companyIntegration": {"name": "warehouse"},
    "datamartOrganization": {
        "tenancyLevel": "TABLE",
        "schemaName": "public",
        "tableName": "tenants",
        "clientColumnType": "STRING",
        "tableClientNameColumn": "name",
        "tablePrimaryKeyColumn": "id",
    },
    "datamartTables": [
        {
            "schemaName": "public",
            "tableName": "orders",
            "label": "Orders",
            "clientColumn": "tenant_id",
            "isHide": False,
            "datamartTableColumns": [
                {
                    "columnName": "id",
                    "datatype": "integer",
                    "alias": "order_id",
                    "label": "Order",
                    "isHide": False,
                    "isCustomColumn": False,
                    "sql": "",
                    "isApplyTimezone": False,
                },
                {
                    "columnName": "net",
                    "datatype": "varchar",
                    "alias": "net",
                    "label": "Net",
                    "isHide": True,
                    "isCustomColumn": True,
                    "sql": "total / 1.19 -- SECRET SQL",
                    "isApplyTimezone": False,
                },
            ],
        },
        {
            "schemaName": "public",
            "tableName": "lines",
            "label": "Zeilen \u0104\u010c e\u0301 \U0001f642",
            "clientColumn": "tenant_id",
            "isHide": True,
            "datamartTableColumns": [
                {
                    "columnName": "id",
                    "datatype": "integer",
                    "alias": "id",
                    "label": "id",
                    "isHide": False,
                    "isCustomColumn": False,
                    "sql": "",
                    "isApplyTimezone": False,
                }
            ],
        },
    ],
    "datamartRelationships": [
        {"parentTableName": "orders", "parentColumnName": "id", "childTableName": "lines", "childColumnName": "id"}
    ],
    "semanticLayer": {
        "tables": [
            {
                "name": "orders",
                "schemaName": "public",
                "description": "One row an order",
                "synonyms": ["purchases"],
                "miscellaneousInfo": None,
                "columns": [
                    {
                        "name": "id",
                        "datatype": "integer",
                        "description": "Its number",
                        "synonyms": [],
                        "miscellaneousInfo": None,
                        "columnType": "Identifier",
                        "columnTypeConfig": None,
                        "isIdentifier": True,
                        "isNotIndexed": False,
                    }
                ],
            }
        ],
        "feedback": "in USD",
        "completionScore": 75,
        "lastUpdated": CREATED_AT,
    },
}
RETURNS = {
    "name": "returns",
    "createdAt": CREATED_AT,
    "companyIntegration": {"name": "warehouse"},
    "datamartTables": [{"tableName": "back", "datamartTableColumns": [{"columnName": "id", "datatype": "integer"}]}],
}
METRIC = {"metricId": "revenue", "name": "Revenue", "query": "SELECT 1 -- SECRET SQL"}
RIGHTS = {
    "isAllowManageMetrics": True,
    "isAllowUnderlyingData": True,
    "metricCreationMode": "CHAT",
    "joinModel": "multi",
}
TENANCY = [{"name": "orders", "clientColumn": "tenant_id"}, {"name": "lines", "clientColumn": "tenant_id"}]


def seed(**server: object) -> dict[str, Any]:
    """Two datamarts, and embeds of `sales` in two data apps."""

    def dashboard(dashboard_id: str) -> dict[str, Any]:
        return {"dashboardId": dashboard_id, "data": {"layout": [], "filters": [], "metrics": [METRIC]}}

    def embed(embed_id: str, **fields: object) -> dict[str, Any]:
        settings = {**RIGHTS, "tableTenancySettings": TENANCY}
        return {
            "embedId": embed_id,
            "name": f"The {embed_id}",
            "datamart": "sales",
            "accessSettings": settings,
            "createdAt": CREATED_AT,
            **fields,
        }

    return copy.deepcopy(
        {
            "server": {"embedsTellDatamart": "access_settings", **server},
            "serviceToken": SERVICE_TOKEN,
            "datasources": ["warehouse"],
            "datamarts": [SALES, RETURNS],
            "workspaces": [
                {"name": "Sales", "datamartName": "sales", "dashboards": [dashboard("overview"), dashboard("details")]}
            ],
            "dataApps": [
                {
                    "name": "Portal",
                    "createdAt": CREATED_AT,
                    "tokens": [{"key": APP_KEY}],
                    "embeds": [
                        embed("board", dashboardId="overview"),
                        embed("figure", embedType="metric", metricId="revenue", workspaceName="Sales"),
                        embed("others", dashboardId="details", datamart="returns", accessSettings={}),
                    ],
                },
                {
                    "name": "Intranet",
                    "createdAt": CREATED_AT,
                    "tokens": [{"key": INTRANET_KEY}],
                    "embeds": [embed("mirror", dashboardId="details")],
                },
            ],
        }
    )


@dataclass
class RestoreWorld:
    """What there is, what a retirement has left, and what has come of restores."""

    settings: RestoreSettings = RESTORE_SETTINGS
    organisation: Organisation = field(default_factory=lambda: organisation_of(seed()))
    clock: LogicalClock = field(default_factory=lambda: LogicalClock(seconds=SECONDS))
    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    coordination: FakeCoordination = field(default_factory=FakeCoordination)
    inbox: FakeQueue = field(default_factory=FakeQueue)
    progress: FakeProgress = field(default_factory=FakeProgress)
    results_topic: FakeResultsTopic = field(default_factory=FakeResultsTopic)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    service_token: str = SERVICE_TOKEN
    requests: list[Sent] = field(default_factory=list)  # to Databrain
    created_datamarts: list[str] = field(default_factory=list)
    created_embeds: list[tuple[str, Embed]] = field(default_factory=list)  # with their data apps
    retired: dict[str, Datamart] = field(default_factory=dict)
    gone: list[tuple[str, Embed]] = field(default_factory=list)  # embeds that went with them
    deliveries: int = 0
    calls: list[str] = field(default_factory=list)  # those of the last delivery, in order

    # ---- What a retirement leaves ----------------------------------------------------------------------------------

    def retire(
        self,
        name: str = "sales",
        *,
        outcome: str = Outcome.DELETED,
        backs_up: bool = True,
        **backup: Any,  # noqa: ANN401  # any JSON
    ) -> Parsed:
        """Delete a datamart as a retirement does, and keep what it keeps; `backup` are fields to keep instead.

        Returns the backup.
        """
        before = copy.deepcopy(self.organisation)
        datamart = before.datamarts[name]
        document = {**self.backup_of(name), **backup}
        text = canonical_json(document)
        key = f"backups/{name}/{RETIREMENT_ID}/backup-{sha256_hex(text)[:16]}.json"
        reference = BackupReference("evidence", key, "version-1", sha256_hex(text), len(text.encode()))
        if backs_up:
            self.evidence.create(key, text)
        self.organisation.delete_datamart(name)
        self.retired[name] = datamart
        there = {embed.embed_id for app in self.organisation.data_apps.values() for embed in app.embeds}
        self.gone += [
            (app.name, embed)
            for app in before.data_apps.values()
            for embed in app.embeds
            if embed.embed_id not in there
        ]
        self._keep(name, datamart, reference if backs_up else None, outcome, before)
        return document

    def backup_of(self, name: str = "sales") -> Parsed:
        """The backup that a retirement would make now."""
        return copy.deepcopy(backup_of(self.organisation.datamarts[name], self.organisation))

    def _keep(
        self, name: str, datamart: Datamart, reference: BackupReference | None, outcome: str, before: Organisation
    ) -> None:
        identity = identity_of(name, RETIREMENT_ID)
        listing = Listing({each.name: parse_timestamp(each.created_at) for each in before.datamarts.values()})
        apps = {app.name: parse_timestamp(app.created_at) for app in before.data_apps.values()}
        fingerprint = sha256_hex(canonical_json([BASE_URL, self.service_token, identity]))[:16]
        intent = Intent(
            detail={},
            datamart_name=name,
            created_at=parse_timestamp(datamart.created_at),
            configuration_hash="0" * 64,
            plan_id="p",
            dependents={},
            backup=reference,
            not_restorable=() if reference else None,
            invocation_id="retirement",
            content_hash="0" * 64,
            organisation=Witnesses.of(identity, fingerprint, name, listing, apps),
        )
        result = Result(
            retirement_id=RETIREMENT_ID,
            datamart_name=name,
            requested_by="ops",
            request_reason="left",
            outcome=Outcome(outcome),
            reason=None,
            message="-",
            environment="prod",
            requested_at=START,
            started_at=START,
            finished_at=START,
            grounds=Grounds(backup=reference),
        )
        self.evidence.create(retirement_key(name, RETIREMENT_ID, "intent.json"), intent.to_json())
        receipt = retirement_key(name, RETIREMENT_ID, "receipt.json")
        self.evidence.create(receipt, canonical_json(result.document()), "0" * 64)

    def change(self, key: str, body: str | None) -> None:
        """Put another object in the place of one, or take it away; only an administrator can."""
        stored = self.evidence.objects.pop(key)
        if body is not None:
            self.evidence.objects[key] = StoredObject(stored.bucket, key, "version-x", body, stored.content_hash)

    @property
    def backup(self) -> Parsed:
        """The only backup, parsed."""
        return parse_json(self.evidence.objects[self.backup_key].body)

    @property
    def backup_key(self) -> str:
        """Of the only backup."""
        (key,) = (key for key in self.evidence.objects if key.startswith("backups/"))
        return key

    # ---- Restores --------------------------------------------------------------------------------------------------

    def deliver(
        self, event: object, *interferences: Interference, receive_count: int = 1, seconds: float = SECONDS
    ) -> Parsed:
        """One delivery, by an invocation of its own, after the lock of any other has expired."""
        self.clock.advance(SECONDS)
        self.clock.begin_invocation(seconds)
        return self.deliver_alongside(event, *interferences, receive_count=receive_count)

    def deliver_alongside(
        self, event: object, *interferences: Interference, receive_count: int = 1, sent_at: datetime = START
    ) -> Parsed:
        """One delivery that takes place during another one; the clock is theirs in common."""
        self.deliveries += 1
        message = from_queue(event, sent_at, receive_count)
        delivery = receive(message, f"invocation-{self.deliveries}", self.clock.now())
        calls: list[str] = []

        def recorded(call: Call) -> object:
            calls.append(call.name)
            return call.proceed()

        ports = self.ports()
        for interference in (recorded, *reversed(interferences)):
            ports = interfered(ports, interference)
        try:
            return answer(delivery, restore, self.settings, ports)
        finally:
            self.calls = calls

    def until_it_ends(self, event: object, *interferences: Interference) -> Parsed:
        """Deliver until there is a result; the first delivery with the interferences. The sixth receive gives up."""
        for receive_count in range(1, MAX_RECEIVES):
            with suppress(Crash, Exception):  # whatever it is, the queue gets it
                return self.deliver(event, *interferences, receive_count=receive_count)
            interferences = ()
        return self.deliver(event, receive_count=MAX_RECEIVES)

    def ports(self) -> RestorePorts:
        """What a restore talks to."""
        return RestorePorts(
            databrain=DatabrainRestorer(
                cast("Any", Connection(self._send, BASE_URL)),
                api=self.settings.databrain_api,
                token=ServiceToken(cast("Any", self), self.settings.service_token_secret_arn),
                clock=self.clock,
                telemetry=self.telemetry,
            ),
            evidence=self.evidence,
            coordination=self.coordination,
            inbox=self.inbox,
            progress=self.progress,
            results_topic=self.results_topic,
            telemetry=self.telemetry,
            clock=self.clock,
        )

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803, ARG002  # boto3's spelling
        """Answer as Secrets Manager."""
        return {"SecretString": self.service_token}

    def _send(self, sent: Sent) -> Answer:
        self.requests.append(sent)
        before = set(self.organisation.datamarts), embeds_in(self.organisation)
        answered = answer_of(self.organisation, sent)
        self.created_datamarts += sorted(set(self.organisation.datamarts) - before[0])
        old = {embed.embed_id for _, embed in before[1]}
        self.created_embeds += [pair for pair in embeds_in(self.organisation) if pair[1].embed_id not in old]
        return answered

    def sent_to(self, route: RouteId) -> list[Any]:
        """The bodies that Databrain got on one route, in order."""
        return [sent.body for sent in self.requests if sent.route is route]

    # ---- What came of them -----------------------------------------------------------------------------------------

    @property
    def published(self) -> list[Parsed]:
        """All published results, parsed."""
        return [parse_json(message) for message in self.results_topic.messages]

    def kept(self, file_name: str, event: Mapping[str, Any] | None = None) -> Parsed:
        """An object of a restore, parsed; None where there is none."""
        detail = (event or restore_requested())["detail"]
        key = restore_key(detail["datamartName"], detail["retirementId"], detail["restoreId"], file_name)
        return parse_json(self.evidence.objects[key].body) if key in self.evidence.objects else None

    @property
    def written(self) -> list[str]:
        """What restores have written: the names of the files, in order, without what retirements left."""
        keys = (key for key in self.evidence.objects if not key.startswith(("retirements/", "backups/")))
        return [key.rpartition("/")[2] if key.startswith("restores/") else key for key in keys]

    def entry(self, name: str = "sales") -> Parsed:
        """A datamart as it is listed now, without times."""
        return without_times(datamart_item(self.organisation.datamarts[name], expanded=True, dated=True))

    def entry_before(self, name: str = "sales") -> Parsed:
        """A datamart as it was listed before it was retired."""
        return without_times(datamart_item(self.retired[name], expanded=True, dated=True))

    def layer(self, name: str = "sales") -> Parsed:
        """Its semantic layer, without what changes by itself."""
        return without_times(self.organisation.datamarts[name].semantic_layer or {})

    def layer_before(self, name: str = "sales") -> Parsed:
        """Its semantic layer, as it was."""
        return without_times(self.retired[name].semantic_layer or {})

    def put(self, name: str, **fields: Any) -> None:  # noqa: ANN401  # any field of the organisation's
        """Let somebody else create a datamart."""
        datamart = organisation_of(seed()).datamarts["returns"]
        self.organisation.datamarts[name] = replace(datamart, name=name, **fields)


class Lost:
    """Loses the answer to the `nth` call of one name, of which the effect `happens` now, or when `arrive` is called."""

    def __init__(self, name: str, *, happens: bool = True, nth: int = 1) -> None:
        self._name = name
        self._happens = happens
        self._left = nth
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> object:
        """Lose the answer, or pass the call on."""
        self._left -= call.name == self._name
        if call.name != self._name or self._left != 0 or self.calls:
            return call.proceed()
        self.calls.append(call)
        if self._happens:
            call.proceed()
        return CreateAnswer(CreateEffect.UNKNOWN, DatabrainUnavailable(f"{call.name}: no answer (ReadTimeout)"))

    def arrive(self) -> None:
        """Let the effect happen late."""
        self.calls[0].proceed()


class AnswerWith:
    """Answers the `nth` call of one name by itself; nothing happens. `times`: also those after it."""

    def __init__(self, name: str, answered: object, *, nth: int = 1, times: int = 1) -> None:
        self._name = name
        self._answered = answered
        self._nth = nth
        self._times = times
        self._seen = 0

    def __call__(self, call: Call) -> object:
        """Answer, or pass the call on."""
        if call.name != self._name:
            return call.proceed()
        self._seen += 1
        if not self._nth <= self._seen < self._nth + self._times:
            return call.proceed()
        return self._answered


def embeds_in(organisation: Organisation) -> list[tuple[str, Embed]]:
    """All embeds, each with its data app."""
    return [(app.name, embed) for app in organisation.data_apps.values() for embed in app.embeds]


def without_times(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what changes by itself."""
    ignored = {"createdAt", "updatedAt", "lastUpdated", "completionScore"}
    return {key: value for key, value in document.items() if key not in ignored}


def backup_of(datamart: Datamart, organisation: Organisation) -> dict[str, Any]:
    """The backup that a retirement makes of a datamart."""
    layer = datamart.semantic_layer
    snapshot = Snapshot(
        name=datamart.name,
        created_at=parse_timestamp(datamart.created_at),
        entry=datamart_item(datamart, expanded=True, dated=organisation.options.lists_created_at),
        semantic_layer=None if layer is None else {"datamartName": datamart.name, **layer},
        listing=Listing({}),
    )
    embeds = [
        backed_up(embed, app, organisation)
        for app in organisation.data_apps.values()
        for embed in app.embeds
        if embed.datamart in {datamart.name, None}
    ]
    return cast("dict[str, Any]", record_backup.backup_of(snapshot, embeds, legacy=False))


def backed_up(embed: Embed, app: DataApp, organisation: Organisation) -> record_backup.BackedUpEmbed:
    """An embed as a retirement exports it."""
    told = organisation.options.embeds_tell_datamart
    dashboard = organisation.dashboard_of(embed)
    data = {"layout": [], "filters": [], "metrics": [METRIC]} if dashboard is None else dashboard.data
    return record_backup.BackedUpEmbed(
        embed=dependents.Embed(
            embed_id=embed.embed_id,
            name=embed.name,
            data_app_name=app.name,
            datamart_name=embed.datamart,
            created_at=None,
            updated_at=None,
            item=embed_item(embed, app, organisation.title_of(embed), told, legacy=False),
        ),
        verdict=Verdict.UNDETERMINED if embed.datamart is None else Verdict.USES,
        export=embed_export(embed, data, CREATED_AT),
        workspace_name=embed.workspace,
        why_not=None,
    )
