"""A connected association: the exporter, and ekt_key in its direction."""

from __future__ import annotations

from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Role
from halfkey.dtls.ekt_delivery import EKTKeyReceiver, EKTKeySender
from halfkey.dtls.events import (
    EKTKeyAcknowledged,
    EKTKeyReceived,
    HandshakeCompleted,
    SRTPKeyingMaterial,
)
from halfkey.dtls.faults import Noise, ProtocolFault
from halfkey.dtls.fragments import Message
from halfkey.dtls.handshake import Handshake, next_state, present
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.registries import AlertDescription, AlertLevel, HandshakeType
from halfkey.dtls.states import State
from halfkey.ekt.messages import EKTKey
from halfkey.errors import CodecError, UsageError

_DTLS_SRTP_LABEL = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 section 4.2."""


class Association:
    """What lives on after a handshake.

    Args:
        role: which side we are.
        channel: the association's records and flights.
        handshake: the completed handshake; its outcome is taken over.
    """

    __slots__ = ("_channel", "_outcome", "_receiver", "_role", "_schedule", "_sender", "_states")

    def __init__(self, role: Role, channel: Channel, handshake: Handshake) -> None:
        self._channel = channel
        self._role = role
        self._states = handshake.states
        self._outcome = present(handshake.outcome)
        self._schedule = self._outcome.finished.schedule
        self._sender: EKTKeySender | None = None
        self._receiver: EKTKeyReceiver | None = None
        cipher = self._outcome.ekt_cipher
        if cipher is not None and role is Role.SERVER:
            self._sender = EKTKeySender(channel, cipher)
        elif cipher is not None:
            self._receiver = EKTKeyReceiver(channel, cipher)

    @property
    def ekt_deadline(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        if self._sender is None or self._sender.retransmission is None:
            return None
        return self._sender.retransmission.deadline

    def completed(self) -> HandshakeCompleted:
        """The event that announces the association."""
        outcome = self._outcome
        return HandshakeCompleted(
            outcome.srtp_profile,
            outcome.ekt_cipher,
            outcome.certificate.der,
            outcome.peer_external_session_id,
            outcome.peer_external_id_hash,
            self._keying_material(),
        )

    def export_keying_material(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Keying material for another protocol; UsageError for a label that TLS uses itself."""
        try:
            return bytes(self._schedule.export(label, length, context))
        except ValueError as error:
            raise UsageError(str(error)) from error

    def send_ekt_key(self, ekt_key: EKTKey, now: float) -> None:
        """Queues an EKTKey; UsageError for a client, or if EKT was not negotiated."""
        if self._sender is None:
            raise UsageError("only a server that negotiated EKT sends an EKTKey")
        self._sender.send(ekt_key, now)

    def handle_timer(self, now: float) -> bool:
        """Retransmits an EKTKey if that is due; False to give up."""
        if self._sender is None or self._sender.retransmission is None:
            return True
        timer = self._sender.retransmission
        if now < timer.deadline:
            return True
        if timer.is_exhausted:
            return False
        timer.advance(now)
        self._sender.resend()
        return True

    def receive(self, message: Message) -> EKTKeyReceived:
        """Takes a handshake message that comes after Finished.

        Raises:
            ProtocolFault: unexpected_message for anything but an ekt_key to a client that
                negotiated EKT; what `EKTKeyReceiver.receive` says.
        """
        next_state(self._states, State.CONNECTED, message.message_type)
        if self._receiver is None:
            raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "ekt_key not negotiated")
        return EKTKeyReceived(self._receiver.receive(message))

    def send_next_ekt_key(self, now: float) -> None:
        """Sends the EKTKey that has waited longest, unless one is outstanding."""
        if self._sender is not None:
            self._sender.send_next(now)

    def receive_ack(self, payload: bytes) -> list[EKTKeyAcknowledged]:
        """Takes an ACK record's payload; then `send_next_ekt_key`."""
        if self._sender is None:
            self._channel.count(Noise.UNEXPECTED_ACK)
            return []
        try:
            ack = Ack.decode(payload)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed ACK") from error
        ekt_key = self._sender.receive_ack(ack)
        return [] if ekt_key is None else [EKTKeyAcknowledged(ekt_key.ekt_spi)]

    def receive_repetition(self, fragments: list[Fragment], number: RecordNumber) -> None:
        """Takes fragments of messages that were processed before; the record is authentic.

        A client's Finished says that it lacks ours (RFC 6347 section 4.2.4), once however many
        fragments it comes in. An ekt_key says that the server lacks our ACK.
        """
        types = {fragment.message_type for fragment in fragments}
        if HandshakeType.EKT_KEY in types and self._receiver is not None:
            self._receiver.acknowledge((number,))
        ended = {fragment.message_type for fragment in fragments if fragment.ends_message}
        if HandshakeType.FINISHED in ended and self._role is Role.SERVER:
            self._channel.resend_flight()
            if self._sender is not None:
                self._sender.resend()
        if types & {HandshakeType.CLIENT_HELLO, HandshakeType.HELLO_REQUEST}:
            self._channel.send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)

    def wipe(self) -> None:
        """Forgets every secret."""
        self._schedule.wipe()
        if self._sender is not None:
            self._sender.wipe()

    def _keying_material(self) -> SRTPKeyingMaterial:
        """Splits the exporter's output (RFC 5764 section 4.2)."""
        parameters = self._outcome.srtp_profile.parameters
        key, salt = parameters.key_length, parameters.salt_length
        block = self._schedule.export(_DTLS_SRTP_LABEL, 2 * (key + salt), None)
        salts = 2 * key
        material = SRTPKeyingMaterial(
            bytes(block[:key]),
            bytes(block[key:salts]),
            bytes(block[salts : salts + salt]),
            bytes(block[salts + salt :]),
        )
        block[:] = bytes(len(block))
        return material
