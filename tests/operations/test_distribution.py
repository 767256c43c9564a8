"""What is read from counts by size."""

from __future__ import annotations

from halfkey.operations.distribution import Distribution

FOUND = Distribution(((1.0, 5), (2.0, 4), (8.0, 1)), 20.0)


def test_quantiles_are_the_sizes_that_a_share_does_not_exceed() -> None:
    for share, size in ((0.0, 1.0), (0.5, 1.0), (0.51, 2.0), (0.9, 2.0), (0.91, 8.0), (1.0, 8.0)):
        assert FOUND.quantile(share) == size
    assert (FOUND.total, FOUND.mean) == (10, 2.0)


def test_nothing_counted_has_neither_quantile_nor_mean() -> None:
    nothing = Distribution.of({"counts": [], "sum": 0.0})
    assert (nothing.quantile(0.5), nothing.mean, nothing.total) == (None, None, 0)


def test_what_came_since_is_the_difference() -> None:
    before = Distribution.of({"counts": [[1, 5], [2, 1]], "sum": 7})
    assert FOUND.since(before) == Distribution(((2.0, 3), (8.0, 1)), 13.0)
    assert FOUND.since(FOUND).total == 0


def test_bounds_have_what_is_up_to_them() -> None:
    assert list(FOUND.cumulative((0.5, 1.0, 4.0, 8.0))) == [(0.5, 0), (1.0, 5), (4.0, 9), (8.0, 10)]
