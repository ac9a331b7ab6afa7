"""The page on approval: its bus policy keeps requesters and approvers apart, as IAM evaluates it."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.docs.pages import Page

Node = dict[str, Any]

APPROVER = "arn:aws:iam::111111111111:role/datamart-approvers"
REQUESTER = "arn:aws:iam::111111111111:role/crm"


def is_denied(statement: Node, principal: str, sources: list[str]) -> bool:
    """Evaluate the operators that the page uses (IAM user guide, "Multivalued context keys")."""
    outcomes = {
        "ForAnyValue:StringEquals": lambda wanted: any(source in wanted for source in sources),
        "ForAnyValue:StringNotEquals": lambda wanted: any(source not in wanted for source in sources),
        "ArnLike": lambda wanted: any(fnmatchcase(principal, arn) for arn in wanted),
        "ArnNotLike": lambda wanted: not any(fnmatchcase(principal, arn) for arn in wanted),
    }
    return all(outcomes[operator](next(iter(keys.values()))) for operator, keys in statement["Condition"].items())


@pytest.mark.parametrize(
    ("principal", "sources", "may"),
    [
        (APPROVER, ["approvals"], True),
        (REQUESTER, ["crm"], True),
        (REQUESTER, ["approvals"], False),
        (REQUESTER, ["crm", "approvals"], False),
        (APPROVER, ["crm"], False),
        (APPROVER, ["approvals", "crm"], False),
    ],
)
def test_the_bus_keeps_them_apart(principal: str, sources: list[str], may: bool) -> None:  # noqa: FBT001  # a parameter
    """Whoever may request cannot send one approval, also not among requests, and approvers can send nothing else."""
    (policy,) = (json.loads(block.text) for block in Page("docs/approval.md").blocks if block.language == "json")
    for statement in policy["Statement"]:
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Action"] == "events:PutEvents"
        assert {key for keys in statement["Condition"].values() for key in keys} == {
            "events:source",
            "aws:PrincipalArn",
        }

    assert may is not any(is_denied(statement, principal, sources) for statement in policy["Statement"])
