"""Each source by itself, under its person's name: the layout for cutting and transcribing.

Who will come isn't known when a file's header is written, so that each source goes to a file of its
own, in a folder beside. At the end they become one. After a kill the folder is left, with files
that each are whole; their timestamps count from the start of the recording.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av import VideoFrame
from av.audio.stream import AudioStream

from halfkey.errors import ConfigurationError
from halfkey.recorder.audio import frame_of, silence
from halfkey.recorder.canvas import Canvas
from halfkey.recorder.finishing import Part, finish
from halfkey.recorder.grid import Box, fitted
from halfkey.recorder.matroska import MatroskaFile, OutputError, claim
from halfkey.recorder.scene import Person
from halfkey.recorder.speaker import NamedChapter
from halfkey.recorder.timeline import Heard, Source

PART_LIMIT = 256
"""How many sources one recording has, at the most; further ones are left out."""

VIDEO_BIT_RATE = 800_000
AUDIO_BIT_RATE = 64_000

_FRAME_RATE = 15  # what the encoder plans with; pictures are written as they came
_BLACK = (0, 0, 0)
_LEAST, _MOST = 640, 1920  # pixels of the longer side: what begins small may grow


@dataclass(slots=True)
class _Sound:
    file: MatroskaFile
    stream: AudioStream


class _Video:
    """A source's pictures, all of one size: later ones of another shape are fitted into it."""

    def __init__(self, file: MatroskaFile, first: VideoFrame) -> None:
        self.file = file
        side = max(_LEAST, min(_MOST, max(first.width, first.height)))
        whole = fitted(first.width, first.height, Box(0, 0, side, side))
        width, height = max(16, whole.width), max(16, whole.height)
        self._box = Box(0, 0, width, height)
        self._canvas = Canvas(width, height, _BLACK)
        self._stream = file.add_video(width, height, _FRAME_RATE, VIDEO_BIT_RATE)
        self._size = first.width, first.height
        self._last = -1
        file.start()

    def write(self, at: float, frame: VideoFrame) -> None:
        if (frame.width, frame.height) != self._size:
            self._size = frame.width, frame.height
            self._canvas.fill(self._box, _BLACK)
        self._canvas.put(frame, fitted(*self._size, self._box))
        milliseconds = round(at * 1000)
        if milliseconds > self._last:
            self._last = milliseconds
            self.file.write_picture(self._stream, self._canvas.frame(), milliseconds)


@dataclass(slots=True)
class _Written:
    """One file of the folder."""

    path: Path
    participant_id: str
    name: str


class Tracks:
    """Writes the files of the sources, and joins them.

    Args:
        out: the name of the file that they become.
        overwrite: whether one that is there may be written over.

    Raises:
        ConfigurationError: it can't be written.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = out
        self._folder = out.with_name(f"{out.name}.tracks")
        if not overwrite and out.exists():
            claim(out, overwrite=False)
        _make_folder(self._folder, overwrite=overwrite)
        self._written: list[_Written] = []
        self._present: set[str] = set()
        self._sounds: dict[int, _Sound] = {}
        self._videos: dict[int, tuple[str, _Video]] = {}
        self.skipped = 0

    def start(self) -> None:
        """Nothing is written before somebody comes."""

    def people(self, people: Sequence[Person]) -> None:
        """Ends the pictures of those who left, and notes new names."""
        names = {person.participant_id: person.name for person in people}
        self._present = set(names)
        for written in self._written:
            written.name = names.get(written.participant_id, written.name)
        for ssrc, (who, video) in list(self._videos.items()):
            if who not in names:
                del self._videos[ssrc]
                video.file.close()

    def speaking(self, participant_id: str | None) -> None:
        """Nobody sees it here."""

    def sound(self, position: int, heard: Heard) -> None:
        """Writes everybody's block, silence where there is nothing, so that there are no holes."""
        for ssrc, (source, samples) in heard.items():
            sound = self._sounds.get(ssrc)
            if sound is None:
                file = None if samples is None else self._part(source)
                if file is None:
                    continue
                sound = self._sounds[ssrc] = _Sound(file, file.add_audio(AUDIO_BIT_RATE))
                file.start()
            sound.file.write_sound(sound.stream, frame_of(samples or silence(), position))
        for ssrc in [ssrc for ssrc in self._sounds if ssrc not in heard]:
            self._sounds.pop(ssrc).file.close()

    def picture(self, source: Source, at: float, frame: VideoFrame) -> None:
        """Writes a picture."""
        if at < 0 or source.participant_id not in self._present:
            return
        _, video = self._videos.get(source.ssrc, (None, None))
        if video is None:
            file = self._part(source)
            if file is None:
                self.skipped += 1
                return
            video = _Video(file, frame)
            self._videos[source.ssrc] = source.participant_id, video
        video.write(at, frame)

    def advance(self, until: float, behind: float) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Ends all files; a folder that stayed empty goes."""
        for file in self._open_files():
            file.close()
        if not self._written:
            self._folder.rmdir()

    def abandon(self) -> None:
        """Lets go of all files."""
        for file in self._open_files():
            file.abandon()

    def finish(self, chapters: Sequence[NamedChapter], title: str) -> None:
        """Joins the files into one, and removes them."""
        if not self._written:
            raise OutputError(f"{self._out}: not written, since nobody sent anything")
        parts = [Part(written.path, written.name) for written in self._written]
        finish(parts, self._out, chapters, title)
        for written in self._written:
            written.path.unlink()
        self._folder.rmdir()

    def _open_files(self) -> list[MatroskaFile]:
        files = [sound.file for sound in self._sounds.values()]
        files += [video.file for _, video in self._videos.values()]
        self._sounds, self._videos = {}, {}
        return files

    def _part(self, source: Source) -> MatroskaFile | None:
        """A file for a source that has none; None if there are too many."""
        if len(self._written) >= PART_LIMIT:
            return None
        plain = re.sub(r"[^\w.-]+", "-", source.name)[:40].strip("-.") or "nameless"
        path = self._folder / f"{len(self._written) + 1:02}-{plain}-{source.kind}.mkv"
        try:
            file = MatroskaFile(path, claim(path, overwrite=False))
        except ConfigurationError as error:
            raise OutputError(str(error)) from error
        self._written.append(_Written(path, source.participant_id, source.name))
        return file


def _make_folder(folder: Path, *, overwrite: bool) -> None:
    try:
        if overwrite and folder.is_dir():
            for left in folder.glob("*.mkv"):
                left.unlink()
            with contextlib.suppress(OSError):
                folder.rmdir()
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{folder}: left by a recording that didn't end well; move it away, or add --overwrite"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: the folder can't be made ({error.strerror}); name another file"
        ) from error
