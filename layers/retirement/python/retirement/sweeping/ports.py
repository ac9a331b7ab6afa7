"""The ports of a sweep."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from retirement.canonical import Document
from retirement.clock import Clock
from retirement.databrain.ports import Counter, DatabrainLists, DatamartListsSource, EmbedMapSource
from retirement.delivery.ports import EventBus, ResultsTopic
from retirement.record.ports import Evidence
from retirement.stored_object import OwnersFile


class SweepPolicySource(Protocol):
    """The policy that the owner maintains."""

    def read(self) -> OwnersFile:
        """Read the file as it is now, without validating it.

        Raises:
            ConfigurationError: it is missing or too large, or the role may not read it.
            AwsCallFailed: it could not be read.
        """


class SweepTelemetry(Counter, Protocol):
    """Logs and metrics of a sweep."""

    def sweep(self) -> AbstractContextManager[None]:
        """Measure one sweep, and report the error that it ends in, if any."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def swept(self, report: Document) -> None:
        """Log a published report, and count what the sweep did."""


@dataclass(frozen=True, slots=True)
class SweepPorts:
    """The ports of one invocation."""

    policy: SweepPolicySource
    databrain: DatabrainLists
    embed_map: EmbedMapSource
    datamart_lists: DatamartListsSource
    evidence: Evidence
    event_bus: EventBus
    reports_topic: ResultsTopic
    telemetry: SweepTelemetry
    clock: Clock
