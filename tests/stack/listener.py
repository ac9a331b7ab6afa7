"""Somebody who hears what one of the functions puts on the bus."""

import json
import time
from collections.abc import Iterator

from local.stack import EmbeddedStack
from tests.stack.scene import DEADLINE, JsonObject


class Listener:
    """Hears the events of one source, by a rule and a queue of the tests' own."""

    def __init__(self, stack: EmbeddedStack, source: str) -> None:
        name = f"heard-of-{source.rpartition('.')[2]}"
        self._sqs = stack.sqs
        self._queue_url = stack.sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = stack.sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])
        arn = queue["Attributes"]["QueueArn"]
        bus = stack.outputs["EventBusName"]
        pattern = json.dumps({"source": [source]})
        rule = stack.events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule["RuleArn"]}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        stack.sqs.set_queue_attributes(QueueUrl=self._queue_url, Attributes={"Policy": policy})
        stack.events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    def forget(self) -> None:
        """Forget what was heard."""
        self._sqs.purge_queue(QueueUrl=self._queue_url)

    def heard(self) -> list[JsonObject]:
        """Every event since then, in the order in which they came; MiniStack delivers before it answers PutEvents."""
        return list(self._received())

    def take(self, count: int) -> list[JsonObject]:
        """The next events, as many as that; by the datamart's name."""
        taken: list[JsonObject] = []
        deadline = time.monotonic() + DEADLINE
        while len(taken) < count:
            assert time.monotonic() < deadline, f"{count} events were expected, and {len(taken)} came"
            taken += self._received(wait_seconds=1)
        assert self.is_silent()
        return sorted(taken, key=lambda event: str(event["detail"]["datamartName"]))

    def is_silent(self) -> bool:
        """Whether nothing is there to be heard."""
        return "Messages" not in self._sqs.receive_message(QueueUrl=self._queue_url)

    def _received(self, wait_seconds: int = 0) -> Iterator[JsonObject]:
        while messages := self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds
        ).get("Messages"):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(message["Body"])
            wait_seconds = 0
