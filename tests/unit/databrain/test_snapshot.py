import pytest

from retirement.databrain.snapshot import Listing, Snapshot, configuration_hash
from tests.fakes import START, Parsed, entry_of
from tests.unit.samples import LAYER


@pytest.mark.parametrize(
    ("entry", "layer"),
    [
        (entry_of() | {"updatedAt": "2026-03-01T00:00:00Z"}, LAYER),
        (dict(reversed(entry_of().items())), LAYER),
        (entry_of(), LAYER | {"lastUpdated": "2026-03-01T00:00:00Z", "completionScore": 75}),
    ],
)
def test_same_configuration(entry: Parsed, layer: Parsed) -> None:
    """What changes by itself, and the order of keys, is no part of the configuration."""
    assert configuration_hash(entry, layer) == configuration_hash(entry_of(), LAYER)


@pytest.mark.parametrize(
    ("entry", "layer"),
    [
        (entry_of(label="Changed"), LAYER),
        (entry_of(created_at=START), LAYER),
        (entry_of() | {"datamartTables": entry_of()["datamartTables"] * 2}, LAYER),
        (entry_of() | {"unheardOf": 1}, LAYER),
        (entry_of(), LAYER | {"feedback": "in EUR"}),
        (entry_of(), LAYER | {"tables": LAYER["tables"][::-1]}),
        (entry_of(), None),
        (entry_of(), {}),
    ],
)
def test_other_configuration(entry: Parsed, layer: Parsed) -> None:
    """All else counts: every field, the order of lists, and whether there is a semantic layer."""
    assert configuration_hash(entry, layer) != configuration_hash(entry_of(), LAYER)


def test_the_hash_itself() -> None:
    """The hash of a configuration stays what it is: a new version must not take each plan and intent for another's."""
    entry: Parsed = {
        "name": "Größe",
        "createdAt": "2025-03-04T09:30:00.000Z",
        "updatedAt": "2026-03-01T00:00:00Z",
        "datamartTables": [{"tableName": "orders", "weight": 0.5, "rows": 12, "isHide": False, "label": None}],
    }
    layer: Parsed = {"tables": [], "feedback": "in €", "lastUpdated": "2026-03-01T00:00:00Z", "completionScore": 75}

    assert configuration_hash(entry, layer) == "1ac000717531a57907dee495a3cf0dea71afbe48f5c75e3277abc28d2776f081"
    assert configuration_hash(entry, None) == "a51f3695385b2c2d5606c793b82bf2308d9693973330102ffa9dbb9911e88ca8"
    assert (
        Snapshot("Größe", None, entry, layer, Listing({})).semantic_layer_hash
        == "9ffea136f7afed8032e26bd23d3c5472e11afa05c4dca73e03ff3292199165b7"
    )


def test_hashes_of_a_snapshot() -> None:
    """A snapshot's hashes are those of what it holds; without a semantic layer there is none of that."""
    snapshot = Snapshot("sales", None, entry_of(), LAYER, Listing({}))
    without = Snapshot("sales", None, entry_of(), None, Listing({}))

    assert snapshot.configuration_hash == configuration_hash(entry_of(), LAYER)
    assert len(snapshot.semantic_layer_hash or "") == 64
    assert without.semantic_layer_hash is None


def test_listing() -> None:
    """A listing knows exact names."""
    listing = Listing({"sales": None})

    assert "sales" in listing
    assert "Sales" not in listing
