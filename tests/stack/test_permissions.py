"""Each permission of the deployed role is needed: where one is missing and all others are there, something fails.

(The role has `kms:Decrypt` only where a key is given, which it is not here: that one is the template tests' matter.)
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.stack.scene import MAP_KEY, PARAMETERS, JsonObject, Scene

Without = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def role(scene: Scene) -> str:
    """The ARN of the function's role."""
    name = scene.stack.outputs["RetireFunctionName"]
    return scene.stack.lambda_.get_function_configuration(FunctionName=name)["Role"]


@pytest.fixture
def policies(scene: Scene, role: str) -> dict[str, JsonObject]:
    """The role's own policies by name, each statement split into single permissions, which are their Sids."""

    def split(statement: JsonObject) -> Iterator[JsonObject]:
        for action in _as_list(statement["Action"]):
            for resource in _as_list(statement["Resource"]):
                where = resource.split("/", maxsplit=1)[1:] if action in {"s3:GetObject", "s3:PutObject"} else []
                yield {**statement, "Sid": " ".join([action, *where]), "Action": action, "Resource": resource}

    def document(name: str) -> Any:  # noqa: ANN401 -- the stubs have no type for a policy
        return scene.stack.iam.get_role_policy(RoleName=_name(role), PolicyName=name)["PolicyDocument"]

    return {
        name: {**document(name), "Statement": [part for whole in document(name)["Statement"] for part in split(whole)]}
        for name in scene.stack.iam.list_role_policies(RoleName=_name(role))["PolicyNames"]
    }


@pytest.fixture
def without(scene: Scene, role: str, policies: dict[str, JsonObject]) -> Without:
    """Run the function without one permission, from a cold start."""

    def put(left_out: str | None) -> None:
        for name, policy in policies.items():
            left = [
                {key: value for key, value in permission.items() if key != "Sid"}
                for permission in policy["Statement"]
                if permission["Sid"] != left_out
            ]
            document = json.dumps({**policy, "Statement": left})
            scene.stack.iam.put_role_policy(RoleName=_name(role), PolicyName=name, PolicyDocument=document)

    @contextmanager
    def leave_out(permission: str) -> Iterator[None]:
        put(permission)
        try:
            with scene.stack.settings():
                yield
        finally:
            put(None)

    return leave_out


def request(scene: Scene) -> JsonObject:
    """Ask for a datamart that is not there."""
    return scene.event(f"absent-{uuid4()}")


def dry_run(scene: Scene) -> JsonObject:
    """Ask for a plan."""
    return scene.event(scene.datamart(), dryRun=True)


def request_with_known_plan(scene: Scene) -> JsonObject:
    """Ask for what was planned before, as it was planned."""
    planned = dry_run(scene)
    assert not scene.stack.invoke(planned).error
    return scene.event(planned["detail"]["datamartName"])


def retirement(scene: Scene) -> JsonObject:
    """Ask for a datamart that is there."""
    return scene.event(scene.datamart())


def bad_event(scene: Scene) -> JsonObject:
    """Send what is rejected."""
    return scene.event("sales", dryRum=True)


def known_bad_event(scene: Scene) -> JsonObject:
    """Send again what was rejected before."""
    bad = bad_event(scene)
    assert not scene.stack.invoke(bad).error
    return bad


def interrupted_retirement(scene: Scene) -> JsonObject:
    """Send again what failed at its delete, on a server that does not tell when a datamart was created."""
    interrupted = scene.event(scene.portal(listsCreatedAt=False))
    scene.databrain.faults.replace([{"route": "delete_datamart", "fault": "status", "status": 401}])
    assert scene.stack.invoke(interrupted).error
    return interrupted


# The permissions that a failing invocation shows: what is asked of it, and how its error begins (a regular expression).
SHOWN_BY_FAILURES = {
    "dynamodb:GetItem": (interrupted_retirement, "DynamoDB GetItem failed"),
    "dynamodb:PutItem": (request, "DynamoDB PutItem failed"),
    "dynamodb:UpdateItem": (retirement, "DynamoDB TransactWriteItems failed"),
    f"s3:GetObject {MAP_KEY}": (retirement, f"EmbedMapUri: {PARAMETERS['EmbedMapUri']} cannot be read"),
    "s3:GetObject plans/*": (request_with_known_plan, "S3 GetObject s3://[^/]+/plans/"),
    "s3:GetObject rejected/*": (known_bad_event, "S3 GetObject s3://[^/]+/rejected/"),
    "s3:GetObject retirements/*": (request, "S3 GetObject s3://[^/]+/retirements/"),
    "s3:PutObject plans/*": (dry_run, "S3 PutObject s3://[^/]+/plans/"),
    "s3:PutObject rejected/*": (bad_event, "S3 PutObject s3://[^/]+/rejected/"),
    "s3:PutObject retirements/*": (request, "S3 PutObject s3://[^/]+/retirements/"),
    "secretsmanager:GetSecretValue": (request, "ServiceTokenSecretArn: Secrets Manager answers"),
    "sns:Publish": (request, "SNS Publish"),
}
# Its failure is no failure of the retirement.
RELEASE_OF_THE_LOCK = "dynamodb:DeleteItem"
# What no invocation shows here: Lambda takes messages in the function's name, and MiniStack takes them in its own; and
# MiniStack answers 404 for a missing object to whoever asks. That they are granted is all that can be seen.
NOT_SHOWN_BY_MINISTACK = [
    "s3:ListBucket",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
]


def test_each_permission_has_its_test(policies: dict[str, JsonObject]) -> None:
    """The role has the permissions that are tested here, and no others."""
    granted = [permission["Sid"] for policy in policies.values() for permission in policy["Statement"]]
    assert sorted(granted) == sorted([*SHOWN_BY_FAILURES, RELEASE_OF_THE_LOCK, *NOT_SHOWN_BY_MINISTACK])


@pytest.mark.parametrize("permission", SHOWN_BY_FAILURES)
def test_the_function_fails_without(scene: Scene, without: Without, permission: str) -> None:
    """Without the permission the attempt fails, and the error names the call."""
    event_for, expected = SHOWN_BY_FAILURES[permission]
    event = event_for(scene)
    with without(permission):
        invocation = scene.stack.invoke(event)
    assert invocation.error
    assert re.match(expected, invocation.payload["errorMessage"])
    assert re.search("AccessDenied|AuthorizationError", invocation.payload["errorMessage"])


def test_the_lock_stays_without(scene: Scene, without: Without) -> None:
    """Without the permission to delete items the lock of a retirement that has its result stays until it expires."""
    with_it, without_it = scene.datamart(), scene.datamart()
    assert scene.stack.invoke(scene.event(with_it)).payload["outcome"] == "deleted"
    with without(RELEASE_OF_THE_LOCK):
        assert scene.stack.invoke(scene.event(without_it)).payload["outcome"] == "deleted"
    assert (scene.is_locked(with_it), scene.is_locked(without_it)) == (False, True)


@pytest.mark.parametrize("permission", NOT_SHOWN_BY_MINISTACK)
def test_the_role_may_not_without(
    scene: Scene, role: str, policies: dict[str, JsonObject], without: Without, permission: str
) -> None:
    """The role may do it, by IAM's own judgement, and only by this permission."""
    (resource,) = (
        granted["Resource"]
        for policy in policies.values()
        for granted in policy["Statement"]
        if granted["Sid"] == permission
    )

    def decision() -> str:
        response = scene.stack.iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[permission], ResourceArns=[resource]
        )
        return response["EvaluationResults"][0]["EvalDecision"]

    assert decision() == "allowed"
    with without(permission):
        assert decision() == "implicitDeny"


def _name(role: str) -> str:
    return role.rsplit("/", 1)[-1]


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 -- IAM takes one value or a list of them
    return value if isinstance(value, list) else [value]
