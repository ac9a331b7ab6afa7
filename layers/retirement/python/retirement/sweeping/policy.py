"""The policy of a sweep: which datamarts to retire, after which grace period, and who is responsible."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRule:
    """Names datamarts by globs, with conditions; a condition that is None or False does not apply.

    `retire_after` is the grace period: a retirement is due this long after its request.
    """

    name: str
    owner: str
    reason: str
    names: tuple[str, ...]
    exempt: tuple[str, ...]
    older_than: timedelta | None
    not_updated_for: timedelta | None
    without_embeds: bool
    retire_after: timedelta


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """The rules in their order: the first that matches makes the request. A dry run makes none."""

    rules: tuple[SweepRule, ...]
    dry_run: bool
