"""Sweeps, crashes, editors of the policy, people, and the functions that hear of sweeps, in any order.

After each sweep that nothing disturbs, what was asked for and what was said is held against what there is.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from retirement.record.keys import retirement_key
from retirement.sweeping.ids import Subject
from retirement.timestamps import parse_timestamp
from tests.fakes import Crash, CrashAt, Parsed, PutEvent
from tests.sweep_world import RULE, SweepWorld, one_after_the_other, whys
from tests.unit.sweeping.test_sweep_report import follows_schema

NAMES = st.sampled_from(["trial-1", "trial-2", "sales"])
TRIALS = RULE | {"notUpdatedFor": "1 day", "retireAfter": "3 days"}
ALL = RULE | {"name": "all", "names": ["*"], "exempt": ["sales"], "retireAfter": "1 day"}
NOW = RULE | {"name": "now", "names": ["sales", "trial-2"], "retireAfter": "0 days"}
OWNERS = st.sampled_from(["growth@example.com", "ops@example.com"])
POLICIES = st.lists(
    st.sampled_from([TRIALS, ALL, NOW]), min_size=1, max_size=3, unique_by=lambda each: str(each["name"])
)
MAX_CALLS = 30
SPARED = "no sweep requests it again"


class Interleavings(RuleBasedStateMachine):
    """The other functions hear of events when `hear` says so, in order; a retirement takes place at once when due."""

    def __init__(self) -> None:
        super().__init__()
        self._in_order = one_after_the_other()
        self._in_order.__enter__()
        self.world = SweepWorld()
        self.heard = 0
        self.cancelled: set[tuple[str, str]] = set()  # by a person: datamart and retirementId
        self.sent = 0
        self.asked: set[str] = set()

    def teardown(self) -> None:
        """Give the real pools back."""
        self._in_order.__exit__(None, None, None)

    @initialize(rules=POLICIES, dated=st.booleans())
    def begin(self, rules: list[dict[str, Any]], dated: bool) -> None:  # noqa: FBT001  # a strategy's value
        """Servers differ in whether they tell createdAt."""
        self.dated = dated
        self.world.rules(*rules)
        for name in ("trial-1", "sales"):
            self.create(name)

    # ---- Sweeps ----------------------------------------------------------------------------------------------------

    @rule()
    def sweep(self) -> None:
        """A sweep that nothing disturbs."""
        before = len(self.world.events)
        report = self.world.sweep()
        assert not report["dryRun"] or len(self.world.events) == before
        self.is_right(report)

    @rule(at=st.integers(1, MAX_CALLS), after=st.booleans())
    def sweep_in_trouble(self, at: int, after: bool) -> None:  # noqa: FBT001  # a strategy's value
        """A sweep that crashes, if it has so many calls."""
        with suppress(Crash):
            self.world.sweep(CrashAt(at, after=after))

    @rule(at=st.integers(1, MAX_CALLS))
    def two_sweeps(self, at: int) -> None:
        """A sweep that another one overtakes."""

        def interfere(call: Parsed) -> object:
            if call.number == at:
                self.world.clock.advance(5)
                self.world.sweep()
            return call.proceed()

        self.world.sweep(interfere)

    # ---- People ----------------------------------------------------------------------------------------------------

    @rule(rules=POLICIES, owner=OWNERS, dry_run=st.sampled_from([False, False, True]))
    def edit(self, rules: list[dict[str, Any]], owner: str, dry_run: bool) -> None:  # noqa: FBT001  # a strategy's value
        """Somebody puts another policy."""
        self.world.rules(*(each | {"owner": owner} for each in rules), dry_run=dry_run)

    @rule(hours=st.sampled_from([1, 24, 48]))
    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.world.clock.advance(hours * 3600)

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        """Somebody creates a datamart, perhaps anew."""
        now = self.world.clock.now()
        self.world.datamarts(name, created_at=now if self.dated else None, updated_at=now)

    @precondition(lambda self: self.world.databrain.datamarts)
    @rule(data=st.data())
    def update(self, data: Any) -> None:  # noqa: ANN401  # Hypothesis does not tell the type
        """Somebody works on a datamart."""
        name = data.draw(st.sampled_from(sorted(self.world.databrain.datamarts)))
        created_at = self.world.databrain.list_datamarts().created_at[name]
        self.world.datamarts(name, created_at=created_at, updated_at=self.world.clock.now())

    @precondition(lambda self: self.world.databrain.datamarts)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:  # noqa: ANN401  # the same
        """Somebody deletes a datamart."""
        del self.world.databrain.datamarts[data.draw(st.sampled_from(sorted(self.world.databrain.datamarts)))]

    @precondition(lambda self: self.world.requests)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:  # noqa: ANN401  # the same
        """Somebody cancels a retirement that is not over, and is the last of its kind."""
        event = data.draw(st.sampled_from(self.world.requests))
        stem, _, number = event.detail["retirementId"].rpartition("-")
        is_last = f"{stem}-{int(number) + 1}" not in self.world.asked
        if is_last and not self.kept(event, "receipt.json") and not self.kept(event, "cancelled.json"):
            self.world.call_off(event, "ops@example.com")
            self.cancelled.add((event.detail["datamartName"], event.detail["retirementId"]))

    # ---- The functions that hear of sweeps -------------------------------------------------------------------------

    @rule()
    def hear(self) -> None:
        """What was put on the bus is heard: scheduled, or cancelled."""
        for event in self.world.events[self.heard :]:
            if event.detail_type.endswith("Cancelled"):
                if not self.kept(event, "receipt.json") and not self.kept(event, "cancelled.json"):
                    self.world.call_off(event, event.detail["requestedBy"], event.source)
            elif not self.kept(event, "schedule-1.json") and not self.kept(event, "cancelled.json"):
                self.world.schedule(event)
        self.heard = len(self.world.events)

    @rule(outcome=st.sampled_from(["deleted", "deleted", "planned", "blocked", "failed"]))
    def fall_due(self, outcome: str) -> None:
        """What is due is carried out, or not."""
        for event in self.world.requests:
            is_over = any(self.kept(event, name) for name in ("receipt.json", "cancelled.json", "failure-1.json"))
            is_due = parse_timestamp(event.detail["retireAt"]) <= self.world.clock.now()
            if not is_over and is_due and self.kept(event, "schedule-1.json"):
                if outcome == "failed":
                    self.world.keep(event, "failure-1.json", outcome=outcome)
                    continue
                self.world.end(event, outcome)
                if outcome == "deleted":
                    self.world.databrain.datamarts.pop(event.detail["datamartName"], None)

    # ---- What must hold --------------------------------------------------------------------------------------------

    @invariant()
    def what_is_sent_is_what_is_kept(self) -> None:
        """Each request says what is kept under its identity, so that it says the same each time, the date included."""
        for event in self.world.requests[self.sent :]:
            assert self.world.asked[event.detail["retirementId"]] == event.detail
        self.sent = len(self.world.requests)

    @invariant()
    def asked_anew_after_an_end(self) -> None:
        """A number is asked for only where the one before it was heard of no more, or was not carried out."""
        now = self.world.asked
        for retirement_id in now.keys() - self.asked:
            stem, _, number = retirement_id.rpartition("-")
            if number == "1":
                continue
            before = f"{stem}-{int(number) - 1}"
            name = now[before]["datamartName"]
            if self.is_live(name, before):
                assert retirement_key(name, before, "schedule-1.json") not in self.world.evidence.objects
            receipt = self.world.evidence.objects.get(retirement_key(name, before, "receipt.json"))
            assert receipt is None or '"outcome": "deleted"' not in receipt.body
        self.asked = set(now)

    @invariant()
    def what_somebody_cancelled_stays(self) -> None:
        """No sweep asks again for what a person has cancelled."""
        for _, retirement_id in self.cancelled:
            stem, _, number = retirement_id.rpartition("-")
            assert f"{stem}-{int(number) + 1}" not in self.world.asked

    def is_right(self, report: Parsed) -> None:
        """What an undisturbed sweep has said is so, and nothing is left that it should have taken back."""
        follows_schema(report)
        listing = self.world.databrain.list_datamarts()
        cancelled = {name for name, _ in self.cancelled}
        assert {name for name, why in whys(report).items() if SPARED in why} <= cancelled
        matched = {entry["datamartName"]: entry for entry in report["matched"]}
        assert matched.keys() <= listing.created_at.keys()
        for name, entry in matched.items():
            subject = Subject.of(entry["rule"], name, listing.created_at[name])
            assert entry["retirementId"].startswith(subject.retirement_id(1)[:-1])
            if entry["state"] in {"asked", "repeated", "pending"}:
                kept = self.world.asked[entry["retirementId"]]
                assert (kept["datamartName"], kept["retireAt"]) == (name, entry["retireAt"])
            if entry["state"] == "asked":
                assert parse_timestamp(entry["retireAt"]) >= self.world.clock.now() - timedelta(seconds=1)
        if report["dryRun"]:
            assert not {"asked", "repeated"} & {entry["state"] for entry in report["matched"]}
            return
        cancelled = {event.detail["retirementId"] for event in self.world.cancellations}
        for retirement_id, detail in self.world.asked.items():
            name = detail["datamartName"]
            if name not in listing or not self.is_live(name, retirement_id):
                continue
            rule_name = retirement_id.removeprefix("sweep-").rsplit("-", 2)[0]
            if not retirement_id.startswith(
                Subject.of(rule_name, name, listing.created_at[name]).retirement_id(1)[:-1]
            ):
                continue  # of an earlier datamart of that name
            entry = matched.get(name)
            matching = {entry["rule"], *entry["alsoMatched"]} if entry else set()
            spared = SPARED in whys(report).get(name, "")
            assert rule_name in matching or retirement_id in cancelled or spared

    def is_live(self, name: str, retirement_id: str) -> bool:
        """Whether a retirement can still take place."""
        files = ("receipt.json", "cancelled.json", "failure-1.json")
        return not any(retirement_key(name, retirement_id, file) in self.world.evidence.objects for file in files)

    def kept(self, event: PutEvent, file_name: str) -> bool:
        """Whether there is such an object of a retirement."""
        detail = event.detail
        return retirement_key(detail["datamartName"], detail["retirementId"], file_name) in self.world.evidence.objects


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
