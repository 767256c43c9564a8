"""The test picture: a participant's name, large, and a running clock.

All but the clock is drawn once. A frame costs one line of text on a dark band and a copy of the
luma plane; the band has no colour, so the two chroma planes never change.
"""

from __future__ import annotations

import colorsys
import math
from datetime import datetime

from av import VideoFrame
from PIL import Image, ImageDraw, ImageFont

_BLACK, _WHITE = 16, 235  # luma of limited-range video
_BAND_LUMA, _SWEEP_LUMA, _FAINT_LUMA = 30, 180, 150
_BAND_SHARE = 0.24
_HUES = 12
_CHARACTERS = "0123456789:."


class Picture:
    """Draws one participant's frames.

    Args:
        name: what stands on the picture.
        index: chooses the colour; twelve in a row are told apart easily.
        width: pixels, even.
        height: pixels, even.
    """

    def __init__(self, name: str, index: int, width: int, height: int) -> None:
        self._size = width, height
        self._band_top = height - round(height * _BAND_SHARE)
        drawing = _still(name, index, width, height, self._band_top)
        still = VideoFrame(width, height, "rgb24")
        still.planes[0].update(_padded(drawing.tobytes(), 3 * width, still.planes[0].line_size))
        still = still.reformat(format="yuv420p")
        luma, self._blue, self._red = (_rows(still, number) for number in range(3))
        chroma_top = self._band_top // 2 * (width // 2)
        self._blue = self._blue[:chroma_top].ljust(len(self._blue), b"\x80")
        self._red = self._red[:chroma_top].ljust(len(self._red), b"\x80")
        self._luma = luma[: self._band_top * width]
        height -= self._band_top
        self._clock = _Glyphs(round(height * 0.60), _WHITE)
        self._number = _Glyphs(round(height * 0.34), _FAINT_LUMA)

    def frame(self, number: int, clock: datetime) -> VideoFrame:
        """The frame with this number and time of day, in yuv420p."""
        width, height = self._size
        frame = VideoFrame(width, height, "yuv420p")
        _fill(frame, 0, self._luma + self._band(number, clock).tobytes(), width)
        _fill(frame, 1, self._blue, width // 2)
        _fill(frame, 2, self._red, width // 2)
        return frame

    def _band(self, number: int, clock: datetime) -> Image.Image:
        width, height = self._size[0], self._size[1] - self._band_top
        band = Image.new("L", (width, height), _BAND_LUMA)
        pen = ImageDraw.Draw(band)
        sweep = round(width * clock.microsecond / 1_000_000)
        pen.rectangle((0, 0, sweep, max(1, height // 16)), _SWEEP_LUMA)
        margin = round(height * 0.35)
        text = f"{clock:%H:%M:%S}.{clock.microsecond // 1000:03}"
        self._clock.write(band, text, margin, round(height * 0.54))
        self._number.write(band, str(number), width - margin, round(height * 0.56), right=True)
        return band


class _Glyphs:
    """Digits drawn once, to be set at equal distances so that the clock doesn't tremble."""

    def __init__(self, size: int, luma: int) -> None:
        font = ImageFont.load_default(size)
        widest = max(math.ceil(font.getlength(digit)) for digit in "0123456789")
        self._images: dict[str, Image.Image] = {}
        for character in _CHARACTERS:
            width = widest if character.isdigit() else widest // 2
            image = Image.new("L", (width, size), _BAND_LUMA)
            pen = ImageDraw.Draw(image)
            pen.text((width / 2, size / 2), character, luma, font, anchor="mm")
            self._images[character] = image

    def write(
        self, band: Image.Image, text: str, left: int, middle: int, *, right: bool = False
    ) -> None:
        images = [self._images[character] for character in text]
        if right:
            left -= sum(image.width for image in images)
        for image in images:
            band.paste(image, (left, middle - image.height // 2))
            left += image.width


def _still(name: str, index: int, width: int, height: int, band_top: int) -> Image.Image:
    """A gradient in the participant's colour with the name in the middle of it."""
    hue = (index % _HUES * 5 % _HUES) / _HUES  # neighbours in number are far apart in colour
    image = Image.new("RGB", (1, 2))
    for row, (saturation, value) in enumerate(((0.62, 0.80), (0.78, 0.42))):
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        image.putpixel((0, row), (round(red * 255), round(green * 255), round(blue * 255)))
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    size = round(height * 0.34)
    while size > 8 and pen.textlength(name, ImageFont.load_default(size)) > width * 0.88:
        size -= 1
    font = ImageFont.load_default(size)
    middle = width / 2, band_top / 2
    shade = max(1, height // 90)
    pen.text((middle[0] + shade, middle[1] + shade), name, (20, 20, 30), font, anchor="mm")
    pen.text(middle, name, (255, 255, 255), font, anchor="mm")
    return image


def _rows(frame: VideoFrame, number: int) -> bytes:
    """A plane's bytes without what pads its lines."""
    plane = frame.planes[number]
    data = bytes(plane)
    if plane.line_size == plane.width:
        return data[: plane.width * plane.height]
    return b"".join(
        data[row * plane.line_size : row * plane.line_size + plane.width]
        for row in range(plane.height)
    )


def _fill(frame: VideoFrame, number: int, rows: bytes, width: int) -> None:
    plane = frame.planes[number]
    plane.update(_padded(rows, width, plane.line_size).ljust(plane.buffer_size, b"\0"))


def _padded(rows: bytes, width: int, line_size: int) -> bytes:
    """Lines of `width` bytes, each padded to `line_size`."""
    if line_size == width:
        return rows
    lines = (rows[start : start + width] for start in range(0, len(rows), width))
    return b"".join(line.ljust(line_size, b"\0") for line in lines)
