"""Where everybody's picture stands: a grid whose pictures are as large as they can be."""

from __future__ import annotations

from dataclasses import dataclass

RATIO = 16 / 9
MARGIN = 16
GAP = 14


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in even pixels, since colour has half the resolution."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tile:
    """One person's place: the picture, and the name below it."""

    picture: Box
    label: Box


def tiles(count: int, width: int, height: int) -> list[Tile]:
    """The places of `count` people, row by row; the last row stands in the middle."""
    if not count:
        return []
    columns = max(range(1, count + 1), key=lambda number: _size(count, number, width, height)[0])
    tile_width, tile_height, label = _size(count, columns, width, height)
    rows = -(-count // columns)
    whole = rows * (tile_height + label) + (rows - 1) * GAP
    top = _even((height - whole) / 2)
    placed = []
    for row in range(rows):
        present = min(columns, count - row * columns)
        left = _even((width - present * tile_width - (present - 1) * GAP) / 2)
        for column in range(present):
            x = left + column * (tile_width + GAP)
            y = top + row * (tile_height + label + GAP)
            picture = Box(x, y, tile_width, tile_height)
            placed.append(Tile(picture, Box(x, y + tile_height, tile_width, label)))
    return placed


def fitted(width: int, height: int, box: Box) -> Box:
    """Where a picture of this size goes in a box: as large as it fits, in the middle."""
    factor = min(box.width / max(1, width), box.height / max(1, height))
    inner_width = _snapped(width * factor, box.width)
    inner_height = _snapped(height * factor, box.height)
    left = box.left + _even((box.width - inner_width) / 2)
    return Box(left, box.top + _even((box.height - inner_height) / 2), inner_width, inner_height)


def _size(count: int, columns: int, width: int, height: int) -> tuple[int, int, int]:
    """A tile's width and height and its label's height with so many columns."""
    rows = -(-count // columns)
    room_width = (width - 2 * MARGIN - (columns - 1) * GAP) / columns
    room_height = (height - 2 * MARGIN - (rows - 1) * GAP) / rows
    label = max(22, min(40, _even(room_height * 0.13)))
    tile_width = _even(min(room_width, (room_height - label) * RATIO))
    return tile_width, _even(tile_width / RATIO), label


def _snapped(length: float, most: int) -> int:
    """An even length; one that is all but the whole is the whole."""
    return most if most - length < 4 else max(2, _even(length + 1))


def _even(value: float) -> int:
    return int(value) & ~1
