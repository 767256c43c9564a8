"""Frames to record, and a look at what was recorded."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av import AudioFrame, VideoFrame
from PIL import Image

from halfkey.recorder.audio import BLOCK, RATE

RGB = tuple[int, int, int]


def tone(frequency: float, start: int = 0, count: int = BLOCK, peak: int = 4000) -> array[int]:
    """Pairs of samples of a sine that never breaks, from the given position on."""
    step = 2 * math.pi * frequency / RATE
    single = [round(peak * math.sin(step * number)) for number in range(start, start + count)]
    return array("h", [value for value in single for _ in range(2)])


def sound(samples: array[int]) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="stereo", samples=len(samples) // 2)
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate = RATE
    return frame


def picture(colour: RGB, width: int = 320, height: int = 180) -> VideoFrame:
    image = Image.new("RGB", (width, height), colour)
    return VideoFrame.from_image(image).reformat(format="yuv420p")  # type: ignore[no-untyped-call]


def colour_at(frame: VideoFrame, x: int, y: int) -> RGB:
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def alike(one: RGB, other: RGB, within: int = 24) -> bool:
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def has_colour(frame: VideoFrame, colour: RGB, share: float = 0.03) -> bool:
    """Whether so large a share of the picture has about this colour."""
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    small = image.resize((160, 90), Image.Resampling.NEAREST)
    counted = small.getcolors(160 * 90)
    assert counted is not None
    found = sum(n for n, one in counted if isinstance(one, tuple) and alike(one[:3], colour))  # type: ignore[arg-type]
    return found >= share * 160 * 90


def strength(samples: array[int], frequency: float) -> float:
    """The amplitude of a sine of this frequency in one channel's samples (Goertzel)."""
    real = imaginary = 0.0
    step = 2 * math.pi * frequency / RATE
    for number, value in enumerate(samples):
        real += value * math.cos(step * number)
        imaginary += value * math.sin(step * number)
    return 2 * math.hypot(real, imaginary) / max(1, len(samples))


@dataclass
class Track:
    """A stream, decoded from its beginning to its end."""

    kind: str
    title: str | None
    pictures: list[tuple[float, VideoFrame]]
    sounds: list[tuple[float, array[int]]]

    @property
    def end(self) -> float:
        if self.kind == "video":
            return self.pictures[-1][0]
        at, samples = self.sounds[-1]
        return at + len(samples) / RATE

    def heard(self, start: float, end: float) -> array[int]:
        """The left channel between two moments."""
        found = array("h")
        for at, samples in self.sounds:
            if start <= at < end:
                found.extend(samples)
        return found

    def seen(self, at: float) -> VideoFrame:
        """The picture that stands at a moment."""
        return [frame for time, frame in self.pictures if time <= at][-1]


@dataclass
class Recorded:
    """A file, decoded."""

    tracks: list[Track]
    chapters: list[tuple[float, float, str]]
    duration: float | None

    def only(self, kind: str) -> Track:
        (track,) = [track for track in self.tracks if track.kind == kind]
        return track

    def titled(self, title: str, kind: str) -> Track:
        (track,) = [t for t in self.tracks if t.kind == kind and t.title == title]
        return track


def decoded(path: Path) -> Recorded:
    """Decodes all of a file; an error in it is raised."""
    with av.open(str(path)) as container:
        tracks = [Track(s.type, s.metadata.get("title"), [], []) for s in container.streams]
        for packet in container.demux():
            track = tracks[packet.stream.index]
            for frame in packet.decode():
                assert frame.time is not None
                if isinstance(frame, VideoFrame):
                    track.pictures.append((frame.time, frame))
                else:
                    track.sounds.append((frame.time, _left(frame)))
        chapters = [
            (
                chapter["start"] * float(chapter["time_base"] or 0),
                chapter["end"] * float(chapter["time_base"] or 0),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]
        duration = container.duration
    whole = None if duration is None else float(Fraction(duration, av.time_base))
    return Recorded(tracks, chapters, whole)


def _left(frame: object) -> array[int]:
    assert isinstance(frame, AudioFrame)
    assert frame.sample_rate == RATE
    values = array("f", bytes(frame.planes[0])[: 4 * frame.samples])
    if not frame.format.is_planar:
        values = array("f", bytes(frame.planes[0])[: 8 * frame.samples])[::2]
    return array("h", [max(-32767, min(32767, round(value * 32767))) for value in values])
