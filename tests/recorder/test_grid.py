"""The grid's geometry."""

from __future__ import annotations

import pytest

from halfkey.recorder.grid import RATIO, Box, fitted, tiles


def boxes(count: int) -> list[Box]:
    return [box for tile in tiles(count, 1280, 720) for box in (tile.picture, tile.label)]


@pytest.mark.parametrize("count", range(1, 65))
def test_everybody_has_a_place_of_their_own_within_the_picture(count: int) -> None:
    placed = boxes(count)
    assert len(placed) == 2 * count
    for box in placed:
        assert not any(value % 2 for value in (box.left, box.top, box.width, box.height))
        assert 0 <= box.left < box.left + box.width <= 1280
        assert 0 <= box.top < box.top + box.height <= 720
    for number, one in enumerate(placed):
        for other in placed[number + 1 :]:
            assert (
                one.left + one.width <= other.left
                or other.left + other.width <= one.left
                or one.top + one.height <= other.top
                or other.top + other.height <= one.top
            )


def test_tiles_are_of_one_size_and_shape() -> None:
    for count in range(1, 33):
        pictures = [tile.picture for tile in tiles(count, 1280, 720)]
        assert len({(box.width, box.height) for box in pictures}) == 1
        assert pictures[0].width / pictures[0].height == pytest.approx(RATIO, rel=0.03)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (9, 3)])
def test_columns_are_as_many_as_make_the_pictures_largest(count: int, columns: int) -> None:
    top = tiles(count, 1280, 720)[0].picture.top
    assert sum(tile.picture.top == top for tile in tiles(count, 1280, 720)) == columns


def test_nobody_needs_no_tile() -> None:
    assert tiles(0, 1280, 720) == []


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (180, 320), (1, 4000), (4000, 1)])
def test_a_picture_is_fitted_without_bending_it(size: tuple[int, int]) -> None:
    box = Box(100, 50, 400, 224)
    place = fitted(*size, box)
    assert box.left <= place.left
    assert place.left + place.width <= box.left + box.width
    assert box.top <= place.top
    assert place.top + place.height <= box.top + box.height
    assert place.width >= box.width - 4 or place.height >= box.height - 4
    if 0.1 < size[0] / size[1] < 10:
        assert place.width / place.height == pytest.approx(size[0] / size[1], rel=0.05)
