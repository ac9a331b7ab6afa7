"""The identities of sweeps' requests, by which the next sweep finds earlier requests."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import canonical_json, sha256_hex
from retirement.record.keys import SWEEP_REQUESTS
from retirement.timestamps import format_timestamp

# Replaces the time in an identity if Databrain does not report when the datamart was created.
UNKNOWN = "unknown"

_REQUEST_KEY = re.compile(
    rf"{SWEEP_REQUESTS}sweep-(?P<rule>[a-z0-9][a-z0-9-]{{0,39}})-(?P<digest>[0-9a-f]{{16}})-(?P<number>[1-9][0-9]{{0,8}})\.json",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One datamart under one rule; `digest` distinguishes it from others, and from a later one of its name."""

    rule: str
    digest: str

    @classmethod
    def of(cls, rule: str, datamart_name: str, created_at: datetime | None) -> "Subject":
        """Return the subject of a datamart. Without `created_at`, a later datamart of that name has the same one."""
        created = UNKNOWN if created_at is None else format_timestamp(created_at)
        return cls(rule, sha256_hex(canonical_json([rule, datamart_name, created]))[:16])

    def retirement_id(self, number: int) -> str:
        """Return the retirementId of the n-th request; numbers begin at 1."""
        return f"sweep-{self.rule}-{self.digest}-{number}"


def latest_numbers(keys: Iterable[str]) -> dict[Subject, int]:
    """Return how often each subject was requested, by the keys of stored requests; other keys are ignored."""
    numbers: dict[Subject, int] = {}
    for key in keys:
        if requested := _REQUEST_KEY.fullmatch(key):
            subject = Subject(requested["rule"], requested["digest"])
            numbers[subject] = max(int(requested["number"]), numbers.get(subject, 0))
    return numbers
