"""Tags of the stack: CloudFormation gives them to every resource that can have any."""

from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # ships no types

Node = dict[str, Any]

# AWS has no tags for these; for a schedule there are those of its group.
UNTAGGABLE = {
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
}


def test_what_can_have_tags_gets_the_stacks(deployed: Node) -> None:
    """CloudFormation hands the stack's tags on to each resource, by its own schemas, or the resource can have none."""
    types = {resource["Type"] for resource in deployed["Resources"].values()}
    tagging = {name: PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema["tagging"] for name in types}
    assert {name for name, says in tagging.items() if not says["taggable"]} == UNTAGGABLE
    assert all(tagging[name]["tagOnCreate"] and tagging[name]["tagUpdatable"] for name in types - UNTAGGABLE)
