"""The one timer that a driver arms for its engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class EngineTimer:
    """Calls when an engine's `handle_timer` is due, in the running event loop.

    Args:
        on_due: called once for each time that was armed and not armed anew before.
    """

    def __init__(self, on_due: Callable[[], None]) -> None:
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._is_closed = False

    def arm(self, at: float | None) -> None:
        """Sets it to what `next_timer` says, in place of what it was set to.

        Args:
            at: seconds of the loop's clock; None for never.
        """
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if at is not None and not self._is_closed:
            self._handle = self._loop.call_at(at, self._due)

    def close(self) -> None:
        """Nothing is called from now on, whatever it is set to."""
        self._is_closed = True
        self.arm(None)

    def _due(self) -> None:
        self._handle = None
        self._on_due()
