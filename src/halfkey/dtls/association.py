"""A connected association: the exporter, ekt_key in its direction, and KeyUpdate in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Role
from halfkey.dtls.crypto.aead import FAILURE_LIMIT
from halfkey.dtls.ekt_delivery import Deliveries, read_ekt_key
from halfkey.dtls.events import (
    EKTKeyAcknowledged,
    EKTKeyReceived,
    Event,
    HandshakeCompleted,
    SRTPKeyingMaterial,
)
from halfkey.dtls.faults import Noise, ProtocolFault
from halfkey.dtls.fragments import Message
from halfkey.dtls.handshake import Handshake, check_epoch, present
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.messages.key_update import (
    UPDATE_NOT_REQUESTED,
    UPDATE_REQUESTED,
    KeyUpdate,
)
from halfkey.dtls.messages.new_session_ticket import NewSessionTicket
from halfkey.dtls.proofs import Traffic
from halfkey.dtls.record import HANDSHAKE_EPOCH, RecordNumber
from halfkey.dtls.registries import (
    DTLS_1_3,
    AlertDescription,
    AlertLevel,
    HandshakeType,
)
from halfkey.dtls.states import State, next_state
from halfkey.ekt.messages import EKTKey
from halfkey.errors import CodecError, UsageError

_DTLS_SRTP_LABEL = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 section 4.2."""

_FEW_RECORDS = 1 << 10
"""A KeyUpdate is due when a key may seal no more than these: enough to send it at leisure."""


class Association:
    """What lives on after a handshake.

    Args:
        role: which side we are.
        channel: the association's records and flights.
        handshake: the completed handshake; its outcome is taken over.
    """

    __slots__ = ("_channel", "_deliveries", "_outcome", "_role", "_states", "_traffic")

    def __init__(self, role: Role, channel: Channel, handshake: Handshake) -> None:
        self._channel = channel
        self._role = role
        self._states = handshake.states
        self._outcome = present(handshake.outcome)
        self._traffic = self._outcome.traffic
        self._deliveries = Deliveries(channel)

    @property
    def deadline(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        timer = self._deliveries.retransmission
        return None if timer is None else timer.deadline

    @property
    def expected_epoch(self) -> int:
        """The epoch that the next message must come in."""
        return self._channel.reader.epoch

    def completed(self) -> HandshakeCompleted:
        """The event that announces the association."""
        outcome, negotiated = self._outcome, self._outcome.negotiated
        return HandshakeCompleted(
            negotiated.srtp_profile,
            negotiated.ekt_cipher,
            outcome.certificate.der,
            negotiated.peer_ids.session_id,
            negotiated.peer_ids.id_hash,
            self._keying_material(),
            self._channel.version,
            outcome.suite,
            outcome.group,
        )

    def export_keying_material(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Keying material for another protocol; UsageError for a label that TLS uses itself."""
        try:
            return bytes(self._outcome.exporter.export(label, length, context))
        except ValueError as error:
            raise UsageError(str(error)) from error

    # --- what we send

    def send_ekt_key(self, ekt_key: EKTKey, now: float) -> None:
        """Queues an EKTKey; UsageError for a client, without EKT, or for a key that doesn't fit."""
        cipher = self._outcome.negotiated.ekt_cipher
        if self._role is not Role.SERVER or cipher is None:
            raise UsageError("only a server that negotiated EKT sends an EKTKey")
        if len(ekt_key.ekt_key_value) != cipher.key_length:
            raise UsageError(f"the key doesn't fit the negotiated {cipher.name}")
        self._deliveries.send(ekt_key, now)

    def update_keys(self, now: float, *, request_peer: bool) -> None:
        """Queues a KeyUpdate; UsageError in DTLS 1.2, which has none."""
        if self._traffic is None:
            raise UsageError("there is no KeyUpdate in DTLS 1.2")
        request = UPDATE_REQUESTED if request_peer else UPDATE_NOT_REQUESTED
        self._deliveries.send(KeyUpdate(request), now)

    def keep_within_limits(self, now: float) -> None:
        """Renews keys that have served for long (RFC 9147 section 4.5.3), and sends what waits."""
        if self._traffic is not None and self._deliveries.is_idle:
            is_worn = self._channel.reader.failures > FAILURE_LIMIT // 2
            if is_worn or self._channel.writer.remaining < _FEW_RECORDS:
                self.update_keys(now, request_peer=is_worn)
        self._deliveries.send_next(now)

    def handle_timer(self, now: float) -> bool:
        """Retransmits what is due; False to give up."""
        timer = self._deliveries.retransmission
        if timer is None or now < timer.deadline:
            return True
        if timer.is_exhausted:
            return False
        timer.advance(now)
        self._deliveries.resend()
        return True

    # --- what arrives

    def receive(self, message: Message, now: float) -> EKTKeyReceived | None:
        """Takes and acknowledges a handshake message that comes after Finished.

        Raises:
            ProtocolFault: unexpected_message for what has no place here; or what is wrong with it.
        """
        check_epoch(message, self.expected_epoch)
        next_state(self._states, State.CONNECTED, message.message_type)
        try:
            event = self._handlers()[HandshakeType(message.message_type)](message.body, now)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed message") from error
        # Not before it was processed (RFC 8870 section 5.4, RFC 9147 section 7).
        self._acknowledge(message.record_numbers)
        return event

    def receive_ack(self, ack: Ack) -> list[Event]:
        """Takes an authentic ACK; then `keep_within_limits`."""
        is_known, delivered = self._deliveries.receive_ack(ack)
        if not is_known:
            self._channel.count(Noise.UNEXPECTED_ACK)
        if isinstance(delivered, EKTKey):
            return [EKTKeyAcknowledged(delivered.ekt_spi)]
        if delivered is not None:
            self._renew_sealing_key()
        return []

    def receive_repetition(self, fragments: list[Fragment], number: RecordNumber) -> None:
        """Takes fragments of messages that were processed before; the record is authentic."""
        if self._channel.version is DTLS_1_3:
            # Whoever repeats lacks our ACK. A server's flight is answered by our own, not by ACKs.
            if self._role is Role.SERVER or number.epoch > HANDSHAKE_EPOCH:
                self._acknowledge_repetition(number)
        else:
            self._receive_repetition_1_2(fragments, number)

    def wipe(self) -> None:
        """Forgets every secret."""
        self._outcome.exporter.wipe()
        self._deliveries.wipe()
        if self._traffic is not None:
            self._traffic.wipe()

    def _handlers(
        self,
    ) -> Mapping[HandshakeType, Callable[[bytes, float], EKTKeyReceived | None]]:
        return {
            HandshakeType.EKT_KEY: self._receive_ekt_key,
            HandshakeType.KEY_UPDATE: self._receive_key_update,
            HandshakeType.NEW_SESSION_TICKET: self._receive_new_session_ticket,
        }

    def _receive_ekt_key(self, body: bytes, now: float) -> EKTKeyReceived:
        cipher = self._outcome.negotiated.ekt_cipher
        if cipher is None:
            raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "ekt_key not negotiated")
        return EKTKeyReceived(read_ekt_key(body, cipher))

    def _receive_new_session_ticket(self, body: bytes, now: float) -> None:
        NewSessionTicket.decode(body)  # and that is all: we don't resume

    def _receive_key_update(self, body: bytes, now: float) -> None:
        """Goes on with the peer's next key, and our own if it asks (RFC 8446 section 4.6.3)."""
        request = KeyUpdate.decode(body).request_update
        if request not in (UPDATE_NOT_REQUESTED, UPDATE_REQUESTED):
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "unknown KeyUpdateRequest")
        traffic, reader = present(self._traffic), self._channel.reader
        receiving = traffic.receiving.next()
        self._traffic = Traffic(traffic.sending, receiving)
        reader.protect(receiving.opening_key(), reader.epoch + 1)
        if request == UPDATE_REQUESTED and not self._deliveries.awaits_key_update:
            self._deliveries.send(KeyUpdate(UPDATE_NOT_REQUESTED), now)

    def _acknowledge(self, numbers: tuple[RecordNumber, ...]) -> None:
        """Says nothing where no record was kept whole: the peer sends the message again."""
        if numbers:
            self._channel.acknowledge(numbers)

    def _acknowledge_repetition(self, number: RecordNumber) -> None:
        """Unless something else in the record was dropped (RFC 9147 section 7)."""
        if self._channel.reassembler.has_kept(number):
            self._channel.acknowledge((number,))

    def _renew_sealing_key(self) -> None:
        """The peer has our KeyUpdate, and so the next key (RFC 9147 section 8)."""
        traffic, writer = present(self._traffic), self._channel.writer
        sending = traffic.sending.next()
        self._traffic = Traffic(sending, traffic.receiving)
        writer.protect(sending.sealing_key(), writer.epoch + 1)

    def _receive_repetition_1_2(self, fragments: list[Fragment], number: RecordNumber) -> None:
        """A client's Finished says that it lacks ours (RFC 6347 section 4.2.4), once however many
        fragments it comes in. An ekt_key says that the server lacks our ACK.
        """
        types = {fragment.message_type for fragment in fragments}
        if HandshakeType.EKT_KEY in types and self._role is Role.CLIENT:
            self._acknowledge_repetition(number)
        ended = {fragment.message_type for fragment in fragments if fragment.ends_message}
        if HandshakeType.FINISHED in ended and self._role is Role.SERVER:
            self._channel.resend_flight()
            self._deliveries.resend()
        if types & {HandshakeType.CLIENT_HELLO, HandshakeType.HELLO_REQUEST}:
            self._channel.send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)

    def _keying_material(self) -> SRTPKeyingMaterial:
        """Splits the exporter's output (RFC 5764 section 4.2)."""
        parameters = self._outcome.negotiated.srtp_profile.parameters
        key, salt = parameters.key_length, parameters.salt_length
        block = self._outcome.exporter.export(_DTLS_SRTP_LABEL, 2 * (key + salt), None)
        salts = 2 * key
        material = SRTPKeyingMaterial(
            bytes(block[:key]),
            bytes(block[key:salts]),
            bytes(block[salts : salts + salt]),
            bytes(block[salts + salt :]),
        )
        block[:] = bytes(len(block))
        return material
