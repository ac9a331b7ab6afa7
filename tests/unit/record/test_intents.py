import json
from dataclasses import replace

import pytest

from retirement.errors import AwsCallFailed
from retirement.record.intents import Intent
from retirement.stored_object import StoredObject
from tests.unit.samples import CREATED_AT, INTENT

KEPT = json.loads(INTENT.to_json())
KEY = "retirements/sales/offboard-1/intent.json"


def read(body: str) -> Intent:
    """Read an intent from a stored object with this body."""
    return Intent.of(StoredObject("evidence", KEY, "v1", body, None))


@pytest.mark.parametrize(
    "intent",
    [
        INTENT,
        replace(INTENT, created_at=None, backup=None),
        replace(INTENT, created_at=CREATED_AT.replace(microsecond=1)),
    ],
)
def test_round_trip(intent: Intent) -> None:
    """An intent reads back equal."""
    assert read(intent.to_json()) == intent


def test_of_an_earlier_version() -> None:
    """An intent that was written before anything was said of what can be restored is read."""
    kept = {name: value for name, value in KEPT.items() if name != "notRestorable"}

    assert read(json.dumps(kept)) == replace(INTENT, not_restorable=None)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "intent",
        {},
        *(
            {name: value for name, value in KEPT.items() if name != missing}
            for missing in KEPT
            if missing not in {"formatVersion", "notRestorable"}
        ),
        KEPT | {"datamart": None},
        KEPT | {"datamart": KEPT["datamart"] | {"createdAt": "yesterday"}},
        KEPT | {"datamart": KEPT["datamart"] | {"createdAt": 5}},
        KEPT | {"backup": "s3://"},
        KEPT | {"backup": {}},
    ],
)
def test_not_ours(kept: object) -> None:
    """Anything else than an intent of ours is an error, never an intent with gaps."""
    with pytest.raises(AwsCallFailed, match=f"^{KEY} is not as this project writes it: check the object's versions"):
        read(json.dumps(kept))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_no_json(text: str) -> None:
    """An object that is not valid JSON is no intent."""
    with pytest.raises(AwsCallFailed, match=KEY):
        read(text)
