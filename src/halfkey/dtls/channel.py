"""What client and server handshakes share below the messages: records, fragments, flights."""

from __future__ import annotations

from halfkey.dtls.configuration import Configuration
from halfkey.dtls.faults import Counters, Noise
from halfkey.dtls.flight import Flight, FlightMessage, Packer, Retransmission
from halfkey.dtls.fragments import Reassembler
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.record_layer import RecordReader, RecordWriter
from halfkey.dtls.registries import AlertDescription, AlertLevel, ContentType


class Channel:
    """One association's records and flights, in both directions.

    Attributes:
        counters: told of every drop.
        reader: opens records.
        writer: seals records.
        reassembler: puts the peer's messages together.
        retransmission: the timer of the flight that awaits an answer, or None.
    """

    __slots__ = (
        "_configuration",
        "_flight",
        "_next_message_seq",
        "_outgoing",
        "counters",
        "reader",
        "reassembler",
        "retransmission",
        "writer",
    )

    def __init__(self, configuration: Configuration, counters: Counters) -> None:
        self._configuration = configuration
        self.counters = counters
        self.reader = RecordReader(counters)
        self.writer = RecordWriter()
        self.reassembler = Reassembler(counters)
        self.retransmission: Retransmission | None = None
        self._flight: Flight = []
        self._next_message_seq = 0
        self._outgoing: list[bytes] = []

    def begin_at(self, number: RecordNumber, message_seq: int) -> None:
        """A server begins where the ClientHello with the good cookie stands (RFC 6347 4.2.1)."""
        self.writer = RecordWriter(number.sequence_number)
        self.reassembler = Reassembler(self.counters, message_seq + 1)
        self._next_message_seq = message_seq

    def take_message_seq(self) -> int:
        """The number of the next message that we send."""
        message_seq = self._next_message_seq
        self._next_message_seq += 1
        return message_seq

    def send_flight(self, flight: Flight, now: float, *, awaits_answer: bool = True) -> None:
        """Sends a flight, which takes the place of the one before."""
        self._flight = flight
        self.retransmission = self.new_retransmission(now) if awaits_answer else None
        self.resend_flight()

    def resend_flight(self) -> None:
        """Sends the latest flight (again); touches no timer."""
        pmtu = self._configuration.pmtu
        if self.retransmission is not None:
            pmtu = self.retransmission.pmtu(pmtu)
        packer = self.packer(pmtu)
        packer.add_flight(self._flight)
        self.send(packer)

    def flight_answered(self) -> None:
        """The peer has answered the latest flight in full: it is never sent again."""
        self.retransmission = None
        self._flight = []

    def send_message(self, message: FlightMessage) -> list[tuple[RecordNumber, Fragment]]:
        """Sends one message outside a flight; says under which record numbers."""
        packer = self.packer(self._configuration.pmtu)
        sent = list(packer.add_message(message))
        self.send(packer)
        return sent

    def send_alert(self, level: AlertLevel, description: AlertDescription) -> None:
        """Sends an alert in the latest epoch."""
        self.send_record(ContentType.ALERT, Alert(level, description).encode())

    def send_record(self, content_type: ContentType, payload: bytes) -> None:
        """Sends one record in the latest epoch."""
        packer = self.packer(self._configuration.pmtu)
        packer.add(self.writer.epoch, content_type, payload)
        self.send(packer)

    def send_datagram(self, datagram: bytes) -> None:
        """Sends a datagram as it is."""
        self._outgoing.append(datagram)

    def send(self, packer: Packer) -> None:
        """Sends what a packer has packed."""
        self._outgoing += packer.take()

    def packer(self, pmtu: int) -> Packer:
        """A packer for this association's records."""
        return Packer(self.writer, pmtu)

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
        self.retransmission = None
        self._flight = []
