"""The file: VP8 and Opus in Matroska, written so that a kill loses next to nothing.

A cluster is written out every `CLUSTER_MS`, and every packet goes to the operating system at once.
Until it is closed, the file has no length and no index; players read it all the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av import AudioFrame, VideoFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.recorder.audio import RATE

CLUSTER_MS = 250
MILLISECONDS = Fraction(1, 1000)
KEY_FRAME_INTERVAL = 60
"""Pictures from one key frame to the next, at the most: what a player has to decode to seek."""

_VIDEO_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "qmax": "52"}
_PRIVATE = 0o600  # what was end-to-end encrypted is for its owner alone


class OutputError(HalfkeyError):
    """The recording can't be written any further; the message is one line that says why."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while writing into an `OutputError`."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path}: can't be written any further ({reason})") from error


def claim(path: Path, *, overwrite: bool) -> BinaryIO:
    """Makes the file, or opens the one that is to be written over, which stays as it is for now.

    Raises:
        ConfigurationError: it exists, or can't be made or written.
    """
    flags = os.O_RDWR | os.O_CREAT | (0 if overwrite else os.O_EXCL)
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{path}: not a file; give the name of a new one")
        return os.fdopen(os.open(path, flags, _PRIVATE), "r+b", buffering=0)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path}: there is such a file already; name another one, or add --overwrite"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path}: can't be written ({error.strerror}); name another file"
        ) from error


class MatroskaFile:
    """A file that is being written; streams are added first, then it is started.

    Args:
        path: its name, for messages.
        file: the file as `claim` gave it; closed by `close`.

    Raises:
        OutputError: by all methods.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        options = {"cluster_time_limit": str(CLUSTER_MS), "flush_packets": "1"}
        with writing(path):
            file.seek(0)
            file.truncate()
            self._container: OutputContainer = av.open(file, "w", "matroska", options=options)

    def add_video(self, width: int, height: int, rate: int, bit_rate: int) -> VideoStream:
        """Adds a VP8 stream whose frames' timestamps are milliseconds."""
        stream = self._container.add_stream("libvpx", rate=rate, options=dict(_VIDEO_OPTIONS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = bit_rate
        stream.codec_context.gop_size = KEY_FRAME_INTERVAL
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = MILLISECONDS
        return stream

    def add_audio(self, bit_rate: int) -> AudioStream:
        """Adds an Opus stream whose frames have `BLOCK` pairs of samples each."""
        stream = self._container.add_stream("libopus", rate=RATE, layout="stereo")
        stream.bit_rate = bit_rate
        return stream

    def start(self) -> None:
        """Writes the header: from now on the file is valid."""
        with writing(self.path):
            self._container.start_encoding()

    def write_picture(self, stream: VideoStream, frame: VideoFrame, milliseconds: int) -> None:
        """Encodes a picture and writes it out."""
        frame.pts, frame.time_base = milliseconds, MILLISECONDS
        with writing(self.path):
            self._container.mux(stream.encode(frame))

    def write_sound(self, stream: AudioStream, frame: AudioFrame) -> None:
        """Encodes a block of sound and writes it out."""
        frame.time_base = Fraction(1, RATE)
        with writing(self.path):
            self._container.mux(stream.encode(frame))

    def close(self) -> None:
        """Writes what the encoders still hold, the length and the index, and closes the file."""
        try:
            with writing(self.path):
                for video in self._container.streams.video:
                    self._container.mux(video.encode(None))
                for audio in self._container.streams.audio:
                    self._container.mux(audio.encode(None))
                self._container.close()
                os.fsync(self._file.fileno())
        finally:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            self._file.close()

    def abandon(self) -> None:
        """Closes the file as it is, after a failure."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()
        self._file.close()
