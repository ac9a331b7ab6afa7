"""The plays of the search: what people, hosts, queues and faults do in one of them, derived from a seed alone.

A play is a list of steps, each of which can be told in words and left out. A step happens at a time, or right before a
call of a delivery: so whoever acts can act between any two calls.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import count
from random import Random
from typing import Any, TypeAlias

from local.databrain.faults import RouteId
from retirement.retiring.settings import Mode, UndeterminedEmbeds
from tests.fakes import START
from tests.faults.wire import FAULTS_OF_RESTORES, FAULTS_OF_RETIREMENTS, TRANSIENT, Fault, Reach

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

# Seconds after the start, which is noon UTC.
MIDNIGHT = DAY / 2


class Function(StrEnum):
    """Which of them gets a message."""

    RETIRE = "retire"
    SCHEDULE = "schedule"
    RESTORE = "restore"


@dataclass(frozen=True)
class At:
    """So many seconds after the start, by true time."""

    seconds: float

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, MINUTE)
        return f"{START + timedelta(minutes=minutes):%d %H:%M}:{seconds:06.3f}"


@dataclass(frozen=True)
class AtCall:
    """Right before a call of a delivery: the call of this number (from 1), or the first of this name."""

    event: str
    function: Function
    delivery: int  # of this event to this function, from 1
    call: int | str

    def __str__(self) -> str:
        return f"call {self.call} of delivery {self.delivery} of {self.event} to {self.function}"


@dataclass(frozen=True)
class Send:
    """Somebody puts an event on the bus.

    `ahead` is by how many seconds the event's time is ahead of its being sent; None leaves it to EventBridge, which
    gives whole seconds. `delay` is how long it is on its way. `retire_in` is the date, in seconds from the start.
    """

    event: str
    detail: Mapping[str, Any]
    is_cancellation: bool = False
    is_restore: bool = False
    retire_in: float | None = None
    ahead: float | None = None
    delay: float = 0.0
    plan_of: bool = False  # names the plan that was kept last

    def __str__(self) -> str:
        what = "cancellation" if self.is_cancellation else "restore" if self.is_restore else "request"
        date = "" if self.retire_in is None else f" for {At(self.retire_in)}"
        plan = " with the plan that was kept last" if self.plan_of else ""
        ahead = "" if self.ahead is None else f", its time {self.ahead} s ahead"
        delay = f", which arrives {self.delay} s later" if self.delay else ""
        return f"the {what} {self.event} is sent{date}{plan}{ahead}{delay}: {dict(self.detail)}"


class Plan(StrEnum):
    """Which plan an approval names."""

    ASKED_FOR = "the plan that is asked for"
    FIRST = "the first plan that was asked for"
    ANOTHER = "another plan"


@dataclass(frozen=True)
class Approve:
    """Somebody approves a plan of the retirement that `detail` names."""

    event: str
    detail: Mapping[str, Any]
    plan: Plan
    approver: str

    def __str__(self) -> str:
        return f"{self.approver!r} approves {self.plan} by {self.event}: {dict(self.detail)}"


@dataclass(frozen=True)
class Again:
    """A queue delivers a message again, or the bus an event: what is at-least-once."""

    event: str

    def __str__(self) -> str:
        return f"{self.event} is delivered once more"


@dataclass(frozen=True)
class Deploy:
    """The owner changes parameters of the stack."""

    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return f"the stack is deployed with {dict(self.parameters)}"


@dataclass(frozen=True)
class Repoint:
    """The owner points an embed to another datamart."""

    embed: str
    datamart: str | None

    def __str__(self) -> str:
        return f"the embed {self.embed} is pointed to {self.datamart}"


@dataclass(frozen=True)
class WriteMap:
    """The owner writes the map of embeds.

    With `carried`, of those that it had already nobody looks again. `slow` is for how long the owner had looked at
    them when the map arrived.
    """

    carried: bool
    dated: bool  # each entry names the updatedAt that its owner saw

    def __str__(self) -> str:
        how = ", old entries carried over" if self.carried else ""
        return f"the owner writes a {'dated' if self.dated else 'plain'} map of embeds{how}"


class To(StrEnum):
    """What the secret holds from then on."""

    OTHER = "the other organisation's token"
    OTHER_URL = "the other organisation's token, and the base URL is its server's"
    ROTATED = "a new token of the same organisation"
    BACK = "the first organisation's token again, and the base URL is its server's"


@dataclass(frozen=True)
class Exchange:
    """The owner puts another token into the secret; `revoked`: the one that was there is refused from then on."""

    to: To
    revoked: bool

    def __str__(self) -> str:
        return f"the secret gets {self.to}{', the old token is revoked' if self.revoked else ''}"


@dataclass(frozen=True)
class EmptyTable:
    """The coordination table is lost."""

    def __str__(self) -> str:
        return "the coordination table is emptied"


class Deed(StrEnum):
    """What somebody does to a datamart in Databrain."""

    CREATE = "created, or created anew"
    EDIT = "edited"
    DELETE = "deleted by somebody else"


@dataclass(frozen=True)
class Meddle:
    """Somebody works on a datamart in Databrain."""

    deed: Deed
    name: str

    def __str__(self) -> str:
        return f"the datamart {self.name!r} is {self.deed}"


@dataclass(frozen=True)
class Redrive:
    """The operator sends again what is in `Failures`."""

    def __str__(self) -> str:
        return "the operator sends again all that is in Failures"


@dataclass(frozen=True)
class Outage:
    """All calls whose name begins so fail for a while."""

    calls: str
    fault: Fault
    seconds: float

    def __str__(self) -> str:
        return f"for {self.seconds:.0f} s, each {self.calls or 'call'} ends in: {self.fault}"


@dataclass(frozen=True)
class Trouble:
    """Something strikes this call, and what `reach` says; without a fault, the invocation ends, before or after it."""

    fault: Fault | None
    reach: Reach = Reach.ONCE
    crash_before: bool = False
    crash_after: bool = False

    def __str__(self) -> str:
        crash = " ".join(
            what for what, holds in (("crash before", self.crash_before), ("crash after", self.crash_after)) if holds
        )
        return " and ".join(filter(None, [self.fault and f"{self.fault} ({self.reach})", crash]))


@dataclass(frozen=True)
class Stall:
    """This call takes so long: all of what comes meanwhile happens."""

    seconds: float

    def __str__(self) -> str:
        return f"this call takes {self.seconds:g} s"


# ---- What is so from the start -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Undated:
    """A server that tells no createdAt."""

    def __str__(self) -> str:
        return "the server tells no createdAt"


@dataclass(frozen=True)
class Mapped:
    """A server that tells of no embed which datamart it uses: the owner's map does."""

    dated: bool
    is_whole: bool = True

    def __str__(self) -> str:
        rest = "" if self.is_whole else "; it says nothing of chart, which uses sales"
        return f"only the owner's {'dated' if self.dated else 'plain'} map tells which datamart an embed uses{rest}"


@dataclass(frozen=True)
class Small:
    """An organisation with one other datamart and no data app."""

    def __str__(self) -> str:
        return "the organisation is small"


@dataclass(frozen=True)
class Hosts:
    """Clocks apart: by how many seconds each host's is ahead of true time."""

    ahead: tuple[float, ...]

    def __str__(self) -> str:
        return f"the hosts' clocks are ahead by {', '.join(f'{seconds:g} s' for seconds in self.ahead)}"


@dataclass(frozen=True)
class Slow:
    """Each call takes up to so many seconds: what comes at the same time is dealt with side by side."""

    seconds: float

    def __str__(self) -> str:
        return f"calls take up to {self.seconds:g} s"


@dataclass(frozen=True)
class Lockless:
    """The lock keeps nobody out."""

    def __str__(self) -> str:
        return "the lock keeps nobody out"


@dataclass(frozen=True)
class Worn:
    """The first receives of each message end before anything goes out: less is left until it is given up."""

    receives: int

    def __str__(self) -> str:
        return f"the first {self.receives} receives of each message come to nothing"


@dataclass(frozen=True)
class SecretInside:
    """The configuration of a datamart holds a secret."""

    what: str

    def __str__(self) -> str:
        return f"the configuration of sales holds {self.what}"


@dataclass(frozen=True)
class Shown:
    """An embed of the datamart goes with it, and can be restored."""

    def __str__(self) -> str:
        return f"the embed {TILE} uses {NAME}, and a workspace has its dashboard"


@dataclass(frozen=True)
class Required:
    """So many people have to approve a deletion."""

    approvals: int

    def __str__(self) -> str:
        return f"{self.approvals} approvals are required"


@dataclass(frozen=True)
class OtherHas:
    """What the second organisation has under the name."""

    name: str | None
    alike: bool
    created_in: float  # seconds from the start

    def __str__(self) -> str:
        if self.name is None:
            return "the other organisation has no such datamart"
        how = "of equal" if self.alike else "of another"
        return f"the other organisation has {self.name}, {how} configuration, created at {At(self.created_in)}"


Given: TypeAlias = (
    Undated | Mapped | Small | Hosts | Slow | Lockless | Worn | SecretInside | Shown | Required | OtherHas
)
Act: TypeAlias = (
    Send
    | Approve
    | Again
    | Deploy
    | Repoint
    | WriteMap
    | Exchange
    | EmptyTable
    | Meddle
    | Redrive
    | Outage
    | Trouble
    | Stall
)


@dataclass(frozen=True)
class Step:
    """One act and when it happens, or what is so from the start (`when` None)."""

    when: At | AtCall | None
    act: Act | Given

    def __str__(self) -> str:
        return f"{'from the start' if self.when is None else self.when}: {self.act}"


@dataclass(frozen=True)
class Play:
    """A seed and what follows from it; after steps were left out, what is left."""

    seed: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join(f"  {step}" for step in self.steps)


# ---- From a seed ---------------------------------------------------------------------------------------------------

NAME = "sales"
NEAR_NAMES = ("Sales", "sales ", "SALES")
EMBEDS = ("board", "chart")
TILE = "tile"
REHEARSING = 0.15  # of all plays
APPROVING = 0.1  # of all plays
REQUESTER, APPROVERS = "ops@example.com", ("owner@example.com", "second@example.com")
# The moments around which most of the promises turn.
KEY_CALLS = (
    RouteId.DELETE_DATAMART,
    "coordination.record_failure",
    "coordination.reserve",
    "coordination.acquire",
    "results_topic.publish",
    RouteId.LIST_DATA_APPS,
    RouteId.LIST_DATAMARTS,
    "secret.read",
)
AFTER_DELETE = "the one after the first delete"
RETIREMENT_ROUTES = (
    RouteId.LIST_DATAMARTS,
    RouteId.DELETE_DATAMART,
    RouteId.CREATE_DATAMART,
    RouteId.GET_SEMANTIC_LAYER,
    RouteId.CREATE_SEMANTIC_LAYER,
    RouteId.LIST_DATA_APPS,
    RouteId.LIST_API_TOKENS,
    RouteId.LIST_EMBEDS,
)
RESTORING_CALLS = (
    RouteId.LIST_DATAMARTS,
    RouteId.CREATE_DATAMART,
    RouteId.CREATE_DATAMART,
    RouteId.CREATE_SEMANTIC_LAYER,
    RouteId.CREATE_EMBED,
    RouteId.CREATE_EMBED,
    RouteId.LIST_EMBEDS,
    "coordination.record_created",
    "coordination.record_failure",
    "coordination.record_no_effect",
    "evidence.create",
    "results_topic.publish",
)
SCHEDULING_CALLS = ("timers.set", "timers.clear", "outbox.send", "results_topic.publish")
# What a delete can end in, and nothing tells what came of it, or what was said is not so.
LEFT_OPEN = (
    Fault.TIMEOUT_AFTER,
    Fault.TIMEOUT_BEFORE,
    Fault.STATUS_500_AFTER,
    Fault.STATUS_401,
    Fault.STILL_LISTED,
)
# What forbids more is changed to more often than what it was.
STRICTER: tuple[Mapping[str, Any], ...] = (
    {"mode": Mode.PLAN},
    {"backup_by_default": False},
    {"environment_name": "elsewhere"},
    {"undetermined_embeds": UndeterminedEmbeds.REPORT},
    {"protected_datamarts": ("SAL*",)},
    {"retirable_datamarts": ("tenant-*",)},
    {"max_retirements_per_day": 0},
    {"max_retirements_per_day": 1},
    {"reminder_lead_time": None},
    {"reminder_lead_time": timedelta(hours=1)},
)
AS_BEFORE: tuple[Mapping[str, Any], ...] = (
    {"mode": Mode.RETIRE},
    {"backup_by_default": True},
    {"environment_name": "prod"},
    {"undetermined_embeds": UndeterminedEmbeds.BLOCK},
    {"protected_datamarts": ()},
    {"retirable_datamarts": ("*",)},
    {"max_retirements_per_day": 25},
)


def play_of(seed: str) -> Play:
    """The play of a seed; the same each time."""
    author = _Author(Random(seed))  # noqa: S311  # no secret
    steps = tuple(author.steps(Random(f"{seed} restores")))  # noqa: S311  # the same
    rehearses = Random(f"{seed} rehearses").random() < REHEARSING  # noqa: S311  # the same
    steps = tuple(map(_rehearsing, steps)) if rehearses else steps
    approvals = Random(f"{seed} approvals")  # noqa: S311  # the same
    return Play(seed, tuple(_with_approvals(steps, approvals)) if approvals.random() < APPROVING else steps)


def _rehearsing(step: Step) -> Step:
    """Let a request ask for a rehearsal."""
    if not isinstance(step.act, Send) or step.act.is_cancellation or step.act.is_restore:
        return step
    return replace(step, act=replace(step.act, detail={**step.act.detail, "rehearse": True}))


def _with_approvals(steps: tuple[Step, ...], random: Random) -> Iterator[Step]:
    """Let each retirement need approvals, which come in time, early or late, by the wrong people, or of other plans."""
    required = random.choice((1, 1, 2))
    yield Step(None, Required(required))
    # An abandoned request that awaits approval goes to and fro as long as the first receive of each message fails.
    yield from (step for step in steps if not isinstance(step.act, Worn))
    requests = [step.act for step in steps if isinstance(step.act, Send) and not step.act.is_restore]
    numbers = count(1)
    for request in {_retirement_of(request): request for request in requests if not request.is_cancellation}.values():
        detail = {name: request.detail[name] for name in ("datamartName", "retirementId") if name in request.detail}
        givers = [(Plan.ASKED_FOR, approver) for approver in APPROVERS[:required]]
        givers += random.choices(
            [(Plan.ASKED_FOR, f" {REQUESTER.upper()}"), (Plan.ASKED_FOR, f"{APPROVERS[0].upper()} ")]
            + [(plan, APPROVERS[0]) for plan in Plan],
            k=random.choice((0, 1, 2)),
        )
        for plan, approver in givers:
            approval = Approve(f"approve-{next(numbers)}", detail, plan, approver)
            after = random.choice((0.05, 2.0, 15.0, 130.0, 700.0, HOUR, HOUR, DAY, DAY, 15 * DAY))
            at = random.choice((request.retire_in or 0.0, request.retire_in or 0.0, 0.0)) + after
            when: At | AtCall = At(at + random.uniform(0.0, 2.0))
            if random.random() < 0.2:
                when = AtCall(request.event, Function.RETIRE, random.choice((1, 2, 2)), random.choice(KEY_CALLS))
            yield Step(when, approval)
            yield from _around(approval, request.event, random)


def _retirement_of(request: Send) -> tuple[str | None, ...]:
    return tuple(request.detail.get(name) for name in ("datamartName", "retirementId"))


def _around(approval: Approve, request: str, random: Random) -> Iterator[Step]:
    """Now and then something strikes an approval, or somebody else acts while it is taken or carried out."""
    if random.random() < 0.3:
        is_before = random.random() < 0.5
        fault = random.choice((None, None, *TRANSIENT))
        trouble = Trouble(fault, Reach.ONCE, is_before and not fault, not is_before and not fault)
        yield Step(AtCall(approval.event, Function.SCHEDULE, 1, random.randint(1, 9)), trouble)
    if random.random() < 0.15:
        yield Step(At(random.choice((HOUR, DAY, 2 * DAY))), Again(approval.event))
    if random.random() < 0.3:
        acts: tuple[Act, ...] = (
            Meddle(random.choice(tuple(Deed)), NAME),
            Send(f"cancel-{approval.event}", approval.detail, is_cancellation=True),
            Again(request),
        )
        carried_out = AtCall(request, Function.RETIRE, random.choice((2, 2, 3)), random.choice(KEY_CALLS))
        taken = AtCall(approval.event, Function.SCHEDULE, 1, random.randint(1, 9))
        yield Step(random.choice((carried_out, taken)), random.choice(acts))


class _Author:
    """Draws a play: some traffic, and around it one to four of the actors."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._events: list[str] = []  # requests and cancellations, in the order in which they are sent
        self._scheduled: set[str] = set()  # those of them that the schedule function gets
        self._main = ""  # the one that most of the play is about
        self._dates: list[float] = []
        self._steps: list[Step] = []
        self._is_dated = self._is_likely(0.5)  # the form of the owner's map

    def steps(self, of_restores: Random) -> Iterator[Step]:
        """All of them: what is so from the start, then the acts."""
        self._traffic()
        actors: list[tuple[float, Callable[[], None]]] = [
            (3.0, self._faults),
            (1.6, self._exchanges),
            (1.3, self._owner),
            (1.3, self._clocks),
            (1.0, self._lost_table),
            (1.3, self._parameters),
            (1.3, self._second_writer),
            (1.6, self._cancellation),
            (1.4, self._people),
            (1.0, self._outage),
            (0.9, self._limit),
            (0.9, self._side_by_side),
            (0.8, self._event_times),
            (0.3, self._secret_inside),
        ]
        for _ in range(self._random.choice((1, 2, 2, 3, 3, 4))):
            chosen = self._random.choices([act for _, act in actors], [weight for weight, _ in actors])[0]
            chosen()
            if chosen != self._faults:
                actors = [(weight, act) for weight, act in actors if act != chosen]
        if self._is_likely(0.2):
            self._add(None, Undated())
        self._random = of_restores  # so that there are the same plays without them
        if self._is_likely(0.35):
            self._restores()
        yield from sorted(self._steps, key=lambda step: step.when is not None)

    # ---- Traffic ---------------------------------------------------------------------------------------------------

    def _traffic(self) -> None:
        random = self._random
        kind = random.choices(("plain", "dated", "dry", "planned"), (5, 4, 0.7, 1.3))[0]
        detail: dict[str, Any] = {}
        if self._is_likely(0.25):
            detail["backup"] = random.choice((True, False))
        if self._is_likely(0.08):
            detail["dependents"] = "ignore"
        if self._is_likely(0.05):
            detail["reviewedEmbeds"] = ["board"]
        match kind:
            case "plain":
                self._main = self._send(At(0.0), detail)
            case "dated":
                self._main = self._send(At(random.choice((0.0, 0.4))), detail, retire_in=self._date())
            case "dry":
                self._main = self._send(
                    At(0.0), {**detail, "dryRun": True}, retire_in=self._date() if self._is_likely(0.3) else None
                )
            case _:
                self._send(At(0.0), {**detail, "dryRun": True, "retirementId": "dry-1"})
                date = 2 * DAY if self._is_likely(0.4) else None
                self._main = self._send(At(HOUR), detail, plan_of=True, retire_in=date)
        if kind == "dated" and self._is_likely(0.4):
            self._move(detail)
        if self._is_likely(0.15):
            self._add(self._when(), Again(random.choice(self._events)))

    def _move(self, detail: Mapping[str, Any]) -> None:
        """The same is asked for with another date, or for now."""
        random = self._random
        if self._is_likely(0.35):
            ahead = random.choice((None, -5.0))
            delay = random.choice((0.0, 0.0, 30.0, self._dates[0] - 55, self._dates[0] - 9))
            self._send(At(0.0) if ahead else self._when(), detail, ahead=ahead, delay=max(0.0, delay))
            return
        when = self._when()
        if self._is_likely(0.6):  # amid the first one
            function = random.choice(tuple(Function))
            when = AtCall(self._main, function, 1, random.randint(2, 20 if function is Function.RETIRE else 10))
            if self._is_likely(0.7):
                self._add(when, Stall(random.choice((2.0, 8.0))))
        later = max(self._dates) + random.choice((90.0, 400.0, DAY))
        self._send(when, detail, retire_in=later if self._is_likely(0.6) else self._date())

    def _date(self) -> float:
        date = self._random.choice((5.0, 40.0, 55.0, 65.0, 90.0, 150.0, 400.0, HOUR, MIDNIGHT, 2 * DAY, 5 * DAY))
        date += self._random.choice((0.0, 0.0, self._random.uniform(0.0, 60.0)))
        self._dates.append(date)
        return date

    def _send(self, when: At | AtCall, detail: Mapping[str, Any], **how: Any) -> str:  # noqa: ANN401  # the step's fields
        is_cancellation = how.get("is_cancellation", False)
        what = "cancel" if is_cancellation else "restore" if how.get("is_restore") else "ask"
        event = f"{what}-{len(self._events) + 1}"
        self._add(when, Send(event, detail, **how))
        self._events.append(event)
        if is_cancellation or how.get("retire_in") is not None:
            self._scheduled.add(event)
        return event

    # ---- Actors ----------------------------------------------------------------------------------------------------

    def _faults(self) -> None:
        random = self._random
        if self._is_likely(0.35):
            self._leave_open()
        for _ in range(random.choice((1, 1, 2))):
            crash = self._is_likely(0.45)
            fault = None if crash and self._is_likely(0.6) else random.choice((*FAULTS_OF_RETIREMENTS, *TRANSIENT))
            after = crash and self._is_likely(0.6)
            reach = random.choice(tuple(Reach))
            self._add(self._at_call(), Trouble(fault, reach, crash and not after, after))

    def _exchanges(self) -> None:
        random = self._random
        to = random.choice((To.OTHER, To.OTHER, To.OTHER, To.OTHER_URL, To.ROTATED, To.ROTATED, To.ROTATED))
        is_planned = any(isinstance(step.act, Send) and step.act.plan_of for step in self._steps)
        when = At(HOUR / 2) if is_planned and self._is_likely(0.6) else self._after_the_intent()
        self._add(when, Exchange(to, self._is_likely(0.75)))
        if self._is_likely(0.25):
            self._add(None, Small())
        if to is To.ROTATED:
            return
        created_in = -DAY + random.choice((-HOUR, HOUR))
        self._add(None, OtherHas(random.choice((NAME, NAME, None)), self._is_likely(0.6), created_in))
        if self._is_likely(0.4):
            self._add(None, Undated())
        if self._is_likely(0.25):
            self._add(At(random.choice((HOUR, DAY))), Exchange(To.BACK, revoked=False))

    def _owner(self) -> None:
        random = self._random
        if self._is_likely(0.7):
            self._add(None, Mapped(self._is_dated, self._is_likely(0.75)))
        for _ in range(random.choice((1, 1, 2))):
            self._add(self._when(), Repoint(random.choice(EMBEDS), random.choice((NAME, NAME, "returns", None))))
        if self._is_likely(0.5):
            self._add(self._when(), WriteMap(self._is_likely(0.4), self._is_dated))

    def _clocks(self) -> None:
        ahead = [self._random.choice((0.0, -60.0, -45.0, -9.0, 9.0, 45.0, 60.0)) for _ in range(4)]
        self._add(None, Hosts(tuple(ahead)))
        if not self._dates:
            self._send(At(0.1), {"retirementId": "offboard-9"}, retire_in=self._date())

    def _lost_table(self) -> None:
        for _ in range(self._random.choice((1, 1, 2))):
            self._add(self._after_the_intent(), EmptyTable())
        if self._is_likely(0.5):
            fault = self._random.choice((Fault.STATUS_503, Fault.STATUS_401, Fault.HTML))
            self._add(self._at_the_delete(), Outage(RouteId.LIST_DATAMARTS, fault, 6 * HOUR))
            self._wear()

    def _parameters(self) -> None:
        random = self._random
        first = random.choice(STRICTER)
        self._add(At(0.0) if self._is_likely(0.3) else self._after_the_intent(), Deploy(first))
        if self._is_likely(0.4):
            self._add(self._after_the_intent(), Deploy(random.choice((*STRICTER, *AS_BEFORE))))
        if self._is_likely(0.3):  # and back
            back = [each for each in AS_BEFORE if each.keys() == first.keys()]
            self._add(At(random.choice((400.0, HOUR, DAY))), Deploy(back[0] if back else first))

    def _second_writer(self) -> None:
        """Under the same identity, with other content."""
        detail = self._random.choice(({"reviewedEmbeds": ["another"]}, {"backup": False}, {"dryRun": True}))
        date = self._date() if self._is_likely(0.5) else None
        self._send(self._at_call() if self._is_likely(0.5) else self._after_the_intent(), detail, retire_in=date)
        if self._is_likely(0.4):
            self._leave_open()

    def _cancellation(self) -> None:
        random = self._random
        when = self._at_call() if self._is_likely(0.6) else self._after_the_intent()
        event = self._send(when, {}, is_cancellation=True)
        if isinstance(when, AtCall) and self._is_likely(0.5):
            self._add(when, Stall(random.choice((2.0, 8.0))))
            self._add(self._soon_after(when), Trouble(None, crash_before=True))
        if self._is_likely(0.3):
            self._add(random.choice((At(HOUR), At(DAY), At(12 * DAY))), Again(event))
        if self._is_likely(0.2):
            self._send(self._when(), {"reason": "another one"}, is_cancellation=True)

    def _people(self) -> None:
        random = self._random
        for _ in range(random.choice((1, 1, 2))):
            deed = random.choices(tuple(Deed), (4, 2, 2))[0]
            name = NAME
            if self._is_likely(0.35):
                deed, name = Deed.CREATE, random.choice(NEAR_NAMES)
            when = At(random.uniform(0.0, 1.5)) if self._is_likely(0.2) else self._after_the_intent()
            self._add(when, Meddle(deed, name))

    def _outage(self) -> None:
        """So long that requests are given up, and sent again days later."""
        random = self._random
        deletes = (RouteId.DELETE_DATAMART, RouteId.DELETE_DATAMART)
        calls = random.choice((*RETIREMENT_ROUTES, *deletes, "evidence", "results_topic"))
        fault = random.choice((Fault.STATUS_503, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.STATUS_401))
        self._add(At(random.choice((0.0, *self._dates))), Outage(calls, fault, random.choice((HOUR, 6 * HOUR))))
        self._wear()
        for _ in range(random.choice((0, 1, 1))):
            self._add(At(random.choice((DAY, 2 * DAY, 3 * DAY)) + random.uniform(0, HOUR)), Redrive())

    def _wear(self) -> None:
        if self._is_likely(0.8):
            self._add(None, Worn(self._random.choice((3, 4))))

    def _limit(self) -> None:
        """Several of them at a limit of one a day, some around midnight."""
        random = self._random
        self._add(At(0.0), Deploy({"max_retirements_per_day": 1}))
        for number in range(random.choice((1, 1, 2))):
            when = At(random.choice((0.0, 0.5, 10.0, MIDNIGHT - 5, MIDNIGHT - 1, MIDNIGHT + 1, DAY)))
            detail = {"datamartName": f"tenant-{number + 1}", "retirementId": f"offboard-{number + 2}"}
            self._send(when, detail, retire_in=MIDNIGHT - random.uniform(-1, 3) if self._is_likely(0.3) else None)
        if self._is_likely(0.6):
            fault = random.choice((Fault.STATUS_503, Fault.STATUS_409, Fault.TIMEOUT_BEFORE))
            self._add(At(0.0), Outage(RouteId.DELETE_DATAMART, fault, random.choice((6 * HOUR, DAY, 1.5 * DAY))))
            self._wear()
            self._add(At(2 * DAY), Redrive())

    def _side_by_side(self) -> None:
        random = self._random
        self._add(None, Slow(random.choice((0.3, 1.0, 2.0))))
        if self._is_likely(0.6):
            self._add(None, Lockless())
        for _ in range(random.choice((1, 1, 2))):
            self._add(At(random.choice((0.0, 0.0, *self._dates)) + random.uniform(0, 20)), Again(self._event()))

    def _event_times(self) -> None:
        """The time of an event is ahead of its arrival, or far behind it."""
        random = self._random
        index, step = next(
            (index, step)
            for index, step in enumerate(self._steps)
            if isinstance(step.act, Send) and step.act.event == self._main
        )
        how = vars(step.act) | {
            "ahead": random.choice((None, 0.85, 45.0, 600.0, 1.5 * DAY, -30.0)),
            "delay": random.choice((0.0, 0.0, 0.4, 30.0, *(max(0.0, date - 30) for date in self._dates))),
        }
        self._steps[index] = Step(step.when, Send(**how))
        if self._is_likely(0.6):
            self._add(At(random.choice((0.3, 0.9, 1.2, 20.0, HOUR))), Meddle(Deed.CREATE, NAME))
        if self._is_likely(0.3):  # given up, and sent again
            self._add(At(0.0), Outage(RouteId.LIST_DATAMARTS, Fault.STATUS_503, 6 * HOUR))
            self._wear()

    def _secret_inside(self) -> None:
        self._add(None, SecretInside(self._random.choice(("the service token", "a data app's key"))))
        self._wear()

    def _restores(self) -> None:
        """Somebody wants back what is retired, once or twice, and others act at any call of it."""
        random = self._random
        if self._is_likely(0.7):
            self._add(None, Shown())
            self._review(TILE)
        restores = []
        for number in range(random.choice((1, 1, 1, 2))):
            restore_id = random.choice((f"back-{number + 1}", "back-1"))
            detail: dict[str, Any] = {"restoreId": restore_id}
            if self._is_likely(0.4):
                detail |= random.choice(({"asName": "sales again"}, {"embeds": "leave"}, {"dryRun": True}))
            restores.append(self._send(self._after_the_retirement(), detail, is_restore=True))
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            self._strike_restore(random.choice(restores))
        if self._is_likely(0.25):  # it is retired once more
            when = AtCall(restores[0], Function.RESTORE, 1, random.choice(RESTORING_CALLS))
            self._send(
                when if self._is_likely(0.6) else self._after_the_retirement(),
                {"retirementId": "offboard-7", "dependents": "ignore"},
                ahead=random.choice((None, 0.5)),
            )
        if self._is_likely(0.2):
            self._add(self._after_the_retirement(), Again(random.choice(restores)))
        if self._is_likely(0.15):
            self._add(None, Lockless())
        if self._is_likely(0.15):
            self._add(At(random.choice((DAY, 2 * DAY))), Redrive())

    def _strike_restore(self, event: str) -> None:
        """A fault, a crash, or somebody who acts."""
        random = self._random
        call: int | str = random.choice(RESTORING_CALLS) if self._is_likely(0.6) else random.randint(1, 46)
        when = AtCall(event, Function.RESTORE, random.choice((1, 1, 1, 2, 3)), call)
        acts: list[tuple[float, Act]] = [
            (3, Trouble(None, crash_after=True)),
            (2, Trouble(None, crash_before=True)),
            (4, Trouble(random.choice((*FAULTS_OF_RESTORES, *TRANSIENT)), random.choice(tuple(Reach)))),
            (1, Meddle(random.choice(tuple(Deed)), random.choice((NAME, NAME, *NEAR_NAMES)))),
            (1, Again(event)),
            (0.5, EmptyTable()),
            (0.7, Exchange(random.choice((To.ROTATED, To.OTHER)), self._is_likely(0.5))),
            (0.7, Stall(random.choice((5.0, 400.0)))),
        ]
        self._add(when, random.choices([act for _, act in acts], [weight for weight, _ in acts])[0])

    def _after_the_retirement(self) -> At | AtCall:
        random = self._random
        if self._is_likely(0.15):
            return AtCall(self._main, Function.RETIRE, 1, random.choice(KEY_CALLS))
        around = random.choice((0.0, *self._dates))
        return At(around + random.choice((2.0, 15.0, 130.0, 130.0, 700.0, HOUR, HOUR, DAY)) + random.uniform(0.0, 2.0))

    def _review(self, embed_id: str) -> None:
        """The requests are for a datamart that this embed uses, too, and say that it was looked at."""
        for index, step in enumerate(self._steps):
            if isinstance(step.act, Send) and not step.act.is_cancellation:
                detail = step.act.detail
                reviewed = [*detail.get("reviewedEmbeds", []), embed_id]
                self._steps[index] = replace(step, act=replace(step.act, detail={**detail, "reviewedEmbeds": reviewed}))

    def _leave_open(self) -> None:
        """The first attempt ends at its delete, or before it has told what came of it."""
        random = self._random
        fault = random.choice((None, None, *LEFT_OPEN))
        reach = random.choice(tuple(Reach))
        call = self._at_the_delete()
        if fault is None and self._is_likely(0.5):  # the list that is to confirm it
            self._add(replace(call, call=AFTER_DELETE), Trouble(random.choice(TRANSIENT), Reach.OUTAGE))
        else:
            self._add(call, Trouble(fault, reach, crash_after=fault is None))

    # ---- When ------------------------------------------------------------------------------------------------------

    def _when(self) -> At | AtCall:
        random = self._random
        if self._is_likely(0.5):
            return self._at_call()
        around = random.choice((0.0, *self._dates))
        after = random.choice((-70.0, -55.0, -5.0, 0.2, 5.0, 61.0, 100.0, 400.0, HOUR, DAY, 3 * DAY))
        return At(max(0.1, around + after + random.uniform(0.0, 2.0)))

    def _after_the_intent(self) -> At | AtCall:
        """Mostly once a first attempt has been left open, or at the calls around its delete."""
        random = self._random
        if self._is_likely(0.35):
            return self._when()
        if self._is_likely(0.5):
            return self._at_the_delete()
        self._leave_open()
        around = random.choice((0.0, *self._dates))
        return At(around + random.choice((11.0, 30.0, 65.0, 100.0, 400.0)))

    def _at_the_delete(self) -> AtCall:
        return AtCall(self._main, Function.RETIRE, self._random.choice((1, 1, 1, 2)), RouteId.DELETE_DATAMART)

    def _soon_after(self, when: AtCall) -> AtCall:
        """One of the next calls; of what was named by its name, some call or other."""
        first = when.call if isinstance(when.call, int) else self._random.randint(1, 9)
        return replace(when, call=first + self._random.randint(0, 3))

    def _at_call(self) -> AtCall:
        random = self._random
        event = self._event()
        is_cancellation = event.startswith("cancel")
        schedules = is_cancellation or (event in self._scheduled and self._is_likely(0.5))
        function = Function.SCHEDULE if schedules else Function.RETIRE
        named = SCHEDULING_CALLS if schedules else KEY_CALLS
        most = 27 if not schedules else 9 if is_cancellation else 11
        call = random.choice(named) if self._is_likely(0.4) else random.randint(1, most)
        return AtCall(event, function, random.choice((1, 1, 1, 1, 1, 1, 1, 2, 2, 3)), call)

    def _event(self) -> str:
        return self._random.choice((self._main, self._main, self._events[-1], self._random.choice(self._events)))

    def _add(self, when: At | AtCall | None, act: Act | Given) -> None:
        self._steps.append(Step(when, act))

    def _is_likely(self, chance: float) -> bool:
        return self._random.random() < chance
