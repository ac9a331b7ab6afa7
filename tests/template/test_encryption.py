"""One key of the owner's for all that is kept, where there is one; and who may use it, and for what."""

from collections.abc import Callable
from typing import Any

import pytest

Node = dict[str, Any]
OfType = Callable[[str], dict[str, Node]]

KEY, NOTHING = {"Ref": "EncryptionKeyArn"}, {"Ref": "AWS::NoValue"}

# What each resource is encrypted with, where there is a key.
WITH_A_KEY: dict[str, Node] = {
    "AWS::S3::Bucket": {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
                    "BucketKeyEnabled": True,
                }
            ]
        }
    },
    "AWS::DynamoDB::Table": {"SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}},
    "AWS::SQS::Queue": {"SqsManagedSseEnabled": False, "KmsMasterKeyId": KEY},
    "AWS::SNS::Topic": {"KmsMasterKeyId": KEY},
    "AWS::Logs::LogGroup": {"KmsKeyId": KEY},
}


def with_a_key(node: Any) -> Any:  # noqa: ANN401  # any part of the template
    """What it is where there is a key."""
    return _chosen(node, 0)


def without_a_key(node: Any) -> Any:  # noqa: ANN401  # the same
    """What it is where there is none."""
    return _chosen(node, 1)


def _chosen(node: Any, branch: int) -> Any:  # noqa: ANN401  # the same
    match node:
        case {"Fn::If": ["HasEncryptionKey", *branches]}:
            return _chosen(branches[branch], branch)
        case dict():
            chosen = {name: _chosen(value, branch) for name, value in node.items()}
            return {name: value for name, value in chosen.items() if value != NOTHING}
        case list():
            return [value for value in (_chosen(part, branch) for part in node) if value != NOTHING]
    return node


@pytest.mark.parametrize("resource_type", WITH_A_KEY)
def test_all_that_is_kept_is_encrypted_with_it(deployed: Node, of_type: OfType, resource_type: str) -> None:
    """With a key every bucket, table, queue, topic and log is encrypted with it, without one nothing names a key."""
    assert deployed["Conditions"]["HasEncryptionKey"] == {"Fn::Not": [{"Fn::Equals": [KEY, ""]}]}
    resources = of_type(resource_type)
    assert resources
    for resource in resources.values():
        expected = WITH_A_KEY[resource_type]
        properties = with_a_key(resource["Properties"])
        assert {name: properties[name] for name in expected} == expected
        assert "EncryptionKeyArn" not in str(without_a_key(resource["Properties"]))


def test_who_may_use_it(of_type: OfType) -> None:
    """Each role may use the key through the services that it uses here and that encrypt, and through no other."""
    for name, role in of_type("AWS::IAM::Role").items():
        (policy,) = role["Properties"]["Policies"]
        statements = with_a_key(policy["PolicyDocument"]["Statement"])
        used = {
            action.partition(":")[0]
            for statement in (part["Fn::If"][1] if "Fn::If" in part else part for part in statements)
            for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
        } & {"dynamodb", "s3", "sns", "sqs"}
        found = [statement for statement in statements if statement.get("Sid") == "UseEncryptionKey"]
        services = [{"Fn::Sub": f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}"} for service in sorted(used)]
        assert [statement["Condition"] for statement in found] == (
            [{"StringEquals": {"kms:ViaService": services}}] if used else []
        ), name
        for statement in found:
            assert (statement["Effect"], statement["Resource"]) == ("Allow", KEY)
            assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert not [
            part
            for part in without_a_key(policy["PolicyDocument"]["Statement"])
            if part.get("Sid") == "UseEncryptionKey"
        ]
