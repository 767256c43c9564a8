"""What an Endpoint sends: the test picture and tone, or a file; and a look at what it receives.

The tracks are aiortc's `MediaStreamTrack`s, paced in real time. Where the machine can't keep up
they leave frames out and never send late ones in a burst.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import stat
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame
from PIL import Image

from halfkey.endpoint.picture import Picture
from halfkey.errors import ConfigurationError

SAMPLE_RATE = 48_000
SAMPLES = 960  # 20 ms
VIDEO_CLOCK = 90_000

_AMPLITUDE = 0.08
_ROUNDING = 0.005  # seconds that a file's timestamps may be early
_LOWEST_TONE, _TONE_STEP = 250, 50


@dataclass(frozen=True, slots=True)
class VideoShape:
    """How large and how often pictures are sent.

    Attributes:
        width: pixels, even.
        height: pixels, even.
        frame_rate: pictures a second.
    """

    width: int = 320
    height: int = 180
    frame_rate: int = 15


def tone_of(index: int) -> int:
    """The frequency of the participant with this number, in Hz.

    All are multiples of 50, so that 20 ms hold whole periods and one block serves for ever.
    """
    return _LOWEST_TONE + _TONE_STEP * (index % 24)


class _Pacer:
    """Says when each frame of a steady rate is due; skips what can't be had in time."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._start: float | None = None
        self._next = 0

    async def due(self) -> int:
        """Waits for the next frame's time and gives its number, counted from the start."""
        now = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = now
        late = (now - self._start) / self._interval - self._next
        if late > 1:
            self._next += int(late)
        number = self._next
        self._next += 1
        await asyncio.sleep(max(0.0, self._start + number * self._interval - now))
        return number


class PictureTrack(MediaStreamTrack):
    """The test picture of a participant; see `halfkey.endpoint.picture`."""

    kind = "video"

    def __init__(self, name: str, index: int, shape: VideoShape | None = None) -> None:
        super().__init__()
        shape = shape or VideoShape()
        self._picture = Picture(name, index, shape.width, shape.height)
        self._pacer = _Pacer(1 / shape.frame_rate)
        self._ticks = VIDEO_CLOCK // shape.frame_rate

    async def recv(self) -> VideoFrame:
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        number = await self._pacer.due()
        frame = self._picture.frame(number, datetime.now())
        frame.pts = number * self._ticks
        frame.time_base = Fraction(1, VIDEO_CLOCK)
        return frame


class ToneTrack(MediaStreamTrack):
    """A soft sine tone of one frequency, in frames of 20 ms."""

    kind = "audio"

    def __init__(self, frequency: int) -> None:
        super().__init__()
        peak = _AMPLITUDE * 32767
        step = 2 * math.pi * frequency / SAMPLE_RATE
        samples = (round(peak * math.sin(step * number)) for number in range(SAMPLES))
        self._block = array("h", samples).tobytes()
        self._pacer = _Pacer(SAMPLES / SAMPLE_RATE)

    async def recv(self) -> AudioFrame:
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        number = await self._pacer.due()
        # Mono: aiortc works out the audio level in Python, sample by sample.
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(self._block)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = number * SAMPLES
        frame.time_base = Fraction(1, SAMPLE_RATE)
        return frame


class FileMedia:
    """A media file, played again and again; `tracks` are those that it has.

    aiortc's own looping starts the picture's timestamps anew each time, so each round is a player
    of its own here, and its frames are moved behind those of the round before.

    Args:
        path: a file in any format that PyAV decodes.
        shape: pictures are scaled down to fit, and left out beyond its rate.

    Raises:
        ConfigurationError: the file can't be read, or nothing in it can be decoded.
    """

    def __init__(self, path: Path, shape: VideoShape | None = None) -> None:
        self._path = path
        kinds, self.duration = probe(path)
        self._rounds: dict[int, MediaPlayer] = {}
        self._started: float | None = None
        shape = shape or VideoShape()
        made: dict[str, Callable[[], MediaStreamTrack]] = {
            "audio": lambda: _FileAudio(self),
            "video": lambda: _FileVideo(self, shape),
        }
        self.tracks = tuple(make() for kind, make in made.items() if kind in kinds)

    def source(self, kind: str, number: int) -> tuple[int, MediaStreamTrack]:
        """The track of this kind in round `number` of playing the file, or in the latest round.

        So a track that nobody reads for a while joins the other one, and the file is open at most
        twice. A round that one track has ended alone is closed and of no use to the other.

        Returns:
            The number of the round, and the track.
        """
        number = max((number, *self._rounds))
        if number not in self._rounds:
            self._rounds[number] = MediaPlayer(str(self._path))
            for old in [old for old in self._rounds if old < number - 1]:
                _close(self._rounds.pop(old))
        player = self._rounds[number]
        track = player.audio if kind == "audio" else player.video
        if track is None:  # the file was changed while it was played
            raise MediaStreamError
        return number, track

    async def due(self, seconds: float) -> None:
        """Waits until `seconds` after the first frame of either track."""
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now - seconds
        await asyncio.sleep(max(0.0, self._started + seconds - now))


def _close(player: MediaPlayer) -> None:
    for track in (player.audio, player.video):
        if track is not None:
            track.stop()


class _FileTrack(MediaStreamTrack):
    """Reads one track of a file, round after round."""

    def __init__(self, media: FileMedia) -> None:
        super().__init__()
        self._media = media
        self._round = 0
        self._source: MediaStreamTrack | None = None  # taken when the track is first read

    async def _next(self) -> tuple[AudioFrame | VideoFrame, float]:
        """The next frame and its time in seconds from the very start."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            if self._source is None:
                self._round, self._source = self._media.source(self.kind, 0)
            frame = await self._source.recv()
        except MediaStreamError:
            self._round, self._source = self._media.source(self.kind, self._round + 1)
            frame = await self._source.recv()
        if not isinstance(frame, AudioFrame | VideoFrame):
            raise MediaStreamError
        seconds = self._round * self._media.duration + (frame.time or 0.0)
        await self._media.due(seconds)
        return frame, seconds

    def stop(self) -> None:
        """Ends the track and closes the file."""
        super().stop()
        if self._source is not None:
            self._source.stop()


class _FileAudio(_FileTrack):
    kind = "audio"

    def __init__(self, media: FileMedia) -> None:
        super().__init__(media)
        self._samples = 0

    async def recv(self) -> AudioFrame:
        frame, _ = await self._next()
        if not isinstance(frame, AudioFrame):
            raise MediaStreamError
        frame.pts = self._samples
        frame.time_base = Fraction(1, SAMPLE_RATE)
        self._samples += frame.samples
        return frame


class _FileVideo(_FileTrack):
    kind = "video"

    def __init__(self, media: FileMedia, shape: VideoShape) -> None:
        super().__init__(media)
        self._shape = shape
        self._next_due = 0.0

    async def recv(self) -> VideoFrame:
        interval = 1 / self._shape.frame_rate
        while True:
            frame, seconds = await self._next()
            if seconds >= self._next_due - _ROUNDING:
                break
        if not isinstance(frame, VideoFrame):
            raise MediaStreamError
        self._next_due = max(self._next_due + interval, seconds)
        width, height = fitted(frame.width, frame.height, self._shape)
        frame = frame.reformat(width=width, height=height, format="yuv420p")
        frame.pts = round(seconds * VIDEO_CLOCK)
        frame.time_base = Fraction(1, VIDEO_CLOCK)
        return frame


def fitted(width: int, height: int, shape: VideoShape) -> tuple[int, int]:
    """A picture's size scaled down to fit the shape, in even numbers; never scaled up."""
    factor = min(1.0, shape.width / width, shape.height / height)
    return max(2, int(width * factor) & ~1), max(2, int(height * factor) & ~1)


def probe(path: Path) -> tuple[set[str], float]:
    """Which kinds of media the file has, and how long it is in seconds.

    Raises:
        ConfigurationError: it is no file that can be read, or nothing in it can be decoded.
    """
    wanted = "give a media file such as MP4 or WebM"
    fault = _fault_of(path)
    if fault:
        raise ConfigurationError(f"{path}: {fault}; {wanted}")
    kinds: set[str] = set()
    try:
        with av.open(str(path)) as container:
            for stream in (*container.streams.audio[:1], *container.streams.video[:1]):
                if next(container.decode(stream), None) is not None:
                    kinds.add(stream.type)
                container.seek(0)
            duration = (container.duration or 0) / av.time_base
    except (OSError, ValueError) as error:  # FFmpegError is one or the other
        reason = getattr(error, "strerror", None) or "it can't be decoded"
        raise ConfigurationError(f"{path}: {reason}; {wanted}") from error
    if not kinds:
        raise ConfigurationError(f"{path}: no audio or video stream that can be decoded; {wanted}")
    return kinds, max(duration, 1 / 50)


def _fault_of(path: Path) -> str:
    """What is wrong with a path that should be a file; empty if nothing is."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        return getattr(error, "strerror", None) or "that is no path"
    if stat.S_ISDIR(mode):
        return "that is a folder"
    return "" if stat.S_ISREG(mode) else "that is no regular file"


def frequency_of(frame: AudioFrame) -> float:
    """The frequency of a frame that holds one tone, in Hz, from its first channel; 0 for silence.

    Args:
        frame: interleaved or mono, s16.
    """
    channels = len(frame.layout.channels)
    samples = array("h", bytes(frame.planes[0])[: 2 * channels * frame.samples])[::channels]
    rises = [
        number + before / (before - after)
        for number, (before, after) in enumerate(itertools.pairwise(samples))
        if before < 0 <= after
    ]
    if len(rises) < 2:
        return 0.0
    return (len(rises) - 1) * frame.sample_rate / (rises[-1] - rises[0])


def image_of(frame: VideoFrame) -> Image.Image:
    """A picture in RGB, to look at or to save."""
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    return image
