"""What the embedded stack's queue of results brings."""

import pytest

from local.stack import EmbeddedStack, PublishedResult

pytestmark = pytest.mark.xdist_group("ministack")


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", "null", "[" * 100_000], ids=lambda body: body[:10])
def test_what_did_not_come_by_the_topic(aws: EmbeddedStack, body: str) -> None:
    """What somebody puts into the queue past the topic is shown as it is."""
    url = aws.sqs.create_queue(QueueName="results")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    assert list(aws.results(wait_seconds=5)) == [PublishedResult(body, None, {})]
