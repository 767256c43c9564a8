"""A recording under way: takes frames as they come, and writes them in the order of time.

It has no thread and no clock: `now` and all arrivals come in, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from av import VideoFrame

from halfkey.recorder.audio import BLOCK, RATE, loudness
from halfkey.recorder.layout import Layout
from halfkey.recorder.scene import Person
from halfkey.recorder.speaker import Floor, NamedChapter
from halfkey.recorder.timeline import Heard, Source, Timeline

DELAY = 0.35
"""Seconds for which frames are waited for, before what belongs to their time is written."""

_WAITING = 512  # pictures of all sources that wait for their time

NAME_LIMIT = 4096
"""How many participants' names are remembered for the chapters."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A recording's counters.

    Attributes:
        seconds: how much has been written.
        people: how many are there.
        skipped: pictures left out because the machine couldn't keep up.
        late: seconds of sound that came too late for their place.
        speaker: the name of who has the floor, None before anybody spoke.
    """

    seconds: float
    people: int
    skipped: int
    late: float
    speaker: str | None


class Recording:
    """Brings timeline, floor and layout together.

    Args:
        layout: what writes the file; any method here may raise its `OutputError`.
        start: the recording's beginning.
        title: the conference's name.
    """

    def __init__(self, layout: Layout, start: float, title: str) -> None:
        self._layout = layout
        self._timeline = Timeline(start)
        self._floor = Floor()
        self._start = start
        self._title = title
        self._names: dict[str, str] = {}
        self._changes: deque[tuple[float, list[Person]]] = deque()
        self._pictures: deque[tuple[Source, float, VideoFrame]] = deque(maxlen=_WAITING)
        self._seconds = 0.0
        layout.start()

    # What comes in

    def add(self, source: Source, now: float) -> None:
        """A source came."""
        self._timeline.add(source)
        if len(self._names) < NAME_LIMIT or source.participant_id in self._names:
            self._names[source.participant_id] = source.name
        self._attendance_changed(now)

    def remove(self, ssrc: int, now: float) -> None:
        """A source went."""
        self._timeline.remove(ssrc)
        self._attendance_changed(now)

    def rename(self, participant_id: str, name: str, now: float) -> None:
        """A participant has another name."""
        if self._timeline.rename(participant_id, name):
            self._names[participant_id] = name
            self._attendance_changed(now)

    def _attendance_changed(self, now: float) -> None:
        # Whoever leaves is heard and seen up to then, which isn't written yet.
        self._changes.append((now - self._start, self._timeline.people()))

    def reported(self, ssrc: int, ntp: float, timestamp: float) -> None:
        """A sender report came; see `StreamClock.reported`."""
        self._timeline.reported(ssrc, ntp, timestamp)

    def sound(self, ssrc: int, frame: object, timestamp: float, arrival: float) -> None:
        """Decoded sound came."""
        self._timeline.sound(ssrc, frame, timestamp, arrival)

    def picture(self, ssrc: int, frame: object, timestamp: float, arrival: float) -> None:
        """A decoded picture came."""
        placed = self._timeline.picture(ssrc, frame, timestamp, arrival)
        if placed is not None:
            self._pictures.append(placed)

    # What goes out

    def advance(self, now: float) -> None:
        """Writes what belongs to times longer ago than `DELAY`."""
        self._write(now - DELAY - self._start)

    def _write(self, until: float) -> None:
        for position, heard in self._timeline.blocks(until):
            end = (position + BLOCK) / RATE
            while self._changes and self._changes[0][0] <= end:
                self._layout.people(self._changes.popleft()[1])
            self._show(end)
            if self._floor.heard(end, _loudness(heard)):
                self._layout.speaking(self._floor.speaker)
            self._layout.sound(position, heard)
            self._layout.advance(end, until - end)
            self._seconds = end

    def _show(self, until: float) -> None:
        """Hands on the pictures whose time has come, in the order in which they came."""
        for _ in range(len(self._pictures)):
            source, at, frame = self._pictures.popleft()
            if at <= until:
                self._layout.picture(source, at, frame)
            else:
                self._pictures.append((source, at, frame))

    def close(self, now: float) -> None:
        """Writes all that has come, and ends the file."""
        self._write(now - self._start)
        self._layout.close()

    def abandon(self) -> None:
        """Ends after a failure to write."""
        self._layout.abandon()

    def finish(self) -> None:
        """Adds chapters; after `close`."""
        self._layout.finish(self.chapters(), self._title)

    def chapters(self) -> list[NamedChapter]:
        """Who had the floor when, up to now."""
        return [
            NamedChapter(chapter.start, chapter.end, self._names.get(chapter.person, "unknown"))
            for chapter in self._floor.chapters(self._seconds)
        ]

    def progress(self) -> Progress:
        """The counters as of now."""
        speaker = self._floor.speaker
        return Progress(
            seconds=self._seconds,
            people=len(self._timeline.people()),
            skipped=self._layout.skipped,
            late=self._timeline.late / RATE,
            speaker=None if speaker is None else self._names.get(speaker, "unknown"),
        )


def _loudness(heard: Heard) -> dict[str, float]:
    """How loud each person is; who has several sources is as loud as the loudest."""
    sounds: dict[str, float] = {}
    for source, samples in heard.values():
        if samples is not None:
            level = loudness(samples)
            sounds[source.participant_id] = max(level, sounds.get(source.participant_id, level))
    return sounds
