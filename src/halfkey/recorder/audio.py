"""Sound as samples: where each block lies, the mix, and how loud it is.

All sound is interleaved stereo of signed 16 bits at 48 kHz, which is what the Opus decoder gives.
A position counts pairs of samples from the start of the recording.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable
from operator import add, mul

from av import AudioFrame

RATE = 48_000
CHANNELS = 2
BLOCK = 960
"""Pairs of samples that are written at once: 20 ms, one Opus frame."""

SILENCE = -100.0
"""dBFS of nothing at all."""

_SEAM = 96  # pairs of samples (2 ms) by which rounding may part blocks that belong together
_LONGEST_WAIT = 10 * RATE
_PEAK = 32767
_EVERY = 8  # of the samples, one in so many is looked at for loudness


def samples_of(frame: object) -> array[int] | None:
    """The samples of a decoded frame; None if it isn't sound as above."""
    if not isinstance(frame, AudioFrame):
        return None
    stereo = len(frame.layout.channels) == CHANNELS
    if frame.format.name != "s16" or not stereo or frame.sample_rate != RATE:
        return None
    return array("h", bytes(frame.planes[0])[: 2 * CHANNELS * frame.samples])


def frame_of(samples: array[int], position: int) -> AudioFrame:
    """A frame to encode."""
    frame = AudioFrame(format="s16", layout="stereo", samples=len(samples) // CHANNELS)
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate = RATE
    frame.pts = position
    return frame


def silence() -> array[int]:
    """A block of nothing."""
    return array("h", bytes(2 * CHANNELS * BLOCK))


class Line:
    """The sound of one source, laid out in time and taken from the front."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, array[int]]] = deque()
        self._taken = 0
        self._end = 0

    @property
    def empty(self) -> bool:
        """Whether all that was put has been taken."""
        return not self._blocks

    def put(self, position: int, samples: array[int]) -> int:
        """Lays samples out; what would cover earlier ones, or comes too late, is left out.

        Returns:
            How many pairs of samples were left out.
        """
        if abs(position - self._end) <= _SEAM:
            position = self._end
        if position > self._taken + _LONGEST_WAIT:
            return len(samples) // CHANNELS
        dropped = min(max(0, max(self._end, self._taken) - position), len(samples) // CHANNELS)
        samples = samples[dropped * CHANNELS :]
        if samples:
            self._blocks.append((position + dropped, samples))
            self._end = position + dropped + len(samples) // CHANNELS
        return dropped

    def take(self, position: int, count: int) -> array[int] | None:
        """The pairs of samples from `position` on, silence where there are none; None if all are.

        Positions only grow from call to call.
        """
        self._taken = position + count
        taken: array[int] | None = None
        while self._blocks and self._blocks[0][0] < self._taken:
            start, samples = self._blocks.popleft()
            if taken is None:
                if start == position and len(samples) == CHANNELS * count:
                    return samples
                taken = array("h", bytes(2 * CHANNELS * count))
            skipped = max(0, position - start)
            rest = samples[CHANNELS * skipped :]
            at = start + skipped - position
            fitting = min(len(rest), CHANNELS * (count - at))
            taken[CHANNELS * at : CHANNELS * at + fitting] = rest[:fitting]
            if fitting < len(rest):
                self._blocks.appendleft((self._taken, rest[fitting:]))
        return taken


def mix(parts: Iterable[array[int]]) -> array[int] | None:
    """The sum of blocks of one length, held to what 16 bits can say; None of none."""
    several = list(parts)
    if len(several) < 2:
        return several[0] if several else None
    total = list(map(add, several[0], several[1]))
    for part in several[2:]:
        total = list(map(add, total, part))
    if max(total) > _PEAK or min(total) < -_PEAK:
        total = [max(-_PEAK, min(_PEAK, value)) for value in total]
    return array("h", total)


def loudness(samples: array[int]) -> float:
    """How loud a block is, in dBFS: 0 is a square wave at full scale."""
    some = samples[::_EVERY]
    energy = sum(map(mul, some, some)) / max(1, len(some))
    return 10 * math.log10(energy / _PEAK**2) if energy else SILENCE
