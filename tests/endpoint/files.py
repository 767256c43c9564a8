"""Media files made by the tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av import VideoFrame

from halfkey.endpoint.media import ToneTrack


async def write_movie(
    path: Path, seconds: float = 1.0, size: tuple[int, int] = (640, 480), tone: int = 400
) -> None:
    """An MP4 of `seconds` with a tone and pictures, 25 a second, that grow lighter."""
    track = ToneTrack(tone)
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48000)
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        for _ in range(round(seconds * 50)):
            container.mux(audio.encode(await track.recv()))
        for number in range(round(seconds * 25)):
            frame = VideoFrame(*size, "yuv420p")
            for plane, value in zip(frame.planes, (16 + 8 * number, 128, 128), strict=True):
                plane.update(bytes([min(value, 235)]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
