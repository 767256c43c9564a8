"""`what-they-saw.png`: each camera as the participants saw it, and as the Media Distributor did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_BACKGROUND = (17, 20, 26)
_INK = (236, 239, 244)
_FAINT = (146, 155, 170)
_TRUSTED = (88, 196, 132)
_UNTRUSTED = (235, 104, 96)
_MARGIN = 28
_GAP = 12
_LABEL_WIDTH = 96
_HEADER = 96
_COLUMN_TITLE = 34
_FOOTER = 44
_RATIO = 9 / 16


@dataclass(frozen=True, slots=True)
class View:
    """One column of the picture.

    Attributes:
        title: whose eyes these are.
        note: a word about them, for example ``"left at 7 s"``; may be empty.
        pictures: by sender, an image file (of a participant).
        payloads: by sender, payload bytes (of the Media Distributor).
    """

    title: str
    note: str
    pictures: Mapping[str, Path]
    payloads: Mapping[str, bytes]
    trusted: bool = True


def draw(path: Path, senders: Sequence[str], views: Sequence[View]) -> None:
    """Draws a table, a row for each sender and a column for each view, and saves it as PNG."""
    tile_width = max(112, min(300, 1500 // len(views)))
    tile_height = round(tile_width * _RATIO)
    width = 2 * _MARGIN + _LABEL_WIDTH + len(views) * (tile_width + _GAP)
    height = _HEADER + _COLUMN_TITLE + len(senders) * (tile_height + _GAP) + _FOOTER + _MARGIN
    image = Image.new("RGB", (width, height), _BACKGROUND)
    pen = ImageDraw.Draw(image)
    pen.text((_MARGIN, 20), "What they saw", _INK, _font(30))
    pen.text(
        (_MARGIN, 60),
        "Each row is one camera. Each column is who received it, in the same conference.",
        _FAINT,
        _font(15),
    )
    for row, sender in enumerate(senders):
        top = _HEADER + _COLUMN_TITLE + row * (tile_height + _GAP)
        pen.text((_MARGIN, top + tile_height // 2 - 9), sender, _INK, _font(16))
    for column, view in enumerate(views):
        left = _MARGIN + _LABEL_WIDTH + column * (tile_width + _GAP)
        _column(image, view, senders, left, (tile_width, tile_height))
    pen.text(
        (_MARGIN, height - _FOOTER - 4),
        "The Media Distributor's column is drawn from the payload bytes that it held after opening "
        "its own layer: a byte is a shade of grey.",
        _FAINT,
        _font(13),
    )
    image.save(path)


def _column(
    image: Image.Image, view: View, senders: Sequence[str], left: int, size: tuple[int, int]
) -> None:
    pen = ImageDraw.Draw(image)
    colour = _TRUSTED if view.trusted else _UNTRUSTED
    pen.text((left, _HEADER), view.title, colour, _font(16))
    if view.note:
        pen.text((left, _HEADER + 18), view.note, _FAINT, _font(11))
    for row, sender in enumerate(senders):
        top = _HEADER + _COLUMN_TITLE + row * (size[1] + _GAP)
        box = (left, top, left + size[0], top + size[1])
        if sender in view.pictures:
            with Image.open(view.pictures[sender]) as picture:
                image.paste(_fit(picture.convert("RGB"), size), (left, top))
        elif sender in view.payloads:
            image.paste(_noise(view.payloads[sender], size), (left, top))
        else:
            pen.rectangle(box, outline=(48, 54, 66))
            text = "own camera" if sender == view.title else "nothing"
            pen.text((left + 10, top + size[1] // 2 - 8), text, _FAINT, _font(12))
        if not view.trusted:
            pen.rectangle(box, outline=_UNTRUSTED)


def _fit(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scales a picture into a tile without bending its proportions."""
    tile = Image.new("RGB", size, (0, 0, 0))
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    tile.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return tile


def _noise(payload: bytes, size: tuple[int, int]) -> Image.Image:
    """Payload bytes as grey dots, row by row; the tile is as wide as its bytes allow."""
    columns = 64
    rows = max(1, round(columns * size[1] / size[0]))
    available = payload[: columns * rows].ljust(columns * rows, b"\0")
    return (
        Image.frombytes("L", (columns, rows), available)
        .convert("RGB")
        .resize(size, Image.Resampling.NEAREST)
    )


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
