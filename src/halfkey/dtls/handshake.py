"""What the handshakes of client and server share in both versions: the state table's engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, TypeVar

from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto.key_schedule import transcript_hash
from halfkey.dtls.crypto.suites import SUITES, SuiteParameters
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.dtls.flight import ChangeCipherSpec, Flight, FlightMessage
from halfkey.dtls.fragments import Message
from halfkey.dtls.negotiation import Negotiated
from halfkey.dtls.proofs import CertificateProof, Outcome, PossessionProof
from halfkey.dtls.registries import AlertDescription, CipherSuite, HandshakeType, ProtocolVersion
from halfkey.dtls.states import State, StateTable, next_state, plaintext_types
from halfkey.dtls.transcript import Transcript
from halfkey.errors import CodecError


class Encodable(Protocol):
    """A handshake message."""

    def encode(self) -> bytes:
        """The message body."""
        ...


class Stage(ABC):
    """Whoever takes the next message of a handshake.

    Attributes:
        state: what it waits for.
        peer_fingerprints: which certificates are right; None while that is not known.
        outcome: what it came to, once CONNECTED.
    """

    def __init__(self, configuration: Configuration, channel: Channel, state: State) -> None:
        self._configuration = configuration
        self._channel = channel
        self.state = state
        self.peer_fingerprints: tuple[Fingerprint, ...] | None = configuration.peer_fingerprints
        self.outcome: Outcome | None = None

    @property
    @abstractmethod
    def expected_epoch(self) -> int:
        """The epoch that the next message must come in."""

    @property
    @abstractmethod
    def plaintext_types(self) -> frozenset[int]:
        """The messages that are worth a look in plain text."""

    @property
    def is_held(self) -> bool:
        """Whether the next message must wait for the peer's fingerprints."""
        return self.state is State.EXPECT_CERTIFICATE and self.peer_fingerprints is None

    @abstractmethod
    def receive(self, message: Message, now: float) -> Stage:
        """Takes the next message in order; gives the stage that takes the one after it.

        Raises:
            ProtocolFault: whatever is wrong with it.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Forgets the secrets of a handshake that came to nothing."""


class Handshake(Stage):
    """One side of a handshake whose version is settled.

    Args:
        configuration: our settings.
        channel: the association's records and flights.
        state: where the table begins.
        transcript: what was said before.
    """

    version: ClassVar[ProtocolVersion]
    states: ClassVar[StateTable]

    def __init__(
        self, configuration: Configuration, channel: Channel, state: State, transcript: Transcript
    ) -> None:
        super().__init__(configuration, channel, state)
        channel.version = self.version
        self._transcript = transcript
        self._flight: Flight = []
        self._suite: CipherSuite | None = None
        self._certificate: CertificateProof | None = None
        self._possession: PossessionProof | None = None
        self._negotiated: Negotiated | None = None

    @property
    def expected_epoch(self) -> int:
        """See `Stage`."""
        return self.states[self.state].epoch

    @property
    def plaintext_types(self) -> frozenset[int]:
        """See `Stage`."""
        return plaintext_types(self.states)

    def receive(self, message: Message, now: float) -> Handshake:
        """See `Stage`."""
        check_epoch(message, self.expected_epoch)
        following = next_state(self.states, self.state, message.message_type)
        self._transcript.add(message.message_type, message.message_seq, message.body)
        try:
            self._handlers()[HandshakeType(message.message_type)](message.body, now)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed message") from error
        self.state = following
        return self

    @abstractmethod
    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        """The method for each type of message: takes its body and the time."""

    @property
    def _parameters(self) -> SuiteParameters:
        return SUITES[present(self._suite)]

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

    def _hash_of_all(self) -> bytes:
        return transcript_hash(self._parameters, self._transcript.all())

    def _hash_before_latest(self) -> bytes:
        return transcript_hash(self._parameters, self._transcript.before_latest())


_T = TypeVar("_T")


def present(value: _T | None) -> _T:
    """A value that the state table promises to be there by now."""
    if value is None:
        raise RuntimeError("the state table let a message through too early")
    return value


def check_epoch(message: Message, epoch: int) -> None:
    """Raises unexpected_message for a message that came under another key than it must."""
    if message.epoch != epoch:
        raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "message under the wrong key")
