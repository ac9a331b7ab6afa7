"""The webhook: there where a secret is given, and nothing of it where none is."""

from collections.abc import Callable
from typing import Any

from retirement.environment import read_settings
from retirement.webhook.endpoint import TIME_TO_PUT
from retirement.webhook.settings import WebhookSettings
from tests.template.test_encryption import without_a_key

Node = dict[str, Any]
OfType = Callable[[str], dict[str, Node]]
Properties = Callable[[str], Node]

SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:databrain/webhook-AbCdEf"
VARIABLES: dict[str, str | dict[str, str]] = {
    "ENVIRONMENT_NAME": {"Ref": "EnvironmentName"},
    "WEBHOOK_SECRET_ARN": {"Ref": "WebhookSecretArn"},
    "EVENT_BUS_NAME": {"Ref": "EventBusName"},
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}


def test_it_is_there_where_it_has_a_secret(deployed: Node) -> None:
    """All of it, and its output, is there only where a secret is given."""
    assert deployed["Conditions"]["HasWebhook"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WebhookSecretArn"}, ""]}]}
    conditional = {name for name, part in deployed["Resources"].items() if part.get("Condition") == "HasWebhook"}
    assert conditional == {
        "WebhookFunction",
        "WebhookFunctionRole",
        "WebhookFunctionUrl",
        "WebhookFunctionUrlPublicPermissions",
        "WebhookFunctionURLInvokeAllowPublicAccess",
        "WebhookLogGroup",
        "WebhookErrorsAlarm",
    }
    assert not {name for name in deployed["Resources"] if name.startswith("Webhook")} - conditional
    assert deployed["Outputs"]["WebhookUrl"]["Condition"] == "HasWebhook"


def test_anybody_may_knock(deployed: Node, of_type: OfType) -> None:
    """The URL is open, with both permissions that Lambda asks for; the second is good for the URL alone."""
    assert deployed["Resources"]["WebhookFunctionUrl"]["Properties"]["AuthType"] == "NONE"
    permissions = [permission["Properties"] for permission in of_type("AWS::Lambda::Permission").values()]
    function = {"Ref": "WebhookFunction"}
    assert sorted(permissions, key=lambda permission: str(permission["Action"])) == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": function,
            "Principal": "*",
            "InvokedViaFunctionUrl": True,
        },
        {
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": function,
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        },
    ]


def test_the_function(properties: Properties) -> None:
    """Runtime, layers and traces are those of the retire function; its time is short, for a sender waits."""
    webhook, retire = properties("WebhookFunction"), properties("RetireFunction")
    for name in ("Runtime", "Architectures", "MemorySize", "TracingConfig", "LoggingConfig", "Layers"):
        assert webhook[name] == retire[name]
    assert TIME_TO_PUT < webhook["Timeout"] == 10
    assert not {"PackageType", "SnapStart", "ReservedConcurrentExecutions", "VpcConfig"} & webhook.keys()


def test_environment_variables(written: Node, properties: Properties) -> None:
    """The function's environment holds its settings and nothing else, and they are settings that it accepts."""
    assert properties("WebhookFunction")["Environment"]["Variables"] == VARIABLES
    defaults = {name: str(parameter.get("Default")) for name, parameter in written["Parameters"].items()}
    given = defaults | {"WebhookSecretArn": SECRET_ARN}
    environment = {name: value if isinstance(value, str) else given[value["Ref"]] for name, value in VARIABLES.items()}
    assert read_settings(WebhookSettings, environment) == WebhookSettings(
        environment_name="dev", webhook_secret_arn=SECRET_ARN, event_bus_name="default"
    )


def test_its_log_is_kept_like_the_other(deployed: Node) -> None:
    """Its log group is the retire function's twin."""
    webhook, retire = deployed["Resources"]["WebhookLogGroup"], deployed["Resources"]["RetireLogGroup"]
    assert without_a_key(webhook["Properties"]) == {
        "LogGroupName": {"Fn::Sub": "/aws/lambda/${WebhookFunction}"},
        "RetentionInDays": retire["Properties"]["RetentionInDays"],
    }
    assert (webhook["DeletionPolicy"], webhook["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_its_alarm_watches_it(properties: Properties) -> None:
    """The alarm counts what its own URL answers with 5xx, Lambda's own answers too."""
    assert properties("WebhookErrorsAlarm")["Dimensions"] == [
        {"Name": "FunctionName", "Value": {"Ref": "WebhookFunction"}}
    ]
