"""When a decoded frame belongs in the recording.

Within one stream, RTP timestamps say how far frames are apart; when the first one happened is told
by its arrival. The least delay seen over the last seconds stands for the way itself, and what is
above it is jitter. A sender's clock that runs fast or slow moves that least delay, so drift is
followed too.

Between the streams of one person, sender reports name one moment by the person's clock and by each
stream's timestamps (RFC 3550 section 6.4.1). Reports are protected hop by hop only, so that a
Media Distributor may say anything in them: they move a stream by `MAXIMUM_SKEW` at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 5.0
"""Seconds; the least delay is that of the last one to two windows."""

STEP = 0.02
"""Seconds that a stream's place may be off before it is put right, in one step."""

LATE = 0.3
"""Seconds behind its place at which a frame is late."""

PATIENCE = 0.5
"""Seconds of nothing but late frames after which the way itself has become longer."""

MAXIMUM_SKEW = 0.5
"""Seconds by which a sender report may move a stream against its arrivals."""


@dataclass(slots=True)
class _LeastDelay:
    """The least of `arrival - timestamp`, over the last one to two windows."""

    current: float = float("inf")
    previous: float = float("inf")
    began_at: float = float("-inf")

    def note(self, delay: float, arrival: float) -> None:
        if arrival - self.began_at >= WINDOW:
            self.previous, self.current = self.current, float("inf")
            self.began_at = arrival
        self.current = min(self.current, delay)

    def restart(self, delay: float, arrival: float) -> None:
        self.previous, self.current, self.began_at = float("inf"), delay, arrival

    @property
    def value(self) -> float:
        return min(self.current, self.previous)


@dataclass(slots=True)
class StreamClock:
    """One stream's place in the recording; made by `PersonClock.stream`."""

    person: PersonClock
    _least: _LeastDelay = field(default_factory=_LeastDelay)
    _sender_time: float | None = None
    _anchor: float | None = None
    _late_since: float | None = None

    def reported(self, ntp: float, timestamp: float) -> None:
        """Takes a sender report.

        Args:
            ntp: seconds of the sender's wall clock.
            timestamp: the same moment in seconds of the stream's own timestamps.
        """
        self._sender_time = ntp - timestamp

    def place(self, timestamp: float, arrival: float) -> float:
        """When the frame belongs in the recording, in seconds of the arrivals' clock.

        Args:
            timestamp: seconds of the stream's own timestamps.
            arrival: when it came.
        """
        self._least.note(arrival - timestamp, arrival)
        wanted = self._wanted()
        if self._anchor is None or abs(wanted - self._anchor) > STEP:
            self._anchor = wanted
        if arrival - (timestamp + self._anchor) <= LATE:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = arrival
        elif arrival - self._late_since >= PATIENCE:
            self._late_since = None
            self._least.restart(arrival - timestamp, arrival)
            self._anchor = self._wanted()
        return timestamp + self._anchor

    def _wanted(self) -> float:
        least, way = self._least.value, self.person.way()
        if self._sender_time is None or way is None:
            return least
        by_report = way + self._sender_time
        return by_report if abs(by_report - least) <= MAXIMUM_SKEW else least

    @property
    def way(self) -> float | None:
        """The least delay by the sender's wall clock, None while either isn't known."""
        if self._sender_time is None or self._least.value == float("inf"):
            return None
        return self._least.value - self._sender_time


class PersonClock:
    """What one person's streams have in common: the wall clock of their sender."""

    def __init__(self) -> None:
        self._streams: list[StreamClock] = []

    def stream(self) -> StreamClock:
        """The clock of a further stream."""
        clock = StreamClock(self)
        self._streams.append(clock)
        return clock

    def end(self, clock: StreamClock) -> None:
        """Forgets a stream."""
        self._streams.remove(clock)

    def way(self) -> float | None:
        """The least delay of any stream by the sender's wall clock; None until all report.

        While one of them doesn't report, nothing would be gained by moving the others.
        """
        ways = [stream.way for stream in self._streams]
        known = [way for way in ways if way is not None]
        return min(known) if len(known) == len(ways) and known else None
