"""Timers on EventBridge Scheduler."""

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

# Delivery is retried for a day, which is the maximum (EventBridge Scheduler API reference, RetryPolicy).
_RETRIES = 185
_RETRY_SECONDS = 86_400
# Bytes of UTF-8. The user guide ("Quotas") says 256 KB, and not whether that is 256,000 or 262,144 bytes.
_MAX_INPUT_BYTES = 256_000


@dataclass(frozen=True, slots=True)
class Targets:
    """The ARNs of the queues that timers send to, of the dead-letter queue, and of their role."""

    queues: Mapping[Timer, str]
    failures: str
    role: str


class SchedulerTimers:
    """One-time schedules in the stack's group, which are deleted after they went off.

    They are set to whole minutes: a schedule for 1:00 goes off between 1:00:00 and 1:00:59 (EventBridge Scheduler user
    guide, "Schedule types"), but the guide does not say when one for 1:00:30 does.
    """

    def __init__(self, scheduler: "EventBridgeSchedulerClient", group: str, targets: Targets) -> None:
        self._scheduler = scheduler
        self._group = group
        self._targets = targets

    def can_send(self, body: str) -> bool:
        """Return whether a body has at most `_MAX_INPUT_BYTES`, with escapes."""
        return len(_input(body).encode()) <= _MAX_INPUT_BYTES

    def set(self, timer: Timer, command: Command, at: datetime, body: str) -> None:
        """Update the schedule, or create it if it does not exist."""
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
        """Delete the schedule, if it exists."""
        try:
            self._scheduler.delete_schedule(Name=_name(timer, command), GroupName=self._group)
        except self._scheduler.exceptions.ResourceNotFoundException:
            pass  # it has gone off, or was never set
        except (ClientError, BotoCoreError) as error:
            raise AwsCallFailed(f"EventBridge Scheduler could not clear a timer: {error}") from error


def _input(body: str) -> str:
    """Escape `<` in JSON, because `<aws.scheduler...>` would be replaced (user guide, "Adding context attributes")."""
    return body.replace("<", "\\u003c")


def _name(timer: Timer, command: Command) -> str:
    """Return a name for each timer of a retirement: at most 64 letters, digits and `-_.` (API reference)."""
    identity = canonical_json([command.datamart_name, command.retirement_id])
    return f"{timer.value}-{sha256_hex(identity)[:40]}"


def _whole_minute(moment: datetime) -> datetime:
    """Return the next whole minute in UTC, or the time itself if it is one."""
    whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)
