"""The timers, on EventBridge Scheduler."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retirement.canonical import canonical_json, sha256_hex
from retirement.errors import AwsCallFailed
from retirement.requests import Command
from retirement.scheduling.ports import Timer

if TYPE_CHECKING:
    from mypy_boto3_scheduler.client import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import CreateScheduleInputTypeDef

# Delivery is tried for a day, the most there is (EventBridge Scheduler API reference, RetryPolicy).
_RETRIES = 185
_RETRY_SECONDS = 86_400
# Bytes of UTF-8 (EventBridge Scheduler user guide, "Quotas": 256 KB, whatever is meant by that).
_MAX_INPUT_BYTES = 256_000


@dataclass(frozen=True, slots=True)
class Targets:
    """Where timers send to, and as whom: ARNs."""

    queues: Mapping[Timer, str]
    failures: str
    role: str


class SchedulerTimers:
    """One-time schedules in a group of this stack's, which are deleted after they went off.

    They are set to whole minutes: one that is set to 1:00 goes off between 1:00:00 and 1:00:59 (EventBridge Scheduler
    user guide, "Schedule types"), and nothing is said of one that is set to 1:00:30.
    """

    def __init__(self, scheduler: "EventBridgeSchedulerClient", group: str, targets: Targets) -> None:
        self._scheduler = scheduler
        self._group = group
        self._targets = targets

    def can_send(self, body: str) -> bool:
        """Whether a body is small enough for a timer."""
        return len(_input(body).encode()) <= _MAX_INPUT_BYTES

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        """Set or move it.

        Raises:
            AwsCallFailed: it may have been set or not.
        """
        schedule: CreateScheduleInputTypeDef = {
            "Name": _name(timer, command),
            "GroupName": self._group,
            "ScheduleExpression": f"at({_whole_minute(at):%Y-%m-%dT%H:%M:%S})",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": self._targets.queues[timer],
                "RoleArn": self._targets.role,
                "Input": _input(body),
                "RetryPolicy": {"MaximumRetryAttempts": _RETRIES, "MaximumEventAgeInSeconds": _RETRY_SECONDS},
                "DeadLetterConfig": {"Arn": self._targets.failures},
            },
        }
        try:
            try:
                self._scheduler.update_schedule(**schedule)
            except self._scheduler.exceptions.ResourceNotFoundException:
                self._scheduler.create_schedule(**schedule)
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"EventBridge Scheduler could not set a timer: {error}") from error

    def clear(self, timer: Timer, command: Command) -> None:
        """Take it away, if it is there.

        Raises:
            AwsCallFailed: it may be there or not.
        """
        try:
            self._scheduler.delete_schedule(Name=_name(timer, command), GroupName=self._group)
        except self._scheduler.exceptions.ResourceNotFoundException:
            pass  # it went off, or there was none
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"EventBridge Scheduler could not clear a timer: {error}") from error


def _input(body: str) -> str:
    """`<aws.scheduler...>` would be filled in (user guide, "Adding context attributes"); JSON reads this alike."""
    return body.replace("<", "\\u003c")


def _name(timer: Timer, command: Command) -> str:
    """One for each retirement: at most 64 letters, digits and `-_.` (API reference, CreateSchedule)."""
    identity = canonical_json([command.datamart_name, command.retirement_id])
    return f"{timer.value}-{sha256_hex(identity)[:40]}"


def _whole_minute(moment: datetime) -> datetime:
    """UTC, never earlier."""
    whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)
