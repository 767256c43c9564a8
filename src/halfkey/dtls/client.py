"""The client's handshake in DTLS 1.2, in protocol order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.aead import SealingKey
from halfkey.dtls.crypto.key_schedule import transcript_hash
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, SUPPORTED_SCHEMES, sign
from halfkey.dtls.crypto.suites import SUITES, by_strength, is_strong_enough
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import Handshake, present
from halfkey.dtls.messages.certificate import (
    ECDSA_SIGN,
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH, ClientHello
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.key_exchange import (
    ClientKeyExchange,
    ServerKeyExchange,
    encode_parameters,
)
from halfkey.dtls.messages.server_hello import ServerHello, ServerHelloDone
from halfkey.dtls.proofs import Outcome, verify_finished, verify_possession
from halfkey.dtls.registries import (
    DTLS_1_0,
    DTLS_1_2,
    TLS_EMPTY_RENEGOTIATION_INFO_SCSV,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.dtls.states import CLIENT_1_2, State, StateTable, plaintext_types
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import SRTPProtectionProfile

_MAXIMUM_HELLO_VERIFY_REQUESTS = 4
_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER


class ClientHandshake(Handshake):
    """Speaks for a client until Finished has been checked."""

    states: ClassVar[StateTable] = CLIENT_1_2
    plaintext_types: ClassVar[frozenset[int]] = plaintext_types(CLIENT_1_2)

    def __init__(self, configuration: Configuration, channel: Channel) -> None:
        super().__init__(configuration, channel, State.EXPECT_SERVER_HELLO)
        self._client_random = configuration.random(RANDOM_LENGTH)
        self._offered = self._offer()
        self._server_public_key = b""
        self._hello_verify_requests = 0

    def start(self, now: float) -> None:
        """Sends the ClientHello without a cookie."""
        self._send_client_hello(b"", now)

    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        return {
            HandshakeType.HELLO_VERIFY_REQUEST: self._receive_hello_verify_request,
            HandshakeType.SERVER_HELLO: self._receive_server_hello,
            HandshakeType.CERTIFICATE: self._receive_certificate,
            HandshakeType.SERVER_KEY_EXCHANGE: self._receive_server_key_exchange,
            HandshakeType.CERTIFICATE_REQUEST: self._receive_certificate_request,
            HandshakeType.SERVER_HELLO_DONE: self._receive_server_hello_done,
            HandshakeType.FINISHED: self._receive_finished,
        }

    def _offer(self) -> dict[int, bytes]:
        configuration = self._configuration
        offered = {
            int(ExtensionType.EXTENDED_MASTER_SECRET): b"",
            ExtensionType.SUPPORTED_GROUPS: codec.encode_uint16_list(configuration.groups),
            ExtensionType.EC_POINT_FORMATS: codec.encode_uint8_list(
                [codec.UNCOMPRESSED_POINT_FORMAT]
            ),
            ExtensionType.SIGNATURE_ALGORITHMS: codec.encode_uint16_list(SUPPORTED_SCHEMES),
            ExtensionType.USE_SRTP: codec.encode_use_srtp(configuration.srtp_profiles),
        }
        if configuration.ekt_ciphers:
            offered[ExtensionType.SUPPORTED_EKT_CIPHERS] = codec.encode_uint8_list(
                configuration.ekt_ciphers
            )
        if configuration.external_session_id is not None:
            offered[ExtensionType.EXTERNAL_SESSION_ID] = codec.encode_external_session_id(
                configuration.external_session_id
            )
        # Also without an identity, to show support (RFC 8844 section 3.2).
        offered[ExtensionType.EXTERNAL_ID_HASH] = codec.encode_external_id_hash(
            configuration.external_id_hash
        )
        return offered

    def _offered_suites(self) -> list[CipherSuite]:
        best = self._configuration.srtp_profiles[0].parameters.hop_profile.parameters
        return by_strength(self._configuration.cipher_suites, best.key_length)

    def _send_client_hello(self, cookie: bytes, now: float) -> None:
        hello = ClientHello(
            version=DTLS_1_2,
            random=self._client_random,
            session_id=b"",
            cookie=cookie,
            cipher_suites=(*self._offered_suites(), TLS_EMPTY_RENEGOTIATION_INFO_SCSV),
            compression_methods=b"\0",
            extensions=self._offered,
        )
        self._transcript.clear()
        self._queue(HandshakeType.CLIENT_HELLO, hello)
        self._send_flight(now)

    def _receive_hello_verify_request(self, body: bytes, now: float) -> None:
        request = HelloVerifyRequest.decode(body)
        if request.version not in (DTLS_1_0, DTLS_1_2):
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "unknown version")
        # More than one can be honest: the server's secret may have changed (RFC 6347 4.2.1).
        self._hello_verify_requests += 1
        if self._hello_verify_requests > _MAXIMUM_HELLO_VERIFY_REQUESTS:
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "too many cookies")
        self._send_client_hello(request.cookie, now)

    def _receive_server_hello(self, body: bytes, now: float) -> None:
        hello = ServerHello.decode(body)
        if hello.version != DTLS_1_2:
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "not DTLS 1.2")
        if hello.cipher_suite not in self._configuration.cipher_suites:
            raise ProtocolFault(_ILLEGAL, "cipher suite not offered")
        if hello.compression_method:
            raise ProtocolFault(_ILLEGAL, "compression not offered")
        self._server_random = hello.random
        suite = CipherSuite(hello.cipher_suite)
        self._suite = SUITES[suite]
        self._check_extensions(hello.extensions)
        self._srtp_profile = self._read_srtp_profile(hello.extensions)
        self._ekt_cipher = self._read_ekt_cipher(hello.extensions)
        cipher = self._ekt_cipher
        if cipher is not None and not is_strong_enough(cipher, self._srtp_profile, suite):
            raise ProtocolFault(_ILLEGAL, "EKT cipher too weak")
        self._receive_external_ids(hello.extensions)
        self._check_external_session_id(self._configuration.peer_external_session_id)
        self._check_external_id_hash(self._configuration.peer_external_id_hash)

    def _check_extensions(self, extensions: codec.Extensions) -> None:
        # SCSV stands for renegotiation_info, so that one may be answered (RFC 5746 section 3.4).
        allowed = {*self._offered, ExtensionType.RENEGOTIATION_INFO}
        if not extensions.keys() <= allowed:
            raise ProtocolFault(
                AlertDescription.UNSUPPORTED_EXTENSION, "extension that was not offered"
            )
        if extensions.get(ExtensionType.EXTENDED_MASTER_SECRET) != b"":
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no extended_master_secret")
        renegotiation = codec.RENEGOTIATION_INFO_INITIAL
        if extensions.get(ExtensionType.RENEGOTIATION_INFO, renegotiation) != renegotiation:
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "wrong renegotiation_info")
        check_point_formats(extensions)

    def _read_srtp_profile(self, extensions: codec.Extensions) -> SRTPProtectionProfile:
        content = extensions.get(ExtensionType.USE_SRTP)
        if content is None:
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no use_srtp")
        profiles, mki = codec.decode_use_srtp(content)
        # RFC 5764 section 4.1.3: one profile of those offered, and no MKI as we offer none.
        if len(profiles) != 1 or profiles[0] not in self._configuration.srtp_profiles or mki:
            raise ProtocolFault(_ILLEGAL, "wrong use_srtp")
        return SRTPProtectionProfile(profiles[0])

    def _read_ekt_cipher(self, extensions: codec.Extensions) -> EKTCipher | None:
        content = extensions.get(ExtensionType.SUPPORTED_EKT_CIPHERS)
        if content is None:
            return None
        cipher = codec.decode_selected_ekt_cipher(content)
        if cipher not in self._configuration.ekt_ciphers:
            raise ProtocolFault(_ILLEGAL, "EKT cipher not offered")
        return EKTCipher(cipher)

    def _receive_server_key_exchange(self, body: bytes, now: float) -> None:
        message = ServerKeyExchange.decode(body)
        if message.group not in self._configuration.groups:
            raise ProtocolFault(_ILLEGAL, "group not offered")
        signed = self._client_random + self._server_random
        signed += encode_parameters(message.group, message.public_key)
        self._possession = verify_possession(
            present(self._certificate), message.scheme, message.signature, signed
        )
        self._key_exchange = key_exchange.generate(
            NamedGroup(message.group), self._configuration.random
        )
        self._server_public_key = message.public_key

    def _receive_certificate_request(self, body: bytes, now: float) -> None:
        request = CertificateRequest.decode(body)
        if (
            ECDSA_SIGN not in request.certificate_types
            or SIGNING_SCHEME not in request.signature_schemes
        ):
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no common signature scheme")

    def _receive_server_hello_done(self, body: bytes, now: float) -> None:
        ServerHelloDone.decode(body)
        certificate = present(self._configuration.certificate)
        self._queue(HandshakeType.CERTIFICATE, CertificateMessage((certificate.der,)))
        ours = ClientKeyExchange(present(self._key_exchange).public_key)
        self._queue(HandshakeType.CLIENT_KEY_EXCHANGE, ours)
        schedule = self._derive(self._server_public_key)
        signature = sign(certificate.private_key, self._transcript.all())
        self._queue(HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(SIGNING_SCHEME, signature))
        sealing, opening = schedule.client_keys()
        self._queue_finished(sealing)
        self._channel.reader.protect(opening)
        self._send_flight(now)

    def _queue_finished(self, sealing: SealingKey) -> None:
        messages_hash = transcript_hash(present(self._suite), self._transcript.all())
        self._queue_change_cipher_spec()
        self._channel.writer.protect(sealing)
        verify_data = present(self._schedule).verify_data(b"client", messages_hash)
        self._queue(HandshakeType.FINISHED, Finished(verify_data))

    def _receive_finished(self, body: bytes, now: float) -> None:
        finished = verify_finished(
            present(self._schedule),
            b"server",
            Finished.decode(body),
            transcript_hash(present(self._suite), self._transcript.before_latest()),
        )
        self._channel.flight_answered()
        self.outcome = Outcome(
            present(self._certificate),
            present(self._possession),
            finished,
            present(self._srtp_profile),
            self._ekt_cipher,
            self._peer_external_session_id,
            self._peer_external_id_hash,
        )


def check_point_formats(extensions: codec.Extensions) -> None:
    """If there are ec_point_formats, they must have the uncompressed one (RFC 8422 5.1.2).

    Raises:
        ProtocolFault: illegal_parameter.
    """
    content = extensions.get(ExtensionType.EC_POINT_FORMATS)
    if content is None:
        return
    if codec.UNCOMPRESSED_POINT_FORMAT not in codec.decode_uint8_list(content):
        raise ProtocolFault(_ILLEGAL, "no uncompressed point format")
