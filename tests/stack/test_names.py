"""Legal names that careless code breaks on, from the bus to the results topic; tests/unit/test_names.py has more."""

import pytest

from tests.contract.hostile_names import HOSTILE_NAMES, WRITTEN
from tests.stack.scene import Scene


@pytest.mark.parametrize(
    "name",
    ["../../etc", "a+b", "a?b#c", "%2F", 'it\'s "quoted"', "Größe 数据 🙂", "\ufeffseparated\u2028", "🙂" * 256],
    ids=lambda name: ascii(name)[:32],
)
def test_a_hostile_name(scene: Scene, name: str) -> None:
    """Exactly the datamart of that name is deleted; keys, attribute and subject hold the name as S3 and SNS allow."""
    in_key, in_subject = WRITTEN[name]
    others = [scene.datamart(other) for other in HOSTILE_NAMES if other != name]
    scene.datamart(name)
    retirement_id = scene.ask(name)
    published = scene.result(retirement_id)
    result = published.document
    assert (result["outcome"], result["confirmedBy"], result["datamartName"]) == ("deleted", "response", name)
    assert published.attributes["datamartName"] == name
    assert published.subject == f'Datamart "{in_subject}" deleted [dev]'
    assert scene.deletions() == [name]
    assert len(scene.databrain.requests) == 6
    assert list(scene.databrain.organisation.datamarts) == others
    kept = f"retirements/{in_key}/{retirement_id}"
    assert scene.new_objects() == [
        f"backups/{in_key}/{retirement_id}/backup-{result['backup']['sha256'][:16]}.json",
        f"plans/{in_key}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]
