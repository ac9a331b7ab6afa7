"""The service token and the data apps' keys are in nothing that the stack writes, whatever happens."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.databrain.faults import FaultKind, RouteId
from local.databrain.organisation import ConnectionType, Workspace
from retirement.databrain.ports import DatabrainApi
from tests.contract.routes import requests_to
from tests.fakes import from_queue
from tests.stack.leaks import PUBLISHED, everything_written, leaks
from tests.stack.scene import DATA_APP_KEY, SCHEDULE, SERVICE_TOKEN, JsonObject, Scene, ahead

SECRETS = (SERVICE_TOKEN, DATA_APP_KEY)
ECHO = " ".join(SECRETS)
LAYER: JsonObject = {"tables": []}
USED = (
    RouteId.LIST_DATAMARTS,
    RouteId.GET_SEMANTIC_LAYER,
    RouteId.LIST_DATA_APPS,
    RouteId.LIST_API_TOKENS,
    RouteId.LIST_EMBEDS,
    RouteId.EXPORT_EMBED,
    RouteId.LIST_WORKSPACES,
    RouteId.LIST_WORKSPACE_DASHBOARDS,
    RouteId.DELETE_DATAMART,
)
OF_CREATES = {FaultKind.DAMAGED, FaultKind.NAME_TAKEN}
OF_DELETES: Sequence[Sequence[JsonObject]] = (
    ({"fault": "phantom"},),
    ({"fault": "late_effect", "after": 1},),
    ({"fault": "eventual", "after": 1},),
)
# The faults of one retirement each; all that an answer can repeat, it repeats.
FAULTS: Sequence[Sequence[JsonObject]] = (
    (
        {"fault": "status", "status": 429, "code": SERVICE_TOKEN, "message": ECHO, "retryAfter": ECHO},
        {"fault": "status", "status": 503, "code": DATA_APP_KEY, "message": ECHO},
        {"fault": "refused"},
    ),
    ({"fault": "throttle", "perSecond": 1}, {"fault": "lost_answer"}, {"fault": "slow", "seconds": 0.1}),
    ({"fault": "status", "status": 400, "code": SERVICE_TOKEN, "message": ECHO},),
    ({"fault": "status", "status": 401, "code": DATA_APP_KEY, "message": ECHO},),
    ({"fault": "status", "status": 404, "code": ECHO, "message": ECHO},),
    ({"fault": "broken_json"},),
    ({"fault": "html"},),
    ({"fault": "redirect", "location": f"https://elsewhere.example/?token={quote(ECHO)}"},),
    ({"fault": "wrong_shape", "body": {"error": {"code": SERVICE_TOKEN, "message": ECHO}, "data": ECHO, "id": ECHO}},),
    ({"fault": "wrong_shape", "body": {"error": None, "data": [{"name": ECHO, "embedId": ECHO, "embeds": []}]}},),
    ({"fault": "endless"},),
    ({"fault": "status_after", "status": 500, "code": SERVICE_TOKEN, "message": ECHO},),
    ({"fault": "token_refused"},),
)

# Every end but `failed`, which nobody is answered with.
ENDS = {
    ("scheduled", None),
    ("scheduled", "due_soon"),
    ("cancelled", None),
    ("deleted", "response"),
    ("deleted", "absence"),
    ("already_absent", None),
    ("planned", "dry_run"),
    ("planned", "plan_mode"),
    ("blocked", "protected"),
    ("blocked", "not_retirable"),
    ("blocked", "daily_limit_reached"),
    ("blocked", "ambiguous_name"),
    ("blocked", "recreated"),
    ("blocked", "changed"),
    ("blocked", "plan_drifted"),
    ("blocked", "dependents_found"),
    ("blocked", "dependents_undetermined"),
    ("blocked", "not_restorable"),
    ("blocked", "backup_incomplete"),
    ("rejected", "invalid_request"),
    ("rejected", "retirement_id_reused"),
    ("rejected", "already_due"),
    ("rejected", "already_ended"),
}


def assert_none_leaked(scene: Scene, said: Sequence[str]) -> None:
    """Neither what the function answered nor anything that the test has left on the stack holds a secret."""
    assert leaks((("answer", text) for text in said), *SECRETS) == set()
    assert leaks(everything_written(scene.stack, scene.began), *SECRETS) == set()


@pytest.mark.parametrize("route", USED)
def test_whatever_fails(scene: Scene, route: RouteId) -> None:
    """No fault of any kind on any route, and no answer that repeats a token, puts a secret anywhere."""
    everything = [*FAULTS, *OF_DELETES]
    assert {fault["fault"] for faults in everything for fault in faults} == {*FaultKind} - OF_CREATES
    said = []
    for faults in everything if route is RouteId.DELETE_DATAMART else FAULTS:
        name = scene.datamart(scene.portal("overview", embedsTellDatamart="metadata"), semanticLayer=LAYER)
        workspace = Workspace("Sales", ConnectionType.DATAMART, None, name, ())
        scene.databrain.organisation.workspaces = {"Sales": workspace}
        scene.databrain.faults.replace([{"route": route, "times": 1, **fault} for fault in faults])
        scene.databrain.requests.clear()
        # `ignore`, so that what fails of the embeds gets into plan and result.
        said.append(json.dumps(scene.stack.invoke(scene.event(name, dependents="ignore")).payload))
        assert requests_to(scene.databrain, DatabrainApi.CURRENT, route)
    assert_none_leaked(scene, said)


def test_whatever_comes_of_it(scene: Scene) -> None:
    """No outcome has a secret in it, nor has anything that is written on the way there."""
    ends: dict[tuple[str, str | None], str] = {}

    def ask(request: JsonObject, function: str = "RetireFunctionName") -> None:
        result = scene.stack.invoke(request, function).payload
        ends[result["outcome"], result["reason"] or result["confirmedBy"]] = json.dumps(result)

    name = scene.portal("overview")
    ask(scene.event(name))
    name = scene.portal(*(f"overview {number}" for number in range(201)), embedsTellDatamart="metadata")
    ask(scene.event(name, dependents="ignore"))
    name = scene.portal("overview", embedsTellDatamart="metadata")
    for detail in (
        {},
        {"dependents": "ignore", "dryRun": True},
        {"dependents": "ignore", "planId": "0" * 64},
        {"dependents": "ignore", "backup": False, "requireRestorable": True},
        {"dryRum": True},
    ):
        ask(scene.event(name, **detail))
    ask(scene.event(f"not {name}"))
    with scene.stack.settings(MODE="plan", PROTECTED_DATAMARTS="hr-*", RETIRABLE_DATAMARTS="hr-*, datamart-*"):
        ask(scene.event(scene.datamart(f"hr-{uuid4()}"), dependents="ignore"))
        ask(scene.event(scene.datamart(f"finance-{uuid4()}"), dependents="ignore"))
        ask(scene.event(name, dependents="ignore"))
    with scene.stack.settings(MAX_RETIREMENTS_PER_DAY="0"):
        ask(scene.event(name, dependents="ignore"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ask(scene.event(scene.datamart(createdAt=tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")), dependents="ignore"))
    scene.datamart(name.upper())
    ask(scene.event(name, dependents="ignore"))

    dated = scene.event(scene.datamart(), retireAt=ahead(hours=1))
    ask(dated, SCHEDULE)
    scene.antedate(dated["detail"]["retirementId"], days=7)
    ask(dated, SCHEDULE)
    near = scene.event(scene.datamart(), retireAt=ahead(seconds=58))
    ask(near, SCHEDULE)
    ask({**near, "id": str(uuid4()), "detail": {**near["detail"], "retireAt": ahead(days=7)}}, SCHEDULE)
    ask(scene.cancellation(dated["detail"]), SCHEDULE)
    ended = scene.event(f"not {name}")
    ask(ended)
    ask(scene.cancellation(ended["detail"]), SCHEDULE)

    doubtful = scene.event(scene.datamart(), dependents="ignore")
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "html"}])
    failures = [scene.stack.invoke(doubtful).payload]
    scene.datamart(doubtful["detail"]["datamartName"], semanticLayer=LAYER)
    ask(doubtful)
    ask({**doubtful, "detail": {**doubtful["detail"], "backup": False}})

    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "lost_answer"}])
    ask(scene.event(scene.datamart(), dependents="ignore"))
    scene.databrain.faults.clear()
    ask(scene.event(scene.datamart(), dependents="ignore"))

    scene.databrain.organisation.service_token = "another-token-by-now"
    failures += give_up(scene, scene.event(scene.datamart()))

    assert ends.keys() == ENDS
    assert ["errorMessage" in failure for failure in failures] == [True] * 3
    assert "abandoned after" in failures[-1]["errorMessage"]
    assert_none_leaked(scene, [*ends.values(), *map(json.dumps, failures)])


def give_up(scene: Scene, request: JsonObject) -> list[JsonObject]:
    """Let an attempt fail and the last receive conclude; returns what both answer."""
    last = from_queue(request, datetime.now(UTC), 6)
    return [scene.stack.invoke(event).payload for event in (request, last)]


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    """A text that a request brings along is found in each kind of place, and so are the places."""
    planted = f"planted-{uuid4()}"
    scene.databrain.organisation.service_token = "another-token-by-now"
    request = scene.event(planted)
    with scene.stack.settings(PLANTED=planted):
        give_up(scene, request)
        scene.stack.sqs.send_message(QueueUrl=scene.stack.outputs["FailuresQueueUrl"], MessageBody=planted)
        dated = scene.event(planted, retireAt=ahead(days=7))
        assert not scene.stack.invoke(dated, SCHEDULE).error
        found = leaks(everything_written(scene.stack, scene.began), planted)

    function, bucket = scene.stack.outputs["RetireFunctionName"], scene.stack.outputs["EvidenceBucketName"]
    items = {where for where in found if where.startswith("item: ")}  # the lock, and the attempts that failed
    assert items
    assert {where for where in found - items if "/arrival-" not in where} == {
        f"log: /aws/lambda/{function}",
        f"log: /aws/lambda/{scene.stack.outputs[SCHEDULE]}",
        f"object: {bucket}/retirements/{planted}/{dated['detail']['retirementId']}/schedule-1.json",
        *(f"timer: {timer['Name']}" for timer in scene.timers().values()),
        f"function: {function}",
        f"object: {bucket}/retirements/{planted}/{request['detail']['retirementId']}/failure-1.json",
        f"message: {scene.stack.outputs['FailuresQueueUrl'].rpartition('/')[2]}",
        f"message: {PUBLISHED}",
        "message: results",
    }


def in_base64(before: int) -> Callable[[str], str]:
    """Encode a secret in the middle of something."""
    return lambda secret: b64encode(b"x" * before + secret.encode() + b", and more").decode()


SPELLED: Mapping[str, Callable[[str], str]] = {
    "as such": str,
    "as JSON": json.dumps,
    "as JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in hex": lambda secret: secret.encode().hex().upper(),
    **{f"in base64 after {before} bytes": in_base64(before) for before in range(4)},
}


@pytest.mark.parametrize("spelling", SPELLED)
def test_however_it_is_spelled(spelling: str) -> None:
    """A secret is found in what escapes or encodes it, and not where it is not."""
    secret = 'a+b/c="d\\e%f"-0123456789'
    written = [("here", f"... {SPELLED[spelling](secret)} ..."), ("there", f"... {SPELLED[spelling]('else')} ...")]
    assert leaks(written, "another", secret) == {"here"}
