"""Looks for a datamart that a create request may have created, and reads it back."""

from collections.abc import Callable, Sequence
from typing import Protocol

from retirement.clock import Clock
from retirement.databrain.creations import CreateAnswer, CreateEffect
from retirement.databrain.snapshot import Absent, Snapshot

# Seconds before each look for what a request created whose answer was lost.
LOOK_WAITS = (0.0, 1.0, 2.0, 4.0, 8.0)


class Finder(Protocol):
    """The part of a port that looks for a datamart."""

    def find(self, name: str) -> Snapshot | Absent:
        """Look for the datamart of exactly this name, and return all of it."""


def look(name: str, databrain: Finder, clock: Clock, waits: Sequence[float] = LOOK_WAITS) -> Snapshot | Absent:
    """Look for the datamart, and again after each further wait if it is not listed."""
    sighting = databrain.find(name)
    for wait in waits[1:]:
        if isinstance(sighting, Snapshot):
            break
        clock.sleep(wait)
        sighting = databrain.find(name)
    return sighting


def with_semantic_layer(answer: CreateAnswer, read_back: Callable[[], Snapshot], clock: Clock) -> Snapshot:
    """Read a datamart back after this answer to the request that creates its semantic layer.

    A datamart has at most one layer, so the next attempt can repeat the request. If Databrain refuses the layer, that
    is a difference.

    Raises:
        DatabrainError: the layer was not created.
    """
    if answer.effect is CreateEffect.REFUSED:
        return read_back()
    if answer.effect is CreateEffect.NONE and answer.error is not None:
        raise answer.error
    found = read_back()
    for wait in LOOK_WAITS[1:]:
        if found.semantic_layer is not None:
            break
        clock.sleep(wait)
        found = read_back()
    if found.semantic_layer is None and answer.error is not None:
        raise answer.error
    return found
