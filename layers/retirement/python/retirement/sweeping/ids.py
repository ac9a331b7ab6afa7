"""The identities of what sweeps ask for, by which the next sweep finds what was asked before."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import canonical_json, sha256_hex
from retirement.record.keys import SWEEP_REQUESTS
from retirement.timestamps import format_timestamp

# What stands for the time where the server does not tell when a datamart was created.
UNKNOWN = "unknown"

_REQUEST_KEY = re.compile(
    rf"{SWEEP_REQUESTS}sweep-(?P<rule>[a-z0-9][a-z0-9-]{{0,39}})-(?P<digest>[0-9a-f]{{16}})-(?P<number>[1-9][0-9]{{0,8}})\.json",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One datamart under one rule; `digest` tells it from others, and from a later one of its name."""

    rule: str
    digest: str

    @classmethod
    def of(cls, rule: str, datamart_name: str, created_at: datetime | None) -> "Subject":
        """Without `created_at`, a later one of that name is the same."""
        created = UNKNOWN if created_at is None else format_timestamp(created_at)
        return cls(rule, sha256_hex(canonical_json([rule, datamart_name, created]))[:16])

    def retirement_id(self, number: int) -> str:
        """Of the first time that it is asked for, the second, and so on, from 1."""
        return f"sweep-{self.rule}-{self.digest}-{number}"


def latest_numbers(keys: Iterable[str]) -> dict[Subject, int]:
    """How often each subject was asked for, by the keys of what is kept; what is no such key is none of ours."""
    numbers: dict[Subject, int] = {}
    for key in keys:
        if requested := _REQUEST_KEY.fullmatch(key):
            subject = Subject(requested["rule"], requested["digest"])
            numbers[subject] = max(int(requested["number"]), numbers.get(subject, 0))
    return numbers
