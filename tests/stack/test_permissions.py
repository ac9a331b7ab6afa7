"""Each permission of the retire function's role is needed: where one is missing, something fails.

(The role has `kms:Decrypt` only where a key is given, which it is not here: that one is the template tests' matter.)
"""

import json
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.stack import RETIRE
from tests.stack.role import Role, assert_denied
from tests.stack.scene import LISTS_KEY, MAP_KEY, PARAMETERS, JsonObject, Scene


@pytest.fixture
def role(scene: Scene) -> Role:
    """The retire function's."""
    return Role(scene.stack, RETIRE)


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


def known_request(scene: Scene) -> JsonObject:
    """Send again what was answered before."""
    event = request(scene)
    assert not scene.stack.invoke(event).error
    return event


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


NO_BACKUP = "The backup could not be written and read back, so nothing was deleted: "
# The permissions that a failing invocation shows: what is asked of it, and how its error begins (a regular expression).
SHOWN_BY_FAILURES = {
    "dynamodb:GetItem": (interrupted_retirement, "DynamoDB GetItem failed"),
    "dynamodb:PutItem": (request, "DynamoDB PutItem failed"),
    "dynamodb:UpdateItem": (retirement, "DynamoDB TransactWriteItems failed"),
    f"s3:GetObject {LISTS_KEY}": (request, f"DatamartListsUri: {PARAMETERS['DatamartListsUri']} cannot be read"),
    f"s3:GetObject {MAP_KEY}": (retirement, f"EmbedMapUri: {PARAMETERS['EmbedMapUri']} cannot be read"),
    "s3:GetObject backups/*": (retirement, f"{NO_BACKUP}S3 GetObject s3://[^/]+/backups/"),
    "s3:GetObject plans/*": (request_with_known_plan, "S3 GetObject s3://[^/]+/plans/"),
    "s3:GetObject rejected/*": (known_bad_event, "S3 GetObject s3://[^/]+/rejected/"),
    "s3:GetObject retirements/*": (known_request, "S3 GetObject s3://[^/]+/retirements/"),
    "s3:PutObject backups/*": (retirement, f"{NO_BACKUP}S3 PutObject s3://[^/]+/backups/"),
    "s3:PutObject plans/*": (dry_run, "S3 PutObject s3://[^/]+/plans/"),
    "s3:PutObject rejected/*": (bad_event, "S3 PutObject s3://[^/]+/rejected/"),
    "s3:PutObject retirements/*": (request, "S3 PutObject s3://[^/]+/retirements/"),
    "secretsmanager:GetSecretValue": (request, "ServiceTokenSecretArn: Secrets Manager answers"),
    "sns:Publish": (request, "SNS Publish"),
}
# Its failure is no failure of the retirement.
RELEASE_OF_THE_LOCK = "dynamodb:DeleteItem"
# Only a stack that requires approval uses it: test_approval.py.
ANNOUNCEMENT_OF_ASKS = "sqs:SendMessage"
# What no invocation shows here: Lambda takes messages in the function's name, and MiniStack takes them in its own; and
# MiniStack answers 404 for a missing object to whoever asks. That they are granted is all that can be seen.
NOT_SHOWN_BY_MINISTACK = [
    "s3:ListBucket",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
]


def test_each_permission_has_its_test(role: Role) -> None:
    """The role has the permissions that are tested here, and no others."""
    others = [RELEASE_OF_THE_LOCK, ANNOUNCEMENT_OF_ASKS, *NOT_SHOWN_BY_MINISTACK]
    assert role.permissions == sorted([*SHOWN_BY_FAILURES, *others])


@pytest.mark.parametrize("permission", SHOWN_BY_FAILURES)
def test_the_function_fails_without(scene: Scene, role: Role, permission: str) -> None:
    """Without the permission the attempt fails, and the error names the call."""
    event_for, expected = SHOWN_BY_FAILURES[permission]
    event = event_for(scene)
    with role.without(permission):
        invocation = scene.stack.invoke(event)
    assert_denied(invocation, expected)


def test_the_lock_stays_without(scene: Scene, role: Role) -> None:
    """Without the permission to delete items the lock of a retirement that has its result stays until it expires."""
    with_it, without_it = scene.datamart(), scene.datamart()
    assert scene.stack.invoke(scene.event(with_it)).payload["outcome"] == "deleted"
    with role.without(RELEASE_OF_THE_LOCK):
        assert scene.stack.invoke(scene.event(without_it)).payload["outcome"] == "deleted"
    assert (scene.is_locked(with_it), scene.is_locked(without_it)) == (False, True)


@pytest.mark.parametrize("permission", NOT_SHOWN_BY_MINISTACK)
def test_the_role_may_not_without(role: Role, permission: str) -> None:
    """The role may do it, by IAM's own judgement, and only by this permission."""
    role.require(permission)


def test_the_bucket_takes_new_objects_only(scene: Scene) -> None:
    """The bucket's policy lets what is written with If-None-Match through, once, and names this bucket's objects.

    What it refuses only AWS shows: MiniStack never gives `s3:ObjectCreationOperation` a value.
    """
    bucket, s3 = scene.stack.outputs["EvidenceBucketName"], scene.stack.s3
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    (write_once,) = [statement for statement in policy["Statement"] if statement["Sid"] == "WriteOnce"]
    assert (write_once["Effect"], write_once["Resource"]) == ("Deny", f"arn:aws:s3:::{bucket}/*")
    key = f"rejected/{uuid4()}/receipt.json"
    s3.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
