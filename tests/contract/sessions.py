"""A session of the command line with a stack that no CloudFormation describes."""

from collections.abc import Mapping

from cli.contexts import Context
from cli.output import Output
from cli.session import Session
from cli.stack import Stack

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain"
PARAMETERS = {
    "EnvironmentName": "prod",
    "EventSources": "datamart.lifecycle",
    "DatabrainBaseUrl": "https://databrain.invalid",
    "DatabrainApi": "current",
    "DatabrainCaUri": "",
    "ServiceTokenSecretArn": SECRET_ARN,
    "WebhookSecretArn": SECRET_ARN,
    "EmbedMapUri": "",
}
OUTPUTS = {"EvidenceBucketName": "evidence", "WebhookUrl": "https://webhook.invalid"}


def session_with(
    clients: Mapping[str, object],
    parameters: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    *,
    as_json: bool = False,
) -> Session:
    """A session whose stack has these clients by service, and these parameters and outputs over the usual ones."""
    context = Context("datamart-retirement", region="eu-west-1")
    stack = Stack(context)
    vars(stack)["_client"] = clients.__getitem__
    vars(stack)["parameters"] = PARAMETERS | dict(parameters or {})
    vars(stack)["outputs"] = OUTPUTS | dict(outputs or {})
    vars(stack)["caller"] = "arn:aws:iam::123456789012:user/somebody"
    session = Session(Output(as_json=as_json), None, None, None)
    vars(session).update(context=context, stack=stack)
    return session
