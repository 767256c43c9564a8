"""Refusals at a bounded rate: whoever knocks can't fill the disk.

In each interval the first refusals are told one by one; the others are counted by reason, and the
counts are one record when the interval is over. Nothing is left out of the counts.
"""

from __future__ import annotations

from collections import Counter

from halfkey.audit.chain import timestamp
from halfkey.audit.records import RefusalsCounted, Refused, bounded

INTERVAL = 60.0
"""Seconds in which at most `TOLD_PER_INTERVAL` refusals and one count are recorded."""

TOLD_PER_INTERVAL = 20

_REASONS = 64
_OTHER = "other"


class Refusals:
    """Decides which refusals are told, and counts the others.

    A clock that is set back begins a new interval, so that none lasts longer than `INTERVAL`.
    """

    def __init__(self) -> None:
        self._since = float("-inf")
        self._told = 0
        self._counts: Counter[str] = Counter()

    def admit(self, record: Refused, now: float) -> bool:
        """Whether the refusal is to be told; if not, it is counted.

        Call `take_due` with the same time before.
        """
        if not self._since <= now < self._since + INTERVAL:
            self._since, self._told = now, 0
        if self._told < TOLD_PER_INTERVAL:
            self._told += 1
            return True
        reason = bounded(record.reason)
        is_room = reason in self._counts or len(self._counts) < _REASONS - 1
        self._counts[reason if is_room else _OTHER] += 1
        return False

    def due_in(self, now: float) -> float | None:
        """Seconds until counts are due; None if nothing is counted."""
        if not self._counts:
            return None
        return max(0.0, self._since + INTERVAL - now) if now >= self._since else 0.0

    def take_due(self, now: float) -> RefusalsCounted | None:
        """Takes the counts of an interval that is over."""
        return self.take() if self.due_in(now) == 0 else None

    def take(self) -> RefusalsCounted | None:
        """Takes the counts so far."""
        if not self._counts:
            return None
        counted = RefusalsCounted(timestamp(self._since), tuple(sorted(self._counts.items())))
        self._counts.clear()
        return counted
