from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from retirement.databrain.dependents import NEVER_CHECKED, NO_DATAMART, Dependents, EmbedMap, Verdict
from tests.fakes import START, embed_of, listing_of


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("sales", Verdict.USES),
        ("Sales ", Verdict.USES),
        ("\u00e9", Verdict.USES_ANOTHER),
        ("sales2", Verdict.USES_ANOTHER),
        (None, Verdict.UNDETERMINED),
    ],
)
def test_verdict(told: str | None, verdict: Verdict) -> None:
    """An embed uses the datamart, uses another, or nothing tells; a near name counts as the datamart's."""
    assert embed_of("e", told).verdict("sales") is verdict


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Émile", "e\u0301mile"),
        ("STRASSE", "straße"),
        ("\u212b", "å"),
        ("\u1fb4", "\u03b1\u0345\u0301"),
        ("\u1fb4", "\u03b1\u0301\u0345"),
    ],
)
def test_near_names(one: str, other: str) -> None:
    """Names are near when they are equal after trimming, NFC, case-folding and NFC."""
    assert embed_of("e", one).verdict(other) is Verdict.USES


MADE_AT = START + timedelta(hours=1)
MAP = EmbedMap({"sold": "sales", "else": "hr", "none": NO_DATAMART}, MADE_AT)


@pytest.mark.parametrize(
    ("embed_id", "verdict"),
    [
        ("sold", Verdict.USES),
        ("else", Verdict.USES_ANOTHER),
        ("none", Verdict.USES_ANOTHER),
        ("unheard of", Verdict.UNDETERMINED),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_map(embed_id: str, verdict: Verdict, listed: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """The map tells of an embed of which nothing else does, whether List Embeds returns it or not."""
    embed = MAP.apply(embed_of(embed_id, None, listed=listed))

    assert embed.verdict("sales") is verdict
    assert embed.verdict("") is not Verdict.USES


@pytest.mark.parametrize("told", ["sales", "marketing", NO_DATAMART])
def test_map_is_asked_last(told: str) -> None:
    """What the API tells is not replaced by the map."""
    assert MAP.apply(embed_of("else", told)).datamart_name == told


BEFORE, AFTER = MADE_AT - timedelta(seconds=1), MADE_AT + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("created_at", "updated_at", "verdict"),
    [
        (BEFORE, BEFORE, Verdict.USES_ANOTHER),
        (MADE_AT, MADE_AT, Verdict.USES_ANOTHER),
        (AFTER, AFTER, Verdict.UNDETERMINED),
        (BEFORE, AFTER, Verdict.UNDETERMINED),
        (AFTER, BEFORE, Verdict.UNDETERMINED),
        (None, BEFORE, Verdict.UNDETERMINED),
        (BEFORE, None, Verdict.UNDETERMINED),
        (None, None, Verdict.UNDETERMINED),
    ],
)
def test_age_of_the_map(created_at: datetime | None, updated_at: datetime | None, verdict: Verdict) -> None:
    """An embed that is newer than the map, was changed since, or does not tell, stays undetermined."""
    embed = replace(embed_of("else", None), created_at=created_at, updated_at=updated_at)

    assert MAP.apply(embed).verdict("sales") is verdict


@pytest.mark.parametrize(
    ("seen", "updated_at", "verdict"),
    [
        (START, START, Verdict.USES_ANOTHER),
        (START, START.astimezone(timezone(timedelta(hours=2))), Verdict.USES_ANOTHER),
        (AFTER, AFTER, Verdict.USES_ANOTHER),
        (START, START + timedelta(microseconds=1), Verdict.UNDETERMINED),
        (START, START - timedelta(microseconds=1), Verdict.UNDETERMINED),
        (START, None, Verdict.UNDETERMINED),
        (None, START, Verdict.UNDETERMINED),
        (None, None, Verdict.UNDETERMINED),
    ],
)
@pytest.mark.parametrize("created_at", [START, None])
def test_what_the_owner_has_seen(
    seen: datetime | None, updated_at: datetime | None, created_at: datetime | None, verdict: Verdict
) -> None:
    """An entry that names the updatedAt that its owner saw speaks of the embed as it was then."""
    embed_map = replace(MAP, seen={"else": seen})
    embed = replace(embed_of("else", None), created_at=created_at, updated_at=updated_at)

    assert embed_map.apply(embed).verdict("sales") is verdict


def test_map_does_not_settle_a_contradiction() -> None:
    """An embed whose own fields name several datamarts stays undetermined, whatever the map says."""
    embed = replace(embed_of("else", None), is_contradictory=True)

    assert MAP.apply(embed).verdict("sales") is Verdict.UNDETERMINED


def test_reviewed_ones_come_last() -> None:
    """The lists are by ID, those that nobody has reviewed first."""
    dependents = Dependents("sales", listing_of(*(embed_of(name, "sales") for name in "dbca")), frozenset("ab"))

    assert [embed.embed_id for embed in dependents.with_verdict(Verdict.USES)] == ["c", "d", "a", "b"]
    assert [embed.embed_id for embed in dependents.unreviewed(Verdict.USES)] == ["c", "d"]
    assert dependents.unreviewed(Verdict.UNDETERMINED) == []


def test_document() -> None:
    """The result lists embeds by what they do, and always names what no request can tell."""
    listing = listing_of(embed_of("f", "sales"), embed_of("u", None), embed_of("o", "other"), gaps=["a gap"])

    assert Dependents("sales", listing, frozenset()).document() == {
        "found": [{"embedId": "f", "name": "Embed f", "dataAppName": "Portal"}],
        "foundCount": 1,
        "undetermined": [{"embedId": "u", "name": "Embed u", "dataAppName": "Portal"}],
        "undeterminedCount": 1,
        "notChecked": [*NEVER_CHECKED, "a gap"],
    }


def test_document_of_many() -> None:
    """At most 100 in each list; the counts are of all."""
    embeds = [embed_of(f"{number:03}", told) for number in range(120) for told in ("sales", None)]
    document = Dependents("sales", listing_of(*embeds, gaps=["gap"] * 120), frozenset(["000"])).document()

    assert [len(document[name]) for name in ("found", "undetermined", "notChecked")] == [100, 100, 100]  # type: ignore[arg-type]  # lists
    assert (document["foundCount"], document["undeterminedCount"]) == (120, 120)
