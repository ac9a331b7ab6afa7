"""Only what the emulator does not do on demand; the rest is the contract suite's."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from retirement.aws.event_bus import EventBridgeBus
from retirement.errors import AwsCallFailed
from tests.fakes import START

EVENT: dict[str, Any] = {
    "source": "datamart-retirement.test",
    "detail_type": "Datamart Retirement Requested",
    "detail": {"datamartName": "é \ud800"},
}
ENTRY = {
    "EventBusName": "lifecycle",
    "Source": "datamart-retirement.test",
    "DetailType": "Datamart Retirement Requested",
    "Detail": '{"datamartName":"é \ufffd"}',
}


@pytest.fixture(scope="module")
def events() -> Any:  # noqa: ANN401  # a client
    """A client that has no account."""
    return boto3.client("events", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.fixture
def stub(events: Any) -> Iterator[Stubber]:  # noqa: ANN401  # a client
    """Answers in order; all of them are asked for."""
    with Stubber(events) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def bus(events: Any) -> EventBridgeBus:  # noqa: ANN401  # a client
    """The adapter."""
    return EventBridgeBus(events, "lifecycle")


@pytest.mark.parametrize(("time", "sent"), [(None, {}), (START, {"Time": START})])
def test_put(stub: Stubber, bus: EventBridgeBus, time: datetime | None, sent: dict[str, datetime]) -> None:
    """One entry goes to the named bus, with the event's own time if it has one; its id comes back."""
    answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}
    stub.add_response("put_events", answer, {"Entries": [ENTRY | sent]})

    assert bus.put(**EVENT, time=time) == "e-1"


def test_not_taken(stub: Stubber, bus: EventBridgeBus) -> None:
    """A 200 that says that the event was not taken is an error."""
    entry = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Too many"}
    stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [entry]})

    with pytest.raises(AwsCallFailed, match="PutEvents on lifecycle failed: ThrottlingException: Too many"):
        bus.put(**EVENT)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalException", ""])
def test_refused(stub: Stubber, bus: EventBridgeBus, code: str) -> None:
    """A call that is refused is an error that names the bus."""
    stub.add_client_error("put_events", code)

    with pytest.raises(AwsCallFailed, match="EventBridge PutEvents on lifecycle failed"):
        bus.put(**EVENT)


def test_no_connection(bus: EventBridgeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that reaches nobody is an error."""

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://events")

    monkeypatch.setattr(bus._events, "put_events", fail)  # noqa: SLF001  # a Stubber raises no such error

    with pytest.raises(AwsCallFailed):
        bus.put(**EVENT)
