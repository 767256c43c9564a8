"""What a stream sends when: bursts that come again and again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

Bursts = tuple[list[tuple[float, int, int]], float]
"""As the generator takes them: seconds, length of each datagram, how many; and the period."""

DOUBLE_OVERHEAD = 12 + 2 * 16 + 2
"""What a datagram has besides its payload: RTP header, two tags, OHB and Short EKT Field."""

_OPUS_PAYLOADS = (80, 114, 95, 160, 102, 127, 88, 141, 119, 133)
_OPUS_INTERVAL = 0.02

_FRAME_INTERVAL = 1 / 30
_KEYFRAME, _KEYFRAME_INTERVAL = 20, 60
_FRAMES = (8, 11, 14, 17, 9, 12, 15, 10)
_LENGTHS = (1200, 1184, 1192, 1168, 1196)


@dataclass(frozen=True, slots=True)
class Traffic:
    """One stream's pattern.

    Attributes:
        bursts: seconds from the beginning, length of each datagram, how many at once.
        period: seconds after which it begins anew.
    """

    bursts: tuple[tuple[float, int, int], ...]
    period: float

    @property
    def rate(self) -> float:
        """Packets a second."""
        return sum(count for _, _, count in self.bursts) / self.period

    @property
    def interval(self) -> float:
        """Seconds from one burst to the next, on average."""
        return self.period / len(self.bursts)

    def at(self, rate: float) -> Traffic:
        """The same bursts, so close that they make so many packets a second."""
        factor = self.rate / rate
        bursts = tuple((at * factor, length, count) for at, length, count in self.bursts)
        return Traffic(bursts, self.period * factor)

    def as_bursts(self) -> Bursts:
        """As the generator takes it."""
        return list(self.bursts), self.period


def speech() -> Traffic:
    """Like Opus: 50 packets a second of 80 to 160 bytes."""
    bursts = (
        (number * _OPUS_INTERVAL, payload + DOUBLE_OVERHEAD, 1)
        for number, payload in enumerate(_OPUS_PAYLOADS)
    )
    return Traffic(tuple(bursts), len(_OPUS_PAYLOADS) * _OPUS_INTERVAL)


def video() -> Traffic:
    """30 pictures a second of 8 to 17 packets, every 60th a keyframe of 20.

    The packets of a picture are of one length, up to 1,200 bytes, as encoders make them.
    """
    counts = [_KEYFRAME, *itertools.islice(itertools.cycle(_FRAMES), _KEYFRAME_INTERVAL - 1)]
    bursts = (
        (number * _FRAME_INTERVAL, length, count)
        for number, (count, length) in enumerate(zip(counts, itertools.cycle(_LENGTHS)))
    )
    return Traffic(tuple(bursts), _KEYFRAME_INTERVAL * _FRAME_INTERVAL)
