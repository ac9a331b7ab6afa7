"""Reports of sweeps, of any size."""

from collections.abc import Sequence
from datetime import timedelta

from retirement.environment import S3Location
from retirement.sweeping.report import Cancelled, Matched, Skipped, State, SweepReport
from tests.fakes import START

DATE = START + timedelta(days=14)


def report_of(  # noqa: PLR0913  # fields of the report
    *,
    environment: str = "prod",
    dry_run: bool | None = False,
    refusal: str | None = None,
    name: str = "trial",
    asked: int = 0,
    would_ask: int = 0,
    held_back: int = 0,
    cancelled: int = 0,
    skipped: Sequence[Skipped] = (),
) -> SweepReport:
    """A report with so many datamarts of each kind."""
    states = [State.ASKED] * asked + [State.WOULD_ASK] * would_ask + [State.HELD_BACK] * held_back
    return SweepReport(
        sweep_id="20260301T120000Z-invocation-1",
        environment=environment,
        started_at=START,
        finished_at=START,
        policy=S3Location("policies", "sweep.json"),
        policy_version_id="version-1",
        stored_as=S3Location("evidence", "sweeps/20260301T120000Z-invocation-1/report.json"),
        dry_run=dry_run,
        datamarts=20_000,
        refusal=refusal,
        matched=[_matched(f"{name}-{number}", state) for number, state in enumerate(states)],
        cancelled=[_cancelled(f"{name}-{number}") for number in range(cancelled)],
        skipped=skipped,
    )


def skipped(name: str, why: str = "trials: exempt") -> Skipped:
    """A datamart that is not asked for."""
    return Skipped(name, why)


def _matched(name: str, state: State) -> Matched:
    return Matched(
        datamart_name=name,
        rule="trials",
        also_matched=("old",),
        why='named by "*"',
        retirement_id="sweep-trials-0-1",
        retire_at=DATE,
        state=state,
    )


def _cancelled(name: str) -> Cancelled:
    return Cancelled(
        datamart_name=name, rule="trials", why='exempt by "*"', retirement_id="sweep-trials-0-1", retire_at=DATE
    )
