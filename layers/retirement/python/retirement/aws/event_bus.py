"""The event bus on EventBridge: where requests and cancellations go that a function makes."""

from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import Document, ordered_json
from retirement.errors import AwsCallFailed
from retirement.timestamps import second_before

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef


class EventBridgeBus:
    """Puts one event at a time: each is taken or not by itself."""

    def __init__(self, events: "EventBridgeClient", name: str) -> None:
        self._events = events
        self._name = name

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put an event on the bus and return its id; without a time of its own it is of now.

        The bus keeps whole seconds, so a time with a fraction becomes the second before: nobody asked later than that.
        EventBridge answers 200 for an event that it did not take, too (API reference, PutEvents: FailedEntryCount).

        Raises:
            AwsCallFailed: the bus did not take it, or it is not known.
        """
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self._name,
            "Source": source,
            "DetailType": detail_type,
            "Detail": ordered_json(detail),
        }
        if time is not None:
            entry["Time"] = second_before(time)
        try:
            answer = self._events.put_events(Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"EventBridge PutEvents on {self._name} failed: {error}") from error
        (result,) = answer["Entries"]
        if answer["FailedEntryCount"]:
            raise AwsCallFailed(
                f"EventBridge PutEvents on {self._name} failed: {result.get('ErrorCode')}: {result.get('ErrorMessage')}"
            )
        return result["EventId"]
