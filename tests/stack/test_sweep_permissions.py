"""Each permission of the sweep's deployed role is needed: where one is missing and all others are there, it fails.

(The role has `kms:Decrypt` only where a key is given, which it is not here: that one is the template tests' matter.)
"""

from collections.abc import Callable

import pytest

from local.stack import SWEEP
from tests.stack.role import Role, assert_denied
from tests.stack.scene import LISTS_KEY, MAP_KEY, MAPS_BUCKET, POLICY_KEY, Scene
from tests.stack.sweeps import Sweeps


@pytest.fixture
def role(scene: Scene) -> Role:
    """The role of the sweep function."""
    return Role(scene.stack, SWEEP)


def empty(sweeps: Sweeps) -> None:
    """A policy that matches nothing."""
    sweeps.policy(sweeps.rule())


def one(sweeps: Sweeps) -> None:
    """A policy that matches one datamart."""
    sweeps.datamart("old")
    sweeps.policy(sweeps.rule())


def one_without_embeds(sweeps: Sweeps) -> None:
    """A policy that asks for embeds, and so for their map."""
    sweeps.datamart("old")
    sweeps.policy(sweeps.rule(withoutEmbeds=True))


def one_asked_for(sweeps: Sweeps) -> None:
    """A policy that matches what was asked for before."""
    one(sweeps)
    sweeps.sweep()


# The permissions that a failing invocation shows: what there is, and how its error begins (a regular expression).
SHOWN_BY_FAILURES: dict[str, tuple[Callable[[Sweeps], None], str]] = {
    "events:PutEvents": (one, "EventBridge PutEvents on default failed"),
    f"s3:GetObject {LISTS_KEY}": (empty, f"DatamartListsUri: s3://{MAPS_BUCKET}/{LISTS_KEY} cannot be read"),
    f"s3:GetObject {MAP_KEY}": (one_without_embeds, f"EmbedMapUri: s3://{MAPS_BUCKET}/{MAP_KEY} cannot be read"),
    f"s3:GetObject {POLICY_KEY}": (empty, f"SweepPolicyUri: s3://{MAPS_BUCKET}/{POLICY_KEY} cannot be read"),
    "s3:GetObject retirements/*": (one_asked_for, "S3 GetObject s3://[^/]+/retirements/"),
    "s3:GetObject sweeps/*": (one_asked_for, "S3 GetObject s3://[^/]+/sweeps/asked/"),
    "s3:ListBucket": (empty, "S3 ListObjectsV2 s3://[^/]+/sweeps/asked/"),
    "s3:PutObject sweeps/*": (empty, "S3 PutObject s3://[^/]+/sweeps/"),
    "secretsmanager:GetSecretValue": (empty, "ServiceTokenSecretArn: Secrets Manager answers"),
    "sns:Publish": (empty, "SNS Publish"),
}


def test_each_permission_has_its_test(role: Role) -> None:
    """The role has the permissions that are tested here, and no others."""
    assert role.permissions == sorted(SHOWN_BY_FAILURES)


@pytest.mark.parametrize("permission", SHOWN_BY_FAILURES)
def test_the_sweep_fails_without(sweeps: Sweeps, role: Role, permission: str) -> None:
    """Without the permission the sweep fails, and the error names the call."""
    prepare, expected = SHOWN_BY_FAILURES[permission]
    prepare(sweeps)
    with role.without(permission):
        invocation = sweeps.invoke()
    assert_denied(invocation, expected)


def test_it_cannot_delete(sweeps: Sweeps, role: Role) -> None:
    """The role can neither write nor delete what is kept of a retirement, and a sweep sends Databrain no delete."""
    written = [permission for permission in role.permissions if permission.startswith(("s3:Put", "s3:Delete"))]
    assert written == ["s3:PutObject sweeps/*"]
    one(sweeps)
    sweeps.sweep()
    assert sweeps.scene.deletions() == []
