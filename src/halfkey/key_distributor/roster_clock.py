"""When a roster was issued: Unix time that never goes back, whatever is done to the system's clock.

Endpoints put the statements of two runs in order by it, and would refuse those of the later run for
as long as its clock was behind. So the highest is kept, and a run goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable


class RosterClock:
    """The clock of one run.

    Args:
        clock: Unix time, seconds.
        highest: what was kept last; None for nothing.
        keep: keeps a higher one; called at most once in a second.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        highest: int | None = None,
        keep: Callable[[int], None] = lambda second: None,
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._kept = highest
        # Later than all of the run before: at the same second they would have no order.
        self._last = float("-inf") if highest is None else highest + 1.0
        self._ahead: float | None = None

    def issue(self, now: float) -> int:
        """The time of issue of a roster that is signed now, or would be, in Unix seconds.

        Args:
            now: monotonic seconds; what has passed of them counts where the clock was set back.
        """
        unix = self._clock()
        if self._ahead is None:
            self._ahead = max(unix, self._last) - now
        # Not what has passed since the call before, added up: what each calls now may be some time
        # ago, even before what the last one called so, and the sum would run away.
        self._ahead = max(self._ahead, unix - now)
        self._last = max(self._last, now + self._ahead)
        second = int(self._last)
        if self._kept is None or second > self._kept:
            self._keep(second)
            self._kept = second
        return second
