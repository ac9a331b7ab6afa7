"""Every page in docs/runbooks, followed line by line on the embedded stack, with bash and the AWS CLI."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.emulator import CHECKOUT
from local.stack import WEBHOOK_SECRET_NAME
from tests.stack.scene import DEADLINE, WEBHOOK_SECRET, JsonObject, Scene
from tests.stack.sweeps import Listener, Sweeps
from tests.stack.webhooks import Sender, asking

RUNBOOKS = CHECKOUT / "docs" / "runbooks"
CLI = CHECKOUT / ".venv" / "cli" / "bin"
SHELL_SECONDS = 120

# `aws sqs` of the AWS CLI's first version takes no other endpoint (https://github.com/aws/aws-cli/issues/8737).
PREAMBLE = 'set -euo pipefail; aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'

# What MiniStack does not have, and what it says then. The commands are right as far as the CLI and the ARNs go.
NOT_ON_MINISTACK = {
    "start-message-move-task": "(InvalidAction) when calling the StartMessageMoveTask operation",
    "list-message-move-tasks": "(InvalidAction) when calling the ListMessageMoveTasks operation",
}


@dataclass(frozen=True)
class Shell:
    """A person's shell, whose only AWS is the embedded stack."""

    environment: dict[str, str]
    folder: Path
    opened: float = field(default_factory=time.time)

    def run(self, *blocks: str, **placeholders: str) -> str:
        """Run blocks one after the other and return what they print; RETIREMENT_ID="..." fills RETIREMENT-ID in."""
        finished = self._bash(*blocks, **placeholders)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def told(self, *blocks: str, **placeholders: str) -> Any:  # noqa: ANN401 -- any JSON
        """Run blocks that print one JSON document."""
        return json.loads(self.run(*blocks, **placeholders))

    def logged(self, *blocks: str, **placeholders: str) -> list[JsonObject]:
        """Run blocks that print the function's log, and return what their filter pattern leaves of it on AWS."""
        (pattern,) = re.findall(r"'({ .* })'", filled_in(blocks[-1], placeholders))
        lines = [json.loads(line) for line in self.run(*blocks, **placeholders).splitlines() if line.startswith("{")]
        return [line for line in lines if selects(pattern, line)]

    def refused(self, *blocks: str) -> str:
        """Run blocks whose last command MiniStack does not have, and return that command with its arguments."""
        finished = self._bash("set -x", *blocks)
        assert finished.returncode != 0
        *_, command = re.findall(r"^\+ command aws --endpoint-url \S+ sqs (.*)$", finished.stderr, re.MULTILINE)
        assert NOT_ON_MINISTACK[command.split()[0]] in finished.stderr
        return str(command)

    def _bash(self, *blocks: str, **placeholders: str) -> "subprocess.CompletedProcess[str]":
        script = filled_in("\n".join([PREAMBLE, *blocks]), placeholders)
        # MiniStack shows the first 10,000 lines of a day and has no token for more.
        script = script.replace(" - 86400)", f" - {time.time() - self.opened + 1:.0f})")
        return subprocess.run(  # noqa: S603 -- our own pages
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )


@pytest.fixture
def shell(scene: Scene, tmp_path: Path) -> Shell:
    """A shell with the AWS CLI."""
    environment = scene.stack.environment
    return Shell({**environment, "PATH": f"{CLI}:{environment['PATH']}"}, tmp_path)


@pytest.fixture
def _released(scene: Scene) -> Iterator[None]:
    """Release the stop button, whatever became of the test."""
    yield
    (mapping,) = scene.stack.lambda_.list_event_source_mappings()["EventSourceMappings"]
    scene.stack.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    scene.stack.lambda_.delete_function_concurrency(FunctionName=scene.stack.outputs["RetireFunctionName"])


def blocks(page: str) -> list[str]:
    """Every command block of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", (RUNBOOKS / page).read_text(), re.DOTALL | re.MULTILINE)


def filled_in(text: str, placeholders: dict[str, str]) -> str:
    """Put values in the place of RETIREMENT-ID and the like."""
    for name, value in placeholders.items():
        placeholder = name.replace("_", "-")
        assert placeholder in text
        text = text.replace(placeholder, value)
    return text


def selects(pattern: str, line: JsonObject) -> bool:
    """CloudWatch's filter patterns for JSON, as far as the pages use them (its user guide, FilterAndPatternSyntax)."""
    for term in pattern.removeprefix("{ ").removesuffix(" }").split(" && "):
        parsed = re.fullmatch(r'\$\.(?P<field>\w+) (= "(?P<text>[^"]*)"|IS (?P<truth>TRUE|FALSE))', term)
        assert parsed
        if line.get(parsed["field"]) != (parsed["truth"] == "TRUE" if parsed["truth"] else parsed["text"]):
            return False
    return True


def ids(*requests: JsonObject) -> list[str]:
    """Their retirementIds."""
    return [request["detail"]["retirementId"] for request in requests]


def outcomes(scene: Scene, retirement_ids: list[str]) -> list[str]:
    """Wait for the results of all of them, in whatever order, and return the outcomes."""
    found: dict[str, str] = {}
    while not found.keys() >= set(retirement_ids):
        result = scene.stack.next_result(timeout=DEADLINE).document
        found[result["retirementId"]] = result["outcome"]
    return [found[retirement_id] for retirement_id in retirement_ids]


def give_up(scene: Scene, *requests: JsonObject) -> None:
    """Have Databrain answer badly until all of these requests are in Failures."""
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    with scene.stack.settings(RETRY_DELAYS="0,0,0,0,0"):
        for request in requests:
            scene.send(request)
        assert set(outcomes(scene, ids(*requests))) == {"failed"}
        scene.eventually(lambda: scene.messages() == {"given up": len(requests)})


def park(scene: Scene) -> JsonObject:
    """Put an event into Failures as EventBridge does when it cannot deliver it (its user guide, eb-rule-dlq)."""
    event = scene.event(scene.datamart())
    why = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "The queue's policy does not allow it."}
    scene.stack.sqs.send_message(
        QueueUrl=scene.stack.outputs["FailuresQueueUrl"],
        MessageBody=json.dumps(event),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in why.items()},
    )
    return event


def mend_and_redrive(scene: Scene, *requests: JsonObject) -> None:
    """Have Databrain answer well, and send what is in Failures again, for the command that MiniStack does not have."""
    scene.databrain.faults.clear()
    assert scene.stack.redrive() == len(requests)
    assert set(outcomes(scene, ids(*requests))) == {"deleted"}
    scene.eventually(lambda: not scene.messages())


def arn(scene: Scene, output: str) -> str:
    """A queue's ARN, by the stack's output with its URL."""
    attributes = scene.stack.sqs.get_queue_attributes(QueueUrl=scene.stack.outputs[output], AttributeNames=["QueueArn"])
    return attributes["Attributes"]["QueueArn"]


def test_every_page_is_followed() -> None:
    """Each page in docs/runbooks has the test of its name."""
    assert [page.name for page in RUNBOOKS.iterdir() if f"test_{page.stem.replace('-', '_')}" not in globals()] == []


def test_failures(shell: Shell, scene: Scene) -> None:
    """FailuresAlarm: what is kept, why, what to drop, and all else is sent again."""
    tools, kept, objects, failure, log, ends, drop, redrive, progress = blocks("failures.md")
    wanted, unwanted = scene.event(scene.datamart(f"Sales 2026 {uuid4()}")), scene.event(scene.datamart())
    give_up(scene, wanted, unwanted)
    undelivered = park(scene)
    retirement_id = wanted["detail"]["retirementId"]
    name = quote(wanted["detail"]["datamartName"], safe="")

    messages = {message["event"]: message for message in shell.told(tools, kept)}
    errors = {event: (message["errorCode"], message["errorMessage"]) for event, message in messages.items()}
    assert errors == {
        json.dumps(wanted): (None, None),
        json.dumps(unwanted): (None, None),
        json.dumps(undelivered): ("NO_PERMISSIONS", "The queue's policy does not allow it."),
    }
    prefix = f"retirements/{name}/{retirement_id}"
    assert shell.told(tools, objects, NAME=name, RETIREMENT_ID=retirement_id) == [f"{prefix}/failure-1.json"]
    told = shell.told(tools, failure, NAME=name, RETIREMENT_ID=retirement_id)
    assert (told["outcome"], told["reason"], told["event"]) == ("failed", "databrain_unexpected", json.dumps(wanted))
    attempts = shell.logged(tools, log, RETIREMENT_ID=retirement_id)
    assert [line["receiveCount"] for line in attempts] == [1, 2, 3, 4, 5, 6]
    assert {line["reason"] for line in attempts} == {"databrain_unexpected"}
    assert {line["retryHelps"] for line in attempts} == {False}
    assert "REPORT RequestId" in shell.run(tools, ends)

    shell.run(tools, drop, RECEIPT_HANDLE=messages[json.dumps(unwanted)]["handle"])
    assert {message["event"] for message in shell.told(tools, kept)} == {json.dumps(wanted), json.dumps(undelivered)}
    source, destination = arn(scene, "FailuresQueueUrl"), arn(scene, "RequestsQueueUrl")
    assert shell.refused(tools, redrive) == (
        f"start-message-move-task --source-arn {source} --destination-arn {destination}"
    )
    assert shell.refused(tools, progress) == f"list-message-move-tasks --source-arn {source}"
    mend_and_redrive(scene, wanted, undelivered)
    assert f"{prefix}/failure-1.json" in scene.new_objects()
    assert sorted(scene.deletions()) == sorted(event["detail"]["datamartName"] for event in (wanted, undelivered))


def test_failed_retirements(shell: Shell, scene: Scene) -> None:
    """FailedRetirementsAlarm: which requests were given up, which are tried again, and what happened to one of them."""
    tools, given_up, failing, one = blocks("failed-retirements.md")
    request = scene.event(scene.datamart())
    give_up(scene, request)
    retirement_id, name = request["detail"]["retirementId"], request["detail"]["datamartName"]

    (last,) = shell.logged(tools, given_up)
    assert (last["retirementId"], last["datamartName"], last["reason"]) == (retirement_id, name, "databrain_unexpected")
    assert [line["receiveCount"] for line in shell.logged(tools, failing)] == [1, 2, 3, 4, 5]
    about = shell.logged(tools, one, RETIREMENT_ID=retirement_id, NAME=name)
    assert {line["receiveCount"] for line in about} == {1, 2, 3, 4, 5, 6}
    mend_and_redrive(scene, request)


@pytest.mark.usefixtures("_released")
def test_stale_requests(shell: Shell, scene: Scene) -> None:
    """StaleRequestsAlarm: how many wait, whether anything takes them, and how the function does."""
    tools, waiting, mapping, function, drift, drifts = blocks("stale-requests.md")
    press, _, release, *_ = blocks("stop-button.md")
    scene.stack.invoke(scene.event(scene.datamart()))  # MiniStack counts no invocation by the mapping
    shell.run(press)
    retirement_id = scene.ask(scene.datamart())
    scene.eventually(lambda: scene.messages() == {"visible": 1})

    shown = shell.told(tools, waiting)["Attributes"]
    assert shown == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert shell.told(tools, mapping) == [["Disabled", "USER_INITIATED", 5]]
    printed = shell.run(tools, function)
    metrics = re.findall(r'"Label": "(\w+)",\s+"Datapoints": \[\s+\{', printed)
    assert metrics == ["Invocations", "Errors", "Throttles", "Duration"]
    assert "UnreservedConcurrentExecutions" in printed
    assert "StackDriftDetectionId" in shell.told(tools, drift)
    assert shell.told(tools, drifts) == []

    shell.run(release)
    assert scene.result(retirement_id).document["outcome"] == "deleted"
    scene.eventually(lambda: shell.told(tools, waiting)["Attributes"]["ApproximateNumberOfMessages"] == "0")
    assert shell.told(tools, mapping)[0][0] == "Enabled"


def test_expiring_failures(shell: Shell, scene: Scene) -> None:
    """ExpiringFailuresAlarm: when each request arrived; saved and sent later, it is still the one it was."""
    tools, arrived, save, send = blocks("expiring-failures.md")
    request = scene.event(scene.datamart())
    give_up(scene, request)

    (message,) = shell.told(tools, arrived)
    assert message["event"] == json.dumps(request)
    assert shell.opened < int(message["sent"]) / 1000 < time.time()
    shell.run(tools, save)
    scene.databrain.faults.clear()
    assert not shell.told(tools, send)
    result = scene.result(request["detail"]["retirementId"]).document
    assert (result["outcome"], result["requestedAt"]) == ("deleted", request["time"].replace("Z", ".000Z"))


def test_sweep_errors(shell: Shell, scene: Scene) -> None:
    """SweepErrorsAlarm: why sweeps failed, what the last one reported, and another one once that is mended."""
    tools, failed, ends, reports, report, again, answer = blocks("sweep-errors.md")
    sweeps = Sweeps(scene, Listener(scene.stack))
    name = sweeps.datamart("old")
    sweeps.put(b"{")
    error = sweeps.invoke().payload["errorMessage"]

    (line,) = shell.logged(tools, failed)
    assert (line["reason"], line["retryHelps"]) == ("internal_error", False)
    assert error in line["exception"]
    assert "REPORT RequestId" in shell.run(tools, ends)
    (key,) = set(shell.told(tools, reports)) & set(scene.new_objects())
    assert shell.told(tools, report, KEY=key)["refusal"] == error

    sweeps.policy(sweeps.rule())
    shell.run(tools, again)
    told = shell.told(answer)
    assert (told["refusal"], [entry["datamartName"] for entry in told["matched"]]) == (None, [name])


@pytest.mark.usefixtures("_released")
def test_stop_button(shell: Shell, scene: Scene) -> None:
    """Pressed, every request is kept unread and nothing reaches Databrain; released, each is carried out once."""
    press, state, release, *_ = blocks("stop-button.md")
    names = [scene.datamart() for _ in range(3)]
    assert shell.run(press) == "Disabled\n"  # AWS takes its time, MiniStack does not
    asked = [scene.ask(name) for name in names]
    scene.eventually(lambda: scene.messages() == {"visible": len(asked)})
    assert shell.run(state) == "Disabled\n"

    assert scene.databrain.requests == []
    assert shell.run(release) == "Enabled\n"
    assert outcomes(scene, asked) == ["deleted"] * len(asked)
    scene.eventually(lambda: not scene.messages())
    assert sorted(scene.deletions()) == sorted(names)
    published = [line for lines in scene.log() for line in lines if line.get("message") == "published"]
    assert [line["receiveCount"] for line in published] == [1] * len(asked)


@pytest.mark.usefixtures("_released")
def test_stop_button_between_two_attempts(shell: Shell, scene: Scene) -> None:
    """A request that waits for its next attempt waits on with the others, and loses none of its attempts."""
    press, _, release, *_ = blocks("stop-button.md")
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    with scene.stack.settings(RETRY_DELAYS="3,3,3,3,3"):
        retirement_id = scene.ask(scene.datamart())
        scene.eventually(lambda: scene.messages() == {"in flight": 1})
        shell.run(press)
        scene.eventually(lambda: scene.messages() == {"visible": 1})
        scene.databrain.faults.clear()
        shell.run(release)
        assert scene.result(retirement_id).document["outcome"] == "deleted"
    lines = scene.log_of(retirement_id)
    failed = [line for line in lines if line.get("message") == "attempt failed"]
    (published,) = [line for line in lines if line.get("message") == "published"]
    assert failed
    assert published["receiveCount"] == len(failed) + 1


@pytest.mark.usefixtures("_released")
def test_stop_button_and_direct_invocations(shell: Shell, scene: Scene) -> None:
    """The button does not stop whoever invokes the function directly; taking the function's concurrency away does."""
    press, _, _, take_concurrency, give_concurrency = blocks("stop-button.md")
    shell.run(press)
    assert scene.stack.invoke(scene.event(scene.datamart())).payload["outcome"] == "deleted"
    shell.run(take_concurrency)
    with pytest.raises(scene.stack.lambda_.exceptions.TooManyRequestsException):
        scene.stack.invoke(scene.event(scene.datamart()))
    shell.run(give_concurrency)
    assert scene.stack.invoke(scene.event(scene.datamart())).payload["outcome"] == "deleted"


def test_ministack_selects_nothing(shell: Shell, scene: Scene) -> None:
    """MiniStack shows every line, whatever a filter pattern for JSON says: `selects` stands in for it."""
    tools, *_ = blocks("failed-retirements.md")
    retirement_id = scene.ask(scene.datamart())
    scene.result(retirement_id)
    assert retirement_id in shell.run(tools, """log '{ $.message = "nobody says this" }'""")


def test_webhook_errors(
    shell: Shell, scene: Scene, sender: Sender, put_webhook_secret: Callable[[str], object]
) -> None:
    """WebhookErrorsAlarm: what the function could not do, the state of the secret, and what it held before."""
    tools, errors, ends, metrics, secret, previous, restore = blocks("webhook-errors.md")
    name, asked = "WebhookFunction", asking(scene.event("sales", dryRun=True)["detail"])
    put_webhook_secret("not what it should be")
    with scene.stack.settings(name):
        assert sender.send(asked).status_code == 503
    (line,) = shell.logged(tools, errors)
    assert (line["status"], line["retryHelps"]) == (503, False)
    assert (
        line["exception"]
        .splitlines()[-1]
        .startswith("retirement.errors.ConfigurationError: WebhookSecretArn: the secret arn:")
    )
    assert "REPORT RequestId" in shell.run(tools, ends)
    printed = shell.run(tools, metrics)
    assert re.findall(r'"Label": "(\w+)"', printed) == [
        *("UrlRequestCount", "Url4xxCount", "Url5xxCount", "Errors", "Throttles")
    ]
    changed, deleted, key = shell.told(tools, secret)
    assert changed
    assert (deleted, key) == (None, None)

    before = shell.run(tools, previous).strip()
    assert before == WEBHOOK_SECRET
    scene.stack.secretsmanager.delete_secret(SecretId=WEBHOOK_SECRET_NAME, RecoveryWindowInDays=7)
    assert shell.told(tools, secret)[1]
    shell.run(tools, restore)
    put_webhook_secret(before)
    scene.eventually(lambda: sender.send(asked).status_code == 202)
    assert scene.result(asked["data"]["retirementId"]).document["outcome"] == "already_absent"
