"""Where frames are placed, on virtual time."""

from __future__ import annotations

import itertools

import pytest

from halfkey.recorder.clock import LATE, MAXIMUM_SKEW, PATIENCE, STEP, PersonClock, StreamClock

JITTER = itertools.cycle([0.0, 0.013, 0.004, 0.031, 0.002, 0.019])


def run(
    clock: StreamClock, seconds: float, *, begin: float = 0.0, way: float = 0.05, rate: float = 1.0
) -> list[float]:
    """Places frames every 20 ms; gives by how much each is off from when it was made."""
    off = []
    for number in range(int(seconds / 0.02)):
        made = begin + 0.02 * number
        placed = clock.place(made * rate, made + way + next(JITTER))
        off.append(placed - made)
    return off


def test_jitter_does_not_move_what_is_placed() -> None:
    off = run(PersonClock().stream(), 20)
    settled = off[10:]
    assert max(settled) - min(settled) <= 1e-9
    assert settled[0] == pytest.approx(0.05, abs=STEP)


@pytest.mark.parametrize("rate", [1.0002, 0.9998])
def test_a_clock_that_runs_wrong_is_followed(rate: float) -> None:
    """200 ppm, for twenty minutes: uncorrected it would be off by 240 ms."""
    off = run(PersonClock().stream(), 1200, rate=rate)
    assert all(abs(value - 0.05) <= 2 * STEP for value in off[10:])
    assert abs(1200 * rate - 1200) > 0.2


def test_a_longer_way_is_taken_as_such_after_a_while() -> None:
    clock = PersonClock().stream()
    run(clock, 10)
    off = run(clock, 5, begin=10, way=0.05 + 2 * LATE)
    assert off[0] == pytest.approx(0.05, abs=STEP), "one late frame may be a stall"
    assert off[int((PATIENCE + 0.1) / 0.02)] == pytest.approx(0.05 + 2 * LATE, abs=2 * STEP)


def test_a_burst_after_a_stall_moves_nothing() -> None:
    clock = PersonClock().stream()
    run(clock, 10)
    for number in range(40):
        made = 10 + 0.02 * number
        assert clock.place(made, 10.85) - made == pytest.approx(0.05, abs=STEP)
    assert run(clock, 1, begin=10.85)[-1] == pytest.approx(0.05, abs=STEP)


def test_timestamps_that_jump_are_followed() -> None:
    clock = PersonClock().stream()
    run(clock, 2)
    assert clock.place(5000.0, 2.05) == pytest.approx(2.05, abs=1e-6)
    for number in range(60):  # and back again
        placed = clock.place(2.1 + 0.02 * number, 2.15 + 0.02 * number)
    assert placed == pytest.approx(2.15 + 0.02 * 59, abs=STEP)


def both(*, reports: bool, claimed: float = 0.0) -> float:
    """How far a picture is from the sound of its moment; pictures come 120 ms slower."""
    person = PersonClock()
    sound, image = person.stream(), person.stream()
    for number in range(400):
        made = 0.02 * number
        if reports and number % 50 == 10:
            sound.reported(ntp=made + 9000, timestamp=made + 7)
            image.reported(ntp=made + 9000 + claimed, timestamp=made + 3)
        heard = sound.place(made + 7, made + 0.05 + next(JITTER))
        seen = image.place(made + 3, made + 0.17 + next(JITTER))
    return seen - heard


def test_sender_reports_bring_picture_and_sound_together() -> None:
    assert both(reports=False) == pytest.approx(0.12, abs=2 * STEP), "the control"
    assert both(reports=True) == pytest.approx(0, abs=STEP)


def test_a_sender_report_that_moves_a_stream_too_far_is_not_believed() -> None:
    """Reports are the Media Distributor's word."""
    for claimed in (30.0, -30.0):
        assert abs(both(reports=True, claimed=claimed)) <= 0.12 + 2 * STEP
    assert both(reports=True, claimed=0.3) == pytest.approx(0.3, abs=2 * STEP), "the control"
    assert MAXIMUM_SKEW > 0.3
