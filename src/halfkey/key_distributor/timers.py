"""Many deadlines, one timer: which of them comes next, and which are due."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_SLACK = 64
"""Stale entries that a heap may hold before it is made anew."""


class Timers(Generic[Key]):
    """At most one deadline per key; a key's new deadline replaces its old one."""

    __slots__ = ("_count", "_deadlines", "_heap")

    def __init__(self) -> None:
        self._deadlines: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def arm(self, key: Key, deadline: float | None) -> None:
        """Sets the key's deadline (monotonic seconds); None removes it."""
        current = self._deadlines.get(key)
        if deadline is None:
            self._deadlines.pop(key, None)
        elif current is None or current[0] != deadline:
            self._count += 1  # tells entries apart, so that keys are never compared
            self._deadlines[key] = (deadline, self._count)
            heapq.heappush(self._heap, (deadline, self._count, key))
        self._tidy()

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[Key]:
        """Takes the keys whose deadline has come, earliest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            deadline, count, key = heapq.heappop(self._heap)
            if self._deadlines.get(key) == (deadline, count):
                del self._deadlines[key]
                due.append(key)
        self._tidy()
        return due

    def _tidy(self) -> None:
        """Keeps the top of the heap live, and the heap no longer than about twice its content."""
        while self._heap and self._stale(self._heap[0]):
            heapq.heappop(self._heap)
        if len(self._heap) > 2 * len(self._deadlines) + _SLACK:
            self._heap = [entry for entry in self._heap if not self._stale(entry)]
            heapq.heapify(self._heap)

    def _stale(self, entry: tuple[float, int, Key]) -> bool:
        return self._deadlines.get(entry[2]) != entry[:2]
