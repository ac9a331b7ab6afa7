"""Everything that the stack has written, and whether a secret is in it, however it is spelled there."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from urllib.parse import quote

from local.stack import EmbeddedStack

PUBLISHED = "published-to-the-results-topic"
MAX_BATCH = 10  # messages that SQS gives out in one answer


def leaks(written: Iterable[tuple[str, str]], *secrets: str) -> set[str]:
    """Where a secret is, of places and the texts that they hold."""
    spelled = re.compile(
        "|".join(re.escape(spelling) for secret in secrets for spelling in spellings(secret)), re.IGNORECASE
    )
    return {where for where, text in written if spelled.search(text)}


def spellings(secret: str) -> set[str]:
    """A secret as such, as JSON and URLs escape it, in hex, and in base64, wherever in the encoded text it begins."""
    found = {secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1], secret.encode().hex()}
    found |= {quote(secret, safe=""), quote(secret)}
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            encoded = encode(bytes(before) + secret.encode()).decode().rstrip("=")
            # The first and the last character may hold bits of what is beside the secret.
            found.add(encoded[-(-before * 8 // 6) : len(encoded) - 1])
    return found


def listen(stack: EmbeddedStack) -> None:
    """Keep a copy of all that is published from now on, which no test takes out."""
    queue_url = stack.sqs.create_queue(QueueName=PUBLISHED)["QueueUrl"]
    arn = stack.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    stack.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": json.dumps({"Statement": [allowed]})})
    stack.sns.subscribe(TopicArn=stack.outputs["ResultsTopicArn"], Protocol="sqs", Endpoint=arn)


def everything_written(stack: EmbeddedStack, since: datetime | None = None) -> Iterator[tuple[str, str]]:
    """Each place on the stack, as `kind: name`, with its text. Messages are out of sight afterwards.

    Args:
        stack: the stack.
        since: leaves out logs and objects that were written in an earlier second.
    """
    kinds: Mapping[str, Callable[[EmbeddedStack], Iterator[tuple[str, str]]]] = {
        "log": partial(_logs, since=since),
        "object": partial(_objects, since=since),
        "item": _items,
        "message": _messages,
        "function": _functions,
        "timer": _timers,
    }
    for kind, texts in kinds.items():
        for name, text in texts(stack):
            yield f"{kind}: {name}", text


def _logs(stack: EmbeddedStack, since: datetime | None) -> Iterator[tuple[str, str]]:
    """Metrics too: the function writes them into its log."""
    for page in stack.logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            yield group["logGroupName"], "\n".join(stack.log(group["logGroupName"], since))


def _objects(stack: EmbeddedStack, since: datetime | None) -> Iterator[tuple[str, str]]:
    """Every version in every bucket: key, metadata and body."""
    for bucket in (bucket["Name"] for bucket in stack.s3.list_buckets()["Buckets"]):
        for page in stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                if since and version["LastModified"] < since.replace(microsecond=0):  # S3 tells whole seconds
                    continue
                kept = stack.s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
                body = kept["Body"].read().decode(errors="replace")
                yield f"{bucket}/{version['Key']}", f"{version['Key']} {kept['Metadata']} {body}"


def _items(stack: EmbeddedStack) -> Iterator[tuple[str, str]]:
    for table in stack.dynamodb.list_tables()["TableNames"]:
        for page in stack.dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                yield f"{table}/{item['pk']['S']}", json.dumps(item)


def _messages(stack: EmbeddedStack) -> Iterator[tuple[str, str]]:
    for queue_url in stack.sqs.list_queues()["QueueUrls"]:
        while messages := stack.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=MAX_BATCH, WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                yield queue_url.rpartition("/")[2], message["Body"]


def _functions(stack: EmbeddedStack) -> Iterator[tuple[str, str]]:
    for function in stack.lambda_.list_functions()["Functions"]:
        yield function["FunctionName"], json.dumps(function, default=str)


def _timers(stack: EmbeddedStack) -> Iterator[tuple[str, str]]:
    """What they will send, too."""
    for page in stack.scheduler.get_paginator("list_schedules").paginate():
        for timer in page["Schedules"]:
            kept = stack.scheduler.get_schedule(Name=timer["Name"], GroupName=timer["GroupName"])
            yield timer["Name"], json.dumps(kept, default=str)
