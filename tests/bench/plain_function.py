"""The same task as a plain function: what the cold set-up of the retire function is measured against.

The usual choice for each part: pydantic models for the event and the result, Powertools Idempotency, and a boto3 client
for each service, all made at import. It is imported and never called.
"""

import os
from datetime import datetime
from typing import Annotated, Any, Literal

import boto3
import httpx
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=256)]


class Model(BaseModel):
    """What all models have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Detail(Model):
    """The request."""

    datamartName: Name  # noqa: N815  # as in the event, here and below
    environment: str
    requestedBy: Name  # noqa: N815
    reason: Annotated[str, Field(min_length=1, max_length=1_000)]
    retirementId: Annotated[str | None, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = None  # noqa: N815
    backup: bool = True
    dryRun: bool = False  # noqa: N815
    dependents: Literal["block", "ignore"] = "block"
    reviewedEmbeds: Annotated[list[str], Field(max_length=1_000)] = []  # noqa: N815
    planId: str | None = None  # noqa: N815
    retireAt: AwareDatetime | None = None  # noqa: N815


class Event(BaseModel):
    """The event."""

    id: str
    time: AwareDatetime
    detail_type: Annotated[Literal["Datamart Retirement Requested"], Field(alias="detail-type")]
    detail: Detail


class Embed(Model):
    """An embed."""

    embedId: str  # noqa: N815
    name: str | None
    dataAppName: str  # noqa: N815


class Dependents(Model):
    """Who uses the datamart."""

    found: list[Embed]
    undetermined: list[Embed]
    notChecked: list[str]  # noqa: N815


class Backup(Model):
    """Where the backup is."""

    bucket: str
    key: str
    versionId: str | None  # noqa: N815
    sha256: str
    bytes: int


class Result(Model):
    """The result."""

    retirementId: str  # noqa: N815
    datamartName: str  # noqa: N815
    outcome: Literal["deleted", "already_absent", "planned", "blocked", "rejected", "failed"]
    reason: str | None
    message: str
    startedAt: datetime  # noqa: N815
    finishedAt: datetime  # noqa: N815
    backup: Backup | None
    dependents: Dependents | None


logger = Logger()
metrics = Metrics()
databrain = httpx.Client(base_url=os.environ["DATABRAIN_BASE_URL"], timeout=10)
s3 = boto3.client("s3")
sns = boto3.client("sns")
secrets_manager = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
store = DynamoDBPersistenceLayer(table_name=os.environ["COORDINATION_TABLE_NAME"], boto3_client=dynamodb)


@logger.inject_lambda_context
@metrics.log_metrics
@idempotent(config=IdempotencyConfig(event_key_jmespath="id"), persistence_store=store)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda's signature
    """Answer a request."""
    return Event.model_validate(event).model_dump(mode="json")
