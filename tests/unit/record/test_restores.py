import json
from typing import Any

import pytest

from retirement.canonical import canonical_json
from retirement.errors import AwsCallFailed, MalformedObject
from retirement.record.keys import restore_key
from retirement.record.restores import EmbedIntent, RestoreIntent, RestoreRecord
from retirement.requests import EmbedsPolicy, RestoreRequest
from retirement.stored_object import StoredObject
from tests.fakes import START, FakeEvidence
from tests.unit.samples import ORGANISATION, REFERENCE

REQUEST = RestoreRequest(
    datamart_name="sales",
    retirement_id="offboard-1",
    restore_id="back-1",
    environment="prod",
    requested_by="ops",
    reason="back",
    restored_as="sales",
    embeds=EmbedsPolicy.RESTORE,
    dry_run=False,
    requested_at=START,
    content_hash="0" * 64,
    detail={"datamartName": "sales"},
)
INTENT = RestoreIntent(
    detail=REQUEST.detail,
    content_hash=REQUEST.content_hash,
    restored_as="sales",
    listed=frozenset({"returns", "caf\u00e9"}),
    ended=frozenset({"back-0"}),
    backup=REFERENCE,
    invocation_id="invocation-1",
    organisation=ORGANISATION,
)
EMBED = EmbedIntent(
    embed_id="board",
    data_app_name="Portal",
    body={"embedType": "dashboard"},
    listed=frozenset({"others"}),
    decided=[{"embedId": "figure"}],
    invocation_id="invocation-1",
)


def stored(text: str) -> StoredObject:
    """An object with this body."""
    return StoredObject("evidence", "restores/sales/offboard-1/back-1/intent.json", None, text, None)


def record(**files: str) -> RestoreRecord:
    """The record of a restore with these files."""
    evidence = FakeEvidence()
    for name, text in files.items():
        evidence.create(restore_key("sales", "offboard-1", "back-1", name.replace("_", "-") + ".json"), text, "0" * 64)
    evidence.create(restore_key("sales", "offboard-1", "back-10", "receipt.json"), "{}")
    return RestoreRecord(evidence, REQUEST)


def test_read_back() -> None:
    """What is kept is read back as it was written."""
    kept = record(intent=canonical_json(INTENT.document()), embed_1=canonical_json(EMBED.document()))
    assert kept.intent == INTENT
    assert kept.last_embed == EMBED
    assert kept.receipt is None


def test_nothing() -> None:
    """A restore of which nothing is kept has nothing, and the files of another restore are not its."""
    kept = record()
    assert (kept.receipt, kept.intent, kept.last_embed, kept.embeds_requested) == (None, None, None, 0)


def test_the_last_embed() -> None:
    """The last request is the one with the highest number, by number and not by text; other files are none."""
    texts = {f"embed_{number}": canonical_json({**EMBED.document(), "embedId": f"e{number}"}) for number in (1, 2, 10)}
    kept = record(**texts, embed_007="", embed_x="")
    assert kept.embeds_requested == 10
    assert kept.last_embed is not None
    assert kept.last_embed.embed_id == "e10"


@pytest.mark.parametrize("intent", [INTENT, EMBED])
def test_not_ours(intent: RestoreIntent | EmbedIntent) -> None:
    """What is not as this project writes it is not believed."""
    document: dict[str, Any] = json.loads(canonical_json(intent.document()))
    bodies = [
        "",
        "[]",
        "null",
        "{}",
        *(json.dumps({k: v for k, v in document.items() if k != key}) for key in document),
    ]
    for body in bodies:
        if body == json.dumps({k: v for k, v in document.items() if k != "formatVersion"}):
            continue
        with pytest.raises(MalformedObject):
            type(intent).of(stored(body))


def test_listed_and_gone() -> None:
    """An object that is listed and cannot be read is an error."""
    evidence = FakeEvidence()
    key = restore_key("sales", "offboard-1", "back-1", "receipt.json")
    evidence.create(key, "{}")
    kept = RestoreRecord(evidence, REQUEST)
    del evidence.objects[key]
    with pytest.raises(AwsCallFailed, match="has no such object"):
        kept.receipt  # noqa: B018
