"""Pauses between attempts."""

from __future__ import annotations


class Backoff:
    """Pauses that double from one failure to the next.

    Args:
        first: seconds.
        longest: seconds; longer they don't become.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has failed since the last success."""
        return self._next == self._first

    def reset(self) -> None:
        """Something succeeded: the next pause is the first again."""
        self._next = self._first

    def next_pause(self) -> float:
        """Seconds to wait now; those after the next failure are twice as many."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause
