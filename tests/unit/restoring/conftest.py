"""What every restore keeps, whatever a test does to it."""

from collections import Counter
from collections.abc import Iterator

import pytest

from local.databrain.faults import RouteId
from retirement.canonical import canonical_json
from tests.faults.stage import in_process
from tests.restore_world import SECRETS, RestoreWorld
from tests.unit.conftest import follows_schema


@pytest.fixture
def world() -> Iterator[RestoreWorld]:
    """An organisation and a stack; at the end nothing was deleted, nothing came twice, and no secret was written."""
    world = RestoreWorld()
    with in_process():
        yield world
    for result in world.published:
        follows_schema(result)
        assert "SECRET SQL" not in canonical_json(result)
    assert not world.sent_to(RouteId.DELETE_DATAMART)
    assert all(count == 1 for count in Counter(world.created_datamarts).values())
    shown = Counter((app, embed.target_id, embed.name) for app, embed in world.created_embeds)
    assert all(count == 1 for count in shown.values())
    written = [key + stored.body for key, stored in world.evidence.objects.items()] + world.results_topic.messages
    assert not [text for text in written if any(secret in text for secret in SECRETS)]
    allowed = ("retirements/", "backups/", "restores/", "rejected/")
    assert all(key.startswith(allowed) for key in world.evidence.objects)
