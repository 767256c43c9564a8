"""Flights: what is sent together, cut to size, and sent again (RFC 6347 4.2.4, RFC 9147 5.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from halfkey.dtls.fragments import Coverage
from halfkey.dtls.messages.framing import HEADER_LENGTH, Fragment
from halfkey.dtls.record import PLAINTEXT_EPOCH, RecordNumber
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import ContentType

_MAXIMUM_TIMEOUT = 60.0
"""RFC 6347 section 4.2.4.1, RFC 9147 section 5.8.2."""
_TRANSMISSIONS_AT_FULL_SIZE = 3
_CAUTIOUS_PMTU = 548
"""What to shrink to when nothing comes back (RFC 6347 section 4.1.1.1)."""
_LEAST_FRAGMENT = 32
_MAXIMUM_REMEMBERED_RECORDS = 128
"""Whose ACKs still count: those of several transmissions of a flight in small datagrams."""


class FlightMessage(NamedTuple):
    """A handshake message and the epoch it is sent in."""

    message_type: int
    message_seq: int
    body: bytes
    epoch: int

    def __repr__(self) -> str:
        # The body may be an ekt_key.
        return f"FlightMessage({self.message_type}, {self.message_seq}, {len(self.body)} bytes)"


class ChangeCipherSpec(NamedTuple):
    """Stands in a flight where keys change; it has no message_seq (RFC 6347 section 4.2.2)."""


Flight = list[FlightMessage | ChangeCipherSpec]


class Packer:
    """Fills datagrams with records.

    Args:
        writer: numbers and seals the records.
        pmtu: the size of the largest datagram, in bytes.
    """

    __slots__ = ("_datagrams", "_pmtu", "_writer")

    def __init__(self, writer: RecordWriter, pmtu: int) -> None:
        self._writer = writer
        self._pmtu = pmtu
        self._datagrams: list[bytes] = []

    def add_message(
        self, message: FlightMessage, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[RecordNumber, Fragment]]:
        """Adds a message, or a part, in fragments if need be; yields each with its number."""
        offset, length = start, len(message.body)
        stop = length if end is None else end
        while offset < stop or offset == start:
            size = self._fragment_size(message.epoch, stop - offset)
            data = message.body[offset : offset + size]
            fragment = Fragment(message.message_type, length, message.message_seq, offset, data)
            yield self.add(message.epoch, ContentType.HANDSHAKE, fragment.encode()), fragment
            offset += size
            if not length:
                return

    def add(self, epoch: int, content_type: int, payload: bytes) -> RecordNumber:
        """Adds one record."""
        number, record = self._writer.write(epoch, content_type, payload)
        if self._datagrams and len(self._datagrams[-1]) + len(record) <= self._pmtu:
            self._datagrams[-1] += record
        else:
            self._datagrams.append(record)
        return number

    def take(self) -> list[bytes]:
        """The datagrams."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def _fragment_size(self, epoch: int, remaining: int) -> int:
        overhead = self._writer.overhead(epoch) + HEADER_LENGTH
        largest = self._pmtu - overhead
        if self._datagrams:
            here = self._pmtu - len(self._datagrams[-1]) - overhead
            if here >= min(remaining, largest, _LEAST_FRAGMENT) and remaining > largest:
                return here
        return min(remaining, largest)


class Transmission:
    """Messages that go together, and what of them the peer is known to have (RFC 9147 section 7.2).

    Args:
        flight: what is to be sent.
    """

    __slots__ = ("_flight", "_missing", "_sent")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._missing = {
            item.message_seq: Coverage(len(item.body))
            for item in flight
            if isinstance(item, FlightMessage)
        }
        self._sent: dict[RecordNumber, tuple[int, int, int]] = {}

    @property
    def is_acknowledged(self) -> bool:
        """Whether the peer has all of it."""
        return not self._missing

    def pack(self, packer: Packer) -> None:
        """Packs all that isn't acknowledged, under new record numbers."""
        for item in self._flight:
            if isinstance(item, ChangeCipherSpec):
                packer.add(PLAINTEXT_EPOCH, ContentType.CHANGE_CIPHER_SPEC, b"\x01")
            elif item.message_seq in self._missing:
                for start, end in self._missing[item.message_seq].gaps:
                    for number, fragment in packer.add_message(item, start, end):
                        self._note(number, fragment)

    def acknowledge(self, numbers: Iterable[RecordNumber]) -> bool:
        """Takes what an ACK names, of any transmission; whether that was news."""
        known = [self._sent.pop(number) for number in numbers if number in self._sent]
        for message_seq, start, end in known:
            coverage = self._missing.get(message_seq)
            if coverage is not None and coverage.add(start, end) and coverage.is_complete:
                del self._missing[message_seq]
        return bool(known)

    def _note(self, number: RecordNumber, fragment: Fragment) -> None:
        end = fragment.offset + len(fragment.data)
        self._sent[number] = fragment.message_seq, fragment.offset, end
        while len(self._sent) > _MAXIMUM_REMEMBERED_RECORDS:
            del self._sent[next(iter(self._sent))]


class Retransmission:
    """The timer of one flight or ekt_key: doubles from the first timeout, and gives up.

    Args:
        first_timeout: seconds.
        maximum_transmissions: how many there may be, the first included.
    """

    __slots__ = ("_maximum", "_timeout", "deadline", "transmissions")

    def __init__(self, first_timeout: float, maximum_transmissions: int, now: float) -> None:
        self._timeout = first_timeout
        self._maximum = maximum_transmissions
        self.transmissions = 1
        self.deadline = now + first_timeout

    @property
    def is_exhausted(self) -> bool:
        """Whether there may be no further transmission."""
        return self.transmissions >= self._maximum

    def advance(self, now: float) -> None:
        """Notes another transmission."""
        self.transmissions += 1
        self._timeout = min(2 * self._timeout, _MAXIMUM_TIMEOUT)
        self.deadline = now + self._timeout

    def restart(self, now: float) -> None:
        """Begins to wait again: what is missing was just sent because of an ACK, not of silence."""
        self.deadline = now + self._timeout

    def pmtu(self, configured: int) -> int:
        """The size of datagram to use for the coming transmission."""
        if self.transmissions < _TRANSMISSIONS_AT_FULL_SIZE:
            return configured
        return min(configured, _CAUTIOUS_PMTU)
