"""What both ends of a tunnel share: cutting the TLS stream into messages, and bounded sending.

An end is a table of transitions: per state, the message types that may come, and the state that
each leads to. A known type that may not come, or a malformed body, ends the tunnel: the stream is
authenticated, so this is a fault of the peer, not noise. Unassigned types are skipped and counted
(RFC 9185 leaves open what to do with them; their length lets us).

Drain contract: after any call, take `data_to_send` and every `next_event`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar
from uuid import UUID

from halfkey.errors import CodecError, UsageError
from halfkey.tunnel.messages import (
    HEADER_LENGTH,
    MAXIMUM_DTLS_MESSAGE_LENGTH,
    EndpointDisconnect,
    MediaKeys,
    Message,
    MessageType,
    SupportedProfiles,
    TunneledDtls,
    UnsupportedVersion,
)

SEND_LIMIT = 1 << 20
"""Bytes waiting for `data_to_send` from which on datagrams are dropped, as a full socket would."""

HARD_SEND_LIMIT = 4 << 20
"""Bytes waiting at which the tunnel ends: what is queued above `SEND_LIMIT` must not be lost."""


@dataclass(frozen=True, slots=True)
class TunnelTerminated:
    """The tunnel is over: nothing is sent or received any more; close the TLS connection.

    Attributes:
        reason: ``"malformed"``, ``"unexpected_message"``, ``"unsupported_version"``,
            ``"send_buffer_full"``, or what `close` was given.
    """

    reason: str


@dataclass(slots=True)
class TunnelStatistics:
    """Counters of one end.

    Attributes:
        messages_received: well-formed messages, of every type.
        messages_sent: messages queued for sending.
        unknown_messages: messages of an unassigned type, which were skipped.
        datagrams_dropped: TunneledDtls not sent, because too much was waiting already.
    """

    messages_received: int = 0
    messages_sent: int = 0
    unknown_messages: int = 0
    datagrams_dropped: int = 0


class MessageSplitter:
    """Cuts a byte stream into (msg_type, body); holds at most one message that isn't whole."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """Appends what arrived."""
        self._buffer += data

    def first_octets(self) -> bytes:
        """The first four octets waiting, or as many as there are."""
        return bytes(self._buffer[:4])

    def take(self) -> tuple[int, bytes] | None:
        """Takes the next message, or None where there is none that is whole."""
        end = HEADER_LENGTH + int.from_bytes(self._buffer[1:HEADER_LENGTH], "big")
        if len(self._buffer) < end:
            return None
        message = self._buffer[0], bytes(self._buffer[HEADER_LENGTH:end])
        del self._buffer[:end]
        return message

    def clear(self) -> None:
        """Forgets what is waiting."""
        self._buffer.clear()


DECODERS = {
    message.message_type: message.decode
    for message in (
        SupportedProfiles,
        UnsupportedVersion,
        MediaKeys,
        TunneledDtls,
        EndpointDisconnect,
    )
}

_RESERVED_TYPE = 0


class State(Enum):
    """The states of both ends; each end uses its own part."""

    EXPECT_SUPPORTED_PROFILES = "expect_supported_profiles"  # Key Distributor
    EXPECT_FIRST_MESSAGE = "expect_first_message"  # Media Distributor
    ESTABLISHED = "established"
    TERMINATED = "terminated"


Transitions = Mapping[State, Mapping[MessageType, State]]


class TunnelEnd:
    """One end of a tunnel, over a TLS connection that somebody else owns.

    Attributes:
        state: see `State`.
        statistics: counters.
    """

    TRANSITIONS: ClassVar[Transitions]
    INITIAL_STATE: ClassVar[State]

    def __init__(self) -> None:
        self.state = self.INITIAL_STATE
        self.statistics = TunnelStatistics()
        self._splitter = MessageSplitter()
        self._outgoing = bytearray()
        self._events: deque[Message | TunnelTerminated] = deque()

    def receive_data(self, data: bytes, now: float) -> None:
        """Takes what arrived on the connection, in pieces of any size; never raises for it.

        Args:
            data: plaintext of the TLS connection.
            now: monotonic seconds; the tunnel has no timers, the parameter is every engine's.
        """
        if self.state is State.TERMINATED:
            return
        self._splitter.add(data)
        self._look_ahead()
        while (message := self._splitter.take()) is not None:
            self._receive_message(*message)
            self._look_ahead()

    def data_to_send(self) -> bytes:
        """Takes all that is to be written to the connection, also after termination."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Message | TunnelTerminated | None:
        """Takes the oldest event: a message that arrived, or the tunnel's end."""
        return self._events.popleft() if self._events else None

    def close(self, reason: str = "closed") -> None:
        """Ends the tunnel: call it when the connection is lost, or before closing it."""
        if self.state is not State.TERMINATED:
            self.state = State.TERMINATED
            self._splitter.clear()
            self._events.append(TunnelTerminated(reason))

    def send_tunneled_dtls(self, association_id: UUID, dtls_message: bytes) -> None:
        """Queues one datagram; drops it, and counts that, when too much is waiting already.

        Raises:
            UsageError: it is empty or longer than the format can carry.
        """
        if not 1 <= len(dtls_message) <= MAXIMUM_DTLS_MESSAGE_LENGTH:
            raise UsageError(f"a datagram of {len(dtls_message)} bytes can't be tunneled")
        if len(self._outgoing) >= SEND_LIMIT:
            self.statistics.datagrams_dropped += 1
            return
        self._send(TunneledDtls(association_id, dtls_message))

    def send_endpoint_disconnect(self, association_id: UUID) -> None:
        """Queues an EndpointDisconnect."""
        self._send(EndpointDisconnect(association_id))

    def _look_ahead(self) -> None:
        """Room for an end that can act on a message which isn't whole yet."""

    def _receive_message(self, message_type: int, body: bytes) -> None:
        if self.state is State.TERMINATED:
            return
        expected = self.TRANSITIONS[self.state]
        if message_type not in DECODERS:
            self._receive_unknown(message_type)
        elif message_type not in expected:
            self.close("unexpected_message")
        else:
            self._receive_expected(MessageType(message_type), body)

    def _receive_unknown(self, message_type: int) -> None:
        """Skips it, but not in place of SupportedProfiles, which comes first of all."""
        if message_type == _RESERVED_TYPE:
            self.close("malformed")
        elif self.state is State.EXPECT_SUPPORTED_PROFILES:
            self.close("unexpected_message")
        else:
            self.statistics.unknown_messages += 1

    def _receive_expected(self, message_type: MessageType, body: bytes) -> None:
        try:
            message = DECODERS[message_type](body)
        except CodecError:
            self.close("malformed")
            return
        self.statistics.messages_received += 1
        self.state = self.TRANSITIONS[self.state][message_type]
        self._events.append(message)

    def _send(self, message: Message) -> None:
        if self.state is State.TERMINATED:
            return
        if len(self._outgoing) >= HARD_SEND_LIMIT:
            self.close("send_buffer_full")
            return
        self.statistics.messages_sent += 1
        self._outgoing += message.encode()
