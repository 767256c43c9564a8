"""How often all events are read anew while that doesn't help, and once it did."""

from __future__ import annotations

from itertools import pairwise

from halfkey.endpoint.rereading import Rereading


def read_at(rereading: Rereading, begin: int, end: int) -> list[int]:
    """The seconds at which it is due, of a change each second."""
    return [second for second in range(begin, end) if rereading.is_due(second)]


def test_readings_that_do_not_help_come_ever_more_seldom() -> None:
    at = read_at(Rereading(), 0, 500)
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == [6, 11, 21, 41] + [81] * 5


def test_one_that_helped_makes_the_next_come_soon_again() -> None:
    rereading = Rereading()
    read_at(rereading, 0, 100)
    rereading.helped()
    at = read_at(rereading, 1000, 1020)
    assert at == [1000, 1006, 1017]


def test_help_does_not_undo_the_spacing_itself() -> None:
    rereading = Rereading()
    assert rereading.is_due(0)
    rereading.helped()
    assert not rereading.is_due(4)
    assert rereading.is_due(6)
