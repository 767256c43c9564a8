"""What a handshake leaves to be said, and its ACK (RFC 8870 5.2.2 and 5.4, RFC 9147 5.8.4 and 8).

An ekt_key in both versions, a KeyUpdate in 1.3: outside every transcript, one outstanding and the
rest queued, each retransmitted until any transmission of it is acknowledged. So a KeyUpdate waits
for all that was sent before it, and is the last message of its epoch (erratum 8047).
"""

from __future__ import annotations

from collections import deque

from halfkey.codec import Reader
from halfkey.dtls.channel import Channel
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.flight import FlightMessage, Retransmission, Transmission
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.key_update import KeyUpdate
from halfkey.dtls.registries import AlertDescription, HandshakeType
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import CodecError

_MAXIMUM_MESSAGE_SEQ = 0xFFFF

Delivered = EKTKey | KeyUpdate


class Deliveries:
    """Sends messages one after the other.

    Args:
        channel: takes the messages.
    """

    __slots__ = ("_channel", "_outstanding", "_queue", "_transmission", "retransmission")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._queue: deque[Delivered] = deque()
        self._outstanding: Delivered | None = None
        self._transmission = Transmission([])
        self.retransmission: Retransmission | None = None

    @property
    def awaits_key_update(self) -> bool:
        """Whether a KeyUpdate waits to be sent."""
        return any(isinstance(one, KeyUpdate) for one in self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is outstanding and nothing waits."""
        return self._outstanding is None and not self._queue

    def send(self, message: Delivered, now: float) -> None:
        """Sends a message, after those that still wait."""
        self._queue.append(message)
        self.send_next(now)

    def send_next(self, now: float) -> None:
        """Sends what has waited longest, unless something is outstanding.

        Raises:
            ProtocolFault: internal_error when the association has used up its message_seq.
        """
        if not self._queue or self._outstanding is not None:
            return
        message_seq = self._channel.take_message_seq()
        if message_seq > _MAXIMUM_MESSAGE_SEQ:
            raise ProtocolFault(AlertDescription.INTERNAL_ERROR, "message_seq used up")
        message = self._outstanding = self._queue.popleft()
        kind = HandshakeType.EKT_KEY if isinstance(message, EKTKey) else HandshakeType.KEY_UPDATE
        epoch = self._channel.writer.epoch
        self._transmission = Transmission(
            [FlightMessage(kind, message_seq, message.encode(), epoch)]
        )
        self.retransmission = self._channel.new_retransmission(now)
        self.resend()

    def resend(self) -> None:
        """Sends what is outstanding once more, under new record numbers; touches no timer."""
        if self._outstanding is not None:
            self._channel.send(self._transmission)

    def receive_ack(self, ack: Ack) -> tuple[bool, Delivered | None]:
        """Takes an ACK: whether it was one of ours, and the message that it completes, if any.

        After that, `send_next`.
        """
        is_known = self._transmission.acknowledge(ack.record_numbers)
        if not is_known or not self._transmission.is_acknowledged:
            return is_known, None
        delivered, self._outstanding = self._outstanding, None
        self._transmission = Transmission([])
        self.retransmission = None
        return True, delivered

    def wipe(self) -> None:
        """Forgets every key."""
        self._queue.clear()
        self._transmission = Transmission([])
        self._outstanding = self.retransmission = None


def read_ekt_key(body: bytes, cipher: EKTCipher) -> EKTKey:
    """Reads an ekt_key.

    Raises:
        ProtocolFault: decode_error if it is malformed, illegal_parameter if its key or salt has a
            length of no use.
    """
    try:
        return EKTKey.decode(body, cipher)
    except CodecError as error:
        raise _fault(body) from error


def _fault(body: bytes) -> ProtocolFault:
    """Tells a malformed ekt_key from a well-formed one of no use."""
    reader = Reader(body)
    try:
        reader.vector(2, 1, 256)
        reader.vector(2, 1, 256)
        reader.read(5)
        reader.finish()
    except CodecError:
        return ProtocolFault(AlertDescription.DECODE_ERROR, "malformed ekt_key")
    return ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "unusable ekt_key")
