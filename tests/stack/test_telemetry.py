"""What an operator sees of a retirement: its log and its metrics, and never a token."""

import json

from tests.stack.scene import JsonObject, Scene

STEPS = ["request", "snapshot", "dependents", "decide", "backup", "intent", "delete", "confirm", "published"]
COUNTS = {"DatabrainRequests", "DatabrainRetries", "DatabrainWalks"}


def metrics(line: JsonObject) -> set[str]:
    """The names of the metrics in a line of the log, each of which has one value there."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "DatamartRetirement"
    names = {metric["Name"] for metric in directive["Metrics"]}
    assert all(len(line[name]) == 1 for name in names)
    return names


def dimensions(line: JsonObject) -> JsonObject:
    """The dimensions of the metrics in a line of the log."""
    (names,) = line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    return {name: line[name] for name in names}


def test_the_log_tells_each_step(scene: Scene) -> None:
    """There is one JSON line a step, with the request's identity in each and the outcome in the last."""
    request = scene.event(scene.datamart())
    result = scene.stack.invoke(request).payload
    lines = [line for line in scene.log_of(result["retirementId"]) if "_aws" not in line]
    assert [line["message"] for line in lines] == STEPS
    assert {line["datamartName"] for line in lines} == {result["datamartName"]}
    assert {line["service"] for line in lines} == {"datamart-retirement"}
    assert {line["level"] for line in lines} == {"INFO"}
    assert [line.get("outcome") for line in lines] == [None] * (len(STEPS) - 1) + ["deleted"]
    assert lines[-1]["resultMessage"] == result["message"]
    assert next(line for line in lines if line["message"] == "decide")["planId"] == result["planId"]


def test_the_log_forgets_the_request(scene: Scene) -> None:
    """What is logged of one request is not said of the next one in the same process."""
    first = scene.stack.invoke(scene.event(scene.datamart())).payload
    assert scene.stack.invoke({}).payload["outcome"] == "rejected"
    *_, rejected = scene.log()
    assert [line["outcome"] for line in rejected if line.get("message") == "published"] == ["rejected"]
    assert first["retirementId"] not in json.dumps(rejected)


def test_metrics_of_a_retirement(scene: Scene) -> None:
    """An attempt counts its requests, retries and walks, and its time; a result is counted by outcome and reason."""
    scene.databrain.faults.replace([{"route": "list_data_apps", "fault": "status", "status": 503, "times": 1}])
    result = scene.stack.invoke(scene.event(scene.portal("overview"))).payload
    emitted = [line for line in scene.log_of(result["retirementId"]) if "_aws" in line]

    (attempt,) = (line for line in emitted if "Duration" in metrics(line))
    assert metrics(attempt) == {"Duration", *COUNTS}
    assert dimensions(attempt) == {"service": "datamart-retirement", "environment": "dev"}
    assert attempt["DatabrainRequests"] == [len(scene.databrain.requests)]
    assert attempt["DatabrainRetries"] == [1]
    assert attempt["DatabrainWalks"] == [0]
    assert attempt["Duration"][0] > 0

    (ended,) = (line for line in emitted if "Retirements" in metrics(line))
    assert ended["Retirements"] == [1]
    assert dimensions(ended) == {
        "service": "datamart-retirement",
        "environment": "dev",
        "outcome": "blocked",
        "reason": "dependents_undetermined",
    }


def test_metrics_of_a_failed_attempt(scene: Scene) -> None:
    """An attempt that is not the last one counts what it did, and neither a result nor a failed retirement."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    request = scene.event(scene.datamart())
    assert scene.stack.invoke(request).error
    emitted = [metrics(line) for line in scene.log_of(request["detail"]["retirementId"]) if "_aws" in line]
    assert {"Duration", *COUNTS} in emitted
    assert not {"Retirements", "FailedRetirements"} & set().union(*emitted)


def test_what_databrain_echoes_is_not_repeated(scene: Scene) -> None:
    """An answer that holds a token, as a code, a message or data, gets it into no log line, error or result."""
    token = scene.databrain.organisation.service_token
    name = scene.portal("overview", embedsTellDatamart="metadata")
    (app,) = scene.databrain.organisation.data_apps.values()
    secrets = (token, app.tokens[0].key)
    echo = {"data": [{"name": secrets[1]}], "error": {"code": token, "message": f"{token} {secrets[1]}"}}
    scene.databrain.faults.replace(
        [
            {"route": "list_datamarts", "fault": "status", "status": 400, "code": token, "message": token, "times": 1},
            {"route": "list_embeds", "fault": "wrong_shape", "body": echo, "times": 1},
        ]
    )
    said = [json.dumps(scene.stack.invoke(scene.event(name)).payload) for _ in range(2)]
    assert ["errorMessage" in text for text in said] == [True, True]
    request = scene.event(name, reviewedEmbeds=["overview"])
    said.append(json.dumps(scene.stack.invoke(request).payload))
    said.append(scene.result(request["detail"]["retirementId"]).message)
    said.append(json.dumps(scene.log()))
    assert "deleted" in said[2]
    assert not [text for text in said if any(secret in text for secret in secrets)]
