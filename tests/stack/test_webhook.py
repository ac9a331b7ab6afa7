"""The deployed webhook, from a sender's request to the bus and to the retirement's end, with its policies enforced."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.stack import WEBHOOK_SECRET_NAME
from tests.stack.listener import Listener
from tests.stack.scene import WEBHOOK_SECRET, JsonObject, Scene
from tests.stack.webhooks import CANCELLED, Sender, asking

PutSecret = Callable[[str], object]

FUNCTION = "WebhookFunction"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def data_for(name: str, **fields: Any) -> JsonObject:  # noqa: ANN401 -- any field of a request
    """What is asked for: a dry run, unless told otherwise."""
    return {
        "datamartName": name,
        "environment": "dev",
        "requestedBy": "a sender of webhooks",
        "reason": "to see what happens",
        "dryRun": True,
        **fields,
    }


def lines(scene: Scene) -> list[JsonObject]:
    """What the function has logged of its requests, all of them."""
    log = scene.stack.function_log(scene.began, FUNCTION)
    return [json.loads(line) for line in log if line.startswith('{"level"')]


# ---- What is taken -------------------------------------------------------------------------------------------------


def test_from_the_sender_to_the_end(scene: Scene, sender: Sender, bus: Listener) -> None:
    """A signed request is answered with its id, comes over the bus under the webhook's source, and is carried out."""
    name = scene.datamart()
    data = data_for(name, dryRun=False)
    answer = sender.send(asking(data), webhook_id="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
    assert (answer.status_code, answer.json()) == (202, {"retirementId": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"})
    assert answer.headers["content-type"] == "application/json"

    [event] = bus.heard()
    assert event["source"] == "datamart-retirement.webhook"
    assert event["detail-type"] == "Datamart Retirement Requested"
    assert event["detail"] == {**data, "retirementId": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"}
    result = scene.result("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W").document
    assert (result["outcome"], result["requestedBy"]) == ("deleted", "a sender of webhooks")
    assert scene.deletions() == [name]
    assert lines(scene)[-1]["retirementId"] == "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"


def test_replayed(scene: Scene, sender: Sender, bus: Listener) -> None:
    """A webhook that is sent again and again, signed anew each time, is one retirement, carried out once."""
    name = scene.datamart()
    body = asking(data_for(name, dryRun=False))
    answers = [sender.send(body, webhook_id="offboard-42") for _ in range(5)]
    assert [(answer.status_code, answer.json()["retirementId"]) for answer in answers] == [(202, "offboard-42")] * 5

    events = bus.heard()
    assert [event["detail"] for event in events] == [events[0]["detail"]] * 5
    assert scene.result("offboard-42").document["outcome"] == "deleted"
    scene.settle()
    assert scene.deletions() == [name]


def test_one_wish_by_two_ways(scene: Scene, sender: Sender) -> None:
    """The same wish by webhook and as an event, under one retirementId, is carried out once."""
    name = scene.datamart()
    retirement_id = scene.ask(name)
    first = scene.result(retirement_id).document
    detail = scene.event(name, retirementId=retirement_id)["detail"]
    assert sender.send(asking(detail)).json() == {"retirementId": retirement_id}
    assert scene.stack.next_result(retirement_id=retirement_id).document == first
    assert scene.deletions() == [name]


def test_an_id_that_does_not_fit(scene: Scene, sender: Sender) -> None:
    """A webhook's id that is no retirementId is hashed, the same each time."""
    body = asking(data_for(f"absent {datetime.now(UTC)}"))
    ids = {sender.send(body, webhook_id="msg/with a slash").json()["retirementId"] for _ in range(2)}
    [retirement_id] = ids
    assert re.fullmatch("wh-[0-9a-f]{64}", retirement_id)
    assert scene.result(retirement_id).document["outcome"] == "already_absent"
    scene.settle()


def test_a_cancellation(scene: Scene, sender: Sender, bus: Listener) -> None:
    """A cancellation comes over the bus as one."""
    data = {name: value for name, value in data_for("sales", retirementId="x-1").items() if name != "dryRun"}
    assert sender.send(asking(data, CANCELLED)).json() == {"retirementId": "x-1"}
    [event] = bus.heard()
    assert (event["detail-type"], event["detail"]) == ("Datamart Retirement Cancelled", data)
    assert lines(scene)[-1]["status"] == 202


def test_unicode(scene: Scene, sender: Sender) -> None:
    """A name of any characters arrives as it is."""
    name = scene.datamart("Umsätze 📈 \u2028 2026")
    retirement_id = sender.send(asking(data_for(name))).json()["retirementId"]
    result = scene.result(retirement_id).document
    assert (result["outcome"], result["datamartName"]) == ("planned", name)


# ---- What is not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": ""},
        {"webhook-signature": " ".join(["v1," + b64encode(bytes(32)).decode()] * 200)},  # the server here takes 16 KiB
        {"webhook-timestamp": "nan"},
        {"webhook-id": "msg_another"},
    ],
    ids=lambda headers: str(headers)[:50],
)
def test_not_genuine(scene: Scene, sender: Sender, bus: Listener, headers: dict[str, str]) -> None:
    """A message that is not signed as it should be is refused with 401 and not one word why; the log says why."""
    answer = sender.send(asking(data_for("sales")), headers=headers)
    assert (answer.status_code, answer.json()) == (
        401,
        {"message": "Invalid signature."},
    )
    assert bus.heard() == []
    assert (lines(scene)[-1]["status"], "reason" in lines(scene)[-1]) == (401, True)


def test_unsigned(sender: Sender, bus: Listener) -> None:
    """A request without any signature is refused."""
    body = json.dumps(asking(data_for("sales")))
    assert sender.send_unsigned("POST", body, {"content-type": "application/json"}).status_code == 401
    assert bus.heard() == []


@pytest.mark.parametrize(
    "change",
    [
        {"secret": OTHER_SECRET},
        {"at": datetime.now(UTC) - timedelta(minutes=6)},
        {"at": datetime.now(UTC) + timedelta(hours=1)},
    ],
    ids=["forged", "too old", "too new"],
)
def test_signed_otherwise(sender: Sender, bus: Listener, change: dict[str, Any]) -> None:
    """Forged, too old, too new: refused."""
    assert sender.send(asking(data_for("sales")), **change).status_code == 401
    assert bus.heard() == []


def test_invalid(sender: Sender, bus: Listener) -> None:
    """A genuine message that is no valid request is refused with the field and the rule."""
    answer = sender.send(asking(data_for("sales", dryRum=True)))
    assert answer.status_code == 400
    complaint = 'data must not have the unknown field "dryRum" (did you mean dryRun?)'
    assert answer.json()["message"].startswith(complaint)
    assert bus.heard() == []


def test_a_cancellation_of_nothing_in_particular(sender: Sender) -> None:
    """A cancellation has to say of what; the webhook's own id is no answer."""
    data = {name: value for name, value in data_for("sales").items() if name != "dryRun"}
    answer = sender.send(asking(data, CANCELLED))
    assert (answer.status_code, answer.json()) == (400, {"message": "data must have the field retirementId"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_another_method(sender: Sender, method: str) -> None:
    """Another method than POST is refused, and the answer says which one is not."""
    answer = sender.send_unsigned(method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_another_content_type(sender: Sender) -> None:
    """What is not sent as JSON is refused."""
    assert sender.send(asking(data_for("sales")), headers={"content-type": "text/plain"}).status_code == 415


def test_too_large(scene: Scene, sender: Sender) -> None:
    """What is larger than 64 KiB is refused, up to the largest that Lambda takes, also in base64."""
    body = json.dumps(asking(data_for("sales")))
    name = f"absent {datetime.now(UTC)}"
    largest = json.dumps(asking(data_for(name)))
    taken = sender.send(largest + " " * (64 * 1024 - len(largest.encode())))
    assert taken.status_code == 202
    assert sender.send(body + " " * 64 * 1024).status_code == 413
    assert sender.send(body + " " * 4_000_000).status_code == 413
    assert scene.result(taken.json()["retirementId"]).document["outcome"] == "already_absent"


# ---- The secret ----------------------------------------------------------------------------------------------------


def test_rotation(scene: Scene, sender: Sender, put_webhook_secret: PutSecret) -> None:
    """A new secret works seconds after it was put in, without a deployment; one that was taken out does not."""
    body = asking({})  # genuine, and no request
    put_webhook_secret(json.dumps({"secrets": [WEBHOOK_SECRET, OTHER_SECRET]}))
    scene.eventually(lambda: sender.send(body, secret=OTHER_SECRET).status_code == 400)
    assert sender.send(body).status_code == 400

    put_webhook_secret(OTHER_SECRET)
    with scene.stack.settings(FUNCTION):  # as it is five minutes later
        assert sender.send(body, secret=OTHER_SECRET).status_code == 400
        assert sender.send(body).status_code == 401


def test_a_bad_secret(scene: Scene, sender: Sender, bus: Listener, put_webhook_secret: PutSecret) -> None:
    """Without a secret that is one, nothing is taken: the sender is told to try again, and the log what to mend."""
    put_webhook_secret(f"{WEBHOOK_SECRET} whsec_")
    with scene.stack.settings(FUNCTION):
        answer = sender.send(asking(data_for("sales")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.json() == {"message": "Send the message again later."}
    assert bus.heard() == []
    assert (lines(scene)[-1]["level"], lines(scene)[-1]["exception_name"]) == ("ERROR", "ConfigurationError")
    assert "WebhookSecretArn: the secret arn:" in lines(scene)[-1]["exception"]


def test_a_bad_setting(scene: Scene, sender: Sender, bus: Listener) -> None:
    """A function that cannot start for want of a setting takes nothing: Lambda itself answers with 502."""
    with scene.stack.settings(FUNCTION, ENVIRONMENT_NAME=""):
        assert sender.send(asking(data_for("sales"))).status_code == 502
    assert bus.heard() == []


def test_another_bus(scene: Scene, sender: Sender, bus: Listener) -> None:
    """A bus that is not there, or not this stack's, takes nothing."""
    with scene.stack.settings(FUNCTION, EVENT_BUS_NAME="another"):
        assert sender.send(asking(data_for("sales"))).status_code == 503
    assert bus.heard() == []


# ---- The role ------------------------------------------------------------------------------------------------------


@pytest.fixture
def role(scene: Scene) -> str:
    """The name of the function's role."""
    name = scene.stack.function_name(FUNCTION)
    return scene.stack.lambda_.get_function_configuration(FunctionName=name)["Role"].rsplit("/", 1)[-1]


def policy_of(scene: Scene, role: str) -> tuple[str, Any]:
    """The role's only policy of its own."""
    [name] = scene.stack.iam.list_role_policies(RoleName=role)["PolicyNames"]
    return name, scene.stack.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]


def test_what_it_may_do(scene: Scene, role: str) -> None:
    """The role may read one secret and put events on one bus, and nothing else."""
    _, policy = policy_of(scene, role)
    granted = [(statement["Action"], statement["Resource"]) for statement in policy["Statement"]]
    secret = scene.stack.secretsmanager.describe_secret(SecretId=WEBHOOK_SECRET_NAME)["ARN"]
    bus = scene.stack.events.describe_event_bus(Name=scene.stack.outputs["EventBusName"])["Arn"]
    assert granted == [("secretsmanager:GetSecretValue", secret), ("events:PutEvents", bus)]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("secretsmanager:GetSecretValue", "WebhookSecretArn: Secrets Manager answers AccessDeniedException for arn:"),
        ("events:PutEvents", "EventBridge PutEvents on default failed: "),
    ],
)
def test_without_a_permission(scene: Scene, sender: Sender, bus: Listener, action: str, message: str) -> None:
    """Without either permission nothing is taken, the sender is told to try again, and the log names the call."""
    with scene.stack.without_permission(action, FUNCTION):
        answer = sender.send(asking(data_for("sales")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert bus.heard() == []
    assert message in lines(scene)[-1]["exception"]
    assert "AccessDenied" in lines(scene)[-1]["exception"]


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("ForAllValues:StringEquals", "events:source", "datamart.lifecycle"),
        ("StringEquals", "events:detail-type", "Something else"),
    ],
)
def test_in_another_name(
    scene: Scene, sender: Sender, bus: Listener, role: str, operator: str, key: str, value: str
) -> None:
    """The role's permission is for its own source and types: were it for others, it would be none for these."""
    name, policy = policy_of(scene, role)
    changed = json.loads(json.dumps(policy))
    changed["Statement"][1]["Condition"][operator][key] = value
    scene.stack.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(changed))
    try:
        assert sender.send(asking(data_for("sales"))).status_code == 503
    finally:
        scene.stack.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    assert bus.heard() == []
