"""The port `Coordination`: one suite for the fake and for DynamoDB."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.stack import EmbeddedStack
from retirement.aws.coordination import RETENTION, CoordinationTable
from retirement.errors import AwsCallFailed
from retirement.outcomes import Reason
from retirement.requests import EmbedsPolicy, Request, RestoreRequest
from retirement.restoring.ports import Coordination as RestoreCoordination
from retirement.retiring.ports import Coordination
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.contract.permits import request_for
from tests.fakes import FakeCoordination

pytestmark = pytest.mark.xdist_group("ministack")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=1)
DAYS = count(0, 3)


@pytest.fixture
def coordination_table(aws: EmbeddedStack, table: str) -> CoordinationTable:
    """The adapter."""
    return CoordinationTable(aws.dynamodb, table)


@pytest.fixture(params=["fake", "dynamodb"])
def coordination(request: pytest.FixtureRequest) -> Coordination:
    """The fake and the adapter, in turn."""
    if request.param == "fake":
        return FakeCoordination()
    adapter: CoordinationTable = request.getfixturevalue("coordination_table")
    return adapter


@pytest.fixture
def name() -> str:
    """A datamart that no other test has."""
    return f"datamart-{uuid4()}"


@pytest.fixture
def request_named(name: str) -> Request:
    """A retirement of that datamart."""
    return request_for(name)


@pytest.fixture
def day() -> datetime:
    """Noon of a day that no other test counts on."""
    return NOW + timedelta(days=next(DAYS))


class TransactWriteItemsCollision:
    """Two answers of a table on which another transaction is under way, then its own."""

    def __init__(self, real: Callable[..., object]) -> None:
        self._real = real
        self.sent = 0

    def __call__(self, **transaction: object) -> object:
        """Answer."""
        self.sent += 1
        if self.sent > 2:
            return self._real(**transaction)
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(error, "TransactWriteItems")


class TestLock:
    """One holder at a time, for some time."""

    def test_a_free_lock_is_taken(self, coordination: Coordination, name: str) -> None:
        """Whoever comes first has the lock, and nobody else, whenever they ask."""
        assert coordination.acquire(name, "first", NOW, NOW + MINUTE)
        assert not coordination.acquire(name, "second", NOW, NOW + MINUTE)
        assert not coordination.acquire(name, "second", NOW + MINUTE / 2, NOW + MINUTE)

    def test_its_holder_has_it_still(self, coordination: Coordination, name: str) -> None:
        """Taking a lock again is no failure, since the SDK repeats a call whose answer was lost; its end moves."""
        assert coordination.acquire(name, "first", NOW, NOW + MINUTE)
        assert coordination.acquire(name, "first", NOW, NOW + 2 * MINUTE)
        assert not coordination.acquire(name, "second", NOW + 2 * MINUTE, NOW + 3 * MINUTE)

    def test_an_expired_lock_is_free(self, coordination: Coordination, name: str) -> None:
        """A lock is held up to its end, that moment included, and not beyond."""
        assert coordination.acquire(name, "first", NOW, NOW + MINUTE)
        assert not coordination.acquire(name, "second", NOW + MINUTE, NOW + 2 * MINUTE)
        assert coordination.acquire(name, "second", NOW + MINUTE + MOMENT, NOW + 2 * MINUTE)
        assert not coordination.acquire(name, "third", NOW + MINUTE + MOMENT, NOW + 2 * MINUTE)

    def test_a_released_lock_is_free(self, coordination: Coordination, name: str) -> None:
        """A lock can be taken as soon as its holder has given it back."""
        coordination.acquire(name, "first", NOW, NOW + MINUTE)
        coordination.release(name, "first")
        assert coordination.acquire(name, "second", NOW, NOW + MINUTE)

    def test_a_lock_of_another(self, coordination: Coordination, name: str) -> None:
        """Only its holder releases a lock."""
        coordination.acquire(name, "first", NOW, NOW + MINUTE)
        coordination.release(name, "second")
        assert not coordination.acquire(name, "third", NOW, NOW + MINUTE)

    def test_a_late_release(self, coordination: Coordination, name: str) -> None:
        """A holder whose lock has expired does not release that of the next one."""
        coordination.acquire(name, "first", NOW, NOW + MINUTE)
        later = NOW + 2 * MINUTE
        assert coordination.acquire(name, "second", later, later + MINUTE)
        coordination.release(name, "first")
        assert not coordination.acquire(name, "third", later, later + MINUTE)

    def test_nothing_to_release(self, coordination: Coordination, name: str) -> None:
        """Releasing a lock that nobody holds is no error."""
        coordination.release(name, "first")
        assert coordination.acquire(name, "first", NOW, NOW + MINUTE)

    def test_hostile_names(self, coordination: Coordination) -> None:
        """Every name has a lock of its own."""
        holder = uuid4().hex
        later = NOW + timedelta(days=NOW.toordinal())
        assert all(coordination.acquire(name, holder, later, later + MINUTE) for name in HOSTILE_NAMES)
        assert not any(coordination.acquire(name, "other", later, later + MINUTE) for name in HOSTILE_NAMES)
        for name in HOSTILE_NAMES:
            coordination.release(name, holder)
            assert coordination.acquire(name, holder, later, later + MINUTE)
            coordination.release(name, holder)


class TestLastFailure:
    """Why a retirement's last attempt failed."""

    def test_nothing_is_known_at_first(self, coordination: Coordination, request_named: Request) -> None:
        """A retirement that has not failed has no reason."""
        assert coordination.last_failure(request_named) is None

    @pytest.mark.parametrize("reason", list(Reason))
    def test_every_reason_is_kept(self, coordination: Coordination, request_named: Request, reason: Reason) -> None:
        """A recorded reason is read as the reason that it is."""
        coordination.record_failure(request_named, reason, NOW)
        assert coordination.last_failure(request_named) is reason

    def test_the_last_one_counts(self, coordination: Coordination, request_named: Request) -> None:
        """A later failure takes the place of an earlier one."""
        coordination.record_failure(request_named, Reason.BACKUP_FAILED, NOW)
        coordination.record_failure(request_named, Reason.DATABRAIN_UNAVAILABLE, NOW)
        assert coordination.last_failure(request_named) is Reason.DATABRAIN_UNAVAILABLE
        coordination.record_failure(request_named, Reason.UNCONFIRMED, NOW)
        assert coordination.last_failure(request_named) is Reason.UNCONFIRMED

    def test_a_doubt_stays(self, coordination: Coordination, request_named: Request) -> None:
        """No later failure hides that a delete may have been sent."""
        coordination.record_failure(request_named, Reason.UNCONFIRMED, NOW)
        coordination.record_failure(request_named, Reason.DATABRAIN_UNAVAILABLE, NOW)
        coordination.record_failure(request_named, Reason.INTERNAL_ERROR, NOW + MINUTE)
        assert coordination.last_failure(request_named) is Reason.UNCONFIRMED

    def test_a_doubt_is_settled_for_a_reason(self, coordination: Coordination, request_named: Request) -> None:
        """Once it is known that no delete took effect, the reason is why, and later ones count again."""
        coordination.record_failure(request_named, Reason.UNCONFIRMED, NOW)
        coordination.record_no_effect(request_named, Reason.DATABRAIN_UNAUTHORIZED, NOW)
        assert coordination.last_failure(request_named) is Reason.DATABRAIN_UNAUTHORIZED
        coordination.record_failure(request_named, Reason.INTERNAL_ERROR, NOW)
        assert coordination.last_failure(request_named) is Reason.INTERNAL_ERROR

    def test_a_doubt_where_nothing_is_kept(self, coordination: Coordination, request_named: Request) -> None:
        """After an intent a failure is in doubt where nothing is kept, and takes the place of any other reason."""
        coordination.record_failure(request_named, Reason.DATABRAIN_UNAVAILABLE, NOW, after_intent=True)
        assert coordination.last_failure(request_named) is Reason.UNCONFIRMED
        coordination.record_failure(request_named, Reason.DATABRAIN_UNAVAILABLE, NOW, after_intent=True)
        assert coordination.last_failure(request_named) is Reason.UNCONFIRMED
        coordination.record_no_effect(request_named, Reason.BACKUP_FAILED, NOW)
        coordination.record_failure(request_named, Reason.DATABRAIN_UNAVAILABLE, NOW, after_intent=True)
        assert coordination.last_failure(request_named) is Reason.DATABRAIN_UNAVAILABLE

    def test_each_retirement_has_its_own(self, coordination: Coordination, name: str) -> None:
        """A reason is known of one datamart and one retirement id together."""
        coordination.record_failure(request_for(name, "offboard"), Reason.UNCONFIRMED, NOW)
        assert coordination.last_failure(request_for(f"{name}.", "offboard")) is None
        assert coordination.last_failure(request_for(name, "offboard.")) is None
        coordination.record_no_effect(request_for(name, "offboard."), Reason.INTERNAL_ERROR, NOW)
        assert coordination.last_failure(request_for(name, "offboard")) is Reason.UNCONFIRMED

    def test_a_lock_is_something_else(self, coordination: Coordination, request_named: Request) -> None:
        """Neither locks nor failures disturb the other."""
        name = request_named.datamart_name
        coordination.acquire(name, "first", NOW, NOW + MINUTE)
        coordination.record_failure(request_named, Reason.UNCONFIRMED, NOW)
        coordination.release(name, "first")
        assert coordination.last_failure(request_named) is Reason.UNCONFIRMED
        coordination.record_no_effect(request_named, Reason.INTERNAL_ERROR, NOW)
        assert coordination.acquire(name, "second", NOW, NOW + MINUTE)

    def test_hostile_names(self, coordination: Coordination) -> None:
        """Every name has a reason of its own, also under the longest retirement id."""
        retirement_id = uuid4().hex * 4
        reasons = {name: list(Reason)[number % len(Reason)] for number, name in enumerate(HOSTILE_NAMES)}
        for name, reason in reasons.items():
            coordination.record_failure(request_for(name, retirement_id), reason, NOW)
        told = {name: coordination.last_failure(request_for(name, retirement_id)) for name in HOSTILE_NAMES}
        assert told == reasons


class TestRestores:
    """What is remembered of a restore: a port of its own, with the same table behind it."""

    @pytest.fixture
    def restoring(self, coordination: Coordination) -> RestoreCoordination:
        """The same subject as a restore sees it."""
        subject: FakeCoordination | CoordinationTable = coordination  # type: ignore[assignment]  # it is one of them
        return subject

    def test_a_failure(self, restoring: RestoreCoordination, name: str) -> None:
        """A restore has a reason of its own, with a doubt that stays until it is settled."""
        request = restore_of(name)
        assert restoring.last_failure(request) is None
        restoring.record_failure(request, Reason.DATABRAIN_UNAVAILABLE, NOW)
        assert restoring.last_failure(request) is Reason.DATABRAIN_UNAVAILABLE
        restoring.record_failure(request, Reason.UNCONFIRMED, NOW)
        restoring.record_failure(request, Reason.INTERNAL_ERROR, NOW, after_intent=True)
        assert restoring.last_failure(request) is Reason.UNCONFIRMED
        restoring.record_no_effect(request, Reason.INTERNAL_ERROR, NOW)
        assert restoring.last_failure(request) is Reason.INTERNAL_ERROR

    def test_whose_it_is(self, coordination: Coordination, restoring: RestoreCoordination, name: str) -> None:
        """Neither another restore nor the retirement has that reason."""
        restoring.record_failure(restore_of(name), Reason.UNCONFIRMED, NOW)
        restoring.record_created(restore_of(name), "1" * 64, NOW)
        others = (
            restore_of(name, restore_id="back-2"),
            restore_of(name, retirement_id="retirement-2"),
            restore_of(f"{name}."),
        )
        assert [restoring.last_failure(other) for other in others] == [None] * 3
        assert [restoring.created(other) for other in others] == [None] * 3
        assert coordination.last_failure(request_for(name)) is None
        assert coordination.last_failure(request_for(f"retirement-1#{name}", "back-1")) is None

    def test_created(self, restoring: RestoreCoordination, name: str) -> None:
        """The last hash of what was created is recorded."""
        assert restoring.created(restore_of(name)) is None
        restoring.record_created(restore_of(name), "", NOW)  # not listed yet
        assert restoring.created(restore_of(name)) == ""
        restoring.record_created(restore_of(name), "2" * 64, NOW + MINUTE)
        assert restoring.created(restore_of(name)) == "2" * 64
        assert restoring.last_failure(restore_of(name)) is None


def restore_of(name: str, retirement_id: str = "retirement-1", restore_id: str = "back-1") -> RestoreRequest:
    """A valid request to restore a datamart."""
    return RestoreRequest(
        datamart_name=name,
        retirement_id=retirement_id,
        restore_id=restore_id,
        environment="test",
        requested_by="the contract tests",
        reason="to see what happens",
        restored_as=name,
        embeds=EmbedsPolicy.RESTORE,
        dry_run=False,
        requested_at=NOW,
        content_hash="0" * 64,
        detail={},
    )


class TestCount:
    """How many retirements a day may have."""

    def test_nothing_is_counted_at_first(self, coordination: Coordination, day: datetime) -> None:
        """A day begins at 0, and reading does not count."""
        assert [coordination.used_today(day), coordination.used_today(day)] == [0, 0]

    def test_up_to_the_limit(self, coordination: Coordination, name: str, day: datetime) -> None:
        """As many are counted as are allowed, and no more however often they ask."""
        asked = [coordination.reserve(request_for(name, f"{number}"), 3, day) for number in range(5)]
        assert asked == [True, True, True, False, False]
        assert not coordination.reserve(request_for(name, "4"), 3, day + MINUTE)
        assert coordination.used_today(day) == 3
        counted = [coordination.is_counted(request_for(name, f"{number}"), day) for number in range(5)]
        assert counted == asked

    def test_none(self, coordination: Coordination, request_named: Request, day: datetime) -> None:
        """A limit of 0 lets none through."""
        assert not coordination.reserve(request_named, 0, day)
        assert coordination.used_today(day) == 0

    def test_another_limit(self, coordination: Coordination, name: str, day: datetime) -> None:
        """The limit of now counts: raised there is room again, lowered there is none."""
        assert coordination.reserve(request_for(name, "1"), 1, day)
        assert not coordination.reserve(request_for(name, "2"), 1, day)
        assert coordination.reserve(request_for(name, "2"), 2, day)
        assert not coordination.reserve(request_for(name, "3"), 1, day)
        assert coordination.used_today(day) == 2

    def test_a_retry(self, coordination: Coordination, name: str, day: datetime) -> None:
        """A retirement takes one place, also where the day is full by now."""
        assert [coordination.reserve(request_for(name, "1"), 2, day) for _ in range(3)] == [True] * 3
        assert coordination.used_today(day) == 1
        assert coordination.reserve(request_for(name, "2"), 2, day)
        assert coordination.reserve(request_for(name, "1"), 2, day)
        assert coordination.used_today(day) == 2

    def test_a_retry_on_another_day(self, coordination: Coordination, name: str, day: datetime) -> None:
        """A retirement that was counted yesterday takes a place of today as well, if there is one."""
        tomorrow = day + timedelta(days=1)
        assert coordination.reserve(request_for(name, "1"), 1, day)
        assert coordination.reserve(request_for(name, "2"), 1, tomorrow)
        assert not coordination.is_counted(request_for(name, "1"), tomorrow)
        assert not coordination.reserve(request_for(name, "1"), 1, tomorrow)
        assert coordination.reserve(request_for(name, "1"), 2, tomorrow)
        assert (coordination.used_today(day), coordination.used_today(tomorrow)) == (1, 2)

    def test_every_day_has_its_own(self, coordination: Coordination, name: str, day: datetime) -> None:
        """A day ends at midnight, UTC."""
        midnight = (day + timedelta(days=1)).replace(hour=0)
        assert coordination.reserve(request_for(name, "1"), 1, midnight - MOMENT)
        assert not coordination.reserve(request_for(name, "2"), 1, midnight - MOMENT)
        assert coordination.reserve(request_for(name, "2"), 1, midnight)
        assert coordination.used_today(midnight - MOMENT) == coordination.used_today(midnight) == 1

    def test_each_retirement_counts(self, coordination: Coordination, name: str, day: datetime) -> None:
        """It is datamart and retirement id together that are counted once."""
        requests = [request_for(name, "1"), request_for(f"{name}.", "1"), request_for(name, "1.")]
        assert [coordination.reserve(request, 3, day) for request in requests] == [True] * 3
        assert coordination.used_today(day) == 3

    def test_hostile_names(self, coordination: Coordination, day: datetime) -> None:
        """Every name is counted on its own, also under the longest retirement id."""
        retirement_id = uuid4().hex * 4
        for name in HOSTILE_NAMES:
            assert coordination.reserve(request_for(name, retirement_id), 10_000, day)
        assert coordination.used_today(day) == len(HOSTILE_NAMES)


class TestCoordinationTable:
    """What DynamoDB alone can show."""

    def test_one_of_eight_has_the_lock(self, coordination_table: CoordinationTable, name: str) -> None:
        """Of several at once, one takes the lock."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            taken = list(pool.map(lambda n: coordination_table.acquire(name, f"{n}", NOW, NOW + MINUTE), range(8)))
        assert taken.count(True) == 1

    def test_five_of_twenty_are_counted(self, coordination_table: CoordinationTable, name: str, day: datetime) -> None:
        """Of twenty at once, exactly as many are counted as are allowed."""

        def reserve(number: int) -> bool:
            return coordination_table.reserve(request_for(name, f"{number}"), 5, day)

        with ThreadPoolExecutor(max_workers=20) as pool:
            reserved = list(pool.map(reserve, range(20)))
        assert reserved.count(True) == 5
        assert coordination_table.used_today(day) == 5
        assert [reserve(number) for number in range(20)] == reserved

    def test_one_of_itself_is_counted(
        self, coordination_table: CoordinationTable, request_named: Request, day: datetime
    ) -> None:
        """A retirement that is delivered twenty times at once takes one place, and every delivery may go on."""
        with ThreadPoolExecutor(max_workers=20) as pool:
            reserved = list(pool.map(lambda _: coordination_table.reserve(request_named, 1, day), range(20)))
        assert reserved == [True] * 20
        assert coordination_table.used_today(day) == 1

    def test_a_collision(
        self,
        aws: EmbeddedStack,
        coordination_table: CoordinationTable,
        request_named: Request,
        day: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A transaction that collides with another, which this emulator's never do, is sent again."""
        collision = TransactWriteItemsCollision(aws.dynamodb.transact_write_items)
        monkeypatch.setattr(aws.dynamodb, "transact_write_items", collision)
        assert coordination_table.reserve(request_named, 1, day)
        assert collision.sent == 3
        assert coordination_table.used_today(day) == 1

    def test_everything_expires(
        self,
        coordination_table: CoordinationTable,
        aws: EmbeddedStack,
        table: str,
        request_named: Request,
        day: datetime,
    ) -> None:
        """Items carry a time to live in seconds: a lock's end, and for others longer than queues keep a message."""
        name = request_named.datamart_name
        coordination_table.acquire(name, "first", NOW, NOW + MINUTE)
        coordination_table.record_failure(request_named, Reason.UNCONFIRMED, NOW)
        coordination_table.reserve(request_named, 1, day)
        retirement = f"{request_named.retirement_id}#{name}"
        expiry = {
            pk: aws.dynamodb.get_item(TableName=table, Key={"pk": {"S": pk}})["Item"]["expiresAt"]["N"]
            for pk in (
                f"lock#{name}",
                f"failure#{retirement}",
                f"counted#{day.date()}#{retirement}",
                f"day#{day.date()}",
            )
        }
        lock_ends, *others = (datetime.fromtimestamp(int(seconds), UTC) for seconds in expiry.values())
        assert NOW + MINUTE < lock_ends <= NOW + 2 * MINUTE
        assert others == [NOW + RETENTION, day + RETENTION, day + RETENTION]

    @pytest.mark.parametrize(
        "call",
        [
            lambda table, request: table.acquire(request.datamart_name, "first", NOW, NOW + MINUTE),
            lambda table, request: table.release(request.datamart_name, "first"),
            lambda table, _: table.used_today(NOW),
            lambda table, request: table.reserve(request, 1, NOW),
            lambda table, request: table.last_failure(request),
            lambda table, request: table.record_failure(request, Reason.UNCONFIRMED, NOW),
            lambda table, request: table.record_no_effect(request, Reason.BACKUP_FAILED, NOW),
        ],
        ids=[
            "acquire",
            "release",
            "used_today",
            "reserve",
            "last_failure",
            "record_failure",
            "record_no_effect",
        ],
    )
    def test_no_table(
        self, aws: EmbeddedStack, request_named: Request, call: Callable[[CoordinationTable, Request], object]
    ) -> None:
        """A failing call is an error, and never a free lock, a place in the count or an unknown reason."""
        nowhere = CoordinationTable(aws.dynamodb, f"nowhere-{uuid4()}")
        with pytest.raises(AwsCallFailed, match=r"DynamoDB .*ResourceNotFoundException"):
            call(nowhere, request_named)
