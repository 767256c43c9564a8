"""Flights: what is sent together, cut to size, and sent again (RFC 6347 4.2.4, RFC 9147 5.8)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from halfkey.dtls.fragments import Coverage
from halfkey.dtls.messages.framing import HEADER_LENGTH, Fragment
from halfkey.dtls.record import MAXIMUM_PLAINTEXT, PLAINTEXT_EPOCH, RecordNumber
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


Part = tuple[int, int, int]
"""Of a message: its message_seq, where the part begins, and where it ends."""


class Packer:
    """Fills records with fragments of messages, and datagrams with records.

    Messages that go together share a record where they fit into it whole (RFC 9147 section 5.5):
    a record costs a seal, an opening and a header, and an ACK names it.

    Args:
        writer: numbers and seals the records.
        pmtu: the size of the largest datagram, in bytes.

    Attributes:
        sent: what of which messages is in the records that were closed.
    """

    __slots__ = ("_datagrams", "_epoch", "_limit", "_parts", "_payload", "_pmtu", "_writer", "sent")

    def __init__(self, writer: RecordWriter, pmtu: int) -> None:
        self._writer = writer
        self._pmtu = pmtu
        self._datagrams: list[bytes] = []
        # The record in the making.
        self._epoch = PLAINTEXT_EPOCH
        self._payload = b""
        self._parts: list[Part] = []
        self._limit = 0
        self.sent: list[tuple[RecordNumber, list[Part]]] = []

    def add_message(self, message: FlightMessage, start: int = 0, end: int | None = None) -> None:
        """Adds a message, or a part, in fragments if need be."""
        if message.epoch != self._epoch:
            self.close()
            self._epoch = message.epoch
        offset, length = start, len(message.body)
        stop = length if end is None else end
        while True:
            data = message.body[offset : offset + self._fragment_size(stop - offset)]
            self._add_fragment(
                Fragment(message.message_type, length, message.message_seq, offset, data)
            )
            offset += len(data)
            if offset >= stop:
                return

    def add(self, epoch: int, content_type: int, payload: bytes) -> RecordNumber:
        """Adds one record."""
        self.close()
        number, record = self._writer.write(epoch, content_type, payload)
        if len(record) <= self._left:
            self._datagrams[-1] += record
        else:
            self._datagrams.append(record)
        return number

    def close(self) -> None:
        """Ends the record in the making, if there is one."""
        if self._payload:
            payload, self._payload = self._payload, b""
            number = self.add(self._epoch, ContentType.HANDSHAKE, payload)
            self.sent.append((number, self._parts))
            self._parts = []

    def take(self) -> list[bytes]:
        """The datagrams."""
        self.close()
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    @property
    def _left(self) -> int:
        """How many bytes there are left in the latest datagram."""
        return self._pmtu - len(self._datagrams[-1]) if self._datagrams else 0

    @property
    def _largest(self) -> int:
        """How many bytes of fragments a record may have, in a datagram of its own."""
        return self._payload_within(self._pmtu)

    @property
    def _room(self) -> int:
        """For how many bytes of fragments there is room in the record, or else in the datagram."""
        if self._payload:
            return self._limit - len(self._payload)
        return self._payload_within(self._left)

    def _payload_within(self, size: int) -> int:
        """What a record of that size can carry (RFC 6347 section 4.1.1, RFC 9147 section 4.1).

        The bound is on the content: the content type within it that DTLS 1.3 has is beside it (RFC
        8446 section 5.4), and is part of the overhead.
        """
        return min(size - self._writer.overhead(self._epoch), MAXIMUM_PLAINTEXT)

    def _fragment_size(self, remaining: int) -> int:
        """How much of a message to take next: all of it, unless it is too long for a datagram."""
        largest = self._largest - HEADER_LENGTH
        here = self._room - HEADER_LENGTH
        if remaining > largest and here >= _LEAST_FRAGMENT:
            return here
        return min(remaining, largest)

    def _add_fragment(self, fragment: Fragment) -> None:
        encoded = fragment.encode()
        if len(encoded) > self._room:
            self.close()
        if not self._payload:
            here = self._room
            self._limit = here if len(encoded) <= here else self._largest
        self._payload += encoded
        end = fragment.offset + len(fragment.data)
        self._parts.append((fragment.message_seq, fragment.offset, end))


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
        self._sent: dict[RecordNumber, list[Part]] = {}

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
                    packer.add_message(item, start, end)
        packer.close()
        self._note(packer.sent)

    def acknowledge(self, numbers: Iterable[RecordNumber]) -> bool:
        """Takes what an ACK names, of any transmission; whether that was news."""
        known = [self._sent.pop(number) for number in numbers if number in self._sent]
        for message_seq, start, end in itertools.chain.from_iterable(known):
            coverage = self._missing.get(message_seq)
            if coverage is not None and coverage.add(start, end) and coverage.is_complete:
                del self._missing[message_seq]
        return bool(known)

    def acknowledge_plaintext(self) -> None:
        """Takes it that the peer has what was sent in plain text, which no ACK names."""
        for item in self._flight:
            if isinstance(item, FlightMessage) and item.epoch == PLAINTEXT_EPOCH:
                self._missing.pop(item.message_seq, None)

    def _note(self, sent: Iterable[tuple[RecordNumber, list[Part]]]) -> None:
        self._sent.update(sent)
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
