from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from retirement.dependents import Dependents, EmbedListing
from retirement.plans import Plan
from retirement.requests import DependentsPolicy, Request
from retirement.results import Reason
from retirement.rules import Recognition, Refusal, decide, is_later_generation, recognise
from retirement.settings import UndeterminedEmbeds
from retirement.snapshot import Absent, Listing, Snapshot
from tests.fakes import START, embed_of, entry_of, listing_of
from tests.unit.samples import CREATED_AT, INTENT, REQUEST, SNAPSHOT

NOBODY = listing_of()


def decided(
    request: Request = REQUEST,
    snapshot: Snapshot = SNAPSHOT,
    listing: EmbedListing = NOBODY,
    undetermined: str = "block",
) -> Refusal | None:
    """The decision on a request."""
    dependents = Dependents("sales", listing, request.reviewed_embeds)
    plan = Plan.of(request, snapshot, dependents)
    return decide(request, snapshot, dependents, plan, UndeterminedEmbeds(undetermined))


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
