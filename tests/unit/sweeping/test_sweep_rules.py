"""Each rule on its own, around its limits; all of them together on a small grid."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from retirement.databrain.dependents import NO_DATAMART, EmbedListing
from retirement.delivery.intake import schema
from retirement.globs import NO_LISTS, DatamartLists
from retirement.sweeping.ids import Subject
from retirement.sweeping.policy import SweepRule
from retirement.sweeping.rules import (
    MAX_REASON_LENGTH,
    REQUESTABLE,
    Datamart,
    Decision,
    Earlier,
    EmbedUse,
    Finding,
    Lapsed,
    Status,
    Step,
    cancellation_of,
    decide,
    judge,
    lapsed_of,
    refuse_by_limits,
    request_of,
)
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.fakes import START, SWEEP_SETTINGS, embed_of, listing_of

NOW = START
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
NO_EMBEDS = EmbedUse.of(EmbedListing(()))
RULE = SweepRule(
    name="trials",
    owner="growth@example.com",
    reason="trials end after 30 days",
    names=("trial-*",),
    exempt=(),
    older_than=None,
    not_updated_for=None,
    without_embeds=False,
    retire_after=14 * DAY,
)


def finding_of(
    *rules: SweepRule,
    name: str = "trial-1",
    created_at: datetime | None = None,
    updated_at: datetime | None = None,
    use: EmbedUse = NO_EMBEDS,
    lists: DatamartLists = NO_LISTS,
    **settings: Any,  # noqa: ANN401  # any setting
) -> Finding:
    """What these rules say of a datamart."""
    return judge(Datamart(name, created_at, updated_at), rules, replace(SWEEP_SETTINGS, **settings), lists, use, NOW)


def why_not(finding: Finding) -> str:
    """Why the one rule that names the datamart does not match."""
    assert not finding.matches
    (miss,) = finding.misses
    return miss.why


def rule(**fields: Any) -> SweepRule:  # noqa: ANN401  # any field
    """The rule, but for these fields."""
    return replace(RULE, **fields)


# ---- Names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("trial-1", ("trial-*",)),
        ("TRIAL-1", ("trial-*",)),
        ("Straße", ("x", "STRAßE")),
        ("\u00fcbersicht", ("u\u0308*",)),
        ("a[1]", ("a[[]1]",)),
    ],
)
def test_named(name: str, names: tuple[str, ...]) -> None:
    """A rule is about the datamarts that one of its globs names, whatever the case or the form of Unicode."""
    (match,) = finding_of(rule(names=names), name=name).matches

    assert match.rule.names == names
    assert match.why == f'named by "{names[-1]}"'


@pytest.mark.parametrize("name", ["trials", "a-trial-1", " trial-1", "sales"])
def test_not_named(name: str) -> None:
    """Of a datamart that no glob names a rule says nothing, not even why it does not match."""
    assert finding_of(RULE, name=name, protected_datamarts=("*",)) == Finding(Datamart(name, None, None), (), ())


@pytest.mark.parametrize("exempt", [("trial-1",), ("x", "TRIAL-?"), ("*",)])
def test_exempt(exempt: tuple[str, ...]) -> None:
    """What one of its globs exempts a rule spares, and says by which."""
    assert why_not(finding_of(rule(exempt=exempt))) == f'exempt by "{exempt[-1]}"'


def test_what_a_glob_may_mean() -> None:
    """What a glob matches in one reading a rule spares, and does not name; the stack's guards alike."""
    named = rule(names=("*",))
    for glob in ("gro?kunden", "GROSSKUNDEN"):
        assert why_not(finding_of(rule(names=("*",), exempt=(glob,)), name="Großkunden")) == f'exempt by "{glob}"'
        assert finding_of(rule(names=(glob,)), name="Großkunden") == Finding(Datamart("Großkunden", None, None), (), ())
        assert "ProtectedDatamarts" in why_not(finding_of(named, name="Großkunden", protected_datamarts=(glob,)))
        assert "RetirableDatamarts" in why_not(finding_of(named, name="Großkunden", retirable_datamarts=(glob,)))


def test_exempt_is_of_its_rule() -> None:
    """What one rule exempts another one may match."""
    finding = finding_of(rule(exempt=("*",)), rule(name="all", names=("*",)))

    assert [match.rule.name for match in finding.matches] == ["all"]
    assert [miss.rule_name for miss in finding.misses] == ["trials"]


def test_guards_of_the_stack() -> None:
    """No rule matches what the stack's owner protects or does not allow, and the parameter is named."""
    assert why_not(finding_of(RULE, protected_datamarts=("hr", "TRIAL*"))) == (
        'protected by "TRIAL*" in the stack\'s ProtectedDatamarts'
    )
    assert why_not(finding_of(RULE, retirable_datamarts=("hr",))) == "not allowed by the stack's RetirableDatamarts"
    assert finding_of(RULE, retirable_datamarts=("trial*",), protected_datamarts=("hr",)).matches


def test_the_owners_file() -> None:
    """No rule matches what the file protects or does not allow, and the file is named; it lifts no parameter."""
    where = "s3://lists/datamarts.json (DatamartListsUri)"
    protecting = DatamartLists(where, protected=("hr", "TRIAL*"))
    allowing = DatamartLists(where, protected=("hr",), retirable=("trial*",))

    assert why_not(finding_of(RULE, lists=protecting)) == f'protected by "TRIAL*" in {where}'
    assert why_not(finding_of(RULE, lists=DatamartLists(where, retirable=("hr",)))) == (
        f"not allowed by the list retirable in {where}"
    )
    assert finding_of(RULE, lists=allowing).matches
    assert "ProtectedDatamarts" in why_not(finding_of(RULE, lists=allowing, protected_datamarts=("trial*",)))
    assert "RetirableDatamarts" in why_not(finding_of(RULE, lists=allowing, retirable_datamarts=("hr",)))


@pytest.mark.parametrize("name", ["\x00", "a\nb", "\x7f", "\x9f", "\ud800", "n" * 257, "\U0001f642" * 257])
def test_a_name_that_fits_no_request(name: str) -> None:
    """A datamart that cannot be asked for by its name is not asked for."""
    finding = finding_of(rule(names=("*",)), name=name)

    assert why_not(finding).startswith("its name does not fit a request")


def test_requestable_is_the_schemas() -> None:
    """What fits a request is what the schema of a request says."""
    described = schema("Datamart Retirement Requested")["properties"]["detail"]["properties"]["datamartName"]["pattern"]

    assert described.encode().decode("unicode_escape") == f"^{REQUESTABLE.pattern}$"
    assert all(REQUESTABLE.fullmatch(name) for name in HOSTILE_NAMES)


# ---- Times ---------------------------------------------------------------------------------------------------------

TIMES = [("older_than", "created_at", "created"), ("not_updated_for", "updated_at", "last updated")]


@pytest.mark.parametrize(("condition", "time", "what"), TIMES)
@pytest.mark.parametrize("days", [1, 30, 9_999])
@pytest.mark.parametrize(("before", "matches"), [(-MOMENT, False), (timedelta(0), True), (MOMENT, True), (DAY, True)])
def test_long_ago(condition: str, time: str, what: str, days: int, before: timedelta, matches: bool) -> None:  # noqa: FBT001  # parameters of the test
    """Exactly so many days ago is long enough, and a moment less is not."""
    moment = NOW - days * DAY - before
    finding = finding_of(rule(**{condition: days * DAY}), **{time: moment})  # type: ignore[arg-type]  # a time

    assert bool(finding.matches) is matches
    if not matches:
        assert why_not(finding).startswith(f"{what} at ")
        assert why_not(finding).endswith(f", less than {days} day{'' if days == 1 else 's'} ago")


@pytest.mark.parametrize(("condition", "time", "what"), TIMES)
def test_an_unknown_time(condition: str, time: str, what: str) -> None:
    """A datamart of which nothing tells the time does not match a rule that asks for it, whatever the other time."""
    other = {"created_at": "updated_at", "updated_at": "created_at"}[time]
    finding = finding_of(rule(**{condition: DAY}), **{other: NOW - 999 * DAY})  # type: ignore[arg-type]  # a time

    assert why_not(finding) == f"Databrain does not report when it was {what}"


@pytest.mark.parametrize(("condition", "time", "what"), TIMES)
def test_a_time_to_come(condition: str, time: str, what: str) -> None:
    """A clock that is ahead makes nothing old."""
    finding = finding_of(rule(**{condition: DAY}), **{time: NOW + 99 * DAY})  # type: ignore[arg-type]  # a time

    assert why_not(finding).startswith(f"{what} at 2026-06-08T12:00:00.000Z, less than 1 day ago")


# ---- Embeds --------------------------------------------------------------------------------------------------------


def test_no_embed_uses_it() -> None:
    """Where of every embed it is known that it uses another datamart, or none, no embed uses this one."""
    use = EmbedUse.of(listing_of(embed_of("e-1", "sales"), embed_of("e-2", NO_DATAMART)))
    (match,) = finding_of(rule(without_embeds=True), use=use).matches

    assert match.why == 'named by "trial-*", used by no embed'


@pytest.mark.parametrize("spelled", ["trial-1", "TRIAL-1", " trial-1 "])
def test_an_embed_uses_it(spelled: str) -> None:
    """An embed that uses the datamart, or one whose name a lenient server might take for it, keeps it."""
    use = EmbedUse.of(listing_of(embed_of("e-1", spelled), embed_of("e-2", "sales"), embed_of("e-3", None)))

    assert why_not(finding_of(rule(without_embeds=True), use=use)) == 'used by 1 embed: "e-1"'


@pytest.mark.parametrize(
    ("embeds", "gaps", "unknown"),
    [
        ([embed_of("e-1", None)], [], 'the datamart of 1 embed ("e-1")'),
        ([embed_of("e-1", None, listed=False)], [], 'the datamart of 1 embed ("e-1")'),
        ([], ["the embeds"], "the embeds"),
        ([embed_of("e-1", None), embed_of("e-2", None)], ["x", "y"], 'the datamart of 2 embeds ("e-1", "e-2"); x; y'),
    ],
)
def test_nothing_tells(embeds: Sequence[Any], gaps: list[str], unknown: str) -> None:
    """An embed that is undetermined, or could not be listed, may use any datamart."""
    use = EmbedUse.of(listing_of(embed_of("e-0", "sales"), *embeds, gaps=gaps))

    assert why_not(finding_of(rule(without_embeds=True), use=use)) == (
        f"perhaps in use, because Databrain does not report: {unknown}"
    )
    assert finding_of(RULE, use=use).matches  # who does not ask


def test_many_unknown_embeds() -> None:
    """Whatever is unknown, the reason stays short."""
    long = "\U0001f642" * 500
    embeds = [embed_of(f"{long}{number}", None) for number in range(50)]
    use = EmbedUse.of(listing_of(*embeds, gaps=[f"{long}{number}" for number in range(50)]))

    assert len(why_not(finding_of(rule(without_embeds=True), use=use))) < 1_500


# ---- All conditions together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older_than", "not_updated_for", "without_embeds"), list(product([None, DAY], [None, DAY], [False, True]))
)
def test_every_condition_has_to_hold(
    older_than: timedelta | None,
    not_updated_for: timedelta | None,
    without_embeds: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A rule matches where all its conditions hold, and what it does not ask for does not matter."""
    condition = rule(older_than=older_than, not_updated_for=not_updated_for, without_embeds=without_embeds)
    ages = {None: False, NOW: False, NOW - DAY: True}
    embeds = ((None, True), ("other", True), ("trial-1", False))
    for (created, old), (updated, stale), (datamart_name, unused) in product(ages.items(), ages.items(), embeds):
        use = NO_EMBEDS if datamart_name is None else EmbedUse.of(listing_of(embed_of("e", datamart_name)))
        finding = finding_of(condition, created_at=created, updated_at=updated, use=use)
        holds = (older_than is None or old) and (not_updated_for is None or stale) and (not without_embeds or unused)
        assert bool(finding.matches) is holds
        assert bool(finding.misses) is not holds


def test_all_of_why() -> None:
    """What speaks for a match is told: the glob, the times, the embeds."""
    condition = rule(older_than=DAY, not_updated_for=DAY, without_embeds=True)
    (match,) = finding_of(condition, created_at=NOW - 30 * DAY, updated_at=NOW - 2 * DAY).matches

    assert match.why == (
        'named by "trial-*", created at 2026-01-30T12:00:00.000Z, last updated at 2026-02-27T12:00:00.000Z, '
        "used by no embed"
    )


def test_why_not() -> None:
    """Of a rule that once matched, it is told why it does not any more."""
    finding = finding_of(rule(exempt=("*",)), rule(name="others", names=("x",)))

    assert finding.why_not("trials") == 'exempt by "*"'
    for name in ("others", "gone"):
        assert finding.why_not(name).startswith("the policy has no rule of this name any more, or it no longer names")


# ---- What is asked for ---------------------------------------------------------------------------------------------

LATER = NOW + 3 * DAY
FIRST, SECOND = RULE, rule(name="second", names=("*",), retire_after=7 * DAY)


def earlier(status: Status, number: int = 1, retire_at: datetime = LATER) -> Earlier:
    """What an earlier sweep asked for, and what has come of it."""
    return Earlier(f"the {number}.", number, status, f"it is {status.name}", retire_at)


def id_of(number: int) -> str:
    """The identity under which the rule asks for the datamart."""
    return Subject.of("trials", "trial-1", None).retirement_id(number)


def decided(*rules: SweepRule, **before: Earlier) -> Decision:
    """What is decided about a datamart that these rules match."""
    return decide(finding_of(*rules), before, NOW)


def test_asked_for_the_first_time() -> None:
    """The first rule that matches asks, for now plus its grace to the second, and the others are named."""
    decision = decide(finding_of(FIRST, SECOND), {}, NOW + timedelta(milliseconds=999))

    assert (decision.step, decision.rule) == (Step.ASK, FIRST)
    assert decision.retirement_id == id_of(1)
    assert decision.retire_at == NOW + 14 * DAY
    assert decision.also_matched == ("second",)
    assert decision.why == 'named by "trial-*"'
    assert decided(SECOND, FIRST).rule is SECOND


@pytest.mark.parametrize("number", [1, 2, 9])
@pytest.mark.parametrize(
    ("status", "step", "is_next"),
    [
        (Status.UNANSWERED, Step.REPEAT, False),
        (Status.SCHEDULED, Step.WAIT, False),
        (Status.IN_PROGRESS, Step.WAIT, False),
        (Status.NOT_CARRIED_OUT, Step.ASK, True),
        (Status.ABANDONED, Step.ASK, True),
        (Status.GONE, Step.NOTHING, False),
        (Status.CANCELLED, Step.SPARE, False),
    ],
)
def test_asked_for_before(status: Status, step: Step, is_next: bool, number: int) -> None:  # noqa: FBT001  # a parameter
    """What was not carried out is asked for under the next number and with a new grace; all else keeps its date."""
    decision = decided(FIRST, trials=earlier(status, number))

    assert decision.step is step
    assert decision.retirement_id == id_of(number + is_next)
    assert decision.retire_at == (NOW + 14 * DAY if is_next else LATER)
    assert decision.why == f'named by "trial-*"; it is {status.name}'


@pytest.mark.parametrize(
    ("passed", "grace", "step"),
    [
        (-MOMENT, 14 * DAY, Step.REPEAT),
        (timedelta(0), 14 * DAY, Step.ASK),
        (DAY, 14 * DAY, Step.ASK),
        (DAY, timedelta(0), Step.REPEAT),
    ],
)
def test_a_date_that_passed_unheard(passed: timedelta, grace: timedelta, step: Step) -> None:
    """Nobody was told of a date that passed unheard: the grace is given once more, where there is to be one."""
    decision = decided(rule(retire_after=grace), trials=earlier(Status.UNANSWERED, 3, NOW - passed))

    assert (decision.step, decision.retirement_id) == (step, id_of(4 if step is Step.ASK else 3))
    assert decision.retire_at == (NOW + grace if step is Step.ASK else NOW - passed)


STEPS = {
    Status.IN_PROGRESS: Step.WAIT,
    Status.SCHEDULED: Step.WAIT,
    Status.CANCELLED: Step.SPARE,
    Status.GONE: Step.NOTHING,
    Status.UNANSWERED: Step.REPEAT,
}


@pytest.mark.parametrize(("one", "other"), list(product([None, *Status], repeat=2)))
def test_two_rules(one: Status | None, other: Status | None) -> None:
    """Of two rules that match, one that has asked, and was not refused, speaks for both."""
    before = {name: earlier(status) for name, status in (("trials", one), ("second", other)) if status is not None}
    decision = decided(FIRST, SECOND, **before)

    speaking = [status for status in STEPS if status in {one, other}]
    if speaking:
        assert decision.step is STEPS[speaking[0]]
        assert decision.rule is (FIRST if one is speaking[0] else SECOND)
        assert decision.retire_at == LATER
    else:
        assert (decision.rule, decision.step) == (FIRST, Step.ASK)


@pytest.mark.parametrize("status", Status)
def test_cancelled(status: Status) -> None:
    """A retirement whose rule no longer matches is taken back while nothing has been done for it, and told why."""
    finding = finding_of(FIRST, rule(name="second", exempt=("*",)))
    before = {name: earlier(status) for name in ("trials", "second", "gone")}
    lapsed = [(entry.rule_name, entry.why) for entry in lapsed_of(finding, before, NOW)]

    if status in {Status.UNANSWERED, Status.SCHEDULED, Status.ABANDONED}:
        abandoned = [("trials", "it failed, and a new request replaces it")] * (status is Status.ABANDONED)
        assert lapsed == [
            *abandoned,
            ("second", 'no longer matches: exempt by "*"'),
            ("gone", f"no longer matches: {finding.why_not('gone')}"),
        ]
    else:
        assert lapsed == []


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("grace", [timedelta(0), DAY])
@pytest.mark.parametrize("passed", [-MOMENT, timedelta(0)])
def test_cancelled_unheard(status: Status, grace: timedelta, passed: timedelta) -> None:
    """What is asked for anew, since its date passed unheard, is taken back: heard late it would have no grace."""
    before = {"trials": earlier(status, 3, NOW - passed)}
    finding = finding_of(rule(retire_after=grace))
    lapsed = [entry.why for entry in lapsed_of(finding, before, NOW)]
    decision = decide(finding, before, NOW)

    why = {
        Status.ABANDONED: "it failed, and a new request replaces it",
        Status.UNANSWERED: "its date passed before it was scheduled",
    }
    if status is Status.ABANDONED or (status is Status.UNANSWERED and grace and not passed):
        assert lapsed == [why[status]]
        assert (decision.step, decision.retirement_id) == (Step.ASK, id_of(4))
    else:
        assert lapsed == []


# ---- Limits --------------------------------------------------------------------------------------------------------


def decisions(**counts: int) -> list[Decision]:
    """So many decisions of each step."""
    return [
        Decision(Datamart("x", None, None), Step[step.upper()], RULE, "x", LATER, "", ())
        for step, count in counts.items()
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("asked", "limit", "refused"), [(0, 0, False), (1, 0, True), (25, 25, False), (26, 25, True), (1, 1, False)]
)
def test_max_per_sweep(asked: int, limit: int, refused: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """So many may be asked for anew, and not one more; what was asked for before does not count."""
    settings = replace(SWEEP_SETTINGS, max_per_sweep=limit)
    refusal = refuse_by_limits(decisions(ask=asked, wait=50, repeat=50, nothing=9, spare=9), 10_000, settings)

    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.startswith(f"{asked} retirement")
        assert f"MaxPerSweep is {limit}, so none was" in refusal


@pytest.mark.parametrize(
    ("matched", "datamarts", "percent", "refused"),
    [
        (0, 0, 0, False),
        (0, 10, 0, False),
        (1, 10_000, 0, True),
        (1, 10, 10, False),
        (1, 9, 10, True),
        (2, 19, 10, True),
        (2, 20, 10, False),
        (10, 10, 99, True),
        (10, 10, 100, False),
    ],
)
@pytest.mark.parametrize("step", ["ask", "repeat", "wait", "nothing"])
def test_max_sweep_percent(matched: int, datamarts: int, percent: int, step: str, refused: bool) -> None:  # noqa: FBT001  # a parameter
    """Of all datamarts at most so many per cent may match, those asked for before included."""
    settings = replace(SWEEP_SETTINGS, max_sweep_percent=percent)
    refusal = refuse_by_limits(decisions(**{step: matched, "spare": datamarts}), datamarts, settings)

    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.startswith(f"{matched} of {datamarts} datamarts match, and MaxSweepPercent is {percent}")


# ---- What is sent --------------------------------------------------------------------------------------------------


def test_the_request() -> None:
    """A request says which rule asks, who answers for it, why, and for when."""
    assert request_of(decided(FIRST), "prod", None) == {
        "datamartName": "trial-1",
        "environment": "prod",
        "retirementId": id_of(1),
        "requestedBy": "sweep:trials (growth@example.com)",
        "reason": "trials end after 30 days",
        "retireAt": "2026-03-15T12:00:00.000Z",
    }


def test_the_cancellation() -> None:
    """A cancellation says which rule takes what back, and why."""
    finding = finding_of(rule(exempt=("*",)))
    (lapsed,) = lapsed_of(finding, {"trials": earlier(Status.SCHEDULED)}, NOW)

    assert cancellation_of(lapsed, "prod") == {
        "datamartName": "trial-1",
        "environment": "prod",
        "retirementId": "the 1.",
        "requestedBy": "sweep:trials",
        "reason": 'The rule trials of the sweep: no longer matches: exempt by "*"',
    }


def test_the_longest_texts() -> None:
    """The longest texts of a rule, and whatever speaks against it, fit the limits of the events."""
    longest = rule(name="r" * 40, owner="o" * 200, reason="\U0001f642" * MAX_REASON_LENGTH)
    lapsed = Lapsed(Datamart("trial-1", None, None), longest.name, earlier(Status.SCHEDULED), "\U0001f642" * 2_000)
    for detail in (request_of(decided(longest), "prod", "s" * 256), cancellation_of(lapsed, "prod")):
        assert len(str(detail["requestedBy"])) <= 256
        assert len(str(detail["reason"])) <= MAX_REASON_LENGTH
        assert str(detail["requestedBy"]).startswith("sweep:")
