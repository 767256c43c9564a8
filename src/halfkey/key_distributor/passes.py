"""Passes: who was let in, or was in a moment ago, and so needn't wait.

Somebody who is let in may not arrive at once, and an Endpoint whose Media Distributor restarted
comes back with another certificate: neither is for an operator to decide twice. In memory.
"""

from __future__ import annotations

from collections.abc import Callable

MAXIMUM_PASSES = 1000
"""In one conference: as many as may be in it by default, since all may lose their Media Distributor
at once. Beyond that the oldest is lost, and its person waits again."""


class Passes:
    """The passes of all conferences, one for each person in each.

    Args:
        clock: Unix time, seconds.
        seconds: for how long a pass is good.
    """

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        # By conference and identity, when it ends; in both the one that was given last is last.
        self._ends: dict[str, dict[str, float]] = {}

    def give(self, conference: str, identity: str) -> None:
        """Gives somebody a pass, good from now on; it takes the place of one that is there."""
        self._drop_past()
        ends = self._ends.pop(conference, {})
        ends.pop(identity, None)
        if len(ends) >= MAXIMUM_PASSES:
            del ends[next(iter(ends))]
        ends[identity] = self._clock() + self._seconds
        self._ends[conference] = ends

    def has(self, conference: str, identity: str) -> bool:
        """Whether somebody has a pass that is good."""
        end = self._ends.get(conference, {}).get(identity)
        return end is not None and self._clock() < end

    def take(self, conference: str, identity: str) -> None:
        """Takes somebody's pass away, if there is one."""
        ends = self._ends.get(conference, {})
        ends.pop(identity, None)
        if not ends:
            self._ends.pop(conference, None)

    def __len__(self) -> int:
        """How many are kept."""
        return sum(map(len, self._ends.values()))

    def _drop_past(self) -> None:
        """Drops the conferences whose every pass is past."""
        now = self._clock()
        while self._ends:
            conference, ends = next(iter(self._ends.items()))
            if now < next(reversed(ends.values())):
                return
            del self._ends[conference]
