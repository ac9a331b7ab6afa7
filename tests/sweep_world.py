"""An organisation, a policy, and sweeps over it; what the functions do that hear of them is done by hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

from retirement.canonical import parse_json
from retirement.record.keys import retirement_key
from retirement.sweeping.ports import SweepPorts
from retirement.sweeping.settings import SweepSettings
from retirement.sweeping.workflow import sweep
from retirement.timestamps import format_timestamp
from tests.fakes import (
    START,
    SWEEP_SETTINGS,
    Call,
    FakeDatabrain,
    FakeDatamartLists,
    FakeEmbedMap,
    FakeEventBus,
    FakeEvidence,
    FakeReportsTopic,
    FakeSweepPolicy,
    Interference,
    LogicalClock,
    Parsed,
    PutEvent,
    RecordingTelemetry,
    entry_of,
    interfered,
)
from tests.faults.stage import in_process
from tests.faults.wire import InTurn

SECONDS = 900.0
DAY = timedelta(days=1)
OLD = START - 90 * DAY
RULE: dict[str, Any] = {
    "name": "trials",
    "owner": "growth@example.com",
    "reason": "trials end after 30 days",
    "names": ["trial-*"],
    "retireAfter": "14 days",
}


@contextmanager
def one_after_the_other() -> Iterator[None]:
    """Let a sweep read one thing after the other, so that its calls have an order, and compile each schema once."""
    with in_process(), patch("retirement.sweeping.workflow.ThreadPoolExecutor", InTurn):
        yield


@dataclass
class SweepWorld:
    """What there is, and what has come of it."""

    settings: SweepSettings = SWEEP_SETTINGS
    clock: LogicalClock = field(default_factory=LogicalClock)
    policy: FakeSweepPolicy = field(default_factory=FakeSweepPolicy)
    databrain: FakeDatabrain = field(default_factory=FakeDatabrain)
    embed_map: FakeEmbedMap = field(default_factory=FakeEmbedMap)
    datamart_lists: FakeDatamartLists = field(default_factory=FakeDatamartLists)
    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    event_bus: FakeEventBus = field(default_factory=FakeEventBus)
    reports_topic: FakeReportsTopic = field(default_factory=FakeReportsTopic)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    sweeps: int = 0
    calls: list[str] = field(default_factory=list)  # those of the last sweep, in order

    # ---- What there is ---------------------------------------------------------------------------------------------

    def rules(self, *rules: dict[str, Any], dry_run: bool | None = False) -> None:
        """Let the policy have these rules; None leaves out whether it is a dry run."""
        said = {} if dry_run is None else {"dryRun": dry_run}
        self.policy.body = json.dumps({"formatVersion": "1", **said, "rules": list(rules)}).encode()

    def datamarts(self, *names: str, created_at: datetime | None = OLD, updated_at: datetime | None = OLD) -> None:
        """Add datamarts, or replace them."""
        updated = {} if updated_at is None else {"updatedAt": format_timestamp(updated_at)}
        for name in names:
            self.databrain.datamarts[name] = entry_of(name, created_at) | updated

    def limits(self, **limits: int) -> None:
        """Set limits, or other settings."""
        self.settings = replace(self.settings, **cast("Any", limits))

    # ---- Sweeps ----------------------------------------------------------------------------------------------------

    def sweep(self, *interferences: Interference, started_by: str | None = None) -> Parsed:
        """One sweep, to its end; the first interference stands farthest outside."""
        self.clock.begin_invocation(SECONDS)
        self.sweeps += 1
        ports = SweepPorts(
            policy=self.policy,
            databrain=self.databrain,
            embed_map=self.embed_map,
            datamart_lists=self.datamart_lists,
            evidence=self.evidence,
            event_bus=self.event_bus,
            reports_topic=self.reports_topic,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        calls: list[str] = []

        def recorded(call: Call) -> object:
            calls.append(call.name)
            return call.proceed()

        for interference in (recorded, *reversed(interferences)):
            ports = interfered(ports, interference)
        try:
            return sweep(f"invocation-{self.sweeps}", self.settings, ports, dry_run=False, started_by=started_by)
        finally:
            self.calls = calls

    # ---- What comes of them, as the other functions write it -------------------------------------------------------

    def keep(self, of: PutEvent, file_name: str, /, **fields: Any) -> None:  # noqa: ANN401  # any JSON
        """Keep an object of the retirement that an event asked for."""
        detail = of.detail
        told = {
            "requestedBy": detail["requestedBy"],
            "requestReason": detail["reason"],
            "requestedAt": format_timestamp(self.clock.now()),
            "finishedAt": format_timestamp(self.clock.now()),
        }
        body = json.dumps(told | fields)
        self.evidence.create(retirement_key(detail["datamartName"], detail["retirementId"], file_name), body)

    def end(self, event: PutEvent, outcome: str) -> None:
        """Let a retirement end."""
        self.keep(event, "receipt.json", outcome=outcome)

    def schedule(self, *events: PutEvent, number: int = 1, retire_at: str | None = None) -> None:
        """Let retirements be scheduled, for the date that was asked for or another one."""
        for event in events:
            self.keep(
                event,
                f"schedule-{number}.json",
                outcome="scheduled",
                retireAt=retire_at or event.detail["retireAt"],
                event=json.dumps({"id": f"event-{number}", "time": format_timestamp(START)}),
            )

    def call_off(self, event: PutEvent, by: str, source: str = "admin", why: str = "still in use") -> None:
        """Let a retirement be cancelled by an event of this source."""
        kept = json.dumps({"source": source})
        self.keep(event, "cancelled.json", outcome="cancelled", requestedBy=by, requestReason=why, event=kept)

    # ---- What there is now -----------------------------------------------------------------------------------------

    @property
    def events(self) -> list[PutEvent]:
        """What was put on the bus, in order."""
        return self.event_bus.events

    @property
    def requests(self) -> list[PutEvent]:
        """Of that, what asks."""
        return [event for event in self.events if event.detail_type == "Datamart Retirement Requested"]

    @property
    def cancellations(self) -> list[PutEvent]:
        """Of that, what takes back."""
        return [event for event in self.events if event.detail_type == "Datamart Retirement Cancelled"]

    @property
    def asked(self) -> dict[str, Parsed]:
        """What is kept as asked for, by retirementId."""
        return {
            key.removeprefix("sweeps/asked/").removesuffix(".json"): parse_json(kept.body)
            for key, kept in self.evidence.objects.items()
            if key.startswith("sweeps/asked/")
        }

    @property
    def reports(self) -> list[Parsed]:
        """What was published, parsed."""
        return [parse_json(message) for message in self.reports_topic.messages]


def states(report: Parsed) -> dict[str, str]:
    """What was done about each datamart that matches."""
    return {entry["datamartName"]: entry["state"] for entry in report["matched"]}


def whys(report: Parsed) -> dict[str, str]:
    """Why each datamart was skipped."""
    return {entry["datamartName"]: entry["why"] for entry in report["skipped"]}
