"""Flights: what is sent together, cut to size, and sent again (RFC 6347 sections 4.2.3, 4.2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halfkey.dtls.messages.framing import HEADER_LENGTH, Fragment
from halfkey.dtls.record import PLAINTEXT_EPOCH, RecordNumber
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import ContentType

_MAXIMUM_TIMEOUT = 60.0
"""RFC 6347 section 4.2.4.1."""
_TRANSMISSIONS_AT_FULL_SIZE = 3
_CAUTIOUS_PMTU = 548
"""What to shrink to when nothing comes back (RFC 6347 section 4.1.1.1)."""
_LEAST_FRAGMENT = 32


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

    def add_flight(self, flight: Flight) -> None:
        """Adds all of a flight, under new record numbers."""
        for item in flight:
            if isinstance(item, ChangeCipherSpec):
                self.add(PLAINTEXT_EPOCH, ContentType.CHANGE_CIPHER_SPEC, b"\x01")
            else:
                for _ in self.add_message(item):
                    pass

    def add_message(self, message: FlightMessage) -> Iterator[tuple[RecordNumber, Fragment]]:
        """Adds a message, in fragments if need be; yields each with its record's number."""
        offset, length = 0, len(message.body)
        while offset < length or offset == 0:
            size = self._fragment_size(message.epoch, length - offset)
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

    def pmtu(self, configured: int) -> int:
        """The size of datagram to use for the coming transmission."""
        if self.transmissions < _TRANSMISSIONS_AT_FULL_SIZE:
            return configured
        return min(configured, _CAUTIOUS_PMTU)
