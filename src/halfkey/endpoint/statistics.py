"""What an Endpoint counts about the packets it sends and receives.

A failure "end to end" is a packet that the Media Distributor's hop vouched for and that the
end-to-end layer refused. Around a rekey some are expected, since senders and receivers get the new
EKTKey at different moments; they are counted apart. The window of a rekey opens `LEAD` seconds
before this Endpoint learns of it (another may have been told earlier) and closes `TAIL` seconds
after it did: the 250 ms of the overlap, and a second for packets under way.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from halfkey.ekt.outbound import OVERLAP

LEAD = 2.0
TAIL = OVERLAP + 1.0

MISSED_AFTER = 3.0
"""Seconds of packets under an unknown EKTKey until we take it that the key passed us by: those who
are given it at the same time as the sender have it within one."""

STREAM_LIMIT = 1024
"""How many remote SSRCs are counted apart."""

_RECENT = 512


@dataclass(frozen=True, slots=True)
class Position:
    """Where a packet stands among those of its SSRC; both numbers wrap.

    Attributes:
        sequence_number: SEQ as the sender made it, which alone wraps within minutes.
        timestamp: of RTP; packets of one frame share it.
    """

    sequence_number: int
    timestamp: int

    def is_after(self, other: Position) -> bool:
        """Whether it was made later than another, of less than 2^31 ticks away."""
        if self.timestamp != other.timestamp:
            return (self.timestamp - other.timestamp) % (1 << 32) < 1 << 31
        ahead = (self.sequence_number - other.sequence_number) % (1 << 16)
        return 0 < ahead < 1 << 15


def newer(one: Position | None, other: Position) -> Position:
    """The later one of two; None stands for no packet yet."""
    return other if one is None or other.is_after(one) else one


@dataclass(slots=True)
class ReceivedStream:
    """One remote SSRC.

    Attributes:
        ssrc: which.
        packets: opened end to end.
        bytes: of those, as they came off the wire.
        before_key: packets that came before any key of this SSRC had.
        e2e_failures: packets refused end to end, outside a rekey.
        e2e_failures_during_rekey: likewise, within the window of a rekey.
        ekt_spi: the EKTKey that the master key of its latest packet came under; None before one.
        ekt_epoch: the epoch of that key.
        last_opened_at: when a packet was opened last, in seconds of the monotonic clock.
        newest_opened: the latest packet, by the sender's count, that was opened.
    """

    ssrc: int
    packets: int = 0
    bytes: int = 0
    before_key: int = 0
    e2e_failures: int = 0
    e2e_failures_during_rekey: int = 0
    ekt_spi: int | None = None
    ekt_epoch: int = 0
    last_opened_at: float | None = None
    newest_opened: Position | None = None
    _window_end: float = float("-inf")
    _is_interrupted: bool = False
    _has_resumed: bool = False
    _unknown_spi: tuple[float, float] | None = None  # refusals in a row: the first, the latest
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT), repr=False)

    def failed(self, now: float, *, for_want_of_a_key: bool) -> None:
        """Counts a packet that was refused end to end."""
        self._is_interrupted = True
        if for_want_of_a_key and not self.packets:
            self.before_key += 1
        elif now < self._window_end:
            self.e2e_failures_during_rekey += 1
        else:
            self.e2e_failures += 1
            self._recent.append(now)

    @property
    def has_resumed(self) -> bool:
        """Whether the packet opened last came after others that were refused end to end."""
        return self._has_resumed

    def missed_ekt_key(self, now: float) -> bool:
        """Notes a packet under an unknown EKTKey.

        Returns:
            Whether nothing else has come for `MISSED_AFTER` seconds; true once in that time.
        """
        first, latest = self._unknown_spi or (now, now)
        if now - latest > MISSED_AFTER:
            first = now
        is_missed = now - first >= MISSED_AFTER
        self._unknown_spi = (now if is_missed else first, now)
        return is_missed

    def opened(self, size: int, now: float) -> None:
        """Counts a packet that opened end to end."""
        self.packets += 1
        self.bytes += size
        self.last_opened_at = now
        self._unknown_spi = None
        self._has_resumed, self._is_interrupted = self._is_interrupted, False

    def rekeyed(self, now: float) -> None:
        """Opens the window of a rekey, a little into the past as well."""
        self._window_end = max(self._window_end, now + TAIL)
        expected = sum(1 for at in self._recent if at >= now - LEAD)
        self.e2e_failures -= expected
        self.e2e_failures_during_rekey += expected
        self._recent.clear()


@dataclass(slots=True)
class Statistics:
    """One Endpoint's counters.

    Attributes:
        sent: packets sealed and sent, by own SSRC.
        newest_sealed: the latest packet of each own SSRC.
        unsent: packets that could not be sealed, by reason.
        packets_received: SRTP packets that arrived.
        packets_opened: those of them that opened end to end.
        last_received_at: when one arrived last, in seconds of the monotonic clock.
        last_opened_at: when one was opened last.
        rejections: packets of any kind refused, by reason; the set of reasons is fixed.
        streams: by remote SSRC.
    """

    sent: Counter[int] = field(default_factory=Counter)
    newest_sealed: dict[int, Position] = field(default_factory=dict)
    unsent: Counter[str] = field(default_factory=Counter)
    packets_received: int = 0
    packets_opened: int = 0
    last_received_at: float | None = None
    last_opened_at: float | None = None
    rejections: Counter[str] = field(default_factory=Counter)
    streams: dict[int, ReceivedStream] = field(default_factory=dict)

    def stream(self, ssrc: int) -> ReceivedStream:
        """The counters of an SSRC that the roster names or that has proved itself end to end.

        Beyond the limit the counters are thrown away, so that they don't grow with a hostile
        roster.
        """
        found = self.streams.get(ssrc)
        if found is None:
            found = ReceivedStream(ssrc)
            if len(self.streams) < STREAM_LIMIT:
                self.streams[ssrc] = found
        return found

    def opened(self, ssrc: int, size: int, now: float) -> ReceivedStream:
        """Counts a packet that opened end to end."""
        self.packets_opened += 1
        self.last_opened_at = now
        stream = self.stream(ssrc)
        stream.opened(size, now)
        return stream

    def rekeyed(self, now: float) -> None:
        """Opens the window of a rekey for every SSRC."""
        for stream in self.streams.values():
            stream.rekeyed(now)
