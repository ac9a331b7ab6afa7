"""A function's role, with its own policies taken apart into single permissions."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from local.stack import EmbeddedStack, Invocation
from tests.stack.scene import JsonObject


class Role:
    """The role of a function, which an output names. A permission is known by its action and its prefix in a bucket."""

    def __init__(self, stack: EmbeddedStack, function: str) -> None:
        self._stack = stack
        self._function = function
        self._name = stack.role_name(function)

    @cached_property
    def policies(self) -> dict[str, JsonObject]:
        """Its own policies by name, each statement split into single permissions, which are their Sids.

        What they deny is left out: it is of no consequence here, where nothing is in a VPC.
        """
        return {
            name: {**document, "Statement": [part for whole in document["Statement"] for part in _split(whole)]}
            for name, document in self._documents()
        }

    @property
    def permissions(self) -> list[str]:
        """All of them, each once, sorted."""
        return sorted({permission["Sid"] for policy in self.policies.values() for permission in policy["Statement"]})

    @contextmanager
    def without(self, permission: str) -> Iterator[None]:
        """Run the function without one permission, from a cold start."""
        policies = self.policies
        self._put(policies, left_out=permission)
        try:
            with self._stack.settings(self._function):
                yield
        finally:
            self._put(policies, left_out=None)

    def require(self, permission: str) -> None:
        """Assert that the role may do it, by IAM's own judgement, and only by this permission."""
        assert self._decision(permission) == "allowed"
        with self.without(permission):
            assert self._decision(permission) == "implicitDeny"

    def _decision(self, permission: str) -> str:
        """What IAM says of it: `allowed` or `implicitDeny`."""
        resources = [
            granted["Resource"]
            for policy in self.policies.values()
            for granted in policy["Statement"]
            if granted["Sid"] == permission
        ]
        arn = self._stack.iam.get_role(RoleName=self._name)["Role"]["Arn"]
        response = self._stack.iam.simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=[permission.partition(" ")[0]], ResourceArns=resources
        )
        (decision,) = {result["EvalDecision"] for result in response["EvaluationResults"]}
        return decision

    def _documents(self) -> Iterator[tuple[str, Any]]:
        for name in self._stack.iam.list_role_policies(RoleName=self._name)["PolicyNames"]:
            yield name, self._stack.iam.get_role_policy(RoleName=self._name, PolicyName=name)["PolicyDocument"]

    def _put(self, policies: dict[str, JsonObject], *, left_out: str | None) -> None:
        for name, policy in policies.items():
            left = [
                {key: value for key, value in permission.items() if key != "Sid"}
                for permission in policy["Statement"]
                if permission["Sid"] != left_out
            ]
            document = json.dumps({**policy, "Statement": left})
            self._stack.iam.put_role_policy(RoleName=self._name, PolicyName=name, PolicyDocument=document)


def assert_denied(invocation: Invocation, expected: str) -> None:
    """Assert that it failed for want of a permission; `expected` is how its error begins, a regular expression."""
    assert invocation.error
    assert re.match(expected, invocation.payload["errorMessage"])
    assert re.search("AccessDenied|AuthorizationError", invocation.payload["errorMessage"])


def _split(statement: JsonObject) -> Iterator[JsonObject]:
    if statement["Effect"] == "Deny":
        return
    for action in _as_list(statement["Action"]):
        for resource in _as_list(statement["Resource"]):
            where = resource.split("/", maxsplit=1)[1:] if action in {"s3:GetObject", "s3:PutObject"} else []
            yield {**statement, "Sid": " ".join([action, *where]), "Action": action, "Resource": resource}


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 -- IAM takes one value or a list of them
    return value if isinstance(value, list) else [value]
