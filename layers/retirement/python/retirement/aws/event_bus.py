"""The event bus on EventBridge, for the requests and cancellations that functions send."""

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
    """Puts one event at a time, because EventBridge accepts or refuses each by itself."""

    def __init__(self, events: "EventBridgeClient", name: str) -> None:
        self._events = events
        self._name = name

    def put(self, *, source: str, detail_type: str, detail: Document, time: datetime | None = None) -> str:
        """Put an event on the bus, with its time cut to whole seconds, since the bus stores no fraction.

        A time with a fraction becomes the second before, so that the event does not seem to be sent later than it was.
        EventBridge also answers 200 if it refuses an event (API reference, PutEvents: FailedEntryCount).
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
