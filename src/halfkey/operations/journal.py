"""Tells the key events of a role in its log, at our rate and not at a peer's.

The first of a kind is told at once. Those that follow within a while are counted, and told as one
line when it is over. Kinds are few, so a flood of events is a trickle of lines.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from halfkey.operations.logs import FIELDS

INTERVAL_SECONDS = 10.0
"""The least time between two lines of one kind."""

MAXIMUM_KINDS = 64

Kind = tuple[int, str, tuple[tuple[str, str], ...]]

_logger = logging.getLogger(__name__)


class Journal:
    """The log of one role's events; use it within a running event loop."""

    def __init__(self) -> None:
        self._more: Counter[Kind] = Counter()
        self._timers: dict[Kind, asyncio.TimerHandle] = {}

    def tell(self, message: str, level: int = logging.INFO, /, **fields: str | float) -> None:
        """Tells that something happened.

        Args:
            message: what, in few words; one of a fixed set.
            level: of the line, as `logging` has them.
            fields: its figures, and as texts reasons of a fixed set; no names. Events that differ
                in a text are of different kinds.
        """
        texts = tuple((name, text) for name, text in fields.items() if isinstance(text, str))
        kind = level, message, texts
        if kind in self._timers:
            self._more[kind] += 1
        elif len(self._timers) < MAXIMUM_KINDS:
            _logger.log(level, message, extra={FIELDS: fields})
            self._arm(kind)

    def close(self) -> None:
        """Tells what was counted and not told yet."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for kind in list(self._more):
            self._sum_up(kind)

    def _arm(self, kind: Kind) -> None:
        loop = asyncio.get_running_loop()
        self._timers[kind] = loop.call_later(INTERVAL_SECONDS, self._over, kind)

    def _over(self, kind: Kind) -> None:
        del self._timers[kind]
        if self._sum_up(kind):
            self._arm(kind)

    def _sum_up(self, kind: Kind) -> bool:
        level, message, texts = kind
        more = self._more.pop(kind, 0)
        if more:
            _logger.log(level, message, extra={FIELDS: {**dict(texts), "more": more}})
        return more > 0
