"""`make soak`: five minutes of mixed traffic in bad weather on the deployed stack, and an account of every request."""

import argparse
import math
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import httpx
from rich.console import Console
from rich.table import Table

from local.databrain.reception import CONTROL
from local.databrain.server import serve
from local.proxy import run_proxy
from local.signals import end_as_by_ctrl_c
from local.stack import EmbeddedStack, PublishedResult
from retirement.scheduling.ports import Timer
from tests.soak.accounting import QUEUES, Evidence, Finding, Kind, findings, gathered
from tests.soak.traffic import AHEAD, PARAMETERS, SERVICE_TOKEN, Asked, Traffic, organisation
from tests.soak.turbulence import Turbulence

STEP = 0.3  # seconds
MAX_WAITING = 60  # requests; more would only make the end later
SETTLED_WITHIN = 600  # seconds
# Seconds from its request until a timer has gone off: it is set to the next whole minute, and MiniStack looks every ten
# seconds. One that is left alone after that would be waited for in vain.
TIMERS_WITHIN = AHEAD + 60 + 10
SAID_EVERY = 10  # seconds
# Seconds. What a killed process was at comes again while others may still be at it.
VISIBILITY_TIMEOUT = 20
# Seconds. A killed process leaves its lock for as long; a restore needs 120 seconds to begin.
RESTORE_TIMEOUT = 150
RETRY_DELAYS = "1,1,2,2,3"
SHOWN = 50
TIMERS = "timers"


@dataclass(frozen=True)
class Soak:
    """What a soak has seen."""

    asked: list[Asked]
    evidence: Evidence
    findings: list[Finding]
    aws_faults: Counter[tuple[str, str]]
    databrain_faults: Counter[str]
    killed: int


def soak(seconds: float, seed: int, say: Callable[[str], None] = lambda _line: None) -> Soak:
    """Ask for so many seconds in bad weather; then let everything end in peace, and account for it."""
    random = Random(seed)  # noqa: S311 -- dice, not secrets
    datamarts = organisation()
    published: list[PublishedResult] = []
    with (
        serve({"serviceToken": SERVICE_TOKEN, "datasources": [], "datamarts": []}) as databrain,
        EmbeddedStack.start(databrain_url=databrain.url, service_token=SERVICE_TOKEN, parameters=PARAMETERS) as stack,
        run_proxy(stack, seed) as proxy,
        stack.settings(AWS_ENDPOINT_URL=proxy.endpoint, RETRY_DELAYS=RETRY_DELAYS),
        stack.settings("ScheduleFunctionName", AWS_ENDPOINT_URL=proxy.endpoint, RETRY_DELAYS=RETRY_DELAYS),
        stack.settings("RestoreFunctionName", AWS_ENDPOINT_URL=proxy.endpoint, RETRY_DELAYS=RETRY_DELAYS),
        httpx.Client(base_url=f"{databrain.url}{CONTROL}", timeout=30, trust_env=False) as others,
    ):
        databrain.organisation = datamarts
        stack.lambda_.update_function_configuration(
            FunctionName=stack.outputs["RestoreFunctionName"], Timeout=RESTORE_TIMEOUT
        )
        for queue in ("RequestsQueueUrl", "SchedulingQueueUrl", "RestoresQueueUrl"):
            stack.sqs.set_queue_attributes(
                QueueUrl=stack.outputs[queue], Attributes={"VisibilityTimeout": str(VISIBILITY_TIMEOUT)}
            )
        traffic = Traffic(stack, others, random)
        turbulence = Turbulence(proxy, databrain, random)
        turbulence.begin()
        say_now_and_then = _NowAndThen(say)

        def listen() -> int:
            """Hear what was published since, and return how many events that was answered with."""
            sent, results = len(traffic.asked), _published(stack)
            published.extend(results)
            traffic.hear(results)
            return len(traffic.asked) - sent

        end = time.monotonic() + seconds
        at_most = end + SETTLED_WITHIN  # a slow machine gets to few steps: go on until each kind of trouble has struck
        while (left := end - time.monotonic()) > 0 or (not turbulence.has_struck and time.monotonic() < at_most):
            turbulence.step()
            waiting = _waiting(stack)
            if sum(waiting.values()) < MAX_WAITING:
                traffic.step()
            say_now_and_then(
                f"{len(traffic.asked)} requests sent, {_in_words(waiting)}; {max(left, 0):.0f} s of traffic remain"
            )
            listen()
            time.sleep(STEP)
        turbulence.end()
        say(f"{len(traffic.asked)} requests were sent. All faults have ended; the remaining requests are processed.")
        end, no_more_timers = time.monotonic() + SETTLED_WITHIN, time.monotonic() + TIMERS_WITHIN
        while (left := end - time.monotonic()) > 0:
            waiting = _waiting(stack)
            if not listen() and not waiting:
                break
            if waiting.keys() == {TIMERS} and time.monotonic() > no_more_timers:
                break
            say_now_and_then(f"Waiting for {_in_words(waiting)}; at most {left:.0f} s more")
            if waiting["FailuresQueueUrl"] and (moved := stack.redrive()):
                say(f"{moved} abandoned requests are redriven.")
            time.sleep(STEP)
        published += _published(stack)
        evidence = gathered(
            stack,
            published=published,
            deleted=[each for each in datamarts.deleted if each.datamart not in traffic.deleted_by_others],
            created=datamarts.created,
            listed={name: datamart.created_at for name, datamart in datamarts.datamarts.items()},
        )
        return Soak(
            asked=traffic.asked,
            evidence=evidence,
            findings=findings(traffic.asked, evidence),
            aws_faults=proxy.fired(),
            databrain_faults=turbulence.databrain_faults.fired,
            killed=turbulence.killed,
        )


def _waiting(stack: EmbeddedStack) -> Counter[str]:
    """How many messages there are, visible or not yet, by queue, and how many timers, but for those of reminders."""
    timers = [timer for timer in stack.timers() if not timer.startswith(Timer.REMIND.value)]
    counts: Counter[str] = Counter({TIMERS: len(timers)})
    for queue in QUEUES:
        attributes = stack.sqs.get_queue_attributes(
            QueueUrl=stack.outputs[queue],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",  # handed on before they are due
            ],
        )["Attributes"]
        counts[queue] = sum(map(int, attributes.values()))
    return +counts


class _NowAndThen:
    """Says what is at work, so that nobody takes a long wait for the end of it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next = time.monotonic() + SAID_EVERY

    def __call__(self, line: str) -> None:
        """Say it, unless something was said a moment ago."""
        if time.monotonic() >= self._next:
            self._say(line)
            self._next = time.monotonic() + SAID_EVERY


def _in_words(waiting: Counter[str]) -> str:
    """What waits, such as `3 in Requests, 1 timers`."""
    parts = [
        f"{n} timers" if what == TIMERS else f"{n} in {what.removesuffix('QueueUrl')}" for what, n in waiting.items()
    ]
    return ", ".join(parts) or "nothing waits"


def _published(stack: EmbeddedStack) -> list[PublishedResult]:
    """What was published since the last look."""
    results: list[PublishedResult] = []
    while more := list(stack.results(wait_seconds=0)):
        results += more
    return results


def minutes(text: str) -> float:
    """How many minutes, for argparse."""
    given = float(text)
    if not 0 < given < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of minutes above 0; it is {text}")
    return given


def main() -> None:
    """Print the table; the exit status is 1 where anything was lost, done twice, done wrongly or leaked."""
    end_as_by_ctrl_c()
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument(
        "--minutes", type=minutes, default=5, help="minutes of traffic; the run ends when every request has ended"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the seed of all random numbers")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Seed {arguments.seed}, {arguments.minutes:g} minutes of traffic.")
    seen = soak(arguments.minutes * 60, arguments.seed, console.print)
    console.print(_table(seen))
    if seen.findings:
        for finding in seen.findings[:SHOWN]:
            console.print(f"{finding.kind}: {finding.what}", markup=False)
        sys.exit(f"{len(seen.findings)} findings. To repeat this run: make soak SEED={arguments.seed}")


def _table(seen: Soak) -> Table:
    ends = Counter(
        f"{receipt['outcome']} {receipt['reason'] or receipt['confirmedBy'] or ''}"
        for receipt in [
            *seen.evidence.receipts.values(),
            *seen.evidence.restores.values(),
            *seen.evidence.rejections.values(),
        ]
    )
    table = Table("", "", "count")
    table.columns[-1].justify = "right"
    table.add_row("requests", "sent", f"{len(seen.asked)}")
    table.add_section()
    for end, times in sorted(ends.items()):
        table.add_row("outcomes", end, f"{times}")
    table.add_row("", "dates and cancellations, stored", f"{len(seen.evidence.dates)}")
    table.add_row("", "approvals, stored", f"{len(seen.evidence.approvals)}")
    table.add_row("", "awaiting approval", f"{len(seen.evidence.waiting)}")
    table.add_row("", "failed, redriven", f"{len(seen.evidence.failures)}")
    table.add_row("", "published", f"{len(seen.evidence.published)}")
    table.add_row("", "deleted, re-created unseen (not promised)", f"{len(seen.evidence.unseen)}")
    table.add_section()
    for (service, kind), times in sorted(seen.aws_faults.items()):
        table.add_row(service, kind, f"{times}")
    for kind, times in sorted(seen.databrain_faults.items()):
        table.add_row("databrain", kind, f"{times}")
    table.add_row("function processes", "killed", f"{seen.killed}")
    table.add_section()
    found = Counter(finding.kind for finding in seen.findings)
    for kind in Kind:
        table.add_row(kind, "", f"{found[kind]}", style="bold red" if found[kind] else None)
    return table


if __name__ == "__main__":
    main()
