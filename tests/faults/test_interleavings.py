"""Requests, deliveries, crashes, clock jumps and people, in any order, against a model of what must come of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from local.databrain.organisation import Datamart
from retirement.canonical import Document, canonical_json, sha256_hex
from retirement.delivery.intake import NOT_COMPARED
from retirement.outcomes import Reason
from retirement.record.intents import Intent
from retirement.requests import MAX_RECEIVES
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import SETTINGS, requested
from tests.faults.invariants import is_abandoned_well, is_clear, is_honest, is_published, is_seen, tells_no_secret
from tests.faults.stage import (
    LOCK_EXPIRY,
    Event,
    Stage,
    Strike,
    add_embed,
    embed,
    identity_of,
    in_process,
    key_of,
    organisation,
)
from tests.faults.wire import Fault, Reach

NAMES = st.sampled_from(["sales", "returns"])
MAX_CALLS = 24
MAX_PER_DAY = 1
STRIKES = st.builds(
    Strike,
    at=st.integers(1, MAX_CALLS),
    fault=st.none() | st.sampled_from(Fault),
    reach=st.sampled_from(Reach),
    crash_before=st.booleans(),
    crash_after=st.booleans(),
)


def _content(event: Event) -> Document:
    """What two events of one request have in common."""
    return {name: value for name, value in event["detail"].items() if name not in NOT_COMPARED}


class Interleavings(RuleBasedStateMachine):
    """The model is `expected`: of a delivery that nothing disturbs, it tells outcome and reason beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self._in_process = in_process()
        self._in_process.__enter__()
        self.stage = Stage()
        self.events: list[Event] = []
        self.judged = 0

    def teardown(self) -> None:
        """Give the real pools back."""
        self._in_process.__exit__(None, None, None)

    @initialize(dated=st.booleans())
    def begin(self, dated: bool) -> None:  # noqa: FBT001  # a strategy's value
        """Servers differ in whether they tell createdAt."""
        self.stage = Stage(replace(SETTINGS, max_retirements_per_day=MAX_PER_DAY), organisation(lists_created_at=dated))

    # ---- Requests and their deliveries -----------------------------------------------------------------------------

    @rule(
        name=NAMES,
        number=st.integers(1, 3),
        backup=st.booleans(),
        dry=st.sampled_from([False, False, True]),
        dependents=st.sampled_from(["block", "block", "ignore"]),
    )
    def request(self, name: str, number: int, backup: bool, dry: bool, dependents: str) -> None:  # noqa: FBT001  # the same
        """Ask for a retirement, perhaps under an id that is spent."""
        detail = {"retirementId": f"offboard-{number}", "backup": backup, "dryRun": dry, "dependents": dependents}
        event = requested(name, **detail)
        self.events.append(
            {**event, "id": f"event-{len(self.events)}", "time": format_timestamp(self.stage.clock.now())}
        )

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def deliver(self, data: Any) -> None:  # noqa: ANN401  # Hypothesis does not tell the type
        """Deliver a request, for the first time or again."""
        event = data.draw(st.sampled_from(self.events))
        expected = self.expected(event)
        ending = self.stage.deliver(event)
        found = (ending.result["outcome"], ending.result["reason"]) if ending.result else None
        assert found == expected

    @precondition(lambda self: self.events)
    @rule(data=st.data(), strike=STRIKES)
    def deliver_in_trouble(self, data: Any, strike: Strike) -> None:  # noqa: ANN401  # the same
        """Deliver a request; something fails, or the invocation crashes."""
        self.stage.deliver(data.draw(st.sampled_from(self.events)), strike)

    @precondition(lambda self: self.events)
    @rule(data=st.data(), crash=st.booleans())
    def use_up(self, data: Any, crash: bool) -> None:  # noqa: ANN401, FBT001  # the same
        """Let every attempt at a request fail or crash, but for the last receive."""
        event = data.draw(st.sampled_from(self.events))
        strike = Strike(1, None if crash else Fault.TIMEOUT_BEFORE, crash_before=crash)
        while self.stage.receives.get(identity_of(event)) != MAX_RECEIVES - 1:
            self.stage.deliver(event, strike)

    @precondition(lambda self: self.events)
    @rule(data=st.data(), strike=STRIKES, at=st.integers(1, MAX_CALLS))
    def deliver_two(self, data: Any, strike: Strike, at: int) -> None:  # noqa: ANN401  # the same
        """Deliver two requests at the same time, of which the second is in trouble."""
        first, second = data.draw(st.sampled_from(self.events)), data.draw(st.sampled_from(self.events))
        self.stage.deliver(first, Strike(at, meanwhile=lambda: self.stage.deliver_alongside(second, strike)))

    # ---- Time and people -------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([1, 24, 14 * 24]))
    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.stage.clock.advance(hours * 3600)

    @rule(name=NAMES, deed=st.sampled_from(["create", "create", "edit", "delete", "embed", "no embeds", "no embeds"]))
    def meddle(self, name: str, deed: str) -> None:
        """Somebody creates a datamart, perhaps anew, edits or deletes it, or embeds it."""
        stage = self.stage
        stage.clock.advance(1)
        match deed:
            case "create":
                stage.create(name)
            case "edit":
                stage.edit(name)
            case "delete" if name in stage.organisation.datamarts:
                stage.organisation.delete_datamart(name)
            case "embed":
                add_embed(stage.organisation, embed(f"embed at {stage.clock.now()}", name))
            case "no embeds":
                stage.organisation.data_apps["Portal"] = replace(stage.organisation.data_apps["Portal"], embeds=())
        stage.clock.advance(1)

    # ---- The model -------------------------------------------------------------------------------------------------

    def expected(self, event: Event) -> tuple[str, str | None] | None:
        """Outcome and reason of an undisturbed delivery; None where it must raise."""
        if any(self._spent_on(other, event) for other in self.events):
            return "rejected", "retirement_id_reused"
        receipt = self.stage.receipt(event)
        if receipt is not None:
            return receipt["outcome"], receipt["reason"]
        if self.stage.receives.get(identity_of(event)) == MAX_RECEIVES - 1:
            return None
        there = self.stage.organisation.datamarts.get(event["detail"]["datamartName"])
        intended = self.stage.intended.get(identity_of(event))
        return self._begun(event, there) if intended is None else self._resumed(event, intended, there)

    def _begun(self, event: Event, there: Datamart | None) -> tuple[str, str | None]:
        stage, detail = self.stage, event["detail"]
        if self._is_over_the_limit(event):
            return "blocked", "daily_limit_reached"
        if there is None:
            return "already_absent", None
        if self._is_dated and parse_timestamp(there.created_at) > parse_timestamp(event["time"]):
            return "blocked", "recreated"
        if detail["dependents"] == "block" and any(embed.datamart == there.name for embed in stage.embeds):
            return "blocked", "dependents_found"
        return ("planned", "dry_run") if detail["dryRun"] else ("deleted", None)

    def _resumed(self, event: Event, intended: Datamart, there: Datamart | None) -> tuple[str, str | None] | None:
        if there is None or (self._is_dated and there.created_at > intended.created_at):
            return "deleted", None
        if not self._is_dated:
            return None
        if there != intended:
            return "blocked", "changed"
        if not self._is_over_the_limit(event):
            return "deleted", None
        kept = self.stage.coordination.failures.get(identity_of(event)[::-1])
        return None if kept in {None, Reason.UNCONFIRMED} else ("blocked", "daily_limit_reached")

    def _is_over_the_limit(self, event: Event) -> bool:
        """A retirement takes a place of each day on which it sets out to delete."""
        today = (self.stage.clock.now() + timedelta(seconds=LOCK_EXPIRY)).date()
        counted = {retirement for day, retirement in self.stage.coordination.counted if day == today}
        return identity_of(event)[::-1] not in counted and len(counted) >= MAX_PER_DAY

    @property
    def _is_dated(self) -> bool:
        return self.stage.organisation.options.lists_created_at

    def _spent_on(self, other: Event, event: Event) -> bool:
        """Whether the identity of an event belongs to another content already, by a receipt or an intent."""
        if identity_of(other) != identity_of(event) or _content(other) == _content(event):
            return False
        objects, content = self.stage.evidence.objects, sha256_hex(canonical_json(_content(other)))
        receipt = objects.get(key_of(event, "receipt.json"))
        intent = objects.get(key_of(event, "intent.json"))
        if receipt is not None:
            return receipt.content_hash == content
        return intent is not None and Intent.of(intent).content_hash == content

    @invariant()
    def holds(self) -> None:
        """What the matrix asks for."""
        stage = self.stage
        deletions = [identity_of(deletion.event) for deletion in stage.deletions]
        assert len(deletions) == len(set(deletions))
        assert all(is_seen(deletion, stage) for deletion in stage.deletions)
        assert all(deletion.had_backup for deletion in stage.deletions if deletion.event["detail"]["backup"])
        assert not any(sent.event["detail"]["dryRun"] for sent in stage.sent)
        endings = stage.endings[self.judged :]
        assert all(is_honest(ending, stage) and is_clear(ending) for ending in endings)
        assert all(
            is_abandoned_well(ending, stage) for ending in endings if ending.delivery.is_last and not ending.result
        )
        assert is_published(stage)
        days = [deletion.at.date() for deletion in stage.deletions]
        assert all(days.count(day) <= MAX_PER_DAY for day in days)
        assert tells_no_secret(stage)
        self.judged = len(stage.endings)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=500,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
