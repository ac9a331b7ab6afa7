"""Progress on stderr while a tool works, so that nobody mistakes a long wait for the end of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from cli.output import note, reported

EVERY = 5.0  # seconds

Item = TypeVar("Item")


@contextmanager
def progress(work: str, so_far: Callable[[], str]) -> Iterator[None]:
    """Print what is being done, and every few seconds how far it is and for how long it has run, until the block ends.

    Args:
        work: what is being done.
        so_far: how far it is; called from another thread.
    """
    note(f"{work} ...")
    with reported(work, so_far, every=EVERY):
        yield


def each(work: str, items: Sequence[Item], noun: str) -> Iterator[Item]:
    """Yield the items one by one, and print as progress how many of them are done.

    Args:
        work: what is being done.
        items: for each of them the caller does a part of it.
        noun: what they are called.
    """
    done = 0
    with progress(work, lambda: f"{done} of {len(items)} {noun}"):
        for item in items:
            yield item
            done += 1
