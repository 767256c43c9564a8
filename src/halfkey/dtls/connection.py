"""One DTLS association, without I/O.

    receive_datagram -> records -> fragments -> messages -> handshake -> HandshakeCompleted
                          |                        |
                        alerts, ACKs            ekt_key, KeyUpdate (once connected)

The peer can make noise, which is dropped and counted, or break the protocol (`ProtocolFault`),
which ends the association with an alert. Nothing that it sends raises.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from halfkey.dtls.association import Association
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration, Role
from halfkey.dtls.cookie import CookieSecrets
from halfkey.dtls.events import ConnectionTerminated, Event
from halfkey.dtls.faults import Counters, Noise, ProtocolFault
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.dtls.gate import Admission, Gate
from halfkey.dtls.handshake import Handshake, Stage
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.offer import Offer
from halfkey.dtls.record import HANDSHAKE_EPOCH
from halfkey.dtls.record_layer import OpenedRecord
from halfkey.dtls.registries import (
    DTLS_1_3,
    AlertDescription,
    AlertLevel,
    ContentType,
)
from halfkey.dtls.server_1_2 import ServerHandshake12
from halfkey.dtls.server_1_3 import ServerHandshake13
from halfkey.dtls.states import State
from halfkey.ekt.messages import EKTKey
from halfkey.errors import CodecError, UsageError


class Connection:
    """A DTLS association, client or server.

    After each call that takes `now`: drain `datagrams_to_send` and `next_event`, then arm one
    timer for `next_timer`.

    Args:
        configuration: what to offer, accept and expect.
        peer: an opaque identifier of the other side, which cookies are bound to.
        counters: told of every drop; None makes some of its own. A server that makes many
            connections may give all of them the same.
    """

    __slots__ = (
        "_association",
        "_channel",
        "_configuration",
        "_counters",
        "_events",
        "_gate",
        "_handshake",
        "_handshake_deadline",
        "_hint",
        "_peer",
        "_peer_fingerprints",
        "_state",
    )

    def __init__(
        self, configuration: Configuration, peer: bytes, counters: Counters | None = None
    ) -> None:
        self._configuration = configuration
        self._peer = peer
        self._counters = Counters() if counters is None else counters
        self._channel = Channel(configuration, self._counters)
        self._events: deque[Event] = deque()
        self._handshake: Stage | None = None
        self._association: Association | None = None
        self._handshake_deadline: float | None = None
        self._peer_fingerprints: tuple[Fingerprint, ...] | None = None
        self._hint: AlertDescription | None = None
        self._gate: Gate | None = None
        self._state = State.EXPECT_SERVER_HELLO
        if configuration.role is Role.SERVER:
            self._state = State.EXPECT_CLIENT_HELLO
            secrets = configuration.cookie_secrets or CookieSecrets(random=configuration.random)
            self._gate = Gate(configuration, secrets, peer, self._counters)

    @property
    def counters(self) -> Mapping[str, int]:
        """How often noise was dropped, by reason; the set of reasons is fixed."""
        return self._counters

    @property
    def state(self) -> State:
        """What the association waits for, or CONNECTED, or TERMINATED."""
        return self._state

    @property
    def holds_nothing(self) -> bool:
        """Whether a server has seen no good cookie and holds no part of a ClientHello.

        Then another connection with the same secrets and peer can take its place.
        """
        return self._gate is not None and self._gate.holds_nothing

    @property
    def is_connected(self) -> bool:
        """Whether the handshake is complete and the association not over."""
        return self._state is State.CONNECTED

    @property
    def is_terminated(self) -> bool:
        """Whether the association is over."""
        return self._state is State.TERMINATED

    def start(self, now: float) -> None:
        """A client sends its first ClientHello; a server has nothing to do.

        Raises:
            UsageError: it was started before.
        """
        if self._handshake is not None or self._state is State.TERMINATED:
            raise UsageError("a connection is started once")
        if self._configuration.role is Role.SERVER:
            return
        offer = Offer(self._configuration, self._channel)
        self._begin(offer, now)
        offer.start(now)

    def receive_datagram(self, data: bytes, now: float) -> None:
        """Takes what came from the peer; never raises for its content."""
        try:
            if self._state is State.TERMINATED:
                self._counters.count(Noise.TERMINATED)
            elif self._gate is not None:
                self._receive_at_gate(self._gate, data, now)
            else:
                self._receive_records(self._channel.reader.read(data), now)
                self._acknowledge_partial_flight(now)
        except ProtocolFault as fault:
            self._fail(fault)

    def datagrams_to_send(self) -> list[bytes]:
        """Takes the datagrams that wait to be sent, in order."""
        return self._channel.take_outgoing()

    def next_event(self) -> Event | None:
        """Takes the next event, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        flight, association = self._channel.retransmission, self._association
        timers = (
            self._handshake_deadline,
            self._channel.acknowledgements.deadline,
            flight.deadline if flight else None,
            association.deadline if association else None,
        )
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Retransmits or gives up, where that is due; too early a call does nothing."""
        try:
            if self._handshake_deadline is not None and now >= self._handshake_deadline:
                return self._time_out("handshake timed out")
            flight = self._channel.retransmission
            if flight is not None and now >= flight.deadline:
                if flight.is_exhausted:
                    return self._time_out("handshake timed out")
                flight.advance(now)
                self._channel.resend_flight()
            self._acknowledge_partial_flight(now)
            if self._association is not None and not self._association.handle_timer(now):
                return self._time_out("ekt_key not acknowledged")
        except ProtocolFault as fault:
            self._fail(fault)

    def set_peer_fingerprints(self, fingerprints: tuple[Fingerprint, ...], now: float) -> None:
        """Says which certificates are right, for a handshake that is held for want of it.

        Raises:
            UsageError: none is given, or the handshake has its fingerprints already.
        """
        if self._state is State.TERMINATED:
            return
        handshake = self._handshake
        if not fingerprints or handshake is None or handshake.peer_fingerprints is not None:
            raise UsageError("fingerprints are set once, during a handshake that lacks them")
        handshake.peer_fingerprints = fingerprints
        try:
            self._process(now)
        except ProtocolFault as fault:
            self._fail(fault)

    def send_ekt_key(self, ekt_key: EKTKey, now: float) -> None:
        """Sends an EKTKey, after those that still wait; EKTKeyAcknowledged says it arrived.

        Nothing is sent once the association is over, which the peer may bring about at any moment.

        Raises:
            UsageError: not a connected server that negotiated EKT, or a key of the wrong length.
        """
        if self.is_terminated:
            return
        try:
            self._connected().send_ekt_key(ekt_key, now)
        except ProtocolFault as fault:
            self._fail(fault)

    def update_keys(self, now: float, *, request_peer: bool = False) -> None:
        """Seals with a new key from now on (RFC 9147 section 8); done without asking where needed.

        Nothing happens once the association is over.

        Args:
            now: monotonic seconds.
            request_peer: whether the peer is to do likewise.

        Raises:
            UsageError: not connected, or DTLS 1.2.
        """
        if self.is_terminated:
            return
        try:
            self._connected().update_keys(now, request_peer=request_peer)
        except ProtocolFault as fault:
            self._fail(fault)

    def export_keying_material(
        self, label: bytes, length: int, context: bytes | None = None
    ) -> bytes:
        """Keying material for another protocol (RFC 5705 section 4, RFC 8446 section 7.5).

        Raises:
            UsageError: not connected, or a label that TLS uses itself.
        """
        return self._connected().export_keying_material(label, length, context)

    def close(self, now: float) -> None:
        """Says close_notify, forgets every secret, and ends the association."""
        if self._state is State.TERMINATED:
            return
        if self._handshake is not None or self._association is not None:
            self._channel.send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)
        self._terminate(ConnectionTerminated("closed"))

    def abort(self) -> None:
        """Says internal_error, forgets every secret, and ends the association: a fault of ours."""
        if self._state is not State.TERMINATED:
            self._fail(ProtocolFault(AlertDescription.INTERNAL_ERROR, "a fault of ours"))

    # --- what arrives

    def _receive_at_gate(self, gate: Gate, data: bytes, now: float) -> None:
        verdict = gate.receive(data, now)
        if isinstance(verdict, bytes):
            self._channel.send_datagram(verdict)
        elif isinstance(verdict, Admission):
            self._gate = None
            self._channel.begin_at(verdict.number, verdict.message.message_seq)
            handshake = self._admit(verdict)
            self._begin(handshake, now)
            handshake.receive(verdict.message, now)
            self._state = handshake.state

    def _admit(self, admission: Admission) -> Handshake:
        configuration, channel, peer = self._configuration, self._channel, self._peer
        hello, settled = admission.hello, admission.settled
        if settled is None:
            return ServerHandshake12(configuration, channel, peer, hello)
        return ServerHandshake13(configuration, channel, peer, hello, settled, admission.retry)

    def _begin(self, handshake: Stage, now: float) -> None:
        self._handshake = handshake
        self._handshake_deadline = now + self._configuration.handshake_timeout

    def _receive_records(self, records: Iterable[OpenedRecord], now: float) -> None:
        for record in records:
            self._receive_record(record, now)
            if self._state is State.TERMINATED:
                return
            self._process(now)

    def _receive_record(self, record: OpenedRecord, now: float) -> None:
        content_type = record.content_type
        if content_type == ContentType.HANDSHAKE:
            self._receive_handshake_record(record, now)
        elif content_type == ContentType.ALERT:
            self._receive_alert(record)
        elif content_type == ContentType.ACK:
            self._receive_ack(record, now)
        elif content_type == ContentType.APPLICATION_DATA:
            self._counters.count(Noise.UNEXPECTED_APPLICATION_DATA)
        elif record.payload != b"\x01":
            self._counters.count(Noise.MALFORMED_CHANGE_CIPHER_SPEC)

    def _receive_handshake_record(self, record: OpenedRecord, now: float) -> None:
        try:
            fragments = decode_fragments(record.payload)
        except CodecError:
            return self._counters.count(Noise.MALFORMED_FRAGMENT)
        if not record.is_protected and not self._admits_in_plaintext(fragments):
            return self._counters.count(Noise.UNEXPECTED_PLAINTEXT)
        reassembler = self._channel.reassembler
        stale = [one for one in fragments if one.message_seq < reassembler.next_seq]
        fresh = [one for one in fragments if one.message_seq >= reassembler.next_seq]
        kept = [reassembler.add(fragment, record.number) for fragment in fresh]
        if stale:
            self._receive_stale(stale, record)
        if fresh and all(kept):
            self._note_flight(record, now)
        return None

    def _note_flight(self, record: OpenedRecord, now: float) -> None:
        """Notes a record of the flight that a handshake awaits, for an ACK if the rest is lost."""
        if self._channel.version is not DTLS_1_3 or not record.is_protected:
            return
        if self._handshake is not None and self._state is not State.EXPECT_ACK:
            self._channel.acknowledgements.note(record.number, now)
            # Its next flight shows that the peer has our latest (RFC 9147 section 7.2).
            self._channel.flight_answered()

    def _acknowledge_partial_flight(self, now: float) -> None:
        """Says what came of a flight, if the rest doesn't (RFC 9147 section 7.1)."""
        acknowledgements, handshake = self._channel.acknowledgements, self._handshake
        if handshake is None:
            return
        is_disrupted = self._channel.reassembler.is_disrupted(handshake.expected_epoch)
        numbers = acknowledgements.take_due(now, is_disrupted=is_disrupted)
        # Who holds a server can't be told apart, by an ACK of all, from who has let the client in.
        is_hidden = handshake.is_held and self._configuration.role is Role.SERVER
        if numbers and not is_hidden:
            self._channel.acknowledge(numbers)

    def _admits_in_plaintext(self, fragments: list[Fragment]) -> bool:
        handshake = self._handshake
        return handshake is not None and all(
            fragment.message_type in handshake.plaintext_types for fragment in fragments
        )

    def _receive_stale(self, fragments: list[Fragment], record: OpenedRecord) -> None:
        """Repetitions: an authentic one may mean that the peer lacks what we sent last."""
        self._counters.count(Noise.STALE_MESSAGE)
        if self._association is not None and record.is_protected:
            self._association.receive_repetition(fragments, record.number)

    def _receive_alert(self, record: OpenedRecord) -> None:
        try:
            alert = Alert.decode(record.payload)
        except CodecError as error:
            if record.is_protected:
                raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed alert") from error
            return self._counters.count(Noise.MALFORMED_ALERT)
        description = next((one for one in AlertDescription if one == alert.description), None)
        if not record.is_protected:
            # Anybody can send it, so it ends nothing; it may explain later what did. The first one
            # counts: what we repeat after it is refused for its cookie, in DTLS 1.3.
            self._hint = self._hint or description
            return self._counters.count(Noise.PLAINTEXT_ALERT)
        if not alert.is_closure(self._channel.version):
            return self._counters.count(Noise.WARNING_ALERT)
        if description is AlertDescription.CLOSE_NOTIFY:
            self._channel.send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)
            return self._terminate(
                ConnectionTerminated("closed by the peer", description, by_peer=True)
            )
        return self._terminate(
            ConnectionTerminated("alert from the peer", description, by_peer=True)
        )

    def _receive_ack(self, record: OpenedRecord, now: float) -> None:
        association, is_1_3 = self._association, self._channel.version is DTLS_1_3
        if not record.is_protected or (association is None and not is_1_3):
            return self._counters.count(Noise.UNEXPECTED_ACK)
        try:
            ack = Ack.decode(record.payload)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed ACK") from error
        # The revision of RFC 9147 wants this in section 7.2. It can only mean the handshake: after
        # that each direction has its own epochs, and either may be ahead.
        epoch = record.number.epoch
        if epoch == HANDSHAKE_EPOCH and any(one.epoch > epoch for one in ack.record_numbers):
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "ACK of a later epoch")
        if association is None:
            return self._receive_ack_in_handshake(ack, now)
        self._events.extend(association.receive_ack(ack))
        association.keep_within_limits(now)
        return None

    def _receive_ack_in_handshake(self, ack: Ack, now: float) -> None:
        if not self._channel.receive_ack(ack, now):
            self._counters.count(Noise.UNEXPECTED_ACK)
        elif self._state is State.EXPECT_ACK and isinstance(self._handshake, Handshake):
            self._complete(self._handshake)

    def _process(self, now: float) -> None:
        """Handles every message that is whole and in order, and what that opens."""
        while not self.is_terminated:
            if self._process_message(now):
                continue
            early = self._channel.reader.read_early()
            if not early:
                return
            for record in early:
                if not self.is_terminated:
                    self._receive_record(record, now)

    def _process_message(self, now: float) -> bool:
        handshake, association = self._handshake, self._association
        if handshake is not None:
            return self._process_handshake_message(handshake, now)
        message = self._channel.reassembler.take_protected()
        if message is None or association is None:
            return False
        event = association.receive(message, now)
        if event is not None:
            self._events.append(event)
        return True

    def _process_handshake_message(self, handshake: Stage, now: float) -> bool:
        if handshake.is_held or handshake.outcome is not None:
            return False
        reassembler = self._channel.reassembler
        # The peer itself sent a message under another key than is due: receive() refuses it.
        message = reassembler.take(handshake.expected_epoch) or reassembler.take_protected()
        if message is None:
            return False
        following = self._handshake = handshake.receive(message, now)
        self._state = following.state
        if isinstance(following, Handshake) and following.outcome is not None:
            self._complete(following)
        return True

    # --- how a handshake ends

    def _complete(self, handshake: Handshake) -> None:
        """Goes on to what lives after a handshake, once the peer is known to have ended it too."""
        if self._channel.awaits_answer:
            self._state = State.EXPECT_ACK
            return
        self._handshake, self._state = None, State.CONNECTED
        self._channel.acknowledgements.take_all()
        self._handshake_deadline = self._hint = None
        self._channel.reader.refuse_plaintext()
        self._channel.reassembler.drop_plaintext()
        self._association = Association(self._configuration.role, self._channel, handshake)
        self._events.append(self._association.completed())

    def _connected(self) -> Association:
        if self._association is None:
            raise UsageError("the connection is not connected")
        return self._association

    def _fail(self, fault: ProtocolFault) -> None:
        self._channel.send_alert(AlertLevel.FATAL, fault.alert)
        self._terminate(ConnectionTerminated(fault.reason, fault.alert, hint=self._hint))

    def _time_out(self, reason: str) -> None:
        self._terminate(ConnectionTerminated(reason, hint=self._hint))

    def _terminate(self, event: ConnectionTerminated) -> None:
        for part in (self._handshake, self._association, self._channel):
            if part is not None:
                part.wipe()
        self._handshake = self._association = self._handshake_deadline = self._gate = None
        self._state = State.TERMINATED
        self._events.append(event)
