from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retirement.databrain.dependents import Dependents, EmbedListing
from retirement.databrain.snapshot import Absent, Listing, Snapshot
from retirement.globs import NO_LISTS, DatamartLists
from retirement.outcomes import Reason
from retirement.record.plans import Plan
from retirement.requests import DependentsPolicy, Request
from retirement.retiring.rules import (
    Recognition,
    Refusal,
    decide,
    is_later_generation,
    recognise,
    refuse_by_count,
    refuse_by_name,
    similar_names,
)
from retirement.retiring.settings import UndeterminedEmbeds
from tests.fakes import SETTINGS, START, embed_of, entry_of, listing_of
from tests.unit.samples import CREATED_AT, INTENT, ORGANISATION, REQUEST, SNAPSHOT

NOBODY = listing_of()


def refused_by_name(
    name: str, *, retirable: str = "*", protected: str = "", lists: DatamartLists = NO_LISTS
) -> Reason | None:
    """The reason, under these globs of the parameters, each list separated by a vertical bar, and those of the file."""
    settings = replace(
        SETTINGS,
        retirable_datamarts=tuple(filter(None, retirable.split("|"))),
        protected_datamarts=tuple(filter(None, protected.split("|"))),
    )
    refusal = refuse_by_name(replace(REQUEST, datamart_name=name), settings, lists)
    return None if refusal is None else refusal.reason


def decided(
    request: Request = REQUEST,
    snapshot: Snapshot = SNAPSHOT,
    listing: EmbedListing = NOBODY,
    undetermined: str = "block",
) -> Refusal | None:
    """The decision on a request."""
    dependents = Dependents("sales", listing, request.reviewed_embeds)
    plan = Plan.of(request, snapshot, dependents, ORGANISATION)
    settings = replace(SETTINGS, undetermined_embeds=UndeterminedEmbeds(undetermined))
    return decide(request, snapshot, dependents, plan, None, settings)


# ---- By name -------------------------------------------------------------------------------------------------------


MATCHES = [
    ("sales", "sales"),
    ("sales", "*"),
    ("sales", "s*"),
    ("sales", "s?les"),
    ("sales", "s[aeiou]les"),
    ("sales", "[!a-q]*"),
    ("sales", "hr|sales"),
    ("SALES 2026", "sales ????"),
    ("sales", "SALES"),
    ("Straße", "STRAßE"),
    ("u\u0308bersicht", "\u00dcbersicht"),
    ("\u00dcbersicht", "u\u0308bersicht"),
    ("\u00fcbersicht", "?bersicht"),
    ("Smith, Jones", "smith? jones"),
    ("a[1]", "a[[]1]"),
    ("a[", "a["),
    ("a/b/c", "a/*"),
    ("売上 2026", "売上*"),
]
MISMATCHES = [
    ("sales", "sale"),
    ("sales", "ales"),
    ("sales", "s?ales"),
    ("sales", "s[!aeiou]les"),
    ("a[1]", "a[1]"),
    ("a.b", "a.c"),
    ("axb", "a.b"),
    ("sales", "|"),
]


@pytest.mark.parametrize(("name", "globs"), MATCHES)
def test_glob_matches(name: str, globs: str) -> None:
    """A glob is of the whole name, whatever the case or the form of Unicode; what one list allows the other stops."""
    assert refused_by_name(name, protected=globs) is Reason.PROTECTED
    assert refused_by_name(name, retirable=globs) is None


@pytest.mark.parametrize(("name", "globs"), MISMATCHES)
def test_glob_does_not_match(name: str, globs: str) -> None:
    """A dot is a dot, and an empty list matches nothing."""
    assert refused_by_name(name, protected=globs) is None
    assert refused_by_name(name, retirable=globs) is Reason.NOT_RETIRABLE


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("Straße", "STRASSE"),
        ("Straße", "stra?e"),
        ("sales ", "sales"),
        (" sales", "sales"),
        ("İstanbul-prod", "?stanbul-*"),
    ],
)
def test_what_a_glob_may_mean(name: str, glob: str) -> None:
    """What a glob matches in one reading is protected, and not allowed."""
    assert refused_by_name(name, protected=glob) is Reason.PROTECTED
    assert refused_by_name(name, retirable=glob) is Reason.NOT_RETIRABLE


def test_protected_goes_first() -> None:
    """Nothing lifts a protection, least of all that the name is retirable or is not."""
    assert refused_by_name("sales", retirable="sales", protected="sales") is Reason.PROTECTED
    assert refused_by_name("sales", retirable="hr", protected="hr|s*") is Reason.PROTECTED


def test_messages_by_name() -> None:
    """A refusal by name says which glob protects, or which parameter would have to change."""
    request = replace(REQUEST, datamart_name="Finance 2026")
    protected = refuse_by_name(request, replace(SETTINGS, protected_datamarts=("hr", "finance*", "*")), NO_LISTS)
    not_retirable = refuse_by_name(request, replace(SETTINGS, retirable_datamarts=("tenant-*",)), NO_LISTS)

    assert protected is not None
    assert 'protected by "finance*" in the stack\'s ProtectedDatamarts' in protected.message
    assert not_retirable is not None
    assert "RetirableDatamarts" in not_retirable.message
    assert "new retirementId" in not_retirable.message


WHERE = "s3://lists/datamarts.json (DatamartListsUri)"


@pytest.mark.parametrize("parameter", [None, Reason.PROTECTED, Reason.NOT_RETIRABLE])
@pytest.mark.parametrize("file", [None, Reason.PROTECTED, Reason.NOT_RETIRABLE])
def test_parameters_and_file(parameter: Reason | None, file: Reason | None) -> None:
    """A name may go only where both allow it, and neither protects it; a protection of either is told first."""
    refused = refused_by_name(
        "sales",
        protected="hr|s*" if parameter is Reason.PROTECTED else "hr",
        retirable="tenant-*" if parameter is Reason.NOT_RETIRABLE else "sales",
        lists=DatamartLists(
            WHERE,
            protected=("fin*", "SALES") if file is Reason.PROTECTED else ("fin*",),
            retirable=("tenant-*",) if file is Reason.NOT_RETIRABLE else ("fin*", "sa*"),
        ),
    )

    assert refused is (Reason.PROTECTED if Reason.PROTECTED in {parameter, file} else parameter or file)


def test_the_file_lifts_no_parameter() -> None:
    """What the file allows the parameters may still protect or not allow; a file without a list changes nothing."""
    allowing = DatamartLists(WHERE, retirable=("*", "sales"))

    assert refused_by_name("sales", protected="sales", lists=allowing) is Reason.PROTECTED
    assert refused_by_name("sales", retirable="hr", lists=allowing) is Reason.NOT_RETIRABLE
    assert refused_by_name("sales", lists=DatamartLists(WHERE, protected=("hr",))) is None
    assert refused_by_name("sales", lists=DatamartLists(WHERE, retirable=("sales",))) is None


def test_messages_of_the_file() -> None:
    """A refusal by the file names it, and the glob that protects."""
    protected = refuse_by_name(REQUEST, SETTINGS, DatamartLists(WHERE, protected=("hr", "sales, EU", "S*", "*")))
    not_retirable = refuse_by_name(REQUEST, SETTINGS, DatamartLists(WHERE, retirable=("hr",)))

    assert protected is not None
    assert f'protected by "S*" in {WHERE}, and no request overrides that' in protected.message
    assert not_retirable is not None
    assert not_retirable.message.startswith(f"The list retirable in {WHERE} does not allow a datamart of this name")
    assert "new retirementId" in not_retirable.message


# ---- By count ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "limit", "refused"), [(0, 1, False), (4, 5, False), (5, 5, True), (7, 5, True), (0, 0, True)]
)
def test_count(used: int, limit: int, refused: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """The limit is the number of retirements that a day may have; it may have been lowered meanwhile."""
    refusal = refuse_by_count(used, replace(SETTINGS, max_retirements_per_day=limit), START)

    assert (refusal is not None) is refused


@pytest.mark.parametrize(
    ("now", "starts_again"),
    [
        (START, "2026-03-02T00:00:00.000Z"),
        (datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), "2026-03-01T00:00:00.000Z"),
        (datetime(2026, 12, 31, tzinfo=UTC), "2027-01-01T00:00:00.000Z"),
    ],
)
def test_message_of_the_limit(now: datetime, starts_again: str) -> None:
    """The message says how many of how many are used, when the count starts again, and that a new id is needed."""
    refusal = refuse_by_count(5, replace(SETTINGS, max_retirements_per_day=5), now)

    assert refusal is not None
    assert refusal.reason is Reason.DAILY_LIMIT_REACHED
    assert "5 of 5 retirements of this UTC day are used (MaxRetirementsPerDay)" in refusal.message
    assert f"starts again at {starts_again}: send a request with a new retirementId then" in refusal.message


# ---- By what is there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("sales", "Sales"),
        ("sales", " sales"),
        ("sales", "SALES\u00a0"),
        ("Übersicht", "u\u0308bersicht"),
        ("Straße", "strasse"),
    ],
)
def test_ambiguous_name(name: str, other: str) -> None:
    """Another name that is equal after trimming, case-folding and NFC is refused before anything else is looked at."""
    listing = Listing({"hr": None, name: START, other: None})
    later = replace(SNAPSHOT, name=name, created_at=START + timedelta(days=1), listing=listing)
    refusal = decided(replace(REQUEST, plan_id="other"), later, listing_of(embed_of("e", name)))

    assert refusal is not None
    assert refusal.reason is Reason.AMBIGUOUS_NAME
    assert f'"{other}"' in refusal.message


@pytest.mark.parametrize("other", ["sales2", "sa les", "sale", "sáles"])
def test_other_name(other: str) -> None:
    """A name that differs in more than that is another one."""
    assert decided(snapshot=replace(SNAPSHOT, listing=Listing({"sales": CREATED_AT, other: None}))) is None


@pytest.mark.parametrize(
    ("name", "listed", "close"),
    [
        ("sales", ["Sales"], ["Sales"]),
        ("sales ", ["sales", "marketing"], ["sales"]),
        ("slaes", ["marketing", "sales"], ["sales"]),
        ("U\u0308bersicht", ["Übersicht"], ["Übersicht"]),
        ("sales-1", ["sales-2", "sales-3", "sales-4", "sales-5"], 3),
        ("sales", ["marketing", "hr"], []),
        ("sales", [], []),
    ],
)
def test_close_names(name: str, listed: list[str], close: list[str] | int) -> None:
    """At most three listed names that may have been meant, case and form of Unicode aside, as they are spelt there."""
    found = similar_names(name, Listing(dict.fromkeys(listed)))

    assert (len(found) if isinstance(close, int) else found) == close
    assert set(found) <= set(listed)


def test_yes() -> None:
    """Where no rule says no, the answer is yes."""
    assert decided() is None


def test_recreated_goes_first() -> None:
    """A datamart of another generation is refused for that, whatever else there is."""
    later = replace(SNAPSHOT, created_at=START + timedelta(seconds=1))
    refusal = decided(replace(REQUEST, plan_id="other"), later, listing_of(embed_of("e", "sales")))

    assert refusal is not None
    assert refusal.reason is Reason.RECREATED
    assert "2026-03-01T12:00:01.000Z" in refusal.message


def test_drift_goes_before_dependents() -> None:
    """A plan that no longer holds is refused before its dependents are looked at."""
    refusal = decided(replace(REQUEST, plan_id="other"), listing=listing_of(embed_of("e", "sales")))

    assert refusal is not None
    assert refusal.reason is Reason.PLAN_DRIFTED
    assert "no plan is stored under its planId" in refusal.message


def test_found_goes_before_undetermined() -> None:
    """Embeds that are known to use the datamart are told before those of which nothing is known."""
    refusal = decided(listing=listing_of(embed_of("u", None), embed_of("e", "sales")))

    assert refusal is not None
    assert refusal.reason is Reason.DEPENDENTS_FOUND
    assert '1 embed would break: "e".' in refusal.message


def test_message_of_many() -> None:
    """A message names a few and counts the rest."""
    refusal = decided(listing=listing_of(*(embed_of(f"e{number}", "sales") for number in range(7))))

    assert refusal is not None
    assert refusal.message.startswith('7 embeds would break: "e0", "e1", "e2", "e3", "e4" and 2 more.')


def test_message_of_undetermined() -> None:
    """A message on undetermined embeds names them, and the gaps in the listing."""
    refusal = decided(listing=listing_of(embed_of("u", None), gaps=[f"gap {number}" for number in range(9)]))

    assert refusal is not None
    assert 'the datamart of 1 embed ("u"); gap 0; gap 1; gap 2; gap 3; gap 4.' in refusal.message


@pytest.mark.parametrize(
    ("reviewed", "policy", "undetermined", "reason"),
    [
        ([], "block", "block", Reason.DEPENDENTS_FOUND),
        (["e"], "block", "block", Reason.DEPENDENTS_UNDETERMINED),
        (["u"], "block", "block", Reason.DEPENDENTS_FOUND),
        (["e", "u"], "block", "block", None),
        (["e"], "block", "report", None),
        ([], "block", "report", Reason.DEPENDENTS_FOUND),
        ([], "ignore", "block", None),
    ],
)
def test_dependents(reviewed: list[str], policy: str, undetermined: str, reason: Reason | None) -> None:
    """Reviewed embeds never block, `ignore` covers all, `report` the undetermined ones."""
    request = replace(REQUEST, reviewed_embeds=frozenset(reviewed), dependents=DependentsPolicy(policy))
    refusal = decided(
        request, listing=listing_of(embed_of("e", "sales"), embed_of("u", None)), undetermined=undetermined
    )

    assert (refusal and refusal.reason) == reason


@pytest.mark.parametrize(
    ("count", "backup", "is_refused"), [(200, True, False), (201, True, True), (201, False, False)]
)
def test_backup_incomplete(count: int, *, backup: bool, is_refused: bool) -> None:
    """More embeds that use the datamart than a backup holds block, unless none is asked for."""
    request = replace(REQUEST, backup=backup, dependents=DependentsPolicy.IGNORE)
    using = [embed_of(f"e{number}", "sales") for number in range(count)]
    refusal = decided(request, listing=listing_of(*using, *(embed_of(f"u{number}", None) for number in range(300))))

    assert (refusal and refusal.reason) == (Reason.BACKUP_INCOMPLETE if is_refused else None)
    if refusal is not None:
        assert "201 embeds use the datamart, and a backup holds the exports of 200." in refusal.message


NOT_RESTORABLE = replace(SNAPSHOT, entry=entry_of() | {"datamartTables": [], "companyIntegration": None})


@pytest.mark.parametrize(
    ("snapshot", "backup", "required", "is_refused"),
    [
        (SNAPSHOT, True, True, False),
        (SNAPSHOT, False, True, True),
        (SNAPSHOT, False, False, False),
        (NOT_RESTORABLE, True, True, True),
        (NOT_RESTORABLE, True, False, False),
        (NOT_RESTORABLE, False, True, True),
    ],
)
def test_restorable(snapshot: Snapshot, *, backup: bool, required: bool, is_refused: bool) -> None:
    """Where a restorable one is required, it takes a backup, and a datamart that Create Datamart takes again."""
    refusal = decided(replace(REQUEST, backup=backup, require_restorable=required), snapshot)

    assert (refusal and refusal.reason) == (Reason.NOT_RESTORABLE if is_refused else None)


def test_message_of_what_is_not_restorable() -> None:
    """The message names what stands in the way by its path, the first three, and counts the rest."""
    request = replace(REQUEST, require_restorable=True)
    refusal = decided(request, NOT_RESTORABLE)
    tables = [{"tableName": "empty", "datamartTableColumns": []}] * 7
    many = decided(request, replace(SNAPSHOT, entry=entry_of() | {"datamartTables": tables}))
    bare = decided(replace(request, backup=False))

    assert refusal is not None
    assert "datamart.companyIntegration.name: " in refusal.message
    assert "datamart.datamartTables: " in refusal.message
    assert many is not None
    assert "datamart.datamartTables[2].datamartTableColumns: " in many.message
    assert "; and 4 more in notRestorable)" in many.message
    assert bare is not None
    assert "without a backup" in bare.message


@pytest.mark.parametrize(
    ("created_at", "label", "recognition"),
    [
        (CREATED_AT, "Orders", Recognition.SAME),
        (CREATED_AT, "Changed", Recognition.CHANGED),
        (CREATED_AT + timedelta(microseconds=1), "Orders", Recognition.GONE),
        (CREATED_AT - timedelta(microseconds=1), "Orders", Recognition.UNKNOWN),
        (None, "Orders", Recognition.UNKNOWN),
    ],
)
def test_recognise(created_at: datetime | None, label: str, recognition: Recognition) -> None:
    """Only createdAt tells one generation from another, and only the configuration a changed one."""
    entry = entry_of(created_at=CREATED_AT, label=label)

    assert recognise(replace(SNAPSHOT, created_at=created_at, entry=entry), INTENT) is recognition


def test_recognise_an_absent_one() -> None:
    """A datamart that is not listed is gone, whatever the intent knows."""
    assert recognise(Absent(Listing({})), replace(INTENT, created_at=None)) is Recognition.GONE


@pytest.mark.parametrize("created_at", [None, CREATED_AT])
def test_recognise_without_a_time_in_the_intent(created_at: datetime | None) -> None:
    """Without createdAt in the intent nothing can tell."""
    intent = replace(INTENT, created_at=None)

    assert recognise(replace(SNAPSHOT, created_at=created_at), intent) is Recognition.UNKNOWN
    assert not is_later_generation(created_at, intent)
