"""What docs/costs.md says of bytes, against what a retirement writes."""

from datetime import UTC, datetime

from tests.docs.pages import Page
from tests.stack.scene import Scene

THOUSAND = 1_000
GB = 1_000_000_000


def test_bytes(scene: Scene) -> None:
    """A retirement of a datamart of 100 columns logs, and keeps, no more than is reckoned with, and not much less."""
    rows = Page("docs/costs.md").tables("1,000 retirements", "item")[0]
    reckoned = {
        item: float(quantity) * GB / THOUSAND for item, _, quantity, _ in rows if ", GB" in item and "." in quantity
    }
    columns = [{"columnName": f"column_{number}", "datatype": "integer", "label": "A column"} for number in range(50)]
    tables = [{"tableName": name, "datamartTableColumns": columns} for name in ("orders", "customers")]
    began = datetime.now(UTC)
    scene.result(scene.ask(scene.datamart(datamartTables=tables)))

    def log() -> list[str]:
        lines = scene.stack.function_log(since=began)
        return lines if lines and lines[-1].startswith("REPORT ") else []

    logged = sum(len(line) for line in scene.eventually(log))
    kept = sum(len(scene.kept(key).body) for key in scene.new_objects())
    assert 0.6 * reckoned["log, ingested, GB"] <= logged <= reckoned["log, ingested, GB"]
    assert 0.6 * reckoned["bucket, GB-months"] <= kept <= reckoned["bucket, GB-months"]
