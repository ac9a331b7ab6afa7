"""What the stack's owner guards, on the deployed stack: by name, by count, by plan and by the files on S3."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.stack.scene import PARAMETERS, Scene

LIMIT = 5
MARGIN = timedelta(seconds=40)
CONCURRENT = 20


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"PROTECTED_DATAMARTS": "hr, Finance-*"}, "protected"),
        ({"RETIRABLE_DATAMARTS": "tenant-*,trial-*"}, "not_retirable"),
    ],
)
def test_by_name(scene: Scene, settings: dict[str, str], reason: str) -> None:
    """A name that is guarded is refused for that without one request to Databrain; the receipt alone is kept."""
    name = scene.datamart(f"finance-{uuid4()}")
    with scene.stack.settings(**settings):
        retirement_id = scene.ask(name, dependents="ignore")
        published = scene.result(retirement_id)
    result = published.document
    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert published.attributes["outcome"] == "blocked"
    assert scene.databrain.requests == []
    assert scene.new_objects() == [f"retirements/{name}/{retirement_id}/receipt.json"]
    assert scene.counted() == 0

    assert scene.result(scene.ask(name)).document["outcome"] == "deleted"


@pytest.fixture
def within_a_day() -> None:
    """The deployed function's clock is real, and a count begins anew at midnight: do not begin right before it."""
    while datetime.now(UTC) + MARGIN >= midnight():
        time.sleep(0.5)


def midnight() -> datetime:
    """The end of this UTC day."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.mark.usefixtures("within_a_day")
def test_twenty_at_once(scene: Scene) -> None:
    """Of twenty requests at once, with a limit of five a day, five are carried out and fifteen are told why not."""
    names = [scene.datamart() for _ in range(CONCURRENT)]
    with scene.stack.settings(MAX_RETIREMENTS_PER_DAY=str(LIMIT)):
        asked = {scene.ask(name): name for name in names}
        results = [scene.stack.next_result() for _ in names]
    documents = [result.document for result in results]

    assert {document["retirementId"] for document in documents} == asked.keys()
    ends = Counter((document["outcome"], document["reason"]) for document in documents)
    assert ends == {("deleted", None): LIMIT, ("blocked", "daily_limit_reached"): CONCURRENT - LIMIT}
    deleted = sorted(document["datamartName"] for document in documents if document["outcome"] == "deleted")
    assert sorted(scene.deletions()) == deleted
    assert sorted(scene.databrain.organisation.datamarts) == sorted(set(names) - set(deleted))
    blocked = [document for document in documents if document["outcome"] == "blocked"]
    assert all(f"{LIMIT} of {LIMIT} retirements of this UTC day" in document["message"] for document in blocked)
    assert len([key for key in scene.new_objects() if key.endswith("/intent.json")]) == LIMIT
    assert scene.counted() == LIMIT


def test_limit_of_none(scene: Scene) -> None:
    """A limit of 0 is told before any request to Databrain, and lifted by another one."""
    name = scene.datamart()
    with scene.stack.settings(MAX_RETIREMENTS_PER_DAY="0"):
        result = scene.result(scene.ask(name)).document
    assert (result["outcome"], result["reason"]) == ("blocked", "daily_limit_reached")
    assert "0 of 0 retirements" in result["message"]
    assert scene.databrain.requests == []
    assert scene.result(scene.ask(name)).document["outcome"] == "deleted"


def test_a_retry_is_counted_once(scene: Scene) -> None:
    """A retirement that failed at its delete and comes again takes one place of the day; a dry run takes none."""
    name = scene.datamart()
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "status", "status": 401}])
    request = scene.event(name)
    assert scene.stack.invoke(request).error
    assert scene.counted() == 1
    scene.databrain.faults.clear()
    assert scene.stack.invoke(request).payload["outcome"] == "deleted"
    assert scene.stack.invoke(scene.event(scene.datamart(), dryRun=True)).payload["outcome"] == "planned"
    assert scene.counted() == 1


def test_ambiguous_name(scene: Scene) -> None:
    """Of two datamarts whose names differ in case alone neither is deleted."""
    name = scene.datamart()
    scene.datamart(name.upper())
    result = scene.result(scene.ask(name)).document
    assert (result["outcome"], result["reason"]) == ("blocked", "ambiguous_name")
    assert name.upper() in result["message"]
    assert result["planId"] is not None
    assert scene.deletions() == []


def test_close_names(scene: Scene) -> None:
    """The result of a misspelt name tells the name that may have been meant."""
    name = scene.datamart()
    result = scene.result(scene.ask(f"{name}s")).document
    assert result["outcome"] == "already_absent"
    assert f'Similar names: "{name}".' in result["message"]


def test_plan_drifted(scene: Scene) -> None:
    """A plan that no longer holds is refused with what has changed."""
    name = scene.portal("overview", embedsTellDatamart="metadata")
    planned = scene.result(scene.ask(name, dryRun=True, reviewedEmbeds=["overview"])).document
    table = {"tableName": "refunds", "datamartTableColumns": [{"columnName": "id", "datatype": "integer"}]}
    scene.datamart(name, datamartTables=[table])

    asked = scene.ask(name, planId=planned["planId"], reviewedEmbeds=["overview"], backup=False)
    result = scene.result(asked).document

    assert (result["outcome"], result["reason"]) == ("blocked", "plan_drifted")
    for change in ('table added: "refunds"', 'table removed: "orders"', 'option changed: "backup"'):
        assert change in result["message"]
    assert scene.deletions() == []


class TestDatamartLists:
    """The lists of protected and of retirable names, which their owner keeps on S3."""

    @pytest.mark.parametrize(
        ("lists", "reason"),
        [
            ({"protected": ["hr", 'Finance, "EU"-*']}, "protected"),
            ({"retirable": ["tenant-*"], "protected": ["hr"]}, "not_retirable"),
        ],
    )
    def test_they_guard(self, scene: Scene, lists: dict[str, list[str]], reason: str) -> None:
        """A name that the file guards is refused without one request to Databrain; the next request reads it anew."""
        name = scene.datamart(f'finance, "eu"-{uuid4()}')
        scene.list_names(lists)
        result = scene.result(scene.ask(name, dependents="ignore")).document
        assert (result["outcome"], result["reason"]) == ("blocked", reason)
        assert f"{PARAMETERS['DatamartListsUri']} (DatamartListsUri)" in result["message"]
        assert scene.databrain.requests == []

        scene.list_names({"protected": ["hr"], "retirable": ["Finance, *"]})
        assert scene.result(scene.ask(name)).document["outcome"] == "deleted"

    @pytest.mark.parametrize("broken", [None, b"{", {"protected": []}, {"retirable": ["core-["]}])
    def test_they_are_broken(self, scene: Scene, broken: object) -> None:
        """A file that is missing or broken fails the request, and deletes nothing."""
        scene.list_names(broken)
        invocation = scene.stack.invoke(scene.event(scene.datamart()))
        assert invocation.error
        assert f"DatamartListsUri: {PARAMETERS['DatamartListsUri']}" in invocation.payload["errorMessage"]
        assert scene.databrain.requests == []
        assert scene.new_objects() == []


class TestEmbedMap:
    """The map of embeds, which its owner keeps on S3."""

    @pytest.mark.parametrize("filled", [True, False], ids=["as the tool writes it", "as plain names"])
    def test_it_tells(self, scene: Scene, filled: bool) -> None:  # noqa: FBT001  # a parameter of the test
        """An embed of which nothing else tells uses what the map says, read with the role's own permission."""
        name = scene.portal("overview", "details")

        def tell(overview: str | None, details: str | None) -> None:
            told = {"overview": overview, "details": details}
            objects = {embed: {"name": embed, "datamart": datamart} for embed, datamart in told.items()}
            scene.map_embeds(objects if filled else told)

        tell(name, "another")
        found = scene.result(scene.ask(name)).document
        assert (found["outcome"], found["reason"]) == ("blocked", "dependents_found")
        assert [embed["embedId"] for embed in found["dependents"]["found"]] == ["overview"]
        assert found["dependents"]["undeterminedCount"] == 0

        tell("another", None)
        deleted = scene.result(scene.ask(name)).document
        assert (deleted["outcome"], deleted["dependents"]["foundCount"]) == ("deleted", 0)

    def test_it_does_not_tell(self, scene: Scene) -> None:
        """An embed that nobody has filled in, or that the map does not know, stays undetermined."""
        name = scene.portal("overview", "details")
        scene.map_embeds({"overview": {"datamart": ""}})
        result = scene.result(scene.ask(name)).document
        assert (result["outcome"], result["reason"]) == ("blocked", "dependents_undetermined")
        assert result["dependents"]["undeterminedCount"] == 2

    def test_it_is_older(self, scene: Scene) -> None:
        """An embed that was changed after the map was written may be another one: it stays undetermined."""
        name = scene.portal("overview")
        apps = scene.databrain.organisation.data_apps
        (embed,) = apps["Portal"].embeds
        apps["Portal"] = replace(apps["Portal"], embeds=(replace(embed, updated_at="2999-01-01T00:00:00Z"),))
        scene.map_embeds({"overview": "another"})
        result = scene.result(scene.ask(name)).document
        assert (result["outcome"], result["reason"]) == ("blocked", "dependents_undetermined")

    @pytest.mark.parametrize("broken", [None, b"{"])
    def test_it_is_broken(self, scene: Scene, broken: object) -> None:
        """A map that is missing or broken fails the request, even where dependents are ignored, and deletes nothing."""
        name = scene.portal("overview")
        scene.map_embeds(broken)
        for asked in ({}, {"dependents": "ignore"}):
            invocation = scene.stack.invoke(scene.event(name, **asked))
            assert invocation.error
            assert f"EmbedMapUri: {PARAMETERS['EmbedMapUri']}" in invocation.payload["errorMessage"]
        assert scene.deletions() == []
        assert scene.new_objects() == []
