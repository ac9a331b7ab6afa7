"""docs/costs.md adds up, and its quantities are the template's and the code's."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types

from local.emulator import CHECKOUT
from retirement.databrain.ports import Metric
from tests.docs.pages import Page, plain
from tests.fakes import START, World, requested

PAGE = Page("docs/costs.md")
CENT, HUNDREDTH = Decimal("0.01"), Decimal("0.0001")
THOUSAND = 1_000

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five, and no fewer with a maximum concurrency.
POLLERS = 5
ASKS_PER_HOUR = 180  # long polling, 20 seconds each
HOURS = 730
SWEEPS = 30

# Write units of each call (DynamoDB developer guide, "On-demand capacity mode": a transaction takes two for each item).
WRITES = {
    "coordination.acquire": 1,
    "coordination.reserve": 4,
    "coordination.record_failure": 1,
    "coordination.release": 1,
}
READS = {"coordination.used_today": 1}

Rows = list[list[str]]


class Costs:
    """The page's tables."""

    @cached_property
    def prices(self) -> dict[str, tuple[Decimal, Decimal]]:
        """USD for one, and how many are free each month."""
        rows = PAGE.table("Prices", "item")
        return {plain(item): (number(usd) / number(per), number(free)) for item, usd, per, free, _ in rows}

    @cached_property
    def counts(self) -> dict[str, Decimal]:
        """What there is."""
        return {what: number(count) for what, count in PAGE.table("Resources", "")}

    @staticmethod
    def rows(section: str, nth: int = 0) -> Rows:
        """One of the sums in a section, with the row `sum` where there is one."""
        return PAGE.tables(section, "item")[nth]

    def quantities(self, section: str, nth: int = 0) -> dict[str, Decimal]:
        """How many of each item."""
        return {row[0]: number(row[2]) for row in self.rows(section, nth) if plain(row[0]) != "sum"}

    def total(self, section: str, nth: int = 0, column: int = 3) -> Decimal:
        """What a sum comes to."""
        (total,) = (number(row[column]) for row in self.rows(section, nth) if plain(row[0]) == "sum")
        return total


def number(text: str) -> Decimal:
    """A number as the page writes it."""
    return Decimal(text.replace(",", ""))


@pytest.fixture(scope="module")
def costs() -> Costs:
    """The page."""
    return Costs()


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The template as written."""
    decoded, errors = decode(str(CHECKOUT / "template.yaml"))
    assert not errors
    return dict(decoded)


def count(template: dict[str, Any], resource_type: str, condition: str | None = None) -> int:
    """The resources of a type that every stack has, or those that there are under a condition alone."""
    found = [resource for resource in template["Resources"].values() if resource["Type"] == resource_type]
    return sum(resource.get("Condition") == condition for resource in found)


SUMS = [("At rest", 0), ("At rest", 1), ("1,000 retirements", 0), ("1,000 retirements", 1), ("Metrics", 0)]


@pytest.mark.parametrize(("section", "nth"), SUMS)
def test_each_figure(costs: Costs, section: str, nth: int) -> None:
    """Each figure is the quantity times the price, to a hundredth of a cent."""
    for item, _, quantity, usd, *after in costs.rows(section, nth):
        if plain(item) == "sum":
            continue
        price, free = costs.prices[item]
        assert number(usd) == (number(quantity) * price).quantize(HUNDREDTH), item
        for told in after:
            assert number(told) == (max(Decimal(0), number(quantity) - free) * price).quantize(HUNDREDTH), item


@pytest.mark.parametrize(("section", "nth"), SUMS[:-1])
def test_each_sum(costs: Costs, section: str, nth: int) -> None:
    """Each sum is the sum of its figures."""
    *figures, total = costs.rows(section, nth)
    assert plain(total[0]) == "sum"
    for column in range(3, len(total)):
        assert number(total[column]) == sum(number(row[column]) for row in figures)


def test_in_short(costs: Costs) -> None:
    """What stands at the top is what stands below, to a cent."""
    told = [number(usd) for _, usd in PAGE.table("Costs", "")]
    plainly, dated = costs.total("1,000 retirements"), costs.total("1,000 retirements", 1)
    metrics = number(costs.rows("Metrics")[0][3])
    at_rest, more = costs.total("At rest"), costs.total("At rest", 1)
    assert told == [amount.quantize(CENT) for amount in (at_rest, more, plainly, plainly + dated, metrics)]
    text = PAGE.path.read_text()
    assert f"it costs {costs.total('At rest', column=4).quantize(CENT)}." in text


def test_what_there_is(costs: Costs, template: dict[str, Any]) -> None:
    """What is counted is what the template has."""
    alarm, dashboard = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"
    secrets = {name: told for name, told in template["Parameters"].items() if name.endswith("SecretArn")}
    functions = template["Globals"]["Function"]
    assert costs.counts == {
        "alarms": count(template, alarm),
        "alarms, with a webhook": count(template, alarm, "HasWebhook"),
        "alarms, with sweeps": count(template, alarm, "HasSweep"),
        "dashboards": count(template, dashboard),
        "secrets": sum("Default" not in told for told in secrets.values()),
        "secrets, with a webhook": sum(name.startswith("Webhook") for name in secrets),
        "queues that Lambda polls": count(template, "AWS::Lambda::EventSourceMapping"),
        "metrics of a retirement": len(["Duration", *Metric, "Retirements", "ColdStart"]),
        "memory of a function, MB": functions["MemorySize"],
        "assumed: duration of the retire function, seconds": 5,
        "assumed: duration of the schedule function, seconds": 1,
        "assumed: duration of a sweep, seconds": 60,
    }
    assert functions["Architectures"] == ["arm64"]
    everything = [resource for resource in template["Resources"].values() if resource["Type"] == alarm]
    assert sum(amount for what, amount in costs.counts.items() if what.startswith("alarms")) == len(everything)


def test_at_rest(costs: Costs) -> None:
    """What is paid for at rest is what there is, and what Lambda asks its queues."""
    counts = costs.counts
    assert costs.quantities("At rest") == {
        "alarm": counts["alarms"],
        "dashboard": counts["dashboards"],
        "secret": counts["secrets"],
        "queue, requests": counts["queues that Lambda polls"] * POLLERS * ASKS_PER_HOUR * HOURS,
    }
    memory = counts["memory of a function, MB"] / 1024
    assert costs.quantities("At rest", 1) == {
        "alarm": counts["alarms, with a webhook"] + counts["alarms, with sweeps"],
        "secret": counts["secrets, with a webhook"],
        "timer invocations": SWEEPS,
        "function, invocations": SWEEPS,
        "function, GB-seconds on arm64": SWEEPS * counts["assumed: duration of a sweep, seconds"] * memory,
    }


def test_a_retirement(costs: Costs) -> None:
    """The calls that are paid for are those that a retirement makes."""
    world = World()
    world.databrain.datamarts["sales"] = datamart()
    assert world.deliver(requested("sales"))["outcome"] == "deleted"
    calls, told = Counter(world.calls), costs.quantities("1,000 retirements")
    assert told["bucket, writes and lists"] == (calls["evidence.create"] + calls["evidence.list"]) * THOUSAND
    assert told["bucket, reads"] == calls["evidence.read"] * THOUSAND
    assert told["table, writes"] == sum(units * calls[name] for name, units in WRITES.items()) * THOUSAND
    assert told["table, reads"] == sum(units * calls[name] for name, units in READS.items()) * THOUSAND
    assert told["topic, publications"] == calls["results_topic.publish"] * THOUSAND
    known = {
        *WRITES,
        *READS,
        "evidence.create",
        "evidence.list",
        "evidence.read",
        "results_topic.publish",
        "embed_map.read",
        "datamart_lists.read",
    }
    assert {name for name in calls if not name.startswith("databrain.")} == known
    counts = costs.counts
    memory = counts["memory of a function, MB"] / 1024
    seconds = counts["assumed: duration of the retire function, seconds"]
    assert told["function, GB-seconds on arm64"] == seconds * memory * THOUSAND


def test_a_retirement_with_a_date(costs: Costs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes on top is what scheduling, the reminder and the date make."""
    plainly = World()
    plainly.databrain.datamarts["sales"] = datamart()
    plainly.deliver(requested("sales"))
    world, deliveries = World(), list[list[str]]()
    world.databrain.datamarts["sales"] = datamart()
    record = world._recorded  # noqa: SLF001  # the world's own record, delivery by delivery

    def recorded(*arguments: Any) -> Any:  # noqa: ANN401  # as the method
        ports, calls = record(*arguments)
        deliveries.append(calls)
        return ports, calls

    monkeypatch.setattr(world, "_recorded", recorded)
    world.schedule(requested("sales", retireAt="2026-04-01T12:00:00Z"))
    ends = world.pass_time(START + timedelta(days=60))
    assert [end["outcome"] for end in ends] == ["scheduled", "deleted"]

    calls = Counter(call for delivery in deliveries for call in delivery)
    calls.subtract(Counter(plainly.calls))
    told = costs.quantities("1,000 retirements", 1)
    scheduling = len(deliveries) - 1
    assert told["function, invocations"] == scheduling * THOUSAND
    assert told["queue, requests"] == scheduling * 3 * THOUSAND
    assert told["timer invocations"] == len(ends) * THOUSAND
    assert told["bucket, writes and lists"] == (calls["evidence.create"] + calls["evidence.list"]) * THOUSAND
    assert told["bucket, reads"] == calls["evidence.read"] * THOUSAND
    assert told["topic, publications"] == calls["results_topic.publish"] * THOUSAND
    memory = costs.counts["memory of a function, MB"] / 1024
    seconds = costs.counts["assumed: duration of the schedule function, seconds"]
    assert told["function, GB-seconds on arm64"] == scheduling * seconds * memory * THOUSAND


def test_metrics(costs: Costs) -> None:
    """The metrics are paid for by the hour."""
    every_hour, one_hour = (number(row[2]) for row in costs.rows("Metrics"))
    metrics = costs.counts["metrics of a retirement"]
    assert (every_hour, one_hour) == (metrics, (metrics / HOURS).quantize(HUNDREDTH))


def datamart() -> dict[str, Any]:
    """One that nobody uses."""
    table = {"tableName": "orders", "datamartTableColumns": [{"columnName": "id"}]}
    return {"name": "sales", "createdAt": "2025-03-04T09:30:00.000Z", "datamartTables": [table]}
