"""One picture with everybody in it, and one sound: the layout for watching again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from av import VideoFrame

from halfkey.recorder.audio import frame_of, mix, silence
from halfkey.recorder.finishing import Part, finish
from halfkey.recorder.matroska import MatroskaFile, claim
from halfkey.recorder.scene import HEIGHT, WIDTH, Person, Scene
from halfkey.recorder.speaker import NamedChapter
from halfkey.recorder.timeline import Heard, Source

FRAME_RATE = 15
VIDEO_BIT_RATE = 1_500_000
AUDIO_BIT_RATE = 96_000

_BEHIND = 1.0  # seconds of work waiting from which on pictures are left out, so that sound isn't


class Composed:
    """Writes the composed file.

    Args:
        out: its name.
        overwrite: whether one that is there may be written over.

    Raises:
        ConfigurationError: it can't be written.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = out
        self._claimed = claim(out, overwrite=overwrite)
        self._fresh = out.stat().st_size == 0
        self._file: MatroskaFile | None = None
        self._scene = Scene()
        self._came: dict[str, VideoFrame] = {}
        self._latest: dict[str, VideoFrame] = {}
        self._tick = 0
        self.skipped = 0

    def start(self) -> None:
        """Writes the header."""
        self._file = file = MatroskaFile(self._out, self._claimed)
        self._video = file.add_video(WIDTH, HEIGHT, FRAME_RATE, VIDEO_BIT_RATE)
        self._audio = file.add_audio(AUDIO_BIT_RATE)
        file.start()

    def people(self, people: Sequence[Person]) -> None:
        """Arranges the grid anew."""
        present = {person.participant_id for person in people}
        self._latest = {who: frame for who, frame in self._latest.items() if who in present}
        if self._scene.seat(people):
            for who, frame in self._latest.items():
                self._scene.show(who, frame)

    def speaking(self, participant_id: str | None) -> None:
        """Frames who speaks."""
        self._scene.speaking(participant_id)

    def sound(self, position: int, heard: Heard) -> None:
        """Mixes and writes a block."""
        mixed = mix(samples for _, samples in heard.values() if samples is not None)
        if self._file is not None:
            self._file.write_sound(self._audio, frame_of(mixed or silence(), position))

    def picture(self, source: Source, at: float, frame: VideoFrame) -> None:
        """Keeps a picture until the next is drawn."""
        self._came[source.participant_id] = frame

    def advance(self, until: float, behind: float) -> None:
        """Draws and writes the pictures whose time has come."""
        # A picture stands for the time half a picture before and after it.
        while (self._tick + 0.5) / FRAME_RATE <= until:
            if behind > _BEHIND:
                self.skipped += 1
            else:
                self._draw(self._tick)
            self._tick += 1

    def _draw(self, tick: int) -> None:
        came, self._came = self._came, {}
        for who, frame in came.items():
            self._latest[who] = frame
            self._scene.show(who, frame)
        if self._file is not None:
            milliseconds = round(tick * 1000 / FRAME_RATE)
            self._file.write_picture(self._video, self._scene.frame(), milliseconds)

    def close(self) -> None:
        """Ends the file; one that was never begun goes, unless something was there before."""
        if self._file is not None:
            self._file.close()
            return
        self._claimed.close()
        if self._fresh:
            self._out.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.abandon()

    def finish(self, chapters: Sequence[NamedChapter], title: str) -> None:
        """Adds the chapters."""
        finish([Part(self._out)], self._out, chapters, title)
