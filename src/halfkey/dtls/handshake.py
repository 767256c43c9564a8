"""What the handshakes of client and server share: the state table's engine, and the transcript."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, TypeVar

from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto.key_exchange import KeyExchange
from halfkey.dtls.crypto.key_schedule import KeySchedule, transcript_hash
from halfkey.dtls.crypto.suites import SuiteParameters
from halfkey.dtls.extensions import decode_external_id_hash, decode_external_session_id
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.dtls.flight import ChangeCipherSpec, Flight, FlightMessage
from halfkey.dtls.fragments import Message
from halfkey.dtls.messages.certificate import CertificateMessage
from halfkey.dtls.messages.framing import encode_message
from halfkey.dtls.proofs import CertificateProof, Outcome, PossessionProof, judge_certificate
from halfkey.dtls.registries import AlertDescription, ExtensionType, HandshakeType
from halfkey.dtls.states import State, StateTable
from halfkey.ekt.messages import EKTCipher
from halfkey.errors import CodecError
from halfkey.profiles import SRTPProtectionProfile


class Encodable(Protocol):
    """A handshake message."""

    def encode(self) -> bytes:
        """The message body."""
        ...


class Transcript:
    """All handshake messages so far, as if unfragmented (RFC 6347 section 4.2.6)."""

    __slots__ = ("_data", "_latest")

    def __init__(self) -> None:
        self._data = bytearray()
        self._latest = 0

    def add(self, message_type: int, message_seq: int, body: bytes) -> None:
        """Appends a message."""
        self._latest = len(self._data)
        self._data += encode_message(message_type, message_seq, body)

    def clear(self) -> None:
        """Starts again: the first ClientHello and HelloVerifyRequest don't count."""
        self._data.clear()
        self._latest = 0

    def all(self) -> bytes:
        """Every message."""
        return bytes(self._data)

    def before_latest(self) -> bytes:
        """Every message but the latest: what that one signs or proves."""
        return bytes(self._data[: self._latest])


class Handshake(ABC):
    """One side of a handshake.

    Attributes:
        state: what it waits for.
        peer_fingerprints: which certificates are right; None while that is not known.
        outcome: what it came to, once CONNECTED.
    """

    states: ClassVar[StateTable]
    plaintext_types: ClassVar[frozenset[int]]

    def __init__(self, configuration: Configuration, channel: Channel, state: State) -> None:
        self._configuration = configuration
        self._channel = channel
        self._transcript = Transcript()
        self._flight: Flight = []
        self._suite: SuiteParameters | None = None
        self._key_exchange: KeyExchange | None = None
        self._schedule: KeySchedule | None = None
        self._certificate: CertificateProof | None = None
        self._possession: PossessionProof | None = None
        self._client_random = b""
        self._server_random = b""
        self._srtp_profile: SRTPProtectionProfile | None = None
        self._ekt_cipher: EKTCipher | None = None
        self._peer_external_session_id: bytes | None = None
        self._peer_external_id_hash: bytes | None = None
        self.state = state
        self.peer_fingerprints: tuple[Fingerprint, ...] | None = configuration.peer_fingerprints
        self.outcome: Outcome | None = None

    @property
    def expected_epoch(self) -> int:
        """The epoch that the next message must come in."""
        return self.states[self.state].epoch

    @property
    def is_held(self) -> bool:
        """Whether the next message must wait for the peer's fingerprints."""
        return self.state is State.EXPECT_CERTIFICATE and self.peer_fingerprints is None

    def receive(self, message: Message, now: float) -> None:
        """Takes the next message in order.

        Raises:
            ProtocolFault: whatever is wrong with it.
        """
        if message.epoch != self.expected_epoch:
            raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "message under the wrong key")
        following = next_state(self.states, self.state, message.message_type)
        self._transcript.add(message.message_type, message.message_seq, message.body)
        try:
            self._handlers()[HandshakeType(message.message_type)](message.body, now)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed message") from error
        self.state = following

    def wipe(self) -> None:
        """Forgets the secrets of a handshake that came to nothing."""
        self._key_exchange = None
        if self._schedule is not None:
            self._schedule.wipe()

    @abstractmethod
    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        """The method for each type of message: takes its body and the time."""

    def _queue(self, message_type: HandshakeType, message: Encodable) -> None:
        """Adds a message to the flight in the making, and to the transcript."""
        body = message.encode()
        message_seq = self._channel.take_message_seq()
        self._transcript.add(message_type, message_seq, body)
        self._flight.append(
            FlightMessage(message_type, message_seq, body, self._channel.writer.epoch)
        )

    def _queue_change_cipher_spec(self) -> None:
        self._flight.append(ChangeCipherSpec())

    def _send_flight(self, now: float, *, awaits_answer: bool = True) -> None:
        flight, self._flight = self._flight, []
        self._channel.send_flight(flight, now, awaits_answer=awaits_answer)

    def _receive_certificate(self, body: bytes, now: float) -> None:
        fingerprints = present(self.peer_fingerprints)
        self._certificate = judge_certificate(CertificateMessage.decode(body), fingerprints)

    def _derive(self, peer_public_key: bytes) -> KeySchedule:
        """Makes the key schedule, once ClientKeyExchange is in the transcript."""
        suite = present(self._suite)
        self._schedule = KeySchedule(
            suite,
            self._client_random,
            self._server_random,
            present(self._key_exchange).exchange(peer_public_key),
            transcript_hash(suite, self._transcript.all()),
        )
        self._key_exchange = None
        return self._schedule

    def _receive_external_ids(self, extensions: Mapping[int, bytes]) -> None:
        """Takes what ties the handshake to the signalling, if the peer sent it (RFC 8844)."""
        content = extensions.get(ExtensionType.EXTERNAL_SESSION_ID)
        if content is not None:
            self._peer_external_session_id = decode_external_session_id(content)
        content = extensions.get(ExtensionType.EXTERNAL_ID_HASH)
        if content is not None:
            self._peer_external_id_hash = decode_external_id_hash(content)

    def _check_external_session_id(self, expected: bytes | None) -> None:
        """Checks the peer's external_session_id (RFC 8844 section 4.3).

        It may be missing only where none is expected: PERC can't do without (RFC 9185 5.4).
        """
        if expected is not None and not same(self._peer_external_session_id, expected):
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "wrong external_session_id")

    def _check_external_id_hash(self, expected: bytes | None) -> None:
        """Checks the peer's external_id_hash (RFC 8844 section 3.2).

        Where one is expected, also the empty one, it must be there: the leave that the RFC gives
        to peers who don't know the extension would be a leave to strip it.
        """
        if expected is not None and not same(self._peer_external_id_hash, expected):
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "wrong external_id_hash")


_T = TypeVar("_T")


def present(value: _T | None) -> _T:
    """A value that the state table promises to be there by now."""
    if value is None:
        raise RuntimeError("the state table let a message through too early")
    return value


def same(received: bytes | None, expected: bytes) -> bool:
    """Compares in constant time; nothing received is never the same."""
    return received is not None and hmac.compare_digest(received, expected)


def next_state(states: StateTable, state: State, message_type: int) -> State:
    """The state that a message leads to.

    Raises:
        ProtocolFault: unexpected_message if the state doesn't admit its type.
    """
    for admitted, following in states[state].transitions.items():
        if admitted == message_type:
            return following
    raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "unexpected message")
