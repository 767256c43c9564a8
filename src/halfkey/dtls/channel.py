"""What client and server handshakes share below the messages: records, fragments, flights."""

from __future__ import annotations

from collections.abc import Iterable

from halfkey.dtls.acknowledgements import Acknowledgements
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.faults import Counters, Noise
from halfkey.dtls.flight import Flight, Packer, Retransmission, Transmission
from halfkey.dtls.fragments import Reassembler
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.record_layer import RecordReader, RecordWriter
from halfkey.dtls.registries import (
    DTLS_1_2,
    AlertDescription,
    AlertLevel,
    ContentType,
    ProtocolVersion,
)


class Channel:
    """One association's records and flights, in both directions.

    Attributes:
        version: what was negotiated; DTLS 1.2 until that is known.
        counters: told of every drop.
        reader: opens records.
        writer: seals records.
        reassembler: puts the peer's messages together.
        retransmission: the timer of the flight that awaits an answer, or None.
        acknowledgements: the records of the peer's current flight, in DTLS 1.3.
    """

    __slots__ = (
        "_configuration",
        "_flight",
        "_next_message_seq",
        "_outgoing",
        "acknowledgements",
        "counters",
        "reader",
        "reassembler",
        "retransmission",
        "version",
        "writer",
    )

    def __init__(self, configuration: Configuration, counters: Counters) -> None:
        self._configuration = configuration
        self.version: ProtocolVersion = DTLS_1_2
        self.counters = counters
        self.reader = RecordReader(counters)
        self.writer = RecordWriter()
        self.reassembler = Reassembler(counters)
        self.retransmission: Retransmission | None = None
        self.acknowledgements = Acknowledgements(configuration.first_timeout / 4)
        self._flight = Transmission([])
        self._next_message_seq = 0
        self._outgoing: list[bytes] = []

    def begin_at(self, number: RecordNumber, message_seq: int) -> None:
        """A server begins where the ClientHello that was let in stands (RFC 6347 4.2.1)."""
        self.writer = RecordWriter(number.sequence_number)
        self.reassembler = Reassembler(self.counters, message_seq + 1)
        self._next_message_seq = message_seq

    def take_message_seq(self) -> int:
        """The number of the next message that we send."""
        message_seq = self._next_message_seq
        self._next_message_seq += 1
        return message_seq

    # --- flights

    def send_flight(self, flight: Flight, now: float, *, awaits_answer: bool = True) -> None:
        """Sends a flight, which takes the place of the one before."""
        self._flight = Transmission(flight)
        self.retransmission = self.new_retransmission(now) if awaits_answer else None
        self.resend_flight()

    def resend_flight(self) -> None:
        """Sends the latest flight (again), but for what was acknowledged; touches no timer."""
        pmtu = self._configuration.pmtu
        if self.retransmission is not None:
            pmtu = self.retransmission.pmtu(pmtu)
        self.send(self._flight, pmtu)

    def flight_answered(self) -> None:
        """The peer has the latest flight in full: it is never sent again."""
        self.retransmission = None
        self._flight = Transmission([])

    @property
    def awaits_answer(self) -> bool:
        """Whether the latest flight may have to be sent again."""
        return self.retransmission is not None

    def receive_ack(self, ack: Ack, now: float) -> bool:
        """Takes an authentic ACK for the latest flight; whether it was one.

        What it shows to be missing is sent at once (RFC 9147 section 5.8.1, exit 2 of WAITING).
        """
        if self.retransmission is None or not self._flight.acknowledge(ack.record_numbers):
            return False
        # Whoever has the keys for an ACK has the hello that they were made from.
        self._flight.acknowledge_plaintext()
        if self._flight.is_acknowledged:
            self.flight_answered()
        else:
            self.retransmission.restart(now)
            self.resend_flight()
        return True

    def acknowledge(self, record_numbers: Iterable[RecordNumber]) -> None:
        """Says that these records' content was processed, or is kept until it can be.

        Where a datagram has no room for all, of the latest (RFC 9147 section 7).
        """
        room = self._configuration.pmtu - self.writer.overhead(self.writer.epoch)
        latest = tuple(record_numbers)[-Ack.capacity(room) :]
        self.send_record(ContentType.ACK, Ack(latest).encode())

    # --- sending

    def send(self, transmission: Transmission, pmtu: int | None = None) -> None:
        """Sends what of a transmission isn't acknowledged."""
        packer = Packer(self.writer, self._configuration.pmtu if pmtu is None else pmtu)
        transmission.pack(packer)
        self._outgoing += packer.take()

    def send_alert(self, level: AlertLevel, description: AlertDescription) -> None:
        """Sends an alert in the latest epoch."""
        self.send_record(ContentType.ALERT, Alert(level, description).encode())

    def send_record(self, content_type: ContentType, payload: bytes) -> None:
        """Sends one record in the latest epoch."""
        _, record = self.writer.write(self.writer.epoch, content_type, payload)
        self._outgoing.append(record)

    def send_datagram(self, datagram: bytes) -> None:
        """Sends a datagram as it is."""
        self._outgoing.append(datagram)

    def new_retransmission(self, now: float) -> Retransmission:
        """A timer for something that was just sent."""
        configuration = self._configuration
        return Retransmission(configuration.first_timeout, configuration.maximum_transmissions, now)

    def take_outgoing(self) -> list[bytes]:
        """The datagrams that wait to be sent."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def count(self, noise: Noise) -> None:
        """Counts a drop."""
        self.counters.count(noise)

    def wipe(self) -> None:
        """Forgets every key and all that waits to be received."""
        self.reader.wipe()
        self.writer.wipe()
        self.reassembler = Reassembler(self.counters)
        self.acknowledgements.take_all()
        self.flight_answered()
