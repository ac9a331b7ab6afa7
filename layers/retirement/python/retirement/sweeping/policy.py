"""The policy of a sweep: which datamarts are to go, after which grace, and who says so."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRule:
    """Names datamarts by globs; a condition that is None, or False, is none.

    `retire_after` is the grace: how long after it was asked for a retirement is due.
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
    """The rules in their order, of which the first that matches asks; a dry run asks for nothing."""

    rules: tuple[SweepRule, ...]
    dry_run: bool
