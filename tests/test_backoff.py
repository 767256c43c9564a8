"""Pauses between attempts double up to a bound, and begin anew after a success."""

from __future__ import annotations

from halfkey.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(0.5, 3.0)
    assert backoff.is_fresh
    assert [backoff.next_pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert not backoff.is_fresh
    backoff.reset()
    assert backoff.is_fresh
    assert [backoff.next_pause() for _ in range(2)] == [0.5, 1.0]
