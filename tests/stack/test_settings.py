"""The deployed function's settings: both forms of the API, and what happens where a setting or the secret is bad."""

import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from local.databrain.faults import RouteId
from local.databrain.organisation import ConnectionType, Workspace
from retirement.databrain.ports import DatabrainApi
from tests.contract.routes import ROUTES
from tests.stack.scene import Scene

Secret = Callable[[str], None]

ROUTES_OF_A_RETIREMENT = {*RouteId} - {
    RouteId.CREATE_DATAMART,
    RouteId.CREATE_SEMANTIC_LAYER,
    RouteId.CREATE_EMBED,
    RouteId.CREATE_GUEST_TOKEN,
    RouteId.FETCH_METRICS,
    RouteId.LIST_DATASOURCES,
    RouteId.UPDATE_WORKSPACE,
}

BAD_SETTINGS: dict[str, tuple[str | None, str]] = {
    "ENVIRONMENT_NAME": (None, "is missing or empty"),
    "MODE": ("delete", "expected plan or retire"),
}


@pytest.fixture
def secret(scene: Scene) -> Iterator[Secret]:
    """Keep something else as the secret, until the test is over; a warm function goes on with the token that it has."""
    function = scene.stack.lambda_.get_function_configuration(FunctionName=scene.stack.outputs["RetireFunctionName"])
    arn = function["Environment"]["Variables"]["SERVICE_TOKEN_SECRET_ARN"]
    before = scene.stack.secretsmanager.get_secret_value(SecretId=arn)["SecretString"]

    def keep(value: str) -> None:
        scene.stack.secretsmanager.put_secret_value(SecretId=arn, SecretString=value)

    yield keep
    keep(before)
    with scene.stack.settings():
        pass


@pytest.mark.parametrize("api", DatabrainApi)
def test_each_form_of_the_api(scene: Scene, api: DatabrainApi) -> None:
    """A retirement uses the routes of the form that is set, all of them, and of the other form none."""
    name = scene.portal("overview", embedsTellDatamart="old_spelling")
    scene.databrain.organisation.workspaces = {"Sales": Workspace("Sales", ConnectionType.DATAMART, None, name, ())}
    with scene.stack.settings(DATABRAIN_API=api):
        blocked = scene.result(scene.ask(name)).document
        scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "lost_answer"}])
        deleted = scene.result(scene.ask(name, reviewedEmbeds=["overview"])).document
    assert (blocked["reason"], blocked["dependents"]["foundCount"]) == ("dependents_found", 1)
    assert (deleted["outcome"], deleted["confirmedBy"]) == ("deleted", "absence")
    assert scene.deletions() == [name]
    used = {(request["method"], request["path"]) for request in scene.databrain.requests}
    assert used == {ROUTES[api][route] for route in ROUTES_OF_A_RETIREMENT}
    kept = scene.kept(deleted["backup"]["key"]).document
    (embed,) = kept["embeds"]
    assert (embed["embedId"], embed["verdict"], embed["export"]["_meta"]["embedId"]) == ("overview", "uses", "overview")


def test_a_server_without_a_list_of_data_apps(scene: Scene) -> None:
    """On an old server that has no list of data apps nothing tells who uses a datamart, and the result says so."""
    name = scene.portal("overview", hasDataApps=False)
    with scene.stack.settings(DATABRAIN_API="legacy"):
        blocked = scene.result(scene.ask(name)).document
        deleted = scene.result(scene.ask(name, dependents="ignore")).document
    assert (blocked["outcome"], blocked["reason"]) == ("blocked", "dependents_undetermined")
    assert "the embeds: this server has no list of data apps" in blocked["dependents"]["notChecked"]
    assert deleted["outcome"] == "deleted"
    assert deleted["dependents"] == blocked["dependents"]


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting(scene: Scene, name: str) -> None:
    """A setting that is missing or wrong is named by the error, at once."""
    value, expected = BAD_SETTINGS[name]
    with scene.stack.settings(**{name: value}):
        invocation = scene.stack.invoke(scene.event("sales"))
    assert invocation.error
    assert f"{name} " in invocation.payload["errorMessage"]
    assert expected in invocation.payload["errorMessage"]
    assert scene.databrain.requests == []


def test_a_bad_secret(scene: Scene, secret: Secret) -> None:
    """A secret that holds no token is named by the error with the setting it comes from, and not shown."""
    secret('{"serviceToken": "in the wrong place"}')
    with scene.stack.settings():
        invocation = scene.stack.invoke(scene.event("sales"))
    assert invocation.error
    message = invocation.payload["errorMessage"]
    assert message.startswith("ServiceTokenSecretArn: the secret arn:")
    assert 'must contain the token, as plain text or as JSON {"token": "..."}' in message
    assert "in the wrong place" not in message
    assert scene.databrain.requests == []


def test_a_secret_that_cannot_be_read(scene: Scene) -> None:
    """A secret that the function may not read is named by the error with the setting, and with what to look at."""
    with scene.stack.without_permission("secretsmanager:GetSecretValue"):
        invocation = scene.stack.invoke(scene.event("sales"))
    assert invocation.error
    message = invocation.payload["errorMessage"]
    assert message.startswith("ServiceTokenSecretArn: Secrets Manager answers AccessDeniedException for arn:")
    assert message.endswith("check the ARN, the role and ServiceTokenKeyArn")


@pytest.mark.parametrize("mistake", ["setting", "secret"])
def test_the_request_is_kept(scene: Scene, secret: Secret, mistake: str) -> None:
    """A request that comes while something is set wrongly stays in its queue, for when that is mended."""
    if mistake == "secret":
        secret("{}")
    with scene.stack.settings(**({"MODE": ""} if mistake == "setting" else {})):
        scene.ask("sales")
        scene.eventually(lambda: scene.log() and scene.messages() == {"in flight": 1})
    assert scene.messages() == {"in flight": 1}
    assert scene.new_objects() == []
    assert scene.databrain.requests == []


def test_a_secret_in_json(scene: Scene, secret: Secret) -> None:
    """The secret may be JSON with a key `token`, among others."""
    secret(json.dumps({"token": scene.databrain.organisation.service_token, "note": "rotated every month"}))
    with scene.stack.settings():
        assert scene.result(scene.ask(scene.datamart())).document["outcome"] == "deleted"


def test_a_rotated_token(scene: Scene, secret: Secret) -> None:
    """A token that Databrain refuses is read anew within the same attempt: rotating it fails no retirement."""
    assert scene.result(scene.ask(f"absent-{uuid4()}")).document["outcome"] == "already_absent"
    scene.databrain.organisation.service_token = f"rotated-{uuid4()}"
    secret(scene.databrain.organisation.service_token)
    scene.databrain.requests.clear()
    assert scene.result(scene.ask(scene.datamart())).document["outcome"] == "deleted"
    assert [request["token"] for request in scene.databrain.requests].count("unknown") == 1
