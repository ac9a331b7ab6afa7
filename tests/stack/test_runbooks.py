"""Every page in docs/runbooks, followed line by line on the embedded stack, with bash and the AWS CLI."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.emulator import CHECKOUT
from local.stack import RETIRE, SWEEP, WEBHOOK_SECRET_NAME
from tests.stack.scene import DEADLINE, RESTORE, SCHEDULE, WEBHOOK_SECRET, JsonObject, Scene, ahead
from tests.stack.shell import Shell, commands
from tests.stack.sweeps import Sweeps
from tests.stack.webhooks import Sender, asking

RUNBOOKS = CHECKOUT / "docs" / "runbooks"


@pytest.fixture
def _released(scene: Scene) -> Iterator[None]:
    """Release the stop button, whatever became of the test."""
    yield
    for mapping in scene.stack.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        scene.stack.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    scene.stack.lambda_.delete_function_concurrency(FunctionName=scene.stack.outputs["RetireFunctionName"])


def blocks(page: str) -> list[str]:
    """Every command block of a page, in order."""
    return commands(RUNBOOKS / page)


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


def give_up_cancelling(scene: Scene, request: JsonObject) -> JsonObject:
    """Take a permission away until a cancellation of this request is in Failures."""
    event = scene.cancellation(request["detail"])
    at_once = scene.stack.settings(SCHEDULE, RETRY_DELAYS="0,0,0,0,0")
    with scene.stack.without_permission("scheduler:DeleteSchedule", SCHEDULE), at_once:
        abandoned = scene.messages()["given up"]
        scene.stack.put_message(json.dumps(event), "SchedulingQueueUrl")
        assert outcomes(scene, ids(event)) == ["failed"]
        scene.eventually(lambda: scene.messages() == {"given up": abandoned + 1})
    return event


def packed(event: JsonObject) -> str:
    """What a timer leaves in Failures of an event (EventBridge Scheduler's user guide, configuring-schedule-dlq)."""
    return json.dumps({"MessageBody": json.dumps(event), "QueueUrl": "https://sqs.test/requests"})


def park(scene: Scene, *, by_timer: bool = False) -> JsonObject:
    """Put an event into Failures as a rule or a timer does that cannot deliver it (EventBridge guide, eb-rule-dlq)."""
    event = scene.event(scene.datamart(), **({"retireAt": ahead(seconds=-1)} if by_timer else {}))
    why = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "The queue's policy does not allow it."}
    scene.stack.sqs.send_message(
        QueueUrl=scene.stack.outputs["FailuresQueueUrl"],
        MessageBody=packed(event) if by_timer else json.dumps(event),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in why.items()},
    )
    return event


def mend_and_redrive(scene: Scene, *requests: JsonObject, cancellations: tuple[JsonObject, ...] = ()) -> None:
    """Have Databrain answer well, and send what is in Failures again, for the command that MiniStack does not have."""
    scene.databrain.faults.clear()
    assert scene.stack.redrive() == len(requests) + len(cancellations)
    ends = dict.fromkeys(ids(*requests), "deleted") | dict.fromkeys(ids(*cancellations), "cancelled")
    assert outcomes(scene, list(ends)) == list(ends.values())
    scene.settle()


def arn(scene: Scene, output: str) -> str:
    """A queue's ARN, by the stack's output with its URL."""
    attributes = scene.stack.sqs.get_queue_attributes(QueueUrl=scene.stack.outputs[output], AttributeNames=["QueueArn"])
    return attributes["Attributes"]["QueueArn"]


def test_every_page_is_followed() -> None:
    """Each page in docs/runbooks has the test of its name."""
    assert [page.name for page in RUNBOOKS.iterdir() if f"test_{page.stem.replace('-', '_')}" not in globals()] == []


def test_failures(shell: Shell, scene: Scene) -> None:
    """FailuresAlarm: what is kept, why, what to drop, and all else is sent again."""
    _, tools, kept, objects, failure, log, ends, drop, redrive, progress, empty = blocks("failures.md")
    wanted, unwanted = scene.event(scene.datamart(f"Sales 2026 {uuid4()}")), scene.event(scene.datamart())
    give_up(scene, wanted, unwanted)
    dated = scene.event(scene.datamart(), retireAt=ahead(days=7))
    cancelled = give_up_cancelling(scene, dated)
    undelivered, undelivered_by_timer = park(scene), park(scene, by_timer=True)
    retirement_id = wanted["detail"]["retirementId"]
    name = quote(wanted["detail"]["datamartName"], safe="")

    messages = {message["event"]: message for message in shell.told(tools, kept)}
    errors = {event: (message["errorCode"], message["errorMessage"]) for event, message in messages.items()}
    assert errors == {
        json.dumps(wanted): (None, None),
        json.dumps(unwanted): (None, None),
        json.dumps(cancelled): (None, None),
        json.dumps(undelivered): ("NO_PERMISSIONS", "The queue's policy does not allow it."),
        packed(undelivered_by_timer): ("NO_PERMISSIONS", "The queue's policy does not allow it."),
    }
    prefix = f"retirements/{name}/{retirement_id}"
    listed = shell.told(tools, objects, NAME=name, RETIREMENT_ID=retirement_id)
    assert [key for key in listed if "/arrival-" not in key] == [f"{prefix}/failure-1.json"]
    told = shell.told(tools, failure, NAME=name, RETIREMENT_ID=retirement_id)
    assert (told["outcome"], told["reason"], told["event"]) == ("failed", "databrain_unexpected", json.dumps(wanted))
    attempts = shell.logged(tools, log, RETIREMENT_ID=retirement_id)
    assert [line["receiveCount"] for line in attempts] == [1, 2, 3, 4, 5, 6]
    assert {line["reason"] for line in attempts} == {"databrain_unexpected"}
    assert {line["retryHelps"] for line in attempts} == {False}
    ended = set(re.findall(r"REPORT RequestId: (\S+)", shell.run(tools, ends)))
    assert {line["function_request_id"] for line in attempts} <= ended
    since = datetime.fromtimestamp(shell.opened, UTC)  # the block reaches back by whole seconds
    logs = "\n".join(line for function in (RETIRE, SCHEDULE) for line in scene.stack.function_log(since, function))
    here = re.findall(r"REPORT RequestId: (\S+)", logs)
    assert len(here) == 6 + 6 + 6
    assert set(here) <= ended
    about = {"NAME": cancelled["detail"]["datamartName"], "RETIREMENT_ID": cancelled["detail"]["retirementId"]}
    folder = f"retirements/{about['NAME']}/{about['RETIREMENT_ID']}"
    assert shell.told(tools, objects, **about) == [f"{folder}/cancellation-failure-1.json", f"{folder}/cancelled.json"]
    attempts = shell.logged(tools, log, RETIREMENT_ID=about["RETIREMENT_ID"])
    assert [line["receiveCount"] for line in attempts] == [1, 2, 3, 4, 5, 6]

    shell.run(tools, drop, RECEIPT_HANDLE=messages[json.dumps(unwanted)]["handle"])
    left = {json.dumps(wanted), json.dumps(cancelled), json.dumps(undelivered), packed(undelivered_by_timer)}
    assert {message["event"] for message in shell.told(tools, kept)} == left
    source, destination = arn(scene, "FailuresQueueUrl"), arn(scene, "SchedulingQueueUrl")
    assert shell.refused(tools, redrive) == (
        f"start-message-move-task --source-arn {source} --destination-arn {destination}"
    )
    assert shell.refused(tools, progress) == f"list-message-move-tasks --source-arn {source}"
    sent_again = (wanted, undelivered, undelivered_by_timer)
    assert sum(map(int, shell.told(tools, empty).values())) == len(left)
    mend_and_redrive(scene, *sent_again, cancellations=(cancelled,))
    assert set(shell.told(tools, empty).values()) == {"0"}
    assert {f"{prefix}/failure-1.json", f"{prefix}/schedule-1.json"} <= set(scene.new_objects())
    assert sorted(scene.deletions()) == sorted(event["detail"]["datamartName"] for event in sent_again)


def test_failures_with_the_command_line(shell: Shell, scene: Scene) -> None:
    """FailuresAlarm: the same in five lines: one is sent again, one is dropped, and then all others are sent again."""
    everyday, *_ = blocks("failures.md")
    events = [scene.event(scene.datamart(), retirementId=f"{each}-{uuid4()}") for each in ("one", "other", "third")]
    for event in events:
        scene.stack.put_message(json.dumps(event), "FailuresQueueUrl")
    one, other, third = ids(*events)
    listed, status, retry, drop, retry_all = everyday.splitlines()

    assert one in shell.run(listed)
    shell.run(f"{status} || [[ $? = 7 ]]", RETIREMENT_ID=one)  # no attempt has failed: nothing is stored of it
    shell.run(retry, RETIREMENT_ID=one)
    shell.run(f"{drop} --yes", OTHER_ID=other)
    shell.run(f"{retry_all} --yes")

    assert outcomes(scene, [one, third]) == ["deleted", "deleted"]
    assert sorted(scene.deletions()) == sorted(events[each]["detail"]["datamartName"] for each in (0, 2))


def test_failed_retirements(shell: Shell, scene: Scene) -> None:
    """FailedRetirementsAlarm: which requests were given up, which are tried again, and what happened to one of them."""
    tools, abandoned, failing, one = blocks("failed-retirements.md")
    request = scene.event(scene.datamart())
    give_up(scene, request)
    retirement_id, name = request["detail"]["retirementId"], request["detail"]["datamartName"]

    (last,) = shell.logged(tools, abandoned)
    assert (last["retirementId"], last["datamartName"], last["reason"]) == (retirement_id, name, "databrain_unexpected")
    assert [line["receiveCount"] for line in shell.logged(tools, failing)] == [1, 2, 3, 4, 5]
    about = shell.logged(tools, one, RETIREMENT_ID=retirement_id, NAME=name)
    assert {line["receiveCount"] for line in about} == {1, 2, 3, 4, 5, 6}

    cancelled = give_up_cancelling(scene, scene.event(scene.datamart()))
    *_, last = shell.logged(tools, abandoned)
    assert (last["retirementId"], last["reason"]) == (*ids(cancelled), "internal_error")
    assert last["function_name"] == scene.stack.outputs[SCHEDULE]
    mend_and_redrive(scene, request, cancellations=(cancelled,))


def test_failed_restores(shell: Shell, scene: Scene) -> None:
    """FailedRestoresAlarm: which restores were given up, what happened to one and how far it got; redriven, it ends."""
    tools, given_up, one, objects = blocks("failed-restores.md")
    name = scene.datamart(f"Sales 2026 {uuid4()}")
    retirement_id = scene.ask(name)
    assert scene.result(retirement_id).document["outcome"] == "deleted"
    event = scene.restore_event(name, retirement_id)
    restore_id = event["detail"]["restoreId"]
    scene.databrain.faults.replace([{"route": "create_datamart", "fault": "refused"}])
    with scene.stack.settings(RESTORE, RETRY_DELAYS="0,0,0,0,0"):
        scene.stack.put_message(json.dumps(event), "RestoresQueueUrl")
        failed = scene.stack.next_result(restore_id=restore_id, timeout=2 * DEADLINE).document
        scene.eventually(lambda: scene.messages() == {"given up": 1})
    assert (failed["outcome"], failed["reason"]) == ("failed", "unconfirmed")

    (last,) = shell.logged(tools, given_up)
    assert (last["restoreId"], last["retirementId"], last["reason"]) == (restore_id, retirement_id, "unconfirmed")
    about = shell.logged(tools, one, RESTORE_ID=restore_id)
    assert {line["receiveCount"] for line in about} == {1, 2, 3, 4, 5, 6}
    folder = quote(name, safe="")
    listed = shell.told(tools, objects, NAME=folder, RETIREMENT_ID=retirement_id, RESTORE_ID=restore_id)
    prefix = f"restores/{folder}/{retirement_id}/{restore_id}"
    assert listed == [f"{prefix}/failure-1.json", f"{prefix}/intent.json"]

    scene.databrain.faults.clear()
    assert scene.stack.redrive() == 1
    assert scene.restored(restore_id).document["outcome"] == "restored"
    assert list(scene.databrain.organisation.datamarts) == [name]


def test_stale_restores(shell: Shell, scene: Scene) -> None:
    """StaleRestoresAlarm: how many wait, whether anything takes them, and why attempts failed."""
    tools, waiting, mapping, failing = blocks("stale-restores.md")
    event = scene.restore_event(scene.datamart(), "no-retirement")
    with scene.stack.without_permission("s3:ListBucket", RESTORE):
        assert scene.stack.invoke(event, RESTORE).error
    uuid = scene.stack.mapping(RESTORE)["UUID"]
    scene.stack.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        scene.stack.put_message(json.dumps(event), "RestoresQueueUrl")
        scene.eventually(lambda: scene.messages() == {"visible": 1})
        shown = shell.told(tools, waiting)["Attributes"]
        assert shown == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
        assert shell.told(tools, mapping) == [["Disabled", "USER_INITIATED", 2]]
        assert [line["restoreId"] for line in shell.logged(tools, failing)] == [event["detail"]["restoreId"]]
    finally:
        scene.stack.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    assert scene.restored(event["detail"]["restoreId"]).document["reason"] == "not_deleted"


@pytest.mark.usefixtures("_released")
def test_stale_requests(shell: Shell, scene: Scene) -> None:
    """StaleRequestsAlarm: how many wait, whether anything takes them, and how the function does."""
    tools, waiting, mapping, function, drift, drifts = blocks("stale-requests.md")
    _, button, press, _, release, *_ = blocks("stop-button.md")
    scene.stack.invoke(scene.event(scene.datamart()))  # MiniStack counts no invocation by the mapping
    shell.run(button, press)
    retirement_id = scene.ask(scene.datamart())
    scene.eventually(lambda: scene.messages() == {"visible": 1})

    shown = shell.told(tools, waiting)["Attributes"]
    assert shown == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert shell.told(tools, mapping) == [["Disabled", "USER_INITIATED", 5]]
    printed = shell.run(tools, function)
    metrics = re.findall(r'"Label": "(\w+)",\s+"Datapoints": \[\s+\{', printed)
    assert metrics == ["Invocations", "Errors", "Throttles", "Duration"]
    assert "UnreservedConcurrentExecutions" in printed
    with scene.stack.requiring(1):  # as it is deployed
        assert "StackDriftDetectionId" in shell.told(tools, drift)
        assert shell.told(tools, drifts) == []

    shell.run(button, release)
    assert scene.result(retirement_id).document["outcome"] == "deleted"
    scene.eventually(lambda: shell.told(tools, waiting)["Attributes"]["ApproximateNumberOfMessages"] == "0")
    assert shell.told(tools, mapping)[0][0] == "Enabled"


@pytest.mark.usefixtures("_released")
def test_stale_scheduling(shell: Shell, scene: Scene) -> None:
    """StaleSchedulingAlarm: how many wait, whether anything takes them, how the function does, and what it says."""
    tools, waiting, mapping, function, failing = blocks("stale-scheduling.md")
    _, button, _, _, _, disable, enable, *_ = blocks("stop-button.md")
    failed = scene.event(scene.datamart(), retireAt=ahead(days=7))
    with scene.stack.without_permission("scheduler:CreateSchedule", SCHEDULE):
        assert scene.stack.invoke(failed, SCHEDULE).error
    assert shell.run(button, disable) == "Disabled\n"
    retirement_id = scene.ask(scene.datamart(), retireAt=ahead(days=7))
    scene.eventually(lambda: scene.messages() == {"visible": 1})

    shown = shell.told(tools, waiting)["Attributes"]
    assert shown == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert shell.told(tools, mapping) == [["Disabled", "USER_INITIATED", 5]]
    metrics = re.findall(r'"Label": "(\w+)",\s+"Datapoints": \[\s+\{', shell.run(tools, function))
    assert metrics == ["Invocations", "Errors", "Throttles", "Duration"]
    (line,) = shell.logged(tools, failing)
    assert [line["retirementId"]] == ids(failed)
    assert "scheduler:CreateSchedule" in line["exception"]

    assert shell.run(button, enable) == "Enabled\n"
    assert outcomes(scene, [retirement_id]) == ["scheduled"]
    scene.eventually(lambda: shell.told(tools, waiting)["Attributes"]["ApproximateNumberOfMessages"] == "0")


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


def test_sweep_errors(shell: Shell, scene: Scene, sweeps: Sweeps) -> None:
    """SweepErrorsAlarm: why sweeps failed, what the last one reported, and another one once that is mended."""
    tools, failed, ends, reports, report, again = blocks("sweep-errors.md")
    name = sweeps.datamart("old")
    sweeps.put(b"{")
    error = sweeps.invoke().payload["errorMessage"]

    (line,) = shell.logged(tools, failed)
    assert (line["reason"], line["retryHelps"]) == ("internal_error", False)
    assert error in line["exception"]
    assert "REPORT RequestId" in shell.run(tools, ends)
    (key,) = set(shell.told(tools, reports)) & set(scene.new_objects())
    assert shell.told(tools, report, KEY=key)["refusal"] == error

    assert error in shell.run(f"! {{ {again.strip()} 2>&1; }}")
    sweeps.policy(sweeps.rule())
    assert name in (shown := shell.run(again))
    assert "refusal" not in shown


def test_dropped_sweeps(shell: Shell, sweeps: Sweeps) -> None:
    """DroppedSweepsAlarm: how often the function ran or was held back, and another sweep."""
    tools, metrics, concurrency, again = blocks("dropped-sweeps.md")
    printed = shell.run(tools, metrics)
    assert re.findall(r'"Label": "(\w+)"', printed) == ["Invocations", "Errors", "Throttles", "AsyncEventsDropped"]
    assert shell.run(tools, concurrency).strip() in {"", "null"}
    sweeps.policy(sweeps.rule())
    assert "refusal" not in shell.run(again)


def test_undelivered_sweeps(shell: Shell, scene: Scene, sweeps: Sweeps) -> None:
    """UndeliveredSweepsAlarm: what the schedule starts and in which role, what that role may do, and another sweep."""
    tools, schedule, role, metrics, again = blocks("undelivered-sweeps.md")
    state, function, role_arn = shell.told(tools, schedule)
    assert (state, function.rpartition(":")[2]) == ("ENABLED", scene.stack.function_name(SWEEP))
    (statement,) = shell.told(tools, role)
    assert (statement["Action"], statement["Resource"]) == ("lambda:InvokeFunction", function)
    assert role_arn.rpartition("/")[2]
    assert re.findall(r'"Label": "(\w+)"', shell.run(tools, metrics)) == [
        *("InvocationAttemptCount", "TargetErrorCount", "TargetErrorThrottledCount", "InvocationDroppedCount")
    ]
    sweeps.policy(sweeps.rule())
    assert "refusal" not in shell.run(again)


@pytest.mark.usefixtures("_released")
def test_stop_button(shell: Shell, scene: Scene) -> None:
    """Pressed, every request is kept unread and nothing reaches Databrain; released, each is carried out once."""
    _, button, press, state, release, *_ = blocks("stop-button.md")
    names = [scene.datamart() for _ in range(3)]
    assert shell.run(button, press) == "Disabled\n"  # AWS takes its time, MiniStack does not
    asked = [scene.ask(name) for name in names]
    scene.eventually(lambda: scene.messages() == {"visible": len(asked)})
    assert shell.run(button, state) == "Disabled\n"

    assert scene.databrain.requests == []
    assert shell.run(button, release) == "Enabled\n"
    assert outcomes(scene, asked) == ["deleted"] * len(asked)
    scene.settle()
    assert sorted(scene.deletions()) == sorted(names)
    published = [line for lines in scene.log() for line in lines if line.get("message") == "published"]
    assert [line["receiveCount"] for line in published] == [1] * len(asked)


@pytest.mark.usefixtures("_released")
def test_stop_button_with_the_command_line(shell: Shell, scene: Scene) -> None:
    """The same in two lines, which wait until the button is in effect."""
    stop, resume = blocks("stop-button.md")[0].splitlines()
    shell.run(f"{stop} --yes")
    retirement_id = scene.ask(scene.datamart())
    scene.eventually(lambda: scene.messages() == {"visible": 1})
    shell.run(f"{resume} --yes")
    assert outcomes(scene, [retirement_id]) == ["deleted"]


@pytest.mark.usefixtures("_released")
def test_stop_button_and_dates(shell: Shell, scene: Scene) -> None:
    """Pressed, it stops what timers bring, too; dates are set and cancellations heard, and these stand afterwards."""
    _, button, press, _, release, *_ = blocks("stop-button.md")
    shell.run(button, press)
    asked = [scene.ask(scene.datamart()), scene.ask(scene.datamart(), retireAt=ahead(seconds=58))]
    unwanted = scene.event(scene.datamart())
    scene.send(unwanted)
    assert outcomes(scene, asked[1:]) == ["scheduled"]
    scene.let_go_off(scene.timers()["retire"])
    scene.cancel(unwanted["detail"])
    assert outcomes(scene, ids(unwanted)) == ["cancelled"]
    scene.eventually(lambda: scene.messages() == {"visible": 3})
    assert scene.databrain.requests == []

    shell.run(button, release)
    assert outcomes(scene, [*asked, *ids(unwanted)]) == ["deleted", "deleted", "cancelled"]


@pytest.mark.usefixtures("_released")
def test_stop_button_for_dates_too(shell: Shell, scene: Scene) -> None:
    """Disabled too, scheduling is kept unread; enabled first, a cancellation that waited comes in time."""
    _, button, press, _, release, disable, enable, *_ = blocks("stop-button.md")
    shell.run(button, press)
    assert shell.run(button, disable) == "Disabled\n"
    request = scene.event(scene.datamart())
    scene.send(request)
    scene.cancel(request["detail"])
    scene.eventually(lambda: scene.messages() == {"visible": 2})

    assert shell.run(button, enable) == "Enabled\n"
    assert outcomes(scene, ids(request)) == ["cancelled"]
    scene.eventually(lambda: scene.messages() == {"visible": 1})
    shell.run(button, release)
    assert scene.result(*ids(request)).document["outcome"] == "cancelled"
    assert scene.deletions() == []


@pytest.mark.usefixtures("_released")
def test_stop_button_between_two_attempts(shell: Shell, scene: Scene) -> None:
    """A request that waits for its next attempt waits on with the others, and loses none of its attempts."""
    _, button, press, _, release, *_ = blocks("stop-button.md")
    scene.databrain.faults.replace([{"route": "list_datamarts", "fault": "html"}])
    with scene.stack.settings(RETRY_DELAYS="3,3,3,3,3"):
        retirement_id = scene.ask(scene.datamart())
        scene.eventually(lambda: scene.messages() == {"in flight": 1})
        shell.run(button, press)
        scene.eventually(lambda: scene.messages() == {"visible": 1})
        scene.databrain.faults.clear()
        shell.run(button, release)
        assert scene.result(retirement_id).document["outcome"] == "deleted"
    lines = scene.log_of(retirement_id)
    failed = [line for line in lines if line.get("message") == "attempt failed"]
    (published,) = [line for line in lines if line.get("message") == "published"]
    assert failed
    assert published["receiveCount"] == len(failed) + 1


@pytest.mark.usefixtures("_released")
def test_stop_button_and_direct_invocations(shell: Shell, scene: Scene) -> None:
    """The button does not stop whoever invokes the function directly; taking the function's concurrency away does."""
    _, button, press, *_, take_concurrency, give_concurrency = blocks("stop-button.md")
    shell.run(button, press)
    assert scene.stack.invoke(scene.event(scene.datamart())).payload["outcome"] == "deleted"
    shell.run(button, take_concurrency)
    with pytest.raises(scene.stack.lambda_.exceptions.TooManyRequestsException):
        scene.stack.invoke(scene.event(scene.datamart()))
    shell.run(button, give_concurrency)
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
