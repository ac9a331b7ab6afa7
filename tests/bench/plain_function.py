"""The same task as a plain function: what the cold set-up of the retire function is measured against.

The usual choice for each part: pydantic models for the event and the result, Powertools Idempotency, and a boto3 client
for each service, all made at import. It sends the requests that a retirement without faults needs, one after the other,
and survives nothing.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
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


API = "/api/v2/data-app"

logger = Logger()
metrics = Metrics()
databrain = httpx.Client(base_url=os.environ["DATABRAIN_BASE_URL"], timeout=10)
s3 = boto3.client("s3")
sns = boto3.client("sns")
secrets_manager = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
store = DynamoDBPersistenceLayer(table_name=os.environ["COORDINATION_TABLE_NAME"], key_attr="pk", boto3_client=dynamodb)


@logger.inject_lambda_context
@metrics.log_metrics
@idempotent(config=IdempotencyConfig(event_key_jmespath="id"), persistence_store=store)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda's signature
    """Retire one datamart."""
    started_at = datetime.now(UTC)
    detail = Event.model_validate(event).detail
    secret = secrets_manager.get_secret_value(SecretId=os.environ["SERVICE_TOKEN_SECRET_ARN"])["SecretString"]
    databrain.headers["Authorization"] = f"Bearer {secret}"
    names = [entry["name"] for entry in read("/datamarts", isPagination="false", expandDetails="false")]
    page = str(names.index(detail.datamartName) // 10 + 1)
    entries = read("/datamarts", isPagination="true", pageNumber=page)
    (datamart,) = (entry for entry in entries if entry["name"] == detail.datamartName)
    layer = databrain.get(f"{API}/datamarts/semantic-layer", params={"datamartName": detail.datamartName})
    dependents = Dependents(found=[], undetermined=embeds(), notChecked=[])
    text = json.dumps({"datamart": datamart, "semanticLayer": layer.json()}, sort_keys=True)
    bucket, key = os.environ["EVIDENCE_BUCKET_NAME"], f"retirements/{detail.datamartName}/plain/backup.json"
    s3.put_object(Bucket=bucket, Key=key, Body=text, IfNoneMatch="*")
    kept = s3.get_object(Bucket=bucket, Key=key)
    read_back = kept["Body"].read()
    databrain.request("DELETE", f"{API}/datamart", params={"datamartName": detail.datamartName}).raise_for_status()
    names = [entry["name"] for entry in read("/datamarts", isPagination="false", expandDetails="false")]
    result = Result(
        retirementId=detail.retirementId or event["id"],
        datamartName=detail.datamartName,
        outcome="failed" if detail.datamartName in names else "deleted",
        reason=None,
        message="",
        startedAt=started_at,
        finishedAt=datetime.now(UTC),
        backup=Backup(
            bucket=bucket,
            key=key,
            versionId=kept.get("VersionId"),
            sha256=hashlib.sha256(read_back).hexdigest(),
            bytes=len(read_back),
        ),
        dependents=dependents,
    )
    sns.publish(TopicArn=os.environ["RESULTS_TOPIC_ARN"], Message=result.model_dump_json())
    return result.model_dump(mode="json")


def read(path: str, **query: str) -> list[dict[str, Any]]:
    """The entries of a list."""
    data: list[dict[str, Any]] = databrain.get(f"{API}{path}", params=query).raise_for_status().json()["data"]
    return data


def embeds() -> list[Embed]:
    """The embeds of all data apps, each with a key of its own."""
    found: list[Embed] = []
    for app in read("", isPagination="false"):
        (token, *_) = read("/api-tokens", dataAppName=app["name"], isPagination="false")
        answer = databrain.get(
            f"{API}/embeds", params={"isPagination": "false"}, headers={"Authorization": f"Bearer {token['key']}"}
        )
        items = answer.raise_for_status().json()["data"]
        found += [Embed(embedId=item["embedId"], name=item.get("name"), dataAppName=app["name"]) for item in items]
    return found
