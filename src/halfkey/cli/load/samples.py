"""A run over time: the Media Distributor's memory and what is missing, sample by sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

SAMPLES = 100
SHORTEST_INTERVAL = 0.1

Sample = dict[str, Any]


class Sampler:
    """Takes a sample about each hundredth of the time.

    Args:
        duration: of the run, in seconds.
        receivers: how many are to get each packet that is sent.
        progress: packets sent and received so far, in this run or before.
        memory: bytes that are resident now.
    """

    def __init__(
        self,
        duration: float,
        receivers: float,
        progress: Callable[[], tuple[int, int]],
        memory: Callable[[], int],
    ) -> None:
        self._interval = max(duration / SAMPLES, SHORTEST_INTERVAL)
        self._receivers = receivers
        self._progress = progress
        self._memory = memory
        self._before = progress()
        self._began = time.monotonic()
        self._due = 0.0
        self.samples: list[Sample] = []

    def take_if_due(self) -> None:
        """Takes one, if it is time."""
        now = time.monotonic() - self._began
        if now < self._due:
            return
        # One that is late moves all that follow: there are never more than there should be.
        self._due = now + self._interval
        (sent, received), before = self._progress(), self._before
        offered = round((sent - before[0]) * self._receivers)
        self._add(now, offered, offered - (received - before[1]))

    def conclude(self, offered: int, lost: int) -> None:
        """Adds the end, with what was counted in it."""
        self._add(time.monotonic() - self._began, offered, lost)

    def _add(self, seconds: float, offered: int, missing: int) -> None:
        self.samples.append(
            {
                "seconds": seconds,
                "md_rss_bytes": self._memory(),
                "offered": offered,
                "missing": max(missing, 0),
            }
        )


def memory(samples: Sequence[Sample]) -> dict[str, int]:
    """Bytes that were resident at the start, after a tenth of the time, and at the end."""
    end = samples[-1]["seconds"]
    tenth = next(one for one in samples if one["seconds"] >= end / 10)
    found = {"start": samples[0], "tenth": tenth, "end": samples[-1]}
    return {name: one["md_rss_bytes"] for name, one in found.items()}
