"""How often what had which size: latencies, batches. Counted in the packet path, read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts by size.

    Attributes:
        counts: ascending: a size, and how many had it or a smaller one than it, yet a larger one
            than the entry before.
        sum: all sizes together.
    """

    counts: tuple[tuple[float, int], ...]
    sum: float

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Self:
        """From what a `Switch` says, or from that as JSON."""
        counts = tuple((float(size), int(count)) for size, count in figures["counts"])
        return cls(counts, float(figures["sum"]))

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(count for _, count in self.counts)

    @property
    def mean(self) -> float | None:
        """None where nothing was counted."""
        return self.sum / self.total if self.total else None

    def since(self, before: Distribution) -> Distribution:
        """What was counted from then on."""
        known = dict(before.counts)
        counts = ((size, count - known.get(size, 0)) for size, count in self.counts)
        return Distribution(tuple(one for one in counts if one[1] > 0), self.sum - before.sum)

    def quantile(self, share: float) -> float | None:
        """The size that this share (0 to 1) doesn't exceed; None where nothing was counted."""
        rank, seen = max(ceil(self.total * share), 1), 0
        for size, count in self.counts:
            seen += count
            if seen >= rank:
                return size
        return None

    def cumulative(self, bounds: Sequence[float]) -> Iterator[tuple[float, int]]:
        """Each bound, and how many were counted with a size up to it."""
        for bound in bounds:
            yield bound, sum(count for size, count in self.counts if size <= bound)


NOTHING = Distribution((), 0.0)
"""Where nothing was counted."""
