"""What a layout is: the part of the recorder that decides which tracks the file has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from av import VideoFrame

from halfkey.recorder.scene import Person
from halfkey.recorder.speaker import NamedChapter
from halfkey.recorder.timeline import Heard, Source


class Layout(Protocol):
    """Writes what the timeline gives, in the order of time; any method may raise `OutputError`."""

    skipped: int
    """Pictures left out because the machine couldn't keep up."""

    def start(self) -> None:
        """Writes the file's beginning."""

    def people(self, people: Sequence[Person]) -> None:
        """Who is there has changed."""

    def speaking(self, participant_id: str | None) -> None:
        """Someone else has the floor."""

    def sound(self, position: int, heard: Heard) -> None:
        """Takes the next block of sound."""

    def picture(self, source: Source, at: float, frame: VideoFrame) -> None:
        """Takes a picture and its place, in seconds from the start."""

    def advance(self, until: float, behind: float) -> None:
        """All sound and pictures up to then are here; `behind` seconds more wait to be written."""

    def close(self) -> None:
        """Ends writing; what was written is whole."""

    def abandon(self) -> None:
        """Ends writing after a failure; what was written until then stays."""

    def finish(self, chapters: Sequence[NamedChapter], title: str) -> None:
        """Adds what is known only now."""
