"""Lines of sound, and their mix."""

from __future__ import annotations

from array import array

import pytest

from halfkey.recorder.audio import (
    BLOCK,
    RATE,
    SILENCE,
    Line,
    frame_of,
    loudness,
    mix,
    samples_of,
    silence,
)
from tests.recorder.helpers import picture, sound, tone


def pairs(*values: int) -> array[int]:
    return array("h", [value for value in values for _ in range(2)])


def test_blocks_that_follow_each_other_come_out_as_they_went_in() -> None:
    line = Line()
    whole = tone(440, 0, 5 * BLOCK)
    for number in range(5):
        line.put(number * BLOCK + number % 3, tone(440, number * BLOCK))  # rounding is no gap
    taken = [line.take(number * BLOCK, BLOCK) for number in range(5)]
    assert b"".join(part.tobytes() for part in taken if part is not None) == whole.tobytes()
    assert line.empty


def test_blocks_are_cut_where_they_lie_across_two() -> None:
    line = Line()
    line.put(1000, pairs(*range(1, 201)))
    first, second = line.take(950, 100), line.take(1050, 200)
    assert first == pairs(*[0] * 50, *range(1, 51))
    assert second == pairs(*range(51, 201), *[0] * 50)
    assert line.take(1250, 100) is None


def test_a_gap_is_silence_and_an_overlap_is_left_out() -> None:
    line = Line()
    assert line.put(0, pairs(*[5] * 200)) == 0
    assert line.put(100, pairs(*[7] * 200)) == 100
    assert line.put(500, pairs(*[9] * 100)) == 0
    taken = line.take(0, 600)
    assert taken == pairs(*[5] * 200, *[7] * 100, *[0] * 200, *[9] * 100)


def test_what_comes_too_late_is_counted() -> None:
    line = Line()
    line.put(0, silence())
    line.take(0, BLOCK)
    line.take(BLOCK, BLOCK)
    assert line.put(BLOCK, tone(440)) == BLOCK
    assert line.take(2 * BLOCK, BLOCK) is None


def test_far_in_the_future_nothing_is_kept() -> None:
    line = Line()
    assert line.put(3600 * RATE, silence()) == BLOCK
    assert line.empty


def test_a_mix_is_the_sum_and_never_wraps() -> None:
    assert mix([]) is None
    assert mix([pairs(3, -4)]) == pairs(3, -4)
    assert mix([pairs(3, -4), pairs(10, 20), pairs(100, 200)]) == pairs(113, 216)
    assert mix([pairs(30000, -30000), pairs(30000, -30000)]) == pairs(32767, -32767)


def test_loudness_is_in_decibels_of_full_scale() -> None:
    assert loudness(silence()) == SILENCE
    assert loudness(tone(1000, peak=32767)) == pytest.approx(-3, abs=0.3)
    assert loudness(tone(1000, peak=3277)) == pytest.approx(-23, abs=0.3)


def test_only_sound_of_the_one_kind_is_taken() -> None:
    samples = tone(300)
    assert samples_of(sound(samples)) == samples
    assert samples_of(picture((1, 2, 3))) is None
    other = sound(samples)
    other.sample_rate = 16_000
    assert samples_of(other) is None
    assert samples_of(frame_of(samples, 7)) == samples
    assert frame_of(samples, 7).pts == 7
