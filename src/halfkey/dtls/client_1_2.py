"""The client's handshake in DTLS 1.2, in protocol order, from ServerHello on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.aead import SealingKey
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, sign
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import present
from halfkey.dtls.handshake_1_2 import Handshake12, check_point_formats
from halfkey.dtls.messages.certificate import (
    ECDSA_SIGN,
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import (
    ClientKeyExchange,
    ServerKeyExchange,
    encode_parameters,
)
from halfkey.dtls.messages.server_hello import ServerHello, ServerHelloDone
from halfkey.dtls.offered import Offered
from halfkey.dtls.proofs import verify_possession
from halfkey.dtls.registries import (
    DTLS_1_2,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.dtls.states import CLIENT_1_2, State, StateTable
from halfkey.dtls.transcript import Transcript

_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
_ONLY_1_3 = {
    ExtensionType.SUPPORTED_VERSIONS,
    ExtensionType.COOKIE,
    ExtensionType.KEY_SHARE,
}


class ClientHandshake12(Handshake12):
    """Speaks for a client until Finished has been checked.

    Args:
        offered: what our ClientHello said.
    """

    states: ClassVar[StateTable] = CLIENT_1_2

    def __init__(
        self,
        configuration: Configuration,
        channel: Channel,
        state: State,
        transcript: Transcript,
        offered: Offered,
    ) -> None:
        super().__init__(configuration, channel, state, transcript)
        self._offered = offered
        self._client_random = offered.random
        self._server_public_key = b""

    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        return {
            HandshakeType.SERVER_HELLO: self._receive_server_hello,
            HandshakeType.CERTIFICATE: self._receive_certificate,
            HandshakeType.SERVER_KEY_EXCHANGE: self._receive_server_key_exchange,
            HandshakeType.CERTIFICATE_REQUEST: self._receive_certificate_request,
            HandshakeType.SERVER_HELLO_DONE: self._receive_server_hello_done,
            HandshakeType.FINISHED: self._receive_finished,
        }

    def _receive_server_hello(self, body: bytes, now: float) -> None:
        """Checks all of it, as if no other version had been offered."""
        hello = ServerHello.decode(body)
        if hello.version != DTLS_1_2:
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "not DTLS 1.2")
        if hello.cipher_suite not in self._configuration.suites_of(DTLS_1_2):
            raise ProtocolFault(_ILLEGAL, "cipher suite not offered")
        if hello.compression_method:
            raise ProtocolFault(_ILLEGAL, "compression not offered")
        self._server_random = hello.random
        self._suite = CipherSuite(hello.cipher_suite)
        self._check_extensions(hello.extensions)
        self._negotiated = negotiation.read_answer(
            self._configuration, hello.extensions, self._suite
        )

    def _check_extensions(self, extensions: codec.Extensions) -> None:
        # SCSV stands for renegotiation_info, so that one may be answered (RFC 5746 section 3.4).
        allowed = {*self._offered.extensions, ExtensionType.RENEGOTIATION_INFO}
        self._offered.check_extensions(extensions, allowed - _ONLY_1_3)
        if extensions.get(ExtensionType.EXTENDED_MASTER_SECRET) != b"":
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no extended_master_secret")
        renegotiation = codec.RENEGOTIATION_INFO_INITIAL
        if extensions.get(ExtensionType.RENEGOTIATION_INFO, renegotiation) != renegotiation:
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "wrong renegotiation_info")
        check_point_formats(extensions)

    def _receive_server_key_exchange(self, body: bytes, now: float) -> None:
        message = ServerKeyExchange.decode(body)
        if message.group not in self._configuration.groups_of(DTLS_1_2):
            raise ProtocolFault(_ILLEGAL, "group not offered")
        signed = self._client_random + self._server_random
        signed += encode_parameters(message.group, message.public_key)
        self._possession = verify_possession(
            present(self._certificate), message.scheme, message.signature, signed
        )
        self._group = NamedGroup(message.group)
        self._key_exchange = key_exchange.generate(self._group, self._configuration.random)
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
        messages_hash = self._hash_of_all()
        self._queue_change_cipher_spec()
        self._channel.writer.protect(sealing)
        verify_data = present(self._schedule).verify_data(b"client", messages_hash)
        self._queue(HandshakeType.FINISHED, Finished(verify_data))

    def _receive_finished(self, body: bytes, now: float) -> None:
        finished = self._verify_finished(b"server", body)
        self._channel.flight_answered()
        self._complete(finished)
