"""ekt_key and its ACK, outside every transcript (RFC 8870 sections 5.2.2 and 5.4).

The server has one ekt_key outstanding and retransmits it until any transmission of it is
acknowledged; the client acknowledges each that it has processed, and each repetition again.
"""

from __future__ import annotations

from collections import deque

from halfkey.codec import Reader
from halfkey.dtls.channel import Channel
from halfkey.dtls.faults import Noise, ProtocolFault
from halfkey.dtls.flight import FlightMessage, Retransmission
from halfkey.dtls.fragments import Coverage, Message
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.record import PROTECTED_EPOCH, RecordNumber
from halfkey.dtls.registries import AlertDescription, ContentType, HandshakeType
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import CodecError, UsageError

_MAXIMUM_MESSAGE_SEQ = 0xFFFF
_MAXIMUM_REMEMBERED_RECORDS = 64


class EKTKeySender:
    """A server's side: sends EKTKeys one after the other.

    Args:
        channel: takes the messages.
        cipher: the negotiated EKT cipher.
    """

    __slots__ = (
        "_channel",
        "_cipher",
        "_coverage",
        "_ekt_key",
        "_message",
        "_queue",
        "_sent",
        "retransmission",
    )

    def __init__(self, channel: Channel, cipher: EKTCipher) -> None:
        self._channel = channel
        self._cipher = cipher
        self._queue: deque[EKTKey] = deque()
        self._ekt_key: EKTKey | None = None
        self._message: FlightMessage | None = None
        self._coverage = Coverage(0)
        self._sent: dict[RecordNumber, tuple[int, int]] = {}
        self.retransmission: Retransmission | None = None

    def send(self, ekt_key: EKTKey, now: float) -> None:
        """Sends an EKTKey, after those that still wait.

        Raises:
            UsageError: its key doesn't fit the negotiated cipher.
        """
        if len(ekt_key.ekt_key_value) != self._cipher.key_length:
            raise UsageError(f"the key doesn't fit the negotiated {self._cipher.name}")
        self._queue.append(ekt_key)
        self.send_next(now)

    def send_next(self, now: float) -> None:
        """Sends what has waited longest, unless one is outstanding.

        Raises:
            ProtocolFault: internal_error when the association has used up its message_seq.
        """
        if not self._queue or self._message is not None:
            return
        message_seq = self._channel.take_message_seq()
        if message_seq > _MAXIMUM_MESSAGE_SEQ:
            raise ProtocolFault(AlertDescription.INTERNAL_ERROR, "message_seq used up")
        self._ekt_key = self._queue.popleft()
        body = self._ekt_key.encode()
        self._message = FlightMessage(HandshakeType.EKT_KEY, message_seq, body, PROTECTED_EPOCH)
        self._coverage = Coverage(len(body))
        self.retransmission = self._channel.new_retransmission(now)
        self.resend()

    def resend(self) -> None:
        """Sends what is outstanding once more, under new record numbers; touches no timer."""
        if self._message is None:
            return
        for number, fragment in self._channel.send_message(self._message):
            self._sent[number] = fragment.offset, fragment.offset + len(fragment.data)
        while len(self._sent) > _MAXIMUM_REMEMBERED_RECORDS:
            del self._sent[next(iter(self._sent))]

    def receive_ack(self, ack: Ack) -> EKTKey | None:
        """Takes an ACK; gives the EKTKey that it completes, if it does: then `send_next`."""
        known = [self._sent[number] for number in ack.record_numbers if number in self._sent]
        if not known:
            self._channel.count(Noise.UNEXPECTED_ACK)
            return None
        for start, end in known:
            self._coverage.add(start, end)
        if not self._coverage.is_complete:
            return None
        acknowledged, self._ekt_key, self._message = self._ekt_key, None, None
        self._sent.clear()
        self.retransmission = None
        return acknowledged

    def wipe(self) -> None:
        """Forgets every key."""
        self._queue.clear()
        self._ekt_key = self._message = self.retransmission = None


class EKTKeyReceiver:
    """A client's side: reads EKTKeys and acknowledges them.

    Args:
        channel: takes the ACKs.
        cipher: the negotiated EKT cipher.
    """

    __slots__ = ("_channel", "_cipher")

    def __init__(self, channel: Channel, cipher: EKTCipher) -> None:
        self._channel = channel
        self._cipher = cipher

    def receive(self, message: Message) -> EKTKey:
        """Reads and acknowledges an ekt_key.

        Raises:
            ProtocolFault: decode_error if it is malformed, illegal_parameter if its key or salt
                has a length of no use.
        """
        try:
            ekt_key = EKTKey.decode(message.body, self._cipher)
        except CodecError as error:
            raise _fault(message.body) from error
        self.acknowledge(message.record_numbers)
        return ekt_key

    def acknowledge(self, record_numbers: tuple[RecordNumber, ...]) -> None:
        """Says that these records' content was processed."""
        self._channel.send_record(ContentType.ACK, Ack(record_numbers).encode())


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
