"""What a person looks at: the dashboard's body as CloudWatch gets it."""

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics

from retirement.aws.telemetry import PowertoolsTelemetry
from retirement.errors import DatabrainUnavailable
from retirement.outcomes import Outcome
from retirement.requests import MAX_RECEIVES
from tests.unit.samples import DELIVERY, REQUEST

Node = dict[str, Any]
OfType = Callable[[str], dict[str, Node]]

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
ENVIRONMENT = "prod"

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
OF_AWS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): {"QueueName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/Lambda", "Errors"): {"FunctionName"},
}
# Functions that a stack need not have: the condition, and the parameter that it looks at.
OPTIONAL = {"HasSweep": "SweepPolicyUri", "HasWebhook": "WebhookSecretArn"}
SEARCH = re.compile(r"""(?:SUM\()?SEARCH\('\{(?P<schema>[\w,]+)\} (?P<terms>[^']*)', '(?P<stat>\w+)'\)\)?""")


class Sub:
    """What CloudFormation makes of a value, for these parameters; a resource stands for itself, as `<Name>`."""

    def __init__(self, **parameters: str) -> None:
        given = {"EnvironmentName": ENVIRONMENT, "Mode": "retire", **dict.fromkeys(OPTIONAL.values(), "x")}
        self._parameters = {**given, **parameters}

    def value(self, node: Any) -> str:  # noqa: ANN401 -- any part of a template
        """Resolve the intrinsic functions that the dashboard uses."""
        match node:
            case str():
                return node
            case {"Ref": name}:
                return self._parameters.get(name, f"<{name}>")
            case {"Fn::If": [condition, there, otherwise]}:
                return self.value(there if self._parameters[OPTIONAL[condition]] else otherwise)
            case {"Fn::Sub": [text, values]}:
                return self._filled(text, {name: self.value(value) for name, value in values.items()})
            case {"Fn::Sub": text}:
                return self._filled(text, {})
        raise AssertionError(node)

    def _filled(self, text: str, values: dict[str, str]) -> str:
        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            return values[name] if name in values else self.value({"Ref": name})

        return re.sub(r"\$\{([^}]+)\}", fill, text)


def body_of(properties: Callable[[str], Node], **parameters: str) -> Node:
    """The body, parsed."""
    body: Node = json.loads(Sub(**parameters).value(properties("Dashboard")["DashboardBody"]))
    return body


@pytest.fixture(scope="session")
def widgets(properties: Callable[[str], Node]) -> list[Node]:
    """The widgets, in the order of the template."""
    found: list[Node] = body_of(properties)["widgets"]
    return found


def metrics(widgets: list[Node]) -> Iterator[tuple[tuple[str, str], dict[str, str | None]]]:
    """Each metric on the dashboard: namespace and name, and its dimensions; None where any value will do."""
    for widget in (widget for widget in widgets if widget["type"] == "metric"):
        for line in widget["properties"]["metrics"]:
            if isinstance(line[0], str):
                namespace, name, *dimensions = [part for part in line if isinstance(part, str)]
                yield (namespace, name), dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            else:
                search = SEARCH.fullmatch(line[0]["expression"])
                assert search, line
                namespace, *names = search["schema"].split(",")
                terms = dict(re.findall(r'(\w+)="([^"]+)"', search["terms"]))
                assert search["stat"] == "Sum"
                yield (namespace, terms.pop("MetricName")), {name: terms.pop(name, None) for name in names}
                assert terms == {}


class Emitted:
    """What the function logs and counts, of a result and of a failure."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines, counted = io.StringIO(), Metrics()
        logger = Logger()
        logger.registered_handler.stream = lines  # type: ignore[attr-defined]  # loggers live as long as the process
        telemetry = PowertoolsTelemetry(logger, counted, ENVIRONMENT)
        result = {"retirementId": "r1", "datamartName": "sales", "outcome": "deleted", "reason": None, "message": "-"}
        with telemetry.attempt(DELIVERY):
            telemetry.ended(result, again=False)
        counted.flush_metrics()
        last = replace(DELIVERY, receive_count=MAX_RECEIVES)
        telemetry.about(REQUEST)
        with pytest.raises(DatabrainUnavailable), telemetry.attempt(last):
            raise DatabrainUnavailable("HTTP 503")
        counted.flush_metrics()
        logger.clear_state()
        (self.failure,) = [
            line for line in map(json.loads, lines.getvalue().splitlines()) if line["message"] == "attempt failed"
        ]
        of_restores = PowertoolsTelemetry(logger, counted, ENVIRONMENT, counted="Restores")
        with of_restores.attempt(DELIVERY):
            of_restores.ended(result | {"restoreId": "b1", "outcome": "restored"}, again=False)
        with pytest.raises(DatabrainUnavailable), of_restores.attempt(last):
            raise DatabrainUnavailable("HTTP 503")
        counted.flush_metrics()
        logger.clear_state()
        self.metrics = {
            (directive["Namespace"], metric["Name"]): {name: document[name] for name in names}
            for document in map(json.loads, capsys.readouterr().out.splitlines())
            for directive in document["_aws"]["CloudWatchMetrics"]
            for metric in directive["Metrics"]
            for names in directive["Dimensions"]
        }


@pytest.fixture
def emitted(
    properties: Callable[[str], Node], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Emitted:
    """The function's telemetry, set as the template sets it."""
    for name, value in properties("RetireFunction")["Environment"]["Variables"].items():
        if name.startswith("POWERTOOLS_"):
            monkeypatch.setenv(name, value)
    return Emitted(capsys)


@pytest.mark.parametrize("environment", ["dev", "A-z_0.9" * 9])
def test_the_body_is_json(properties: Callable[[str], Node], environment: str) -> None:
    """Whatever the parameters are, the body is JSON, and nothing in it is left to fill in but CloudWatch's labels."""
    body = body_of(properties, EnvironmentName=environment)
    assert body.keys() == {"start", "widgets"}
    assert set(re.findall(r"\$\{[^}]*\}", json.dumps(body))) == {"${SUM}", "${PROP('Dim.reason')}"}
    assert json.dumps(body).count(environment) > 10


def test_widgets_fit(widgets: list[Node]) -> None:
    """Widgets stand beside and below each other within the 24 columns, and each tells its region where it has to."""
    for widget in widgets:
        assert 0 <= widget["x"] < widget["x"] + widget["width"] <= 24
        assert "region" in widget["properties"] or widget["type"] in {"text", "alarm"}
    for one, other in combinations(widgets, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below, (one["properties"], other["properties"])


def test_business_comes_first(widgets: list[Node]) -> None:
    """From top to bottom: outcomes, what waits, alarms, technique, the last failures."""
    assert widgets == sorted(widgets, key=lambda widget: (widget["y"], widget["x"]))
    assert [widget["properties"].get("title") for widget in widgets] == [
        None,
        "Retirements by outcome",
        "Blocked, rejected and failed, by reason",
        "Restores by outcome",
        "Abandoned requests in Failures",
        "Age of the oldest request",
        "Requests in the queues",
        "Alarms",
        None,
        "Duration of an attempt",
        "Requests to Databrain",
        "Functions: throttles and errors",
        "The last 20 failed attempts, crashes and time-outs",
    ]


def test_every_metric_is_there(widgets: list[Node], emitted: Emitted) -> None:
    """Each metric is one that the function emits or AWS has, under exactly the dimensions that it has there."""
    ours = {name: dimensions.keys() for name, dimensions in emitted.metrics.items()}
    for name, dimensions in metrics(widgets):
        assert dimensions.keys() == (OF_AWS | ours)[name], name


def test_every_metric_is_this_stacks(widgets: list[Node], emitted: Emitted) -> None:
    """The function's metrics are those of its service and of this environment."""
    found = [(name, dimensions) for name, dimensions in metrics(widgets) if name in emitted.metrics]
    assert found
    for name, dimensions in found:
        own = {key: emitted.metrics[name][key] for key in ("service", "environment")}
        assert {key: dimensions[key] for key in own} == own, name


def test_everything_that_is_counted_is_shown(widgets: list[Node], emitted: Emitted) -> None:
    """What the functions count is on the dashboard, but for what is an alarm's: the outcomes show it."""
    assert emitted.metrics.keys() - {name for name, _ in metrics(widgets)} == {
        ("DatamartRetirement", "FailedRetirements"),
        ("DatamartRetirement", "FailedRestores"),
    }


OF_RESTORES = {Outcome.RESTORED, Outcome.RESTORE_PLANNED, Outcome.RESTORE_BLOCKED}


def test_every_outcome_is_shown(widgets: list[Node]) -> None:
    """Each outcome has a line, so none is left out of the whole."""
    outcomes = [dimensions["outcome"] for _, dimensions in metrics(widgets[1:2])]
    assert sorted(map(str, outcomes)) == sorted({*Outcome} - OF_RESTORES)
    outcomes = [dimensions["outcome"] for _, dimensions in metrics(widgets[3:4])]
    assert sorted(map(str, outcomes)) == sorted(OF_RESTORES | {Outcome.REJECTED, Outcome.FAILED})


def test_every_queue_and_function_is_shown(widgets: list[Node], of_type: OfType) -> None:
    """Every queue, and every function with its throttles and errors, is on the dashboard."""
    shown = {(name, value) for (_, name), dimensions in metrics(widgets) for value in dimensions.values()}
    assert {value for name, value in shown if name == "ApproximateNumberOfMessagesVisible"} == {
        f"<{name}.QueueName>" for name in of_type("AWS::SQS::Queue")
    }
    for metric in ("Throttles", "Errors"):
        functions = {f"<{name}>" for name in of_type("AWS::Lambda::Function")}
        assert {value for name, value in shown if name == metric} == functions


@pytest.mark.parametrize(("condition", "parameter"), OPTIONAL.items())
def test_what_is_not_there_is_not_shown(
    properties: Callable[[str], Node], deployed: Node, condition: str, parameter: str
) -> None:
    """The dashboard of a stack without an optional function names nothing of it."""
    optional = [name for name, resource in deployed["Resources"].items() if resource.get("Condition") == condition]
    assert optional
    whole, less = (json.dumps(body_of(properties, **parameters)) for parameters in ({}, {parameter: ""}))
    named = [name for name in optional if f"<{name}" in whole or f"*{name}*" in whole]
    assert named
    assert not [name for name in named if f"<{name}" in less or f"*{name}*" in less]


def test_every_alarm_is_shown(widgets: list[Node], of_type: OfType) -> None:
    """Every alarm's state is on the dashboard."""
    (alarms,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert sorted(alarms) == sorted(f"<{name}.Arn>" for name in of_type("AWS::CloudWatch::Alarm"))


def test_every_alarm_has_its_runbook(widgets: list[Node], of_type: OfType) -> None:
    """The dashboard names the runbook of each alarm, in the alarm's line."""
    texts = [widget["properties"].get("markdown", "") for widget in widgets]
    (lines,) = [text.splitlines() for text in texts if "What to do" in text]
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        (page,) = re.findall(r"docs/runbooks/(\S+)$", alarm["Properties"]["AlarmDescription"])
        (line,) = [line for line in lines if f"**{name}**" in line]
        assert line.strip().endswith(f": docs/runbooks/{page}")
    named = re.findall(r"[a-z-]+\.md", "\n".join(lines))
    assert sorted(named) == sorted(page.name for page in RUNBOOKS.iterdir())


def test_the_last_failures(widgets: list[Node], of_type: OfType, emitted: Emitted) -> None:
    """The table of failures reads every function's log, and the fields that a failed attempt is logged with."""
    (query,) = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    sources, rest = re.findall(r"SOURCE '([^']+)' \| ", query), query.rpartition("' | ")[2]
    assert sorted(sources) == sorted(f"<{name}>" for name in of_type("AWS::Logs::LogGroup"))
    assert rest.startswith('filter message = "attempt failed" or ')
    (fields,) = re.findall(r"\n\| fields (.*)", rest)
    named = set(re.findall(r"[\w.@]+", fields.replace(" as why", "").replace("coalesce", "")))
    of_the_platform = {"@timestamp", "record.errorType", "record.status"}
    assert of_the_platform < named
    assert named - of_the_platform <= emitted.failure.keys()
    assert rest.endswith("\n| sort @timestamp desc\n| limit 20")
