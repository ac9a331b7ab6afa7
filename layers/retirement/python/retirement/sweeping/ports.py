"""What a sweep needs of the world."""

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
    """The policy that the owner keeps."""

    def read(self) -> OwnersFile:
        """Read the file as it is now, whatever it holds.

        Raises:
            ConfigurationError: it is missing, too large, or not for this role.
            AwsCallFailed: it could not be read.
        """


class SweepTelemetry(Counter, Protocol):
    """What an operator sees of a sweep."""

    def sweep(self) -> AbstractContextManager[None]:
        """Measure one sweep, whatever its end, and report the error that it ends in."""

    def step(self, step: str, **fields: object) -> None:
        """Log one line."""

    def swept(self, report: Document) -> None:
        """The sweep has its report."""


@dataclass(frozen=True, slots=True)
class SweepPorts:
    """Everything that a sweep talks to, wired for one invocation."""

    policy: SweepPolicySource
    databrain: DatabrainLists
    embed_map: EmbedMapSource
    datamart_lists: DatamartListsSource
    evidence: Evidence
    event_bus: EventBus
    reports_topic: ResultsTopic
    telemetry: SweepTelemetry
    clock: Clock
