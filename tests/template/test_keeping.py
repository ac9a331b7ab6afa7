"""What is kept, and what may vanish."""

from collections.abc import Callable
from typing import Any

from tests.template.test_encryption import without_a_key

Node = dict[str, Any]
Properties = Callable[[str], Node]


def test_evidence_outlives_the_stack(deployed: Node) -> None:
    """The bucket and its policy stay when the stack goes, and when an update would replace them."""
    for name in ("EvidenceBucket", "EvidenceBucketPolicy"):
        resource = deployed["Resources"][name]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_evidence_is_versioned_encrypted_and_private(properties: Properties) -> None:
    """The bucket keeps every version, encrypts, and belongs to its owner alone."""
    bucket = properties("EvidenceBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert without_a_key(bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]) == [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def test_evidence_can_be_locked(properties: Properties) -> None:
    """Object Lock is on, since it cannot be had later, and its retention is left to the owner."""
    bucket = properties("EvidenceBucket")
    assert bucket["ObjectLockEnabled"] is True
    assert "ObjectLockConfiguration" not in bucket


def test_backups_alone_expire(properties: Properties) -> None:
    """With a retention, a backup goes for good when it is over, whatever is left of it; nothing else ever expires."""
    assert properties("EvidenceBucket")["LifecycleConfiguration"] == {
        "Fn::If": [
            "HasBackupRetention",
            {
                "Rules": [
                    {
                        "Id": "ExpireBackups",
                        "Status": "Enabled",
                        "Prefix": "backups/",
                        "ExpirationInDays": {"Ref": "BackupRetentionDays"},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                    },
                    {
                        "Id": "RemoveDeleteMarkersOfBackups",
                        "Status": "Enabled",
                        "Prefix": "backups/",
                        "ExpiredObjectDeleteMarker": True,
                    },
                ]
            },
            {"Ref": "AWS::NoValue"},
        ]
    }


def test_evidence_is_written_once(properties: Properties) -> None:
    """Whoever creates an object without If-None-Match is refused; the parts of an upload, which have none, are not."""
    document = properties("EvidenceBucketPolicy")["PolicyDocument"]
    (statement,) = [s for s in document["Statement"] if s["Sid"] != "TlsOnly"]
    assert statement == {
        "Sid": "WriteOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": {"Fn::Sub": "${EvidenceBucket.Arn}/*"},
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }


def test_names_are_cloudformations(of_type: Callable[[str], dict[str, Node]]) -> None:
    """No bucket, queue, table or topic has a name of ours, so that any number of stacks fits into an account."""
    names = {
        "AWS::S3::Bucket": "BucketName",
        "AWS::SQS::Queue": "QueueName",
        "AWS::DynamoDB::Table": "TableName",
        "AWS::SNS::Topic": "TopicName",
        "AWS::Lambda::Function": "FunctionName",
        "AWS::IAM::Role": "RoleName",
        "AWS::CloudWatch::Alarm": "AlarmName",
    }
    for resource_type, name in names.items():
        resources = of_type(resource_type)
        assert resources
        assert not [logical_id for logical_id, resource in resources.items() if name in resource.get("Properties", {})]


def test_coordination_may_vanish(deployed: Node) -> None:
    """The table costs what is used, forgets by itself, and goes with the stack."""
    table = deployed["Resources"]["CoordinationTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    assert without_a_key(table["Properties"]) == {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True},
    }
