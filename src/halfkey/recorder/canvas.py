"""A picture kept as three planes of 8 bits (yuv420p), on which only what changed is drawn."""

from __future__ import annotations

from av import VideoFrame
from PIL import Image

from halfkey.recorder.grid import Box

Colour = tuple[int, int, int]


class Canvas:
    """The picture as it stands.

    Args:
        width: pixels, even.
        height: pixels, even.
        background: what it is filled with at first.
    """

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self._size = width, height
        self._planes = _planes_of(Image.new("RGB", self._size, background))

    def fill(self, box: Box, colour: Colour) -> None:
        """Fills a box."""
        for number, plane in enumerate(_planes_of(Image.new("RGB", (2, 2), colour))):
            part = 1 if number == 0 else 2
            left, top = box.left // part, box.top // part
            right, bottom = left + box.width // part, top + box.height // part
            self._planes[number].paste(plane.tobytes()[0], (left, top, right, bottom))

    def draw(self, image: Image.Image, left: int, top: int) -> None:
        """Puts a drawing in RGB, of even width and height, at an even place."""
        self._paste(_planes_of(image), left, top)

    def put(self, frame: VideoFrame, box: Box) -> None:
        """Scales a video frame into a box, whatever that does to its proportions."""
        scaled = frame.reformat(
            width=box.width, height=box.height, format="yuv420p", interpolation="BILINEAR"
        )
        self._paste([_plane(scaled, number) for number in range(3)], box.left, box.top)

    def frame(self) -> VideoFrame:
        """The picture as of now, in yuv420p."""
        frame = VideoFrame(*self._size, "yuv420p")
        for plane, image in zip(frame.planes, self._planes, strict=True):
            rows = image.tobytes()
            if plane.line_size != image.width:
                lines = (rows[n : n + image.width] for n in range(0, len(rows), image.width))
                rows = b"".join(line.ljust(plane.line_size, b"\0") for line in lines)
            plane.update(rows.ljust(plane.buffer_size, b"\0"))
        return frame

    def _paste(self, planes: list[Image.Image], left: int, top: int) -> None:
        for number, plane in enumerate(planes):
            part = 1 if number == 0 else 2
            self._planes[number].paste(plane, (left // part, top // part))


def _planes_of(image: Image.Image) -> list[Image.Image]:
    """A drawing's three planes, in limited-range yuv420p."""
    frame = VideoFrame.from_image(image).reformat(format="yuv420p")  # type: ignore[no-untyped-call]
    return [_plane(frame, number).copy() for number in range(3)]


def _plane(frame: VideoFrame, number: int) -> Image.Image:
    """A plane as a picture in grey, without a copy; valid as long as the frame is."""
    plane = frame.planes[number]
    size = plane.width, plane.height
    return Image.frombuffer("L", size, plane, "raw", "L", plane.line_size, 1)  # type: ignore[arg-type]
