"""The composed picture: everybody in a grid, names below, who speaks in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from av import VideoFrame
from PIL import Image, ImageDraw, ImageFont

from halfkey.recorder.canvas import Canvas, Colour
from halfkey.recorder.grid import Box, Tile, fitted, tiles

WIDTH, HEIGHT = 1280, 720

_BACKGROUND: Colour = (17, 20, 26)
_EMPTY_TILE: Colour = (33, 38, 48)
_INK: Colour = (236, 239, 244)
_FAINT: Colour = (146, 155, 170)
_SPEAKING: Colour = (88, 196, 132)
_DISCS: tuple[Colour, ...] = (
    (86, 120, 190),
    (170, 104, 160),
    (78, 146, 140),
    (188, 124, 80),
    (120, 112, 190),
    (150, 140, 72),
)
_RING = 4
_LONGEST = 100  # letters: more don't fit anyway
_NOBODY = "Nobody else is here"


@dataclass(frozen=True, slots=True)
class Person:
    """Who has a tile.

    Attributes:
        participant_id: the participant's id.
        name: the display name.
    """

    participant_id: str
    name: str


class Scene:
    """The picture as it stands.

    Args:
        width: pixels, even.
        height: pixels, even.
    """

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._size = width, height
        self._canvas = Canvas(width, height, _BACKGROUND)
        self._people: tuple[Person, ...] = ()
        self._places: dict[str, Tile] = {}
        self._shown: dict[str, tuple[int, int]] = {}
        self._speaking: str | None = None
        self._draw_all()

    def seat(self, people: Sequence[Person]) -> bool:
        """Gives everybody a tile, without a picture as yet.

        Returns:
            Whether anything changed.
        """
        if tuple(people) == self._people:
            return False
        self._people = tuple(people)
        self._draw_all()
        return True

    def show(self, participant_id: str, frame: VideoFrame) -> None:
        """Puts a picture into its tile."""
        tile = self._places.get(participant_id)
        if tile is None:
            return
        size = frame.width, frame.height
        place = fitted(*size, tile.picture)
        if self._shown.get(participant_id) != size:
            self._canvas.fill(tile.picture, _EMPTY_TILE)
            self._shown[participant_id] = size
        self._canvas.put(frame, place)

    def speaking(self, participant_id: str | None) -> None:
        """Frames who speaks."""
        if participant_id != self._speaking:
            previous, self._speaking = self._speaking, participant_id
            for person in (previous, participant_id):
                if person in self._places:
                    self._draw_frame(person, self._places[person].picture)

    def frame(self) -> VideoFrame:
        """The picture as of now, in yuv420p."""
        return self._canvas.frame()

    def _draw_all(self) -> None:
        self._canvas.fill(Box(0, 0, *self._size), _BACKGROUND)
        self._shown = {}
        identifiers = [person.participant_id for person in self._people]
        self._places = dict(zip(identifiers, tiles(len(identifiers), *self._size), strict=True))
        for index, person in enumerate(self._people):
            tile = self._places[person.participant_id]
            self._draw_placeholder(index, tile.picture)
            self._draw_label(person.name, tile.label)
            self._draw_frame(person.participant_id, tile.picture)
        if not self._people:
            width, height = self._size
            box = Box(0, height // 2 - 40, width, 80)
            self._draw_text(_NOBODY, box, 28, _FAINT)

    def _draw_placeholder(self, index: int, box: Box) -> None:
        """A disc with the first letter, for who sends no picture."""
        image = Image.new("RGB", (2 * box.width, 2 * box.height), _EMPTY_TILE)
        pen = ImageDraw.Draw(image)
        radius, middle = round(box.height * 0.5), (box.width, box.height)
        ends = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        pen.ellipse(ends, _DISCS[index % len(_DISCS)])
        letter = self._people[index].name.strip()[:1].upper() or "?"
        pen.text(middle, letter, _INK, _font(round(radius * 0.95)), anchor="mm")
        smooth = image.resize((box.width, box.height), Image.Resampling.LANCZOS)
        self._canvas.draw(smooth, box.left, box.top)

    def _draw_label(self, name: str, box: Box) -> None:
        self._draw_text(name, box, round(box.height * 0.58), _INK)

    def _draw_text(self, text: str, box: Box, size: int, colour: Colour) -> None:
        image = Image.new("RGB", (box.width, box.height), _BACKGROUND)
        pen, font = ImageDraw.Draw(image), _font(size)
        shown = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])
        while shown and pen.textlength(shown, font) > box.width - 8:
            shown = shown[:-2].rstrip() + "…" if len(shown) > 2 else ""
        pen.text((box.width / 2, box.height / 2), shown, colour, font, anchor="mm")
        self._canvas.draw(image, box.left, box.top)

    def _draw_frame(self, participant_id: str, box: Box) -> None:
        """A line around the picture, in the background's colour for who doesn't speak."""
        colour = _SPEAKING if participant_id == self._speaking else _BACKGROUND
        outer_width, outer_height = box.width + 2 * _RING, box.height + 2 * _RING
        left, top = box.left - _RING, box.top - _RING
        for bar in (
            Box(left, top, outer_width, _RING),
            Box(left, box.top + box.height, outer_width, _RING),
            Box(left, top, _RING, outer_height),
            Box(box.left + box.width, top, _RING, outer_height),
        ):
            self._canvas.fill(bar, colour)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font that has more of the world's letters if the system has one; else Pillow's own."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)
