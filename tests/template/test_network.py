"""The network of the functions that call Databrain: Lambda's own, or the owner's subnets."""

from typing import Any

import pytest

Node = dict[str, Any]


@pytest.mark.parametrize("name", ["RetireFunction", "RestoreFunction", "SweepFunction"])
def test_who_calls_databrain_goes_where_it_is_told(deployed: Node, name: str) -> None:
    """With SubnetIds these functions are in the owner's subnets, with the owner's groups; without them in no VPC."""
    assert deployed["Conditions"]["HasVpc"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SubnetIds"}, ""]}]}
    condition, network, otherwise = deployed["Resources"][name]["Properties"]["VpcConfig"]["Fn::If"]
    assert (condition, otherwise) == ("HasVpc", {"Ref": "AWS::NoValue"})
    assert network == {
        "SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]},
        "SecurityGroupIds": {"Fn::Split": [",", {"Fn::Sub": "${SecurityGroupIds}"}]},
    }


@pytest.mark.parametrize("name", ["ScheduleFunction", "WebhookFunction"])
def test_who_does_not_stays_outside(deployed: Node, name: str) -> None:
    """The other functions need AWS alone, and no network that somebody has to look after."""
    assert "VpcConfig" not in deployed["Resources"][name]["Properties"]


@pytest.mark.parametrize(
    ("subnets", "groups", "whole"),
    [("", "", True), ("subnet-1", "sg-1", True), ("subnet-1", "", False), ("", "sg-1", False)],
)
def test_both_or_neither(deployed: Node, subnets: str, groups: str, whole: bool) -> None:  # noqa: FBT001  # of the test
    """Subnets without groups, or groups without subnets, are refused before anything is deployed, and why is said."""
    (assertion,) = deployed["Rules"]["NetworkIsWhole"]["Assertions"]
    assert "SubnetIds and SecurityGroupIds" in assertion["AssertDescription"]

    def holds(node: Any) -> Any:  # noqa: ANN401  # a part of the rule
        match node:
            case {"Fn::Or": parts}:
                return any(map(holds, parts))
            case {"Fn::And": parts}:
                return all(map(holds, parts))
            case {"Fn::Not": [part]}:
                return not holds(part)
            case {"Fn::Equals": [left, right]}:
                return holds(left) == right
            case {"Ref": name}:
                return {"SubnetIds": subnets, "SecurityGroupIds": groups}[name]
        raise AssertionError(node)

    assert holds(assertion["Assert"]) is whole
