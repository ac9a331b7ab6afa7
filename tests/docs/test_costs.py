"""docs/costs.md adds up, counts what the template has, and calculates with the calls that the code makes."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types

from local.emulator import CHECKOUT
from retirement.databrain.ports import Metric
from tests.docs.pages import Page, plain
from tests.fakes import START, World, requested

PAGE = Page("docs/costs.md")
AT_REST, RETIREMENTS = "At rest", "1,000 retirements"
# The billed units of each call, by item. (DynamoDB bills a transaction twice; its developer guide, "On-demand mode".)
BILLED = {
    "bucket, writes and lists": {"evidence.create": 1, "evidence.list": 1},
    "bucket, reads": {"evidence.read": 1},
    "table, writes": {f"coordination.{name}": 1 for name in ("acquire", "record_failure", "release")}
    | {"coordination.reserve": 4},
    "table, reads": {"coordination.used_today": 1},
    "topic, publications": {"results_topic.publish": 1},
}
ONLY_WHERE_GIVEN = {"embed_map.read", "datamart_lists.read"}
DATAMART = {"name": "sales", "createdAt": "2025-03-04T09:30:00.000Z", "datamartTables": []}


def number(text: str) -> Decimal:
    """A number as the page writes it."""
    return Decimal(text.replace(",", "") or 0)


def tables(section: str) -> list[dict[str, list[Decimal]]]:
    """Quantity, USD, and USD after the free tier where it is given, by item."""
    found = PAGE.tables(section, "item")
    return [{plain(item): [number(text) for text in rest] for item, _, *rest in rows} for rows in found]


def test_sums() -> None:
    """Each figure is quantity times price, each sum is that of its figures, and the page begins with the sums."""
    prices = {plain(row[0]): [number(text) for text in row[1:4]] for row in PAGE.table("Prices", "item")}
    sums = []
    for table in (*tables(AT_REST), *tables(RETIREMENTS)):
        _, *told = table.pop("sum")
        assert told == [sum(column) for column in list(zip(*table.values(), strict=True))[1:]]
        for item, (quantity, *figures) in table.items():
            usd, per, free = prices[item]
            billed = (quantity, max(Decimal(0), quantity - free))
            assert figures == [round(each * usd / per, 4) for each in billed[: len(figures)]], item
        sums.append(told[0])
    at_rest, more, retirements, dates = sums
    metrics = number(PAGE.tables("Metrics", "item")[0][0][3])
    in_short = [number(usd) for _, usd in PAGE.table("Costs", "")]
    assert in_short == [round(each, 2) for each in (at_rest, more, retirements, retirements + dates, metrics)]


def test_resources() -> None:
    """The page counts the template's alarms, dashboards, secrets and polled queues, and the code's metrics."""
    template, _ = decode(str(CHECKOUT / "template.yaml"))
    resources = template["Resources"].values()
    count = Counter((each["Type"].rpartition("::")[2], each.get("Condition")) for each in resources)
    assert [int(told) for _, told in PAGE.table("Resources", "")][:9] == [
        *(count["Alarm", condition] for condition in (None, "HasWebhook", "HasSweep")),
        count["Dashboard", None],
        *("ServiceTokenSecretArn" in template["Parameters"], "WebhookSecretArn" in template["Parameters"]),
        count["EventSourceMapping", None],
        len(["Duration", *Metric, "Retirements", "ColdStart"]),
        template["Globals"]["Function"]["MemorySize"],
    ]


def test_calls() -> None:
    """A thousand retirements make the calls that the page calculates with, and with a date the additional ones."""
    world, dated = World(), World()
    for each in (world, dated):
        each.databrain.datamarts["sales"] = DATAMART
    assert world.deliver(requested("sales"))["outcome"] == "deleted"
    calls = Counter(world.calls)
    assert {name for name in calls if not name.startswith("databrain.")} == ONLY_WHERE_GIVEN.union(*BILLED.values())

    ends = [dated.schedule(requested("sales", retireAt="2026-04-01T12:00:00Z"))]
    more = Counter(dated.calls)
    for days in (30, 60):  # its reminder, and its date
        ends += dated.pass_time(START + timedelta(days=days))
        more.update(dated.calls)
    assert [end["outcome"] for end in ends] == ["scheduled", "scheduled", "deleted"]
    more.subtract(calls)
    for table, made in zip(tables(RETIREMENTS), (calls, more), strict=True):
        for item, units in BILLED.items():
            assert table.get(item, [0])[0] == 1_000 * sum(unit * made[name] for name, unit in units.items()), item
