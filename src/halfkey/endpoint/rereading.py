"""When an Endpoint reads all events anew, since the roster that changes are made of is missing."""

from __future__ import annotations

import math

from halfkey.backoff import Backoff

SPACING, LONGEST_SPACING = 5.0, 80.0
"""Seconds from one reading to the next: twice as many each time, as long as it doesn't help."""


class Rereading:
    """Spaces the readings."""

    def __init__(self) -> None:
        self._spacing = Backoff(SPACING, LONGEST_SPACING)
        self._next = -math.inf

    def helped(self) -> None:
        """The roster is there, verified: what comes next may be read anew soon again."""
        self._spacing.reset()

    def is_due(self, now: float) -> bool:
        """Whether to read anew now (monotonic seconds); if so, the next must wait."""
        if now <= self._next:
            return False
        self._next = now + self._spacing.next_pause()
        return True
