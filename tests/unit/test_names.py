"""Legal names that careless code breaks on, from the event to the result."""

import pytest

from retirement.aws.results_topic import subject
from tests.contract.hostile_names import HOSTILE_NAMES, WRITTEN
from tests.fakes import World, entry_of, requested


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:32])
def test_a_hostile_name(world: World, name: str) -> None:
    """Exactly the datamart of that name is deleted; keys and subject hold the name as S3 and SNS allow."""
    in_key, in_subject = WRITTEN[name]
    world.databrain.datamarts.update((each, entry_of(each)) for each in HOSTILE_NAMES)
    result = world.deliver(requested(name))
    assert (result["outcome"], result["confirmedBy"], result["datamartName"]) == ("deleted", "response", name)
    assert subject({**result, "environment": "dev"}) == f'Datamart "{in_subject}" deleted [dev]'
    assert [*world.databrain.datamarts] == [other for other in HOSTILE_NAMES if other != name]
    kept = f"retirements/{in_key}/offboard-1"
    assert sorted(world.evidence.objects) == [
        f"backups/{in_key}/offboard-1/backup-{result['backup']['sha256'][:16]}.json",
        f"plans/{in_key}/{result['planId']}.json",
        f"{kept}/intent.json",
        f"{kept}/receipt.json",
    ]
