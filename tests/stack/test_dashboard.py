"""The dashboard as it is deployed."""

import json

from local.stack import STACK_NAME
from tests.stack.scene import Scene


def test_the_dashboard_is_of_this_stack(scene: Scene) -> None:
    """The dashboard is JSON, and names the function, the queues, the log and the alarms that are deployed beside it."""
    stack = scene.stack
    body = stack.cloudwatch.get_dashboard(DashboardName=stack.outputs["DashboardName"])["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    alarms = {alarm["AlarmArn"] for alarm in stack.cloudwatch.describe_alarms()["MetricAlarms"]}
    (shown,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert set(shown) == alarms
    resources = stack.cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    names = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"].rpartition("/")[2]
        if resource["ResourceType"] == "AWS::SQS::Queue"
        else resource["PhysicalResourceId"]
        for resource in resources
    }
    for logical_id in ("RetireFunction", "Requests", "Failures"):
        assert f'"{names[logical_id]}"' in body
    assert f"SOURCE '{names['RetireLogGroup']}' |" in body
    assert "docs/runbooks/failures.md" in body
