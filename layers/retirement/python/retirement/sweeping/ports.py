"""What a sweep needs of the world."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from retirement.canonical import Document
from retirement.clock import Clock
from retirement.databrain.ports import Counter, DatamartLists, EmbedMapSource
from retirement.delivery.ports import EventBus
from retirement.record.ports import Evidence
from retirement.sweeping.policy import PolicyFile


class SweepPolicySource(Protocol):
    """The policy that the owner keeps."""

    def read(self) -> PolicyFile:
        """Read the file as it is now, whatever it holds.

        Raises:
            ConfigurationError: it is missing, too large, or not for this role.
            AwsCallFailed: it could not be read.
        """


class ReportsTopic(Protocol):
    """Where the reports of sweeps are published."""

    def publish(self, report: Document) -> None:
        """Publish.

        Raises:
            AwsCallFailed: it was not taken.
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
    databrain: DatamartLists
    embed_map: EmbedMapSource
    evidence: Evidence
    event_bus: EventBus
    reports_topic: ReportsTopic
    telemetry: SweepTelemetry
    clock: Clock
