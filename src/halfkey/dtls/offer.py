"""What a client offers, in both versions at once, until a server has chosen one of them.

    ClientHello -> HelloVerifyRequest (1.2) -> ClientHello with cookie -> ServerHello
                -> HelloRetryRequest (1.3)  -> ClientHello with cookie and key share -> ServerHello

The ServerHello itself is checked by the handshake of the version that it chose.
"""

from __future__ import annotations

import dataclasses

from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.channel import Channel
from halfkey.dtls.client_1_2 import ClientHandshake12
from halfkey.dtls.client_1_3 import ClientHandshake13
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.key_exchange import KeyExchange
from halfkey.dtls.crypto.key_schedule import transcript_hash
from halfkey.dtls.crypto.signatures import SUPPORTED_SCHEMES
from halfkey.dtls.crypto.suites import SUITES, by_strength
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.flight import FlightMessage
from halfkey.dtls.fragments import Message
from halfkey.dtls.handshake import Encodable, Handshake, Stage, check_epoch, present
from halfkey.dtls.handshake_1_3 import check_server_hello
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH, ClientHello
from halfkey.dtls.messages.framing import encode_tls_message
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.offered import Offered
from halfkey.dtls.record import PLAINTEXT_EPOCH
from halfkey.dtls.registries import (
    DTLS_1_0,
    DTLS_1_2,
    DTLS_1_3,
    TLS_EMPTY_RENEGOTIATION_INFO_SCSV,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.dtls.states import CLIENT_TABLES, State, next_state, plaintext_types
from halfkey.dtls.transcript import Transcript
from halfkey.errors import CodecError

_MAXIMUM_HELLO_VERIFY_REQUESTS = 4
_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
_HANDSHAKES: dict[ProtocolVersion, type[ClientHandshake12 | ClientHandshake13]] = {
    DTLS_1_2: ClientHandshake12,
    DTLS_1_3: ClientHandshake13,
}


class Offer(Stage):
    """Speaks for a client until a ServerHello has chosen a version."""

    def __init__(self, configuration: Configuration, channel: Channel) -> None:
        super().__init__(configuration, channel, State.EXPECT_SERVER_HELLO)
        self._versions = frozenset(configuration.versions)
        suites = _cipher_suites(configuration)
        random = configuration.random(RANDOM_LENGTH)
        key_exchanges: dict[NamedGroup, KeyExchange] = {}
        if DTLS_1_3 in self._versions:
            group = _first_key_share(configuration.groups)
            key_exchanges[group] = key_exchange.generate(group, configuration.random)
        extensions = _extensions(configuration, key_exchanges)
        self._offered = Offered(random, suites, extensions, key_exchanges)
        self._cookie = b""
        self._hello: FlightMessage | None = None
        self._transcript_begin: tuple[bytes, bytes] | None = None
        self._hello_verify_requests = 0

    @property
    def expected_epoch(self) -> int:
        """See `Stage`: nothing is protected yet."""
        return PLAINTEXT_EPOCH

    @property
    def plaintext_types(self) -> frozenset[int]:
        """See `Stage`: those of every version that is still open, since they may come early.

        Also the first word of a server of DTLS 1.2, to whoever it is: as good an answer as any.
        """
        first = {HandshakeType.HELLO_VERIFY_REQUEST} if self._is_unanswered else ()
        return frozenset(first).union(
            *(plaintext_types(CLIENT_TABLES[one]) for one in self._versions)
        )

    @property
    def _is_unanswered(self) -> bool:
        return self.state is State.EXPECT_SERVER_HELLO

    def start(self, now: float) -> None:
        """Sends the first ClientHello."""
        self._send_client_hello(now)

    def receive(self, message: Message, now: float) -> Stage:
        """See `Stage`."""
        check_epoch(message, self.expected_epoch)
        try:
            if message.message_type == HandshakeType.SERVER_HELLO:
                return self._receive_server_hello(message, now)
            if self._is_unanswered and DTLS_1_2 not in self._versions:
                # A ServerHello of 1.2 would end it the same way.
                raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "no common version")
            self._narrow(DTLS_1_2, message.message_type)
            self._receive_hello_verify_request(HelloVerifyRequest.decode(message.body), now)
        except CodecError as error:
            raise ProtocolFault(AlertDescription.DECODE_ERROR, "malformed message") from error
        return self

    def wipe(self) -> None:
        """See `Stage`."""
        self._offered = dataclasses.replace(self._offered, key_exchanges={})

    def _queue(self, message_type: HandshakeType, message: Encodable) -> FlightMessage:
        message_seq = self._channel.take_message_seq()
        return FlightMessage(message_type, message_seq, message.encode(), PLAINTEXT_EPOCH)

    def _send_client_hello(self, now: float) -> None:
        suites: tuple[int, ...] = self._offered.cipher_suites
        if DTLS_1_2 in self._configuration.versions:
            suites = (*suites, TLS_EMPTY_RENEGOTIATION_INFO_SCSV)
        hello = ClientHello(
            version=DTLS_1_2,
            random=self._offered.random,
            session_id=b"",
            cookie=self._cookie,
            cipher_suites=suites,
            compression_methods=b"\0",
            extensions=self._offered.extensions,
        )
        self._hello = self._queue(HandshakeType.CLIENT_HELLO, hello)
        self._channel.send_flight([self._hello], now)

    def _narrow(self, version: ProtocolVersion, message_type: int) -> State:
        """Follows a version's table, once a message has said which that is; gives the next state.

        Raises:
            ProtocolFault: the message has no place.
        """
        following = next_state(CLIENT_TABLES[version], self.state, message_type)
        self._versions = frozenset({version})
        return following

    # --- DTLS 1.2

    def _receive_hello_verify_request(self, request: HelloVerifyRequest, now: float) -> None:
        if request.version not in (DTLS_1_0, DTLS_1_2):
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "unknown version")
        # More than one can be honest: the server's secret may have changed (RFC 6347 4.2.1).
        self._hello_verify_requests += 1
        if self._hello_verify_requests > _MAXIMUM_HELLO_VERIFY_REQUESTS:
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "too many cookies")
        self._cookie = request.cookie
        self._send_client_hello(now)

    # --- the choice

    def _receive_server_hello(self, message: Message, now: float) -> Stage:
        hello = ServerHello.decode(message.body)
        version = self._chosen_version(hello)
        if hello.is_retry_request and version is DTLS_1_3:
            self.state = self._narrow(version, HandshakeType.HELLO_RETRY_REQUEST)
            self._receive_hello_retry_request(hello, message.body, now)
            return self
        return self._hand_over(version).receive(message, now)

    def _chosen_version(self, hello: ServerHello) -> ProtocolVersion:
        """Reads which version a server chose (RFC 8446 sections 4.1.3 and 4.2.1).

        Raises:
            ProtocolFault: none of ours, or not the best that both sides speak.
        """
        content = hello.extensions.get(ExtensionType.SUPPORTED_VERSIONS)
        if content is not None:
            self._offered.check_extensions(
                {ExtensionType.SUPPORTED_VERSIONS: content}, self._offered.extensions
            )
            selected = codec.decode_uint16(content)
            if hello.version != DTLS_1_2 or selected != DTLS_1_3 or DTLS_1_3 not in self._versions:
                raise ProtocolFault(_ILLEGAL, "wrong version chosen")
            return DTLS_1_3
        if hello.version != DTLS_1_2 or DTLS_1_2 not in self._configuration.versions:
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "no common version")
        if hello.is_retry_request:
            raise ProtocolFault(AlertDescription.MISSING_EXTENSION, "no supported_versions")
        if DTLS_1_2 not in self._versions:
            # RFC 8446 section 4.1.4: the version of HelloRetryRequest stays.
            raise ProtocolFault(_ILLEGAL, "wrong version chosen")
        if DTLS_1_3 in self._configuration.versions and hello.is_downgraded:
            raise ProtocolFault(_ILLEGAL, "downgraded by somebody on the way")
        return DTLS_1_2

    def _hand_over(self, version: ProtocolVersion) -> Handshake:
        transcript = Transcript(version)
        if self._transcript_begin is not None:
            transcript.add_retry(*self._transcript_begin)
        hello = present(self._hello)
        transcript.add(hello.message_type, hello.message_seq, hello.body)
        handshake = _HANDSHAKES[version](
            self._configuration, self._channel, self.state, transcript, self._offered
        )
        handshake.peer_fingerprints = self.peer_fingerprints
        return handshake

    # --- DTLS 1.3

    def _receive_hello_retry_request(self, hello: ServerHello, body: bytes, now: float) -> None:
        """Repeats the ClientHello with what the server asks for (RFC 8446 section 4.1.4).

        Raises:
            ProtocolFault: it asks for nothing, or for what we don't have.
        """
        suite = check_server_hello(hello, self._offered)
        allowed = self._offered.allowed(ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE)
        # A cookie is the one thing that needn't have been offered.
        self._offered.check_extensions(hello.extensions, {*allowed, ExtensionType.COOKIE})
        extensions, key_exchanges = dict(self._offered.extensions), self._offered.key_exchanges
        share = hello.extensions.get(ExtensionType.KEY_SHARE)
        cookie = hello.extensions.get(ExtensionType.COOKIE)
        if share is None and cookie is None:
            raise ProtocolFault(_ILLEGAL, "nothing to retry with")
        if share is not None:
            key_exchanges = self._another_key_share(codec.decode_uint16(share))
            extensions[ExtensionType.KEY_SHARE] = _key_share(key_exchanges)
        if cookie is not None:
            # First, since a server that holds nothing needs it in the message's first fragment.
            cookie = codec.encode_cookie(codec.decode_cookie(cookie))
            extensions = {int(ExtensionType.COOKIE): cookie, **extensions}
        self._remember_retry(suite, body)
        self._offered = dataclasses.replace(
            self._offered, extensions=extensions, key_exchanges=key_exchanges, retry_suite=suite
        )
        self._send_client_hello(now)

    def _another_key_share(self, group: int) -> dict[NamedGroup, KeyExchange]:
        if group not in self._configuration.groups or group in self._offered.key_exchanges:
            raise ProtocolFault(_ILLEGAL, "group not offered, or key share sent already")
        named = NamedGroup(group)
        return {named: key_exchange.generate(named, self._configuration.random)}

    def _remember_retry(self, suite: CipherSuite, body: bytes) -> None:
        """From now on the first ClientHello counts by its hash (RFC 8446 section 4.4.1)."""
        hello = present(self._hello)
        first = encode_tls_message(hello.message_type, hello.body)
        self._transcript_begin = transcript_hash(SUITES[suite], first), body


def _cipher_suites(configuration: Configuration) -> tuple[CipherSuite, ...]:
    best = configuration.srtp_profiles[0].parameters.hop_profile.parameters
    ordered = by_strength(configuration.cipher_suites, best.key_length)
    return tuple(suite for suite in ordered if SUITES[suite].version in configuration.versions)


def _first_key_share(groups: tuple[NamedGroup, ...]) -> NamedGroup:
    """The best group whose share is small.

    A server that prefers the hybrid asks for it in its HelloRetryRequest, which our Key Distributor
    sends in any case; so the first ClientHello fits a datagram, and no round trip is lost.
    """
    return next((group for group in groups if not group.is_hybrid), groups[0])


def _extensions(
    configuration: Configuration, key_exchanges: dict[NamedGroup, KeyExchange]
) -> dict[int, bytes]:
    offered: dict[int, bytes] = {}
    latest = min(configuration.versions)
    if latest is DTLS_1_3:
        offered[ExtensionType.SUPPORTED_VERSIONS] = codec.encode_offered_versions(
            sorted(configuration.versions)
        )
    if DTLS_1_2 in configuration.versions:
        offered[ExtensionType.EXTENDED_MASTER_SECRET] = b""
        offered[ExtensionType.EC_POINT_FORMATS] = codec.encode_uint8_list(
            [codec.UNCOMPRESSED_POINT_FORMAT]
        )
    offered[ExtensionType.SUPPORTED_GROUPS] = codec.encode_uint16_list(
        configuration.groups_of(latest)
    )
    offered[ExtensionType.SIGNATURE_ALGORITHMS] = codec.encode_uint16_list(SUPPORTED_SCHEMES)
    offered.update(negotiation.offer(configuration))
    if latest is DTLS_1_3:
        offered[ExtensionType.KEY_SHARE] = _key_share(key_exchanges)  # last: it may be long
    return offered


def _key_share(key_exchanges: dict[NamedGroup, KeyExchange]) -> bytes:
    return codec.encode_key_shares(
        codec.KeyShareEntry(group, one.public_key) for group, one in key_exchanges.items()
    )
