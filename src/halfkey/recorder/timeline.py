"""Everybody's sources on one clock: sound in blocks of 20 ms, pictures in order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from av import VideoFrame

from halfkey.recorder.audio import BLOCK, RATE, Line, samples_of
from halfkey.recorder.clock import PersonClock, StreamClock
from halfkey.recorder.scene import Person

SOURCE_LIMIT = 128
"""How many sources are recorded at once: far more than an Endpoint has slots."""

PICTURE_SIDES = range(16, 4097)
"""Pixels that a picture's sides may have; others aren't recorded."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of a participant.

    Attributes:
        ssrc: its SSRC.
        participant_id: whose it is.
        name: the display name.
        kind: ``"audio"`` or ``"video"``.
    """

    ssrc: int
    participant_id: str
    name: str
    kind: str


Heard = dict[int, tuple[Source, "array[int] | None"]]
"""A block's samples by SSRC, of all sources of sound that are there; None of those silent."""


@dataclass(slots=True)
class _Attendee:
    """A participant with at least one source."""

    name: str
    clock: PersonClock = field(default_factory=PersonClock)
    sources: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Flow:
    """A source and its clock."""

    source: Source
    clock: StreamClock


class Timeline:
    """The recording's time, and what belongs where in it.

    Args:
        start: the recording's beginning, in seconds of the clock of all arrivals.

    Attributes:
        late: pairs of samples that came too late for their place.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._people: dict[str, _Attendee] = {}
        self._flows: dict[int, _Flow] = {}
        self._lines: dict[int, tuple[Source, Line]] = {}
        self._ended: set[int] = set()
        self._blocks = 0
        self.late = 0

    def people(self) -> list[Person]:
        """Who is there, in the order in which they came."""
        return [Person(identifier, person.name) for identifier, person in self._people.items()]

    def add(self, source: Source) -> None:
        """A source came, or began anew."""
        self.remove(source.ssrc)
        if len(self._flows) >= SOURCE_LIMIT:
            return
        person = self._people.setdefault(source.participant_id, _Attendee(source.name))
        person.sources.add(source.ssrc)
        self._flows[source.ssrc] = _Flow(source, person.clock.stream())
        if source.kind == "audio":
            self._ended.discard(source.ssrc)
            _, line = self._lines.get(source.ssrc, (source, Line()))
            self._lines[source.ssrc] = (source, line)

    def remove(self, ssrc: int) -> None:
        """A source went; what came of it before stays."""
        flow = self._flows.pop(ssrc, None)
        if flow is None:
            return
        identifier = flow.source.participant_id
        person = self._people[identifier]
        person.clock.end(flow.clock)
        person.sources.discard(ssrc)
        if not person.sources:
            del self._people[identifier]
        if ssrc in self._lines:
            self._ended.add(ssrc)

    def rename(self, participant_id: str, name: str) -> bool:
        """Gives a participant another name; whether it is another one."""
        person = self._people.get(participant_id)
        if person is None or person.name == name:
            return False
        person.name = name
        return True

    def reported(self, ssrc: int, ntp: float, timestamp: float) -> None:
        """Takes a sender report; see `StreamClock.reported`."""
        flow = self._flows.get(ssrc)
        if flow is not None:
            flow.clock.reported(ntp, timestamp)

    def sound(self, ssrc: int, frame: object, timestamp: float, arrival: float) -> None:
        """Takes decoded sound; anything else is passed over."""
        flow, line = self._flows.get(ssrc), self._lines.get(ssrc)
        samples = samples_of(frame)
        if flow is not None and line is not None and samples is not None:
            at = flow.clock.place(timestamp, arrival) - self._start
            self.late += line[1].put(round(at * RATE), samples)

    def picture(
        self, ssrc: int, frame: object, timestamp: float, arrival: float
    ) -> tuple[Source, float, VideoFrame] | None:
        """Takes a decoded picture; gives it back with its place in seconds from the start."""
        flow = self._flows.get(ssrc)
        if flow is None or not isinstance(frame, VideoFrame):
            return None
        if frame.width not in PICTURE_SIDES or frame.height not in PICTURE_SIDES:
            return None
        return flow.source, flow.clock.place(timestamp, arrival) - self._start, frame

    def blocks(self, until: float) -> Iterator[tuple[int, Heard]]:
        """The blocks of sound that end by `until`, each with its position and what is heard."""
        while (self._blocks + 1) * BLOCK <= until * RATE:
            position = self._blocks * BLOCK
            self._blocks += 1
            heard: Heard = {}
            for ssrc, (source, line) in list(self._lines.items()):
                samples = line.take(position, BLOCK)
                if samples is None and ssrc in self._ended and line.empty:
                    del self._lines[ssrc]
                    self._ended.discard(ssrc)
                else:
                    heard[ssrc] = (source, samples)
            yield position, heard
