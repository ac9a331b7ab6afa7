"""The port to an evidence bucket that is only read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the bucket lists it; `size` in bytes."""

    key: str
    size: int
    modified: datetime


class Unreadable(Exception):
    """One object cannot be read or understood, for this reason, which is a sentence; the others can."""


class Bucket(Protocol):
    """The evidence, read only."""

    @property
    def name(self) -> str:
        """The bucket's name."""

    @property
    def backup_retention(self) -> timedelta | None:
        """How long backups are stored; None where they are not deleted, or where that cannot be read."""

    def objects(self) -> Iterator[Listed]:
        """List every object."""

    def read(self, listed: Listed, most: int) -> bytes:
        """Read an object's first bytes, at most so many.

        Raises:
            Unreadable: there is none now, or it is not given out.
        """
